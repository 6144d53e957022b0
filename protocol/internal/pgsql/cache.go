package pgsql

import (
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/sallyport-dev/gateway/protocol"
)

// shards spreads the cache over locks.
const shards = 16

// A cache keeps analyses by key, within bounds. Keys are compared in full, so
// that nobody can have one text taken for another by finding a collision.
type cache struct {
	seed   maphash.Seed
	shards [shards]shard
}

// A shard evicts by the clock: the hand passes over entries and drops the
// first that was not used since it came by last.
type shard struct {
	mu      sync.RWMutex
	entries map[string]*entry
	ring    []*entry
	hand    int
	bytes   int

	maxEntries, maxBytes int
}

type entry struct {
	key    string
	script *Script // nil: texts of this shape are kept by their exact text
	size   int
	used   atomic.Bool
}

func newCache(entries, bytes int) *cache {
	c := &cache{seed: maphash.MakeSeed()}
	for i := range c.shards {
		c.shards[i] = shard{
			entries:    map[string]*entry{},
			maxEntries: max(1, entries/shards),
			maxBytes:   max(1, bytes/shards),
		}
	}
	return c
}

func (c *cache) shard(key []byte) *shard {
	return &c.shards[maphash.Bytes(c.seed, key)%shards]
}

// get returns what is kept under key. found with a nil Script says that the
// shape is known to need its literals.
func (c *cache) get(key []byte) (s *Script, found bool) {
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

// put keeps s under key unless it would take more than its share.
func (c *cache) put(key []byte, s *Script) {
	sh := c.shard(key)
	e := &entry{script: s, size: 2*len(key) + scriptSize(s)}
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

func (sh *shard) evict() {
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

// scriptSize estimates what a Script holds in memory.
func scriptSize(s *Script) int {
	if s == nil {
		return 64
	}
	n := 128
	for i := range s.Statements {
		n += s.Statements[i].Bytes()
	}
	return n
}

// Bytes is about the memory that s takes.
func (s *Statement) Bytes() int {
	const ref, source, column, object = 48, 56, 64, 40
	n := 384 + ref*(len(s.Reads)+len(s.Writes)) + object*len(s.Objects) + len(s.Why)
	for _, o := range s.Objects {
		n += len(o.Name)
	}
	n += columnsSize(s.Columns, column, source)
	if s.Inner != nil {
		n += s.Inner.Bytes()
	}
	return n
}

func columnsSize(list []protocol.Column, column, source int) int {
	n := 0
	for i := range list {
		n += column + len(list[i].Name) + source*len(list[i].Sources)
	}
	return n
}
