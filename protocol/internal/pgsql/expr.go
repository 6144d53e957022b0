package pgsql

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

// OIDs of built-in types that expressions yield.
const (
	boolOID       = 16
	int2OID       = 21
	int2vectorOID = 22
	textOID       = 25
	oidOID        = 26
	oidvectorOID  = 30
	unknownOID    = 705
	varcharOID    = 1043
	numericOID    = 1700
)

// constant is a value that depends on no column.
func constant(typ uint32) sql.Value { return sql.Value{Known: true, Type: typ} }

// join returns what is computed from both values.
func join(a, b sql.Value) sql.Value {
	return sql.Value{Known: a.Known && b.Known, Sources: a.Sources.Merge(b.Sources)}
}

// through returns the value of an operation on v.
func through(v sql.Value, e protocol.Edge, typ uint32) sql.Value {
	return sql.Value{Known: v.Known, Sources: v.Sources.Through(e), Type: typ}
}

// common returns the type of a choice between values: the one that all have,
// where literals of no type of their own take that of the others, or text. It is
// 0 where the server's rules would have to be followed.
func (p *pass) common(list ...sql.Value) uint32 {
	out, literal := uint32(unknownOID), false
	for i := range list {
		switch t := list[i].Type; {
		case t == unknownOID:
			literal = true
		case t == out, stringType(t) && stringType(out):
		case out == unknownOID:
			out = t
		default:
			return 0
		}
	}
	switch {
	case out == unknownOID:
		return textOID
	case literal:
		return p.baseOf(out)
	}
	return out
}

// choice analyses a list of which one is the value, and returns what each is too.
func (p *pass) choice(s *scope, list ...*pg.Node) (out sql.Value, vals []sql.Value) {
	out, vals = p.each(list, s)
	p.beside(false, vals...)
	return through(out, protocol.EdgeTransform, p.common(vals...)), vals
}

// each analyses a list and returns what is computed from all of it and the
// values one by one.
func (p *pass) each(list []*pg.Node, s *scope) (all sql.Value, vals []sql.Value) {
	all, vals = constant(0), make([]sql.Value, 0, len(list))
	for _, n := range list {
		v := p.expr(n, s)
		vals = append(vals, v)
		all = join(all, v)
	}
	return all, vals
}

// exprs analyses a list and returns what is computed from all of it.
func (p *pass) exprs(list []*pg.Node, s *scope) sql.Value {
	out := constant(0)
	for _, n := range list {
		out = join(out, p.expr(n, s))
	}
	return out
}

// transform is what an expression over a list yields in general.
func (p *pass) transform(typ uint32, s *scope, list ...*pg.Node) sql.Value {
	return through(p.exprs(list, s), protocol.EdgeTransform, typ)
}

