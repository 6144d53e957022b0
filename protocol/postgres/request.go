package postgres

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strconv"
	"time"

	"github.com/jackc/pgproto3/v2"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/pgsql"
	"github.com/sallyport-dev/gateway/protocol/internal/sql"
	"github.com/sallyport-dev/gateway/protocol/internal/wire"
)

// ask decides the runs together and, if they are allowed, puts them in the
// list for the next flush.
func (f *front) ask(first *run) error {
	f.ops = f.ops[:len(f.runs)]
	n := len(f.ops)
	ops := f.ops
	for r := first; r != nil; r = r.next {
		ops = append(ops, &r.op)
	}
	asked := ops[n:]
	f.ops = ops[:n] // a hold flushes what came before, not these
	if err := f.c.ps.Ask(f.c.ps.Context(), asked); err != nil {
		return err
	}
	fixed := false
	for r := first; r != nil; r = r.next {
		if r.op.Verb == "create database" {
			f.c.catalog.rest()
		}
		f.ops = append(f.ops, &r.op)
		f.runs = append(f.runs, r)
		fixed = fixed || first.next != nil && r.op.Rewritten() != ""
	}
	if fixed { // one of several statements cannot be replaced
		return f.unask(first, protocol.ErrFixed)
	}
	if first.stmt != nil && first.op.Rewritten() != "" {
		if err := f.rewritten(first); err != nil {
			return f.unask(first, err)
		}
	}
	// While it was held. Of a COPY to the client the target does not describe the
	// columns, so that a change that goes past the gateway would not show.
	held := time.Since(first.basis.at) > patience
	for r := first; r != nil; r = r.next {
		if !held && (r.stmt == nil || !r.stmt.Effect.Has(pgsql.CopyOut)) {
			continue
		}
		if met, doubtful := f.c.doubtful(r, true); doubtful && !f.c.unchanged(r, met) {
			return f.unask(first, sql.ErrChanged("postgres"))
		}
	}
	return nil
}

// rewritten makes r what its rewritten text does, unless that is more than was
// decided about.
func (f *front) rewritten(r *run) error {
	script := f.c.analyze([]byte(r.op.Rewritten()), nil)
	if len(script.Statements) == 1 {
		if stmt, _ := f.resolve(&script.Statements[0], nil); covers(&r.op, stmt) {
			if r.stmt.Effect.Has(pgsql.RunsCode) && !stmt.Effect.Has(pgsql.RunsCode) { // such as by its arguments
				m := *stmt
				m.Effect.Flags |= pgsql.RunsCode
				stmt = &m
			}
			r.stmt = stmt
			return nil
		}
	}
	return &protocol.DeniedError{Step: "postgres", Reason: "a step rewrites this statement into one that does more than was decided about",
		Hint: "ask whoever runs the gateway, whose steps it is"}
}

// covers reports whether all that stmt does is among the facts of op.
func covers(op *protocol.Operation, stmt *pgsql.Statement) bool {
	var now protocol.Operation
	setFacts(&now, stmt)
	return sql.Covers(op, &now)
}

// setFacts fills op with what is known of st.
func setFacts(op *protocol.Operation, st *pgsql.Statement) {
	op.Verb, op.Access, op.Pure, op.Bounded, op.Shape = st.Verb, st.Access, st.Pure, st.Bounded, st.Shape
	op.Objects, op.Reads, op.ReadsKnown, op.Returned, op.Writes, op.Columns = st.Objects, st.Reads, st.ReadsKnown, st.Returned, st.Writes, st.Columns
	op.Inferred, op.InferredKnown = st.Inferred, st.InferredKnown
	op.Fingerprint, op.Why = st.Fingerprint, st.Why
}

// unask takes back runs that were allowed but cannot be sent after all.
func (f *front) unask(first *run, err error) error {
	for r := first; r != nil; r = r.next {
		r.end(protocol.Outcome{Status: protocol.StatusError, Err: err})
		for i, have := range f.runs {
			if have == r {
				f.runs = append(f.runs[:i], f.runs[i+1:]...)
				f.ops = append(f.ops[:i], f.ops[i+1:]...)
				break
			}
		}
	}
	return err
}

// badText is what the target is asked in place of a refused statement: it is
// sure not to parse, whatever state the session is in.
const badText = "sallyport refused this statement"

