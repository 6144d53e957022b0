// Package freeze is a step that refuses changes until a time, as an example of
// a step of one's own.
package freeze

import (
	"context"
	"fmt"
	"time"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
)

// changes are the classes that a freeze refuses. Opaque is among them: what
// could not be analysed may change anything.
const changes = protocol.Write | protocol.Schema | protocol.Admin | protocol.Execute | protocol.Opaque

// Until returns a step that refuses changes before t. It allows nothing:
// whether a read, or a change afterwards, is allowed is for other steps to say.
func Until(t time.Time) middleware.Step {
	return middleware.Step{
		Name: "freeze",
		Operation: func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
			if !op.Access.Has(changes) || !time.Now().Before(t) {
				return protocol.Pass, nil
			}
			d := protocol.Deny("changes are frozen until " + t.Format(time.DateTime+" MST"))
			d.Hint = "reading works; a change has to wait"
			return d, nil
		},
	}
}

// Kind lets a configuration file name the step:
//
//	steps:
//	  - freeze:
//	      until: 2027-01-04T08:00:00+01:00
func Kind() middleware.Kind {
	return middleware.KindOf("freeze", func(c struct {
		Until string `yaml:"until"` // a wrong time must be an error, not the zero time
	}) (middleware.Step, error) {
		t, err := time.Parse(time.RFC3339, c.Until)
		if err != nil {
			return middleware.Step{}, fmt.Errorf("until: %q is not a time, such as 2027-01-04T08:00:00+01:00", c.Until)
		}
		return Until(t), nil
	})
}
