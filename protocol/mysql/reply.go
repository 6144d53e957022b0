package mysql

import (
	"errors"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"

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
	endAll(r, protocol.Outcome{Status: protocol.StatusError, Err: err})
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

// failed ends a run that the target reports an error about, in the payload of n
// bytes at the position, and shows that to the taps.
func (b *relay) failed(r *run, payload []byte, n int) error {
	rep, err := decodeReport(payload)
	if err != nil {
		return badReply(err)
	}
	x := b.c.ps.Exchange()
	if r != nil && !r.ended {
		x = r.x()
	}
	if x.WantsText() {
		m := protocol.Message{Kind: protocol.ErrorMessage, Code: rep.state, Text: rep.msg}
		if m.Code == "" {
			m.Code = mysql.MySQLState[rep.code]
		}
		if err := x.Text(&m); err != nil {
			b.i += n
			b.cut(b.i - n)
			return b.fail(r, err)
		}
		if rep.msg != m.Text {
			rep.msg = m.Text
			if m.Hint != "" {
				rep.msg += "; " + m.Hint
			}
		}
		b.replace(n, rep.append(nil, false))
	} else {
		b.keep(n)
	}
	out := protocol.Outcome{Status: protocol.StatusFailed, Code: rep.state}
	if rep.code == codeInterrupted {
		out.Status = protocol.StatusCancelled
	}
	if r != nil {
		r.end(out)
		endAll(r.next, protocol.Outcome{Status: protocol.StatusSkipped})
	}
	return nil
}

// done notes the status of an OK or EOF packet and ends r if there is nothing
// more of it.
func (b *relay) done(r *run, m okMsg) {
	b.c.status = m.status
	if r == nil {
		return
	}
	r.end(protocol.Outcome{Status: protocol.StatusOK, Rows: int64(m.affected)})
}

// simple relays an answer that is one OK or ERR.
func (b *relay) simple(r *run) error {
	b.begin()
	payload, n, err := b.peek()
	if err != nil {
		return err
	}
	switch {
	case payload[0] == packetERR:
		err = b.failed(r, payload, n)
	case payload[0] == packetOK:
		var m okMsg
		if m, err = decodeOK(payload); err == nil {
			b.keepOK(payload, n)
			b.done(r, m)
		}
	case payload[0] == packetEOF && len(payload) < 9: // of a COM_SET_OPTION
		var m okMsg
		if m, err = b.endOfRows(payload); err == nil {
			b.keepOK(payload, n)
			b.done(r, m)
		}
	default:
		err = badReply(nil)
	}
	if err != nil {
		return err
	}
	return b.flush()
}

// quiet takes an answer that is one OK or ERR and is the gateway's own.
func (b *relay) quiet() error {
	b.begin()
	b.dropping = true
	payload, n, err := b.peek()
	if err != nil {
		return err
	}
	switch payload[0] {
	case packetOK:
		var m okMsg
		if m, err = decodeOK(payload); err == nil {
			b.c.status = m.status
		}
	case packetERR:
		var rep report
		if rep, err = decodeReport(payload); err == nil {
			err = fault(protocol.SideTarget, rep.code, rep.msg, nil)
		}
	default:
		err = badReply(nil)
	}
	b.keep(n)
	return errors.Join(err, b.flush())
}

// statistics relays an answer that is one line of text.
func (b *relay) statistics(r *run) error {
	b.begin()
	payload, n, err := b.peek()
	if err != nil {
		return err
	}
	if payload[0] == packetERR {
		err = b.failed(r, payload, n)
	} else {
		b.keep(n)
		r.end(protocol.Outcome{Status: protocol.StatusOK})
	}
	if err != nil {
		return err
	}
	return b.flush()
}

// endOfRows reads an EOF, or the OK that stands in its place.
func (b *relay) endOfRows(payload []byte) (okMsg, error) {
	var m okMsg
	var err error
	if b.c.teof || len(payload) < 7 {
		m, err = decodeEOF(payload)
	} else {
		m, err = decodeOK(payload)
	}
	if err != nil {
		return m, badReply(err)
	}
	m.affected = 0 // of rows that are returned the count says more
	return m, nil
}

// query relays the answers to a text: one for each statement. One that may have
// several, such as a CALL, stands alone.
func (b *relay) query(first *run) error {
	b.begin()
	for r := first; ; {
		more, err := b.result(r, false)
		if err != nil {
			return err
		}
		if !more {
			// What has not been answered by now never will be.
			endAll(r, protocol.Outcome{Status: protocol.StatusSkipped})
			return b.flush()
		}
		if r.next != nil {
			r = r.next
		}
	}
}

// execute relays the answer to an execution: rows are binary. p is set if the
// client wants to fetch them later.
func (b *relay) execute(r *run, p *preparedStatement) error {
	b.begin()
	b.fetches = p
	defer func() { b.fetches = nil }()
	for {
		more, err := b.result(r, true)
		if err != nil {
			return err
		}
		if !more {
			return b.flush()
		}
	}
}

// result relays one result of r. more says that another follows.
func (b *relay) result(r *run, binary bool) (more bool, err error) {
	payload, n, err := b.peek()
	if err != nil {
		return false, err
	}
	switch payload[0] {
	case packetERR:
		return false, b.failed(r, payload, n)
	case packetOK:
		m, err := decodeOK(payload)
		if err != nil {
			return false, badReply(err)
		}
		b.keepOK(payload, n)
		return b.next(r, m)
	case packetLocalFile:
		// A target that asks for a file of the client's: none is given.
		return false, fault(protocol.SideTarget, codeNotAllowed, "the target asks for a file of the client's, which this gateway does not pass on", nil)
	}
	c := cursor{b: payload}
	count, null := c.length()
	if count == 0 || null || count > maxColumns || c.done() != nil {
		return false, badReply(nil)
	}
	b.keep(n)
	rows, m, err := b.head(r, int(count), binary)
	if err != nil {
		return false, err
	}
	if b.c.teof && m.status&statusCursor != 0 { // the rows are fetched later
		b.done(r, m)
		return false, nil
	}
	m, ended, err := b.rows(r, rows)
	if err != nil || ended {
		return false, err
	}
	return b.next(r, m)
}

// next ends r with the last packet of a result, unless there are more of it.
func (b *relay) next(r *run, m okMsg) (more bool, err error) {
	more = m.status&statusMoreResults != 0
	if more && r.next == nil {
		if !r.stmt.Many {
			return false, badReply(errors.New("there are more results than statements"))
		}
		b.c.status = m.status
		return true, nil
	}
	b.done(r, m)
	return more, nil
}

// head relays the column definitions of a result and announces them to the taps
// of r.
func (b *relay) head(r *run, count int, binary bool) (*rowTap, okMsg, error) {
	tapped := r.x().WantsRows() && !b.dropping
	var defs [][]byte
	size := 0
	for range count {
		payload, n, err := b.peek()
		if err != nil {
			return nil, okMsg{}, err
		}
		if payload[0] == packetERR {
			return nil, okMsg{}, badReply(nil)
		}
		if tapped || b.fetches != nil {
			if size += len(payload); size > maxHead {
				return nil, okMsg{}, badReply(nil)
			}
			defs = append(defs, append([]byte(nil), payload...))
		}
		b.keep(n)
	}
	var m okMsg
	if b.c.teof {
		payload, n, err := b.peek()
		if err != nil {
			return nil, okMsg{}, err
		}
		if payload[0] != packetEOF {
			return nil, okMsg{}, badReply(nil)
		}
		if m, err = decodeEOF(payload); err != nil {
			return nil, okMsg{}, badReply(err)
		}
		switch {
		case b.c.eof:
			b.keep(n)
		case m.status&statusCursor != 0: // nothing follows
			b.keepOK(payload, n)
		default:
			b.drop(n)
		}
	}
	if b.fetches != nil {
		b.fetches.defs = defs
	}
	if !b.dropping {
		if err := b.c.unchanged(r); err != nil {
			if b.fetches != nil {
				b.fetches.defs = nil
			}
			return nil, m, b.fail(r, err)
		}
	}
	if !tapped {
		return nil, m, nil
	}
	t, err := b.c.tap(r, defs, binary)
	if err != nil {
		return nil, m, b.fail(r, err)
	}
	return t, m, nil
}

// rows relays rows up to their end. ended says that they ended with an error.
func (b *relay) rows(r *run, t *rowTap) (m okMsg, ended bool, err error) {
	for {
		buf := b.r.Buffered()[b.i:]
		if len(buf) < headerLen+1 {
			if err := b.fill(headerLen + 1); err != nil {
				return m, false, err
			}
			continue
		}
		n, seq := frame(buf)
		first := buf[headerLen]
		switch {
		case n == 0:
			return m, false, badReply(nil)
		case first == packetERR && n < maxPayload, first == packetEOF && (n < 9 || !b.c.teof && n < maxPayload):
			payload, n, err := b.peek()
			if err != nil {
				return m, false, err
			}
			if first == packetERR {
				return m, true, b.failed(r, payload, n)
			}
			if m, err = b.endOfRows(payload); err != nil {
				return m, false, err
			}
			b.keepOK(payload, n)
			return m, false, nil
		case t == nil:
			r.rows++
			r.bytes += int64(n)
			if n < maxPayload && len(buf) >= headerLen+n && !b.dropping { // most rows
				if err := b.order(seq); err != nil {
					return m, false, err
				}
				buf[3] = b.c.seq
				b.c.seq++
				b.i += headerLen + n
				continue
			}
			if err := b.stream(r); err != nil {
				return m, false, err
			}
		default:
			if t.sampling != nil {
				if err := b.sample(t); err != nil {
					return m, false, err
				}
				continue // what is read may have moved
			}
			if err := b.shown(r, &t); err != nil {
				return m, false, err
			}
		}
	}
}

// stream relays the row at the position piece by piece: it may be of any size.
func (b *relay) stream(r *run) error {
	for {
		buf := b.r.Buffered()[b.i:]
		if len(buf) < headerLen {
			if err := b.fill(headerLen); err != nil {
				return err
			}
			continue
		}
		n, seq := frame(buf)
		if err := b.order(seq); err != nil {
			return err
		}
		for left := headerLen + n; left > 0; {
			buf := b.r.Buffered()[b.i:]
			k := min(left, len(buf))
			switch {
			case k == 0:
				b.partial = !b.dropping && left < headerLen+n
				if err := b.fill(1); err != nil {
					return err
				}
				continue
			case b.dropping:
				b.keep(k)
				if err := b.unheard(); err != nil {
					return err
				}
			case left == headerLen+n:
				buf[3] = b.c.seq
				b.c.seq++
				b.i += k
			default:
				b.i += k
			}
			left -= k
		}
		b.partial = !b.dropping && n == maxPayload
		if n < maxPayload {
			return nil
		}
		r.bytes += int64(n)
	}
}

// shown shows the row at the position to the taps.
func (b *relay) shown(r *run, t **rowTap) error {
	// The whole row, in as many packets as it takes.
	at, size := b.i, 0
	for {
		buf := b.r.Buffered()
		if len(buf) < at+headerLen {
			shift := b.i
			if err := b.fill(at - b.i + headerLen); err != nil {
				return err
			}
			at -= shift
			continue
		}
		n, _ := frame(buf[at:])
		if n > b.c.limit-size {
			return b.tooLarge(r, t)
		}
		if len(buf) < at+headerLen+n {
			shift := b.i
			if err := b.fill(at - b.i + headerLen + n); err != nil {
				return err
			}
			at -= shift
			continue
		}
		at, size = at+headerLen+n, size+n
		if n < maxPayload {
			break
		}
	}
	raw := b.r.Buffered()[b.i:at]
	for p := raw; len(p) > 0; {
		n, seq := frame(p)
		if err := b.order(seq); err != nil {
			return err
		}
		p = p[headerLen+n:]
	}
	payload := join(raw, size)
	r.rows++
	line, err := (*t).show(payload)
	if err != nil {
		b.i += len(raw)
		b.cut(b.i - len(raw))
		*t = nil
		return b.fail(r, err)
	}
	r.bytes += int64(len(line))
	if n := len(b.out.B); n > 0 && n+b.i-b.start+headerLen+len(line) > flushAt {
		if err := b.flush(); err != nil {
			return err
		}
	}
	b.replace(len(raw), line)
	return nil
}

// flushAt bounds what is made of rows before it is sent: what a pooled buffer
// holds.
const flushAt = 32 << 10

// tooLarge ends a result whose row is too large to be looked at.
func (b *relay) tooLarge(r *run, t **rowTap) error {
	*t = nil
	return b.fail(r, fault(protocol.SideTarget, codeTooLarge, "a row is too large to be masked", nil))
}

// fields relays the answer to a COM_FIELD_LIST: column definitions and an EOF.
func (b *relay) fields(r *run) error {
	b.begin()
	for range maxColumns + 1 {
		payload, n, err := b.peek()
		if err != nil {
			return err
		}
		switch {
		case payload[0] == packetERR:
			if err := b.failed(r, payload, n); err != nil {
				return err
			}
			return b.flush()
		case payload[0] == packetEOF && len(payload) < 9 || payload[0] == packetEOF && !b.c.teof:
			m, err := b.endOfRows(payload)
			if err != nil {
				return err
			}
			b.keepOK(payload, n)
			b.done(r, m)
			return b.flush()
		}
		b.keep(n)
	}
	return badReply(nil)
}
