package protocol_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol"
)

func idleSession(t testing.TB) (s *protocol.Session, ours, theirs net.Conn, read func() error) {
	t.Helper()
	s = protocol.NewSession(t.Context(), protocol.SessionConfig{Info: &protocol.SessionInfo{}})
	ours, theirs = net.Pipe()
	t.Cleanup(func() { _, _ = ours.Close(), theirs.Close() })
	return s, ours, theirs, func() error {
		_, err := io.ReadFull(ours, make([]byte, 4))
		return err
	}
}

func TestIdleEndsWhenTheSessionDrains(t *testing.T) {
	s, ours, theirs, read := idleSession(t)
	go func() {
		_, _ = theirs.Write([]byte("one."))
		_, _ = theirs.Write([]byte("tw")) // half a request: nothing has been asked yet
		s.Drain()
	}()
	require.NoError(t, s.Idle(ours, read))
	require.Equal(t, io.EOF, s.Idle(ours, read))
	require.Equal(t, io.EOF, s.Idle(ours, func() error { t.Error("read again"); return nil }))
	go func() { _, _ = theirs.Write([]byte("tail")) }()
	require.NoError(t, read(), "no deadline is left")
}

// What has arrived is answered, and its deadline is not that of the drain.
func TestIdleReturnsWhatItHas(t *testing.T) {
	s, ours, theirs, read := idleSession(t)
	require.NoError(t, s.Idle(ours, func() error {
		go func() { _, _ = theirs.Write([]byte("one.")) }()
		err := read()
		s.Drain()
		return err
	}))
	go func() { _, _ = theirs.Write([]byte("more")) }()
	require.NoError(t, read())
}

func TestIdleReturnsErrors(t *testing.T) {
	s, ours, theirs, read := idleSession(t)
	broken := errors.New("broken")
	require.Equal(t, broken, s.Idle(ours, func() error { return broken }))
	require.NoError(t, theirs.Close())
	require.Equal(t, io.EOF, s.Idle(ours, read))
}

func ExampleSession_Idle() {
	s := protocol.NewSession(context.Background(), protocol.SessionConfig{Info: &protocol.SessionInfo{}})
	client, conn := net.Pipe()
	defer client.Close()
	defer conn.Close()
	go func() {
		_, _ = client.Write([]byte("GET fruit\n"))
		s.Drain() // a shutdown begins
	}()
	for {
		line := make([]byte, len("GET fruit\n"))
		err := s.Idle(conn, func() error { _, err := io.ReadFull(conn, line); return err })
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s", line)
	}
	// Output:
	// GET fruit
	// EOF
}
