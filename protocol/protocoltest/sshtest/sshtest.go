// Package sshtest starts a real OpenSSH server for a test.
//
//	sshd := sshtest.Start(t, servers.SSHDConfig{})
//
// A machine without OpenSSH does not skip the test: where it can, Start
// installs OpenSSH, everywhere else the test fails and says what to do.
package sshtest

import (
	"errors"
	"os"
	"os/exec"
	"testing"

	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
)

// Start starts an OpenSSH server that ends with the test. See
// [servers.StartSSHD].
func Start(t testing.TB, c servers.SSHDConfig) *servers.SSHD {
	t.Helper()
	_, err := servers.FindSSHD()
	if errors.Is(err, servers.ErrNoSSHD) {
		_, err = servers.InstallSSHD(t.Context(), os.Stderr)
	}
	if err != nil {
		t.Fatal(err)
	}
	s, err := servers.StartSSHD(t.Context(), c)
	if err != nil {
		t.Fatalf("start sshd: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("sshd's log:\n%s", s.Log())
		}
		s.Stop()
	})
	return s
}

// Tool returns the path of a program, which comes in the Debian package.
func Tool(t testing.TB, program, debian string) string {
	t.Helper()
	if err := servers.InstallTools(t.Context(), os.Stderr, []string{program}, debian); err != nil {
		t.Fatal(err)
	}
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
