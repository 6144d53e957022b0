package mysql

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/mysqlsql"
	"github.com/sallyport-dev/gateway/protocol/internal/wire"
)

// An AuthMethod is how clients of a listener prove who they are, if they do
// not do so by certificate.
type AuthMethod string

// The methods.
const (
	AuthPassword    AuthMethod = "password"              // a token in the password's place; the default
	AuthNative      AuthMethod = "mysql_native_password" // against secrets that the gateway knows
	AuthCachingSHA2 AuthMethod = "caching_sha2_password" // against secrets that the gateway knows
)

// A Server serves MySQL clients. Set its fields before the first connection; it
// must not be copied. The zero Server offers no TLS and, since passwords are
// accepted over TLS only, lets nobody in: set TLS, or AllowPlaintext where the
// network itself is trusted.
type Server struct {
	// TLS is offered to clients. A client certificate that TLS verifies is the
	// client's proof, before any password. nil: no TLS.
	TLS *tls.Config
	// RequireTLS refuses logins without TLS.
	RequireTLS bool
	// AllowPlaintext takes passwords and tokens without TLS.
	AllowPlaintext bool
	// Auth is how clients without a certificate prove who they are; empty
	// means AuthPassword.
	Auth AuthMethod
	// Domain, if set, makes the TLS server name "<target>.<Domain>" name the
	// target.
	Domain string
	// Version is what clients are told that the server is, before it is known
	// which target they want. Programs choose their SQL by it: set it to what
	// the targets are, such as "5.5.5-10.11.14-MariaDB". Empty means "8.0.36".
	Version string
	// MaxMessage bounds a message that has to be looked at as a whole: a
	// statement, the arguments of one execution, a row that a step masks. 0
	// means 256 MiB. What only passes through is streamed and has no limit.
	MaxMessage int
	// MaxPrepared bounds the memory that the prepared statements of one session
	// take: once it is reached, more are refused. 0 means 64 MiB.
	MaxPrepared int
	// LoginTimeout bounds the login at the target; 0 means 15 s.
	LoginTimeout time.Duration
	// Logger is for the operator; nil: nothing is logged.
	Logger *slog.Logger

	once     sync.Once
	log      *slog.Logger
	tls      *tls.Config
	sessions sessions
	analyzer *mysqlsql.Analyzer
	catalogs catalogs
}

// Name returns "mysql".
func (s *Server) Name() string { return "mysql" }

func (s *Server) init() {
	s.once.Do(func() {
		s.log = s.Logger
		if s.log == nil {
			s.log = slog.New(slog.DiscardHandler)
		}
		s.catalogs.log = s.log
		if s.TLS != nil {
			s.tls = s.TLS.Clone()
			s.tls.MinVersion = max(s.tls.MinVersion, tls.VersionTLS12)
		}
		s.analyzer = mysqlsql.NewAnalyzer(mysqlsql.Options{})
	})
}

func (s *Server) version() string {
	if s.Version != "" {
		return s.Version
	}
	return "8.0.36"
}

func (s *Server) maxMessage() int {
	if s.MaxMessage > 0 {
		return s.MaxMessage
	}
	return 256 << 20
}

func (s *Server) maxPrepared() int {
	if s.MaxPrepared > 0 {
		return s.MaxPrepared
	}
	return 64 << 20
}

func (s *Server) loginTimeout() time.Duration {
	if s.LoginTimeout > 0 {
		return s.LoginTimeout
	}
	return 15 * time.Second
}

// ServeConn implements [protocol.Server].
func (s *Server) ServeConn(ctx context.Context, conn net.Conn, h protocol.Handler) (err error) {
	s.init()
	conn = wire.Conn(conn)
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	st, err := s.start(ctx, conn)
	defer func() { _ = st.conn.Close() }()
	defer s.sessions.remove(st.id)
	if err != nil {
		st.refuse(err)
		return err
	}
	login, err := s.login(st)
	if err != nil {
		st.refuse(err)
		return err
	}
	c := newSession(s, st)
	login.WhileHeld = c.whileHeld
	ps, err := h.Open(ctx, login)
	login.Proof = nil
	if err != nil {
		told := err
		if e := (*protocol.Fault)(nil); st.challenged && !st.proven && !errors.As(err, &e) {
			// One answer to a wrong password and to an account that nobody knows.
			told = fault(protocol.SideClient, codeAccessDenied, "Access denied for user '"+login.User+"' (using password: YES)", nil)
		}
		st.refuse(told)
		return err
	}
	defer func() { ps.Close(orderly(err)) }()
	stop()
	defer context.AfterFunc(ctx, func() { ps.Terminate(context.Cause(ctx)) })()
	return c.serve(ps)
}

// orderly turns the ways in which a session normally ends into nil.
func orderly(err error) error {
	if errors.Is(err, errTerminated) || errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
