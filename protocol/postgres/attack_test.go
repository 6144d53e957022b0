package postgres_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/pgtest"
)

const (
	inTheClear = "select email from customers" // what the mask covers
	harmless   = "select name from customers"  // what it leaves alone
)

// seen sends msgs in one write, reads until n ReadyForQuery have come or the
// connection ends and returns all that the client saw.
func seen(t *testing.T, hj *pgconn.HijackedConn, n int, msgs ...pgproto3.FrontendMessage) string {
	t.Helper()
	for _, m := range msgs {
		hj.Frontend.Send(m)
	}
	require.NoError(t, hj.Frontend.Flush())
	var b strings.Builder
	for n > 0 {
		msg, err := hj.Frontend.Receive()
		if err != nil {
			b.WriteString("closed: " + err.Error())
			break
		}
		switch msg := msg.(type) {
		case *pgproto3.DataRow:
			fmt.Fprintf(&b, "row %s\n", msg.Values)
		case *pgproto3.CopyData:
			fmt.Fprintf(&b, "copy %s", msg.Data)
		case *pgproto3.ErrorResponse:
			fmt.Fprintf(&b, "error %s %s\n", msg.Code, msg.Message)
		case *pgproto3.NoticeResponse:
			fmt.Fprintf(&b, "notice %s\n", msg.Message)
		case *pgproto3.CommandComplete:
			fmt.Fprintf(&b, "%s\n", msg.CommandTag)
		case *pgproto3.ReadyForQuery:
			n--
		}
	}
	return b.String()
}

func query(text string) pgproto3.FrontendMessage { return &pgproto3.Query{String: text} }

// A name that is given again while it stands for something else may keep its
// meaning: what uses it must not be decided by the meaning that fails.
func TestAttackNameGivenAgainInAPipeline(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{maskCustomers()}})
	sync := &pgproto3.Sync{}
	parse := func(name, text string) pgproto3.FrontendMessage { return &pgproto3.Parse{Name: name, Query: text} }
	bind := func(portal, name string) pgproto3.FrontendMessage {
		return &pgproto3.Bind{DestinationPortal: portal, PreparedStatement: name}
	}
	execute := func(portal string) pgproto3.FrontendMessage { return &pgproto3.Execute{Portal: portal} }
	for name, c := range map[string]struct {
		ready int
		msgs  []pgproto3.FrontendMessage
	}{
		"SQL PREPARE": {3, []pgproto3.FrontendMessage{
			query("prepare a as " + inTheClear), query("prepare a as " + harmless), query("execute a")}},
		"SQL PREPARE, extended": {3, []pgproto3.FrontendMessage{
			parse("a", inTheClear), sync, query("prepare a as " + harmless), bind("", "a"), execute(""), sync}},
		"Parse": {3, []pgproto3.FrontendMessage{
			parse("a", inTheClear), sync, parse("a", harmless), sync, bind("", "a"), execute(""), sync}},
		"Parse, SQL EXECUTE": {3, []pgproto3.FrontendMessage{
			parse("a", inTheClear), sync, parse("a", harmless), sync, query("execute a")}},
		"cursor": {6, []pgproto3.FrontendMessage{
			query("begin"), query("declare c cursor for " + inTheClear), query("savepoint s"),
			query("declare c cursor for " + harmless), query("rollback to s"), query("fetch all from c")}},
		"cursor, Execute": {6, []pgproto3.FrontendMessage{
			query("begin"), query("declare c cursor for " + inTheClear), query("savepoint s"),
			query("declare c cursor for " + harmless), query("rollback to s"), execute("c"), sync}},
		"portal": {6, []pgproto3.FrontendMessage{
			query("begin"), parse("m", inTheClear), parse("h", harmless), bind("p", "m"), sync, query("savepoint s"),
			bind("p", "h"), sync, query("rollback to s"), execute("p"), sync}},
		"portal, FETCH": {6, []pgproto3.FrontendMessage{
			query("begin"), parse("m", inTheClear), parse("h", harmless), bind("p", "m"), sync, query("savepoint s"),
			bind("p", "h"), sync, query("rollback to s"), query("fetch all from p")}},
	} {
		t.Run(name, func(t *testing.T) {
			hj := rawSession(t, r, "")
			seen(t, hj, 1, query(harmless))
			out := seen(t, hj, c.ready, c.msgs...)
			requireClean(t, out)
			require.Contains(t, out, "row [***", out)
		})
	}
}

