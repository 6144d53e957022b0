package sql

import (
	"sync/atomic"

	"github.com/sallyport-dev/gateway/protocol"
)

// The kinds of relation, as in pg_class.relkind.
const (
	Table            = 'r'
	PartitionedTable = 'p'
	View             = 'v'
	MaterializedView = 'm'
	ForeignTable     = 'f'
	Sequence         = 'S'
	CompositeType    = 'c'
	ToastTable       = 't'
)

// A Relation is a table or anything else that has columns.
type Relation struct {
	OID          uint32
	Schema, Name string
	Kind         byte
	Columns      []Column // in order; dropped columns left out
	Definition   string   // of a view: its query, with names that resolve in pg_catalog alone
	Parents      []uint32 // tables that this one inherits from or is a partition of

	// Unproven says why reading the relation may run code that somebody
	// defined, such as row security; "" if it cannot.
	Unproven string

	// Triggers says why writing to the relation runs code that somebody
	// defined, such as a trigger; "" if it does not.
	Triggers string

	// Code is how a dialect knows what the triggers do; none: it does not.
	Code []any

	// Rules says that somebody defined rules which rewrite what is written to
	// the relation: it may return anything, even where its text returns nothing.
	// So does MySQL's default that reads a variable: it may write anything.
	Rules bool

	// Policies says that row security calls functions that may change the
	// session's settings.
	Policies bool

	children  []uint32
	expansion atomic.Pointer[Expansion]
	lineage   atomic.Pointer[[]Value]
}

// A Column is a column of a relation.
type Column struct {
	Num  int16
	Name string
	Type uint32
	From []int16 // of a generated column: the columns it is computed from, also by way of others

	Hidden bool // * leaves it out
}

// System reports whether r came with the server.
func (r *Relation) System() bool { return r.OID < FirstUserOID }

// Ref returns the reference to a column of r.
func (r *Relation) Ref(column string) protocol.ColumnRef {
	return protocol.ColumnRef{Schema: r.Schema, Table: r.Name, Column: column}
}

// KindName returns the kind of r in words, as in protocol.Object.
func (r *Relation) KindName() string {
	switch r.Kind {
	case View:
		return "view"
	case MaterializedView:
		return "materialized view"
	case ForeignTable:
		return "foreign table"
	case Sequence:
		return "sequence"
	case CompositeType:
		return "type"
	default:
		return "table"
	}
}

// Find returns the position of the column with a name, or -1.
func (r *Relation) Find(column string) int {
	for i := range r.Columns {
		if r.Columns[i].Name == column {
			return i
		}
	}
	return -1
}
