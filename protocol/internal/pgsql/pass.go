package pgsql

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/pgcopy"
	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

// maxSteps bounds the work on one text: it is counted in nodes and columns
// looked at. The longest honest statements stay far below.
const maxSteps = 2 << 20

// A pass is the analysis of one parsed text, or of one view's definition.
type pass struct {
	st    *State
	chain []uint32 // views that are being expanded
	steps int

	// literal says that the value of a literal was looked at, so that the
	// result does not hold for other texts of the same shape.
	literal bool

	// mistrust says why nothing is proven pure in this session, "" if nothing
	// is the matter.
	mistrust string

	setting string // that the call which is looked at names first

	facts
}

// facts are what is gathered about one statement.
type facts struct {
	access  protocol.Access
	impure  string // why it is not proven to be pure
	unknown string // why the reads are not complete
	reads   *refs
	writes  *refs
	tells   *sql.Inferences
	kept    *refs // what goes into what is written, of reads
	keptAny bool  // all of reads may
	objects []protocol.Object
	effect  Effect
	shape   protocol.Shape
	columns []protocol.Column
	bounded bool
	inner   *Statement
	copies  *pgcopy.Format
	configs int // calls of set_config

	given  bool // a literal or an argument has the type of what it stands beside
	custom bool // values are read whose type may run code to read a literal

	// The same precisely, where types are known.
	loose     int      // literals and arguments of which it is not known what they stand beside
	unclear   bool     // a value whose type is not known is an operand or an argument
	populated bool     // parts of a document are read as values of the types of a row
	json      bool     // JSON is made of a value whose type is not known
	code      typeCode // what may run for the values that are read

	taken *pg.A_Expr // of whose value another operator takes a part

	resolved  bool                   // the catalog was asked, or would have been
	argsKnown bool                   // of EXECUTE
	subname   map[*pg.SubLink]string // the name of a scalar subquery's column
}

// refs is a set of columns. A pass that wants to know what a part reads puts a
// set of its own in place for a while.
type refs struct {
	set map[protocol.ColumnRef]struct{}
}

func (r *refs) add(ref protocol.ColumnRef) {
	if r.set == nil {
		r.set = map[protocol.ColumnRef]struct{}{}
	}
	r.set[ref] = struct{}{}
}

func (r *refs) addAll(list sql.Sources) {
	for i := range list {
		r.add(list[i].ColumnRef)
	}
}

func (r *refs) sorted() []protocol.ColumnRef {
	if len(r.set) == 0 {
		return nil
	}
	out := make([]protocol.ColumnRef, 0, len(r.set))
	for ref := range r.set {
		out = append(out, ref)
	}
	slices.SortFunc(out, sql.CompareRef)
	return out
}

func newPass(st *State) *pass {
	p := &pass{st: st}
	if i := slices.Index(st.SearchPath, "pg_catalog"); i > 0 {
		// A built-in function written in SQL could find somebody's operators
		// before its own.
		p.mistrust = "the search_path puts a schema before pg_catalog"
	}
	p.reset()
	return p
}

// catalog returns the catalog, which may be nil.
func (p *pass) catalog() *sql.Catalog {
	p.resolved = true
	return p.st.Catalog
}

func (p *pass) reset() {
	p.facts = facts{reads: &refs{}, writes: &refs{}, kept: &refs{}, tells: &sql.Inferences{}, bounded: true, impure: p.mistrust}
}

// step counts work and reports whether there may be more.
func (p *pass) step(n int) bool {
	p.steps += n
	if p.steps > maxSteps {
		p.notKnown("the statement is too large to analyse")
		p.notPure("the statement is too large to analyse")
		p.access |= protocol.Opaque
		return false
	}
	return true
}

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

// runs notes that code runs whose effect cannot be seen.
func (p *pass) runs(why string) {
	p.access |= protocol.Execute
	p.effect.Flags |= RunsCode
	p.notPure(why)
}

// object notes that the statement touches something.
func (p *pass) object(kind, name string, a protocol.Access) {
	for i := range p.objects {
		if o := &p.objects[i]; o.Kind == kind && o.Name == name {
			o.Access |= a
			return
		}
	}
	p.objects = append(p.objects, protocol.Object{Kind: kind, Name: name, Access: a})
}

// within runs f with a set of reads of its own and returns what f read; the
// reads count for the statement as well.
func (p *pass) within(f func()) sql.Sources {
	outer := p.reads
	p.reads = &refs{}
	f()
	inner := p.reads
	p.reads = outer
	list := make(sql.Sources, 0, len(inner.set))
	for _, ref := range inner.sorted() {
		outer.add(ref)
		list = append(list, protocol.Source{ColumnRef: ref, Edge: protocol.EdgeTransform})
	}
	return list
}

// statement analyses one statement.
func (p *pass) statement(n *pg.Node) Statement {
	p.reset()
	return p.finish(p.node(n))
}

// finish makes a Statement of the facts.
func (p *pass) finish(verb protocol.Verb) Statement {
	if p.given && p.custom {
		p.effect.Flags |= RunsCode // the constraints of a domain, before or while it runs
	}
	p.unclearTypes()
	s := Statement{
		Verb:       verb,
		Access:     p.access,
		Bounded:    p.bounded,
		Objects:    p.objects,
		Reads:      p.reads.sorted(),
		ReadsKnown: p.unknown == "",
		Writes:     p.writes.sorted(),
		Columns:    p.columns,
		Shape:      p.shape,
		Effect:     p.effect,
		Inner:      p.inner,
		Copy:       p.copies,
		ArgsKnown:  p.argsKnown,
		Resolved:   p.resolved,
	}
	if s.Access == 0 {
		s.Access = protocol.Opaque
	}
	s.Returned = p.returned(&s)
	s.Inferred, s.InferredKnown = p.tells.Sorted(), p.tells.Known() && !s.Access.Has(protocol.Execute|protocol.Opaque)
	switch verb {
	case "select", "values", "table", "show", "explain":
		s.Pure = p.impure == "" && s.Access == protocol.Read
		s.Resolved = true // what is pure depends on the search_path
	}
	s.Resolved = s.Resolved || s.Access.Has(protocol.Opaque)
	if s.Access.Has(protocol.Opaque) {
		s.Shape |= protocol.Rows | protocol.Bytes // whatever comes
		if s.Why = p.unknown; s.Why == "" {
			s.Why = p.impure
		}
	}
	return s
}
