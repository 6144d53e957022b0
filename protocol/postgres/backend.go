package postgres

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/pgsql"
	"github.com/sallyport-dev/gateway/protocol/internal/wire"
)

// How back treats rows and COPY data.
type dataMode byte

const (
	dataUnset dataMode = iota // not looked at yet
	dataPlain                 // forwarded as it is
	dataTap                   // shown to a tap
	dataOwn                   // the gateway's own: not forwarded
)

// back reads the target. It matches what comes to what was asked, first in,
// first out, and shows it to the taps.
type back struct {
	c *session

	start, i int
	out      wire.Buffer
	need     int
	pass     int // bytes of a row or CopyData message that are still to come

	run     *run // what the data belongs to
	mode    dataMode
	segment uint64 // Syncs answered
	touched []*run // shown in this chunk and perhaps not recorded safely
	ops     []*protocol.Operation
	rows    rowRewriter
	columns columnCache
	probe   [][]byte
}

func (bk *back) init(c *session) { bk.c = c }

func (bk *back) loop() error {
	r := bk.c.t.r
	for {
		if err := bk.chunk(r.Buffered()); err != nil {
			_ = bk.release(r.Buffered()) // what came before the fault is whole
			return err
		}
		if err := bk.release(r.Buffered()); err != nil {
			return err
		}
		r.Discard(bk.i)
		bk.start, bk.i = 0, 0
		if err := r.Fill(bk.need); err != nil {
			return err
		}
	}
}

// release sends the decided stretch to the client, once everything in it that
// belongs to an operation is recorded safely.
func (bk *back) release(b []byte) error {
	c := bk.c
	if len(bk.touched) > 0 {
		bk.ops = bk.ops[:0]
		for _, r := range bk.touched {
			r.touched = false
			if !r.committed.Load() {
				bk.ops = append(bk.ops, &r.op)
			}
		}
		if len(bk.ops) > 0 {
			if err := c.ps.Commit(c.ps.Context(), protocol.BeforeRelease, bk.ops); err != nil {
				bk.start = bk.i
				bk.out.Reset()
				c.writeClient(report{severity: "FATAL", code: codeIOError, msg: "the audit record cannot be written, so the result is withheld"}.append(nil, msgErrorResponse), false)
				return &Error{Side: SideGateway, Code: codeIOError, Msg: "the audit record cannot be written", Err: err}
			}
			for _, r := range bk.touched {
				r.committed.Store(true)
			}
		}
		clear(bk.touched)
		clear(bk.ops)
		bk.touched = bk.touched[:0]
	}
	stretch := b[bk.start:bk.i]
	bk.start = bk.i
	if len(bk.out.B) > 0 {
		bk.out.Append(stretch)
		stretch = bk.out.B
		defer bk.out.Reset()
	}
	if len(stretch) == 0 {
		return nil
	}
	c.wmu.Lock()
	defer c.wmu.Unlock()
	c.inside = bk.pass > 0
	_, err := c.client.Write(stretch)
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	return nil
}

// touch notes that something of r's result is in this chunk.
func (bk *back) touch(r *run) {
	if r != nil && !r.touched && !r.committed.Load() {
		r.touched = true
		bk.touched = append(bk.touched, r)
	}
}

func (bk *back) chunk(b []byte) error {
	for {
		if bk.pass > 0 {
			n := min(bk.pass, len(b)-bk.i)
			bk.i += n
			if bk.pass -= n; bk.pass > 0 {
				bk.need = 0
				return nil
			}
		}
		if len(b)-bk.i < wire.HeaderLen {
			bk.need = len(b) - bk.i + 1
			return nil
		}
		typ := b[bk.i]
		n := int(binary.BigEndian.Uint32(b[bk.i+1:])) + 1
		if n < wire.HeaderLen || n > 1<<30+1 {
			return bk.broken(typ, "an impossible length")
		}
		if typ == msgDataRow || typ == msgCopyData {
			if bk.mode == dataUnset {
				if err := bk.begin(typ); err != nil {
					return err
				}
			}
			if bk.mode == dataPlain {
				if bk.run != nil {
					if typ == msgDataRow {
						bk.run.count++
					}
					bk.run.out += int64(n)
				}
				bk.pass = n
				continue
			}
		}
		if n > bk.c.limit {
			return &Error{Side: SideTarget, Code: codeLimitExceeded, Msg: fmt.Sprintf("a row is longer than the %d bytes that this gateway can mask", bk.c.limit)}
		}
		if bk.i+n > len(b) {
			bk.need = n
			return nil
		}
		if err := bk.message(typ, b, b[bk.i:bk.i+n:bk.i+n]); err != nil {
			return err
		}
	}
}

