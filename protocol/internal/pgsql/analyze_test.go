package pgsql

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol"
)

func analyze1(t testing.TB, st *State, q string) Statement {
	t.Helper()
	s := NewAnalyzer(Options{}).Analyze([]byte(q), st)
	require.Len(t, s.Statements, 1, q)
	return s.Statements[0]
}

// lineage writes a statement's columns as "name<-table.column:edge,...", with
// ? for what is not known.
func lineage(s Statement) string {
	if s.Columns == nil {
		return "?"
	}
	edges := map[protocol.Edge]string{protocol.EdgeUnknown: "u", protocol.EdgeIdentity: "i", protocol.EdgeTransform: "t", protocol.EdgeAggregate: "a", protocol.EdgeOpaque: "o", protocol.EdgeNull: "n"}
	var out []string
	for _, c := range s.Columns {
		var src []string
		for _, x := range c.Sources {
			src = append(src, strings.TrimPrefix(x.String(), "public.")+":"+edges[x.Edge])
		}
		known := ""
		if !c.Known {
			known = "?"
		}
		out = append(out, c.Name+known+"<-"+strings.Join(src, ","))
	}
	return strings.Join(out, " ")
}

func TestLineage(t *testing.T) {
	st := testState()
	for _, c := range []struct{ sql, want string }{
		{"select email from customers", "email<-customers.email:i"},
		{"select c.email as x from customers c", "x<-customers.email:i"},
		{`select "email" from public.customers`, "email<-customers.email:i"},
		{"select upper(email), email || 'x', email::text, email::varchar(3) from customers", "upper<-customers.email:t ?column?<-customers.email:t email<-customers.email:i email<-customers.email:t"},
		{"select 1, 'a', $1, null", "?column?<- ?column?<- ?column?<- ?column?<-"},
		{"select count(*), count(email), sum(total), max(note), string_agg(note, ',') from orders, customers", "count<- count<- sum<-orders.total:a max<-orders.note:t string_agg<-orders.note:t"},
		{"select count(*) filter (where email like 'a%') from customers", "count<-"},
		{"select handle from customers", "handle<-customers.email:t,customers.handle:i"},
		{"select city from (select email as city from customers) customers", "city<-customers.email:i"},
		{"with a as (select email from customers), b as (select email as e from a) select e from b", "e<-customers.email:i"},
		{"with recursive t(n, e) as (select 1, note from orders union all select n + 1, email from t, customers) select e, n from t", "e<-customers.email:i,orders.note:i n<-"},
		{"with recursive t(a, b) as (select note, 'x' from orders union all select b, a from t) select b from t", "b<-orders.note:i"},
		{"with recursive a as (select * from b), b as (select email from customers) select * from a", "?"},
		{"select email from customers union select note from orders", "email<-customers.email:i,orders.note:i"},
		{"select 'x' union all select email from customers", "?column?<-customers.email:i"},
		{"select id from customers join orders using (id)", "id<-customers.id:i,orders.id:i"},
		{"select * from (select id, email from customers) a natural join (select id, note from orders) b", "id<-customers.id:i,orders.id:i email<-customers.email:i note<-orders.note:i"},
		{"select mail, loud from v", "mail<-customers.email:i,v.mail:i loud<-customers.email:t,v.loud:i"},
		{"select m from vv", "m<-customers.email:i,v.mail:i,vv.m:i"},
		{"select x from v_broken", "x?<-v_broken.x:i"},
		{"select x from v_loop", "x?<-v_loop.x:i"},
		{"select secret from base", "secret<-app.grand.secret:i,base.secret:i,child.secret:i"},
		{"select secret from child", "secret<-app.grand.secret:i,base.secret:i,child.secret:i"},
		{"select secret from app.grand", "secret<-app.grand.secret:i,base.secret:i,child.secret:i"},
		{"select b from base b", "b<-app.grand.id:o,app.grand.secret:o,base.*:o,base.id:o,base.secret:o,child.id:o,child.secret:o"},
		{"select (select email from customers limit 1) as e, exists (select 1 from customers where email = 'x')", "e<-customers.email:i exists<-customers.email:t"},
		{"select id in (select id from customers where email like 'a%') as x from orders", "x<-customers.email:t,customers.id:t,orders.id:t"},
		{"select case when email = 'x' then 1 else 2 end from customers", "case<-customers.email:t"},
		{"select email is null from customers", "?column?<-customers.email:n"},
		{"select case when email is not null then 'yes' else 'no' end, sum(case when email is null then 1 else 0 end) from customers", "case<-customers.email:n sum<-customers.email:n"},
		{"select nullif(email, 'x') is null, upper(email) is null, max(email) is null from customers", "?column?<-customers.email:t ?column?<-customers.email:t ?column?<-customers.email:t"},
		{"select (email is null) is null, coalesce(email, 'x') is null from customers", "?column?<-customers.email:n ?column?<-customers.email:t"},
		{"select case when email is null then '' else email end, email is null and email like 'a%' from customers", "email<-customers.email:t ?column?<-customers.email:t"},
		{"select c is null from customers c", "?column?<-customers.*:o,customers.city:o,customers.email:o,customers.handle:o,customers.id:o,customers.name:o"},
		{"select n from (select email is null as n from customers) x union select id from orders", "n<-customers.email:n,orders.id:i"},
		{"select note[1], x from orders, unnest(tags) x", "note<-orders.note:t x<-orders.tags:t"},
		{"select k.value from orders, json_each(note) k", "value<-orders.note:t"},
		{"select e from customers c, lateral (select c.email as e) l", "e<-customers.email:i"},
		{"select touch(id) from customers", "touch?<-customers.id:u"},
		{"select email(c) from customers c", "email?<-customers.*:u,customers.city:u,customers.email:u,customers.handle:u,customers.id:u,customers.name:u"},
		{"select c.fullname from customers c", "fullname?<-customers.*:o,customers.city:o,customers.email:o,customers.handle:o,customers.id:o,customers.name:o"},
		{"select row_number() over (order by email), lag(note) over (partition by id) from customers, orders o where o.id = 1", ""},
		{"select most_common_vals from pg_stats", "most_common_vals?<-pg_catalog.pg_stats.most_common_vals:i"},
		{"select current_setting('a.b')", "current_setting?<-"},
		{"select current_setting('TimeZone'), current_setting('server_version_num', true)", "current_setting<- current_setting<-"},
		{"select current_setting(city), current_setting($1) from customers", "current_setting?<-customers.city:t current_setting?<-"},
		{"select current_setting('time' || 'zone')", "current_setting?<-"},
		{"select x, n from orders, information_schema._pg_expandarray(tags) k", "x<-orders.tags:t n<-orders.tags:t"},
		{"select _pg_expandarray(tags) from orders", "_pg_expandarray?<-orders.tags:u"},
		{"select table_to_xml('customers', true, true, '')", "table_to_xml?<-"},
		{"select nothing from customers", "nothing?<-"},
		{"select * from nowhere", "?"},
		{"select a.email from nowhere a", "email?<-"},
		{"select email from customers, nowhere", "email?<-customers.email:i"},
		{"insert into orders (note) select email from customers returning note, id", "note<-orders.note:i id<-orders.id:i"},
		{"update orders set note = c.email from customers c returning c.email, orders.note", "email<-customers.email:i note<-orders.note:i"},
		{"delete from customers returning *", "id<-customers.id:i name<-customers.name:i email<-customers.email:i city<-customers.city:i handle<-customers.email:t,customers.handle:i"},
		{"with d as (delete from customers returning email) select email from d", "email<-customers.email:i"},
		{"copy customers (email) to stdout", "email<-customers.email:i"},
		{"copy customers to stdout", "id<-customers.id:i name<-customers.name:i email<-customers.email:i city<-customers.city:i"},
		{"copy (select upper(email) from customers) to stdout", "upper<-customers.email:t"},
		{"table customers", "id<-customers.id:i name<-customers.name:i email<-customers.email:i city<-customers.city:i handle<-customers.email:t,customers.handle:i"},
		{"select x.a from (customers as x(a, b, c) join orders on true) where c = 'y'", "a<-customers.id:i"},
		{"select o.mail from (select * from customers) as o(mail)", "mail<-customers.id:i"},
		{"values (1, 'a'), (2, (select email from customers))", "column1<- column2<-customers.email:i"},
		{"select array(select email from customers), array[email], row(email) from customers", "array<-customers.email:t array<-customers.email:t row<-customers.email:t"},
		{"select coalesce(null, email), nullif(email, ''), greatest(email, 'a') from customers", "coalesce<-customers.email:t nullif<-customers.email:t greatest<-customers.email:t"},
		{"select percentile_disc(0.5) within group (order by email) from customers", "percentile_disc<-customers.email:t"},
		{"select row_number() over (partition by email), rank() over w, count(*) over w, lag(id) over w, rank(id) over w from customers window w as (order by email)", "row_number<- rank<- count<- lag<-customers.email:a,customers.id:t rank<-customers.email:a,customers.id:t"},
		{"select rank('x') within group (order by email), ntile(2) over (order by email), touch(id) over (order by email) from customers", "rank<-customers.email:t ntile?<-customers.email:a touch?<-customers.email:a,customers.id:u"},
		{"select (c).email from customers c", ""},
		{"select json_build(c) from customers c", ""},
	} {
		got := lineage(analyze1(t, st, c.sql))
		if c.want == "" {
			t.Logf("%s: %s", c.sql, got)
			continue
		}
		require.Equal(t, c.want, got, c.sql)
	}
}

