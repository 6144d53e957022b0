package mysql

import (
	"context"
	"fmt"
	"strings"

	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/mysqlsql"
)

// one returns the run of something that is not a statement of SQL, but does what
// stmt says.
func (c *session) one(stmt *mysqlsql.Statement, text string) *run {
	r := &run{stmt: stmt}
	c.describe(r, text)
	return r
}

// pass decides about a command that does what stmt says, and which people read
// as text; sends it as it came; and relays the answer.
func (c *session) pass(stmt *mysqlsql.Statement, text string, raw []byte, answer func(*run) error) error {
	r, err := c.ask(c.one(stmt, text))
	if err != nil {
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
	return answer(r)
}

// unask refuses what was allowed but cannot be sent after all.
func (c *session) unask(r *run, err error) error {
	endAll(r, protocol.Outcome{Status: protocol.StatusError, Err: err})
	return c.refuse(err)
}

const verbEmpty protocol.Verb = "empty"

// empty is a text without a statement. The target says what it thinks of it, and
// might find one: so its record is safe before.
func empty() *mysqlsql.Statement {
	return &mysqlsql.Statement{Verb: verbEmpty, Access: protocol.Control, Bounded: true, ReadsKnown: true, Fingerprint: "empty"}
}

// ping answers a COM_PING.
func (c *session) ping(raw []byte) error {
	return c.pass(&mysqlsql.Statement{Verb: "ping", Access: protocol.Control, Pure: true, Bounded: true, ReadsKnown: true, Fingerprint: "ping"},
		"ping", raw, c.back.simple)
}

// setOption answers a COM_SET_OPTION, which says whether a text may have several
// statements.
func (c *session) setOption(body, raw []byte) error {
	cur := cursor{b: body}
	option := cur.u16()
	if cur.done() != nil {
		return malformed()
	}
	text := fmt.Sprintf("set option %d", option)
	switch option {
	case 0:
		text = "set option multi statements on"
	case 1:
		text = "set option multi statements off"
	}
	return c.pass(&mysqlsql.Statement{Verb: "set option", Access: protocol.Control, Bounded: true, ReadsKnown: true, Fingerprint: "set option"},
		text, raw, c.back.simple)
}

// quote returns name as a quoted identifier.
func quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// initDB answers a COM_INIT_DB, which does what USE does.
func (c *session) initDB(name string, raw []byte) error {
	if err := c.settle(nil); err != nil {
		return err
	}
	return c.pass(c.named(name, mysqlsql.Use(name)), "USE "+quote(name), raw, c.back.simple)
}

// named returns stmt, which is about name, if the target is sure to read the name as the
// gateway does.
func (c *session) named(name string, stmt *mysqlsql.Statement) *mysqlsql.Statement {
	if !mysqlsql.Legible([]byte(name), c.tracker.charset) {
		return mysqlsql.Unclear("the name's characters are not in UTF-8")
	}
	return stmt
}

// fieldList answers a COM_FIELD_LIST, which shows a table's columns.
func (c *session) fieldList(body, raw []byte) error {
	cur := cursor{b: body}
	table := string(cur.nul())
	if cur.bad {
		return malformed()
	}
	if err := c.settle(nil); err != nil {
		return err
	}
	return c.pass(c.named(table, mysqlsql.ShowColumns(c.tracker.database, table)), "SHOW COLUMNS FROM "+quote(table), raw, c.back.fields)
}

// statistics answers a COM_STATISTICS: one line about the server.
func (c *session) statistics(raw []byte) error {
	return c.pass(mysqlsql.ServerStatus(), "SHOW STATUS", raw, c.back.statistics)
}

// server is what a command for the server itself does.
func server(verb protocol.Verb) *mysqlsql.Statement {
	return &mysqlsql.Statement{Verb: verb, Access: protocol.Admin, Bounded: true, ReadsKnown: true, Fingerprint: string(verb)}
}

// debug answers a COM_DEBUG: the server writes into its own log.
func (c *session) debug(raw []byte) error {
	return c.pass(server("debug"), "debug", raw, c.back.simple)
}

// refreshed are what the bits of a COM_REFRESH stand for, the lowest first.
var refreshed = []string{"PRIVILEGES", "LOGS", "TABLES", "HOSTS", "STATUS", "THREADS", "REPLICA", "MASTER"}

// refresh answers a COM_REFRESH, which does what FLUSH and RESET do.
func (c *session) refresh(body, raw []byte) error {
	cur := cursor{b: body}
	bits := cur.u8()
	if cur.bad {
		return malformed()
	}
	var what []string
	for i, name := range refreshed {
		if bits&(1<<i) != 0 {
			what = append(what, name)
		}
	}
	return c.pass(server("flush"), "FLUSH "+strings.Join(what, ", "), raw, c.back.simple)
}

// processKill answers a COM_PROCESS_KILL, which does what KILL does.
func (c *session) processKill(body []byte) error {
	cur := cursor{b: body}
	id := cur.u32()
	if cur.done() != nil {
		return malformed()
	}
	return c.queryText(fmt.Appendf(nil, "KILL %d", id), nil, nil)
}

// resetConnection makes the session at the target as it was after the login.
// then is done before the client is told.
func (c *session) resetConnection(text string, then func() error) error {
	r, err := c.ask(c.one(mysqlsql.Reset(), text))
	if err != nil {
		return c.refuse(err)
	}
	if r.op.Rewritten() != "" {
		return c.unask(r, protocol.ErrFixed)
	}
	if err := c.sendPayload([]byte{mysql.COM_RESET_CONNECTION}); err != nil {
		return err
	}
	if err := c.release(r); err != nil {
		return err
	}
	c.tracker.dirty = true
	c.tracker.moves++
	forget := func() { // a target that refuses it, being older, has not
		c.prepared.clear()
		c.tracker.memory.Reset()
	}
	if then == nil {
		if err = c.back.simple(r); r.ok {
			forget()
		}
		return err
	}
	if err := c.back.quiet(); err != nil {
		return c.unask(r, err)
	}
	forget()
	if err := then(); err != nil {
		return c.unask(r, err)
	}
	r.end(protocol.Outcome{Status: protocol.StatusOK})
	return c.reply(c.ok())
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
	charset := cur.u16() // 0 if the client sends none
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
	var use *run
	if db != "" {
		err := c.settle(nil)
		if err != nil {
			return err
		}
		use, err = c.ask(c.one(c.named(db, mysqlsql.Use(db)), "USE "+quote(db))) // what a rule says of USE holds here too
		if err != nil {
			return c.refuse(err)
		}
		if use.op.Rewritten() != "" {
			return c.unask(use, protocol.ErrFixed)
		}
		defer func() { use.end(protocol.Outcome{Status: protocol.StatusWithdrawn}) }() // unless it ran
	}
	return c.resetConnection("change user", func() error {
		if err := c.setCharset(charset); err != nil {
			return err
		}
		if use == nil {
			return nil
		}
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

// setCharset sets the character set of the session by the number of its
// collation, as the login does: a reset may take that of the target's settings.
func (c *session) setCharset(collation uint16) error {
	if collation == 0 {
		return nil
	}
	ctx, done := context.WithTimeout(c.ps.Context(), c.srv.loginTimeout())
	defer done()
	var names string
	text := fmt.Sprintf("SELECT CHARACTER_SET_NAME, COLLATION_NAME FROM information_schema.COLLATIONS WHERE ID = %d", collation)
	err := c.t.Query(ctx, text, func(row [][]byte) error {
		if len(row) != 2 || !isName(row[0]) || !isName(row[1]) {
			return errMalformed
		}
		names = "SET NAMES " + string(row[0]) + " COLLATE " + string(row[1])
		return nil
	})
	if err != nil || names == "" {
		return err
	}
	return c.t.Query(ctx, names, func([][]byte) error { return errMalformed })
}

// isName reports whether b is a word that needs no quotes.
func isName(b []byte) bool {
	for _, c := range b {
		if c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return len(b) > 0
}
