package postgres

import (
	"bytes"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/pgsql"
)

// maxName is how much of a name PostgreSQL looks at (NAMEDATALEN less the final
// NUL): of two longer names that begin alike each means the other.
const maxName = 63

// nameKey returns the part of name that counts.
func nameKey[T string | []byte](name T) T { return name[:min(len(name), maxName)] }

// A meaning is what a name stands for once the target has accepted it: a
// statement, a portal, or with gone nothing any more. Until then prev is what
// the name has stood for before, and will again if the target refuses. A
// request that comes before the answer may therefore mean the one or the other.
type meaning[T any] struct {
	prev     *T
	accepted bool
	gone     bool
	sql      bool   // given by a statement of SQL
	segment  uint64 // Syncs sent before it
	sure     uint64 // doubts about names when there was none about it
	size     int    // bytes of memory, 0 once it is of no use any more
}

// unsure reports whether a request in the given segment could find the former
// meaning. If both are of one pipeline up to a Sync it could not: the failure
// of the one makes the target skip the other.
func (m *meaning[T]) unsure(segment uint64) bool {
	return m.prev != nil && (m.sql || m.segment != segment)
}

// names are the names of one kind and what they stand for. Guarded by
// session.mu.
type names[T any] struct {
	blank *T // what has no name, which most clients use most
	m     map[string]*T
	of    func(*T) *meaning[T]
	size  int // bytes that all meanings take, former ones included

	doubts uint64 // how often anything with a name may have come to mean something else
}

func newNames[T any](of func(*T) *meaning[T]) names[T] { return names[T]{m: map[string]*T{}, of: of} }

func (n *names[T]) get(name string) *T {
	if name == "" {
		return n.blank
	}
	return n.m[name]
}

// set makes v what name means; nil is nothing.
func (n *names[T]) set(name string, v *T) {
	switch {
	case name == "":
		n.blank = v
	case v == nil:
		delete(n.m, name)
	default:
		n.m[name] = v
	}
}

// all are the names that mean something. Dropping one while it is looked at is
// allowed.
func (n *names[T]) all(yield func(string, *T) bool) {
	if n.blank != nil && !yield("", n.blank) || len(n.m) == 0 {
		return
	}
	for name, v := range n.m {
		if !yield(name, v) {
			return
		}
	}
}

// give makes v, which takes size bytes, the newest meaning of name.
func (n *names[T]) give(name string, v *T, size int) {
	n.of(v).prev = n.get(name)
	n.set(name, v)
	n.of(v).size = size
	n.size += size
	n.trust(v)
}

// trust says that v, which some name means, is what that means now.
func (n *names[T]) trust(v *T) { n.of(v).sure = n.doubts }

// doubted reports whether name, which means v, may have come to mean something else.
func (n *names[T]) doubted(name string, v *T) bool { return name != "" && n.of(v).sure != n.doubts }

// grow notes that v takes size bytes more.
func (n *names[T]) grow(v *T, size int) {
	if v != nil && n.of(v).size > 0 {
		n.of(v).size += size
		n.size += size
	}
}

func (n *names[T]) release(v *T) {
	if v != nil {
		n.size -= n.of(v).size
		n.of(v).size = 0
	}
}

// settle notes the target's answer to what gave name the meaning v: it holds,
// or what was there before does. Later meanings stay.
func (n *names[T]) settle(name string, v *T, ok bool) {
	if v == nil {
		return
	}
	prev := n.of(v).prev
	n.of(v).prev = nil
	if ok {
		n.of(v).accepted = true
		n.release(prev)
		if n.get(name) == v && n.of(v).gone {
			n.drop(name)
		}
		return
	}
	n.release(v)
	if n.get(name) == v {
		n.set(name, prev)
		return
	}
	for l := n.get(name); l != nil; l = n.of(l).prev {
		if n.of(l).prev == v {
			n.of(l).prev = prev
			return
		}
	}
}

// unnamed returns the size of what has no name, which the next one replaces.
func (n *names[T]) unnamed() int {
	if n.blank != nil && n.of(n.blank).accepted {
		return n.of(n.blank).size
	}
	return 0
}

// drop takes the meaning of name away.
func (n *names[T]) drop(name string) {
	n.release(n.get(name))
	n.set(name, nil)
}

// clear takes every meaning away that the target has accepted, with unnamed also that of
// what has no name. What was given since is not answered yet.
func (n *names[T]) clear(unnamed bool) {
	for name, v := range n.all {
		if name == "" && !unnamed {
			continue
		}
		if n.of(v).accepted {
			n.drop(name)
			continue
		}
		for m := n.of(v); m.prev != nil; m = n.of(m.prev) {
			if n.of(m.prev).accepted {
				n.release(m.prev)
				m.prev = nil
				break
			}
		}
	}
}

func statementMeaning(s *statement) *meaning[statement] { return &s.meaning }
func portalMeaning(p *portal) *meaning[portal]          { return &p.meaning }

// statement returns what a request that front reads now finds under the name
// of a prepared statement, nil for nothing. It waits for the target where that
// is not sure.
func (f *front) statement(name []byte) (*statement, error) {
	if err := f.legible(name); err != nil {
		return nil, err
	}
	return present(f, &f.c.statements, string(nameKey(name)))
}

