package postgres

import "github.com/sallyport-dev/gateway/protocol/internal/pgsql"

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
	prev    *T
	gone    bool
	sql     bool   // given by a statement of SQL
	segment uint64 // Syncs sent before it
}

// unsure reports whether a request in the given segment could find the former
// meaning. If both are of one pipeline up to a Sync it could not: the failure
// of the one makes the target skip the other.
func (m *meaning[T]) unsure(segment uint64) bool {
	return m.prev != nil && (m.sql || m.segment != segment)
}

// give makes v the newest meaning of name.
func give[T any](m map[string]*T, name string, v *T, of func(*T) *meaning[T]) {
	of(v).prev = m[name]
	m[name] = v
}

// settleName notes the target's answer to what gave name the meaning v: it
// holds, or what was there before does. Later meanings stay.
func settleName[T any](m map[string]*T, name string, v *T, ok bool, of func(*T) *meaning[T]) {
	if v == nil {
		return
	}
	prev := of(v).prev
	of(v).prev = nil
	if ok {
		if m[name] == v && of(v).gone {
			delete(m, name)
		}
		return
	}
	if m[name] == v {
		if prev == nil {
			delete(m, name)
		} else {
			m[name] = prev
		}
		return
	}
	for n := m[name]; n != nil; n = of(n).prev {
		if of(n).prev == v {
			of(n).prev = prev
			return
		}
	}
}

func statementMeaning(s *statement) *meaning[statement] { return &s.meaning }
func portalMeaning(p *portal) *meaning[portal]          { return &p.meaning }

// statement returns what a request that front reads now finds under the name
// of a prepared statement, nil for nothing. It waits for the target where that
// is not sure.
func (f *front) statement(name []byte) (*statement, error) {
	return present(f, f.c.statements, string(nameKey(name)), statementMeaning)
}

// portal is the same for portals and cursors.
func (f *front) portal(name []byte) (*portal, error) {
	return present(f, f.c.portals, string(nameKey(name)), portalMeaning)
}

func present[T any](f *front, m map[string]*T, name string, of func(*T) *meaning[T]) (*T, error) {
	f.c.mu.Lock()
	v := m[name]
	unsure := v != nil && of(v).unsure(f.segment)
	f.c.mu.Unlock()
	if unsure {
		if err := f.await(nil); err != nil {
			return nil, err
		}
		f.c.mu.Lock()
		v = m[name]
		f.c.mu.Unlock()
	}
	if v == nil || of(v).gone {
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
