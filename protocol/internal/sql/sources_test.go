package sql

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol"
)

func ref(column string) protocol.ColumnRef {
	return protocol.ColumnRef{Schema: "s", Table: "t", Column: column}
}

func TestMergeKeepsTheWorstEdge(t *testing.T) {
	a := Of(ref("a"), protocol.EdgeIdentity).Merge(Of(ref("c"), protocol.EdgeAggregate))
	b := Of(ref("a"), protocol.EdgeTransform).Merge(Of(ref("b"), protocol.EdgeIdentity))
	want := Sources{{ColumnRef: ref("a"), Edge: protocol.EdgeTransform}, {ColumnRef: ref("b"), Edge: protocol.EdgeIdentity}, {ColumnRef: ref("c"), Edge: protocol.EdgeAggregate}}
	require.Equal(t, want, a.Merge(b))
	require.Equal(t, want, b.Merge(a))
	require.Equal(t, a, a.Merge(nil))
	require.Equal(t, a, Sources(nil).Merge(a))
}

func TestThrough(t *testing.T) {
	edges := []protocol.Edge{protocol.EdgeIdentity, protocol.EdgeTransform, protocol.EdgeAggregate, protocol.EdgeOpaque, protocol.EdgeUnknown}
	for i, a := range edges {
		for j, b := range edges {
			s := Of(ref("a"), a)
			require.Equal(t, edges[max(i, j)], s.Through(b)[0].Edge, "%d through %d", a, b)
			require.Equal(t, a, s[0].Edge, "the source itself is not changed")
		}
	}
}

func TestCatalog(t *testing.T) {
	table := &Relation{OID: 20001, Schema: "s", Name: "t", Kind: Table, Columns: []Column{{Num: 1, Name: "a"}, {Num: 3, Name: "b", From: []int16{1}}}}
	child := &Relation{OID: 20002, Schema: "s", Name: "k", Kind: Table, Parents: []uint32{20001}, Columns: []Column{{Num: 1, Name: "a"}}}
	view := &Relation{OID: 20003, Schema: "s", Name: "v", Kind: View, Columns: []Column{{Num: 1, Name: "x"}}}
	c := New(Snapshot{Relations: []*Relation{table, child, view}}, nil)

	got, ok := c.Column(20001, 3)
	require.True(t, ok)
	require.Equal(t, ref("b"), got)
	got, ok = c.Column(20001, 0)
	require.True(t, ok)
	require.Equal(t, ref("*"), got)
	_, ok = c.Column(20001, 2)
	require.False(t, ok, "a dropped column")
	_, ok = c.Column(1, 1)
	require.False(t, ok)

	require.Contains(t, c.Sources(20001, 3), protocol.Source{ColumnRef: ref("a"), Edge: protocol.EdgeTransform})
	for _, oid := range []uint32{20001, 20002} {
		require.Len(t, c.Sources(oid, 1), 2, "a parent's column is also its children's, and the other way")
	}
	require.Contains(t, c.Sources(20003, 1), protocol.Source{Edge: protocol.EdgeUnknown}, "a view that cannot be expanded")
	require.Equal(t, []protocol.Source{{Edge: protocol.EdgeUnknown}}, c.Sources(9, 1))
	require.Equal(t, []protocol.Source{{Edge: protocol.EdgeUnknown}}, c.Sources(20001, 2))
	for _, src := range c.Sources(20001, 0) {
		require.Equal(t, protocol.EdgeOpaque, src.Edge, "a whole row")
	}
	require.Equal(t, []*Relation{child}, c.Descendants(table))
	require.NotEqual(t, c.Key(), New(Snapshot{}, nil).Key())
}

func TestMember(t *testing.T) {
	at := func(column string, e protocol.Edge, path string) protocol.Source {
		return protocol.Source{ColumnRef: ref(column), Edge: e, Path: path}
	}
	own := Of(ref("a"), protocol.EdgeIdentity)
	x := own.Member([]string{"x/y", "~"}, true)
	require.Equal(t, Sources{at("a", protocol.EdgeMember, "/x~1y/~0")}, x)
	require.Equal(t, Sources{at("a", protocol.EdgeMember, "/x~1y/~0/z")}, x.Member([]string{"z"}, true))
	require.Equal(t, Sources{at("a", protocol.EdgeTransform, "/x~1y/~0/z")}, x.Member([]string{"z"}, false))
	require.Equal(t, Sources{at("a", protocol.EdgeTransform, "/x~1y/~0")}, x.Through(protocol.EdgeTransform))
	require.Equal(t, Sources{at("a", protocol.EdgeOpaque, "")}, Of(ref("a"), protocol.EdgeOpaque).Member([]string{"z"}, true), "who knows where it lies")
	require.Equal(t, Sources{at("a", protocol.EdgeTransform, "")}, own.Through(protocol.EdgeTransform).Member([]string{"z"}, true))
	require.Equal(t, Sources{at("a", protocol.EdgeTransform, "/x~1y/~0")}, x.Member([]string{string(make([]byte, 2000))}, true), "less of a path is more of the value")

	both := x.Merge(own)
	require.Equal(t, Sources{at("a", protocol.EdgeIdentity, ""), at("a", protocol.EdgeMember, "/x~1y/~0")}, both)
	require.Equal(t, both, own.Merge(x))
	require.Equal(t, []protocol.ColumnRef{ref("a"), ref("b")}, both.Merge(Of(ref("b"), protocol.EdgeIdentity)).Refs())
	require.Equal(t, Sources{at("a", protocol.EdgeTransform, "")}, both.Whole())
	require.Equal(t, own, own.Whole())

	// There is an end to places in one column.
	many := Of(ref("b"), protocol.EdgeIdentity)
	for i := range 100 {
		many = many.Merge(own.Member([]string{string(rune('A' + i))}, true))
		require.LessOrEqual(t, len(many), maxPaths+1)
	}
	require.Equal(t, at("a", protocol.EdgeTransform, ""), many[0])
	require.Equal(t, at("b", protocol.EdgeIdentity, ""), many[len(many)-1])
}
