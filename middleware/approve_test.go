package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/approval"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
)

func staticPerson(subject string, groups ...string) *protocol.Identity {
	return &protocol.Identity{Issuer: middleware.StaticIssuer, Subject: subject, Kind: protocol.Human, Groups: groups}
}

func deletion() *protocol.Operation {
	return &protocol.Operation{
		Session: &protocol.SessionInfo{ID: "s1", Protocol: "postgres", Identity: staticPerson("alice", "dba"), User: "app",
			Resource: protocol.Resource{Name: "orders", Protocol: "postgres"}},
		ID: 2, Verb: "delete", Access: protocol.Write, Text: "delete from orders",
	}
}

func writes(op *protocol.Operation) (bool, error) { return op.Access.Has(protocol.Write), nil }

func dbaApproves(b *approval.Broker) middleware.Step {
	return middleware.Approve(b, middleware.ApproveRule{Name: "writes", When: middleware.If(writes), Groups: []string{"dba"},
		For: time.Minute, Reason: "changes data"})
}

func held(t *testing.T, s middleware.Step, op *protocol.Operation) protocol.Decision {
	t.Helper()
	d, err := s.Operation(t.Context(), op)
	require.NoError(t, err)
	require.Equal(t, protocol.HoldEffect, d.Effect, d.Reason)
	return d
}

// decideNext decides about the first request that b gets.
func decideNext(b *approval.Broker, approve bool, comment string, by *protocol.Identity) {
	go func() {
		for r := range b.Watch(context.Background()) {
			_, _ = b.Decide(context.Background(), approval.Verdict{Request: r.ID, Digest: r.Digest, By: by, Approve: approve, Comment: comment})
			return
		}
	}()
}

func TestApproveAsksNobodyBeforeWait(t *testing.T) {
	b := approval.NewBroker(approval.Options{URL: "https://gw.example/", Command: "gateway approve"})
	op := deletion()
	d := held(t, dbaApproves(b), op)
	require.Empty(t, b.List())
	require.Equal(t, "writes", d.Rule)
	require.Equal(t, "changes data", d.Reason)
	require.Equal(t, "an approver decides with: gateway approve "+d.Ticket+" or https://gw.example/approvals/"+d.Ticket, d.Hint)
	require.WithinDuration(t, time.Now().Add(time.Minute), d.Until, 5*time.Second)

	// What later steps do to the operation is on the card.
	require.NoError(t, op.Rewrite("delete from orders where tenant = 7"))
	op.AddRisk(30, "unbounded")
	decideNext(b, true, "fine", staticPerson("bob", "dba"))
	got, err := d.Wait(t.Context())
	require.NoError(t, err)
	require.Equal(t, protocol.AllowEffect, got.Effect)
	require.Equal(t, d.Ticket, got.Ticket)
	require.Equal(t, "bob", got.By)
	r, err := b.Get(d.Ticket)
	require.NoError(t, err)
	require.Equal(t, "delete from orders where tenant = 7", r.Rewritten)
	require.Equal(t, []string{"unbounded"}, r.RiskWhy)
	require.Equal(t, op.Digest(), r.Digest)
}

func TestApproveDenied(t *testing.T) {
	b := approval.NewBroker(approval.Options{})
	d := held(t, dbaApproves(b), deletion())
	decideNext(b, false, "not on\x1b[2J a Friday", staticPerson("bob", "dba"))
	got, err := d.Wait(t.Context())
	require.NoError(t, err)
	require.Equal(t, protocol.DenyEffect, got.Effect)
	require.Equal(t, "denied by bob: not on [2J a Friday", got.Reason)
}

func TestApproveExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := approval.NewBroker(approval.Options{})
		d := held(t, dbaApproves(b), deletion())
		got, err := d.Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, protocol.DenyEffect, got.Effect)
		require.Contains(t, got.Reason, "nobody decided in time")
	})
}

