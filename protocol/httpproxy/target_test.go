package httpproxy

import (
	"context"
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol"
)

// TestConnectionsEndWithTheirSession: also those that nobody uses yet, or that
// are dialled while it ends.
func TestConnectionsEndWithTheirSession(t *testing.T) {
	var ends []net.Conn
	ps := protocol.NewSession(t.Context(), protocol.SessionConfig{
		Info: &protocol.SessionInfo{Resource: protocol.Resource{Addr: "127.0.0.1:1", Options: map[string]string{"tls": "disable"}}},
		Dial: func(context.Context) (net.Conn, error) {
			a, b := net.Pipe()
			ends = append(ends, b)
			return a, nil
		}})
	tg, err := newTarget(&Server{}, ps)
	require.NoError(t, err)
	_, err = tg.dial(t.Context(), "", "")
	require.NoError(t, err)
	tg.close()
	_, err = tg.dial(t.Context(), "", "")
	require.ErrorIs(t, err, protocol.ErrClosed)
	require.Len(t, ends, 2)
	for _, end := range ends {
		_, err := end.Write([]byte("x"))
		require.Error(t, err)
	}
	ps.Close(nil)
}

// TestNothingBeforeARequest: what a target says before anything of a request was
// sent to it is an error, and not left for net/http to print.
func TestNothingBeforeARequest(t *testing.T) {
	for name, c := range map[string]struct {
		use, write bool
		want       error
	}{
		"unused":          {false, false, errUnasked},
		"about to be":     {true, false, errUnasked},
		"asked":           {true, true, nil},
		"written unasked": {false, true, errUnasked},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := net.Pipe()
			defer a.Close()
			defer b.Close()
			q := &quiet{Conn: a}
			if c.use {
				q.use(1)
			}
			if c.write {
				go func() { _, _ = b.Read(make([]byte, 1)) }()
				_, err := q.Write([]byte("x"))
				require.NoError(t, err)
			}
			go func() { _, _ = io.WriteString(b, "HTTP/1.1 200 OK") }()
			_, err := q.Read(make([]byte, 100))
			require.ErrorIs(t, err, c.want)
		})
	}
}

// TestNothingBehindAnAnswer: what a target says behind its answer, in the same
// piece too, is an error, and not the answer to what is asked next.
func TestNothingBehindAnAnswer(t *testing.T) {
	const more = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nbehind"
	for method, answers := range map[string][]string{
		"GET": {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
			"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: y\r\n\r\n", "HTTP/1.1 204 No\r\n\r\n", "HTTP/1.1 304 No\r\nContent-Length: 9\r\n\r\n",
			"HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 103 Hm\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"},
		"HEAD": {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"},
	} {
		for _, answer := range answers {
			for _, size := range []int{1, 7, 4096} {
				a, b := net.Pipe()
				q := &quiet{Conn: a}
				go func() {
					_, _ = b.Read(make([]byte, 100))
					_, _ = io.WriteString(b, answer+more)
					_ = b.Close()
				}()
				q.use(1)
				_, err := io.WriteString(q, method+" / HTTP/1.1\r\n")
				require.NoError(t, err)
				var got []byte
				buf := make([]byte, size)
				for err == nil {
					var n int
					n, err = q.Read(buf)
					got = append(got, buf[:n]...)
				}
				require.ErrorIs(t, err, errUnasked)
				require.Equal(t, answer, string(got))
				q.use(1) // another request is about to be sent
				_, err = q.Read(buf)
				require.ErrorIs(t, err, errUnasked)
				_, _ = a.Close(), b.Close()
			}
		}
	}
	// Where an answer ends that has no length, or odd ones, is net/http's to say.
	for _, answer := range []string{"HTTP/1.1 200 OK\r\n\r\nhello", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nhello", "HTTP/1.1 101 Switch\r\n\r\nhello", "hello"} {
		a, b := net.Pipe()
		q := &quiet{Conn: a}
		go func() {
			_, _ = b.Read(make([]byte, 100))
			_, _ = io.WriteString(b, answer+more)
			_ = b.Close()
		}()
		q.use(1)
		_, err := io.WriteString(q, "GET / HTTP/1.1\r\n")
		require.NoError(t, err)
		got, err := io.ReadAll(q)
		require.NoError(t, err)
		require.Equal(t, answer+more, string(got))
		_ = a.Close()
	}
}
