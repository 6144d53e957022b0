package postgres

import (
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/pgsql"
	"github.com/sallyport-dev/gateway/protocol/internal/wire"
)

func (bk *back) dataRow(b, frame []byte) error {
	if bk.mode == dataOwn {
		row, err := decodeRow(frame[wire.HeaderLen:], nil)
		if err != nil {
			return bk.broken(frame[0], err.Error())
		}
		bk.probe = bk.probe[:0]
		for _, v := range row {
			bk.probe = append(bk.probe, append([]byte(nil), v...))
		}
		bk.drop(b, len(frame))
		return nil
	}
	r := bk.run
	bk.cut(b) // before the row may be changed in place nothing else may depend on it
	out, inPlace, err := bk.rows.rewrite(bk.take(), frame, r.rows)
	if err != nil {
		return &protocol.Fault{Side: protocol.SidePolicy, Code: codePrivilege, Msg: "a row cannot be shown", Err: err}
	}
	bk.out.B = out
	r.count++
	if inPlace {
		r.out += int64(len(frame))
		bk.i += len(frame)
		return nil
	}
	r.out += int64(len(out))
	bk.i += len(frame)
	bk.start = bk.i
	return nil
}

// aside handles what may come at any time and belongs to no request.
func (bk *back) aside(typ byte, b, frame []byte) error {
	c := bk.c
	if typ == msgParameterStatus {
		if bk.apart { // of a session that ends with the statement
			bk.drop(b, len(frame))
			return nil
		}
		cu := cursor{b: frame[wire.HeaderLen:]}
		name, value := string(cu.str()), string(cu.str())
		if cu.done() != nil {
			return bk.broken(typ, "malformed")
		}
		c.mu.Lock()
		c.tracker.setting(name, value)
		c.mu.Unlock()
	}
	if typ == msgNoticeResponse {
		if err := bk.proveNotice(); err != nil {
			return err
		}
	}
	x := bk.textExchange(nil, typ == msgNoticeResponse)
	if err := bk.show(x, b, frame, frame); err != nil {
		return &protocol.Fault{Side: protocol.SidePolicy, Code: codePrivilege, Msg: "a message cannot be shown", Err: err}
	}
	return nil
}

// show passes on what may be shown of said in the place of a message, to the taps of x
// unless that is nil.
func (bk *back) show(x *protocol.Exchange, b, frame, said []byte) error {
	shown, err := bk.unproven(said)
	if err == nil && x != nil {
		shown, err = tapMessage(x, shown)
	}
	if err != nil {
		return err
	}
	if &shown[0] != &frame[0] {
		bk.replace(b, len(frame), shown)
	} else {
		bk.keep(len(frame))
	}
	return nil
}

// textExchange returns the exchange whose taps see a message: that of the
// operation which runs, if it has any, else the session's; nil for none.
func (bk *back) textExchange(e *entry, running bool) *protocol.Exchange {
	if e == nil && running {
		bk.c.mu.Lock()
		e = bk.head()
		if e != nil {
			copied := *e
			e = &copied
		}
		bk.c.mu.Unlock()
	}
	if e != nil && e.run != nil && e.run.x().WantsText() {
		return e.run.x()
	}
	if x := bk.c.ps.Exchange(); x.WantsText() {
		return x
	}
	return nil
}

