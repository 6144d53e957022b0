package postgres

import (
	"bytes"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/pgsql"
	"github.com/sallyport-dev/gateway/protocol/internal/wire"
)

// errorResponse handles an error; e is nil if nothing was asked. The caller
// holds mu.
func (bk *back) errorResponse(e *entry, b, frame []byte) error {
	c := bk.c
	code := sqlstate(frame[wire.HeaderLen:])
	own := e != nil && e.refused != nil
	if own {
		bk.replace(b, len(frame), e.refused.append(nil, msgErrorResponse))
	} else {
		said := frame
		if e != nil && e.missing != nil {
			said = appendMessage(nil, msgErrorResponse, func(b []byte) []byte {
				return append(b, bytes.ReplaceAll(frame[wire.HeaderLen:], []byte(c.refuseAs), e.missing)...)
			})
		}
		if err := bk.show(bk.textExchange(e, false), b, frame, said); err != nil {
			return &protocol.Fault{Side: protocol.SidePolicy, Code: codePrivilege, Msg: "an error cannot be shown", Err: err}
		}
	}
	c.copying = nil
	bk.run, bk.mode = nil, dataUnset
	if e == nil {
		return nil
	}
	bk.failure = code
	if own {
		bk.failure = e.refused.code
	}
	out := failed(code)
	if e.kind == msgQuery || e.kind == msgFunctionCall {
		for r := e.run; r != nil; r = r.next {
			bk.touch(r)
			r.end(out)
			bk.over(r, false)
			out = protocol.Outcome{Status: protocol.StatusSkipped}
		}
		e.run = nil
		return nil
	}
	if e.kind == msgSync { // what was to be committed with it cannot be: its ReadyForQuery follows, and nothing is skipped
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

// failed is the outcome of what the target answers with an error.
func failed(code string) protocol.Outcome {
	if code == codeCanceled {
		return protocol.Outcome{Status: protocol.StatusCancelled, Code: code}
	}
	return protocol.Outcome{Status: protocol.StatusFailed, Code: code}
}

// maxLasting bounds the memory of the changes of one transaction whose end waits for
// the transaction's: of a pipeline with more the others end as they complete.
const maxLasting = 8 << 20

// completed ends r, of which the target has said tag. A change within a transaction
// that nobody has begun ends with it: until then it may be taken back. The caller
// holds mu.
func (bk *back) completed(r *run, tag string) {
	if r.commits() {
		bk.outlive("")
	} else if !r.op.Pure && !bk.block && bk.size < maxLasting {
		if !r.lasting {
			r.lasting = true
			bk.lasting = append(bk.lasting, r)
			bk.size += r.portal.bytes() + len(r.op.Text)
		}
		r.tag, r.took = tag, time.Since(r.op.Started())
		return
	}
	r.end(protocol.Outcome{Status: protocol.StatusOK, Tag: tag, Rows: tagRows(tag)})
}

// commits reports whether the target may have ended the transaction that r stood in, so
// that what was done in it lasts.
func (r *run) commits() bool {
	if r.stmt == nil {
		return false
	}
	switch r.stmt.Verb {
	case "call", "do", "vacuum", "cluster", "reindex", "create index", "drop index":
		return true
	}
	return r.stmt.Effect.Has(pgsql.TxEnd) || r.op.Access.Has(protocol.Admin) // such as CREATE DATABASE
}

// outlive ends the changes of a transaction that nobody had begun and that is over, by
// the error of the given code, "" for none. The caller holds mu.
func (bk *back) outlive(code string) {
	for _, r := range bk.lasting {
		r.lasting = false
		r.endWith(code)
	}
	clear(bk.lasting)
	bk.lasting, bk.size = bk.lasting[:0], 0
}

// endWith ends r, which has run, with its transaction. What it has changed the error of
// the given code has taken back.
func (r *run) endWith(code string) {
	out := protocol.Outcome{Status: protocol.StatusOK}
	if code != "" && !r.op.Pure {
		out = failed(code)
	}
	out.Tag, out.Rows, out.Duration = r.tag, tagRows(r.tag), r.took
	r.end(out)
}

// fail takes back what the message of e would have done. The caller holds mu.
func (bk *back) fail(e *entry, out protocol.Outcome) {
	for r := e.run; r != nil; r = r.next {
		bk.touch(r)
		r.end(out)
		bk.over(r, false)
	}
	if e.early {
		bk.c.tracker.prepared(false)
	}
	switch {
	case (e.kind == msgParse || e.kind == msgClose) && e.stmt != nil:
		bk.c.statements.settle(e.stmt.name, e.stmt, false)
	case (e.kind == msgBind || e.kind == msgClose) && e.portal != nil:
		bk.c.portals.settle(e.portal.name, e.portal, false)
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
	if bk.apart && status != 'I' {
		return &protocol.Fault{Side: protocol.SideClient, Code: codeFeatureNotSupported, Msg: "a statement under the restricted login has left a transaction open"}
	}
	e := bk.head()
	if e != nil && e.kind != msgQuery && e.kind != msgFunctionCall {
		bk.skip()
		e = bk.head()
	} else if e != nil && c.front.skipped.Load() == bk.segment+1 {
		bk.skip() // a Query in a pipeline that failed is skipped as well
		e = bk.head()
	}
	c.status = status
	code := bk.failure
	if bk.failure, bk.block = "", status != 'I'; bk.block { // its end says what lasts
		code = ""
	}
	bk.outlive(code)
	if e == nil {
		// The answer to a Sync that was taken for one the target ignores, because
		// the COPY around it had just failed: nothing is skipped any more.
		c.front.skipped.Store(0)
	} else {
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
		bk.transactionEnded(code)
	}
	bk.keep(len(frame))
	if c.draining.Load() && c.idle() && !c.front.busy.Load() {
		return errDrained
	}
	return nil
}

// transactionEnded closes the portals that end with it, by the error of the given code,
// "" for none. The caller holds mu.
func (bk *back) transactionEnded(code string) {
	c := bk.c
	bk.holding = false
	switch stale, doubtful := c.tracker.transactionEnded(); {
	case stale:
		c.catalog.Stale()
	case doubtful:
		c.catalog.doubt()
	}
	c.ends()
	for name, p := range c.portals.all {
		if p.pending > 0 {
			continue
		}
		if p.run != nil {
			p.run.endWith(code)
		}
		if p.run != nil || !p.hold {
			c.portals.drop(name)
			bk.spend(p.run)
		}
	}
}
