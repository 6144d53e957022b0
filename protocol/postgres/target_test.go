package postgres_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway"
	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/postgres"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/pgtest"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
)

// A front is a gateway for any number of targets; its log and journal are kept.
type frontRig struct {
	addr, dir, token string
	gateway          *gateway.Gateway
	log              *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// String returns what was written.
func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newFront(t testing.TB, s *postgres.Server, targets ...gateway.Target) *frontRig {
	t.Helper()
	f := &frontRig{dir: t.TempDir(), log: &lockedBuffer{}}
	token, hash := middleware.NewToken()
	f.token = token.Reveal()
	journal, err := audit.Open(f.dir, audit.Options{})
	require.NoError(t, err)
	log := slog.New(slog.NewTextHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if s == nil {
		s = &postgres.Server{}
	}
	s.AllowPlaintext, s.Logger = true, log
	f.gateway, err = gateway.New(gateway.Config{Logger: log, Targets: targets, Steps: []middleware.Step{
		middleware.Tokens(middleware.Token{Hash: hash, Subject: "alice", Kind: protocol.Human, Groups: []string{"dba"}}),
		middleware.Authorize(middleware.Access{Name: "all", Groups: []string{"dba"}, Targets: []string{"*"},
			Access: []string{"read", "write", "schema", "admin", "execute", "opaque"}}),
		middleware.Record(journal),
	}})
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	f.addr = l.Addr().String()
	go func() { _ = f.gateway.Serve(context.Background(), l, s) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = f.gateway.Shutdown(ctx)
		require.NoError(t, journal.Close())
	})
	return f
}

func (f *frontRig) connect(ctx context.Context, target string) (*pgx.Conn, error) {
	return pgx.Connect(ctx, "postgres://alice:"+f.token+"@"+f.addr+"/"+target+"?sslmode=disable")
}

// clientFiles writes a certificate and its key for user.
func clientFiles(t testing.TB, ca *servers.Authority, user string) (cert, key string) {
	t.Helper()
	c, err := ca.Issue(servers.Subject{CommonName: user})
	require.NoError(t, err)
	chain, k, err := servers.EncodePEM(c)
	require.NoError(t, err)
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "client.crt"), filepath.Join(dir, "client.key")
	require.NoError(t, os.WriteFile(cert, chain, 0o600))
	require.NoError(t, os.WriteFile(key, k, 0o600))
	return cert, key
}

