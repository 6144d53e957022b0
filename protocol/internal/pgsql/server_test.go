package pgsql

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol/protocoltest/pgtest"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
)

// startServer runs a PostgreSQL server of the test's own and returns a
// connection to it as its superuser.
func startServer(tb testing.TB, opts ...pgtest.Option) *pgconn.PgConn {
	tb.Helper()
	return connect(tb, pgtest.Start(tb, opts...))
}

func connect(tb testing.TB, pg *servers.Postgres) *pgconn.PgConn {
	tb.Helper()
	conn, err := pgconn.Connect(context.Background(), pg.SuperuserDSN())
	require.NoError(tb, err)
	tb.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// simple is a Querier over the simple protocol.
type simple struct{ conn *pgconn.PgConn }

func (s simple) Query(ctx context.Context, sql string, row func(values [][]byte) error) error {
	mrr := s.conn.Exec(ctx, sql)
	defer mrr.Close()
	for mrr.NextResult() {
		rr := mrr.ResultReader()
		for rr.NextRow() {
			if err := row(rr.Values()); err != nil {
				return err
			}
		}
		if _, err := rr.Close(); err != nil {
			return err
		}
	}
	return mrr.Close()
}

// run executes SQL that has to work.
func run(tb testing.TB, conn *pgconn.PgConn, sql string) {
	tb.Helper()
	_, err := conn.Exec(context.Background(), sql).ReadAll()
	require.NoError(tb, err, sql)
}

// probe returns what the probe query says now.
func probe(tb testing.TB, conn *pgconn.PgConn) string {
	tb.Helper()
	var out string
	require.NoError(tb, simple{conn}.Query(context.Background(), Probe(), func(v [][]byte) error { out = string(v[0]); return nil }))
	return out
}
