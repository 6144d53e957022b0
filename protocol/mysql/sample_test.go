package mysql_test

import (
	"database/sql"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/middleware"
)

// A column in which a card number is found is masked from its first row on, also in
// rows that came before it: in text and binary rows, and in each of several results.
func TestMaskSamplesColumns(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{middleware.Mask(
		mask.Rule{Name: "card", Detect: []string{"card"}, Transform: mask.Redact()})}})
	const query = "select v, n from (select 1 as n, 'mistyped 4111' as v union all select 2, null union all select 3, '4111111111111111' union all select 4, 'x') x"
	const want = "***\t1\nNULL\t2\n***\t3\n***\t4"
	out, err := r.mariadb(t, "", "-N", "-B", "-e", query)
	require.NoError(t, err, out)
	require.Equal(t, want, strings.TrimSpace(out))
	out, err = r.mariadb(t, "", "-N", "-B", "-e", "select 'a' as v; "+query)
	require.NoError(t, err, out)
	require.Equal(t, "a\n"+want, strings.TrimSpace(out))

	db := r.connect(t)
	for _, args := range [][]any{nil, {4}} { // as text, and prepared
		q := query
		if args != nil {
			q += " where n <= ?"
		}
		rows, err := db.Query(q, args...)
		require.NoError(t, err)
		var got []string
		for rows.Next() {
			var v sql.NullString
			var n int
			require.NoError(t, rows.Scan(&v, &n))
			got = append(got, v.String)
		}
		require.NoError(t, rows.Err())
		require.NoError(t, rows.Close())
		require.Equal(t, []string{"***", "", "***", "***"}, got)
	}
	// More than is held, by number and by size: everything comes.
	out, err = r.mariadb(t, "", "-N", "-B", "-e", "select concat('row ', seq) from seq_1_to_300; select repeat('long ', 4000) from seq_1_to_20")
	require.NoError(t, err, out)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	require.Len(t, lines, 320)
	require.Equal(t, "row 300", lines[299])
	// A result that ends with an error shows what there is.
	_, err = r.mariadb(t, "", "-N", "-B", "-e", "select 'x' as v from seq_1_to_3 union all select (select 1 from seq_1_to_2)")
	require.Error(t, err)
}
