package httpproxy

import (
	"errors"
	"net"
	"sync"
	"time"
)

// glance is how long nobody looks whether the client of a request is still there; it
// may be twice that.
const glance = 25 * time.Millisecond

// lazy is a client's connection of HTTP/1.1 that leaves undone what net/http asks for
// with each request and takes back before it matters: deadlines for reading, and the
// read of one byte that notices that a client leaves while its request is answered.
// Here that read is done ahead when the request has taken a while.
type lazy struct {
	net.Conn
	gone func() // is called when the client has left

	mu       sync.Mutex
	deadline time.Time // for reading
	set      time.Time // the one that Conn has
	reading  bool      // from Conn, for somebody
	hijacked bool

	watch  bool // the client is to be watched
	late   bool // so it was when the timer came last
	timing bool
	timer  *time.Timer

	ahead bool       // a byte is being read
	ended *sync.Cond // when it is not any more
	byte  [1]byte
	n     int   // what it came to, for the next Read
	err   error // likewise
}

func newLazy(nc net.Conn, gone func()) *lazy {
	c := &lazy{Conn: nc, gone: gone}
	c.ended = sync.NewCond(&c.mu)
	c.timer = time.AfterFunc(time.Hour, c.tick)
	c.timer.Stop()
	return c
}

// Read implements net.Conn. Nothing is what net/http's read of one byte comes to, which
// is one without a deadline; it is content with that.
func (c *lazy) Read(b []byte) (n int, err error) {
	c.mu.Lock()
	if len(b) == 1 && c.deadline.IsZero() && !c.hijacked {
		c.begin()
		c.mu.Unlock()
		return 0, nil
	}
	c.end()
	if n, err = c.n, c.err; n > 0 || err != nil {
		c.n, c.err = 0, nil
		copy(b, c.byte[:n])
		c.mu.Unlock()
		return n, err
	}
	c.apply(c.deadline)
	c.reading = true
	c.mu.Unlock()
	n, err = c.Conn.Read(b)
	c.mu.Lock()
	c.reading = false
	c.mu.Unlock()
	return n, err
}

// apply fails on a closed connection only, as reading will.
func (c *lazy) apply(deadline time.Time) {
	if !deadline.Equal(c.set) {
		c.set = deadline
		_ = c.Conn.SetReadDeadline(deadline)
	}
}

// begin has the client watched soon, if it is not yet.
func (c *lazy) begin() {
	if c.ahead || c.n > 0 || c.err != nil {
		return
	}
	c.watch, c.late = true, false
	if !c.timing {
		c.timing = true
		c.timer.Reset(glance)
	}
}

// tick is once in a while, rather than at a time of each request.
func (c *lazy) tick() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timing = c.watch && !c.late
	if c.late = true; c.timing {
		c.timer.Reset(glance)
	} else if c.watch {
		c.look()
	}
}

// look watches the client from now on.
func (c *lazy) look() {
	c.watch, c.ahead = false, true
	c.apply(time.Time{})
	go func() {
		n, err := c.Conn.Read(c.byte[:])
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.n, c.ahead = n, false; err != nil && c.set.IsZero() { // else it was made to end
			c.err = err
			c.gone()
		}
		c.ended.Signal()
	}()
}

// end has the client watched no more.
func (c *lazy) end() {
	if c.watch = false; !c.ahead {
		return
	}
	c.apply(time.Unix(1, 0))
	for c.ahead {
		c.ended.Wait()
	}
}

// upgrades is for a request whose connection may be hijacked: what comes now is noticed.
func (c *lazy) upgrades() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ahead && c.n == 0 && c.err == nil {
		c.look()
	}
}

// hijack reports whether something has come before there was an answer. From now on
// nothing is left undone.
func (c *lazy) hijack() (early bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end()
	c.hijacked = true
	return c.n > 0
}

// SetReadDeadline implements net.Conn.
func (c *lazy) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.deadline = t; c.reading {
		c.apply(t)
	}
	return nil
}

// SetDeadline implements net.Conn.
func (c *lazy) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}
