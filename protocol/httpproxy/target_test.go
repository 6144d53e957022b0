package httpproxy

import (
	"context"
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
