package postgres

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/jackc/pgproto3/v2"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/pgsql"
	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

// newRuns returns a run for each statement of script, linked; nil for none.
func (f *front) newRuns(script *pgsql.Script, text string) *run {
	n := len(script.Statements)
	switch n {
	case 0:
		return nil
	case 1:
		return f.newRun(&script.Statements[0], text, nil)
	}
	texts := script.Texts([]byte(text))
	var first, last *run
	before := f.earlier()
	for i := range script.Statements {
		r := f.newRun(&script.Statements[i], texts[i], &before)
		r.chained = true
		before.add(&script.Statements[i], texts[i])
		if last == nil {
			first = r
		} else {
			last.next = r
		}
		last = r
	}
	return first
}

// earlier is what the statements of a text do to those behind them in it. nil
// is none.
type earlier struct {
	prepared, declared map[string]named
	changed            bool // the open transaction has changed what they may take back
	touched            bool // what names mean may be different by then
}

// earlier returns what there is before the first statement of a text.
func (f *front) earlier() earlier {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	return earlier{changed: f.c.tracker.changed()}
}

// named is what a name stands for, nil if that is not known, and the text that
// says so.
type named struct {
	stmt *pgsql.Statement
	text string
	of   *statement // if it is a prepared statement that does what its text says

	cursor *portal        // if it is one
	args   []protocol.Arg // and what it was opened with
}

func (e *earlier) add(s *pgsql.Statement, text string) {
	switch {
	case s.Effect.Has(pgsql.Prepare):
		if e.prepared == nil {
			e.prepared = map[string]named{}
		}
		e.prepared[s.Effect.Name] = named{stmt: s.Inner, text: text}
	case s.Effect.Has(pgsql.DeclareCursor):
		if e.declared == nil {
			e.declared = map[string]named{}
		}
		e.declared[s.Effect.Name] = named{stmt: s.Inner, text: text}
	}
	e.touched = e.touched || e.touches(s)
}

// touches reports whether what names mean may be different after s.
func (e *earlier) touches(s *pgsql.Statement) bool { return touches(s) || e.changed && undoes(s) }

// newRun returns the run of one statement; before are the statements of the
// same text before it.
func (f *front) newRun(stmt *pgsql.Statement, text string, before *earlier) *run {
	facts, is := f.resolve(stmt, before)
	r := f.c.blank()
	args := r.op.Args[:0] // memory for those of a Bind
	if cap(args) > maxArgs {
		args = nil
	}
	*r = run{stmt: facts, cursor: is.cursor, op: protocol.Operation{Args: args, Text: text, Behind: is.text, Unmask: sql.Unmask(text)}}
	setFacts(&r.op, facts)
	r.op.Args = append(r.op.Args, is.args...)
	r.op.Fingerprint = stmt.Fingerprint
	if !stmt.Effect.Has(pgsql.Fetch) { // what a cursor reads was settled when it was declared
		r.basis = basis{state: f.state, ended: f.ended, version: f.version, at: f.at, of: is.of, named: is.text != ""}
	}
	if facts.Copy != nil && facts.Copy.Client() && !f.copyLegible(before) {
		r.op.Shape &^= protocol.Rows
	}
	f.describeOp(r, before)
	return r
}

// resolve returns what stmt does. EXECUTE and FETCH do what the statement does
// that their name stands for, whose text is behind theirs: an EXECUTE counts as
// that statement, so that no rule is got round by preparing first.
func (f *front) resolve(stmt *pgsql.Statement, before *earlier) (facts *pgsql.Statement, is named) {
	return f.resolveTo(stmt, before, 8)
}

