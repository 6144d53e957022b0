package postgres_test

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/pgtest"
)

// Code that runs in the target may close a cursor and open another of its name,
// whose columns look the same: its rows are not what was decided about.
func TestAttackCursorExchangedByCode(t *testing.T) {
	schema := pgtest.SQL(`create function swap() returns int language plpgsql as $$ declare c refcursor := 'p'; begin close c; open c for select upper(email) as name from customers; return 1; end $$;
		create function swap_held() returns trigger language plpgsql as $$ declare c refcursor := 'p'; begin close c; execute 'declare p cursor with hold for select upper(email) as name from customers'; return null; exception when others then return null; end $$;
		create table touched (a int); grant all on touched to public;
		create constraint trigger late after insert on touched deferrable initially deferred for each row execute function swap_held()`)
	r := newRig(t, rigConfig{steps: []middleware.Step{maskCustomers()}, pg: []pgtest.Option{schema}})
	plain := newRig(t, rigConfig{pg: []pgtest.Option{schema}})
	sync := &pgproto3.Sync{}
	parse := &pgproto3.Parse{Name: "s", Query: "select name from customers"}
	bind := &pgproto3.Bind{DestinationPortal: "p", PreparedStatement: "s"}
	execute := &pgproto3.Execute{Portal: "p", MaxRows: 1}
	declare := query("declare p cursor for select name from customers")
	fetch := []pgproto3.FrontendMessage{&pgproto3.Parse{Query: "fetch p"}, &pgproto3.Bind{}}
	swap := []pgproto3.FrontendMessage{&pgproto3.Parse{Name: "swap", Query: "select swap()"}, &pgproto3.Bind{DestinationPortal: "swap", PreparedStatement: "swap"}, &pgproto3.Execute{Portal: "swap"}}
	of := func(parts ...any) (msgs []pgproto3.FrontendMessage) {
		for _, p := range parts {
			switch p := p.(type) {
			case []pgproto3.FrontendMessage:
				msgs = append(msgs, p...)
			case pgproto3.FrontendMessage:
				msgs = append(msgs, p)
			}
		}
		return msgs
	}
	for name, msgs := range map[string][]pgproto3.FrontendMessage{
		"Execute":             of(query("begin"), parse, bind, execute, sync, query("select swap()"), execute, sync),
		"Execute, Describe":   of(query("begin"), parse, bind, &pgproto3.Describe{ObjectType: 'P', Name: "p"}, execute, sync, query("select swap()"), execute, sync),
		"Execute, pipelined":  of(parse, bind, execute, swap, execute, sync),
		"Execute of a cursor": of(query("begin"), declare, query("select swap()"), execute, sync),
		"FETCH":               of(query("begin"), declare, query("select swap()"), query("fetch p")),
		"FETCH, bound before": of(query("begin"), declare, fetch, swap, &pgproto3.Execute{}, sync),
		"FETCH, one text":     of(query("begin"), query("declare p cursor for select name from customers; select swap(); fetch p")),
		"FETCH, not of code":  of(query("begin"), declare, query("select swap()"), query("move 1 from p"), query("fetch p")),
		"FETCH, DO":           of(query("begin"), declare, query("do $$ declare c refcursor := 'p'; begin close c; open c for select upper(email) as name from customers; end $$"), query("select swap()"), query("fetch p")),
		"WITH HOLD":           of(query("begin"), query("insert into touched values (1)"), query("declare p cursor with hold for select name from customers"), query("commit"), query("fetch p")),
		"WITH HOLD, implicit": of(parse, &pgproto3.Parse{Query: "insert into touched values (1)"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Parse{Query: "declare p cursor with hold for select name from customers"}, &pgproto3.Bind{}, &pgproto3.Execute{}, sync, query("fetch p")),
	} {
		t.Run(name, func(t *testing.T) {
			n := 0
			for _, m := range msgs {
				switch m.(type) {
				case *pgproto3.Query, *pgproto3.Sync:
					n++
				}
			}
			out := seen(t, rawSession(t, r, ""), n, msgs...)
			require.NotContains(t, out, "ADA.MARLOWE", out)
			requireClean(t, out)
		})
	}
	t.Run("nobody looks at the rows", func(t *testing.T) {
		out := seen(t, rawSession(t, plain, ""), 4, of(query("begin"), parse, bind, execute, sync, query("select length(current_setting('server_version'))"), execute, sync)...)
		require.NotContains(t, out, "error", out)
		out = seen(t, rawSession(t, plain, ""), 4, of(query("begin"), parse, bind, execute, sync, query("select swap()"), execute, sync)...)
		require.NotContains(t, out, "error", out)
	})
	t.Run("no code runs", func(t *testing.T) {
		out := seen(t, rawSession(t, r, ""), 4, of(query("begin"), parse, bind, execute, sync, query("select count(*) from orders"), execute, sync)...)
		require.NotContains(t, out, "error", out)
	})
}

// Nor is what stands in the place of nothing forwarded without a decision.
func TestAttackNothingExchangedByCode(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{maskCustomers()}, pg: []pgtest.Option{pgtest.SQL(
		`create table touched (a int); grant all on touched to public;
		create function swap() returns int language plpgsql as $$ begin execute 'deallocate s'; execute 'prepare s as insert into touched values (1)'; return 1; end $$;
		create function open_p() returns int language plpgsql as $$ declare c refcursor := 'p'; begin close c; open c for select email from customers; return 1; end $$`)}})
	sync := &pgproto3.Sync{}
	code := func(text string) []pgproto3.FrontendMessage {
		return []pgproto3.FrontendMessage{&pgproto3.Parse{Query: text}, &pgproto3.Bind{}, &pgproto3.Execute{}}
	}
	for name, msgs := range map[string][]pgproto3.FrontendMessage{
		"statement":            append([]pgproto3.FrontendMessage{&pgproto3.Parse{Name: "s"}, sync, query("select swap()")}, &pgproto3.Bind{PreparedStatement: "s"}, &pgproto3.Execute{}, sync),
		"statement, pipelined": append(append([]pgproto3.FrontendMessage{&pgproto3.Parse{Name: "s"}, sync}, code("select swap()")...), &pgproto3.Bind{PreparedStatement: "s"}, &pgproto3.Execute{}, sync),
		"portal":               append(append([]pgproto3.FrontendMessage{&pgproto3.Parse{Name: "s"}, &pgproto3.Bind{DestinationPortal: "p", PreparedStatement: "s"}}, code("select open_p()")...), &pgproto3.Execute{Portal: "p"}, sync),
	} {
		t.Run(name, func(t *testing.T) {
			n := 0
			for _, m := range msgs {
				switch m.(type) {
				case *pgproto3.Query, *pgproto3.Sync:
					n++
				}
			}
			out := seen(t, rawSession(t, r, ""), n, msgs...)
			require.Contains(t, out, "error 42501", out)
			require.NotContains(t, out, "closed")
			require.Contains(t, pgtest.Exec(t, r.pg, "select count(*) from touched"), "0")
		})
	}
}

