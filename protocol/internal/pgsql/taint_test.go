package pgsql

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol"
)

// A maker makes random queries over the test schema. What it makes is mostly
// right; what the server refuses does not count.
type maker struct {
	r     *rand.Rand
	depth int
	n     int // names given so far
	cols  []string
}

func (m *maker) pick(list ...string) string { return list[m.r.IntN(len(list))] }

func (m *maker) name() string {
	m.n++
	return m.pick("email", "city", "id", "x", fmt.Sprintf("n%d", m.n), `"E"`, "mail")
}

// text makes an expression of type text over the columns in reach.
func (m *maker) text() string {
	m.depth++
	defer func() { m.depth-- }()
	if m.depth > 4 || m.r.IntN(3) == 0 {
		if len(m.cols) == 0 || m.r.IntN(8) == 0 {
			return m.pick("'k'", "NULL", "'a' || 'b'")
		}
		return m.pick(m.cols...) + m.pick("", "", "::text")
	}
	a := m.text
	switch m.r.IntN(16) {
	case 0:
		return "upper(" + a() + ")"
	case 1:
		return "(" + a() + " || " + a() + ")"
	case 2:
		return "coalesce(" + a() + ", " + a() + ")"
	case 3:
		return "CASE WHEN " + m.cond() + " THEN " + a() + " ELSE " + a() + " END"
	case 4:
		return "(SELECT " + a() + " FROM (" + m.query(1) + ") q LIMIT 1)"
	case 5:
		return "(ARRAY[" + a() + ", " + a() + "])[" + m.pick("1", "2") + "]"
	case 6:
		return "concat(" + a() + ", " + a() + ")"
	case 7:
		return "nullif(" + a() + ", " + a() + ")"
	case 8:
		return "greatest(" + a() + ", " + a() + ")"
	case 9:
		return "array_to_string(ARRAY(" + m.query(1) + "), ',')"
	case 10:
		return "(" + a() + ")::varchar"
	case 11:
		return "replace(" + a() + ", 'k', " + a() + ")"
	case 12:
		return "row_to_json(row(" + a() + "))::text"
	case 13:
		return "first_value(" + a() + ") OVER ()"
	case 14:
		return "(" + a() + ` COLLATE "C")`
	default:
		return "(SELECT string_agg(s, ',') FROM (" + m.query(1) + ") q(s))"
	}
}

func (m *maker) cond() string {
	return m.pick("true", "1 = 1", m.text()+" IS NOT NULL", m.text()+" <> 'q'", "EXISTS (SELECT 1)")
}

// query makes a query with n columns of type text.
func (m *maker) query(n int) string {
	m.depth++
	defer func() { m.depth-- }()
	saved := m.cols
	defer func() { m.cols = saved }()
	if m.depth < 5 {
		switch m.r.IntN(9) {
		case 0:
			return "(" + m.query(n) + ") " + m.pick("UNION ALL", "UNION", "EXCEPT", "INTERSECT") + " (" + m.query(n) + ")"
		case 1:
			var row []string
			for range n {
				row = append(row, m.text())
			}
			return "SELECT * FROM (VALUES (" + strings.Join(row, ", ") + ")) v"
		case 2:
			m.n++
			cte := fmt.Sprintf("w%d", m.n)
			var names, outs []string
			for i := range n {
				names = append(names, fmt.Sprintf("c%d", i))
				outs = append(outs, fmt.Sprintf("c%d", n-1-i))
			}
			return "WITH " + cte + "(" + strings.Join(names, ", ") + ") AS " + m.pick("", "MATERIALIZED ", "NOT MATERIALIZED ") + "(" + m.query(n) + ") SELECT " + strings.Join(outs, ", ") + " FROM " + cte
		case 3:
			var names, next []string
			for i := range n {
				names = append(names, fmt.Sprintf("r%d", i))
				next = append(next, fmt.Sprintf("r%d", (i+1)%n))
			}
			m.n++
			cte := fmt.Sprintf("w%d", m.n)
			return "WITH RECURSIVE " + cte + "(" + strings.Join(names, ", ") + ") AS (SELECT * FROM (" + m.query(n) + ") q UNION SELECT " + strings.Join(next, ", ") + " FROM " + cte + ") SELECT * FROM " + cte
		}
	}
	from, cols := m.from()
	m.cols = append(cols, saved...)
	if m.r.IntN(2) == 0 {
		m.cols = cols
	}
	var outs []string
	for range n {
		outs = append(outs, m.text()+m.pick("", " AS "+m.name()))
	}
	tail := m.pick("", "", " WHERE "+m.cond(), " LIMIT 3", " ORDER BY 1", " OFFSET 0")
	return "SELECT " + m.pick("", "", "DISTINCT ") + strings.Join(outs, ", ") + " FROM " + from + tail
}

