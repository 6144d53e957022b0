package pgsql

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

// condition analyses what decides by being true: of its parts what is compared is
// told of, and anything else counts as computed.
func (p *pass) condition(n *pg.Node, s *scope) sql.Value {
	v := p.expr(n, s)
	switch x := n.GetNode().(type) {
	case nil, *pg.Node_BoolExpr, *pg.Node_NullTest, *pg.Node_BooleanTest, *pg.Node_AExpr:
		return v // told of within
	case *pg.Node_SubLink:
		if x.SubLink.SubLinkType == pg.SubLinkType_EXISTS_SUBLINK || x.SubLink.SubLinkType == pg.SubLinkType_ANY_SUBLINK || x.SubLink.SubLinkType == pg.SubLinkType_ALL_SUBLINK {
			return v
		}
	}
	p.tells.Tell(v, protocol.HowEquality, n) // a column that is true or false
	return v
}

// comparing says how an operator compares its operands.
func comparing(x *pg.A_Expr) protocol.How {
	switch x.Kind {
	case pg.A_Expr_Kind_AEXPR_DISTINCT, pg.A_Expr_Kind_AEXPR_NOT_DISTINCT, pg.A_Expr_Kind_AEXPR_NULLIF, pg.A_Expr_Kind_AEXPR_IN:
		return protocol.HowEquality
	case pg.A_Expr_Kind_AEXPR_LIKE, pg.A_Expr_Kind_AEXPR_ILIKE, pg.A_Expr_Kind_AEXPR_SIMILAR:
		return protocol.HowPattern
	case pg.A_Expr_Kind_AEXPR_BETWEEN, pg.A_Expr_Kind_AEXPR_NOT_BETWEEN, pg.A_Expr_Kind_AEXPR_BETWEEN_SYM, pg.A_Expr_Kind_AEXPR_NOT_BETWEEN_SYM:
		return protocol.HowRange
	case pg.A_Expr_Kind_AEXPR_OP, pg.A_Expr_Kind_AEXPR_OP_ANY, pg.A_Expr_Kind_AEXPR_OP_ALL:
		return comparingBy(last(x.Name))
	}
	return protocol.HowComputed
}

func comparingBy(op string) protocol.How {
	switch op {
	case "=", "<>":
		return protocol.HowEquality
	case "<", ">", "<=", ">=":
		return protocol.HowRange
	case "~~", "!~~", "~~*", "!~~*", "~", "!~", "~*", "!~*":
		return protocol.HowPattern
	}
	return protocol.HowComputed
}

// compares tells of the operands of an operator.
func (p *pass) compares(x *pg.A_Expr, l, r sql.Value, out sql.Value, s *scope) {
	how := comparing(x)
	if x.Kind == pg.A_Expr_Kind_AEXPR_OP && last(x.Name) == "||" && out.Type == textOID && p.short(x.Lexpr, s) && p.short(x.Rexpr, s) {
		return // NULL for NULL, and never an error
	}
	left := p.operand(x.Lexpr, l, s)
	right := p.operand(x.Rexpr, r, s)
	switch {
	case how == protocol.HowComputed:
		p.tells.Tell(join(l, r), how, x)
		return
	case how != protocol.HowEquality:
	case x.Kind == pg.A_Expr_Kind_AEXPR_IN && len(x.Rexpr.GetList().GetItems()) == 1:
		right = p.operand(x.Rexpr.GetList().Items[0], r, s)
	case x.Kind == pg.A_Expr_Kind_AEXPR_IN, x.Kind == pg.A_Expr_Kind_AEXPR_OP_ANY, x.Kind == pg.A_Expr_Kind_AEXPR_OP_ALL:
		how = protocol.HowList
	}
	if how == protocol.HowEquality {
		how = equality(x.Lexpr, x.Rexpr)
	}
	p.tells.Compare(left, right, how, x)
}

// equality is how two expressions are compared that are compared for equality: a
// collation that the client names may take much for equal.
func equality(list ...*pg.Node) protocol.How {
	for _, n := range list {
		switch n.GetNode().(type) {
		case nil, *pg.Node_ColumnRef, *pg.Node_AConst, *pg.Node_ParamRef:
			continue
		}
		how := protocol.HowEquality
		walk(n, func(m any) bool {
			if c, ok := m.(*pg.CollateClause); ok {
				switch last(c.Collname) {
				case "C", "POSIX", "default", "ucs_basic":
				default:
					how = protocol.HowPattern
				}
			}
			return how == protocol.HowEquality
		})
		if how != protocol.HowEquality {
			return how
		}
	}
	return protocol.HowEquality
}

// operand is v, the value of n, as one side of a comparison.
func (p *pass) operand(n *pg.Node, v sql.Value, s *scope) sql.Operand {
	return sql.Operand{Value: v, Fixed: p.fixed(n), Base: p.base(n, s)}
}

