package audit

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"

	"github.com/sallyport-dev/gateway/protocol"
)

var alice = &protocol.Identity{Issuer: "https://id.example", Subject: "u-17", Name: "Alice Doe", Email: "alice@example.com",
	Kind: protocol.Human, Groups: []string{"oncall", "dba"}, Method: "oidc"}

func sessionInfo(id string) *protocol.SessionInfo {
	return &protocol.SessionInfo{ID: id, Protocol: "postgres", Identity: alice,
		Resource: protocol.Resource{Name: "orders", Protocol: "postgres", Addr: "10.0.0.5:5432", Labels: map[string]string{"env": "prod", "tier": "1"}},
		User:     "app", Database: "orders", Remote: "192.0.2.7:51234", TLS: true,
		Tool: protocol.Tool{Name: "psql", Version: "15.18", Raw: "psql (15.18)", Source: "application_name"}}
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)

// An actor drives a journal as a gateway would.
type actor struct {
	t testing.TB
	j *Journal
	s *protocol.SessionInfo
	n uint64
}

func newActor(t testing.TB, j *Journal, id string) *actor {
	return &actor{t: t, j: j, s: sessionInfo(id)}
}

func (a *actor) op(verb protocol.Verb, text string) *protocol.Operation {
	a.n++
	op := &protocol.Operation{Session: a.s, ID: a.n, Verb: verb, Text: text, Access: protocol.Read}
	if verb == protocol.Connect {
		op.Access = protocol.Control
	}
	return op
}

func (a *actor) record(e *protocol.Event) Position {
	a.t.Helper()
	if e.Op != nil {
		e.Session = e.Op.Session
	}
	p, err := a.j.Record(e, Detail{})
	require.NoError(a.t, err)
	return p
}

func (a *actor) allow(op *protocol.Operation) Position {
	a.t.Helper()
	d := protocol.Decision{Effect: protocol.AllowEffect, By: "policy", Rule: "readers"}
	op.Decide(d, nil)
	return a.record(&protocol.Event{Kind: protocol.Decided, Time: noon, Op: op, Decision: d})
}

func (a *actor) deny(op *protocol.Operation) Position {
	a.t.Helper()
	d := protocol.Decision{Effect: protocol.DenyEffect, By: "policy", Reason: "no"}
	op.Decide(d, nil)
	return a.record(&protocol.Event{Kind: protocol.Decided, Time: noon, Op: op, Decision: d})
}

func (a *actor) end(op *protocol.Operation, st protocol.Status) Position {
	a.t.Helper()
	return a.record(&protocol.Event{Kind: protocol.Ended, Time: noon, Op: op, Outcome: protocol.Outcome{Status: st, Rows: 3}})
}

func (a *actor) connect() *protocol.Operation {
	a.t.Helper()
	op := a.op(protocol.Connect, "")
	a.allow(op)
	return op
}

