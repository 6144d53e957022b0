package postgres

import (
	"encoding/binary"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/pgcopy"
	"github.com/sallyport-dev/gateway/protocol/internal/serve"
	"github.com/sallyport-dev/gateway/protocol/internal/wire"
)

// sample lets the taps look at the first rows of a result, which come in messages of
// type typ. These are held where they were read: it looks ahead and does not move on.
// wait says that more has to come first.
func (bk *back) sample(typ byte, b []byte) (wait bool) {
	s := bk.run.sampling
	for !bk.late && (typ == msgCopyData) == (bk.peek != nil) {
		rest := b[bk.i+bk.ahead:]
		if len(rest) < wire.HeaderLen {
			bk.need = bk.ahead + len(rest) + 1
			return true
		}
		n := int(binary.BigEndian.Uint32(rest[1:])) + 1
		if rest[0] != typ || n < wire.HeaderLen || !s.Fits(n) {
			break
		}
		if len(rest) < n {
			bk.need = bk.ahead + n
			return true
		}
		full, err := bk.peekAt(typ, rest[:n])
		if err != nil {
			break // told when it is its turn to be shown
		}
		bk.ahead += n
		if full {
			break
		}
	}
	bk.run.sampling, bk.ahead, bk.late, bk.peek = nil, 0, false, nil
	return false
}

// peekAt samples one message. full says that nothing more is to be held.
func (bk *back) peekAt(typ byte, frame []byte) (full bool, err error) {
	if typ == msgCopyData {
		return bk.peek.add(frame)
	}
	row, err := decodeRow(frame[wire.HeaderLen:], bk.rows.row)
	if err != nil {
		return false, err
	}
	bk.rows.row = row
	return bk.run.sampling.Add(row, len(frame)), nil
}

// A copySample reads the first rows of a COPY, which are shown later.
type copySample struct {
	w    *pgcopy.Rewriter
	of   *protocol.Sampling
	size int // of what has come since the last row
	full bool
	out  []byte // is thrown away
}

// newCopySample returns nil if nothing has to see them.
func newCopySample(f pgcopy.Format, columns int, of *protocol.Sampling) *copySample {
	if of == nil {
		return nil
	}
	s := &copySample{of: of}
	s.w = pgcopy.NewRewriter(f, columns, protocol.SampleBytes, func(row [][]byte) error {
		s.full = s.full || of.Add(row, s.size)
		s.size = 0
		return nil
	})
	return s
}

func (s *copySample) add(frame []byte) (full bool, err error) {
	s.size += len(frame)
	s.out, _, err = s.w.Next(s.out[:0], frame[wire.HeaderLen:])
	return s.full || !s.of.Fits(s.size), err
}

// fill reads more of what t answers, for as long as what is held may be.
func (bk *back) fill(t *target) error {
	defer func() { bk.heard, bk.now = bk.now, time.Now() }()
	if bk.ahead == 0 {
		return t.r.Fill(bk.need)
	}
	conn := t.conn
	_ = conn.SetReadDeadline(bk.run.sampling.Until())
	err := t.r.Fill(bk.need)
	c := bk.c
	c.mu.Lock()
	after := time.Time{}
	if c.gone { // it has a deadline of its own, which must not be lost
		after = time.Now().Add(serve.LostAfter / 2)
	}
	_ = conn.SetReadDeadline(after)
	c.mu.Unlock()
	bk.late = err != nil // what broke is still broken when the rows have been shown
	return nil
}
