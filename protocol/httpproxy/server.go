package httpproxy

import (
	"context"
	"crypto/cipher"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
)

// A Server serves HTTP clients. Set its fields before the first connection; it
// must not be copied. The zero Server offers no TLS and, since proofs are
// accepted over TLS only, lets nobody in: set TLS, or AllowPlaintext where the
// network itself is trusted.
type Server struct {
	// TLS is what clients connect with; nil: no TLS. A client certificate that
	// it verifies is the client's proof. Protocols other than h2 and http/1.1
	// are not negotiated.
	TLS *tls.Config
	// AllowPlaintext takes proofs without TLS.
	AllowPlaintext bool

	// Hosts names the target of a host name, without a port.
	Hosts map[string]string
	// Domain, if set, makes the host name "<target>.<Domain>" name the target.
	Domain string
	// Paths makes the first segment of the path name the target, for host names
	// that Hosts and Domain say nothing about. The rest is the target's path.
	Paths bool

	// Assertion tells the targets that want it who sends a request; nil: none
	// can.
	Assertion *Assertion

	// Login is where people who use a browser log in; nil: nobody can. It needs
	// TLS. What a browser then sends is a cookie with its token, encrypted with
	// CookieKey, which gateways that serve the same hosts share. Without a key
	// one is made, and a restart logs everybody out.
	Login     Login
	CookieKey protocol.Secret

	// MaxHead bounds a request's line and headers, and a response's headers; 0
	// means 64 KiB.
	MaxHead int
	// MaxBody bounds the request bodies that are part of their operation, so
	// that steps and approvers see them: bodies whose length is announced and
	// not greater. 0 means 64 KiB. Others are streamed, and what would be held
	// for a decision is refused.
	MaxBody int64
	// MaxDocument bounds a document that a step looks at: a JSON body, a line
	// of NDJSON, the data of a server-sent event, decompressed. Larger ones are
	// not shown. 0 means 8 MiB. Each response that a step looks at takes up to some
	// three times that much memory, for as long as its client reads it; there is no
	// bound for all of them together.
	MaxDocument int64
	// HoldTimeout bounds how long the response to a request that is held for a
	// decision is; the client then gets 202 and asks again. 0 means 50 s, which
	// is less than most clients wait.
	HoldTimeout time.Duration
	// StallTimeout bounds how long a client takes nothing of a response, or sends
	// nothing of a body that is waited for; 0 means a minute.
	StallTimeout time.Duration
	// ResponseTimeout bounds how long a target takes nothing of a request, and
	// then the wait for its response headers; 0 means 5 minutes.
	ResponseTimeout time.Duration
	// Logger is for the operator; nil: nothing is logged.
	Logger *slog.Logger

	once sync.Once
	log  *slog.Logger
	std  *log.Logger // for net/http
	err  error
	tls  *tls.Config
	aead cipher.AEAD
	held waiting

	descriptions descriptions[routes]
	services     descriptions[*descriptors]
}

const (
	headTimeout = 15 * time.Second // for a request's line and headers
	idleTimeout = 2 * time.Minute  // between two requests
	maxStreams  = 100              // of one HTTP/2 connection
)

// Name returns "http".
func (s *Server) Name() string { return "http" }

func (s *Server) init() {
	s.once.Do(func() {
		s.log = s.Logger
		if s.log == nil {
			s.log = slog.New(slog.DiscardHandler)
		}
		s.std = slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)
		s.aead, s.err = newAEAD(s.CookieKey)
		if s.TLS != nil {
			s.tls = s.TLS.Clone()
			s.tls.MinVersion = max(s.tls.MinVersion, tls.VersionTLS12)
			s.tls.NextProtos = []string{"h2", "http/1.1"}
		}
	})
}

func or[T int | int64 | time.Duration](v, otherwise T) T {
	if v > 0 {
		return v
	}
	return otherwise
}

func (s *Server) maxHead() int                   { return or(s.MaxHead, 64<<10) }
func (s *Server) maxBody() int64                 { return or(s.MaxBody, 64<<10) }
func (s *Server) maxDocument() int64             { return or(s.MaxDocument, 8<<20) }
func (s *Server) stallTimeout() time.Duration    { return or(s.StallTimeout, time.Minute) }
func (s *Server) holdTimeout() time.Duration     { return or(s.HoldTimeout, 50*time.Second) }
func (s *Server) responseTimeout() time.Duration { return or(s.ResponseTimeout, 5*time.Minute) }

// ServeConn implements [protocol.Server].
func (s *Server) ServeConn(ctx context.Context, raw net.Conn, h protocol.Handler) error {
	s.init()
	defer raw.Close()
	if s.err != nil {
		return s.err
	}
	defer context.AfterFunc(ctx, func() { _ = raw.Close() })()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c := &conn{s: s, h: h, raw: raw, cancel: cancel, remote: remoteHost(raw.RemoteAddr()), sessions: map[sessionKey]*session{}}
	nc, h2, err := c.start(ctx, &stalling{Conn: raw, timeout: s.stallTimeout()})
	if err != nil {
		return err
	}
	l := &oneConn{conn: nc, addr: raw.LocalAddr(), closed: make(chan struct{}), done: make(chan struct{})}
	c.srv = &http.Server{
		Handler:           c,
		Protocols:         new(http.Protocols),
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams, SendPingTimeout: idleTimeout},
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: headTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    s.maxHead(),

		DisableGeneralOptionsHandler: true, // "OPTIONS *" is refused like any target that is not a path
		ErrorLog:                     s.std,
		ConnState: func(_ net.Conn, st http.ConnState) {
			if st == http.StateClosed || st == http.StateHijacked {
				l.end()
			}
		},
	}
	c.srv.Protocols.SetHTTP1(!h2)
	c.srv.Protocols.SetHTTP2(h2)
	c.srv.Protocols.SetUnencryptedHTTP2(h2 && c.tls == nil)
	_ = c.srv.Serve(l) // ends with the listener
	<-l.done
	return c.close()
}