func TestReads(t *testing.T) {
	st := testState()
	for _, c := range []struct {
		sql, want string
		unknown   bool
	}{
		{"select 1 from customers where email = 'x'", "customers.email", false},
		{"select name from customers order by email", "customers.email customers.name", false},
		{"select count(*) from customers", "", false},
		{"select count(*) from customers group by city having max(email) > 'a'", "customers.city customers.email", false},
		{"select o.note from orders o join customers c on c.email = o.note", "customers.email orders.note", false},
		{"select id from v", "customers.city customers.email customers.id v.id", false},
		{"update orders set note = 'x' where total > 3", "orders.total", false},
		{"insert into orders (note) select email from customers", "customers.email", false},
		{"explain select email from customers", "customers.email", false},
		{"prepare p as select email from customers", "customers.email", false},
		{"create table t as select email from customers", "customers.email", false},
		{"select touch(1)", "", true},
		{"select 1 from customers where touch(id) = 1", "customers.id", true},
		{"do 'x'", "", true}, {"call p()", "", true}, {"execute p", "", true}, {"fetch c", "", true},
		{"select x from v_evil", "customers.id v_evil.x", true},
		{"set a.b = 1", "", false},
		{"select 1 from customers natural join nowhere", "", true},
		{"select rowcount from customers", "", true},
	} {
		s := analyze1(t, st, c.sql)
		var got []string
		for _, r := range s.Reads {
			got = append(got, strings.TrimPrefix(r.String(), "public."))
		}
		require.Equal(t, c.unknown, !s.ReadsKnown, c.sql)
		if !c.unknown {
			require.Equal(t, c.want, strings.Join(got, " "), c.sql)
		}
	}
}

