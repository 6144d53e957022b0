package serve

import (
	"net"
	"sync"
	"time"

	"github.com/sallyport-dev/gateway/protocol/internal/wire"
)

// LostAfter is about how long what runs for a client that is gone may go on.
const LostAfter = time.Second

// A Lookout looks now and then whether a client is still there while its
// session, which would read its end, waits for the target. It is for one wait
// at a time.
type Lookout struct {
	client net.Conn
	gone   func()

	mu      sync.Mutex
	timer   *time.Timer
	armed   bool // the timer runs
	waiting bool
	away    int // looks that did not find it
}

// Init says whom to look for. gone is called once a wait goes on for LostAfter
// without the client, on a goroutine of its own. A client that has only closed
// its sending side looks the same here as one that has left.
func (l *Lookout) Init(client net.Conn, gone func()) { l.client, l.gone = client, gone }

// Start says that the session waits.
func (l *Lookout) Start() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting, l.away = true, 0
	switch {
	case l.timer == nil:
		l.timer = time.AfterFunc(hungUpEvery, l.look)
	case !l.armed: // else the timer of the last wait serves this one: most are short
		l.timer.Reset(hungUpEvery)
	}
	l.armed = true
}

// Stop says that it no longer waits.
func (l *Lookout) Stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = false
}

func (l *Lookout) look() {
	l.mu.Lock()
	if !l.waiting {
		l.armed = false
		l.mu.Unlock()
		return
	}
	if l.away++; !wire.HungUp(l.client) {
		l.away = 0
	}
	gone := l.away == int(LostAfter/hungUpEvery)
	if l.armed = !gone; l.armed {
		l.timer.Reset(hungUpEvery)
	}
	l.mu.Unlock()
	if gone {
		l.gone()
	}
}
