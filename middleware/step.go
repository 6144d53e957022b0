// Package middleware holds the steps that a gateway is assembled from and the
// [Chain] that runs them.
//
// A [Step] is a struct of hooks; what it does not care about stays nil. There
// is no next to call and nothing to wrap: the Chain owns the order of things.
// It asks every step about every operation; deny beats hold beats allow, and
// if no step has an opinion the operation is refused. Start with [NewChain]
// and the steps of this package; the steps that need a heavy dependency live
// in folders below.
package middleware

import (
	"context"
	"errors"
	"fmt"

	"github.com/sallyport-dev/gateway/protocol"
)

// A Role marks the steps whose place in the list is checked by [NewChain].
type Role uint8

// The roles.
const (
	RoleNone    Role = iota
	RoleMasks        // rewrites results; must stand before what records or keeps them
	RoleRecords      // keeps the evidence; needs the hooks Event and Commit
	RoleKeeps        // keeps what results hold, beside the evidence
)

// A Step is one link of a [Chain]. At least one hook is set. Hooks are called
// from many goroutines at once; about one operation they are called one after
// the other, in list order. A hook that panics ends the session it was called
// for, with a refusal.
type Step struct {
	Name string // names the step in decisions, records and errors
	Role Role

	// Authenticate says who is behind a login. nil, nil: this is not a proof
	// that the step knows. A *protocol.DeniedError refuses the login at once;
	// any other error refuses it too, and only the operator sees why.
	Authenticate func(ctx context.Context, l *protocol.Login) (*protocol.Identity, error)

	// Recheck reports whether the step would still let in whom it let in as id:
	// whether the token is still listed, say, and still stands for the same
	// groups. It is asked about open sessions after a reload; one that no step
	// vouches for ends. Without it the step vouches for everybody.
	Recheck func(ctx context.Context, id *protocol.Identity) bool

	// Operation decides about one operation and registers taps on its result.
	// An error refuses the operation; only the operator sees why.
	Operation func(ctx context.Context, op *protocol.Operation) (protocol.Decision, error)

	// Event is told what happens to every operation, whoever decided. An error
	// before the operation is sent refuses it; an error afterwards ends the
	// session.
	Event func(ctx context.Context, e *protocol.Event) error

	// Commit makes what Event noted about ops as safe as p asks, for all of
	// them at once. An error refuses them.
	Commit func(ctx context.Context, p protocol.Point, ops []*protocol.Operation) error

	// Close releases what the step holds, after the last session has ended.
	Close func() error

	err error // why the step cannot be used; reported by NewChain

	addsRisk, usesRisk bool // see NewChain

	journal string // the directory of the journal that the step records in; "": not known
	into    string // the directory of the journal that has to be another step's; "": none has
}

// A StepError says that a step of a list does not go with the others.
type StepError struct {
	Index int // in the list
	Name  string
	Err   error
}

// Error names the step, and says why.
func (e *StepError) Error() string { return fmt.Sprintf("step %s: %v", e.Name, e.Err) }

// Unwrap returns why.
func (e *StepError) Unwrap() error { return e.Err }

func (s *Step) check() error {
	switch {
	case s.err != nil:
		return fmt.Errorf("step %s: %w", s.Name, s.err)
	case s.Name == "":
		return errors.New("a step without a name")
	case s.Authenticate == nil && s.Operation == nil && s.Event == nil && s.Commit == nil:
		return fmt.Errorf("step %s: has no hook, so it would do nothing", s.Name)
	case s.Recheck != nil && s.Authenticate == nil:
		return fmt.Errorf("step %s: Recheck is for a step that authenticates", s.Name)
	case s.Role == RoleRecords && (s.Event == nil || s.Commit == nil):
		return fmt.Errorf("step %s: a step that records needs the hooks Event and Commit", s.Name)
	}
	return nil
}

// When returns step, asked only about the operations for which cond is true;
// about others it has no opinion and registers no tap. Only steps that have
// nothing but an Operation hook can be limited in this way: a record with
// gaps is no record.
func When(cond func(*protocol.Operation) bool, step Step) Step {
	if step.Operation == nil || step.Authenticate != nil || step.Event != nil || step.Commit != nil {
		step.err = errors.New("When takes a step whose only hook is Operation")
		return step
	}
	ask := step.Operation
	step.Operation = func(ctx context.Context, op *protocol.Operation) (protocol.Decision, error) {
		if !cond(op) {
			return protocol.Pass, nil
		}
		d, err := ask(ctx, op)
		d.Steady = false // nobody knows what cond looks at
		return d, err
	}
	return step
}
