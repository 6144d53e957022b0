package mysql

import (
	"bytes"
	"fmt"

	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/mysqlsql"
)

// A preparedStatement is one that the target knows by its id, which the client
// is told as it is.
type preparedStatement struct {
	id     uint32
	text   string  // as the client sent it
	sent   string  // as the target has it, if a step has rewritten it
	in     reading // the state in which the target has read it
	params int
	types  []byte         // of the last execution that sent them
	names  []string       // of its query attributes
	defs   [][]byte       // the columns of the rows that are left to fetch
	long   map[int][]byte // arguments sent ahead
	size   int            // bytes of them

	cursor  *mysqlsql.Statement // what the open cursor shows, as it was when it was opened
	args    []protocol.Arg      // and what with
	raw     [][]byte            // the same as it was sent
	counted int                 // bytes that it took when it was counted last
}

// What a statement takes beside its text, and each of a list beside its bytes, about.
const (
	perStatement = 512
	perItem      = 64
)

func (p *preparedStatement) bytes() int {
	n := perStatement + len(p.text) + len(p.sent) + len(p.types) + p.size
	for _, name := range p.names {
		n += perItem + len(name)
	}
	for _, def := range p.defs {
		n += perItem + len(def)
	}
	for i := range p.args {
		n += 2*perItem + len(p.args[i].Text) + len(p.raw[i])
	}
	return n
}

// preparedStatements are those of one session.
type preparedStatements struct {
	m     map[uint32]*preparedStatement
	last  uint32
	bytes int
}

func (ps *preparedStatements) add(p *preparedStatement) {
	if ps.m == nil {
		ps.m = map[uint32]*preparedStatement{}
	}
	ps.remove(p.id)
	ps.m[p.id], ps.last = p, p.id
	ps.count(p)
}

// count notes what p takes by now.
func (ps *preparedStatements) count(p *preparedStatement) {
	n := p.bytes()
	ps.bytes += n - p.counted
	p.counted = n
}

func (ps *preparedStatements) remove(id uint32) {
	if p := ps.m[id]; p != nil {
		ps.bytes -= p.counted
		delete(ps.m, id)
	}
}

func (ps *preparedStatements) clear() { *ps = preparedStatements{} }

// lastPrepared is MariaDB's id for the statement that was prepared last.
const lastPrepared = ^uint32(0)

func (ps *preparedStatements) find(id uint32) *preparedStatement {
	if id == lastPrepared {
		id = ps.last
	}
	return ps.m[id]
}

// noStatement is what the servers say: for is the function of theirs that looks
// for the statement.
func noStatement(id uint32, function string) error {
	return fault(protocol.SideClient, codeNoStatement, fmt.Sprintf("Unknown prepared statement handler (%d) given to %s", id, function), nil)
}

// afford refuses what would take too much memory.
func (c *session) afford() error {
	if c.prepared.bytes < c.srv.maxPrepared() {
		return nil
	}
	return fault(protocol.SideClient, codeManyStatements, "this session's prepared statements take too much memory; close some", nil)
}

// prepare answers a COM_STMT_PREPARE.
func (c *session) prepare(text, raw []byte) error {
	c.prepared.last = 0 // also if it fails, the one before is no longer the last
	if err := c.afford(); err != nil {
		return c.refuse(err)
	}
	if err := c.settle(text); err != nil {
		return err
	}
	script := c.analyze(text)
	first := c.newRuns(script, string(text))
	for r := first; r != nil; r = r.next {
		r.op.Prepare = true
	}
	first, err := c.ask(first)
	if err != nil {
		return c.refuse(err)
	}
	p := &preparedStatement{text: string(text), in: c.tracker.reading()}
	if first.op.Rewritten() != "" {
		p.sent = first.op.Rewritten()
		err = c.sendPayload(append([]byte{mysql.COM_STMT_PREPARE}, p.sent...))
	} else {
		err = c.send(raw, c.seq)
	}
	if err != nil {
		return err
	}
	if err := c.release(first); err != nil {
		return err
	}
	c.tracker.told(first)
	return c.back.prepared(first, p)
}