func TestAccess(t *testing.T) {
	st := testState()
	const (
		r, w, s, a, x, c, o = protocol.Read, protocol.Write, protocol.Schema, protocol.Admin, protocol.Execute, protocol.Control, protocol.Opaque
	)
	for _, k := range []struct {
		sql   string
		verb  protocol.Verb
		want  protocol.Access
		flags Flags
	}{
		{"select 1", "select", r, 0},
		{"values (1)", "values", r, 0},
		{"table customers", "select", r, 0},
		{"select 1 into x", "create table as", r | w | s, DDL},
		{"select 1 into temp x", "create table as", r | w | s, DDL | CreatesTemp},
		{"with x as (delete from orders returning *) select * from x", "select", r | w, 0},
		{"with x as (insert into orders values (1)) update customers set name = ''", "update", w, 0},
		{"insert into orders values (1)", "insert", w, 0},
		{"insert into orders values (1) returning id", "insert", r | w, 0},
		{"select touch(1)", "select", r | x, RunsCode},
		{"select nextval('a')", "select", r | w, 0},
		{"select set_config('role', 'x', true)", "select", r | c, SetsState | Local},
		{"select pg_terminate_backend(1)", "select", r | a, 0},
		{"truncate customers", "truncate", w, 0},
		{"drop table customers", "drop table", s, DDL},
		{"drop schema a cascade", "drop schema", s, DDL},
		{"alter table customers drop column email", "alter table", w | s, DDL},
		{"alter table customers owner to bob", "alter table", s | a, DDL},
		{"create temp table t (a int)", "create table", s, DDL | CreatesTemp},
		{"create table pg_temp.t (a int)", "create table", s, DDL | CreatesTemp},
		{"create function pg_temp.f() returns int language sql as 'select 1'", "create function", s | x, DDL | CreatesTemp | RunsCode},
		{"create table t (a int default touch(1))", "create table", s | x, DDL | RunsCode},
		{"create index on customers (touch(id))", "create index", s | x, DDL | RunsCode},
		{"create view x as select email from customers", "create view", s, DDL},
		{"create trigger t before insert on customers execute function touch()", "create trigger", s | x, DDL | RunsCode},
		{"grant select on customers to bob", "grant", a, DDL},
		{"grant admin to bob", "grant", a, DDL},
		{"create role bob", "create role", a, DDL},
		{"alter system set work_mem = 1", "alter system", a, DDL},
		{"load 'x'", "load", a | x, DDL | RunsCode},
		{"do 'x'", "do", x, RunsCode},
		{"call p()", "call", x, RunsCode},
		{"copy customers to stdout", "copy", r, CopyOut},
		{"copy customers from stdin", "copy", w, CopyIn},
		{"copy customers to program 'x'", "copy", r | x | a, CopyProgram | RunsCode},
		{"copy customers from '/etc/passwd'", "copy", w | x | a, CopyFile},
		{"copy (delete from orders returning *) to stdout", "copy", r | w, CopyOut},
		{"explain select 1", "explain", r, 0},
		{"explain delete from orders", "explain", r, 0},
		{"explain analyze delete from orders", "explain", r | w, 0},
		{"explain (analyze off) delete from orders", "explain", r, 0},
		{"explain (analyze 1) delete from orders", "explain", r | w, 0},
		{"explain select touch(1)", "explain", r | x, RunsCode},
		{"begin", "begin", c, TxBegin}, {"start transaction read only", "start transaction", c, TxBegin | SetsState | Local}, {"commit", "commit", c, TxEnd}, {"end", "commit", c, TxEnd}, {"abort", "rollback", c, TxEnd},
		{"commit and chain", "commit", c, TxBegin | TxEnd}, {"savepoint a", "savepoint", c, Savepoint}, {"rollback to a", "rollback to savepoint", c, Savepoint}, {"release a", "release savepoint", c, Savepoint},
		{"prepare transaction 'x'", "prepare transaction", c, TxEnd}, {"commit prepared 'x'", "commit prepared", w | c, DDL},
		{"set search_path = a", "set", c, SetsState}, {"set local role x", "set", c, SetsState | Local}, {"reset all", "reset", c, SetsState}, {"set session authorization x", "set", c, SetsState},
		{"discard all", "discard", c, Discard | SetsState | Deallocate | CloseCursor | Listen}, {"show search_path", "show", r, 0},
		{"prepare p as delete from orders", "prepare", c, Prepare}, {"execute p", "execute", o, Execute}, {"deallocate p", "deallocate", c, Deallocate},
		{"declare c cursor for select 1", "declare", r, DeclareCursor}, {"declare c binary cursor with hold for select 1", "declare", r, DeclareCursor | Binary | Hold}, {"fetch c", "fetch", o, Fetch}, {"move c", "move", o, Fetch}, {"close c", "close", c, CloseCursor},
		{"listen a", "listen", c, Listen}, {"notify a", "notify", c, Notify}, {"lock customers", "lock", c, 0}, {"vacuum customers", "vacuum", s, 0}, {"analyze", "analyze", s, 0}, {"checkpoint", "checkpoint", a, 0},
		{"refresh materialized view v", "refresh materialized view", r | w, 0},
		{"create schema s create table t (a int) grant select on t to bob", "create schema", s | a, DDL},
		{"select nonsense from from", "unknown", o, RunsCode | DDL | SetsState | CreatesTemp},
	} {
		got := analyze1(t, st, k.sql)
		require.Equal(t, k.verb, got.Verb, k.sql)
		require.Equal(t, k.want.String(), got.Access.String(), k.sql)
		require.Equal(t, k.flags, got.Effect.Flags, k.sql)
	}
	require.Equal(t, Effect{Flags: SetsState, Setting: "search_path", Values: []string{"a", "b"}}, analyze1(t, st, "set search_path to a, 'b'").Effect)
	require.Equal(t, Effect{Flags: SetsState, Setting: "search_path", Values: []string{"x"}}, analyze1(t, st, "select set_config('Search_Path', 'x', false)").Effect)
	require.Equal(t, "", analyze1(t, st, "select set_config(email, 'x', false) from customers").Effect.Setting)
}

