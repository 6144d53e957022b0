// Package pgtest starts a real PostgreSQL for a test, in less than a second.
//
//	pg := pgtest.Start(t, pgtest.Sample(), pgtest.User("app", "secret", "scram-sha-256"))
//	conn, err := pgx.Connect(t.Context(), pg.DSN("app", "secret"))
//
// A machine without PostgreSQL does not skip the test: where it can, Start
// installs PostgreSQL, everywhere else the test fails and says what to do.
package pgtest

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
)

// An Option changes what Start starts; a literal func(c) serves for what has no
// name here.
type Option func(c *servers.PostgresConfig)

// Start starts a PostgreSQL that ends with the test. See
// [servers.StartPostgres].
func Start(t testing.TB, opts ...Option) *servers.Postgres {
	t.Helper()
	inst := Install(t)
	c := servers.PostgresConfig{Install: &inst}
	for _, o := range opts {
		o(&c)
	}
	pg, err := servers.StartPostgres(t.Context(), c)
	if err != nil {
		t.Fatalf("start PostgreSQL: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("PostgreSQL's log:\n%s", pg.Log())
		}
		pg.Stop()
	})
	return pg
}

// Install returns the PostgreSQL of this machine, which it installs if that is
// possible and necessary. From then on the test's process is without the
// settings for PostgreSQL's clients (PGHOST, PGSSLMODE ...) that the terminal
// has: they are about another server.
func Install(t testing.TB) servers.PostgresInstall {
	t.Helper()
	for _, e := range os.Environ() {
		if name, _, _ := strings.Cut(e, "="); strings.HasPrefix(name, "PG") {
			if err := os.Unsetenv(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	inst, err := servers.FindPostgres(t.Context())
	if errors.Is(err, servers.ErrNoPostgres) {
		inst, err = servers.InstallPostgres(t.Context(), os.Stderr)
	}
	if err != nil {
		t.Fatal(err)
	}
	return inst
}

// Tool returns the path of one of PostgreSQL's programs, such as psql.
func Tool(t testing.TB, name string) string {
	t.Helper()
	path, err := Install(t).Tool(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Exec runs SQL as the superuser and returns what psql printed, rows
// unaligned.
func Exec(t testing.TB, pg *servers.Postgres, sql ...string) string {
	t.Helper()
	out, err := pg.Exec(context.WithoutCancel(t.Context()), sql...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// User adds a role that logs in over TCP with auth: scram-sha-256, md5,
// password, cert, trust.
func User(name, password, auth string) Option {
	return func(c *servers.PostgresConfig) {
		c.Roles = append(c.Roles, servers.Role{Name: name, Password: password, Auth: auth, Grant: `GRANT pg_read_all_data, pg_write_all_data TO "` + name + `"`})
	}
}

// SQL runs statements before Start returns.
func SQL(sql ...string) Option {
	return func(c *servers.PostgresConfig) { c.SQL = append(c.SQL, sql...) }
}

// Sample loads [servers.SampleSQL].
func Sample() Option { return SQL(servers.SampleSQL) }

// StandbyOf makes the server a hot standby of primary.
func StandbyOf(primary *servers.Postgres) Option {
	return func(c *servers.PostgresConfig) { c.StandbyOf = primary }
}

// TLS makes the server accept TLS; see [servers.PostgresConfig].
func TLS() Option { return func(c *servers.PostgresConfig) { c.TLS = true } }

// Setting sets one setting of postgresql.conf.
func Setting(name, value string) Option {
	return func(c *servers.PostgresConfig) {
		if c.Settings == nil {
			c.Settings = map[string]string{}
		}
		c.Settings[name] = value
	}
}

// HBA adds lines to the top of pg_hba.conf.
func HBA(lines ...string) Option {
	return func(c *servers.PostgresConfig) { c.HBA = append(c.HBA, lines...) }
}