func TestApproveClientLeaves(t *testing.T) {
	b := approval.NewBroker(approval.Options{})
	d := held(t, dbaApproves(b), deletion())
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		for range b.Watch(context.Background()) {
			cancel(protocol.ErrClientGone)
			return
		}
	}()
	got, err := d.Wait(ctx)
	require.ErrorIs(t, err, protocol.ErrClientGone)
	require.NotEqual(t, protocol.AllowEffect, got.Effect)
	require.Equal(t, approval.StateWithdrawn, b.List()[0].State)
}

func TestApproveLimits(t *testing.T) {
	b := approval.NewBroker(approval.Options{PerIdentity: 1})
	s := dbaApproves(b)
	first := held(t, s, deletion())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _, _ = first.Wait(ctx) }()
	for range b.Watch(t.Context()) {
		break
	}
	got, err := held(t, s, deletion()).Wait(t.Context())
	require.NoError(t, err)
	require.Equal(t, protocol.DenyEffect, got.Effect)
	require.Contains(t, got.Reason, "too many")
	cancel()
	<-done

	op := deletion()
	op.Text = strings.Repeat("x", 1<<20)
	got, err = held(t, s, op).Wait(t.Context())
	require.NoError(t, err)
	require.Equal(t, protocol.DenyEffect, got.Effect)
	require.Contains(t, got.Reason, "too large")

	op = deletion()
	op.Session = nil
	_, err = held(t, s, op).Wait(t.Context())
	require.ErrorContains(t, err, "requester")
}

func TestApproveRules(t *testing.T) {
	b := approval.NewBroker(approval.Options{})
	broken := errors.New("no such field")
	s := middleware.Approve(b,
		middleware.ApproveRule{Name: "broken", Users: []string{"static|bob"}, When: middleware.If(func(op *protocol.Operation) (bool, error) {
			if op.Verb == "merge" {
				return true, broken
			}
			return false, nil
		})},
		middleware.ApproveRule{Name: "short", Groups: []string{"dba"}, When: middleware.If(writes), AutoDenyInTx: true},
		middleware.ApproveRule{Name: "never reached", Groups: []string{"dba"}, When: middleware.If(writes)})
	op := deletion()
	require.Equal(t, "short", held(t, s, op).Rule)
	op.InTx = true
	d, err := s.Operation(t.Context(), op)
	require.NoError(t, err)
	require.Equal(t, protocol.DenyEffect, d.Effect)
	require.Contains(t, d.Reason, "transaction")
	op.Verb = "merge"
	_, err = s.Operation(t.Context(), op)
	require.ErrorIs(t, err, broken)
	d, err = s.Operation(t.Context(), &protocol.Operation{Access: protocol.Read})
	require.NoError(t, err)
	require.Equal(t, protocol.NoOpinion, d.Effect)
}

func TestApproveRefusesRules(t *testing.T) {
	b := approval.NewBroker(approval.Options{})
	for name, c := range map[string]struct {
		rule middleware.ApproveRule
		text string
	}{
		"nobody":         {middleware.ApproveRule{Name: "r"}, "no group and no user"},
		"no name":        {middleware.ApproveRule{Groups: []string{"dba"}}, "no name"},
		"subject alone":  {middleware.ApproveRule{Name: "r", Users: []string{"bob"}}, "issuer|subject"},
		"too long":       {middleware.ApproveRule{Name: "r", Groups: []string{"dba"}, For: 25 * time.Hour}, "not between"},
		"negative":       {middleware.ApproveRule{Name: "r", Groups: []string{"dba"}, For: -1}, "not between"},
		"too many":       {middleware.ApproveRule{Name: "r", Users: []string{"static|bob"}, Need: 2}, "2 approvers"},
		"negative count": {middleware.ApproveRule{Name: "r", Groups: []string{"dba"}, Need: -1}, "-1 approvers"},
	} {
		t.Run(name, func(t *testing.T) { refusedStep(t, middleware.Approve(b, c.rule), c.text) })
	}
	refusedStep(t, middleware.Approve(nil, middleware.ApproveRule{Name: "r", Groups: []string{"dba"}}), "no broker")
	refusedStep(t, middleware.Approve(b), "no rules")
}