// PostgreSQL tells names apart by their first 63 bytes.
func TestAttackLongNames(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{maskCustomers()}})
	n := strings.Repeat("n", 63)
	hj := rawSession(t, r, "")
	out := seen(t, hj, 1, &pgproto3.Parse{Name: n + "y", Query: harmless}, &pgproto3.Sync{})
	out += seen(t, hj, 1, &pgproto3.Close{ObjectType: 'S', Name: n + "x"}, &pgproto3.Sync{})
	out += seen(t, hj, 1, &pgproto3.Parse{Name: n + "x", Query: inTheClear}, &pgproto3.Sync{})
	out += seen(t, hj, 1, &pgproto3.Bind{PreparedStatement: n + "y"}, &pgproto3.Execute{}, &pgproto3.Sync{})
	requireClean(t, out)
	hj = rawSession(t, r, "")
	n = strings.Repeat("n", 62)
	for _, q := range []string{`prepare "` + n + `é" as ` + harmless, `deallocate "` + n + `"`, `prepare "` + n + `" as ` + inTheClear, `execute "` + n + `é"`} {
		out = seen(t, hj, 1, query(q))
		requireClean(t, out)
	}
}

// A prepared statement is planned anew when what its names mean has changed.
func TestAttackPreparedBeforeItsNamesChange(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{maskCustomers()}})
	pgtest.Exec(t, r.pg, "create schema quiet; create table quiet.customers (email text); insert into quiet.customers values ('nothing')")
	hj := rawSession(t, r, "")
	out := ""
	for _, q := range []string{"set search_path = quiet", "select from customers", "prepare a as " + inTheClear, "execute a", "set search_path = public", "execute a"} {
		out += seen(t, hj, 1, query(q))
	}
	requireClean(t, out)
	require.Contains(t, out, "row [nothing]")
	require.Contains(t, out, "row [***@example.com]")

	hj = rawSession(t, r, "")
	out = ""
	for _, q := range []string{"create view v as select name from customers", "prepare a as select name from v", "execute a",
		"create or replace view v as select email as name from customers", "execute a"} {
		out += seen(t, hj, 1, query(q))
	}
	requireClean(t, out)

	// The same in one text and in one pipeline.
	for _, msgs := range [][]pgproto3.FrontendMessage{
		{query("set search_path = quiet"), query("select from customers"), query("prepare a as " + inTheClear), query("set search_path = public; execute a")},
		{query("set search_path = quiet"), query("select from customers"), query("prepare a as " + inTheClear), query("set search_path = public"), query("execute a")},
		{query("set search_path = quiet"), query("select from customers"), query("prepare a as " + inTheClear), query("begin; set local search_path = public; execute a; commit")},
	} {
		requireClean(t, seen(t, rawSession(t, r, ""), len(msgs), msgs...))
	}
	hj = rawSession(t, r, "")
	requireClean(t, seen(t, hj, 2, query("set search_path = quiet; select from customers"), query("prepare a as "+inTheClear))+
		seen(t, hj, 1, &pgproto3.Parse{Name: "s", Query: "set search_path = public"}, &pgproto3.Bind{PreparedStatement: "s"}, &pgproto3.Execute{},
			&pgproto3.Parse{Query: "execute a"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{}))
}

// The name that a Close frees may be taken again before the answer.
func TestAttackCloseAndGiveAgain(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{maskCustomers()}})
	hj := rawSession(t, r, "")
	seen(t, hj, 1, &pgproto3.Parse{Name: "a", Query: harmless}, &pgproto3.Sync{})
	seen(t, hj, 1, &pgproto3.Close{ObjectType: 'S', Name: "a"}, &pgproto3.Parse{Name: "a", Query: "select 'again'"}, &pgproto3.Sync{})
	out := seen(t, hj, 1, &pgproto3.Bind{PreparedStatement: "a"}, &pgproto3.Execute{}, &pgproto3.Sync{})
	require.Contains(t, out, "row [again]")

	out = seen(t, hj, 2, query("begin"), &pgproto3.Parse{Query: "select generate_series(1, 3)"}, &pgproto3.Bind{}, &pgproto3.Close{ObjectType: 'P'}, &pgproto3.Bind{},
		&pgproto3.Execute{MaxRows: 1}, &pgproto3.Sync{})
	require.Contains(t, out, "row [1]")
	out = seen(t, hj, 1, &pgproto3.Execute{}, &pgproto3.Sync{})
	require.Contains(t, out, "row [3]")
}