// preface is what an HTTP/2 connection without TLS begins with.
const preface = http2Preface

const http2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// start returns the connection that is to be served, after the TLS handshake,
// and whether it is one of HTTP/2. One of HTTP/1.1 is looked at while it is
// read: see [checked].
func (c *conn) start(ctx context.Context, nc net.Conn) (net.Conn, bool, error) {
	if c.s.tls != nil {
		tc := tls.Server(nc, c.s.tls)
		if err := tc.HandshakeContext(ctx); err != nil {
			return nil, false, err
		}
		st := tc.ConnectionState()
		c.tls = &st
		if st.NegotiatedProtocol == "h2" {
			return tc, true, nil // net/http wants the *tls.Conn itself
		}
		c.h1 = newChecked(newLazy(tc, c.gone), nil, c.s.maxHead())
		return c.h1, false, nil
	}
	first := make([]byte, 0, len(preface))
	for len(first) < len(preface) {
		n, err := nc.Read(first[len(first):cap(first)])
		first = first[:len(first)+n]
		if !strings.HasPrefix(preface, string(first)) {
			break
		}
		if err != nil {
			if errors.Is(err, io.EOF) && len(first) == 0 {
				err = nil // nobody asked for anything
			}
			return nil, false, errors.Join(err, io.ErrUnexpectedEOF)
		}
	}
	if string(first) == preface {
		return &prefixed{nc, first}, true, nil
	}
	c.h1 = newChecked(newLazy(nc, c.gone), first, c.s.maxHead())
	return c.h1, false, nil
}

// oneConn is a listener with one connection.
type oneConn struct {
	mu     sync.Mutex
	conn   net.Conn
	addr   net.Addr
	once   [2]sync.Once
	closed chan struct{} // no more is accepted
	done   chan struct{} // the connection has ended, or belongs to a handler
}

// Accept returns the connection once, and then waits for Close.
func (l *oneConn) Accept() (net.Conn, error) {
	l.mu.Lock()
	c := l.conn
	l.conn = nil
	l.mu.Unlock()
	if c != nil {
		return c, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}

// Close ends Accept, and not the connection.
func (l *oneConn) Close() error {
	l.once[0].Do(func() { close(l.closed) })
	return nil
}

func (l *oneConn) end() {
	_ = l.Close() // never fails
	l.once[1].Do(func() { close(l.done) })
}

// Addr returns the address of the connection's own end.
func (l *oneConn) Addr() net.Addr { return l.addr }

// stalling is a connection to somebody who has to take what is written, within
// timeout and an eighth of it: a deadline for each write would cost more than it.
type stalling struct {
	net.Conn
	timeout time.Duration
	set     atomic.Pointer[time.Time] // when the deadline was; nil: somebody has set another
}

// Write implements net.Conn.
func (c *stalling) Write(b []byte) (int, error) {
	now := time.Now()
	if set := c.set.Load(); set == nil || now.Sub(*set) > c.timeout/8 {
		if err := c.Conn.SetWriteDeadline(now.Add(c.timeout + c.timeout/8)); err != nil {
			return 0, err
		}
		at := now
		c.set.Store(&at)
	}
	return c.Conn.Write(b)
}

// SetDeadline implements net.Conn. It counts until the next write.
func (c *stalling) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetWriteDeadline implements net.Conn. It counts until the next write.
func (c *stalling) SetWriteDeadline(t time.Time) error {
	if t.IsZero() && c.set.Load() != nil { // as net/http does after each response
		return nil
	}
	defer c.set.Store(nil)
	return c.Conn.SetWriteDeadline(t)
}

// prefixed is a connection of which the first bytes were read already.
type prefixed struct {
	net.Conn
	first []byte
}

// Read implements net.Conn.
func (c *prefixed) Read(b []byte) (int, error) {
	if len(c.first) > 0 {
		n := copy(b, c.first)
		c.first = c.first[n:]
		return n, nil
	}
	return c.Conn.Read(b)
}

// A conn is one connection of a client.
type conn struct {
	s   *Server
	h   protocol.Handler
	raw net.Conn
	tls *tls.ConnectionState // nil without TLS
	h1  *checked             // nil for HTTP/2
	srv *http.Server

	cancel func()                  // ends the contexts of its requests
	runs   atomic.Pointer[request] // of HTTP/1.1, which ends with cancel, too
	remote string                  // the client's address

	handlers sync.WaitGroup

	mu       sync.Mutex
	ending   bool
	refused  int // logins
	sessions map[sessionKey]*session
	err      error // what went wrong in a session, for the operator
}

// gone is called when a client of HTTP/1.1 has left.
func (c *conn) gone() {
	c.cancel()
	if q := c.runs.Load(); q != nil {
		q.cancel(protocol.ErrClientGone)
	}
}

// enter counts a handler; false says that the connection has ended.
func (c *conn) enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ending {
		return false
	}
	c.handlers.Add(1)
	return true
}

// close ends what is left when the client has gone.
func (c *conn) close() error {
	c.mu.Lock()
	c.ending = true
	c.mu.Unlock()
	c.handlers.Wait()
	for _, s := range c.all() {
		s.close(nil)
	}
	return c.err
}

func (c *conn) all() []*session {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []*session
	for _, s := range c.sessions {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *session) int { return a.used.Compare(b.used) })
	return all
}

// drain lets what is under way come to its end and takes nothing new.
func (c *conn) drain() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()                // nobody waits here
	_ = c.srv.Shutdown(ctx) // an idle connection is closed; HTTP/2 clients are told
}
