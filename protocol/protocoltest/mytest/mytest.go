// Package mytest starts a real MariaDB, or a MySQL, for a test, in about a second.
//
//	db := mytest.Start(t, servers.MariaDBConfig{SQL: []string{"CREATE DATABASE shop"}})
//
// A machine without MariaDB does not skip the test: where it can, Start
// installs MariaDB, everywhere else the test fails and says what to do.
package mytest

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
)

// Start starts a MariaDB that ends with the test. See [servers.StartMariaDB].
func Start(t testing.TB, c servers.MariaDBConfig) *servers.MariaDB {
	t.Helper()
	inst, err := servers.FindMariaDB(t.Context())
	if errors.Is(err, servers.ErrNoMariaDB) {
		inst, err = servers.InstallMariaDB(t.Context(), os.Stderr)
	}
	if err != nil {
		t.Fatal(err)
	}
	c.Install = &inst
	m, err := servers.StartMariaDB(t.Context(), c)
	if err != nil {
		t.Fatalf("start MariaDB: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("MariaDB's log:\n%s", m.Log())
		}
		m.Stop()
	})
	return m
}

// StartMySQL starts a MySQL that ends with the test. See [servers.StartMySQL].
func StartMySQL(t testing.TB, c servers.MySQLConfig) *servers.MySQL {
	t.Helper()
	inst := FindMySQL(t)
	c.Install = &inst
	m, err := servers.StartMySQL(t.Context(), c)
	if err != nil {
		t.Fatalf("start MySQL: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("MySQL's log:\n%s", m.Log())
		}
		m.Stop()
	})
	return m
}

// FindMySQL returns a MySQL's programs. On a machine that has none, where it can, it
// brings one up itself; else the test fails and says what to install.
func FindMySQL(t testing.TB) servers.MySQLInstall {
	t.Helper()
	inst, err := servers.FindMySQL(t.Context())
	if errors.Is(err, servers.ErrNoMySQL) {
		inst, err = servers.InstallMySQL(t.Context(), os.Stderr)
	}
	if err != nil {
		t.Fatal(err)
	}
	return inst
}

// Exec runs SQL as the superuser and returns what the client printed, values
// separated by tabs.
func Exec(t testing.TB, m *servers.MariaDB, sql ...string) string {
	t.Helper()
	out, err := m.Exec(context.WithoutCancel(t.Context()), sql...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(out, "\n")
}
