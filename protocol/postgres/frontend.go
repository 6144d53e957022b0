package postgres

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/pgsql"
	"github.com/sallyport-dev/gateway/protocol/internal/wire"
)

// front reads the client. Chunks are forwarded as they came, in one write; what
// is refused or put in is cut into the stretch.
type front struct {
	c *session
	r *wire.Reader

	start, i int         // Buffered()[start:i] is decided and not yet sent
	out      wire.Buffer // sent before that stretch
	need     int         // what Buffered must reach for progress
	pass     int         // bytes of a CopyData message that are still to come

	ops  []*protocol.Operation // decided since the last flush
	runs []*run

	segment  uint64        // Syncs sent
	skipped  atomic.Uint64 // set by back: 1 + the segment that the target skips
	unsynced atomic.Bool   // extended messages since the last Sync
	busy     atomic.Bool   // something was read that may not be in the queue yet
	dropping bool          // a message was refused: the target skips to the next Sync
	copyRun  *run          // what CopyData belongs to
	bind     [][]byte
}

func (f *front) init(c *session) {
	f.c = c
	f.r = wire.NewReader(c.client)
}

func (f *front) loop() error {
	for {
		if err := f.chunk(); err != nil {
			if errors.Is(err, errTerminated) {
				_ = f.flush()
			}
			return f.explain(err)
		}
		if err := f.flush(); err != nil {
			return f.explain(err)
		}
		f.r.Discard(f.i)
		f.start, f.i = 0, 0
		f.busy.Store(false)
		if f.c.draining.Load() {
			f.c.drain()
		}
		if err := f.r.Fill(f.need); err != nil {
			return err
		}
		f.busy.Store(true)
	}
}

// explain tells the client why the session ends, where the client may know.
func (f *front) explain(err error) error {
	var e *Error
	if errors.As(err, &e) && e.Side != SideTarget {
		f.c.farewell(err)
	}
	return err
}

// chunk handles every message that has been read whole.
func (f *front) chunk() error {
	for {
		b := f.r.Buffered()
		if f.pass > 0 {
			n := min(f.pass, len(b)-f.i)
			f.i += n
			if f.pass -= n; f.pass > 0 {
				f.need = 0
				return nil
			}
		}
		if len(b)-f.i < wire.HeaderLen {
			f.need = len(b) - f.i + 1
			return nil
		}
		limit := f.c.limit
		if b[f.i] == msgCopyData {
			limit = 1 << 30 // streamed; PostgreSQL's own limit
		}
		typ, n, err := wire.Frame(b[f.i:], limit)
		if err != nil {
			return &Error{Side: SideClient, Code: codeLimitExceeded, Err: err,
				Msg: fmt.Sprintf("a message is malformed or longer than this gateway looks at, %d bytes", limit)}
		}
		if typ == msgCopyData && f.copyRun != nil && !f.dropped(typ) {
			f.copyRun.bytesIn.Add(int64(n - wire.HeaderLen))
			f.pass = n
			continue
		}
		if f.i+n > len(b) {
			f.need = n
			return nil
		}
		if err := f.message(typ, b[f.i:f.i+n]); err != nil {
			return err
		}
	}
}

// dropped reports whether the target would ignore a message of type typ, so
// that there is nothing to decide.
func (f *front) dropped(typ byte) bool {
	if typ == msgSync || typ == msgTerminate {
		return false
	}
	return f.dropping || f.skipped.Load() == f.segment+1
}

func (f *front) message(typ byte, frame []byte) error {
	if f.dropped(typ) {
		f.drop(len(frame))
		return nil
	}
	if err := f.room(); err != nil {
		return err
	}
	body := frame[wire.HeaderLen:]
	switch typ {
	case msgQuery:
		return f.query(frame, body)
	case msgParse:
		return f.parse(frame, body)
	case msgBind:
		return f.bindMessage(frame, body)
	case msgExecute:
		return f.execute(frame, body)
	case msgDescribe:
		return f.describe(frame, body)
	case msgClose:
		return f.close(frame, body)
	case msgFunctionCall:
		return f.functionCall(frame, body)
	case msgFlush:
		f.keep(len(frame))
		return nil
	case msgSync:
		f.sync(len(frame))
		return nil
	case msgCopyData: // nothing copies: the target would ignore it
		f.drop(len(frame))
		return nil
	case msgCopyDone, msgCopyFail:
		if f.copyRun == nil {
			f.drop(len(frame))
			return nil
		}
		f.copyRun = nextCopy(f.copyRun.next)
		f.c.mu.Lock()
		if f.c.q.len() > 0 { // else the COPY has failed before
			f.c.q.push(entry{kind: entryCopyEnd})
		}
		f.c.copying = nil
		f.c.mu.Unlock()
		f.keep(len(frame))
		return nil
	case msgTerminate:
		f.keep(len(frame))
		return errTerminated
	}
	return &Error{Side: SideClient, Code: codeProtocolViolation, Msg: "invalid frontend message type " + strconv.Itoa(int(typ))}
}

