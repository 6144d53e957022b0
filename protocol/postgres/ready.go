package postgres

import (
	"github.com/sallyport-dev/gateway/protocol"
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
		x := bk.textExchange(e, false)
		if err := bk.show(x, b, frame); err != nil {
			return &protocol.Fault{Side: protocol.SidePolicy, Code: codePrivilege, Msg: "an error cannot be shown", Err: err}
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
			p.run.end(protocol.Outcome{Status: protocol.StatusOK})
		}
		if p.run != nil || !p.hold {
			c.portals.drop(name)
			bk.spend(p.run)
		}
	}
}
