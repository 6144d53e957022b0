package serve

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/wire"
)

// waiting starts a wait on one side of a connection and returns its end.
func waiting(t *testing.T, h *Hold, watch func(client net.Conn) func(<-chan struct{}) error) (peer net.Conn, ended chan error) {
	t.Helper()
	client, peer := net.Pipe()
	t.Cleanup(func() { _, _ = client.Close(), peer.Close() })
	began := make(chan struct{})
	ended = make(chan error, 1)
	go func() {
		ended <- h.Wait(context.Background(), client, func(ctx context.Context) error {
			close(began)
			<-ctx.Done()
			return ctx.Err()
		}, watch(client))
	}()
	<-began
	return peer, ended
}

func TestHoldEnds(t *testing.T) {
	var h Hold
	_, ended := waiting(t, &h, WatchLogin)
	require.True(t, h.Waiting())
	require.True(t, h.Cancel())
	require.ErrorIs(t, <-ended, ErrCancelled)
	require.False(t, h.Cancel(), "nothing waits")

	peer, ended := waiting(t, &h, WatchLogin)
	require.NoError(t, peer.Close())
	require.ErrorIs(t, <-ended, protocol.ErrClientGone)

	_, ended = waiting(t, &h, func(net.Conn) func(<-chan struct{}) error {
		return func(<-chan struct{}) error { panic("a fault") }
	})
	require.ErrorIs(t, <-ended, protocol.ErrClientGone, "nobody looks any more")

	_, ended = waiting(t, &h, WatchLogin)
	h.End()
	require.ErrorIs(t, <-ended, ErrOver)
	_, ended = waiting(t, &h, WatchLogin)
	require.ErrorIs(t, <-ended, ErrOver, "nor may anything wait afterwards")
}

// What a client sends ahead is there when the wait is over, and a good-bye ends it.
func TestWatchReadsAhead(t *testing.T) {
	var h Hold
	var r *wire.Reader
	peer, ended := waiting(t, &h, func(client net.Conn) func(<-chan struct{}) error {
		r = wire.NewReader(client)
		return Watch(client, r, 0, func(b []byte) bool { return len(b) > 0 && b[len(b)-1] == 'x' })
	})
	_, err := peer.Write([]byte("ahead"))
	require.NoError(t, err)
	_, err = peer.Write([]byte("x"))
	require.NoError(t, err)
	err = <-ended
	require.ErrorIs(t, err, protocol.ErrClientGone)
	require.ErrorIs(t, err, ErrGoodbye)
	require.Equal(t, "aheadx", string(r.Buffered()))
	r.Release()
}

// A client that hangs up while its session waits is noticed; one that does so
// between two waits is not looked for.
func TestLookout(t *testing.T) {
	client, peer := tcpPair(t)
	gone := make(chan struct{})
	var look Lookout
	look.InitClient(client, func() { close(gone) })
	for range 100 {
		look.Start()
		look.Stop()
	}
	require.NoError(t, peer.Close())
	look.Start()
	<-gone
	look.Stop()
}

// A peer that was told to leave is seen to have left sooner than a look is due.
func TestLookoutExpects(t *testing.T) {
	target, peer := tcpPair(t)
	gone := make(chan struct{})
	var look Lookout
	look.InitTarget(target, func() { close(gone) })
	look.every = time.Hour
	look.Start()
	look.Expect()
	require.NoError(t, peer.Close())
	<-gone
}

func tcpPair(t *testing.T) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	far, err = net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	near, err = l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { _ = near.Close(); _ = far.Close() })
	return near, far
}

func TestSessionEnds(t *testing.T) {
	for _, f := range []func(*protocol.Session) error{
		func(*protocol.Session) error { return ErrGoodbye },
		func(*protocol.Session) error { return errors.New("broken") },
	} {
		ps := protocol.NewSession(t.Context(), protocol.SessionConfig{Info: &protocol.SessionInfo{}})
		require.Error(t, Session(t.Context(), ps, f))
		<-ps.Context().Done()
	}
}
