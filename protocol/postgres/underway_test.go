package postgres_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/pgtest"
)

// definitions are some that can be changed so that the same text reads what is
// masked.
var definitions = []string{
	"drop schema if exists defs cascade; create schema defs; set search_path = defs, public",
	"create view places as select id, name::text as city, email::text as mail from customers",
	"create view spots as select id, name::text as city from customers",
	"create view mails as select id, email::text as city from customers",
	"create table noted (id int, city text)", "insert into noted values (1, 'x')",
	"create table people (email text)",
	"create function initcap(x varchar) returns text language sql as 'select max(email)::text from customers'", "alter function initcap(varchar) rename to other",
	"create table towns (id int, city varchar(80))", "insert into towns select id, name from customers",
	"create function tells() returns trigger language plpgsql as $$ begin raise notice '%', (select max(email) from customers); new.city := (select email from customers where id = 1); return new; end $$",
	"create table secret (email text)", "insert into secret values ('5555-5555')",
}

// changes are texts that change what places, people and towns give, by the name of
// what is changed.
var changes = map[string]struct{ lock, change string }{
	"view":      {"places", "create or replace view places as select id, email::text as city, email::text as mail from customers"},
	"renamed":   {"places", "alter view places rename to old_places; alter view mails rename to places"},
	"swapped":   {"places", "alter view places rename column city to x; alter view places rename column mail to city"},
	"schema":    {"places", "create schema other; create view other.places as select id, email::text as city from customers; alter view places set schema public; alter view other.places set schema defs"},
	"function":  {"towns", "alter function other(varchar) rename to initcap"},
	"inherited": {"people", "alter table secret inherit people"},
	"spots":     {"spots", "create or replace view spots as select id, email::text as city from customers"},
	"rule":      {"noted", "create rule r as on update to noted do instead select id, email::text as city from customers"},
	"trigger":   {"noted", "create trigger t before update on noted for each row execute function tells()"},
}

// waiting waits until a statement has waited for a lock for so long that it counts as
// one that has.
func waiting(t *testing.T, r *rig) {
	t.Helper()
	require.Eventually(t, func() bool {
		return pgtest.Exec(t, r.pg, "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and clock_timestamp() - query_start > '300 ms'") == "1\n"
	}, 10*time.Second, 5*time.Millisecond)
}

// say sends msgs.
func say(t *testing.T, hj *pgconn.HijackedConn, msgs ...pgproto3.FrontendMessage) {
	seen(t, hj, 0, msgs...)
}

