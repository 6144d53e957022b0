package index

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/audit/audittest"
)

// Pages that end before they are full miss nothing, repeat nothing and get to the
// end, however little a page may cost.
func TestTiredPages(t *testing.T) {
	w := audittest.NewLargeWorld(t)
	w.Crowd(16_000) // two buckets
	w.Close()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "index")+"?_pragma=journal_mode(wal)&_pragma=synchronous(off)")
	require.NoError(t, err)
	x, err := New(t.Context(), db, Dialect{Begin: "begin immediate", Prepare: func(ctx context.Context, c *sql.Conn) error {
		_, err := c.ExecContext(ctx, Schema)
		return err
	}}, w.Dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, x.Close()) })
	require.NoError(t, x.Update(t.Context()))
	all := func(q audit.Query, most int) (found []uint64, pages int) {
		x.most = most
		for {
			p, err := x.Search(t.Context(), q)
			require.NoError(t, err)
			for _, e := range p.Entries {
				found = append(found, e.Seq)
			}
			if pages++; p.Next == "" {
				return found, pages
			}
			require.NotEqual(t, q.Cursor, p.Next, "it gets on")
			q.Cursor = p.Next
		}
	}
	third := w.At.Sub(audittest.Noon) / 3
	for _, q := range []audit.Query{
		{Approval: "ticket1*", Who: "user3"},
		{Object: "public.*", Who: "user1*", Target: "db3", Outcome: "error"},
		{Who: "user17", Target: "db3"},
		{Who: "user17", Target: "db4"}, // frequent, never together
		{MinRisk: 85},
		{Since: audittest.Noon.Add(third), Until: audittest.Noon.Add(third + time.Minute)},
		{Text: "nowhere"},
	} {
		want, one := all(q, maxWork)
		got, many := all(q, 1)
		require.Equal(t, want, got, q.String())
		require.GreaterOrEqual(t, many, one)
		if len(want) == 0 && q.Text == "" {
			require.Greater(t, many, 1, q.String())
		}
	}
}