// rowDescription notes the columns that a RowDescription describes. own says
// that the gateway asked for it. The caller holds mu.
func (bk *back) rowDescription(e *entry, body []byte) (own bool, err error) {
	var stmt *pgsql.Statement
	switch {
	case e.kind == msgQuery && e.run != nil:
		stmt = e.run.stmt
	case e.portal != nil && e.portal.run != nil:
		stmt = e.portal.run.stmt
	case e.portal != nil:
		stmt = e.portal.stmt
	case e.stmt != nil:
		stmt = e.stmt.stmt
	}
	cat := bk.c.catalog.Fresh()
	if cat == nil && e.run != nil && e.run.proven { // what has changed since is nothing to it
		cat = e.run.basis.state.Catalog
	}
	cols, foreseen, err := bk.columns.columns(body, stmt, cat)
	if err != nil {
		return false, bk.broken(msgRowDescription, err.Error())
	}
	if !foreseen {
		if err := bk.unforeseen(cols, stmt); e.kind != msgDescribe || e.portal != nil {
			return false, err
		} // else there are no rows yet: what binds the statement is analysed anew
	}
	switch e.kind {
	case msgQuery:
		if e.run == nil {
			return false, bk.broken(msgRowDescription, "rows of an empty query")
		}
		bk.run, bk.mode = nil, dataUnset
		bk.touch(e.run)
		return false, bk.announce(e.run, cols)
	case msgDescribe, entryDescribe:
		own = e.kind == entryDescribe
		if e.portal != nil {
			e.portal.cols = cols
			bk.c.portals.grow(e.portal, columnSize*len(cols))
		}
		if e.stmt != nil {
			e.stmt.cols = cols
			bk.c.statements.grow(e.stmt, columnSize*len(cols))
		}
		bk.pop()
		return own, nil
	}
	return false, bk.broken(msgRowDescription, "no description was asked for")
}

// unforeseen reports a result that reads more than its operation was decided
// by: definitions have just changed past the gateway, or the target lies.
func (bk *back) unforeseen(cols []protocol.Column, stmt *pgsql.Statement) error {
	var more []string
	for i := range cols {
		for _, s := range cols[i].Sources {
			if !reads(stmt, s) {
				more = append(more, fmt.Sprintf("%s from %s.%s.%s", cols[i].Name, s.Schema, s.Table, s.Column))
			}
		}
	}
	c := bk.c
	c.catalog.Stale()
	c.srv.log.Warn("a result has columns that its analysis did not foresee", "session", c.ps.Info().ID, "verb", stmt.Verb, "columns", more)
	return &protocol.Fault{Side: protocol.SideTarget, Code: codeFeatureNotSupported,
		Msg:  "the result has other columns than were known when it was allowed, since definitions have changed",
		Hint: "connect again and repeat the statement"}
}

// complete ends the statement that e answers. The caller holds mu.
func (bk *back) complete(e *entry, tag string, n int) error {
	r := e.run
	bk.touch(r)
	bk.c.copying = nil
	if r.copyIn {
		r.copyIn = false
		bk.c.q.dropCopyEnd()
	}
	bk.run, bk.mode = nil, dataUnset
	if e.kind == msgQuery && (r.unread() || r.next == nil && r.stmt != nil && r.stmt.Effect.Has(pgsql.ReplicationLike)) { // which has several results
		r.tag, r.announced = tag, false
		bk.keep(n)
		return nil
	}
	if !r.announced && r.looksAtRows() && e.kind == msgExecute && e.portal.cols != nil {
		if err := bk.announce(r, e.portal.cols); err != nil { // a result without rows
			return err
		}
	}
	bk.completed(r, tag)
	bk.over(r, true)
	if e.kind == msgExecute {
		bk.pop()
	} else {
		e.run = r.next
		bk.spend(r)
	}
	bk.keep(n)
	return nil
}

