package mysql

import (
	"errors"
	"fmt"
	"slices"
	"strings"

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
	ok    bool // it ended well
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

// newRuns returns the runs of a text, nil for an empty one.
func (c *session) newRuns(script *mysqlsql.Script, text string) *run {
	var first *run
	last := &first
	for i := range script.Statements {
		r := &run{stmt: &script.Statements[i]}
		c.describe(r, text)
		*last = r
		last = &r.next
	}
	return first
}

// describe fills the operation of r with what is known of its statement.
func (c *session) describe(r *run, text string) {
	st := r.stmt
	r.op = protocol.Operation{Verb: st.Verb, Text: text, Access: st.Access, Pure: st.Pure, Bounded: st.Bounded,
		Objects: st.Objects, Reads: st.Reads, ReadsKnown: st.ReadsKnown, Writes: st.Writes, Columns: st.Columns,
		Behind: st.Behind, Fingerprint: st.Fingerprint, Why: st.Why, Shape: st.Shape, Detail: st, Unmask: sql.Unmask(text),
		State: c.tracker.key(), InTx: c.status&statusInTx != 0}
}

// ask decides first and what follows it together, and makes their records safe
// for sending.
func (c *session) ask(first *run) error {
	var ops []*protocol.Operation
	for r := first; r != nil; r = r.next {
		ops = append(ops, &r.op)
	}
	if len(ops) == 0 {
		return nil
	}
	if err := c.ps.Ask(c.ps.Context(), ops); err != nil {
		return err
	}
	if err := c.rewritten(first); err != nil {
		endAll(first, protocol.Outcome{Status: protocol.StatusError, Err: err})
		return err
	}
	if err := c.ps.Commit(c.ps.Context(), protocol.BeforeSend, ops); err != nil {
		endAll(first, protocol.Outcome{Status: protocol.StatusError, Err: err})
		return err
	}
	return nil
}

// release makes the records safe for releasing results.
func (c *session) release(first *run) error {
	var ops []*protocol.Operation
	for r := first; r != nil; r = r.next {
		ops = append(ops, &r.op)
	}
	if len(ops) == 0 {
		return nil
	}
	if err := c.ps.Commit(c.ps.Context(), protocol.BeforeRelease, ops); err != nil {
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
			r.stmt = &script.Statements[0]
			return nil
		}
		return &protocol.DeniedError{Step: "mysql", Reason: "a step rewrites this statement into one that does more than was decided about",
			Hint: "ask whoever runs the gateway, whose steps it is"}
	}
	return nil
}

// covers reports whether all that stmt does is among the facts of op.
func covers(op *protocol.Operation, stmt *mysqlsql.Statement) bool {
	among := func(list, all []protocol.ColumnRef) bool {
		return !slices.ContainsFunc(list, func(c protocol.ColumnRef) bool { return !slices.Contains(all, c) })
	}
	return stmt.Verb == op.Verb && stmt.Access&^op.Access == 0 && stmt.Shape&^op.Shape == 0 &&
		(stmt.Pure || !op.Pure) && (stmt.Bounded || !op.Bounded) &&
		(stmt.ReadsKnown && among(stmt.Reads, op.Reads) || !op.ReadsKnown) && among(stmt.Writes, op.Writes) &&
		!slices.ContainsFunc(stmt.Objects, func(o protocol.Object) bool {
			return !slices.ContainsFunc(op.Objects, func(have protocol.Object) bool {
				return have.Kind == o.Kind && have.Name == o.Name && o.Access&^have.Access == 0
			})
		})
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
		if err := c.send(raw, c.seq); err != nil {
			return err
		}
		return c.back.simple(nil)
	case mysql.COM_INIT_DB:
		return c.initDB(string(body), raw)
	case mysql.COM_FIELD_LIST:
		return c.fieldList(body, raw)
	case mysql.COM_STATISTICS:
		return c.statistics(raw)
	case mysql.COM_PROCESS_KILL:
		cur := cursor{b: body}
		id := cur.u32()
		if cur.done() != nil {
			return malformed()
		}
		text := fmt.Sprintf("KILL %d", id)
		return c.queryText([]byte(text), nil, nil)
	case mysql.COM_SET_OPTION:
		if len(body) != 2 {
			return malformed()
		}
		if err := c.send(raw, c.seq); err != nil {
			return err
		}
		return c.back.simple(nil)
	case mysql.COM_RESET_CONNECTION:
		return c.resetConnection("reset connection", nil)
	case mysql.COM_CHANGE_USER:
		return c.changeUser(body)
	case mysql.COM_STMT_PREPARE:
		return c.prepare(body, raw)
	case mysql.COM_STMT_EXECUTE:
		err := c.execute(body)
		if errors.Is(err, errCommand) {
			err = c.refuse(fault(protocol.SideClient, mysql.ER_WRONG_ARGUMENTS, "Incorrect arguments to mysqld_stmt_execute", err))
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
	return c.refuse(&protocol.Fault{Side: protocol.SidePolicy, Code: fmt.Sprint(codeUnknownCommand),
		Msg: fmt.Sprintf("this gateway does not pass command %#02x on", payload[0]), Hint: "use the SQL statement for it"})
}

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
	if first != nil && attrs != nil {
		first.op.Raw, first.op.Args = attrs.raw, attrs.args
	}
	kill, err := c.killTarget(first)
	if err != nil {
		return c.refuse(err)
	}
	err = c.ask(first)
	if first != nil {
		first.op.Raw = nil
	}
	if err != nil {
		return c.refuse(err)
	}
	switch {
	case kill != nil:
		if done, err := c.killHeld(first, kill); done {
			return err
		}
		raw, text = nil, []byte(kill.text)
	case first != nil && first.op.Rewritten() != "":
		raw, text = nil, []byte(first.op.Rewritten())
	}
	if raw != nil {
		err = c.send(raw, c.seq)
	} else {
		err = c.sendPayload(c.queryPayload(text))
	}
	if err != nil {
		return err
	}
	if err := c.release(first); err != nil {
		return err
	}
	c.tracker.sent(first)
	defer c.changed(first)
	return c.back.query(first)
}

