package postgres

import (
	"slices"
	"strings"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/pgcopy"
	"github.com/sallyport-dev/gateway/protocol/internal/pgsql"
)

// A tracker knows the session state that changes what a statement means, or
// knows that it does not know. Guarded by session.mu.
type tracker struct {
	replication bool
	database    string
	state       pgsql.State // without Catalog
	key         string      // the state in words, for digests
	utf8        bool        // client_encoding is one that texts can be read in
	ascii       bool        // it is one in which the characters of ASCII can be told

	told map[string]string // settings that the target reports

	schemas [32]byte // those of the catalog when the target was asked for the state
	moved   bool     // there are others by now, so that the search_path may mean others

	known  bool // the target has told the state
	dirty  bool // something may have changed it since: the target has to be asked
	denied bool // it refused to answer: where that would end the client's transaction it is not asked again
	unsure int  // statements under way that may change it
	set    bool // the open transaction changed it: its end may change it back
	ddl    bool // the open transaction may have changed definitions that only it can see
	sure   bool // it has, as far as its statements say
	names  bool // code may have exchanged prepared statements, which no failure takes back
}

func (t *tracker) init(settings map[string]string, database string) {
	t.database = database
	t.dirty = true
	for k, v := range settings {
		t.setting(k, v)
	}
}

// setting notes a setting that the target reports.
func (t *tracker) setting(name, value string) {
	if t.told == nil {
		t.told = map[string]string{}
	}
	if _, ok := t.told[name]; ok || len(t.told) < maxTold {
		t.told[name] = value
	}
	switch name {
	case "standard_conforming_strings":
		t.state.StandardStrings = value == "on"
	case "server_encoding":
		t.state.ForeignNames = value != "UTF8"
	case "client_encoding":
		t.ascii = pgcopy.Legible(value)
		t.utf8 = value == "UTF8" || value == "SQL_ASCII"
	}
}

// maxTold bounds the settings that are remembered: PostgreSQL reports about 15.
const maxTold = 64

// certain reports whether names can be resolved now.
func (t *tracker) certain() bool {
	return t.known && !t.dirty && !t.moved && t.unsure == 0 && !t.ddl && t.utf8
}

// outdated reports whether the target has to be asked for the state.
func (t *tracker) outdated() bool { return t.dirty || t.moved }

// settled reports whether the settings that the target reports by itself are
// its present ones: no statement is under way or just over that may have
// changed them.
func (t *tracker) settled() bool { return t.unsure == 0 && !t.dirty }

// legible reports whether the target is sure to read the same characters in
// text as the gateway does.
func (t *tracker) legible(text []byte) bool {
	if t.utf8 && t.settled() {
		return true
	}
	for _, b := range text {
		if b >= 0x80 {
			return false
		}
	}
	return true
}

// touches reports whether stmt may change the state or definitions.
func touches(stmt *pgsql.Statement) bool {
	if stmt == nil {
		return true
	}
	e := stmt.Effect
	if e.Has(pgsql.SetsState) {
		switch e.Setting {
		case "search_path", "role", "session_authorization", "standard_conforming_strings", "client_encoding", "":
			return true
		}
	}
	return e.Has(pgsql.DDL|pgsql.CreatesTemp|pgsql.Discard|pgsql.RunsCode) || stmt.Access.Has(protocol.Execute|protocol.Opaque)
}

// early reports whether code may run as soon as stmt is prepared or bound: the
// target reads literals and arguments as values of their types, whose domains'
// constraints run, and computes what is called immutable while it plans.
func early(stmt *pgsql.Statement) bool {
	return stmt != nil && (stmt.Effect.Has(pgsql.RunsCode) || stmt.Access.Has(protocol.Execute|protocol.Opaque))
}

// parsesCode reports whether code may run as soon as the target parses text,
// which is stmt: it reads the literals, which begin with a quote or a dollar sign
// that is no parameter's.
func parsesCode(stmt *pgsql.Statement, text []byte) bool {
	if !early(stmt) {
		return false
	}
	for i, b := range text {
		if b == '\'' || b == '$' && (i+1 == len(text) || text[i+1] < '0' || text[i+1] > '9') {
			return true
		}
	}
	return false
}

// prepares notes that a Parse or Bind of stmt is on its way. It reports whether
// that leaves the state unsure until prepared.
func (t *tracker) prepares(stmt *pgsql.Statement) (unsure bool) {
	if !early(stmt) {
		return false
	}
	t.unsure++
	return true
}

// prepared notes that a Parse or Bind, which prepares said leaves the state
// unsure, is over. What ran may have changed settings, and definitions.
func (t *tracker) prepared(ok bool) {
	t.unsure--
	t.dirty = t.dirty || ok || t.names
	if ok {
		t.set, t.ddl = true, true
	}
}

// undoes reports whether stmt may take back what the open transaction changed.
func undoes(stmt *pgsql.Statement) bool {
	return stmt != nil && (stmt.Effect.Has(pgsql.TxEnd) || stmt.Effect.Has(pgsql.Savepoint) && stmt.Verb == "rollback to savepoint")
}

// changed reports whether there is anything to take back.
func (t *tracker) changed() bool { return t.set || t.ddl }

