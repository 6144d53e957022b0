package ssh_test

import (
	"context"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	xssh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/testdata"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
	"github.com/sallyport-dev/gateway/protocol/ssh"
)

// theLibrarys are tests of golang.org/x/crypto/ssh in which its client meets an
// sshd. Not among them are those of passwords and certificates, which an sshd takes
// otherwise than the gateway: a principal there is the whole user, target and all.
var theLibrarys = []string{"TestAgentForward", "TestDialTCP", "TestDialUnix", "TestPortForwardTCP", "TestPortForwardUnix", "TestAcceptCloseTCP", "TestAcceptCloseUnix",
	"TestPortForwardConnectionCloseTCP", "TestPortForwardConnectionCloseUnix", "TestRunCommandWeClosed", "TestFuncLargeRead", "TestKeyChange",
	"TestValidTerminalMode", "TestCiphers", "TestClientAuthAlgorithms", "TestClientAuthDisconnect"}

// TestTestsOfTheLibrary runs them, as they are, with the gateway where they start
// an sshd. They do not run as root, and name their target by the account.
func TestTestsOfTheLibrary(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can run them under an account with a target's name")
	}
	dir, err := os.MkdirTemp("", "sp-library-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o755)) // the account is another one
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for _, args := range [][]string{{"test", "-c", "-tags", "osusergo", "-o", dir + "/tests", "golang.org/x/crypto/ssh/test"}, {"build", "-o", dir + "/sshd", "./testdata/inetd"}} {
		out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	server, first := &ssh.Server{MaxAuthTries: 1}, []middleware.Step{}
	for _, name := range []string{"ecdsa", "rsa"} {
		key, err := xssh.ParsePrivateKey(testdata.PEMBytes[name])
		require.NoError(t, err)
		server.HostKeys = append(server.HostKeys, key)
	}
	for _, name := range []string{"user", "rsa", "ecdsa", "ed25519"} {
		key, err := xssh.ParsePrivateKey(testdata.PEMBytes[name])
		require.NoError(t, err)
		first = append(first, middleware.PublicKeys(middleware.PublicKey{Key: authorized(key.PublicKey()), Subject: "gopher", Kind: protocol.Human, Groups: []string{"ops"}}))
	}
	r := newRig(t, rigConfig{server: server, first: first, options: map[string]string{"agent_forwarding": "yes"},
		sshd: servers.SSHDConfig{Lines: []string{"StreamLocalBindMask 0111"}}}) // the tests connect to its sockets
	cmd := exec.CommandContext(ctx, dir+"/tests", "-test.v", "-test.run", "^("+strings.Join(theLibrarys, "|")+")$")
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + dir + ":" + os.Getenv("PATH"), "USER=gopher@web1", "HOME=" + dir, "GATEWAY=" + r.addr}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 64999, Gid: 64999}}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	passed := regexp.MustCompile(`(?m)^--- PASS`).FindAll(out, -1)
	require.Len(t, passed, len(theLibrarys), "%s", out)
}
