package audittest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/protocol"
)

// Crowd records n operations of 200 people at 20 targets, of which some write and
// some fail: two events for each that can change something. It is what benchmarks
// look among.
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
		w.Decide(op, Allow)
		w.End(op, status, 1)
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
	for range 3 {
		w.Crowd(19_000)
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
