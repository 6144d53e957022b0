package pgsql

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
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

// another returns another connection to the server of conn.
func another(tb testing.TB, conn *pgconn.PgConn) *pgconn.PgConn {
	tb.Helper()
	other, err := pgconn.Connect(context.Background(), "user=postgres dbname=postgres host="+filepath.Dir(conn.Conn().RemoteAddr().String()))
	require.NoError(tb, err)
	tb.Cleanup(func() { other.Close(context.Background()) })
	return other
}

func TestLoadDoesNotWaitForLocks(t *testing.T) {
	conn := startServer(t)
	ctx := context.Background()
	run(t, conn, schema)
	other := another(t, conn)
	for _, lock := range []string{"LOCK TABLE public.orders IN ACCESS EXCLUSIVE MODE", "ALTER VIEW public.v_customers RENAME TO renamed"} {
		var k Loader
		run(t, other, "BEGIN; "+lock)
		t0 := time.Now()
		cat, err := k.Load(ctx, simple{conn})
		require.NoError(t, err)
		require.Less(t, time.Since(t0), 5*time.Second)
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