func (bk *back) broken(typ byte, what string) error {
	return &Error{Side: SideTarget, Code: codeProtocolViolation, Msg: "the target sent a message that this gateway does not understand",
		Err: fmt.Errorf("type %q: %s", typ, what)}
}

// keep, drop and replace treat the next n bytes of b.
func (bk *back) keep(n int) { bk.i += n }

func (bk *back) cut(b []byte) {
	if bk.start < bk.i {
		bk.out.Append(b[bk.start:bk.i])
	}
	bk.start = bk.i
}

func (bk *back) drop(b []byte, n int) {
	bk.cut(b)
	bk.i += n
	bk.start = bk.i
}

func (bk *back) replace(b []byte, n int, with []byte) {
	bk.cut(b)
	bk.out.Append(with)
	bk.i += n
	bk.start = bk.i
}

// head returns what the target answers now. The caller holds mu.
func (bk *back) head() *entry {
	for {
		e := bk.c.q.first()
		if e == nil || e.kind != entryCopyEnd {
			return e
		}
		bk.c.q.pop()
	}
}

// pop removes the head. The caller holds mu.
func (bk *back) pop() {
	if p := bk.c.q.first().portal; p != nil {
		p.pending--
	}
	bk.c.q.pop()
	bk.head() // the end of a COPY has no answer: nobody must wait for one
	bk.run, bk.mode = nil, dataUnset
	if bk.c.q.len() == 0 || bk.c.q.len() == maxPending/2 {
		bk.c.changed.Broadcast()
	}
}

// begin looks at who gets the data that starts now.
func (bk *back) begin(typ byte) error {
	c := bk.c
	c.mu.Lock()
	defer c.mu.Unlock()
	e := bk.head()
	if e == nil {
		return bk.broken(typ, "nothing was asked")
	}
	switch e.kind {
	case entryProbe:
		bk.mode = dataOwn
		return nil
	case msgQuery, msgExecute, msgFunctionCall:
	default:
		return bk.broken(typ, "no rows were asked for")
	}
	r := e.run
	if r == nil {
		return bk.broken(typ, "rows of an empty query")
	}
	bk.run = r
	bk.touch(r)
	if typ == msgDataRow {
		if e.kind == msgExecute && !r.announced {
			cols := e.portal.cols
			if cols == nil && r.x().WantsRows() {
				return bk.broken(typ, "rows without a description")
			}
			if err := bk.announce(r, cols); err != nil {
				return err
			}
		} else if !r.announced {
			return bk.broken(typ, "rows without a description")
		}
		bk.mode = dataPlain
		if r.rows != nil {
			bk.mode = dataTap
		}
		return nil
	}
	bk.mode = dataPlain
	if r.bytes != nil {
		bk.mode = dataTap
	}
	return nil
}

// announce shows the columns of r's result to the taps.
func (bk *back) announce(r *run, cols []protocol.Column) error {
	rows, err := r.x().Rows(cols)
	if err != nil {
		return &Error{Side: SidePolicy, Code: codePrivilege, Msg: "the result cannot be shown", Err: err}
	}
	r.rows, r.announced = rows, true
	return nil
}

