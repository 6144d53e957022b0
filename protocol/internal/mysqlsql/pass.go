package mysqlsql

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

// A pass collects what is found out about one statement.
type pass struct {
	a       *Analyzer
	st      *State
	named   bool // names were looked up
	catalog *sql.Catalog

	access    protocol.Access
	impure    string // why it may change something
	unknown   string // why not all that it reads is known
	reads     sql.Sources
	tells     sql.Inferences
	numbers   sql.Inferences // if an argument is no text
	kept      sql.Sources    // what goes into what is written, of reads
	keptAny   bool           // all of reads may
	objects   []protocol.Object
	writes    []protocol.ColumnRef
	setsState bool
	sets      bool // a setting of the server, or the number of an error, gets what is computed
	depth     int
	chain     []uint32 // views that are being expanded
	database  string   // where names without a schema are looked up

	literal   bool                  // the value of a literal was looked at
	taken     *ast.FuncCallExpr     // of whose value another call takes a part
	remembers bool                  // the session's memory was looked at
	before    map[string]remembered // what the statement itself assigns, as far as it is known
	assigned  map[string]remembered
	locals    map[string]bool // variables of the routine whose body it is
	effects   effects

	base      *scope // what is around the statement: the variables of a body
	upserts   bool   // it is in ON DUPLICATE KEY UPDATE
	changed   *scope // the one table that is changed, as RETURNING sees it
	changes   bool   // definitions may be changed
	unbounded bool
	calling   []*routine // whose code it is, outermost first
	events    []string   // of triggers: what is done to rows
	portion   bool       // FOR PORTION OF: of a row that is changed the rest is inserted
}

func newPass(a *Analyzer, st *State) *pass { return &pass{a: a, st: st, database: st.Database} }

func (p *pass) notPure(why string) {
	if p.impure == "" {
		p.impure = why
	}
}

func (p *pass) notKnown(why string) {
	if p.unknown == "" {
		p.unknown = why
	}
}

// object notes that something is touched.
func (p *pass) object(kind, name string, access protocol.Access) {
	for i := range p.objects {
		if p.objects[i].Kind == kind && p.objects[i].Name == name {
			p.objects[i].Access |= access
			return
		}
	}
	p.objects = append(p.objects, protocol.Object{Kind: kind, Name: name, Access: access})
}

// use notes that a value is read.
func (p *pass) use(v sql.Value) sql.Value {
	p.reads = p.reads.Merge(v.Sources)
	if !v.Known {
		p.notKnown("where a column comes from is not known")
	}
	return v
}

// join returns what depends on both values.
func join(a, b sql.Value) sql.Value {
	out := sql.Value{Known: a.Known && b.Known, Sources: a.Sources.Merge(b.Sources)}
	if a.Type == b.Type {
		out.Type = a.Type
	}
	return out
}

func through(v sql.Value, e protocol.Edge) sql.Value {
	v.Sources = v.Sources.Through(e)
	return v
}

// known is a value that depends on nothing in the database.
var known = sql.Value{Known: true}

// A col is a column of a row source. vague says that the server may call it
// otherwise: what has no name of its own it calls by its text, with comments and
// all, and of a name it leaves out a space in front.
type col struct {
	name  string // in lower case: names of columns are not case sensitive
	val   sql.Value
	vague bool
}

// certain reports whether a name of a column is to the server what it is here: of
// letters beyond ASCII each has its own idea which are the same.
func certain(name string) bool {
	for i := range len(name) {
		if name[i] >= 0x80 {
			return false
		}
	}
	return name != "" && name[0] > ' ' && name[0] < 0x7f
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
	name, schema string // in lower case
	as           string // the name as it is written: that of another case may be another
	rel          *sql.Relation
	hidden       bool // * leaves some of its columns out
}

// shown returns what * stands for.
func (it *item) shown() (cols []col) {
	if !it.hidden {
		return it.cols
	}
	for i := range it.cols {
		if !it.rel.Columns[i].Hidden {
			cols = append(cols, it.cols[i])
		}
	}
	return cols
}