// expr analyses an expression and returns where its value comes from. Whatever
// is not understood is unknown and might do anything.
func (p *pass) expr(n *pg.Node, s *scope) sql.Value {
	if n == nil || n.Node == nil {
		return constant(0)
	}
	if !p.step(1) {
		return sql.Value{}
	}
	switch x := n.Node.(type) {
	case *pg.Node_AConst:
		v := constOf(x.AConst)
		if v.Type == unknownOID {
			return p.literalValue(v.Type)
		}
		return v
	case *pg.Node_ParamRef:
		return p.literalValue(0)
	case *pg.Node_SetToDefault, *pg.Node_CurrentOfExpr, *pg.Node_MergeSupportFunc:
		return constant(0)
	case *pg.Node_ColumnRef:
		return p.column(x.ColumnRef, s)
	case *pg.Node_AExpr:
		return p.operation(x.AExpr, s)
	case *pg.Node_BoolExpr:
		v := constant(0)
		for _, arg := range x.BoolExpr.Args {
			c := p.condition(arg, s)
			p.alone(c)
			v = join(v, c)
		}
		return through(v, protocol.EdgeTransform, boolOID)
	case *pg.Node_NullTest:
		v := p.expr(x.NullTest.Arg, s)
		p.tells.Tell(v, protocol.HowNull, n)
		if v.Type == 0 || p.composite(v.Type) != nil { // of a row it is told by its fields
			return through(v, protocol.EdgeTransform, boolOID)
		}
		return through(v, protocol.EdgeNull, boolOID)
	case *pg.Node_BooleanTest:
		return through(p.condition(x.BooleanTest.Arg, s), protocol.EdgeTransform, boolOID)
	case *pg.Node_TypeCast:
		return p.typeCast(x.TypeCast, s)
	case *pg.Node_CollateClause:
		return p.expr(x.CollateClause.Arg, s)
	case *pg.Node_FuncCall:
		return p.call(x.FuncCall, s)
	case *pg.Node_NamedArgExpr:
		return p.expr(x.NamedArgExpr.Arg, s)
	case *pg.Node_SubLink:
		return p.subLink(x.SubLink, s)
	case *pg.Node_CaseExpr:
		return p.caseExpr(x.CaseExpr, s)
	case *pg.Node_CoalesceExpr:
		v, vals := p.choice(s, x.CoalesceExpr.Args...)
		for i := range vals[:max(len(vals), 1)-1] { // what is behind is computed if they are NULL
			p.tells.Tell(vals[i], protocol.HowNull, n)
		}
		return v
	case *pg.Node_MinMaxExpr:
		v, _ := p.choice(s, x.MinMaxExpr.Args...)
		return v
	case *pg.Node_AArrayExpr:
		v, vals := p.choice(s, x.AArrayExpr.Elements...)
		for i := range vals {
			p.tellLength(vals[i], n)
		}
		v.Type = p.arrayOf(v.Type)
		return v
	case *pg.Node_RowExpr:
		return p.transform(0, s, x.RowExpr.Args...)
	case *pg.Node_List:
		return p.transform(0, s, x.List.Items...)
	case *pg.Node_AIndirection:
		return p.indirection(x.AIndirection, s)
	case *pg.Node_AIndices:
		v := p.transform(0, s, x.AIndices.Lidx, x.AIndices.Uidx)
		p.tells.Tell(v, protocol.HowComputed, n)
		return v
	case *pg.Node_SqlvalueFunction, *pg.Node_GroupingFunc:
		return constant(0)
	case *pg.Node_ResTarget:
		return p.expr(x.ResTarget.Val, s)
	case *pg.Node_MultiAssignRef:
		return p.expr(x.MultiAssignRef.Source, s)
	case *pg.Node_SortBy:
		if len(x.SortBy.UseOp) > 0 {
			p.operator(x.SortBy.UseOp, 0, 0)
		}
		return p.expr(x.SortBy.Node, s)
	case *pg.Node_GroupingSet:
		return p.exprs(x.GroupingSet.Content, s)
	case *pg.Node_IndexElem:
		return p.expr(x.IndexElem.Expr, s)
	case *pg.Node_XmlExpr:
		v := through(join(p.exprs(x.XmlExpr.NamedArgs, s), p.exprs(x.XmlExpr.Args, s)), protocol.EdgeTransform, 0)
		p.tells.Tell(v, protocol.HowComputed, n)
		return v
	case *pg.Node_XmlSerialize:
		p.castTo(x.XmlSerialize.TypeName)
		v := p.transform(0, s, x.XmlSerialize.Expr)
		p.tells.Tell(v, protocol.HowComputed, n)
		return v
	}
	if v, ok := p.jsonExpr(n, s); ok {
		p.tells.Tell(v, protocol.HowComputed, n)
		return v
	}
	p.notKnown("an expression is not understood")
	p.runs("an expression is not understood")
	return sql.Value{}
}

// literalValue is what takes its type from where it stands.
func (p *pass) literalValue(typ uint32) sql.Value {
	p.given = true
	p.loose++
	v := constant(typ)
	v.Literal = true
	return v
}

func constOf(c *pg.A_Const) sql.Value {
	switch c.Val.(type) {
	case *pg.A_Const_Ival, *pg.A_Const_Fval:
		return constant(numericOID) // which numeric type depends on the digits and does not matter here
	case *pg.A_Const_Boolval:
		return constant(boolOID)
	default:
		return constant(unknownOID)
	}
}

