package postgres_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/pgtest"
)

func maskCustomers() middleware.Step {
	return middleware.Mask(
		mask.Rule{Name: "mail", Columns: []string{"public.customers.email"}, Transform: mask.Email()},
		mask.Rule{Name: "ssn", Columns: []string{"public.customers.ssn"}, Transform: mask.KeepLast(4)},
		mask.Rule{Name: "card", Columns: []string{"public.customers.card"}, Transform: mask.Null()},
		mask.Rule{Name: "born", Columns: []string{"public.customers.birthday"}, Transform: mask.Default()},
	)
}

// secrets are values that no client may see while maskCustomers is on.
var secrets = []string{"ada.marlowe", "900-12-3456", "12-3456", "4111", "1984-02-29", "bela@", "5555-5555"}

func requireClean(t *testing.T, out string) {
	t.Helper()
	for _, s := range secrets {
		require.NotContains(t, out, s)
	}
}

func TestMaskBySourceNotByName(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{maskCustomers()}})
	for _, q := range []string{
		"select * from customers order by id",
		"select name, email as city, ssn s, card c, birthday from customers order by id",
		"select x.e from (select email as e from customers) x",
		"with c as (select ssn from customers) select * from c",
		"select contact from customer_orders limit 3",
		"select upper(email), reverse(ssn), card || '', left(email, 3), birthday::text from customers",
		"select email from customers union all select ssn from customers",
		"select row_to_json(c) from customers c",
		"select c from customers c",
		"select array_agg(email) from customers",
		"select max(ssn), min(birthday) from customers",
		"select (select email from customers limit 1)",
		"table customers",
		"begin; declare c cursor for select email, ssn from customers; fetch all from c; commit",
		"prepare p as select email from customers; execute p",
	} {
		out, err := r.psql(t, "-Atc", q)
		require.NoError(t, err, "%s: %s", q, out)
		requireClean(t, out)
		require.NotEmpty(t, out, q)
	}
	out, err := r.psql(t, "-Atc", "select id, name, email, ssn, card, birthday from customers where id = 1")
	require.NoError(t, err)
	require.Equal(t, "1|Ada Marlowe|***@example.com|*******3456||1970-01-01", strings.TrimSpace(out))
	out, err = r.psql(t, "-Atc", "select id, name, notes from customers where id = 4; select count(*) from customers; select item from orders where id = 1")
	require.NoError(t, err)
	require.Equal(t, "4|Dara O'Sullivan|two\nlines\n5\nitem 1", strings.TrimSpace(out))
}

// A cursor that outlives its transaction is still known for what it reads.
func TestMaskCursorsWithHold(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{maskCustomers(), middleware.Block()}})
	out, err := r.psql(t, "-At", "-c", "declare c cursor with hold for select id, email from customers order by id", "-c", "begin", "-c", "fetch c", "-c", "commit", "-c", "fetch c", "-c", "close c")
	require.NoError(t, err, out)
	requireClean(t, out)
	require.Contains(t, out, "1|***@example.com")
	require.Contains(t, out, "2|***@example.org")
}

// Drivers that prepare once and execute many times see no RowDescription
// again; the binary format has masks of its own.
func TestMaskPreparedAndBinary(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{maskCustomers()}})
	for _, mode := range []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"} {
		conn := r.connect(t, "&default_query_exec_mode="+mode)
		for range 3 {
			rows, err := conn.Query(t.Context(), "select id, email, ssn, card, birthday, name from customers order by id")
			require.NoError(t, err)
			n := 0
			for rows.Next() {
				v, err := rows.Values()
				require.NoError(t, err)
				requireClean(t, fmt.Sprint(v...))
				require.Nil(t, v[3])
				n++
			}
			require.NoError(t, rows.Err(), mode)
			require.Equal(t, 5, n)
		}
	}
	conn := r.connect(t, "")
	// Execute without any Describe: the gateway has to ask for itself.
	sd, err := conn.PgConn().Prepare(t.Context(), "s", "select email, ssn from customers", nil)
	require.NoError(t, err)
	for _, f := range []int16{0, 1} {
		res := conn.PgConn().ExecPrepared(t.Context(), sd.Name, nil, nil, []int16{f}).Read()
		require.NoError(t, res.Err)
		require.Len(t, res.Rows, 5)
		requireClean(t, fmt.Sprintf("%s", res.Rows))
	}
}

func TestMaskCoversCopyErrorsAndNotices(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{maskCustomers()}})
	pgtest.Exec(t, r.pg, `create function tell() returns int language plpgsql as $$ declare e text; begin select email into e from customers where id = 1; raise notice 'the mail is %', e; return 1; end $$`)
	conn := r.connect(t, "")
	var buf bytes.Buffer
	_, err := conn.PgConn().CopyTo(t.Context(), &buf, "copy customers to stdout")
	require.NoError(t, err)
	requireClean(t, buf.String())
	buf.Reset()
	_, err = conn.PgConn().CopyTo(t.Context(), &buf, "copy orders (id, item) to stdout")
	require.NoError(t, err)
	require.Contains(t, buf.String(), "item 7")
	for _, q := range []string{
		"select email::int from customers",
		"select 1/length(email) from customers where email::date is null",
		"select tell()",
		"insert into customers (id, name, email, ssn) select id, name, email, ssn from customers",
		"update customers set notes = email",
		"create table leak as select email from customers",
		"do $$ begin raise exception '%', (select email from customers limit 1); end $$",
	} {
		out, _ := r.psql(t, "-Atc", q)
		requireClean(t, out)
	}
	out, err := r.psql(t, "-Atc", "select notes from customers where id in (1, 2) order by id")
	require.NoError(t, err)
	requireClean(t, out)
}

