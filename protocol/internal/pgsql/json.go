package pgsql

import (
	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

// jsonExpr analyses the SQL/JSON expressions; ok is false for anything else.
func (p *pass) jsonExpr(n *pg.Node, s *scope) (v sql.Value, ok bool) {
	p.json = true
	switch x := n.Node.(type) {
	case *pg.Node_JsonValueExpr:
		return p.transform(0, s, x.JsonValueExpr.RawExpr, x.JsonValueExpr.FormattedExpr), true
	case *pg.Node_JsonArgument:
		return p.jsonValue(x.JsonArgument.Val, s), true
	case *pg.Node_JsonKeyValue:
		return join(p.transform(0, s, x.JsonKeyValue.Key), p.jsonValue(x.JsonKeyValue.Value, s)), true
	case *pg.Node_JsonParseExpr:
		p.jsonOutput(x.JsonParseExpr.Output)
		return p.jsonValue(x.JsonParseExpr.Expr, s), true
	case *pg.Node_JsonScalarExpr:
		p.jsonOutput(x.JsonScalarExpr.Output)
		return p.transform(0, s, x.JsonScalarExpr.Expr), true
	case *pg.Node_JsonSerializeExpr:
		p.jsonOutput(x.JsonSerializeExpr.Output)
		return p.jsonValue(x.JsonSerializeExpr.Expr, s), true
	case *pg.Node_JsonObjectConstructor:
		p.jsonOutput(x.JsonObjectConstructor.Output)
		return p.transform(0, s, x.JsonObjectConstructor.Exprs...), true
	case *pg.Node_JsonArrayConstructor:
		p.jsonOutput(x.JsonArrayConstructor.Output)
		return p.transform(0, s, x.JsonArrayConstructor.Exprs...), true
	case *pg.Node_JsonArrayQueryConstructor:
		p.jsonOutput(x.JsonArrayQueryConstructor.Output)
		rows := p.query(x.JsonArrayQueryConstructor.Query.GetSelectStmt(), s)
		v = sql.Value{Known: !rows.open}
		for _, c := range rows.cols {
			v = join(v, c.val)
		}
		return through(v, protocol.EdgeTransform, 0), true
	case *pg.Node_JsonObjectAgg:
		kv := x.JsonObjectAgg.Arg
		v = join(p.transform(0, s, kv.GetKey()), p.jsonValue(kv.GetValue(), s))
		return join(v, p.jsonAgg(x.JsonObjectAgg.Constructor, s)), true
	case *pg.Node_JsonArrayAgg:
		return join(p.jsonValue(x.JsonArrayAgg.Arg, s), p.jsonAgg(x.JsonArrayAgg.Constructor, s)), true
	case *pg.Node_JsonIsPredicate:
		return p.transform(boolOID, s, x.JsonIsPredicate.Expr), true
	case *pg.Node_JsonFuncExpr:
		f := x.JsonFuncExpr
		v = p.jsonValue(f.ContextItem, s)
		v = join(v, p.transform(0, s, f.Pathspec))
		v = join(v, p.transform(0, s, f.Passing...))
		v = join(v, p.transform(0, s, f.OnEmpty.GetExpr(), f.OnError.GetExpr()))
		p.jsonOutput(f.Output)
		return v, true
	}
	return sql.Value{}, false
}

func (p *pass) jsonValue(x *pg.JsonValueExpr, s *scope) sql.Value {
	return p.transform(0, s, x.GetRawExpr(), x.GetFormattedExpr())
}

func (p *pass) jsonOutput(o *pg.JsonOutput) {
	if o.GetTypeName() != nil {
		p.castTo(o.TypeName)
	}
}

// jsonAgg analyses what stands beside the values of a JSON aggregate.
func (p *pass) jsonAgg(c *pg.JsonAggConstructor, s *scope) sql.Value {
	p.jsonOutput(c.GetOutput())
	v := join(p.exprs(c.GetAggOrder(), s), p.expr(c.GetAggFilter(), s))
	if c.GetOver() != nil {
		v = join(v, p.window(c.Over, s))
	}
	return through(v, protocol.EdgeAggregate, 0)
}

// jsonTable is JSON_TABLE in FROM: every column may hold any part of the
// document.
func (p *pass) jsonTable(x *pg.JsonTable, s *scope) source {
	v := join(p.jsonValue(x.ContextItem, s), p.transform(0, s, x.Passing...))
	v = join(v, p.transform(0, s, x.OnError.GetExpr()))
	it := &item{name: "json_table"}
	var columns func(list []*pg.Node)
	columns = func(list []*pg.Node) {
		for _, n := range list {
			c := n.GetJsonTableColumn()
			if c == nil {
				it.open = true
				continue
			}
			if c.Coltype == pg.JsonTableColumnType_JTC_NESTED {
				columns(c.Columns)
				continue
			}
			cv := join(v, p.transform(0, s, c.OnEmpty.GetExpr(), c.OnError.GetExpr()))
			if c.TypeName != nil {
				t, ok := p.castTo(c.TypeName)
				cv.Known, cv.Type = cv.Known && ok, t
			}
			p.tells.Tell(cv, protocol.HowComputed, n)
			it.cols = append(it.cols, col{c.Name, cv})
		}
	}
	p.tells.Tell(v, protocol.HowComputed, x)
	columns(x.Columns)
	p.alias(it, x.Alias)
	return one(it)
}

// xmlTable is XMLTABLE in FROM.
func (p *pass) xmlTable(x *pg.RangeTableFunc, s *scope) source {
	v := p.transform(0, s, x.Docexpr, x.Rowexpr)
	v = join(v, p.transform(0, s, x.Namespaces...))
	it := &item{name: "xmltable"}
	for _, n := range x.Columns {
		c := n.GetRangeTableFuncCol()
		if c == nil {
			it.open = true
			continue
		}
		cv := join(v, p.transform(0, s, c.Colexpr, c.Coldefexpr))
		if !c.ForOrdinality {
			t, ok := p.castTo(c.TypeName)
			cv.Known, cv.Type = cv.Known && ok, t
		}
		p.tells.Tell(cv, protocol.HowComputed, n)
		it.cols = append(it.cols, col{c.Colname, cv})
	}
	p.alias(it, x.Alias)
	return one(it)
}
