package mysql

import (
	"errors"
	"io"

	"github.com/sallyport-dev/gateway/protocol/internal/wire"
)

// A packet has a header of four bytes, the payload's length in three and a
// sequence number, and at most maxPayload bytes. A payload of exactly that size
// goes on in the next packet.
const (
	headerLen  = 4
	maxPayload = 1<<24 - 1
)

var (
	errMalformed = errors.New("malformed packet")
	errOrder     = errors.New("packets out of order")
)

// frame reads the header at the start of b, which must hold one.
func frame(b []byte) (n int, seq byte) {
	_ = b[3]
	return int(b[0]) | int(b[1])<<8 | int(b[2])<<16, b[3]
}

// appendPacket appends payload, in as many packets as it takes, of which the
// first has the sequence number *seq. *seq is the next one afterwards.
func appendPacket(dst []byte, seq *byte, payload []byte) []byte {
	for {
		n := min(len(payload), maxPayload)
		dst = append(dst, byte(n), byte(n>>8), byte(n>>16), *seq)
		*seq++
		dst = append(dst, payload[:n]...)
		payload = payload[n:]
		if n < maxPayload {
			return dst
		}
	}
}

// readExact reads one packet, which must be a whole payload of at most limit
// bytes, and no byte behind it: until the login is over, what follows may
// belong into TLS.
func readExact(r io.Reader, seq *byte, limit int) ([]byte, error) {
	var head [headerLen]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n, got := frame(head[:])
	switch {
	case n > limit:
		return nil, wire.ErrTooLarge
	case got != *seq:
		return nil, errOrder
	}
	*seq++
	b := make([]byte, n)
	_, err := io.ReadFull(r, b)
	return b, err
}

// readWhole reads a payload of at most limit bytes in as many packets as it
// takes. raw are the packets with their headers; both are valid until r is
// filled again.
func readWhole(r *wire.Reader, seq *byte, limit int, fill func(need int) error) (payload, raw []byte, err error) {
	at, size := 0, 0 // of the packet at hand, of the payloads before it
	next := *seq
	for {
		b := r.Buffered()
		if len(b) < at+headerLen {
			if err := fill(at + headerLen); err != nil {
				return nil, nil, err
			}
			continue
		}
		n, got := frame(b[at:])
		switch {
		case got != next:
			return nil, nil, errOrder
		case n > limit-size:
			return nil, nil, wire.ErrTooLarge
		case len(b) < at+headerLen+n:
			if err := fill(at + headerLen + n); err != nil {
				return nil, nil, err
			}
			continue
		}
		next++
		at, size = at+headerLen+n, size+n
		if n == maxPayload {
			continue
		}
		raw = b[:at]
		r.Discard(at)
		*seq = next
		return join(raw, size), raw, nil
	}
}

// join returns the payload of size bytes of the packets in raw, which it shares
// if it is one.
func join(raw []byte, size int) []byte {
	if len(raw) == headerLen+size {
		return raw[headerLen:]
	}
	payload := make([]byte, 0, size)
	for len(raw) > 0 {
		n, _ := frame(raw)
		payload = append(payload, raw[headerLen:headerLen+n]...)
		raw = raw[headerLen+n:]
	}
	return payload
}

// A cursor takes the fields of a payload one after the other. Nothing is taken
// beyond the end: bad is set then, and what is returned is empty.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) take(n int) []byte {
	if n < 0 || n > len(c.b) {
		c.bad = true
		c.b = nil
		return nil
	}
	v := c.b[:n:n]
	c.b = c.b[n:]
	return v
}

// uint takes an integer of n bytes, the lowest first.
func (c *cursor) uint(n int) uint64 {
	var v uint64
	for i, b := range c.take(n) {
		v |= uint64(b) << (8 * i)
	}
	return v
}

func (c *cursor) u8() byte    { return byte(c.uint(1)) }
func (c *cursor) u16() uint16 { return uint16(c.uint(2)) }
func (c *cursor) u32() uint32 { return uint32(c.uint(4)) }

// nul takes a string that ends with a NUL.
func (c *cursor) nul() []byte {
	for i, b := range c.b {
		if b == 0 {
			v := c.b[:i:i]
			c.b = c.b[i+1:]
			return v
		}
	}
	return c.take(len(c.b) + 1)
}

// length takes a length-encoded integer. null is set for the mark that stands
// for NULL in a row of text.
func (c *cursor) length() (n uint64, null bool) {
	switch b := c.u8(); b {
	case 0xfb:
		return 0, true
	case 0xfc:
		return c.uint(2), false
	case 0xfd:
		return c.uint(3), false
	case 0xfe:
		return c.uint(8), false
	case 0xff:
		c.take(len(c.b) + 1)
		return 0, false
	default:
		return uint64(b), false
	}
}

// str takes a length-encoded string.
func (c *cursor) str() []byte {
	n, null := c.length()
	if null || n > uint64(len(c.b)) {
		return c.take(len(c.b) + 1)
	}
	return c.take(int(n))
}

// rest takes what is left.
func (c *cursor) rest() []byte { return c.take(len(c.b)) }

// done returns an error unless exactly everything has been taken.
func (c *cursor) done() error {
	if c.bad || len(c.b) > 0 {
		return errMalformed
	}
	return nil
}

func appendUint(b []byte, n int, v uint64) []byte {
	for range n {
		b = append(b, byte(v))
		v >>= 8
	}
	return b
}

func appendLength(b []byte, n uint64) []byte {
	switch {
	case n < 0xfb:
		return append(b, byte(n))
	case n < 1<<16:
		return appendUint(append(b, 0xfc), 2, n)
	case n < 1<<24:
		return appendUint(append(b, 0xfd), 3, n)
	}
	return appendUint(append(b, 0xfe), 8, n)
}

func appendStr(b, s []byte) []byte { return append(appendLength(b, uint64(len(s))), s...) }

// appendNUL appends a string that ends with a NUL and holds no other.
func appendNUL(b []byte, s string) []byte {
	for i := range len(s) {
		if s[i] != 0 {
			b = append(b, s[i])
		}
	}
	return append(b, 0)
}