// refuse answers the message of n bytes with err: the target is asked
// something of the same kind that it is sure to refuse, so that the order of
// replies, the transaction's state and ReadyForQuery are its own, and back puts
// r in its error's place.
func (f *front) refuse(kind byte, n int, name []byte, err error) error {
	if errors.Is(err, protocol.ErrClientGone) || errors.Is(err, protocol.ErrClosed) || f.c.ps.Context().Err() != nil {
		return err
	}
	r := refusal(err)
	var b []byte
	switch kind {
	case msgQuery:
		b = encode(&pgproto3.Query{String: badText})
	case msgParse:
		b = encode(&pgproto3.Parse{Name: string(name), Query: badText})
	case msgFunctionCall: // function 0 does not exist
		b = encode(&pgproto3.FunctionCall{})
	default:
		b = encode(&pgproto3.Bind{PreparedStatement: f.c.refuseAs})
	}
	return f.vain(entry{kind: kind, refused: &r}, n, b)
}

// vain sends b, which the target is sure to refuse, in the place of the message of n
// bytes that e is of.
func (f *front) vain(e entry, n int, b []byte) error {
	if f.skipping() { // the target ignores it anyway
		f.drop(n)
		return nil
	}
	e.vain = true
	f.push(e)
	if e.kind != msgQuery && e.kind != msgFunctionCall {
		f.dropping = true
		f.unsynced.Store(true)
	}
	f.replace(n, b)
	return nil
}

// missing answers a Bind or Execute of n bytes, of a name that stands for nothing, with
// what the target says of another such name.
func (f *front) missing(kind byte, n int, name []byte) error {
	b := encode(&pgproto3.Bind{PreparedStatement: f.c.refuseAs})
	if kind == msgExecute {
		b = encode(&pgproto3.Execute{Portal: f.c.refuseAs})
	}
	return f.vain(entry{kind: kind, missing: append([]byte{}, name...)}, n, b)
}

// malformed answers a message in which err was found with what the target says of
// another that has the same fault, and nothing else in it.
func (f *front) malformed(kind byte, frame []byte, err error) error {
	typ, body := kind, ""
	switch {
	case kind == msgFunctionCall, err == errString && kind == msgQuery:
	case err == errLong && kind == msgQuery:
		body = "\x00more"
	case err == errKind:
		body = string(frame[wire.HeaderLen:wire.HeaderLen+1]) + "\x00"
	default:
		switch typ = msgParse; err {
		case errShort:
			body = "\x00\x00"
		case errLong:
			body = "\x00\x00\x00\x00more"
		}
	}
	return f.vain(entry{kind: kind}, len(frame), appendMessage(nil, typ, func(b []byte) []byte { return append(b, body...) }))
}

func (f *front) query(frame, body []byte) error {
	text, err := cString(body)
	if err != nil {
		return f.malformed(msgQuery, frame, err)
	}
	f.copyRun = nil
	script, err := f.analyze(text, nil)
	if err != nil {
		return err
	}
	first := f.newRuns(script, string(text))
	if first == nil { // an empty query has nothing to decide
		f.push(entry{kind: msgQuery})
		f.keep(len(frame))
		return nil
	}
	for r := first; r != nil; r = r.next {
		if r.stmt.Effect.Has(pgsql.Prepare | pgsql.DeclareCursor) {
			if err := f.afford(); err != nil {
				return f.refuse(msgQuery, len(frame), nil, err)
			}
		}
	}
	first.op.MayRestrict = f.mayRestrict(first)
	if err := f.ask(first); err != nil {
		return f.refuse(msgQuery, len(frame), nil, err)
	}
	if first.op.Restricted() {
		return f.apart(first, len(frame))
	}
	c := f.c
	c.mu.Lock()
	c.q.push(entry{kind: msgQuery, run: first})
	for r := first; r != nil; r = r.next {
		c.sent(r)
	}
	f.copyRun = nextCopy(first)
	c.mu.Unlock()
	if t := first.op.Rewritten(); t != "" {
		f.replace(len(frame), encode(&pgproto3.Query{String: noNUL(t)}))
		return nil
	}
	f.keep(len(frame))
	return nil
}

// nextCopy returns the first run from r on that takes COPY data from the client.
func nextCopy(r *run) *run {
	for ; r != nil; r = r.next {
		if mayCopy(r) {
			return r
		}
	}
	return nil
}

func mayCopy(r *run) bool {
	return r.stmt.Effect.Has(pgsql.CopyIn|pgsql.ReplicationLike) || r.op.Access.Has(protocol.Opaque)
}

// cString returns b without its final NUL, which must be its only one.
func cString(b []byte) ([]byte, error) {
	c := cursor{b: b}
	s := c.str()
	return s, c.done()
}

