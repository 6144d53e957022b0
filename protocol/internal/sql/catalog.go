package sql

import (
	"crypto/rand"
	"encoding/binary"
	"iter"
	"maps"
	"sync"

	"github.com/sallyport-dev/gateway/protocol"
)

// A Catalog is an immutable snapshot of a target's definitions. It is safe for
// concurrent use. What it computes from the definitions, such as the lineage
// of a view, it computes when first asked and keeps.
type Catalog struct {
	// Version differs between catalogs with different definitions.
	Version uint64

	key     [16]byte
	schemas [32]byte
	expand  Expand

	byOID     map[uint32]*Relation
	byName    map[name]*Relation
	named     func() map[string][]*Relation
	functions map[string][]*Function
	builtins  map[string]Builtin
	operators map[string][]*Operator
	types     map[uint32]*Type
	typeNames map[name]*Type
	arrays    map[uint32]uint32
	cast      map[uint32]bool
	implicit  map[uint32]bool
}

type name struct{ schema, name string }

// Expand works out what reading the view r means: a dialect's parser and
// analysis. chain holds the views that are being expanded already, outermost
// first; it is handed on to [Catalog.Expansion].
type Expand func(c *Catalog, r *Relation, chain []uint32) *Expansion

// New returns the catalog made of s. Relations, functions and types in s
// belong to the catalog afterwards. expand may be nil: views are then unknown.
func New(s Snapshot, expand Expand) *Catalog {
	c := &Catalog{
		key:       s.Key,
		schemas:   s.Schemas,
		expand:    expand,
		byOID:     make(map[uint32]*Relation, len(s.Relations)),
		byName:    make(map[name]*Relation, len(s.Relations)),
		functions: map[string][]*Function{},
		builtins:  s.Builtins,
		operators: map[string][]*Operator{},
		types:     make(map[uint32]*Type, len(s.Types)),
		typeNames: make(map[name]*Type, len(s.Types)),
		arrays:    map[uint32]uint32{},
		cast:      map[uint32]bool{},
		implicit:  map[uint32]bool{},
	}
	if c.key == [16]byte{} {
		rand.Read(c.key[:])
	}
	c.Version = binary.BigEndian.Uint64(c.key[:])
	c.named = sync.OnceValue(func() map[string][]*Relation {
		m := map[string][]*Relation{}
		for _, r := range s.Relations {
			m[r.Name] = append(m[r.Name], r)
		}
		return m
	})
	for _, r := range s.Relations {
		c.byOID[r.OID] = r
		c.byName[name{r.Schema, r.Name}] = r
	}
	for _, r := range s.Relations {
		for _, p := range r.Parents {
			if parent := c.byOID[p]; parent != nil {
				parent.children = append(parent.children, r.OID)
			}
		}
	}
	for _, f := range s.Functions {
		c.functions[f.Name] = append(c.functions[f.Name], f)
	}
	for _, o := range s.Operators {
		c.operators[o.Name] = append(c.operators[o.Name], o)
	}
	for _, t := range s.Types {
		c.types[t.OID] = t
		c.typeNames[name{t.Schema, t.Name}] = t
		if t.Element != 0 && t.Kind == 'b' {
			c.arrays[t.Element] = t.OID
		}
	}
	for _, k := range s.Casts {
		if !k.Trusted {
			c.cast[k.From], c.cast[k.To] = true, true
		}
		if k.Implicit {
			c.implicit[k.From] = true
		}
	}
	return c
}

// Key identifies the catalog's definitions: analyses made with one catalog hold
// for every catalog with the same key.
func (c *Catalog) Key() [16]byte { return c.key }

// Schemas differs between catalogs where a session may find other schemas by the same
// search_path: there are others, or others may be used.
func (c *Catalog) Schemas() [32]byte { return c.schemas }

// Relation returns the relation with an OID, or nil.
func (c *Catalog) Relation(oid uint32) *Relation { return c.byOID[oid] }

// Lookup returns the relation with a name in a schema, or nil.
func (c *Catalog) Lookup(schema, relation string) *Relation {
	return c.byName[name{schema, relation}]
}

// Named returns the relations with a name, in all schemas.
func (c *Catalog) Named(relation string) []*Relation { return c.named()[relation] }

// Relations returns all relations, in no order.
func (c *Catalog) Relations() iter.Seq[*Relation] { return maps.Values(c.byOID) }

// Column returns the name of a column by what results say of it on the wire.
// Number 0 is the whole row.
func (c *Catalog) Column(relOID uint32, num int16) (ref protocol.ColumnRef, ok bool) {
	r := c.byOID[relOID]
	if r == nil {
		return protocol.ColumnRef{}, false
	}
	if num == 0 {
		return r.Ref("*"), true
	}
	for i := range r.Columns {
		if r.Columns[i].Num == num {
			return r.Ref(r.Columns[i].Name), true
		}
	}
	if name := systemColumn(num); name != "" {
		return r.Ref(name), true
	}
	return protocol.ColumnRef{}, false
}

// systemColumn names the columns that every PostgreSQL table has: they say
// where a row lies and who wrote it when, not what is in it.
func systemColumn(num int16) string {
	switch num {
	case -1:
		return "ctid"
	case -2:
		return "xmin"
	case -3:
		return "cmin"
	case -4:
		return "xmax"
	case -5:
		return "cmax"
	case -6:
		return "tableoid"
	}
	return ""
}

// Functions returns the user-defined functions with a name, in all schemas.
func (c *Catalog) Functions(name string) []*Function { return c.functions[name] }

// Builtin returns what is known of the built-in functions with a name.
func (c *Catalog) Builtin(name string) (Builtin, bool) {
	b, ok := c.builtins[name]
	return b, ok
}

// Operators returns the user-defined operators with a name, in all schemas.
func (c *Catalog) Operators(name string) []*Operator { return c.operators[name] }

// Type returns the type with an OID, or nil.
func (c *Catalog) Type(oid uint32) *Type { return c.types[oid] }

// LookupType returns the type with a name in a schema, or nil.
func (c *Catalog) LookupType(schema, typ string) *Type { return c.typeNames[name{schema, typ}] }

// HasUserCast reports whether a user-defined cast that is not trusted goes from
// or to a type.
func (c *Catalog) HasUserCast(oid uint32) bool { return c.cast[oid] }

// HasImplicitCast reports whether a user-defined cast turns values of a type
// into another without being asked, which may change how functions resolve.
func (c *Catalog) HasImplicitCast(oid uint32) bool { return c.implicit[oid] }

// ArrayOf returns the array type with elements of a type, or 0.
func (c *Catalog) ArrayOf(oid uint32) uint32 { return c.arrays[oid] }
