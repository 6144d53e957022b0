package ssh

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-dev/gateway/protocol"
)

// A Server serves SSH clients. Set its fields before the first connection; it
// must not be copied. It needs at least one host key.
type Server struct {
	// HostKeys are the gateway's own keys, by which clients know it. At most one
	// of each type is used.
	HostKeys []ssh.Signer

	// UserCAs are the authorities whose user certificates are proofs. A step
	// says whom their certificates stand for.
	UserCAs []ssh.PublicKey

	// LoginPage lets people log in with a browser, where clients ask their user
	// (keyboard-interactive). nil: only tokens are taken there.
	LoginPage *LoginPage

	// Banner is shown to clients before they log in; empty: nothing is.
	Banner string

	// MaxChannels bounds the channels that are open at once in one connection;
	// 0 means 128. What a channel takes is bounded by its windows, 2 MiB for
	// each direction.
	MaxChannels int

	// MaxAuthTries bounds the failed proofs of one connection; 0 means 6.
	MaxAuthTries int

	// LoginTimeout bounds the login at the target; 0 means 15 s.
	LoginTimeout time.Duration

	// AnswerTimeout bounds how long a client or target may take to answer what it
	// is asked for, such as a new channel; 0 means 30 s. What connects elsewhere
	// first, a forward, may take five times as long.
	AnswerTimeout time.Duration

	// FileHash is what files are hashed by that go through SFTP; "" means [BLAKE3].
	FileHash FileHash

	// Logger is for the operator; nil: nothing is logged.
	Logger *slog.Logger

	once sync.Once
	log  *slog.Logger
}

// Name returns "ssh".
func (s *Server) Name() string { return "ssh" }

func (s *Server) init() {
	s.once.Do(func() {
		if s.log = s.Logger; s.log == nil {
			s.log = slog.New(slog.DiscardHandler)
		}
	})
}

// check looks for what keeps every client out.
func (s *Server) check() error {
	if len(s.HostKeys) == 0 {
		return errors.New("the server has no host key")
	}
	return s.FileHash.Check()
}

func (s *Server) maxChannels() int {
	if s.MaxChannels > 0 {
		return s.MaxChannels
	}
	return 128
}

func (s *Server) loginTimeout() time.Duration {
	if s.LoginTimeout > 0 {
		return s.LoginTimeout
	}
	return 15 * time.Second
}

func (s *Server) answerTimeout() time.Duration {
	if s.AnswerTimeout > 0 {
		return s.AnswerTimeout
	}
	return 30 * time.Second
}

// ServeConn implements [protocol.Server].
func (s *Server) ServeConn(ctx context.Context, conn net.Conn, h protocol.Handler) (err error) {
	s.init()
	if err := s.check(); err != nil {
		return errors.Join(&protocol.Fault{Side: protocol.SideGateway, Msg: protocol.FixedReason, Err: err}, conn.Close())
	}
	w := watch(conn)
	defer w.Close()
	// Whoever waits for the client or a decision during the login is woken.
	stop := context.AfterFunc(ctx, func() { _ = w.Close() })
	defer stop()

	hs := &handshake{srv: s, ctx: ctx, conn: w, handler: h}
	sc, chans, reqs, err := ssh.NewServerConn(w, hs.config())
	if err != nil {
		if hs.sess != nil { // let in, and gone before it heard of it
			_ = hs.target.conn.Close()
			hs.sess.Close(err)
		}
		if hs.refused != nil {
			return hs.refused
		}
		return err
	}
	defer func() { hs.sess.Close(orderly(err)) }()
	c := &session{srv: s, ps: hs.sess, client: sc, target: hs.target.conn, limits: hs.limits, env: hs.target.env, agent: hs.target.agent, lines: hs.target.lines, listens: map[string]*listen{},
		noMore: make(chan struct{}), opened: make(chan struct{})}
	c.calls.s = c
	return protocol.Guard(func() error { return c.serve(chans, reqs, hs.target.chans, hs.target.reqs) })
}

// disconnected begins the error of a client that has said good-bye: its type
// is not exported. 11 is "by application" (RFC 4253, section 11.1).
const disconnected = "ssh: disconnect, reason 11:"

// orderly turns the ways in which a session normally ends into nil.
func orderly(err error) error {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || strings.HasPrefix(err.Error(), disconnected) {
		return nil
	}
	return err
}
