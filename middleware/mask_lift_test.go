package middleware_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/approval"
	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/middleware/middlewaretest"
	"github.com/sallyport-dev/gateway/protocol"
)

// liftConfig has masks of which approval lifts some for the group support.
func liftConfig(b *approval.Broker) middleware.MaskConfig {
	return middleware.MaskConfig{
		Rules: []mask.Rule{
			{Name: "contact", Columns: []string{"public.customers.email", "public.customers.phone", "public.customers.fax"}, Transform: mask.Email()},
			{Name: "person", Columns: []string{"public.customers.ssn"}, Transform: mask.Redact()},
			{Name: "found", Detect: []string{"card"}, Transform: mask.Redact()},
		},
		Lifts: []middleware.MaskLift{{ApproveRule: middleware.ApproveRule{Name: "support-case", Groups: []string{"privacy"},
			When: middleware.If(func(op *protocol.Operation) (bool, error) { return op.Session.Identity.InGroup("support"), nil })},
			Rules: []string{"contact"}}},
		Broker: b,
	}
}

func unmasking(id *protocol.Identity, cols []protocol.Column) *protocol.Operation {
	op := as("orders", id, "public.customers.email")
	op.Text = "/* unmask: ticket 4711 */ select ..."
	op.Unmask, op.Columns, op.Pure = "ticket 4711", cols, true
	return op
}

func TestMaskLifts(t *testing.T) {
	support := &protocol.Identity{Issuer: "i", Subject: "alice", Kind: protocol.Human, Groups: []string{"support"}}
	privacy := &protocol.Identity{Issuer: "i", Subject: "bob", Kind: protocol.Human, Groups: []string{"privacy"}}
	cols := []protocol.Column{col("mail", "is public.customers.email"), col("up", "of public.customers.phone"), col("note", "is public.customers.note")}
	in := [][][]byte{bytesOf("ada@example.com", "555", "card 4111 1111 1111 1111 is lost"), bytesOf("NULL", "NULL", "x")}
	masked := [][][]byte{bytesOf("***@example.com", "***", "card *** is lost"), bytesOf("NULL", "NULL", "x")}

	b := approval.NewBroker(approval.Options{})
	step := middleware.MaskWith(liftConfig(b))
	decide := func(yes bool) <-chan approval.Request {
		card := make(chan approval.Request, 1)
		go func() {
			for r := range b.Watch(t.Context()) {
				if r.State == approval.StatePending {
					_, _ = b.Decide(t.Context(), approval.Verdict{Request: r.ID, By: privacy, Approve: yes, Digest: r.Digest})
					card <- r
					return
				}
			}
		}()
		return card
	}
	shown := decide(true)
	op := unmasking(support, cols)
	rows, err := middlewaretest.Rows(step, op, cols, in)
	require.NoError(t, err)
	require.Equal(t, [][][]byte{bytesOf("ada@example.com", "555", "card *** is lost"), bytesOf("NULL", "NULL", "x")}, rows) // what is found stays masked
	card := <-shown
	require.Equal(t, []protocol.Lift{
		{Column: "mail", Rule: "contact", From: refs("public.customers.email")}, {Column: "up", Rule: "contact", From: refs("public.customers.phone")}}, card.Lifts)
	require.Contains(t, card.Card(), "in clear   mail, from public.customers.email (masked by rule contact)")
	require.Contains(t, card.Card(), "asks why   ticket 4711")
	require.Equal(t, op.Lifts, card.Lifts)
	require.Equal(t, []string{"note"}, op.Result().Labels())

	// Who does not ask sees masks, and so does whoever nobody allows it.
	plain := unmasking(support, cols)
	plain.Unmask = ""
	rows, err = middlewaretest.Rows(step, plain, cols, in)
	require.NoError(t, err)
	require.Equal(t, masked, rows)
	decide(false)
	_, err = middlewaretest.Rows(step, unmasking(support, cols), cols, in)
	require.ErrorContains(t, err, "denied by")

	// A result that has other columns than were approved is masked in those.
	decide(true)
	rows, err = middlewaretest.Rows(step, unmasking(support, cols), []protocol.Column{col("mail", "is public.customers.ssn"), col("up", "is public.customers.*"), {Name: "note", Type: textOID}}, in)
	require.NoError(t, err)
	require.Equal(t, bytesOf("***", "***", "***"), rows[0])
	decide(true)
	rows, err = middlewaretest.Rows(step, unmasking(support, cols), []protocol.Column{col("mail", "is public.customers.fax"), cols[1], col("note", "opaque public.customers.email")}, in)
	require.NoError(t, err)
	require.Equal(t, bytesOf("***@example.com", "555", "***"), rows[0])

	// While it is prepared nobody is asked.
	prepare := unmasking(support, cols)
	prepare.Prepare = true
	rows, err = middlewaretest.Rows(step, prepare, cols, in)
	require.NoError(t, err)
	require.Equal(t, masked, rows)
	require.Empty(t, prepare.Lifts)

	// An approval of anything else is none.
	other := unmasking(support, cols)
	ses := protocol.NewSession(t.Context(), protocol.SessionConfig{Info: other.Session, Engine: otherTicket{step}})
	x, err := ses.Begin(t.Context(), other)
	require.NoError(t, err)
	f, err := x.Rows(cols)
	require.NoError(t, err)
	row := bytesOf("ada@example.com", "555", "x")
	require.NoError(t, f(row))
	require.Equal(t, bytesOf("***@example.com", "***", "x"), row)
	x.End(protocol.Outcome{Status: protocol.StatusOK})
}

