package export

import (
	"context"
	"time"

	"github.com/sallyport-dev/gateway/audit"
)

// A parcel is an event that may go out.
type parcel struct {
	event audit.Event
	size  int
}

// batches calls f with the events from number from on, some at a time: at most
// x.Batch of them, and of x.Bytes, unless a single one is larger. Reading goes on
// while f is busy, at most as much ahead again.
func (x *Exporter) batches(ctx context.Context, from uint64, follow bool, f func([]audit.Event) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// A few are on their way; each is bounded by prepare.
	parcels := make(chan parcel, min(x.Batch, max(1, x.Bytes/maxEvent)))
	tailed := make(chan error, 1)
	go func() {
		defer close(parcels)
		tailed <- audit.Tail(ctx, x.Dir, from, follow, func(e audit.Event) error {
			p := parcel{e, 0}
			p.size = x.prepare(&p.event)
			select {
			case parcels <- p:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
	}()
	b := batcher{x: x, parcels: parcels}
	for b.fill(ctx) {
		if err := f(b.events); err != nil {
			cancel(err)
			for range parcels { // so that the reader can end
			}
			<-tailed
			return err
		}
	}
	return <-tailed
}

// linger is how long a batch waits at least: the events of a journal that is ahead
// of its sink come one after the other, and would go so.
const linger = 20 * time.Millisecond

// A batcher puts events together.
type batcher struct {
	x       *Exporter
	parcels <-chan parcel
	events  []audit.Event
	size    int
	next    *parcel // did not fit into the one before
}

// fill makes the next batch. It reports false when there is none.
func (b *batcher) fill(ctx context.Context) bool {
	b.events, b.size = b.events[:0], 0
	if b.next != nil {
		b.add(*b.next)
		b.next = nil
	} else {
		p, ok := <-b.parcels
		if !ok {
			return false
		}
		b.add(p)
	}
	late := time.NewTimer(max(b.x.Every, linger))
	defer late.Stop()
	for len(b.events) < b.x.Batch {
		select {
		case p, ok := <-b.parcels:
			if !ok {
				return true
			}
			if b.size+p.size > b.x.Bytes {
				b.next = &p
				return true
			}
			b.add(p)
		case <-late.C:
			return true
		case <-ctx.Done():
			return true
		}
	}
	return true
}

func (b *batcher) add(p parcel) {
	b.events = append(b.events, p.event)
	b.size += p.size
}
