package postgres

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
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
	c     *session
	apart bool // the target is another connection, see front.apart

	start, i int
	out      wire.Buffer
	need     int
	pass     int         // bytes of a row or CopyData message that are still to come
	ahead    int         // bytes of rows from i on that are sampled
	late     bool        // and must not be held any longer
	peek     *copySample // reads them of a COPY

	now       time.Time // when what is looked at came
	heard     time.Time // when what came before it did
	withholds bool      // the message that is looked at, see prove
	holding   bool      // the open transaction has declared a cursor that outlives it, whose messages are shown to taps

	block   bool   // an explicit transaction is open
	failure string // the error since the last ReadyForQuery, "" for none
	lasting []*run // changes that have completed and last if the transaction that is not explicit does
	size    int    // about the memory that they take

	run     *run // what the data belongs to
	mode    dataMode
	segment uint64 // Syncs answered
	touched []*run // shown in this chunk and perhaps not recorded safely
	spent   []*run // over with this chunk
	ops     []*protocol.Operation
	rows    rowRewriter
	columns columnCache
	copy    []byte // COPY data that is left for the client
	probe   [][]byte
	again   bool              // the probe was cancelled
	tags    map[string]string // command tags seen, so that the usual ones are not made anew
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
		if err := bk.fill(bk.c.t); err != nil {
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
				return &protocol.Fault{Side: protocol.SideGateway, Code: codeIOError, Msg: "the audit record cannot be written, so the result is withheld", Err: err}
			}
			for _, r := range bk.touched {
				r.committed.Store(true)
			}
		}
		clear(bk.touched)
		clear(bk.ops)
		bk.touched = bk.touched[:0]
	}
	if len(bk.spent) > 0 {
		c.mu.Lock()
		c.over = append(c.over, bk.spent[:min(len(bk.spent), maxOver-len(c.over))]...)
		c.mu.Unlock()
		clear(bk.spent)
		bk.spent = bk.spent[:0]
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
	if !bk.apart {
		c.turn()
	}
	c.wmu.Lock()
	defer c.wmu.Unlock()
	c.inside = bk.pass > 0
	_, err := c.client.Write(stretch)
	if err != nil && !c.unheard(len(stretch)) {
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
		if (typ == msgDataRow || typ == msgCopyData) && bk.mode == dataTap && bk.run.sampling != nil && bk.sample(typ, b) {
			return nil
		}
		if n > bk.c.limit {
			return &protocol.Fault{Side: protocol.SideTarget, Code: codeLimitExceeded, Msg: fmt.Sprintf("a row is longer than the %d bytes that this gateway can mask", bk.c.limit)}
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
	return &protocol.Fault{Side: protocol.SideTarget, Code: codeProtocolViolation, Msg: "the target sent a message that this gateway does not understand",
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
	bk.run, bk.mode, bk.peek = nil, dataUnset, nil
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
	if err := bk.prove(e, typ); err != nil {
		return err
	}
	e = bk.head()
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
	if !r.copyOut && r.looksAtRows() {
		return bk.broken(typ, "COPY data in the place of rows")
	}
	bk.mode = dataPlain
	if r.copied != nil || r.bytes != nil {
		bk.mode = dataTap
	}
	return nil
}

// announce shows the columns of r's result to the taps.
func (bk *back) announce(r *run, cols []protocol.Column) error {
	rows, err := r.x().Rows(cols)
	if err != nil {
		return &protocol.Fault{Side: protocol.SidePolicy, Code: codePrivilege, Msg: "the result cannot be shown", Err: err}
	}
	r.rows, r.sampling, r.announced = rows, r.x().Sample(), true
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
	if e.vain && typ != msgErrorResponse && typ != msgReadyForQuery {
		return bk.broken(typ, "not an answer to what was sent")
	}
	if err := bk.prove(e, typ); err != nil {
		return err
	}
	e = bk.head()
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
		if e.early {
			c.tracker.prepared(true)
		}
		c.statements.settle(e.stmt.name, e.stmt, true)
		for r := e.run; r != nil; r = r.next {
			bk.touch(r)
			if r.op.Prepare { // else its Bind comes with it
				r.end(protocol.Outcome{Status: protocol.StatusOK})
				bk.spend(r)
			}
		}
		bk.pop()
	case msgBindComplete:
		if err := expect(msgBind); err != nil {
			return err
		}
		if e.early {
			c.tracker.prepared(true)
		}
		old := e.portal.meaning.prev
		if old != nil && old.run != nil {
			old.run.end(protocol.Outcome{Status: protocol.StatusOK}) // its name is taken
		}
		c.portals.settle(e.portal.name, e.portal, true)
		if old != nil {
			bk.spend(old.run)
		}
		bk.touch(e.run)
		bk.pop()
	case msgCloseComplete:
		if err := expect(msgClose); err != nil {
			return err
		}
		bk.closed(e)
		bk.pop()
	case msgParameterDescription:
		if err := expect(msgDescribe); err != nil {
			return err
		}
		// A statement may have more parameters than the count has room for: it
		// can be described, though not bound.
		cu := cursor{b: body}
		count := cu.u16()
		params := make([]uint32, max(0, len(body)-2)/4)
		for i := range params {
			params[i] = cu.u32()
		}
		if err := cu.done(); err != nil {
			return bk.broken(typ, err.Error())
		}
		if len(params)&0xffff != count {
			return bk.broken(typ, "another number of parameters than it says")
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
		tag, err := cString(body)
		if err != nil || e.run == nil {
			return bk.broken(typ, "malformed")
		}
		return bk.complete(e, bk.tag(tag), n)
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
		if r := e.run; r != nil && e.portal != &r.portal { // what follows is another operation
			r.end(protocol.Outcome{Status: protocol.StatusOK})
			bk.over(r, true)
		}
		bk.pop()
	case msgCopyInResponse, msgCopyOutResponse, msgCopyBothResponse:
		if err := expect(msgQuery, msgExecute); err != nil {
			return err
		}
		if e.run == nil {
			return bk.broken(typ, "COPY of an empty query")
		}
		if bk.apart && typ != msgCopyOutResponse {
			return bk.broken(typ, "COPY from the client under the restricted login")
		}
		bk.touch(e.run)
		bk.mode = dataUnset
		if typ != msgCopyInResponse {
			if err := bk.copyOut(e.run, body); err != nil {
				return err
			}
		}
		if typ != msgCopyOutResponse {
			e.run.copyIn = true
			dropped, ended := c.q.dropSyncs()
			bk.segment += uint64(dropped)
			if !ended {
				c.copying = e.run
				c.changed.Broadcast() // front may want to know
			}
		}
	case msgCopyDone:
		if err := expect(msgQuery, msgExecute); err != nil {
			return err
		}
		if e.run != nil {
			if err := bk.copyDone(e.run, b); err != nil {
				return err
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

// tag returns b as a string.
func (bk *back) tag(b []byte) string {
	if t, ok := bk.tags[string(b)]; ok {
		return t
	}
	t := string(b)
	if bk.tags == nil || len(bk.tags) >= 32 {
		bk.tags = map[string]string{}
	}
	bk.tags[t] = t
	return t
}

// take returns the output buffer, ready to be appended to.
func (bk *back) take() []byte {
	bk.out.Append(nil)
	return bk.out.B
}
