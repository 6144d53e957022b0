package audit

import "context"

// Batches is [Tail] for whoever takes several events at once: f gets what is
// there, at least one event and at most max, and while it is busy reading goes
// on, at most max events ahead. It owns the batch until it returns.
func Batches(ctx context.Context, dir string, from uint64, follow bool, max int, f func([]Event) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	events := make(chan Event, max)
	tailed := make(chan error, 1)
	go func() {
		defer close(events)
		tailed <- Tail(ctx, dir, from, follow, func(e Event) error {
			select {
			case events <- e:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
	}()
	batch := make([]Event, 0, max)
	for e := range events {
		batch = append(batch[:0], e)
		for more := true; more && len(batch) < max; {
			select {
			case e, more = <-events:
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
