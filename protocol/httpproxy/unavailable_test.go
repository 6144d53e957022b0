package httpproxy_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
)

// What cannot be recorded is told to be tried again, unless the target may have done
// something already.
func TestRecordsCannotBeWritten(t *testing.T) {
	full, err := audit.Open(t.TempDir(), audit.Options{MinFree: 1 << 62})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, full.Close()) })
	late := middleware.Step{Name: "late", Commit: func(_ context.Context, p protocol.Point, ops []*protocol.Operation) error {
		if p == protocol.BeforeRelease && ops[0].Verb != protocol.Connect {
			return fmt.Errorf("%w: /var/lib/journal: input/output error", protocol.ErrUnavailable)
		}
		return nil
	}}
	odd := late
	odd.Name, odd.Commit = "odd", func(context.Context, protocol.Point, []*protocol.Operation) error {
		return errors.New("a step is broken")
	}
	for name, c := range map[string]struct {
		step   middleware.Step
		status map[string]int
	}{
		"a full disk":                        {middleware.Record(full), map[string]int{"GET": 503, "POST": 503}},
		"one that fails behind the target":   {late, map[string]int{"GET": 503, "POST": 500}},
		"something else, which is no matter": {odd, map[string]int{"GET": 500, "POST": 500}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, rigConfig{steps: []middleware.Step{c.step}})
			for method, want := range c.status {
				for _, accept := range []string{"text/plain", "application/json", "text/html"} {
					res, b := r.do(t, accept == "text/html", method, "https://app.gw.test/x", strings.NewReader(""), "Accept", accept)
					require.Equal(t, want, res.StatusCode, "%s: %s", method, b)
					if want == http.StatusServiceUnavailable {
						require.Equal(t, "5", res.Header.Get("Retry-After"))
						require.Contains(t, b, "cannot write its records now")
					} else {
						require.Empty(t, res.Header.Get("Retry-After"))
					}
					for _, inner := range []string{"/var/lib", "MiB", "reserve", "input/output"} {
						require.NotContains(t, b, inner)
					}
				}
			}
			if c.step.Name == "late" {
				require.Len(t, r.requests(), 6, "the target was asked")
			} else {
				require.Empty(t, r.requests(), "nothing was sent")
			}
		})
	}
}