// A scope is where the names of one query level are looked up.
type scope struct {
	parent *scope
	with   map[string]*rowset // common table expressions; nil value: not known yet
	items  []*item
	cols   []col // what * stands for, in its order
	open   bool
	shows  bool  // it is that of a SHOW: any name is a column that holds nothing of anybody's data
	alias  []col // labels of the select list, for ORDER BY and the like
	loose  bool  // what is found here may not be there for the server: that of ON are fewer
}

// outside returns the scope that a subquery in FROM sees without LATERAL.
func (s *scope) outside() *scope { return &scope{parent: s.parent, with: s.with} }

// cte looks a common table expression up. It is nil if there are several that may
// be meant: MariaDB takes an outer one before an inner one where WITH stands right
// within another.
func (s *scope) cte(name string) (r *rowset, ok bool) {
	for ; s != nil; s = s.parent {
		for n, one := range s.with {
			switch {
			case !mayEqual(n, name):
			case ok || n != name:
				return nil, true
			default:
				r, ok = one, true
			}
		}
	}
	return r, ok
}

// mayEqual reports whether a server may take two names for the same: each has its
// own idea which letters beyond ASCII are.
func mayEqual(a, b string) bool {
	x, y := []rune(a), []rune(b)
	return slices.EqualFunc(x, y, func(c, d rune) bool { return c == d || c >= 0x80 || d >= 0x80 })
}

// find looks a column up in a list. A name that occurs twice is an error on the
// server; all that it could mean is returned.
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

// meant is find for a reference: the value is of all that the server could mean.
// named says that there is a column of that name, and sure that it is the one.
func meant(cols []col, name string) (v sql.Value, some, named, sure bool) {
	for _, c := range cols {
		if c.name == name {
			named, sure = true, sure || !c.vague
		}
	}
	for _, c := range cols {
		if c.name == name || c.vague && !sure {
			v, some = either(v, c.val, some), true
		}
	}
	return v, some, named, sure
}

// either joins w to v, which is a value only if there is some.
func either(v, w sql.Value, some bool) sql.Value {
	if some {
		return join(v, w)
	}
	return w
}

// implicit are columns that a table may have without any definition: the key, and
// what a system-versioned one keeps.
var implicit = set(`_rowid row_start row_end`)

// column resolves a reference to a column: it is that of the innermost query which
// has such a one for certain, or of a query on the way there which may have it.
func (p *pass) column(n *ast.ColumnName, s *scope) sql.Value {
	name, table, schema := n.Name.L, n.Table.L, n.Schema.L
	plain := certain(n.Name.O)
	var v sql.Value
	found, some := false, false
	for q := s; q != nil; q = q.parent {
		open, sure, unlisted := table == "" && q.open, false, false
		for _, it := range q.items {
			if table != "" && (it.name != table || schema != "" && it.schema != "" && it.schema != schema) {
				continue
			}
			open = open || it.open
			w, any, named, certain := meant(it.cols, name)
			if any {
				v, some = either(v, w, some), true
			}
			found = found || named
			unlisted = unlisted || !named && it.rel != nil && it.rel.Kind == sql.Table && within(implicit, name)
			sure = sure || certain && (table == "" || (p.st.Folded || it.as == n.Table.O) && (schema == "" || it.schema == schema))
		}
		if table == "" {
			if w, ok := find(q.alias, name); ok { // by the clause
				v, some, found = either(v, w, some), true, true
			}
		}
		switch {
		case open, unlisted && !sure:
			v.Known = false
			return p.use(v)
		case sure && plain && !q.loose:
			return p.use(v)
		case table == "" && q.shows && !found:
			return known
		}
	}
	if !found {
		return p.missing("column " + strings.TrimPrefix(table+"."+name, "."))
	}
	return p.use(v)
}

// missing is a name that was not found: the server may know better.
func (p *pass) missing(what string) sql.Value {
	p.notPure(what + " cannot be resolved")
	p.notKnown(what + " cannot be resolved")
	return sql.Value{}
}

