package protocol

import (
	"context"
	"errors"
	"time"
)

// An Effect is what a [Decision] asks for.
type Effect uint8

// The effects. Deny beats Hold beats Allow; if every step says NoOpinion the
// operation is refused.
const (
	NoOpinion Effect = iota
	AllowEffect
	DenyEffect
	HoldEffect
)

// String returns "none", "allow", "deny" or "hold".
func (e Effect) String() string {
	switch e {
	case AllowEffect:
		return "allow"
	case DenyEffect:
		return "deny"
	case HoldEffect:
		return "hold"
	}
	return "none"
}

// A Decision is one step's answer about one operation. The zero Decision,
// [Pass], is no opinion.
type Decision struct {
	Effect Effect
	Reason string // for the client to read, when denied or held
	Rule   string // the rule that decided, by the name its author gave it
	Hint   string // what the client can do next
	By     string // who decided: a step's name, or the approver's name

	// Steady says that the step would answer the same, and would do nothing
	// but add the same risk, for every operation of this session with the same
	// [Facts] and the same risk so far. It has looked at nothing else of the
	// operation, at no clock and at nothing that changes, and has registered
	// nothing. The engine may then spare the question for a second. Leave it
	// false when in doubt.
	Steady bool

	// Ticket, Until and Wait belong to a hold. Wait makes the request known to
	// those who may decide and blocks until it is decided or ctx ends; what it
	// returns must be an allow or a deny. It is called at most once, and only
	// when no other step has denied, so a hold that never waits has asked
	// nobody.
	Ticket string
	Until  time.Time
	Wait   func(ctx context.Context) (Decision, error)
}

// Pass is no opinion.
var Pass Decision

// Allow returns a decision that allows; rule says which rule did.
func Allow(rule string) Decision { return Decision{Effect: AllowEffect, Rule: rule} }

// Deny returns a decision that refuses, for the reason that the client will
// read.
func Deny(reason string) Decision { return Decision{Effect: DenyEffect, Reason: reason} }

// Hold returns a decision that holds the operation until wait returns.
func Hold(ticket, reason string, wait func(context.Context) (Decision, error)) Decision {
	return Decision{Effect: HoldEffect, Ticket: ticket, Reason: reason, Wait: wait}
}

// A DeniedError says that an operation or a login was refused by policy. Its
// Reason, Rule, Hint and Ticket may be shown to the client.
type DeniedError struct {
	Step, Rule, Reason, Hint, Ticket string
}

// Error returns the refusal in one line.
func (e *DeniedError) Error() string {
	s := "refused"
	if e.Step != "" {
		s += " by " + e.Step
	}
	if e.Rule != "" {
		s += " (rule " + e.Rule + ")"
	}
	return s + ": " + e.Reason
}

// FixedReason is what a client reads when something failed that is not a
// refusal. Details go to the operator's log only.
const FixedReason = "the gateway could not process this request; ask its operator, who finds the cause in the log"

// Errors that connectors and steps meet.
var (
	// ErrShape says that an operation's result does not have the shape that a
	// tap asked for. A step that needed it must deny.
	ErrShape = errors.New("protocol: the result does not have this shape")
	// ErrFixed says that a connector cannot rewrite this operation.
	ErrFixed = errors.New("protocol: this operation cannot be rewritten")
	// ErrDecided says that an operation was changed after it was decided.
	ErrDecided = errors.New("protocol: the operation has already been decided")
	// ErrClientGone ends a hold because the client left or withdrew.
	ErrClientGone = errors.New("protocol: the client withdrew")
	// ErrUnavailable says that the gateway cannot do its part now, such as to write
	// down what is asked for. The same may be asked for again later: nothing that
	// could not be undone has been done for it.
	ErrUnavailable = errors.New("protocol: the gateway cannot do its part now")
	// ErrClosed says that the session has ended.
	ErrClosed = errors.New("protocol: the session is closed")
)

// Reason returns the text about err that a connector may show to a client: a
// refusal's reason, or [FixedReason].
func Reason(err error) string {
	var d *DeniedError
	if errors.As(err, &d) && d.Reason != "" {
		return d.Reason
	}
	return FixedReason
}
