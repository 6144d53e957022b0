package postgres_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/pgtest"
)

// noting is a step that keeps what the analysis says of each statement.
func noting(m *sync.Map) middleware.Step {
	return middleware.Step{Name: "note", Operation: func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
		m.Store(op.Text, op.ReadsKnown)
		return protocol.Decision{}, nil
	}}
}

// What a session defines it can use at once, known by name: no statement is
// analysed with definitions from before.
func TestDefinitionsAreKnownInTheNextStatement(t *testing.T) {
	var known sync.Map
	r := newRig(t, rigConfig{steps: []middleware.Step{noting(&known)}})
	conn := r.connect(t, "")
	for _, s := range []string{
		"CREATE TABLE made (id int, secret text)", "SELECT secret FROM made",
		"CREATE VIEW shown AS SELECT secret AS s FROM made", "SELECT s FROM shown",
		"ALTER TABLE made RENAME secret TO renamed", "SELECT renamed FROM made",
	} {
		_, err := conn.Exec(t.Context(), s)
		require.NoError(t, err, s)
	}
	for _, s := range []string{"SELECT secret FROM made", "SELECT s FROM shown", "SELECT renamed FROM made"} {
		v, _ := known.Load(s)
		require.Equal(t, true, v, s)
	}
}

// A function may define things without a text that says so.
func TestDefinitionsThatAFunctionMakesAreFoundSoon(t *testing.T) {
	var known sync.Map
	r := newRig(t, rigConfig{steps: []middleware.Step{noting(&known)}, pg: []pgtest.Option{pgtest.SQL(
		"CREATE FUNCTION make_it() RETURNS void LANGUAGE plpgsql AS $$ BEGIN CREATE TABLE hidden (id int); END $$")}})
	conn := r.connect(t, "")
	_, err := conn.Exec(t.Context(), "SELECT make_it()")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, err := conn.Exec(t.Context(), "SELECT id FROM hidden")
		require.NoError(t, err)
		v, _ := known.Load("SELECT id FROM hidden")
		return v == true
	}, 3*time.Second, 20*time.Millisecond, "well before the next look at the catalog at large")
}

// A session that holds a lock on a view makes nobody wait who does not read it.
func TestALockedViewDelaysNobodyElse(t *testing.T) {
	r := newRig(t, rigConfig{})
	one, two := r.connect(t, ""), r.connect(t, "")
	for _, s := range []string{"CREATE VIEW shown AS SELECT 1 AS s", "BEGIN", "LOCK TABLE shown IN ACCESS EXCLUSIVE MODE"} {
		_, err := one.Exec(t.Context(), s)
		require.NoError(t, err, s)
	}
	t0 := time.Now()
	for _, s := range []string{"CREATE TABLE made (id int)", "SELECT id FROM made"} {
		_, err := two.Exec(t.Context(), s)
		require.NoError(t, err, s)
	}
	require.Less(t, time.Since(t0), 10*time.Second)
}

// A database can be dropped once its clients are gone, and copied by the only
// one there is: the gateway's own connection is in nobody's way.
func TestDatabasesAreDroppedAndCopiedAsWithoutAGateway(t *testing.T) {
	r := newRig(t, rigConfig{})
	admin := r.connect(t, "")
	exec := func(conn *pgx.Conn, s string) {
		t.Helper()
		_, err := conn.Exec(t.Context(), s)
		require.NoError(t, err, s)
	}
	exec(admin, "CREATE DATABASE second")
	second, err := pgx.Connect(t.Context(), strings.Replace(r.dsn(""), "pg%2Fpostgres", "pg%2Fsecond", 1))
	require.NoError(t, err)
	exec(second, "CREATE TABLE made (id int)")
	exec(second, "SELECT id FROM made") // its catalog is read
	exec(second, "CREATE DATABASE third TEMPLATE second")
	exec(second, "SELECT id FROM made")
	require.NoError(t, second.Close(t.Context()))
	exec(admin, "ALTER DATABASE second RENAME TO fourth")
	exec(admin, "DROP DATABASE fourth")
	exec(admin, "DROP DATABASE third")
}

// The target, or somebody with the right to, may end the connection over which
// the catalog is read. Nobody's statement is misjudged for that.
func TestTheCatalogIsReadOverANewConnectionIfItsOwnIsGone(t *testing.T) {
	var known sync.Map
	r := newRig(t, rigConfig{steps: []middleware.Step{noting(&known)}})
	conn := r.connect(t, "")
	for _, s := range []string{
		"CREATE TABLE made (id int)", "SELECT id FROM made",
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'sallyport catalog'",
		"CREATE TABLE another (id int)", "SELECT id FROM another",
	} {
		_, err := conn.Exec(t.Context(), s)
		require.NoError(t, err, s)
	}
	v, _ := known.Load("SELECT id FROM another")
	require.Equal(t, true, v)
}

// What has changed in the catalog is read once for many changes, when a statement
// with names in it comes.
func TestTheCatalogIsReadWhenNamesMatter(t *testing.T) {
	r := newRig(t, rigConfig{pg: []pgtest.Option{pgtest.Setting("log_statement", "all")}})
	loads := func() int { return strings.Count(r.pg.Log(), "_changes('") }
	conn := r.connect(t, "&default_query_exec_mode=simple_protocol")
	run := func(texts ...string) {
		for _, s := range texts {
			_, err := conn.Exec(t.Context(), s)
			require.NoError(t, err, s)
		}
	}
	run("SELECT name FROM customers", "CREATE TABLE first (id int)", "SELECT id FROM first")
	before := loads()
	run("CREATE TABLE a (id int)", "CREATE TABLE b (id int)", "BEGIN", "DROP TABLE a", "COMMIT", "SET work_mem = '8MB'", "CREATE TABLE c (id int)")
	require.Equal(t, before, loads(), "nothing here has names whose meaning matters")
	run("SELECT id FROM c", "SELECT id FROM b", "INSERT INTO b VALUES (1)", "SELECT id FROM first")
	require.Equal(t, before+1, loads())
	run("CREATE TABLE e (id int)", "CREATE VIEW v AS SELECT id FROM e")
	require.Equal(t, before+2, loads(), "a view has the names of its query")
}

// The catalog is read while the target is asked for the session's state: here it
// does not answer before the other question has come.
func TestTheCatalogIsReadAhead(t *testing.T) {
	asked := make(chan struct{})
	var once sync.Once
	ft := newFakeTarget(t, func(w *wireClient) {
		w.write(auth(0, ""), msg('S', "client_encoding\x00UTF8\x00"), msg('S', "standard_conforming_strings\x00on\x00"), msg('K', keyData), msg('Z', "I"))
		no := append(msg('E', "SERROR\x00C42501\x00Mno\x00\x00"), msg('Z', "I")...)
		for {
			switch typ, body, err := readMessage(w); {
			case err != nil:
				return
			case typ == 'Q' && strings.Contains(string(body), "txid_current_snapshot"):
				once.Do(func() { close(asked) })
				w.write(no)
			case typ == 'Q':
				w.write(no)
			case typ == 'S':
				<-asked
				w.write(no)
			}
		}
	})
	f := newFront(t, frontConfig{targets: []gateway.Target{ft.target()}})
	w := dialWire(t, f.addr)
	w.send(startupOf(v30, "user", "alice", "database", "fake"))
	w.until("R")
	w.send(msg('p', f.token+"\x00"))
	w.until("Z")
	w.send(msg('Q', "select a from t\x00"))
	w.until("E")
	w.until("Z")
}