// EXECUTE can run a command that gives or frees a name other than its own.
func TestAttackExecuteGivesNames(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{maskCustomers()}})
	hj := rawSession(t, r, "")
	seen(t, hj, 1, query("prepare a as "+harmless))
	seen(t, hj, 1, &pgproto3.Parse{Name: "p", Query: "deallocate a"}, &pgproto3.Parse{Name: "q", Query: "prepare a as " + inTheClear}, &pgproto3.Sync{})
	out := ""
	for _, q := range []string{"execute p", "execute q", "execute a"} {
		out += seen(t, hj, 1, query(q))
	}
	requireClean(t, out)
	t.Log(out)

	// A statement that executes itself ends.
	out = seen(t, hj, 1, &pgproto3.Parse{Name: "e", Query: "execute e"}, &pgproto3.Sync{}) + seen(t, hj, 1, query("execute e"))
	requireClean(t, out)
	t.Log(out)
}

// What an approver reads about the session's state is what the statement finds,
// or says that it may be different.
func TestAttackApprovalKnowsWhatIsUnderWay(t *testing.T) {
	r, b := holdDeletes(t)
	pgtest.Exec(t, r.pg, "create schema quiet; create table quiet.doomed as select 1 as a; create table doomed as select 1 as a")
	for _, msgs := range [][]pgproto3.FrontendMessage{
		{query("set search_path = quiet; delete from doomed")},
		{&pgproto3.Parse{Name: "s", Query: "set search_path = quiet"}, &pgproto3.Bind{PreparedStatement: "s"}, &pgproto3.Execute{},
			&pgproto3.Parse{Query: "delete from doomed"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{}},
	} {
		hj := rawSession(t, r, "")
		seen(t, hj, 1, query("select 1 from doomed"))
		done := make(chan string)
		go func() { done <- seen(t, hj, 1, msgs...) }()
		q := decide(t, b, false)
		<-done
		require.NotContains(t, q.Settings+"\n", "role=postgres standard_conforming_strings=on\n", q.Settings)
		t.Log(q.Settings, q.InTx)
	}
	hj := rawSession(t, r, "")
	seen(t, hj, 1, query("select 1 from doomed"))
	done := make(chan string)
	go func() {
		done <- seen(t, hj, 3, query("begin"), query("insert into doomed values (2)"), query("delete from doomed"))
	}()
	q := decide(t, b, false)
	<-done
	require.True(t, q.InTx)
}

// A text of very many statements is decided in a moment.
func TestAttackManyExecutes(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{maskCustomers()}})
	hj := rawSession(t, r, "")
	for _, text := range []string{"execute a;", "select;", "fetch c;"} {
		start := time.Now()
		out := seen(t, hj, 1, query(strings.Repeat(text, 3<<20/len(text))))
		t.Log(text, time.Since(start), len(out))
		require.Contains(t, out, "more than 10000 statements")
	}
}

// EXECUTE within another command runs what its own name stands for, which is
// not what stands under the empty name.
func TestAttackExecuteWithin(t *testing.T) {
	noDelete := middleware.Block(middleware.BlockRule{Name: "no-delete", Reason: "nothing is deleted here",
		When: middleware.If(func(op *protocol.Operation) (bool, error) {
			return op.Verb == "delete" || op.Access.Has(protocol.Opaque), nil
		})})
	r := newRig(t, rigConfig{steps: []middleware.Step{maskCustomers(), noDelete}})
	pgtest.Exec(t, r.pg, "create table doomed as select 1 as a")
	hj := rawSession(t, r, "")
	sync := &pgproto3.Sync{}
	out := seen(t, hj, 2, query(harmless), query("prepare a as "+inTheClear))
	for _, q := range []string{
		"create table copied as execute a", "select * from copied",
		"explain (analyze, verbose) create table copied as execute a", "select * from copied",
	} {
		out += seen(t, hj, 1, &pgproto3.Parse{Query: "select 1"}, sync)
		out += seen(t, hj, 1, query(q))
	}
	requireClean(t, out)

	hj = rawSession(t, r, "")
	seen(t, hj, 1, query("prepare d as delete from doomed"))
	for _, q := range []string{"execute d", "explain analyze execute d", "explain (analyze) execute d"} {
		seen(t, hj, 1, &pgproto3.Parse{Query: "select 1"}, sync)
		t.Log(seen(t, hj, 1, query(q)))
	}
	require.Equal(t, "1", count(t, r, "doomed"))
}

