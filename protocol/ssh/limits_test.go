package ssh_test

import (
	"encoding/binary"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	xssh "golang.org/x/crypto/ssh"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
)

func TestAuthTriesAreBounded(t *testing.T) {
	r := newRig(t, rigConfig{})
	tries := 0
	_, err := xssh.Dial("tcp", r.addr, &xssh.ClientConfig{User: "alice@web1", HostKeyCallback: xssh.InsecureIgnoreHostKey(),
		Auth: []xssh.AuthMethod{xssh.RetryableAuthMethod(xssh.PasswordCallback(func() (string, error) { tries++; return "guess", nil }), 50)}})
	require.Error(t, err)
	require.LessOrEqual(t, tries, 6)
}

func TestKeepalivesAreAnswered(t *testing.T) {
	r := newRig(t, rigConfig{})
	got := r.ssh(t, "-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=1", "web1", "sleep 3; echo alive")
	require.Equal(t, result{"alive\n", "", 0}, got)
}

// A client that floods a held channel with requests loses the channel, and its
// connection can still be ended.
func TestFloodOfRequestsWhileHeld(t *testing.T) {
	step, waiting, _, gone := holdOn("held")
	r := newRig(t, rigConfig{steps: []middleware.Step{step}})
	c := r.dial(t)
	ch, reqs, err := c.OpenChannel("session", nil)
	require.NoError(t, err)
	go xssh.DiscardRequests(reqs)
	_, err = ch.SendRequest("exec", false, xssh.Marshal(struct{ S string }{"echo held"}))
	require.NoError(t, err)
	<-waiting
	for range 1000 {
		if _, err := ch.SendRequest("window-change", false, make([]byte, 16)); err != nil {
			break
		}
	}
	select {
	case <-gone:
	case <-time.After(5 * time.Second):
		t.Fatal("the flooded channel is still held")
	}
	s, err := c.NewSession()
	require.NoError(t, err, "other channels go on")
	out, err := s.Output("echo on")
	require.NoError(t, err)
	require.Equal(t, "on\n", string(out))
}

// sftpPackets sends packets to the sftp subsystem and returns what comes back
// until it ends, at most n packets.
func sftpPackets(t *testing.T, c *xssh.Client, n int, packets ...string) (answers []string) {
	t.Helper()
	s, err := c.NewSession()
	require.NoError(t, err)
	defer s.Close()
	in, err := s.StdinPipe()
	require.NoError(t, err)
	out, err := s.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, s.RequestSubsystem("sftp"))
	for _, p := range packets {
		_, _ = in.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(p))), p...))
	}
	for range n {
		var head [4]byte
		if _, err := io.ReadFull(out, head[:]); err != nil {
			break
		}
		b := make([]byte, binary.BigEndian.Uint32(head[:]))
		_, err := io.ReadFull(out, b)
		require.NoError(t, err)
		answers = append(answers, string(b))
	}
	return answers
}

func text(s string) string { return string(binary.BigEndian.AppendUint32(nil, uint32(len(s)))) + s }

func TestHostileSFTP(t *testing.T) {
	r := newRig(t, rigConfig{})
	c := r.dial(t)
	const hello = "\x01\x00\x00\x00\x06" // offers version 6
	got := sftpPackets(t, c, 1, hello)
	require.Equal(t, "\x02\x00\x00\x00\x03", got[0][:5], "version 3 is spoken, whatever is offered")

	require.Empty(t, sftpPackets(t, c, 1, "\x01\x00\x00\x00\x02"), "an older version")
	require.Empty(t, sftpPackets(t, c, 1, "\x0d\x00\x00\x00\x01"+text("/etc/passwd")), "no greeting")
	require.LessOrEqual(t, len(sftpPackets(t, c, 2, hello, hello)), 1, "a second greeting")
	require.LessOrEqual(t, len(sftpPackets(t, c, 2, hello, "\x0d\x00\x00\x00\x01"+text("/a\x00b"))), 1, "a NUL in a path")
	require.LessOrEqual(t, len(sftpPackets(t, c, 2, hello, "\x0d\x00\x00\x00\x01\xff\xff\xff\xff")), 1, "a length beyond the message")
	require.LessOrEqual(t, len(sftpPackets(t, c, 2, hello, strings.Repeat("x", 300<<10))), 1, "a message that is too long")

	got = sftpPackets(t, c, 3, hello, "\xc8\x00\x00\x00\x01"+text("exec@example.com")+text("rm"), "\x06\x00\x00\x00\x02"+text("nohandle")+"\x00\x00\x00\x00\x00\x00\x00\x00"+text("x"))
	require.Len(t, got, 3)
	all := strings.Join(got, "") // what the gateway answers itself may overtake the target's greeting
	require.Contains(t, all, "the gateway does not know this request")
	require.Contains(t, all, "no such handle")

	s, err := c.NewSession()
	require.NoError(t, err, "the connection goes on")
	require.NoError(t, s.Run("true"))
}

func TestSilentClientIsNotWaitedFor(t *testing.T) {
	r := newRig(t, rigConfig{handshake: 300 * time.Millisecond})
	c, err := net.Dial("tcp", r.addr)
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.SetDeadline(time.Now().Add(5*time.Second)))
	_, err = io.Copy(io.Discard, c)
	require.NoError(t, err, "the gateway closes")
	require.NotContains(t, r.sshd.Log(), "Connection from")
}

// ends is how sshd says that a client has gone.
var ends = regexp.MustCompile("Closing connection|Connection (closed|reset)|Broken pipe")

func TestIdleTargetConnectionEndsWithItsClient(t *testing.T) {
	r := newRig(t, rigConfig{})
	c := r.dial(t)
	require.Eventually(t, func() bool { return strings.Contains(r.sshd.Log(), "Accepted publickey") }, 5*time.Second, 10*time.Millisecond)
	require.NoError(t, c.Close())
	require.Eventually(t, func() bool { return ends.MatchString(r.sshd.Log()) }, 5*time.Second, 10*time.Millisecond)
	r.ops.ended(t, protocol.Connect, "")
}
