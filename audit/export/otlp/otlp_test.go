package otlp

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	collector "go.opentelemetry.io/proto/slim/otlp/collector/logs/v1"
	logs "go.opentelemetry.io/proto/slim/otlp/logs/v1"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/audit/export"
	"github.com/sallyport-dev/gateway/protocol"
)

// A fake collector answers as it is told, first in, first out, and then 200.
type fake struct {
	t       *testing.T
	mu      sync.Mutex
	answers []http.HandlerFunc
	got     []*collector.ExportLogsServiceRequest // of what it answered with 200
	tries   int
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tries++
	if r.Header.Get("Content-Type") != "application/x-protobuf" || r.Header.Get("Content-Encoding") != "gzip" || r.Header.Get("Authorization") != "Bearer hush" {
		f.t.Errorf("header %v", r.Header)
	}
	if len(f.answers) > 0 {
		a := f.answers[0]
		f.answers = f.answers[1:]
		a(w, r)
		return
	}
	m := f.read(r)
	f.got = append(f.got, m)
	reply(w, &collector.ExportLogsServiceResponse{})
}

func (f *fake) read(r *http.Request) *collector.ExportLogsServiceRequest {
	z, err := gzip.NewReader(r.Body)
	require.NoError(f.t, err)
	b, err := io.ReadAll(z)
	require.NoError(f.t, err)
	m := &collector.ExportLogsServiceRequest{}
	require.NoError(f.t, proto.Unmarshal(b, m))
	return m
}

func (f *fake) records() (rs []*logs.LogRecord) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range f.got {
		rs = append(rs, m.ResourceLogs[0].ScopeLogs[0].LogRecords...)
	}
	return rs
}

func reply(w http.ResponseWriter, m *collector.ExportLogsServiceResponse) {
	b, _ := proto.Marshal(m)
	w.Header().Set("Content-Type", "application/x-protobuf")
	_, _ = w.Write(b)
}

func status(code int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
	}
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

func filled(t *testing.T, n int) string {
	t.Helper()
	dir := t.TempDir()
	j, err := audit.Open(dir, audit.Options{MinFree: 1})
	require.NoError(t, err)
	s := &protocol.SessionInfo{ID: "s1", Identity: &protocol.Identity{Issuer: "i", Subject: "alice"}, Remote: "192.0.2.7:5",
		Resource: protocol.Resource{Name: "orders", Protocol: "postgres"}}
	for i := range n {
		op := &protocol.Operation{Session: s, ID: uint64(i + 1), Verb: "update", Text: "update t set secret = 'hunter2\xff'", Access: protocol.Write}
		_, err := j.Record(&protocol.Event{Kind: protocol.Decided, Session: s, Op: op, Decision: protocol.Deny("no")}, audit.Detail{})
		require.NoError(t, err)
	}
	require.NoError(t, j.Close())
	return dir
}

func exporter(t *testing.T, f *fake, n int) *export.Exporter {
	t.Helper()
	srv := httptest.NewServer(f)
	t.Cleanup(srv.Close)
	return &export.Exporter{Dir: filled(t, n), Cursor: filepath.Join(t.TempDir(), "cursor"), Logger: quiet, Batch: 10, Every: time.Hour,
		Sink: &Sink{URL: srv.URL + "/v1/logs", Header: map[string]protocol.Secret{"Authorization": protocol.NewSecret("Bearer hush")}}}
}

func TestRecords(t *testing.T) {
	f := &fake{t: t}
	x := exporter(t, f, 25)
	require.NoError(t, x.Run(t.Context(), false))
	rs := f.records()
	require.Len(t, rs, 28)
	require.Equal(t, "service.name", f.got[0].ResourceLogs[0].Resource.Attributes[0].Key)
	r := rs[2]
	require.Equal(t, "sallyport.command.decided", r.EventName)
	require.Equal(t, logs.SeverityNumber_SEVERITY_NUMBER_WARN, r.SeverityNumber)
	have := map[string]string{}
	for _, a := range r.Attributes {
		have[a.Key] = a.Value.GetStringValue()
	}
	require.Equal(t, "alice", have["user.id"])
	require.Equal(t, "orders", have["sallyport.target"])
	require.Equal(t, "deny", have["sallyport.decision"])
	var e audit.Event
	require.NoError(t, json.Unmarshal([]byte(r.Body.GetStringValue()), &e))
	require.EqualValues(t, 2, e.Seq)
	require.NotContains(t, r.Body.GetStringValue(), "hunter")
	require.EqualValues(t, e.Time.UnixNano(), r.TimeUnixNano)
}

