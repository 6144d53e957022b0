package postgres_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/postgres"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/pgtest"
)

const restrictedSchema = `
create function spent(c int) returns numeric language plpgsql as $$ begin return (select sum(amount) from orders where customer_id = c); end $$;
create function mail(c int) returns text language plpgsql as $$ begin return (select email from customers where id = c); end $$;
create function dynamic(t text) returns setof text language plpgsql as $$ begin return query execute 'select ' || t || '::text from customers order by id'; end $$;
create view mails as select id, upper(email) as m, name from customers;
create materialized view kept as select id, ssn, name from customers;
revoke all on function spent, mail, dynamic from public; grant execute on function spent, mail, dynamic to public;
`

func masksColumns(c protocol.ColumnRef) bool {
	return c.Table == "customers" && (c.Column == "email" || c.Column == "ssn" || c.Column == "card" || c.Column == "birthday" || c.Column == "*")
}

// newRestricted is a rig whose target has a restricted login, made by the SQL that
// is printed for it.
func newRestricted(t *testing.T) *rig {
	file := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(file, []byte("read less\n"), 0o600))
	options := map[string]string{"sslmode": "disable", "restricted_user": "reader", "restricted_password_file": file}
	r := newRig(t, rigConfig{steps: []middleware.Step{maskCustomers()}, options: options,
		pg: []pgtest.Option{pgtest.SQL(restrictedSchema), pgtest.HBA("host all reader 127.0.0.1/32 scram-sha-256")}})
	renew(t, r)
	pgtest.Exec(t, r.pg, "alter role reader password 'read less'")
	return r
}

func renew(t *testing.T, r *rig) string {
	var sql bytes.Buffer
	srv := &postgres.Server{}
	require.NoError(t, srv.WriteRestrictedRole(t.Context(), &sql,
		protocol.Resource{Name: "pg", Protocol: "postgres", Addr: r.pg.Addr, Options: map[string]string{"sslmode": "disable", "restricted_user": "reader", "dbname": "postgres"}},
		protocol.Credentials{User: r.pg.Superuser.User, Secret: r.pg.Superuser.Secret}, masksColumns))
	pgtest.Exec(t, r.pg, sql.String())
	return sql.String()
}

// What cannot be analysed runs under the restricted login: the server answers it,
// or says that it may not.
func TestRestrictedLogin(t *testing.T) {
	r := newRestricted(t)
	hj := rawSession(t, r, "")
	for q, want := range map[string]string{
		"select spent(1)":                                  "row [",
		"select dynamic('name')":                           "row [Ada Marlowe]",
		"do $$ begin perform 1 / 0; end $$":                "error 22012 division by zero",
		"do $$ begin perform spent(1); end $$":             "DO\n",
		"select mail(1)":                                   "error 42501 permission denied for table customers",
		"select dynamic('email')":                          "error 42501 permission denied for table customers",
		"do $$ begin perform mail(1); end $$":              "error 42501 permission denied for table customers",
		"update customers set notes = email":               "error 42501 permission denied for table customers",
		"create table leak as select email from customers": "error 42501 permission denied",
		"select current_user, dynamic('id')":               "row [reader 1]",
		"select email from customers where id = 1":         "row [***@example.com]",
		"select current_user":                              "row [postgres]",
		"select dynamic('(select m from mails limit 1)')":  "error 42501 permission denied for view mails",
		"select dynamic('(select ssn from kept limit 1)')": "error 42501 permission denied for materialized view kept",
	} {
		if r.pg.Superuser.User != "postgres" {
			want = strings.ReplaceAll(want, "[postgres]", "["+r.pg.Superuser.User+"]")
		}
		out := seen(t, hj, 1, query(q))
		require.Contains(t, out, want, q)
		requireClean(t, strings.ToLower(out))
	}
	restricted := 0
	for e, err := range audit.Events(r.dir) {
		require.NoError(t, err)
		if e.Action != nil && e.Action.Restricted {
			restricted++
		}
	}
	require.GreaterOrEqual(t, restricted, 10, "the journal says so")

	// Its session is like the client's.
	seen(t, hj, 1, query("set search_path = pg_catalog"))
	require.Contains(t, seen(t, hj, 1, query("do $$ begin perform spent(1); end $$")), "error 42883")
	seen(t, hj, 1, query("set search_path = public; set timezone = 'Asia/Tokyo'"))
	require.Contains(t, seen(t, hj, 1, query("select dynamic('current_setting(''timezone'')') limit 1")), "row [Asia/Tokyo]")

	// What the session alone has, or a transaction, stays where it is.
	out := seen(t, hj, 1, query("begin"))
	out += seen(t, hj, 1, query("do $$ begin perform spent(1); end $$"))
	out += seen(t, hj, 1, query("rollback"))
	require.Contains(t, out, "not known which columns this reads")
	require.Contains(t, seen(t, hj, 1, query("select 1; do $$ begin end $$")), "not known which columns this reads")
	seen(t, hj, 1, query("create temp table orders (amount int, customer_id int)"))
	require.Contains(t, seen(t, hj, 1, query("do $$ begin end $$")), "not known which columns this reads")
}

