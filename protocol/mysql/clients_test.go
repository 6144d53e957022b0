package mysql_test

import (
	"crypto/tls"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
)

func stringReader(s string) io.Reader { return strings.NewReader(s) }

func serverTLS(t testing.TB, a *servers.Authority) *tls.Config {
	t.Helper()
	cert, err := a.Issue(servers.Subject{CommonName: "gateway", Hosts: []string{"127.0.0.1", "localhost"}})
	require.NoError(t, err)
	return &tls.Config{Certificates: []tls.Certificate{cert}, ClientCAs: a.Pool(), ClientAuth: tls.VerifyClientCertIfGiven}
}

func clientTLS(a *servers.Authority) *tls.Config {
	return &tls.Config{RootCAs: a.Pool(), ServerName: "127.0.0.1"}
}

func TestMariadbThroughTheGateway(t *testing.T) {
	r := newRig(t, rigConfig{})
	out, err := r.mariadb(t, "", "-N", "-B", "-e", "SELECT 1+1, NULL; SELECT name FROM customers ORDER BY id")
	require.NoError(t, err, out)
	require.Equal(t, "2\tNULL\nAda\nBob\nEve\n", out)
}

func TestGoDriverThroughTheGateway(t *testing.T) {
	r := newRig(t, rigConfig{})
	db := r.connect(t)
	var n int
	require.NoError(t, db.QueryRow("SELECT 1 + 41").Scan(&n))
	require.Equal(t, 42, n)
	var name string
	for range 3 { // prepared
		require.NoError(t, db.QueryRow("SELECT name FROM customers WHERE id = ?", 2).Scan(&name))
		require.Equal(t, "Bob", name)
	}
	res, err := db.Exec("INSERT INTO orders (customer, item, amount) VALUES (?, ?, ?)", 3, "book", 2)
	require.NoError(t, err)
	rows, err := res.RowsAffected()
	require.NoError(t, err)
	require.EqualValues(t, 1, rows)
	_, err = db.Exec("SELECT * FROM nothing")
	require.ErrorContains(t, err, "1146")
	require.NoError(t, db.QueryRow("SELECT COUNT(*) FROM orders").Scan(&n))
	require.Equal(t, 4, n)
	tx, err := db.Begin()
	require.NoError(t, err)
	_, err = tx.Exec("DELETE FROM orders WHERE id = 1")
	require.NoError(t, err)
	require.NoError(t, tx.Rollback())
	require.NoError(t, db.QueryRow("SELECT COUNT(*) FROM orders").Scan(&n))
	require.Equal(t, 4, n)
	both, err := db.Query("SELECT 1; SELECT 'two'")
	require.NoError(t, err)
	require.True(t, both.Next())
	require.True(t, both.NextResultSet())
	require.True(t, both.Next())
	require.NoError(t, both.Scan(&name))
	require.Equal(t, "two", name)
	require.NoError(t, both.Close())
	require.NoError(t, db.Ping())
}

const mysql2Version = "3.24.6"

// script runs one of the scripts in testdata/clients against an address and
// returns what it prints.
func script(t *testing.T, env []string, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = append(cmd.Environ(), env...)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	return string(out)
}

// direct and through are the settings of a script for either way.
func (r *rig) direct() []string {
	return []string{"HOST=" + r.db.Host, "PORT=" + strconv.Itoa(r.db.Port), "USER=root", "PASSWORD=" + r.db.Superuser.Secret.Reveal(), "DATABASE=shop"}
}

func (r *rig) through() []string {
	return []string{"HOST=" + r.host, "PORT=" + r.port, "USER=alice", "PASSWORD=" + r.token, "DATABASE=my/shop", "CA=" + r.ca}
}

// several is a procedure with two results.
var several = servers.MariaDBConfig{SQL: []string{"USE shop", "CREATE PROCEDURE several() BEGIN SELECT 1 AS a; SELECT 'two' AS b, 3 AS c; END"}}

// TestDriversNoticeNoDifference runs each script through the gateway and without
// it.
func TestDriversNoticeNoDifference(t *testing.T) {
	r := newRig(t, rigConfig{maria: several})
	t.Run("PyMySQL", func(t *testing.T) {
		require.NoError(t, servers.InstallTools(t.Context(), os.Stderr, []string{"python3"}, "python3"))
		if exec.Command("/usr/bin/python3", "-c", "import pymysql").Run() != nil {
			require.NoError(t, servers.InstallTools(t.Context(), os.Stderr, []string{"pymysql is a module"}, "python3-pymysql"))
		}
		want := script(t, r.direct(), "/usr/bin/python3", "testdata/clients/with_pymysql.py")
		require.Equal(t, want, script(t, r.through(), "/usr/bin/python3", "testdata/clients/with_pymysql.py"))
		require.Contains(t, want, "wide 3000000")
	})
	t.Run("mysql2", func(t *testing.T) {
		node, modules, err := servers.NodeModule(t.Context(), os.Stderr, "mysql2", mysql2Version)
		require.NoError(t, err)
		want := script(t, append(r.direct(), "NODE_PATH="+modules), node, "testdata/clients/with_mysql2.js")
		require.Equal(t, want, script(t, append(r.through(), "NODE_PATH="+modules), node, "testdata/clients/with_mysql2.js"))
		require.Contains(t, want, "alive")
	})
}

// TestDumpRoundTrip dumps a database through the gateway, loads it through the
// gateway into another, and compares.
func TestDumpRoundTrip(t *testing.T) {
	r := newRig(t, rigConfig{maria: servers.MariaDBConfig{SQL: append(several.SQL,
		"CREATE TRIGGER grow BEFORE INSERT ON orders FOR EACH ROW SET NEW.amount = NEW.amount + 0",
		"CREATE FUNCTION twice(n INT) RETURNS INT DETERMINISTIC RETURN 2 * n",
		"CREATE TABLE odd (id INT PRIMARY KEY, b BLOB, t TEXT, j JSON, s SET('a','b'), g GEOMETRY)",
		`INSERT INTO odd VALUES (1, 0x00FF275C, 'quote \' back \\ nl \n é', '{"a": 1}', 'a,b', ST_GeomFromText('POINT(1 2)'))`,
		"CREATE DATABASE again")}})
	dumper := filepath.Join(filepath.Dir(r.db.Install.Client), "mariadb-dump")
	options := []string{"--routines", "--triggers", "--events", "--single-transaction", "--skip-dump-date", "--hex-blob"}
	dump, err := r.run(t, dumper, "", append(options, "-u", "alice@my", "shop")...)
	require.NoError(t, err, dump)
	require.Contains(t, dump, "ada@example.com")
	out, err := r.run(t, r.db.Install.Client, dump, "-u", "alice@my", "again")
	require.NoError(t, err, out)
	again, err := r.run(t, dumper, "", append(options, "-u", "alice@my", "again")...)
	require.NoError(t, err, again)
	without := func(s string) string {
		return strings.ReplaceAll(strings.ReplaceAll(s, "again", "shop"), r.host, "host")
	}
	require.Equal(t, without(dump), without(again))
}
