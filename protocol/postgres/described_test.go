package postgres_test

import (
	"log/slog"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol/postgres"
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

// Where the target itself says that a result reads what the analysis did not
// foresee, nothing of it is shown and the operator is told.
func TestAttackUnforeseenColumns(t *testing.T) {
	for name, c := range map[string]struct {
		msgs  []pgproto3.FrontendMessage
		fatal bool
	}{
		"simple": {[]pgproto3.FrontendMessage{query("select email from harmless")}, true},
		"cursor": {[]pgproto3.FrontendMessage{query("begin; declare c cursor for select email from harmless; fetch all from c")}, true},
		"described portal": {[]pgproto3.FrontendMessage{&pgproto3.Parse{Query: "select email from harmless"}, &pgproto3.Bind{},
			&pgproto3.Describe{ObjectType: 'P'}, &pgproto3.Execute{}, &pgproto3.Sync{}}, true},
		"described statement": {[]pgproto3.FrontendMessage{&pgproto3.Parse{Query: "select email from harmless"},
			&pgproto3.Describe{ObjectType: 'S'}, &pgproto3.Sync{}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			var log lockedBuffer
			r := newRig(t, rigConfig{steps: []middleware.Step{maskCustomers()},
				server: &postgres.Server{AllowPlaintext: true, Logger: slog.New(slog.NewTextHandler(&log, nil))}})
			pgtest.Exec(t, r.pg, "create table harmless (email text); insert into harmless values ('nothing')")
			hj := rawSession(t, r, "")
			require.Contains(t, seen(t, hj, 1, query("select email from harmless")), "row [nothing]")
			pgtest.Exec(t, r.pg, "alter table harmless rename to other; alter table customers rename to harmless")
			out := seen(t, hj, 1, c.msgs...)
			requireClean(t, out)
			require.Contains(t, log.String(), "email from public.customers.email")
			if c.fatal {
				require.Contains(t, out, "error 0A000 the result has other columns")
				require.Contains(t, out, "closed")
			} else {
				require.NotContains(t, out, "error")
			}
		})
	}
}
