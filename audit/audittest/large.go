package audittest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/protocol"
)

// A Crowded is a closed journal of a crowd.
type Crowded struct {
	Dir   string // of the journal
	Index string // where an index of it can be kept
	Until time.Time
}

// NewCrowded returns the journal of a crowd's n operations. With a folder, it is
// made there, and left for the next run.
func NewCrowded(t testing.TB, folder string, n int) Crowded {
	t.Helper()
	if folder == "" {
		folder = t.TempDir()
	}
	c := Crowded{Dir: filepath.Join(folder, fmt.Sprint("journal-", n)), Index: filepath.Join(folder, fmt.Sprint("index-", n))}
	done := filepath.Join(folder, fmt.Sprint("until-", n)) // written last
	if b, err := os.ReadFile(done); err == nil {
		must(t, c.Until.UnmarshalText(b))
		return c
	}
	for _, left := range []string{c.Dir, c.Index} {
		must(t, os.RemoveAll(left))
	}
	must(t, os.MkdirAll(c.Dir, 0o700))
	w := newWorld(t, c.Dir, audit.Options{MinFree: 1})
	w.Crowd(n)
	w.Close()
	c.Until = w.At
	b, err := c.Until.MarshalText()
	must(t, err)
	must(t, os.WriteFile(done, b, 0o600))
	return c
}

// Crowd records n operations of 200 people at 20 targets, of which some write,
// some are approved and some fail: two events for each that can change something.
// It is what benchmarks look among.
func (w *World) Crowd(n int) {
	w.t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	sessions := make([]*protocol.SessionInfo, 400)
	for i := range sessions {
		sessions[i] = w.Session(fmt.Sprint("user", i%200), fmt.Sprint("db", i%20), protocol.Human)
		w.Open(sessions[i])
	}
	for range n {
		table := fmt.Sprintf("t%d", r.IntN(300))
		op := w.Op(sessions[r.IntN(len(sessions))], "select", fmt.Sprintf("select email, name from %s where id = %d", table, r.IntN(1e6)), protocol.Read)
		status := protocol.StatusOK
		if r.IntN(50) == 0 {
			status = protocol.StatusError
		}
		if r.IntN(10) == 0 {
			op.Verb, op.Access, op.Risk = "update", protocol.Write, r.IntN(90)
		}
		op.Objects = []protocol.Object{{Kind: "table", Name: "public." + table, Access: op.Access}}
		op.Reads = []protocol.ColumnRef{{Schema: "public", Table: table, Column: "email"}, {Schema: "public", Table: table, Column: "name"}}
		if op.Access == protocol.Read {
			w.Pure(op, status, 1)
			continue
		}
		if op.Risk >= 80 {
			w.Hold(op, fmt.Sprint("ticket", op.ID))
			w.Decide(op, Allow, protocol.Decision{Effect: protocol.AllowEffect, By: fmt.Sprint("user", r.IntN(9)), Ticket: fmt.Sprint("ticket", op.ID), Rule: "four eyes"})
		} else {
			w.Decide(op, Allow)
		}
		w.End(op, status, 1)
	}
}

// Live records at so many events a second until the time is up, and calls f with how
// many events there are whenever some were added.
func (w *World) Live(rate int, d time.Duration, f func(events uint64)) {
	w.t.Helper()
	s := w.Session("live", "orders", protocol.Human)
	w.Open(s)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	begin := time.Now()
	for sent := 0; time.Since(begin) < d; <-tick.C {
		for due := int(float64(rate) * time.Since(begin).Seconds()); sent < due; sent++ {
			op := w.Op(s, "select", fmt.Sprintf("select email, name from t%d where id = %d", sent%300, sent), protocol.Read)
			op.Objects = []protocol.Object{{Kind: "table", Name: fmt.Sprintf("public.t%d", sent%300), Access: op.Access}}
			w.Pure(op, protocol.StatusOK, 1)
		}
		f(uint64(w.Journal.End()))
	}
}

// What is found in a journal that is large is what is found in a small one, also
// of an operation that takes as long as all others together.
func large(t *testing.T, open Opener) {
	if testing.Short() {
		t.Skip("it takes a while")
	}
	w := NewLargeWorld(t)
	s := w.Session("slow", "orders", protocol.Human)
	w.Open(s)
	held, runs := w.Op(s, "drop", "drop table one", protocol.Schema), w.Op(s, "update", "update two", protocol.Write)
	w.Hold(held, "t1")
	w.Decide(runs, Allow)
	var x Index
	crowd := 19_000
	if slow {
		crowd = 7_000 // still more than one bucket of the index
	}
	for range 3 {
		w.Crowd(crowd)
		w.Flush()
		x = open(t, "large", w.Dir)
		must(t, x.Update(t.Context()))
		equal(t, found(t, x, audit.Query{Outcome: "hold"}), []string{"drop"})
		must(t, x.Close())
	}
	x = open(t, "large", w.Dir)
	w.Decide(held, protocol.Decision{Effect: protocol.DenyEffect, By: "bob", Reason: "no"})
	w.End(runs, protocol.StatusUnknown, 9)
	w.Close()
	must(t, x.Update(t.Context()))
	third := w.At.Sub(Noon) / 3
	list, opened := entries(t, w.Dir)
	for _, q := range []audit.Query{
		{Outcome: "deny"}, {Outcome: "hold"}, {Outcome: "unknown"}, {Who: "slow"}, {Who: "slow", Since: w.At.Add(-time.Hour)}, {Who: "user17", Target: "db17"},
		{Object: "public.t4*", Access: "write", Outcome: "error"}, {MinRisk: 88}, {Text: "t42 email", Who: "user1*"},
		{Since: Noon.Add(third), Until: Noon.Add(third + 10*time.Minute)}, {Until: Noon.Add(time.Minute)}, {Kind: audit.SessionOpened, Target: "db3"},
	} {
		var want, got []uint64
		for _, e := range slices.Backward(list) {
			if q.Matches(e, opened[e.Session]) {
				want = append(want, e.Seq)
			}
		}
		for q.Limit = audit.MaxPage; ; {
			p, err := x.Search(t.Context(), q)
			must(t, err)
			for _, e := range p.Entries {
				got = append(got, e.Seq)
			}
			if q.Cursor = p.Next; p.Next == "" {
				break
			}
		}
		equal(t, got, want, q.String())
	}
}
