package mysql

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/mysqlsql"
)

// changing are the statements that are on their way and may change definitions. A
// statement that the target lets wait for one of them reads what it has made, which
// is not what was decided about.
type changing struct {
	n    atomic.Int64 // len(runs)
	mu   sync.Mutex
	runs map[*run]struct{}
}

// begin notes those of first and what follows it, before they are sent. What changes
// nothing, which is most of what there is, takes no lock that sessions share.
func (ch *changing) begin(first *run) {
	for r := first; r != nil; r = r.next {
		if r.stmt.Changes {
			ch.note(r)
		}
	}
}

func (ch *changing) note(r *run) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.runs == nil {
		ch.runs = map[*run]struct{}{}
	}
	ch.runs[r] = struct{}{}
	ch.n.Store(int64(len(ch.runs)))
}

// end notes that they have ended.
func (ch *changing) end(first *run) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	for r := first; r != nil; r = r.next {
		delete(ch.runs, r)
	}
	ch.n.Store(int64(len(ch.runs)))
}

// meets reports whether another session's may change what r is about.
func (ch *changing) meets(r *run) bool {
	if ch.n.Load() == 0 {
		return false
	}
	ch.mu.Lock()
	defer ch.mu.Unlock()
	for other := range ch.runs {
		if other.op.Session == r.op.Session {
			continue
		}
		if other.stmt.Access.Has(protocol.Opaque|protocol.Execute) || len(other.stmt.Objects) == 0 {
			return true
		}
		for _, o := range other.stmt.Objects {
			if slices.ContainsFunc(r.stmt.Objects, func(have protocol.Object) bool { return have.Name == o.Name }) {
				return true
			}
		}
	}
	return false
}

// A basis is what a run's statement was found to be, and by what.
type basis struct {
	script *mysqlsql.Script // nil: there are no names in it
	in     reading
	text   string
	i      int // which statement of the text it is
}

// unchanged returns an error if what the names in r mean has changed since it was
// decided about, so that it does something else.
func (c *session) unchanged(r *run) error {
	b := &r.basis
	if b.script == nil {
		return nil
	}
	if c.catalog.changing.meets(r) {
		c.catalog.Stale()
	}
	st := c.stateIn(b.in)
	if b.script.Holds(&st) {
		return nil
	}
	again := c.analyzeIn(b.in, []byte(b.text))
	if len(again.Statements) == len(b.script.Statements) {
		if stmt := &again.Statements[b.i]; covers(&r.op, stmt) && sameColumns(r.stmt.Columns, stmt.Columns) {
			b.script = again
			return nil
		}
	}
	return &protocol.DeniedError{Step: "mysql", Reason: "definitions have just changed, and with them what this reads", Hint: "repeat the statement"}
}

// sameColumns reports whether what is known of columns before is true of them now.
func sameColumns(before, now []protocol.Column) bool {
	for i := range before {
		if b := &before[i]; b.Known && (i >= len(now) || !now[i].Known || !slices.Equal(b.Sources, now[i].Sources)) {
			return false
		}
	}
	return before == nil || len(before) == len(now)
}
