package export

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/protocol"
)

// A Webhook is a sink that posts batches of CloudEvents 1.0 as JSON, signed as
// Standard Webhooks are: the headers webhook-id, webhook-timestamp and
// webhook-signature, an HMAC-SHA-256 over "id.timestamp.body". The receiver
// checks the signature and that the timestamp is of the last minutes, and takes
// what it has got before, by the events' ids, for delivered. It answers 2xx when
// the events are safe; 400, 413 and 422 mean that it will never take them.
type Webhook struct {
	URL    string
	Secret protocol.Secret // needed; as Standard Webhooks write it, "whsec_" and base64, or else the key itself
	Format Format          // of the data; nil: [JSON]
	Client *http.Client    // nil: one with a time limit of 30 s that follows no redirects

	now func() time.Time
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 64 << 10

// Send implements [Sink].
func (s *Webhook) Send(ctx context.Context, origin string, events []audit.Event) error {
	if s.Secret.Empty() {
		return errors.New("webhook: there is no secret to sign with")
	}
	body, err := s.body(origin, events)
	if err != nil {
		return &RejectedError{Err: err}
	}
	now := time.Now
	if s.now != nil {
		now = s.now
	}
	id := fmt.Sprintf("%s-%d-%d", origin, events[0].Seq, len(events)) // the same when it is sent again
	stamp := strconv.FormatInt(now().Unix(), 10)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/cloudevents-batch+json; charset=utf-8")
	r.Header.Set("webhook-id", id)
	r.Header.Set("webhook-timestamp", stamp)
	r.Header.Set("webhook-signature", "v1,"+base64.StdEncoding.EncodeToString(signature(s.Secret, id, stamp, body)))
	if s.Client == nil {
		s.Client = &http.Client{Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	res, err := s.Client.Do(r)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, maxAnswer))
	_ = res.Body.Close()
	switch err := fmt.Errorf("webhook: %s answered %s", r.URL.Redacted(), res.Status); {
	case res.StatusCode >= 200 && res.StatusCode < 300:
		return nil
	case res.StatusCode == http.StatusBadRequest, res.StatusCode == http.StatusRequestEntityTooLarge, res.StatusCode == http.StatusUnprocessableEntity:
		return &RejectedError{Err: err}
	default:
		return Retry(err, res.Header)
	}
}

func signature(secret protocol.Secret, id, stamp string, body []byte) []byte {
	key := []byte(secret.Reveal())
	if b64, ok := strings.CutPrefix(secret.Reveal(), "whsec_"); ok {
		if b, err := base64.StdEncoding.DecodeString(b64); err == nil {
			key = b
		}
	}
	h := hmac.New(sha256.New, key)
	_, _ = fmt.Fprintf(h, "%s.%s.", id, stamp)
	h.Write(body)
	return h.Sum(nil)
}

// A cloudEvent is an event in the envelope of CloudEvents 1.0.
type cloudEvent struct {
	SpecVersion     string          `json:"specversion"`
	ID              string          `json:"id"`
	Source          string          `json:"source"`
	Type            string          `json:"type"`
	Subject         string          `json:"subject,omitempty"`
	Time            time.Time       `json:"time"`
	DataContentType string          `json:"datacontenttype"`
	Data            json.RawMessage `json:"data"`
}

func (s *Webhook) body(origin string, events []audit.Event) ([]byte, error) {
	format := s.Format
	if format == nil {
		format = JSON
	}
	batch := make([]cloudEvent, 0, len(events))
	for i := range events {
		e := &events[i]
		data, err := format(origin, e)
		if err != nil {
			return nil, err
		}
		batch = append(batch, cloudEvent{SpecVersion: "1.0", ID: strconv.FormatUint(e.Seq, 10), Source: "urn:sallyport:" + origin,
			Type: "dev.sallyport.audit." + strings.ReplaceAll(string(e.Kind), "_", "-") + ".v1", Subject: e.Session, Time: e.Time.UTC(),
			DataContentType: "application/json", Data: data})
	}
	return json.Marshal(batch)
}