func (bk *back) message(typ byte, b, frame []byte) error {
	c := bk.c
	n := len(frame)
	body := frame[wire.HeaderLen:]
	switch typ {
	case msgDataRow:
		return bk.dataRow(b, frame)
	case msgCopyData:
		return bk.copyData(b, frame)
	case msgNoticeResponse, msgNotification, msgParameterStatus:
		return bk.aside(typ, b, frame)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e := bk.head()
	if e != nil && e.kind == entryProbe {
		return bk.probeAnswer(typ, b, frame)
	}
	if e == nil {
		switch typ {
		case msgErrorResponse: // the target ends the session
			return bk.errorResponse(nil, b, frame)
		case msgReadyForQuery: // of a Sync that met the end of a COPY
			return bk.ready(b, frame)
		}
		return bk.broken(typ, "nothing was asked")
	}
	expect := func(kinds ...byte) error {
		if bytes.IndexByte(kinds, e.kind) < 0 {
			return bk.broken(typ, fmt.Sprintf("unexpected after %q", e.kind))
		}
		return nil
	}
	switch typ {
	case msgErrorResponse:
		return bk.errorResponse(e, b, frame)
	case msgReadyForQuery:
		return bk.ready(b, frame)
	case msgParseComplete:
		if err := expect(msgParse); err != nil {
			return err
		}
		e.stmt.prev = nil
		for r := e.run; r != nil; r = r.next {
			bk.touch(r)
			r.end(protocol.Outcome{Status: protocol.StatusOK})
		}
		bk.pop()
	case msgBindComplete:
		if err := expect(msgBind); err != nil {
			return err
		}
		if old := e.portal.prev; old != nil && old.run != nil {
			old.run.end(protocol.Outcome{Status: protocol.StatusOK}) // its name is taken
		}
		e.portal.prev = nil
		bk.touch(e.run)
		bk.pop()
	case msgCloseComplete:
		if err := expect(msgClose); err != nil {
			return err
		}
		bk.closed(e.named)
		bk.pop()
	case msgParameterDescription:
		if err := expect(msgDescribe); err != nil {
			return err
		}
		cu := cursor{b: body}
		params := make([]uint32, min(cu.u16(), len(body)/4))
		for i := range params {
			params[i] = cu.u32()
		}
		if err := cu.done(); err != nil {
			return bk.broken(typ, err.Error())
		}
		if e.stmt != nil {
			e.stmt.params = params
		}
	case msgNoData:
		if err := expect(msgDescribe, entryDescribe); err != nil {
			return err
		}
		own := e.kind == entryDescribe
		if e.portal != nil {
			e.portal.cols = []protocol.Column{}
		}
		bk.pop()
		if own {
			bk.drop(b, n)
			return nil
		}
	case msgRowDescription:
		own, err := bk.rowDescription(e, body)
		if err != nil {
			return err
		}
		if own {
			bk.drop(b, n)
			return nil
		}
	case msgCommandComplete:
		if err := expect(msgQuery, msgExecute); err != nil {
			return err
		}
		tag, ok := cString(body)
		if !ok || e.run == nil {
			return bk.broken(typ, "malformed")
		}
		return bk.complete(e, string(tag), n)
	case msgEmptyQueryResponse:
		if err := expect(msgQuery, msgExecute); err != nil {
			return err
		}
		if e.kind == msgExecute {
			bk.pop()
		}
	case msgPortalSuspended:
		if err := expect(msgExecute); err != nil {
			return err
		}
		bk.touch(e.run)
		bk.pop()
	case msgCopyInResponse, msgCopyOutResponse, msgCopyBothResponse:
		if err := expect(msgQuery, msgExecute); err != nil {
			return err
		}
		if e.run == nil {
			return bk.broken(typ, "COPY of an empty query")
		}
		bk.touch(e.run)
		bk.mode = dataUnset
		if typ != msgCopyInResponse {
			f, err := e.run.x().Bytes(protocol.Stream{Name: "copy"})
			if err != nil {
				return &Error{Side: SidePolicy, Code: codePrivilege, Msg: "the result cannot be shown", Err: err}
			}
			e.run.bytes = f
		}
		if typ != msgCopyOutResponse {
			e.run.copyIn = true
			dropped, ended := c.q.dropSyncs()
			bk.segment += uint64(dropped)
			if !ended {
				c.copying = e.run
			}
		}
	case msgCopyDone:
		if err := expect(msgQuery, msgExecute); err != nil {
			return err
		}
		if r := e.run; r != nil && r.bytes != nil {
			rest, err := r.bytes(nil, true)
			if err != nil {
				return &Error{Side: SidePolicy, Code: codePrivilege, Msg: "the result cannot be shown", Err: err}
			}
			if len(rest) > 0 {
				bk.cut(b)
				bk.out.B = appendMessage(bk.take(), msgCopyData, func(d []byte) []byte { return append(d, rest...) })
			}
		}
	case msgFunctionCallResponse:
		return bk.functionResult(e, b, frame)
	default:
		return bk.broken(typ, "unknown type")
	}
	bk.keep(n)
	return nil
}

// take returns the output buffer, ready to be appended to.
func (bk *back) take() []byte {
	bk.out.Append(nil)
	return bk.out.B
}

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
		return &Error{Side: SidePolicy, Code: codePrivilege, Msg: "a row cannot be shown", Err: err}
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

func (bk *back) copyData(b, frame []byte) error {
	if bk.mode == dataOwn {
		return bk.broken(frame[0], "COPY was not asked for")
	}
	r := bk.run
	data, err := r.bytes(frame[wire.HeaderLen:], false)
	if err != nil {
		return &Error{Side: SidePolicy, Code: codePrivilege, Msg: "COPY data cannot be shown", Err: err}
	}
	bk.cut(b)
	if len(data) > 0 {
		bk.out.B = appendMessage(bk.take(), msgCopyData, func(d []byte) []byte { return append(d, data...) })
		r.out += int64(len(data)) + wire.HeaderLen
	}
	bk.i += len(frame)
	bk.start = bk.i
	return nil
}

// aside handles what may come at any time and belongs to no request.
func (bk *back) aside(typ byte, b, frame []byte) error {
	c := bk.c
	if typ == msgParameterStatus {
		cu := cursor{b: frame[wire.HeaderLen:]}
		name, value := string(cu.str()), string(cu.str())
		if cu.done() != nil {
			return bk.broken(typ, "malformed")
		}
		c.mu.Lock()
		c.tracker.setting(name, value)
		c.mu.Unlock()
	}
	x := bk.textExchange(nil, typ == msgNoticeResponse)
	if x == nil {
		bk.keep(len(frame))
		return nil
	}
	shown, err := tapMessage(x, frame)
	if err != nil {
		return &Error{Side: SidePolicy, Code: codePrivilege, Msg: "a message cannot be shown", Err: err}
	}
	bk.replace(b, len(frame), shown)
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
	cols, err := bk.columns.columns(body, stmt, bk.c.catalog.fresh())
	if err != nil {
		return false, bk.broken(msgRowDescription, err.Error())
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
		}
		if e.stmt != nil {
			e.stmt.cols = cols
		}
		bk.pop()
		return own, nil
	}
	return false, bk.broken(msgRowDescription, "no description was asked for")
}

