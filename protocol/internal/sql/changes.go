package sql

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/sallyport-dev/gateway/protocol"
)

// Changes are the changes of definitions in one place that sessions are about, and those
// that have ended lately, whoever the sessions log in as. A statement that the target lets wait for one of them
// reads what it has made, which is not what was decided about. The zero Changes is
// ready. It is safe for concurrent use, and who changes nothing takes no lock that
// sessions share while nobody else does.
type Changes struct {
	known atomic.Int64 // changes that snapshots may lack
	n     atomic.Int64 // len(begun)
	ended atomic.Int64 // how many have

	mu    sync.Mutex
	begun map[*Change]struct{}
	past  [pastChanges]*Change // the last that have ended
}

// pastChanges is how many that have ended are remembered: a statement that saw more
// of them end is told that there were many.
const pastChanges = 256

// A Change is what others see all at once: of a statement, or of a transaction. Its
// methods are for one goroutine at a time.
type Change struct {
	of      *Changes
	by      *protocol.SessionInfo
	objects []protocol.Object // under of.mu
	any     bool              // under of.mu: it may be of anything
}

// Begin notes a change by a session, before anything of it is sent.
func (cs *Changes) Begin(by *protocol.SessionInfo) *Change {
	c := &Change{of: cs, by: by}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.begun == nil {
		cs.begun = map[*Change]struct{}{}
	}
	cs.begun[c] = struct{}{}
	cs.n.Store(int64(len(cs.begun)))
	return c
}

// maxObjects bounds what is remembered of one change: one of more may be of anything.
const maxObjects = 64

// Add says that c is about objects, too; about none means about anything.
func (c *Change) Add(objects []protocol.Object) {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	c.any = c.any || len(objects) == 0 || len(c.objects)+len(objects) > maxObjects
	if c.any {
		c.objects = nil
		return
	}
	c.objects = append(c.objects, objects...)
}

// End notes that c is over, after [Latest.Stale] was told.
func (c *Change) End() {
	cs := c.of
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if _, ok := cs.begun[c]; !ok {
		return
	}
	cs.past[cs.ended.Load()%pastChanges] = c
	cs.ended.Add(1)
	delete(cs.begun, c)
	cs.n.Store(int64(len(cs.begun)))
}

// Ended returns how many have ended, for Since.
func (cs *Changes) Ended() int64 { return cs.ended.Load() }

// Since returns how many changes of other sessions than by there have been since
// ended was read, those under way included, and how many of them may concern what a
// statement about objects reads: of two, the second may have put back what the
// statement has seen. These are all that it is about, if known; else it is about anything
// where there are none. Changes that may be of anything count as one together: code of
// which nothing is known runs all day on some targets, and hardly ever defines.
func (cs *Changes) Since(ended int64, by *protocol.SessionInfo, objects []protocol.Object, known bool) (all, met int) {
	if cs.n.Load() == 0 && cs.ended.Load() == ended {
		return 0, 0
	}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	now := cs.ended.Load()
	if now-ended > pastChanges {
		return pastChanges, pastChanges
	}
	anything := 0
	count := func(c *Change) {
		if c.by == by {
			return
		}
		all++
		if c.any {
			anything = 1
			return
		}
		if len(objects) == 0 && !known || slices.ContainsFunc(c.objects, func(o protocol.Object) bool {
			return !hasColumns(o.Kind) || slices.ContainsFunc(objects, func(have protocol.Object) bool { return base(have.Name) == base(o.Name) })
		}) {
			met++
		}
	}
	for ; ended < now; ended++ {
		count(cs.past[ended%pastChanges])
	}
	for c := range cs.begun {
		count(c)
	}
	return all, met + anything
}

// hasColumns reports whether objects of a kind are found by their names alone. What
// else there is, such as functions and schemas, changes what other names mean.
func hasColumns(kind string) bool {
	switch kind {
	case "table", "view", "materialized view", "foreign table", "sequence", "index":
		return true
	}
	return false
}

// base returns a name without its schema.
func base(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }
