package mysql_test

import (
	"crypto/tls"
	"database/sql"
	"io"
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

var _ sql.IsolationLevel
