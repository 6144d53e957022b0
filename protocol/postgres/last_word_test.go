package postgres

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol"
)

// A deafConn is the connection to a target that takes nothing once it is asked for its last word,
// and whose last word is still on its way then.
type deafConn struct {
	net.Conn
	deaf   sync.Once
	waited chan struct{} // closed when somebody is patient with it
}

// Write implements net.Conn.
func (c *deafConn) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("last word")) {
		return 0, syscall.EPIPE
	}
	return c.Conn.Write(b)
}

// SetReadDeadline implements net.Conn.
func (c *deafConn) SetReadDeadline(t time.Time) error {
	if time.Until(t) > 0 {
		c.deaf.Do(func() { close(c.waited) })
	}
	return nil
}

// TestLastWordOfATarget has a client ask a target that has just said why it leaves, as
// after pg_terminate_backend: the client hears it, though the target takes no more.
func TestLastWordOfATarget(t *testing.T) {
	waited, over := make(chan struct{}), make(chan struct{})
	h := &fuzzHandler{engine: &fuzzEngine{ask: func(*protocol.Operation) error { return nil }},
		wrap: func(c net.Conn) net.Conn { return &deafConn{Conn: c, waited: waited} },
		target: func(conn net.Conn) {
			go func() {
				<-waited
				_, _ = conn.Write(frameOf(msgErrorResponse, "SFATAL\x00C57P01\x00Mgood-bye\x00\x00"))
				close(over)
			}()
			fuzzTargetScript(&deck{}, over)(conn)
		}}
	ours, theirs := net.Pipe()
	served := make(chan error, 1)
	go func() {
		served <- (&Server{AllowPlaintext: true}).ServeConn(context.Background(), theirs, h)
	}()
	startup := "\x00\x03\x00\x00user\x00fuzz\x00database\x00t\x00\x00"
	_, err := ours.Write(append([]byte{0, 0, 0, byte(len(startup) + 4)}, startup...))
	require.NoError(t, err)
	go func() {
		_, _ = ours.Write(frameOf(msgPassword, "pw\x00"))
		_, _ = ours.Write(frameOf(msgQuery, "select 'last word'\x00"))
	}()
	seen, _ := io.ReadAll(ours)
	assert.Contains(t, string(seen), "good-bye")
	require.Error(t, <-served)
	h.wg.Wait()
}
