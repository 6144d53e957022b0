package mysql

import (
	"errors"

	"github.com/sallyport-dev/gateway/protocol"
)

var errWidth = errors.New("a value does not fit its column")

// A rowTap shows the rows of one result to the taps of its operation, as text.
type rowTap struct {
	f        protocol.RowFunc
	sampling *protocol.Sampling // nil: rows are not held
	types    []valueType
	binary   bool
	widths   []width
	raw      [][]byte // the binary values
	given    [][]byte // what the taps were shown
	row      [][]byte
	text     []byte // of binary values
	line     []byte
}

// decode takes a row for what the taps are shown of it.
func (t *rowTap) decode(payload []byte) (err error) {
	if t.binary {
		if t.raw, err = decodeBinaryRow(payload, t.raw[:0], t.widths); err != nil {
			return badReply(err)
		}
		t.given, t.text = t.given[:0], t.text[:0]
		for i, v := range t.raw {
			if v != nil && t.widths[i] != widthString {
				at := len(t.text)
				t.text = appendText(t.text, t.types[i].typ, t.types[i].unsigned, v)
				v = t.text[at:len(t.text):len(t.text)]
			}
			t.given = append(t.given, v)
		}
	} else if t.given, err = decodeTextRow(payload, t.given[:0], len(t.types)); err != nil {
		return badReply(err)
	}
	return nil
}

// show returns what the client gets of a row. It is valid until the next call.
func (t *rowTap) show(payload []byte) (line []byte, err error) {
	if err := t.decode(payload); err != nil {
		return nil, err
	}
	t.row = append(t.row[:0], t.given...)
	if err := t.f(t.row); err != nil {
		return nil, err
	}
	if len(t.row) != len(t.types) {
		return nil, errWidth
	}
	for i, v := range t.row {
		changed := v != nil && (len(v) != len(t.given[i]) || len(v) > 0 && &v[0] != &t.given[i][0])
		switch {
		case t.binary && v != nil && !changed:
			t.row[i] = t.raw[i]
		case t.binary && changed:
			t.row[i] = t.types[i].encode(v)
		case changed:
			t.row[i] = t.types[i].fits(v)
		}
	}
	if cap(t.line) > 1<<20 {
		t.line = nil
	}
	if t.binary {
		t.line, err = appendBinaryRow(t.line[:0], t.row, t.widths)
	} else {
		t.line = appendTextRow(t.line[:0], t.row)
	}
	return t.line, err
}

// tap announces a result with these column definitions to the taps of r; nil
// means that nobody looks at its rows.
func (c *session) tap(r *run, defs [][]byte, binary bool) (*rowTap, error) {
	cols, types, err := c.describeColumns(r, defs)
	if err != nil {
		return nil, badReply(err)
	}
	f, err := r.x().Rows(cols)
	if err != nil || f == nil {
		return nil, err
	}
	t := &rowTap{f: f, sampling: r.x().Sample(), types: types, binary: binary}
	for _, typ := range types {
		t.widths = append(t.widths, widthOf(typ.typ))
	}
	return t, nil
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