// Whatever a collector answers, and however it dies, all events arrive or are
// kept among the rejected ones.
func TestAnswers(t *testing.T) {
	partial := func(n int64) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			reply(w, &collector.ExportLogsServiceResponse{PartialSuccess: &collector.ExportLogsPartialSuccess{RejectedLogRecords: n, ErrorMessage: "too old"}})
		}
	}
	dies := func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_ = c.Close()
		}
	}
	page := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<h1>log in</h1>")
	}
	f := &fake{t: t}
	s := &Sink{Header: map[string]protocol.Secret{"Authorization": protocol.NewSecret("Bearer hush")}}
	srv := httptest.NewServer(f)
	defer srv.Close()
	s.URL = srv.URL
	for name, c := range map[string]struct {
		answer         http.HandlerFunc
		rejected, some bool
		after          time.Duration
		fine           bool
	}{
		"too many":    {answer: status(429, "Retry-After", "7"), after: 7 * time.Second},
		"unavailable": {answer: status(503, "Retry-After", "9"), after: 9 * time.Second},
		"gateway":     {answer: status(502)},
		"internal":    {answer: status(500)},
		"log in":      {answer: status(401)},
		"elsewhere":   {answer: status(302, "Location", "http://127.0.0.1:1/")},
		"bad":         {answer: status(400), rejected: true},
		"large":       {answer: status(413), rejected: true},
		"some":        {answer: partial(1), rejected: true, some: true},
		"a warning":   {answer: partial(0), fine: true},
		"dies":        {answer: dies},
		"a page":      {answer: page},
		"nothing":     {answer: status(200), fine: true},
	} {
		f.mu.Lock()
		f.answers = []http.HandlerFunc{c.answer}
		f.mu.Unlock()
		err := s.Send(t.Context(), "o", []audit.Event{{Seq: 1}})
		if c.fine {
			require.NoError(t, err, name)
			continue
		}
		require.Error(t, err, name)
		require.NotContains(t, err.Error(), "hush")
		var rejected *export.RejectedError
		var retry *export.RetryError
		if errors.As(err, &rejected) != c.rejected {
			t.Errorf("%s: %v", name, err)
		}
		if c.rejected {
			require.Equal(t, c.some, rejected.Some, name)
		}
		if c.after > 0 {
			require.True(t, errors.As(err, &retry), name)
			require.Equal(t, c.after, retry.After)
		}
	}
}

// A collector that is there and one that is not: nothing is lost when it comes.
func TestDeadCollector(t *testing.T) {
	f := &fake{t: t, answers: []http.HandlerFunc{status(500), status(503, "Retry-After", "0")}}
	x := exporter(t, f, 5)
	require.NoError(t, x.Run(t.Context(), false))
	require.Len(t, f.records(), 8)
	require.Equal(t, 3, f.tries)
	require.NoFileExists(t, x.Cursor+".rejected")
}

func TestOddTimesAndTexts(t *testing.T) {
	for _, c := range []struct {
		t    time.Time
		want uint64
	}{{time.Time{}, 0}, {time.Unix(-5, 0), 0}, {time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), 0}, {time.Unix(1, 2), 1_000_000_002}} {
		require.Equal(t, c.want, nano(c.t))
	}
	b, err := (&Sink{}).body("o", []audit.Event{{Kind: audit.LoginRefused, User: "\xff\xfe", Remote: "nonsense"}})
	require.NoError(t, err)
	require.NotEmpty(t, b)
}

// To a collector on the same machine, for as long as ctx lasts.
func ExampleSink() {
	x := &export.Exporter{Dir: "/var/lib/sallyport/audit", Cursor: "/var/lib/sallyport/otlp.cursor",
		Sink: &Sink{URL: "http://localhost:4318/v1/logs", Resource: map[string]string{"deployment.environment.name": "production"}}}
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // in a program, when it ends
	if err := x.Run(ctx, true); err != nil && !strings.Contains(err.Error(), "canceled") {
		log.Print(err)
	}
}
