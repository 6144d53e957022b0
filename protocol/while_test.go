package protocol_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
)

// legs returns connections of every kind that connectors have.
func legs(t *testing.T) map[string]func() (client, server net.Conn) {
	ca, err := servers.NewAuthority("test")
	require.NoError(t, err)
	cert, err := ca.Issue(servers.Subject{CommonName: "localhost", Hosts: []string{"localhost"}})
	require.NoError(t, err)
	tcp := func() (net.Conn, net.Conn) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer l.Close()
		c, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		s, err := l.Accept()
		require.NoError(t, err)
		return c, s
	}
	encrypted := func(pair func() (net.Conn, net.Conn)) func() (net.Conn, net.Conn) {
		return func() (net.Conn, net.Conn) {
			c, s := pair()
			tc := tls.Client(c, &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost"})
			ts := tls.Server(s, &tls.Config{Certificates: []tls.Certificate{cert}})
			done := make(chan error, 1)
			go func() { done <- ts.Handshake() }()
			require.NoError(t, tc.Handshake())
			require.NoError(t, <-done)
			return tc, ts
		}
	}
	pipe := func() (net.Conn, net.Conn) { return net.Pipe() }
	return map[string]func() (net.Conn, net.Conn){
		"TCP": tcp, "pipe": pipe, "TLS over TCP": encrypted(tcp), "TLS over a pipe": encrypted(pipe),
	}
}

func each(t *testing.T, f func(t *testing.T, client, server net.Conn, r *bufio.Reader)) {
	for name, pair := range legs(t) {
		t.Run(name, func(t *testing.T) {
			c, s := pair()
			defer hangUp(c)
			defer hangUp(s)
			here := goleak.IgnoreCurrent()
			f(t, c, s, bufio.NewReader(s))
			require.NoError(t, goleak.Find(here))
		})
	}
}

// hangUp closes without TLS's goodbye, for which nobody is left to read.
func hangUp(c net.Conn) {
	if tc, ok := c.(*tls.Conn); ok {
		c = tc.NetConn()
	}
	_ = c.Close()
}

func TestWhileReturnsAndLeavesTheConnectionUsable(t *testing.T) {
	each(t, func(t *testing.T, client, server net.Conn, r *bufio.Reader) {
		for range 3 {
			want := errors.New("decided")
			require.ErrorIs(t, protocol.While(t.Context(), server, r, func(ctx context.Context) error {
				require.NoError(t, ctx.Err())
				return want
			}), want)
			// A time-out would stay in a TLS connection for good.
			sent := make(chan error, 1)
			go func() { _, err := io.WriteString(client, "next\n"); sent <- err }()
			line, err := r.ReadString('\n')
			require.NoError(t, err)
			require.Equal(t, "next\n", line)
			require.NoError(t, <-sent)
		}
	})
}

func TestWhileNoticesThatTheClientLeft(t *testing.T) {
	each(t, func(t *testing.T, client, server net.Conn, r *bufio.Reader) {
		start := time.Now()
		err := protocol.While(t.Context(), server, r, func(ctx context.Context) error {
			go client.Close()
			<-ctx.Done()
			return context.Cause(ctx)
		})
		require.ErrorIs(t, err, protocol.ErrClientGone)
		require.Less(t, time.Since(start), time.Second)
	})
}

func TestWhileKeepsWhatTheClientSends(t *testing.T) {
	each(t, func(t *testing.T, client, server net.Conn, r *bufio.Reader) {
		text := strings.Repeat("pipelined;", 100)
		sent := make(chan error, 1)
		err := protocol.While(t.Context(), server, r, func(ctx context.Context) error {
			go func() { _, err := io.WriteString(client, text); sent <- err }()
			select {
			case err := <-sent:
				return errors.Join(err, ctx.Err())
			case <-time.After(5 * time.Second):
				return errors.New("nobody reads what the client sends")
			}
		})
		require.NoError(t, err)
		got := make([]byte, len(text))
		_, err = io.ReadFull(r, got)
		require.NoError(t, err)
		require.Equal(t, text, string(got))
	})
}

func TestWhileSeesACloseBehindPipelinedBytes(t *testing.T) {
	each(t, func(t *testing.T, client, server net.Conn, r *bufio.Reader) {
		err := protocol.While(t.Context(), server, r, func(ctx context.Context) error {
			go func() {
				_, _ = io.WriteString(client, "GOODBYE\n") // the close is what counts
				client.Close()
			}()
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(5 * time.Second):
				return errors.New("not seen")
			}
		})
		require.ErrorIs(t, err, protocol.ErrClientGone)
	})
}

func TestWhileWithAFullBufferStillReturns(t *testing.T) {
	c, s := net.Pipe()
	defer s.Close()
	r := bufio.NewReaderSize(s, 16)
	go func() { _, _ = io.WriteString(c, strings.Repeat("x", 100)); c.Close() }()
	err := protocol.While(t.Context(), s, r, func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(50 * time.Millisecond): // the limit that a hold has to have
			return nil
		}
	})
	require.NoError(t, err)
	require.NoError(t, s.Close())
}

func TestWhileEndsWithItsContext(t *testing.T) {
	each(t, func(t *testing.T, client, server net.Conn, r *bufio.Reader) {
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("revoked")
		time.AfterFunc(10*time.Millisecond, func() { cancel(why) })
		err := protocol.While(ctx, server, r, func(ctx context.Context) error {
			<-ctx.Done()
			return context.Cause(ctx)
		})
		require.ErrorIs(t, err, why)
	})
}