// from makes a FROM clause and the names of its columns of type text.
func (m *maker) from() (string, []string) {
	m.n++
	a := fmt.Sprintf("t%d", m.n)
	q := func(names ...string) []string {
		for i := range names {
			names[i] = a + "." + names[i]
		}
		return names
	}
	switch m.r.IntN(12) {
	case 0:
		return "customers " + a, q("name", "email", "city", "handle")
	case 1:
		return "orders " + a, q("note", "tags[1]")
	case 2:
		return "v_customers " + a, q("mail", "loud", "name")
	case 3:
		return "v_on_view " + a, q("m")
	case 4:
		return "(" + m.query(2) + ") " + a + "(email, city)", q("email", "city")
	case 5:
		return "customers " + a + "(i, email, name, x)", q("email", "name", "x", "handle")
	case 6:
		l, lc := m.from()
		r, rc := m.from()
		return l + m.pick(" CROSS JOIN ", " NATURAL JOIN ", " NATURAL FULL JOIN ") + r, append(lc, rc...)
	case 7:
		l, lc := m.from()
		r, rc := m.from()
		return l + m.pick(" JOIN ", " LEFT JOIN ", " FULL JOIN ") + r + m.pick(" USING (name)", " USING (email)", " ON true", " USING (city) AS ju"), append(append(lc, rc...), "name", "email", "city")
	case 8:
		l, lc := m.from()
		saved := m.cols
		m.cols = append(append([]string(nil), lc...), saved...)
		sub := m.query(1)
		m.cols = saved
		return l + ", LATERAL (" + sub + ") " + a + "(e)", append(lc, a+".e")
	case 9:
		return "(" + m.query(1) + ") s0_" + a + "(z), unnest(ARRAY[s0_" + a + ".z, 'k']) " + a, []string{a, "z"}
	case 10:
		return "mv " + a, q("email")
	default:
		return "(TABLE customers) " + a, q("name", "email", "handle") // city is a varchar: UNIONs still work
	}
}

// TestTaint runs random queries on a real server whose e-mail addresses hold a
// mark. Wherever the mark comes out, the analysis must have said so, or have
// said that it does not know; and it must have predicted the columns.
func TestTaint(t *testing.T) {
	conn := startServer(t)
	ctx := context.Background()
	run(t, conn, schema)
	run(t, conn, "UPDATE customers SET email = 'QMARKQ'; REFRESH MATERIALIZED VIEW mv; SET statement_timeout = '500ms'; SET default_transaction_read_only = on")
	cat, err := Load(ctx, simple{conn})
	require.NoError(t, err)
	run(t, conn, "SET search_path = public")
	st := &State{Catalog: cat, SearchPath: []string{"public"}, StandardStrings: true}
	a := NewAnalyzer(Options{})
	ran, pure, marked, known := 0, 0, 0, 0
	for i := range 500 {
		m := &maker{r: rand.New(rand.NewPCG(uint64(i), 7))}
		q := m.query(1 + i%3)
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
			if c.Known {
				known++
			}
			said := !c.Known
			for _, src := range c.Sources {
				said = said || src.ColumnRef == protocol.ColumnRef{Schema: "public", Table: "customers", Column: "email"}
			}
			for _, row := range results[0].Rows {
				if bytes.Contains(bytes.ToUpper(row[k]), []byte("QMARKQ")) {
					marked++
					require.True(t, said, "%s\ncolumn %d shows the mark, the analysis says %v", q, k, c)
					break
				}
			}
		}
	}
	t.Logf("%d queries ran, %d proven pure, the mark came out %d times, %d columns were known", ran, pure, marked, known)
	require.Greater(t, ran, 200)
	require.Greater(t, marked, 100)
	require.Greater(t, pure, ran*9/10, "nothing here changes anything")
	require.Greater(t, known, ran, "nothing here is unknowable")
}
