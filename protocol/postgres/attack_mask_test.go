package postgres_test

import (
	"net"
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
			"create extension postgres_fdw; create extension dblink",
			"create server loop foreign data wrapper postgres_fdw"+server, "create user mapping for current_user server loop "+login,
			"create server here foreign data wrapper dblink_fdw"+server, "create user mapping for current_user server here "+login,
			"create foreign table far (email text) server loop options (table_name 'orders')",
		)
		hj := rawSession(t, r, "")
		out := ""
		for _, q := range texts {
			out += seen(t, hj, 1, query(q))
		}
		requireClean(t, out)
	}
}
