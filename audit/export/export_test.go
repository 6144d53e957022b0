package export

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/protocol"
)

var update = flag.Bool("update", false, "write the golden files anew")

var noon = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// filled makes a closed journal of n denied statements, and more.
func filled(t testing.TB, dir string, n int) {
	t.Helper()
	j, err := audit.Open(dir, audit.Options{MinFree: 1, SegmentSize: 16 << 10})
	require.NoError(t, err)
	s := &protocol.SessionInfo{ID: "s1", Identity: &protocol.Identity{Issuer: "i", Subject: "alice"}, Resource: protocol.Resource{Name: "orders", Protocol: "postgres"}}
	for i := range n {
		op := &protocol.Operation{Session: s, ID: uint64(i + 1), Verb: "update", Text: fmt.Sprintf("update t set secret = 'hunter%d'", i), Access: protocol.Write}
		_, err := j.Record(&protocol.Event{Kind: protocol.Decided, Time: noon, Session: s, Op: op, Decision: protocol.Deny("no")}, audit.Detail{})
		require.NoError(t, err)
	}
	require.NoError(t, j.Close())
}

// A moody sink fails as often as it is told, and keeps what it took.
type moody struct {
	mu    sync.Mutex
	got   []audit.Event
	fails int
	err   error
	tries int
}

func (s *moody) Send(_ context.Context, _ string, events []audit.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tries++
	if s.fails > 0 {
		s.fails--
		s.got = append(s.got, events[:len(events)/2]...) // some got through
		return s.err
	}
	s.got = append(s.got, events...)
	return nil
}

func seqs(events []audit.Event) map[uint64]int {
	n := map[uint64]int{}
	for _, e := range events {
		n[e.Seq]++
	}
	return n
}

func TestEverythingArrives(t *testing.T) {
	dir, cursor := t.TempDir(), filepath.Join(t.TempDir(), "cursor")
	filled(t, dir, 250)
	all := 0
	for _, err := range audit.Events(dir) {
		require.NoError(t, err)
		all++
	}
	s := &moody{fails: 5, err: errors.New("dead")}
	var pauses []time.Duration
	sent := uint64(0)
	x := &Exporter{Dir: dir, Sink: s, Cursor: cursor, Every: time.Hour, Logger: quiet, Progress: func(next uint64) { sent = next }, wait: func(_ context.Context, d time.Duration) error { pauses = append(pauses, d); return nil }}
	require.NoError(t, x.Run(t.Context(), false))
	n := seqs(s.got)
	require.Len(t, n, all)
	require.EqualValues(t, all, sent)
	require.Len(t, pauses, 5)
	require.Greater(t, pauses[4], pauses[0], "a sink that is dead is not hurried")

	// A second run sends nothing again; a run that died before its cursor was
	// written sends some twice and none never.
	before := len(s.got)
	require.NoError(t, (&Exporter{Dir: dir, Sink: s, Cursor: cursor, Logger: quiet}).Run(t.Context(), false))
	require.Len(t, s.got, before)
	filled(t, dir, 10)
	require.NoError(t, (&Exporter{Dir: dir, Sink: s, Cursor: cursor, Logger: quiet}).Run(t.Context(), false))
	n = seqs(s.got)
	for e, err := range audit.Events(dir) {
		require.NoError(t, err)
		require.Contains(t, n, e.Seq)
	}

	// Statements stay here unless somebody asks for them.
	b, err := json.Marshal(s.got)
	require.NoError(t, err)
	require.NotContains(t, string(b), "hunter")
	texts := &moody{}
	require.NoError(t, (&Exporter{Dir: dir, Sink: texts, Cursor: cursor + "2", Texts: true, Logger: quiet}).Run(t.Context(), false))
	b, err = json.Marshal(texts.got)
	require.NoError(t, err)
	require.Contains(t, string(b), "hunter249")
}

// A dead sink holds neither memory nor anybody: no more than two batches are
// read ahead, and the end of the context ends the run.
func TestDeadSink(t *testing.T) {
	dir := t.TempDir()
	filled(t, dir, 100)
	ctx, cancel := context.WithCancel(t.Context())
	dead := &moody{fails: 1 << 30, err: errors.New("dead")}
	x := &Exporter{Dir: dir, Sink: dead, Cursor: filepath.Join(t.TempDir(), "cursor"), Batch: 10, Logger: quiet}
	x.wait = func(ctx context.Context, _ time.Duration) error {
		if dead.tries == 50 {
			cancel()
		}
		return ctx.Err()
	}
	require.ErrorIs(t, x.Run(ctx, true), context.Canceled)
	require.Equal(t, 50, dead.tries)
	for seq := range seqs(dead.got) {
		require.Less(t, seq, uint64(10), "it is always the first batch that is tried")
	}
	require.NoFileExists(t, x.Cursor)
}