// keep forwards the next n bytes as they are.
func (f *front) keep(n int) { f.i += n }

// cut moves the decided stretch to out, so that something can follow it that is
// not in the buffer.
func (f *front) cut() {
	if f.start < f.i {
		f.out.Append(f.r.Buffered()[f.start:f.i])
	}
	f.start = f.i
}

// drop forwards nothing in place of the next n bytes.
func (f *front) drop(n int) {
	f.cut()
	f.i += n
	f.start = f.i
}

// replace forwards b in place of the next n bytes.
func (f *front) replace(n int, b []byte) {
	f.cut()
	f.out.Append(b)
	f.i += n
	f.start = f.i
}

// insert forwards b before the next bytes.
func (f *front) insert(b []byte) {
	f.cut()
	f.out.Append(b)
}

// flush makes the records of what was decided safe and sends it.
func (f *front) flush() error {
	stretch := f.r.Buffered()[f.start:f.i]
	if len(stretch) == 0 && len(f.out.B) == 0 {
		return nil
	}
	if len(f.ops) > 0 {
		if err := f.c.ps.Commit(f.c.ps.Context(), protocol.BeforeSend, f.ops); err != nil {
			for _, r := range f.runs {
				r.end(protocol.Outcome{Status: protocol.StatusError, Err: err})
			}
			f.forget()
			return &Error{Side: SideGateway, Code: codeIOError, Msg: "the audit record cannot be written, so nothing may run", Err: err}
		}
	}
	b := stretch
	if len(f.out.B) > 0 {
		f.out.Append(stretch)
		b = f.out.B
	}
	_, err := f.c.t.conn.Write(b)
	f.out.Reset()
	f.start = f.i
	if err != nil {
		return &Error{Side: SideTarget, Code: codeConnectionFailure, Msg: "the target closed the connection", Err: err}
	}
	if len(f.ops) > 0 {
		// Overlaps the target's work. Should it fail, back tries again before
		// it releases anything, and fails.
		if f.c.ps.Commit(f.c.ps.Context(), protocol.BeforeRelease, f.ops) == nil {
			for _, r := range f.runs {
				r.committed.Store(true)
			}
		}
		f.forget()
	}
	return nil
}

func (f *front) forget() {
	clear(f.ops)
	clear(f.runs)
	f.ops, f.runs = f.ops[:0], f.runs[:0]
}

func (f *front) push(e entry) {
	f.c.mu.Lock()
	f.c.q.push(e)
	f.c.mu.Unlock()
}

// room waits while too many answers are outstanding.
func (f *front) room() error {
	c := f.c
	c.mu.Lock()
	full := c.q.len() >= maxPending
	c.mu.Unlock()
	if !full {
		return nil
	}
	if err := f.flush(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.q.len() >= maxPending && c.ended == nil {
		c.changed.Wait()
	}
	return c.ended
}

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
		f.ops = append(f.ops, &r.op)
		f.runs = append(f.runs, r)
		fixed = fixed || first.next != nil && r.op.Rewritten() != ""
	}
	if fixed { // one of several statements cannot be replaced
		return f.unask(first, protocol.ErrFixed)
	}
	return nil
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
	if f.skipped.Load() == f.segment+1 { // the target ignores it anyway
		f.drop(n)
		return nil
	}
	r := refusal(err)
	f.push(entry{kind: kind, refused: &r})
	var b []byte
	switch kind {
	case msgQuery:
		b = appendMessage(nil, msgQuery, func(b []byte) []byte { return append(append(b, badText...), 0) })
	case msgParse:
		b = appendMessage(nil, msgParse, func(b []byte) []byte {
			b = append(append(b, name...), 0)
			return append(append(b, badText...), 0, 0, 0)
		})
	case msgFunctionCall: // function 0 does not exist
		b = appendMessage(nil, msgFunctionCall, func(b []byte) []byte { return append(b, make([]byte, 4+2+2+2)...) })
	default:
		b = appendMessage(nil, msgBind, func(b []byte) []byte {
			b = append(append(b, 0), f.c.refuseAs...)
			return append(b, 0, 0, 0, 0, 0, 0, 0)
		})
	}
	if kind != msgQuery && kind != msgFunctionCall {
		f.dropping = true
		f.unsynced.Store(true)
	}
	f.replace(n, b)
	return nil
}