// resolveTo is resolve for a chain of EXECUTEs of at most depth.
func (f *front) resolveTo(stmt *pgsql.Statement, before *earlier, depth int) (facts *pgsql.Statement, is named) {
	switch {
	case depth == 0: // a statement that executes itself
	case stmt.Effect.Has(pgsql.Execute):
		is = f.executed(stmt.Effect.Name, before, depth)
	case stmt.Effect.Has(pgsql.Fetch):
		is = f.fetched(stmt.Effect.Name, before)
	}
	if is.stmt == nil {
		return stmt, is
	}
	m := *is.stmt
	// What it runs may itself give a name: that counts, not the name it has.
	m.Effect.Flags |= stmt.Effect.Flags
	if stmt.Effect.Has(pgsql.Fetch) {
		m.Verb = stmt.Verb
		return &m, is
	}
	// Its arguments are computed first.
	if stmt.Effect.Has(pgsql.SetsState) {
		m.Effect.Setting, m.Effect.Values = "", nil
	}
	m.Access |= stmt.Access &^ protocol.Opaque
	m.Objects = append(slices.Clip(m.Objects), stmt.Objects...)
	m.Pure = m.Pure && stmt.Access&^(protocol.Opaque|protocol.Read) == 0
	m.InferredKnown = m.InferredKnown && !m.Access.Has(protocol.Execute)
	if !stmt.ArgsKnown {
		m.Access |= protocol.Opaque
		m.Pure, m.ReadsKnown, m.InferredKnown, m.Columns, m.Why = false, false, false, nil, stmt.Why
	}
	return &m, is
}

// executed returns what the prepared statement of that name does now.
func (f *front) executed(name string, before *earlier, depth int) named {
	if before != nil && before.prepared[name].stmt != nil {
		return before.prepared[name]
	}
	f.c.mu.Lock()
	s := f.c.statements.get(nameKey(name))
	doubted := s != nil && f.c.statements.doubted(s.name, s)
	f.c.mu.Unlock()
	switch {
	case s == nil:
		return named{}
	case s.stmt == nil || s.stmt.Access.Has(protocol.Opaque):
		return named{text: cmp.Or(s.rewritten, s.source)}
	}
	text := cmp.Or(s.rewritten, s.source)
	// The target plans it anew if its names mean something else by now.
	var stmt *pgsql.Statement
	if before != nil && before.touched {
		st := f.state
		if st.Catalog != nil {
			st.Guess = st.Catalog
		}
		st.Catalog, st.SearchPath, st.Temp = nil, nil, true
		stmt = s.in(f.c.srv.analyzer.Analyze(s.text, &st), nil)
	} else {
		state, ended, version, at := f.state, f.ended, f.version, f.at
		script := f.c.analyze(s.text, &s.reading)
		stmt = s.in(script, f.state.Catalog)
		f.state, f.ended, f.version, f.at = state, ended, version, at // of what was analysed before
	}
	if doubted {
		stmt = exchanged(stmt)
	}
	if !stmt.Effect.Has(pgsql.Execute | pgsql.Fetch) {
		return named{stmt: stmt, text: text, of: s}
	}
	stmt, is := f.resolveTo(stmt, nil, depth-1)
	if is.text == "" {
		return named{stmt: stmt, text: text}
	}
	return named{stmt: stmt, text: text + "\n" + is.text}
}

// fetched returns what the cursor of that name reads.
func (f *front) fetched(name string, before *earlier) named {
	var is named
	doubted := before != nil && before.touched
	if before != nil && before.declared[name].stmt != nil {
		is = before.declared[name]
	} else {
		f.c.mu.Lock()
		if p := f.c.portals.get(nameKey(name)); p != nil {
			is, doubted = named{stmt: p.stmt, text: p.source, cursor: p, args: p.arguments()}, doubted || f.c.portals.doubted(p.name, p)
		}
		f.c.mu.Unlock()
	}
	if is.stmt != nil && doubted {
		is.stmt, is.args = exchanged(is.stmt), nil
	}
	return is
}

// in returns the statement that s runs in an analysis of its text with the
// names of catalog, which may be nil.
func (s *statement) in(script *pgsql.Script, catalog *sql.Catalog) *pgsql.Statement {
	if len(script.Statements) != 1 {
		return &illegible.Statements[0]
	}
	stmt := &script.Statements[0]
	if !s.meaning.sql {
		for b := s.oids; len(b) >= 4; b = b[4:] {
			stmt = stmt.WithArgument(catalog, binary.BigEndian.Uint32(b))
		}
		return stmt
	}
	if stmt.Inner == nil {
		return &illegible.Statements[0]
	}
	return stmt.Inner
}