func openTest(t testing.TB, dir string, o Options) *Journal {
	t.Helper()
	if o.MinFree == 0 {
		o.MinFree = 1
	}
	j, err := Open(dir, o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func events(t testing.TB, dir string) []Event {
	t.Helper()
	var es []Event
	for e, err := range Events(dir) {
		require.NoError(t, err)
		es = append(es, e)
	}
	return es
}

func kindsOf(es []Event) []Kind {
	var ks []Kind
	for _, e := range es {
		ks = append(ks, e.Kind)
	}
	return ks
}

func TestLifeOfASession(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	j := openTest(t, dir, Options{})
	a := newActor(t, j, "s1")
	c := a.connect()
	op := a.op("select", "select 1")
	p := a.allow(op)
	require.NoError(t, j.Flush(t.Context(), p))
	a.end(op, protocol.StatusOK)
	a.deny(a.op("drop table", "drop table t"))
	a.end(c, protocol.StatusOK)
	require.NoError(t, j.Close())

	es := events(t, dir)
	require.Equal(t, []Kind{JournalSegment, JournalOpened, SessionOpened, CommandDecided, CommandCompleted,
		CommandDecided, SessionClosed, JournalClosed}, kindsOf(es))
	for i, e := range es {
		require.EqualValues(t, i, e.Seq)
		if e.Session != "" {
			require.Equal(t, "s1", e.Session)
			require.EqualValues(t, "u-17", e.Identity.Subject)
			require.EqualValues(t, "orders", e.Target.Name)
			require.Equal(t, "claimed", e.Tool.Trust)
		}
	}
	require.Equal(t, es[3].Command, es[4].Command)
	require.EqualValues(t, "select 1", es[3].Action.Text.Text)
	require.Equal(t, "deny", es[5].Decision.Effect)
	require.EqualValues(t, 3, es[4].Result.Rows)

	rep, err := Verify(dir, j.Head())
	require.NoError(t, err)
	require.True(t, rep.Closed)
	require.Equal(t, j.Head(), rep.Head)
	require.EqualValues(t, 2, rep.Kinds[CommandDecided])

	st, err := os.Stat(dir)
	require.NoError(t, err)
	require.EqualValues(t, 0o700, st.Mode().Perm())
	st, err = os.Stat(segmentPath(dir, 1))
	require.NoError(t, err)
	require.EqualValues(t, 0o600, st.Mode().Perm())
}

func TestClosed(t *testing.T) {
	j := openTest(t, t.TempDir(), Options{})
	a := newActor(t, j, "s1")
	require.NoError(t, j.Close())
	require.NoError(t, j.Close())
	_, err := j.Record(&protocol.Event{Kind: protocol.LoginRefused, Login: &protocol.Login{}}, Detail{})
	require.ErrorIs(t, err, ErrClosed)
	require.ErrorIs(t, j.Flush(t.Context(), 0), ErrClosed)
	require.ErrorIs(t, j.Sync(t.Context(), 0), ErrClosed)
	_ = a
}

func TestLocked(t *testing.T) {
	dir := t.TempDir()
	j := openTest(t, dir, Options{})
	_, err := Open(dir, Options{})
	require.ErrorIs(t, err, ErrLocked)
	require.ErrorContains(t, err, dir)
	require.NoError(t, j.Close())
	openTest(t, dir, Options{})
}

func TestLazyFlush(t *testing.T) {
	dir := t.TempDir()
	j := openTest(t, dir, Options{})
	a := newActor(t, j, "s1")
	a.connect()
	require.Eventually(t, func() bool { return len(events(t, dir)) == 3 }, 5*time.Second, 10*time.Millisecond)
}

func TestSegmentsRoll(t *testing.T) {
	dir := t.TempDir()
	j := openTest(t, dir, Options{SegmentSize: 4 << 10})
	first := newActor(t, j, "first")
	first.connect()
	for range 50 {
		a := newActor(t, j, protocol.NewID())
		c := a.connect()
		op := a.op("select", "select 1")
		require.NoError(t, j.Flush(t.Context(), a.allow(op)))
		a.end(op, protocol.StatusOK)
		a.end(c, protocol.StatusOK)
	}
	require.NoError(t, j.Close())
	rep, err := Verify(dir, j.Head())
	require.NoError(t, err)
	require.Greater(t, rep.Segments, 10)
	require.False(t, rep.Closed, "a session was open")

	// The session that began first keeps recovery looking at the first segment.
	for _, e := range events(t, dir) {
		if e.Kind == JournalSegment {
			require.EqualValues(t, 1, e.Journal.OpenSince)
		}
	}
	j = openTest(t, dir, Options{})
	require.NoError(t, j.Close())
	es := events(t, dir)
	require.Equal(t, []Kind{JournalSegment, SessionClosed, JournalOpened, JournalClosed}, kindsOf(es)[len(es)-4:])
	require.Equal(t, "first", es[len(es)-3].Session)
	require.Equal(t, "unknown", es[len(es)-3].Result.Status)
}

func TestManyAtOnce(t *testing.T) {
	dir := t.TempDir()
	j := openTest(t, dir, Options{SegmentSize: 64 << 10})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			a := newActor(t, j, protocol.NewID())
			c := a.connect()
			for i := range 50 {
				op := a.op("update", "update t set a = 1")
				p := a.allow(op)
				if i%5 == 0 {
					if err := j.Sync(context.Background(), p); err != nil {
						t.Error(err)
					}
				} else if err := j.Flush(context.Background(), p); err != nil {
					t.Error(err)
				}
				a.end(op, protocol.StatusOK)
			}
			a.end(c, protocol.StatusOK)
		})
	}
	wg.Wait()
	require.NoError(t, j.Close())
	rep, err := Verify(dir, j.Head())
	require.NoError(t, err)
	require.True(t, rep.Closed)
	require.EqualValues(t, 400, rep.Kinds[CommandDecided])
	require.EqualValues(t, 400, rep.Kinds[CommandCompleted])
	require.EqualValues(t, 8, rep.Kinds[SessionClosed])
}

func TestTooLarge(t *testing.T) {
	dir := t.TempDir()
	j := openTest(t, dir, Options{})
	a := newActor(t, j, "s1")
	a.connect()
	huge := string(make([]byte, 12<<20)) // NUL takes six bytes in JSON
	op := a.op("insert", huge)
	op.Decide(protocol.Decision{Effect: protocol.AllowEffect}, nil)
	_, err := j.Record(&protocol.Event{Kind: protocol.Decided, Session: a.s, Op: op, Decision: op.Decision()}, Detail{})
	require.ErrorIs(t, err, ErrTooLarge)
	op.Decide(protocol.Decision{Effect: protocol.DenyEffect}, nil)
	require.NoError(t, j.Sync(t.Context(), a.record(&protocol.Event{Kind: protocol.Decided, Op: op, Decision: op.Decision()})))
	es := events(t, dir)
	v := es[len(es)-1].Action.Text
	require.True(t, v.Hidden)
	require.Equal(t, len(huge), v.Len)
}

