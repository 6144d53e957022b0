package pgsql

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol/protocoltest/pgtest"
)

// counting counts the queries of a load.
type counting struct {
	Querier
	n int
}

func (c *counting) Query(ctx context.Context, text string, row func([][]byte) error) error {
	c.n++
	return c.Querier.Query(ctx, text, row)
}

func TestLoaderReadsWhatHasChangedAndNothingElse(t *testing.T) {
	conn := startServer(t)
	ctx := context.Background()
	run(t, conn, schema)
	q := &counting{Querier: simple{conn}}
	var k Loader
	t0 := time.Now()
	one, err := k.Load(ctx, q)
	require.NoError(t, err)
	t.Logf("first load: %d queries, %v", q.n, time.Since(t0))
	run(t, conn, "DO $$ BEGIN ASSERT current_setting('jit') = 'off', 'compiling takes longer than reading'; END $$")

	q.n = 0
	same, err := k.Load(ctx, q)
	require.NoError(t, err)
	require.Same(t, one, same)
	require.Equal(t, 1, q.n, "no transaction has ended: one question is enough")

	run(t, conn, "INSERT INTO public.base VALUES (1, 'x')")
	unchanged, err := k.Unchanged(ctx, q)
	require.NoError(t, err)
	require.False(t, unchanged)
	same, err = k.Load(ctx, q)
	require.NoError(t, err)
	require.Same(t, one, same, "rows are no definitions")

	run(t, conn, "CREATE TABLE public.later (id int, v text)")
	q.n, t0 = 0, time.Now()
	two, err := k.Load(ctx, q)
	require.NoError(t, err)
	t.Logf("next load: %d queries, %v", q.n, time.Since(t0))
	require.Equal(t, 1, k.fulls, "not everything is read again")
	require.NotNil(t, two.Lookup("public", "later"))
	require.Nil(t, one.Lookup("public", "later"))

	fresh, err := Load(ctx, simple{conn})
	require.NoError(t, err)
	require.Equal(t, fresh.Key(), two.Key(), "the same definitions have the same key, however they were read")

	// What came with the server can be changed too, by whoever owns it.
	b, _ := two.Builtin("lower")
	require.Equal(t, byte('i'), b.Volatility)
	run(t, conn, "ALTER FUNCTION pg_catalog.lower(text) VOLATILE")
	three, err := k.Load(ctx, q)
	require.NoError(t, err)
	b, _ = three.Builtin("lower")
	require.Equal(t, byte('v'), b.Volatility)
	require.NotEqual(t, two.Key(), three.Key())
}

func TestLoadDoesNotWaitForLocks(t *testing.T) {
	pg := pgtest.Start(t)
	conn := connect(t, pg)
	ctx := context.Background()
	run(t, conn, schema)
	other := connect(t, pg)
	for _, lock := range []string{"LOCK TABLE public.orders IN ACCESS EXCLUSIVE MODE", "ALTER VIEW public.v_customers RENAME TO renamed"} {
		var k Loader
		run(t, other, "BEGIN; "+lock)
		cat, err := k.Load(ctx, simple{conn}) // before the transaction ends, or never
		require.NoError(t, err)
		require.True(t, k.Partial())
		require.Empty(t, cat.Lookup("public", "v_on_view").Definition, "what reads a locked relation is unknown")
		require.NotEmpty(t, cat.Lookup("public", "v_touch").Definition)
		run(t, other, "ROLLBACK")
		cat, err = k.Load(ctx, simple{conn})
		require.NoError(t, err)
		require.False(t, k.Partial())
		require.NotEmpty(t, cat.Lookup("public", "v_on_view").Definition)
	}
}

// On a standby txid_current_snapshot lists no transaction as under way, so that
// its text stays equal while one between xmin and xmax ends.
func TestWhatAStandbyHasNotSeenEndIsLookedFor(t *testing.T) {
	ctx := t.Context()
	primary := pgtest.Start(t)
	follower := pgtest.Start(t, pgtest.StandbyOf(primary))
	a, b, d, standby := connect(t, primary), connect(t, primary), connect(t, primary), connect(t, follower)
	shipped := func() {
		t.Helper()
		at := ask(t, d, "select pg_catalog.pg_current_wal_insert_lsn()")
		require.Eventually(t, func() bool { return ask(t, standby, "select pg_catalog.pg_last_wal_replay_lsn() >= '"+at+"'") == "t" },
			20*time.Second, 20*time.Millisecond)
	}
	run(t, d, "create table t (id int, name text, ssn text); create table junk (a int); create view v as select id, name from t")
	run(t, a, "begin; insert into junk values (1)")                                     // the oldest, which stays open
	run(t, b, "begin; create or replace view v as select id, ssn::text as name from t") // a migration
	run(t, d, "insert into junk values (2)")                                            // a younger one, which has ended
	shipped()
	k := new(Loader)
	before, err := k.Load(ctx, simple{standby})
	require.NoError(t, err)
	snapshot := ask(t, standby, "select pg_catalog.txid_current_snapshot()")
	run(t, b, "commit")
	shipped()
	require.Equal(t, snapshot, ask(t, standby, "select pg_catalog.txid_current_snapshot()"), "else this shows nothing")
	same, err := k.Unchanged(ctx, simple{standby})
	require.NoError(t, err)
	require.False(t, same, "the view reads another column by now")
	after, err := k.Load(ctx, simple{standby})
	require.NoError(t, err)
	require.NotEqual(t, before.Key(), after.Key())
}

// ask returns the one value that sql selects.
func ask(t *testing.T, conn *pgconn.PgConn, sql string) (out string) {
	t.Helper()
	require.NoError(t, simple{conn}.Query(t.Context(), sql, func(v [][]byte) error { out = string(v[0]); return nil }))
	return out
}

// The schemas that a search_path finds depend on who may use which.
func TestLoaderTellsSchemasApart(t *testing.T) {
	conn := startServer(t)
	run(t, conn, "CREATE ROLE app; CREATE ROLE readers")
	var k Loader
	load := func() *[32]byte {
		c, err := k.Load(t.Context(), simple{conn})
		require.NoError(t, err)
		schemas := c.Schemas()
		return &schemas
	}
	last, told := load(), probe(t, conn)
	run(t, conn, "CREATE TABLE public.later (id int); CREATE TEMP TABLE mine (id int)")
	require.Equal(t, last, load())
	for _, change := range []string{"CREATE SCHEMA more", "GRANT USAGE ON SCHEMA more TO readers", "GRANT readers TO app", "ALTER SCHEMA more OWNER TO app", "REVOKE readers FROM app", "DROP SCHEMA more"} {
		run(t, conn, change)
		next, now := load(), probe(t, conn)
		require.NotEqual(t, last, next, change)
		require.NotEqual(t, told, now, change)
		last, told = next, now
	}
}