// prepared relays the answer to a COM_STMT_PREPARE.
func (b *relay) prepared(first *run, p *preparedStatement) error {
	b.begin()
	payload, n, err := b.peek()
	if err != nil {
		return err
	}
	if payload[0] == packetERR {
		if err := b.failed(first, payload, n); err != nil {
			return err
		}
		return b.flush()
	}
	c := cursor{b: payload}
	ok := c.u8()
	p.id = c.u32()
	columns, params := int(c.u16()), int(c.u16())
	if c.bad || ok != packetOK || columns > maxColumns {
		return badReply(nil)
	}
	b.keep(n)
	for _, count := range []int{params, columns} {
		end := count
		if count > 0 && b.c.teof {
			count++
		}
		for i := range count {
			payload, n, err := b.peek()
			if err != nil {
				return err
			}
			switch {
			case payload[0] == packetERR:
				return badReply(nil)
			case i == end && !b.c.eof:
				b.drop(n)
			case i == end:
				b.keep(n)
			default:
				if err := b.keepColumn(payload, n); err != nil {
					return err
				}
			}
		}
	}
	p.params = params
	b.c.prepared.add(p)
	endAll(first, protocol.Outcome{Status: protocol.StatusOK})
	return b.flush()
}

// executionRun returns the run of an execution of p, analysed anew: what its names mean
// may have changed.
func (c *session) executionRun(p *preparedStatement) *run {
	text := p.text
	if p.sent != "" {
		text = p.sent
	}
	// The target may read it again, in the session's present state.
	if p.in.mode != c.tracker.mode {
		return c.runOf(p, mysqlsql.Unclear("sql_mode has changed since it was prepared"))
	}
	if charset := c.tracker.charset; p.in.charset != charset && !mysqlsql.Legible([]byte(text), charset) {
		return c.runOf(p, mysqlsql.Unclear("the character set has changed since it was prepared"))
	}
	script := c.analyzeIn(p.in, []byte(text))
	if len(script.Statements) != 1 {
		return c.runOf(p, mysqlsql.Unclear("several statements in one"))
	}
	r := c.runOf(p, &script.Statements[0])
	r.basis = basis{script, p.in, text, 0, c.ended}
	return r
}

// runOf returns the run of p as stmt.
func (c *session) runOf(p *preparedStatement, stmt *mysqlsql.Statement) *run {
	r := c.one(stmt, p.text)
	if p.sent != "" {
		_ = r.op.Rewrite(p.sent) // the first rewrite is never refused
	}
	return r
}

// Flags of a COM_STMT_EXECUTE.
const paramsAvailable = 0x08 // PARAMETER_COUNT_AVAILABLE: query attributes follow

