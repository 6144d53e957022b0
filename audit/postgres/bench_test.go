package postgres_test

import (
	"flag"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/audit/audittest"
	"github.com/sallyport-dev/gateway/audit/postgres"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/pgtest"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
)

var entries = flag.Int("entries", 20_000, "how many operations the benchmarks index and look among")

// fill indexes a crowd in a database of its own, and returns how many events.
func fill(b *testing.B, pg *servers.Postgres, w *audittest.World, name string) (*postgres.Index, uint64) {
	pgtest.Exec(b, pg, "create database "+name+" owner gateway")
	x := openIndex(b, inDatabase(pg.DSN("gateway", "secret"), name), w.Dir)
	require.NoError(b, x.Update(b.Context()))
	p, err := x.Search(b.Context(), audit.Query{Limit: 1})
	require.NoError(b, err)
	return x, p.Indexed
}

func crowd(b *testing.B) *audittest.World {
	w := audittest.NewLargeWorld(b)
	w.Crowd(*entries)
	w.Close()
	return w
}

func BenchmarkIndex(b *testing.B) {
	pg := pgtest.Start(b, pgtest.User("gateway", "secret", "scram-sha-256"))
	w := crowd(b)
	n := uint64(0)
	for i := 0; b.Loop(); i++ {
		_, events := fill(b, pg, w, fmt.Sprint("bench", i))
		n += events
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkSearch(b *testing.B) {
	pg := pgtest.Start(b, pgtest.User("gateway", "secret", "scram-sha-256"))
	x, _ := fill(b, pg, crowd(b), "bench")
	for name, q := range map[string]audit.Query{
		"who":     {Who: "user17"},
		"object":  {Object: "public.t42", Access: "write"},
		"pattern": {Object: "public.t4*", Who: "user1*"},
		"nothing": {Who: "user17", Target: "db3", Outcome: "error", Text: "update select"},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				_, err := x.Search(b.Context(), q)
				require.NoError(b, err)
			}
		})
	}
}
