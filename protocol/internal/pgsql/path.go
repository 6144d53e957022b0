package pgsql

import (
	"strings"
	"unicode/utf8"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

// OIDs of the types of documents.
const (
	jsonOID      = 114
	jsonbOID     = 3802
	textArrayOID = 1009
)

// holdsJSON reports whether values of a type are JSON documents or may be their text.
func holdsJSON(typ uint32) bool { return typ == jsonOID || typ == jsonbOID || stringType(typ) }

// takes reports whether an operator has the name of one that takes a part out of a
// document.
func takes(x *pg.A_Expr) bool {
	if x.Kind != pg.A_Expr_Kind_AEXPR_OP {
		return false
	}
	switch last(x.Name) {
	case "->", "->>", "#>", "#>>":
		return true
	}
	return false
}

// taking returns what an operator takes out of the document l, if it is the server's
// own and the place is told by constants. taken says that another takes a part of that,
// which tells of less.
func (p *pass) taking(x *pg.A_Expr, l, r sql.Value, taken bool) (sql.Value, bool) {
	typ := p.baseOf(l.Type)
	if !takes(x) || typ != jsonOID && typ != jsonbOID || p.catalog() == nil {
		return sql.Value{}, false
	}
	op, schema := last(x.Name), ""
	if names := strs(x.Name); len(names) == 2 {
		schema = names[0]
	}
	if len(p.meant(p.operators(schema, op), l.Type, r.Type)) > 0 || schema != "" && schema != "pg_catalog" {
		return sql.Value{}, false
	}
	var names []string
	exact, ok := true, true
	switch name, text := p.textConstant(x.Rexpr); {
	case strings.HasPrefix(op, "#"):
		names, exact, ok = p.pathConstant(x.Rexpr)
	case text:
		names = []string{name}
	default:
		_, ok = x.Rexpr.GetAConst().GetVal().(*pg.A_Const_Ival) // an element lies where the array does
	}
	if !ok {
		return sql.Value{}, false
	}
	if strings.HasSuffix(op, ">>") {
		typ = textOID
	}
	if taken {
		return p.member(l, typ, names, exact, nil), true
	}
	return p.member(l, typ, names, exact, x), true
}

// member returns what lies at names in the document v. at is the place in the statement,
// which tells whether there is such a member.
func (p *pass) member(v sql.Value, typ uint32, names []string, exact bool, at any) sql.Value {
	out := sql.Value{Known: v.Known, Sources: v.Sources.Member(names, exact), Type: typ}
	how := protocol.HowMember
	if len(names) == 0 {
		how = protocol.HowComputed
	}
	if at != nil {
		p.tells.Tell(out, how, at)
	}
	return out
}

// subscripts returns what subscripts take out of the document v, if they are
// constants.
func (p *pass) subscripts(x *pg.A_Indirection, v sql.Value) (sql.Value, bool) {
	if p.baseOf(v.Type) != jsonbOID {
		return sql.Value{}, false
	}
	var names []string
	exact := true
	for _, n := range x.Indirection {
		i := n.GetAIndices()
		if i == nil || i.IsSlice || i.Lidx != nil {
			return sql.Value{}, false
		}
		name, ok := p.textConstant(i.Uidx)
		if _, number := i.Uidx.GetAConst().GetVal().(*pg.A_Const_Ival); !ok && !number {
			return sql.Value{}, false
		} else if number || indexes(name) {
			exact = false
		}
		if exact {
			names = append(names, name)
		}
	}
	return p.member(v, jsonbOID, names, exact, x), true
}

// extracted returns what a call takes out of a document, if it means the server's own
// function for that and the place is told by constants.
func (p *pass) extracted(x *pg.FuncCall, t meaning, vals []sql.Value) (sql.Value, bool) {
	name := last(x.Funcname)
	switch name {
	case "json_extract_path", "json_extract_path_text", "jsonb_extract_path", "jsonb_extract_path_text":
	default:
		return sql.Value{}, false
	}
	if t.unknown || t.typ == 0 || len(vals) < 2 || x.Over != nil || x.AggFilter != nil || len(x.AggOrder) > 0 || x.AggDistinct ||
		p.catalog() == nil || len(p.functions(qualifier(x.Funcname), name)) > 0 {
		return sql.Value{}, false
	}
	if typ := p.baseOf(vals[0].Type); typ != jsonOID && typ != jsonbOID || x.Args[0].GetNamedArgExpr() != nil {
		return sql.Value{}, false
	}
	var names []string
	exact, ok := true, true
	if x.FuncVariadic {
		if names, exact, ok = p.pathConstant(x.Args[1]); len(vals) != 2 {
			ok = false
		}
	} else {
		names, exact, ok = p.pathOf(x.Args[1:])
	}
	if !ok {
		return sql.Value{}, false
	}
	return p.member(vals[0], t.typ, names, exact, x), true
}

// textConstant returns the text that a literal stands for, perhaps with a cast to text.
func (p *pass) textConstant(n *pg.Node) (string, bool) {
	if c := n.GetTypeCast(); c != nil {
		if typ, proven := p.typeOf(c.TypeName); !proven || typ != textOID || len(c.TypeName.Typmods) > 0 {
			return "", false
		}
		n = c.Arg
	}
	s := n.GetAConst().GetSval()
	if s == nil {
		return "", false
	}
	p.literal = true
	return s.Sval, utf8.ValidString(s.Sval)
}

// pathConstant returns the names in a path that is an array of constants. exact is
// false if it goes on in a way that depends on the document.
func (p *pass) pathConstant(n *pg.Node) (names []string, exact, ok bool) {
	if c := n.GetTypeCast(); c != nil {
		if typ, proven := p.typeOf(c.TypeName); !proven || typ != textArrayOID || len(c.TypeName.Typmods) > 0 {
			return nil, false, false
		}
		n = c.Arg
	}
	if a := n.GetAArrayExpr(); a != nil {
		return p.pathOf(a.Elements)
	}
	s := n.GetAConst().GetSval()
	if s == nil {
		return nil, false, false
	}
	p.literal = true
	list, ok := arrayOf(s.Sval)
	if !ok || !utf8.ValidString(s.Sval) {
		return nil, false, false
	}
	names, exact = path(list)
	return names, exact, true
}

// pathOf is pathConstant for expressions of which each is an element.
func (p *pass) pathOf(list []*pg.Node) (names []string, exact, ok bool) {
	all := make([]string, len(list))
	for i, n := range list {
		if all[i], ok = p.textConstant(n); !ok {
			return nil, false, false
		}
	}
	names, exact = path(all)
	return names, exact, true
}

// path returns what of a path are names, whatever the document is: what may be the
// number of an array's element ends it.
func path(list []string) (names []string, exact bool) {
	for i, s := range list {
		if indexes(s) {
			return list[:i], false
		}
	}
	return list, true
}

// indexes reports whether the server may take an element of a path for the number of
// an array's element.
func indexes(s string) bool {
	s = strings.TrimLeft(s, " \t\n\v\f\r")
	return s != "" && (s[0] == '+' || s[0] == '-' || '0' <= s[0] && s[0] <= '9')
}

// arrayOf returns the elements of an array of text in the server's notation, if it is
// a simple one: without escapes, NULL and further dimensions.
func arrayOf(s string) ([]string, bool) {
	s, ok := strings.CutPrefix(s, "{")
	if !ok {
		return nil, false
	}
	s, ok = strings.CutSuffix(s, "}")
	if !ok || strings.ContainsAny(s, `{}\`) {
		return nil, false
	}
	const space = " \t\n\v\f\r"
	if strings.Trim(s, space) == "" {
		return nil, true
	}
	var out []string
	for more := true; more; {
		s = strings.TrimLeft(s, space)
		var e string
		if rest, quoted := strings.CutPrefix(s, `"`); quoted {
			if e, s, ok = strings.Cut(rest, `"`); !ok {
				return nil, false
			}
			if s = strings.TrimLeft(s, space); s != "" && s[0] != ',' {
				return nil, false
			}
			_, s, more = strings.Cut(s, ",")
		} else {
			e, s, more = strings.Cut(s, ",")
			if e = strings.TrimRight(e, space); e == "" || strings.EqualFold(e, "null") || strings.Contains(e, `"`) {
				return nil, false
			}
		}
		out = append(out, e)
	}
	return out, true
}
