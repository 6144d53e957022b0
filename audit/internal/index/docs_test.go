package index

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// A set is the same set whatever its size, in memory and in its row.
func TestDocs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from := rapid.IntRange(0, bucketSize-1).Draw(t, "from")
		n := rapid.IntRange(0, 3000).Draw(t, "n")
		step := rapid.IntRange(1, 5).Draw(t, "step")
		var d docs
		want := map[uint16]bool{}
		add := func(v int) {
			p := uint16(v % bucketSize)
			require.Equal(t, !want[p], d.add(p))
			want[p] = true
		}
		for i := range n {
			add(from + i*step)
		}
		for _, v := range rapid.SliceOfN(rapid.IntRange(0, bucketSize-1), 0, 20).Draw(t, "more") {
			add(v)
		}
		for _, v := range rapid.SliceOfN(rapid.IntRange(0, bucketSize-1), 0, 20).Draw(t, "less") {
			p := uint16(v % bucketSize)
			require.Equal(t, want[p], d.remove(p))
			delete(want, p)
		}
		b := d.encode()
		require.LessOrEqual(t, len(b), bitmapLen)
		again := decode(b)
		require.Equal(t, b, again.encode())
		var m bitmap
		m.or(b)
		sorted := slices.Sorted(maps.Keys(want))
		got := m.descend(nil, 7, 1<<62)
		require.Len(t, got, len(want))
		for i, p := range sorted {
			require.Equal(t, 7<<bucketBits|uint64(p), got[len(got)-1-i])
		}
		if len(sorted) > 0 {
			require.Len(t, m.descend(nil, 7, got[0]), len(sorted)-1, "below the highest")
			var one bitmap
			one.or([]byte{byte(sorted[0]), byte(sorted[0] >> 8)})
			require.True(t, one.and(&m))
			require.False(t, (&bitmap{}).and(&m))
		}
	})
}

// Rows that were spoiled are an error or nothing, and never more than asked for.
func FuzzRows(f *testing.F) {
	var b openBlock
	b.add([]byte(`{"v":1}`), 1)
	f.Add(zip.EncodeAll(b.raw, nil))
	f.Add([]byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, row []byte) {
		_, _ = leaves(row)
		d := decode(row)
		d.add(5)
		var m bitmap
		m.or(d.encode())
	})
}