// fold returns a name of a table or schema as the target compares it.
func (p *pass) fold(n ast.CIStr) string {
	if p.st.Folded {
		return n.L
	}
	return n.O
}

// relation looks a table up. rel is nil if it is not known.
func (p *pass) relation(n *ast.TableName) (schema, name string, rel *sql.Relation) {
	p.named = true
	p.catalog = p.st.catalog()
	schema, name = p.fold(n.Schema), p.fold(n.Name)
	if n.Schema.O == "" {
		schema = p.database
	}
	if strings.EqualFold(schema, "information_schema") || strings.EqualFold(schema, "performance_schema") {
		schema, name = strings.ToLower(schema), strings.ToUpper(name)
	}
	if p.catalog == nil || schema == "" {
		return schema, name, nil
	}
	return schema, name, p.catalog.Lookup(schema, name)
}

// table returns what reading a table yields.
func (p *pass) table(n *ast.TableName, access protocol.Access) *item {
	schema, name, rel := p.relation(n)
	it := &item{name: strings.ToLower(name), schema: strings.ToLower(schema), as: n.Name.O, rel: rel}
	kind := "table"
	if rel != nil {
		kind = rel.KindName()
	}
	p.object(kind, schema+"."+name, access)
	if n.AsOf != nil || n.TableSample != nil {
		p.notPure("a clause of TiDB's")
	}
	if t := p.temp(schema, name); t != nil {
		it.rel, it.cols, it.open = t.rel, t.cols, t.maybe
		if t.maybe {
			p.tells.Lost()
			p.missing("temporary table " + name)
		}
		return it
	}
	lost := p.st.Memory != nil && p.st.Memory.lost
	if rel == nil && !lost && p.catalog != nil && p.st.MariaDB && numbers(name) {
		own := sql.Of(protocol.ColumnRef{Schema: schema, Table: name, Column: "seq"}, protocol.EdgeIdentity)
		it.cols = []col{{"seq", sql.Value{Known: true, Sources: own, Type: typeNumber}, false}}
		return it
	}
	if rel == nil || lost {
		it.open = true
		p.tells.Lost() // it may be a view, with conditions of whatever kind
		p.missing("table " + schema + "." + name)
		return it
	}
	switch {
	case rel.Unproven != "":
		p.notPure(rel.Unproven)
		p.notKnown(rel.Unproven)
		p.tells.Lost()
	case rel.Kind == sql.View:
		x := p.catalog.Expansion(rel, p.chain)
		p.tells.Add(x.Inferred, x.InferredKnown)
		if p.reads = p.reads.Merge(x.Reads); !x.ReadsKnown {
			p.notKnown("view " + schema + "." + name + ": " + x.Why)
		}
		why := ""
		if x.Access&protocol.Execute != 0 {
			why = p.hidden(x.Objects)
		}
		if why != "" {
			it.open = true
			p.tells.Lost()
			p.notKnown("view " + schema + "." + name + ": " + why)
		}
		p.left(x, why == "")
		if !x.Pure {
			p.notPure("view " + schema + "." + name + ": " + x.Why)
		}
		p.access |= x.Access &^ protocol.Opaque
		for _, o := range x.Objects {
			p.object(o.Kind, o.Name, o.Access)
		}
	}
	for i, v := range p.catalog.Lineage(rel, p.chain) {
		if holdsSettings(rel) {
			v = join(v, p.insertID())              // which is one of them
			v.Known = v.Known && len(p.chain) == 0 // a view's are those of whoever asks
		}
		v.Known = v.Known && !leaks(rel, rel.Columns[i].Name) && rel.Unproven == ""
		it.cols = append(it.cols, col{strings.ToLower(rel.Columns[i].Name), v, !certain(rel.Columns[i].Name)})
		it.hidden = it.hidden || rel.Columns[i].Hidden
	}
	return it
}

// deeper counts how deep the analysis is and gives up before its stack does.
func (p *pass) deeper() func() {
	if p.depth++; p.depth > 4*maxNesting {
		panic(fmt.Errorf("it is nested too deep"))
	}
	return func() { p.depth-- }
}
