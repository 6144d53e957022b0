package ssh

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
)

// chunk is how much is copied at once: the largest payload of a packet.
const chunk = 32 << 10

// burst is how much is copied at once where much comes. The library opens a peer's
// window again with each read of more than three chunks, and wakes a reader that
// waits with each packet.
const burst = 256 << 10

var (
	chunks = sync.Pool{New: func() any { return new([chunk]byte) }}
	bursts = sync.Pool{New: func() any { return new([burst]byte) }}
)

// How long nothing has to come before a tap hears of it: what it holds back is shown
// that much later. People at a terminal see the echo of each key; what a program
// writes elsewhere is cut by a target under load as well.
const (
	pause     = 250 * time.Millisecond
	typePause = 30 * time.Millisecond
)

// A stream passes what is read on, through a tap if there is one.
type stream struct {
	dst io.Writer
	f   protocol.BytesFunc
	n   *atomic.Int64 // bytes written
	cut func(error)   // ends what the stream is part of, after a tap's error in a pause; waits for nothing

	pause time.Duration
	mu    sync.Mutex // the tap and the writer
	over  bool       // no pause any more
	timer *time.Timer
}

// copyStream copies src to dst until src ends, through f unless that is nil, and
// counts what it has written. A tap's error is returned as *tapError, or handed to
// cut if it comes while src is waited for.
func copyStream(dst io.Writer, src io.Reader, f protocol.BytesFunc, n *atomic.Int64, pause time.Duration, cut func(error)) error {
	small := chunks.Get().(*[chunk]byte)
	defer chunks.Put(small)
	var large *[burst]byte // nil where little comes
	defer func() {
		if large != nil {
			bursts.Put(large)
		}
	}()
	s := &stream{dst: dst, f: f, n: n, pause: pause, cut: cut}
	if f != nil {
		s.timer = time.AfterFunc(pause, s.paused)
		defer s.end()
	}
	for {
		buf := small[:]
		if large != nil {
			buf = large[:]
		}
		m, rerr := src.Read(buf)
		if m > 0 || rerr == io.EOF && f != nil {
			if err := s.pass(buf[:m], rerr == io.EOF); err != nil {
				return err
			}
		}
		if rerr == io.EOF {
			return nil
		}
		if rerr != nil {
			return rerr
		}
		switch {
		case m >= chunk && large == nil:
			large = bursts.Get().(*[burst]byte)
		case m < chunk && large != nil:
			bursts.Put(large)
			large = nil
		}
	}
}

// pass writes b, or what the tap makes of it.
func (s *stream) pass(b []byte, last bool) error {
	if s.f != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.over {
			return io.ErrClosedPipe
		}
		s.over = last
		var err error
		if b, err = s.f(b, last); err != nil {
			s.over = true
			return &tapError{err}
		}
		defer s.timer.Reset(s.pause)
	}
	if len(b) == 0 {
		return nil
	}
	w, err := s.dst.Write(b)
	s.n.Add(int64(w))
	return err
}

// paused shows the tap that nothing has come for a while.
func (s *stream) paused() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return
	}
	err := protocol.Guard(func() error {
		b, err := s.f(nil, false)
		if err != nil {
			return &tapError{err}
		}
		if len(b) > 0 {
			w, err := s.dst.Write(b)
			s.n.Add(int64(w))
			return err
		}
		return nil
	})
	if err != nil {
		s.over = true
		s.cut(err)
	}
}

func (s *stream) end() {
	s.timer.Stop()
	s.mu.Lock() // the tap is not called any more when copyStream has returned
	defer s.mu.Unlock()
	s.over = true
}

// A tapError is a step's failure to look at a stream: nothing more of it may be
// shown.
type tapError struct{ error }

// Unwrap returns the step's error.
func (e *tapError) Unwrap() error { return e.error }

// A lockedWriter is written to by what the target says and by the gateway itself.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

// Write implements io.Writer.
func (l *lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

// bulk is a connection that much goes through in large pieces.
func bulk(c net.Conn) net.Conn { return &readAhead{Conn: &joined{Conn: c}} }

// firstPart is how much of a packet the SSH library writes by itself, before the rest.
const firstPart = 4 << 10

// joined is a connection that gets packets whole, of which the SSH library writes the
// beginning and the rest one after the other. Writes of several goroutines have to
// exclude each other, as the library's do.
type joined struct {
	net.Conn

	mu    sync.Mutex
	first *[firstPart]byte // is held; nil: nothing is
	timer *time.Timer      // writes it if it was all of the packet
	err   error            // of that
	parts [2][]byte        // of a write
	bufs  net.Buffers      // are these
}

var firstParts = sync.Pool{New: func() any { return new([firstPart]byte) }}

// Write implements net.Conn.
func (c *joined) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.err != nil:
		return 0, c.err
	case c.first != nil:
		c.timer.Stop()
		c.parts = [2][]byte{c.first[:], b}
		c.bufs = c.parts[:]
		n, err := c.bufs.WriteTo(c.Conn)
		clear(c.parts[:])
		c.release()
		return max(int(n)-firstPart, 0), err
	case len(b) != firstPart:
		return c.Conn.Write(b)
	}
	c.first = firstParts.Get().(*[firstPart]byte)
	copy(c.first[:], b)
	if c.timer == nil {
		c.timer = time.AfterFunc(joinWithin, c.late)
	} else {
		c.timer.Reset(joinWithin)
	}
	return len(b), nil
}

// joinWithin is how long the beginning of a packet waits for the rest, which comes at
// once.
const joinWithin = time.Millisecond

func (c *joined) late() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.first != nil {
		_, c.err = c.Conn.Write(c.first[:])
		c.release()
	}
}

func (c *joined) release() {
	firstParts.Put(c.first)
	c.first = nil
}

// readAhead is a connection that is read in large pieces where much comes: the SSH
// library asks for 4 KiB, and then for the rest of a packet. One goroutine at a time
// reads.
type readAhead struct {
	net.Conn
	buf  *[burst]byte // nil where little comes
	got  int          // by the last read into it
	rest []byte       // of that, not asked for yet
}

// Read implements net.Conn.
func (c *readAhead) Read(b []byte) (int, error) {
	if len(c.rest) == 0 && c.buf == nil {
		n, err := c.Conn.Read(b)
		if n == len(b) && n >= 4<<10 {
			c.buf = bursts.Get().(*[burst]byte)
		}
		return n, err
	}
	var err error
	if len(c.rest) == 0 {
		if c.got, err = c.Conn.Read(c.buf[:]); c.got > 0 {
			err = nil // it comes again behind these
		}
		c.rest = c.buf[:c.got]
	}
	n := copy(b, c.rest)
	if c.rest = c.rest[n:]; len(c.rest) == 0 && c.got < chunk {
		bursts.Put(c.buf)
		c.buf = nil
	}
	return n, err
}
