package pgsql

import (
	"context"
	"errors"
	"flag"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/pgsql/querygen"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/pgtest"
)

var inferenceQueries = flag.Int("inference.queries", 1500, "how many random queries TestInference runs")

// inferred writes what a statement tells as "table.column:how", with ? behind it where
// that may not be all.
func inferred(s Statement) string {
	var out []string
	for _, i := range s.Inferred {
		out = append(out, strings.TrimPrefix(i.ColumnRef.String(), "public.")+":"+i.How.String())
	}
	if !s.InferredKnown {
		out = append(out, "?")
	}
	return strings.Join(out, " ")
}

func TestInferred(t *testing.T) {
	st := testState()
	for _, c := range []struct{ sql, want string }{
		// What is shown is masked, and tells nothing beside.
		{"select email, name from customers", ""},
		{"select *, upper(email), email || 'x', left(email, 3), max(note) over () from customers, orders", ""},
		{"select max(email), count(*), string_agg(email, ',') from customers", ""},
		{"select count(*) from customers", ""},
		{"select id from (select id, email from customers) x", ""},
		{"insert into orders (note) values ('x')", ""},
		{"update orders set note = 'x'", ""},
		{"copy customers to stdout", ""},
		// One constant.
		{"select id from customers where email = 'x'", "customers.email:equality"},
		{"select id from customers where email = $1", "customers.email:equality"},
		{"select id from customers where $1::text = email", "customers.email:equality"},
		{"select id from customers where email = lower('X')", "customers.email:equality"},
		{"select id from customers where not (email <> 'x')", "customers.email:equality"},
		{"select id from customers where email is distinct from 'x' and name = 'y'", "customers.email:equality customers.name:equality"},
		{"select id from customers where email in ('x')", "customers.email:equality"},
		{"select nullif(email, 'x') from customers", "customers.email:equality"},
		{"select email = 'x' from customers", "customers.email:equality"},
		{"select count(*) filter (where email = 'x') from customers", "customers.email:equality"},
		{"select case email when 'x' then 1 end from customers", "customers.email:equality"},
		{"select id from customers where case when email = 'x' then true else false end", "customers.email:equality customers.email:computed"},
		{"update customers set name = 'x' where email = 'x'", "customers.email:equality"},
		{"delete from customers where email = 'x'", "customers.email:equality"},
		{"select 1 from customers group by city having email = 'x'", "customers.city:group customers.email:equality"},
		{"explain select 1 from customers where email = 'x'", "customers.email:equality"},
		{"copy (select 1 from customers where email = 'x') to stdout", "customers.email:equality"},
		{"declare c cursor for select 1 from customers where email = 'x'", "customers.email:equality"},
		{"prepare p as select 1 from customers where email = 'x'", ""},
		// Arrays of arrays of one length only.
		{"select array[email], array(select email from customers) from customers", ""},
		{"select array[tags, array['x']] from orders", "orders.tags:computed"},
		{"select array(select tags from orders)", "orders.tags:computed"},
		// NULL.
		{"select id from customers where email is null", "customers.email:null"},
		{"select count(email) from customers", "customers.email:null"},
		{"select coalesce(email, '-') from customers", "customers.email:null"},
		{"select id from customers where upper(email) is not null", "customers.email:computed"},
		{"select count(nullif(email, 'x')) from customers", "customers.email:equality customers.email:computed"},
		// Several, from anywhere.
		{"select id from customers where email in ('x', 'y')", "customers.email:list"},
		{"select id from customers where email = any($1)", "customers.email:list"},
		{"select id from customers where email <> all(array['x'])", "customers.email:list"},
		{"select id from customers where email = 'x' or email = 'y'", "customers.email:equality customers.email:list"},
		{"select case email when 'x' then 1 when 'y' then 2 end from customers where email = 'x'", "customers.email:equality customers.email:list"},
		{"select id from customers where email in (select note from orders)", "customers.email:list orders.note:list"},
		{"select id from customers c where exists (select 1 from orders o where o.note = c.email)", "customers.email:join orders.note:join"},
		{"select v.x from customers c join (values ('x'), ('y')) v(x) on v.x = c.email", "customers.email:list"},
		{"select g from customers c, generate_series(1, 10) g where g = c.id", "customers.id:list"},
		{"select (select count(*) from customers where email = v.x) from (values ('x')) v(x)", "customers.email:list"},
		{"select email from customers intersect select 'x'", "customers.email:list"},
		{"select email from customers union select 'x'", "customers.email:list"},
		{"select email from customers union all select 'x'", ""},
		{"with recursive r(e) as (select email from customers union all select e from r where e = 'x') select 1 from r", "customers.email:equality"},
		{"with recursive r(e) as (select email from customers union select e from r) select 1 from r", "customers.email:list"},
		// Joins.
		{"select c.id from customers c join orders o on o.note = c.email", "customers.email:join orders.note:join"},
		{"select 1 from customers join orders using (id)", "customers.id:join orders.id:join"},
		{"select 1 from customers c natural join (select id from orders) o", "customers.id:list orders.id:list"},
		{"update orders set note = 'x' from customers c where c.email = orders.note", "customers.email:join orders.note:join"},
		{"merge into orders o using customers c on c.email = o.note when matched and c.city like 'a%' then do nothing", "customers.city:pattern customers.email:join orders.note:join"},
		// Groups and order.
		{"select count(*) from customers group by email", "customers.email:group"},
		{"select email, count(*) from customers group by 1", "customers.email:group"},
		{"select email as e, count(*) from customers group by rollup (e)", "customers.email:group"},
		{"select email, count(*) from customers group by grouping sets ((1), ())", "customers.email:group"},
		{"select distinct email from customers", "customers.email:group"},
		{"select distinct on (email) id from customers", "customers.email:group"},
		{"select distinct on (2) id, email from customers", "customers.email:group"},
		{"select count(distinct email) from customers", "customers.email:null customers.email:group"},
		{"select row_number() over (partition by email) from customers", "customers.email:group"},
		{"select id from customers order by email", "customers.email:order"},
		{"select id, email from customers order by 2", "customers.email:order"},
		{"select id, email from customers order by 1", "customers.id:order"},
		{"select id, email as e from customers order by e desc limit 1", "customers.email:order"},
		{"select id from customers order by upper(email)", "customers.email:computed"},
		{"select rank() over w from customers window w as (order by email)", "customers.email:order"},
		{"select array_agg(id order by email) from customers", "customers.email:order"},
		{"select percentile_disc(0.5) within group (order by email) from customers", "customers.email:order"},
		// Ranges, patterns, and anything else.
		{"select id from customers where email > 'a' and name between 'a' and 'b'", "customers.email:range customers.name:range"},
		{"select id from customers where email = (select max(email) from customers)", "customers.email:list customers.email:computed"},
		{"select id from customers where email like 'a%'", "customers.email:pattern"},
		{"select id from customers where email ~ '^a'", "customers.email:pattern"},
		{"select id from customers where email similar to 'a%'", "customers.email:pattern"},
		{"select id from customers where length(email) = 5", "customers.email:computed"},
		{"select id from customers where substr(email, 1, 1) = 'a'", "customers.email:computed"},
		{"select id from customers where starts_with(email, 'a')", "customers.email:computed"},
		{"select id from customers where email::varchar(3) = 'abc'", "customers.email:computed"},
		{"select id from (select id, left(email, 1) as l from customers) x where l = 'a'", "customers.email:computed"},
		{"select id from (select id, email = 'x' as t from customers) x where t", "customers.email:equality customers.email:computed"},
		{"select id from customers limit (select length(email) from customers limit 1)", "customers.email:computed"},
		{"select 1 from customers tablesample system (length('x'))", ""},
		{"select x from customers, generate_series(1, length(email)) x", "customers.email:computed"},
		{"select id from customers, string_to_table(email, 'a')", "customers.email:computed"},
		{"select handle from customers where handle = 'x'", "customers.email:computed customers.handle:equality"},
		// Errors, time and NULL tell as well.
		{"select email::int from customers", "customers.email:computed"},
		{"select 1 / (ascii(email) - 97) from customers", "customers.email:computed"},
		{"select case when email like 'a%' then 1 / 0 end from customers", "customers.email:pattern"},
		{"select case when email > 'a' then pg_sleep(1) end from customers", "customers.email:range"},
		{"select substring(email from '^a') from customers", "customers.email:computed"},
		{"select substring(email from 1 for 2) from customers", ""},
		{"select total + 9223372036854775807 from orders", "orders.total:computed"},
		{"select tags[3] from orders", "orders.tags:computed"},
		{"select email like 'a%' and 1 / 0 = 1 from customers", "customers.email:pattern"},
		{"select repeat(email, 1000000) from customers", "customers.email:computed"},
		{"select x || x from (select email || email as x from customers) s", "customers.email:computed"},
		{"select concat(upper(x), x) from (select email || email as x from customers) s", "customers.email:computed"},
		{"select concat(email, ' ', upper(name)), email || ' ' || name from customers", ""},
		{"update orders set note = 'x' where exists (select 1 from customers where email like 'a%')", "customers.email:pattern"},
		{"insert into customers (id, email) values (1, 'x') on conflict (email) do nothing", "customers.email:equality"},
		{"insert into customers (id, email) values (1, 'x') on conflict do nothing", "customers.email:equality customers.id:equality"},
		{"insert into customers (id, email) select id, note from orders on conflict (email) do nothing", "customers.email:list"},
		// Definitions are checked against what there is.
		{"create index on customers (email)", ""},
		{"create unique index on customers (email)", "customers.email:group"},
		{"create index on orders (lower(note))", "orders.customer_id:computed orders.id:computed orders.note:computed orders.tags:computed orders.total:computed"},
		{"create table t (a text references orders (note))", "orders.note:list"},
		{"alter table t add foreign key (a) references orders (note)", "orders.note:list"},
		{"alter table child add check (secret like 'a%')", "app.grand.id:computed app.grand.secret:computed base.id:computed base.secret:computed child.id:computed child.more:computed child.secret:computed"},
		// A collation may take much for equal.
		{"select id from customers where email = 'x' collate \"C\"", "customers.email:equality"},
		{"select id from customers where email = 'x' collate coarse", "customers.email:pattern"},
		{"select id from customers where email = ('x' collate coarse)::text", "customers.email:pattern"},
		{"select case email collate coarse when 'x' then 1 end from customers", "customers.email:pattern"},
		// Views, and what is not known.
		{"select id from v", "customers.city:equality"},
		{"select id from v where mail = 'x'", "customers.city:equality customers.email:equality v.mail:equality"},
		{"select x from v_broken", "?"},
		{"select touch(id) from customers", "customers.id:computed ?"},
		{"select 1 from nowhere", "?"},
		{"select 1 from customers where nothing = 1", "?"},
		{"select nothing from customers", ""},
		{"select current_setting('a.b')", ""},
		{"select id from customers where email = current_setting('a.b')", "customers.email:equality ?"},
		{"select 1 from pg_stats", ""},
		{"execute p", "?"},
		{"call p()", "?"},
	} {
		assert.Equal(t, c.want, inferred(analyze1(t, st, c.sql)), c.sql)
	}
}