// execute answers a COM_STMT_EXECUTE.
func (c *session) execute(body []byte) error {
	cur := cursor{b: body}
	id := cur.u32()
	flags := cur.u8()
	iterations := cur.u32()
	if cur.bad {
		return malformed()
	}
	p := c.prepared.find(id)
	if p == nil {
		return c.refuse(noStatement(id, "mysqld_stmt_execute"))
	}
	long := p.long
	c.forgetLong(p) // whatever becomes of this execution, the next one has its own
	attributes := flags&paramsAvailable != 0 && c.st.has(mysql.CLIENT_QUERY_ATTRIBUTES)
	count := p.params
	if attributes {
		n, _ := cur.length()
		if cur.bad || n > maxArgs || int(n) < p.params {
			return malformed()
		}
		count = int(n)
	}
	var b binding
	if count > 0 {
		var err error
		sent := func(i int) ([]byte, bool) { v, ok := long[i]; return v, ok }
		if b, err = decodeBinding(&cur, count, p.types, sent, attributes); err != nil {
			return malformed()
		}
		if attributes && b.names == nil {
			if b.names = p.names; len(b.names) != count {
				return malformed()
			}
		}
	}
	if cur.done() != nil {
		return malformed()
	}
	p.types, p.names = append([]byte(nil), b.types...), b.names // a client does not send them again, also if this is refused
	c.prepared.count(p)
	if flags != 0 { // the columns of a cursor and the names of attributes are kept
		if err := c.afford(); err != nil {
			return c.refuse(err)
		}
	}
	if err := c.settle([]byte(p.text)); err != nil {
		return err
	}
	r := c.executionRun(p)
	r.op.Args, r.op.Raw = b.args(), b.values
	if r.stmt.Numbers != nil && b.numbers() {
		r.op.Inferred = r.stmt.Numbers
	}
	for i := range b.names {
		if i >= p.params {
			r.op.Args[i].Text = b.names[i] + "=" + r.op.Args[i].Text
		}
	}
	r, err := c.ask(r)
	if err == nil && r.op.Rewritten() != p.sent {
		return c.unask(r, protocol.ErrFixed)
	}
	if err != nil {
		return c.refuse(err)
	}
	defer c.changed(r, c.beginChange(r))
	if err := c.sendExecution(p, &b, long, flags&^paramsAvailable, iterations, attributes); err != nil {
		return err
	}
	if err := c.release(r); err != nil {
		return err
	}
	p.defs, p.cursor, p.args, p.raw = nil, r.stmt, nil, nil
	if flags&^paramsAvailable != 0 {
		p.args = r.op.Args
		for _, v := range b.values {
			p.raw = append(p.raw, bytes.Clone(v))
		}
	}
	c.prepared.count(p)
	c.tracker.sent(r)
	if flags&^paramsAvailable == 0 {
		return c.back.execute(r, nil)
	}
	return c.back.execute(r, p)
}

// longPiece is what is sent ahead at a time: all of an argument may be longer than a
// packet may be at the target (max_allowed_packet).
const longPiece = 64 << 10

// sendExecution sends long, the arguments that were sent ahead, and the execution, in
// one go. It is written anew: query attributes are left out for a target that
// does not know them, and types are sent each time.
func (c *session) sendExecution(p *preparedStatement, b *binding, long map[int][]byte, flags byte, iterations uint32, attributes bool) error {
	var out []byte
	for i := range b.values {
		v, ok := long[i]
		for ok {
			n := min(len(v), longPiece)
			var seq byte
			m := appendUint([]byte{mysql.COM_STMT_SEND_LONG_DATA}, 4, uint64(p.id))
			m = append(appendUint(m, 2, uint64(i)), v[:n]...)
			out = appendPacket(out, &seq, m)
			v = v[n:]
			ok = len(v) > 0
		}
	}
	count := p.params
	attributes = attributes && c.attrsSent && len(b.values) > 0
	if attributes {
		count, flags = len(b.values), flags|paramsAvailable
	}
	m := appendUint([]byte{mysql.COM_STMT_EXECUTE}, 4, uint64(p.id))
	m = appendUint(append(m, flags), 4, uint64(iterations))
	if attributes {
		m = appendLength(m, uint64(count))
	}
	if count > 0 {
		at := len(m)
		m = append(m, make([]byte, (count+7)/8)...)
		m = append(m, 1)
		for i := range count {
			m = append(m, b.types[2*i:2*i+2]...)
			if attributes {
				m = appendStr(m, []byte(b.names[i]))
			}
		}
		for i, v := range b.values[:count] {
			if _, ok := long[i]; ok {
				continue
			}
			if v == nil {
				m[at+i/8] |= 1 << (i % 8)
				continue
			}
			switch w := widthOf(b.types[2*i]); w {
			case widthString:
				m = appendStr(m, v)
			case widthShort:
				m = append(append(m, byte(len(v))), v...)
			default:
				m = append(m, v...)
			}
		}
	}
	var seq byte
	return c.send(appendPacket(out, &seq, m), seq)
}

