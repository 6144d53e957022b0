package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/mytest"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/pgtest"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/sshtest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"gateway": func() { os.Exit(realMain()) }})
}

// The scripts in testdata/script are what users could have typed. They find a
// PostgreSQL with the sample data at $TARGET, an sshd at $SSHD, a MariaDB at
// $MARIADB, free ports, a certificate below tls, the auditor's keys in auditor.key
// and $AUDITOR, and tokens of alice, bob and ci.
func TestScripts(t *testing.T) {
	pg := pgtest.Start(t, pgtest.Sample(), pgtest.User("svc", "target-secret", "scram-sha-256"))
	psql := pgtest.Tool(t, "psql")
	sshd := sshtest.Start(t, servers.SSHDConfig{})
	maria := mytest.Start(t, servers.MariaDBConfig{SQL: []string{"CREATE DATABASE shop", "CREATE TABLE shop.customers (id INT, name TEXT, email TEXT)",
		"INSERT INTO shop.customers VALUES (1, 'Ada', 'ada@example.com')"}})
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", strings.Join([]string{e.Getenv("PATH"), filepath.Dir(psql)}, string(os.PathListSeparator)))
			e.Setenv("TARGET", pg.Addr)
			e.Setenv("TARGET_PASSWORD", "target-secret")
			e.Setenv("PSQLRC", "/dev/null")
			e.Setenv("SSHD", sshd.Addr)
			e.Setenv("SSHD_ACCOUNT", sshd.Account)
			e.Setenv("SSHD_HOST_KEY", sshd.HostKey)
			if err := os.WriteFile(filepath.Join(e.WorkDir, "target_key"), []byte(sshd.Credentials.Secret.Reveal()), 0o600); err != nil {
				return err
			}
			e.Setenv("MARIADB", maria.Addr)
			e.Setenv("MARIADB_PASSWORD", maria.Superuser.Secret.Reveal())
			auditor, err := age.GenerateX25519Identity()
			if err != nil {
				return err
			}
			e.Setenv("AUDITOR", auditor.Recipient().String())
			if err := os.WriteFile(filepath.Join(e.WorkDir, "auditor.key"), []byte(auditor.String()), 0o600); err != nil {
				return err
			}
			e.Setenv("PGHOST", "localhost")
			e.Setenv("PGSSLMODE", "verify-full")
			e.Setenv("PGSSLROOTCERT", "ca.pem")
			for _, name := range []string{"PORT", "ADMIN_PORT", "MYSQL_PORT"} {
				port, err := servers.FreePort()
				if err != nil {
					return err
				}
				e.Setenv(name, fmt.Sprint(port))
			}
			e.Setenv("PGPORT", e.Getenv("PORT"))
			e.Setenv("SALLYPORT_SERVER", "http://127.0.0.1:"+e.Getenv("ADMIN_PORT"))
			for _, name := range []string{"ALICE", "BOB", "CI"} {
				token, hash := middleware.NewToken()
				e.Setenv(name, token.Reveal())
				e.Setenv(name+"_HASH", hash)
			}
			return writeTLS(e.WorkDir)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"expand": expand, "await": await, "eventually": eventually, "signal": sendSignal,
		},
	})
}

// writeTLS makes tls/gateway.crt and tls/gateway.key for localhost and the
// authority's certificate ca.pem.
func writeTLS(dir string) error {
	ca, err := servers.NewAuthority("test")
	if err != nil {
		return err
	}
	cert, err := ca.Issue(servers.Subject{CommonName: "gateway", Hosts: []string{"localhost", "127.0.0.1"}})
	if err != nil {
		return err
	}
	chain, key, err := servers.EncodePEM(cert)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, "tls"), 0o700); err != nil {
		return err
	}
	for name, b := range map[string][]byte{"ca.pem": ca.PEM(), "tls/gateway.crt": chain, "tls/gateway.key": key} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// sendSignal NAME PIDFILE sends a signal.
func sendSignal(ts *testscript.TestScript, _ bool, args []string) {
	sig, ok := map[string]syscall.Signal{"HUP": syscall.SIGHUP, "TERM": syscall.SIGTERM}[args[0]]
	pid, err := strconv.Atoi(strings.TrimSpace(ts.ReadFile(args[1])))
	if !ok || err != nil {
		ts.Fatalf("usage: signal HUP|TERM pidfile: %v", err)
	}
	ts.Check(syscall.Kill(pid, sig))
}

// expand FILE... replaces $VARIABLES in files.
func expand(ts *testscript.TestScript, _ bool, args []string) {
	for _, f := range args {
		text := os.Expand(ts.ReadFile(f), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(f), []byte(text), 0o600))
	}
}

// await FILE REGEXP waits until a file holds a text.
func await(ts *testscript.TestScript, _ bool, args []string) {
	re := regexp.MustCompile(args[1])
	var text []byte
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if text, _ = os.ReadFile(ts.MkAbs(args[0])); re.Match(text) {
			return
		}
	}
	ts.Fatalf("%s does not hold %q after 20 s:\n%s", args[0], args[1], text)
}

// eventually REGEXP COMMAND... runs a command until it prints a text, whose
// first group goes to $MATCH.
func eventually(ts *testscript.TestScript, _ bool, args []string) {
	re := regexp.MustCompile(args[0])
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if ts.Exec(args[1], args[2:]...) != nil {
			continue
		}
		if m := re.FindStringSubmatch(ts.ReadFile("stdout")); m != nil {
			ts.Setenv("MATCH", m[len(m)-1])
			return
		}
	}
	ts.Fatalf("%q does not print %q after 20 s", args[1:], args[0])
}

// The example is what operators start from.
func TestExampleConfiguration(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, writeTLS(dir))
	text, err := os.ReadFile("gateway.yaml")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "gateway.yaml"), text, 0o600))
	t.Chdir(dir)
	var out, errs strings.Builder
	p := &program{stdin: strings.NewReader(""), stdout: &out, stderr: &errs}
	require.Zero(t, p.main(t.Context(), []string{"check", "-config", "gateway.yaml"}), errs.String())
	require.Equal(t, "gateway.yaml: ok: 1 listener, 1 target, 8 steps\n", out.String())
}
