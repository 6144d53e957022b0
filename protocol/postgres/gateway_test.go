package postgres_test

import (
	"context"
	"net"
	"os/exec"
	"strings"
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

// A rig is a gateway in front of a real PostgreSQL.
type rig struct {
	pg      *servers.Postgres
	addr    string
	host    string
	port    string
	token   string
	dir     string
	gateway *gateway.Gateway
}

type rigConfig struct {
	steps   []middleware.Step // between authorize and record
	options map[string]string
	server  *postgres.Server
	pg      []pgtest.Option
	targets []gateway.Target  // beside pg
	on      *servers.Postgres // nil: one of its own, as pg has it
}

// newRig starts both; everything is allowed but what steps refuse.
func newRig(t testing.TB, c rigConfig) *rig {
	t.Helper()
	r := &rig{dir: t.TempDir()}
	if r.pg = c.on; r.pg == nil {
		r.pg = pgtest.Start(t, append([]pgtest.Option{pgtest.Sample()}, c.pg...)...)
	}
	token, hash := middleware.NewToken()
	r.token = token.Reveal()
	journal, err := audit.Open(r.dir, audit.Options{})
	require.NoError(t, err)
	steps := []middleware.Step{
		middleware.Tokens(middleware.Token{Hash: hash, Subject: "alice", Name: "Alice", Kind: protocol.Human, Groups: []string{"dba"}}),
		middleware.Authorize(middleware.Access{Name: "all", Groups: []string{"dba"}, Targets: []string{"*"},
			Access: []string{"read", "write", "schema", "admin", "execute", "opaque"}}),
	}
	steps = append(append(steps, c.steps...), middleware.Record(journal))
	if c.options == nil {
		c.options = map[string]string{"sslmode": "disable"}
	}
	if c.server == nil {
		c.server = &postgres.Server{AllowPlaintext: true}
	}
	r.gateway, err = gateway.New(gateway.Config{Steps: steps, Targets: append(c.targets, gateway.Target{
		Name: "pg", Protocol: "postgres", Addr: r.pg.Addr, User: r.pg.Superuser.User,
		Secret: gateway.Fixed(r.pg.Superuser.Secret), Options: c.options})})
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r.addr = l.Addr().String()
	r.host, r.port, _ = net.SplitHostPort(r.addr)
	go func() { _ = r.gateway.Serve(context.Background(), l, c.server) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = r.gateway.Shutdown(ctx)
		require.NoError(t, journal.Close())
		report, err := audit.Verify(r.dir)
		require.NoError(t, err)
		_ = report
	})
	return r
}

func (r *rig) dsn(extra string) string {
	return "postgres://alice:" + r.token + "@" + r.addr + "/pg%2Fpostgres?sslmode=disable" + extra
}

func (r *rig) connect(t testing.TB, extra string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), r.dsn(extra))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// psql runs psql through the gateway.
func (r *rig) psql(t testing.TB, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(pgtest.Tool(t, "psql"), append([]string{"-X", "-h", r.host, "-p", r.port, "-U", "alice", "-d", "pg/postgres"}, args...)...)
	cmd.Env = append(cmd.Environ(), "PGPASSWORD="+r.token)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestPsqlThroughTheGateway(t *testing.T) {
	r := newRig(t, rigConfig{})
	out, err := r.psql(t, "-Atc", "select 1+1, current_setting('application_name')")
	require.NoError(t, err, out)
	require.Equal(t, "2|psql", strings.TrimSpace(out))
}

func TestPgxThroughTheGateway(t *testing.T) {
	r := newRig(t, rigConfig{})
	conn := r.connect(t, "")
	var n int
	require.NoError(t, conn.QueryRow(t.Context(), "select $1::int + 1", 41).Scan(&n))
	require.Equal(t, 42, n)
	for range 3 {
		require.NoError(t, conn.QueryRow(t.Context(), "select count(*) from pg_class where relname <> $1", "x").Scan(&n))
	}
	_, err := conn.Exec(t.Context(), "select 1/0")
	require.ErrorContains(t, err, "division by zero")
	require.NoError(t, conn.QueryRow(t.Context(), "select 1").Scan(&n))
}

var _ = protocol.Deny
