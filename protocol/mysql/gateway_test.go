package mysql_test

import (
	"context"
	"database/sql"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway"
	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
	connector "github.com/sallyport-dev/gateway/protocol/mysql"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/mytest"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
)

// A rig is a gateway in front of a real MariaDB.
type rig struct {
	db      *servers.MariaDB
	addr    string
	host    string
	port    string
	token   string
	dir     string // of the journal
	ca      string // file with the authority of the gateway's certificate
	gateway *gateway.Gateway
	roots   *servers.Authority
}

type rigConfig struct {
	steps    []middleware.Step // between authorize and record
	options  map[string]string // of the target
	server   *connector.Server
	maria    servers.MariaDBConfig
	target   string          // the address of one that runs already, in place of MariaDB
	identify middleware.Step // in place of tokens
	account  *protocol.Credentials
}

// sample is a small shop with data worth guarding.
var sample = []string{
	"CREATE DATABASE shop",
	"USE shop",
	"CREATE TABLE customers (id INT PRIMARY KEY, name VARCHAR(40), email VARCHAR(80), ssn CHAR(11), city VARCHAR(40), balance DECIMAL(10,2), born DATE, handle VARCHAR(80) AS (SUBSTRING_INDEX(email, '@', 1)) VIRTUAL)",
	"INSERT INTO customers (id, name, email, ssn, city, balance, born) VALUES (1, 'Ada', 'ada@example.com', '123-45-6789', 'London', 10.50, '1815-12-10'), (2, 'Bob', 'bob@example.org', '987-65-4321', 'Paris', 20, '1990-01-02'), (3, 'Eve', NULL, NULL, 'Rome', NULL, NULL)",
	"CREATE TABLE orders (id INT PRIMARY KEY AUTO_INCREMENT, customer INT, item VARCHAR(40), amount INT)",
	"INSERT INTO orders (customer, item, amount) VALUES (1, 'tea', 3), (1, 'cake', 1), (2, 'pen', 10)",
	"CREATE VIEW contacts AS SELECT id, name, email AS contact FROM customers",
}

// newRig starts both; everything is allowed but what steps refuse.
func newRig(t testing.TB, c rigConfig) *rig {
	t.Helper()
	r := &rig{dir: t.TempDir()}
	if c.target == "" {
		c.maria.SQL = append(append([]string{}, sample...), c.maria.SQL...)
		r.db = mytest.Start(t, c.maria)
		c.target = r.db.Addr
	}
	token, hash := middleware.NewToken()
	r.token = token.Reveal()
	journal, err := audit.Open(r.dir, audit.Options{})
	require.NoError(t, err)
	if c.identify.Name == "" {
		c.identify = middleware.Tokens(middleware.Token{Hash: hash, Subject: "alice", Name: "Alice", Kind: protocol.Human, Groups: []string{"dba"}})
	}
	steps := []middleware.Step{c.identify,
		middleware.Authorize(middleware.Access{Name: "all", Groups: []string{"dba"}, Targets: []string{"*"},
			Access: []string{"read", "write", "schema", "admin", "execute", "opaque"}}),
	}
	steps = append(append(steps, c.steps...), middleware.Record(journal))
	if c.options == nil {
		c.options = map[string]string{"sslmode": "disable"}
	}
	if c.account == nil {
		c.account = &r.db.Superuser
	}
	if c.server == nil {
		c.server = &connector.Server{Version: "5.5.5-10.11.14-MariaDB"}
	}
	if c.server.TLS == nil && !c.server.AllowPlaintext {
		r.roots, err = servers.NewAuthority("sallyport test authority")
		require.NoError(t, err)
		c.server.TLS = serverTLS(t, r.roots)
		r.ca = filepath.Join(t.TempDir(), "ca.pem")
		require.NoError(t, os.WriteFile(r.ca, r.roots.PEM(), 0o600))
	}
	r.gateway, err = gateway.New(gateway.Config{Steps: steps, Targets: []gateway.Target{{
		Name: "my", Protocol: "mysql", Addr: c.target, User: c.account.User,
		Secret: gateway.Fixed(c.account.Secret), Options: c.options}}})
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r.addr = l.Addr().String()
	r.host, r.port, _ = net.SplitHostPort(r.addr)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = r.gateway.Serve(context.Background(), l, c.server) // ends with Shutdown
	}()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = r.gateway.Shutdown(ctx)
		<-served
		require.NoError(t, journal.Close())
		_, err := audit.Verify(r.dir)
		require.NoError(t, err)
	})
	return r
}

// connect returns a pool of one connection through the gateway.
func (r *rig) connect(t testing.TB, change ...func(*mysql.Config)) *sql.DB {
	t.Helper()
	c := mysql.NewConfig()
	c.User, c.Passwd, c.Net, c.Addr, c.DBName = "alice", r.token, "tcp", r.addr, "my/shop"
	c.AllowCleartextPasswords, c.AllowNativePasswords, c.MultiStatements = true, true, true
	c.Logger = &mysql.NopLogger{}
	if r.roots != nil {
		c.TLS = clientTLS(r.roots)
	}
	for _, f := range change {
		f(c)
	}
	conn, err := mysql.NewConnector(c)
	require.NoError(t, err)
	db := sql.OpenDB(conn)
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// mariadb runs the command line client through the gateway.
func (r *rig) mariadb(t testing.TB, stdin string, args ...string) (string, error) {
	t.Helper()
	return r.run(t, r.db.Install.Client, stdin, append(args, "my/shop")...)
}

// run runs one of MariaDB's programs through the gateway.
func (r *rig) run(t testing.TB, program, stdin string, args ...string) (string, error) {
	t.Helper()
	all := []string{"--no-defaults", "-h", r.host, "-P", r.port, "--protocol=tcp", "-u", "alice"}
	if r.ca != "" {
		all = append(all, "--ssl-ca="+r.ca)
	}
	cmd := exec.Command(program, append(all, args...)...)
	cmd.Env = append(cmd.Environ(), "MYSQL_PWD="+r.token)
	if stdin != "" {
		cmd.Stdin = stringReader(stdin)
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// A client that says good-bye ends the target's connection in the same way: servers
// count, and log, those that end without.
func TestGoodbyeReachesTheTarget(t *testing.T) {
	r := newRig(t, rigConfig{})
	aborted := func() string {
		out, err := r.db.Exec(t.Context(), "SHOW GLOBAL STATUS LIKE 'Aborted_clients'")
		require.NoError(t, err)
		return out
	}
	before := aborted()
	for range 5 {
		db := r.connect(t)
		var n int
		require.NoError(t, db.QueryRow("SELECT COUNT(*) FROM customers").Scan(&n))
		require.NoError(t, db.Close())
	}
	for range 5 { // the server counts it in a moment of its own
		time.Sleep(50 * time.Millisecond)
		require.Equal(t, before, aborted())
	}
}
