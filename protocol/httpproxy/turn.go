package httpproxy

import (
	"iter"
	"sync"
)

// A turn runs one request after the other on a stack of its own: whoever lets it run
// waits until the request is over or pauses, without a switch between goroutines that
// the scheduler has to make. Its stack has grown as requests need it, where each stream
// of HTTP/2 has a new one.
type turn struct {
	p     *pending        // runs next
	pause func(bool) bool // in what runs: lets go on whoever has called run
	next  func() (bool, bool)
	stop  func() // when nothing is left to run
}

func newTurn() *turn {
	t := new(turn)
	t.next, t.stop = iter.Pull(func(yield func(bool) bool) {
		t.pause = yield
		for more := true; more; more = yield(true) {
			t.p.decide()
		}
	})
	return t
}

// run runs what it has, or what is left of that, until it is over or pauses.
func (t *turn) run() (over bool) {
	over, _ = t.next()
	return over
}

// turns are those of a session that have nothing to run.
type turns struct {
	mu     sync.Mutex
	idle   []*turn
	closed bool
}

// take returns one that will run p.
func (ts *turns) take(p *pending) (t *turn) {
	ts.mu.Lock()
	if n := len(ts.idle); n > 0 {
		t, ts.idle = ts.idle[n-1], ts.idle[:n-1]
	}
	ts.mu.Unlock()
	if t == nil {
		t = newTurn()
	}
	t.p = p
	return t
}

// put takes t back, which is over.
func (ts *turns) put(t *turn) {
	t.p = nil
	ts.mu.Lock()
	closed := ts.closed
	if !closed {
		ts.idle = append(ts.idle, t)
	}
	ts.mu.Unlock()
	if closed {
		t.stop()
	}
}

// close ends the goroutines of those that are idle, now and later.
func (ts *turns) close() {
	ts.mu.Lock()
	idle := ts.idle
	ts.idle, ts.closed = nil, true
	ts.mu.Unlock()
	for _, t := range idle {
		t.stop()
	}
}
