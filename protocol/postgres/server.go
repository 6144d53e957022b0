package postgres

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/pgsql"
	"github.com/sallyport-dev/gateway/protocol/internal/serve"
	"github.com/sallyport-dev/gateway/protocol/internal/wire"
)

// An AuthMethod is how clients of a listener prove who they are, if they do
// not do so by certificate.
type AuthMethod string

// The methods.
const (
	AuthPassword AuthMethod = "password" // a token in the password's place; the default
	AuthSCRAM    AuthMethod = "scram"    // SCRAM-SHA-256 against secrets that the gateway knows
)

// A Server serves PostgreSQL clients. Set its fields before the first
// connection; it must not be copied. The zero Server offers no TLS and, since
// passwords are accepted over TLS only, lets nobody in: set TLS, or
// AllowPlaintext where the network itself is trusted.
type Server struct {
	// TLS is offered to clients. A client certificate that TLS verifies is the
	// client's proof, before any password. nil: no TLS.
	TLS *tls.Config
	// RequireTLS refuses logins without TLS. Cancel requests are taken without
	// it too, since libpq before 17 sends them so.
	RequireTLS bool
	// AllowPlaintext takes passwords and tokens without TLS.
	AllowPlaintext bool
	// Auth is how clients without a certificate prove who they are; empty
	// means AuthPassword.
	Auth AuthMethod
	// Domain, if set, makes the TLS server name "<target>.<Domain>" name the
	// target.
	Domain string
	// MaxMessage bounds a message that has to be looked at as a whole: a
	// statement, the arguments of one execution, a row that a step masks. 0
	// means 256 MiB. What only passes through is streamed and has no limit.
	MaxMessage int
	// MaxPrepared bounds the memory that the prepared statements and portals
	// of one session take, not counting the unnamed ones: once it is reached,
	// more are refused. 0 means 64 MiB.
	MaxPrepared int
	// LoginTimeout bounds the login at the target; 0 means 15 s.
	LoginTimeout time.Duration
	// Logger is for the operator; nil: nothing is logged.
	Logger *slog.Logger

	once     sync.Once
	log      *slog.Logger
	tls      *tls.Config
	keys     keyCache
	cancels  cancels
	saltOnce sync.Once
	saltKey  []byte
	analyzer *pgsql.Analyzer
	catalogs catalogs
}

// Name returns "postgres".
func (s *Server) Name() string { return "postgres" }

func (s *Server) init() {
	s.once.Do(func() {
		s.log = serve.Logger(s.Logger)
		s.catalogs.init(s.log)
		s.tls = serve.TLS(s.TLS, alpn)
		s.analyzer = pgsql.NewAnalyzer(pgsql.Options{})
	})
}

func (s *Server) maxMessage() int             { return serve.Limit(s.MaxMessage, serve.MaxMessage) }
func (s *Server) maxPrepared() int            { return serve.Limit(s.MaxPrepared, serve.MaxPrepared) }
func (s *Server) loginTimeout() time.Duration { return serve.Limit(s.LoginTimeout, serve.LoginTimeout) }

// ServeConn implements [protocol.Server].
func (s *Server) ServeConn(ctx context.Context, conn net.Conn, h protocol.Handler) error {
	s.init()
	conn = wire.Conn(conn)
	defer conn.Close()
	stop := serve.Expire(ctx, conn)
	defer stop()

	st, err := s.start(ctx, conn)
	if err != nil {
		tellFatal(st.conn, err)
		return err
	}
	defer st.conn.Close()
	if st.cancel != nil {
		return s.cancel(ctx, conn.RemoteAddr(), st.cancel)
	}
	login, ch, err := s.login(st)
	if err != nil {
		tellFatal(st.conn, err)
		return err
	}
	c := newSession(s, st)
	login.WhileHeld = c.whileHeld
	ps, err := h.Open(ctx, login)
	login.Proof = nil
	if err != nil {
		s.refuse(st, login, ch, err)
		return err
	}
	stop()
	return serve.Session(ctx, ps, c.serve)
}

// refuse tells a client that its login was not accepted.
func (s *Server) refuse(st *startup, l *protocol.Login, ch *challenge, err error) {
	r := fatal(err)
	if r.code == codePrivilege || r.code == codeIOError {
		// Until the login is accepted a refusal is an authentication failure,
		// which drivers treat as final and do not retry.
		r.code = codeInvalidAuth
	}
	if ch != nil && !ch.proven {
		if merr := ch.mock(); merr != nil {
			tellFatal(st.conn, merr)
			return
		}
		if e := (*protocol.Fault)(nil); !errors.As(err, &e) {
			// One answer to a wrong password and to an account that nobody knows.
			r = report{severity: "FATAL", code: codeInvalidPassword, msg: fmt.Sprintf("password authentication failed for user \"%s\"", l.User)}
		}
	}
	serve.LastWord(st.conn, r.append(nil, msgErrorResponse))
}

// tellFatal tells a client why its connection ends, if the fault is one that a
// client may know.
func tellFatal(conn net.Conn, err error) {
	var e *protocol.Fault
	if errors.As(err, &e) {
		serve.LastWord(conn, fatal(err).append(nil, msgErrorResponse))
	}
}
