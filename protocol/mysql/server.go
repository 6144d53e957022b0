package mysql

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/mysqlsql"
	"github.com/sallyport-dev/gateway/protocol/internal/serve"
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
	// take, with the columns of their cursors: once it is reached, more are refused.
	// What is sent ahead may take MaxMessage on top. 0 means 64 MiB.
	MaxPrepared int
	// LoginTimeout bounds the login at the target; 0 means 15 s.
	LoginTimeout time.Duration
	// HoldTimeout is how long a client waits for the approval of a statement before
	// it is told that nobody has decided yet: the protocol cannot tell it sooner.
	// It may ask for the same again, which then runs once it is approved. Clients
	// that give up reading should do so later. 0 means 50 s.
	HoldTimeout time.Duration
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
		s.log = serve.Logger(s.Logger)
		s.catalogs.init(s.log)
		s.tls = serve.TLS(s.TLS)
		s.analyzer = mysqlsql.NewAnalyzer(mysqlsql.Options{})
	})
}

func (s *Server) version() string { return cmp.Or(s.Version, "8.0.36") }

// isMariaDB reports whether clients are told that the server is a MariaDB.
func (s *Server) isMariaDB() bool { return strings.Contains(s.version(), "MariaDB") }

func (s *Server) maxMessage() int             { return serve.Limit(s.MaxMessage, serve.MaxMessage) }
func (s *Server) maxPrepared() int            { return serve.Limit(s.MaxPrepared, serve.MaxPrepared) }
func (s *Server) loginTimeout() time.Duration { return serve.Limit(s.LoginTimeout, serve.LoginTimeout) }
func (s *Server) holdTimeout() time.Duration  { return serve.Limit(s.HoldTimeout, 50*time.Second) }

// ServeConn implements [protocol.Server].
func (s *Server) ServeConn(ctx context.Context, conn net.Conn, h protocol.Handler) error {
	s.init()
	conn = wire.Conn(conn)
	defer conn.Close()
	stop := serve.Expire(ctx, conn)
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
	stop()
	return serve.Session(ctx, ps, c.serve)
}
