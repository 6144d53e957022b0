package sqlite_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/audit/sqlite"
	"github.com/sallyport-dev/gateway/protocol"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// A world is a journal with a few people at work.
type world struct {
	t   testing.TB
	dir string
	j   *audit.Journal
	at  time.Time
	n   uint64
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), at: noon}
	w.open()
	return w
}

func (w *world) open() {
	w.t.Helper()
	j, err := audit.Open(w.dir, audit.Options{MinFree: 1, SegmentSize: 32 << 10})
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = j.Close() })
	w.j = j
}

func (w *world) session(subject, target string, kind protocol.IdentityKind) *protocol.SessionInfo {
	w.n++
	s := &protocol.SessionInfo{ID: fmt.Sprintf("session-%d", w.n), Protocol: "postgres",
		Identity: &protocol.Identity{Issuer: "https://id.example", Subject: subject, Name: subject + " Doe", Email: subject + "@Example.com", Kind: kind},
		Resource: protocol.Resource{Name: target, Protocol: "postgres"}, Tool: protocol.Tool{Name: "psql", Raw: "psql (15)"}}
	if kind == protocol.Agent {
		s.Identity.OnBehalfOf = &protocol.Identity{Issuer: "https://id.example", Subject: "carol", Kind: protocol.Human}
	}
	return s
}

func (w *world) record(e *protocol.Event) {
	w.t.Helper()
	w.at = w.at.Add(time.Second)
	e.Time = w.at
	_, err := w.j.Record(e, audit.Detail{})
	require.NoError(w.t, err)
}

func (w *world) op(s *protocol.SessionInfo, verb protocol.Verb, text string, access protocol.Access) *protocol.Operation {
	w.n++
	return &protocol.Operation{Session: s, ID: w.n, Verb: verb, Text: text, Access: access}
}

func (w *world) decide(op *protocol.Operation, d protocol.Decision, grants ...protocol.Decision) {
	op.Decide(d, grants)
	w.record(&protocol.Event{Kind: protocol.Decided, Session: op.Session, Op: op, Decision: d})
}

func (w *world) end(op *protocol.Operation, status protocol.Status, rows int64) {
	w.record(&protocol.Event{Kind: protocol.Ended, Session: op.Session, Op: op, Outcome: protocol.Outcome{Status: status, Rows: rows}})
}

var allow = protocol.Decision{Effect: protocol.AllowEffect, By: "authorize", Rule: "readers"}

// story is what the tests ask about.
func (w *world) story() {
	alice, agent := w.session("alice", "orders", protocol.Human), w.session("bot", "billing", protocol.Agent)
	ca, cb := w.op(alice, protocol.Connect, "", protocol.Control), w.op(agent, protocol.Connect, "", protocol.Control)
	w.decide(ca, allow)
	w.decide(cb, allow)

	sel := w.op(alice, "select", "select email from customers where name = 'Lovelace'", protocol.Read)
	sel.Objects = []protocol.Object{{Kind: "table", Name: "public.customers", Access: protocol.Read}}
	sel.Reads = []protocol.ColumnRef{{Schema: "public", Table: "customers", Column: "email"}}
	w.decide(sel, allow)
	w.end(sel, protocol.StatusOK, 3)

	upd := w.op(alice, "update", "update orders set item = 'held' where id = 7", protocol.Write)
	upd.Objects = []protocol.Object{{Kind: "table", Name: "public.orders", Access: protocol.Write}}
	upd.Risk, upd.RiskWhy = 70, []string{"at night"}
	w.record(&protocol.Event{Kind: protocol.Held, Session: alice, Op: upd, Decision: protocol.Decision{Effect: protocol.HoldEffect, Ticket: "7k3d"}})
	w.decide(upd, allow, protocol.Decision{Effect: protocol.AllowEffect, By: "bob", Ticket: "7k3d", Rule: "four eyes", Reason: "ok"})
	w.end(upd, protocol.StatusOK, 1)

	drop := w.op(agent, "drop", "drop table customers", protocol.Schema)
	w.decide(drop, protocol.Decision{Effect: protocol.DenyEffect, By: "block", Rule: "no-drop", Reason: "no"})
	fails := w.op(agent, "select", "select 1/0 -- lovelace", protocol.Read)
	w.decide(fails, allow)
	w.end(fails, protocol.StatusError, 0)
	w.record(&protocol.Event{Kind: protocol.LoginRefused, Login: &protocol.Login{Protocol: "postgres", User: "mallory", Resource: "orders"}, Err: fmt.Errorf("no")})
	w.end(ca, protocol.StatusOK, 0)
	w.end(cb, protocol.StatusOK, 0)
}

func openIndex(t testing.TB, dir string) *sqlite.Index {
	t.Helper()
	x, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "index.sqlite"), dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, x.Close()) })
	return x
}

