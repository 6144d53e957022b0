package approval

import "context"

// A Pending is a submitted request from the requester's side.
type Pending struct {
	b *Broker
	e *entry
}

// Request returns the request as it is now.
func (p *Pending) Request() Request { return p.e.now.Load().clone() }

// Wait blocks until the request has ended and returns it. If ctx ends first,
// the request is withdrawn, and Wait returns it with ctx's cause; should it
// have been decided in that very moment, Wait returns the decision. Only
// [StateApproved] permits anything.
func (p *Pending) Wait(ctx context.Context) (Request, error) {
	select {
	case <-p.e.done:
		return p.Request(), nil
	case <-ctx.Done():
	}
	cause := context.Cause(ctx)
	p.Withdraw(cause)
	r := p.Request()
	if r.State == StateWithdrawn {
		return r, cause
	}
	return r, nil
}

// Withdraw ends the request because of cause, unless it has ended already.
func (p *Pending) Withdraw(cause error) {
	text := ""
	if cause != nil {
		text = cause.Error()
	}
	p.b.end(p.e, StateWithdrawn, text)
}
