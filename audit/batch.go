package audit

import (
	"bytes"
	"context"
)

// A Leaf is an event with its exact bytes, which are what a journal proves.
type Leaf struct {
	Event Event
	Bytes []byte
}

// Batches is [Tail] for whoever takes several events at once: f gets what is
// there, at least one event and at most max, and while it is busy reading goes
// on, at most max events ahead. It owns the batch until it returns.
func Batches(ctx context.Context, dir string, from uint64, follow bool, max int, f func([]Event) error) error {
	return batches(ctx, dir, from, follow, max, func(e Event, _ []byte) Event { return e }, f)
}

// Leaves is [Batches] for whoever wants the bytes as well.
func Leaves(ctx context.Context, dir string, from uint64, follow bool, max int, f func([]Leaf) error) error {
	return batches(ctx, dir, from, follow, max, func(e Event, leaf []byte) Leaf { return Leaf{e, bytes.Clone(leaf)} }, f)
}

func batches[T any](ctx context.Context, dir string, from uint64, follow bool, max int, of func(Event, []byte) T, f func([]T) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ahead := make(chan T, max)
	tailed := make(chan error, 1)
	go func() {
		defer close(ahead)
		tailed <- tailLeaves(ctx, dir, from, follow, func(e Event, leaf []byte) error {
			select {
			case ahead <- of(e, leaf):
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
	}()
	var batch []T
	for e := range ahead {
		batch = append(batch[:0], e)
		for more := true; more && len(batch) < max; {
			select {
			case e, more = <-ahead:
				if more {
					batch = append(batch, e)
				}
			default:
				more = false
			}
		}
		if err := f(batch); err != nil {
			cancel(err)
			<-tailed
			return err
		}
	}
	return <-tailed
}
