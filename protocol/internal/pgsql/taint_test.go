package pgsql

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/pgsql/querygen"
)

// TestTaint runs random queries on a real server where some columns hold marks.
// Wherever a mark comes out, the analysis must have said so, or have said that it
// does not know; and it must have predicted the columns.
func TestTaint(t *testing.T) {
	conn := startServer(t)
	ctx := context.Background()
	run(t, conn, querygen.Schema)
	run(t, conn, "SET statement_timeout = '2s'; SET default_transaction_read_only = on")
	cat, err := Load(ctx, simple{conn})
	require.NoError(t, err)
	run(t, conn, "SET search_path = public")
	st := &State{Catalog: cat, SearchPath: []string{"public"}, StandardStrings: true}
	a := NewAnalyzer(Options{})
	ran, pure, marked, known, unknown := 0, 0, 0, 0, 0
	for i := range 500 {
		m := querygen.New(uint64(i))
		m.Clean = i%4 == 0
		q := m.Query(1 + i%3)
		results, err := conn.Exec(ctx, q).ReadAll()
		if err != nil || len(results) != 1 || len(results[0].Rows) == 0 {
			continue
		}
		ran++
		stmt := a.Analyze([]byte(q), st).Statements[0]
		require.NotEqual(t, protocol.Unknown, stmt.Verb, q)
		if stmt.Pure {
			pure++
		}
		if stmt.Columns == nil {
			require.False(t, stmt.ReadsKnown, q)
			continue
		}
		require.Len(t, stmt.Columns, len(results[0].FieldDescriptions), q)
		for k, f := range results[0].FieldDescriptions {
			c := stmt.Columns[k]
			require.Equal(t, f.Name, c.Name, q)
			said := !c.Known
			for _, src := range c.Sources {
				said = said || querygen.Masks(src.ColumnRef.String(), src.Path)
			}
			if c.Known {
				known++
			} else {
				unknown++
			}
			require.False(t, m.Clean && said, "%s\ncolumn %d has nothing of a mark, the analysis says %v", q, k, c)
			for _, row := range results[0].Rows {
				if querygen.Shows(row[k]) {
					marked++
					require.True(t, said, "%s\ncolumn %d shows a mark, the analysis says %v", q, k, c)
					break
				}
			}
		}
	}
	t.Logf("%d queries ran, %d proven pure, a mark came out %d times, %d columns were known and %d not", ran, pure, marked, known, unknown)
	require.Greater(t, ran, 200)
	require.Greater(t, marked, 100)
	require.Greater(t, pure, ran/2, "nothing here changes anything")
	require.Greater(t, known, 2*unknown)
}
