package postgres_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/approval"
	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/pgtest"
)

// What people lift a mask from comes in the clear once: not what stands beside it, comes
// after it, means something else by then, or may not be lifted.
func TestLiftedMasks(t *testing.T) {
	b := approval.NewBroker(approval.Options{})
	r := newRig(t, rigConfig{pg: []pgtest.Option{pgtest.SQL("create view v as select email from customers")},
		steps: []middleware.Step{middleware.MaskWith(middleware.MaskConfig{
			Rules: []mask.Rule{
				{Name: "mail", Columns: []string{"public.customers.email"}, Transform: mask.Email()},
				{Name: "ssn", Columns: []string{"public.customers.ssn"}, Transform: mask.KeepLast(4)},
			},
			Lifts:  []middleware.MaskLift{{ApproveRule: middleware.ApproveRule{Name: "case", Groups: []string{"approvers"}, For: time.Minute}, Rules: []string{"mail"}}},
			Broker: b,
		})}})
	hj := rawSession(t, r, "")
	const clear, masked = "row [ada.marlowe@example.com]", "row [***@example.com]"
	asks := func(want string, n int, msgs ...pgproto3.FrontendMessage) {
		t.Helper()
		wait := decideSoon(t, b, true)
		out := seen(t, hj, n, msgs...)
		require.Contains(t, out, want)
		wait()
	}
	is := func(want string, n int, msgs ...pgproto3.FrontendMessage) {
		t.Helper()
		out := seen(t, hj, n, msgs...)
		require.Contains(t, out, want)
		requireClean(t, out)
	}
	const text = "/* unmask: T-1 */ select email from customers where id = 1"
	asks(clear+"\nSELECT 1\n"+masked, 1, query(text+"; select email from customers where id = 1"))
	is(masked, 1, query("select email from customers where id = 1"))
	asks(clear, 1, query("/* unmask: T-1 */ select email from v limit 1"))
	asks("error 22P02 a value does not fit its type or function", 1, query("/* unmask: T-1 */ select email::int from customers where id = 1"))
	for _, q := range []string{"select ssn from customers", "table customers", "select c from customers c", "select coalesce(email, ssn) from customers", "copy customers (email) to stdout",
		"explain analyze select email from customers", "update customers set name = name returning email", "select email from customers union select ssn from customers"} {
		is("error 42501 values cannot be shown in the clear here", 1, query("/* unmask: T-1 */ "+q))
	}
	is("error 42501 this statement changes data or settings", 1, query("/* unmask: T-1 */ select set_config('a.b', email, false) from customers"))

	// Each execution and each fetch asks for itself.
	is("PREPARE", 1, query("prepare p as "+text))
	is(masked, 1, query("/* no */ execute p"))
	asks(clear, 1, query("/* unmask: T-1 */ execute p"))
	is("DECLARE", 2, query("begin"), query("/* unmask: T-1 */ declare c cursor for select email from customers order by id"))
	asks(clear, 1, query("/* unmask: T-1 */ fetch 1 from c"))
	is("row [***@example.org]", 2, query("fetch 1 from c"), query("commit"))
	execute := func(max uint32) []pgproto3.FrontendMessage {
		return []pgproto3.FrontendMessage{&pgproto3.Bind{DestinationPortal: "q", PreparedStatement: "s"}, &pgproto3.Execute{Portal: "q", MaxRows: max}, &pgproto3.Sync{}}
	}
	is("", 1, &pgproto3.Parse{Name: "s", Query: "/* unmask: T-1 */ select email from customers order by id"}, &pgproto3.Sync{})
	asks(clear, 1, execute(0)...)
	is("BEGIN", 1, query("begin"))
	asks(clear, 1, execute(1)...)
	out := seen(t, hj, 1, &pgproto3.Execute{Portal: "q", MaxRows: 1}, &pgproto3.Sync{}) // goes on with what was approved
	require.Contains(t, out, "row [bela@example.org]")
	is("row [***@example.net]", 2, query("fetch 1 from q"), query("commit"))

	lifted := 0
	for e, err := range audit.Events(r.dir) {
		require.NoError(t, err)
		if e.Kind == audit.CommandDecided && e.Action != nil && len(e.Action.Lifts) > 0 {
			lifted++
			require.Equal(t, []audit.ColumnRef{{"public", "customers", "email"}}, e.Action.Lifts[0].From)
			require.Len(t, e.Decision.Grants, 1)
			require.Contains(t, e.Decision.Grants[0].By, approver.Subject)
		}
	}
	require.Equal(t, 7, lifted)
}
