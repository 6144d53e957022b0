package httpproxy

import (
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestClientIsWatched: while a request is answered, that its client leaves is noticed,
// and what it sends next is not lost.
func TestClientIsWatched(t *testing.T) {
	client, nc := net.Pipe()
	left := make(chan struct{})
	c := newLazy(nc, func() { close(left) })
	asked := func() { // as net/http does for each request
		n, err := c.Read(make([]byte, 1))
		require.Zero(t, n)
		require.NoError(t, err)
	}
	buf := make([]byte, 10)

	asked()
	_, err := client.Write([]byte("G")) // returns when it is read
	require.NoError(t, err)
	asked()
	n, err := c.Read(buf)
	require.NoError(t, err)
	require.Equal(t, "G", string(buf[:n]))

	asked()
	go func() { _, _ = client.Write([]byte("ET")) }() // read in one or in two pieces
	_, err = io.ReadFull(c, buf[:2])
	require.NoError(t, err)
	require.Equal(t, "ET", string(buf[:2]))

	asked()
	require.Eventually(t, func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.ahead }, 10*time.Second, time.Millisecond)
	require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Millisecond)))
	_, err = c.Read(buf)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded) // its own, and not how the other ended
	_, err = c.Read(buf[:1])
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NoError(t, c.SetReadDeadline(time.Time{}))

	c.upgrades()
	_, err = client.Write([]byte("x"))
	require.NoError(t, err)
	require.True(t, c.hijack())
	n, err = c.Read(buf[:1])
	require.NoError(t, err)
	require.Equal(t, 1, n)
	go func() { _, _ = client.Write([]byte("y")) }()
	n, err = c.Read(buf[:1])
	require.NoError(t, err)
	require.Equal(t, "y", string(buf[:n]))
	c.hijacked = false

	select {
	case <-left:
		t.Fatal("the client is still there")
	default:
	}
	asked()
	require.NoError(t, client.Close())
	<-left
	_, err = c.Read(buf)
	require.ErrorIs(t, err, io.EOF)
}