func TestBounded(t *testing.T) {
	st := testState()
	for sql, want := range map[string]bool{
		"update customers set name = ''": false, "delete from customers": false, "delete from customers where true": false,
		"delete from customers where 1 = 1": false, "delete from customers where id = id": false, "delete from customers c where c.id = id": false,
		"delete from customers where id = 1": true, "delete from customers where id = 1 or true": false, "delete from customers where id = 1 and true": true,
		"delete from customers where id in (select 1)": true, "update customers set name = '' where $1": false, "delete from customers where current of c": true,
		"select 1": true, "explain analyze delete from customers": false, "with d as (delete from orders) select 1": false, "delete from customers where not false": false,
		"truncate customers": false, "insert into orders (id) values (1)": true,
		"merge into customers c using orders o on c.id = o.id when matched then delete":                                            true,
		"merge into customers c using orders o on true when matched then delete":                                                   false,
		"merge into customers c using orders o on true when matched and c.id = 1 then delete":                                      true,
		"merge into customers c using orders o on c.id = o.id when not matched by source then delete":                              false,
		"merge into customers c using orders o on true when not matched then insert (id) values (1)":                               true,
		"merge into customers c using orders o on c.id = o.id when matched then do nothing when not matched by source then delete": false,
	} {
		require.Equal(t, want, analyze1(t, st, sql).Bounded, sql)
	}
}