// short reports whether a text is made of columns of tables and of constants, without
// what queries within the query could have made so long that its length leads to an
// error.
func (p *pass) short(n *pg.Node, s *scope) bool {
	if !p.step(1) {
		return false
	}
	switch x := n.GetNode().(type) {
	case nil, *pg.Node_AConst, *pg.Node_ParamRef, *pg.Node_SqlvalueFunction:
		return true
	case *pg.Node_ColumnRef:
		return p.base(n, s)
	case *pg.Node_TypeCast:
		return p.short(x.TypeCast.Arg, s)
	case *pg.Node_CollateClause:
		return p.short(x.CollateClause.Arg, s)
	case *pg.Node_AExpr:
		return last(x.AExpr.Name) == "||" // which was looked at
	case *pg.Node_CoalesceExpr:
		return p.shorts(x.CoalesceExpr.Args, s)
	case *pg.Node_FuncCall:
		return mixes(last(x.FuncCall.Funcname)) || p.shorts(x.FuncCall.Args, s)
	}
	return false
}

func (p *pass) shorts(list []*pg.Node, s *scope) bool {
	for _, n := range list {
		if !p.short(n, s) {
			return false
		}
	}
	return true
}

// fixed reports whether an expression is the same for every row: made of constants
// and arguments only.
func (p *pass) fixed(n *pg.Node) bool {
	if !p.step(1) {
		return false
	}
	all := func(list []*pg.Node) bool {
		for _, n := range list {
			if !p.fixed(n) {
				return false
			}
		}
		return true
	}
	switch x := n.GetNode().(type) {
	case nil, *pg.Node_AConst, *pg.Node_ParamRef, *pg.Node_SqlvalueFunction:
		return true
	case *pg.Node_TypeCast:
		return p.fixed(x.TypeCast.Arg)
	case *pg.Node_CollateClause:
		return p.fixed(x.CollateClause.Arg)
	case *pg.Node_AExpr:
		return x.AExpr.Kind == pg.A_Expr_Kind_AEXPR_OP && p.fixed(x.AExpr.Lexpr) && p.fixed(x.AExpr.Rexpr)
	case *pg.Node_List:
		return all(x.List.Items)
	case *pg.Node_AArrayExpr:
		return all(x.AArrayExpr.Elements)
	case *pg.Node_FuncCall:
		if p.catalog() == nil || len(p.functions(qualifier(x.FuncCall.Funcname), last(x.FuncCall.Funcname))) > 0 {
			return false
		}
		b, ok := p.catalog().Builtin(last(x.FuncCall.Funcname))
		return ok && !b.Aggregate && (b.Volatility == 'i' || b.Volatility == 's') && all(x.FuncCall.Args)
	}
	return false
}

// base reports whether an expression is a column of a table, as it is.
func (p *pass) base(n *pg.Node, s *scope) bool {
	names := strs(n.GetColumnRef().GetFields())
	if len(names) == 0 || len(names) != len(n.GetColumnRef().Fields) {
		return false
	}
	if len(names) > 1 {
		it := s.item("", names[len(names)-2])
		return it != nil && stored(it)
	}
	var found *item
	for q := s; q != nil && found == nil; q = q.parent {
		for _, it := range q.items {
			if _, ok := find(it.cols, names[0]); ok {
				if found != nil {
					return false
				}
				found = it
			}
		}
	}
	return found != nil && stored(found)
}

func stored(it *item) bool {
	return it.rel != nil && !it.open && (it.rel.Kind == sql.Table || it.rel.Kind == sql.PartitionedTable)
}

// tellLength tells of an array that becomes part of another, at which all have to be as
// long.
func (p *pass) tellLength(v sql.Value, at any) {
	if v.Type == 0 && !v.Literal || p.elementType(v.Type) != 0 {
		p.tells.Tell(v, protocol.HowComputed, at)
	}
}

// tellRows tells of all columns of a query of which rows are compared.
func (p *pass) tellRows(r rowset, how protocol.How, at any) {
	for i := range r.cols {
		p.tells.Tell(r.cols[i].val, how, at)
	}
	if r.open {
		p.tells.Lost()
	}
}

// calls tells of the arguments of a call whose meaning is t.
func (p *pass) calls(x *pg.FuncCall, t meaning, vals []sql.Value, s *scope) {
	args := constant(0)
	for i := range vals {
		args = join(args, vals[i])
	}
	if x.AggDistinct {
		p.tells.Tell(args, protocol.HowGroup, x)
	}
	switch {
	case t.counts:
		p.tells.Tell(args, protocol.HowNull, x)
		return
	case t.total && (!mixes(last(x.Funcname)) || p.shorts(x.Args, s)):
		// Arguments beside the value itself choose what becomes of it.
		if !mixes(last(x.Funcname)) {
			for i := 1; i < len(vals); i++ {
				p.tells.Tell(vals[i], protocol.HowComputed, x)
			}
		}
		return
	}
	p.tells.Tell(args, protocol.HowComputed, x)
}

