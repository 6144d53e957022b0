package postgres_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/pgtest"
)

// Which schemas a search_path finds changes without the session: others make schemas
// and grant the use of them.
func TestAttackSchemasAppear(t *testing.T) {
	const read = "select upper(item) from orders where id < 6"
	view := "create view hidden.orders as select id, email as item from public.customers; grant select on hidden.orders to app"
	for name, c := range map[string]struct {
		setup, change string
		direct        bool // made past the gateway
	}{
		"usage": {setup: "create schema hidden; " + view, change: "grant usage on schema hidden to app"},
		// Before version 17 the server looks at who is whose member when it looks at schemas again.
		"usage by a role": {setup: "create schema hidden; " + view + "; create role reader; grant usage on schema hidden to reader", change: "grant reader to app; create schema noise"},
		"schema":          {change: "create schema hidden; grant usage on schema hidden to app; " + view, direct: true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, rigConfig{steps: []middleware.Step{maskCustomers()}})
			pgtest.Exec(t, r.pg, "create role app; grant select on orders, customers to app", "alter database postgres set search_path = hidden, public", "select 1; "+c.setup)
			hj, other, waits := rawSession(t, r, ""), rawSession(t, r, ""), rawSession(t, r, "")
			require.Contains(t, seen(t, hj, 2, query("set role app"), query(read)), "SELECT 5")
			require.Contains(t, seen(t, waits, 2, query("set role app"), query(read)), "SELECT 5")
			if c.direct {
				pgtest.Exec(t, r.pg, c.change)
				seen(t, other, 1, query("create table noted ()")) // the catalog is read anew
			} else {
				seen(t, other, 1, query("begin; lock table public.orders"))
				say(t, waits, query(read))
				waiting(t, r)
				require.NotContains(t, seen(t, other, 2, query(c.change), query("commit")), "error")
				requireClean(t, strings.ToLower(seen(t, waits, 1)))
			}
			out := seen(t, hj, 1, query(read))
			require.Contains(t, out, "row [***]")
			requireClean(t, strings.ToLower(out))
		})
	}
}

// Settings of the server are those of sessions that are open, too, as soon as they are
// read again, which is a moment after anybody says so.
func TestAttackSettingsOfTheServer(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{maskCustomers()}})
	hj := rawSession(t, r, "")
	for _, q := range []string{"alter system set search_path = hidden, public", "alter system reset all"} {
		require.Contains(t, seen(t, hj, 1, query(q)), "error 42501 this statement changes definitions", q)
	}
}
