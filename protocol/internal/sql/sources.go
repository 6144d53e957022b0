package sql

import (
	"cmp"
	"slices"

	"github.com/sallyport-dev/gateway/protocol"
)

// Sources are the base columns that a value depends on, sorted and each at
// most once, with the edge that says most against it. A Sources value is never
// changed once made, so it may be shared. The zero Sources depends on nothing:
// whoever does not know must say so beside it.
type Sources []protocol.Source

// Of returns the sources made of one column.
func Of(ref protocol.ColumnRef, e protocol.Edge) Sources {
	return Sources{{ColumnRef: ref, Edge: e}}
}

// weight orders edges by how strictly a value that came through them has to be
// treated. An aggregate of many values shows least, unknown may show anything.
func weight(e protocol.Edge) int {
	switch e {
	case protocol.EdgeAggregate:
		return 0
	case protocol.EdgeIdentity:
		return 1
	case protocol.EdgeTransform:
		return 2
	case protocol.EdgeOpaque:
		return 3
	default:
		return 4
	}
}

// Worse returns the edge of a and b that has to be treated more strictly.
func Worse(a, b protocol.Edge) protocol.Edge {
	if weight(b) > weight(a) {
		return b
	}
	return a
}

// Merge returns what depends on s and on t.
func (s Sources) Merge(t Sources) Sources {
	switch {
	case len(t) == 0:
		return s
	case len(s) == 0:
		return t
	case len(s) == len(t) && &s[0] == &t[0]:
		return s
	}
	out := make(Sources, 0, len(s)+len(t))
	i, j := 0, 0
	for i < len(s) && j < len(t) {
		switch c := CompareRef(s[i].ColumnRef, t[j].ColumnRef); {
		case c < 0:
			out = append(out, s[i])
			i++
		case c > 0:
			out = append(out, t[j])
			j++
		default:
			out = append(out, protocol.Source{ColumnRef: s[i].ColumnRef, Edge: Worse(s[i].Edge, t[j].Edge)})
			i++
			j++
		}
	}
	out = append(out, s[i:]...)
	return append(out, t[j:]...)
}

// Through returns the sources of a value that is computed from one with
// sources s by an operation whose own edge is e. An aggregate stays one when
// it is transformed further, and what went through something opaque or unknown
// does not become clearer.
func (s Sources) Through(e protocol.Edge) Sources {
	if e == protocol.EdgeIdentity {
		return s
	}
	var out Sources
	for i, src := range s {
		next := then(src.Edge, e)
		if next == src.Edge {
			continue
		}
		if out == nil {
			out = slices.Clone(s)
		}
		out[i].Edge = next
	}
	if out == nil {
		return s
	}
	return out
}

// then returns the edge of first a, then b.
func then(a, b protocol.Edge) protocol.Edge {
	switch {
	case a == protocol.EdgeUnknown || b == protocol.EdgeUnknown:
		return protocol.EdgeUnknown
	case a == protocol.EdgeOpaque || b == protocol.EdgeOpaque:
		return protocol.EdgeOpaque
	case a == protocol.EdgeAggregate || b == protocol.EdgeAggregate:
		return protocol.EdgeAggregate
	case a == protocol.EdgeTransform || b == protocol.EdgeTransform:
		return protocol.EdgeTransform
	default:
		return protocol.EdgeIdentity
	}
}

// Refs returns the columns of s without their edges.
func (s Sources) Refs() []protocol.ColumnRef {
	out := make([]protocol.ColumnRef, len(s))
	for i := range s {
		out[i] = s[i].ColumnRef
	}
	return out
}

// sorted returns the sources in list, which may repeat columns, in order.
func sorted(list []protocol.Source) Sources {
	slices.SortFunc(list, func(a, b protocol.Source) int { return CompareRef(a.ColumnRef, b.ColumnRef) })
	out := list[:0]
	for _, src := range list {
		if n := len(out); n > 0 && out[n-1].ColumnRef == src.ColumnRef {
			out[n-1].Edge = Worse(out[n-1].Edge, src.Edge)
			continue
		}
		out = append(out, src)
	}
	return out
}

// CompareRef orders columns by schema, table and column.
func CompareRef(a, b protocol.ColumnRef) int {
	return cmp.Or(cmp.Compare(a.Schema, b.Schema), cmp.Compare(a.Table, b.Table), cmp.Compare(a.Column, b.Column))
}
