package sql

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// shards spreads the cache over locks.
const shards = 16

// A Cache keeps analyses of a dialect's by key, within bounds. Keys are compared
// in full, so that nobody can have one text taken for another by finding a
// collision. It is safe for concurrent use.
type Cache[S any] struct {
	seed   maphash.Seed
	shards [shards]shard[S]
}

// A shard evicts by the clock: the hand passes over entries and drops the
// first that was not used since it came by last.
type shard[S any] struct {
	mu      sync.RWMutex
	entries map[string]*entry[S]
	ring    []*entry[S]
	hand    int
	bytes   int

	maxEntries, maxBytes int
}

type entry[S any] struct {
	key    string
	script *S // nil: texts of this shape are kept by their exact text
	size   int
	used   atomic.Bool
}

// NewCache returns a Cache of so many entries, which take about so many bytes.
func NewCache[S any](entries, bytes int) *Cache[S] {
	c := &Cache[S]{seed: maphash.MakeSeed()}
	for i := range c.shards {
		c.shards[i] = shard[S]{
			entries:    map[string]*entry[S]{},
			maxEntries: max(1, entries/shards),
			maxBytes:   max(1, bytes/shards),
		}
	}
	return c
}

func (c *Cache[S]) shard(key []byte) *shard[S] {
	return &c.shards[maphash.Bytes(c.seed, key)%shards]
}

// Get returns what is kept under key. found with nil says that the shape is
// known to need its literals.
func (c *Cache[S]) Get(key []byte) (s *S, found bool) {
	sh := c.shard(key)
	sh.mu.RLock()
	e := sh.entries[string(key)]
	sh.mu.RUnlock()
	if e == nil {
		return nil, false
	}
	if !e.used.Load() {
		e.used.Store(true)
	}
	return e.script, true
}

// Put keeps s, which takes about size bytes, under key unless that would be more
// than its share.
func (c *Cache[S]) Put(key []byte, s *S, size int) {
	sh := c.shard(key)
	e := &entry[S]{script: s, size: 2*len(key) + size}
	if e.size > sh.maxBytes/4 {
		return
	}
	e.key = string(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.entries[e.key] != nil {
		return
	}
	for len(sh.ring) > 0 && (len(sh.ring) >= sh.maxEntries || sh.bytes+e.size > sh.maxBytes) {
		sh.evict()
	}
	sh.entries[e.key] = e
	sh.ring = append(sh.ring, e)
	sh.bytes += e.size
}

func (sh *shard[S]) evict() {
	for {
		sh.hand %= len(sh.ring)
		e := sh.ring[sh.hand]
		if e.used.Swap(false) {
			sh.hand++
			continue
		}
		last := len(sh.ring) - 1
		sh.ring[sh.hand] = sh.ring[last]
		sh.ring[last] = nil
		sh.ring = sh.ring[:last]
		sh.bytes -= e.size
		delete(sh.entries, e.key)
		return
	}
}

// Size returns how many entries c has and about how many bytes they take.
func (c *Cache[S]) Size() (entries, bytes int) {
	for i := range c.shards {
		sh := &c.shards[i]
		sh.mu.RLock()
		entries, bytes = entries+len(sh.ring), bytes+sh.bytes
		sh.mu.RUnlock()
	}
	return entries, bytes
}
