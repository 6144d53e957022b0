package pgsql

import (
	"context"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
)

// schema is what the tests on a real server work with.
const schema = `
CREATE SCHEMA app;
CREATE TABLE customers (id int PRIMARY KEY, name text, email text, city varchar(40), born date,
  handle text GENERATED ALWAYS AS (lower(email)) STORED);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers, total numeric, note text, tags text[]);
CREATE TABLE app.notes (id int, body text, owner text);
CREATE TABLE base (id int, secret text);
CREATE TABLE child () INHERITS (base);
CREATE TABLE parted (id int, email text) PARTITION BY RANGE (id);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (1000);
CREATE VIEW v_customers AS SELECT id, name, email AS mail, upper(email) AS loud FROM customers;
CREATE VIEW v_on_view AS SELECT v.mail AS m, o.total FROM v_customers v JOIN orders o ON o.customer_id = v.id WHERE o.note <> '';
CREATE MATERIALIZED VIEW mv AS SELECT email FROM customers;
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TABLE moods (id int, m mood, p positive);
CREATE FUNCTION touch(int) RETURNS int LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION app.lower(text) RETURNS text LANGUAGE sql AS 'SELECT $1';
CREATE VIEW v_touch AS SELECT touch(id) AS t FROM customers;
CREATE TABLE guarded (id int, v text);
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
CREATE TABLE fired (id int);
CREATE FUNCTION trg() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER fire BEFORE INSERT ON fired FOR EACH ROW EXECUTE FUNCTION trg();
CREATE FUNCTION sure(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE TABLE indexed (id int, v text);
CREATE INDEX ON indexed (sure(id));
CREATE EXTENSION citext;
CREATE TABLE nocase (id int, tag citext);
CREATE FUNCTION checks(int) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RETURN true; END';
CREATE DOMAIN checked AS int CHECK (checks(VALUE));
CREATE TABLE under (id int);
CREATE TABLE under_child () INHERITS (under);
ALTER TABLE under_child ENABLE ROW LEVEL SECURITY;
CREATE FUNCTION moodjson(mood) RETURNS json LANGUAGE sql AS 'SELECT null::json';
CREATE TYPE colour AS ENUM ('red');
CREATE FUNCTION colourjson(colour) RETURNS json LANGUAGE sql AS 'SELECT null::json';
CREATE CAST (colour AS json) WITH FUNCTION colourjson(colour);
CREATE TABLE colours (c colour, d checked);
CREATE VIEW v_sets AS SELECT set_config('search_path', 'app', false) AS s;
INSERT INTO customers VALUES (1, 'Ada', 'ada@example.com', 'London', '1815-12-10');
INSERT INTO orders VALUES (1, 1, 9.5, 'x', '{a,b}');
`