// longData keeps a piece of an argument until the execution: what is decided
// about is the whole. It has no answer.
func (c *session) longData(body []byte) error {
	cur := cursor{b: body}
	id, param := cur.u32(), int(cur.u16())
	data := cur.rest()
	if cur.bad {
		return nil
	}
	p := c.prepared.find(id)
	if p == nil || param >= p.params {
		return nil // as MySQL: the execution fails
	}
	if p.size+len(data) > c.limit || c.prepared.bytes+len(data) > c.srv.maxPrepared()+c.limit {
		return fault(protocol.SideClient, codeTooLarge, fmt.Sprintf("the arguments are larger than %d bytes, which is as much as this gateway looks at", c.limit), nil)
	}
	if p.long == nil {
		p.long = map[int][]byte{}
	}
	n := len(data)
	if p.long[param] == nil {
		p.long[param] = []byte{}
		n += perItem
	}
	p.long[param] = append(p.long[param], data...)
	p.size += n
	p.counted += n
	c.prepared.bytes += n
	return nil
}

func (c *session) forgetLong(p *preparedStatement) {
	if p.long != nil {
		p.long, p.size = nil, 0
		c.prepared.count(p)
	}
}

// closeStatement forgets a statement. It has no answer.
func (c *session) closeStatement(body, raw []byte) error {
	cur := cursor{b: body}
	id := cur.u32()
	if cur.done() != nil {
		return nil
	}
	p := c.prepared.find(id)
	if p == nil {
		return nil // the target knows no other
	}
	c.prepared.remove(p.id)
	return c.send(raw, c.seq)
}

// resetStatement takes back what was sent ahead and closes the cursor.
func (c *session) resetStatement(body, raw []byte) error {
	cur := cursor{b: body}
	id := cur.u32()
	if cur.done() != nil {
		return malformed()
	}
	p := c.prepared.find(id)
	if p == nil {
		return c.refuse(noStatement(id, "mysqld_stmt_reset"))
	}
	c.forgetLong(p)
	p.defs = nil
	if err := c.send(raw, c.seq); err != nil {
		return err
	}
	return c.back.simple(nil)
}

// fetch answers a COM_STMT_FETCH: rows of an execution with a cursor, which are
// an operation each time.
func (c *session) fetch(body, raw []byte) error {
	cur := cursor{b: body}
	id := cur.u32()
	cur.u32() // how many rows
	if cur.done() != nil {
		return malformed()
	}
	p := c.prepared.find(id)
	switch {
	case p == nil:
		return c.refuse(noStatement(id, "mysqld_stmt_fetch"))
	case p.defs == nil:
		// Nothing is sent: the target may have one, of an execution before one that it
		// has refused for its arguments, or whose result was not shown.
		msg := fmt.Sprintf("The statement (%d) has no open cursor", id)
		if !c.t.isMariaDB() {
			msg += "."
		}
		return c.refuse(fault(protocol.SideClient, mysql.ER_STMT_HAS_NO_OPEN_CURSOR, msg, nil))
	}
	if err := c.settle([]byte(p.text)); err != nil {
		return err
	}
	r := c.runOf(p, p.cursor)
	r.op.Text, r.op.Verb, r.op.Behind = fmt.Sprintf("fetch from statement %d", p.id), "fetch", p.text
	r.op.Args, r.op.Raw = p.args, p.raw
	r, err := c.ask(r)
	if err != nil {
		return c.refuse(err)
	}
	if err := c.send(raw, c.seq); err != nil {
		return err
	}
	if err := c.release(r); err != nil {
		return err
	}
	return c.back.fetched(r, p)
}

// fetched relays the answer to a COM_STMT_FETCH.
func (b *relay) fetched(r *run, p *preparedStatement) error {
	b.begin()
	var t *rowTap
	if r.x().WantsRows() {
		var err error
		if t, err = b.c.tap(r, p.defs, true); err != nil {
			if err = b.fail(r, err); err != nil {
				return err
			}
		}
	}
	m, ended, err := b.rows(r, t)
	if err != nil {
		return err
	}
	if !ended {
		b.done(r, m)
	}
	return b.flush()
}