// parse decides a Parse and forwards it. One whose Bind comes with it is no
// operation of its own: what is prepared and executed in one request is decided
// about, and recorded, once.
func (f *front) parse(frame, body []byte) error {
	m, err := decodeParse(body)
	if err != nil {
		return f.malformed(msgParse, frame, err)
	}
	f.copyRun = nil
	if err := f.legible(m.name); err != nil {
		return err
	}
	if err := f.afford(); err != nil {
		return f.refuse(msgParse, len(frame), m.name, err)
	}
	if !bytes.Equal(f.parsed.text, m.query) {
		f.parsed = parsed{text: append([]byte(nil), m.query...), source: string(m.query)}
	}
	script, err := f.analyze(f.parsed.text, &f.parsed.reading)
	if err != nil {
		return err
	}
	s := &statement{name: string(nameKey(m.name)), parsed: f.parsed, oids: append([]byte(nil), m.types...)}
	if len(s.text) > maxParsed {
		f.parsed = parsed{}
	}
	if len(script.Statements) == 1 {
		if stmt := s.in(script, f.state.Catalog); stmt != &script.Statements[0] {
			script = &pgsql.Script{Statements: []pgsql.Statement{*stmt}}
		}
		if n, bound := f.boundNext(len(frame), m.name); n > 0 {
			f.unparsed = unparsed{stmt: s, msg: m, n: len(frame)}
			return f.bindTo(s, &script.Statements[0], &bound, n)
		}
	}
	first := f.newRuns(script, s.source)
	if first != nil {
		s.stmt = first.stmt
		for r := first; r != nil; r = r.next {
			r.op.Prepare, r.op.RunsEarly = true, parsesCode(r.stmt, s.text)
		}
		if first.next != nil { // the target will not take several statements
			s.stmt = &pgsql.Statement{Verb: protocol.Unknown, Access: protocol.Opaque, Why: "several statements in one"}
		}
		if err := f.ask(first); err != nil {
			return f.refuse(msgParse, len(frame), m.name, err)
		}
	}
	f.sendParse(s, &m, first, len(frame))
	return nil
}

// boundNext returns the message behind the next n bytes and its length, if it
// is a Bind of the statement of that name and has been read whole; else 0.
func (f *front) boundNext(n int, name []byte) (int, bindMsg) {
	b := f.r.Buffered()[f.i+n:]
	typ, k, err := wire.Frame(b, f.c.limit)
	if typ != msgBind || err != nil || k == 0 || k > len(b) {
		return 0, bindMsg{}
	}
	m, err := decodeBind(b[wire.HeaderLen:k], f.bind)
	if err != nil || !bytes.Equal(nameKey(m.stmt), nameKey(name)) || first(f.legible(m.stmt), f.legible(m.portal)) != nil {
		return 0, bindMsg{}
	}
	f.bind = m.params[:0]
	return k, m
}

// sendParse puts the Parse m of n bytes, which makes s, into the stretch that is
// sent next; first is what was decided about.
func (f *front) sendParse(s *statement, m *parseMsg, first *run, n int) {
	rewritten := ""
	if first != nil {
		if rewritten = first.op.Rewritten(); rewritten != "" {
			s.stmt, s.rewritten, s.text, s.reading = first.stmt, rewritten, []byte(rewritten), reading{}
		}
	}
	s.reading.prepared, s.reading.since = true, f.version
	f.unsynced.Store(true)
	c := f.c
	c.mu.Lock()
	s.meaning.segment = f.segment
	c.statements.give(s.name, s, s.bytes())
	f.full = c.full()
	c.q.push(entry{kind: msgParse, run: first, stmt: s, early: c.prepares(s.stmt, nil)})
	c.mu.Unlock()
	if rewritten == "" {
		f.keep(n)
		return
	}
	f.replace(n, appendMessage(nil, msgParse, func(b []byte) []byte {
		b = append(append(b, m.name...), 0)
		b = append(appendText(b, rewritten), 0)
		b = binary.BigEndian.AppendUint16(b, uint16(len(m.types)/4))
		return append(b, m.types...)
	}))
}

// parseAhead sends the Parse that a Bind waits with, so that nobody is asked
// about a statement that the target does not even parse, unless to parse it may
// run what is held. What was asked for is recorded by then.
func (f *front) parseAhead() error {
	u := f.unparsed
	if u.stmt == nil || u.run.op.Rewritten() != "" || parsesCode(u.run.stmt, u.stmt.text) {
		return nil
	}
	if err := f.c.ps.Commit(f.c.ps.Context(), protocol.BeforeRelease, []*protocol.Operation{&u.run.op}); err != nil {
		return err // it is refused with its Bind
	}
	f.unparsed = unparsed{}
	u.stmt.stmt = u.run.stmt
	f.sendParse(u.stmt, &u.msg, nil, u.n)
	return nil
}

