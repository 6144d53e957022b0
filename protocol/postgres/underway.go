package postgres

import (
	"cmp"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/pgsql"
	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

// patience is how long a statement may be under way before it counts as one that has
// waited for somebody: what that did is looked for past the gateway too.
const patience = 250 * time.Millisecond

// A basis is what a run's statement was found to be by.
type basis struct {
	state   pgsql.State // Catalog nil: nothing that depends on definitions is taken for known
	ended   int64       // changes of definitions that had, before
	version int64       // of the definitions, before
	at      time.Time
	of      *statement // that is executed
	named   bool       // a name in the text stands for another text
	apart   bool       // the restricted login has been proven by it: all of it has to hold
}

// begins notes what stmt may change, before it is sent, for other sessions. The caller
// holds mu.
func (c *session) begins(r *run) {
	if r.stmt != nil && (!r.stmt.Effect.Has(pgsql.DDL) && !r.stmt.Access.Has(protocol.Opaque|protocol.Schema) || r.stmt.OnlyTemp()) {
		return
	}
	if c.change == nil {
		c.change = c.catalog.changes.Begin(c.ps.Info())
	}
	r.changes = true
	c.changers++
	if r.op.Access.Has(protocol.Opaque | protocol.Execute) {
		c.change.Add(nil)
	} else {
		c.change.Add(r.op.Objects)
	}
}

// ends notes that others can see what has been changed, unless more is on its way. The
// caller holds mu.
func (c *session) ends() {
	if c.change != nil && c.changers == 0 {
		c.catalog.Stale() // first: from here on it is known
		c.change.End()
		c.change = nil
	}
}

// doubtful reports whether what the names in r mean may have changed since it was
// decided about; met is how many changes of other sessions may have to do with it.
// slow says that it may have waited for one.
func (c *session) doubtful(r *run, slow bool) (met int, doubtful bool) {
	b := &r.basis
	if b.state.Catalog == nil {
		return 0, false
	}
	all, met := c.catalog.changes.Since(b.ended, c.ps.Info(), r.op.Objects, sql.Named(&r.op))
	return met, all > 0 || slow
}

// unchanged reports whether r, of which doubtful has said met, does what was decided
// about, by what names mean from now on, which is its basis then. It waits for the
// target.
func (c *session) unchanged(r *run, met int) bool {
	now := c.catalog.Anew()
	switch {
	case now == nil:
		return false
	case c.catalog.version.Load() == r.basis.version:
		return true // nothing has changed, and nothing was taken back
	case met > 1, !c.holds(r, now): // of several the last may have taken back what another has made
		return false
	}
	r.basis.state.Catalog = now
	return true
}

// holds reports whether r does by now what was decided about.
func (c *session) holds(r *run, now *sql.Catalog) bool {
	b := &r.basis
	switch {
	case now.Key() == b.state.Catalog.Key():
		return true
	case b.apart, b.named && b.of == nil, now.Schemas() != b.state.Catalog.Schemas():
		return false
	}
	st := b.state
	st.Catalog, st.Outdated = now, st.Outdated || b.of != nil
	again := func(text []byte) *pgsql.Script { return c.srv.analyzer.Analyze(text, &st) }
	text := []byte(cmp.Or(r.op.Rewritten(), r.op.Text))
	script := again(text)
	if b.of != nil {
		if b.named && !sameStatement(c.srv.analyzer.Analyze(text, &b.state), script) { // its arguments
			return false
		}
		script = again(b.of.text)
	}
	if len(script.Statements) != 1 {
		return false
	}
	stmt := &script.Statements[0]
	if b.of != nil {
		stmt = b.of.in(script, now)
	}
	return still(&r.op, stmt) && sql.SameColumns(r.stmt.Columns, stmt.Columns) && sql.SameColumns(innerColumns(r.stmt), innerColumns(stmt))
}

// innerColumns returns the columns of the query in stmt, such as a cursor's.
func innerColumns(stmt *pgsql.Statement) []protocol.Column {
	if stmt.Inner == nil {
		return nil
	}
	return stmt.Inner.Columns
}

// sameStatement reports whether two analyses of one statement say the same.
func sameStatement(before, now *pgsql.Script) bool {
	if len(before.Statements) != 1 || len(now.Statements) != 1 {
		return false
	}
	b, n := &before.Statements[0], &now.Statements[0]
	var op protocol.Operation
	setFacts(&op, b)
	return still(&op, n) && b.ArgsKnown == n.ArgsKnown
}

// still reports whether what op was decided about is all that its statement does and
// tells now.
func still(op *protocol.Operation, stmt *pgsql.Statement) bool {
	var now protocol.Operation
	setFacts(&now, stmt)
	return sql.Holds(op, &now)
}

// shows reports whether an answer of type typ to e may hold data, or be the last
// before something that does.
func shows(e *entry, typ byte) bool {
	switch typ {
	case msgRowDescription:
		return e.kind == msgQuery // else the target may not have looked at definitions yet
	case msgNoticeResponse:
		return !e.run.defines()
	case msgDataRow, msgCopyOutResponse, msgErrorResponse:
		return true
	case msgCommandComplete:
		// What a cursor reads is settled when it is declared. What is written has been,
		// but not for good within a transaction.
		return e.run.stmt != nil && (e.run.stmt.Effect.Has(pgsql.DeclareCursor) || e.run.keeps())
	}
	return false
}

// defines reports whether r is about definitions and nothing else, so that they may have
// changed by what it does itself. Where that fails, nothing has.
func (r *run) defines() bool {
	return r.stmt != nil && r.stmt.Effect.Has(pgsql.DDL) && !r.stmt.Effect.Has(pgsql.RunsCode) &&
		!r.op.Access.Has(protocol.Opaque) && r.op.ReadsKnown && len(r.op.Reads) == 0
}

// keeps reports whether r may have written what it has read.
func (r *run) keeps() bool { return !r.op.Pure && len(r.op.Reads) > len(r.op.Returned) }

// prove makes sure that the answer of type typ to e, which is shown next, is one to what
// was decided about; an error or notice is withheld if it is not. The caller holds mu,
// which is released meanwhile: e may lie elsewhere afterwards.
func (bk *back) prove(e *entry, typ byte) error {
	if (typ == msgErrorResponse || typ == msgNoticeResponse) && bk.reads(e) {
		bk.withholds = true
		return nil
	}
	r := e.run
	if r == nil || r.proven || !shows(e, typ) {
		return nil
	}
	began := r.basis.at
	if began.Before(bk.heard) {
		began = bk.heard
	}
	met, doubtful := bk.c.doubtful(r, bk.now.Sub(began) > patience)
	switch {
	case !doubtful || bk.unchanged(r, met):
	case typ == msgErrorResponse, typ == msgNoticeResponse:
		bk.withholds = true
	default:
		bk.c.srv.log.Warn("definitions have changed under a statement", "session", bk.c.ps.Info().ID, "verb", r.op.Verb, "id", r.op.ID)
		return &protocol.Fault{Side: protocol.SideTarget, Code: codeFeatureNotSupported,
			Msg:  "definitions have changed while this statement was under way, and with them what it reads",
			Hint: "connect again and repeat the statement, if it should not have changed anything"}
	}
	// A notice may come before the target has looked at definitions.
	r.proven = typ != msgNoticeResponse && (e.kind == msgQuery || e.kind == msgExecute)
	return nil
}

// reads reports whether an error or notice in answer to e may be about what a cursor
// reads that outlives the transaction: the target reads all of it when that ends. The
// caller holds mu.
func (bk *back) reads(e *entry) bool {
	if !bk.holding || e.vain || e.kind == entryProbe {
		return false
	}
	return bk.c.status == 'I' || e.run == nil || e.run.stmt == nil || e.run.stmt.Effect.Has(pgsql.TxEnd)
}

// proveNotice is prove for a notice of what runs, which is part of its result.
func (bk *back) proveNotice() error {
	bk.c.mu.Lock()
	defer bk.c.mu.Unlock()
	if e := bk.head(); e != nil {
		bk.touch(e.run)
		return bk.prove(e, msgNoticeResponse)
	}
	return nil
}

// unproven returns what there is to show of an error or notice that prove was about.
func (bk *back) unproven(frame []byte) ([]byte, error) {
	if !bk.withholds {
		return frame, nil
	}
	bk.withholds = false
	return withheld(frame)
}

// unchanged is that of the session without mu.
func (bk *back) unchanged(r *run, met int) bool {
	bk.c.mu.Unlock()
	defer bk.c.mu.Lock()
	return bk.c.unchanged(r, met)
}