// operation analyses an operator and what is written like one.
func (p *pass) operation(x *pg.A_Expr, s *scope) sql.Value {
	taken := p.taken == x
	if p.taken = nil; takes(x) {
		p.taken = x.Lexpr.GetAExpr()
	}
	l := p.expr(x.Lexpr, s)
	p.taken = nil
	r, list := sql.Value{}, []sql.Value(nil)
	if items := x.Rexpr.GetList(); items != nil { // of IN and BETWEEN
		r, list = p.each(items.Items, s)
	} else {
		r = p.expr(x.Rexpr, s)
		list = []sql.Value{r}
	}
	lt, rt := l.Type, r.Type
	if x.Lexpr == nil {
		lt = unknownOID
	} else {
		list = append(list, l)
	}
	if x.Kind == pg.A_Expr_Kind_AEXPR_OP_ANY || x.Kind == pg.A_Expr_Kind_AEXPR_OP_ALL {
		list[0].Type = p.elementType(rt)
	}
	p.beside(false, list...)
	out := through(join(l, r), protocol.EdgeTransform, 0)
	names := x.Name
	switch x.Kind {
	case pg.A_Expr_Kind_AEXPR_BETWEEN, pg.A_Expr_Kind_AEXPR_NOT_BETWEEN,
		pg.A_Expr_Kind_AEXPR_BETWEEN_SYM, pg.A_Expr_Kind_AEXPR_NOT_BETWEEN_SYM:
		ok := p.operatorNamed("", ">=", lt, 0)
		ok = p.operatorNamed("", "<=", lt, 0) && ok
		ok = p.operatorNamed("", "<", lt, 0) && p.operatorNamed("", ">", lt, 0) && ok
		out.Known, out.Type = out.Known && ok, boolOID
		p.compares(x, l, r, out, s)
		return out
	case pg.A_Expr_Kind_AEXPR_IN, pg.A_Expr_Kind_AEXPR_OP_ANY, pg.A_Expr_Kind_AEXPR_OP_ALL:
		rt = p.elementOf(x.Rexpr, rt)
		out.Type = boolOID
	}
	if !p.operator(names, lt, rt) {
		out.Known = false
	}
	if v, ok := p.taking(x, l, r, taken); ok {
		return v
	}
	switch op := last(names); {
	case out.Type != 0 || !out.Known:
	case x.Kind == pg.A_Expr_Kind_AEXPR_NULLIF:
		out.Type = p.common(l, r)
	case comparison(op):
		out.Type = boolOID
	case (op == "->>" || op == "#>>") && len(p.catalog().Operators(op)) == 0:
		out.Type = textOID
	case op == "||" && (p.common(l, r) == textOID || lt == rt && p.elementType(lt) != 0):
		out.Type = p.common(l, r)
	}
	p.compares(x, l, r, out, s)
	return out
}

// elementOf returns the type of the elements of a list or array on the right
// of IN and ANY, 0 if it is not known.
func (p *pass) elementOf(n *pg.Node, typ uint32) uint32 {
	if list := n.GetList(); list != nil {
		for _, item := range list.Items {
			if item.GetAConst() == nil {
				return 0
			}
		}
		return unknownOID
	}
	return p.elementType(typ)
}

func comparison(op string) bool {
	switch op {
	case "=", "<>", "<", ">", "<=", ">=", "~~", "!~~", "~~*", "!~~*", "~", "!~", "~*", "!~*":
		return true
	}
	return false
}

// operator judges an operator by its possibly qualified name and reports
// whether its result depends on its operands alone.
func (p *pass) operator(names []*pg.Node, l, r uint32) bool {
	switch n := strs(names); len(n) {
	case 1:
		return p.operatorNamed("", n[0], l, r)
	case 2:
		return p.operatorNamed(n[0], n[1], l, r)
	default:
		return p.operatorNamed("?", "?", 0, 0)
	}
}

func (p *pass) operatorNamed(schema, name string, l, r uint32) bool {
	if p.catalog() == nil {
		p.notPure("operators cannot be resolved without the catalog")
		p.notKnown("operators cannot be resolved without the catalog")
		return false
	}
	all := p.operators(schema, name)
	if len(all) == 0 && schema != "" && schema != "pg_catalog" {
		p.notKnown("operator " + name + " is not in the catalog")
		p.runs("operator " + name + " is not in the catalog")
		return false
	}
	found := p.meant(all, l, r)
	if len(found) == 0 {
		return true
	}
	p.notPure("operator " + name + " may be user-defined")
	for _, o := range found {
		if !o.Trusted {
			p.notKnown("operator " + name + " may be user-defined")
			p.runs("operator " + name + " may be user-defined")
			return false
		}
	}
	return true
}

// meant returns those of the user-defined operators that a use with such operands may
// mean.
func (p *pass) meant(all []*sql.Operator, l, r uint32) []*sql.Operator {
	return slices.DeleteFunc(all, func(o *sql.Operator) bool { return p.ruledOut([]uint32{o.Left, o.Right}, []uint32{l, r}) })
}