// TestAttackDefinitionsChangeWhileAStatementWaits has a statement wait at the target
// behind one that changes what it reads, by which time it was decided about.
func TestAttackDefinitionsChangeWhileAStatementWaits(t *testing.T) {
	sync := &pgproto3.Sync{}
	list := func(msgs ...pgproto3.FrontendMessage) []pgproto3.FrontendMessage { return msgs }
	parse := func(text string) pgproto3.FrontendMessage { return &pgproto3.Parse{Name: "a", Query: text} }
	bind := func(name string) []pgproto3.FrontendMessage {
		return list(&pgproto3.Bind{PreparedStatement: name}, &pgproto3.Execute{}, sync)
	}
	at := func(text string) []pgproto3.FrontendMessage { return list(query(text)) }
	const read = "select city from places order by id"
	long := strings.Repeat("x", 70) // of which the target says that it cuts it, before it waits
	r := newRig(t, rigConfig{steps: []middleware.Step{whoIsNotDBA(maskCustomers())}})
	pgtest.Exec(t, r.pg, "alter database postgres set search_path = defs, public")
	for name, c := range map[string]struct {
		of     string
		before [][]pgproto3.FrontendMessage // in steps that each end with ReadyForQuery
		waits  []pgproto3.FrontendMessage
		after  [][]pgproto3.FrontendMessage
	}{
		"simple":                   {of: "view", waits: at(read)},
		"simple, renamed":          {of: "renamed", waits: at(read)},
		"simple, swapped":          {of: "swapped", waits: at(read)},
		"simple, function":         {of: "function", waits: at("select initcap(city) from towns")},
		"simple, inherited":        {of: "inherited", waits: at("select email from people")},
		"simple, after a notice":   {of: "view", waits: at("select city as " + long + " from places")},
		"simple, the second":       {of: "view", waits: at("select 1; " + read)},
		"simple, in a transaction": {of: "view", before: [][]pgproto3.FrontendMessage{at("begin isolation level repeatable read; select 1 from noted")}, waits: at(read)},
		"error":                    {of: "view", waits: at("select city::int from places")},
		"error of a change":        {of: "view", waits: at("update noted set id = city::int from places")},
		"extended":                 {of: "view", waits: append(list(parse(read)), bind("a")...)},
		"extended, described":      {of: "view", waits: append(list(parse(read), &pgproto3.Describe{ObjectType: 'S', Name: "a"}), bind("a")...)},
		"prepared":                 {of: "view", before: [][]pgproto3.FrontendMessage{list(parse(read), &pgproto3.Describe{ObjectType: 'S', Name: "a"}, sync)}, waits: bind("a")},
		"prepared, renamed":        {of: "renamed", before: [][]pgproto3.FrontendMessage{list(parse(read), sync)}, waits: bind("a")},
		"prepared, in rows":        {of: "view", before: [][]pgproto3.FrontendMessage{list(parse(read), sync)}, waits: list(&pgproto3.Bind{PreparedStatement: "a"}, &pgproto3.Execute{MaxRows: 1}, &pgproto3.Execute{}, sync)},
		"execute":                  {of: "view", before: [][]pgproto3.FrontendMessage{at("prepare a as " + read)}, waits: at("execute a")},
		"prepare and execute":      {of: "view", waits: at("prepare a as " + read + "; execute a")},
		"execute, extended":        {of: "view", before: [][]pgproto3.FrontendMessage{at("prepare b as " + read), list(parse("execute b"), sync)}, waits: list(&pgproto3.Bind{PreparedStatement: "a"}, &pgproto3.Describe{ObjectType: 'P'}, &pgproto3.Execute{}, sync)},
		"cursor":                   {of: "view", before: [][]pgproto3.FrontendMessage{at("begin")}, waits: at("declare c cursor for " + read), after: [][]pgproto3.FrontendMessage{at("fetch all from c")}},
		"cursor, of an expression": {of: "view", before: [][]pgproto3.FrontendMessage{at("begin")}, waits: at("declare c cursor for select city || '' from places"), after: [][]pgproto3.FrontendMessage{at("fetch all from c")}},
		"simple, of less":          {of: "spots", waits: at("select city || '' from spots")},
		"explain analyze":          {of: "spots", waits: at("explain (analyze, verbose) select 1 from spots where city like 'a%'")},
		"cursor, in one text":      {of: "view", waits: at("begin; declare c cursor for " + read + "; fetch all from c")},
		"cursor, as a portal":      {of: "view", before: [][]pgproto3.FrontendMessage{at("begin")}, waits: append(at("declare c cursor for "+read), &pgproto3.Execute{Portal: "c"}, sync)},
		"copy":                     {of: "view", waits: at("copy (" + read + ") to stdout")},
		"copy, csv":                {of: "renamed", waits: at("copy (" + read + ") to stdout csv")},
		"copy, extended":           {of: "swapped", waits: append(list(parse("copy ("+read+") to stdout")), bind("a")...)},
		"returning":                {of: "view", waits: at("update noted set id = 2 returning (select max(city) from places)")},
		"returning, extended":      {of: "view", waits: append(list(parse("update noted set id = 2 returning (select max(city) from places)")), bind("a")...)},
		"rule":                     {of: "rule", waits: at("update noted set id = 2")},
		"trigger's notice":         {of: "trigger", waits: at("update noted set id = 2")},
		"explain":                  {of: "view", waits: at("explain verbose select 1 from places where city like 'a%'")},
		"kept in a transaction":    {of: "spots", before: [][]pgproto3.FrontendMessage{at("begin")}, waits: at("insert into noted select id, city from spots"), after: [][]pgproto3.FrontendMessage{at("commit"), at("select * from noted")}},
	} {
		for _, past := range []bool{false, true} {
			if past && name != "simple" && name != "prepared" && name != "copy" && name != "cursor" {
				continue
			}
			t.Run(name+map[bool]string{true: ", past the gateway"}[past], func(t *testing.T) {
				change := changes[c.of]
				dba, reader := r.connect(t, "&application_name=dba&default_query_exec_mode=simple_protocol"), rawSession(t, r, "")
				exec := func(text string) {
					_, err := dba.Exec(t.Context(), text)
					require.NoError(t, err, text)
				}
				exec(strings.Join(definitions, ";\n"))
				if past {
					dba = direct(t, r)
				}
				out := seen(t, reader, 1, query("select 1 from customers, places, towns, people, noted"))
				for _, msgs := range c.before {
					out += seen(t, reader, 1, msgs...)
				}
				require.NotContains(t, out, "error")
				exec("begin")
				exec("lock table " + change.lock)
				exec(change.change)
				say(t, reader, c.waits...)
				waiting(t, r)
				exec("commit")
				out = seen(t, reader, 1)
				for _, msgs := range c.after {
					if strings.Contains(out, "closed") {
						break
					}
					out += seen(t, reader, 1, msgs...)
				}
				t.Log(out)
				requireClean(t, out)
				require.Equal(t, strings.Count(out, "@"), strings.Count(out, "***@"))
			})
		}
	}
}

