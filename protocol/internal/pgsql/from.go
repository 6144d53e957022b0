package pgsql

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

// A source is what one entry of FROM yields: the things that can be named, and
// the columns that can be used without a qualifier.
type source struct {
	items []*item
	rowset
}

func one(it *item) source { return source{items: []*item{it}, rowset: it.rowset} }

// table reports whether f is one table as it is.
func (f *source) table() bool { return len(f.items) == 1 && stored(f.items[0]) }

// from analyses the entries of FROM in order; each may look at the ones before
// it as far as LATERAL allows.
func (p *pass) from(list []*pg.Node, s *scope) {
	for _, n := range list {
		s.add(p.fromItem(n, s))
	}
}

func (p *pass) fromItem(n *pg.Node, s *scope) source {
	if !p.step(1) {
		return source{rowset: rowset{open: true}}
	}
	switch x := n.GetNode().(type) {
	case *pg.Node_RangeVar:
		return p.rangeVar(x.RangeVar, s)
	case *pg.Node_RangeSubselect:
		return p.subselect(x.RangeSubselect, s)
	case *pg.Node_JoinExpr:
		return p.joinExpr(x.JoinExpr, s)
	case *pg.Node_RangeFunction:
		return p.rangeFunction(x.RangeFunction, s)
	case *pg.Node_RangeTableSample:
		f := p.fromItem(x.RangeTableSample.Relation, s)
		p.tells.Tell(join(p.exprs(x.RangeTableSample.Args, s), p.expr(x.RangeTableSample.Repeatable, s)), protocol.HowComputed, n)
		if m := last(x.RangeTableSample.Method); m != "system" && m != "bernoulli" || len(p.functions("", m)) > 0 {
			p.runs("sampling method " + m + " is not built in")
		}
		return f
	case *pg.Node_RangeTableFunc:
		return p.xmlTable(x.RangeTableFunc, s)
	case *pg.Node_JsonTable:
		return p.jsonTable(x.JsonTable, s)
	default:
		p.notKnown("an entry of FROM is not understood")
		p.runs("an entry of FROM is not understood")
		return source{rowset: rowset{open: true}}
	}
}

// alias gives an item and its columns the names of an alias clause.
func (p *pass) alias(it *item, a *pg.Alias) {
	if a == nil {
		return
	}
	it.name, it.schema = a.Aliasname, ""
	names := strs(a.Colnames)
	if len(names) == 0 {
		return
	}
	cols := make([]col, len(it.cols))
	copy(cols, it.cols)
	for i, n := range names {
		if i < len(cols) {
			cols[i].name = n
		} else {
			it.open = true // more names than columns are known
		}
	}
	it.cols = cols
}

// rangeVar is a table, a view or a common table expression by name.
func (p *pass) rangeVar(rv *pg.RangeVar, s *scope) source {
	if rv.Schemaname == "" {
		if r, ok := s.cte(rv.Relname); ok {
			it := &item{name: rv.Relname}
			if r == nil {
				it.open = true
				p.notKnown("WITH " + rv.Relname + " is used before its columns are known")
				p.notPure("WITH " + rv.Relname + " is used before its columns are known")
			} else {
				it.rowset = *r
			}
			p.alias(it, rv.Alias)
			return one(it)
		}
	}
	p.access |= protocol.Read
	return one(p.table(rv, protocol.Read))
}

