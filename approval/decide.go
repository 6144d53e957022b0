package approval

import (
	"context"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
)

// A Verdict is what somebody says about a request.
type Verdict struct {
	Request string             // the request's id
	Digest  [32]byte           // of the request as its approver saw it
	By      *protocol.Identity // who decides, as established by a login of their own
	Approve bool               // the zero Verdict denies
	Comment string             // for the requester to read
}

// Decide counts a verdict and returns the request as it is afterwards. One no
// denies; a yes approves when as many different people as needed have said so.
// The errors are [ErrLogin], [ErrUnknown], a [ForbiddenError], [ErrEnded],
// [ErrDigest], [ErrVoted] and [ErrComment], and nothing has changed. Any other
// error comes from the journal: then an approving vote did not count, but a
// denial did.
func (b *Broker) Decide(ctx context.Context, v Verdict) (Request, error) {
	if v.By == nil || v.By.Issuer == "" || v.By.Subject == "" {
		return Request{}, ErrLogin
	}
	text, err := comment(v.Comment)
	if err != nil {
		return Request{}, err
	}
	e := b.find(v.Request)
	if e == nil {
		return Request{}, ErrUnknown
	}
	if err := e.now.Load().MayDecide(v.By); err != nil { // before anything about its state is said
		return Request{}, err
	}
	r, err := b.change(ctx, e, func(next *Request) (*Decision, error) {
		now := time.Now()
		if !now.Before(next.Until) { // the timer is about to say so
			return nil, ErrEnded
		}
		if err := next.MayDecide(v.By); err != nil { // the login may have expired since
			return nil, err
		}
		if v.Digest != next.Digest {
			return nil, ErrDigest
		}
		for i := range next.Decisions {
			if samePerson(next.Decisions[i].By, v.By) {
				return nil, ErrVoted
			}
		}
		d := Decision{By: cloneIdentity(v.By), Approve: v.Approve, Comment: text, Time: now}
		next.Decisions = append(next.Decisions, d)
		switch {
		case !v.Approve:
			next.State = StateDenied
		case len(next.Decisions) >= next.Approvers.need():
			next.State = StateApproved
		}
		return &d, nil
	})
	return r, err
}