func TestServer(t *testing.T) {
	conn := startServer(t)
	ctx := context.Background()
	run(t, conn, schema)
	t0 := time.Now()
	cat, err := Load(ctx, simple{conn})
	require.NoError(t, err)
	t.Logf("loaded in %v", time.Since(t0))
	run(t, conn, "SET search_path = public")

	t.Run("load", func(t *testing.T) {
		r := cat.Lookup("public", "customers")
		require.NotNil(t, r)
		require.Len(t, r.Columns, 6)
		require.Equal(t, []int16{3}, r.Columns[5].From)
		ref, ok := cat.Column(r.OID, 3)
		require.True(t, ok)
		require.Equal(t, protocol.ColumnRef{Schema: "public", Table: "customers", Column: "email"}, ref)
		require.NotEmpty(t, cat.Lookup("public", "guarded").Unproven)
		require.NotEmpty(t, cat.Lookup("public", "indexed").Unproven)
		require.NotEmpty(t, cat.Lookup("public", "fired").Triggers)
		require.Empty(t, cat.Lookup("public", "orders").Unproven)
		again, err := Load(ctx, simple{conn})
		run(t, conn, "SET search_path = public")
		require.NoError(t, err)
		require.Equal(t, cat.Key(), again.Key(), "the same definitions are the same catalog")
	})

	t.Run("probe", func(t *testing.T) {
		before := probe(t, conn)
		require.Equal(t, before, probe(t, conn))
		run(t, conn, "INSERT INTO base VALUES (1, 'x'); CREATE TEMP TABLE tt (i int); DROP TABLE tt")
		require.Equal(t, before, probe(t, conn), "data and temporary tables are not definitions")
		for _, ddl := range []string{
			"CREATE TABLE p1 (a int)", "ALTER TABLE p1 ADD b int", "ALTER TABLE p1 RENAME a TO c", "DROP TABLE p1",
			"CREATE FUNCTION p2() RETURNS int LANGUAGE sql AS 'SELECT 1'", "CREATE OR REPLACE FUNCTION p2() RETURNS int LANGUAGE sql AS 'SELECT 2'", "DROP FUNCTION p2()",
			"CREATE OR REPLACE VIEW v_customers AS SELECT id, name, city::text AS mail, upper(email) AS loud FROM customers",
			"CREATE OR REPLACE VIEW v_customers AS SELECT id, name, email AS mail, upper(email) AS loud FROM customers",
			"ALTER TABLE orders ENABLE ROW LEVEL SECURITY", "ALTER TABLE orders DISABLE ROW LEVEL SECURITY",
			"CREATE SCHEMA p3", "DROP SCHEMA p3", "ALTER TABLE child NO INHERIT base", "ALTER TABLE child INHERIT base",
		} {
			run(t, conn, ddl)
			after := probe(t, conn)
			require.NotEqual(t, before, after, ddl)
			before = after
		}
		t0 := time.Now()
		probe(t, conn)
		t.Logf("probe takes %v", time.Since(t0))
	})

	st := &State{Catalog: cat, SearchPath: []string{"public"}, StandardStrings: true}
	t.Run("columns", func(t *testing.T) {
		a := NewAnalyzer(Options{})
		for _, q := range corpus {
			desc, err := conn.Prepare(ctx, "", q.sql, nil)
			require.NoError(t, err, q.sql)
			s := a.Analyze([]byte(q.sql), st)
			require.Len(t, s.Statements, 1, q.sql)
			got := s.Statements[0]
			if q.open {
				require.Nil(t, got.Columns, q.sql)
				require.False(t, got.ReadsKnown, q.sql)
				continue
			}
			require.Len(t, got.Columns, len(desc.Fields), q.sql)
			for i, f := range desc.Fields {
				c := got.Columns[i]
				require.Equal(t, f.Name, c.Name, "%s: column %d", q.sql, i)
				if f.TableOID == 0 {
					continue
				}
				ref, ok := cat.Column(f.TableOID, int16(f.TableAttributeNumber))
				require.True(t, ok, q.sql)
				found := false
				for _, src := range c.Sources {
					found = found || src.ColumnRef == ref
				}
				require.True(t, found, "%s: column %s comes from %s, analysis says %v", q.sql, c.Name, ref, c.Sources)
			}
		}
	})

	t.Run("pure", func(t *testing.T) {
		a := NewAnalyzer(Options{})
		for _, q := range []string{
			"SELECT * FROM customers", "SELECT count(*) FROM orders WHERE total > 10 AND note LIKE 'a%'", "TABLE orders",
			"VALUES (1, 'a'), (2, 'b')", "SHOW server_version", "EXPLAIN SELECT * FROM customers", "SELECT now(), random(), clock_timestamp()",
			"SELECT c.name, sum(o.total) FROM customers c JOIN orders o ON o.customer_id = c.id GROUP BY c.name ORDER BY 2 DESC LIMIT 5",
			"SELECT lower(name), id::text, '5'::int, tags[1] FROM customers JOIN orders USING (id)", "SELECT * FROM v_on_view", "SELECT m FROM moods WHERE m = 'sad'",
			"SELECT pg_catalog.lower(name) FROM customers", "SELECT relname FROM pg_class WHERE oid = 'customers'::regclass",
			"SELECT * FROM generate_series(1, 3) g", "SELECT unnest(tags) FROM orders", "SELECT pg_sleep(0)", "SELECT * FROM mv", "SELECT * FROM child",
			"SELECT id IN (1, 2), total BETWEEN 1 AND 2, CASE WHEN id = 1 THEN 'a' END FROM orders", "SELECT * FROM pg_stat_user_tables", "SELECT p, 1::positive FROM moods", "SELECT max(note), replace(note, 'a', 'b') FROM orders WHERE note = 'x' GROUP BY note, id::text",
		} {
			got := a.Analyze([]byte(q), st).Statements[0]
			require.True(t, got.Pure, "%s: %s", q, why(st, q))
			require.Equal(t, protocol.Read, got.Access, q)
		}
		for _, q := range []string{
			"SELECT touch(1)", "SELECT * FROM v_touch", "SELECT * FROM guarded", "SELECT * FROM indexed", "SELECT nextval('s')", "SELECT set_config('a.b', 'c', false)",
			"SELECT pg_advisory_lock(1)", "SELECT pg_notify('a', 'b')", "SELECT txid_current()", "SELECT * FROM customers FOR UPDATE", "SELECT * FROM nowhere",
			"SELECT c FROM colours", "SELECT to_json(c) FROM colours", "SELECT d FROM colours", "SELECT 1::checked", "SELECT * FROM under", "SELECT tag FROM nocase", "SELECT * FROM v_sets", "SELECT query_to_xml('delete from customers', true, true, '')", "SELECT app.lower(name) FROM customers",
			"WITH x AS (DELETE FROM orders RETURNING *) SELECT * FROM x", "SELECT * INTO t2 FROM orders", "EXPLAIN ANALYZE DELETE FROM orders", "SELECT pg_terminate_backend(1)",
			"SELECT c FROM customers c", "SELECT lo_unlink(1)", "SELECT pg_read_file('x')", "SELECT domain_in('1', 1, 1)", "SELECT id OPERATOR(app.+) 1 FROM orders",
		} {
			got := a.Analyze([]byte(q), st).Statements[0]
			require.False(t, got.Pure, q)
		}
		// The compiled code of an extension is trusted with what it is given,
		// not with doing nothing.
		trusted := a.Analyze([]byte("SELECT tag FROM nocase WHERE tag = 'a' AND lower(tag) <> 'b'"), st).Statements[0]
		require.Equal(t, protocol.Read, trusted.Access)
		require.True(t, trusted.ReadsKnown && trusted.Columns[0].Known)
		require.True(t, a.Analyze([]byte("SELECT * FROM v_sets"), st).Statements[0].Effect.Has(RunsCode))
		require.True(t, a.Analyze([]byte("INSERT INTO fired VALUES (1)"), st).Statements[0].Effect.Has(RunsCode))
		require.False(t, a.Analyze([]byte("INSERT INTO orders VALUES (1)"), st).Statements[0].Effect.Has(RunsCode))
		shadowed := &State{Catalog: cat, SearchPath: []string{"app", "public"}, StandardStrings: true}
		require.False(t, a.Analyze([]byte("SELECT lower(name) FROM customers"), shadowed).Statements[0].Pure)
		temp := &State{Catalog: cat, SearchPath: []string{"public"}, StandardStrings: true, Temp: true}
		require.False(t, a.Analyze([]byte("SELECT name FROM customers"), temp).Statements[0].Pure)
		require.True(t, a.Analyze([]byte("SELECT name FROM public.customers"), temp).Statements[0].Pure)
		before := &State{Catalog: cat, SearchPath: []string{"public", "pg_catalog"}, StandardStrings: true}
		require.False(t, a.Analyze([]byte("SELECT name FROM public.customers"), before).Statements[0].Pure)
	})

	t.Run("wire", func(t *testing.T) {
		oid := cat.Lookup("public", "v_on_view").OID
		require.Contains(t, cat.Sources(oid, 1), protocol.Source{ColumnRef: protocol.ColumnRef{Schema: "public", Table: "customers", Column: "email"}, Edge: protocol.EdgeIdentity})
		parted := cat.Sources(cat.Lookup("public", "parted_1").OID, 2)
		require.Contains(t, parted, protocol.Source{ColumnRef: protocol.ColumnRef{Schema: "public", Table: "parted", Column: "email"}, Edge: protocol.EdgeIdentity})
		require.Equal(t, protocol.EdgeUnknown, cat.Sources(999999, 1)[0].Edge)
	})
}

