package pgsql

import (
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

// call analyses a function call, an aggregate or a window function.
func (p *pass) call(x *pg.FuncCall, s *scope) sql.Value {
	v, _ := p.calling(x, s)
	return v
}

// calling is call; it also returns the arguments.
func (p *pass) calling(x *pg.FuncCall, s *scope) (out sql.Value, vals []sql.Value) {
	args, vals := p.each(x.Args, s)
	types := make([]uint32, len(vals))
	for i := range vals {
		if types[i] = vals[i].Type; x.Args[i].GetNamedArgExpr() != nil {
			types[i] = 0 // it may stand in another place
		}
	}
	p.arguments(x, vals)
	beside, ordered := p.each(x.AggOrder, s)
	p.tells.Tell(beside, protocol.HowOrder, x)
	if x.AggWithinGroup {
		args, beside = join(args, beside), constant(0) // the values aggregated are those ordered
	}
	beside = join(beside, p.condition(x.AggFilter, s))
	if w := x.Over; w != nil {
		beside = join(beside, p.window(w, s))
	}
	p.setting = ""
	if len(x.Args) > 0 {
		p.setting = settingName(x.Args[0].GetAConst().GetSval().GetSval())
	}
	t := p.function(x.Funcname, types)
	if x.AggWithinGroup && !t.unknown && len(ordered) == 1 && last(x.Funcname) == "mode" {
		t.typ = ordered[0].Type
	}
	p.stateFunction(x)
	if v, ok := p.extracted(x, t, vals); ok {
		return v, vals
	}
	p.calls(x, t, vals, s)
	out = through(args, t.edge, t.typ)
	if len(beside.Sources) > 0 || !beside.Known {
		out = join(out, through(beside, protocol.EdgeAggregate, 0))
	}
	if t.counts || t.ranks { // how many there are, and which of them it is, is no value of theirs
		out.Sources = nil
	}
	out.Type = t.typ
	if t.unknown {
		out.Known = false
	}
	return out, vals
}

// arguments judges the arguments of a call by what is read as a value of which
// type: a built-in function reads literals as values of built-in types, unless it
// takes arguments of any type.
func (p *pass) arguments(x *pg.FuncCall, vals []sql.Value) {
	b, ok := sql.Builtin{}, false
	if p.catalog() != nil {
		b, ok = p.catalog().Builtin(last(x.Funcname))
	}
	if ok && populates(b.Name) {
		for i := range vals {
			if vals[i].Type == 0 && !vals[i].Literal || p.codeOf(vals[i].Type)&readingCode != 0 && vals[i].Type >= sql.FirstUserOID {
				p.populated = true
			}
		}
	}
	if strings.Contains(b.Name, "json") {
		p.asJSON(vals...)
	}
	switch {
	case x.AggWithinGroup: // literals stand beside what is ordered
		return
	case !ok, b.Any:
		p.beside(true, vals...)
		return
	}
	for i := range vals {
		p.alone(vals[i])
		vals[i].Literal = false
	}
	p.beside(true, vals...)
}

// window analyses the definition of a window.
func (p *pass) window(w *pg.WindowDef, s *scope) sql.Value {
	v := p.exprs(w.PartitionClause, s)
	p.tells.Tell(v, protocol.HowGroup, w)
	by := p.exprs(w.OrderClause, s)
	p.tells.Tell(by, protocol.HowOrder, w)
	frame := join(p.expr(w.StartOffset, s), p.expr(w.EndOffset, s))
	p.tells.Tell(frame, protocol.HowComputed, w)
	v = join(join(v, by), frame)
	for _, name := range []string{w.Name, w.Refname} {
		if named, ok := s.windows[name]; ok && name != "" {
			v = join(v, named)
		}
	}
	return v
}

// meaning is what a function's name was found to mean.
type meaning struct {
	edge    protocol.Edge
	unknown bool // the result may hold anything
	counts  bool // it is the aggregate count
	ranks   bool // it numbers rows, as the window says
	total   bool // what it yields tells no more than its masked values do
	typ     uint32
}

// function judges a function by its possibly qualified name and the types of
// its arguments.
func (p *pass) function(names []*pg.Node, types []uint32) meaning {
	parts := strs(names)
	if len(parts) == 0 || len(parts) > 2 {
		p.notKnown("a function's name is not understood")
		p.runs("a function's name is not understood")
		return meaning{unknown: true}
	}
	schema, name := "", parts[len(parts)-1]
	if len(parts) == 2 {
		schema = parts[0]
	}
	if p.catalog() == nil {
		p.notKnown("functions cannot be resolved without the catalog")
		p.runs("functions cannot be resolved without the catalog")
		p.object("function", strings.Join(parts, "."), protocol.Execute)
		return meaning{unknown: true}
	}
	user := p.functions(schema, name)
	b, isBuiltin := p.catalog().Builtin(name)
	isBuiltin = isBuiltin && (schema == "" || schema == "pg_catalog")
	if isBuiltin && schema == "" {
		user = slices.DeleteFunc(user, func(f *sql.Function) bool { return p.ruledOut(f.Args, types) })
	}
	switch {
	case len(user) > 0:
		return p.userFunctions(user, name)
	case isBuiltin:
		return p.builtinFunction(b, types)
	}
	if expandsArray(schema, name) {
		return meaning{edge: protocol.EdgeTransform}
	}
	if typ, ok := p.functionalCast(schema, name); ok {
		return meaning{edge: protocol.EdgeTransform, typ: typ}
	}
	// Not there, hidden in a temporary schema, or a column of a row written
	// like a function.
	why := "function " + strings.Join(parts, ".") + " is not in the catalog"
	p.notKnown(why)
	p.runs(why)
	p.object("function", strings.Join(parts, "."), protocol.Execute)
	return meaning{unknown: true}
}

func (p *pass) builtinFunction(b sql.Builtin, types []uint32) meaning {
	t := builtinTraits(b)
	if b.Name == "current_setting" && harmlessSetting(p.setting) {
		t.leaks = false
	}
	p.access |= t.access
	p.effect.Flags |= t.flags
	if !t.pure {
		p.notPure("function " + b.Name + " is not known to be harmless")
	}
	if t.access&protocol.Write != 0 && b.Name != "nextval" {
		p.keptAny = true // such as setval
	}
	if t.access != 0 {
		p.object("function", "pg_catalog."+b.Name, t.access)
	}
	if t.leaks {
		p.notKnown("function " + b.Name + " may show data from anywhere")
	}
	m := meaning{edge: t.edge, unknown: t.leaks, counts: b.Aggregate && b.Name == "count", typ: b.Returns}
	switch b.Name {
	case "row_number", "rank", "dense_rank", "percent_rank", "cume_dist":
		m.ranks = b.Window && len(types) == 0 // else the aggregate
	}
	m.total = t.pure && !t.leaks && p.total(b.Name, types)
	switch b.Name {
	case "first_value", "last_value", "nth_value", "lag", "lead", "max", "min":
		if len(types) > 0 {
			if m.typ = types[0]; m.typ == unknownOID {
				m.typ = textOID
			}
		}
	case "array_append", "array_remove", "array_replace", "array_cat":
		if len(types) > 0 && p.elementType(types[0]) != 0 {
			m.typ = types[0]
		}
	case "array_prepend":
		if len(types) == 2 && p.elementType(types[1]) != 0 {
			m.typ = types[1]
		}
	case "array_agg":
		if len(types) == 1 && p.elementType(types[0]) == 0 {
			m.typ = p.arrayOf(types[0])
		}
	case "lower", "upper":
		if len(types) == 1 && (types[0] == unknownOID || stringType(types[0])) {
			m.typ = textOID // of a range they are its bounds
		}
	}
	return m
}

// expandsArray reports whether that is the function of the server's own, immutable,
// by which JDBC drivers ask for the columns of a key.
func expandsArray(schema, name string) bool {
	return schema == "information_schema" && name == "_pg_expandarray"
}

// userFunctions judges a call that may mean any of some user-defined functions.
func (p *pass) userFunctions(list []*sql.Function, name string) meaning {
	trusted := len(list) > 0
	for _, f := range list {
		trusted = trusted && f.Trusted
	}
	if trusted {
		p.notPure("function " + name + " is not built in")
		return meaning{edge: protocol.EdgeTransform}
	}
	p.runs("function " + name + " is user-defined")
	p.notKnown("function " + name + " is user-defined")
	if runsText(name) {
		p.access |= protocol.Write | protocol.Control
	}
	for _, f := range list {
		p.object("function", f.Schema+"."+f.Name, protocol.Execute)
	}
	return meaning{unknown: true}
}

// functionalCast reports whether a call of name is a cast written like a
// function, such as int4(x).
func (p *pass) functionalCast(schema, name string) (uint32, bool) {
	if schema != "" && schema != "pg_catalog" {
		return 0, false
	}
	t := p.catalog().LookupType("pg_catalog", name)
	if t == nil || p.st.shadows(name) || !p.harmlessType(t.OID) {
		return 0, false
	}
	for _, s := range p.path() {
		if u := p.catalog().LookupType(s, name); u != nil && u != t {
			return 0, false
		}
	}
	return t.OID, true
}

// stateFunction follows set_config, the function form of SET. What it sets is
// told only if there is one call with constants.
func (p *pass) stateFunction(x *pg.FuncCall) {
	if last(x.Funcname) != "set_config" {
		return
	}
	p.literal = true
	p.configs++
	p.effect.Flags |= SetsState
	p.effect.Setting, p.effect.Values = "", nil
	if p.configs > 1 || len(x.Args) != 3 {
		return
	}
	name, value, local := x.Args[0].GetAConst(), x.Args[1].GetAConst(), x.Args[2].GetAConst()
	if name.GetSval() == nil || value.GetSval() == nil || local.GetBoolval() == nil {
		return
	}
	p.effect.Setting = settingName(name.GetSval().Sval)
	p.effect.Values = []string{value.GetSval().Sval}
	if local.GetBoolval().Boolval {
		p.effect.Flags |= Local
	}
}

// settingName returns the one form in which a setting's name is compared. Only
// ASCII letters fold, as on the server.
func settingName(name string) string {
	b := []byte(name)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
