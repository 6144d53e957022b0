// Package otlp sends the events of a journal to an OpenTelemetry collector, as
// log records of OTLP over HTTP, in protobuf, compressed with gzip
// (opentelemetry.io/docs/specs/otlp).
//
// A record's event name is the kind of event, its body the event as JSON, and
// its attributes what one searches for: see [Sink]. It is "observed" at the time
// of the event; the gateway's text is in the body only if the exporter sends
// texts.
package otlp

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"

	"google.golang.org/protobuf/proto"

	collector "go.opentelemetry.io/proto/slim/otlp/collector/logs/v1"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/audit/export"
	"github.com/sallyport-dev/gateway/protocol"
)

// A Sink posts batches to a collector.
//
// The collector answers 200 when it has the records. If it says that it has
// rejected some of them, the whole batch is kept among the rejected, because it
// does not say which, and is not sent again, as the protocol demands. 400, 413
// and 422 reject a batch. After any other answer it is sent again, not before
// what Retry-After says; the protocol would have clients drop what was answered
// with most of them, but this is evidence.
type Sink struct {
	URL    string                     // such as https://collector:4318/v1/logs
	Header map[string]protocol.Secret // such as Authorization
	Format export.Format              // of the body; nil: [export.JSON]
	Client *http.Client               // nil: one with a time limit of 30 s that follows no redirects

	// Resource has more attributes of the resource; service.name is "sallyport"
	// unless it is here.
	Resource map[string]string
}

var client = &http.Client{Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 64 << 10

// Send implements [export.Sink].
func (s *Sink) Send(ctx context.Context, origin string, events []audit.Event) error {
	body, err := s.body(origin, events)
	if err != nil {
		return &export.RejectedError{Err: err}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	for k, v := range s.Header {
		r.Header.Set(k, v.Reveal())
	}
	r.Header.Set("Content-Type", "application/x-protobuf")
	r.Header.Set("Content-Encoding", "gzip")
	c := s.Client
	if c == nil {
		c = client
	}
	res, err := c.Do(r)
	if err != nil {
		return err
	}
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	_ = res.Body.Close()
	failed := fmt.Errorf("otlp: %s answered %s", r.URL.Redacted(), res.Status)
	switch res.StatusCode {
	case http.StatusOK:
		if err != nil {
			return fmt.Errorf("otlp: %s: %w", r.URL.Redacted(), err)
		}
		return accepted(res.Header.Get("Content-Type"), answer)
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return &export.RejectedError{Err: failed}
	}
	return export.Retry(failed, res.Header)
}

// accepted reads what a collector says that answers 200. A body of another kind
// is none of a collector: a page of a proxy, perhaps.
func accepted(kind string, answer []byte) error {
	if len(answer) == 0 {
		return nil // an empty message
	}
	if m, _, err := mime.ParseMediaType(kind); err != nil || m != "application/x-protobuf" {
		return fmt.Errorf("otlp: the answer is of type %q and not a collector's", kind)
	}
	var res collector.ExportLogsServiceResponse
	if err := proto.Unmarshal(answer, &res); err != nil {
		return errors.New("otlp: the answer is not a collector's")
	}
	if p := res.GetPartialSuccess(); p.GetRejectedLogRecords() > 0 {
		return &export.RejectedError{Some: true, Err: fmt.Errorf("otlp: the collector rejected %d records: %q", p.GetRejectedLogRecords(), clip(p.GetErrorMessage(), 200))}
	}
	return nil
}

func clip(s string, n int) string { return s[:min(len(s), n)] }

func (s *Sink) body(origin string, events []audit.Event) ([]byte, error) {
	m, err := s.request(origin, events)
	if err != nil {
		return nil, err
	}
	raw, err := proto.Marshal(m)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(raw); err != nil {
		return nil, err
	}
	err = z.Close()
	return b.Bytes(), err
}