// What a target says of an end is cut; the end is not lost.
func TestGiantEnd(t *testing.T) {
	dir := t.TempDir()
	j := openTest(t, dir, Options{})
	a := newActor(t, j, "s1")
	a.connect()
	op := a.op("insert", "insert into t")
	a.allow(op)
	huge := strings.Repeat("\x00\xff", 40<<20)
	a.record(&protocol.Event{Kind: protocol.Ended, Op: op, Outcome: protocol.Outcome{Status: protocol.StatusError, Tag: huge, Code: huge, Err: errors.New(huge)}})
	require.NoError(t, j.Sync(t.Context(), j.End()))
	es := events(t, dir)
	r := es[len(es)-1].Result
	require.Equal(t, "error", r.Status)
	require.Contains(t, string(r.Error), "[cut: it had 83886080 bytes]")
	require.Less(t, len(r.Tag), 70<<10)
}

// A clock that goes back changes neither order nor proof.
func TestClockGoesBack(t *testing.T) {
	dir := t.TempDir()
	key, public := newTestKey(t)
	j := openTest(t, dir, Options{Key: key, SegmentSize: 4 << 10, SegmentAge: time.Hour})
	a := newActor(t, j, "s1")
	a.connect()
	for i := range 100 {
		op := a.op("update", "update t")
		op.Decide(protocol.Allow("x"), nil)
		a.record(&protocol.Event{Kind: protocol.Decided, Op: op, Time: noon.Add(-time.Duration(i) * 24 * 365 * time.Hour), Decision: protocol.Allow("x")})
	}
	require.NoError(t, j.Close())
	rep, err := Trust{Keys: []note.Verifier{public}}.Verify(t.Context(), dir)
	require.NoError(t, err)
	require.EqualValues(t, 100, rep.Kinds[CommandDecided])
	last := uint64(0)
	for _, e := range events(t, dir) {
		require.True(t, e.Seq == 0 || e.Seq == last+1)
		last = e.Seq
	}
	require.NoError(t, openTest(t, dir, Options{Key: key}).Close())
}

func TestBackPressure(t *testing.T) {
	dir := t.TempDir()
	j := openTest(t, dir, Options{})
	a := newActor(t, j, "s1")
	a.connect()
	text := string(make([]byte, 100<<10))
	for range 50 {
		a.allow(a.op("insert", text))
		j.mu.Lock()
		require.LessOrEqual(t, len(j.buf), maxPending+1<<20)
		j.mu.Unlock()
	}
	require.NoError(t, j.Flush(t.Context(), j.End()))
	require.Len(t, events(t, dir), 53)
}

func TestSet(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "j")
	var set Set
	a, closeA, err := set.Open(dir, Options{})
	require.NoError(t, err)
	b, closeB, err := set.Open(dir+"/../j", Options{})
	require.NoError(t, err)
	require.Same(t, a, b)
	_, _, err = set.Open(dir, Options{SegmentSize: 1})
	require.ErrorContains(t, err, "other settings")
	require.NoError(t, closeA())
	require.NoError(t, closeA())
	_, err = a.Record(&protocol.Event{Kind: protocol.LoginRefused, Login: &protocol.Login{}}, Detail{})
	require.NoError(t, err, "b is still in use")
	require.NoError(t, closeB())
	_, err = a.Record(&protocol.Event{Kind: protocol.LoginRefused, Login: &protocol.Login{}}, Detail{})
	require.ErrorIs(t, err, ErrClosed)
	c, closeC, err := set.Open(dir, Options{})
	require.NoError(t, err)
	require.NotSame(t, a, c)
	require.NoError(t, closeC())
}

func TestSegmentsByAge(t *testing.T) {
	dir := t.TempDir()
	j := openTest(t, dir, Options{SegmentAge: time.Hour})
	a := newActor(t, j, "s1")
	c := a.connect()
	older := func(by time.Duration) {
		j.mu.Lock()
		j.began = j.began.Add(-by)
		j.mu.Unlock()
	}
	older(30 * time.Minute)
	a.allow(a.op("select", "1"))
	older(31 * time.Minute)
	a.allow(a.op("select", "2"))
	a.allow(a.op("select", "3"))
	a.end(c, protocol.StatusOK)
	require.NoError(t, j.Close())
	rep, err := Verify(dir, j.Head())
	require.NoError(t, err)
	require.Equal(t, 2, rep.Segments)
	var segment []uint64
	for _, e := range events(t, dir) {
		if e.Kind == JournalSegment {
			segment = append(segment, e.Seq)
		}
	}
	require.Equal(t, []uint64{0, 4}, segment)
}