// found are the verbs of a page, or the kinds of what has none.
func found(t testing.TB, x audit.Index, q audit.Query) []string {
	t.Helper()
	p, err := x.Search(t.Context(), q)
	require.NoError(t, err)
	var out []string
	for _, e := range p.Entries {
		if e.Action == nil {
			out = append(out, string(e.Kind))
			continue
		}
		out = append(out, string(e.Action.Verb))
	}
	return out
}

func TestQuestions(t *testing.T) {
	w := newWorld(t)
	w.story()
	require.NoError(t, w.j.Close())
	x := openIndex(t, w.dir)
	require.NoError(t, x.Update(t.Context()))
	for _, c := range []struct {
		q    audit.Query
		want []string
	}{
		{audit.Query{Who: "alice"}, []string{"update", "select", "connect"}},
		{audit.Query{Who: "ALICE@example.com"}, []string{"update", "select", "connect"}},
		{audit.Query{Who: "alice doe", Verb: "select"}, []string{"select"}},
		{audit.Query{Who: "carol"}, []string{"select", "drop", "connect"}}, // for whom the agent acts
		{audit.Query{Who: "mallory"}, []string{"login.refused"}},
		{audit.Query{Who: "al%"}, nil},
		{audit.Query{Who: "al*", Access: "write"}, []string{"update"}},
		{audit.Query{Target: "billing"}, []string{"select", "drop", "connect"}},
		{audit.Query{Target: "b*", Outcome: "deny"}, []string{"drop"}},
		{audit.Query{Access: "schema"}, []string{"drop"}},
		{audit.Query{Object: "public.orders"}, []string{"update"}},
		{audit.Query{Object: "public.*"}, []string{"update", "select"}},
		{audit.Query{Column: "public.customers.email"}, []string{"select"}},
		{audit.Query{Column: "public.customers.ssn"}, nil},
		{audit.Query{Tool: "psql", MinRisk: 1}, []string{"update"}},
		{audit.Query{MinRisk: 71}, nil},
		{audit.Query{Outcome: "error"}, []string{"select"}},
		{audit.Query{Approval: "7k3d"}, []string{"update"}},
		{audit.Query{Approval: "bob"}, []string{"update"}},
		{audit.Query{Approval: "*"}, []string{"update"}},
		{audit.Query{Rule: "no-drop"}, []string{"drop"}},
		{audit.Query{Text: "lovelace"}, []string{"select", "select"}},
		{audit.Query{Text: "email LOVELACE"}, []string{"select"}},
		{audit.Query{Text: `love"lace OR 1`}, nil},
		{audit.Query{Kind: audit.LoginRefused}, []string{"login.refused"}},
		{audit.Query{Session: "session-1", Who: "alice", Object: "public.customers"}, []string{"select"}},
		{audit.Query{Since: noon.Add(4 * time.Second), Until: noon.Add(6 * time.Second), Who: "alice"}, nil},
		{audit.Query{Limit: 2, Who: "alice"}, []string{"update", "select"}},
		{audit.Query{Who: "' or 1=1 --"}, nil},
	} {
		require.Equal(t, c.want, found(t, x, c.q), "%+v", c.q)
	}

	// An entry says what was decided, who approved and how it ended.
	p, err := x.Search(t.Context(), audit.Query{Object: "public.orders"})
	require.NoError(t, err)
	e := p.Entries[0]
	require.Equal(t, "allow", e.Decision.Effect)
	require.EqualValues(t, "bob", e.Decision.Grants[0].By)
	require.EqualValues(t, 1, e.Result.Rows)
	require.Greater(t, e.End, e.Seq)
	require.NotZero(t, p.Indexed)

	uses, err := x.Uses(t.Context(), noon)
	require.NoError(t, err)
	i := slices.IndexFunc(uses, func(u audit.Use) bool { return u.Subject == "alice" && u.Permission == "write" })
	require.Equal(t, audit.Use{Issuer: "https://id.example", Subject: "alice", Kind: "human", Target: "orders", Permission: "write", Days: 1,
		Count: 1, Approved: 1, Rows: 1, MaxRisk: 70, First: e.Time, Last: e.Time, LastSeq: e.Seq}, uses[i])
	i = slices.IndexFunc(uses, func(u audit.Use) bool { return u.Subject == "bot" && u.Permission == "schema" })
	require.EqualValues(t, 1, uses[i].Denied)

	for _, q := range []audit.Query{{Limit: -1}, {Limit: 5000}, {Kind: "nonsense"}, {Cursor: "x"}, {Text: `""`}} {
		_, err := x.Search(t.Context(), q)
		require.ErrorIs(t, err, audit.ErrQuery)
	}
}

