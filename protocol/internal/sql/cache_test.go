package sql

import (
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCacheKeepsItsBounds(t *testing.T) {
	c := NewCache[int](64, 64<<10)
	var wg sync.WaitGroup
	for k := range 4 {
		wg.Go(func() {
			for i := range 2000 {
				key := []byte(strconv.Itoa(i%300) + "/" + strconv.Itoa(k%2))
				if n, ok := c.Get(key); ok && *n != i%300 {
					t.Errorf("%s: %d", key, *n)
				}
				v := i % 300
				c.Put(key, &v, 100*(i%20))
			}
		})
	}
	wg.Wait()
	entries, bytes := 0, 0
	for i := range c.shards {
		sh := &c.shards[i]
		require.Equal(t, len(sh.entries), len(sh.ring))
		sum := 0
		for _, e := range sh.ring {
			require.Same(t, e, sh.entries[e.key])
			sum += e.size
		}
		require.Equal(t, sum, sh.bytes)
		entries, bytes = entries+len(sh.ring), bytes+sum
	}
	n, b := c.Size()
	require.Equal(t, []int{entries, bytes}, []int{n, b})
	require.Positive(t, n)
	require.LessOrEqual(t, n, 64)
	require.LessOrEqual(t, b, 64<<10)
}

func TestCacheKnowsWhatNeedsItsLiterals(t *testing.T) {
	c := NewCache[int](64, 64<<10)
	_, ok := c.Get([]byte("a"))
	require.False(t, ok)
	c.Put([]byte("a"), nil, 0)
	v, ok := c.Get([]byte("a"))
	require.True(t, ok)
	require.Nil(t, v)
}
