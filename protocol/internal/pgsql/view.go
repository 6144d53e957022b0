package pgsql

import (
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

// ExpandView works out what reading a view means, from the text of its
// definition. It is what [Load] gives to sql.New. The definition's names are
// resolved in pg_catalog alone, as Load had the server write them.
func ExpandView(c *sql.Catalog, r *sql.Relation, chain []uint32) *sql.Expansion {
	unknown := func(why string) *sql.Expansion {
		return &sql.Expansion{Access: protocol.Read | protocol.Opaque, Why: why}
	}
	tree, why := parseBounded([]byte(r.Definition), maxDefinition)
	if why != "" {
		return unknown(why)
	}
	if len(tree.Stmts) != 1 || tree.Stmts[0].Stmt.GetSelectStmt() == nil {
		return unknown("its definition is not one query")
	}
	sel := tree.Stmts[0].Stmt.GetSelectStmt()
	p := newPass(&State{Catalog: c, SearchPath: []string{"pg_catalog"}, StandardStrings: true})
	p.chain = chain
	p.access = protocol.Read
	rows := p.query(sel, nil)
	p.unclearTypes()
	out := &sql.Expansion{
		ReadsKnown: p.unknown == "" && !rows.open,
		Pure:       p.impure == "" && p.access == protocol.Read,
		Access:     p.access,
		Objects:    p.objects,
		Why:        p.impure,
	}
	if out.Why == "" {
		out.Why = p.unknown
	}
	if len(sel.FromClause) == 1 && sel.FromClause[0].GetRangeVar() != nil {
		rv := sel.FromClause[0].GetRangeVar()
		out.Base, _ = p.relation(rv.Schemaname, rv.Relname)
	}
	out.Inferred, out.InferredKnown = p.tells.Sorted(), p.tells.Known() && !p.access.Has(protocol.Execute|protocol.Opaque)
	for _, ref := range p.reads.sorted() {
		out.Reads = append(out.Reads, protocol.Source{ColumnRef: ref, Edge: protocol.EdgeTransform})
	}
	if !rows.open && len(rows.cols) == len(r.Columns) {
		for _, k := range rows.cols {
			out.Columns = append(out.Columns, k.val)
		}
	} else {
		out.ReadsKnown = false
	}
	return out
}

// maxDefinition bounds the definition of a view.
const maxDefinition = 1 << 20