// Pages do not overlap and miss nothing, while more is recorded, and a cursor
// means the same in an index that was made anew.
func TestPages(t *testing.T) {
	w := newWorld(t)
	s := w.session("alice", "orders", protocol.Human)
	w.decide(w.op(s, protocol.Connect, "", protocol.Control), allow)
	for range 50 {
		w.decide(w.op(s, "select", "select 1", protocol.Read), allow)
	}
	require.NoError(t, w.j.Flush(t.Context(), w.j.End()))
	x := openIndex(t, w.dir)
	require.NoError(t, x.Update(t.Context()))
	seen := map[uint64]bool{}
	q := audit.Query{Who: "alice", Verb: "select", Limit: 7}
	for i := 0; ; i++ {
		p, err := x.Search(t.Context(), q)
		require.NoError(t, err)
		for _, e := range p.Entries {
			require.False(t, seen[e.Seq])
			seen[e.Seq] = true
		}
		if q.Cursor = p.Next; p.Next == "" {
			break
		}
		w.decide(w.op(s, "select", "select 2", protocol.Read), allow)
		require.NoError(t, w.j.Flush(t.Context(), w.j.End()))
		if i == 3 {
			x = openIndex(t, w.dir)
		}
		require.NoError(t, x.Update(t.Context()))
	}
	require.Len(t, seen, 50)
}

func TestFollow(t *testing.T) {
	w := newWorld(t)
	x := openIndex(t, w.dir)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- x.Follow(ctx) }()
	w.story()
	require.Eventually(t, func() bool { return len(found(t, x, audit.Query{Who: "alice"})) == 3 }, 20*time.Second, 10*time.Millisecond)
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	// Taken up again where it was left.
	s := w.session("dave", "orders", protocol.Human)
	w.decide(w.op(s, protocol.Connect, "", protocol.Control), allow)
	require.NoError(t, w.j.Close())
	require.NoError(t, x.Update(t.Context()))
	require.Equal(t, []string{"connect"}, found(t, x, audit.Query{Who: "dave"}))
	require.Len(t, found(t, x, audit.Query{Who: "alice"}), 3)
}

// Two processes may bring one file up to date at once.
func TestTwoWriters(t *testing.T) {
	w := newWorld(t)
	for range 20 {
		w.story()
	}
	require.NoError(t, w.j.Close())
	file := filepath.Join(t.TempDir(), "index.sqlite")
	done := make(chan error)
	var xs []*sqlite.Index
	for range 3 {
		x, err := sqlite.Open(t.Context(), file, w.dir)
		require.NoError(t, err)
		defer x.Close()
		xs = append(xs, x)
		go func() { done <- x.Update(t.Context()) }()
	}
	for range xs {
		require.NoError(t, <-done)
	}
	require.Len(t, found(t, xs[0], audit.Query{Who: "alice", Limit: 1000}), 60)
	uses, err := xs[1].Uses(t.Context(), time.Time{})
	require.NoError(t, err)
	for _, u := range uses {
		if u.Subject == "alice" && u.Permission == "write" {
			require.EqualValues(t, 20, u.Count)
			require.EqualValues(t, 20, u.Rows)
		}
	}
}

func TestAnotherJournal(t *testing.T) {
	a, b := newWorld(t), newWorld(t)
	a.story()
	require.NoError(t, a.j.Close())
	s := b.session("eve", "orders", protocol.Human)
	for range 30 {
		b.decide(b.op(s, protocol.Connect, "", protocol.Control), allow)
	}
	require.NoError(t, b.j.Close())
	file := filepath.Join(t.TempDir(), "index.sqlite")
	for dir, who := range map[string]string{a.dir: "alice", b.dir: "eve"} {
		x, err := sqlite.Open(t.Context(), file, dir)
		require.NoError(t, err)
		require.NoError(t, x.Update(t.Context()))
		require.NotEmpty(t, found(t, x, audit.Query{Who: who}))
		other := map[string]string{"alice": "eve", "eve": "alice"}[who]
		require.Empty(t, found(t, x, audit.Query{Who: other}))
		require.NoError(t, x.Close())
	}
	st, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), st.Mode().Perm())
}

// One bad place of the journal does not hide what is behind it.
func TestDamage(t *testing.T) {
	w := newWorld(t)
	for range 30 {
		w.story()
	}
	require.NoError(t, w.j.Close())
	path := filepath.Join(w.dir, "0000000001.journal")
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	b[len(b)/2] ^= 1
	require.NoError(t, os.WriteFile(path, b, 0o600))
	x := openIndex(t, w.dir)
	require.NoError(t, x.Update(t.Context()))
	n := len(found(t, x, audit.Query{Who: "alice", Limit: 1000}))
	require.GreaterOrEqual(t, n, 88)
	require.Less(t, n, 91)
	require.NoError(t, x.Rebuild(t.Context()))
	require.Len(t, found(t, x, audit.Query{Who: "alice", Limit: 1000}), n)
}
