package mysqlsql

import (
	"slices"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

// within runs f and returns what it read, which counts for the statement as well.
func (p *pass) within(f func()) sql.Sources {
	outer := p.reads
	p.reads = nil
	f()
	inner := p.reads
	p.reads = outer.Merge(inner)
	return inner
}

// keep notes that what f yields is written. What it reads for a condition only is
// not kept, where it is known what its columns come from.
func (p *pass) keep(f func() *rowset) {
	var rows *rowset
	all := p.within(func() { rows = f() })
	kept, known := sql.Sources(nil), !rows.open
	for i := range rows.cols {
		v := rows.cols[i].val
		kept, known = kept.Merge(v.Sources), known && v.Known
	}
	if !known {
		kept = all
	}
	p.kept = p.kept.Merge(kept)
}

// keepIn notes that the value of f is written to a column of it, which is nil if it
// is not known which table has the column. The column's own value stays under its
// own rules there.
func (p *pass) keepIn(it *item, name string, f func() sql.Value) {
	var v sql.Value
	all := p.within(func() { v = f() })
	if it != nil {
		own, ok := find(it.cols, name)
		if ok && own.Known && v.Known && !slices.ContainsFunc(v.Sources, func(s protocol.Source) bool {
			return s.Edge != protocol.EdgeIdentity || !slices.Contains(own.Sources, s)
		}) {
			return
		}
	}
	p.kept = p.kept.Merge(all)
}

// returned is Statement.Returned of s.
func (p *pass) returned(s *Statement) []protocol.ColumnRef {
	switch s.Verb {
	case "insert", "replace", "update", "delete":
	default:
		return nil
	}
	if !s.ReadsKnown || p.keptAny || s.Access&^protocol.Read != protocol.Write {
		return nil
	}
	kept := p.kept.Refs()
	return slices.DeleteFunc(slices.Clone(s.Reads), func(c protocol.ColumnRef) bool { return slices.Contains(kept, c) })
}