// table resolves a relation in a statement and notes that it is touched.
func (p *pass) table(rv *pg.RangeVar, a protocol.Access) *item {
	name := p.subjects(rv, a)
	r, proven := p.relation(rv.Schemaname, rv.Relname)
	it := &item{name: rv.Relname, rel: r}
	if r == nil || !proven {
		p.tells.Lost() // it may be a view, with conditions of whatever kind
	}
	switch {
	case r == nil:
		it.open = true
		p.effect.Flags |= RunsCode // it may be a view, of whatever
		p.notPure("relation " + name + " is not in the catalog")
		p.notKnown("relation " + name + " is not in the catalog")
	case !proven:
		it.open = true
		p.effect.Flags |= RunsCode
		why := "relation " + rv.Relname + " may be a temporary one"
		if p.st.Outdated {
			why += ", or one that was found when this was prepared"
		}
		p.notPure(why)
		p.notKnown(why)
	}
	if r != nil {
		it.schema = r.Schema
		p.step(len(r.Columns))
		p.family(r, a)
		p.readable(r)
		for i, v := range p.catalog().Lineage(r, p.chain) {
			it.cols = append(it.cols, col{r.Columns[i].Name, v})
		}
	}
	if rv.Schemaname != "" {
		it.schema = rv.Schemaname
	}
	p.alias(it, rv.Alias)
	return it
}

// family notes that the rows of a table are touched that are those of other tables as
// well: which it inherits from or is a partition of, or which inherit from it. Its own
// partitions are no more than it.
func (p *pass) family(r *sql.Relation, a protocol.Access) {
	c := p.guess()
	for _, k := range c.Ancestors(r) {
		p.object(k.KindName(), k.Schema+"."+k.Name, a)
	}
	for _, k := range c.Descendants(r) {
		if !slices.ContainsFunc(k.Parents, func(oid uint32) bool {
			above := c.Relation(oid)
			return above != nil && above.Kind == sql.PartitionedTable
		}) {
			p.object(k.KindName(), k.Schema+"."+k.Name, a)
		}
	}
}

// readable notes what reading a relation as such amounts to.
func (p *pass) readable(r *sql.Relation) {
	p.provenTable(r)
	for _, d := range p.catalog().Descendants(r) {
		p.provenTable(d)
	}
	if r.Leaks() {
		p.notKnown(r.Schema + "." + r.Name + " may show data from anywhere")
	}
	if r.System() || r.Kind != sql.View && r.Kind != sql.MaterializedView {
		return
	}
	x := p.catalog().Expansion(r, p.chain)
	if !x.ReadsKnown {
		p.notKnown("view " + r.Schema + "." + r.Name + ": " + x.Why)
	}
	p.reads.addAll(x.Reads)
	p.tells.Add(x.Inferred, x.InferredKnown)
	if r.Kind == sql.MaterializedView {
		return // its rows are stored: reading them runs nothing
	}
	if !x.Pure {
		p.notPure("view " + r.Schema + "." + r.Name + ": " + x.Why)
	}
	p.access |= x.Access
	if x.Access != protocol.Read {
		p.effect.Flags |= RunsCode
	}
	for _, o := range x.Objects {
		p.object(o.Kind, o.Name, o.Access)
	}
}

// provenTable notes what of a table itself speaks against being pure.
func (p *pass) provenTable(r *sql.Relation) {
	if r.Policies {
		p.effect.Flags |= RunsCode
	}
	if r.Unproven != "" {
		p.notPure("reading " + r.Schema + "." + r.Name + " may run code: " + r.Unproven)
	}
	if r.Kind == sql.ForeignTable {
		p.notPure(r.Schema + "." + r.Name + " is read from another server")
	}
}

// subselect is a query in FROM.
func (p *pass) subselect(x *pg.RangeSubselect, s *scope) source {
	around := s
	if !x.Lateral {
		around = s.outside()
	}
	it := &item{rowset: p.query(x.Subquery.GetSelectStmt(), around)}
	p.alias(it, x.Alias)
	return one(it)
}