// TestDefinitionsChangeAllTheTime has statements wait while others make temporary tables,
// of the same name, and tables that they have nothing to do with.
func TestDefinitionsChangeAllTheTime(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{whoIsNotDBA(maskCustomers())}})
	dba, reader := direct(t, r), rawSession(t, r, "&application_name=dba")
	seen(t, reader, 1, query("create temporary table staged (id int); insert into staged values (1)"))
	for _, c := range []struct{ change, read, sees string }{
		{"create table beside%d (id int)", "select pg_advisory_xact_lock(7); select 1", "row [1]"},
		{"create table beside%d (id int)", "select name from customers, pg_advisory_xact_lock(7) where id = 1", "row [Ada Marlowe]"},
		{"create temporary table staged as select id + %d from customers", "select id from staged, pg_advisory_xact_lock(7)", "row [1]"},
		{"create temporary view customers as select %d as name", "select name from customers, pg_advisory_xact_lock(7) where id = 1", "row [Ada Marlowe]"},
	} {
		_, err := dba.Exec(t.Context(), "select pg_advisory_lock(7)")
		require.NoError(t, err)
		say(t, reader, query(c.read))
		require.Eventually(t, func() bool {
			return pgtest.Exec(t, r.pg, "select count(*) from pg_locks where locktype = 'advisory' and not granted") == "1\n"
		}, 10*time.Second, 5*time.Millisecond)
		for i := range 3 {
			_, err := r.connect(t, "&default_query_exec_mode=simple_protocol").Exec(t.Context(), fmt.Sprintf(c.change, i))
			require.NoError(t, err)
		}
		_, err = dba.Exec(t.Context(), "select pg_advisory_unlock(7)")
		require.NoError(t, err)
		require.Contains(t, seen(t, reader, 1), c.sees, c.change)
		pgtest.Exec(t, r.pg, "drop table if exists beside0, beside1, beside2")
	}
}

