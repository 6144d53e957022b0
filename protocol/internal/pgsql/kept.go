package pgsql

import (
	"slices"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

// keep notes that what f yields is written. What it reads for a condition only is
// not kept, where it is known what its columns come from.
func (p *pass) keep(f func() rowset) {
	var rows rowset
	all := p.within(func() { rows = f() })
	known := !rows.open
	for i := range rows.cols {
		known = known && rows.cols[i].val.Known
	}
	if !known {
		p.kept.addAll(all)
		return
	}
	for i := range rows.cols {
		p.kept.addAll(rows.cols[i].val.Sources)
	}
}

// keepIn notes that the value of f is written to a column of it. The column's own
// value stays under its own rules there.
func (p *pass) keepIn(it *item, name string, f func() sql.Value) {
	var v sql.Value
	all := p.within(func() { v = f() })
	own, ok := find(it.cols, name)
	if ok && own.Known && v.Known && !slices.ContainsFunc(v.Sources, func(s protocol.Source) bool {
		return s.Edge != protocol.EdgeIdentity || !slices.Contains(own.Sources, s)
	}) {
		return
	}
	p.kept.addAll(all)
}

// returned is Statement.Returned of s.
func (p *pass) returned(s *Statement) []protocol.ColumnRef {
	switch s.Verb {
	case "insert", "update", "delete", "merge", "select", "values", "copy", "explain":
	default:
		return nil
	}
	if !s.ReadsKnown || p.keptAny || s.Access&^protocol.Read != protocol.Write {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(s.Reads), func(c protocol.ColumnRef) bool {
		_, kept := p.kept.set[c]
		return kept
	})
}
