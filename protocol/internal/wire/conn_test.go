package wire

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sockets calls f with two connected ends for each kind of socket.
func sockets(t *testing.T, f func(t *testing.T, a, b net.Conn)) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			addr := "127.0.0.1:0"
			if network == "unix" {
				addr = filepath.Join(t.TempDir(), "s")
			}
			l, err := net.Listen(network, addr)
			require.NoError(t, err)
			defer l.Close()
			a, err := net.Dial(network, l.Addr().String())
			require.NoError(t, err)
			defer a.Close()
			b, err := l.Accept()
			require.NoError(t, err)
			defer b.Close()
			f(t, Conn(a), Conn(b))
		})
	}
}

func TestConnCarriesWhatIsLargerThanTheSocketTakes(t *testing.T) {
	sockets(t, func(t *testing.T, a, b net.Conn) {
		sent := make([]byte, 8<<20)
		_, _ = rand.Read(sent)
		var wg sync.WaitGroup
		for _, ends := range [][2]net.Conn{{a, b}, {b, a}} { // both ways at once
			wg.Go(func() {
				n, err := ends[0].Write(sent)
				require.NoError(t, err)
				require.Equal(t, len(sent), n)
			})
			wg.Go(func() {
				got := make([]byte, len(sent))
				_, err := io.ReadFull(ends[1], got)
				require.NoError(t, err)
				require.True(t, bytes.Equal(sent, got))
			})
		}
		wg.Wait()
	})
}

func TestConnEndsAsSocketsDo(t *testing.T) {
	sockets(t, func(t *testing.T, a, b net.Conn) {
		buf := make([]byte, 10)
		n, err := a.Read(nil)
		require.NoError(t, err)
		require.Zero(t, n)

		require.NoError(t, a.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
		_, err = a.Read(buf)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		var nerr net.Error
		require.True(t, errors.As(err, &nerr) && nerr.Timeout(), "%v", err)
		require.NoError(t, a.SetReadDeadline(time.Time{}))

		// A deadline also ends a write that the peer does not read.
		much := make([]byte, 64<<20)
		require.NoError(t, a.SetWriteDeadline(time.Now().Add(time.Second)))
		n, err = a.Write(much)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Positive(t, n)
		require.Less(t, n, len(much))

		require.NoError(t, a.SetWriteDeadline(time.Time{}))

		require.NoError(t, b.(interface{ CloseWrite() error }).CloseWrite())
		_, err = a.Read(buf)
		require.ErrorIs(t, err, io.EOF)

		// Closing wakes whoever reads.
		done := make(chan error, 1)
		go func() {
			for {
				if _, err := b.Read(buf); err != nil {
					done <- err
					return
				}
			}
		}()
		time.Sleep(20 * time.Millisecond)
		require.NoError(t, b.Close())
		require.ErrorIs(t, <-done, net.ErrClosed)
		_, err = b.Write(buf)
		require.ErrorIs(t, err, net.ErrClosed)

		var sys error
		for range 100 { // a reset comes when it comes
			if _, sys = a.Write(buf); sys != nil {
				break
			}
			time.Sleep(time.Millisecond)
		}
		require.True(t, errors.Is(sys, syscall.EPIPE) || errors.Is(sys, syscall.ECONNRESET), "%v", sys)
	})
}

func TestConnLeavesOtherConnectionsAlone(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	require.Equal(t, a, Conn(a))
}

func TestConnAllocatesNothing(t *testing.T) {
	sockets(t, func(t *testing.T, a, b net.Conn) {
		buf := make([]byte, 100)
		n := testing.AllocsPerRun(100, func() {
			_, _ = a.Write(buf)
			_, _ = b.Read(buf)
		})
		require.Zero(t, n)
	})
}

// TestReaderWaitsWithoutBuffer holds what an idle session costs.
func TestReaderWaitsWithoutBuffer(t *testing.T) {
	sockets(t, func(t *testing.T, a, b net.Conn) {
		r := NewReader(b)
		waits := func() {
			require.NoError(t, b.SetReadDeadline(time.Now().Add(10*time.Millisecond)))
			require.ErrorIs(t, r.Fill(0), os.ErrDeadlineExceeded)
			require.NoError(t, b.SetReadDeadline(time.Time{}))
		}
		waits()
		require.True(t, r.buf == nil)
		for _, size := range []int{10, small, large / 2, 100} {
			sent := bytes.Repeat([]byte{byte(size)}, size)
			_, err := a.Write(sent)
			require.NoError(t, err)
			for len(r.Buffered()) < size {
				require.NoError(t, r.Fill(size))
			}
			require.True(t, bytes.Equal(sent, r.Buffered()))
			waits()
			require.True(t, bytes.Equal(sent, r.Buffered()), "what was read and not discarded stays")
			r.Discard(size)
			waits()
			require.True(t, r.buf == nil)
		}
		r.Release()
	})
}
