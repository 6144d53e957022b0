package ssh_test

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	xssh "golang.org/x/crypto/ssh"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/ssh"
)

// A scripted is a target of the test's own, which lets everybody in.
type scripted struct {
	conn  *xssh.ServerConn
	chans <-chan xssh.NewChannel
	reqs  <-chan *xssh.Request
}

// newScriptedRig starts a gateway in front of a target that serve is. Answers are
// waited for a second.
func newScriptedRig(t testing.TB, c rigConfig, serve func(*scripted)) *rig {
	t.Helper()
	key := hostKey(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				cfg := &xssh.ServerConfig{PublicKeyCallback: func(xssh.ConnMetadata, xssh.PublicKey) (*xssh.Permissions, error) { return nil, nil }}
				cfg.AddHostKey(key)
				sc, chans, reqs, err := xssh.NewServerConn(nc, cfg)
				if err != nil {
					return
				}
				serve(&scripted{sc, chans, reqs})
				_ = sc.Wait()
			}()
		}
	}()
	c.addr = l.Addr().String()
	if c.options == nil {
		c.options = map[string]string{}
	}
	c.options["host_key"] = authorized(key.PublicKey())
	if c.server == nil {
		c.server = &ssh.Server{AnswerTimeout: time.Second}
	}
	return newRig(t, c)
}

// accept accepts all channels and hands them to f with their requests.
func (s *scripted) accept(f func(xssh.Channel, <-chan *xssh.Request)) {
	go xssh.DiscardRequests(s.reqs)
	for nc := range s.chans {
		ch, reqs, err := nc.Accept()
		if err != nil {
			return
		}
		go f(ch, reqs)
	}
}

// silent takes what comes and answers nothing.
func silent(_ xssh.Channel, reqs <-chan *xssh.Request) {
	for range reqs {
	}
}

func TestTargetThatOpensNoChannel(t *testing.T) {
	late := make(chan xssh.NewChannel, 9)
	r := newScriptedRig(t, rigConfig{}, func(s *scripted) {
		go xssh.DiscardRequests(s.reqs)
		for nc := range s.chans {
			late <- nc
		}
	})
	c := r.dial(t)
	_, err := c.NewSession()
	require.ErrorContains(t, err, "there is no answer from behind the gateway")
	_, err = c.Dial("tcp", "127.0.0.1:1")
	require.ErrorContains(t, err, "there is no answer from behind the gateway")
	require.Equal(t, protocol.StatusFailed, r.ops.ended(t, "forward", "127.0.0.1:1").out.Status)
	ch, _, err := (<-late).Accept()
	require.NoError(t, err)
	_, err = ch.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF, "what is opened too late is closed")
}

func TestTargetThatAnswersNoRequest(t *testing.T) {
	r := newScriptedRig(t, rigConfig{}, func(s *scripted) { s.accept(silent) })
	got := r.ssh(t, "web1", "echo x")
	require.Equal(t, result{"", "sallyport: the target does not answer\n", 126}, got)
	require.Equal(t, protocol.StatusUnknown, r.ops.ended(t, "exec", "echo x").out.Status, "it may have run")
	c := r.dial(t)
	for _, ask := range []func(*xssh.Session) error{
		func(s *xssh.Session) error { return s.Setenv("LC_A", "x") },
		func(s *xssh.Session) error { return s.RequestPty("xterm", 24, 80, nil) },
		func(s *xssh.Session) error { return s.RequestSubsystem("netconf") },
	} {
		s, err := c.NewSession()
		require.NoError(t, err, "other channels go on")
		require.Error(t, ask(s))
		_, err = s.SendRequest("env", true, nil)
		require.ErrorIs(t, err, io.EOF, "the channel has ended")
	}
}

func TestTargetThatAnswersNoGlobalRequest(t *testing.T) {
	r := newScriptedRig(t, rigConfig{}, func(s *scripted) {
		go func() {
			for range s.reqs {
			}
		}()
		for range s.chans {
		}
	})
	c := r.dial(t)
	_, err := c.Listen("tcp", "127.0.0.1:0")
	require.Error(t, err)
	require.Error(t, c.Wait(), "the session ends: what comes later would be the answer to something else")
	r.ops.ended(t, "listen", "127.0.0.1:0")
}

// A client that does not answer the opening of a channel keeps nobody waiting.
func TestClientThatOpensNoChannel(t *testing.T) {
	answered := make(chan error, 1)
	r := newScriptedRig(t, rigConfig{}, func(s *scripted) {
		go func() {
			for r := range s.reqs {
				_ = r.Reply(true, nil)
				if r.Type != "tcpip-forward" {
					continue
				}
				go func() {
					_, _, err := s.conn.OpenChannel("forwarded-tcpip", xssh.Marshal(struct {
						Host       string
						Port       uint32
						Origin     string
						OriginPort uint32
					}{"127.0.0.1", 4711, "127.0.0.1", 1}))
					answered <- err
				}()
			}
		}()
		for range s.chans {
		}
	})
	c := r.dial(t)
	opened := c.HandleChannelOpen("forwarded-tcpip")
	ok, _, err := c.SendRequest("tcpip-forward", true, xssh.Marshal(struct {
		Host string
		Port uint32
	}{"127.0.0.1", 4711}))
	require.NoError(t, err)
	require.True(t, ok)
	<-opened // and neither accept nor reject it
	require.ErrorContains(t, <-answered, "there is no answer from behind the gateway")
	require.Equal(t, protocol.StatusFailed, r.ops.ended(t, "accept", "127.0.0.1:4711").out.Status)
}
