package protocoltest

import (
	"bytes"
	"errors"
	"net"
	"sync"
	"sync/atomic"
)

// A tape keeps what passes in one direction of one leg, and notes when the
// words it watches for are first seen.
type tape struct {
	clock *atomic.Uint64

	mu    sync.Mutex
	b     []byte
	off   bool // for checks that move too much to keep
	seen  map[string]uint64
	words map[string]bool
}

func newTape(clock *atomic.Uint64) *tape {
	return &tape{clock: clock, seen: map[string]uint64{}, words: map[string]bool{}}
}

func (t *tape) watch(word string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.words[word] = true
}

// at returns when word was first seen; 0 if it was not.
func (t *tape) at(word string) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.seen[word]
}

func (t *tape) add(b []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.off {
		return
	}
	old := len(t.b)
	t.b = append(t.b, b...)
	for w := range t.words {
		if t.seen[w] == 0 && bytes.Contains(t.b[max(0, old-len(w)):], []byte(w)) {
			t.seen[w] = t.clock.Add(1)
		}
	}
}

func (t *tape) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.off = true
}

func (t *tape) len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.b)
}

func (t *tape) from(n int) []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return bytes.Clone(t.b[n:])
}

func (t *tape) contains(word string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return bytes.Contains(t.b, []byte(word))
}

// tapedConn is the gateway's end of a leg, with a tape for each direction.
type tapedConn struct {
	net.Conn
	in, out []*tape
	oneByte bool // deliver and send bytes one by one
}

// Read implements net.Conn.
func (c *tapedConn) Read(b []byte) (int, error) {
	if c.oneByte && len(b) > 1 {
		b = b[:1]
	}
	n, err := c.Conn.Read(b)
	for _, t := range c.in {
		t.add(b[:n])
	}
	return n, err
}

// Write implements net.Conn.
func (c *tapedConn) Write(b []byte) (int, error) {
	for _, t := range c.out {
		t.add(b) // before it is sent: the other side must not know it earlier
	}
	if !c.oneByte {
		return c.Conn.Write(b)
	}
	for i := range b {
		if n, err := c.Conn.Write(b[i : i+1]); err != nil {
			return i + n, err
		}
	}
	return len(b), nil
}

// tapedTCP keeps what TCP can do beyond net.Conn.
type tapedTCP struct{ *tapedConn }

// CloseWrite ends the sending direction.
func (c tapedTCP) CloseWrite() error { return c.Conn.(*net.TCPConn).CloseWrite() }

func (c *tapedConn) conn() net.Conn {
	if _, ok := c.Conn.(*net.TCPConn); ok {
		return tapedTCP{c}
	}
	return c
}

// A listener accepts over TCP or net.Pipe and wraps what it accepts.
type listener struct {
	net.Listener
	wrap func(net.Conn) net.Conn
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.wrap(c), nil
}

// pipeListener hands out the other ends of net.Pipe.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (l *pipeListener) dial() (net.Conn, error) {
	a, b := net.Pipe()
	select {
	case l.conns <- b:
		return a, nil
	case <-l.done:
		return nil, errors.Join(net.ErrClosed, a.Close(), b.Close())
	}
}

// Accept implements net.Listener.
func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// Addr implements net.Listener.
func (l *pipeListener) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }
