package mysql

import (
	"errors"

	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/sallyport-dev/gateway/protocol"
)

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
			if _, err := decodeColumn(payload, b.c.t.extended); err != nil { // it may be a row
				return nil, okMsg{}, badReply(err)
			}
			defs = append(defs, append([]byte(nil), payload...))
		}
		if err := b.keepColumn(payload, n); err != nil {
			return nil, okMsg{}, err
		}
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
		b.c.prepared.count(b.fetches)
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
		if err := b.keepColumn(payload, n); err != nil {
			return err
		}
	}
	return badReply(nil)
}
