package mysqlsql

import (
	"slices"
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"
	"github.com/pingcap/tidb/pkg/parser/opcode"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

// expr returns the value of an expression; nil is none.
func (p *pass) expr(n ast.Node, s *scope) sql.Value {
	if n == nil {
		return known
	}
	defer p.deeper()()
	switch n := n.(type) {
	case ast.ParamMarkerExpr:
		if p.st.inner {
			return p.use(p.st.params)
		}
		return known
	case *ast.DefaultExpr:
		if n.Name != nil {
			return p.defaultOf(n.Name, s)
		}
		return known
	case ast.ValueExpr, *ast.MaxValueExpr, *ast.TimeUnitExpr, *ast.GetFormatSelectorExpr, *ast.TrimDirectionExpr:
		return known
	case *ast.ColumnNameExpr:
		return p.column(n.Name, s)
	case *ast.ValuesExpr: // the value that is about to be inserted
		if p.upserts { // which counts where it was given
			return known
		}
		return through(p.expr(n.Column, s), protocol.EdgeTransform)
	case *ast.ParenthesesExpr:
		return p.expr(n.Expr, s)
	case *ast.SetCollationExpr:
		return p.expr(n.Expr, s)
	case *ast.BinaryOperationExpr:
		return p.binary(n, s)
	case *ast.UnaryOperationExpr:
		if n.Op == opcode.Not || n.Op == opcode.Not2 {
			return through(p.condition(n.V, s), protocol.EdgeTransform)
		}
		return p.told(s, protocol.HowComputed, n, n.V)
	case *ast.BetweenExpr:
		return p.told(s, protocol.HowRange, n, n.Expr, n.Left, n.Right)
	case *ast.IsNullExpr:
		return p.told(s, protocol.HowNull, n, n.Expr)
	case *ast.IsTruthExpr:
		return through(p.condition(n.Expr, s), protocol.EdgeTransform)
	case *ast.PatternInExpr:
		return p.in(n, s)
	case *ast.PatternLikeOrIlikeExpr:
		return p.told(s, protocol.HowPattern, n, n.Expr, n.Pattern)
	case *ast.PatternRegexpExpr:
		return p.told(s, protocol.HowPattern, n, n.Expr, n.Pattern)
	case *ast.RowExpr:
		return p.computed(s, n.Values...)
	case *ast.PositionExpr: // a number that stands for an item of the select list
		return known
	case *ast.CaseExpr:
		return p.cases(n, s)
	case *ast.FuncCastExpr:
		return p.told(s, protocol.HowComputed, n, n.Expr)
	case *ast.MatchAgainst:
		v := p.expr(n.Against, s)
		for _, c := range n.ColumnNames {
			v = join(v, p.column(c, s))
		}
		p.tells.Tell(v, protocol.HowPattern, n)
		return through(v, protocol.EdgeTransform)
	case *ast.SubqueryExpr:
		r := p.query(n.Query, s)
		v := sql.Value{Known: !r.open}
		for _, c := range r.cols {
			v = join(v, c.val)
		}
		return v
	case *ast.ExistsSubqueryExpr:
		p.expr(n.Sel, s)
		return known
	case *ast.CompareSubqueryExpr:
		how := comparingBy(n.Op)
		if how == protocol.HowEquality {
			how = protocol.HowList
		}
		v := join(p.expr(n.L, s), p.expr(n.R, s))
		p.tells.Tell(v, how, n)
		return through(v, protocol.EdgeTransform)
	case *ast.VariableExpr:
		return p.variable(n, s)
	case *ast.AggregateFuncExpr:
		return p.aggregate(n, s)
	case *ast.WindowFuncExpr:
		v := p.plain(s, n.Args...)
		p.aggregates(n.Name, n.Distinct, v, n.Args, n)
		p.window(&n.Spec, s)
		if strings.EqualFold(n.Name, "count") {
			return known
		}
		return through(v, protocol.EdgeTransform)
	case *ast.FuncCallExpr:
		return p.call(n, s)
	case *ast.JSONSumCrc32Expr:
		return p.told(s, protocol.HowComputed, n, n.Expr)
	}
	p.tells.Lost()
	p.notPure("a form of expression that is not known here")
	p.notKnown("a form of expression that is not known here")
	return sql.Value{}
}

// computed returns what is computed from all of list.
func (p *pass) computed(s *scope, list ...ast.ExprNode) sql.Value {
	return through(p.plain(s, list...), protocol.EdgeTransform)
}

// plain returns what depends on all of list, which is the value itself if there is
// one.
func (p *pass) plain(s *scope, list ...ast.ExprNode) sql.Value {
	if len(list) == 1 {
		return p.expr(list[0], s)
	}
	v := known
	for _, e := range list {
		v = join(v, p.expr(e, s))
	}
	return v
}

// told returns what is computed from all of list, which the statement tells of.
func (p *pass) told(s *scope, how protocol.How, at any, list ...ast.ExprNode) sql.Value {
	v := p.plain(s, list...)
	p.tells.Tell(v, how, at)
	return through(v, protocol.EdgeTransform)
}

// defaultOf returns the default of a column, which may be computed anew from other
// columns of the row, or from variables.
func (p *pass) defaultOf(n *ast.ColumnName, s *scope) sql.Value {
	v := through(p.column(n, s), protocol.EdgeTransform)
	for q := s; q != nil; q = q.parent {
		for _, it := range q.items {
			if _, ok := find(it.cols, n.Name.L); ok && (it.rel == nil || it.rel.OID == 0 || it.rel.Kind != sql.Table || it.rel.Rules) {
				v.Known = false
			}
		}
	}
	if !v.Known {
		p.notKnown("what the default of a column is computed from is not known")
	}
	return v
}

// variable is a user variable, or one of the server's.
func (p *pass) variable(n *ast.VariableExpr, s *scope) sql.Value {
	if n.IsSystem {
		if keepsID(n) {
			return p.insertID()
		}
		return known
	}
	name := nameKey(n.Name)
	if n.Value != nil {
		p.access |= protocol.Control
		p.notPure("it sets a variable")
		v := p.expr(n.Value, s)
		p.assign(name, v)
		return v
	}
	p.remembers = true
	v := p.st.Memory.variable(name).val
	if own, ok := p.before[name]; ok {
		v = join(v, own.val)
	}
	v = alike(p.before, name, v)
	if !v.Known {
		p.notKnown("what variable " + name + " holds is not known")
	}
	return p.use(through(v, protocol.EdgeTransform))
}

// assign notes that a variable gets a value.
func (p *pass) assign(name string, v sql.Value) {
	if p.assigned == nil {
		p.assigned = map[string]remembered{}
	}
	if have, ok := p.assigned[name]; ok {
		v = join(v, have.val)
	}
	p.assigned[name] = remembered{val: v}
}

// settled reports whether what the statement assigns was known before.
func (p *pass) settled() bool {
	for name, v := range p.assigned {
		have, ok := p.before[name]
		if !ok && len(v.val.Sources) == 0 && v.val.Known {
			continue
		}
		if !ok || have.val.Known != v.val.Known || !slices.Equal(have.val.Sources, v.val.Sources) {
			return false
		}
	}
	return true
}

func (p *pass) insertID() sql.Value {
	p.remembers = true
	v := p.st.Memory.insertID()
	v.Known = v.Known && len(p.chain) == 0 // a view's is that of whoever asks
	if !v.Known {
		p.notKnown("what LAST_INSERT_ID holds is not known")
	}
	return p.use(v)
}

// keepID notes that LAST_INSERT_ID is given a value.
func (p *pass) keepID(v sql.Value) {
	if p.effects.keepsID {
		v = join(v, p.effects.insertID)
	}
	p.effects.keepsID, p.effects.insertID = true, v
}

func (p *pass) aggregate(n *ast.AggregateFuncExpr, s *scope) sql.Value {
	v := p.plain(s, n.Args...)
	p.aggregates(n.F, n.Distinct, v, n.Args, n)
	if n.Order != nil {
		for _, by := range n.Order.Items {
			p.tells.Tell(p.expr(by.Expr, s), protocol.HowOrder, n)
		}
	}
	if strings.EqualFold(n.F, ast.AggFuncCount) {
		return known
	}
	return through(through(v, protocol.EdgeTransform), protocol.EdgeAggregate)
}

func (p *pass) window(n *ast.WindowSpec, s *scope) {
	if n.PartitionBy != nil {
		for _, by := range n.PartitionBy.Items {
			p.tells.Tell(p.expr(by.Expr, s), protocol.HowGroup, n)
		}
	}
	if n.OrderBy != nil {
		for _, by := range n.OrderBy.Items {
			p.tells.Tell(p.expr(by.Expr, s), protocol.HowOrder, n)
		}
	}
	if n.Frame != nil {
		p.tells.Tell(join(p.expr(n.Frame.Extent.Start.Expr, s), p.expr(n.Frame.Extent.End.Expr, s)), protocol.HowComputed, n)
	}
}

// call is a call of a function by its name.
func (p *pass) call(n *ast.FuncCallExpr, s *scope) sql.Value {
	name := n.FnName.L
	if n.Schema.L == "" && !p.stored(name) {
		if _, ok := harmless[name]; ok {
			return p.builtin(n, s)
		}
		if name == "last_insert_id" {
			if len(n.Args) == 0 {
				return p.insertID()
			}
			v := p.told(s, protocol.HowComputed, n, n.Args...)
			p.access |= protocol.Control
			p.notPure(name + " keeps its argument")
			p.keepID(v)
			return v
		}
		if access, ok := sequences[name]; ok {
			if access != protocol.Read {
				p.notPure(name + " moves a sequence")
				p.keptAny = true // such as setval
			}
			p.access |= access
			for i, a := range n.Args {
				if t, ok := a.(*ast.TableNameExpr); ok {
					p.object("sequence", p.name(t.Name), access)
				} else if c, ok := a.(*ast.ColumnNameExpr); ok && i == 0 {
					p.object("sequence", p.name(&ast.TableName{Schema: c.Name.Table, Name: c.Name.Name}), access)
				} else {
					p.told(s, protocol.HowComputed, n, a)
				}
			}
			return known
		}
		if _, ok := locking[name]; ok {
			p.access |= protocol.Control
			p.notPure(name + " takes or gives back a lock")
			p.told(s, protocol.HowComputed, n, n.Args...)
			return known
		}
	}
	for _, a := range n.Args {
		if t, ok := a.(*ast.TableNameExpr); ok {
			p.table(t.Name, protocol.Read)
			continue
		}
		p.expr(a, s)
	}
	full := name
	if n.Schema.O != "" {
		full = n.Schema.O + "." + n.FnName.O
	}
	if r := p.routineOf('f', n.Schema.O, n.FnName.O); r != nil {
		v := p.computed(s, n.Args...)
		v = join(through(v, protocol.EdgeOpaque), p.does(r, "function", r.schema+"."+r.name, v))
		if r.gives {
			p.given(n.Args, v)
		}
		return p.use(v)
	}
	p.effects.code = true
	p.tells.Lost()
	p.object("function", full, protocol.Execute)
	p.access |= protocol.Execute
	p.setsState = true
	p.notPure("function " + full + " is not known to be harmless")
	p.notKnown("what function " + full + " reads is not known")
	return sql.Value{}
}

// builtin is a call of a function that changes nothing.
func (p *pass) builtin(n *ast.FuncCallExpr, s *scope) sql.Value {
	part := p.taken == n
	p.taken = taken(n)
	vals, all := make([]sql.Value, len(n.Args)), known
	for i, a := range n.Args {
		if i == 0 && n.FnName.L == "if" {
			vals[i] = p.condition(a, s)
		} else {
			vals[i] = p.expr(a, s)
		}
		all = join(all, vals[i])
		p.taken = nil
	}
	if v, ok := p.extracted(n, vals); ok {
		if !part { // else the other call tells of less
			p.tells.Tell(v, protocol.HowMember, n)
		}
		return v
	}
	p.calls(n, vals, s)
	all.Type = 0
	return through(all, protocol.EdgeTransform)
}

// stored reports whether somebody has defined a function of that name, in any
// schema: it may be that which is meant, where the server has none built in.
func (p *pass) stored(name string) bool {
	p.named = true
	if p.catalog = p.st.catalog(); p.catalog == nil {
		p.notPure("functions cannot be resolved")
		return false
	}
	for _, f := range p.catalog.Functions(name) {
		if f.Kind == 'f' {
			return true
		}
	}
	return false
}
