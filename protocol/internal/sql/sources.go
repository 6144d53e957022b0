package sql

import (
	"cmp"
	"slices"
	"strings"

	"github.com/sallyport-dev/gateway/protocol"
)

// Sources are the base columns that a value depends on, or places in them, sorted and
// each at most once, with the edge that says most against it. A Sources value is never
// changed once made, so it may be shared. The zero Sources depends on nothing:
// whoever does not know must say so beside it.
type Sources []protocol.Source

// Of returns the sources made of one column.
func Of(ref protocol.ColumnRef, e protocol.Edge) Sources {
	return Sources{{ColumnRef: ref, Edge: e}}
}

// weight orders edges by how strictly a value that came through them has to be
// treated. Whether there is a value and an aggregate of many show least, unknown may show
// anything.
func weight(e protocol.Edge) int {
	switch e {
	case protocol.EdgeNull:
		return -1
	case protocol.EdgeAggregate:
		return 0
	case protocol.EdgeIdentity:
		return 1
	case protocol.EdgeMember:
		return 2
	case protocol.EdgeTransform:
		return 3
	case protocol.EdgeOpaque:
		return 4
	default:
		return 5
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
		switch c := compareSource(&s[i], &t[j]); {
		case c < 0:
			out = append(out, s[i])
			i++
		case c > 0:
			out = append(out, t[j])
			j++
		default:
			out = append(out, protocol.Source{ColumnRef: s[i].ColumnRef, Edge: Worse(s[i].Edge, t[j].Edge), Path: s[i].Path})
			i++
			j++
		}
	}
	out = append(out, s[i:]...)
	return append(out, t[j:]...).bounded()
}

// maxPaths bounds in how many places of one column a value may lie: more count as the
// whole column.
const maxPaths = 32

// bounded returns s, which nobody else has, with at most maxPaths places of each
// column.
func (s Sources) bounded() Sources {
	out := s[:0]
	for len(s) > 0 {
		n, all := 1, s[0]
		for n < len(s) && s[n].ColumnRef == all.ColumnRef {
			all.Edge = Worse(all.Edge, s[n].Edge)
			n++
		}
		if n <= maxPaths {
			out = append(out, s[:n]...)
		} else {
			out = append(out, protocol.Source{ColumnRef: all.ColumnRef, Edge: Worse(all.Edge, protocol.EdgeTransform)})
		}
		s = s[n:]
	}
	return out
}

// Through returns the sources of a value that is computed from one with
// sources s by an operation whose own edge is e. What is told by whether there is a value
// tells no more when it is transformed further, an aggregate stays one, and what went through something opaque or unknown
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
	case a == protocol.EdgeNull, a == protocol.EdgeIdentity && b == protocol.EdgeNull:
		return protocol.EdgeNull
	case b == protocol.EdgeNull: // of what was computed
		return then(a, protocol.EdgeTransform)
	case a == protocol.EdgeAggregate || b == protocol.EdgeAggregate:
		return protocol.EdgeAggregate
	case a == protocol.EdgeTransform || b == protocol.EdgeTransform:
		return protocol.EdgeTransform
	case a == protocol.EdgeMember || b == protocol.EdgeMember:
		return protocol.EdgeMember
	default:
		return protocol.EdgeIdentity
	}
}

// Member returns the sources of what lies in a value with sources s, a JSON document,
// below the members of these names. exact says that it is that and nothing else.
func (s Sources) Member(names []string, exact bool) Sources {
	edge, path := protocol.EdgeMember, ""
	if !exact {
		edge = protocol.EdgeTransform
	}
	for _, n := range names {
		path += "/" + pointer.Replace(n)
	}
	out := slices.Clone(s.Through(edge))
	for i := range out {
		switch src := &out[i]; {
		case s[i].Edge != protocol.EdgeIdentity && s[i].Edge != protocol.EdgeMember:
			// Who knows what was made of the document.
		case len(src.Path)+len(path) > maxPath:
			src.Edge = protocol.EdgeTransform
		default:
			src.Path += path
		}
	}
	return sorted(out)
}

// Whole returns s without paths: what depends on a place in a column's value depends on
// the column.
func (s Sources) Whole() Sources {
	if !slices.ContainsFunc(s, func(src protocol.Source) bool { return src.Path != "" }) {
		return s
	}
	out := slices.Clone(s)
	for i := range out {
		if src := &out[i]; src.Path != "" {
			src.Path, src.Edge = "", Worse(src.Edge, protocol.EdgeTransform)
		}
	}
	return sorted(out)
}

// pointer escapes a name in a JSON Pointer.
var pointer = strings.NewReplacer("~", "~0", "/", "~1")

// maxPath bounds what paths take in memory: what is longer is cut off, at which it
// says less of where a value comes from.
const maxPath = 1 << 10

// Refs returns the columns of s without their edges, each once.
func (s Sources) Refs() []protocol.ColumnRef {
	out := make([]protocol.ColumnRef, 0, len(s))
	for i := range s {
		if n := len(out); n == 0 || out[n-1] != s[i].ColumnRef {
			out = append(out, s[i].ColumnRef)
		}
	}
	return out
}

// sorted returns the sources in list, which may repeat columns, in order.
func sorted(list []protocol.Source) Sources {
	slices.SortFunc(list, func(a, b protocol.Source) int { return compareSource(&a, &b) })
	out := list[:0]
	for _, src := range list {
		if n := len(out); n > 0 && compareSource(&out[n-1], &src) == 0 {
			out[n-1].Edge = Worse(out[n-1].Edge, src.Edge)
			continue
		}
		out = append(out, src)
	}
	return out
}

func compareSource(a, b *protocol.Source) int {
	return cmp.Or(CompareRef(a.ColumnRef, b.ColumnRef), cmp.Compare(a.Path, b.Path))
}

// CompareRef orders columns by schema, table and column.
func CompareRef(a, b protocol.ColumnRef) int {
	return cmp.Or(cmp.Compare(a.Schema, b.Schema), cmp.Compare(a.Table, b.Table), cmp.Compare(a.Column, b.Column))
}
