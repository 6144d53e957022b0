// Package wire holds the buffers that connectors read peers' bytes into:
// bounded, without copies, and small while a session is idle.
package wire

import (
	"errors"
	"io"
	"sync"
)

const (
	small = 2 << 10 // holds most requests; what an idle session keeps
	piece = 8 << 10 // what PostgreSQL writes at a time (PQ_SEND_BUFFER_SIZE)
	large = 4 * piece
	huge  = 256 << 10 // more is given back as soon as it has been read
)

// ErrTooLarge says that a peer announced or sent a message over the limit.
var ErrTooLarge = errors.New("message over the limit")

var (
	smalls = sync.Pool{New: func() any { b := make([]byte, small); return &b }}
	larges = sync.Pool{New: func() any { b := make([]byte, large); return &b }}
)

// A Reader reads from a source into one buffer whose unread part is visible as
// a slice. It starts with a small buffer, grows when the peer fills it, and
// shrinks again when the peer goes quiet; while it waits for a [Conn] it has
// none. It is for one goroutine.
type Reader struct {
	src      io.Reader
	wait     waiter // src, if it can wait without a buffer
	buf      []byte
	pooled   *[]byte // what buf was taken from, nil if it was made to measure
	pos, end int
	last     int // bytes of the last read
	need     int // of the Fill that is under way
}

// A waiter reads into the space of s, for which it asks each time that there
// may be something to read.
type waiter interface {
	readInto(s space) (int, error)
}

type space interface {
	get() []byte
	unused() // there was nothing to read yet
}

// NewReader returns a Reader on src.
func NewReader(src io.Reader) *Reader {
	r := &Reader{src: src}
	r.wait, _ = src.(waiter)
	return r
}

// Buffered returns the bytes that were read and not yet discarded. The slice
// is valid until the next Fill; its owner may change the bytes in place.
func (r *Reader) Buffered() []byte { return r.buf[r.pos:r.end] }

// Discard drops the first n buffered bytes.
func (r *Reader) Discard(n int) { r.pos += n }

// Fill reads once and appends what came to Buffered. need is the size that
// Buffered must be able to reach for the caller to make progress, 0 if any
// more byte helps.
func (r *Reader) Fill(need int) error {
	r.need = need
	for range 100 {
		var n int
		var err error
		if r.wait != nil {
			n, err = r.wait.readInto(r)
		} else {
			n, err = r.src.Read(r.get())
		}
		r.end += n
		if n > 0 {
			r.last = n
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// get makes space for a read.
func (r *Reader) get() []byte {
	r.room(r.need)
	return r.buf[r.end:]
}

// unused gives an empty buffer back: most sessions wait most of the time.
func (r *Reader) unused() {
	if r.pos == r.end && r.pooled != nil {
		r.put(r.pooled)
		r.buf, r.pooled, r.pos, r.end = nil, nil, 0, 0
	}
}

// Grow reads like Fill but never moves bytes that Buffered has shown, so that
// slices of it stay valid. It fails with ErrTooLarge when Buffered has reached
// limit.
func (r *Reader) Grow(limit int) error {
	if have := r.end - r.pos; have >= limit {
		return ErrTooLarge
	}
	if r.end == len(r.buf) {
		next := make([]byte, max(2*len(r.buf), large))
		n := copy(next, r.buf[r.pos:r.end])
		r.buf, r.pooled = next, nil // the old array stays with whoever has slices of it
		r.pos, r.end = 0, n
	}
	n, err := r.src.Read(r.buf[r.end:])
	r.end += n
	if n > 0 {
		return nil
	}
	return err
}

// room makes space for a read.
func (r *Reader) room(need int) {
	have := r.end - r.pos
	if have == 0 {
		r.pos, r.end = 0, 0
	}
	switch {
	case r.buf == nil && r.last > small/2:
		r.resize(large)
	case r.buf == nil, have == 0 && r.last <= small/2 && len(r.buf) > small && need <= small:
		r.resize(small)
	case have == 0 && len(r.buf) > huge && need <= large:
		// One big message must not cost its size for as long as the session
		// then says nothing.
		r.resize(large)
	case r.last > small/2 && len(r.buf) < large:
		// Also with the beginning of a message left over: a stream of messages
		// that are looked at one by one nearly always leaves some.
		r.resize(large)
	}
	// What is left over is moved to the front as long as that makes more room
	// than it moves, so that reads stay long.
	if free := len(r.buf) - r.end; free > 0 && need <= len(r.buf)-r.pos && (free >= piece || have > r.pos) {
		return
	}
	if r.pos > 0 {
		copy(r.buf, r.buf[r.pos:r.end])
		r.pos, r.end = 0, have
	}
	// Above the pooled sizes a buffer doubles only when it is full: memory
	// follows the bytes that really came, not the length that was announced.
	if r.end < len(r.buf) && (need <= len(r.buf) || len(r.buf) >= large) {
		return
	}
	r.resize(max(large, 2*len(r.buf)))
}

// resize moves the unread bytes into a buffer of n bytes.
func (r *Reader) resize(n int) {
	var next []byte
	var pooled *[]byte
	switch n {
	case small:
		pooled = smalls.Get().(*[]byte)
		next = *pooled
	case large:
		pooled = larges.Get().(*[]byte)
		next = *pooled
	default:
		next = make([]byte, n)
	}
	have := copy(next, r.buf[r.pos:r.end])
	r.put(r.pooled)
	r.buf, r.pooled, r.pos, r.end = next, pooled, 0, have
}

func (r *Reader) put(p *[]byte) {
	switch {
	case p == nil:
	case len(*p) == small:
		smalls.Put(p)
	case len(*p) == large:
		larges.Put(p)
	}
}

// Release gives the buffer back. The Reader and all slices of it must not be
// used any more.
func (r *Reader) Release() {
	r.put(r.pooled)
	r.buf, r.pooled, r.pos, r.end = nil, nil, 0, 0
}

// A Buffer is a growing output buffer that goes back to a pool between uses.
// The zero Buffer is ready.
type Buffer struct {
	B      []byte
	pooled *[]byte
}

// Take makes sure that B has memory from the pool and is empty.
func (b *Buffer) take() {
	if b.B == nil {
		b.pooled = larges.Get().(*[]byte)
		b.B = (*b.pooled)[:0]
	}
}

// Append adds p.
func (b *Buffer) Append(p []byte) {
	b.take()
	b.B = append(b.B, p...)
}

// Reset empties the buffer and gives its memory back.
func (b *Buffer) Reset() {
	if b.pooled != nil {
		larges.Put(b.pooled)
	}
	b.B, b.pooled = nil, nil
}