// errNoStatement is what the target says where there is no unnamed statement
// (exec_bind_message in postgres.c).
var errNoStatement = &protocol.Fault{Side: protocol.SideClient, Code: "26000", Msg: "unnamed prepared statement does not exist"}

func (f *front) bindMessage(frame, body []byte) error {
	m, err := decodeBind(body, f.bind)
	if err != nil {
		return f.malformed(msgBind, frame, err)
	}
	f.bind = m.params[:0]
	if err := f.legible(m.portal); err != nil {
		return err
	}
	if err := f.settle(false); err != nil {
		return err
	}
	if err := f.afford(); err != nil {
		return f.refuse(msgBind, len(frame), nil, err)
	}
	s, err := f.statement(m.stmt)
	if err != nil {
		return err
	}
	if s == nil {
		if len(m.stmt) == 0 {
			return f.refuse(msgBind, len(frame), nil, errNoStatement)
		}
		return f.missing(msgBind, len(frame), m.stmt)
	}
	f.c.mu.Lock()
	doubted := f.c.statements.doubted(s.name, s)
	f.c.mu.Unlock()
	stmt := s.stmt
	if stmt != nil && !stmt.Access.Has(protocol.Opaque) {
		// The names in the text may mean something else by now. How it reads
		// was settled when it was parsed: what could not be read then cannot
		// be read now.
		script, err := f.analyze(s.text, &s.reading)
		if err != nil {
			return err
		}
		stmt = s.in(script, f.state.Catalog)
	}
	if doubted && (stmt == nil || !stmt.Access.Has(protocol.Opaque)) {
		stmt = exchanged(stmt)
	}
	return f.bindTo(s, stmt, &m, len(frame))
}

// bindTo decides the Bind m of n bytes, of s, which does what stmt says, nil for
// nothing, and forwards it; with it goes the Parse that it waits with.
func (f *front) bindTo(s *statement, stmt *pgsql.Statement, m *bindMsg, n int) error {
	c := f.c
	p := &portal{}
	if stmt != nil {
		r := f.newRun(stmt, s.source, nil)
		r.basis.of = s
		p = &r.portal
		p.stmt, p.run = stmt, r
		if s.rewritten != "" {
			_ = r.op.Rewrite(s.rewritten) // the first rewrite is never refused
		}
		c.mu.Lock()
		params := s.params
		c.mu.Unlock()
		if r.op.Raw = m.params; !r.stmt.Effect.Has(pgsql.Fetch) { // which has those of what it reads from
			r.op.Args = decodeArgs(r.op.Args, m, func(i int) uint32 {
				if i < len(params) {
					return params[i]
				}
				if 4*i+4 <= len(s.oids) {
					return binary.BigEndian.Uint32(s.oids[4*i:])
				}
				return 0
			})
		}
		f.unparsed.run = r
		err := f.ask(r)
		r.op.Raw = nil
		u := f.unparsed
		f.unparsed = unparsed{}
		switch {
		case u.stmt != nil && err == nil:
			s.stmt = r.stmt
			f.sendParse(s, &u.msg, r, u.n)
			if s.rewritten != "" {
				p.stmt = s.stmt
			}
		case u.stmt != nil:
			return f.refuse(msgParse, u.n+n, u.msg.name, err)
		case err == nil && r.op.Rewritten() != s.rewritten:
			err = f.unask(r, protocol.ErrFixed)
		}
		if err != nil {
			return f.refuse(msgBind, n, nil, err)
		}
	}
	p.name, p.source = string(nameKey(m.portal)), s.source
	f.unsynced.Store(true)
	c.mu.Lock()
	if s.cols != nil {
		p.cols = withFormats(s.cols, append([]byte(nil), m.resultFormats...))
	}
	p.meaning.segment = f.segment
	c.portals.give(p.name, p, p.bytes())
	f.full = c.full()
	c.q.push(entry{kind: msgBind, run: p.run, portal: p, early: c.prepares(p.stmt, p)})
	c.mu.Unlock()
	f.keep(n)
	return nil
}