// total reports whether a built-in function, given these types, yields NULL for NULL
// only, fails for no value and takes as long for each: a column made by it tells no
// more than its masked values do.
func (p *pass) total(name string, types []uint32) bool {
	is := func(i int, oids ...uint32) bool { return i < len(types) && slices.Contains(oids, types[i]) }
	switch name {
	case "lower", "upper", "length", "left", "right", "btrim", "ltrim", "rtrim", "substr", "reverse":
		return is(0, unknownOID, textOID, varcharOID, 1042, 19)
	case "substring": // with a number, not a pattern
		return is(1, numericOID, 20, 21, 23)
	case "array_agg":
		return len(types) == 1 && types[0] != 0 && p.elementType(types[0]) == 0
	case "initcap", "char_length", "character_length", "octet_length", "bit_length", "md5", "translate", "ascii",
		"quote_literal", "to_json", "to_jsonb", "array_to_string",
		"min", "max", "sum", "avg", "stddev", "stddev_pop", "stddev_samp", "variance", "var_pop", "var_samp", "bool_and", "bool_or", "every", "any_value",
		"json_agg", "jsonb_agg", "first_value", "last_value", "lag", "lead":
		return true
	}
	return mixes(name)
}

// mixes lists functions that are total in all of their arguments.
func mixes(name string) bool {
	switch name {
	case "concat", "concat_ws", "string_agg":
		return true
	}
	return false
}

// shows reports whether a cast tells no more than the value does: to text everything
// can be cast.
func shows(typ uint32) bool {
	switch typ {
	case textOID, varcharOID, 1042, 19: // char(n), name
		return true
	}
	return false
}

// position returns which column of the result a number in ORDER BY stands for, from 1,
// or 0. The shape of a text keeps such numbers.
func position(n *pg.Node) int {
	if c := n.GetAConst(); c != nil {
		if i, ok := c.Val.(*pg.A_Const_Ival); ok {
			return int(i.Ival.GetIval())
		}
	}
	return 0
}

// tellSublink tells of what a subquery's rows are compared with, and of them.
func (p *pass) tellSublink(x *pg.SubLink, test sql.Value, out rowset) {
	how := protocol.HowEquality // IN
	if len(x.OperName) > 0 {
		how = comparingBy(last(x.OperName))
	}
	if how == protocol.HowEquality {
		how = protocol.HowList
	}
	p.tells.Tell(test, how, x)
	p.tellRows(out, how, x)
}

// tellConflict tells of the columns of which ON CONFLICT says whether there is such a
// value already.
func (p *pass) tellConflict(x *pg.InsertStmt, it *item, s *scope) {
	how := protocol.HowList
	if sel := x.SelectStmt.GetSelectStmt(); sel == nil || len(sel.ValuesLists) == 1 {
		how = protocol.HowEquality
	}
	c := x.OnConflictClause
	tell := func(name string) {
		if v, ok := find(it.cols, name); ok {
			p.tells.Tell(v, how, c)
		}
	}
	elems := c.Infer.GetIndexElems()
	for _, n := range elems {
		tell(n.GetIndexElem().GetName())
		p.tells.Tell(p.expr(n, s), protocol.HowComputed, c)
	}
	switch {
	case len(elems) > 0:
	case len(x.Cols) > 0: // any that is unique
		for _, n := range x.Cols {
			tell(n.GetResTarget().GetName())
		}
	default:
		p.tellRows(it.rowset, how, c)
	}
}

// tellDefined tells of the columns whose values a definition is checked against, or
// computed from: whether that fails tells of them.
func (p *pass) tellDefined(n *pg.Node) {
	tell := func(rv *pg.RangeVar, how protocol.How, names []string) {
		r, _ := p.relation(rv.GetSchemaname(), rv.GetRelname())
		if r == nil {
			return
		}
		for i, v := range p.catalog().Lineage(r, p.chain) {
			if len(names) == 0 || slices.Contains(names, r.Columns[i].Name) {
				p.tells.Tell(v, how, rv)
			}
		}
	}
	altered := n.GetAlterTableStmt().GetRelation()
	walk(n, func(m any) bool {
		switch x := m.(type) {
		case *pg.IndexStmt:
			var names []string
			how := protocol.HowGroup
			for _, e := range x.IndexParams {
				if names = append(names, e.GetIndexElem().GetName()); e.GetIndexElem().GetExpr() != nil {
					how = protocol.HowComputed
				}
			}
			switch {
			case x.WhereClause != nil, how == protocol.HowComputed, len(x.ExcludeOpNames) > 0:
				tell(x.Relation, protocol.HowComputed, nil)
			case x.Unique:
				tell(x.Relation, how, names)
			}
		case *pg.Constraint:
			switch x.Contype {
			case pg.ConstrType_CONSTR_FOREIGN:
				tell(x.Pktable, protocol.HowList, strs(x.PkAttrs))
				tell(altered, protocol.HowList, strs(x.FkAttrs))
			case pg.ConstrType_CONSTR_CHECK, pg.ConstrType_CONSTR_PRIMARY, pg.ConstrType_CONSTR_UNIQUE, pg.ConstrType_CONSTR_EXCLUSION:
				tell(altered, protocol.HowComputed, nil)
			}
		case *pg.AlterTableCmd:
			if x.Subtype == pg.AlterTableType_AT_AlterColumnType || x.Subtype == pg.AlterTableType_AT_ValidateConstraint {
				tell(altered, protocol.HowComputed, nil)
			}
		}
		return true
	})
}
