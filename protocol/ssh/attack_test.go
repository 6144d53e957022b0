package ssh_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	xssh "golang.org/x/crypto/ssh"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
)

func payload(s string) []byte { return xssh.Marshal(struct{ S string }{s}) }

// One channel runs one thing: nothing runs behind a refusal or beside what runs,
// and what came too late to be part of it is refused.
func TestOneChannelRunsOneThing(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{denying(func(op *protocol.Operation) bool { return strings.Contains(op.Text, "refused") })}})
	c := r.dial(t)
	ch, reqs, err := c.OpenChannel("session", nil)
	require.NoError(t, err)
	go xssh.DiscardRequests(reqs)
	for _, typ := range []string{"exec", "exec", "shell", "subsystem", "exec"} { // at once: none waits for an answer
		_, err := ch.SendRequest(typ, false, payload("echo refused"))
		require.NoError(t, err)
	}
	_, err = ch.SendRequest("exec", false, payload("echo behind"))
	if err != nil {
		require.ErrorIs(t, err, io.EOF)
	}
	_, _ = io.ReadAll(ch)

	ch, reqs, err = c.OpenChannel("session", nil)
	require.NoError(t, err)
	go xssh.DiscardRequests(reqs)
	ok, err := ch.SendRequest("exec", true, payload("echo first; cat"))
	require.NoError(t, err)
	require.True(t, ok)
	for _, typ := range []string{"exec", "shell", "subsystem", "env", "pty-req", "auth-agent-req@openssh.com"} {
		ok, err := ch.SendRequest(typ, true, payload("echo beside"))
		require.NoError(t, err)
		require.False(t, ok, typ)
	}
	require.NoError(t, ch.CloseWrite())
	out, err := io.ReadAll(ch)
	require.NoError(t, err)
	require.Equal(t, "first\n", string(out))
	r.ops.mu.Lock()
	defer r.ops.mu.Unlock()
	for _, n := range r.ops.all {
		require.NotContains(t, n.text, "behind")
		require.NotContains(t, n.text, "beside")
	}
}

// A target in C would end the text at the NUL, and take "sftp\x00" for sftp.
func TestTextsHaveNoNUL(t *testing.T) {
	r := newRig(t, rigConfig{})
	c := r.dial(t)
	for typ, text := range map[string]string{"exec": "echo a\x00b", "subsystem": "sftp\x00"} {
		ch, reqs, err := c.OpenChannel("session", nil)
		require.NoError(t, err)
		go xssh.DiscardRequests(reqs)
		ok, err := ch.SendRequest(typ, true, payload(text))
		require.NoError(t, err, typ)
		require.False(t, ok, typ)
		require.NoError(t, ch.Close())
	}
	require.Equal(t, "other\n", r.ssh(t, "web1", "echo other").out)
}

// What a target asks for unasked reaches no client.
func TestTargetThatHelpsItself(t *testing.T) {
	results := make(chan error, 64)
	r := newScriptedRig(t, rigConfig{}, func(s *scripted) {
		for _, typ := range []string{"session", "direct-tcpip", "forwarded-tcpip", "forwarded-streamlocal@openssh.com", "auth-agent@openssh.com", "x11", "tun@openssh.com"} {
			_, _, err := s.conn.OpenChannel(typ, nil)
			results <- err
		}
		for _, typ := range []string{"tcpip-forward", "streamlocal-forward@openssh.com", "hostkeys-00@openssh.com", "no-more-sessions@openssh.com"} {
			ok, _, err := s.conn.SendRequest(typ, true, payload("x"))
			if err == nil && !ok {
				err = errors.New("refused")
			}
			results <- err
		}
		close(results)
		s.accept(func(ch xssh.Channel, reqs <-chan *xssh.Request) {
			for r := range reqs {
				_ = r.Reply(true, nil)
				for _, typ := range []string{"exec", "shell", "env", "x11-req", "auth-agent-req@openssh.com", "signal"} {
					if ok, _ := ch.SendRequest(typ, true, payload("id")); ok {
						_, _ = ch.Write([]byte("the client took " + typ))
					}
				}
				for range 1000 { // one status is enough
					_, _ = ch.SendRequest("exit-status", false, xssh.Marshal(struct{ S uint32 }{3}))
				}
				_ = ch.Close()
			}
		})
	})
	c := r.dial(t)
	for err := range results {
		require.Error(t, err)
	}
	s, err := c.NewSession()
	require.NoError(t, err)
	out, err := s.CombinedOutput("x")
	var exit *xssh.ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, 3, exit.ExitStatus())
	require.Empty(t, string(out))
}

// A client that opens channels without end, or takes nothing, harms itself only.
func TestFloodOfChannels(t *testing.T) {
	r := newRig(t, rigConfig{})
	c := r.dial(t)
	go func() {
		for {
			ch, reqs, err := c.OpenChannel("session", nil)
			if err == nil {
				go xssh.DiscardRequests(reqs)
				_ = ch.Close()
			} else if errors.Is(err, io.EOF) {
				return
			}
		}
	}()
	require.Equal(t, "other\n", r.ssh(t, "web1", "echo other").out)
	require.NoError(t, c.Close())
	require.Eventually(t, func() bool { return len(r.gateway.Sessions()) == 0 }, 30*time.Second, 20*time.Millisecond)
}
