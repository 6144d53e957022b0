package pgsql

import (
	"fmt"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

// maxColumns is more than PostgreSQL lets a query return.
const maxColumns = 1664

// query analyses SELECT, VALUES, TABLE and set operations over them.
func (p *pass) query(x *pg.SelectStmt, outer *scope) rowset {
	out := p.arm(x, outer)
	p.settle(out)
	return out
}

// settle gives the literals among columns the type text.
func (p *pass) settle(r rowset) {
	for i := range r.cols {
		if v := &r.cols[i].val; v.Literal {
			p.alone(*v)
			v.Literal = false
			if v.Type == unknownOID {
				v.Type = textOID
			}
		}
	}
}

// arm is query for a side of a set operation, where a literal takes the type of
// what stands on the other side.
func (p *pass) arm(x *pg.SelectStmt, outer *scope) rowset {
	if x == nil || !p.step(1) {
		p.notKnown("a query is not understood")
		p.runs("a query is not understood")
		return rowset{open: true}
	}
	s := &scope{parent: outer}
	p.with(x.WithClause, s)
	if x.IntoClause != nil {
		p.into(x.IntoClause)
	}
	if len(x.LockingClause) > 0 {
		p.notPure("rows are locked")
	}
	if x.Op != pg.SetOperation_SETOP_NONE && x.Op != pg.SetOperation_SET_OPERATION_UNDEFINED {
		return p.setOperation(x, s)
	}
	if len(x.ValuesLists) > 0 {
		return p.values(x, s)
	}
	p.from(x.FromClause, s)
	p.condition(x.WhereClause, s)
	p.windows(x.WindowClause, s)
	out := p.targets(x.TargetList, s)
	if on := distinctOn(x.DistinctClause); len(on) > 0 {
		p.named(on, s, out, protocol.HowGroup)
	} else if len(x.DistinctClause) > 0 {
		p.tellRows(out, protocol.HowGroup, x)
	}
	p.named(x.GroupClause, s, out, protocol.HowGroup)
	p.condition(x.HavingClause, s)
	p.named(x.SortClause, s, out, protocol.HowOrder)
	p.limits(x, s)
	return out
}

// distinctOn returns the expressions of DISTINCT ON; plain DISTINCT is a list
// of one empty node.
func distinctOn(list []*pg.Node) []*pg.Node {
	var out []*pg.Node
	for _, n := range list {
		if n != nil && n.Node != nil {
			out = append(out, n)
		}
	}
	return out
}

func (p *pass) limits(x *pg.SelectStmt, s *scope) {
	for _, n := range []*pg.Node{x.LimitCount, x.LimitOffset} {
		v := p.expr(n, s)
		p.alone(v)
		p.tells.Tell(v, protocol.HowComputed, x)
	}
}

// named analyses ORDER BY, GROUP BY and DISTINCT ON, whose plain names may be those
// of output columns, and numbers their places.
func (p *pass) named(list []*pg.Node, s *scope, out rowset, how protocol.How) {
	for _, n := range list {
		if g := n.GetGroupingSet(); g != nil {
			p.named(g.Content, s, out, how)
			continue
		}
		if r := n.GetRowExpr(); r != nil && how == protocol.HowGroup {
			p.named(r.Args, s, out, how)
			continue
		}
		inner := n
		if sb := n.GetSortBy(); sb != nil {
			inner = sb.Node
			if len(sb.UseOp) > 0 {
				p.operator(sb.UseOp, 0, 0)
			}
		}
		if i := position(inner); i > 0 {
			if i <= len(out.cols) {
				p.tells.Tell(out.cols[i-1].val, how, n)
			}
			if out.open {
				p.tells.Lost()
			}
			continue
		}
		if c := inner.GetColumnRef(); c != nil && len(c.Fields) == 1 {
			if v, ok := find(out.cols, last(c.Fields)); ok {
				p.tells.Tell(p.use(v), how, n)
				// It may be the input column of that name as well.
				if _, ok := find(s.cols, last(c.Fields)); !ok {
					continue
				}
			}
		}
		p.tells.Tell(p.expr(inner, s), how, n)
	}
}

func (p *pass) windows(list []*pg.Node, s *scope) {
	for _, n := range list {
		w := n.GetWindowDef()
		if w == nil {
			continue
		}
		v := p.window(w, s)
		if s.windows == nil {
			s.windows = map[string]sql.Value{}
		}
		s.windows[w.Name] = v
	}
}

// setOperation is UNION, INTERSECT or EXCEPT: a column of the result may be
// that of either side.
func (p *pass) setOperation(x *pg.SelectStmt, s *scope) rowset {
	l := p.arm(x.Larg, s)
	r := p.arm(x.Rarg, s)
	out := rowset{open: l.open || r.open}
	for i, c := range l.cols {
		if i < len(r.cols) {
			lv, rv := c.val, r.cols[i].val
			p.beside(false, lv, rv)
			c.val = join(lv, rv)
			c.val.Type = p.common(lv, rv)
		} else if !out.open {
			c.val.Known = false
		}
		if out.open {
			c.val.Known = false // the columns may not line up
		}
		out.cols = append(out.cols, c)
	}
	if out.open {
		p.notKnown("a set operation has a side whose columns are not known")
	}
	if x.Op != pg.SetOperation_SETOP_UNION || !x.All {
		p.tellRows(l, protocol.HowList, x)
		p.tellRows(r, protocol.HowList, x)
	}
	t := &scope{parent: s.parent, with: s.with, cols: out.cols, open: out.open}
	p.named(x.SortClause, t, out, protocol.HowOrder)
	p.limits(x, s)
	return out
}

func (p *pass) values(x *pg.SelectStmt, s *scope) rowset {
	var out rowset
	var vals [][]sql.Value // by column
	for _, n := range x.ValuesLists {
		row := n.GetList().GetItems()
		for i, e := range row {
			v := p.expr(e, s)
			if i == len(vals) {
				if i >= maxColumns {
					out.open = true
					break
				}
				vals = append(vals, nil)
			}
			vals[i] = append(vals[i], v)
		}
	}
	for i, list := range vals {
		v := list[0]
		for k := range list {
			v = join(v, list[k])
		}
		p.beside(false, list...)
		v.Type = p.common(list...)
		out.cols = append(out.cols, col{fmt.Sprintf("column%d", i+1), v})
	}
	t := &scope{parent: s.parent, with: s.with, cols: out.cols}
	p.named(x.SortClause, t, out, protocol.HowOrder)
	p.limits(x, s)
	return out
}

// targets analyses a select list or RETURNING.
func (p *pass) targets(list []*pg.Node, s *scope) rowset {
	var out rowset
	for _, n := range list {
		t := n.GetResTarget()
		if t == nil {
			p.notKnown("a select list is not understood")
			p.runs("a select list is not understood")
			out.open = true
			continue
		}
		if p.star(t, s, &out) {
			continue
		}
		v := p.expr(t.Val, s)
		name := t.Name
		if name == "" {
			name = p.figureColumn(t.Val)
		}
		out.cols = append(out.cols, col{name, v})
	}
	if len(out.cols) > maxColumns {
		out.cols, out.open = out.cols[:maxColumns], true
	}
	return out
}

// star expands *, t.* and (row).* and reports whether t is one of them.
func (p *pass) star(t *pg.ResTarget, s *scope, out *rowset) bool {
	if ind := t.Val.GetAIndirection(); ind != nil {
		if k := len(ind.Indirection); k == 0 || ind.Indirection[k-1].GetAStar() == nil {
			return false
		}
		if it := p.rowOf(ind.Arg, s); it != nil && len(ind.Indirection) == 1 {
			p.expand(it.cols, it.open, out)
			return true
		}
		v := p.expr(ind.Arg, s)
		p.notPure("a row is expanded")
		if r := p.composite(v.Type); r != nil && len(ind.Indirection) == 1 {
			for _, c := range r.Columns {
				out.cols = append(out.cols, col{c.Name, through(v, protocol.EdgeTransform, c.Type)})
			}
			return true
		}
		p.notKnown("the fields of a row are not known")
		out.open = true
		return true
	}
	c := t.Val.GetColumnRef()
	if c == nil || len(c.Fields) == 0 || c.Fields[len(c.Fields)-1].GetAStar() == nil {
		return false
	}
	cols, open := s.cols, s.open
	if names := strs(c.Fields[:len(c.Fields)-1]); len(names) > 0 {
		schema := ""
		if len(names) > 1 {
			schema = names[len(names)-2]
		}
		it := s.item(schema, names[len(names)-1])
		if it == nil {
			p.missing("row " + names[len(names)-1])
			out.open = true
			return true
		}
		cols, open = it.cols, it.open
	}
	p.expand(cols, open, out)
	return true
}

// expand adds the columns that a star stands for.
func (p *pass) expand(cols []col, open bool, out *rowset) {
	if !p.step(len(cols)) {
		out.open = true
		return
	}
	for _, k := range cols {
		p.use(k.val)
	}
	out.cols = append(out.cols, cols...)
	if open {
		p.notKnown("* stands for columns that are not known")
		p.notPure("* stands for columns that are not known")
		out.open = true
	}
}

// with analyses common table expressions into s.
func (p *pass) with(w *pg.WithClause, s *scope) {
	if w == nil {
		return
	}
	s.with = map[string]*rowset{}
	if w.Recursive {
		// Each may be used by the ones before it.
		for _, n := range w.Ctes {
			s.with[n.GetCommonTableExpr().GetCtename()] = nil
		}
	}
	for _, n := range w.Ctes {
		c := n.GetCommonTableExpr()
		if c == nil {
			p.notKnown("WITH is not understood")
			p.runs("WITH is not understood")
			continue
		}
		rows := p.cte(c, s, w.Recursive)
		s.with[c.Ctename] = &rows
	}
}

// cte analyses one common table expression. A recursive one is analysed until
// what is known of its columns no longer grows.
func (p *pass) cte(c *pg.CommonTableExpr, s *scope, recursive bool) rowset {
	sel := c.Ctequery.GetSelectStmt()
	if sel == nil {
		p.notPure("WITH changes data")
		return p.renamed(c, p.changing(c.Ctequery, s))
	}
	if !recursive || sel.Op != pg.SetOperation_SETOP_UNION || sel.WithClause != nil {
		return p.renamed(c, p.query(sel, s))
	}
	rows := p.renamed(c, p.query(sel.Larg, s))
	for round := range 8 {
		s.with[c.Ctename] = &rows
		next := p.renamed(c, p.query(sel, s))
		if same(rows, next) {
			return next
		}
		if rows = next; round > 0 { // it goes down in a document: there is no end to paths
			for i := range rows.cols {
				rows.cols[i].val.Sources = rows.cols[i].val.Sources.Whole()
			}
		}
	}
	p.notKnown("recursive WITH " + c.Ctename + " is not understood")
	for i := range rows.cols {
		rows.cols[i].val.Known = false
	}
	return rows
}

// renamed gives the columns of a common table expression their names.
func (p *pass) renamed(c *pg.CommonTableExpr, rows rowset) rowset {
	cols := make([]col, len(rows.cols))
	copy(cols, rows.cols)
	for i, n := range strs(c.Aliascolnames) {
		if i < len(cols) {
			cols[i].name = n
		}
	}
	rows.cols = cols
	if c.SearchClause != nil || c.CycleClause != nil {
		rows.open = true // they add columns
		p.tells.Lost()
		p.expr(c.CycleClause.GetCycleMarkValue(), &scope{})
		p.expr(c.CycleClause.GetCycleMarkDefault(), &scope{})
	}
	return rows
}

func same(a, b rowset) bool {
	if len(a.cols) != len(b.cols) || a.open != b.open {
		return false
	}
	for i := range a.cols {
		x, y := a.cols[i].val, b.cols[i].val
		if x.Known != y.Known || len(x.Sources) != len(y.Sources) {
			return false
		}
		for k := range x.Sources {
			if x.Sources[k] != y.Sources[k] {
				return false
			}
		}
	}
	return true
}

// output makes the statement's columns of what its query yields.
func (p *pass) output(r rowset) {
	p.shape |= protocol.Rows
	if r.open {
		p.columns = nil
		p.notKnown("the columns of the result are not known")
		return
	}
	p.columns = make([]protocol.Column, len(r.cols))
	for i, c := range r.cols {
		p.columns[i] = protocol.Column{Name: c.name, Type: p.shownAs(c.val), Known: c.val.Known, Sources: c.val.Sources}
		if !c.val.Known {
			p.notKnown("where column " + c.name + " comes from is not known")
		}
	}
}

// shownAs returns the type in which a result shows a value, 0 if it is not known:
// of a domain what it stands on, as on the wire, and of a literal text.
func (p *pass) shownAs(v sql.Value) uint32 {
	switch {
	case v.Literal:
		return textOID
	case v.Type >= sql.FirstUserOID:
		return p.baseOf(v.Type)
	}
	return v.Type
}

// into is SELECT INTO: it makes a table.
func (p *pass) into(x *pg.IntoClause) {
	p.access |= protocol.Write | protocol.Schema
	p.notPure("a table is made")
	p.define(x.GetRel(), "table")
}