// A pipe, such as the standard output often is, cannot be synced.
func TestLinesIntoAPipe(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	require.NoError(t, Lines(w, JSON).Send(t.Context(), "o", golden()))
	require.NoError(t, w.Close())
	b, err := io.ReadAll(r)
	require.NoError(t, err)
	require.Equal(t, len(golden()), bytes.Count(b, []byte("\n")))
}

func TestForeignCursor(t *testing.T) {
	a, b, cursor := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "cursor")
	filled(t, a, 3)
	filled(t, b, 3)
	require.NoError(t, (&Exporter{Dir: a, Sink: &moody{}, Cursor: cursor, Logger: quiet}).Run(t.Context(), false))
	require.ErrorContains(t, (&Exporter{Dir: b, Sink: &moody{}, Cursor: cursor, Logger: quiet}).Run(t.Context(), false), "cursor")
}

func TestDamageIsSkipped(t *testing.T) {
	dir := t.TempDir()
	filled(t, dir, 200)
	path := filepath.Join(dir, "0000000002.journal")
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	b[len(b)/2] ^= 1
	require.NoError(t, os.WriteFile(path, b, 0o600))
	s := &moody{}
	require.NoError(t, (&Exporter{Dir: dir, Sink: s, Cursor: filepath.Join(t.TempDir(), "c"), Every: time.Hour, Logger: quiet}).Run(t.Context(), false))
	require.GreaterOrEqual(t, len(seqs(s.got)), 200)
}

func TestWebhook(t *testing.T) {
	dir := t.TempDir()
	filled(t, dir, 5)
	secret := protocol.NewSecret("whsec-test")
	var mu sync.Mutex
	status, ids, got := http.StatusOK, []string{}, []cloudEvent{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		body, _ := io.ReadAll(r.Body)
		h := hmac.New(sha256.New, []byte("whsec-test")) // as a receiver would, by itself
		h.Write([]byte(r.Header.Get("webhook-id") + "." + r.Header.Get("webhook-timestamp") + "." + string(body)))
		if want := "v1," + base64.StdEncoding.EncodeToString(h.Sum(nil)); r.Header.Get("webhook-signature") != want {
			t.Errorf("signed %s, want %s", r.Header.Get("webhook-signature"), want)
		}
		stamp, err := strconv.ParseInt(r.Header.Get("webhook-timestamp"), 10, 64)
		require.NoError(t, err)
		require.Equal(t, noon.Unix(), stamp)
		ids = append(ids, r.Header.Get("webhook-id"))
		var batch []cloudEvent
		require.NoError(t, json.Unmarshal(body, &batch))
		if status == http.StatusOK {
			got = append(got, batch...)
		}
		w.WriteHeader(status)
		if status != http.StatusOK {
			status = http.StatusOK
		}
	}))
	defer srv.Close()
	hook := &Webhook{URL: srv.URL, Secret: secret, now: func() time.Time { return noon }}
	status = http.StatusServiceUnavailable
	x := &Exporter{Dir: dir, Sink: hook, Cursor: filepath.Join(t.TempDir(), "c"), Every: time.Hour, Logger: quiet, wait: func(context.Context, time.Duration) error { return nil }}
	require.NoError(t, x.Run(t.Context(), false))
	require.Len(t, got, 8)
	require.Equal(t, "dev.sallyport.audit.audit.segment.v1", got[0].Type)
	require.Equal(t, "1.0", got[3].SpecVersion)
	require.GreaterOrEqual(t, len(ids), 2)
	require.Equal(t, ids[0], ids[1], "sent again, it has the same id")

	var rejected *RejectedError
	mu.Lock()
	status = http.StatusUnprocessableEntity
	mu.Unlock()
	require.ErrorAs(t, hook.Send(t.Context(), "o", []audit.Event{{Seq: 1, Time: noon}}), &rejected)
	require.ErrorContains(t, (&Webhook{URL: srv.URL}).Send(t.Context(), "o", []audit.Event{{}}), "no secret")
}