// portal is the same for portals and cursors.
func (f *front) portal(name []byte) (*portal, error) {
	if err := f.legible(name); err != nil {
		return nil, err
	}
	return present(f, &f.c.portals, string(nameKey(name)))
}

func present[T any](f *front, n *names[T], name string) (*T, error) {
	f.c.mu.Lock()
	v := n.get(name)
	unsure := v != nil && n.of(v).unsure(f.segment)
	f.c.mu.Unlock()
	if unsure {
		if err := f.await(nil); err != nil {
			return nil, err
		}
		f.c.mu.Lock()
		v = n.get(name)
		f.c.mu.Unlock()
	}
	if v == nil || n.of(v).gone {
		return nil, nil
	}
	return v, nil
}

// awaitNames waits until it is sure what the names mean that the statements of
// script use.
func (f *front) awaitNames(script *pgsql.Script) error {
	for i := range script.Statements {
		e := &script.Statements[i].Effect
		var err error
		switch {
		case e.Has(pgsql.Execute):
			_, err = f.statement([]byte(e.Name))
		case e.Has(pgsql.Fetch):
			_, err = f.portal([]byte(e.Name))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// What meanings take beside their texts: an operation, a name, an analysis.
const (
	statementSize = 512
	portalSize    = 1 << 10
	columnSize    = 128
)

// errFull says that a session has prepared too much.
func (s *Server) errFull() error {
	return &protocol.Fault{Side: protocol.SideClient, Code: codeConfigurationLimit,
		Msg:  fmt.Sprintf("the prepared statements and portals of this session take more than the %d bytes that the gateway holds for one", s.maxPrepared()),
		Hint: "close what is no longer used, as by DEALLOCATE or DISCARD ALL, or ask whoever runs the gateway to raise MaxPrepared"}
}

// afford returns an error if the session's prepared statements and portals
// take too much for another. It waits for the target where that frees some.
func (f *front) afford() error {
	if !f.full {
		return nil
	}
	if err := f.await(nil); err != nil {
		return err
	}
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	if f.full = f.c.full(); f.full {
		return f.c.srv.errFull()
	}
	return nil
}

// full reports whether nothing more may be prepared. The caller holds mu.
func (c *session) full() bool {
	return c.statements.size-c.statements.unnamed()+c.portals.size-c.portals.unnamed() > c.srv.maxPrepared()
}

// legible returns an error if the target may cut a name of the protocol elsewhere than
// nameKey does, in an encoding of its own.
func (f *front) legible(name []byte) error {
	if len(name) <= maxName || !bytes.ContainsFunc(name, func(r rune) bool { return r >= utf8.RuneSelf }) {
		return nil
	}
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	if !f.c.tracker.state.ForeignNames {
		return nil
	}
	return &protocol.Fault{Side: protocol.SideClient, Code: "42622", Msg: "a name of more than 63 bytes has to be in ASCII in a database that is not in UTF-8"}
}

// doubtNames notes that code is about to run that may give another meaning to any
// name, but to that of the portal which it runs by; what has no name it cannot make.
// The caller holds mu.
func (c *session) doubtNames(but *portal) {
	sure := but != nil && !c.portals.doubted(but.name, but)
	c.portals.doubts++
	c.statements.doubts++
	if sure {
		c.portals.trust(but)
	}
	c.tracker.names = c.tracker.names || len(c.statements.m) > 0
}

// exchangedStatements takes the names of the prepared statements that SQL has made,
// when nothing is under way: code has no other way to make one. The caller holds mu.
func (c *session) exchangedStatements(names []string) {
	for name, s := range c.statements.all {
		if !c.statements.doubted(name, s) || s.meaning.sql {
			continue
		}
		if c.statements.trust(s); slices.Contains(names, name) {
			s.stmt = exchanged(nil)
		}
	}
}

// prepares is the tracker's for a Parse, or the Bind of p. The caller holds mu.
func (c *session) prepares(stmt *pgsql.Statement, p *portal) (unsure bool) {
	if !c.tracker.prepares(stmt) {
		return false
	}
	if !stmt.Effect.Has(pgsql.Fetch | pgsql.Execute) { // of which nothing runs before Execute
		c.doubtNames(p)
	}
	return true
}

// doubts reports whether p may be another by now.
func (c *session) doubts(p *portal) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return p != nil && c.portals.doubted(p.name, p)
}

// exchanged returns what is known of reading by the name of stmt, which may be
// another by now: no more than that it reads. Of nil, for nothing that was decided
// about, nothing is known.
func exchanged(stmt *pgsql.Statement) *pgsql.Statement {
	const why = "code that has run since may have put another in its place"
	if stmt == nil {
		return &pgsql.Statement{Verb: protocol.Unknown, Access: protocol.Opaque, Shape: protocol.Rows | protocol.Bytes, Why: why}
	}
	m := *stmt
	m.Pure, m.ReadsKnown, m.InferredKnown, m.Columns, m.Why = false, false, false, nil, why
	return &m
}
