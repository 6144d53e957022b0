package mysql

import (
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/mysqlsql"
	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

// beginChange notes what first and what follows it may change, before it is sent: nil if
// nothing, which is most of what there is.
func (c *session) beginChange(first *run) (change *sql.Change) {
	for r := first; r != nil; r = r.next {
		if !r.stmt.Changes {
			continue
		}
		if change == nil {
			change = c.catalog.changes.Begin(c.ps.Info())
		}
		if r.stmt.Access.Has(protocol.Opaque | protocol.Execute) {
			change.Add(nil)
		} else {
			change.Add(r.stmt.Objects)
		}
	}
	return change
}

// A basis is what a run's statement was found to be, and by what.
type basis struct {
	script *mysqlsql.Script // nil: there are no names in it
	in     reading
	text   string
	i      int   // which statement of the text it is
	ended  int64 // changes that had, when it was
}

// unchanged returns an error if what the names in r mean has changed since it was
// decided about, so that it does something else.
func (c *session) unchanged(r *run) error {
	b := &r.basis
	if b.script == nil {
		return nil
	}
	switch _, met := c.catalog.changes.Since(b.ended, r.op.Session, r.stmt.Objects, sql.Named(&r.op)); {
	case met > 1:
		return sql.ErrChanged("mysql")
	case met > 0:
		c.catalog.Stale()
	}
	st := c.stateIn(b.in)
	if b.script.Holds(&st) {
		return nil
	}
	again := c.analyzeIn(b.in, []byte(b.text))
	if len(again.Statements) == len(b.script.Statements) {
		stmt := &again.Statements[b.i]
		var now protocol.Operation
		setFacts(&now, stmt)
		if sql.Holds(&r.op, &now) && sql.SameColumns(r.stmt.Columns, stmt.Columns) {
			b.script = again
			return nil
		}
	}
	return sql.ErrChanged("mysql")
}
