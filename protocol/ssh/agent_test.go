package ssh_test

import (
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	xssh "golang.org/x/crypto/ssh"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/sshtest"
)

// agent starts an ssh-agent with alice's key and returns its socket.
func (r *rig) agent(t testing.TB) string {
	t.Helper()
	socket := r.dir + "/agent"
	cmd := exec.Command(sshtest.Tool(t, "ssh-agent", "openssh-client"), "-D", "-a", socket)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	require.Eventually(t, func() bool {
		c, err := net.Dial("unix", socket)
		return err == nil && c.Close() == nil
	}, 30*time.Second, 20*time.Millisecond)
	add := exec.Command(sshtest.Tool(t, "ssh-add", "openssh-client"), "-q", r.dir+"/key")
	add.Env = []string{"SSH_AUTH_SOCK=" + socket}
	out, err := add.CombinedOutput()
	require.NoError(t, err, string(out))
	return socket
}

// A target gets at the client's agent where its option and a rule allow it; each
// use is an operation.
func TestAgentForwarding(t *testing.T) {
	r := newRig(t, rigConfig{options: map[string]string{"agent_forwarding": "yes"}})
	socket := r.agent(t)
	got := r.ssh(t, "-A", "-o", "IdentityAgent="+socket, "web1", "ssh-add -l")
	require.Contains(t, got.out, "ED25519", got.err)
	r.ops.ended(t, "agent", "agent")
	require.Equal(t, protocol.StatusOK, r.ops.ended(t, "accept", "agent").out.Status)
}

func TestAgentForwardingIsRefused(t *testing.T) {
	const said = "sallyport: agent forwarding is refused here (target)\r\nsallyport: reach further hosts with ssh -J"
	for name, c := range map[string]struct {
		config rigConfig
		said   string
	}{
		"by default": {rigConfig{}, said},
		"by a rule": {rigConfig{options: map[string]string{"agent_forwarding": "yes"}, steps: []middleware.Step{denying(func(op *protocol.Operation) bool { return op.Verb == "agent" })}},
			"sallyport: changes are frozen (freeze)"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, c.config)
			socket := r.agent(t)
			got := r.ssh(t, "-tt", "-A", "-o", "IdentityAgent="+socket, "web1", "echo agent=$SSH_AUTH_SOCK.")
			require.Contains(t, got.out, "agent=.\r\n")
			require.Contains(t, got.err+got.out, c.said, "a terminal is told")
			got = r.ssh(t, "-A", "-o", "IdentityAgent="+socket, "web1", "echo agent=$SSH_AUTH_SOCK.")
			require.Equal(t, result{"agent=.\n", "", 0}, got, "a program is not")
		})
	}
}

// A target that helps itself to the client's agent without having been lent it.
func TestAgentIsNotTaken(t *testing.T) {
	took := make(chan error, 1)
	r := newScriptedRig(t, rigConfig{options: map[string]string{"agent_forwarding": "yes"}}, func(s *scripted) {
		_, _, err := s.conn.OpenChannel("auth-agent@openssh.com", nil)
		took <- err
		s.accept(silent)
	})
	c := r.dial(t)
	asked := c.HandleChannelOpen("auth-agent@openssh.com")
	require.ErrorContains(t, <-took, "the gateway does not pass this type of channel on")
	select {
	case <-asked:
		t.Fatal("the client was asked")
	default:
	}
}

