package postgres

import (
	"encoding/binary"
	"time"

	"github.com/sallyport-dev/gateway/protocol/internal/serve"
	"github.com/sallyport-dev/gateway/protocol/internal/wire"
)

// sample lets the taps look at the first rows of a result. These are held where they
// were read: it looks ahead and does not move on. wait says that another row has to
// come first.
func (bk *back) sample(b []byte) (wait bool) {
	s := bk.run.sampling
	for !bk.late {
		rest := b[bk.i+bk.ahead:]
		if len(rest) < wire.HeaderLen {
			bk.need = bk.ahead + len(rest) + 1
			return true
		}
		n := int(binary.BigEndian.Uint32(rest[1:])) + 1
		if rest[0] != msgDataRow || n < wire.HeaderLen || !s.Fits(n) {
			break
		}
		if len(rest) < n {
			bk.need = bk.ahead + n
			return true
		}
		row, err := decodeRow(rest[wire.HeaderLen:n], bk.rows.row)
		if err != nil {
			break // told when it is its turn to be shown
		}
		bk.rows.row = row
		bk.ahead += n
		if s.Add(row, n) {
			break
		}
	}
	bk.run.sampling, bk.ahead, bk.late = nil, 0, false
	return false
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
