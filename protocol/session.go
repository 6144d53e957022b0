package protocol

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// A Point is a moment at which the record of operations has to be safe.
type Point uint8

// The points.
const (
	// BeforeSend comes before the first byte of an operation goes to the
	// target: what can change anything has to be durable by then.
	BeforeSend Point = iota
	// BeforeRelease comes before the first byte of a result goes to the
	// client: every operation's record has to survive a crash of the process
	// by then.
	BeforeRelease
)

// An Engine decides, records and ends operations; middleware.Chain is the one
// that everybody uses. All methods are called from many goroutines at once,
// but for one operation one after the other.
type Engine interface {
	// Authenticate returns who is behind the login, or an error.
	Authenticate(ctx context.Context, l *Login) (*Identity, error)
	// Ask decides the operations together, waiting for holds: nil means that
	// all of them are allowed, an error that none is.
	Ask(ctx context.Context, s *Session, ops []*Operation) error
	// Commit makes the records of the operations as safe as p asks.
	Commit(ctx context.Context, p Point, ops []*Operation) error
	// End records how an allowed operation of s ended.
	End(s *Session, op *Operation, out Outcome)
}

// SessionInfo is what steps may know about a session: no way to dial, none to
// a secret. It is immutable.
type SessionInfo struct {
	ID       string // unique, sorts by time
	Protocol string
	Identity *Identity
	Resource Resource
	User     string // the account the client asked for
	Database string // the database or namespace asked for, where there is one
	Tool     Tool
	Remote   string
	TLS      bool
	Started  time.Time
}

// SessionConfig is what a [Handler] needs to make a [Session].
type SessionConfig struct {
	Info        *SessionInfo
	Engine      Engine
	Dial        func(ctx context.Context) (net.Conn, error)
	Credentials func(ctx context.Context) (Credentials, error)
	WhileHeld   func(ctx context.Context, h Waiting, wait func(context.Context) error) error
	OnClose     func()
}

// A Session is an accepted login. Its methods may be called from several
// goroutines; operations that are asked for by one goroutine are decided in
// that order.
type Session struct {
	info      *SessionInfo
	engine    Engine
	dial      func(context.Context) (net.Conn, error)
	creds     func(context.Context) (Credentials, error)
	whileHeld func(context.Context, Waiting, func(context.Context) error) error
	onClose   func()

	ids     atomic.Uint64
	connect *Operation
	expiry  *time.Timer // nil if the identity does not expire

	ctx    context.Context
	cancel context.CancelCauseFunc
	drain  context.Context
	drains context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex
	open   *Operation // doubly linked
	closed bool
}

// NewSession returns a session whose Connect operation has not been asked for
// yet; the caller asks with [Session.Connect]. ctx bounds the session's life,
// and so does its identity's Expires.
func NewSession(ctx context.Context, c SessionConfig) *Session {
	s := &Session{info: c.Info, engine: c.Engine, dial: c.Dial, creds: c.Credentials,
		whileHeld: c.WhileHeld, onClose: c.OnClose}
	if s.info.ID == "" {
		s.info.ID = NewID()
	}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	s.drain, s.drains = context.WithCancel(context.Background())
	if id := s.info.Identity; id != nil && !id.Expires.IsZero() {
		s.expiry = time.AfterFunc(time.Until(id.Expires), func() { s.Terminate(errExpired) })
	}
	return s
}

var errExpired = &DeniedError{Step: "session", Reason: "the login has expired", Hint: "connect again with a new token"}

// NewID returns a random identifier that sorts by time, in the form of a
// UUID version 7 (RFC 9562).
func NewID() string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(time.Now().UnixMilli())<<16)
	_, _ = rand.Read(b[6:]) // never fails: it ends the process if the system has no randomness
	b[6] = b[6]&0x0f | 0x70
	b[8] = b[8]&0x3f | 0x80
	var h [36]byte
	hex.Encode(h[0:8], b[0:4])
	hex.Encode(h[9:13], b[4:6])
	hex.Encode(h[14:18], b[6:8])
	hex.Encode(h[19:23], b[8:10])
	hex.Encode(h[24:36], b[10:16])
	h[8], h[13], h[18], h[23] = '-', '-', '-', '-'
	return string(h[:])
}

// Info returns what is known about the session.
func (s *Session) Info() *SessionInfo { return s.info }

// Context ends when the session has to end at once; context.Cause says why.
func (s *Session) Context() context.Context { return s.ctx }

// Draining is closed when the session should end at the next moment at which
// the client loses nothing, such as between two transactions. Connectors that
// read one request after the other leave it to [Session.Idle].
func (s *Session) Draining() <-chan struct{} { return s.drain.Done() }

// OnDrain runs f on a goroutine of its own as soon as the session should end
// at the next good moment, as [Session.Draining] says it, and costs no
// goroutine before. It returns a function that takes f back.
func (s *Session) OnDrain(f func()) (stop func() bool) { return context.AfterFunc(s.drain, f) }

// Drain asks the session to end at the next good moment. It returns at once.
func (s *Session) Drain() { s.drains() }

// Terminate ends the session's context with cause and returns at once; the
// first cause counts. No operation is allowed any more.
func (s *Session) Terminate(cause error) { s.cancel(cause) }

// WhileHeld returns the connector's way to wait, or nil. Engines use it.
func (s *Session) WhileHeld() func(context.Context, Waiting, func(context.Context) error) error {
	return s.whileHeld
}

