package postgres

import (
	"github.com/jackc/pgproto3/v2"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/pgsql"
)

// newRuns returns a run for each statement of script, linked; nil for none.
func (f *front) newRuns(script *pgsql.Script, text []byte) *run {
	n := len(script.Statements)
	switch n {
	case 0:
		return nil
	case 1:
		return f.newRun(&script.Statements[0], string(text), nil)
	}
	texts := script.Texts(text)
	var first, last *run
	for i := range script.Statements {
		r := f.newRun(&script.Statements[i], texts[i], script.Statements[:i])
		if last == nil {
			first = r
		} else {
			last.next = r
		}
		last = r
	}
	return first
}

// newRun returns the run of one statement; earlier are the statements of the
// same text before it.
func (f *front) newRun(stmt *pgsql.Statement, text string, earlier []pgsql.Statement) *run {
	facts := f.resolve(stmt, earlier)
	r := &run{stmt: facts}
	r.op = protocol.Operation{
		Verb: facts.Verb, Text: text, Access: facts.Access, Pure: facts.Pure, Bounded: facts.Bounded,
		Objects: facts.Objects, Reads: facts.Reads, ReadsKnown: facts.ReadsKnown, Writes: facts.Writes,
		Columns: facts.Columns, Fingerprint: stmt.Fingerprint, Why: facts.Why, Shape: facts.Shape,
	}
	f.describeOp(r)
	return r
}

// resolve returns what stmt does. EXECUTE and FETCH do what the statement does
// that their name stands for: an EXECUTE counts as that statement, so that no
// rule is got round by preparing first.
func (f *front) resolve(stmt *pgsql.Statement, earlier []pgsql.Statement) *pgsql.Statement {
	var named *pgsql.Statement
	switch {
	case stmt.Effect.Has(pgsql.Execute):
		named = f.named(stmt.Effect.Name, pgsql.Prepare, earlier)
	case stmt.Effect.Has(pgsql.Fetch):
		named = f.named(stmt.Effect.Name, pgsql.DeclareCursor, earlier)
	}
	if named == nil {
		return stmt
	}
	m := *named
	m.Effect = stmt.Effect
	m.Effect.Flags |= named.Effect.Flags
	m.Access |= stmt.Access &^ protocol.Opaque // what its arguments do
	m.Pure = named.Pure && stmt.Access&^(protocol.Opaque|protocol.Read) == 0
	if stmt.Effect.Has(pgsql.Fetch) {
		m.Verb = stmt.Verb
	}
	return &m
}

// named returns the statement that a name stands for which a statement with the
// effect kind has given it; nil if it is not known.
func (f *front) named(name string, kind pgsql.Flags, earlier []pgsql.Statement) *pgsql.Statement {
	for i := len(earlier) - 1; i >= 0; i-- {
		if s := &earlier[i]; s.Effect.Has(kind) && s.Effect.Name == name {
			return s.Inner
		}
	}
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	if kind == pgsql.Prepare {
		if s := f.c.statements[name]; s != nil {
			return s.stmt
		}
	} else if p := f.c.portals[name]; p != nil {
		return p.stmt
	}
	return nil
}

func (f *front) describeOp(r *run) {
	f.c.mu.Lock()
	r.op.InTx = f.c.status == 'T'
	r.op.State = f.c.tracker.key
	f.c.mu.Unlock()
}

// analyze returns what text does, after the session's state has been read anew
// if that is needed and possible.
func (f *front) analyze(text []byte) (*pgsql.Script, error) {
	c := f.c
	script := c.analyze(text)
	c.mu.Lock()
	certain := c.tracker.certain()
	c.mu.Unlock()
	if !certain && resolves(script) {
		if err := f.settle(); err != nil {
			return nil, err
		}
		script = c.analyze(text)
	}
	for i := range script.Statements {
		if i+1 < len(script.Statements) && touches(f.resolve(&script.Statements[i], script.Statements[:i])) {
			// What comes later in the same text may mean something else by then;
			// it is read by the same grammar, since the target reads it at once.
			st := f.state
			st.Catalog, st.SearchPath, st.Temp = nil, nil, true
			return c.srv.analyzer.Analyze(text, &st), nil
		}
	}
	return script, nil
}

// resolves reports whether any statement has names whose meaning matters.
func resolves(s *pgsql.Script) bool {
	for i := range s.Statements {
		if s.Statements[i].Access.Has(protocol.Read | protocol.Write | protocol.Execute | protocol.Opaque) {
			return true
		}
	}
	return false
}

// settle asks the target for the session's state if it may have changed. It
// does so only between transactions of the client's own making: in the middle
// of a pipeline the state stays unknown, which counts as the worst.
func (f *front) settle() error {
	c := f.c
	c.mu.Lock()
	ask := c.tracker.dirty && c.tracker.utf8 && !f.unsynced.Load() && f.copyRun == nil && !c.tracker.replication
	c.mu.Unlock()
	if !ask {
		return nil
	}
	if err := f.flush(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.q.len() > 0 && c.ended == nil {
		c.changed.Wait()
	}
	if c.ended != nil {
		return c.ended
	}
	if c.status == 'E' || !c.tracker.dirty {
		return nil
	}
	c.q.push(entry{kind: entryProbe})
	c.mu.Unlock()
	_, err := c.t.conn.Write(probeMessages(c.refuseAs))
	c.mu.Lock()
	if err != nil {
		return &Error{Side: SideTarget, Code: codeConnectionFailure, Msg: "the target closed the connection", Err: err}
	}
	for c.q.len() > 0 && c.ended == nil {
		c.changed.Wait()
	}
	return c.ended
}

// probeMessages asks probeText by the extended protocol, under a name of its
// own, so that the client's unnamed statement and portal stay as they are.
func probeMessages(name string) []byte {
	return encode(&pgproto3.Parse{Name: name, Query: probeText},
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
	r.sent = true
	c.tracker.sent(r.stmt)
	if r.stmt == nil {
		return
	}
	e := r.stmt.Effect
	switch {
	case e.Has(pgsql.Prepare):
		c.statements[e.Name] = &statement{name: e.Name, stmt: r.stmt.Inner, sql: true, prev: c.statements[e.Name]}
	case e.Has(pgsql.DeclareCursor):
		c.portals[e.Name] = &portal{name: e.Name, stmt: r.stmt.Inner, pending: 1, prev: c.portals[e.Name]}
	}
}