// TestInference runs random queries on two databases that differ in the values of
// masked columns only, and not in which of them are NULL. What the analysis says to
// tell nothing of them has to come out alike in all that is not masked: the rows,
// which masked values are NULL, and the error.
func TestInference(t *testing.T) {
	pg := pgtest.Start(t)
	conns := []*pgconn.PgConn{connect(t, pg)}
	run(t, conns[0], "CREATE DATABASE other")
	config, err := pgconn.ParseConfig(pg.SuperuserDSN())
	require.NoError(t, err)
	config.Database = "other"
	ctx := context.Background()
	other, err := pgconn.ConnectConfig(ctx, config)
	require.NoError(t, err)
	t.Cleanup(func() { _ = other.Close(ctx) })
	conns = append(conns, other)
	run(t, conns[0], querygen.Schema)
	run(t, conns[1], querygen.Other)
	cat, err := Load(ctx, simple{conns[0]})
	require.NoError(t, err)
	for _, c := range conns {
		run(t, c, "SET statement_timeout = '2s'; SET default_transaction_read_only = on; SET search_path = public")
	}
	st := &State{Catalog: cat, SearchPath: []string{"public"}, StandardStrings: true}
	masked := querygen.Masks
	a := NewAnalyzer(Options{})
	ran, compared, failed, differ := 0, 0, 0, 0
	for i := range *inferenceQueries {
		m := querygen.New(uint64(i) + 1_000_000)
		q := m.Query(1 + i%3)
		stmt := a.Analyze([]byte(q), st).Statements[0]
		if stmt.ReadsKnown && !slices.ContainsFunc(stmt.Reads, func(c protocol.ColumnRef) bool { return masked(c.String(), "") }) {
			continue
		}
		ran++
		quiet := stmt.InferredKnown
		for _, i := range stmt.Inferred {
			quiet = quiet && !masked(i.ColumnRef.String(), i.Path)
		}
		seen := make([]string, len(conns))
		for k, c := range conns {
			seen[k] = shownBy(t, c, q, &stmt, masked)
		}
		switch {
		case slices.Contains(seen, "error 57014"):
		case !quiet && seen[0] != seen[1]:
			differ++
		case quiet:
			compared++
			if strings.HasPrefix(seen[0], "error") {
				failed++
			}
			require.Equal(t, seen[0], seen[1], "%s\nsays only %s", q, inferred(stmt))
		}
	}
	t.Logf("%d queries, %d said to tell nothing, %d of them failed; %d of the others came out different", ran, compared, failed, differ)
	require.Greater(t, compared, ran/50)
	require.Greater(t, differ, ran/50)
}

// shownBy is what a query shows, with only whether there is a value where that is masked.
func shownBy(t *testing.T, c *pgconn.PgConn, q string, stmt *Statement, masked func(string, string) bool) string {
	results, err := c.Exec(context.Background(), q).ReadAll()
	if err != nil {
		var e *pgconn.PgError
		require.True(t, errors.As(err, &e), q)
		return "error " + e.Code
	}
	var rows []string
	for _, row := range results[0].Rows {
		var b strings.Builder
		for k, v := range row {
			hidden := k >= len(stmt.Columns) || !stmt.Columns[k].Known
			for i := 0; !hidden && i < len(stmt.Columns[k].Sources); i++ {
				hidden = masked(stmt.Columns[k].Sources[i].ColumnRef.String(), stmt.Columns[k].Sources[i].Path)
			}
			switch {
			case v == nil:
				b.WriteString("NULL|")
			case hidden:
				b.WriteString("*|")
			default:
				b.Write(append(v, '|'))
			}
		}
		rows = append(rows, b.String())
	}
	slices.Sort(rows)
	return strings.Join(rows, "\n")
}
