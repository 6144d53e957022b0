package sqlite_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/audit/audittest"
)

// With -entries 10000000, the benchmarks are of a large installation: the journal
// of it takes some 10 GB below TMPDIR.
var entries = flag.Int("entries", 20_000, "how many operations the benchmarks index and look among")

// On a shared machine with 2 cores at load 13, at the lowest priority, 50,000
// operations, pages of 100, two runs each:
//
//	BenchmarkIndex               14,400 events/s   6,600 with 300,000 operations, at another hour and load 15
//	BenchmarkSearch/who              26 ms
//	BenchmarkSearch/object           31 ms
//	BenchmarkSearch/column+who        1 ms
//	BenchmarkSearch/target+write     55 ms   100 entries, each in a block of its own
//	BenchmarkSearch/errors           19 ms
//	BenchmarkSearch/risk             22 ms
//	BenchmarkSearch/text             20 ms
//	BenchmarkSearch/pattern          19 ms
//	BenchmarkSearch/time              8 ms
//	BenchmarkSearch/last              6 ms
//	BenchmarkSearch/nothing           1 ms
//	BenchmarkSearch/nobody          0.4 ms
//	BenchmarkSearch/uses              5 ms
//
// Most of a page is to decompress and to parse what it shows.

func BenchmarkIndex(b *testing.B) {
	w := audittest.NewLargeWorld(b)
	w.Crowd(*entries)
	w.Close()
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

func BenchmarkSearch(b *testing.B) {
	w := audittest.NewLargeWorld(b)
	w.Crowd(*entries)
	w.Close()
	file := filepath.Join(b.TempDir(), "index")
	x := openIndex(b, file, w.Dir)
	require.NoError(b, x.Update(b.Context()))
	st, err := os.Stat(file)
	require.NoError(b, err)
	b.Logf("%d operations, %d bytes", *entries, st.Size())
	at := audittest.Noon.Add(w.At.Sub(audittest.Noon) / 3)
	for name, q := range map[string]audit.Query{
		"who":          {Who: "user17"},
		"object":       {Object: "public.t42"},
		"column+who":   {Column: "public.t42.email", Who: "user17"},
		"target+write": {Target: "db3", Access: "write"},
		"errors":       {Outcome: "error"},
		"risk":         {MinRisk: 80},
		"text":         {Text: "email t42"},
		"pattern":      {Object: "public.t4*", Who: "user1*"},
		"time":         {Since: at, Until: at.Add(time.Hour), Outcome: "error"},
		"last":         {Cursor: "5000"},
		"nothing":      {Who: "user17", Target: "db3", Outcome: "error", Text: "update select"},
		"nobody":       {Who: "nobody", Since: time.Now()},
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