// why returns why the analysis of a query is not proven pure.
func why(st *State, q string) string {
	tree, err := parseText(q)
	if err != nil {
		return err.Error()
	}
	p := newPass(st)
	p.statement(tree.Stmts[0].Stmt)
	return p.impure + "; " + p.unknown
}

// corpus are queries whose columns the server describes.
var corpus = []struct {
	sql  string
	open bool
}{
	{sql: "SELECT * FROM customers"},
	{sql: "SELECT c.*, o.id AS oid FROM customers c LEFT JOIN orders o ON o.customer_id = c.id"},
	{sql: "SELECT * FROM customers JOIN orders USING (id)"},
	{sql: "SELECT * FROM customers NATURAL JOIN orders"},
	{sql: "SELECT * FROM customers NATURAL FULL JOIN orders"},
	{sql: "SELECT * FROM (customers c JOIN orders o ON true) AS j"},
	{sql: "SELECT * FROM customers JOIN orders USING (id) JOIN app.notes USING (id)"},
	{sql: "SELECT j.id, customers.id FROM customers JOIN orders USING (id) AS j"},
	{sql: "SELECT email AS x, name n, 1, 'a', $1::int, NULL FROM customers"},
	{sql: "SELECT upper(email), email || 'x', email::varchar(3), (email), -id FROM customers"},
	{sql: "SELECT count(*), sum(total), max(note), array_agg(id), string_agg(note, ',') FROM orders"},
	{sql: "SELECT (SELECT email FROM customers LIMIT 1), ARRAY(SELECT id FROM orders), EXISTS (SELECT 1), (SELECT 1)"},
	{sql: "SELECT CASE WHEN id = 1 THEN email END, CASE id WHEN 1 THEN 2 ELSE id END, coalesce(name, email), nullif(id, 1), greatest(1, 2), least(id, 2) FROM customers"},
	{sql: "SELECT ROW(1, 2), ARRAY[1, 2], current_date, current_user, localtimestamp, current_schema, session_user"},
	{sql: "WITH c AS (SELECT email FROM customers) SELECT * FROM c"},
	{sql: "WITH c(m, n) AS MATERIALIZED (SELECT email, name FROM customers) SELECT n, m FROM c"},
	{sql: "WITH RECURSIVE t(n, e) AS (SELECT 1, email FROM customers UNION ALL SELECT n + 1, e FROM t WHERE n < 3) SELECT * FROM t"},
	{sql: "SELECT email FROM customers UNION SELECT note FROM orders"},
	{sql: "SELECT id, email FROM customers EXCEPT SELECT id, note FROM orders ORDER BY email"},
	{sql: "SELECT * FROM (SELECT email AS city, city AS email FROM customers) customers"},
	{sql: "SELECT * FROM customers c, LATERAL (SELECT c.email AS le, total FROM orders o WHERE o.customer_id = c.id) l"},
	{sql: "SELECT x.* FROM customers c CROSS JOIN LATERAL (VALUES (c.email), (c.name)) AS x(v)"},
	{sql: "SELECT * FROM v_customers"},
	{sql: "SELECT * FROM v_on_view WHERE m LIKE 'a%'"},
	{sql: "SELECT * FROM mv"},
	{sql: "SELECT * FROM base"},
	{sql: "SELECT * FROM child"},
	{sql: "SELECT * FROM parted"},
	{sql: "SELECT handle FROM customers"},
	{sql: "SELECT ctid, tableoid, xmin FROM customers"},
	{sql: "SELECT c FROM customers c"},
	{sql: "SELECT row_to_json(c), to_jsonb(c.*), c::text FROM customers c"},
	{sql: "SELECT * FROM generate_series(1, 3)"},
	{sql: "SELECT * FROM generate_series(1, 3) AS g"},
	{sql: "SELECT * FROM generate_series(1, 3) WITH ORDINALITY AS g(a, b)"},
	{sql: "SELECT * FROM unnest(ARRAY[1, 2]) u"},
	{sql: "SELECT k.* FROM orders o, jsonb_each(to_jsonb(o.tags)) AS k"},
	{sql: "SELECT * FROM ROWS FROM (generate_series(1, 2), generate_series(1, 3)) AS r"},
	{sql: "SELECT * FROM json_to_record('{}') AS x(a int, b text)"},
	{sql: "SELECT o.id, row_number() OVER (PARTITION BY customer_id ORDER BY total), lag(note) OVER w FROM orders o WINDOW w AS (ORDER BY id)"},
	{sql: "SELECT DISTINCT ON (email) email, name FROM customers ORDER BY email, name"},
	{sql: "SELECT extract(year FROM born), substring(name FROM 1 FOR 2), position('a' IN name), trim(name), overlay(name PLACING 'x' FROM 1), now() AT TIME ZONE 'utc' FROM customers"},
	{sql: "VALUES (1, 'a'), (2, 'b')"},
	{sql: "TABLE orders"},
	{sql: "INSERT INTO orders (id, note) VALUES (5, 'x') RETURNING id, note AS n, *"},
	{sql: "UPDATE customers c SET email = o.note FROM orders o WHERE o.customer_id = c.id RETURNING c.email, o.note, *"},
	{sql: "DELETE FROM customers USING orders WHERE orders.customer_id = customers.id RETURNING customers.email, total"},
	{sql: "WITH d AS (DELETE FROM orders RETURNING note) SELECT * FROM d"},
	{sql: "SELECT xmlelement(name a, email), xmlforest(email), xmlconcat(null) FROM customers"},
	{sql: "SELECT tags[1], (tags)[1:2], tags FROM orders"},
	{sql: "SELECT a.relname, b.attname FROM pg_class a JOIN pg_attribute b ON b.attrelid = a.oid"},
	{sql: "SELECT * FROM pg_stat_activity"},
	{sql: "SELECT * FROM information_schema.tables"},
	{sql: "SELECT touch(id) FROM customers"},
	{sql: "SELECT * FROM touch(1)", open: true},
	{sql: "SELECT (c).* FROM customers c"},
	{sql: "SELECT (c).email, (x.c).*, (x.c).name FROM customers c, (SELECT c FROM customers c) x", open: true},
	{sql: "SELECT (c).email, c.handle FROM v_customers v, customers c"},
	{sql: "SELECT GROUPING(city), city FROM customers GROUP BY ROLLUP (city)"},
	{sql: "SELECT name COLLATE \"C\", name::text, name::char(3), (name)::varchar FROM customers"},
	{sql: "SELECT email FROM customers WHERE id IN (SELECT customer_id FROM orders) FOR UPDATE"},
}

