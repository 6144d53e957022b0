package approval

import (
	"cmp"
	"context"
	"iter"
	"slices"
)

// find returns the published entry with this id, or nil.
func (b *Broker) find(id string) *entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.prune()
	if e := b.byID[id]; e != nil && e.version > 0 {
		return e
	}
	return nil
}

// Get returns the request with this id, or [ErrUnknown]. Who may read it is
// the caller's to check, with [Request.MaySee].
func (b *Broker) Get(id string) (Request, error) {
	e := b.find(id)
	if e == nil {
		return Request{}, ErrUnknown
	}
	return e.now.Load().clone(), nil
}

// List returns the requests in any of the given states, all if none is given,
// oldest first.
func (b *Broker) List(states ...State) []Request {
	fresh, _, _ := b.since(0)
	out := make([]Request, 0, len(fresh))
	for _, r := range fresh {
		if len(states) == 0 || slices.Contains(states, r.State) {
			out = append(out, r.clone())
		}
	}
	slices.SortFunc(out, func(x, y Request) int {
		return cmp.Or(x.Created.Compare(y.Created), cmp.Compare(x.ID, y.ID))
	})
	return out
}

// Watch yields the pending requests and from then on every request that
// changes, until ctx ends. Whoever is slow sees a request's newest state, not
// each one in between; a state may be seen twice.
func (b *Broker) Watch(ctx context.Context) iter.Seq[Request] {
	return func(yield func(Request) bool) {
		var seen uint64
		for first := true; ; first = false {
			fresh, latest, wake := b.since(seen)
			for _, r := range fresh {
				if first && r.State != StatePending {
					continue
				}
				if ctx.Err() != nil || !yield(r.clone()) {
					return
				}
			}
			seen = latest
			select {
			case <-ctx.Done():
				return
			case <-wake:
			}
		}
	}
}

// since returns the requests with changes after the given version, in the
// order of the changes, the newest version, and what is closed at the next
// change.
func (b *Broker) since(version uint64) (fresh []*Request, latest uint64, wake <-chan struct{}) {
	type change struct {
		version uint64
		r       *Request
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.prune()
	var cs []change
	for _, e := range b.byID {
		if e.version > version {
			cs = append(cs, change{e.version, e.now.Load()})
		}
	}
	slices.SortFunc(cs, func(x, y change) int { return cmp.Compare(x.version, y.version) })
	for _, c := range cs {
		fresh = append(fresh, c.r)
	}
	return fresh, b.latest, b.wake
}
