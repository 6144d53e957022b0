package postgres_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/pgtest"
)

// What is prepared keeps the meaning of its names when there is something else of the
// same name that would be found before.
func TestAttackPreparedBeforeItsNamesAreTaken(t *testing.T) {
	const read = "select upper(email) from customers"
	sync, bind := &pgproto3.Sync{}, &pgproto3.Bind{PreparedStatement: "w"}
	execute := &pgproto3.Execute{}
	for name, c := range map[string]struct {
		prepare, run []pgproto3.FrontendMessage
	}{
		"SQL":           {[]pgproto3.FrontendMessage{query("prepare w as " + read)}, []pgproto3.FrontendMessage{query("execute w")}},
		"SQL, by Parse": {[]pgproto3.FrontendMessage{query("prepare w as " + read)}, []pgproto3.FrontendMessage{bind, execute, sync}},
		"Parse":         {[]pgproto3.FrontendMessage{&pgproto3.Parse{Name: "w", Query: read}, sync}, []pgproto3.FrontendMessage{bind, execute, sync}},
		"Parse, by SQL": {[]pgproto3.FrontendMessage{&pgproto3.Parse{Name: "w", Query: read}, sync}, []pgproto3.FrontendMessage{query("execute w")}},
	} {
		for _, by := range []string{"itself", "another"} {
			t.Run(name+", "+by, func(t *testing.T) {
				r := newRig(t, rigConfig{steps: []middleware.Step{maskCustomers()}})
				pgtest.Exec(t, r.pg, "create schema quiet; create table quiet.other (email text)", "alter database postgres set search_path = quiet, public")
				hj := rawSession(t, r, "")
				other := hj
				if by == "another" {
					other = rawSession(t, r, "")
				}
				seen(t, hj, 1, c.prepare...)
				masked := seen(t, hj, 1, c.run...)
				require.Contains(t, masked, "row [***]")
				for _, change := range []string{"create table quiet.noted ()", "create table quiet.customers (email text)", "alter table quiet.customers rename to gone", "alter table quiet.other rename to customers"} {
					require.NotContains(t, seen(t, other, 1, query(change)), "error", change)
					out := seen(t, hj, 1, c.run...)
					requireClean(t, strings.ToLower(out))
					if change == "create table quiet.noted ()" {
						require.Equal(t, masked, out)
					}
				}
				require.Equal(t, "SELECT 0\n", seen(t, hj, 1, query(read)))
			})
		}
	}
}
