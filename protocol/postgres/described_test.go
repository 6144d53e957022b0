package postgres_test

import (
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/pgtest"
)

// A statement that was described once is masked by what its names mean when it
// runs, which may no longer be what the description was about.
func TestAttackDescribedBeforeItsNamesChange(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{maskCustomers()}})
	pgtest.Exec(t, r.pg, "create view v as select name from customers")
	hj := rawSession(t, r, "")
	sync := &pgproto3.Sync{}
	run := []pgproto3.FrontendMessage{&pgproto3.Bind{PreparedStatement: "a"}, &pgproto3.Execute{}, sync}
	out := seen(t, hj, 2, query(harmless), &pgproto3.Parse{Name: "a", Query: "select name from v"}, &pgproto3.Describe{ObjectType: 'S', Name: "a"}, sync)
	require.NotContains(t, out, "error")
	require.Contains(t, seen(t, hj, 1, run...), "row [Ada Marlowe]")
	pgtest.Exec(t, r.pg, "create or replace view v as select email::text as name from customers")
	seen(t, hj, 1, query("create table noted (a int)")) // so that the catalog is read again
	out = seen(t, hj, 1, run...)
	requireClean(t, out)
	require.Contains(t, out, "SELECT 5")
}

// The end of a transaction, and of a part of it, takes settings back: what the
// same names mean afterwards counts.
func TestAttackSettingsTakenBack(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{maskCustomers()}})
	pgtest.Exec(t, r.pg, "create schema quiet; create table quiet.customers (email text); insert into quiet.customers values ('nothing')")
	sync := &pgproto3.Sync{}
	now := func(text string) []pgproto3.FrontendMessage {
		return []pgproto3.FrontendMessage{&pgproto3.Parse{Query: text}, &pgproto3.Bind{}, &pgproto3.Execute{}}
	}
	for name, steps := range map[string][][]pgproto3.FrontendMessage{
		"rollback to":                 {{query("rollback to a")}, {query(inTheClear)}},
		"rollback to, in one text":    {{query("rollback to a; " + inTheClear)}},
		"rollback to, in a pipeline":  {append(append(now("rollback to a"), now(inTheClear)...), sync)},
		"rollback":                    {{query("rollback")}, {query(inTheClear)}},
		"rollback, in one text":       {{query("rollback; " + inTheClear)}},
		"rollback, in a pipeline":     {append(append(now("rollback"), now(inTheClear)...), sync)},
		"rollback and chain":          {{query("rollback and chain")}, {query(inTheClear)}},
		"rollback and begin":          {{query("rollback; begin")}, {query(inTheClear)}},
		"rollback and chain, execute": {{query("prepare e as " + inTheClear)}, {query("rollback and chain; execute e")}},
		"commit and chain of SET LOCAL": {{query("rollback to a; set local search_path = quiet; select 1 from customers")}, {query(inTheClear)},
			{query("commit and chain")}, {query(inTheClear)}},
	} {
		t.Run(name, func(t *testing.T) {
			hj := rawSession(t, r, "")
			out := ""
			for _, q := range []string{harmless, "begin", "savepoint a", "set search_path = quiet", inTheClear} {
				out += seen(t, hj, 1, query(q))
			}
			for _, msgs := range steps {
				out += seen(t, hj, 1, msgs...)
			}
			requireClean(t, out)
			require.Contains(t, out, "row [nothing]")
			require.Contains(t, out, "row [***", "and the names are known again, or all is hidden")
		})
	}
}
