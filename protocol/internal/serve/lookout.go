package serve

import (
	"net"
	"sync"
	"time"

	"github.com/sallyport-dev/gateway/protocol/internal/wire"
)

// LostAfter is about how long what runs for a client that is gone may go on.
const LostAfter = time.Second

// A Lookout looks now and then whether a peer is still there while its session,
// which would read its end, waits for the other one. It is for one wait at a time.
type Lookout struct {
	peer  net.Conn
	every time.Duration
	looks int
	gone  func()

	mu      sync.Mutex
	timer   *time.Timer
	armed   bool // the timer runs
	waiting bool
	soon    time.Time // until then it is looked for more often
	away    int       // looks that did not find it
}

// InitClient says for which client to look. gone is called once a wait goes on for
// LostAfter without it, on a goroutine of its own. A client that has only closed
// its sending side looks the same here as one that has left.
func (l *Lookout) InitClient(client net.Conn, gone func()) {
	l.peer, l.every, l.looks, l.gone = client, hungUpEvery, int(LostAfter/hungUpEvery), gone
}

// idleEvery is how often an idle session looks for its target: three thousand do
// so at less than a hundredth of a core.
const idleEvery = 500 * time.Millisecond

// InitTarget says for which target to look. gone is called, on a goroutine of its
// own, as soon as it is found to have hung up.
func (l *Lookout) InitTarget(target net.Conn, gone func()) {
	l.peer, l.every, l.looks, l.gone = target, idleEvery, 1, gone
}

// Start says that the session waits.
func (l *Lookout) Start() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting, l.away = true, 0
	switch {
	case l.timer == nil:
		l.timer = time.AfterFunc(l.pause(), l.look)
	case !l.armed: // else the timer of the last wait serves this one: most are short
		l.timer.Reset(l.pause())
	}
	l.armed = true
}

// Stop says that it no longer waits.
func (l *Lookout) Stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = false
}

// Expect says that the peer has been told to leave: a wait that goes on, or begins, sees
// it at once.
func (l *Lookout) Expect() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.soon = time.Now().Add(LostAfter)
	if l.armed {
		l.timer.Reset(l.pause())
	}
}

// expectedEvery is how often a peer is looked for that has been told to leave.
const expectedEvery = 5 * time.Millisecond

// pause returns the time up to the next look.
func (l *Lookout) pause() time.Duration {
	if !l.soon.IsZero() && time.Now().Before(l.soon) {
		return expectedEvery
	}
	return l.every
}

func (l *Lookout) look() {
	l.mu.Lock()
	if !l.waiting {
		l.armed = false
		l.mu.Unlock()
		return
	}
	if l.away++; !wire.HungUp(l.peer) {
		l.away = 0
	}
	gone := l.away == l.looks
	if l.armed = !gone; l.armed {
		l.timer.Reset(l.pause())
	}
	l.mu.Unlock()
	if gone {
		l.gone()
	}
}
