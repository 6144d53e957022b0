package mysql

import (
	"errors"

	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/mysqlsql"
	"github.com/sallyport-dev/gateway/protocol/internal/serve"
	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

// A run is one statement on its way through the target.
type run struct {
	op    protocol.Operation
	stmt  *mysqlsql.Statement
	next  *run // of the same text
	rows  int64
	bytes int64
	ended bool
	ok    bool  // it ended well
	held  *held // nil, or how the first of a text was held
	basis basis
}

func (r *run) x() *protocol.Exchange { return r.op.Exchange() }

func (r *run) end(out protocol.Outcome) {
	if r.ended {
		return
	}
	r.ended, r.ok = true, out.Status == protocol.StatusOK
	if out.Rows == 0 {
		out.Rows = r.rows
	}
	out.Bytes = r.bytes
	r.x().End(out)
}

// endAll ends what has not ended of first and what follows it.
func endAll(first *run, out protocol.Outcome) {
	for r := first; r != nil; r = r.next {
		r.end(out)
	}
}

// newRuns returns the runs of a text.
func (c *session) newRuns(script *mysqlsql.Script, text string) *run {
	if len(script.Statements) == 0 {
		return c.one(empty(), text)
	}
	var first *run
	last := &first
	for i := range script.Statements {
		r := &run{stmt: &script.Statements[i], basis: basis{script, c.tracker.reading(), text, i, c.ended}}
		c.describe(r, text)
		*last = r
		last = &r.next
	}
	return first
}

// describe fills the operation of r with what is known of its statement.
func (c *session) describe(r *run, text string) {
	st := r.stmt
	r.op = protocol.Operation{Text: text, Detail: st, Unmask: sql.Unmask(text), State: c.tracker.key(), InTx: c.status&statusInTx != 0}
	setFacts(&r.op, st)
}

// setFacts fills op with what is known of st.
func setFacts(op *protocol.Operation, st *mysqlsql.Statement) {
	op.Verb, op.Access, op.Pure, op.Bounded, op.Shape = st.Verb, st.Access, st.Pure, st.Bounded, st.Shape
	op.Objects, op.Reads, op.ReadsKnown, op.Returned, op.Writes, op.Columns = st.Objects, st.Reads, st.ReadsKnown, st.Returned, st.Writes, st.Columns
	op.Inferred, op.InferredKnown = st.Inferred, st.InferredKnown
	op.Behind, op.Fingerprint, op.Why = st.Behind, st.Fingerprint, st.Why
}

// ask decides first and what follows it together, and makes their records safe
// for sending. It returns what is to be sent: first, or what asks for the same
// and has been held before.
func (c *session) ask(first *run) (*run, error) {
	if err := c.decide(&first); err != nil {
		return nil, err
	}
	err := c.rewritten(first)
	for r := first; r != nil && err == nil && first.held != nil; r = r.next {
		err = c.unchanged(r) // while it was held
	}
	if err != nil {
		endAll(first, protocol.Outcome{Status: protocol.StatusError, Err: err})
		return nil, err
	}
	if err := c.ps.Commit(c.ps.Context(), protocol.BeforeSend, ops(first)); err != nil {
		endAll(first, protocol.Outcome{Status: protocol.StatusError, Err: err})
		return nil, err
	}
	return first, nil
}

func (c *session) decide(first **run) error {
	if len(c.held) > 0 {
		if h := c.recall(*first); h != nil {
			*first = h.first
			return c.collect(h)
		}
	}
	c.asking = *first
	err := c.ps.Ask(c.ps.Context(), ops(*first))
	for r := *first; r != nil; r = r.next {
		r.op.Raw = nil // lies in a buffer that is used again
	}
	if h := (*first).held; h != nil && h.detached {
		h.decide(err)
		return errDetached
	}
	return err
}

// ops are the operations of first and what follows it.
func ops(first *run) []*protocol.Operation {
	var list []*protocol.Operation
	for r := first; r != nil; r = r.next {
		list = append(list, &r.op)
	}
	return list
}

// release makes the records safe for releasing results.
func (c *session) release(first *run) error {
	if err := c.ps.Commit(c.ps.Context(), protocol.BeforeRelease, ops(first)); err != nil {
		endAll(first, protocol.Outcome{Status: protocol.StatusError, Err: err})
		return fault(protocol.SideGateway, codeUnknown, protocol.FixedReason, err)
	}
	return nil
}

// rewritten looks at what a step wants sent in place of the text: it must do no
// more than was decided about.
func (c *session) rewritten(first *run) error {
	for r := first; r != nil; r = r.next {
		text := r.op.Rewritten()
		if text == "" {
			continue
		}
		if first.next != nil {
			return protocol.ErrFixed
		}
		script := c.analyze([]byte(text))
		if len(script.Statements) == 1 && covers(&r.op, &script.Statements[0]) {
			r.stmt, r.basis = &script.Statements[0], basis{script, c.tracker.reading(), text, 0, c.ended}
			return nil
		}
		return &protocol.DeniedError{Step: "mysql", Reason: "a step rewrites this statement into one that does more than was decided about",
			Hint: "ask whoever runs the gateway, whose steps it is"}
	}
	return nil
}

// covers reports whether all that stmt does is among the facts of op.
func covers(op *protocol.Operation, stmt *mysqlsql.Statement) bool {
	var now protocol.Operation
	setFacts(&now, stmt)
	return sql.Covers(op, &now)
}

// send sends packets to the target and awaits an answer to the command, whose
// last packet had the sequence number before c.seq.
func (c *session) send(b []byte, seq byte) error {
	c.t.seq = seq
	if _, err := c.t.conn.Write(b); err != nil {
		return fault(protocol.SideTarget, codeShutdown, "the connection to the target broke", err)
	}
	return nil
}

// sendPayload sends one command.
func (c *session) sendPayload(payload []byte) error {
	var seq byte
	b := appendPacket(nil, &seq, payload)
	return c.send(b, seq)
}

// errCommand says that a command cannot be read. The next one can.
var errCommand = errors.New("malformed command")

func malformed() error {
	return fault(protocol.SideClient, codeMalformed, "Malformed communication packet", errCommand)
}

// command answers one command of the client. raw are its packets; both are
// valid until the client is read again.
func (c *session) command(payload, raw []byte) error {
	body := payload[1:]
	switch payload[0] {
	case mysql.COM_QUIT:
		return serve.ErrGoodbye
	case mysql.COM_QUERY:
		return c.query(body, raw)
	case mysql.COM_PING:
		return c.ping(raw)
	case mysql.COM_INIT_DB:
		return c.initDB(string(body), raw)
	case mysql.COM_FIELD_LIST:
		return c.fieldList(body, raw)
	case mysql.COM_STATISTICS:
		return c.statistics(raw)
	case mysql.COM_PROCESS_INFO:
		return c.queryText([]byte("SHOW PROCESSLIST"), nil, nil)
	case mysql.COM_PROCESS_KILL:
		return c.processKill(body)
	case mysql.COM_DEBUG:
		return c.debug(raw)
	case mysql.COM_REFRESH:
		return c.refresh(body, raw)
	case mysql.COM_SET_OPTION:
		return c.setOption(body, raw)
	case mysql.COM_RESET_CONNECTION:
		return c.resetConnection("reset connection", nil)
	case mysql.COM_CHANGE_USER:
		return c.changeUser(body)
	case mysql.COM_STMT_PREPARE:
		return c.prepare(body, raw)
	case mysql.COM_STMT_EXECUTE:
		err := c.execute(body)
		if errors.Is(err, errCommand) {
			what := "mysqld_stmt_execute"
			if !c.t.isMariaDB() && versionOf(c.t.version) >= 80022 {
				what = "COM_STMT_EXECUTE"
			}
			err = c.refuse(fault(protocol.SideClient, mysql.ER_WRONG_ARGUMENTS, "Incorrect arguments to "+what, err))
		}
		return err
	case mysql.COM_STMT_SEND_LONG_DATA:
		return c.longData(body)
	case mysql.COM_STMT_CLOSE:
		return c.closeStatement(body, raw)
	case mysql.COM_STMT_RESET:
		return c.resetStatement(body, raw)
	case mysql.COM_STMT_FETCH:
		return c.fetch(body, raw)
	}
	msg, known := refusedCommands[payload[0]]
	if !known {
		return c.refuse(fault(protocol.SideClient, codeUnknownCommand, "Unknown command", nil))
	}
	return c.refuse(fault(protocol.SidePolicy, codeUnknownCommand, "this gateway does not pass on "+msg, nil))
}

// refusedCommands are those that servers know and that never reach one.
var refusedCommands = map[byte]string{
	mysql.COM_SHUTDOWN:         "commands for the server's process: use SHUTDOWN",
	mysql.COM_DAEMON:           "commands for the server's process",
	mysql.COM_BINLOG_DUMP:      "the commands of replication",
	mysql.COM_BINLOG_DUMP_GTID: "the commands of replication",
	mysql.COM_TABLE_DUMP:       "the commands of replication",
	mysql.COM_REGISTER_SLAVE:   "the commands of replication",
	comClone:                   "the commands of replication",
	comSubscribe:               "the commands of replication",
	comBulkExecute:             "the extensions of MariaDB's protocol",
}

// Commands that go-mysql does not name: of MySQL 8, and of MariaDB.
const (
	comClone       = 0x20
	comSubscribe   = 0x21
	comBulkExecute = 0xfa
)

// query answers a COM_QUERY.
func (c *session) query(body, raw []byte) error {
	if !c.st.has(mysql.CLIENT_QUERY_ATTRIBUTES) {
		return c.queryText(body, raw, nil)
	}
	a, err := decodeQueryAttributes(body)
	if err != nil {
		return malformed()
	}
	if !c.attrsSent {
		raw = nil // sent without them
	}
	return c.queryText(a.text, raw, &a)
}

// queryText decides about a text and runs it. raw is what is sent, nil if it is
// to be made of the text. attrs are the query's attributes, nil for none.
func (c *session) queryText(text, raw []byte, attrs *queryAttributes) error {
	if err := c.settle(text); err != nil {
		return err
	}
	script := c.analyze(text)
	first := c.newRuns(script, string(text))
	if attrs != nil {
		first.op.Raw, first.op.Args = attrs.raw, attrs.args
	}
	one, err := c.killTarget(first)
	if err != nil {
		return c.refuse(err)
	}
	kills, asked := c.killTargets(first, text)
	if first, err = c.ask(first); err != nil {
		return c.refuse(err)
	}
	for _, k := range kills {
		k.withdraw()
	}
	switch {
	case asked != nil:
		raw, text = nil, asked
	case one != nil:
		if done, err := c.killHeld(first, one); done {
			return err
		}
		raw, text, kills = nil, []byte(one.text), []*kill{one}
	case first.op.Rewritten() != "":
		raw, text = nil, []byte(first.op.Rewritten())
	}
	defer c.changed(first, c.beginChange(first))
	if raw != nil {
		err = c.send(raw, c.seq)
	} else {
		err = c.sendPayload(c.queryPayload(text))
	}
	if err != nil {
		return err
	}
	for _, k := range kills {
		k.expect()
	}
	if err := c.release(first); err != nil {
		return err
	}
	c.tracker.sent(first)
	return c.back.query(first)
}

// changed notes, after it ran, what first has left behind, and that it may have
// changed definitions.
func (c *session) changed(first *run, change *sql.Change) {
	c.tracker.ran(first)
	if change != nil {
		c.catalog.Stale() // first: from here on it is known
		change.End()
	}
}

// queryPayload returns the payload of a COM_QUERY without attributes.
func (c *session) queryPayload(text []byte) []byte {
	b := []byte{mysql.COM_QUERY}
	if c.attrsSent {
		b = append(b, 0, 1)
	}
	return append(b, text...)
}
