package middleware

import (
	"context"
	"slices"
	"sync/atomic"

	"github.com/sallyport-dev/gateway/protocol"
)

// A Live is the engine of sessions whose chain can be replaced while they run:
// a replacement takes effect with the next operation, and the steps of a chain
// are closed when its last user is done with it. T is what has to be replaced
// together with the chain. The zero Live, and a closed one, refuses everything.
// It is safe for use by many goroutines.
type Live[T any] struct{ current atomic.Pointer[Version[T]] }

var _ protocol.Engine = (*Live[any])(nil)

// A Version is a chain that is or was the current one of a [Live].
type Version[T any] struct {
	*Chain
	With T

	refs atomic.Int64 // users, and one while it is current; closes the chain at 0
}

// Done says that a user needs the version no longer.
func (v *Version[T]) Done() {
	if v.refs.Add(-1) == 0 {
		if err := v.Close(); err != nil {
			v.warn("closing steps", "err", err)
		}
	}
}

// Replace makes c and with the current version, and returns the one before,
// which the caller has to be Done with; nil if there was none.
func (l *Live[T]) Replace(c *Chain, with T) *Version[T] {
	if before := l.current.Load(); before != nil {
		c = c.inPlaceOf(before.Chain)
	}
	v := &Version[T]{Chain: c, With: with}
	v.refs.Store(1)
	return l.current.Swap(v)
}

// MayReplace returns an error if c cannot take the place of the current chain while
// sessions are open: it has to record in the same journals, since what has begun
// would be in none of them as a whole.
func (l *Live[T]) MayReplace(c *Chain) error {
	now := l.Use()
	defer now.Done()
	return c.continues(now.Chain)
}

// Use returns the current version. The caller has to be Done with it.
func (l *Live[T]) Use() *Version[T] {
	for {
		v := l.current.Load()
		if v == nil {
			return &Version[T]{Chain: &Chain{}}
		}
		if n := v.refs.Load(); n > 0 && v.refs.CompareAndSwap(n, n+1) {
			return v
		}
	}
}

// Is reports whether v is the current version.
func (l *Live[T]) Is(v *Version[T]) bool { return l.current.Load() == v }

// Close gives the current version up.
func (l *Live[T]) Close() {
	if v := l.current.Swap(nil); v != nil {
		v.Done()
	}
}

// Authenticate implements [protocol.Engine].
func (l *Live[T]) Authenticate(ctx context.Context, login *protocol.Login) (*protocol.Identity, error) {
	v := l.Use()
	defer v.Done()
	return v.Chain.Authenticate(ctx, login)
}

// Ask implements [protocol.Engine]. What waited for an approval while the chain
// was replaced is refused: it was approved by other rules.
func (l *Live[T]) Ask(ctx context.Context, s *protocol.Session, ops []*protocol.Operation) error {
	v := l.Use()
	defer v.Done()
	if err := v.Chain.Ask(ctx, s, ops); err != nil || l.Is(v) {
		return err
	}
	if !slices.ContainsFunc(ops, func(op *protocol.Operation) bool { return len(op.Grants()) > 0 }) {
		return nil
	}
	err := &protocol.DeniedError{Step: "gateway", Reason: "the rules changed while this waited for approval", Hint: "run it again"}
	for _, op := range ops {
		op.Exchange().End(protocol.Outcome{Status: protocol.StatusDenied, Err: err})
	}
	return err
}

// Commit implements [protocol.Engine].
func (l *Live[T]) Commit(ctx context.Context, p protocol.Point, ops []*protocol.Operation) error {
	v := l.Use()
	defer v.Done()
	return v.Chain.Commit(ctx, p, ops)
}

// End implements [protocol.Engine].
func (l *Live[T]) End(s *protocol.Session, op *protocol.Operation, out protocol.Outcome) {
	v := l.Use()
	defer v.Done()
	v.Chain.End(s, op, out)
}
