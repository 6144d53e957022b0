package sqlite_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/protocol"
)

var entries = flag.Int("entries", 20_000, "how many operations BenchmarkSearch looks among")

// crowd records n operations of 200 people at 20 targets, of which some write,
// some are approved and some fail: two events for each that can change something.
func crowd(b testing.TB, w *world, n int) {
	r := rand.New(rand.NewPCG(1, 2))
	sessions := make([]*protocol.SessionInfo, 400)
	for i := range sessions {
		sessions[i] = w.session(fmt.Sprint("user", i%200), fmt.Sprint("db", i%20), protocol.Human)
		w.decide(w.op(sessions[i], protocol.Connect, "", protocol.Control), allow)
	}
	for range n {
		table := fmt.Sprintf("public.t%d", r.IntN(300))
		op := w.op(sessions[r.IntN(len(sessions))], "select", fmt.Sprintf("select email, name from %s where id = %d", table, r.IntN(1e6)), protocol.Read)
		if r.IntN(10) == 0 {
			op.Verb, op.Access, op.Risk = "update", protocol.Write, r.IntN(90)
		}
		op.Pure = op.Access == protocol.Read
		op.Objects = []protocol.Object{{Kind: "table", Name: table, Access: op.Access}}
		op.Reads = []protocol.ColumnRef{{Schema: "public", Table: table[7:], Column: "email"}, {Schema: "public", Table: table[7:], Column: "name"}}
		op.Decide(allow, nil)
		e := &protocol.Event{Kind: protocol.Decided, Time: w.at, Session: op.Session, Op: op, Decision: allow}
		if op.Pure {
			require.NoError(b, w.j.Postpone(e, audit.Detail{}))
		} else {
			w.record(e)
		}
		status := protocol.StatusOK
		if r.IntN(50) == 0 {
			status = protocol.StatusError
		}
		w.end(op, status, 1)
	}
	require.NoError(b, w.j.Close())
}

// On a shared machine with 2 cores at load 13, which leaves a tenth of one:
//
//	BenchmarkIndex          540 events/s   0.2 ms of CPU for an event, of which a quarter is reading, on another core
//
// and among 20,000 operations, a page of 100:
//
//	BenchmarkSearch/who              3 ms
//	BenchmarkSearch/object          20 ms
//	BenchmarkSearch/column+who      12 ms
//	BenchmarkSearch/target+write    94 ms
//	BenchmarkSearch/errors          19 ms
//	BenchmarkSearch/risk            13 ms
//	BenchmarkSearch/text            59 ms
//	BenchmarkSearch/pattern        680 ms   two of them, each over all values
//	BenchmarkSearch/nothing          1 ms
//	BenchmarkSearch/uses            41 ms

func BenchmarkIndex(b *testing.B) {
	w := newWorld(b)
	crowd(b, w, 20_000)
	b.ResetTimer()
	n := uint64(0)
	for b.Loop() {
		x := openIndex(b, w.dir)
		require.NoError(b, x.Update(b.Context()))
		p, err := x.Search(b.Context(), audit.Query{Limit: 1})
		require.NoError(b, err)
		n += p.Indexed
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkSearch(b *testing.B) {
	w := newWorld(b)
	crowd(b, w, *entries)
	x := openIndex(b, w.dir)
	require.NoError(b, x.Update(b.Context()))
	for name, q := range map[string]audit.Query{
		"who":          {Who: "user17"},
		"object":       {Object: "public.t42"},
		"column+who":   {Column: "public.t42.email", Who: "user17"},
		"target+write": {Target: "db3", Access: "write"},
		"errors":       {Outcome: "error"},
		"risk":         {MinRisk: 80},
		"text":         {Text: "email t42"},
		"pattern":      {Object: "public.t4*", Who: "user1*"},
		"nothing":      {Who: "nobody", Since: time.Now()},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				_, err := x.Search(b.Context(), q)
				require.NoError(b, err)
			}
		})
	}
	b.Run("uses", func(b *testing.B) {
		for b.Loop() {
			_, err := x.Uses(b.Context(), time.Time{})
			require.NoError(b, err)
		}
	})
}
