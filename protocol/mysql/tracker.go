package mysql

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/mysqlsql"
)

// A tracker knows the session state that changes what a statement means, or
// knows that it does not know.
type tracker struct {
	database string
	mode     string // sql_mode
	charset  string // of the client's texts
	role     string
	folded   bool // names of tables are not case sensitive
	dirty    bool // something may have changed it since: the target has to be asked
	words    string
	moves    int // counts what may have changed anything that a statement can refer to, such as variables

	memory mysqlsql.Memory // what the session has left behind
}

// key returns the state in words, for digests.
func (t *tracker) key() string { return t.words }

// sent notes that statements are on their way.
func (t *tracker) sent(first *run) {
	for r := first; r != nil; r = r.next {
		t.dirty = t.dirty || r.stmt.SetsState
		t.memory.Sent(r.stmt)
		if !r.stmt.Pure && !slices.Contains(bounds, r.stmt.Verb) {
			t.moves++
		}
	}
}

// told notes that statements are prepared, which may leave messages.
func (t *tracker) told(first *run) {
	for r := first; r != nil; r = r.next {
		t.memory.Told(r.stmt)
	}
}

// ran notes how statements have ended.
func (t *tracker) ran(first *run) {
	for r := first; r != nil; r = r.next {
		if r.ok {
			t.memory.Done(r.stmt)
		}
	}
}

// bounds are the verbs of what only begins and ends transactions.
var bounds = []protocol.Verb{"begin", "commit", "rollback"}

// askState asks the target for the state.
func (c *session) askState(ctx context.Context) error {
	// In swe7 literals lose characters: a text that is made of them is another. Names are
	// binary: the session's character_set_results may have other characters in the place
	// of theirs. The limit takes the place of the session's own, sql_select_limit.
	const text = "SELECT @@sql_mode, IF(@@character_set_connection = 'swe7', 'swe7', @@character_set_client), CAST(DATABASE() AS BINARY), CAST(CURRENT_ROLE() AS BINARY), @@lower_case_table_names LIMIT 1"
	err := c.askStateWith(ctx, text)
	if err != nil && ctx.Err() == nil {
		// MySQL before 8.0 has no roles.
		err = c.askStateWith(ctx, strings.Replace(text, "CURRENT_ROLE()", "NULL", 1))
	}
	return err
}

func (c *session) askStateWith(ctx context.Context, text string) error {
	t, rows := &c.tracker, 0
	err := c.t.Query(ctx, text, func(row [][]byte) error {
		if rows++; len(row) != 5 || rows > 1 {
			return errMalformed
		}
		t.mode, t.charset, t.database, t.role = string(row[0]), string(row[1]), string(row[2]), string(row[3])
		if t.words != "" {
			return nil // the rest does not change
		}
		folded, err := strconv.Atoi(string(row[4]))
		t.folded = folded != 0
		return err
	})
	if err == nil && rows != 1 {
		err = errMalformed
	}
	if err != nil {
		return err
	}
	t.dirty = false
	t.words = "database=" + strconv.Quote(t.database) + " sql_mode=" + t.mode + " character_set_client=" + t.charset + " role=" + strconv.Quote(t.role)
	return nil
}

// settle makes the state known before text is analysed. What shows the target's
// own diagnostics means the same in any state, and the question would clear
// them.
func (c *session) settle(text []byte) error {
	if !c.tracker.dirty || mysqlsql.ShowsDiagnostics(text) {
		return nil
	}
	ctx, done := context.WithTimeout(c.ps.Context(), c.srv.loginTimeout())
	defer done()
	if err := c.askState(ctx); err != nil {
		return errors.Join(errors.New("the target did not say how it reads statements"), err)
	}
	return nil
}

// A reading is the state in which the target reads a text.
type reading struct{ database, mode, charset string }

// reading returns the session's present one.
func (t *tracker) reading() reading { return reading{t.database, t.mode, t.charset} }

// analyze returns what is known about text in the session's present state.
func (c *session) analyze(text []byte) *mysqlsql.Script {
	return c.analyzeIn(c.tracker.reading(), text)
}

// analyzeIn returns what is known about text that the target has read in state r.
func (c *session) analyzeIn(r reading, text []byte) *mysqlsql.Script {
	c.ended = c.catalog.changes.Ended()
	st := c.stateIn(r)
	return c.srv.analyzer.Analyze(text, &st)
}

// stateIn returns all of the state that matters to a text that the target reads in
// state r.
func (c *session) stateIn(r reading) mysqlsql.State {
	t := &c.tracker
	return mysqlsql.State{Database: r.database, Mode: r.mode, Charset: r.charset, Folded: t.folded, Memory: &t.memory,
		MariaDB: c.t.isMariaDB(), Version: c.version, Catalog: c.current}
}
