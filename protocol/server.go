package protocol

import (
	"context"
	"net"
)

// A Server speaks one protocol on both sides: it serves clients and logs in at
// targets. A Server is one long-lived value; its methods are called from many
// goroutines at once.
type Server interface {
	// Name is the protocol's name as targets and configuration use it,
	// such as "postgres".
	Name() string

	// ServeConn serves one client connection until it ends and returns why it
	// ended, nil for an orderly end. It is called on a goroutine of its own,
	// owns conn and closes it. It must return soon after ctx is done. Every
	// goroutine that it starts runs under [Session.Go] and has ended when
	// ServeConn returns.
	//
	// Before h.Open has returned a session, nothing may be sent to a target.
	ServeConn(ctx context.Context, conn net.Conn, h Handler) error
}

// A TargetChecker is a [Server] that can tell at start-up whether a target's
// settings make sense.
type TargetChecker interface {
	// CheckTarget returns an error that names the wrong option and says what
	// is accepted.
	CheckTarget(r Resource) error
}

// An Analyzer is a [Server] that can say what a text would do at a target without
// running it.
type Analyzer interface {
	// Analyze returns the operations that text would be in a new session like s, one
	// for each statement. It connects to the target as s does, only to read its
	// definitions. If that fails, err says why, and the operations are what is
	// known of the text alone.
	Analyze(ctx context.Context, s *Session, text string) (ops []*Operation, err error)
}

// A Handler opens sessions. The gateway is one.
type Handler interface {
	// Open decides whether the login is accepted. The error's text is not for
	// the client: show [Reason] of it. The returned Session must be closed.
	Open(ctx context.Context, l *Login) (*Session, error)
}
