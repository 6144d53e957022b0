package export

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"time"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/audit/store"
)

// An Encoding makes a file of a batch of events of the journal with that id. The
// same events always make the same file.
type Encoding struct {
	Suffix string // of the file's name, such as ".ndjson.gz"
	Encode func(origin string, events []audit.Event) ([]byte, error)
}

// NDJSON is an encoding with one line for each event, compressed with gzip. A nil
// format is [JSON].
func NDJSON(f Format) Encoding {
	if f == nil {
		f = JSON
	}
	return Encoding{".ndjson.gz", func(origin string, events []audit.Event) ([]byte, error) {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		if err := writeLines(z, events, f, origin); err != nil {
			return nil, err
		}
		err := z.Close()
		return b.Bytes(), err
	}}
}

// Objects is a sink that makes an object of each batch, in a folder or a bucket:
//
//	JOURNAL/day=2026-03-01/hour=12/00000000000000004711.ndjson.gz
//
// The name holds the journal's id, the day and hour (UTC) and the number of the
// first event, and nothing else. A batch that is sent again, perhaps with more
// or fewer events in it, begins with the same event and so takes the place of
// what was sent before: no event stands in two objects once the exporter has
// gone on. Give the exporter a large Batch and an Every of minutes.
func Objects(s store.Store, e Encoding) Sink { return objects{s, e} }

type objects struct {
	store    store.Store
	encoding Encoding
}

// Send implements [Sink].
func (o objects) Send(ctx context.Context, origin string, events []audit.Event) error {
	b, err := o.encoding.Encode(origin, events)
	if err != nil {
		return &RejectedError{Err: err}
	}
	body, err := store.NewBody(bytes.NewReader(b))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, putTime)
	defer cancel()
	t := events[0].Time.UTC()
	name := fmt.Sprintf("%s/day=%s/hour=%s/%020d%s", origin, t.Format(time.DateOnly), t.Format("15"), events[0].Seq, o.encoding.Suffix)
	return o.store.Put(ctx, name, body)
}

// putTime is how long an object may take; a store that hangs is tried again.
const putTime = 10 * time.Minute
