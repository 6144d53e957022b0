package pgsql

import (
	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

// A col is a column of a row source: a table, a subquery, a join.
type col struct {
	name string
	val  sql.Value
}

// A rowset is what a query or an item of FROM yields. open says that there may
// be further columns, so that neither their number nor a missing name proves
// anything.
type rowset struct {
	cols []col
	open bool
}

// An item is something in FROM that can be named.
type item struct {
	rowset
	name   string
	schema string        // of a table without an alias
	rel    *sql.Relation // nil unless a relation
}

// row returns the value of the whole row of it.
func (it *item) row() sql.Value {
	out := sql.Value{Known: !it.open}
	if it.rel != nil {
		out.Sources = sql.Of(it.rel.Ref("*"), protocol.EdgeOpaque)
	}
	for _, c := range it.cols {
		out = join(out, through(c.val, protocol.EdgeOpaque, 0))
	}
	out.Type = 0
	return out
}

// A scope is where the names of one query level are looked up.
type scope struct {
	parent  *scope
	with    map[string]*rowset // common table expressions; nil value: not known yet
	items   []*item            // by qualified name
	cols    []col              // by plain name, in the order of *
	open    bool
	windows map[string]sql.Value
}

// outside returns the scope that a subquery in FROM sees without LATERAL: the
// common table expressions of s and what is around it, not its items.
func (s *scope) outside() *scope { return &scope{parent: s.parent, with: s.with} }

// add puts what an item of FROM yields into s.
func (s *scope) add(f source) {
	s.items = append(s.items, f.items...)
	s.cols = append(s.cols, f.cols...)
	s.open = s.open || f.open
}

// and returns s with f added, leaving s as it is.
func (s *scope) and(f source) *scope {
	t := *s
	t.items = append(append([]*item(nil), s.items...), f.items...)
	t.cols = append(append([]col(nil), s.cols...), f.cols...)
	t.open = s.open || f.open
	return &t
}

// cte finds a common table expression.
func (s *scope) cte(name string) (r *rowset, ok bool) {
	for ; s != nil; s = s.parent {
		if r, ok = s.with[name]; ok {
			return r, true
		}
	}
	return nil, false
}

// find looks a column up in a list. A name that occurs twice is an error on
// the server; all that it could mean is returned.
func find(cols []col, name string) (v sql.Value, ok bool) {
	for _, c := range cols {
		if c.name != name {
			continue
		}
		if !ok {
			v, ok = c.val, true
			continue
		}
		v = join(v, c.val)
	}
	return v, ok
}

// item finds what a qualifier names.
func (s *scope) item(schema, name string) *item {
	for ; s != nil; s = s.parent {
		for _, it := range s.items {
			if it.name == name && (schema == "" || it.schema == schema) {
				return it
			}
		}
	}
	return nil
}

// column resolves a reference to a column, a field or a whole row.
func (p *pass) column(x *pg.ColumnRef, s *scope) sql.Value {
	fields := x.Fields
	if n := len(fields); n > 0 && fields[n-1].GetAStar() != nil {
		names := strs(fields[:n-1])
		switch len(names) {
		case 0:
			// A bare star in an expression: count(*) does not come here.
			return p.use(sql.Value{})
		case 1:
			return p.wholeRow(s.item("", names[0]), names[0])
		default:
			return p.wholeRow(s.item(names[len(names)-2], names[len(names)-1]), names[len(names)-1])
		}
	}
	names := strs(fields)
	switch len(names) {
	case 1:
		return p.plainColumn(names[0], s)
	case 2:
		return p.qualified(s.item("", names[0]), names[0], names[1])
	case 3:
		return p.qualified(s.item(names[0], names[1]), names[1], names[2])
	case 4:
		return p.qualified(s.item(names[1], names[2]), names[2], names[3])
	default:
		return p.missing("column " + last(fields))
	}
}

func (p *pass) plainColumn(name string, s *scope) sql.Value {
	for q := s; q != nil; q = q.parent {
		p.step(len(q.cols) / 8)
		v, ok := find(q.cols, name)
		switch {
		case ok && q.open:
			v.Known = false // the server may see two of the name, or another meaning
			p.notKnown("column " + name + " may be one of a relation that is not known")
			return p.use(v)
		case ok:
			return p.use(v)
		case q.open:
			return p.missing("column " + name)
		}
		if v, ok := systemColumn(q.items, name); ok {
			return p.use(v)
		}
	}
	if it := s.item("", name); it != nil {
		return p.wholeRow(it, name)
	}
	return p.missing("column " + name)
}

func (p *pass) qualified(it *item, table, name string) sql.Value {
	if it == nil {
		return p.missing("column " + table + "." + name)
	}
	if v, ok := find(it.cols, name); ok {
		v.Known = v.Known && !it.open
		return p.use(v)
	}
	if v, ok := systemColumn([]*item{it}, name); ok {
		return p.use(v)
	}
	if !it.open && len(p.functions("", name)) > 0 {
		// table.function is a call of function with the row.
		p.userFunctions(p.functions("", name), name)
		v := p.wholeRow(it, table)
		v.Known = false
		return v
	}
	return p.missing("column " + table + "." + name)
}

// systemColumn finds one of the columns that every table has.
func systemColumn(items []*item, name string) (v sql.Value, ok bool) {
	typ := uint32(0)
	switch name {
	case "ctid":
		typ = 27
	case "tableoid":
		typ = 26
	case "xmin", "xmax":
		typ = 28
	case "cmin", "cmax":
		typ = 29
	default:
		return sql.Value{}, false
	}
	for _, it := range items {
		if it.rel != nil {
			c := sql.Value{Known: true, Sources: sql.Of(it.rel.Ref(name), protocol.EdgeIdentity), Type: typ}
			if ok {
				c = join(c, v)
			}
			v, ok = c, true
		}
	}
	return v, ok
}

// wholeRow is a reference to a row as a value. What is done with it may call
// the code of any of its types.
func (p *pass) wholeRow(it *item, name string) sql.Value {
	if it == nil {
		return p.missing("row " + name)
	}
	p.notPure("row " + name + " is used as a value")
	for i := range it.cols {
		p.use(it.cols[i].val)
	}
	return p.use(it.row())
}

// missing is a name that was not found: the server may know better.
func (p *pass) missing(what string) sql.Value {
	p.notPure(what + " cannot be resolved")
	p.notKnown(what + " cannot be resolved")
	return sql.Value{}
}

// use notes that a value is read.
func (p *pass) use(v sql.Value) sql.Value {
	p.reads.addAll(v.Sources)
	if !v.Known {
		p.notKnown("where a column comes from is not known")
	}
	if v.Type != 0 && !p.harmlessType(v.Type) {
		p.notPure("a column's type is user-defined")
		p.custom = p.custom || !p.trustedType(v.Type)
		p.code |= p.codeOf(v.Type)
	}
	return v
}
