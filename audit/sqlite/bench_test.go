package sqlite_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/audit/audittest"
)

// With -entries 10000000, the benchmarks are of a large installation. Its journal
// takes some 7 GB and its index 1 GB, which -folder keeps for the next run.
var (
	entries = flag.Int("entries", 20_000, "how many operations the benchmarks index and look among")
	folder  = flag.String("folder", "", "where the benchmarks keep their journal and its index; by default nowhere")
	live    = flag.Duration("live", 2*time.Second, "how long BenchmarkLag records for")
)

// 10,000,000 operations on a quiet shared machine with 2 cores, pages of 100:
//
//	BenchmarkSearch/who              33 ms
//	BenchmarkSearch/object           25 ms
//	BenchmarkSearch/column+who      143 ms
//	BenchmarkSearch/target+verb      36 ms
//	BenchmarkSearch/target+write     32 ms   100 entries, each in a block of its own
//	BenchmarkSearch/errors           16 ms
//	BenchmarkSearch/held             64 ms
//	BenchmarkSearch/requests         57 ms
//	BenchmarkSearch/approved         39 ms
//	BenchmarkSearch/ticket          220 ms   a wide pattern, 7 entries
//	BenchmarkSearch/denied           17 ms
//	BenchmarkSearch/risk             37 ms
//	BenchmarkSearch/text             24 ms
//	BenchmarkSearch/rare-text        78 ms
//	BenchmarkSearch/frequent          6 ms
//	BenchmarkSearch/pattern          23 ms
//	BenchmarkSearch/time            213 ms
//	BenchmarkSearch/long-ago          5 ms
//	BenchmarkSearch/last              5 ms
//	BenchmarkSearch/deep-who         24 ms
//	BenchmarkSearch/deep-all        140 ms
//	BenchmarkSearch/thousand        237 ms   a page of 1,000
//	BenchmarkSearch/apart            25 ms
//	BenchmarkSearch/nothing         145 ms
//	BenchmarkSearch/nobody          0.1 ms
//	BenchmarkSearch/uses            193 ms
//
// BenchmarkIndex at load 13, at the lowest priority: 14,400 events/s with 50,000
// operations, 6,600 with 300,000 at another hour; the index above took about nine
// minutes beside other work.
//
// Most of a page is to decompress and to parse what it shows.

func BenchmarkIndex(b *testing.B) {
	w := audittest.NewCrowded(b, *folder, *entries)
	n := uint64(0)
	for i := 0; b.Loop(); i++ {
		x := openIndex(b, filepath.Join(b.TempDir(), fmt.Sprint(i)), w.Dir)
		require.NoError(b, x.Update(b.Context()))
		p, err := x.Search(b.Context(), audit.Query{Limit: 1})
		require.NoError(b, err)
		n += p.Indexed
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkLag says how old the newest event that can be found is, while 5000 are
// recorded each second behind those of the crowd.
func BenchmarkLag(b *testing.B) {
	for b.Loop() {
		w := audittest.NewLargeWorld(b)
		w.Crowd(min(*entries, 100_000))
		w.Flush()
		x := openIndex(b, filepath.Join(b.TempDir(), "index"), w.Dir)
		require.NoError(b, x.Update(b.Context()))
		type moment struct {
			events uint64
			at     time.Time
		}
		moments := make(chan moment, 1<<20)
		ctx, cancel := context.WithCancel(b.Context())
		var tasks sync.WaitGroup
		tasks.Go(func() { _ = x.Follow(ctx) }) // ends with ctx
		var lags []time.Duration
		tasks.Go(func() {
			var indexed uint64
			for m := range moments {
				for indexed < m.events {
					p, err := x.Search(ctx, audit.Query{Limit: 1})
					if err != nil {
						b.Error(err)
						return
					}
					if indexed = p.Indexed; indexed < m.events {
						time.Sleep(5 * time.Millisecond)
					}
				}
				lags = append(lags, time.Since(m.at))
			}
			cancel()
		})
		w.Live(5000, *live, func(events uint64) { moments <- moment{events, time.Now()} })
		close(moments)
		tasks.Wait()
		slices.Sort(lags)
		b.ReportMetric(lags[len(lags)/2].Seconds(), "median-s")
		b.ReportMetric(lags[len(lags)-1].Seconds(), "max-s")
	}
}

type question struct {
	name string
	q    audit.Query
}

// questions are frequent and rare, new and long ago, of a crowd that was at work
// until then.
func questions(until time.Time) []question {
	third := until.Sub(audittest.Noon) / 3
	at := audittest.Noon.Add(third)
	deep := fmt.Sprint(*entries / 2)
	return []question{
		{"who", audit.Query{Who: "user17"}},
		{"object", audit.Query{Object: "public.t42"}},
		{"column+who", audit.Query{Column: "public.t42.email", Who: "user17"}},
		{"target+verb", audit.Query{Target: "db3", Verb: "update"}},
		{"target+write", audit.Query{Target: "db3", Access: "write"}},
		{"errors", audit.Query{Outcome: "error"}},
		{"held", audit.Query{Outcome: "hold"}}, // all were decided about
		{"requests", audit.Query{Kind: audit.ApprovalRequested}},
		{"approved", audit.Query{Approval: "*"}},
		{"ticket", audit.Query{Approval: "ticket77*", Who: "user3"}},
		{"denied", audit.Query{Outcome: "deny", Target: "db3"}},
		{"risk", audit.Query{MinRisk: 80}},
		{"text", audit.Query{Text: "email t42"}},
		{"rare-text", audit.Query{Text: "email 123456"}},
		{"frequent", audit.Query{Text: "select email name from where id", Access: "read", Tool: "psql", Outcome: "ok"}},
		{"pattern", audit.Query{Object: "public.t4*", Who: "user1*"}},
		{"wide-pattern", audit.Query{Object: "public.*", Column: "*.email", Who: "nobody*"}},
		{"time", audit.Query{Since: at, Until: at.Add(time.Hour), Outcome: "error"}},
		{"long-ago", audit.Query{Until: audittest.Noon.Add(third / 1000), Who: "user17"}},
		{"last", audit.Query{Cursor: "5000"}},
		{"deep-who", audit.Query{Cursor: deep, Who: "user17"}},
		{"deep-all", audit.Query{Cursor: deep, Target: "db3", Verb: "update", Outcome: "error", MinRisk: 50}},
		{"thousand", audit.Query{Who: "user17", Limit: audit.MaxPage}},
		{"apart", audit.Query{Who: "user17", Target: "db3", Outcome: "error", Text: "update select"}}, // frequent, never together
		{"nothing", audit.Query{Text: "select email", Target: "db3", Kind: audit.LoginRefused}},
		{"nobody", audit.Query{Who: "nobody", Since: time.Now()}},
	}
}

func BenchmarkSearch(b *testing.B) {
	w := audittest.NewCrowded(b, *folder, *entries)
	x := openIndex(b, w.Index, w.Dir)
	require.NoError(b, x.Update(b.Context()))
	st, err := os.Stat(w.Index)
	require.NoError(b, err)
	b.Logf("%d operations, %d bytes", *entries, st.Size())
	for _, c := range questions(w.Until) {
		b.Run(c.name, func(b *testing.B) {
			n := 0
			for b.Loop() {
				p, err := x.Search(b.Context(), c.q)
				require.NoError(b, err)
				n = len(p.Entries)
			}
			b.ReportMetric(float64(n), "entries")
		})
	}
	b.Run("uses", func(b *testing.B) {
		for b.Loop() {
			_, err := x.Uses(b.Context(), time.Time{})
			require.NoError(b, err)
		}
	})
}