func TestNotPure(t *testing.T) {
	st := testState()
	for _, q := range []string{
		"select touch(1)", "select x from v_evil", "select x from v_broken", "select email from customers for update", "select * from far", "select p from typed", "select c from typed", "select c from customers c",
		"select nextval('a')", "select query_to_xml('x', true, true, '')", "select 1 where id = 1", "select id from nowhere", "select 1::positive", "select app.lower('a')", "select 1 operator(app.+) 2", "select unheard(1)",
	} {
		require.False(t, analyze1(t, st, q).Pure, q)
	}
	for _, q := range []string{"select m from typed", "select email from customers where id = $1", "select m from typed where m = $1", "select lower(email), id + 1, id::text from customers", "select mail from v", "select count(*), now(), random() from customers where id = 1", "explain select 1", "show search_path"} {
		require.True(t, analyze1(t, st, q).Pure, "%s: %s", q, why(st, q))
	}
	shadow := &State{Catalog: st.Catalog, SearchPath: []string{"app", "public"}, StandardStrings: true}
	for _, q := range []string{"select lower(email) from public.customers", "select id + 1 from public.customers"} {
		require.False(t, analyze1(t, shadow, q).Pure, q)
	}
	// pg_catalog comes first unless it is listed later: its text is meant.
	require.True(t, analyze1(t, shadow, "select id::text from public.customers").Pure)
	require.False(t, analyze1(t, &State{Catalog: st.Catalog, SearchPath: []string{"app", "pg_catalog"}, StandardStrings: true}, "select 'a'::text").Pure)
	require.False(t, analyze1(t, &State{StandardStrings: true}, "select id from customers").Pure)
}

func TestRefused(t *testing.T) {
	st := testState()
	a := NewAnalyzer(Options{MaxText: 1000})
	for _, q := range []string{"select 1 \x00", "select '\xff'", strings.Repeat(" ", 1001), "select", "\\"} {
		s := a.Analyze([]byte(q), st)
		if q == "select" {
			continue // valid: no columns
		}
		require.Len(t, s.Statements, 1)
		require.Equal(t, protocol.Opaque, s.Statements[0].Access)
		require.NotEmpty(t, s.Statements[0].Why)
		require.Equal(t, []string{strings.TrimSpace(q)}, s.Texts([]byte(q)))
	}
	off := *st
	off.StandardStrings = false
	require.Equal(t, protocol.Opaque, a.Analyze([]byte(`select '\'`), &off).Statements[0].Access)
	require.Equal(t, protocol.Read, a.Analyze([]byte(`select 'a'`), &off).Statements[0].Access)
	for _, q := range []string{"", " ", ";", ";;", "-- x", "/* x */ ;"} {
		require.Empty(t, a.Analyze([]byte(q), st).Statements, q)
	}
}

