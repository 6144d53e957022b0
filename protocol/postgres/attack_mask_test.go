package postgres_test

import (
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/pgtest"
)

// A rule adds results to a statement or takes its place, and what stands in
// RETURNING there, or what a trigger answers in a view's place, is not what the
// statement's text says.
func TestAttackRulesAnswer(t *testing.T) {
	for _, derived := range []bool{false, true} {
		r := newRig(t, rigConfig{steps: []middleware.Step{middleware.MaskWith(middleware.MaskConfig{
			Rules: []mask.Rule{{Name: "mail", Columns: []string{"public.customers.email"}, Transform: mask.Email()}}, AllowDerived: derived})}})
		pgtest.Exec(t, r.pg,
			"create table plain (id int, note text)",
			"create table also (id int, note text); create rule also as on insert to also do also select email from customers",
			"create table instead (id int, note text); create rule instead as on update to instead do instead select email as note from customers",
			"create table answer (id int, note text); create rule answer as on insert to answer do instead insert into plain values (new.id, new.note) returning id, (select email from customers where id = 1)",
			"create view over as select id, note from also; create view constant as select 1 as a from also; create rule gone as on delete to also do also select email from customers",
			"create view trigger as select id, note from plain",
			"create function answer() returns trigger language plpgsql as $$ begin new.note := (select email from customers where id = 1); return new; end $$",
			"create trigger answer instead of insert on trigger for each row execute function answer()",
		)
		hj := rawSession(t, r, "")
		out := ""
		for _, q := range []string{
			"insert into also values (1, 'x')", "update instead set note = 'x'", "insert into answer values (1, 'x') returning id, note",
			"insert into over values (1, 'x')", "delete from constant", "insert into trigger values (1, 'x') returning note", "insert into trigger values (1, 'x') returning *",
			"with a as (insert into answer values (1, 'x') returning note) select note from a", "explain analyze insert into answer values (1, 'x')",
		} {
			out += seen(t, hj, 1, query(q))
		}
		requireClean(t, out)
		require.Contains(t, seen(t, hj, 1, query("insert into plain values (1, 'x') returning note")), "row [x]")
		require.Contains(t, seen(t, hj, 1, query("insert into trigger values (1, 'x')")), "INSERT 0 1")
	}
}

// No definition that the step lets through takes a column out of its rule.
func TestAttackDefinitionsMoveColumns(t *testing.T) {
	for _, texts := range [][]string{
		{"alter schema public rename to q", "select email from q.customers"},
		{"alter table people rename column email to e", "select e from staff", "select e from people"},
		{"create temp table x ()", "alter table people rename email to e", "select e from staff", "select e from people"},
		{"begin; alter table people rename email to e; commit", "select e from staff"},
		{"alter type person rename attribute email to e cascade", "select e from typed"},
		{"create foreign table f (email text) server loop options (table_name 'customers')", "select email from f"},
		{"create schema f", "import foreign schema public limit to (customers) from server loop into f", "select email from f.customers"},
		{"alter foreign table far options (set table_name 'customers')", "select email from far"},
		{"alter function dblink(text, text) immutable", "alter function dblink(text) immutable", "alter function dblink(text, boolean) immutable", "alter function dblink(text, text, boolean) immutable",
			"select lower(e) from dblink('here', 'select email from customers') as t (e text)"},
		{"select dblink_exec('here', 'create table copied as select email as e from customers')", "create table noticed (a int)", "select e from copied"},
		{"select * from dblink('here', 'update orders set item = (select email from customers where id = 1) returning 1') as t (a int)", "select item from orders"},
		{"select * from crosstab('select 1, 2, set_config(''timezone'', ''<'' || email || ''>0'', false) from customers where id = 1') as t (a int, b text)", "show timezone"},
	} {
		rules := middleware.Mask(mask.Rule{Name: "below", Columns: []string{"public.staff.email", "public.typed.email"}, Transform: mask.Redact()})
		r := newRig(t, rigConfig{steps: []middleware.Step{maskCustomers(), rules}})
		host, port, err := net.SplitHostPort(r.pg.Addr)
		require.NoError(t, err)
		login := "options (user '" + r.pg.Superuser.User + "', password '" + r.pg.Superuser.Secret.Reveal() + "')"
		server := " options (host '" + host + "', port '" + port + "', dbname 'postgres')"
		pgtest.Exec(t, r.pg,
			"create table people (id int, email text); create table staff () inherits (people); insert into staff values (1, 'bela@example.org')",
			"create type person as (id int, email text); create table typed of person; insert into typed values (1, 'bela@example.org')",
			"create extension postgres_fdw; create extension dblink; create extension tablefunc",
			"create server loop foreign data wrapper postgres_fdw"+server, "create user mapping for current_user server loop "+login,
			"create server here foreign data wrapper dblink_fdw"+server, "create user mapping for current_user server here "+login,
			"create foreign table far (email text) server loop options (table_name 'orders')",
		)
		hj := rawSession(t, r, "")
		out := ""
		for _, q := range texts {
			out += seen(t, hj, 1, query(q))
		}
		requireClean(t, strings.ToLower(out))
	}
}

