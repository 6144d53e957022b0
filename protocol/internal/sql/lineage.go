package sql

import (
	"slices"

	"github.com/sallyport-dev/gateway/protocol"
)

// A Value is what is known of where a value comes from. The zero Value is
// unknown.
type Value struct {
	Known   bool // Sources is complete
	Sources Sources
	Type    uint32 // OID, 0 if not known

	// Literal is set of what has no type of its own and takes that of what it
	// stands beside.
	Literal bool
}

// An Expansion is what reading a view means.
type Expansion struct {
	Columns    []Value // one for each of the view's columns
	Reads      Sources // every column read, conditions included
	ReadsKnown bool    // Reads is complete
	Pure       bool    // proven to change nothing
	Access     protocol.Access
	Objects    []protocol.Object
	Base       *Relation // the one thing that it selects from, nil if it is more or not known: what is written to the view is written to it
	Why        string    // why it is not pure or not known

	Inferred      []protocol.Inference
	InferredKnown bool

	Leaves any // what it leaves behind in the session, in the dialect's own form; nil: nothing
}

// maxChain bounds how deep views may stand on views.
const maxChain = 64

// Expansion returns what reading the view r means. chain holds the views that
// are being expanded already: a view that contains itself, which no server
// allows, is unknown.
func (c *Catalog) Expansion(r *Relation, chain []uint32) *Expansion {
	if x := r.expansion.Load(); x != nil {
		return x
	}
	if c.expand == nil || slices.Contains(chain, r.OID) || len(chain) >= maxChain {
		return &Expansion{Access: protocol.Opaque, Why: "view " + r.Schema + "." + r.Name + " cannot be expanded"}
	}
	x := c.expand(c, r, append(slices.Clip(chain), r.OID))
	r.expansion.Store(x)
	return x
}

// Lineage returns where each of the columns of r comes from, the columns
// themselves first of all. A rule on any of the sources convicts: a column's
// own name, what a view or a generated column computes it from, and the same
// column of the tables that r inherits from or that inherit from r.
func (c *Catalog) Lineage(r *Relation, chain []uint32) []Value {
	if v := r.lineage.Load(); v != nil {
		return *v
	}
	out := make([]Value, len(r.Columns))
	viewed := !r.System() && (r.Kind == View || r.Kind == MaterializedView)
	family := c.family(r)
	for i := range r.Columns {
		col := &r.Columns[i]
		list := []protocol.Source{{ColumnRef: r.Ref(col.Name), Edge: protocol.EdgeIdentity}}
		for _, f := range family {
			if k := f.Find(col.Name); k >= 0 {
				list = append(list, protocol.Source{ColumnRef: f.Ref(col.Name), Edge: protocol.EdgeIdentity})
				list = appendGenerated(list, f, k)
			}
		}
		list = appendGenerated(list, r, i)
		out[i] = Value{Known: !leaksIn(r, col.Name), Sources: sorted(list), Type: col.Type}
	}
	if viewed {
		x := c.Expansion(r, chain)
		for i := range out {
			if i >= len(x.Columns) {
				out[i].Known = false
				continue
			}
			out[i].Known = out[i].Known && x.Columns[i].Known
			out[i].Sources = out[i].Sources.Merge(x.Columns[i].Sources)
		}
		if r.expansion.Load() == nil {
			return out // part of a chain that was cut short
		}
	}
	r.lineage.Store(&out)
	return out
}

// appendGenerated adds the columns that column i of r is generated from.
func appendGenerated(list []protocol.Source, r *Relation, i int) []protocol.Source {
	for _, num := range r.Columns[i].From {
		for k := range r.Columns {
			if r.Columns[k].Num == num {
				list = append(list, protocol.Source{ColumnRef: r.Ref(r.Columns[k].Name), Edge: protocol.EdgeTransform})
			}
		}
	}
	return list
}

// family returns the ancestors and descendants of r, without r.
func (c *Catalog) family(r *Relation) []*Relation {
	return append(c.Ancestors(r), c.Descendants(r)...)
}

// Ancestors returns the tables that r inherits from or is a partition of, at any
// height.
func (c *Catalog) Ancestors(r *Relation) []*Relation {
	return c.reach(r, func(k *Relation) []uint32 { return k.Parents })
}

// Descendants returns the partitions of r and the tables that inherit from it,
// at any depth: reading or writing r reads or writes them.
func (c *Catalog) Descendants(r *Relation) []*Relation {
	return c.reach(r, func(k *Relation) []uint32 { return k.children })
}

// reach returns what next leads to from r, each once and without r.
func (c *Catalog) reach(r *Relation, next func(*Relation) []uint32) []*Relation {
	if len(next(r)) == 0 {
		return nil
	}
	seen := map[uint32]bool{r.OID: true}
	var out []*Relation
	todo := []*Relation{r}
	for len(todo) > 0 {
		k := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, oid := range next(k) {
			if n := c.byOID[oid]; n != nil && !seen[oid] {
				seen[oid] = true
				out = append(out, n)
				todo = append(todo, n)
			}
		}
	}
	return out
}

// Sources returns where the column of a relation comes from, by what results
// say of it on the wire. What is not known contains a source with EdgeUnknown;
// the list is never empty. Number 0 is the whole row, through an opaque edge.
func (c *Catalog) Sources(relOID uint32, num int16) []protocol.Source {
	r := c.byOID[relOID]
	if r == nil {
		return []protocol.Source{{Edge: protocol.EdgeUnknown}}
	}
	lineage := c.Lineage(r, nil)
	if num == 0 {
		v := WholeRow(r, lineage)
		if !v.Known {
			return append(slices.Clone(v.Sources), protocol.Source{Edge: protocol.EdgeUnknown})
		}
		return v.Sources
	}
	for i := range r.Columns {
		if r.Columns[i].Num != num {
			continue
		}
		if !lineage[i].Known {
			return append(slices.Clone(lineage[i].Sources), protocol.Source{Edge: protocol.EdgeUnknown})
		}
		return lineage[i].Sources
	}
	if name := systemColumn(num); name != "" {
		return Of(r.Ref(name), protocol.EdgeIdentity)
	}
	return []protocol.Source{{Edge: protocol.EdgeUnknown}}
}

// WholeRow returns the value of a row of r: every column, and "*" for the row
// itself, through opaque edges.
func WholeRow(r *Relation, lineage []Value) Value {
	out := Value{Known: true, Sources: Of(r.Ref("*"), protocol.EdgeOpaque)}
	for _, v := range lineage {
		out.Known = out.Known && v.Known
		out.Sources = out.Sources.Merge(v.Sources.Through(protocol.EdgeOpaque))
	}
	return out
}