// typeCast analyses a cast. A cast that changes nothing keeps the value.
func (p *pass) typeCast(x *pg.TypeCast, s *scope) sql.Value {
	v := p.expr(x.Arg, s)
	p.alone(v) // it is the cast that reads it
	typ, ok := p.castTo(x.TypeName)
	edge := protocol.EdgeTransform
	if typ != 0 && len(x.TypeName.Typmods) == 0 && (typ == v.Type || stringType(typ) && stringType(v.Type)) {
		edge = protocol.EdgeIdentity
	} else if len(x.TypeName.Typmods) == 0 && holdsJSON(typ) && holdsJSON(p.baseOf(v.Type)) {
		edge = protocol.EdgeMember // the document, or its text
	}
	out := through(v, edge, typ)
	if !ok {
		out.Known = false
	}
	if edge != protocol.EdgeIdentity && !shows(typ) {
		p.tells.Tell(v, protocol.HowComputed, x) // it may fail
	}
	return out
}

func stringType(oid uint32) bool { return oid == textOID || oid == varcharOID }

// castTo judges a cast to a type by what it may run, and reports whether the
// result depends on the value alone.
func (p *pass) castTo(t *pg.TypeName) (uint32, bool) {
	typ, proven := p.typeOf(t)
	if typ == 0 || !proven {
		p.effect.Flags |= RunsCode // it may be a domain, whose constraints run
	}
	if p.catalog() == nil {
		p.notPure("types cannot be resolved without the catalog")
		p.notKnown("types cannot be resolved without the catalog")
		return 0, false
	}
	switch {
	case typ == 0:
		p.notPure("type " + last(t.GetNames()) + " is not in the catalog")
		p.notKnown("type " + last(t.GetNames()) + " is not in the catalog")
		return 0, false
	case !proven:
		p.notPure("type " + last(t.Names) + " may be a temporary one")
		p.notKnown("type " + last(t.Names) + " may be a temporary one")
		return 0, false
	case !p.harmlessType(typ):
		p.notPure("type " + last(t.Names) + " is user-defined")
		if p.trustedType(typ) {
			return typ, true
		}
		p.runs("type " + last(t.Names) + " is user-defined")
		p.notKnown("type " + last(t.Names) + " is user-defined")
		return typ, false
	}
	return typ, true
}

func (p *pass) caseExpr(x *pg.CaseExpr, s *scope) sql.Value {
	arg := p.expr(x.Arg, s)
	def := p.expr(x.Defresult, s)
	results, conds := []sql.Value{def}, []sql.Value{arg}
	if x.Defresult == nil {
		results[0] = sql.Value{Known: true, Type: unknownOID} // NULL
	}
	out := join(arg, def)
	for _, n := range x.Args {
		if w := n.GetCaseWhen(); w != nil {
			var cond sql.Value
			if x.Arg == nil {
				cond = p.condition(w.Expr, s)
			} else {
				cond = p.expr(w.Expr, s)
				p.tells.Compare(p.operand(x.Arg, arg, s), p.operand(w.Expr, cond, s), equality(x.Arg, w.Expr), n)
				if !p.operatorNamed("", "=", arg.Type, cond.Type) {
					out.Known = false
				}
			}
			out = join(out, cond)
			conds = append(conds, cond)
			result := p.expr(w.Result, s)
			results = append(results, result)
			out = join(out, result)
		}
	}
	if x.Arg != nil {
		p.beside(false, conds...)
	} else {
		for i := range conds {
			p.alone(conds[i])
		}
	}
	p.beside(false, results...)
	return through(out, protocol.EdgeTransform, p.common(results...))
}

// indirection analyses (x).field, x[1] and (x).*.
func (p *pass) indirection(x *pg.A_Indirection, s *scope) sql.Value {
	if it, name := p.rowOf(x.Arg, s), x.Indirection[0].GetString_().GetSval(); it != nil && len(x.Indirection) == 1 && name != "" {
		if v, ok := find(it.cols, name); ok { // the server reads the column and not the row
			v.Known = v.Known && !it.open
			return p.use(v)
		}
	}
	v := p.expr(x.Arg, s)
	if out, ok := p.subscripts(x, v); ok {
		return out
	}
	typ := v.Type
	for _, n := range x.Indirection {
		switch {
		case n.GetAIndices() != nil:
			p.tells.Tell(v, protocol.HowComputed, n) // there may be no such element
			v = join(v, p.expr(n, s))
			if typ = p.elementType(typ); n.GetAIndices().IsSlice {
				typ = 0
			}
		case n.GetString_() != nil:
			// A field, or a function of the row by that name.
			field := n.GetString_().Sval
			if r := p.composite(typ); r != nil && r.Find(field) >= 0 {
				typ = r.Columns[r.Find(field)].Type
				continue
			}
			typ = 0
			if f := p.functions("", n.GetString_().Sval); len(f) > 0 || p.catalog() == nil {
				p.userFunctions(f, n.GetString_().Sval)
				v.Known = false
			}
		}
	}
	return through(v, protocol.EdgeTransform, typ)
}