// TestLoginAtTargets is every method of a real PostgreSQL under every sslmode.
func TestLoginAtTargets(t *testing.T) {
	pg := pgtest.Start(t, pgtest.TLS(), pgtest.User("scram", "scram secret", ""), pgtest.User("md5", "md5 secret", "md5"),
		pgtest.User("plain", "plain secret", "password"), pgtest.User("card", "", "cert"), pgtest.User("open", "", "trust"))
	bare := pgtest.Start(t, pgtest.User("scram", "scram secret", ""))
	root := caFile(t, pg.Authority)
	other, err := servers.NewAuthority("somebody else")
	require.NoError(t, err)
	otherRoot := caFile(t, other)
	cert, key := clientFiles(t, pg.Authority, "card")

	var targets []gateway.Target
	add := func(name, addr, user, secret string, options ...string) {
		o := map[string]string{"dbname": "postgres"}
		for i := 0; i < len(options); i += 2 {
			o[options[i]] = options[i+1]
		}
		targets = append(targets, gateway.Target{Name: name, Protocol: "postgres", Addr: addr, User: user,
			Secret: gateway.Fixed(protocol.NewSecret(secret)), Options: o})
	}
	modes := []string{"disable", "prefer", "require", "verify-ca", "verify-full"}
	for _, m := range modes {
		o := []string{"sslmode", m}
		if strings.HasPrefix(m, "verify") {
			o = append(o, "sslrootcert", root)
		}
		add("scram-"+m, pg.Addr, "scram", "scram secret", o...)
		add("md5-"+m, pg.Addr, "md5", "md5 secret", o...)
		add("plain-"+m, pg.Addr, "plain", "plain secret", o...)
		add("open-"+m, pg.Addr, "open", "", o...)
		add("card-"+m, pg.Addr, "card", "", append(o, "sslcert", cert, "sslkey", key)...)
		add("bare-"+m, bare.Addr, "scram", "scram secret", o...)
	}
	wrongName := strings.Replace(pg.Addr, "127.0.0.1", "127.0.0.2", 1) // nobody is named so; redirected below
	add("other-ca", pg.Addr, "scram", "scram secret", "sslmode", "verify-ca", "sslrootcert", otherRoot)
	add("require-with-other-ca", pg.Addr, "scram", "scram secret", "sslmode", "require", "sslrootcert", otherRoot)
	add("wrong-name-full", wrongName, "scram", "scram secret", "sslmode", "verify-full", "sslrootcert", root)
	add("wrong-name-ca", wrongName, "scram", "scram secret", "sslmode", "verify-ca", "sslrootcert", root)
	add("wrong-secret", pg.Addr, "scram", "wrong", "sslmode", "disable")
	add("no-secret", pg.Addr, "scram", "", "sslmode", "disable")
	add("default-mode", pg.Addr, "scram", "scram secret")

	d := &net.Dialer{}
	f := newFrontDialing(t, func(ctx context.Context, network, addr string) (net.Conn, error) {
		return d.DialContext(ctx, network, strings.Replace(addr, "127.0.0.2", "127.0.0.1", 1))
	}, targets...)
	// What must fail; everything else must work.
	const notLoggedIn, notTLS, notTrusted = "could not log in at the target", "does not offer TLS", "certificate was not accepted"
	fails := map[string]string{
		"plain-disable": notLoggedIn, "plain-prefer": notLoggedIn, "plain-require": notLoggedIn, // never in the clear
		"card-disable": notLoggedIn,
		"bare-require": notTLS, "bare-verify-ca": notTLS, "bare-verify-full": notTLS,
		"other-ca": notTrusted, "require-with-other-ca": notTrusted, "wrong-name-full": notTrusted, "default-mode": notTrusted,
		"wrong-secret": notLoggedIn, "no-secret": notLoggedIn,
	}
	for _, tg := range targets {
		conn, err := f.connect(t.Context(), tg.Name)
		if want, ok := fails[tg.Name]; ok {
			require.ErrorContains(t, err, want, tg.Name)
			continue
		}
		require.NoError(t, err, tg.Name)
		var user string
		var encrypted bool
		require.NoError(t, conn.QueryRow(t.Context(), "select current_user::text, ssl from pg_catalog.pg_stat_ssl where pid = pg_catalog.pg_backend_pid()").Scan(&user, &encrypted))
		require.Equal(t, tg.User, user)
		require.Equal(t, !strings.HasSuffix(tg.Name, "-disable") && !strings.HasPrefix(tg.Name, "bare"), encrypted, tg.Name)
		require.NoError(t, conn.Close(t.Context()))
	}
	secretsStayInside(t, f, "scram secret", "md5 secret", "plain secret", f.token)
}

func newFrontDialing(t testing.TB, dial func(context.Context, string, string) (net.Conn, error), targets ...gateway.Target) *frontRig {
	t.Helper()
	f := newFront(t, nil, targets...)
	require.NoError(t, f.gateway.Shutdown(t.Context())) // only its parts are wanted
	journal, err := audit.Open(f.dir, audit.Options{})
	require.NoError(t, err)
	token, hash := middleware.NewToken()
	f.token = token.Reveal()
	log := slog.New(slog.NewTextHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	f.gateway, err = gateway.New(gateway.Config{Logger: log, Targets: targets, Dial: dial, Steps: []middleware.Step{
		middleware.Tokens(middleware.Token{Hash: hash, Subject: "alice", Kind: protocol.Human, Groups: []string{"dba"}}),
		middleware.Authorize(middleware.Access{Name: "all", Groups: []string{"dba"}, Targets: []string{"*"}, Access: []string{"read", "write", "opaque"}}),
		middleware.Record(journal),
	}})
	require.NoError(t, err)
	_ = journal
	return f
}
