package middleware

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-dev/gateway/approval"
	"github.com/sallyport-dev/gateway/protocol"
)

// approvalTime is how long a request waits where a rule does not say.
const approvalTime = 5 * time.Minute

// An ApproveRule says which operations people have to approve, and who may.
type ApproveRule struct {
	Name string // names the rule in requests, records and refusals

	// When picks the operations; nil picks all, transaction control and the
	// opening of sessions included. An error refuses the operation.
	When Condition

	// Groups and Users say who may approve: members of any of the groups, and
	// the users, each written as "issuer|subject". At least one is named.
	// Nobody approves their own requests, whatever is written here.
	Groups []string
	Users  []string

	Need   int           // how many different people; 0 means 1
	For    time.Duration // how long to wait; 0 means 5 minutes
	Reason string        // why, for the requester and the approver to read

	// AutoDenyInTx refuses instead of holding when the session has a
	// transaction open, whose locks would be kept meanwhile.
	AutoDenyInTx bool
}

// Approve returns the step that holds operations until people have decided
// about them through b. The first rule that picks an operation counts. Nobody
// is asked before every other step has been asked and none has refused; what
// is then shown and approved is the operation as all steps left it. An
// operation that is denied, that nobody decides about in time or whose client
// leaves does not run.
func Approve(b *approval.Broker, rules ...ApproveRule) Step {
	s := Step{Name: "approve"}
	rs, err := approveRules(b, rules)
	if err != nil {
		s.err = err
		return s
	}
	s.usesRisk = slices.ContainsFunc(rules, func(r ApproveRule) bool { return usesRisk(r.When) })
	same := !slices.ContainsFunc(rules, func(r ApproveRule) bool { return !steady(r.When) })
	s.Operation = func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
		for i := range rs {
			r := &rs[i]
			if r.When != nil {
				if ok, err := r.When.Eval(op); err != nil {
					return protocol.Pass, fmt.Errorf("rule %s: %w", r.Name, err)
				} else if !ok {
					continue
				}
			}
			return r.hold(b, op), nil
		}
		return protocol.Decision{Steady: same}, nil
	}
	return s
}

type approveRule struct {
	ApproveRule
	who approval.Approvers
}

func approveRules(b *approval.Broker, rules []ApproveRule) ([]approveRule, error) {
	if b == nil {
		return nil, errors.New("no broker")
	}
	if len(rules) == 0 {
		return nil, errors.New("no rules")
	}
	out := make([]approveRule, len(rules))
	for i, r := range rules {
		if r.Name == "" {
			return nil, fmt.Errorf("rule %d has no name", i+1)
		}
		users, err := parseUsers(r.Users)
		if err != nil {
			return nil, fmt.Errorf("rule %s: %w", r.Name, err)
		}
		who := approval.Approvers{Groups: slices.Clone(r.Groups), Users: users, Need: r.Need}
		if err := who.Check(); err != nil {
			return nil, fmt.Errorf("rule %s: %w", r.Name, err)
		}
		if r.For == 0 {
			r.For = min(approvalTime, b.MaxWait())
		}
		if r.For < 0 || r.For > b.MaxWait() {
			return nil, fmt.Errorf("rule %s: waits for %v, which is not between 0 and %v", r.Name, r.For, b.MaxWait())
		}
		if r.Reason == "" {
			r.Reason = "rule " + r.Name + " asks for it"
		}
		out[i] = approveRule{r, who}
	}
	return out, nil
}

func (r *approveRule) hold(b *approval.Broker, op *protocol.Operation) protocol.Decision {
	if r.AutoDenyInTx && op.InTx {
		return protocol.Decision{Effect: protocol.DenyEffect, Rule: r.Name,
			Reason: "needs approval (" + r.Reason + "), which cannot be waited for inside a transaction",
			Hint:   "end the transaction, then run this statement by itself"}
	}
	id := approval.NewID()
	until := time.Now().Add(r.For)
	d := protocol.Hold(id, r.Reason, func(ctx context.Context) (protocol.Decision, error) {
		return r.wait(ctx, b, r.request(id, until, op))
	})
	d.Rule, d.Until, d.Hint = r.Name, until, b.Hint(id)
	return d
}

// request copies the facts of op. It is called when every step has been asked,
// so that the request shows what will run.
func (r *approveRule) request(id string, until time.Time, op *protocol.Operation) approval.Request {
	q := approval.Request{
		ID: id, Operation: op.ID, Verb: op.Verb, Access: op.Access, Text: op.Text, Behind: op.Behind, Rewritten: op.Rewritten(),
		Unmask: op.Unmask, Lifts: slices.Clone(op.Lifts), Args: slices.Clone(op.Args), Objects: slices.Clone(op.Objects), Settings: op.State, Opaque: op.Why,
		InTx: op.InTx, Risk: op.Risk, RiskWhy: slices.Clone(op.RiskWhy), Reason: r.Reason, Rule: r.Name,
		Digest: op.Digest(), Approvers: r.who, Until: until,
	}
	if s := op.Session; s != nil { // without one there is no requester, and Submit refuses
		q.Session, q.Requester, q.Tool = s.ID, s.Identity, s.Tool
		q.Target, q.Protocol, q.Account, q.Database = s.Resource.Name, s.Resource.Protocol, s.User, s.Database
	}
	return q
}

func (r *approveRule) wait(ctx context.Context, b *approval.Broker, q approval.Request) (protocol.Decision, error) {
	deny := protocol.Decision{Effect: protocol.DenyEffect, Rule: r.Name, Ticket: q.ID}
	p, err := b.Submit(ctx, q)
	switch {
	case errors.Is(err, approval.ErrTooMany):
		deny.Reason = "needs approval (" + r.Reason + "), and too many requests are waiting already"
		deny.Hint = "try again when one of them has been decided"
		return deny, nil
	case errors.Is(err, approval.ErrTooOften):
		deny.Reason = "needs approval (" + r.Reason + "), and too many of your requests came to nothing within the last hour"
		deny.Hint = "talk to an approver, and ask again later"
		return deny, nil
	case errors.Is(err, approval.ErrTooLarge):
		deny.Reason = "needs approval (" + r.Reason + "), and is too large for anybody to read"
		deny.Hint = "split it into smaller statements"
		return deny, nil
	case err != nil:
		return protocol.Pass, err
	}
	a, err := p.Wait(ctx)
	if err != nil {
		return protocol.Pass, err
	}
	switch a.State {
	case approval.StateApproved:
		d := protocol.Allow(r.Name)
		d.Ticket, d.By, d.Reason = a.ID, deciders(a.Decisions), comments(a.Decisions)
		return d, nil
	case approval.StateDenied:
		deny.Reason = "denied by " + deciders(a.Decisions[len(a.Decisions)-1:])
		if c := comments(a.Decisions[len(a.Decisions)-1:]); c != "" {
			deny.Reason += ": " + c
		}
	case approval.StateExpired:
		deny.Reason = "needs approval (" + r.Reason + "), and nobody decided in time"
		deny.Hint = "tell an approver, then run it again: " + a.Approvers.String()
	default:
		deny.Reason = "the request for approval was withdrawn"
	}
	return deny, nil
}

// deciders names who voted, by what they are keyed with, because names are not
// unique.
func deciders(ds []approval.Decision) string {
	var who []string
	for _, d := range ds {
		who = append(who, approval.Visible(approval.Person(d.By)))
	}
	return strings.Join(who, ", ")
}

func comments(ds []approval.Decision) string {
	var all []string
	for _, d := range ds {
		if d.Comment != "" {
			all = append(all, d.Comment)
		}
	}
	return strings.Join(all, "; ")
}