// complete ends the statement that e answers. The caller holds mu.
func (bk *back) complete(e *entry, tag string, n int) error {
	r := e.run
	bk.touch(r)
	bk.c.copying = nil
	if r.copyIn {
		bk.c.q.dropCopyEnd()
	}
	bk.run, bk.mode = nil, dataUnset
	if e.kind == msgQuery && r.next == nil && r.op.Access.Has(protocol.Opaque) {
		// The target may see more statements in the text than the analysis did.
		r.tag, r.announced = tag, false
		bk.keep(n)
		return nil
	}
	if !r.announced && r.x().WantsRows() && e.kind == msgExecute && e.portal.cols != nil {
		if err := bk.announce(r, e.portal.cols); err != nil { // a result without rows
			return err
		}
	}
	r.end(protocol.Outcome{Status: protocol.StatusOK, Tag: tag, Rows: tagRows(tag)})
	bk.over(r, true)
	if e.kind == msgExecute {
		bk.pop()
	} else {
		e.run = r.next
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
	c.tracker.done(r.stmt, ok)
	if r.stmt == nil {
		return
	}
	e := r.stmt.Effect
	switch {
	case e.Has(pgsql.Prepare):
		settleName(c.statements, e.Name, ok, func(s *statement) **statement { return &s.prev })
	case e.Has(pgsql.DeclareCursor):
		if p := c.portals[e.Name]; p != nil {
			p.pending = 0
		}
		settleName(c.portals, e.Name, ok, func(p *portal) **portal { return &p.prev })
	case ok && e.Has(pgsql.Deallocate):
		if e.Name == "" {
			clear(c.statements)
		} else {
			delete(c.statements, e.Name)
		}
	case ok && e.Has(pgsql.CloseCursor) && e.Name != "":
		delete(c.portals, e.Name)
	case ok && e.Has(pgsql.Discard) && e.Setting == "all":
		clear(c.statements)
		clear(c.portals)
	}
}

// settleName makes the newest meaning of a name final, or takes it back.
func settleName[T any](m map[string]*T, name string, ok bool, prev func(*T) **T) {
	v := m[name]
	if v == nil {
		return
	}
	p := prev(v)
	if ok {
		*p = nil
		return
	}
	if *p == nil {
		delete(m, name)
	} else {
		m[name] = *p
	}
}

func (bk *back) closed(m namedMsg) {
	name := string(m.name)
	if m.kind == 'S' {
		delete(bk.c.statements, name)
		return
	}
	if p := bk.c.portals[name]; p != nil {
		if p.run != nil {
			p.run.end(protocol.Outcome{Status: protocol.StatusOK})
		}
		delete(bk.c.portals, name)
	}
}

// errorResponse handles an error; e is nil if nothing was asked. The caller
// holds mu.
func (bk *back) errorResponse(e *entry, b, frame []byte) error {
	c := bk.c
	n := len(frame)
	code := sqlstate(frame[wire.HeaderLen:])
	own := e != nil && e.refused != nil
	if own {
		bk.replace(b, n, e.refused.append(nil, msgErrorResponse))
	} else {
		x := bk.textExchange(e, false)
		shown := frame
		if x != nil {
			var err error
			if shown, err = tapMessage(x, frame); err != nil {
				return &Error{Side: SidePolicy, Code: codePrivilege, Msg: "an error cannot be shown", Err: err}
			}
			bk.replace(b, n, shown)
		} else {
			bk.keep(n)
		}
	}
	c.copying = nil
	bk.run, bk.mode = nil, dataUnset
	if e == nil {
		return nil
	}
	out := protocol.Outcome{Status: protocol.StatusFailed, Code: code}
	if code == codeCanceled {
		out.Status = protocol.StatusCancelled
	}
	if e.kind == msgQuery || e.kind == msgFunctionCall {
		for r := e.run; r != nil; r = r.next {
			bk.touch(r)
			r.end(out)
			bk.over(r, false)
			out = protocol.Outcome{Status: protocol.StatusSkipped}
		}
		e.run, e.failed = nil, true
		return nil
	}
	// The rest of the pipeline up to the next Sync is skipped by the target.
	c.front.skipped.Store(bk.segment + 1)
	bk.fail(e, out)
	bk.pop()
	bk.skip()
	c.changed.Broadcast()
	return nil
}

// fail takes back what the message of e would have done. The caller holds mu.
func (bk *back) fail(e *entry, out protocol.Outcome) {
	for r := e.run; r != nil; r = r.next {
		bk.touch(r)
		r.end(out)
		bk.over(r, false)
	}
	switch {
	case e.kind == msgParse && e.stmt != nil && bk.c.statements[e.stmt.name] == e.stmt:
		settleName(bk.c.statements, e.stmt.name, false, func(s *statement) **statement { return &s.prev })
	case e.kind == msgBind && e.portal != nil && bk.c.portals[e.portal.name] == e.portal:
		settleName(bk.c.portals, e.portal.name, false, func(p *portal) **portal { return &p.prev })
	}
}

// skip drops what the target will not answer: everything before the next Sync.
// The caller holds mu.
func (bk *back) skip() {
	for e := bk.c.q.first(); e != nil && e.kind != msgSync; e = bk.c.q.first() {
		bk.fail(e, protocol.Outcome{Status: protocol.StatusSkipped})
		bk.pop()
	}
}

// ready handles ReadyForQuery. The caller holds mu.
func (bk *back) ready(b, frame []byte) error {
	c := bk.c
	if len(frame) != 6 {
		return bk.broken(frame[0], "malformed")
	}
	status := frame[5]
	e := bk.head()
	if e != nil && e.kind != msgQuery && e.kind != msgFunctionCall {
		bk.skip()
		e = bk.head()
	} else if e != nil && c.front.skipped.Load() == bk.segment+1 {
		bk.skip() // a Query in a pipeline that failed is skipped as well
		e = bk.head()
	}
	c.status = status
	if e != nil {
		if e.kind == msgSync {
			bk.segment++
		}
		for r := e.run; r != nil; r = r.next {
			out := protocol.Outcome{Status: protocol.StatusUnknown} // never completed and never failed
			if r.tag != "" {
				out = protocol.Outcome{Status: protocol.StatusOK, Tag: r.tag, Rows: tagRows(r.tag)}
			}
			r.end(out)
			bk.over(r, out.Status == protocol.StatusOK)
		}
		bk.pop()
	}
	if status == 'I' {
		bk.transactionEnded()
	}
	bk.keep(len(frame))
	if c.draining.Load() && c.idle() && !c.front.busy.Load() {
		return errDrained
	}
	return nil
}

// transactionEnded closes the portals that end with it. The caller holds mu.
func (bk *back) transactionEnded() {
	c := bk.c
	if c.tracker.transactionEnded() {
		c.catalog.stale()
	}
	for name, p := range c.portals {
		if p.pending > 0 {
			continue
		}
		if p.run != nil {
			p.run.end(protocol.Outcome{Status: protocol.StatusOK})
		}
		if p.run != nil || p.stmt == nil || !p.stmt.Effect.Has(pgsql.Hold) {
			delete(c.portals, name)
		}
	}
}

// probeAnswer swallows the answer to the gateway's own question. The caller
// holds mu.
func (bk *back) probeAnswer(typ byte, b, frame []byte) error {
	c := bk.c
	bk.drop(b, len(frame))
	switch typ {
	case msgErrorResponse:
		bk.probe = bk.probe[:0]
	case msgReadyForQuery:
		c.tracker.probed(bk.probe)
		bk.probe = bk.probe[:0]
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
			return &Error{Side: SidePolicy, Code: codePrivilege, Msg: "a result cannot be shown", Err: err}
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
	r.end(protocol.Outcome{Status: protocol.StatusOK})
	bk.over(r, true)
	e.run = nil
	return nil
}

var errSkipped = errors.New("an earlier statement of the same pipeline failed")