// refusedStep checks that no chain takes the step, and why.
func refusedStep(t *testing.T, s middleware.Step, text string) {
	t.Helper()
	_, err := middleware.NewChain(s, recording())
	require.ErrorContains(t, err, text)
	require.ErrorContains(t, err, "step "+s.Name)
}

// recording is a step that keeps the chain's need for a record content.
func recording() middleware.Step {
	return middleware.Step{Name: "record", Role: middleware.RoleRecords,
		Event:  func(context.Context, *protocol.Event) error { return nil },
		Commit: func(context.Context, protocol.Point, []*protocol.Operation) error { return nil }}
}

// TestApproveInAChain runs a session's whole way: what one step denies is
// never asked about, and what is approved runs.
func TestApproveInAChain(t *testing.T) {
	b := approval.NewBroker(approval.Options{})
	freeze := middleware.Step{Name: "freeze", Operation: func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
		if op.Verb == "truncate" {
			return protocol.Deny("frozen"), nil
		}
		return protocol.Pass, nil
	}}
	c, err := middleware.NewChain(dbaApproves(b), freeze, recording())
	require.NoError(t, err)
	op := deletion()
	s := protocol.NewSession(t.Context(), protocol.SessionConfig{Info: op.Session, Engine: c,
		WhileHeld: func(ctx context.Context, _ protocol.Waiting, wait func(context.Context) error) error {
			return wait(ctx)
		}})
	defer s.Close(nil)

	op.Verb = "truncate"
	_, err = s.Begin(t.Context(), op)
	require.ErrorContains(t, err, "frozen")
	require.Empty(t, b.List(), "nobody was asked about what is denied anyway")

	decideNext(b, true, "", staticPerson("bob", "dba"))
	op = deletion()
	x, err := s.Begin(t.Context(), op)
	require.NoError(t, err)
	require.Equal(t, "bob", op.Grants()[0].By)
	x.End(protocol.Outcome{Status: protocol.StatusOK})

	op = deletion()
	op.NoWait = true
	_, err = s.Begin(t.Context(), op)
	require.ErrorContains(t, err, "cannot wait")
}

func ExampleApprove() {
	broker := approval.NewBroker(approval.Options{Command: "gateway approve"})
	step := middleware.Approve(broker, middleware.ApproveRule{
		Name: "changes",
		When: middleware.If(func(op *protocol.Operation) (bool, error) {
			return op.Access.Has(protocol.Write | protocol.Opaque), nil
		}),
		Groups: []string{"dba"},
		Reason: "changes data in production",
	})

	alice := &protocol.Identity{Issuer: "static", Subject: "alice", Kind: protocol.Human}
	bob := &protocol.Identity{Issuer: "static", Subject: "bob", Kind: protocol.Human, Groups: []string{"dba"}}
	op := &protocol.Operation{Verb: "delete", Access: protocol.Write, Text: "delete from orders where id = 42",
		Session: &protocol.SessionInfo{Identity: alice, Resource: protocol.Resource{Name: "orders"}}}

	ctx := context.Background()
	d, _ := step.Operation(ctx, op) // the chain asks the step ...
	fmt.Println(d.Effect, "-", d.Reason)

	go func() { // ... and somebody decides while the chain waits.
		for r := range broker.Watch(ctx) {
			fmt.Println(r.Requester.Subject, "asks:", r.Text)
			_, _ = broker.Decide(ctx, approval.Verdict{Request: r.ID, Digest: r.Digest, By: bob, Approve: true})
			return
		}
	}()
	d, _ = d.Wait(ctx)
	fmt.Println(d.Effect, "by", d.By)
	// Output:
	// hold - changes data in production
	// alice asks: delete from orders where id = 42
	// allow by bob
}