func (f *front) execute(frame, body []byte) error {
	m, err := decodeExecute(body)
	if err != nil {
		return f.malformed(msgExecute, frame, err)
	}
	c := f.c
	p, err := f.portal(m.portal)
	if err != nil {
		return err
	}
	if p == nil {
		return f.missing(msgExecute, len(frame), m.portal)
	}
	doubted := c.doubts(p) || p.run != nil && c.doubts(p.run.cursor)
	if p.stmt != nil && p.run == nil || doubted { // a cursor of SQL, or perhaps one of code's: what it reads is an operation each time
		stmt := p.stmt
		if doubted {
			stmt = exchanged(stmt)
		}
		r := f.newRun(stmt, "portal "+p.name, nil)
		r.op.Verb, r.op.Behind, r.basis = "fetch", p.source, basis{}
		if !doubted {
			r.op.Args = append(r.op.Args, p.arguments()...)
		}
		if err := f.ask(r); err != nil {
			return f.refuse(msgExecute, len(frame), nil, err)
		}
		p = &portal{name: p.name, stmt: p.stmt, run: r}
	}
	f.unsynced.Store(true)
	c.mu.Lock()
	if p.run != nil && p.run.looksAtRows() && !p.described {
		p.described = true
		c.q.push(entry{kind: entryDescribe, portal: p})
		c.mu.Unlock()
		f.insert(encode(&pgproto3.Describe{ObjectType: 'P', Name: string(m.portal)}))
		c.mu.Lock()
	}
	c.q.push(entry{kind: msgExecute, run: p.run, portal: p})
	if p.run != nil {
		c.sent(p.run)
		f.changed = f.changed || p.run.opens()
		if mayCopy(p.run) {
			f.copyRun = p.run
		}
	}
	c.mu.Unlock()
	f.keep(len(frame))
	return nil
}

func (f *front) describe(frame, body []byte) error {
	m, err := decodeNamed(body)
	if err != nil {
		return f.malformed(msgDescribe, frame, err)
	}
	f.unsynced.Store(true)
	c := f.c
	e := entry{kind: msgDescribe}
	if m.kind == 'S' {
		e.stmt, err = f.statement(m.name)
	} else {
		e.portal, err = f.portal(m.name)
	}
	if err != nil {
		return err
	}
	c.mu.Lock()
	if e.portal != nil {
		e.portal.described = true
	}
	c.q.push(e)
	c.mu.Unlock()
	f.keep(len(frame))
	return nil
}

func (f *front) close(frame, body []byte) error {
	m, err := decodeNamed(body)
	if err != nil {
		return f.malformed(msgClose, frame, err)
	}
	if err := f.legible(m.name); err != nil {
		return err
	}
	f.unsynced.Store(true)
	e, name := entry{kind: msgClose}, string(nameKey(m.name))
	c := f.c
	c.mu.Lock()
	if m.kind == 'S' {
		e.stmt = &statement{name: name, meaning: meaning[statement]{gone: true, segment: f.segment}}
		c.statements.give(name, e.stmt, e.stmt.bytes())
	} else {
		e.portal = &portal{name: name, meaning: meaning[portal]{gone: true, segment: f.segment}}
		c.portals.give(name, e.portal, e.portal.bytes())
	}
	c.q.push(e)
	c.mu.Unlock()
	f.keep(len(frame))
	return nil
}

func (f *front) functionCall(frame, body []byte) error {
	m, err := decodeFunctionCall(body)
	if err != nil {
		return f.malformed(msgFunctionCall, frame, err)
	}
	name := strconv.FormatUint(uint64(m.function), 10)
	r := &run{}
	r.op = protocol.Operation{Verb: "function call", Text: "function " + name, Access: protocol.Execute | protocol.Opaque,
		Why:     "it calls a function by its number",
		Objects: []protocol.Object{{Kind: "function", Name: name, Access: protocol.Execute}},
		Shape:   protocol.Rows, Raw: m.args, Fingerprint: "function call " + name}
	f.describeOp(r, nil)
	for _, a := range m.args {
		arg := protocol.Arg{Null: a == nil}
		if a != nil {
			arg.Text = hexText(a)
		}
		r.op.Args = append(r.op.Args, arg)
	}
	err = f.ask(r)
	r.op.Raw = nil
	if err == nil && r.op.Rewritten() != "" {
		err = f.unask(r, protocol.ErrFixed)
	}
	if err != nil {
		return f.refuse(msgFunctionCall, len(frame), nil, err)
	}
	f.c.mu.Lock()
	f.c.q.push(entry{kind: msgFunctionCall, run: r})
	f.c.sent(r)
	f.c.mu.Unlock()
	f.keep(len(frame))
	return nil
}

func (f *front) sync(n int) {
	c := f.c
	f.dropping, f.changed = false, false
	c.mu.Lock()
	if c.copying == nil {
		// While the target reads COPY data it ignores Sync, so there will be no
		// answer to this one.
		c.q.push(entry{kind: msgSync})
		f.segment++
	}
	f.unsynced.Store(false)
	c.mu.Unlock()
	f.keep(n)
}
