package postgres_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/pgtest"
)

// What the target finds in a text before it reads anything is told as it is, so
// that a better text can be written; the same error of a value is not.
func TestMaskKeepsErrorsOfTheText(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{maskCustomers()}})
	pgtest.Exec(t, r.pg, "create function named(int) returns regclass language sql as 'select translate(split_part(email, ''@'', 1), ''.'', ''_'')::regclass from customers where id = $1'",
		"create function named2(int) returns regclass language plpgsql immutable as $$ begin return (select translate(split_part(email, '@', 1), '.', '_')::regclass from customers where id = $1); end $$",
		"create function ok(text) returns bool language sql as 'select (select translate(split_part(email, ''@'', 1), ''.'', ''_'') from customers where id = 1)::regclass is not null'", "create domain d as text check (ok(value))")
	hj := rawSession(t, r, "")
	require.Contains(t, seen(t, hj, 1, query("select emial from customers")), `column "emial" does not exist`)
	require.Contains(t, seen(t, hj, 1, query("select email from custmers")), `relation "custmers" does not exist`)
	require.Contains(t, seen(t, hj, 1, query("select lowr(email) from customers")), "function lowr(text) does not exist")
	for _, q := range []string{
		"select translate(split_part(email, '@', 1), '.', '_')::regclass from customers", "select named(1)", "select named(id) from customers", "select named2(1)", "select 'x'::d", "select 'x'::d, email from customers",
		"select name from customers where translate(split_part(email, '@', 1), '.', '_')::regclass is null", "prepare p as select named2(1)", "execute p", "explain select named2(1)",
		"select query_to_xml('select translate(split_part(email, ''@'', 1), ''.'', ''_'')::regclass from customers', true, true, '')",
	} {
		out := seen(t, hj, 1, query(q))
		require.NotContains(t, out, "marlowe")
	}
}