// What the arguments of an EXECUTE do counts as what the statement does.
func TestAttackExecuteArguments(t *testing.T) {
	noFiles := middleware.Block(middleware.BlockRule{Name: "no-files", Reason: "no files",
		When: middleware.If(func(op *protocol.Operation) (bool, error) {
			return slices.ContainsFunc(op.Objects, func(o protocol.Object) bool { return strings.HasSuffix(o.Name, "pg_read_file") }), nil
		})})
	r := newRig(t, rigConfig{steps: []middleware.Step{noFiles}})
	hj := rawSession(t, r, "")
	out := seen(t, hj, 2, query(harmless), query("prepare a(text) as select $1"))
	require.Contains(t, seen(t, hj, 1, query("execute a('this' || lower('ONE'))")), "row [thisone]")
	require.Contains(t, seen(t, hj, 1, query("execute a(pg_read_file('PG_VERSION'))")), "no files")

	r = newRig(t, rigConfig{steps: []middleware.Step{maskCustomers()}})
	pgtest.Exec(t, r.pg, "create schema quiet; create table quiet.customers (email text)")
	hj = rawSession(t, r, "")
	out += seen(t, hj, 3, query(harmless), query("prepare a(text) as select $1"), query("prepare s(text) as select set_config('work_mem', $1, false)"))
	require.Contains(t, seen(t, hj, 1, query("execute a('this' || lower('ONE'))")), "row [thisone]")
	for _, q := range []string{
		"execute a(query_to_xml('select email from customers', true, true, '')::text)",
		"set search_path = quiet", inTheClear,
		"execute s(set_config('search_path', 'public', false) || '4MB')", inTheClear,
		"execute s(coalesce(nullif(set_config('search_path', 'public', false), 'public'), '4MB'))", inTheClear,
	} {
		out += seen(t, hj, 1, query(q))
	}
	requireClean(t, out)
}

// A call by number says nothing of what it does: of two functions that are
// built in one adds numbers and the other reads the server's files.
func TestAttackFunctionCallIsNoWayRoundAdmin(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{middleware.Block(middleware.BlockRule{Name: "no-admin", Reason: "no",
		When: middleware.If(func(op *protocol.Operation) (bool, error) { return op.Access.Has(protocol.Admin), nil })})}})
	number := pgtest.Exec(t, r.pg, "select 'pg_read_file(text)'::regprocedure::oid")
	oid, err := strconv.Atoi(strings.TrimSpace(number))
	require.NoError(t, err)
	hj := rawSession(t, r, "")
	require.Contains(t, seen(t, hj, 1, query("select pg_read_file('PG_VERSION')")), "error 42501")
	out := seen(t, hj, 1, &pgproto3.FunctionCall{Function: uint32(oid), Arguments: [][]byte{[]byte("PG_VERSION")}})
	require.Contains(t, out, "error 42501")
}

