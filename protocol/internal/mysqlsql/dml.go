package mysqlsql

import (
	"slices"
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

// written notes that columns of a table are written; none stands for whole rows.
func (p *pass) written(it *item, names []string) {
	p.notPure("it changes data")
	if it.rel == nil {
		name := it.name
		p.writes = append(p.writes, protocol.ColumnRef{Schema: it.schema, Table: name, Column: "*"})
		return
	}
	p.triggers(it.rel)
	if it.rel.Schema == "mysql" { // accounts, and code that is read from there
		p.access |= protocol.Admin
		p.changes = true
	}
	if len(names) == 0 {
		names = []string{"*"}
	}
	for _, name := range names {
		for _, c := range it.rel.Columns {
			if strings.EqualFold(c.Name, name) {
				name = c.Name
			}
		}
		p.writes = append(p.writes, it.rel.Ref(name))
	}
	if it.rel.Kind == sql.View {
		// The tables behind it are what is written.
		x := p.catalog.Expansion(it.rel, nil)
		for _, o := range x.Objects {
			if schema, table, ok := strings.Cut(o.Name, "."); ok && o.Kind == "table" {
				p.writes = append(p.writes, protocol.ColumnRef{Schema: schema, Table: table, Column: "*"})
				if r := p.catalog.Lookup(schema, table); r != nil {
					p.triggers(r)
				}
			}
		}
	}
}

// triggers notes what the triggers of a table do about what is done to its rows.
func (p *pass) triggers(rel *sql.Relation) {
	if rel.Rules || rel.Triggers != "" && len(rel.Code) == 0 {
		p.runs("trigger", rel.Schema+"."+rel.Name)
		p.effects.code = true
	}
	for _, code := range rel.Code {
		if r, ok := code.(*routine); ok && slices.Contains(p.events, r.event) {
			p.does(r, "trigger", r.schema+"."+r.name, p.everything())
		}
	}
}

func (p *pass) insert(n *ast.InsertStmt, s *Statement) {
	s.Verb = "insert"
	if n.IsReplace {
		s.Verb = "replace"
	}
	p.access |= protocol.Write
	p.events = []string{"INSERT"}
	if n.IsReplace {
		p.events = append(p.events, "DELETE")
	}
	if len(n.OnDuplicate) > 0 {
		p.events = append(p.events, "UPDATE")
	}
	in := &scope{parent: p.base}
	it := p.target(n.Table, in)
	if it == nil {
		p.missing("the table")
		return
	}
	p.changed = &scope{parent: p.base, items: []*item{it}, cols: it.shown(), open: it.open}
	var names []string
	for _, c := range n.Columns {
		names = append(names, c.Name.L)
	}
	for _, list := range n.Lists {
		for _, e := range list {
			p.keepIn(nil, "", func() sql.Value { return p.expr(e, in) })
		}
	}
	if n.Select != nil {
		p.access |= protocol.Read
		p.keep(func() *rowset {
			return p.query(n.Select, p.base)
		})
		if len(n.OnDuplicate) > 0 {
			in.items = append(in.items, p.selected(n.Select)...)
		}
	}
	if n.IsReplace || n.IgnoreErr || len(n.OnDuplicate) > 0 {
		p.tellConflict(it, names, len(n.Lists) == 1, n)
	}
	p.upserts = true
	for _, a := range n.OnDuplicate {
		names = append(names, a.Column.Name.L)
		p.keepIn(it, a.Column.Name.L, func() sql.Value { return p.expr(a.Expr, in) })
	}
	p.upserts = false
	if len(n.Columns) == 0 {
		names = nil
	}
	p.written(it, names)
}

// selected returns what ON DUPLICATE KEY UPDATE sees of a query: the tables that it
// reads, not what it calls the columns of its result.
func (p *pass) selected(n ast.ResultSetNode) []*item {
	sel, ok := n.(*ast.SelectStmt)
	if !ok || sel.From == nil { // of UNION none
		return nil
	}
	s := &scope{parent: p.with(sel.With, p.base)}
	p.from(sel.From.TableRefs, s)
	return s.items
}

// target returns the one table that a statement is about, and puts it into s.
// Its columns are not read by that.
func (p *pass) target(n *ast.TableRefsClause, s *scope) *item {
	if n == nil || n.TableRefs == nil || n.TableRefs.Right != nil {
		return nil
	}
	src, ok := n.TableRefs.Left.(*ast.TableSource)
	if !ok {
		return nil
	}
	name, ok := src.Source.(*ast.TableName)
	if !ok {
		return nil
	}
	it := p.table(name, protocol.Write)
	if src.AsName.L != "" {
		it.name, it.as = src.AsName.L, src.AsName.O
	}
	s.items, s.cols, s.open = append(s.items, it), it.shown(), it.open
	return it
}

func (p *pass) update(n *ast.UpdateStmt, s *Statement) {
	s.Verb, p.events = "update", []string{"UPDATE"}
	if p.portion {
		p.events = append(p.events, "INSERT")
	}
	p.access |= protocol.Write
	in := &scope{parent: p.with(n.With, p.base)}
	if it := p.target(n.TableRefs, in); it == nil {
		p.from(n.TableRefs.TableRefs, in)
		p.access |= protocol.Read
	}
	written := map[*item][]string{}
	for _, a := range n.List {
		var owners []*item
		for _, it := range in.items {
			if a.Column.Table.L != "" && it.name != a.Column.Table.L {
				continue
			}
			if _, ok := find(it.cols, a.Column.Name.L); ok || it.open || len(in.items) == 1 {
				owners = append(owners, it)
				written[it] = append(written[it], a.Column.Name.L)
			}
		}
		var owner *item
		switch len(owners) {
		case 0:
			p.missing("column " + a.Column.Name.O)
		case 1:
			owner = owners[0]
		}
		p.keepIn(owner, a.Column.Name.L, func() sql.Value { return p.expr(a.Expr, in) })
	}
	p.condition(n.Where, in)
	p.tail(n.Order, n.Limit, in)
	for _, it := range in.items {
		if names := written[it]; names != nil {
			p.written(it, names)
			p.markWritten(it)
		}
	}
	s.Bounded = bounded(n.Where)
}

// markWritten notes that a table in FROM is one that is written.
func (p *pass) markWritten(it *item) {
	if it.rel != nil {
		p.object(it.rel.KindName(), it.rel.Schema+"."+it.rel.Name, protocol.Write)
	}
}

func (p *pass) delete(n *ast.DeleteStmt, s *Statement) {
	s.Verb, p.events = "delete", []string{"DELETE"}
	if p.portion {
		p.events = append(p.events, "INSERT")
	}
	p.access |= protocol.Write
	in := &scope{parent: p.with(n.With, p.base)}
	if n.IsMultiTable {
		p.access |= protocol.Read
		p.from(n.TableRefs.TableRefs, in)
		for _, t := range n.Tables.Tables {
			found := false
			for _, it := range in.items {
				if it.name == t.Name.L {
					p.written(it, nil)
					p.markWritten(it)
					found = true
				}
			}
			if !found {
				p.missing("table " + t.Name.O)
			}
		}
	} else if it := p.target(n.TableRefs, in); it != nil {
		p.written(it, nil)
		p.changed = in
	} else {
		p.missing("the table")
	}
	p.condition(n.Where, in)
	p.tail(n.Order, n.Limit, in)
	s.Bounded = bounded(n.Where)
}

// bounded reports whether a condition limits anything: it names a column, and
// does not only compare one with itself.
func bounded(where ast.ExprNode) bool {
	if where == nil {
		return false
	}
	if len(columnsIn(where)) == 0 {
		return false
	}
	if b, ok := unparenthesised(where).(*ast.BinaryOperationExpr); ok {
		l, lok := unparenthesised(b.L).(*ast.ColumnNameExpr)
		r, rok := unparenthesised(b.R).(*ast.ColumnNameExpr)
		if lok && rok && l.Name.Name.L == r.Name.Name.L {
			return false
		}
		switch b.Op.String() {
		case "or", "xor":
			return bounded(b.L) && bounded(b.R)
		case "and":
			return bounded(b.L) || bounded(b.R)
		}
	}
	return true
}
