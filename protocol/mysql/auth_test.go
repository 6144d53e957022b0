package mysql_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-mysql-org/go-mysql/mysql"
	mysqlserver "github.com/go-mysql-org/go-mysql/server"
	driver "github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway"
	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
	connector "github.com/sallyport-dev/gateway/protocol/mysql"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
)

func noTLS(c *driver.Config) { c.TLS = nil }

// TestClientsProveASecretThatTheGatewayKnows logs in without sending a password,
// without TLS too.
func TestClientsProveASecretThatTheGatewayKnows(t *testing.T) {
	const password = "correct horse battery"
	stored := "*" + mysql.EncodePasswordHex(mysql.NativePasswordHash([]byte(password)))[1:]
	for _, c := range []struct {
		auth   connector.AuthMethod
		secret string
	}{
		{connector.AuthNative, password},
		{connector.AuthNative, stored},
		{connector.AuthCachingSHA2, password},
	} {
		t.Run(string(c.auth), func(t *testing.T) {
			r := newRig(t, rigConfig{
				server: &connector.Server{Auth: c.auth, AllowPlaintext: true},
				identify: middleware.ScramSecrets(middleware.ScramSecret{User: "alice", MySQL: protocol.NewSecret(c.secret),
					Subject: "alice", Groups: []string{"dba"}, Kind: protocol.Human}),
			})
			r.token = password
			require.NoError(t, r.connect(t, noTLS).Ping())
			for name, change := range map[string]func(*driver.Config){
				"a wrong password": func(c *driver.Config) { c.Passwd = "another" },
				"no password":      func(c *driver.Config) { c.Passwd = "" },
				"another account":  func(c *driver.Config) { c.User = "bob" },
			} {
				err := r.connect(t, noTLS, change).Ping()
				require.ErrorContains(t, err, "1045", name)
				require.ErrorContains(t, err, "Access denied for user", name)
			}
		})
	}
}

func TestPasswordsAreTakenInsideTLSOnly(t *testing.T) {
	r := newRig(t, rigConfig{})
	require.ErrorContains(t, r.connect(t, noTLS).Ping(), "over TLS only")
	require.NoError(t, r.connect(t).Ping())
	require.ErrorContains(t, r.connect(t, func(c *driver.Config) { c.Passwd = "wrong" }).Ping(), "1045")
}

func TestClientCertificate(t *testing.T) {
	r := newRig(t, rigConfig{identify: middleware.Certificates(middleware.CertificateRule{
		CA: "CN=sallyport test authority", Subject: middleware.CommonName, Kind: protocol.Human, Groups: []string{"dba"}})})
	cert, err := r.roots.Issue(servers.Subject{CommonName: "alice"})
	require.NoError(t, err)
	withCert := func(c *driver.Config) {
		c.TLS = clientTLS(r.roots)
		c.TLS.Certificates = []tls.Certificate{cert}
		c.Passwd = ""
	}
	require.NoError(t, r.connect(t, withCert).Ping())
	require.Error(t, r.connect(t).Ping(), "without a certificate")
}

// TestTargetPlugins logs in at MariaDB with each plugin that it has.
func TestTargetPlugins(t *testing.T) {
	for plugin, create := range map[string]string{
		"native":  "CREATE USER app IDENTIFIED VIA mysql_native_password USING PASSWORD('target secret')",
		"ed25519": "CREATE USER app IDENTIFIED VIA ed25519 USING PASSWORD('target secret')",
	} {
		t.Run(plugin, func(t *testing.T) {
			r := newRig(t, rigConfig{
				maria:   servers.MariaDBConfig{TLS: true, SQL: []string{create, "GRANT ALL ON *.* TO app"}},
				account: &protocol.Credentials{User: "app", Secret: protocol.NewSecret("target secret")},
				options: map[string]string{"sslmode": "require"},
			})
			var user, cipher string
			db := r.connect(t)
			require.NoError(t, db.QueryRow("SELECT CURRENT_USER()").Scan(&user))
			require.Equal(t, "app@%", user)
			require.NoError(t, db.QueryRow("SHOW STATUS LIKE 'Ssl_cipher'").Scan(&user, &cipher))
			require.NotEmpty(t, cipher)
		})
	}
}