func (f *front) query(frame, body []byte) error {
	text, ok := cString(body)
	if !ok {
		return malformed("Query")
	}
	f.copyRun = nil
	script, err := f.analyze(text)
	if err != nil {
		return err
	}
	first := f.newRuns(script, text)
	if first == nil { // an empty query has nothing to decide
		f.push(entry{kind: msgQuery})
		f.keep(len(frame))
		return nil
	}
	if err := f.ask(first); err != nil {
		return f.refuse(msgQuery, len(frame), nil, err)
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
		f.replace(len(frame), appendMessage(nil, msgQuery, func(b []byte) []byte { return append(appendText(b, t), 0) }))
		return nil
	}
	f.keep(len(frame))
	return nil
}

// nextCopy returns the first run from r on that takes COPY data from the client.
func nextCopy(r *run) *run {
	for ; r != nil; r = r.next {
		if r.stmt.Effect.Has(pgsql.CopyIn | pgsql.ReplicationLike) {
			return r
		}
	}
	return nil
}

func malformed(what string) error {
	return &Error{Side: SideClient, Code: codeProtocolViolation, Msg: "invalid message format: " + what}
}

// cString returns b without its final NUL, which must be its only one.
func cString(b []byte) ([]byte, bool) {
	i := bytes.IndexByte(b, 0)
	return b[:max(i, 0)], i >= 0 && i == len(b)-1
}

func (f *front) parse(frame, body []byte) error {
	m, err := decodeParse(body)
	if err != nil {
		return malformed("Parse")
	}
	f.copyRun = nil
	script, err := f.analyze(m.query)
	if err != nil {
		return err
	}
	first := f.newRuns(script, m.query)
	s := &statement{name: string(m.name), text: append([]byte(nil), m.query...), oids: append([]byte(nil), m.types...)}
	if first != nil {
		s.stmt = first.stmt
		for r := first; r != nil; r = r.next {
			r.op.Prepare = true
		}
		if first.next != nil { // the target will not take several statements
			s.stmt = &pgsql.Statement{Verb: protocol.Unknown, Access: protocol.Opaque, Why: "several statements in one"}
		}
		if err := f.ask(first); err != nil {
			return f.refuse(msgParse, len(frame), m.name, err)
		}
	}
	f.unsynced.Store(true)
	c := f.c
	c.mu.Lock()
	s.prev = c.statements[s.name]
	c.statements[s.name] = s
	c.q.push(entry{kind: msgParse, run: first, stmt: s})
	c.mu.Unlock()
	if first != nil {
		if t := first.op.Rewritten(); t != "" {
			f.replace(len(frame), appendMessage(nil, msgParse, func(b []byte) []byte {
				b = append(append(b, m.name...), 0)
				b = append(appendText(b, t), 0)
				b = binary.BigEndian.AppendUint16(b, uint16(len(m.types)/4))
				return append(b, m.types...)
			}))
			return nil
		}
	}
	f.keep(len(frame))
	return nil
}

// noStatement is what the target says of a name that it does not know
// (FetchPreparedStatement in prepare.c).
func noStatement(name []byte) error {
	msg := fmt.Sprintf("prepared statement \"%s\" does not exist", name)
	if len(name) == 0 {
		msg = "unnamed prepared statement does not exist"
	}
	return &Error{Side: SideClient, Code: "26000", Msg: msg}
}

func (f *front) bindMessage(frame, body []byte) error {
	m, err := decodeBind(body, f.bind)
	if err != nil {
		return malformed("Bind")
	}
	f.bind = m.params[:0]
	if err := f.settle(); err != nil {
		return err
	}
	c := f.c
	c.mu.Lock()
	s := c.statements[string(m.stmt)]
	var params []uint32
	if s != nil {
		params = s.params
	}
	c.mu.Unlock()
	if s == nil {
		return f.refuse(msgBind, len(frame), nil, noStatement(m.stmt))
	}
	p := &portal{name: string(m.portal), stmt: s.stmt}
	if s.stmt != nil {
		// The names in the text may mean something else by now.
		stmt := s.stmt
		if script, err := f.analyze(s.text); err != nil {
			return err
		} else if len(script.Statements) == 1 {
			stmt = &script.Statements[0]
		}
		p.stmt = stmt
		p.run = f.newRun(stmt, string(s.text), nil)
		p.run.op.Raw = m.params
		p.run.op.Args = decodeArgs(&m, func(i int) uint32 {
			if i < len(params) {
				return params[i]
			}
			if 4*i+4 <= len(s.oids) {
				return binary.BigEndian.Uint32(s.oids[4*i:])
			}
			return 0
		})
		err := f.ask(p.run)
		p.run.op.Raw = nil
		if err == nil && p.run.op.Rewritten() != "" {
			err = f.unask(p.run, protocol.ErrFixed)
		}
		if err != nil {
			return f.refuse(msgBind, len(frame), nil, err)
		}
	}
	f.unsynced.Store(true)
	c.mu.Lock()
	if s.cols != nil {
		p.cols = withFormats(s.cols, append([]byte(nil), m.resultFormats...))
	}
	p.prev = c.portals[p.name]
	c.portals[p.name] = p
	c.q.push(entry{kind: msgBind, run: p.run, portal: p})
	c.mu.Unlock()
	f.keep(len(frame))
	return nil
}

