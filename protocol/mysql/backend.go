package mysql

import (
	"errors"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/wire"
)

const (
	maxReply   = 4 << 20  // bytes of a packet that is no row
	maxColumns = 65535    // of a result: a table has 4096, but a statement may ask for more
	maxHead    = 32 << 20 // bytes of the columns of a result that a step looks at
	maxUnheard = 1 << 20  // bytes of an answer that the client is not shown
)

// A relay brings the target's answers to the client. Chunks are forwarded as
// they came, in one write; what is changed or put in is cut into the stretch.
type relay struct {
	c *session
	r *wire.Reader // of the target

	start, i int         // Buffered()[start:i] is checked and not yet sent
	out      wire.Buffer // sent before that stretch
	partial  bool        // the stretch ends inside a packet

	dropping bool // the client has been told that it failed: the rest is not shown
	dropped  int
	fetches  *preparedStatement // whose rows may be left to fetch
}

// begin starts an answer.
func (b *relay) begin() { b.dropping, b.dropped, b.partial = false, 0, false }

// flush sends what was checked.
func (b *relay) flush() error {
	buf := b.r.Buffered()[b.start:b.i]
	var err error
	switch {
	case len(b.out.B) == 0 && len(buf) > 0:
		err = b.c.writeClient(buf, b.partial)
	case len(b.out.B) > 0:
		b.out.Append(buf)
		err = b.c.writeClient(b.out.B, b.partial)
	}
	b.out.Reset()
	b.r.Discard(b.i)
	b.start, b.i = 0, 0
	return err
}

// fill reads more from the target, after what is there has been sent: a client
// need not wait for what is not there yet. need counts from the position.
func (b *relay) fill(need int) error { return b.fillUntil(need, time.Time{}) }

// fillUntil is fill until a moment, if it is not zero: to come to it is an error.
func (b *relay) fillUntil(need int, until time.Time) error {
	if err := b.flush(); err != nil {
		return err
	}
	b.c.lookout.Start()
	if !until.IsZero() {
		_ = b.c.t.conn.SetReadDeadline(until)
	}
	err := b.r.Fill(need)
	if !until.IsZero() {
		_ = b.c.t.conn.SetReadDeadline(time.Time{})
	}
	b.c.lookout.Stop()
	if err != nil {
		return fault(protocol.SideTarget, codeShutdown, "the connection to the target broke", err)
	}
	return nil
}

// cut takes what lies between start and the position out of what is sent as it
// came.
func (b *relay) cut(at int) {
	b.out.Append(b.r.Buffered()[b.start:at])
	b.start = b.i
}

// keep counts the packet at the position, of n bytes with its header, in.
func (b *relay) keep(n int) {
	at := b.i
	b.i += n
	if b.dropping {
		b.dropped += n
		b.cut(at)
		return
	}
	b.r.Buffered()[at+3] = b.c.seq
	b.c.seq++
}

// keepColumn counts a column definition in, in the form that the client reads.
func (b *relay) keepColumn(payload []byte, n int) error {
	if !b.c.bare || b.dropping {
		b.keep(n)
		return nil
	}
	def, err := withMetadata(payload)
	if err != nil {
		return badReply(err)
	}
	b.replace(n, def)
	return nil
}

// drop leaves the n bytes at the position out.
func (b *relay) drop(n int) {
	at := b.i
	b.i += n
	b.cut(at)
}

// keepOK counts an OK packet in, or the EOF at the end of rows, in the form that
// the client reads.
func (b *relay) keepOK(payload []byte, n int) {
	switch eof := payload[0] == packetEOF && len(payload) < 9; {
	case eof && b.c.teof && !b.c.eof && len(payload) == 5:
		b.replace(n, append([]byte{packetEOF, 0, 0, payload[3], payload[4]}, payload[1:3]...))
	case !eof && b.c.plain:
		c := cursor{b: payload}
		c.u8()
		c.length()
		c.length()
		c.u32()
		head := payload[:len(payload)-len(c.b)]
		if info := c.rest(); len(info) > 0 {
			b.replace(n, appendStr(append([]byte{}, head...), info))
			return
		}
		b.keep(n)
	default:
		b.keep(n)
	}
}

// replace puts payload in the place of the n bytes at the position.
func (b *relay) replace(n int, payload []byte) {
	at := b.i
	b.i += n
	b.cut(at)
	if !b.dropping {
		b.out.B = appendPacket(b.outBytes(), &b.c.seq, payload)
	}
}

func (b *relay) outBytes() []byte {
	b.out.Append(nil)
	return b.out.B
}

// order checks the sequence number of a packet of the target.
func (b *relay) order(seq byte) error {
	if seq != b.c.t.seq {
		return fault(protocol.SideTarget, codeOutOfOrder, "the target sent packets out of order", nil)
	}
	b.c.t.seq++
	return nil
}

func badReply(err error) error {
	return fault(protocol.SideTarget, codeMalformed, "the target sent a malformed message", err)
}

// peek returns the payload of the packet at the position, which is no row, and
// its length with the header. It is valid until keep or replace.
func (b *relay) peek() (payload []byte, n int, err error) {
	if err := b.unheard(); err != nil {
		return nil, 0, err
	}
	for {
		buf := b.r.Buffered()[b.i:]
		if len(buf) < headerLen {
			if err := b.fill(headerLen); err != nil {
				return nil, 0, err
			}
			continue
		}
		size, seq := frame(buf)
		if size == 0 || size > maxReply {
			return nil, 0, badReply(nil)
		}
		if len(buf) < headerLen+size {
			if err := b.fill(headerLen + size); err != nil {
				return nil, 0, err
			}
			continue
		}
		if err := b.order(seq); err != nil {
			return nil, 0, err
		}
		return buf[headerLen : headerLen+size], headerLen + size, nil
	}
}

// fail tells the client that its answer ends here, and lets it see no more.
func (b *relay) fail(r *run, err error) error {
	var p *protocol.PanicError
	if b.c.ps.Context().Err() != nil || errors.As(err, &p) {
		return err
	}
	if !b.dropping {
		b.cut(b.i)
		b.out.B = appendPacket(b.outBytes(), &b.c.seq, refusal(err).append(nil, false))
	}
	b.dropping = true
	r.end(protocol.Outcome{Status: protocol.StatusError, Err: err}) // what follows it has an end of its own
	return nil
}

// unheard returns an error if the client is not shown, and the gateway reads,
// more than is worth it: such a target is left.
func (b *relay) unheard() error {
	if !b.dropping || b.dropped <= maxUnheard {
		return nil
	}
	return errors.Join(b.flush(), errors.New("the rest of a result that could not be shown is too long to wait for"))
}