// Nor need anything be executed: the target reads literals when it parses and
// arguments when they are bound, as values of types whose constraints run, and
// computes what is called immutable when it plans.
func TestAttackSettingsChangeBeforeExecution(t *testing.T) {
	const set = "set_config('search_path', 'public', false)"
	parse := func(text string) pgproto3.FrontendMessage { return &pgproto3.Parse{Query: text} }
	bind := func(args ...[]byte) pgproto3.FrontendMessage { return &pgproto3.Bind{Parameters: args} }
	sync := &pgproto3.Sync{}
	for name, msgs := range map[string][]pgproto3.FrontendMessage{
		"literal":              {parse("select '(x)'::ct"), sync},
		"array":                {parse("select '{x}'::d[]"), sync},
		"row of a table":       {parse("insert into e values (1, '(x)')"), sync},
		"with its Bind":        {parse("select '(x)'::ct"), bind(), sync},
		"argument":             {parse("select $1::ct"), bind([]byte("(x)")), sync},
		"argument, domain":     {parse("select $1::d"), bind([]byte("x")), sync},
		"argument, described":  {parse("select $1::d"), &pgproto3.Describe{ObjectType: 'S'}, bind([]byte("x")), sync},
		"immutable":            {parse("select imm(1)"), bind(), sync},
		"immutable, closed":    {parse("select imm(1)"), bind(), &pgproto3.Close{ObjectType: 'P'}, sync},
		"as a column's":        {query("select coalesce(c, '(x)') from e")},
		"as a column's, array": {query("select id from e where da = '{x}'")},
		"as a column's, union": {query("select c from e union all select '(x)'")},
		"as a column's, later": {parse("select coalesce(c, $1) from e"), bind([]byte("(x)")), sync},
		"SQL":                  {query("prepare a as select '(x)'::ct")},
		"EXPLAIN":              {query("explain select imm(1)")},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, rigConfig{steps: []middleware.Step{maskCustomers()}})
			pgtest.Exec(t, r.pg, "create schema quiet; create table quiet.customers (email text); insert into quiet.customers values ('nothing')",
				"alter database postgres set search_path = quiet, public",
				"create domain public.d as text check ("+set+" is not null); create type public.ct as (d public.d); create table public.e (id int, c public.ct, da public.d[])",
				"create function public.imm(int) returns text immutable language plpgsql as $$ begin perform "+set+"; return 'x'; end $$")
			for _, pipelined := range []bool{false, true} {
				hj := rawSession(t, r, "")
				out := seen(t, hj, 1, query("select 1 from customers"))
				read := query("select upper(email) from customers")
				if pipelined {
					out += seen(t, hj, 2, append(slices.Clone(msgs), read)...)
				} else {
					out += seen(t, hj, 1, msgs...) + seen(t, hj, 1, read)
				}
				requireClean(t, strings.ToLower(out))
			}
		})
	}
}

// A client may give its parameters types by their numbers, which no text shows:
// what is run to read them counts as what the statement does.
func TestAttackTypeGivenByNumber(t *testing.T) {
	var last atomic.Value
	watch := middleware.Step{Name: "watch", Operation: func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
		last.Store(fmt.Sprint(op.Access.Has(protocol.Execute), " ", op.Pure))
		return protocol.Pass, nil
	}}
	r := newRig(t, rigConfig{steps: []middleware.Step{watch}})
	pgtest.Exec(t, r.pg, "create table ran (x text)",
		"create function f(text) returns bool language plpgsql as $$ begin insert into ran values ($1); return true; end $$",
		"create domain d as text check (f(value)); create type ct as (d d); create type mood as enum ('x', 'y')")
	sync := &pgproto3.Sync{}
	for typ, want := range map[string]string{"d": "true false", "ct": "true false", "d[]": "true false", "mood": "false true", "int[]": "false true"} {
		oid, err := strconv.ParseUint(strings.TrimSpace(pgtest.Exec(t, r.pg, "select '"+typ+"'::regtype::oid")), 10, 32)
		require.NoError(t, err)
		parse := &pgproto3.Parse{Name: "a", Query: "select $1 is null", ParameterOIDs: []uint32{uint32(oid)}}
		bind := &pgproto3.Bind{PreparedStatement: "a", Parameters: [][]byte{nil}}
		for name, c := range map[string]struct {
			first, then []pgproto3.FrontendMessage
		}{
			"at once": {nil, []pgproto3.FrontendMessage{parse, bind, &pgproto3.Execute{}, sync}},
			"later":   {[]pgproto3.FrontendMessage{parse, sync}, []pgproto3.FrontendMessage{bind, &pgproto3.Execute{}, sync}},
			"EXECUTE": {[]pgproto3.FrontendMessage{parse, sync}, []pgproto3.FrontendMessage{query("execute a(null)")}},
			"PREPARE": {[]pgproto3.FrontendMessage{query("prepare a(" + typ + ") as select $1 is null")}, []pgproto3.FrontendMessage{query("execute a(null)")}},
		} {
			t.Run(typ+" "+name, func(t *testing.T) {
				hj := rawSession(t, r, "")
				require.NotContains(t, seen(t, hj, 1, query("select 1")), "error")
				if c.first != nil {
					require.NotContains(t, seen(t, hj, 1, c.first...), "error")
				}
				require.Contains(t, seen(t, hj, 1, c.then...), "row [t]")
				require.Equal(t, want, last.Load())
			})
		}
	}
}