func (f *front) execute(frame, body []byte) error {
	m, err := decodeExecute(body)
	if err != nil {
		return malformed("Execute")
	}
	c := f.c
	c.mu.Lock()
	p := c.portals[string(m.portal)]
	c.mu.Unlock()
	if p == nil {
		return f.refuse(msgExecute, len(frame), nil,
			&Error{Side: SideClient, Code: "34000", Msg: fmt.Sprintf("portal \"%s\" does not exist", m.portal)})
	}
	if p.run == nil && p.stmt != nil { // a cursor of SQL: what it reads is an operation each time
		r := f.newRun(p.stmt, "", nil)
		r.op.Verb = "fetch"
		if err := f.ask(r); err != nil {
			return f.refuse(msgExecute, len(frame), nil, err)
		}
		p = &portal{name: p.name, stmt: p.stmt, run: r}
	}
	f.unsynced.Store(true)
	c.mu.Lock()
	if p.run != nil && p.run.x().WantsRows() && !p.described {
		p.described = true
		c.q.push(entry{kind: entryDescribe, portal: p})
		c.mu.Unlock()
		f.insert(appendMessage(nil, msgDescribe, func(b []byte) []byte { return append(append(append(b, 'P'), m.portal...), 0) }))
		c.mu.Lock()
	}
	c.q.push(entry{kind: msgExecute, run: p.run, portal: p})
	if p.run != nil {
		c.sent(p.run)
		if p.run.stmt.Effect.Has(pgsql.CopyIn) {
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
		return malformed("Describe")
	}
	f.unsynced.Store(true)
	c := f.c
	e := entry{kind: msgDescribe}
	c.mu.Lock()
	if m.kind == 'S' {
		e.stmt = c.statements[string(m.name)]
	} else if e.portal = c.portals[string(m.name)]; e.portal != nil {
		e.portal.described = true
	}
	e.named.kind = m.kind
	c.q.push(e)
	c.mu.Unlock()
	f.keep(len(frame))
	return nil
}

func (f *front) close(frame, body []byte) error {
	m, err := decodeNamed(body)
	if err != nil {
		return malformed("Close")
	}
	f.unsynced.Store(true)
	f.push(entry{kind: msgClose, named: namedMsg{m.kind, append([]byte(nil), m.name...)}})
	f.keep(len(frame))
	return nil
}

func (f *front) functionCall(frame, body []byte) error {
	m, err := decodeFunctionCall(body)
	if err != nil {
		return malformed("FunctionCall")
	}
	name := strconv.FormatUint(uint64(m.function), 10)
	r := &run{}
	r.op = protocol.Operation{Verb: "function call", Text: "function " + name, Access: protocol.Execute,
		Objects: []protocol.Object{{Kind: "function", Name: name, Access: protocol.Execute}},
		Shape:   protocol.Rows, Raw: m.args, Fingerprint: "function call " + name}
	f.describeOp(r)
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
	f.dropping = false
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
			// What comes later in the same text may mean something else by then.
			return c.analyzeBlind(text), nil
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
	b := appendMessage(nil, msgParse, func(b []byte) []byte {
		b = append(append(b, name...), 0)
		return append(append(b, probeText...), 0, 0, 0)
	})
	b = appendMessage(b, msgBind, func(b []byte) []byte {
		b = append(append(b, name...), 0)
		b = append(append(b, name...), 0)
		return append(b, 0, 0, 0, 0, 0, 0)
	})
	b = appendMessage(b, msgExecute, func(b []byte) []byte { return append(append(append(b, name...), 0), 0, 0, 0, 0) })
	for _, kind := range []byte{'P', 'S'} {
		b = appendMessage(b, msgClose, func(b []byte) []byte { return append(append(append(b, kind), name...), 0) })
	}
	return append(b, msgSync, 0, 0, 0, 4)
}

// analyzeBlind analyses text as if nothing were known about the session.
func (c *session) analyzeBlind(text []byte) *pgsql.Script {
	return c.srv.analyzer.Analyze(text, &pgsql.State{StandardStrings: true, Temp: true})
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
		c.statements[e.Name] = &statement{name: e.Name, stmt: r.stmt.Inner, prev: c.statements[e.Name]}
	case e.Has(pgsql.DeclareCursor):
		c.portals[e.Name] = &portal{name: e.Name, stmt: r.stmt.Inner, pending: 1, prev: c.portals[e.Name]}
	}
}
