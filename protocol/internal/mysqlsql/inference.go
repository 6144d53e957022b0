package mysqlsql

import (
	"slices"
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"
	"github.com/pingcap/tidb/pkg/parser/opcode"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

// The types of columns, as far as they matter: a text that is compared with a number
// is read as one, as far as its digits go. 0 is not known, and taken for text.
const (
	typeText   = 1
	typeNumber = 2
	typeOther  = 3 // what is read as a whole, or not at all
)

func typeOf(name string) uint32 {
	switch strings.ToLower(name) {
	case "char", "varchar", "tinytext", "text", "mediumtext", "longtext", "binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob":
		return typeText
	case "tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "float", "double", "bit", "year":
		return typeNumber
	case "date", "datetime", "timestamp", "time", "enum", "set", "uuid", "inet4", "inet6":
		return typeOther
	}
	return 0
}

// condition analyses what decides by being true: of its parts what is compared is
// told of, and anything else counts as computed.
func (p *pass) condition(n ast.ExprNode, s *scope) sql.Value {
	v := p.expr(n, s)
	switch x := unparenthesised(n).(type) {
	case nil, *ast.BinaryOperationExpr, *ast.UnaryOperationExpr, *ast.BetweenExpr, *ast.IsNullExpr, *ast.IsTruthExpr, *ast.PatternInExpr,
		*ast.PatternLikeOrIlikeExpr, *ast.PatternRegexpExpr, *ast.MatchAgainst, *ast.ExistsSubqueryExpr, *ast.CompareSubqueryExpr:
		return v // told of within
	case *ast.ColumnNameExpr:
		if v.Type != typeNumber { // a text is true by its digits
			p.tells.Tell(v, protocol.HowComputed, x)
			return v
		}
	}
	p.tells.Tell(v, protocol.HowEquality, n)
	return v
}

// compares tells of two values that an operator compares.
func (p *pass) compares(at any, ln, rn ast.ExprNode, l, r sql.Value, how protocol.How, s *scope) {
	if how == protocol.HowEquality {
		for _, side := range [2]struct {
			v    sql.Value
			with ast.ExprNode
		}{{l, rn}, {r, ln}} {
			if side.v.Type == typeNumber || side.v.Type == typeOther || !p.fixed(side.with) {
				continue
			}
			switch textual(side.with) {
			case no:
				p.tells.Tell(side.v, protocol.HowComputed, at)
			case maybe: // an argument
				p.numbers.Tell(side.v, protocol.HowComputed, at)
			}
		}
	}
	alike := l.Type == r.Type && l.Type != 0
	p.tells.Compare(sql.Operand{Value: l, Fixed: p.fixed(ln), Base: alike && p.own(ln, s)}, sql.Operand{Value: r, Fixed: p.fixed(rn), Base: alike && p.own(rn, s)}, how, at)
}

func comparingBy(op opcode.Op) protocol.How {
	switch op {
	case opcode.EQ, opcode.NE, opcode.NullEQ:
		return protocol.HowEquality
	case opcode.LT, opcode.LE, opcode.GT, opcode.GE:
		return protocol.HowRange
	}
	return protocol.HowComputed
}

// binary is an operator between two values.
func (p *pass) binary(n *ast.BinaryOperationExpr, s *scope) sql.Value {
	switch n.Op {
	case opcode.LogicAnd, opcode.LogicOr, opcode.LogicXor:
		return through(join(p.condition(n.L, s), p.condition(n.R, s)), protocol.EdgeTransform)
	}
	l, r := p.expr(n.L, s), p.expr(n.R, s)
	p.compares(n, n.L, n.R, l, r, comparingBy(n.Op), s)
	return through(join(l, r), protocol.EdgeTransform)
}

// in is IN, of a list or of a query.
func (p *pass) in(n *ast.PatternInExpr, s *scope) sql.Value {
	v := p.expr(n.Expr, s)
	out := v
	for _, e := range n.List {
		item := p.expr(e, s)
		out = join(out, item)
		how := protocol.HowEquality
		if len(n.List) > 1 {
			how = protocol.HowList
		}
		p.compares(n, n.Expr, e, v, item, how, s)
	}
	if n.Sel != nil {
		rows := p.expr(n.Sel, s)
		p.tells.Tell(v, protocol.HowList, n)
		p.tells.Tell(rows, protocol.HowList, n)
		out = join(out, rows)
	}
	return through(out, protocol.EdgeTransform)
}

// cases is CASE.
func (p *pass) cases(n *ast.CaseExpr, s *scope) sql.Value {
	v := known
	if n.Value != nil {
		v = p.expr(n.Value, s)
	}
	out := v
	for _, w := range n.WhenClauses {
		var c sql.Value
		if n.Value == nil {
			c = p.condition(w.Expr, s)
		} else {
			c = p.expr(w.Expr, s)
			p.compares(w, n.Value, w.Expr, v, c, protocol.HowEquality, s)
		}
		out = join(join(out, c), p.expr(w.Result, s))
	}
	if n.ElseClause != nil {
		out = join(out, p.expr(n.ElseClause, s))
	}
	return through(out, protocol.EdgeTransform)
}

// fixed reports whether an expression is the same for every row: made of constants
// and arguments only.
func (p *pass) fixed(n ast.ExprNode) bool {
	switch n := n.(type) {
	case nil:
		return true
	case ast.ParamMarkerExpr:
		return !p.st.inner // those of EXECUTE are variables
	case ast.ValueExpr:
		return true
	case *ast.ParenthesesExpr:
		return p.fixed(n.Expr)
	case *ast.SetCollationExpr:
		return p.fixed(n.Expr)
	case *ast.UnaryOperationExpr:
		return p.fixed(n.V)
	case *ast.FuncCastExpr:
		return p.fixed(n.Expr)
	case *ast.BinaryOperationExpr:
		return p.fixed(n.L) && p.fixed(n.R)
	case *ast.FuncCallExpr:
		name := n.FnName.L
		if _, ok := harmless[name]; !ok || n.Schema.L != "" || p.stored(name) {
			return false
		}
		switch name {
		case "rand", "uuid", "uuid_short", "random_bytes", "sleep", "benchmark", "row_count", "found_rows":
			return false
		}
		return !slices.ContainsFunc(n.Args, func(a ast.ExprNode) bool { return !p.fixed(a) })
	}
	return false
}

// What is known of whether something is text.
const (
	no = iota
	maybe
	yes
)

// textual reports whether a fixed expression is text.
func textual(n ast.ExprNode) int {
	switch n := n.(type) {
	case nil:
		return yes
	case ast.ParamMarkerExpr:
		return maybe
	case ast.ValueExpr:
		switch n.GetValue().(type) {
		case string, nil:
			return yes
		}
	case *ast.ParenthesesExpr:
		return textual(n.Expr)
	case *ast.SetCollationExpr:
		return textual(n.Expr)
	case *ast.FuncCallExpr:
		switch n.FnName.L {
		case "lower", "upper", "lcase", "ucase", "trim", "ltrim", "rtrim", "concat", "md5", "sha", "sha1", "sha2", "hex":
			return yes
		}
	}
	return no
}

// own reports whether an expression is a column of a table, as it is.
func (p *pass) own(n ast.ExprNode, s *scope) bool {
	c, ok := unparenthesised(n).(*ast.ColumnNameExpr)
	if !ok {
		return false
	}
	name, table := c.Name.Name.L, c.Name.Table.L
	for q := s; q != nil; q = q.parent {
		var found []*item
		for _, it := range q.items {
			if _, ok := find(it.cols, name); (ok || it.open) && (table == "" || it.name == table) {
				found = append(found, it)
			}
		}
		if _, ok := find(q.alias, name); ok && table == "" {
			return false
		}
		if len(found) > 0 {
			return len(found) == 1 && found[0].rel != nil && !found[0].open && found[0].rel.Kind == sql.Table
		}
	}
	return false
}

// tellRows tells of all columns of a query of which rows are compared.
func (p *pass) tellRows(r *rowset, how protocol.How, at any) {
	for i := range r.cols {
		p.tells.Tell(r.cols[i].val, how, at)
	}
	if r.open {
		p.tells.Lost()
	}
}

// by tells of an item of GROUP BY or ORDER BY, which may be a number: the place of a
// column of the result.
func (p *pass) by(n ast.ExprNode, s *scope, how protocol.How) {
	i, place := 0, false
	switch x := unparenthesised(n).(type) {
	case *ast.PositionExpr:
		i, place = x.N, true
	case ast.ParamMarkerExpr:
		place = true
	case ast.ValueExpr:
		if v, ok := x.GetValue().(int64); ok {
			i, place = int(v), true
		}
	}
	if !place {
		p.tells.Tell(p.expr(n, s), how, n)
		return
	}
	for k := range s.alias {
		if i == 0 || i == k+1 { // an argument may be any
			p.tells.Tell(s.alias[k].val, how, n)
		}
	}
	if s.open {
		p.tells.Lost()
	}
}

// tellConflict tells of the columns of which an INSERT says whether there is such a
// value already; none stands for all.
func (p *pass) tellConflict(it *item, names []string, one bool, at any) {
	how := protocol.HowList
	if one {
		how = protocol.HowEquality
	}
	if len(names) == 0 {
		p.tellRows(&it.rowset, how, at)
		return
	}
	for _, name := range names {
		if v, ok := find(it.cols, name); ok {
			p.tells.Tell(v, how, at)
		}
	}
}

// calls tells of the arguments of a built-in function that changes nothing.
func (p *pass) calls(n *ast.FuncCallExpr, vals []sql.Value, s *scope) {
	all := known
	for _, v := range vals {
		all = join(all, v)
	}
	switch name := n.FnName.L; name {
	case "lower", "upper", "lcase", "ucase", "length", "char_length", "character_length", "octet_length", "left", "right", "ltrim", "rtrim", "trim",
		"reverse", "md5", "sha", "sha1", "ascii", "ord", "substr", "substring", "mid":
		// NULL for NULL, never an error nor a warning, and as fast for each. What
		// stands beside the value chooses what becomes of it.
		for _, v := range vals[min(1, len(vals)):] {
			p.tells.Tell(v, protocol.HowComputed, n)
		}
	case "concat", "concat_ws":
		// Of what is longer than a packet they make NULL.
		for _, a := range n.Args {
			_, literal := a.(ast.ValueExpr)
			if _, param := a.(ast.ParamMarkerExpr); !p.own(a, s) && (!literal || param) {
				p.tells.Tell(all, protocol.HowComputed, n)
			}
		}
	case "coalesce", "ifnull", "nvl":
		for _, v := range vals[:max(len(vals), 1)-1] {
			p.tells.Tell(v, protocol.HowNull, n)
		}
	case "if": // its condition was told of
	case "isnull":
		p.tells.Tell(all, protocol.HowNull, n)
	case "nullif":
		if len(vals) == 2 {
			p.compares(n, n.Args[0], n.Args[1], vals[0], vals[1], protocol.HowEquality, s)
		}
	default:
		p.tells.Tell(all, protocol.HowComputed, n)
	}
}

// aggregates tells of the arguments of an aggregate or a window function.
func (p *pass) aggregates(name string, distinct bool, v sql.Value, args []ast.ExprNode, at any) {
	if distinct {
		p.tells.Tell(v, protocol.HowGroup, at)
	}
	switch strings.ToLower(name) {
	case "count":
		p.tells.Tell(v, protocol.HowNull, at)
	case "max", "min", "first_value", "last_value", "lag", "lead", "any_value":
		if len(args) > 1 {
			p.tells.Tell(v, protocol.HowComputed, at)
		}
	case "sum", "avg", "std", "stddev", "stddev_pop", "stddev_samp", "variance", "var_pop", "var_samp":
		if v.Type != typeNumber { // a warning for what is no number
			p.tells.Tell(v, protocol.HowComputed, at)
		}
	default:
		p.tells.Tell(v, protocol.HowComputed, at)
	}
}

// tellTable tells of all columns of a table that a definition is checked against.
func (p *pass) tellTable(n *ast.TableName, how protocol.How) {
	_, _, r := p.relation(n)
	if r == nil {
		return
	}
	for _, v := range p.catalog.Lineage(r, nil) {
		p.tells.Tell(v, how, n)
	}
}

// tellReferred tells of the tables that foreign keys in a definition refer to.
func (p *pass) tellReferred(n ast.Node) {
	anywhere(n, func(n ast.Node) bool {
		r, ok := n.(*ast.ReferenceDef)
		if c, column := n.(*ast.ColumnOption); column && c.Refer != nil { // which it does not visit
			r, ok = c.Refer, true
		}
		if ok && r.Table != nil {
			p.tellTable(r.Table, protocol.HowList)
		}
		return false
	})
}
