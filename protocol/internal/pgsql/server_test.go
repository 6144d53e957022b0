package pgsql

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

const serverBin = "/usr/lib/postgresql/15/bin"

// startServer runs a PostgreSQL server of the test's own on a socket in a
// temporary folder and returns a connection to it as its superuser.
func startServer(tb testing.TB) *pgconn.PgConn {
	tb.Helper()
	if _, err := os.Stat(filepath.Join(serverBin, "initdb")); err != nil {
		tb.Fatalf("this test needs PostgreSQL 15: apt-get install postgresql-15 (%v)", err)
	}
	dir, err := os.MkdirTemp("", "pg") // a socket's path must be short
	require.NoError(tb, err)
	tb.Cleanup(func() { os.RemoveAll(dir) })
	as := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(serverBin, name), args...)
		cmd.Dir = dir
		if os.Geteuid() == 0 { // the server refuses to run as root
			u, err := user.Lookup("postgres")
			require.NoError(tb, err, "the server must run as the user postgres, which does not exist")
			uid, _ := strconv.Atoi(u.Uid)
			gid, _ := strconv.Atoi(u.Gid)
			require.NoError(tb, os.Chown(dir, uid, gid))
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
		}
		return cmd
	}
	data := filepath.Join(dir, "data")
	out, err := as("initdb", "-D", data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync", "--no-instructions").CombinedOutput()
	require.NoError(tb, err, "initdb: %s", out)
	log, err := os.Create(filepath.Join(dir, "log"))
	require.NoError(tb, err)
	server := as("postgres", "-D", data, "-c", "listen_addresses=", "-c", "unix_socket_directories="+dir, "-c", "fsync=off", "-c", "shared_buffers=16MB")
	server.Stdout, server.Stderr = log, log
	require.NoError(tb, server.Start())
	tb.Cleanup(func() {
		server.Process.Signal(syscall.SIGQUIT)
		server.Wait()
	})
	deadline := time.Now().Add(30 * time.Second)
	for {
		conn, err := pgconn.Connect(context.Background(), fmt.Sprintf("host=%s user=postgres dbname=postgres", dir))
		if err == nil {
			tb.Cleanup(func() { conn.Close(context.Background()) })
			return conn
		}
		if time.Now().After(deadline) {
			text, _ := os.ReadFile(filepath.Join(dir, "log"))
			tb.Fatalf("the server did not start: %v\n%s", err, text)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// simple is a Querier over the simple protocol.
type simple struct{ conn *pgconn.PgConn }

func (s simple) Query(ctx context.Context, sql string, row func(values [][]byte) error) error {
	mrr := s.conn.Exec(ctx, sql)
	defer mrr.Close()
	for mrr.NextResult() {
		rr := mrr.ResultReader()
		for rr.NextRow() {
			if err := row(rr.Values()); err != nil {
				return err
			}
		}
		if _, err := rr.Close(); err != nil {
			return err
		}
	}
	return mrr.Close()
}

// run executes SQL that has to work.
func run(tb testing.TB, conn *pgconn.PgConn, sql string) {
	tb.Helper()
	_, err := conn.Exec(context.Background(), sql).ReadAll()
	require.NoError(tb, err, sql)
}

// probe returns what the probe query says now.
func probe(tb testing.TB, conn *pgconn.PgConn) string {
	tb.Helper()
	var out string
	require.NoError(tb, simple{conn}.Query(context.Background(), Probe(), func(v [][]byte) error { out = string(v[0]); return nil }))
	return out
}
