package mysqlsql

import (
	"maps"
	"slices"
	"strings"

	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

// A Memory is what a session has left on the target that a later statement can
// show or that changes what one means: user variables, statements prepared in
// SQL, open handlers, temporary tables, messages. The zero Memory is that of a
// session which has just begun. It is for one session; nobody else may use it
// meanwhile.
type Memory struct {
	variables map[string]remembered
	prepared  map[string]preparedText
	handlers  map[string]*item
	temps     map[[2]string]*tempTable

	code  bool // code that is not known has run: it may have set any variable
	lost  bool // and may have prepared, opened and created anything
	told  sql.Sources
	dark  bool        // nor is it known what messages hold
	last  sql.Sources // of LAST_INSERT_ID
	vague bool        // nor what that holds
	seen  *Statement
}

// remembered is what is known of a variable.
type remembered struct {
	val  sql.Value
	text *string // what it is, where a literal was assigned to it
}

// A preparedText is a statement that was prepared in SQL. It is nil for one that
// is not known.
type preparedText *struct{ text, database, mode string }

// A tempTable is a temporary table of the session's own. maybe says that it may
// not be there, or not as it is known.
type tempTable struct {
	rel   *sql.Relation
	cols  []col
	maybe bool
}

// effects are what a statement does to a session's memory.
type effects struct {
	assigned map[string]remembered
	certain  []string // those that are assigned if it succeeds: by SET, not by := for each row
	prepares map[string]preparedText
	handlers map[string]*item // nil: closed
	temp     [2]string
	creates  *tempTable
	drops    [][2]string
	fills    [][2]string // temporary tables that are written to
	filled   sql.Value   // from this
	messages sql.Value   // what its messages may hold
	keepsID  bool        // LAST_INSERT_ID gets an argument
	insertID sql.Value   // which is this
	code     bool
	lost     bool
}

// Reset says that the session is as it was in the beginning.
func (m *Memory) Reset() { *m = Memory{} }

// Sent says that s is on its way: whether it succeeds is not known yet, so that
// all holds that may be.
func (m *Memory) Sent(s *Statement) {
	e := s.effects
	if e == nil || m.seen == s && e.quiet() {
		return
	}
	m.seen = s
	m.Told(s)
	if e.keepsID {
		m.last, m.vague = m.last.Merge(e.insertID.Sources), m.vague || !e.insertID.Known
	}
	if e.code {
		m.code, m.variables = true, nil
	}
	if e.lost {
		*m = Memory{code: true, lost: true, dark: true}
		return
	}
	for name, v := range e.assigned {
		m.set(name, remembered{val: join(m.variable(name).val, v.val)})
	}
	for name := range e.prepares {
		m.prepare(name, nil)
	}
	for name := range e.handlers {
		m.handle(name, &item{rowset: rowset{open: true}})
	}
	if e.creates != nil {
		t := e.creates.copy()
		t.maybe = true
		m.create(e.temp, t)
	}
	for _, k := range e.drops {
		if t := m.temps[k]; t != nil {
			t.maybe = true
		}
	}
	for _, k := range e.fills {
		if t := m.temps[k]; t != nil {
			for i := range t.cols {
				t.cols[i].val = join(t.cols[i].val, e.filled)
			}
		}
	}
}

// Told says that the target has looked at s, which does not run yet: it may have
// messages about it.
func (m *Memory) Told(s *Statement) {
	if e := s.effects; e != nil {
		m.told = m.told.Merge(e.messages.Sources)
		m.dark = m.dark || !e.messages.Known
	}
}

// Done says that s, which was sent, has succeeded.
func (m *Memory) Done(s *Statement) {
	e := s.effects
	if e == nil || e.lost {
		return
	}
	for _, name := range e.certain {
		if name != otherNames { // any of which keeps its value
			m.set(name, e.assigned[name])
		}
	}
	for name, p := range e.prepares {
		m.prepare(name, p)
	}
	for name, it := range e.handlers {
		m.handle(name, it)
	}
	if e.creates != nil {
		m.create(e.temp, e.creates.copy())
	}
	for _, k := range e.drops {
		delete(m.temps, k)
	}
}

// quiet reports whether there is nothing that changes from one time to the next.
func (e *effects) quiet() bool {
	return len(e.assigned)+len(e.prepares)+len(e.handlers)+len(e.drops)+len(e.fills) == 0 && e.creates == nil && !e.code && !e.lost
}

func (m *Memory) set(name string, v remembered) {
	if v.text != nil && len(*v.text) > maxKept {
		v.text = nil
	}
	if m.variables == nil {
		m.variables = map[string]remembered{}
	}
	if len(m.variables) >= maxRemembered {
		m.code, m.variables = true, map[string]remembered{}
	}
	m.variables[name] = v
}

func (m *Memory) prepare(name string, p preparedText) {
	if p != nil && len(p.text) > maxKept {
		p = nil
	}
	if m.prepared == nil || len(m.prepared) >= maxRemembered || name == otherNames {
		m.prepared = map[string]preparedText{}
	}
	if name == otherNames {
		return // it may be any of them
	}
	m.prepared[name] = p
}

func (m *Memory) handle(name string, it *item) {
	if m.handlers == nil || len(m.handlers) >= maxRemembered {
		m.handlers = map[string]*item{}
	}
	m.handlers[name] = it
}

func (m *Memory) create(k [2]string, t *tempTable) {
	if m.temps == nil {
		m.temps = map[[2]string]*tempTable{}
	}
	if len(m.temps) >= maxRemembered {
		m.lost = true
	}
	m.temps[k] = t
}

// maxRemembered bounds how many names of a kind are remembered, and maxKept the
// texts: a session cannot make the gateway keep more than some megabytes.
const (
	maxRemembered = 250
	maxKept       = 32 << 10
)

// variable returns what is known of a variable. One that was never set is NULL.
func (m *Memory) variable(name string) remembered {
	if m == nil {
		return remembered{}
	}
	v, ok := m.variables[name]
	if !ok || name == otherNames && m.code {
		v = remembered{val: sql.Value{Known: !m.code}}
	}
	if _, others := m.variables[otherNames]; others || name == otherNames {
		v = remembered{val: alike(m.variables, name, v.val)}
	}
	return v
}

// alike adds to what a variable holds what others do that may be the same one.
func alike(all map[string]remembered, name string, v sql.Value) sql.Value {
	if name != otherNames {
		if other, ok := all[otherNames]; ok {
			v = join(v, other.val)
		}
		return v
	}
	for _, other := range all {
		v = join(v, other.val)
	}
	return v
}

// otherNames stands for all names that only a quotation can have. Servers compare
// names by a collation, to which some of these are the same: é and è, and in MySQL
// "a " and a. Which are is not followed.
const otherNames = "@"

// nameKey returns what a user variable, and a statement that is prepared in SQL, is
// found by.
func nameKey(name string) string {
	for i := range len(name) {
		if c := name[i]; c >= 0x80 || classes[c]&classWord == 0 && c != '.' {
			return otherNames
		}
	}
	return "@" + strings.ToLower(name)
}

// messages are what the target's messages may hold of all that came before.
func (m *Memory) messages() sql.Value {
	if m == nil {
		return sql.Value{}
	}
	return sql.Value{Known: !m.dark, Sources: m.told}
}

// insertID is what LAST_INSERT_ID returns.
func (m *Memory) insertID() sql.Value {
	if m == nil {
		return sql.Value{}
	}
	return sql.Value{Known: !m.lost && !m.vague, Sources: m.last}
}

// clone returns a copy that changes without m, for the statements of one text.
func (m *Memory) clone() *Memory {
	if m == nil {
		return nil
	}
	c := *m
	c.variables, c.prepared, c.handlers = maps.Clone(m.variables), maps.Clone(m.prepared), maps.Clone(m.handlers)
	c.temps = map[[2]string]*tempTable{}
	for k, t := range m.temps {
		c.temps[k] = t.copy()
	}
	return &c
}

func (t *tempTable) copy() *tempTable {
	c := *t
	c.cols = slices.Clone(t.cols)
	return &c
}
