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
			if c.use && c.write { // and when it was answered
				q.use(-1)
				go func() { _, _ = io.WriteString(b, "HTTP/1.1 200 OK") }()
				_, err = q.Read(make([]byte, 100))
				require.ErrorIs(t, err, errUnasked)
			}
		})
	}
}
