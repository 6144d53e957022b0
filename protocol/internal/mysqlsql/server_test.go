package mysqlsql

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol"
	catalog "github.com/sallyport-dev/gateway/protocol/internal/sql"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/mytest"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
)

// querier is a Querier over a connection of Go's driver.
type querier struct{ db *sql.DB }

func (q querier) Query(ctx context.Context, text string, row func([][]byte) error) error {
	rows, err := q.db.QueryContext(ctx, text)
	if err != nil {
		return err
	}
	defer rows.Close()
	cols, err := rows.Columns()
	if err != nil {
		return err
	}
	values := make([]sql.RawBytes, len(cols))
	at, out := make([]any, len(cols)), make([][]byte, len(cols))
	for i := range values {
		at[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(at...); err != nil {
			return err
		}
		for i := range values {
			out[i] = values[i]
		}
		if err := row(out); err != nil {
			return err
		}
	}
	return rows.Err()
}

func connect(t *testing.T, m *servers.MariaDB) querier {
	c := mysql.NewConfig()
	c.User, c.Passwd, c.Net, c.Addr = m.Superuser.User, m.Superuser.Secret.Reveal(), "tcp", m.Addr
	conn, err := mysql.NewConnector(c)
	require.NoError(t, err)
	db := sql.OpenDB(conn)
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = db.Close() })
	return querier{db}
}

// TestCountersTellOfChanges makes changes of all kinds, also within code.
func TestCountersTellOfChanges(t *testing.T) {
	m := mytest.Start(t, servers.MariaDBConfig{SQL: []string{"CREATE DATABASE d"}})
	own, other := connect(t, m), connect(t, m)
	a := NewAnalyzer(Options{})
	count := func() Counters {
		c := a.Count(t.Context(), own, State{MariaDB: true})
		require.True(t, c.known)
		return c
	}
	run := func(text string) {
		_, err := other.db.ExecContext(t.Context(), text)
		require.NoError(t, err, text)
	}
	run("USE d")
	// Of a server in its first second it is not known whether it is another.
	require.Eventually(t, func() bool { return a.Count(t.Context(), own, State{MariaDB: true}).known }, 10*time.Second, 50*time.Millisecond)
	before := count()
	for _, text := range []string{"CREATE TABLE t (a INT)", "ALTER TABLE t ADD COLUMN b INT", "CREATE VIEW v AS SELECT a FROM t", "CREATE OR REPLACE VIEW v AS SELECT b FROM t",
		"RENAME TABLE t TO u", "RENAME TABLE u TO t", "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW SET NEW.a = 1", "DROP TRIGGER g",
		"CREATE FUNCTION f() RETURNS INT RETURN 1", "DROP FUNCTION f", "CREATE PROCEDURE p() ALTER TABLE t ADD COLUMN c INT", "CALL p()", "EXECUTE IMMEDIATE 'ALTER TABLE t DROP COLUMN c'",
		"CREATE INDEX i ON t (a)", "CREATE TABLE w LIKE t", "CREATE TABLE x AS SELECT * FROM t", "GRANT SELECT ON d.* TO CURRENT_USER()", "DROP VIEW v", "DROP TABLE w, x", "CREATE SEQUENCE s", "DROP DATABASE d"} {
		require.True(t, before.Same(before))
		run(text)
		after := count()
		require.False(t, after.Same(before), text)
		before = after
	}
	for _, text := range []string{"SELECT 1", "SET @a = 1", "DO 1"} {
		run(text)
		after := count()
		require.True(t, after.Same(before), text)
	}
	require.False(t, a.Count(t.Context(), own, State{}).known, "where MySQL has them")
	require.False(t, Counters{}.Same(Counters{}), "what is not known is no proof")
	require.False(t, Counters{known: true, uptime: 1}.Same(Counters{known: true, uptime: 2}), "another server")
}

// TestLoadReadsCode has the catalog of a real server with code in it.
func TestLoadReadsCode(t *testing.T) {
	m := mytest.Start(t, servers.MariaDBConfig{SQL: []string{"CREATE DATABASE shop", "USE shop",
		"CREATE TABLE customers (id INT PRIMARY KEY, name VARCHAR(9), email VARCHAR(80))", "CREATE TABLE log (what VARCHAR(80))",
		"CREATE FUNCTION mail(i INT) RETURNS VARCHAR(80) READS SQL DATA RETURN (SELECT email FROM customers WHERE id = i)",
		"CREATE FUNCTION twice(i INT) RETURNS INT DETERMINISTIC BEGIN DECLARE j INT DEFAULT i; SET j = j + i; RETURN j; END",
		"CREATE PROCEDURE both_of(IN i INT, OUT m VARCHAR(80)) BEGIN SELECT name FROM customers; SET m = mail(i); END",
		"CREATE PROCEDURE again(IN i INT) BEGIN IF i > 0 THEN CALL again(i - 1); END IF; END",
		"CREATE PROCEDURE ahead() SET @kept = (SELECT MAX(email) FROM customers)",
		"CREATE TRIGGER copies AFTER UPDATE ON customers FOR EACH ROW INSERT INTO log VALUES (OLD.email)",
		"CREATE TRIGGER fresh BEFORE INSERT ON customers FOR EACH ROW SET NEW.name = UPPER(NEW.email)"}})
	a := NewAnalyzer(Options{})
	st := &State{Database: "shop", Charset: "utf8mb4", Version: 101114, MariaDB: true, Memory: &Memory{}}
	cat, err := a.Load(t.Context(), connect(t, m), *st)
	require.NoError(t, err)
	for _, c := range []struct{ text, reads string }{
		{"select twice(id) from customers", "customers.id"},
		{"select mail(1)", "customers.email customers.id"},
		{"call both_of(1, @m)", "customers.email customers.id customers.name"},
		{"call again(3)", "?"},
		{"insert into customers (id, email) values (1, 'x')", ""},
		{"update customers set name = 'x' where id = 1", "customers.email customers.id"},
	} {
		fresh := *st
		fresh.Catalog, fresh.Memory = func() *catalog.Catalog { return cat }, &Memory{}
		s := one(t, a, &fresh, c.text)
		if c.reads == "?" {
			require.False(t, s.ReadsKnown, c.text)
			continue
		}
		require.True(t, s.ReadsKnown, "%s: %s", c.text, s.Why)
		require.Equal(t, c.reads, names(s.Reads), c.text)
		require.True(t, s.Access.Has(protocol.Execute), c.text)
	}
	fresh := *st
	fresh.Catalog, fresh.Memory = func() *catalog.Catalog { return cat }, &Memory{}
	require.Equal(t, "customers.email", names(after(t, a, &fresh, "call ahead() ;; select @kept").Reads))
}