// changed notes, after it ran, what first has left behind, and that it may have
// changed definitions.
func (c *session) changed(first *run) {
	c.tracker.ran(first)
	for r := first; r != nil; r = r.next {
		if r.stmt.Changes {
			c.catalog.Stale()
		}
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

// one returns the run of something that is not a statement of SQL, but does what
// stmt says.
func (c *session) one(stmt *mysqlsql.Statement, text string) *run {
	r := &run{stmt: stmt}
	c.describe(r, text)
	return r
}

// quote returns name as a quoted identifier.
func quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// initDB answers a COM_INIT_DB, which does what USE does.
func (c *session) initDB(name string, raw []byte) error {
	r := c.one(mysqlsql.Use(name), "USE "+quote(name))
	if err := c.ask(r); err != nil {
		return c.refuse(err)
	}
	if r.op.Rewritten() != "" {
		return c.unask(r, protocol.ErrFixed)
	}
	if err := c.send(raw, c.seq); err != nil {
		return err
	}
	if err := c.release(r); err != nil {
		return err
	}
	c.tracker.sent(r)
	return c.back.simple(r)
}

// unask refuses what was allowed but cannot be sent after all.
func (c *session) unask(r *run, err error) error {
	endAll(r, protocol.Outcome{Status: protocol.StatusError, Err: err})
	return c.refuse(err)
}

// fieldList answers a COM_FIELD_LIST, which shows a table's columns.
func (c *session) fieldList(body, raw []byte) error {
	cur := cursor{b: body}
	table := string(cur.nul())
	if cur.bad {
		return malformed()
	}
	r := c.one(mysqlsql.ShowColumns(c.tracker.database, table), "SHOW COLUMNS FROM "+quote(table))
	if err := c.ask(r); err != nil {
		return c.refuse(err)
	}
	if r.op.Rewritten() != "" {
		return c.unask(r, protocol.ErrFixed)
	}
	if err := c.send(raw, c.seq); err != nil {
		return err
	}
	if err := c.release(r); err != nil {
		return err
	}
	return c.back.fields(r)
}

// statistics answers a COM_STATISTICS: one line about the server.
func (c *session) statistics(raw []byte) error {
	r := c.one(mysqlsql.ServerStatus(), "SHOW STATUS")
	if err := c.ask(r); err != nil {
		return c.refuse(err)
	}
	if err := c.send(raw, c.seq); err != nil {
		return err
	}
	if err := c.release(r); err != nil {
		return err
	}
	return c.back.statistics(r)
}

// resetConnection makes the session at the target as it was after the login.
// then is done before the client is told.
func (c *session) resetConnection(text string, then func() error) error {
	r := c.one(mysqlsql.Reset(), text)
	if err := c.ask(r); err != nil {
		return c.refuse(err)
	}
	if err := c.sendPayload([]byte{mysql.COM_RESET_CONNECTION}); err != nil {
		return err
	}
	if err := c.release(r); err != nil {
		return err
	}
	c.prepared.clear()
	c.tracker.dirty = true
	c.tracker.memory.Reset()
	if then == nil {
		return c.back.simple(r)
	}
	if err := c.back.quiet(); err != nil {
		return c.unask(r, err)
	}
	if err := then(); err != nil {
		return c.unask(r, err)
	}
	r.end(protocol.Outcome{Status: protocol.StatusOK})
	return c.reply(appendOK(nil, c.status))
}

// changeUser answers a COM_CHANGE_USER. Who the client is was settled when it
// logged in and stays: for the same user it is a reset, for another it is
// refused.
func (c *session) changeUser(body []byte) error {
	cur := cursor{b: body}
	user := string(cur.nul())
	cur.take(int(cur.u8())) // a proof, which is not needed again
	db := string(cur.nul())
	if cur.bad {
		return malformed()
	}
	if user != c.st.user {
		return c.refuse(&protocol.Fault{Side: protocol.SidePolicy, Code: fmt.Sprint(codeAccessDenied),
			Msg: "the user of a session cannot be changed", Hint: "connect again"})
	}
	target := c.ps.Info().Resource.Name
	if !strings.Contains(c.st.user, "@") {
		if name, rest, ok := strings.Cut(db, "/"); ok || name == target {
			if name != target {
				return c.refuse(fault(protocol.SidePolicy, codeAccessDenied, "the target of a session cannot be changed", nil))
			}
			db = rest
		}
	}
	if db == "" {
		return c.resetConnection("change user", nil)
	}
	use := c.one(mysqlsql.Use(db), "USE "+quote(db)) // what a rule says of USE holds here too
	if err := c.ask(use); err != nil {
		return c.refuse(err)
	}
	if use.op.Rewritten() != "" {
		return c.unask(use, protocol.ErrFixed)
	}
	defer func() { use.end(protocol.Outcome{Status: protocol.StatusWithdrawn}) }() // unless it ran
	return c.resetConnection("change user", func() error {
		if err := c.sendPayload(append([]byte{mysql.COM_INIT_DB}, db...)); err != nil {
			return err
		}
		if err := c.release(use); err != nil {
			return err
		}
		if err := c.back.quiet(); err != nil {
			use.end(protocol.Outcome{Status: protocol.StatusFailed, Err: err})
			return err
		}
		use.end(protocol.Outcome{Status: protocol.StatusOK})
		return nil
	})
}