// A definition that changes between two executions of one prepared statement
// takes nothing out of the mask.
func TestMaskFollowsRenames(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{maskCustomers()}})
	conn := r.connect(t, "")
	read := func() string {
		rows, err := conn.Query(t.Context(), "select * from customers order by id")
		if err != nil {
			return err.Error()
		}
		var out []string
		for rows.Next() {
			v, err := rows.Values()
			require.NoError(t, err)
			out = append(out, fmt.Sprint(v...))
		}
		return strings.Join(out, "\n")
	}
	requireClean(t, read())
	// Past the gateway: until it has noticed, names it does not know are the
	// worst.
	pgtest.Exec(t, r.pg, "create view v as select name, email from customers", "alter table customers rename column ssn to renamed")
	for _, q := range []string{"select * from v", "select renamed from customers"} {
		out, _ := r.psql(t, "-Atc", q)
		requireClean(t, out)
	}
	requireClean(t, read())
	// Within the transaction that makes it nobody else can see the definition.
	_, err := conn.Exec(t.Context(), "create view w as select name, phone from customers")
	require.NoError(t, err)
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "alter view w rename to w2")
	require.NoError(t, err)
	rows, err := tx.Query(t.Context(), "select * from w2")
	require.NoError(t, err)
	rows.Close()
	require.NoError(t, tx.Commit(t.Context()))
	out, err := r.psql(t, "-Atc", "select * from w2 order by name limit 1")
	require.NoError(t, err)
	require.Contains(t, out, "Ada Marlowe|+1 202-555-0142")
}

func TestUnmaskedResultIsByteForByteTheServers(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{maskCustomers()}})
	direct, err := pgx.Connect(t.Context(), r.pg.SuperuserDSN())
	require.NoError(t, err)
	defer direct.Close(t.Context())
	through := r.connect(t, "")
	q := "select id, name, notes, created_at, phone from customers order by id"
	read := func(c *pgx.Conn) []*pgconn.Result {
		res, err := c.PgConn().Exec(t.Context(), q).ReadAll()
		require.NoError(t, err)
		return res
	}
	a, b := read(direct), read(through)
	require.Equal(t, a[0].Rows, b[0].Rows)
	require.Equal(t, a[0].FieldDescriptions, b[0].FieldDescriptions)
}