// One address has one name for rules, whatever a client calls it; the target gets
// what the client said.
func TestForwardsAreAskedAboutByOneName(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{denying(func(op *protocol.Operation) bool {
		return len(op.Objects) > 0 && (strings.HasPrefix(op.Objects[0].Name, "127.0.0.1:") || strings.HasPrefix(op.Objects[0].Name, "[::1]:") || op.Objects[0].Name == "db.internal:22" || op.Objects[0].Name == docker)
	})}})
	c := r.dial(t)
	for _, host := range []string{"127.0.0.1", "127.1", "0x7f.1", "0177.0.0.1", "2130706433", "::ffff:127.0.0.1", "::FFFF:7f00:1", "DB.internal", "db.internal.",
		"0.0.0.0", "0", "::ffff:0.0.0.0", "::", "::1", "::1%1", "::ffff:127.0.0.1%1"} {
		_, _, err := c.OpenChannel("direct-tcpip", xssh.Marshal(struct {
			Host       string
			Port       uint32
			Origin     string
			OriginPort uint32
		}{host, 22, "127.0.0.1", 1}))
		require.ErrorContains(t, err, "changes are frozen", host)
	}
	for _, host := range []string{"a b", "a\x00b", "[::1]", "a/b", "a\nb", ""} {
		_, _, err := c.OpenChannel("direct-tcpip", xssh.Marshal(struct {
			Host       string
			Port       uint32
			Origin     string
			OriginPort uint32
		}{host, 22, "127.0.0.1", 1}))
		require.ErrorContains(t, err, "malformed request", host)
	}
	for _, path := range []string{docker, "/var//run/./docker.sock", "/var/x/../run/docker.sock"} {
		_, _, err := c.OpenChannel("direct-streamlocal@openssh.com", xssh.Marshal(struct {
			Path, Reserved string
			Port           uint32
		}{path, "", 0}))
		want := "changes are frozen"
		if strings.Contains(path, "..") { // behind a name that may be a link
			want = "malformed request"
		}
		require.ErrorContains(t, err, want, path)
	}
}

const docker = "/var/run/docker.sock"

// Listening on a socket at the target is an operation, and so is each connection.
func TestListeningOnSockets(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{denying(func(op *protocol.Operation) bool { return strings.HasSuffix(op.Text, "/no") })}})
	server := echo(t, "tcp", "127.0.0.1:0")
	background(t, r.command(t, "ssh", "-N", "-o", "ExitOnForwardFailure=yes", "-R", r.dir+"/yes:"+server, "web1"))
	var conn net.Conn
	require.Eventually(t, func() (ok bool) {
		var err error
		conn, err = net.Dial("unix", r.dir+"/yes")
		return err == nil
	}, 30*time.Second, 20*time.Millisecond)
	_, err := conn.Write([]byte("socket"))
	require.NoError(t, err)
	require.NoError(t, conn.(*net.UnixConn).CloseWrite())
	buf := make([]byte, 6)
	_, err = conn.Read(buf)
	require.NoError(t, err)
	require.Equal(t, "SOCKET", string(buf))
	require.NoError(t, conn.Close())
	r.ops.ended(t, "accept", r.dir+"/yes")
	r.ops.find(t, protocol.Decided, "listen", r.dir+"/yes")
	require.Equal(t, 255, r.ssh(t, "-N", "-o", "ExitOnForwardFailure=yes", "-R", r.dir+"/no:"+server, "web1").code)
}

// What is typed is not lost where more than one thing was held on a terminal.
func TestTypedBehindTwoHolds(t *testing.T) {
	agent, agentWaits, agentAnswer, _ := holdOn("agent")
	shell, shellWaits, shellAnswer, _ := holdOn("shell")
	r := newRig(t, rigConfig{steps: []middleware.Step{agent, shell}, options: map[string]string{"agent_forwarding": "yes"}})
	s, err := r.dial(t).NewSession()
	require.NoError(t, err)
	in, err := s.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, s.RequestPty("xterm", 24, 80, nil))
	go func() {
		<-agentWaits
		agentAnswer <- protocol.Allow("bob")
		<-shellWaits
		_, _ = in.Write([]byte("exit 3"))
		_, _ = in.Write([]byte("7\r"))
		shellAnswer <- protocol.Allow("bob")
	}()
	ok, err := s.SendRequest("auth-agent-req@openssh.com", true, nil)
	require.NoError(t, err)
	require.True(t, ok)
	require.NoError(t, s.Shell())
	ended := make(chan error, 1)
	go func() { ended <- s.Wait() }()
	select {
	case err = <-ended:
	case <-time.After(10 * time.Second):
		t.Fatal("the shell waits for what was typed")
	}
	var exit *xssh.ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, 37, exit.ExitStatus())
}
