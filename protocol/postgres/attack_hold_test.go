package postgres_test

import (
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware"
)

// What a cursor that outlives its transaction reads is computed at the end of it, where
// it may fail.
func TestAttackHeldCursorFailsAtCommit(t *testing.T) {
	const (
		declare = "declare c cursor with hold for select email::text::int from customers"
		notice  = "declare c cursor with hold for select to_regclass(email || '.' || repeat('x', 70)) from customers"
	)
	r := newRig(t, rigConfig{steps: []middleware.Step{maskCustomers()}})
	extended := func(texts ...string) (msgs []pgproto3.FrontendMessage) {
		for _, text := range texts {
			msgs = append(msgs, &pgproto3.Parse{Query: text}, &pgproto3.Bind{}, &pgproto3.Execute{})
		}
		return append(msgs, &pgproto3.Sync{})
	}
	for _, text := range []string{declare, notice} {
		for name, c := range map[string]struct {
			ready int
			msgs  []pgproto3.FrontendMessage
		}{
			"alone":            {1, []pgproto3.FrontendMessage{query(text)}},
			"commit":           {3, []pgproto3.FrontendMessage{query("begin"), query(text), query("commit")}},
			"in one text":      {1, []pgproto3.FrontendMessage{query("begin; " + text + "; commit; select 1")}},
			"no transaction":   {1, []pgproto3.FrontendMessage{query(text + "; select 1")}},
			"extended, alone":  {1, extended(text)},
			"extended, more":   {1, extended(text, "select 1")},
			"extended, commit": {1, extended("begin", text, "commit", "select 1")},
			"prepared":         {3, []pgproto3.FrontendMessage{query("begin"), query(text), query("prepare transaction 'x'")}},
			"next":             {3, []pgproto3.FrontendMessage{query("begin"), query(text), query("commit and chain")}},
		} {
			hj := rawSession(t, r, "")
			out := seen(t, hj, c.ready, c.msgs...)
			requireClean(t, out)
			if text == declare {
				require.Contains(t, out, "error ", name)
			}
			_ = hj.Conn.Close()
		}
	}
	hj := rawSession(t, r, "")
	require.Contains(t, seen(t, hj, 3, query("begin"), query("declare c cursor with hold for select email from customers"), query("commit")), "COMMIT")
	require.Contains(t, seen(t, hj, 1, query("select 1/0")), "error 22012 division by zero")
	require.Contains(t, seen(t, hj, 1, query("fetch 1 from c")), "row [***@example.com]")
}