// tagRows reads the row count at the end of a command tag.
func tagRows(tag string) int64 {
	i := len(tag)
	for i > 0 && tag[i-1] >= '0' && tag[i-1] <= '9' {
		i--
	}
	if i == 0 || i == len(tag) || tag[i-1] != ' ' {
		return 0
	}
	n, err := strconv.ParseInt(tag[i:], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// over updates what the session knows when r has run. The caller holds mu.
func (bk *back) over(r *run, ok bool) {
	c := bk.c
	if r == nil || !r.sent {
		return
	}
	r.sent = false
	if r.opens() {
		c.changing--
	}
	if r.unsure {
		c.tracker.done(r.stmt, ok)
	}
	if r.changes {
		r.changes = false
		c.changers--
	}
	if r.stmt == nil {
		return
	}
	e := r.stmt.Effect
	bk.holding = bk.holding || ok && e.Has(pgsql.DeclareCursor) && e.Has(pgsql.Hold) && r.tapped
	if ok && e.Has(pgsql.TxEnd) {
		bk.block = false
		bk.transactionEnded("") // another may begin before the next ReadyForQuery
	}
	switch {
	case e.Has(pgsql.Prepare|pgsql.Deallocate) && r.gave != nil:
		c.statements.settle(r.gave.name, r.gave, ok)
	case e.Has(pgsql.DeclareCursor|pgsql.CloseCursor) && r.gavePortal != nil:
		r.gavePortal.pending = 0
		if p := r.gavePortal.meaning.prev; ok && p != nil && p.run != nil {
			p.run.end(protocol.Outcome{Status: protocol.StatusOK})
		}
		c.portals.settle(r.gavePortal.name, r.gavePortal, ok)
	case ok:
		if e.Has(pgsql.Deallocate) {
			c.statements.clear(false)
		}
		if e.Has(pgsql.CloseCursor) {
			for _, p := range c.portals.all {
				if p.meaning.accepted && p.run != nil {
					p.run.end(protocol.Outcome{Status: protocol.StatusOK})
				}
			}
			c.portals.clear(true)
		}
	}
	r.gave, r.gavePortal = nil, nil
}

// closed notes that the target has done the Close of e. The caller holds mu.
func (bk *back) closed(e *entry) {
	if e.stmt != nil {
		bk.c.statements.settle(e.stmt.name, e.stmt, true)
		return
	}
	if p := e.portal.meaning.prev; p != nil && p.run != nil {
		p.run.end(protocol.Outcome{Status: protocol.StatusOK})
	}
	bk.c.portals.settle(e.portal.name, e.portal, true)
}

// probeAnswer swallows the answer to the gateway's own question. The caller
// holds mu.
func (bk *back) probeAnswer(typ byte, b, frame []byte) error {
	c := bk.c
	bk.drop(b, len(frame))
	switch typ {
	case msgErrorResponse:
		bk.probe = bk.probe[:0]
		// A client's cancel request, or a time limit of its own choice, may hit the
		// gateway's question: it is asked again.
		bk.again = sqlstate(frame[wire.HeaderLen:]) == codeCanceled
	case msgReadyForQuery:
		if !bk.again {
			c.tracker.probed(bk.probe)
			if c.tracker.known {
				c.exchangedStatements(parseNameArray(string(bk.probe[4])))
			}
		}
		bk.probe, bk.again = bk.probe[:0], false
		c.status = frame[len(frame)-1]
		bk.pop()
	}
	return nil
}

// functionResult shows the result of a FunctionCall to the taps as a row of one
// column. The caller holds mu.
func (bk *back) functionResult(e *entry, b, frame []byte) error {
	if e.kind != msgFunctionCall || e.run == nil {
		return bk.broken(frame[0], "no function was called")
	}
	r := e.run
	bk.touch(r)
	cu := cursor{b: frame[wire.HeaderLen:]}
	v := cu.value()
	if err := cu.done(); err != nil {
		return bk.broken(frame[0], err.Error())
	}
	if err := bk.announce(r, []protocol.Column{{Name: r.op.Objects[0].Name, Binary: true}}); err != nil {
		return err
	}
	if r.rows != nil {
		row := [][]byte{v}
		if err := r.rows(row); err != nil {
			return &protocol.Fault{Side: protocol.SidePolicy, Code: codePrivilege, Msg: "a result cannot be shown", Err: err}
		}
		bk.replace(b, len(frame), appendMessage(nil, msgFunctionCallResponse, func(d []byte) []byte {
			if row[0] == nil {
				return append(d, 0xff, 0xff, 0xff, 0xff)
			}
			d = binary.BigEndian.AppendUint32(d, uint32(len(row[0])))
			return append(d, row[0]...)
		}))
	} else {
		bk.keep(len(frame))
	}
	r.count++
	r.out += int64(len(frame))
	bk.completed(r, "")
	bk.over(r, true)
	e.run = nil
	return nil
}