// joinExpr is a JOIN. Its right side may look at its left side with LATERAL;
// its condition sees the two sides and nothing else of this level.
func (p *pass) joinExpr(x *pg.JoinExpr, s *scope) source {
	l := p.fromItem(x.Larg, s)
	r := p.fromItem(x.Rarg, s.and(l))
	out := source{items: append(append([]*item(nil), l.items...), r.items...)}
	out.open = l.open || r.open
	if !p.step(len(l.cols) + len(r.cols)) {
		out.open = true
		return out
	}

	using := strs(x.UsingClause)
	if x.IsNatural {
		for _, c := range l.cols {
			p.step(1 + len(r.cols)/8)
			if _, ok := find(r.cols, c.name); ok {
				using = append(using, c.name)
			}
		}
	}
	var merged []col
	for _, name := range using {
		lv, lok := find(l.cols, name)
		rv, rok := find(r.cols, name)
		v := join(p.use(lv), p.use(rv))
		v.Known = v.Known && lok && rok
		if lv.Type == rv.Type {
			v.Type = lv.Type
		}
		if !p.operatorNamed("", "=", lv.Type, rv.Type) {
			v.Known = false
		}
		merged = append(merged, col{name, v})
		p.tells.Compare(sql.Operand{Value: lv, Base: l.table()}, sql.Operand{Value: rv, Base: r.table()}, protocol.HowEquality, x)
	}
	out.cols = append(out.cols, merged...)
	for _, side := range []source{l, r} {
		for _, c := range side.cols {
			if _, ok := find(merged, c.name); !ok {
				out.cols = append(out.cols, c)
			}
		}
	}
	if x.IsNatural && out.open {
		for i := range out.cols {
			out.cols[i].val.Known = false // which columns are merged is not known
		}
		p.notKnown("a NATURAL JOIN has a side that is not known")
		p.notPure("a NATURAL JOIN has a side that is not known")
		p.tells.Lost()
	}
	if x.Quals != nil {
		on := s.outside()
		on.add(out)
		p.condition(x.Quals, on)
	}
	if a := x.JoinUsingAlias; a != nil {
		out.items = append(out.items, &item{name: a.Aliasname, rowset: rowset{cols: merged, open: out.open}})
	}
	if x.Alias != nil {
		it := &item{rowset: out.rowset}
		p.alias(it, x.Alias)
		return one(it)
	}
	return out
}

// rangeFunction is one or several functions in FROM.
func (p *pass) rangeFunction(x *pg.RangeFunction, s *scope) source {
	if rv := p.settings(x); rv != nil {
		return p.rangeVar(rv, s)
	}
	it := &item{}
	single := ""
	for _, n := range x.Functions {
		// Each is a list of the call and the definition of its columns.
		parts := n.GetList().GetItems()
		if len(parts) == 0 {
			p.notKnown("a function in FROM is not understood")
			p.runs("a function in FROM is not understood")
			it.open = true
			continue
		}
		defs := x.Coldeflist
		if len(parts) > 1 && parts[1].GetList() != nil {
			defs = parts[1].GetList().Items
		}
		var v sql.Value
		var args []sql.Value
		if call := parts[0].GetFuncCall(); call != nil {
			v, args = p.calling(call, s)
		} else {
			v = p.expr(parts[0], s)
			p.tells.Tell(v, protocol.HowComputed, parts[0])
		}
		rows, scalar := p.functionRows(parts[0], v, args, defs, s)
		it.cols = append(it.cols, rows.cols...)
		it.open = it.open || rows.open
		if scalar && len(x.Functions) == 1 {
			single = rows.cols[0].name
		}
		if call := parts[0].GetFuncCall(); call != nil && it.name == "" {
			it.name = last(call.Funcname)
		}
	}
	if x.Ordinality {
		it.cols = append(it.cols, col{"ordinality", constant(20)})
	}
	if a := x.Alias; a != nil && single != "" && len(a.Colnames) == 0 {
		it.cols[0].name = a.Aliasname // a function of one column names it by the alias
	}
	p.alias(it, x.Alias)
	return one(it)
}

