package mysqlsql

import (
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

// query returns what a query yields in a scope.
func (p *pass) query(n ast.Node, s *scope) *rowset {
	defer p.deeper()()
	switch n := n.(type) {
	case *ast.SelectStmt:
		return p.selectStmt(n, s)
	case *ast.SetOprStmt:
		inner := p.with(n.With, s)
		r := p.setOperation(n.SelectList, inner)
		p.tail(n.OrderBy, n.Limit, &scope{parent: inner, alias: r.cols, open: r.open})
		return r
	case *ast.SetOprSelectList:
		return p.setOperation(n, s)
	case *ast.SubqueryExpr:
		return p.query(n.Query, s)
	}
	p.notPure("a form of query that is not known here")
	p.notKnown("a form of query that is not known here")
	return &rowset{open: true}
}

// setOperation returns what UNION and its like yield: each column depends on
// those of all arms.
func (p *pass) setOperation(n *ast.SetOprSelectList, s *scope) *rowset {
	inner := p.with(n.With, s)
	var out *rowset
	for _, arm := range n.Selects {
		r := p.query(arm, inner)
		if out == nil {
			out = &rowset{open: r.open, cols: append([]col(nil), r.cols...)}
			continue
		}
		if !unionAll(arm) {
			p.tellRows(out, protocol.HowList, n)
			p.tellRows(r, protocol.HowList, n)
		}
		if len(r.cols) != len(out.cols) || r.open {
			out.open = true
		}
		for i := range out.cols {
			if i < len(r.cols) {
				out.cols[i].val = join(out.cols[i].val, r.cols[i].val)
			} else {
				out.cols[i].val.Known = false
			}
		}
	}
	if out == nil {
		return &rowset{open: true}
	}
	p.tail(n.OrderBy, n.Limit, &scope{parent: inner, alias: out.cols, open: out.open})
	return out
}

func (p *pass) tail(order *ast.OrderByClause, limit *ast.Limit, s *scope) {
	if order != nil {
		for _, by := range order.Items {
			p.by(by.Expr, s, protocol.HowOrder)
		}
	}
	if limit != nil {
		p.tells.Tell(join(p.expr(limit.Count, s), p.expr(limit.Offset, s)), protocol.HowComputed, limit)
	}
}

// with returns a scope with the common table expressions of n.
func (p *pass) with(n *ast.WithClause, s *scope) *scope {
	if n == nil {
		return s
	}
	inner := &scope{parent: s, with: map[string]*rowset{}}
	if n.IsRecursive { // to MariaDB one may name another that stands behind it
		for _, e := range n.CTEs {
			inner.with[p.cteName(e.Name)] = nil
		}
	}
	for _, e := range n.CTEs {
		name := p.cteName(e.Name)
		if n.IsRecursive {
			inner.with[name] = p.recursive(e, inner)
		} else {
			r := p.query(e.Query.Query, inner)
			inner = &scope{parent: inner, with: map[string]*rowset{name: renamed(r, e.ColNameList)}}
		}
	}
	return inner
}

// cteName returns what a common table expression is found by: MySQL compares its
// name as those of tables, MariaDB in any case without regard to case.
func (p *pass) cteName(n ast.CIStr) string {
	if (p.st.MariaDB || p.st.Folded) && certain(n.O) {
		return n.L
	}
	return n.O
}

// recursive returns what a common table expression yields that may name itself:
// what it depends on is found by going round until nothing is added.
func (p *pass) recursive(e *ast.CommonTableExpression, s *scope) *rowset {
	name := p.cteName(e.Name)
	if !p.mentions(e.Query.Query, name) {
		return renamed(p.query(e.Query.Query, s), e.ColNameList)
	}
	s.with[name] = &rowset{open: true}
	have := renamed(p.start(e.Query.Query, s, name), e.ColNameList)
	for round := range maxRounds {
		s.with[name] = have
		next := renamed(p.query(e.Query.Query, s), e.ColNameList)
		if same(have, next) {
			return next
		}
		if have = next; round > 0 { // it goes down in a document: there is no end to paths
			for i := range have.cols {
				have.cols[i].val.Sources = have.cols[i].val.Sources.Whole()
			}
		}
	}
	p.notKnown("a recursive query that does not come to an end")
	return &rowset{open: true}
}

// maxRounds bounds how often a recursive query is looked at.
const maxRounds = 16

// start returns what the arms of a recursive query yield that do not name it.
func (p *pass) start(n ast.Node, s *scope, name string) *rowset {
	var list *ast.SetOprSelectList
	switch n := n.(type) {
	case *ast.SetOprStmt:
		list, s = n.SelectList, p.with(n.With, s)
	case *ast.SetOprSelectList:
		list = n
	default:
		return &rowset{open: true}
	}
	s = p.with(list.With, s)
	var out *rowset
	for _, arm := range list.Selects {
		if p.mentions(arm, name) {
			continue
		}
		r := p.query(arm, s)
		if out == nil {
			out = &rowset{open: r.open, cols: append([]col(nil), r.cols...)}
			continue
		}
		for i := range out.cols {
			if i < len(r.cols) {
				out.cols[i].val = join(out.cols[i].val, r.cols[i].val)
			}
		}
	}
	if out == nil {
		return &rowset{open: true}
	}
	return out
}

func same(a, b *rowset) bool {
	if a.open != b.open || len(a.cols) != len(b.cols) {
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

// mentions reports whether a table of that name stands anywhere in n.
func (p *pass) mentions(n ast.Node, name string) bool {
	return anywhere(n, func(n ast.Node) bool {
		t, ok := n.(*ast.TableName)
		return ok && t.Schema.L == "" && p.cteName(t.Name) == name
	})
}

// renamed returns r with other names for its columns.
func renamed(r *rowset, names []ast.CIStr) *rowset {
	if len(names) == 0 {
		return r
	}
	out := &rowset{open: r.open || len(names) != len(r.cols), cols: make([]col, len(names))}
	for i := range names {
		out.cols[i].name, out.cols[i].vague = names[i].L, !certain(names[i].O)
		if i < len(r.cols) {
			out.cols[i].val = r.cols[i].val
		}
	}
	return out
}

// selectStmt returns what a SELECT, TABLE or VALUES yields.
func (p *pass) selectStmt(n *ast.SelectStmt, outer *scope) *rowset {
	s := &scope{parent: p.with(n.With, outer)}
	if n.LockInfo != nil && n.LockInfo.LockType != ast.SelectLockNone {
		p.notPure("it locks rows")
	}
	if n.SelectIntoOpt != nil {
		p.notPure("it writes a file")
		p.access |= protocol.Write | protocol.Admin
	}
	if n.From != nil {
		p.from(n.From.TableRefs, s)
	}
	out := &rowset{}
	for _, row := range n.Lists { // VALUES ROW(...), ...
		for i, e := range row.Values {
			v := p.expr(e, s)
			if i < len(out.cols) {
				out.cols[i].val = join(out.cols[i].val, v)
			} else {
				out.cols = append(out.cols, col{"column_" + itoa(i), v, true})
			}
		}
	}
	if n.Fields != nil {
		for _, f := range n.Fields.Fields {
			p.field(f, s, out)
		}
	}
	p.condition(n.Where, s)
	s.alias = out.cols
	if n.Distinct {
		p.tellRows(out, protocol.HowGroup, n)
	}
	if n.GroupBy != nil {
		for _, by := range n.GroupBy.Items {
			p.by(by.Expr, s, protocol.HowGroup)
		}
	}
	if n.Having != nil {
		p.condition(n.Having.Expr, s)
	}
	for i := range n.WindowSpecs {
		p.window(&n.WindowSpecs[i], s)
	}
	p.tail(n.OrderBy, n.Limit, s)
	return out
}

// field adds what one item of a select list yields to out.
func (p *pass) field(f *ast.SelectField, s *scope, out *rowset) {
	if f.WildCard == nil {
		v := p.expr(f.Expr, s)
		name, vague := f.AsName.L, !certain(f.AsName.O)
		if name == "" {
			if c, ok := unparenthesised(f.Expr).(*ast.ColumnNameExpr); ok {
				name = c.Name.Name.L
				vague = c != f.Expr || !certain(c.Name.Name.O)
			} else {
				// A literal gives its own text to a column as a name.
				name = strings.ToLower(strings.TrimSpace(f.Text()))
				if !p.literal && strings.ContainsAny(name, "'\"0123456789") {
					if p.depth > 1 {
						p.literal = true
					} else {
						name = "" // nobody but ORDER BY can name it
					}
				}
			}
		}
		out.cols = append(out.cols, col{name, v, vague})
		return
	}
	table, schema := f.WildCard.Table.L, f.WildCard.Schema.L
	if table == "" {
		for _, c := range s.cols {
			p.use(c.val)
		}
		out.cols = append(out.cols, s.cols...)
		if out.open = out.open || s.open; s.open {
			p.notKnown("what * stands for is not known")
		}
		return
	}
	n := 0
	for _, it := range s.items {
		if it.name != table || schema != "" && it.schema != schema {
			continue
		}
		if n++; n > 1 || it.open { // names that differ in case only
			out.open = true
			p.notKnown("what * stands for is not known")
		}
		for _, c := range it.shown() {
			p.use(c.val)
		}
		out.cols = append(out.cols, it.shown()...)
	}
	if n == 0 {
		out.open = true
		p.missing("table " + table)
	}
}

func unparenthesised(n ast.ExprNode) ast.ExprNode {
	for {
		x, ok := n.(*ast.ParenthesesExpr)
		if !ok {
			return n
		}
		n = x.Expr
	}
}

// from adds what a part of FROM yields to s.
func (p *pass) from(n ast.ResultSetNode, s *scope) {
	defer p.deeper()()
	switch n := n.(type) {
	case nil:
	case *ast.Join:
		p.joined(n, s)
	case *ast.TableSource:
		p.tableSource(n, s)
	case *ast.TableName:
		p.tableSource(&ast.TableSource{Source: n}, s)
	default:
		s.open = true
		p.missing("an item of FROM")
	}
}

func (p *pass) tableSource(n *ast.TableSource, s *scope) {
	var it *item
	switch src := n.Source.(type) {
	case *ast.TableName:
		if r, ok := s.cte(p.cteName(src.Name)); ok && src.Schema.L == "" {
			it = &item{name: src.Name.L, as: src.Name.O}
			if r == nil {
				it.open = true
			} else {
				it.rowset = *r
			}
		} else {
			it = p.table(src, protocol.Read)
		}
	case *ast.Join:
		p.joined(src, s)
		return
	default:
		inner := s.outside()
		if n.Lateral {
			inner = s
		}
		it = &item{rowset: *p.query(src, &scope{parent: inner})}
	}
	if n.AsName.L != "" {
		it.name, it.as = n.AsName.L, n.AsName.O
	}
	if len(n.ColumnNames) > 0 {
		it.rowset, it.hidden = *renamed(&it.rowset, n.ColumnNames), false
	}
	s.items = append(s.items, it)
	s.cols = append(s.cols, it.shown()...)
	s.open = s.open || it.open
}

func (p *pass) joined(n *ast.Join, s *scope) {
	if n.Right == nil {
		p.from(n.Left, s)
		return
	}
	before := s.cols
	s.cols = nil
	p.from(n.Left, s)
	left := s.cols
	s.cols = nil
	p.from(n.Right, s)
	right := s.cols
	s.cols = append(append(append([]col(nil), before...), left...), right...)
	switch moved := p.moved(n); {
	case n.NaturalJoin || len(n.Using) > 0:
		s.cols = append(append([]col(nil), before...), p.merged(n, s, left, right, moved)...)
		s.open = s.open || n.NaturalJoin && moved
	case moved:
		s.cols = append(append([]col(nil), before...), anyOf(left, right, 0)...)
	}
	if n.On != nil {
		on := *s
		on.loose = true
		p.condition(n.On.Expr, &on)
	}
}

// moved reports whether what stands to the left of a join in parentheses may have
// stood before them, and in their place what is on its right: the grammar brings
// a JOIN (b RIGHT JOIN c) LEFT JOIN d into another form.
func (p *pass) moved(n *ast.Join) bool {
	left, ok := n.Left.(*ast.Join)
	return ok && left.Right != nil && n.ExplicitParens && (n.NaturalJoin || len(n.Using) > 0 || n.Tp == ast.LeftJoin && p.st.right)
}

// anyOf returns what * stands for where each column may be any of both sides, which
// have some in common.
func anyOf(left, right []col, common int) []col {
	all := known
	for _, c := range append(append([]col(nil), left...), right...) {
		all = join(all, c.val)
	}
	all = through(all, protocol.EdgeTransform)
	out := make([]col, 0, len(left)+len(right))
	for i := range len(left) + len(right) - common {
		out = append(out, col{"column_" + itoa(i), all, true})
	}
	return out
}

// unionAll reports whether an arm of a set operation is added to those before it
// without being compared with them.
func unionAll(arm ast.Node) bool {
	var op *ast.SetOprType
	switch n := arm.(type) {
	case *ast.SelectStmt:
		op = n.AfterSetOperator
	case *ast.SetOprSelectList:
		op = n.AfterSetOperator
	}
	return op != nil && *op == ast.UnionAll
}

// merged returns what * stands for of a join whose common columns are one. Where
// they stand depends on the kind of join: any of the columns may be any.
func (p *pass) merged(n *ast.Join, s *scope, left, right []col, moved bool) []col {
	common := map[string]bool{}
	for _, u := range n.Using {
		common[u.Name.L] = true
		_, l := find(left, u.Name.L)
		_, r := find(right, u.Name.L)
		s.open = s.open || !l || !r // one that * leaves out
	}
	if n.NaturalJoin {
		for _, c := range left {
			if _, ok := find(right, c.name); ok {
				common[c.name] = true
			}
		}
	}
	for _, c := range append(append([]col(nil), left...), right...) {
		s.open = s.open || c.vague // it may be one of the common ones, or none
		if common[c.name] {
			p.tells.Tell(p.use(c.val), protocol.HowList, n)
		}
	}
	if n.Tp != ast.RightJoin && !moved {
		// The common ones first, as they stand on the left, then the others.
		var first, rest []col
		for _, c := range left {
			if common[c.name] {
				v, _ := find(right, c.name)
				first = append(first, col{c.name, join(c.val, v), c.vague})
			} else {
				rest = append(rest, c)
			}
		}
		for _, c := range right {
			if !common[c.name] {
				rest = append(rest, c)
			}
		}
		return append(first, rest...)
	}
	return anyOf(left, right, len(common))
}

func itoa(i int) string {
	if i < 10 {
		return string(rune('0' + i))
	}
	return itoa(i/10) + string(rune('0'+i%10))
}

// columns returns what a query's result is predicted to have, nil if not even
// the number is known.
func columns(r *rowset) []protocol.Column {
	if r.open || len(r.cols) == 0 {
		return nil
	}
	out := make([]protocol.Column, len(r.cols))
	for i, c := range r.cols {
		out[i] = protocol.Column{Name: c.name, Known: c.val.Known, Sources: c.val.Sources}
	}
	return out
}

// expandView works out what reading a view means.
func expandView(a *Analyzer, base State) sql.Expand {
	return func(c *sql.Catalog, r *sql.Relation, chain []uint32) *sql.Expansion {
		unknown := func(why string) *sql.Expansion {
			return &sql.Expansion{Access: protocol.Opaque, Why: why}
		}
		if r.Definition == "" {
			return unknown("its definition is not shown to the gateway's account")
		}
		units, why := a.units(r.Definition, 0, base.MariaDB)
		if why != "" || len(units) != 1 || units[0].node == nil || !units[0].part.plain() {
			return unknown("its definition does not parse")
		}
		st := base
		st.Database = r.Schema // of functions; those of tables are written
		st.right = hasRight(r.Definition)
		st.Catalog = func() *sql.Catalog { return c }
		st.Memory = &Memory{}
		p := newPass(a, &st)
		p.chain = chain
		rows := p.query(units[0].node, nil)
		x := &sql.Expansion{Inferred: p.tells.Sorted(), InferredKnown: p.tells.Known(), Reads: p.reads, ReadsKnown: p.unknown == "", Pure: p.impure == "", Access: p.access, Objects: p.objects,
			Why: first(p.impure, p.unknown), Leaves: p.leaves()}
		if rows.open {
			return x
		}
		for _, c := range rows.cols {
			x.Columns = append(x.Columns, c.val)
		}
		return x
	}
}

// remains are what the code of a view leaves in the session that reads it.
type remains struct {
	assigned  map[string]remembered
	keepsID   bool
	insertID  sql.Value
	code      bool
	setsState bool
}

// leaves returns what the view does that p has analysed, nil if it leaves nothing.
func (p *pass) leaves() any {
	if len(p.assigned) == 0 && !p.effects.keepsID && !p.effects.code && !p.setsState {
		return nil
	}
	return &remains{p.assigned, p.effects.keepsID, p.effects.insertID, p.effects.code, p.setsState}
}

// left adds to the statement what a view leaves; known says that it means what it
// meant when it was analysed.
func (p *pass) left(x *sql.Expansion, known bool) {
	p.effects.code = p.effects.code || x.Access&protocol.Opaque != 0 // who knows what it calls
	r, _ := x.Leaves.(*remains)
	if r == nil {
		return
	}
	for name, v := range r.assigned {
		v.val.Known = v.val.Known && known
		p.assign(name, v.val)
	}
	if r.keepsID {
		v := r.insertID
		v.Known = v.Known && known
		p.keepID(v)
	}
	p.effects.code = p.effects.code || r.code
	p.setsState = p.setsState || r.setsState
}

func first(list ...string) string {
	for _, s := range list {
		if s != "" {
			return s
		}
	}
	return ""
}
