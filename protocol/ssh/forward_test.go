package ssh_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	xssh "golang.org/x/crypto/ssh"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
)

// echo listens on loopback and gives back in upper case all that comes, once its
// peer has said all.
func echo(t testing.TB, network, addr string) string {
	t.Helper()
	l, err := net.Listen(network, addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				b, _ := io.ReadAll(c)
				_, _ = io.WriteString(c, strings.ToUpper(string(b)))
			}()
		}
	}()
	return l.Addr().String()
}

// ask sends text to an address and returns the answer.
func ask(t testing.TB, addr, text string) string {
	t.Helper()
	var c net.Conn
	require.Eventually(t, func() (ok bool) {
		var err error
		c, err = net.Dial("tcp", addr)
		return err == nil
	}, 10*time.Second, 20*time.Millisecond)
	defer c.Close()
	_, _ = io.WriteString(c, text) // what is refused may be closed already
	_ = c.(*net.TCPConn).CloseWrite()
	b, _ := io.ReadAll(c)
	return string(b)
}

func freeAddr(t testing.TB) string {
	t.Helper()
	port, err := servers.FreePort()
	require.NoError(t, err)
	return fmt.Sprintf("127.0.0.1:%d", port)
}

// background starts a client that ends with the test.
func background(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
}

func TestForwards(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{denying(func(op *protocol.Operation) bool {
		return len(op.Objects) > 0 && strings.HasSuffix(op.Objects[0].Name, ":1")
	})}})
	server := echo(t, "tcp", "127.0.0.1:0")
	socket := echo(t, "unix", r.dir+"/socket")
	local, remote, unix, refused := freeAddr(t), freeAddr(t), freeAddr(t), freeAddr(t)
	background(t, r.command(t, "ssh", "-N", "-o", "ExitOnForwardFailure=yes", "-L", local+":"+server, "-L", unix+":"+socket, "-L", refused+":127.0.0.1:1", "-R", remote+":"+server, "web1"))
	require.Equal(t, "LOCAL", ask(t, local, "local"))
	require.Equal(t, "REMOTE", ask(t, remote, "remote"))
	require.Equal(t, "SOCKET", ask(t, unix, "socket"))
	require.Equal(t, "", ask(t, refused, "x"))
	n := r.ops.ended(t, "forward", server)
	require.Equal(t, int64(5), n.out.Bytes)
	require.Equal(t, int64(5), n.out.BytesIn)
	require.True(t, n.access.Has(protocol.Opaque))
	n = r.ops.ended(t, "accept", remote)
	require.Equal(t, int64(6), n.out.Bytes)
	r.ops.ended(t, "forward", socket)
	r.ops.find(t, protocol.Decided, "listen", remote)
	require.Equal(t, protocol.DenyEffect, r.ops.find(t, protocol.Decided, "forward", "127.0.0.1:1").effect)
}

func TestSOCKS(t *testing.T) {
	r := newRig(t, rigConfig{})
	server := echo(t, "tcp", "127.0.0.1:0")
	socks := freeAddr(t)
	background(t, r.command(t, "ssh", "-N", "-D", socks, "web1"))
	host, port, _ := net.SplitHostPort(server)
	var p int
	_, _ = fmt.Sscan(port, &p)
	require.Equal(t, "127.0.0.1", host)
	// SOCKS 4: version, connect, port, address, no user
	got := ask(t, socks, "\x04\x01"+string([]byte{byte(p >> 8), byte(p), 127, 0, 0, 1, 0})+"dynamic")
	require.Equal(t, "DYNAMIC", got[8:])
	r.ops.ended(t, "forward", server)
}

func TestJump(t *testing.T) {
	r := newRig(t, rigConfig{})
	key := r.dir + "/sshd-key"
	require.NoError(t, os.WriteFile(key, []byte(r.sshd.Credentials.Secret.Reveal()), 0o600))
	conf, err := os.ReadFile(r.dir + "/config")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(r.dir+"/known_hosts2", []byte(fmt.Sprintf("[%s]:%d %s\n", r.sshd.Host, r.sshd.Port, r.sshd.HostKey)), 0o600))
	require.NoError(t, os.WriteFile(r.dir+"/config", []byte(fmt.Sprintf("Host behind\n HostName %s\n Port %d\n User %s\n ProxyJump web1\n IdentityFile %s\n UserKnownHostsFile %s\n",
		r.sshd.Host, r.sshd.Port, r.sshd.Account, key, r.dir+"/known_hosts2")+string(conf)), 0o600))
	require.Equal(t, result{"jumped\n", "", 0}, r.ssh(t, "behind", "echo jumped"))
	r.ops.ended(t, "forward", r.sshd.Addr)
}