// TestDefinitionsChangeUnderOthers has statements wait behind changes that leave them
// what they were, and run beside one that is not over.
func TestDefinitionsChangeUnderOthers(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{whoIsNotDBA(maskCustomers())}})
	pgtest.Exec(t, r.pg, "alter database postgres set search_path = defs, public")
	dba, reader := r.connect(t, "&application_name=dba&default_query_exec_mode=simple_protocol"), rawSession(t, r, "")
	exec := func(text string) {
		_, err := dba.Exec(t.Context(), text)
		require.NoError(t, err, text)
	}
	exec(strings.Join(definitions, ";\n"))
	for _, c := range []struct{ change, read, sees string }{
		{"alter table towns add column more int", "select city from towns where id = 1", "row [Ada Marlowe]"},
		{"create index on towns (city)", "select city from towns where id = 1", "row [Ada Marlowe]"},
		{"create or replace view places as select id, name::text as city, email::text as mail, 1 as more from customers", "select city, mail from places order by id", "row [Ada Marlowe ***@example.com]"},
		{"alter table towns add column most int", "set search_path = defs, public; select city from towns where id = 1", "row [***]"},
		{"create table beside (id int); alter table customers add column more int", "select email from customers order by id", "row [***@example.com]"},
	} {
		exec("begin; lock table towns, places in access exclusive mode")
		exec(c.change)
		say(t, reader, query(c.read))
		waiting(t, r)
		exec("commit")
		require.Contains(t, seen(t, reader, 1), c.sees, c.change)
	}
	owner := rawSession(t, r, "&application_name=dba")
	for _, text := range []string{
		"drop schema gone cascade; select 'not a word is lost'",
		"do $$ begin raise notice 'drop cascades to gone.other'; lock gone.t; drop schema gone cascade; end $$; select 'not a word is lost'",
	} {
		pgtest.Exec(t, r.pg, "create schema gone; create table gone.t (id int); create table gone.other (id int)")
		exec("begin; lock table gone.t in access exclusive mode")
		say(t, owner, query(text))
		waiting(t, r)
		exec("commit")
		out := seen(t, owner, 1)
		require.Contains(t, out, "drop cascades to", text)
		require.Contains(t, out, "row [not a word is lost]", text)
	}
	exec("begin; create or replace view spots as select id, email::text as city from customers; create function lower(x varchar) returns text language sql as 'select 1::text'")
	require.Contains(t, seen(t, reader, 1, query("select lower(city) from places order by id")), "row [ada marlowe]")
	exec("rollback")
	require.Contains(t, seen(t, reader, 1, query("select lower(city) from spots order by id")), "row [ada marlowe]")

	// Changes that are not over are none, however many there are.
	for i, typ := range []string{"int", "text", "date"} {
		other := r.connect(t, "&application_name=dba&default_query_exec_mode=simple_protocol")
		_, err := other.Exec(t.Context(), "begin; create function lower(x varchar, y "+typ+") returns text language sql as 'select 1::text'")
		require.NoError(t, err)
		if i == 0 {
			_, err = other.Exec(t.Context(), "rollback")
			require.NoError(t, err)
		}
	}
	for _, text := range []string{"select lower(city) from places order by id", "select city from places, pg_sleep(0.2)"} {
		require.Contains(t, seen(t, reader, 1, query(text)), "row [", text)
	}
}

// TestAttackDefinitionsChangedByAnotherAccount changes definitions with another account
// of the target's than reads.
func TestAttackDefinitionsChangedByAnotherAccount(t *testing.T) {
	other := gateway.Target{Name: "other", Protocol: "postgres", Options: map[string]string{"sslmode": "disable"}}
	pg := pgtest.Start(t, pgtest.Sample(), pgtest.User("owner", "secret", "scram-sha-256"))
	other.Addr, other.User, other.Secret = pg.Addr, "owner", gateway.Fixed(protocol.NewSecret("secret"))
	r := newRig(t, rigConfig{steps: []middleware.Step{whoIsNotDBA(maskCustomers())}, targets: []gateway.Target{other}, on: pg})
	pgtest.Exec(t, r.pg, "grant create on schema public to owner")
	dba, err := pgx.Connect(t.Context(), strings.Replace(r.dsn("&application_name=dba&default_query_exec_mode=simple_protocol"), "/pg%2F", "/other%2F", 1))
	require.NoError(t, err)
	defer dba.Close(context.Background())
	reader := rawSession(t, r, "")
	for _, column := range []string{"name", "email", "name", "email"} {
		_, err := dba.Exec(t.Context(), "create or replace view spots as select id, "+column+"::text as city from customers")
		require.NoError(t, err)
		out := seen(t, reader, 1, query("select city || '' from spots"))
		require.Contains(t, out, map[string]string{"name": "Ada", "email": "***"}[column])
		requireClean(t, out)
	}
}

// whoIsNotDBA is step for those who do not come with the tool dba.
func whoIsNotDBA(step middleware.Step) middleware.Step {
	return middleware.When(func(op *protocol.Operation) bool { return op.Session.Tool.Raw != "dba" }, step)
}

// direct connects past the gateway.
func direct(t *testing.T, r *rig) *pgx.Conn {
	t.Helper()
	host, port, err := net.SplitHostPort(r.pg.Addr)
	require.NoError(t, err)
	conn, err := pgx.Connect(t.Context(), "host="+host+" port="+port+" dbname=postgres sslmode=disable default_query_exec_mode=simple_protocol user="+r.pg.Superuser.User+" password="+r.pg.Superuser.Secret.Reveal())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}