// rowOf returns the item of FROM of which an expression is the whole row, or nil.
func (p *pass) rowOf(n *pg.Node, s *scope) *item {
	names := strs(n.GetColumnRef().GetFields())
	if len(names) != 1 || len(names) != len(n.GetColumnRef().Fields) {
		return nil
	}
	for q := s; q != nil; q = q.parent {
		if _, ok := find(q.cols, names[0]); ok || q.open {
			return nil // it is a column, or may be one
		}
		if _, ok := systemColumn(q.items, names[0]); ok {
			return nil
		}
	}
	return s.item("", names[0])
}

// composite returns the relation that has the columns of a composite type, or
// nil.
func (p *pass) composite(typ uint32) *sql.Relation {
	if p.catalog() == nil {
		return nil
	}
	if t := p.catalog().Type(p.baseOf(typ)); t != nil && t.Kind == 'c' {
		return p.catalog().Relation(t.Relation)
	}
	return nil
}

// arrayOf returns the type of arrays of a type, 0 if it is not known.
func (p *pass) arrayOf(elem uint32) uint32 {
	if p.catalog() == nil || elem == 0 {
		return 0
	}
	return p.catalog().ArrayOf(elem)
}

// elementType returns the type of the elements of an array type, 0 if it is
// not known to be one.
func (p *pass) elementType(typ uint32) uint32 {
	switch typ { // which the server takes for arrays, though others are of these types
	case int2vectorOID:
		return int2OID
	case oidvectorOID:
		return oidOID
	}
	if p.catalog() == nil {
		return 0
	}
	if t := p.catalog().Type(typ); t != nil {
		return t.Element
	}
	return 0
}

// subLink analyses a subquery in an expression.
func (p *pass) subLink(x *pg.SubLink, s *scope) sql.Value {
	test := p.expr(x.Testexpr, s)
	sel := x.Subselect.GetSelectStmt()
	if sel == nil {
		p.notKnown("a subquery is not understood")
		p.runs("a subquery is not understood")
		return sql.Value{}
	}
	var out rowset
	reads := p.within(func() { out = p.query(sel, s) })
	v := constant(0)
	for _, c := range out.cols {
		v = join(v, c.val)
	}
	v.Known = v.Known && !out.open
	switch x.SubLinkType {
	case pg.SubLinkType_EXPR_SUBLINK:
		if len(out.cols) == 1 && !out.open {
			if p.subname == nil {
				p.subname = map[*pg.SubLink]string{}
			}
			p.subname[x] = out.cols[0].name
			return out.cols[0].val
		}
		return through(v, protocol.EdgeTransform, 0)
	case pg.SubLinkType_ARRAY_SUBLINK:
		if len(out.cols) == 1 {
			p.tellLength(out.cols[0].val, x)
			return through(v, protocol.EdgeTransform, p.arrayOf(out.cols[0].val.Type))
		}
		return through(v, protocol.EdgeTransform, 0)
	case pg.SubLinkType_MULTIEXPR_SUBLINK:
		return through(v, protocol.EdgeTransform, 0)
	case pg.SubLinkType_EXISTS_SUBLINK:
		// Whether there is a row says something of every column in the
		// conditions, though of none in the select list.
		v = sql.Value{Known: v.Known, Sources: reads}
		return through(v, protocol.EdgeTransform, boolOID)
	}
	names := x.OperName
	p.tellSublink(x, test, out)
	elem := uint32(0)
	if len(out.cols) == 1 {
		elem = out.cols[0].val.Type
		p.beside(false, test, out.cols[0].val)
	}
	ok := false
	if len(names) == 0 {
		ok = p.operatorNamed("", "=", test.Type, elem) // IN
	} else {
		ok = p.operator(names, test.Type, elem)
	}
	v = join(join(v, test), sql.Value{Known: ok, Sources: reads})
	return through(v, protocol.EdgeTransform, boolOID)
}
