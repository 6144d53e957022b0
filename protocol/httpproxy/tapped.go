package httpproxy

import (
	"errors"
	"io"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
)

// pause is how long nothing has to come of a response before a tap hears of it: what
// can be told of what it holds back is shown that much later.
const pause = 30 * time.Millisecond

// A source is read piece by piece.
type source interface {
	// next returns the next piece, valid until the next call, with what reading it
	// said; paused: nothing has come for a while.
	next() (piece []byte, paused bool, err error)
}

// tapped is a stream that a step rewrites.
type tapped struct {
	src  source
	f    protocol.BytesFunc
	q    *request
	out  []byte
	last bool
	err  error
}

// Read implements io.Reader.
func (t *tapped) Read(b []byte) (int, error) {
	for len(t.out) == 0 {
		switch {
		case t.err != nil:
			return 0, t.err
		case t.last:
			t.err = io.EOF
			continue
		}
		piece, paused, err := t.src.next()
		t.last = err == io.EOF
		if len(piece) > 0 || t.last || paused {
			if ferr := t.q.guard(func() (ferr error) { t.out, ferr = t.f(piece, t.last); return ferr }); ferr != nil {
				t.out, t.err = nil, &stepError{ferr}
				t.q.fault(t.err)
				continue
			}
		}
		if err != nil && !t.last {
			if t.err = err; errors.Is(err, errText) {
				t.q.fault(err)
			}
		}
	}
	n := copy(b, t.out)
	t.out = t.out[n:]
	return n, nil
}

// direct is a source whose pauses nobody hears of.
type direct struct {
	r   io.Reader
	buf []byte
}

func (d *direct) next() ([]byte, bool, error) {
	if d.buf == nil {
		d.buf = make([]byte, 32<<10)
	}
	n, err := d.r.Read(d.buf)
	return d.buf[:n], false, err
}

// paced is a source that is read by a goroutine of its own, so that pauses can be
// noticed.
type paced struct {
	q      *request
	r      io.Reader
	want   chan struct{} // for the next piece; closed: no more
	came   chan piece    // holds one
	done   chan struct{} // closed when nothing is read any more; nil: nothing was
	asked  bool
	closed bool
	timer  *time.Timer
}

type piece struct {
	b   []byte
	err error
}

func newPaced(q *request, r io.Reader) *paced {
	return &paced{q: q, r: r, want: make(chan struct{}, 1), came: make(chan piece, 1)}
}

func (p *paced) next() ([]byte, bool, error) {
	if p.done == nil {
		p.done, p.timer = make(chan struct{}), time.NewTimer(pause)
		go p.read()
	}
	var late <-chan time.Time
	if !p.asked {
		p.asked = true
		p.want <- struct{}{}
		p.timer.Reset(pause)
		late = p.timer.C
	}
	select {
	case c := <-p.came:
		p.asked = false
		return c.b, false, c.err
	case <-late:
		return nil, true, nil
	}
}

// read reads until nobody wants more.
func (p *paced) read() {
	defer close(p.done)
	buf := make([]byte, 32<<10)
	for range p.want {
		var n int
		var err error
		if perr := p.q.guard(func() error { n, err = p.r.Read(buf); return nil }); perr != nil {
			n, err = 0, perr
		}
		p.came <- piece{buf[:n], err}
	}
}

// Close returns when nothing is read any more. What is read has to be closed.
func (p *paced) Close() error {
	if p.closed {
		return nil
	}
	p.closed = true
	if close(p.want); p.done != nil {
		p.timer.Stop()
		<-p.done
	}
	return nil
}

// closers are closed one after the other.
type closers []io.Closer

// Close implements io.Closer.
func (c closers) Close() (err error) {
	for _, one := range c {
		err = errors.Join(err, one.Close())
	}
	return err
}
