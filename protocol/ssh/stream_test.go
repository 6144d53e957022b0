package ssh_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	xssh "golang.org/x/crypto/ssh"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
)

// tapping registers a tap on all streams that come back.
func tapping(tap func(protocol.Stream) protocol.BytesFunc) middleware.Step {
	return middleware.Step{Name: "tap", Operation: func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
		err := op.OnBytes(func(s protocol.Stream) (protocol.BytesFunc, error) {
			if s.In {
				return nil, nil
			}
			return tap(s), nil
		})
		if errors.Is(err, protocol.ErrShape) {
			err = nil // nothing to see here
		}
		return protocol.Pass, err
	}}
}

// masking replaces secret by dots of the same length, and holds back what may be
// its begin. Its buffers are poisoned as soon as they may not be used any more.
func masking(secret string) func(protocol.Stream) protocol.BytesFunc {
	return func(protocol.Stream) protocol.BytesFunc {
		var held, out []byte
		return func(b []byte, last bool) ([]byte, error) {
			for i := range out {
				out[i] = 0xdb
			}
			held = append(held, b...)
			held = bytes.ReplaceAll(held, []byte(secret), []byte(strings.Repeat(".", len(secret))))
			n := len(held)
			for i := max(0, n-len(secret)+1); !last && i < len(held); i++ {
				if strings.HasPrefix(secret, string(held[i:])) {
					n = i
					break
				}
			}
			out = append(out[:0], held[:n]...)
			held = append(held[:0], held[n:]...)
			return out, nil
		}
	}
}

// A pattern is masked where chunks end within it, in all streams, and the bytes
// around it, control sequences too, are what they were; the exit status comes
// behind the last of them.
func TestMaskingAcrossChunks(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{tapping(masking("4111-1111"))}})
	const split = `for p in '\033[31ma 41' 1 '1-' 1111 '\033[0m b\r' 4111-111; do printf "$p"; sleep 0.1; done; exit 7`
	const want = "\x1b[31ma .........\x1b[0m b\r4111-111"
	require.Equal(t, result{want, "", 7}, r.ssh(t, "web1", split))
	require.Equal(t, result{"", want, 7}, r.ssh(t, "web1", "exec >&2; "+split))
	got := r.ssh(t, "-tt", "web1", split)
	require.Equal(t, want, got.out)
	require.Equal(t, 7, got.code)
	cmd := r.command(t, "ssh", "web1", "cat; exit 3")
	cmd.Stdin = strings.NewReader(strings.Repeat("x4111-1111y", 400_000))
	big := run(t, cmd)
	require.Equal(t, 3, big.code)
	require.True(t, strings.Repeat("x.........y", 400_000) == big.out)
}

// linewise holds back what is no whole line until nothing comes for a while.
func linewise(protocol.Stream) protocol.BytesFunc {
	var held, out []byte
	return func(b []byte, last bool) ([]byte, error) {
		held = append(held, b...)
		n := bytes.LastIndexByte(held, '\n') + 1
		if last || len(b) == 0 {
			n = len(held)
		}
		out = append(out[:0], held[:n]...)
		held = append(held[:0], held[n:]...)
		return out, nil
	}
}

// Somebody who is asked for something sees the question, though a tap waits for the
// rest of the line.
func TestWhatIsHeldBackComesInAPause(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{tapping(linewise)}})
	s, err := r.dial(t).NewSession()
	require.NoError(t, err)
	require.NoError(t, s.RequestPty("xterm", 24, 80, xssh.TerminalModes{xssh.ECHO: 0}))
	in, err := s.StdinPipe()
	require.NoError(t, err)
	out, err := s.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, s.Start("printf 'name? '; read x; printf \"hello $x\"; exit 5"))
	prompt := make([]byte, 6)
	_, err = io.ReadFull(out, prompt)
	require.NoError(t, err)
	require.Equal(t, "name? ", string(prompt))
	_, err = io.WriteString(in, "bob\n")
	require.NoError(t, err)
	rest, err := io.ReadAll(out)
	require.NoError(t, err)
	require.Equal(t, "hello bob", string(rest))
	var exit *xssh.ExitError
	require.ErrorAs(t, s.Wait(), &exit)
	require.Equal(t, 5, exit.ExitStatus())
}

// A tap that fails in a pause ends the command as one that fails at a chunk does,
// and one that panics the session.
func TestTapThatFailsInAPause(t *testing.T) {
	for name, fail := range map[string]func() error{"error": func() error { return errors.New("lost") }, "panic": func() error { panic("lost") }} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, rigConfig{steps: []middleware.Step{tapping(func(protocol.Stream) protocol.BytesFunc {
				return func(b []byte, last bool) ([]byte, error) {
					if len(b) == 0 && !last {
						return nil, fail()
					}
					return nil, nil
				}
			})}})
			got := r.ssh(t, "web1", "echo secret; sleep 60")
			require.NotZero(t, got.code)
			require.NotContains(t, got.out+got.err, "secret")
			n := r.ops.ended(t, "exec", "echo secret")
			if name == "error" {
				require.Equal(t, protocol.StatusError, n.out.Status)
				require.Contains(t, got.err, "the gateway could not process this request")
			}
		})
	}
}

// What a client does not read keeps nobody from ending the session, and a tap has
// its last call before the operation's end.
func TestClientThatReadsNothingIsEnded(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{tapping(masking("x"))}})
	c := r.dial(t)
	ch, reqs, err := c.OpenChannel("session", nil)
	require.NoError(t, err)
	go xssh.DiscardRequests(reqs)
	ok, err := ch.SendRequest("exec", true, xssh.Marshal(struct{ S string }{"yes"}))
	require.NoError(t, err)
	require.True(t, ok)
	r.ops.find(t, protocol.Decided, "exec", "yes")
	r.lockOut(t)
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	select {
	case err := <-ended:
		require.Error(t, err)
	case <-time.After(30 * time.Second):
		t.Fatal("the session goes on")
	}
	r.ops.ended(t, "exec", "yes")
}

// A stuck is a connection that nothing is read from any more once it is shut.
type stuck struct {
	net.Conn
	shut chan struct{}
	over chan struct{}
}

func (s *stuck) Read(b []byte) (int, error) {
	select {
	case <-s.shut:
		<-s.over
		return 0, io.EOF
	default:
		return s.Conn.Read(b)
	}
}

// A client that does not even read its connection is ended too, and nobody else
// notices.
func TestClientThatDoesNotReadItsConnection(t *testing.T) {
	r := newRig(t, rigConfig{})
	conn, err := net.Dial("tcp", r.addr)
	require.NoError(t, err)
	st := &stuck{conn, make(chan struct{}), make(chan struct{})}
	t.Cleanup(func() { close(st.over); _ = conn.Close() })
	sc, chans, reqs, err := xssh.NewClientConn(st, r.addr, &xssh.ClientConfig{User: "alice@web1", Auth: []xssh.AuthMethod{xssh.PublicKeys(r.key(t))}, HostKeyCallback: xssh.InsecureIgnoreHostKey()})
	require.NoError(t, err)
	c := xssh.NewClient(sc, chans, reqs)
	for range 8 { // of which each may have 2 MiB under way: more than a socket takes
		s, err := c.NewSession()
		require.NoError(t, err)
		require.NoError(t, s.Start("head -c 3000000 /dev/zero; sleep 300"))
	}
	close(st.shut)
	require.Equal(t, "other\n", r.ssh(t, "web1", "echo other").out)
	r.lockOut(t)
	r.ops.ended(t, "exec", "/dev/zero")
	r.ops.ended(t, protocol.Connect, "")
}
