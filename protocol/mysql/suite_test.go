package mysql_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
	connector "github.com/sallyport-dev/gateway/protocol/mysql"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/mytest"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
)

// policy names the tests of go-sql-driver/mysql that have another outcome
// through a gateway, and why that is the gateway's to say.
var policy = map[string]string{
	"TestLoadData": "files of the client's are never asked for",
}

// TestGoDriversOwnSuite runs the tests that go-sql-driver/mysql has itself, at the
// target and through a gateway with a step that looks at everything: they end
// alike.
func TestGoDriversOwnSuite(t *testing.T) {
	if testing.Short() || connector.RaceDetector {
		t.Skip("runs for a minute")
	}
	binary := filepath.Join(t.TempDir(), "suite.test")
	db := mytest.Start(t, servers.MariaDBConfig{SQL: []string{"CREATE DATABASE gotest"}})
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", binary, "github.com/go-sql-driver/mysql")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	run := func(addr, user, password string) (outcome map[string]string, log []byte) {
		// One connects to an address outside of this machine.
		cmd := exec.CommandContext(t.Context(), binary, "-test.v", "-test.count=1", "-test.timeout=5m", "-test.skip=^TestConnectorReturnsTimeout$")
		cmd.Dir = t.TempDir()
		cmd.Env = append(cmd.Environ(), "MYSQL_TEST_ADDR="+addr, "MYSQL_TEST_USER="+user, "MYSQL_TEST_PASS="+password)
		log, _ = cmd.CombinedOutput() // some fail at the target itself
		return outcomes(log), log
	}
	want, log := run(db.Addr, db.Superuser.User, db.Superuser.Secret.Reveal())
	require.Equal(t, "PASS", want["TestCRUD"], "%s", log)
	const password = "for-the-suite"
	r := newRig(t, rigConfig{target: db.Addr, account: &db.Superuser, steps: []middleware.Step{looking()},
		server: &connector.Server{Auth: connector.AuthNative, AllowPlaintext: true, Version: "5.5.5-10.11.14-MariaDB"},
		identify: middleware.ScramSecrets(middleware.ScramSecret{User: "alice", MySQL: protocol.NewSecret(password),
			Subject: "alice", Groups: []string{"dba"}, Kind: protocol.Human})})
	got, log := run(r.addr, "alice@my", password)
	for test := range want {
		if top, _, _ := strings.Cut(test, "/"); policy[top] == "" && got[test] != want[test] {
			t.Errorf("%s: %s, and %s at the target\n%s", test, got[test], want[test], about(log, test))
		}
	}
	t.Logf("%d tests", len(want))
}

var verdict = regexp.MustCompile(`^\s*--- (PASS|FAIL|SKIP): (\S+)`)

// outcomes reads the verbose output of a test program.
func outcomes(log []byte) map[string]string {
	m := map[string]string{}
	for s := bufio.NewScanner(bytes.NewReader(log)); s.Scan(); {
		if f := verdict.FindStringSubmatch(s.Text()); f != nil {
			m[f[2]] = f[1]
		}
	}
	return m
}

// about returns what a log says about a test.
func about(log []byte, test string) string {
	lines := strings.Split(string(log), "\n")
	i := slices.IndexFunc(lines, func(l string) bool { return strings.HasSuffix(l, "=== RUN   "+test) })
	if i < 0 {
		return strings.Join(lines[max(0, len(lines)-40):], "\n")
	}
	return strings.Join(lines[i:min(len(lines), i+40)], "\n")
}

// looking is a step that looks at everything and changes nothing.
func looking() middleware.Step {
	return middleware.Step{Name: "look", Operation: func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
		if op.Verb == protocol.Connect {
			return protocol.Decision{}, nil
		}
		if err := op.OnRows(func([]protocol.Column) (protocol.RowFunc, error) {
			return func([][]byte) error { return nil }, nil
		}); err != nil && !errors.Is(err, protocol.ErrShape) {
			return protocol.Decision{}, err
		}
		return protocol.Decision{}, op.OnText(func(*protocol.Message) error { return nil })
	}}
}

var times = regexp.MustCompile(`\([0-9.]+ sec\)`)

// withoutTimes takes out how long statements took.
func withoutTimes(s string) string { return times.ReplaceAllString(s, "(0.00 sec)") }
