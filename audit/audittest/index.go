package audittest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/protocol"
)

// An Index is what [TestIndex] tests.
type Index interface {
	audit.Index
	Update(context.Context) error
	Follow(context.Context) error
	Rebuild(context.Context) error
	Uses(ctx context.Context, since time.Time) ([]audit.Use, error)
	Close() error
}

// An Opener opens the index of the journal in dir. The same name is the same
// index, as a process that is started again, or another beside it, opens it.
type Opener func(t testing.TB, name, dir string) Index

// TestIndex tests an index by what it has to find: all that [audit.Query.Matches]
// says, newest first, in pages, whatever is recorded or fails meanwhile.
func TestIndex(t *testing.T, open Opener) {
	for name, f := range map[string]func(*testing.T, Opener){
		"questions": questions, "uses": uses, "pages": pages, "follow": follow, "interrupted": interrupted, "writers": writers,
		"restored": restored, "damage": damage, "random": random, "large": large,
	} {
		t.Run(name, func(t *testing.T) { f(t, open) })
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal(t testing.TB, got, want any, about ...any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%+v\n got %+v\nwant %+v", about, got, want)
	}
}

// found are the verbs of a page, or the kinds of what has none.
func found(t testing.TB, x audit.Index, q audit.Query) []string {
	t.Helper()
	p, err := x.Search(t.Context(), q)
	must(t, err)
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

func questions(t *testing.T, open Opener) {
	w := NewWorld(t)
	w.Story()
	w.Close()
	x := open(t, "questions", w.Dir)
	must(t, x.Update(t.Context()))
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
		{audit.Query{Who: "*@example.com", Access: "write"}, []string{"update"}},
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
		{audit.Query{Outcome: "hold"}, nil}, // it was decided
		{audit.Query{Kind: audit.ApprovalRequested}, nil},
		{audit.Query{Approval: "7k3d"}, []string{"update"}},
		{audit.Query{Approval: "bob"}, []string{"update"}},
		{audit.Query{Approval: "*"}, []string{"update"}},
		{audit.Query{Rule: "no-drop"}, []string{"drop"}},
		{audit.Query{Text: "lovelace"}, []string{"select", "select"}},
		{audit.Query{Text: "email LOVELACE"}, []string{"select"}},
		{audit.Query{Text: `love"lace OR 1`}, nil},
		{audit.Query{Kind: audit.LoginRefused}, []string{"login.refused"}},
		{audit.Query{Session: "session-1", Who: "alice", Object: "public.customers"}, []string{"select"}},
		{audit.Query{Since: Noon.Add(4 * time.Second), Until: Noon.Add(6 * time.Second), Who: "alice"}, nil},
		{audit.Query{Until: Noon.Add(4 * time.Second)}, []string{"select", "connect", "connect"}},
		{audit.Query{Limit: 2, Who: "alice"}, []string{"update", "select"}},
		{audit.Query{Who: "' or 1=1 --"}, nil},
		{audit.Query{Who: "a\x00b\xff"}, nil},
	} {
		equal(t, found(t, x, c.q)[:], c.want, c.q)
	}

	// An entry says what was decided, who approved and how it ended.
	p, err := x.Search(t.Context(), audit.Query{Object: "public.orders"})
	must(t, err)
	e := p.Entries[0]
	if e.Decision.Effect != "allow" || e.Decision.Grants[0].By != "bob" || e.Result.Rows != 1 || e.End <= e.Seq || p.Indexed == 0 {
		t.Fatalf("%+v", p)
	}
	for _, q := range []audit.Query{{Limit: -1}, {Limit: 5000}, {Kind: "nonsense"}, {Cursor: "x"}, {Cursor: "x:y"}, {Text: `""`}} {
		if _, err := x.Search(t.Context(), q); !errors.Is(err, audit.ErrQuery) {
			t.Fatalf("%+v: %v", q, err)
		}
	}
}

func uses(t *testing.T, open Opener) {
	w := NewWorld(t)
	w.Story()
	w.Close()
	x := open(t, "uses", w.Dir)
	must(t, x.Update(t.Context()))
	list, err := x.Uses(t.Context(), Noon)
	must(t, err)
	i := slices.IndexFunc(list, func(u audit.Use) bool { return u.Subject == "alice" && u.Permission == "write" })
	u := list[i]
	if u.First != u.Last || u.First.IsZero() || u.LastSeq == 0 {
		t.Fatalf("%+v", u)
	}
	u.First, u.Last, u.LastSeq = time.Time{}, time.Time{}, 0
	equal(t, u, audit.Use{Issuer: "https://id.example", Subject: "alice", Kind: "human", Target: "orders", Permission: "write", Days: 1, Count: 1, Approved: 1, Rows: 1, MaxRisk: 70})
	i = slices.IndexFunc(list, func(u audit.Use) bool { return u.Subject == "bot" && u.Permission == "schema" })
	equal(t, list[i].Denied, int64(1))
	list, err = x.Uses(t.Context(), Noon.AddDate(0, 0, 1))
	must(t, err)
	equal(t, len(list), 0)
}

// Pages do not overlap and miss nothing, while more is recorded, and a cursor
// means the same in an index that was made anew.
func pages(t *testing.T, open Opener) {
	w := NewWorld(t)
	s := w.Session("alice", "orders", protocol.Human)
	w.Open(s)
	for range 50 {
		w.Decide(w.Op(s, "select", "select 1", protocol.Read), Allow)
	}
	w.Flush()
	x := open(t, "pages", w.Dir)
	must(t, x.Update(t.Context()))
	seen := map[uint64]bool{}
	q := audit.Query{Who: "alice", Verb: "select", Limit: 7}
	for i := 0; ; i++ {
		p, err := x.Search(t.Context(), q)
		must(t, err)
		for _, e := range p.Entries {
			if seen[e.Seq] {
				t.Fatalf("%d stands on two pages", e.Seq)
			}
			seen[e.Seq] = true
		}
		if q.Cursor = p.Next; p.Next == "" {
			break
		}
		w.Decide(w.Op(s, "select", "select 2", protocol.Read), Allow)
		w.Flush()
		if i == 3 {
			must(t, x.Rebuild(t.Context()))
		}
		must(t, x.Update(t.Context()))
	}
	equal(t, len(seen), 50)
}

func follow(t *testing.T, open Opener) {
	w := NewWorld(t)
	x := open(t, "follow", w.Dir)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- x.Follow(ctx) }()
	w.Story()
	for len(found(t, x, audit.Query{Who: "alice"})) < 3 {
		select {
		case err := <-done:
			t.Fatal(err)
		case <-time.After(10 * time.Millisecond):
		}
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	// Taken up again where it was left.
	w.Open(w.Session("dave", "orders", protocol.Human))
	w.Close()
	must(t, x.Update(t.Context()))
	equal(t, found(t, x, audit.Query{Who: "dave"}), []string{"connect"})
	equal(t, len(found(t, x, audit.Query{Who: "alice"})), 3)
}

// What is open when an index is closed is ended in the next one: a process may be
// killed at any time.
func interrupted(t *testing.T, open Opener) {
	w := NewWorld(t)
	s := w.Session("alice", "orders", protocol.Human)
	connect := w.Open(s)
	upd := w.Op(s, "update", "update a", protocol.Write)
	w.Hold(upd, "t1")
	w.Flush()
	x := open(t, "interrupted", w.Dir)
	must(t, x.Update(t.Context()))
	equal(t, found(t, x, audit.Query{Outcome: "hold"}), []string{"update"})
	must(t, x.Close())
	x = open(t, "interrupted", w.Dir)
	w.Decide(upd, Allow, protocol.Decision{Effect: protocol.AllowEffect, By: "bob", Ticket: "t1"})
	w.Flush()
	must(t, x.Update(t.Context()))
	equal(t, found(t, x, audit.Query{Outcome: "hold"}), []string(nil))
	must(t, x.Close())
	x = open(t, "interrupted", w.Dir)
	w.End(upd, protocol.StatusOK, 5)
	w.End(connect, protocol.StatusOK, 0)
	w.Close()
	must(t, x.Update(t.Context()))
	p, err := x.Search(t.Context(), audit.Query{Approval: "bob", Outcome: "ok"})
	must(t, err)
	if len(p.Entries) != 1 || p.Entries[0].Result.Rows != 5 {
		t.Fatalf("%+v", p)
	}
	equal(t, found(t, x, audit.Query{Outcome: "ok"}), []string{"update", "connect"})
	list, err := x.Uses(t.Context(), Noon)
	must(t, err)
	i := slices.IndexFunc(list, func(u audit.Use) bool { return u.Permission == "write" })
	equal(t, list[i].Rows, int64(5))
}

// Several processes may bring one index up to date at once.
func writers(t *testing.T, open Opener) {
	w := NewWorld(t)
	for range 20 {
		w.Story()
	}
	w.Close()
	done := make(chan error)
	var xs []Index
	for range 3 {
		x := open(t, "writers", w.Dir)
		xs = append(xs, x)
		go func() { done <- x.Update(t.Context()) }()
	}
	for range xs {
		must(t, <-done)
	}
	equal(t, len(found(t, xs[0], audit.Query{Who: "alice", Limit: 1000})), 60)
	list, err := xs[1].Uses(t.Context(), time.Time{})
	must(t, err)
	for _, u := range list {
		if u.Subject == "alice" && u.Permission == "write" && (u.Count != 20 || u.Rows != 20) {
			t.Fatalf("%+v", u)
		}
	}
}

// A journal that was restored from a copy goes on otherwise than it did: the
// index has to be of the one that is there.
func restored(t *testing.T, open Opener) {
	w := NewWorld(t)
	w.Story()
	w.Close()
	copied := filepath.Join(t.TempDir(), "copy")
	must(t, os.CopyFS(copied, os.DirFS(w.Dir)))
	more := func(dir, subject string, n int) {
		j, err := audit.Open(dir, audit.Options{MinFree: 1})
		must(t, err)
		w := &World{Dir: dir, Journal: j, At: Noon.Add(time.Hour), t: t, n: 1000}
		for range n {
			w.Open(w.Session(subject, "orders", protocol.Human))
		}
		w.Close()
	}
	more(w.Dir, "lost", 20)
	x := open(t, "restored", w.Dir)
	must(t, x.Update(t.Context()))
	equal(t, len(found(t, x, audit.Query{Who: "lost"})), 20)
	must(t, x.Close())
	more(copied, "kept", 1)
	must(t, os.RemoveAll(w.Dir))
	must(t, os.Rename(copied, w.Dir))
	x = open(t, "restored", w.Dir)
	must(t, x.Update(t.Context()))
	equal(t, found(t, x, audit.Query{Who: "lost"}), []string(nil))
	equal(t, found(t, x, audit.Query{Who: "kept"}), []string{"connect"})
	equal(t, len(found(t, x, audit.Query{Who: "alice"})), 3)
}

// One bad place of the journal does not hide what is behind it.
func damage(t *testing.T, open Opener) {
	w := NewWorld(t)
	for range 30 {
		w.Story()
	}
	w.Close()
	path := filepath.Join(w.Dir, "0000000001.journal")
	b, err := os.ReadFile(path)
	must(t, err)
	b[len(b)/2] ^= 1
	must(t, os.WriteFile(path, b, 0o600))
	x := open(t, "damage", w.Dir)
	must(t, x.Update(t.Context()))
	n := len(found(t, x, audit.Query{Who: "alice", Limit: 1000}))
	if n < 88 || n > 90 {
		t.Fatalf("%d of 90 are found", n)
	}
	must(t, x.Rebuild(t.Context()))
	equal(t, len(found(t, x, audit.Query{Who: "alice", Limit: 1000})), n)
}
