package sql

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
)

const (
	loadLimit = 30 * time.Second // for one load
	loadRetry = time.Second      // pause after a failed load
)

// A Latest is the latest snapshot of a target's definitions, read when it is
// asked for and there may be a newer one. It is safe for use by many goroutines.
type Latest struct {
	changes *Changes
	load    func(context.Context) (c *Catalog, good time.Duration, err error)
	failed  func(error)

	now    atomic.Pointer[Catalog]
	loaded atomic.Int64 // what was known of changes at the last load, -1 before the first
	began  atomic.Int64 // when the last load did, in Unix ns
	again  atomic.Int64 // when to load again though no change is known, in Unix ns; 0: not

	asked atomic.Int64 // counts calls of Anew

	mu     sync.Mutex // one loader at a time
	told   int64      // asked when the last load began that went well
	fault  time.Time  // when loading failed last
	closed bool
}

// NewLatest returns one of definitions with changes that is read with load. good is how long what load
// returns serves while no change is known of; 0 means until one is. failed is
// told why a load failed.
func NewLatest(changes *Changes, load func(context.Context) (c *Catalog, good time.Duration, err error), failed func(error)) *Latest {
	l := &Latest{changes: changes, load: load, failed: failed}
	l.loaded.Store(-1)
	return l
}

// Stale says that definitions have changed, to all who read the same ones.
func (l *Latest) Stale() { l.changes.known.Add(1) }

// Doubt says that definitions may have changed, about which it is soon enough
// to ask d after the last load began, or now if that was before.
func (l *Latest) Doubt(d time.Duration) {
	now := time.Now().UnixNano()
	next := max(now, l.began.Load()+int64(d))
	if at := l.again.Load(); at <= now || next < at { // one that is due may be being answered
		l.again.CompareAndSwap(at, next)
	}
}

// Current returns a snapshot that is newer than every change noted by Stale, or
// nil if the definitions cannot be read.
func (l *Latest) Current() *Catalog {
	if c, ok := l.newest(); ok {
		return c
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if c, ok := l.newest(); ok {
		return c
	}
	if time.Since(l.fault) < loadRetry || l.closed {
		return nil
	}
	return l.renew()
}

// Anew returns a snapshot of what there is from now on, or nil if the definitions
// cannot be read. Meanwhile whoever asks Current gets the last one. Those who wait at
// the same time are told together.
func (l *Latest) Anew() *Catalog {
	asked := l.asked.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.told >= asked {
		return l.now.Load()
	}
	if time.Since(l.fault) < loadRetry || l.closed {
		return nil
	}
	return l.renew()
}

// Renew loads another snapshot, for changes that nobody tells of. Meanwhile whoever
// asks gets the last one.
func (l *Latest) Renew() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.renew()
	}
}

// renew loads a snapshot. The caller holds mu.
func (l *Latest) renew() *Catalog {
	l.began.Store(time.Now().UnixNano())
	want, asked := l.Known(), l.asked.Load()
	ctx, cancel := context.WithTimeout(context.Background(), loadLimit)
	defer cancel()
	doubt := l.again.Load() // one that arises meanwhile counts for the next load
	var c *Catalog
	var good time.Duration
	// A fault in reading what the target says is a failure: it may be on a
	// goroutine that is no session's.
	err := protocol.Guard(func() (err error) {
		c, good, err = l.load(ctx)
		return err
	})
	if err != nil {
		l.fault = time.Now()
		l.now.Store(nil)
		l.again.Store(l.fault.Add(loadRetry).UnixNano()) // also if no change is known of
		l.failed(err)
		return nil
	}
	l.now.Store(c)
	again := int64(0)
	if good > 0 {
		again = time.Now().Add(good).UnixNano()
	}
	l.again.CompareAndSwap(doubt, again)
	l.loaded.Store(want)
	l.told = asked
	return c
}

// Ahead loads a snapshot that will be asked for soon, for whoever asks: it does
// not wait, nor does the session's end.
func (l *Latest) Ahead() {
	if _, ok := l.newest(); !ok {
		go l.Current()
	}
}

// newest returns the last snapshot, if there is no reason to load another.
func (l *Latest) newest() (c *Catalog, ok bool) {
	if l.loaded.Load() < l.Known() {
		return nil, false
	}
	if at := l.again.Load(); at != 0 && time.Now().UnixNano() >= at {
		return nil, false
	}
	return l.now.Load(), true
}

// Fresh returns the snapshot if no change is known that it lacks, else nil. It
// does not wait.
func (l *Latest) Fresh() *Catalog {
	if l.loaded.Load() >= l.Known() {
		return l.now.Load()
	}
	return nil
}

// Last returns the last snapshot, however old, or nil. It does not wait.
func (l *Latest) Last() *Catalog { return l.now.Load() }

// Known returns how many changes are known of.
func (l *Latest) Known() int64 { return l.changes.known.Load() }

// Between runs f while nothing is loaded.
func (l *Latest) Between(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

// Close keeps it from being loaded again.
func (l *Latest) Close() {
	l.Between(func() { l.closed = true })
}