// What drivers, frameworks and tools ask about a server and its definitions is
// answered as the server does.
func TestMasksLeaveWhatToolsAsk(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{maskCustomers()}})
	direct, err := pgx.Connect(t.Context(), r.pg.SuperuserDSN())
	require.NoError(t, err)
	defer direct.Close(t.Context())
	through := r.connect(t, "")
	const rel = "'customers'::regclass"
	for _, q := range []string{
		"SET DateStyle=ISO; SELECT set_config('bytea_output','hex',false) FROM pg_show_all_settings() WHERE name = 'bytea_output'; SET client_encoding='UTF8'", // pgAdmin
		"SELECT s.name, unit FROM pg_catalog.pg_show_all_settings() s WHERE name = 'work_mem'",
		"SELECT version(), current_setting('server_version_num')::integer AS numeric_version, current_setting('TimeZone', true)", // Prisma
		"SHOW transaction isolation level; SHOW server_version_num; SHOW standard_conforming_strings",
		"SELECT current_schemas(false), current_schema(), current_catalog, session_user",
		// JDBC: the columns of a key.
		"SELECT a.attname, (information_schema._pg_expandarray(i.indkey)).n AS key_seq, information_schema._pg_expandarray(i.indkey) AS keys FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_index i ON a.attrelid = i.indrelid WHERE i.indisprimary AND i.indrelid = " + rel + " AND a.attnum = 1",
		"SELECT k.x, k.n FROM pg_index i, information_schema._pg_expandarray(i.indkey) k WHERE i.indrelid = " + rel + " ORDER BY 1",
		// Django, TypeORM, Rails, SQLAlchemy: indexes.
		"SELECT indexname, array_agg(attname ORDER BY arridx), indisunique, array_agg(ordering ORDER BY arridx) FROM (SELECT c2.relname AS indexname, idx.*, attr.attname, CASE option & 1 WHEN 1 THEN 'DESC' ELSE 'ASC' END AS ordering" +
			" FROM (SELECT * FROM pg_index i, unnest(i.indkey, i.indoption) WITH ORDINALITY koi(key, option, arridx)) idx LEFT JOIN pg_class c2 ON idx.indexrelid = c2.oid LEFT JOIN pg_attribute attr ON attr.attrelid = idx.indrelid AND attr.attnum = idx.key" +
			" WHERE idx.indrelid = " + rel + ") s2 GROUP BY 1, 3 ORDER BY 1",
		"SELECT i.relname, array_agg(a.attname ORDER BY k.n) FROM pg_index ix JOIN pg_class i ON i.oid = ix.indexrelid JOIN LATERAL unnest(ix.indkey) WITH ORDINALITY k(attnum, n) ON true JOIN pg_attribute a ON a.attrelid = ix.indrelid AND a.attnum = k.attnum WHERE ix.indrelid = " + rel + " GROUP BY 1 ORDER BY 1",
		"SELECT i.indkey, i.indkey[0], a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey) WHERE i.indrelid = " + rel + " ORDER BY 1",
		"SELECT a.attname FROM (SELECT indrelid, indkey, generate_subscripts(indkey, 1) idx FROM pg_index WHERE indrelid = " + rel + " AND indisprimary) i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[i.idx] ORDER BY i.idx",
		// Analysts: who has left something out.
		"SELECT id, email IS NOT NULL AS has_mail, CASE WHEN card IS NULL THEN 'none' ELSE 'some' END FROM customers ORDER BY id",
		"SELECT bool_or(birthday IS NULL), sum(CASE WHEN card IS NULL THEN 1 ELSE 0 END), count(birthday) FROM customers",
		// Which of them is the first, or is there twice.
		"SELECT id, row_number() OVER (PARTITION BY card ORDER BY id), rank() OVER w, dense_rank() OVER w, percent_rank() OVER w, cume_dist() OVER w, count(*) OVER (PARTITION BY email) FROM customers WINDOW w AS (ORDER BY birthday) ORDER BY id",
		"SELECT name FROM (SELECT name, row_number() OVER (PARTITION BY ssn ORDER BY id DESC) AS ssn FROM customers) x WHERE ssn = 1 ORDER BY name",
		"SELECT proname, unnest(proargtypes) FROM pg_proc WHERE proname = 'array_length'",
	} {
		want, err := direct.PgConn().Exec(t.Context(), q).ReadAll()
		require.NoError(t, err, q)
		got, err := through.PgConn().Exec(t.Context(), q).ReadAll()
		require.NoError(t, err, q)
		require.Equal(t, want, got, q)
	}
	for _, q := range []string{"select current_setting('a.b', true) is null", "select current_setting(name) from pg_settings where name = 'work_mem'", "select setting from pg_show_all_settings() where name = 'search_path'"} {
		got, err := through.PgConn().Exec(t.Context(), q).ReadAll()
		require.NoError(t, err, q)
		require.Contains(t, []string{"***", "f"}, string(got[0].Rows[0][0]), q)
	}
}

// What fails, or is over, leaves no doubt behind about what names mean.
func TestMaskKnowsNamesAgain(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{maskCustomers()}})
	hj := rawSession(t, r, "")
	for _, c := range [][]string{
		{"create temp table x as select 1 / 0", "copy (select name from customers where id = 1) to stdout"},
		{"begin", "create temp table x as select 1 / 0", "rollback", "create view clean as select name from customers", "drop view clean"},
		{"set search_path = public", "create view clean as select name from customers", "drop view clean"},
		{"set search_path = public", "begin", "prepare p as select name from customers where id = 1", "execute p", "commit"},
	} {
		for _, q := range c {
			out := seen(t, hj, 1, query(q))
			require.NotContains(t, out, "42501", q)
			require.NotContains(t, out, "***", q)
		}
	}
	// Nor does a pipeline that a Query ends in the place of a Sync.
	call := &pgproto3.FunctionCall{Function: 1299, ResultFormatCode: 1} // now()
	for name, end := range map[string]pgproto3.FrontendMessage{"Query": query("select 1"), "empty Query": query(""), "Query that fails": query("select 1/0"), "FunctionCall": call} {
		hj := rawSession(t, r, "")
		seen(t, hj, 1, &pgproto3.Parse{Query: "set search_path = public"}, &pgproto3.Bind{}, &pgproto3.Execute{}, end)
		require.Contains(t, seen(t, hj, 1, query("select name from customers where id = 1")), "Ada Marlowe", name)
	}
}

// What the gateway asks about a session's state may be refused for a while: names
// are known again as soon as it is answered.
func TestMaskAfterADeniedQuestion(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{maskCustomers()}})
	out, err := r.psql(t, "-At", "-c", "create role plain", "-c", "grant select on customers to plain", "-c", "revoke all on function pg_my_temp_schema() from public",
		"-c", "set role plain", "-c", "select id, upper(email) from customers where id = 1", "-c", "reset role", "-c", "grant execute on function pg_my_temp_schema() to public",
		"-c", "set role plain", "-c", "select id, upper(name) from customers where id = 1")
	require.NoError(t, err, out)
	require.NotContains(t, strings.ToLower(out), "ada.marlowe@")
	require.Contains(t, out, "\n1|ADA MARLOWE\n", "hidden though names are known again:\n%s", out)
}