// Connect asks for the session's first operation. It is called once, by the
// Handler that made the session.
func (s *Session) Connect(ctx context.Context, op *Operation) error {
	op.Verb = Connect
	op.Pure = true // it opens the session; nothing at the target changes
	if op.Access == 0 {
		op.Access = Control
	}
	_, err := s.Begin(ctx, op)
	if err == nil {
		s.connect = op
	}
	return err
}

// Exchange returns the exchange of the Connect operation, whose text taps see
// the messages that belong to no other operation.
func (s *Session) Exchange() *Exchange { return &s.connect.x }

// Dial connects to the target, within limits of its own and until ctx is done.
// The caller closes the connection. Only connectors call it.
func (s *Session) Dial(ctx context.Context) (net.Conn, error) { return s.dial(ctx) }

// Credentials returns what the gateway logs in with at the target, fetched anew
// for each call. Its error never contains the secret, and is not for the
// client. Only connectors call it; steps have no way to it.
func (s *Session) Credentials(ctx context.Context) (Credentials, error) { return s.creds(ctx) }

// Begin decides op, waits if it is held, and makes its record safe. After nil
// the operation may be sent and its result released; the exchange must be
// ended. An error means that nothing may be sent; show [Reason] of it.
func (s *Session) Begin(ctx context.Context, op *Operation) (*Exchange, error) {
	ops := []*Operation{op}
	if err := s.Ask(ctx, ops); err != nil {
		return nil, err
	}
	for _, p := range []Point{BeforeSend, BeforeRelease} {
		if err := s.Commit(ctx, p, ops); err != nil {
			op.x.End(Outcome{Status: StatusError, Err: err})
			return nil, err
		}
	}
	return &op.x, nil
}

// Ask is the first half of [Session.Begin], for connectors that batch: it
// decides the operations together, all or none, but makes no record safe. The
// caller must call [Session.Commit] with BeforeSend before it sends the first
// byte of any of them and with BeforeRelease before it releases the first byte
// of a result. After nil each operation must be ended through
// [Operation.Exchange].
func (s *Session) Ask(ctx context.Context, ops []*Operation) error {
	if s.ctx.Err() != nil { // whoever has lost it may still be connected
		return fmt.Errorf("%w: %w", ErrClosed, context.Cause(s.ctx))
	}
	now := time.Now()
	if id := s.info.Identity; id != nil && !id.Expires.IsZero() && now.After(id.Expires) {
		s.Terminate(errExpired) // the timer is about to, or the clock was set
		return errExpired
	}
	for _, op := range ops {
		op.Session = s.info
		op.ID = s.ids.Add(1)
		op.start = now
		op.x = Exchange{op: op, s: s}
	}
	if err := s.engine.Ask(ctx, s, ops); err != nil {
		return err
	}
	s.mu.Lock()
	if s.closed || s.ctx.Err() != nil { // meanwhile, such as while people were asked
		s.mu.Unlock()
		err := fmt.Errorf("%w: %w", ErrClosed, context.Cause(s.ctx))
		for _, op := range ops {
			op.x.End(Outcome{Status: StatusError, Err: err})
		}
		return err
	}
	defer s.mu.Unlock()
	for _, op := range ops {
		op.began = true
		op.next = s.open
		if s.open != nil {
			s.open.prev = op
		}
		s.open = op
	}
	return nil
}

// Commit makes the records of operations that [Session.Ask] allowed as safe as
// p asks. After an error none of them may be sent or released, and the caller
// ends them with StatusError.
func (s *Session) Commit(ctx context.Context, p Point, ops []*Operation) error {
	return s.engine.Commit(ctx, p, ops)
}

// Exchange returns the operation's exchange, which is usable once the
// operation has been allowed.
func (op *Operation) Exchange() *Exchange { return &op.x }

// Go runs f on a goroutine of its own. A panic or an error in f ends this
// session and no other.
func (s *Session) Go(f func() error) {
	s.wg.Go(func() {
		if err := Guard(f); err != nil {
			s.Terminate(err)
		}
	})
}

// Close ends what is still open and then the session's Connect operation, with
// err as the reason. It waits for the goroutines started by Go, and may be
// called more than once.
func (s *Session) Close(err error) {
	if s.expiry != nil {
		s.expiry.Stop()
	}
	s.cancel(err)
	s.wg.Wait()
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true
	var left []*Operation
	for op := s.open; op != nil; op = op.next {
		left = append(left, op)
	}
	s.mu.Unlock()
	for _, op := range left {
		if op == s.connect {
			continue
		}
		op.x.End(Outcome{Status: StatusUnknown, Err: err})
	}
	if s.connect != nil {
		out := Outcome{Status: StatusOK}
		if err != nil {
			out = Outcome{Status: StatusFailed, Err: err}
			var p *PanicError
			if errors.As(err, &p) {
				out.Status = StatusError
			}
		}
		s.connect.x.End(out)
	}
	if s.onClose != nil {
		s.onClose()
	}
}

func (s *Session) forget(op *Operation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !op.began {
		return
	}
	op.began = false
	if op.prev != nil {
		op.prev.next = op.next
	} else {
		s.open = op.next
	}
	if op.next != nil {
		op.next.prev = op.prev
	}
}

// A PanicError is a panic that [Guard] caught.
type PanicError struct {
	Value any
	Stack []byte
}

// Error returns the panic's value; the stack is for the operator's log.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Guard runs f and turns a panic into a [PanicError].
func Guard(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{v, debug.Stack()}
		}
	}()
	return f()
}