// TestTargetOfMySQL8 logs in at a server with the plugins of MySQL 8, which is
// go-mysql's: the first time it wants the password itself.
func TestTargetOfMySQL8(t *testing.T) {
	ca, err := servers.NewAuthority("target")
	require.NoError(t, err)
	cert, err := ca.Issue(servers.Subject{CommonName: "target", Hosts: []string{"127.0.0.1"}})
	require.NoError(t, err)
	caFile := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(caFile, ca.PEM(), 0o600))
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	require.NoError(t, err)
	keyFile := filepath.Join(t.TempDir(), "key.pem")
	require.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600))
	for _, plugin := range []string{mysql.AUTH_CACHING_SHA2_PASSWORD, mysql.AUTH_SHA256_PASSWORD} {
		for _, c := range []struct {
			name    string
			options map[string]string
			fails   bool
		}{
			{"verified TLS", map[string]string{"sslmode": "verify-full", "sslrootcert": caFile}, false},
			{"TLS that proves nothing", map[string]string{"sslmode": "require"}, true},
			{"the target's key", map[string]string{"sslmode": "disable", "server_public_key": keyFile}, false},
			{"the target's word for its key", map[string]string{"sslmode": "disable", "server_public_key": "ask"}, false},
			{"no key", map[string]string{"sslmode": "disable"}, true},
			{"a plugin that is not allowed", map[string]string{"sslmode": "verify-full", "sslrootcert": caFile, "require_auth": "client_ed25519"}, true},
		} {
			t.Run(plugin+"/"+c.name, func(t *testing.T) {
				// Each target starts with an empty cache.
				srv := mysqlserver.NewServer("8.0.36", mysql.DEFAULT_COLLATION_ID, plugin, key, &tls.Config{Certificates: []tls.Certificate{cert}})
				for i := range 2 { // full, then fast
					err := loginAt(t, srv, c.options)
					if c.fails {
						require.Error(t, err)
						continue
					}
					require.NoError(t, err, i)
				}
			})
		}
	}
}

// mysql8 answers what the gateway asks after its login.
type mysql8 struct{ mysqlserver.EmptyHandler }

func (mysql8) HandleQuery(string) (*mysql.Result, error) {
	rs, err := mysql.BuildSimpleTextResultset([]string{"m", "c", "d", "r", "l"}, [][]any{{"", "utf8mb4", "", "", "0"}})
	return mysql.NewResult(rs), err
}

// loginAt logs in at srv through a gateway and pings it.
func loginAt(t *testing.T, srv *mysqlserver.Server, options map[string]string) error {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				c, err := srv.NewConn(conn, "app", "target secret", mysql8{})
				for err == nil {
					err = c.HandleCommand()
				}
			}()
		}
	}()
	token, hash := middleware.NewToken()
	journal, err := audit.Open(t.TempDir(), audit.Options{})
	require.NoError(t, err)
	gw, err := gateway.New(gateway.Config{
		Steps: []middleware.Step{
			middleware.Tokens(middleware.Token{Hash: hash, Subject: "alice", Kind: protocol.Human, Groups: []string{"dba"}}),
			middleware.Authorize(middleware.Access{Name: "all", Groups: []string{"dba"}, Targets: []string{"*"}, Access: []string{"read"}}),
			middleware.Record(journal),
		},
		Targets: []gateway.Target{{Name: "my", Protocol: "mysql", Addr: l.Addr().String(), User: "app",
			Secret: gateway.Fixed(protocol.NewSecret("target secret")), Options: options}}})
	require.NoError(t, err)
	front, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() { _ = gw.Serve(context.Background(), front, &connector.Server{AllowPlaintext: true}) }() // ends with Shutdown
	t.Cleanup(func() {
		_ = gw.Shutdown(context.Background())
		require.NoError(t, journal.Close())
	})
	r := &rig{addr: front.Addr().String(), token: token.Reveal()}
	db := r.connect(t, noTLS, func(c *driver.Config) { c.DBName = "my" })
	defer db.Close()
	return db.Ping()
}

// TestDomainNamesTheTarget connects to a name of which the target's is a part.
func TestDomainNamesTheTarget(t *testing.T) {
	r := newRig(t, rigConfig{server: &connector.Server{Domain: "db.example.com"}})
	as := func(name, database string) error {
		return r.connect(t, func(c *driver.Config) {
			c.TLS.ServerName, c.TLS.InsecureSkipVerify = name, true // the certificate is for the address
			c.DBName = database
		}).Ping()
	}
	require.NoError(t, as("my.db.example.com", "shop"))
	require.NoError(t, as("MY.DB.example.com", ""))
	require.NoError(t, as("elsewhere.example.com", "my/shop"), "the database names it")
	require.Error(t, as("other.db.example.com", "shop"), "there is no such target")
	require.Error(t, as("a.my.db.example.com", "shop"))
	require.Error(t, as("my.db.example.com", "my/shop"), "the name has named it: that is no database")
}