// otherTicket is an engine that lets what is held run by the approval of something
// else.
type otherTicket struct{ step middleware.Step }

func (otherTicket) Authenticate(context.Context, *protocol.Login) (*protocol.Identity, error) {
	return nil, nil
}

func (e otherTicket) Ask(ctx context.Context, _ *protocol.Session, ops []*protocol.Operation) error {
	for _, op := range ops {
		if d, err := e.step.Operation(ctx, op); err != nil || d.Effect != protocol.HoldEffect {
			return errors.New("not held")
		}
		op.Decide(protocol.Allow("x"), []protocol.Decision{{Effect: protocol.AllowEffect, Ticket: "another"}})
	}
	return nil
}

func (otherTicket) Commit(context.Context, protocol.Point, []*protocol.Operation) error { return nil }

func (otherTicket) End(*protocol.Session, *protocol.Operation, protocol.Outcome) {}

func TestMaskLiftsNoMore(t *testing.T) {
	b := approval.NewBroker(approval.Options{})
	step := middleware.MaskWith(liftConfig(b))
	support := &protocol.Identity{Issuer: "i", Subject: "alice", Kind: protocol.Human, Groups: []string{"support"}}
	dev := &protocol.Identity{Issuer: "i", Subject: "dev", Kind: protocol.Human, Groups: []string{"dev"}}
	mail := []protocol.Column{col("mail", "is public.customers.email")}
	for name, c := range map[string]struct {
		id   *protocol.Identity
		cols []protocol.Column
		more func(*protocol.Operation)
		want string
	}{
		"a rule that may not":     {support, []protocol.Column{col("s", "is public.customers.ssn")}, nil, "what rule person masks"},
		"one that may beside":     {support, append([]protocol.Column{col("s", "is public.customers.ssn")}, mail...), nil, "what rule person masks, at least not together"},
		"who may not ask":         {dev, mail, nil, "what rule contact masks"},
		"a whole row":             {support, []protocol.Column{col("c", "is public.customers.*")}, nil, "may hold any column"},
		"looked into by nobody":   {support, []protocol.Column{col("c", "opaque public.customers.email")}, nil, "may hold any column"},
		"columns are not known":   {support, nil, nil, "not known which columns"},
		"where from is not known": {support, []protocol.Column{{Name: "x", Type: textOID}}, nil, "not known where column"},
		"more than a query": {support, mail, func(op *protocol.Operation) {
			op.Verb, op.Text, op.Access = "delete", "delete from customers returning email", protocol.Read|protocol.Write
		}, "does nothing but read"},
		"what is refused anyway": {support, mail, func(op *protocol.Operation) { op.Access |= protocol.Write }, "copy masked values"},
		"too much to read": {support, func() (all []protocol.Column) {
			for range 101 {
				all = append(all, mail[0])
			}
			return all
		}(), nil, "more than an approver can read"},
	} {
		op := unmasking(c.id, c.cols)
		if c.more != nil {
			c.more(op)
		}
		_, err := middlewaretest.Ask(step, op)
		require.ErrorContains(t, err, c.want, name)
		require.Empty(t, op.Lifts, name)
	}
	require.Empty(t, b.List())

	// Nothing is masked: nobody is asked.
	_, err := middlewaretest.Ask(step, unmasking(support, []protocol.Column{col("id", "is public.customers.id")}))
	require.NoError(t, err)

	for want, c := range map[string]func(*middleware.MaskConfig){
		"no broker":         func(c *middleware.MaskConfig) { c.Broker = nil },
		"none of the rules": func(c *middleware.MaskConfig) { c.Lifts[0].Rules = []string{"found"} },
		"names no rules":    func(c *middleware.MaskConfig) { c.Lifts[0].Rules = nil },
		"nobody could":      func(c *middleware.MaskConfig) { c.Lifts[0].Groups = nil },
	} {
		conf := liftConfig(b)
		c(&conf)
		_, err := middleware.NewMaskExplainer(conf, &protocol.SessionInfo{Identity: dev})
		if want != "nobody could" {
			require.ErrorContains(t, err, want)
		}
		require.Error(t, err)
	}
}