type failing struct{}

func (f failing) Query(context.Context, string, func([][]byte) error) error {
	return errors.New("gone")
}

func TestLoadFails(t *testing.T) {
	_, err := Load(context.Background(), failing{})
	require.ErrorContains(t, err, "catalog: state: gone")
}

// Columns with defaults are many, and generated ones few: the first are not joined with
// everything that depends on anything.
func TestDefaultsAreNotJoinedWithEverything(t *testing.T) {
	conn := startServer(t)
	run(t, conn, servers.SampleSQL)
	run(t, conn, "DO $$ BEGIN EXECUTE 'CREATE TABLE wide (' || (SELECT string_agg(format('c%s text DEFAULT ''x''', g), ', ') FROM generate_series(1, 300) g) || ')'; END $$")
	most := 0
	require.NoError(t, simple{conn}.Query(t.Context(), "EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF) "+which(generatedQuery, ">= 16384"), func(line [][]byte) error {
		if m := regexp.MustCompile(`loops=(\d+)`).FindSubmatch(line[0]); m != nil {
			n, err := strconv.Atoi(string(m[1]))
			most = max(most, n)
			return err
		}
		return nil
	}))
	require.Less(t, most, 1000)
}

// Single-user mode gives objects numbers of the server's own, whose definitions are
// not read: a view of a user's would show what it reads as its own.
func TestObjectsOfSingleUserMode(t *testing.T) {
	l := newLoader(t.Context(), &told{})
	for _, row := range []string{"1259 pg_catalog pg_class r f", "13000 information_schema tables v f", "13700 public seen v f", "16384 public orders r f"} {
		r := record{}
		for v := range strings.SplitSeq(row, " ") {
			r.values = append(r.values, []byte(v))
		}
		require.NoError(t, first(l.relation(&r), r.err))
	}
	var names []string
	for _, r := range l.snap.Relations {
		names = append(names, r.Name)
	}
	require.Equal(t, []string{"pg_class", "tables", "orders"}, names)
}
