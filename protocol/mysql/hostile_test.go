package mysql

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol"
)

// noHandler is told of no login.
type noHandler struct{ t *testing.T }

// Open implements protocol.Handler.
func (h noHandler) Open(context.Context, *protocol.Login) (*protocol.Session, error) {
	h.t.Error("somebody was let in")
	return nil, errors.New("nobody is let in")
}

// TestHostileAnswersToTheGreeting sends what has brought down other servers before
// anybody has logged in: strings without an end, lengths beyond it, and packets
// that go on for ever.
func TestHostileAnswersToTheGreeting(t *testing.T) {
	const caps = mysql.CLIENT_PROTOCOL_41 | mysql.CLIENT_PLUGIN_AUTH | mysql.CLIENT_SECURE_CONNECTION | mysql.CLIENT_CONNECT_WITH_DB
	hello := func(caps uint32, rest string) []byte {
		seq := byte(1)
		return appendPacket(nil, &seq, append(append(appendUint(nil, 4, uint64(caps)), make([]byte, 28)...), rest...))
	}
	long := "\xff\xff\xff\x01" + strings.Repeat("x", 1<<16)
	for name, b := range map[string][]byte{
		"a user without an end":         hello(caps, "alice"),
		"a database without an end":     hello(caps, "alice\x00\x00shop"),
		"a plugin without an end":       hello(caps, "alice\x00\x00shop\x00mysql_native_password"),
		"a proof longer than its rest":  hello(caps, "alice\x00\xffproof"),
		"a length of eight bytes":       hello(caps|mysql.CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA, "alice\x00\xfe\xff\xff\xff\xff\xff\xff\xff\xff"),
		"attributes longer than theirs": hello(caps|mysql.CLIENT_CONNECT_ATTRS, "alice\x00\x00shop\x00p\x00\xfd\xff\xff\xff"),
		"an attribute without a value":  hello(caps|mysql.CLIENT_CONNECT_ATTRS, "alice\x00\x00shop\x00p\x00\x02\x01a"),
		"nothing":                       {0, 0, 0, 1},
		"one byte":                      {1, 0, 0, 1, 0x85},
		"TLS, half":                     {32, 0, 0, 1, 0, 8, 0, 0},
		"another number":                {1, 0, 0, 9, 'x'},
		"a packet of 16 MiB":            []byte(long),
		"an older protocol":             hello(mysql.CLIENT_SECURE_CONNECTION, "alice\x00"),
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			ours, theirs := net.Pipe()
			served := make(chan error, 1)
			go func() {
				served <- protocol.Guard(func() error { return (&Server{AllowPlaintext: true}).ServeConn(t.Context(), theirs, noHandler{t}) })
			}()
			go func() { _, _ = io.Copy(io.Discard, ours) }()
			_ = ours.SetWriteDeadline(time.Now().Add(5 * time.Second))
			_, _ = ours.Write(b) // it may hang up before all is read
			require.NoError(t, ours.Close())
			err := <-served
			require.Error(t, err)
			var p *protocol.PanicError
			require.False(t, errors.As(err, &p), err)
			runtime.ReadMemStats(&after)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(8<<20), "memory is taken for what was only announced")
		})
	}
}
