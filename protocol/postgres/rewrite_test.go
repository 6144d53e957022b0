package postgres_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
)

// rewrite is a step that sends text in place of what reads names.
func rewrite(text string, when func(op *protocol.Operation) bool, also ...protocol.ColumnRef) middleware.Step {
	return middleware.Step{Name: "rewrite", Operation: func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
		if op.Text != harmless || !when(op) {
			return protocol.Pass, nil
		}
		op.Reads = append(op.Reads, also...)
		return protocol.Pass, op.Rewrite(text)
	}}
}

func always(*protocol.Operation) bool { return true }

// A rewritten statement is decided, masked and remembered by what runs.
func TestRewrite(t *testing.T) {
	parse := []pgproto3.FrontendMessage{&pgproto3.Parse{Name: "a", Query: harmless}, &pgproto3.Sync{}}
	bind := []pgproto3.FrontendMessage{&pgproto3.Bind{PreparedStatement: "a"}, &pgproto3.Execute{}, &pgproto3.Sync{}}
	email := protocol.ColumnRef{Schema: "public", Table: "customers", Column: "email"}
	const more = "error 42501 a step rewrites this statement into one that does more"
	for name, c := range map[string]struct {
		steps            []middleware.Step
		simple, extended string
	}{
		"less":              {[]middleware.Step{maskCustomers(), rewrite(harmless+" where name like 'Bela%'", always)}, "row [Bela Okafor]\nSELECT 1\n", "row [Bela Okafor]\nSELECT 1\n"},
		"more":              {[]middleware.Step{maskCustomers(), rewrite(inTheClear, always)}, more, more},
		"hidden":            {[]middleware.Step{maskCustomers(), rewrite("select query_to_xml('"+inTheClear+"', true, true, '')", always)}, more, more},
		"another table":     {[]middleware.Step{rewrite("select name from customers where exists (select from orders)", always)}, more, more},
		"a change":          {[]middleware.Step{rewrite("delete from customers returning name", always)}, more, more},
		"two statements":    {[]middleware.Step{rewrite(harmless+"; drop table customers", always)}, more, more},
		"more, as it says":  {[]middleware.Step{rewrite(inTheClear, always, email), maskCustomers()}, "row [***@example.com]", "row [***@example.com]"},
		"when it runs only": {[]middleware.Step{rewrite(harmless+" limit 1", func(op *protocol.Operation) bool { return !op.Prepare })}, "SELECT 1", "error 0A000 this statement would have to be rewritten"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, rigConfig{steps: c.steps})
			hj := rawSession(t, r, "")
			seen(t, hj, 1, query("select from customers"))
			out := seen(t, hj, 1, query(harmless))
			requireClean(t, out)
			require.Contains(t, out, c.simple)
			out = seen(t, hj, 1, parse...)
			out += seen(t, hj, 1, bind...)
			requireClean(t, out)
			require.Contains(t, out, c.extended)
			out = seen(t, hj, 1, &pgproto3.Parse{Name: "b", Query: harmless}, &pgproto3.Bind{PreparedStatement: "b"}, &pgproto3.Execute{}, &pgproto3.Sync{})
			requireClean(t, out)
			require.Contains(t, out, c.simple)
			out = seen(t, hj, 1, query("select 1; "+harmless))
			requireClean(t, out)
			require.Contains(t, out, "error 0A000 this statement would have to be rewritten")
			if strings.HasPrefix(c.extended, "row") {
				for _, name := range []string{"a", "b"} {
					out = seen(t, hj, 1, query("execute "+name))
					requireClean(t, out)
					require.Contains(t, out, c.extended)
				}
			}
			require.Equal(t, "5", count(t, r, "customers"))
		})
	}
}