// A cursor of SQL that is read by Execute is an operation each time, and each ends.
func TestCursorReadInPiecesIsRecorded(t *testing.T) {
	var e ends
	r := newRig(t, rigConfig{steps: []middleware.Step{e.step()}})
	hj := rawSession(t, r, "")
	execute := &pgproto3.Execute{Portal: "p", MaxRows: 1}
	out := seen(t, hj, 4, query("begin"), query("declare p cursor for select name from customers"), execute, execute, &pgproto3.Sync{}, query("commit"))
	require.NotContains(t, out, "error")
	require.Equal(t, "ok ok", e.of("portal p"))
}

// A name of a prepared statement may stand for another one as well.
func TestAttackStatementExchangedByCode(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{maskCustomers()}, pg: []pgtest.Option{pgtest.SQL(
		`create function swap() returns int language plpgsql as $$ begin execute 'deallocate s'; execute 'prepare s as select upper(email) as name from customers'; return 1; end $$;
		create function swap_and_fail() returns int language plpgsql as $$ begin perform swap(); raise exception 'failed'; end $$;
		create function harmless() returns int language plpgsql as $$ begin return 1; end $$`)}})
	sync := &pgproto3.Sync{}
	parse := &pgproto3.Parse{Name: "s", Query: "select name from public.customers"}
	bind := []pgproto3.FrontendMessage{&pgproto3.Bind{PreparedStatement: "s"}, &pgproto3.Execute{}, sync}
	prepare := []pgproto3.FrontendMessage{query("prepare s as select name from public.customers")}
	for name, c := range map[string]struct{ make, use []pgproto3.FrontendMessage }{
		"Parse":              {[]pgproto3.FrontendMessage{parse, sync}, bind},
		"Parse, described":   {[]pgproto3.FrontendMessage{parse, &pgproto3.Describe{ObjectType: 'S', Name: "s"}, sync}, bind},
		"Parse, SQL EXECUTE": {[]pgproto3.FrontendMessage{parse, sync}, []pgproto3.FrontendMessage{query("execute s")}},
		"PREPARE":            {prepare, []pgproto3.FrontendMessage{query("execute s")}},
		"PREPARE, Bind":      {prepare, bind},
	} {
		t.Run(name, func(t *testing.T) {
			for _, code := range []string{"select swap()", "select swap_and_fail()", "select harmless()"} {
				hj := rawSession(t, r, "")
				seen(t, hj, 1, c.make...)
				seen(t, hj, 1, query(code))
				require.Eventually(t, func() bool {
					return strings.Contains(seen(t, hj, 1, query("select name from public.customers")), "Ada")
				}, 10*time.Second, 10*time.Millisecond, "the state is known again")
				out := seen(t, hj, 1, c.use...)
				require.NotContains(t, out, "ADA.MARLOWE", code)
				if code == "select harmless()" && len(c.make) > 1 { // not made by SQL
					require.Contains(t, out, "Ada Marlowe")
				}
			}
		})
	}
}