// sent notes that stmt is on its way. It reports whether that leaves the state
// unsure until done.
func (t *tracker) sent(stmt *pgsql.Statement) (unsure bool) {
	if !touches(stmt) && !(undoes(stmt) && t.changed()) {
		return false
	}
	t.unsure++
	if stmt != nil && stmt.Effect.Has(pgsql.CreatesTemp) {
		t.state.Temp = true
	}
	return true
}

// done notes that stmt, which sent said leaves the state unsure, is over.
func (t *tracker) done(stmt *pgsql.Statement, ok bool) {
	t.unsure--
	if !ok {
		t.dirty = t.dirty || stmt != nil && stmt.Effect.Has(pgsql.CreatesTemp) || t.names // sent took it for done
		return
	}
	t.dirty, t.set = true, true
	if stmt == nil || stmt.Effect.Has(pgsql.DDL) || stmt.Access.Has(protocol.Opaque|protocol.Execute) {
		t.ddl = true // until the end of the transaction, when others can see it
		// A block is written to be run once, often to define something.
		t.sure = t.sure || stmt != nil && (stmt.Effect.Has(pgsql.DDL) || stmt.Access.Has(protocol.Opaque|protocol.Schema) || stmt.Verb == "do")
	}
}

// transactionEnded notes that no transaction is open any more. It reports
// whether definitions have changed, and whether code that somebody defined may
// have changed some.
func (t *tracker) transactionEnded() (stale, doubtful bool) {
	stale, doubtful = t.sure, t.ddl
	if t.set || t.ddl {
		t.dirty = true
	}
	t.set, t.ddl, t.sure = false, false, false
	return stale, doubtful
}

// probeText asks for the state. Every name is qualified, so that nothing the
// session has done can change its meaning, and nothing is cast: a cast from name to
// text, or of a limit to bigint, is a function that the session's role needs the
// right to.
const probeText = "select pg_catalog.current_schemas(true), current_user, " +
	"pg_catalog.current_setting('standard_conforming_strings'), case when pg_catalog.pg_my_temp_schema() operator(pg_catalog.<>) 0 then array(" +
	"select c.relname from pg_catalog.pg_class c where c.relnamespace operator(pg_catalog.=) pg_catalog.pg_my_temp_schema() union all " +
	"select t.typname from pg_catalog.pg_type t where t.typnamespace operator(pg_catalog.=) pg_catalog.pg_my_temp_schema() limit '1001') else '{}' end, " +
	"array(select s.name from pg_catalog.pg_prepared_statements s where s.from_sql)"

// maxTemp is how many names of temporary objects are followed: with more, any name
// may be one. It is less than the limit in probeText.
const maxTemp = 1000

// probed takes the answer to probeText. Anything else than one row of its form
// leaves the state unknown until something changes it again.
func (t *tracker) probed(row [][]byte) {
	t.dirty, t.moved, t.names, t.known = false, false, false, len(row) == 5
	t.denied = !t.known
	if !t.known {
		return
	}
	t.state.SearchPath = nil
	for _, s := range parseNameArray(string(row[0])) {
		if !strings.HasPrefix(s, "pg_temp_") {
			t.state.SearchPath = append(t.state.SearchPath, s)
		}
	}
	t.state.Role = string(row[1])
	t.state.StandardStrings = string(row[2]) == "on"
	t.state.TempNames = nil
	names := parseNameArray(string(row[3]))
	if t.state.Temp = len(names) > maxTemp; !t.state.Temp && len(names) > 0 {
		slices.Sort(names)
		t.state.TempNames = slices.Compact(names)
	}
	t.key = "database=" + t.database + " search_path=" + string(row[0]) + " role=" + t.state.Role +
		" standard_conforming_strings=" + string(row[2])
}

// parseNameArray reads the text form of a name[].
func parseNameArray(s string) []string {
	s = strings.TrimSuffix(strings.TrimPrefix(s, "{"), "}")
	var out []string
	for s != "" {
		var item strings.Builder
		if s[0] == '"' {
			i := 1
			for ; i < len(s) && s[i] != '"'; i++ {
				if s[i] == '\\' && i+1 < len(s) {
					i++
				}
				item.WriteByte(s[i])
			}
			s = s[min(i+1, len(s)):]
		} else {
			i := strings.IndexByte(s, ',')
			if i < 0 {
				i = len(s)
			}
			item.WriteString(s[:i])
			s = s[i:]
		}
		out = append(out, item.String())
		s = strings.TrimPrefix(s, ",")
	}
	return out
}

var replicationCommands = []string{"IDENTIFY_SYSTEM", "TIMELINE_HISTORY", "BASE_BACKUP", "START_REPLICATION",
	"CREATE_REPLICATION_SLOT", "DROP_REPLICATION_SLOT", "ALTER_REPLICATION_SLOT", "READ_REPLICATION_SLOT", "UPLOAD_MANIFEST"}

// isReplicationCommand reports whether text is a command of the replication
// protocol, which has a grammar of its own (55.4).
func isReplicationCommand(text []byte) bool {
	word := strings.TrimSpace(string(text[:min(len(text), 64)]))
	for _, c := range replicationCommands {
		if len(word) >= len(c) && strings.EqualFold(word[:len(c)], c) {
			return true
		}
	}
	return false
}

var replicationScript = &pgsql.Script{Statements: []pgsql.Statement{{
	Verb: "replicate", Access: protocol.Read | protocol.Admin, Bounded: true, Shape: protocol.Rows | protocol.Bytes,
	Effect: pgsql.Effect{Flags: pgsql.ReplicationLike},
}}}