func TestControlMaster(t *testing.T) {
	step, waiting, _, gone := holdOn("held")
	r := newRig(t, rigConfig{steps: []middleware.Step{step}})
	mux := []string{"-S", r.dir + "/mux", "-o", "ControlMaster=auto", "web1"}
	background(t, r.command(t, "ssh", "-S", r.dir+"/mux", "-M", "-N", "web1"))
	require.Eventually(t, func() bool { return r.ssh(t, "-S", r.dir+"/mux", "-O", "check", "web1").code == 0 }, 10*time.Second, 20*time.Millisecond)
	done := make(chan result, 20)
	for i := range 20 {
		go func() { done <- r.ssh(t, append(mux, fmt.Sprintf("echo %d; exit %d", i, i))...) }()
	}
	seen := map[int]bool{}
	for range 20 {
		got := <-done
		require.Equal(t, fmt.Sprintf("%d\n", got.code), got.out, got.err)
		seen[got.code] = true
	}
	require.Len(t, seen, 20)

	// A client that has nothing to send closes the channel when the output ends.
	require.Equal(t, 9, r.ssh(t, append(mux, "exec <&- >&- 2>&-; sleep 0.3; exit 9")...).code)

	// One channel of many is withdrawn, and the connection lives.
	cmd := r.command(t, "ssh", append(mux, "echo held")...)
	require.NoError(t, cmd.Start())
	<-waiting
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	select {
	case <-gone:
	case <-time.After(time.Second):
		t.Fatal("the channel is closed, and the request still waits")
	}
	require.Equal(t, "on\n", r.ssh(t, append(mux, "echo on")...).out)
}

func TestWhatIsRefusedByDefault(t *testing.T) {
	r := newRig(t, rigConfig{})
	c := r.dial(t)
	for _, typ := range []string{"x11", "auth-agent@openssh.com", "tun@openssh.com", "forwarded-tcpip", "something"} {
		_, _, err := c.OpenChannel(typ, nil)
		require.ErrorContains(t, err, "the gateway does not pass this type of channel on", typ)
	}
	for _, typ := range []string{"streamlocal-forward@openssh.com", "something"} {
		ok, _, err := c.SendRequest(typ, true, nil)
		require.NoError(t, err)
		require.False(t, ok, typ)
	}
	s, err := c.NewSession()
	require.NoError(t, err)
	for _, typ := range []string{"auth-agent-req@openssh.com", "x11-req", "something"} {
		ok, err := s.SendRequest(typ, true, nil)
		require.NoError(t, err)
		require.False(t, ok, typ)
	}
	require.Error(t, s.Setenv("LD_PRELOAD", "/tmp/x"))
	require.NoError(t, s.Setenv("LC_TEST", "a b"))
	out, err := s.Output("echo $LC_TEST$LD_PRELOAD")
	require.NoError(t, err)
	require.Equal(t, "a b\n", string(out))
	require.Contains(t, r.ops.ended(t, "exec", "echo $LC_TEST").state, `env "LC_TEST"="a b"`)
}

// A wroteConn tells that something was written.
type wroteConn struct {
	net.Conn
	wrote chan struct{}
}

// Write implements net.Conn.
func (c *wroteConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	select {
	case c.wrote <- struct{}{}:
	default:
	}
	return n, err
}

// TestNoMoreSessions: ssh opens its session and says in the same breath that it
// opens no more. The one is served, and no other.
func TestNoMoreSessions(t *testing.T) {
	r := newRig(t, rigConfig{})
	for range 10 {
		nc, err := net.Dial("tcp", r.addr)
		require.NoError(t, err)
		w := &wroteConn{nc, make(chan struct{}, 1)}
		conn, chans, reqs, err := xssh.NewClientConn(w, r.addr, &xssh.ClientConfig{User: "alice@web1", Auth: []xssh.AuthMethod{xssh.PublicKeys(r.key(t))}, HostKeyCallback: xssh.InsecureIgnoreHostKey()})
		require.NoError(t, err)
		c := xssh.NewClient(conn, chans, reqs)
		select {
		case <-w.wrote:
		default:
		}
		opened := make(chan error, 1)
		go func() {
			_, reqs, err := conn.OpenChannel("session", nil)
			if err == nil {
				go xssh.DiscardRequests(reqs)
			}
			opened <- err
		}()
		<-w.wrote
		_, _, err = conn.SendRequest("no-more-sessions@openssh.com", false, nil)
		require.NoError(t, err)
		require.NoError(t, <-opened)
		_, _, err = conn.SendRequest("no-more-sessions@openssh.com", true, nil)
		require.NoError(t, err)
		_, err = c.NewSession()
		require.ErrorContains(t, err, "the client wanted no more sessions")
		require.NoError(t, c.Close())
	}
}

func TestChannelsAreBounded(t *testing.T) {
	r := newRig(t, rigConfig{})
	c := r.dial(t)
	for range 128 {
		_, _, err := c.OpenChannel("session", nil)
		require.NoError(t, err)
	}
	_, _, err := c.OpenChannel("session", nil)
	require.ErrorContains(t, err, "too many channels")
	require.Equal(t, "other\n", r.ssh(t, "web1", "echo other").out)
}

func TestDrainWaitsForChannels(t *testing.T) {
	r := newRig(t, rigConfig{})
	c, idle := r.dial(t), r.dial(t)
	s, err := c.NewSession()
	require.NoError(t, err)
	in, err := s.StdinPipe()
	require.NoError(t, err)
	out, err := s.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, s.Start("cat"))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	done := make(chan error)
	go func() { done <- r.gateway.Shutdown(ctx) }()
	require.Error(t, idle.Wait(), "nothing runs there")
	_, err = io.WriteString(in, "still here")
	require.NoError(t, err)
	require.NoError(t, in.Close())
	b, err := io.ReadAll(out)
	require.NoError(t, err)
	require.Equal(t, "still here", string(b))
	require.NoError(t, s.Wait())
	require.NoError(t, <-done)
}