// A syslogServer reads what rsyslog and others read, octet counts, and closes a
// connection when it has read it to its end.
type syslogServer struct {
	net.Listener
	got chan string
	// dies reads a connection itself, and reports whether it did.
	dies func(net.Conn) bool
}

func newSyslogServer(t *testing.T) *syslogServer {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return &syslogServer{l, make(chan string, 1000), nil}
}

func (s *syslogServer) serve() {
	for {
		c, err := s.Accept()
		if err != nil {
			return
		}
		if s.dies != nil && s.dies(c) {
			continue
		}
		r := bufio.NewReader(c)
		for {
			size, err := r.ReadString(' ')
			if err != nil {
				break
			}
			n, err := strconv.Atoi(strings.TrimSpace(size))
			if err != nil || n > 1<<20 {
				break
			}
			b := make([]byte, n)
			if _, err := io.ReadFull(r, b); err != nil {
				break
			}
			s.got <- string(b)
		}
		_ = c.Close()
	}
}

func TestSyslog(t *testing.T) {
	dir := t.TempDir()
	filled(t, dir, 5)
	l := newSyslogServer(t)
	go l.serve()
	x := &Exporter{Dir: dir, Sink: &Syslog{Addr: l.Addr().String(), Host: "gw 1"}, Cursor: filepath.Join(t.TempDir(), "c"), Logger: quiet}
	require.NoError(t, x.Run(t.Context(), false))
	for range 2 {
		<-l.got
	}
	m := <-l.got
	require.Regexp(t, `^<109>1 2026-03-01T12:00:00\.123456Z gw-1 sallyport - command\.decided \[meta sequenceId="3"\] CEF:0\|Sallyport\|gateway\|1\|command\.decided\|command\.decided update\|5\|externalId=[^:]+:2 rt=1772366400123 `, m)
	require.NotContains(t, m, "hunter")
}

// What a server had in its buffers when it died is sent again, however it died.
func TestSyslogServerThatDies(t *testing.T) {
	dir := t.TempDir()
	filled(t, dir, 5)
	for name, die := range map[string]func(net.Conn){
		"before it has read": func(c net.Conn) { _ = c.Close() },
		"in the middle":      func(c net.Conn) { _, _ = io.ReadFull(c, make([]byte, 100)); _ = c.Close() },
		"without a word": func(c net.Conn) {
			_, _ = io.ReadFull(c, make([]byte, 100))
			_ = c.(*net.TCPConn).SetLinger(0)
			_ = c.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newSyslogServer(t)
			deaths := 0
			l.dies = func(c net.Conn) bool {
				if deaths++; deaths > 2 {
					return false
				}
				die(c)
				return true
			}
			go l.serve()
			x := &Exporter{Dir: dir, Sink: &Syslog{Addr: l.Addr().String()}, Cursor: filepath.Join(t.TempDir(), "c"), Logger: quiet,
				wait: func(context.Context, time.Duration) error { return nil }}
			require.NoError(t, x.Run(t.Context(), false))
			_ = l.Close()
			seen := map[string]bool{}
			for len(l.got) > 0 {
				seen[regexp.MustCompile(`externalId=\S+`).FindString(<-l.got)] = true
			}
			require.Len(t, seen, count(t, dir))
		})
	}
}

