package postgres_test

import (
	"bytes"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/pgtest"
)

// A column in which a card number is found is masked from its first row on, also in
// rows that came before it: in all protocols, formats and ways to fetch.
func TestMaskSamplesColumns(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{middleware.Mask(
		mask.Rule{Name: "card", Detect: []string{"card"}, Transform: mask.Redact()})}})
	const query = "select v, n from (values (1, 'mistyped 4111'), (2, null), (3, '4111111111111111'), (4, 'x')) x (n, v) order by n"
	const want = "***|1\n|2\n***|3\n***|4"
	psql := func(script string) string {
		out, err := r.psql(t, "-At", "-q", "-c", script)
		require.NoError(t, err, out)
		return strings.TrimSpace(out)
	}
	require.Equal(t, want, psql(query))
	require.Equal(t, want, psql("prepare s as "+query+"; execute s"))
	// A fetch is a result of its own: what it has is decided by what it has.
	require.Equal(t, "mistyped 4111|1\n|2\n***|3\n***|4", psql("begin; declare c cursor for "+query+"; fetch 2 from c; fetch all from c; commit"))
	// What ends a result with an error releases what there is.
	out, err := r.psql(t, "-At", "-v", "FETCH_COUNT=0", "-c", "select v::text from (values ('a'), ('4111111111111111')) x (v) union all select (1/(n-3))::text from generate_series(1,3) n")
	require.Error(t, err)
	require.Contains(t, out, "division by zero")

	for _, options := range []string{"", "csv", "csv, header", "csv, force_quote *"} {
		options = "(format " + options + ")"
		if options == "(format )" {
			options = "(format text)"
		}
		out := psql("copy (select v, n from (" + query + ") q) to stdout " + options)
		require.NotContains(t, out, "4111", options)
		require.Equal(t, 3, strings.Count(out, "***"), "%s: %s", options, out)
	}
	out, err = r.psql(t, "-At", "-c", "copy (select v::text from (values ('mistyped 4111'), ('4111111111111111')) x (v) union all select (1/(n-3))::text from generate_series(1,3) n) to stdout")
	require.Error(t, err)
	require.Contains(t, out, "division by zero")
	out = psql("copy (select (case n when 70 then '4111111111111111' else 'row ' || n end)::text from generate_series(1, 100) n) to stdout")
	require.Equal(t, []string{"row 69", "***", "row 71"}, strings.Split(out, "\n")[68:71])
	require.Equal(t, want, psql("copy (select 'x' where false) to stdout; "+query), "one that is empty")
	out = psql("copy (select repeat('long ', 4000) || n from generate_series(1, 50) n) to stdout")
	require.Len(t, strings.Split(out, "\n"), 50)

	conn := r.connect(t, "")
	var binary bytes.Buffer
	_, err = conn.PgConn().CopyTo(t.Context(), &binary, "copy ("+query+") to stdout (format binary)")
	require.NoError(t, err)
	require.Equal(t, 3, strings.Count(binary.String(), "***"))
	require.NotContains(t, binary.String(), "4111")
	for range 2 { // described by the client, and from its cache
		rows, err := conn.Query(t.Context(), query)
		require.NoError(t, err)
		var got []string
		for rows.Next() {
			var v *string
			var n int32
			require.NoError(t, rows.Scan(&v, &n))
			if v == nil {
				got = append(got, "NULL")
				continue
			}
			got = append(got, *v)
		}
		require.NoError(t, rows.Err())
		require.Equal(t, []string{"***", "NULL", "***", "***"}, got)
	}
	// More rows and bytes than are held: what is beyond them is masked where it is
	// found, and everything comes.
	require.Equal(t, "1000|1", psql("select count(*) over (), n from (select n, repeat('long ', 2000) as t from generate_series(1, 1000) n) x limit 1"))
	out = psql("select case n when 70 then '4111111111111111' else 'row ' || n end from generate_series(1, 100) n")
	lines := strings.Split(out, "\n")
	require.Len(t, lines, 100)
	require.Equal(t, "row 69", lines[68])
	require.Equal(t, "***", lines[69])
	require.Equal(t, "row 71", lines[70])
	out = psql("select repeat('long ', 4000) || n from generate_series(1, 50) n")
	require.Len(t, strings.Split(out, "\n"), 50)
}

// A target that is slow is waited for in the middle of a row, over TLS too, and
// nothing is lost.
func TestMaskSamplesSlowResults(t *testing.T) {
	for _, tls := range []bool{false, true} {
		c := rigConfig{steps: []middleware.Step{middleware.Mask(mask.Rule{Name: "card", Detect: []string{"card"}, Transform: mask.Redact()})}}
		if tls {
			c.options, c.pg = map[string]string{"sslmode": "require"}, []pgtest.Option{pgtest.TLS()}
		}
		r := newRig(t, c)
		// PostgreSQL sends 8 KiB at a time: each row comes in pieces, with pauses that
		// are longer than any is held.
		for _, query := range []string{"select n || repeat('x', 9000) || n, pg_sleep(0.05) from generate_series(1, 6) n",
			"copy (select n || repeat('x', 9000) || n, pg_sleep(0.05) from generate_series(1, 6) n) to stdout (delimiter '|')"} {
			out, err := r.psql(t, "-Atc", query)
			require.NoError(t, err, out)
			lines := strings.Split(strings.TrimSpace(out), "\n")
			require.Len(t, lines, 6)
			for i, l := range lines {
				want := strconv.Itoa(i + 1)
				require.Equal(t, want+strings.Repeat("x", 9000)+want+"|", l)
			}
		}
	}
}
