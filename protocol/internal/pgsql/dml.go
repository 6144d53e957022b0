package pgsql

import (
	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

// changing analyses INSERT, UPDATE, DELETE or MERGE and returns what its
// RETURNING clause yields.
func (p *pass) changing(n *pg.Node, outer *scope) rowset {
	p.access |= protocol.Write
	p.notPure("data is changed")
	s := &scope{parent: outer}
	switch x := n.GetNode().(type) {
	case *pg.Node_InsertStmt:
		return p.insert(x.InsertStmt, s)
	case *pg.Node_UpdateStmt:
		return p.update(x.UpdateStmt, s)
	case *pg.Node_DeleteStmt:
		return p.delete(x.DeleteStmt, s)
	case *pg.Node_MergeStmt:
		return p.merge(x.MergeStmt, s)
	default:
		p.notKnown("a change of data is not understood")
		p.runs("a change of data is not understood")
		return rowset{open: true}
	}
}

// target resolves the table that is changed.
func (p *pass) target(rv *pg.RangeVar) *item {
	it := p.table(rv, protocol.Write)
	if it.rel == nil || it.open || it.rel.Triggers != "" {
		p.effect.Flags |= RunsCode // triggers and rules, or whatever is there
		if it.rel != nil {
			p.writesThrough(it.rel)
		}
		return it
	}
	for _, d := range p.catalog().Descendants(it.rel) {
		if d.Triggers != "" {
			p.effect.Flags |= RunsCode
		}
	}
	p.writesThrough(it.rel)
	return it
}

// writesThrough notes what is written by writing to the view r.
func (p *pass) writesThrough(r *sql.Relation) {
	for _, b := range p.below(r) {
		p.object(b.KindName(), b.Schema+"."+b.Name, protocol.Write)
		p.family(b, protocol.Write)
	}
}

// below returns what is written by writing to the view r, which are views too, down to
// the table.
func (p *pass) below(r *sql.Relation) (list []*sql.Relation) {
	for r.Kind == sql.View && len(list) < maxBelow {
		if r = p.guess().Expansion(r, p.chain).Base; r == nil {
			break
		}
		list = append(list, r)
	}
	return list
}

// maxBelow bounds how many views stand on each other where they are written to.
const maxBelow = 64

// rewrites notes that what is written to it is rewritten by a rule, or answered
// by a trigger in its place: what comes back is not what the text says.
func (p *pass) rewrites(it *item, returning []*pg.Node) {
	if it.rel == nil { // only this session or transaction sees it, and what rules it has
		p.shape |= protocol.Rows
		return
	}
	behind := []*sql.Relation{it.rel}
	if it.rel.Kind == sql.View { // what is written to it is written to what it reads
		reads := p.catalog().Expansion(it.rel, p.chain).Reads
		if len(reads) == 0 {
			p.shape |= protocol.Rows
			p.notKnown("which table is behind view " + it.rel.Name + " is not known")
			it.open = true
		}
		for i := range reads {
			if i > 0 && reads[i].Table == reads[i-1].Table && reads[i].Schema == reads[i-1].Schema {
				continue
			}
			if r := p.catalog().Lookup(reads[i].Schema, reads[i].Table); r != nil {
				behind = append(behind, r)
			}
		}
	}
	for _, r := range behind {
		switch {
		case r.Rules:
			p.shape |= protocol.Rows
			p.notKnown("a rule rewrites what is written to " + r.Schema + "." + r.Name)
			it.open = true
		case len(returning) > 0 && r.Kind == sql.View && r.Triggers != "":
			p.notKnown("a trigger answers what is written to view " + r.Schema + "." + r.Name)
			it.open = true
		}
	}
}

// write notes that a column of the target is written; "" stands for the row.
func (p *pass) write(it *item, rv *pg.RangeVar, name string) {
	if name == "" {
		name = "*"
	}
	if it.rel == nil {
		p.writes.add(protocol.ColumnRef{Schema: rv.Schemaname, Table: rv.Relname, Column: name})
		list := p.guesses(rv)
		for _, s := range p.places(rv, list) {
			p.writes.add(protocol.ColumnRef{Schema: s, Table: rv.Relname, Column: name})
		}
		for _, r := range list {
			p.written(r, name, p.guess().Lineage(r, nil))
		}
		return
	}
	p.written(it.rel, name, p.catalog().Lineage(it.rel, p.chain))
}

func (p *pass) written(rel *sql.Relation, name string, lineage []sql.Value) {
	p.writes.add(rel.Ref(name))
	if name == "*" {
		for _, r := range p.below(rel) {
			p.writes.add(r.Ref(name))
		}
	}
	for i, c := range rel.Columns {
		if name != "*" && c.Name != name {
			continue
		}
		for _, src := range lineage[i].Sources {
			if src.Edge == protocol.EdgeIdentity { // the table behind a view, the partition behind a table
				p.writes.add(src.ColumnRef)
			}
		}
	}
}

func (p *pass) insert(x *pg.InsertStmt, s *scope) rowset {
	p.with(x.WithClause, s)
	it := p.target(x.Relation)
	p.rewrites(it, x.ReturningList)
	if len(x.Cols) == 0 {
		p.write(it, x.Relation, "")
	}
	for _, c := range x.Cols {
		t := c.GetResTarget()
		p.write(it, x.Relation, t.GetName())
		p.keepIn(it, "", func() sql.Value { return p.exprs(t.GetIndirection(), s) })
	}
	if sel := x.SelectStmt.GetSelectStmt(); sel != nil {
		p.keep(func() rowset { return p.query(sel, s) })
	} else if x.SelectStmt != nil {
		p.notKnown("the rows of INSERT are not understood")
		p.runs("the rows of INSERT are not understood")
	}
	own := &scope{parent: s.parent, with: s.with}
	own.add(one(it))
	if c := x.OnConflictClause; c != nil {
		conflict := own.and(one(it))
		conflict.cols = own.cols // excluded.* is qualified only
		excluded := *it
		excluded.name, excluded.schema = "excluded", ""
		conflict.items = []*item{it, &excluded}
		p.tellConflict(x, it, own)
		p.condition(c.Infer.GetWhereClause(), own)
		p.assignments(c.TargetList, it, x.Relation, conflict)
		p.condition(c.WhereClause, conflict)
	}
	return p.returning(x.ReturningList, own)
}

// assignments analyses SET.
func (p *pass) assignments(list []*pg.Node, it *item, rv *pg.RangeVar, s *scope) {
	for _, n := range list {
		t := n.GetResTarget()
		p.write(it, rv, t.GetName())
		name := t.GetName()
		if len(t.GetIndirection()) > 0 {
			name = "" // a part of it
		}
		p.keepIn(it, "", func() sql.Value { return p.exprs(fields(t.GetIndirection()), s) })
		p.keepIn(it, name, func() sql.Value {
			v := p.expr(t.GetVal(), s)
			p.alone(v)
			return v
		})
	}
}

// fields leaves out the plain names of a path, which are no expressions.
func fields(list []*pg.Node) []*pg.Node {
	var out []*pg.Node
	for _, n := range list {
		if n.GetString_() == nil && n.GetAStar() == nil {
			out = append(out, n)
		}
	}
	return out
}

func (p *pass) update(x *pg.UpdateStmt, s *scope) rowset {
	p.with(x.WithClause, s)
	it := p.target(x.Relation)
	p.rewrites(it, x.ReturningList)
	s.add(one(it))
	p.from(x.FromClause, s)
	p.assignments(x.TargetList, it, x.Relation, s)
	p.condition(x.WhereClause, s)
	p.bounded = p.bounded && limits(x.WhereClause)
	return p.returning(x.ReturningList, s)
}

func (p *pass) delete(x *pg.DeleteStmt, s *scope) rowset {
	p.with(x.WithClause, s)
	it := p.target(x.Relation)
	p.rewrites(it, x.ReturningList)
	p.write(it, x.Relation, "")
	s.add(one(it))
	p.from(x.UsingClause, s)
	p.condition(x.WhereClause, s)
	p.bounded = p.bounded && limits(x.WhereClause)
	return p.returning(x.ReturningList, s)
}

func (p *pass) merge(x *pg.MergeStmt, s *scope) rowset {
	p.with(x.WithClause, s)
	it := p.target(x.Relation)
	p.rewrites(it, x.ReturningList)
	f := p.fromItem(x.SourceRelation, s.outside())
	// RETURNING * shows the source's columns first.
	s.add(f)
	s.add(one(it))
	p.condition(x.JoinCondition, s)
	joined := limits(x.JoinCondition)
	for _, n := range x.MergeWhenClauses {
		w := n.GetMergeWhenClause()
		if w == nil {
			p.notKnown("MERGE is not understood")
			p.runs("MERGE is not understood")
			continue
		}
		p.condition(w.Condition, s)
		if w.CommandType == pg.CmdType_CMD_UPDATE || w.CommandType == pg.CmdType_CMD_DELETE {
			// What no source row matches, the join condition does not limit.
			matched := joined && w.MatchKind == pg.MergeMatchKind_MERGE_WHEN_MATCHED
			p.bounded = p.bounded && (matched || limits(w.Condition))
		}
		switch w.CommandType {
		case pg.CmdType_CMD_UPDATE:
			p.assignments(w.TargetList, it, x.Relation, s)
		case pg.CmdType_CMD_DELETE:
			p.write(it, x.Relation, "")
		case pg.CmdType_CMD_INSERT:
			if len(w.TargetList) == 0 {
				p.write(it, x.Relation, "")
			}
			for _, c := range w.TargetList {
				p.write(it, x.Relation, c.GetResTarget().GetName())
			}
			p.keep(func() rowset { p.exprs(w.Values, s); return rowset{open: true} })
		}
	}
	return p.returning(x.ReturningList, s)
}

// limits reports whether a condition looks as if it limits what is changed: a
// conjunction does if one of its parts does, a disjunction if all do. What
// names no column, or compares a column with itself, does not.
func limits(n *pg.Node) bool {
	if n == nil || n.Node == nil {
		return false
	}
	if b := n.GetBoolExpr(); b != nil {
		switch b.Boolop {
		case pg.BoolExprType_AND_EXPR:
			for _, a := range b.Args {
				if limits(a) {
					return true
				}
			}
			return false
		case pg.BoolExprType_OR_EXPR:
			for _, a := range b.Args {
				if !limits(a) {
					return false
				}
			}
			return true
		}
	}
	if n.GetCurrentOfExpr() != nil {
		return true
	}
	if x := n.GetAExpr(); x != nil {
		l, r := x.Lexpr.GetColumnRef(), x.Rexpr.GetColumnRef()
		if l != nil && r != nil && equalNames(strs(l.Fields), strs(r.Fields)) {
			return false
		}
	}
	return mentionsColumn(n)
}

// equalNames reports whether two references end in the same column name and
// may be the same column: one may be qualified and the other not.
func equalNames(a, b []string) bool {
	for i := 1; i <= len(a) && i <= len(b); i++ {
		if a[len(a)-i] != b[len(b)-i] {
			return false
		}
	}
	return true
}

// mentionsColumn reports whether an expression depends on a row, through a
// column of it or a subquery.
func mentionsColumn(n *pg.Node) bool {
	found := false
	walk(n, func(m any) bool {
		switch m.(type) {
		case *pg.ColumnRef:
			found = true
		}
		return !found
	})
	return found
}

// returning analyses RETURNING, which reads like a query.
func (p *pass) returning(list []*pg.Node, s *scope) rowset {
	if len(list) > 0 {
		p.access |= protocol.Read
	}
	out := p.targets(list, s)
	p.settle(out)
	return out
}
