package pgsql

import (
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

// path returns the schemas in which unqualified names are looked up, in order.
func (p *pass) path() []string {
	if slices.Contains(p.st.SearchPath, "pg_catalog") {
		return p.st.SearchPath
	}
	return append([]string{"pg_catalog"}, p.st.SearchPath...)
}

// isTemp reports whether a schema is one of a session's own.
func isTemp(schema string) bool {
	return schema == "pg_temp" || strings.HasPrefix(schema, "pg_temp_") || strings.HasPrefix(schema, "pg_toast_temp")
}

// relation finds what a name means. proven is false where the session may see
// something else than the catalog shows; r is nil where nothing is found.
func (p *pass) relation(schema, name string) (r *sql.Relation, proven bool) {
	if p.catalog() == nil || isTemp(schema) {
		return nil, false
	}
	if schema != "" {
		r = p.catalog().Lookup(schema, name)
		return r, r != nil
	}
	for i, s := range p.path() {
		if r = p.catalog().Lookup(s, name); r != nil {
			return r, !p.st.shadows(name) && !p.again(i, func(s string) bool { return p.catalog().Lookup(s, name) != nil })
		}
	}
	return nil, false
}

// again reports whether a name that is found in schema i of the path may mean what
// another one has of that name.
func (p *pass) again(i int, has func(schema string) bool) bool {
	return p.st.Outdated && slices.ContainsFunc(p.path()[i+1:], has)
}

// relationName returns the name to show for a relation in a statement.
func (p *pass) relationName(rv *pg.RangeVar) (kind, name string) {
	if r, _ := p.relation(rv.Schemaname, rv.Relname); r != nil {
		return r.KindName(), r.Schema + "." + r.Name
	}
	if rv.Schemaname != "" {
		return "table", rv.Schemaname + "." + rv.Relname
	}
	return "table", rv.Relname
}

// subjects notes the relation that a statement names.
func (p *pass) subjects(rv *pg.RangeVar, a protocol.Access) (name string) {
	kind, name := p.relationName(rv)
	p.object(kind, name, a)
	p.guessed(rv, a)
	return name
}

// guessed notes what else a name may mean that cannot be resolved.
func (p *pass) guessed(rv *pg.RangeVar, a protocol.Access) {
	list := p.guesses(rv)
	for _, s := range p.places(rv, list) {
		p.object("table", s+"."+rv.Relname, a)
	}
	for _, r := range list {
		p.object(r.KindName(), r.Schema+"."+r.Name, a)
		p.family(r, a)
		if a.Has(protocol.Write) {
			p.writesThrough(r)
		}
		if r.Kind == sql.View && a.Has(protocol.Read|protocol.Write) {
			for _, o := range p.guess().Expansion(r, nil).Objects {
				p.object(o.Kind, o.Name, o.Access)
			}
		}
	}
}

// guesses returns what a name may mean by the last catalog that was known, if it
// cannot be resolved, or was by another than the present one.
func (p *pass) guesses(rv *pg.RangeVar) (list []*sql.Relation) {
	switch {
	case p.st.Outdated && p.catalog() != nil && rv.Schemaname == "":
		for _, s := range p.path() {
			if r := p.catalog().Lookup(s, rv.Relname); r != nil {
				list = append(list, r)
			}
		}
		return list
	case p.catalog() != nil || p.guess() == nil || isTemp(rv.Schemaname):
		return nil
	case rv.Schemaname == "" && p.st.SearchPath == nil:
		return p.guess().Named(rv.Relname)
	case rv.Schemaname == "":
		for _, s := range p.path() {
			if r := p.guess().Lookup(s, rv.Relname); r != nil {
				list = append(list, r)
			}
		}
		return list
	}
	if r := p.guess().Lookup(rv.Schemaname, rv.Relname); r != nil {
		return []*sql.Relation{r}
	}
	return nil
}

// places returns the schemas in which a relation may be that is not among those that
// were known.
func (p *pass) places(rv *pg.RangeVar, known []*sql.Relation) []string {
	if p.catalog() != nil || rv.Schemaname != "" || len(known) > 0 {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(p.st.SearchPath), func(s string) bool { return s == "pg_catalog" })
}

// guess is the catalog, or the last one that was known.
func (p *pass) guess() *sql.Catalog {
	if c := p.catalog(); c != nil {
		return c
	}
	return p.st.Guess
}

// functions returns the user-defined functions that a call may mean.
func (p *pass) functions(schema, name string) []*sql.Function {
	if p.catalog() == nil {
		return nil
	}
	all := p.catalog().Functions(name)
	if len(all) == 0 {
		return nil
	}
	path := []string{schema}
	if schema == "" {
		path = p.path()
	}
	var out []*sql.Function
	for _, f := range all {
		if slices.Contains(path, f.Schema) {
			out = append(out, f)
		}
	}
	return out
}

// operators returns the user-defined operators that a use may mean.
func (p *pass) operators(schema, name string) []*sql.Operator {
	all := p.catalog().Operators(name)
	if len(all) == 0 {
		return nil
	}
	path := []string{schema}
	if schema == "" {
		path = p.path()
	}
	var out []*sql.Operator
	for _, o := range all {
		if slices.Contains(path, o.Schema) {
			out = append(out, o)
		}
	}
	return out
}

// ruledOut reports whether a user-defined function or operator with the given
// parameters cannot be meant by a call with the given argument types, 0 where
// one is not known: it needs somebody's type in a place where the argument has
// another, which no cast turns into it unasked. If all arguments are literals
// of no type of their own, the server prefers text.
func (p *pass) ruledOut(params, args []uint32) bool {
	literals := len(args) > 0
	for i, t := range args {
		literals = literals && t == unknownOID
		if t == 0 || t == unknownOID || i >= len(params) {
			continue
		}
		if want := params[i]; want < sql.FirstUserOID || want == t || p.catalog().HasImplicitCast(t) {
			continue
		}
		if t < sql.FirstUserOID {
			return true
		}
		if k := p.catalog().Type(t); k != nil && k.Kind == 'e' {
			return true
		}
	}
	if !literals {
		return false
	}
	for _, want := range params {
		if want >= sql.FirstUserOID {
			return true
		}
	}
	return false
}

// argument notes in st that it takes an argument of a type, whose values the
// server reads before st runs; 0 is one that is not known.
func (p *pass) argument(st *Statement, typ uint32) {
	if typ != 0 && p.harmlessType(typ) {
		return
	}
	st.Pure = false
	if p.trustedType(typ) {
		return
	}
	if p.catalog() != nil {
		st.Access |= protocol.Execute
	}
	st.ReadsKnown, st.InferredKnown = false, false
	st.Effect.Flags |= RunsCode // it may be a domain, whose constraints run
}

// WithArgument returns what s does if one of its parameters is of a type that
// the client has named by its number. A nil catalog knows no type.
func (s *Statement) WithArgument(c *sql.Catalog, typ uint32) *Statement {
	if typ < sql.FirstUserOID {
		return s
	}
	m := *s
	newPass(&State{Catalog: c}).argument(&m, typ)
	return &m
}

// typeOf resolves the name of a type. proven is false where it cannot be told
// which type is meant.
func (p *pass) typeOf(t *pg.TypeName) (oid uint32, proven bool) {
	if p.catalog() == nil || t == nil || t.PctType || t.Setof {
		return 0, false
	}
	names := strs(t.Names)
	var typ *sql.Type
	switch len(names) {
	case 1:
		proven = !p.st.shadows(names[0])
		for i, s := range p.path() {
			if typ = p.catalog().LookupType(s, names[0]); typ != nil {
				proven = proven && !p.again(i, func(s string) bool { return p.catalog().LookupType(s, names[0]) != nil })
				break
			}
		}
	case 2:
		typ = p.catalog().LookupType(names[0], names[1])
		proven = !isTemp(names[0])
	}
	if typ == nil {
		return 0, false
	}
	oid = typ.OID
	if len(t.ArrayBounds) > 0 {
		arr := p.catalog().ArrayOf(oid)
		if arr == 0 {
			return 0, false
		}
		oid = arr
	}
	return oid, proven
}

// strs returns the strings in a list of nodes.
func strs(list []*pg.Node) []string {
	out := make([]string, 0, len(list))
	for _, n := range list {
		if s := n.GetString_(); s != nil {
			out = append(out, s.Sval)
		}
	}
	return out
}

// last returns the last of the strings in a list of nodes, or "".
func last(list []*pg.Node) string {
	if s := strs(list); len(s) > 0 {
		return s[len(s)-1]
	}
	return ""
}