func TestTexts(t *testing.T) {
	st := testState()
	a := NewAnalyzer(Options{})
	for range 2 {
		for q, want := range map[string][]string{
			"select 1; select 'a;b' ;":     {"select 1", "select 'a;b'"},
			"select 2; select ';' ;":       {"select 2", "select ';'"},
			";; select 1 ;;; select $$;$$": {"select 1", "select $$;$$"},
			"create function f() returns int language sql begin atomic select 1; select 2; end; select 3": {"create function f() returns int language sql begin atomic select 1; select 2; end", "select 3"},
			"select U&'a;b'; select 1": {"select U&'a;b'", "select 1"},
		} {
			require.Equal(t, want, a.Analyze([]byte(q), st).Texts([]byte(q)), q)
		}
	}
}

// TestCacheBounds fills a small cache from many goroutines and looks that it
// stays small and right.
func TestCacheBounds(t *testing.T) {
	st := testState()
	a := NewAnalyzer(Options{CacheEntries: 64, CacheBytes: 256 << 10})
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range 300 {
				q := fmt.Sprintf("select email as c%d from customers where id = %d", (i*7+g)%200, i)
				s := a.Analyze([]byte(q), st)
				if len(s.Statements) != 1 || s.Statements[0].Columns[0].Name != fmt.Sprintf("c%d", (i*7+g)%200) {
					t.Errorf("%s: %+v", q, s.Statements)
				}
			}
		}()
	}
	wg.Wait()
	n, bytes := a.cache.Size()
	require.Positive(t, n)
	require.LessOrEqual(t, n, 64)
	require.LessOrEqual(t, bytes, 256<<10)
}

// TestStateIsPartOfTheKey analyses one text in states that differ in one thing
// each.
func TestStateIsPartOfTheKey(t *testing.T) {
	a := NewAnalyzer(Options{})
	st := testState()
	q := []byte("select lower(email) from customers where id = 1")
	require.True(t, a.Analyze(q, st).Statements[0].Pure)
	for _, other := range []*State{
		{Catalog: nil, SearchPath: st.SearchPath, StandardStrings: true},
		{Catalog: st.Catalog, SearchPath: []string{"app", "public"}, StandardStrings: true},
		{Catalog: st.Catalog, SearchPath: []string{"apppublic"}, StandardStrings: true},
		{Catalog: st.Catalog, SearchPath: st.SearchPath, StandardStrings: true, Temp: true},
	} {
		require.False(t, a.Analyze(q, other).Statements[0].Pure)
	}
	require.True(t, a.Analyze(q, st).Statements[0].Pure)
}

// However long one session's texts take, the others' are analysed meanwhile;
// and what has too many statements takes nobody's turn.
func TestLongTextsKeepNobodyWaiting(t *testing.T) {
	a := NewAnalyzer(Options{})
	a.long <- struct{}{} // a long text is being parsed
	st := &State{StandardStrings: true}
	if s := a.Analyze([]byte("select 1"), st); s.Statements[0].Verb != "select" {
		t.Fatalf("%+v", s.Statements[0])
	}
	for range cap(a.parsing) {
		a.parsing <- struct{}{}
	}
	for _, text := range []string{"select;", "execute a;", "select 'x;y' -- ;\n;"} {
		s := a.Analyze([]byte(strings.Repeat(text, maxStatements+1)), st)
		if len(s.Statements) != 1 || s.Statements[0].Why != whyTooMany {
			t.Fatalf("%s: %+v", text, s.Statements[0])
		}
	}
	for range cap(a.parsing) {
		<-a.parsing
	}
	<-a.long
	text := strings.Repeat("select 1 + 1;", maxStatements) + "select '" + strings.Repeat(";", maxStatements) + "'"
	if s := a.Analyze([]byte(strings.Replace(text, "select 1 + 1;", "", 1)), st); len(s.Statements) != maxStatements {
		t.Fatalf("%+v", s.Statements[0])
	}
}