// What changes the session's settings unseen is followed all the same: a
// default, a constraint, the constraint of a domain, a view that only the
// session can see, and what stands before the last statement of a text.
func TestAttackSettingsChangeUnseen(t *testing.T) {
	const set = "set_config('search_path', 'public', false)"
	for name, c := range map[string]struct{ texts []string }{
		"default":                  {[]string{"create table d (id int, s text default " + set + ")", "insert into d (id) values (1)"}},
		"constraint":               {[]string{"create table d (id int check (" + set + " is not null))", "insert into d values (1)"}},
		"domain":                   {[]string{"create domain d as text check (" + set + " is not null)", "select 'x'::d"}},
		"column of a domain":       {[]string{"create domain d as text check (" + set + " is not null)", "create table e (id int, d d)", "insert into e values (1, 'x')"}},
		"default of a domain":      {[]string{"create domain d as text default " + set, "create table e (id int, d d)", "insert into e (id) values (1)"}},
		"domain over a domain":     {[]string{"create domain d as text check (" + set + " is not null)", "create domain d2 as d", "create table e (id int, d d2)", "insert into e values (1, 'x')"}},
		"array of a domain":        {[]string{"create domain d as text check (" + set + " is not null)", "create table e (id int, d d[])", "insert into e values (1, '{x}')"}},
		"composite":                {[]string{"create domain d as text check (" + set + " is not null)", "create type ct as (d d)", "create table e (id int, d ct)", "insert into e values (1, '(x)')"}},
		"temporary view":           {[]string{"create temp view v as select " + set + " as s", "select * from v"}},
		"temporary view, schema":   {[]string{"create temp view v as select " + set + " as s", "select * from pg_temp.v"}},
		"temporary domain":         {[]string{"create domain pg_temp.d as text check (" + set + " is not null)", "select 'x'::pg_temp.d"}},
		"view":                     {[]string{"create view v as select " + set + " as s", "select * from v"}},
		"view of this transaction": {[]string{"begin", "create view v as select " + set + " as s", "select * from v", "commit"}},
		"policy": {[]string{"create policy p on orders using (" + set + " is not null)", "alter table orders enable row level security", "create role app",
			"grant usage on schema quiet to app; grant all on public.customers, orders, quiet.customers to app", "set role app", "select count(*) from orders"}},
		"policy on a change": {[]string{"create policy p on orders using (true) with check (" + set + " is not null)", "alter table orders enable row level security", "create role app",
			"grant usage on schema quiet to app; grant all on public.customers, orders, quiet.customers to app", "set role app", "update orders set item = 'x' where id = 1"}},
		"domain of the transaction": {[]string{"begin", "create domain d as text check (" + set + " is not null)", "select 'x'::d", "commit"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, rigConfig{steps: []middleware.Step{maskCustomers()}})
			pgtest.Exec(t, r.pg, "create schema quiet; create table quiet.customers (email text); insert into quiet.customers values ('nothing')",
				"alter database postgres set search_path = quiet, public")
			const read = "select upper(email) from customers"
			last := len(c.texts) - 1
			for _, end := range [][]string{
				{c.texts[last], read},
				{c.texts[last] + "; " + read},
				{"prepare a as " + read, c.texts[last] + "; execute a"},
			} {
				hj := rawSession(t, r, "")
				out := seen(t, hj, 1, query("select 1 from customers"))
				for _, q := range slices.Concat(c.texts[:last], end) {
					out += seen(t, hj, 1, query(q))
				}
				requireClean(t, strings.ToLower(out))
			}
		})
	}
}

// The same for how texts are read, which decides what is a string: what was
// sent at once is decided before the target can have told.
func TestAttackStringsChangeUnseen(t *testing.T) {
	const set = "set_config('standard_conforming_strings', 'off', false)"
	const read = `select '\', ' , upper(email) from public.customers --'`
	for name, texts := range map[string][]string{
		"temporary view":            {"create temp view v as select " + set + " as s", "select * from v"},
		"temporary view, shadowing": {"create temp view orders as select " + set + " as s", "select * from orders"},
		"temporary view, schema":    {"create temp view v as select " + set + " as s", "select * from pg_temp.v"},
		"temporary domain":          {"create domain pg_temp.d as text check (" + set + " is not null)", "select 'x'::pg_temp.d"},
		"temporary table":           {"create temp table d (id int, s text default " + set + ")", "insert into d (id) values (1)"},
		"default":                   {"create table d (id int, s text default " + set + ")", "insert into d (id) values (1)"},
		"view":                      {"create view v as select " + set + " as s", "select * from v"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, rigConfig{steps: []middleware.Step{maskCustomers()}})
			hj := rawSession(t, r, "")
			out := seen(t, hj, 1, query("select 1 from customers"))
			for _, q := range texts[:len(texts)-1] {
				out += seen(t, hj, 1, query(q))
			}
			out += seen(t, hj, 1, query("select 1 from public.customers"))
			out += seen(t, hj, 2, query(texts[len(texts)-1]), query(read))
			requireClean(t, strings.ToLower(out))
		})
	}
}
