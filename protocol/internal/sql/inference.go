package sql

import (
	"cmp"
	"slices"

	"github.com/sallyport-dev/gateway/protocol"
)

// Inferences gather what a statement tells of columns without showing them. A
// dialect tells of each value that it looks at and drops, as in a condition: what
// becomes part of a column of the result need not be told of, unless computing it may
// fail, take its time or yield NULL by what is in it. The zero Inferences is ready.
type Inferences struct {
	set     map[protocol.Inference]any // where it was first told of
	unknown bool
}

// Lost says that the statement may tell of anything.
func (t *Inferences) Lost() { t.unknown = true }

// Known reports whether all that the statement tells of is known.
func (t *Inferences) Known() bool { return !t.unknown }

// Tell notes that the statement tells of what v comes from. at is the place in the
// statement: a column that is compared with one constant at two places is compared
// with a list of them.
func (t *Inferences) Tell(v Value, how protocol.How, at any) {
	if !v.Known {
		t.unknown = true
	}
	for i := range v.Sources {
		s := &v.Sources[i]
		h := how
		if s.Edge != protocol.EdgeIdentity && how != protocol.HowUnknown && !(s.Edge == protocol.EdgeMember && how == protocol.HowMember) {
			h = protocol.HowComputed
		}
		i := protocol.Inference{ColumnRef: s.ColumnRef, How: h, Path: s.Path}
		if first := t.set[i]; h == protocol.HowEquality && first != nil && first != at {
			t.add(protocol.Inference{ColumnRef: s.ColumnRef, How: protocol.HowList, Path: s.Path}, at)
		}
		t.add(i, at)
	}
}

// An Operand is one side of a comparison.
type Operand struct {
	Value
	Fixed bool // the same for every row: a constant or an argument
	Base  bool // a column of a table, as it is
}

// Compare notes that two values are compared.
func (t *Inferences) Compare(l, r Operand, how protocol.How, at any) {
	for _, side := range [2][2]Operand{{l, r}, {r, l}} {
		v, with := side[0], side[1]
		h := how
		if how == protocol.HowEquality && !with.Fixed {
			if h = protocol.HowList; v.Base && with.Base {
				h = protocol.HowJoin
			}
		}
		t.Tell(v.Value, h, at)
	}
}

// Add notes what a part tells that was analysed by itself, such as a view.
func (t *Inferences) Add(list []protocol.Inference, known bool) {
	for _, i := range list {
		t.add(i, nil)
	}
	t.unknown = t.unknown || !known
}

func (t *Inferences) add(i protocol.Inference, at any) {
	if t.set == nil {
		t.set = map[protocol.Inference]any{}
	}
	if t.set[i] == nil {
		t.set[i] = at
	}
}

// Sorted returns what was gathered, by column.
func (t *Inferences) Sorted() []protocol.Inference {
	if len(t.set) == 0 {
		return nil
	}
	out := make([]protocol.Inference, 0, len(t.set))
	for i := range t.set {
		out = append(out, i)
	}
	slices.SortFunc(out, CompareInference)
	return out
}

// CompareInference orders inferences by column, how and path.
func CompareInference(a, b protocol.Inference) int {
	return cmp.Or(CompareRef(a.ColumnRef, b.ColumnRef), cmp.Compare(a.How, b.How), cmp.Compare(a.Path, b.Path))
}