// settings returns the view that shows what x does, if that is the function behind it:
// of its columns it is known which are harmless.
func (p *pass) settings(x *pg.RangeFunction) *pg.RangeVar {
	const name = "pg_show_all_settings"
	if len(x.Functions) != 1 || x.Ordinality || len(x.Coldeflist) > 0 || p.catalog() == nil {
		return nil
	}
	parts := x.Functions[0].GetList().GetItems()
	if len(parts) == 0 || len(parts) > 1 && parts[1].GetList() != nil {
		return nil
	}
	call := parts[0].GetFuncCall()
	if names := strs(call.GetFuncname()); len(names) == 0 || last(call.Funcname) != name || len(call.Args) > 0 ||
		len(names) == 2 && names[0] != "pg_catalog" || len(names) > 2 || len(p.functions(qualifier(call.Funcname), name)) > 0 {
		return nil
	}
	alias := x.Alias
	if alias == nil {
		alias = &pg.Alias{Aliasname: name}
	}
	return &pg.RangeVar{Schemaname: "pg_catalog", Relname: "pg_settings", Inh: true, Relpersistence: "p", Alias: alias}
}

// functionRows returns the columns that a function in FROM yields, given what
// its value depends on and its arguments; scalar says that it is one column with
// the function's name.
func (p *pass) functionRows(n *pg.Node, v sql.Value, args []sql.Value, defs []*pg.Node, s *scope) (r rowset, scalar bool) {
	typ := v.Type
	v = through(v, protocol.EdgeTransform, 0)
	if len(defs) > 0 {
		for _, d := range defs {
			if c := d.GetColumnDef(); c != nil {
				t, ok := p.castTo(c.TypeName)
				cv := v
				cv.Known, cv.Type = cv.Known && ok, t
				r.cols = append(r.cols, col{c.Colname, cv})
			}
		}
		return r, false
	}
	call := n.GetFuncCall()
	if call == nil {
		// A special form, such as CURRENT_DATE or a cast.
		name, _ := figure(n, p.subname)
		r.cols = []col{{name, v}}
		return r, true
	}
	name := last(call.Funcname)
	if p.catalog() == nil || len(p.functions(qualifier(call.Funcname), name)) > 0 {
		r.open = true
		return r, false
	}
	b, ok := p.catalog().Builtin(name)
	switch {
	case expandsArray(qualifier(call.Funcname), name) && len(args) == 1:
		r.cols = []col{{"x", through(v, protocol.EdgeTransform, p.elementType(args[0].Type))}, {"n", through(v, protocol.EdgeTransform, 0)}}
		return r, false
	case !ok:
		r.open = true
		return r, false
	case name == "unnest":
		for i, arg := range call.Args {
			if !p.plainArray(arg, args[i], s) {
				r.open = true // rows of several columns, for all that is known
				return r, false
			}
			r.cols = append(r.cols, col{name, through(v, protocol.EdgeTransform, p.elementType(args[i].Type))})
		}
		return r, len(r.cols) == 1
	case len(b.Out) > 0:
		for _, o := range b.Out {
			r.cols = append(r.cols, col{o, v})
		}
		return r, false
	case populates(name) && len(args) > 0 && p.composite(args[0].Type) != nil:
		for _, c := range p.composite(args[0].Type).Columns {
			r.cols = append(r.cols, col{c.Name, through(v, protocol.EdgeTransform, c.Type)})
		}
		return r, false
	case b.Record, populates(name):
		r.open = true
		return r, false
	}
	v.Type = typ
	r.cols = []col{{name, v}}
	return r, true
}

// plainArray reports whether an argument of unnest is surely an array of plain
// values.
func (p *pass) plainArray(n *pg.Node, v sql.Value, s *scope) bool {
	if v.Type == 0 {
		x := n.GetAArrayExpr()
		for _, e := range x.GetElements() {
			if t := p.expr(e, s).Type; !p.plain(t) {
				return false
			}
		}
		return x != nil
	}
	return p.plain(p.elementType(v.Type))
}

func (p *pass) plain(typ uint32) bool {
	t := p.catalog().Type(p.baseOf(typ))
	return typ == unknownOID || t != nil && t.Element == 0 && (t.Kind == 'b' || t.Kind == 'e')
}

func qualifier(names []*pg.Node) string {
	if s := strs(names); len(s) > 1 {
		return s[len(s)-2]
	}
	return ""
}