// describeOp says what the session's state will be when r runs, as far as that
// is known before the answers to what was sent ahead of it.
func (f *front) describeOp(r *run, before *earlier) {
	f.c.mu.Lock()
	r.op.InTx = f.c.status == 'T' || f.c.changing > 0 || f.changed && f.unsynced.Load()
	r.op.State = f.c.tracker.key
	settled := f.c.tracker.settled()
	f.c.mu.Unlock()
	if !settled || before != nil && before.touched {
		r.op.State += " (a statement before this one may change it)"
	}
}

// analyze returns what text does, after the session's state has been read anew
// if that is needed and possible; last is as for session.analyze.
func (f *front) analyze(text []byte, last *reading) (*pgsql.Script, error) {
	c := f.c
	script := c.analyze(text, last)
	for again := range 2 { // what the target was asked for at first may be older than the catalog
		c.mu.Lock()
		ask := !c.tracker.certain() && (again == 0 || c.tracker.moved)
		c.mu.Unlock()
		if !ask || !resolves(script) {
			break
		}
		if err := f.settle(resolved(script)); err != nil {
			return nil, err
		}
		if !resolved(script) {
			break
		}
		script = c.analyze(text, last)
	}
	script, err := f.guess(script, text, last)
	if err != nil {
		return nil, err
	}
	if err := f.awaitNames(script); err != nil {
		return nil, err
	}
	if len(script.Statements) < 2 {
		return script, nil
	}
	before := f.earlier()
	for i := range script.Statements {
		if i > 0 {
			before.add(&script.Statements[i-1], "")
		}
		if i+1 == len(script.Statements) {
			break
		}
		if facts, _ := f.resolve(&script.Statements[i], &before); before.touches(facts) {
			// What comes later in the same text may mean something else by then;
			// it is read by the same grammar, since the target reads it at once.
			st := &f.state
			if st.Catalog != nil {
				st.Guess = st.Catalog
			}
			st.Catalog, st.SearchPath, st.Temp = nil, nil, true
			return c.srv.analyzer.Analyze(text, st), nil
		}
	}
	return script, nil
}

// guess returns what the statements of script do as far as is known of what they name
// where that is not certain. The catalog is not read anew for that.
func (f *front) guess(script *pgsql.Script, text []byte, last *reading) (*pgsql.Script, error) {
	st := &f.state
	objects, unqualified := namesObjects(script)
	switch {
	case st.Catalog != nil || !objects:
		return script, nil
	case unqualified && !resolves(script): // else it was asked for
		if err := f.settle(false); err != nil {
			return nil, err
		}
		f.c.mu.Lock()
		st.SearchPath = f.c.tracker.state.SearchPath
		f.c.mu.Unlock()
	case st.Guess != nil:
		return script, nil
	}
	if f.c.catalog.Last() == nil {
		f.c.catalog.current()
	}
	f.c.guess(st)
	if last != nil {
		last.script = nil
	}
	return f.c.srv.analyzer.Analyze(text, st), nil
}

// namesObjects reports whether any statement names objects, and relations without a
// schema.
func namesObjects(s *pgsql.Script) (any, unqualified bool) {
	for i := range s.Statements {
		for _, o := range s.Statements[i].Objects {
			any = true
			switch o.Kind {
			case "table", "view", "materialized view", "foreign table", "sequence":
				unqualified = unqualified || !strings.Contains(o.Name, ".")
			}
		}
	}
	return any, unqualified
}

// resolves reports whether any statement has names whose meaning matters: what
// only makes something, such as a table, has none, but a view and what is prepared
// have those of their query.
func resolves(s *pgsql.Script) bool {
	for i := range s.Statements {
		if st := &s.Statements[i]; !st.ReadsKnown || st.Access.Has(protocol.Read|protocol.Write|protocol.Execute|protocol.Opaque) {
			return true
		}
	}
	return false
}

// resolved reports whether the facts about any statement depend on the session's
// state and on the catalog, which is not read for those that do not.
func resolved(s *pgsql.Script) bool {
	for i := range s.Statements {
		if st := &s.Statements[i]; st.Resolved || st.Access.Has(protocol.Opaque) {
			return true
		}
	}
	return false
}