// A restricted login that could read what is masked is not used.
func TestRestrictedLoginIsProven(t *testing.T) {
	r := newRestricted(t)
	const q = "do $$ begin perform spent(1); end $$"
	ask := func() string { return seen(t, rawSession(t, r, ""), 1, query(q)) }
	require.Contains(t, ask(), "DO\n")
	for what, undo := range map[string]string{
		"grant select (email) on customers to reader": "revoke select (email) on customers from reader",
		"grant select on customers to public":         "revoke select on customers from public",
		"grant select (m) on mails to reader":         "revoke select (m) on mails from reader",
		"grant select on kept to reader":              "revoke select on kept from reader",
		"grant pg_read_all_data to reader":            "revoke pg_read_all_data from reader",
		"create role other; grant select on customers to other; grant other to reader; alter role reader noinherit": "revoke other from reader",
		"alter role reader createrole":          "alter role reader nocreaterole",
		"alter role reader superuser":           "alter role reader nosuperuser",
		"alter table customers owner to reader": "alter table customers owner to current_user",
		"create function definer() returns text security definer language sql as 'select email from customers limit 1'": "revoke execute on function definer() from public",
		"create view late as select ssn as n from customers; grant select on late to reader":                            "revoke select on late from reader",
	} {
		pgtest.Exec(t, r.pg, what)
		out := ask()
		require.Contains(t, out, "which is not in order", what)
		pgtest.Exec(t, r.pg, undo)
		renew(t, r)
		require.Contains(t, ask(), "DO\n", "after %s", undo)
	}
	pgtest.Exec(t, r.pg, "alter role reader password 'another'")
	require.Contains(t, ask(), "which is not in order")
}

func TestRestrictedRoleIsPrinted(t *testing.T) {
	r := newRestricted(t)
	pgtest.Exec(t, r.pg, "create function definer() returns text security definer language sql as 'select 1::text'; grant select on kept to public; create schema \"o\"\"dd\"; create table \"o\"\"dd\".\"t\"\"x\" (\"c\"\"y\" int)")
	sql := renew(t, r)
	for _, want := range []string{
		`GRANT SELECT ("id", "name", "phone", "notes", "created_at") ON TABLE "public"."customers" TO "reader"; -- not "birthday", "card", "email", "ssn"`,
		`GRANT SELECT ON TABLE "public"."orders" TO "reader";`,
		`GRANT SELECT ("id", "name") ON TABLE "public"."mails" TO "reader"; -- not "m"`,
		`GRANT SELECT ("id", "name") ON TABLE "public"."kept" TO "reader"; -- not "ssn"`,
		`GRANT SELECT ON TABLE "o""dd"."t""x" TO "reader";`,
		"-- REVOKE EXECUTE ON FUNCTION public.definer() FROM PUBLIC;",
		"-- REVOKE SELECT ON TABLE public.kept FROM PUBLIC;",
	} {
		require.Contains(t, sql, want)
	}
	require.NotContains(t, sql, "read less")
}

// The restricted login may read no more than the gateway's account at the target.
func TestRestrictedRoleReadsNoMore(t *testing.T) {
	r := newRestricted(t)
	pgtest.Exec(t, r.pg, "create role app login password 'app'; grant select on orders to app; grant select (id, name, email) on customers to app",
		"create schema own; create table own.t (a int)")
	var sql bytes.Buffer
	require.NoError(t, (&postgres.Server{}).WriteRestrictedRole(t.Context(), &sql,
		protocol.Resource{Name: "pg", Protocol: "postgres", Addr: r.pg.Addr, Options: map[string]string{"sslmode": "disable", "restricted_user": "reader", "dbname": "postgres"}},
		protocol.Credentials{User: "app", Secret: protocol.NewSecret("app")}, masksColumns))
	require.Contains(t, sql.String(), `GRANT SELECT ON TABLE "public"."orders" TO "reader";`)
	require.Contains(t, sql.String(), `GRANT SELECT ("id", "name") ON TABLE "public"."customers" TO "reader"; -- not "birthday"`)
	for _, none := range []string{`ON TABLE "public"."logins" TO`, `ON TABLE "public"."kept" TO`, `ON TABLE "own"."t" TO`, `USAGE ON SCHEMA "own"`} {
		require.NotContains(t, sql.String(), none)
	}
	require.Contains(t, sql.String(), `REVOKE ALL ON TABLE "own"."t" FROM "reader";`)
	pgtest.Exec(t, r.pg, sql.String())
}

// Rules that detect, and steps without a restricted login, do not let it run.
func TestRestrictedNeedsColumns(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{maskCustomers()}})
	require.Contains(t, seen(t, rawSession(t, r, ""), 1, query("do $$ begin end $$")), "not known which columns this reads")
	for options, ok := range map[string]bool{"restricted_user": true, "restricted_password_file": false} {
		err := (&postgres.Server{}).CheckTarget(protocol.Resource{Addr: "x:1", Options: map[string]string{"sslmode": "disable", options: "x"}})
		require.Equal(t, ok, err == nil, options)
	}
}