// golden are events of all kinds that go through every format.
func golden() []audit.Event {
	id := &audit.Identity{Issuer: "https://id.example", Subject: "u-17", Name: "Alice|=\\ Doe", Email: "alice@example.com", Kind: "human", Groups: []audit.Text{"dba"}}
	agent := &audit.Identity{Issuer: "https://id.example", Subject: "bot", Kind: "agent", OnBehalfOf: id}
	pg := &audit.Target{Name: "orders", Protocol: "postgres", Addr: "10.0.0.5:5432"}
	tool := &audit.Tool{Name: "psql", Version: "15", Trust: "claimed"}
	action := func(verb string, access ...string) *audit.Action {
		return &audit.Action{Verb: audit.Text(verb), Access: access, Fingerprint: "02a2", Text: &audit.Value{Text: audit.Text(verb + "\nfrom t where a = 'b=c'")},
			Objects: []audit.Object{{Kind: "table", Name: "public.t", Access: access}}, Risk: 70, RiskWhy: []audit.Text{"at night"}}
	}
	return []audit.Event{
		{V: 1, Seq: 0, Time: noon, Kind: audit.JournalSegment, Journal: &audit.About{Origin: "o", Segment: 1}},
		{V: 1, Seq: 1, Time: noon, Kind: audit.SessionOpened, Session: "s1", Command: 1, Identity: id, Target: pg, Remote: "192.0.2.7:51234", Tool: tool,
			Action: &audit.Action{Verb: "connect", Access: []string{"control"}}, Decision: &audit.Decision{Effect: "allow", By: "authorize", Rule: "r"}},
		{V: 1, Seq: 2, Time: noon, Kind: audit.LoginRefused, User: "mallory", Target: pg, Remote: "[2001:db8::1]:99", Decision: &audit.Decision{Effect: "deny", Reason: "no"}},
		{V: 1, Seq: 3, Time: noon, Kind: audit.CommandDecided, Session: "s1", Command: 2, Identity: id, Target: pg, Tool: tool, Action: action("delete", "write"),
			Decision: &audit.Decision{Effect: "allow", By: "approve", Ticket: "7k3d", Grants: []audit.Grant{{By: "bob", Ticket: "7k3d"}}}},
		{V: 1, Seq: 4, Time: noon, Kind: audit.CommandCompleted, Session: "s1", Command: 2, Identity: id, Target: pg, Tool: tool,
			Action: &audit.Action{Verb: "delete", Access: []string{"write"}}, Result: &audit.Result{Status: "error", Code: "23503", Duration: 12345, Error: "row (4711) is referenced"}},
		{V: 1, Seq: 5, Time: noon, Kind: audit.CommandCompleted, Session: "s1", Command: 3, Identity: agent, Target: pg, Action: action("select", "read"),
			Decision: &audit.Decision{Effect: "allow"}, Result: &audit.Result{Status: "ok", Rows: 3, Bytes: 99, Masked: []audit.Text{"email"}}},
		{V: 1, Seq: 6, Time: noon, Kind: audit.CommandDecided, Session: "s2", Command: 4, Identity: id, Target: &audit.Target{Name: "wiki", Protocol: "http"}, Action: action("POST", "write"),
			Decision: &audit.Decision{Effect: "deny", By: "block", Rule: "no", Reason: "never"}},
		{V: 1, Seq: 7, Time: noon, Kind: audit.CommandDecided, Session: "s3", Command: 4, Identity: id, Target: &audit.Target{Name: "web1", Protocol: "ssh"}, Action: action("exec", "read", "write"),
			Decision: &audit.Decision{Effect: "allow"}},
		{V: 1, Seq: 8, Time: noon, Kind: audit.ApprovalRequested, Session: "s1", Command: 5, Identity: id, Target: pg, Action: action("drop", "schema"), Decision: &audit.Decision{Effect: "hold", Ticket: "9x"}},
		{V: 1, Seq: 9, Time: noon, Kind: audit.CommandUnknown, Session: "s1", Command: 6, Identity: id, Target: pg, Result: &audit.Result{Status: "unknown"}},
		{V: 1, Seq: 10, Time: noon, Kind: audit.JournalGap, Journal: &audit.About{Segment: 3, Skipped: 99, What: "unreadable bytes"}},
		{V: 1, Seq: 11, Time: noon, Kind: audit.JournalRead, Identity: id, Remote: "192.0.2.9:1", Journal: &audit.About{What: "who=bob"}},
		{V: 1, Seq: 12, Time: noon, Kind: audit.SessionClosed, Session: "s1", Command: 1, Identity: id, Target: pg, Result: &audit.Result{Status: "ok"}},
		{V: 1, Seq: 13, Time: noon, Kind: audit.CommandDecided, Session: "s4", Command: 1, Identity: id, Target: &audit.Target{Name: "k", Protocol: "other"}, Action: action("thing", "write"),
			Decision: &audit.Decision{Effect: "allow"}},
	}
}

func TestGolden(t *testing.T) {
	for name, format := range map[string]Format{"ocsf.ndjson": OCSF, "cef.txt": CEF} {
		var b bytes.Buffer
		require.NoError(t, Lines(&b, format).Send(t.Context(), "origin", golden()))
		path := filepath.Join("testdata", name)
		if *update {
			require.NoError(t, os.MkdirAll("testdata", 0o755))
			require.NoError(t, os.WriteFile(path, b.Bytes(), 0o644))
		}
		want, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, string(want), b.String())
		require.Equal(t, len(golden()), bytes.Count(b.Bytes(), []byte("\n")), "a line each, whatever is in them")
	}
}