// settle asks the target for the session's state if it may have changed. It
// does so only between transactions of the client's own making: in the middle
// of a pipeline the state stays unknown, which counts as the worst.
func (f *front) settle(ahead bool) error {
	c := f.c
	c.mu.Lock()
	ask := c.tracker.outdated() && c.tracker.utf8 && !f.unsynced.Load() && f.copyRun == nil && !c.tracker.replication
	c.mu.Unlock()
	if !ask {
		return nil
	}
	if err := f.flush(); err != nil {
		return err
	}
	answered := func() bool { return c.q.len() == 0 }
	if err := c.wait(answered); err != nil {
		return err
	}
	c.mu.Lock()
	if ask = c.tracker.outdated() && !f.skipping() && c.status != 'E' && (c.status == 'I' || !c.tracker.denied); ask {
		c.tracker.schemas = [32]byte{}
		if last := c.catalog.Last(); last != nil { // of what has changed since, the next one tells
			c.tracker.schemas = last.Schemas()
		}
		c.q.push(entry{kind: entryProbe})
	}
	c.mu.Unlock()
	if !ask {
		return nil
	}
	if ahead {
		c.catalog.Ahead() // while the target answers
	}
	if _, err := c.t.conn.Write(probeMessages(c.refuseAs)); err != nil {
		return &protocol.Fault{Side: protocol.SideTarget, Code: codeConnectionFailure, Msg: "the target closed the connection", Err: err}
	}
	return c.wait(answered)
}

// probeMessages asks probeText by the extended protocol, under a name of its
// own, so that the client's unnamed statement and portal stay as they are. A
// statement that failed or was cancelled is left over: it is closed first.
func probeMessages(name string) []byte {
	return encode(&pgproto3.Close{ObjectType: 'S', Name: name},
		&pgproto3.Parse{Name: name, Query: probeText},
		&pgproto3.Bind{DestinationPortal: name, PreparedStatement: name},
		&pgproto3.Execute{Portal: name},
		&pgproto3.Close{ObjectType: 'P', Name: name},
		&pgproto3.Close{ObjectType: 'S', Name: name},
		&pgproto3.Sync{})
}

// sent notes what r changes once it runs. The caller holds mu.
func (c *session) sent(r *run) {
	if r.sent {
		return
	}
	r.sent, r.tapped = true, r.x().WantsText()
	if r.stmt == nil || early(r.stmt) {
		c.doubtNames(&r.portal)
	}
	if r.opens() {
		c.changing++
	}
	r.unsure = c.tracker.sent(r.stmt)
	c.begins(r)
	if r.stmt == nil {
		return
	}
	e := r.stmt.Effect
	switch {
	case e.Has(pgsql.Prepare):
		r.gave = &statement{name: nameKey(e.Name), parsed: parsed{text: []byte(cmp.Or(r.op.Rewritten(), r.op.Text)), source: r.op.Text, reading: reading{prepared: true, since: r.basis.version}}, rewritten: r.op.Rewritten(), stmt: r.stmt.Inner}
		if e.Has(pgsql.Execute) { // the text is not that of the PREPARE
			r.gave.stmt = &illegible.Statements[0]
		}
	case e.Has(pgsql.DeclareCursor):
		r.gavePortal = &portal{name: nameKey(e.Name), stmt: r.stmt.Inner, source: cmp.Or(r.op.Behind, r.op.Rewritten(), r.op.Text), args: slices.Clone(r.op.Args), hold: e.Has(pgsql.Hold), pending: 1}
	case e.Has(pgsql.Deallocate) && e.Name != "":
		r.gave = &statement{name: nameKey(e.Name), meaning: meaning[statement]{gone: true}}
	case e.Has(pgsql.CloseCursor) && e.Name != "":
		r.gavePortal = &portal{name: nameKey(e.Name), pending: 1, meaning: meaning[portal]{gone: true}}
	}
	if r.gave != nil {
		r.gave.meaning.sql = true
		c.statements.give(r.gave.name, r.gave, r.gave.bytes())
		c.front.full = c.full()
	}
	if r.gavePortal != nil {
		r.gavePortal.meaning.sql = true
		c.portals.give(r.gavePortal.name, r.gavePortal, r.gavePortal.bytes())
		c.front.full = c.full()
	}
}
