package serve

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"slices"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
)

// Limits of a server whose owner sets none.
const (
	MaxMessage   = 256 << 20 // bytes of what has to be looked at as a whole
	MaxPrepared  = 64 << 20  // bytes that the prepared statements of a session take
	LoginTimeout = 15 * time.Second
)

// Limit returns v, or def if v is not set.
func Limit[T int | time.Duration](v, def T) T {
	if v > 0 {
		return v
	}
	return def
}

// Logger returns l, or one that says nothing if l is nil.
func Logger(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}

// TLS returns the configuration of a listener that its owner has given as c, nil
// if that is nil. protocols are offered to clients that negotiate one (ALPN).
func TLS(c *tls.Config, protocols ...string) *tls.Config {
	if c == nil {
		return nil
	}
	c = c.Clone()
	c.MinVersion = max(c.MinVersion, tls.VersionTLS12)
	for _, p := range protocols {
		if !slices.Contains(c.NextProtos, p) {
			c.NextProtos = append(c.NextProtos, p)
		}
	}
	return c
}

// past is a deadline that is over.
var past = time.Unix(1, 0)

// Expire makes whatever reads from or writes to conn fail once ctx is done,
// until stop is called, which reports whether that was in time.
func Expire(ctx context.Context, conn net.Conn) (stop func() bool) {
	return context.AfterFunc(ctx, func() { _ = conn.SetDeadline(past) })
}

// ErrGoodbye says that the client has said that it leaves.
var ErrGoodbye = errors.New("the client has said good-bye")

// Session runs f as the life of ps, from the login to the end: ps is closed
// behind it, and f's context ends with ctx.
func Session(ctx context.Context, ps *protocol.Session, f func(*protocol.Session) error) (err error) {
	defer func() {
		if errors.Is(err, ErrGoodbye) || errors.Is(err, io.EOF) {
			ps.Close(nil) // the ways in which a session normally ends
			return
		}
		ps.Close(err)
	}()
	defer context.AfterFunc(ctx, func() { ps.Terminate(context.Cause(ctx)) })()
	return f(ps)
}

// LastWord writes what a client may or may not read before it is left: one that
// does not read must not hold up the end.
func LastWord(conn net.Conn, b []byte) {
	_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = conn.Write(b)
}
