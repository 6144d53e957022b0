package gateway

import (
	"cmp"
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/middleware/config"
	"github.com/sallyport-dev/gateway/protocol"
)

// A SecretSource fetches a target's secret when a session needs it. Its errors
// never contain the secret.
type SecretSource func(ctx context.Context) (protocol.Secret, error)

// Env returns a source that reads the environment variable name.
func Env(name string) SecretSource { return config.Secret{Env: name}.Get }

// File returns a source that reads the file at path for every session, so that
// a rotated secret is used at once. One final newline is removed.
func File(path string) SecretSource { return config.Secret{File: path}.Get }

// Fixed returns a source that gives s.
func Fixed(s protocol.Secret) SecretSource { return config.Secret{Value: s}.Get }

// A Target is something that clients reach through the gateway.
type Target struct {
	Name     string // what clients ask for
	Protocol string // the name of the connector that serves it
	Addr     string // host:port, or the path of a Unix socket

	User   string       // the account the gateway logs in with
	Secret SecretSource // nil: none is needed

	Labels  map[string]string // facts for policy: env, owner, data class
	Options map[string]string // the connector's settings for this target
}

func (t Target) resource() protocol.Resource {
	return protocol.Resource{Name: t.Name, Protocol: t.Protocol, Addr: t.Addr, Labels: t.Labels, Options: t.Options}
}

// A Listener pairs an address with the server of its protocol.
type Listener struct {
	Addr   string
	Server protocol.Server
}

// Config is what a [Gateway] is made from.
type Config struct {
	Steps   []middleware.Step
	Targets []Target

	// Listeners are served by [Gateway.Run]. Programs that call Serve or
	// ListenAndServe themselves leave it empty.
	Listeners []Listener

	// Dial connects to targets; nil uses a net.Dialer with a 10 s limit and
	// keep-alive.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	// HandshakeTimeout bounds the time from accept to a known identity; 0: 15 s.
	HandshakeTimeout time.Duration
	// MaxHandshakes bounds the connections that have not logged in yet; 0
	// means 4096. When more come, the oldest of them is closed.
	MaxHandshakes int

	Logger         *slog.Logger         // nil: nothing is logged
	TracerProvider trace.TracerProvider // nil: no spans
	MeterProvider  metric.MeterProvider // nil: no metrics
}

// A Gateway opens sessions for the servers that it runs. It is safe for use
// by many goroutines.
type Gateway struct {
	log        *slog.Logger
	dial       func(ctx context.Context, network, addr string) (net.Conn, error)
	handshake  time.Duration
	maxPending int
	listeners  []Listener
	tracer     trace.TracerProvider
	meter      metric.MeterProvider

	live middleware.Live[map[string]Target] // steps, and targets by name

	mu        sync.Mutex
	sessions  map[string]openSession
	pending   *list.List // of *pendingConn, oldest first
	open      map[net.Listener]struct{}
	closing   bool
	conns     sync.WaitGroup
	ctx       context.Context
	terminate context.CancelCauseFunc
}

// An openSession is a session and the target that it was opened for.
type openSession struct {
	*protocol.Session
	target Target
}

// New returns a gateway. It reports every mistake in c that can be known
// without a client or a target.
func New(c Config) (*Gateway, error) {
	g := &Gateway{log: cmp.Or(c.Logger, slog.New(slog.DiscardHandler)), dial: c.Dial,
		handshake: cmp.Or(c.HandshakeTimeout, 15*time.Second), maxPending: cmp.Or(c.MaxHandshakes, 4096),
		listeners: c.Listeners, tracer: c.TracerProvider, meter: c.MeterProvider,
		sessions: map[string]openSession{}, pending: list.New(), open: map[net.Listener]struct{}{}}
	if g.dial == nil {
		g.dial = (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	}
	if c.HandshakeTimeout < 0 || c.MaxHandshakes < 0 {
		return nil, errors.New("handshake timeout and max handshakes must not be negative")
	}
	chain, targets, err := g.build(c)
	if err != nil {
		return nil, err
	}
	g.live.Replace(chain, targets)
	g.ctx, g.terminate = context.WithCancelCause(context.Background())
	return g, nil
}

func (g *Gateway) build(c Config) (*middleware.Chain, map[string]Target, error) {
	for _, l := range c.Listeners {
		if !isAddr(l.Addr) {
			return nil, nil, fmt.Errorf("listener %s: %w", l.Server.Name(), errAddr)
		}
	}
	targets := map[string]Target{}
	for i, t := range c.Targets {
		if err := checkTarget(t, c.Targets[:i], c.Listeners); err != nil {
			return nil, nil, err
		}
		targets[t.Name] = t
	}
	chain, err := middleware.NewChain(c.Steps...)
	if err != nil {
		return nil, nil, err
	}
	chain, err = chain.WithLogger(g.log).WithTelemetry(g.tracer, g.meter)
	return chain, targets, err
}

// checkTarget reports what is wrong with t, which stands behind others.
func checkTarget(t Target, others []Target, ls []Listener) error {
	fail := func(what error) error { return fmt.Errorf("target %s: %w", t.Name, what) }
	switch {
	case t.Name == "":
		return errors.New("a target without a name")
	case slices.ContainsFunc(others, func(o Target) bool { return o.Name == t.Name }):
		return fail(errors.New("there are two of this name"))
	case strings.ContainsAny(t.Name, "/@ \t\r\n\x00"):
		return fmt.Errorf("target %q: a name has no spaces, '/' or '@', which separate it from other parts", t.Name)
	case t.Addr == "" || t.Protocol == "":
		return fail(errors.New("needs an address and a protocol"))
	case !isAddr(t.Addr):
		return fail(errAddr) // without the address: a URL would have the password in it
	}
	served := len(ls) == 0 // by Serve and ListenAndServe, as nobody knows yet
	for _, l := range ls {
		served = served || l.Server.Name() == t.Protocol
		if err := checkOptions(t, l.Server); err != nil {
			return err
		}
	}
	if !served {
		return fail(fmt.Errorf("no listener serves the protocol %s", t.Protocol))
	}
	return nil
}

var errAddr = errors.New("address: want host:port, or the path of a Unix socket")

func isAddr(addr string) bool {
	_, port, err := net.SplitHostPort(addr)
	return network(addr) == "unix" || err == nil && port != ""
}

// checkOptions asks s about t, if it is one of its targets.
func checkOptions(t Target, s protocol.Server) error {
	if ch, ok := s.(protocol.TargetChecker); ok && t.Protocol == s.Name() {
		if err := ch.CheckTarget(t.resource()); err != nil {
			return fmt.Errorf("target %s: %w", t.Name, err)
		}
	}
	return nil
}

// Reload replaces steps and targets by those of c, at once and for open
// sessions too: each open session is asked about again and ends if its login or
// the session is no longer allowed, or its target is gone or another than it
// was. What waits for an approval has to be asked for again. Listeners and
// limits stay as they were, and so do journals: another one is an error. After an
// error nothing has changed.
func (g *Gateway) Reload(ctx context.Context, c Config) error {
	c.Listeners = g.listeners
	chain, targets, err := g.build(c)
	if err != nil {
		return err
	}
	if err := g.live.MayReplace(chain); err != nil {
		return err
	}
	g.mu.Lock()
	if g.closing {
		g.mu.Unlock()
		return errors.Join(protocol.ErrClosed, chain.Close())
	}
	old := g.live.Replace(chain, targets)
	g.mu.Unlock()
	defer old.Done()
	var wg sync.WaitGroup
	for _, s := range g.openSessions() {
		wg.Go(func() { s.recheck(ctx, targets) }) // a step that hangs keeps no other session open
	}
	wg.Wait()
	return nil
}

func (s openSession) recheck(ctx context.Context, targets map[string]Target) {
	if t, ok := targets[s.target.Name]; !ok || t.User != s.target.User || !reflect.DeepEqual(t.resource(), s.target.resource()) {
		s.Terminate(&protocol.DeniedError{Step: "targets", Reason: "the target is no longer served as it was", Hint: "connect again"})
		return
	}
	op := &protocol.Operation{Verb: protocol.Recheck, Access: protocol.Control, Pure: true, NoWait: true}
	x, err := s.Begin(ctx, op)
	if err != nil {
		s.Terminate(err)
		return
	}
	x.End(protocol.Outcome{Status: protocol.StatusOK})
}

func (g *Gateway) openSessions() []openSession {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Collect(maps.Values(g.sessions))
}

// Sessions returns the open sessions.
func (g *Gateway) Sessions() []*protocol.Session {
	var out []*protocol.Session
	for _, s := range g.openSessions() {
		out = append(out, s.Session)
	}
	return out
}

// Authenticate returns who is behind l, by the steps that clients log in with,
// for further doors of the program: see approval.Bearer.
func (g *Gateway) Authenticate(ctx context.Context, l *protocol.Login) (*protocol.Identity, error) {
	return g.live.Authenticate(ctx, l)
}

// Open implements [protocol.Handler]. ctx must come from ServeConn.
func (g *Gateway) Open(ctx context.Context, l *protocol.Login) (*protocol.Session, error) {
	now := g.live.Use()
	defer now.Done()
	id, err := now.Authenticate(ctx, l)
	if err != nil {
		g.log.Info("login refused", "protocol", l.Protocol, "user", l.User, "target", l.Resource, "remote", addr(l.Remote), "err", err)
		return nil, err
	}
	refuse := func(err *protocol.DeniedError) (*protocol.Session, error) {
		now.LoginRefused(ctx, l, err)
		g.log.Info("login refused", "protocol", l.Protocol, "identity", id.Subject, "target", l.Resource, "err", err)
		return nil, err
	}
	t, ok := now.With[l.Resource]
	if !ok || t.Protocol != l.Protocol {
		return refuse(&protocol.DeniedError{Step: "targets", Reason: fmt.Sprintf("there is no target %q for you here", l.Resource),
			Hint: "check the name; whoever runs the gateway knows which targets you may use"})
	}

	info := &protocol.SessionInfo{ID: protocol.NewID(), Protocol: l.Protocol, Identity: id, Resource: t.resource(),
		User: l.User, Database: l.Database, Tool: l.Tool, Remote: addr(l.Remote), TLS: l.TLS != nil, Started: time.Now()}
	pc, _ := ctx.Value(pendingKey{}).(*pendingConn)
	s := protocol.NewSession(g.ctx, protocol.SessionConfig{
		Info: info, Engine: &g.live, WhileHeld: l.WhileHeld,
		Dial: func(ctx context.Context) (net.Conn, error) {
			return g.dial(ctx, network(t.Addr), t.Addr)
		},
		Credentials: func(ctx context.Context) (protocol.Credentials, error) {
			c := protocol.Credentials{User: t.User}
			if t.Secret != nil {
				var err error
				if c.Secret, err = t.Secret(ctx); err != nil {
					return c, fmt.Errorf("secret of target %s: %w", t.Name, err)
				}
			}
			return c, nil
		},
		OnClose: func() {
			g.mu.Lock()
			delete(g.sessions, info.ID)
			g.mu.Unlock()
		},
	})
	g.mu.Lock()
	if g.closing {
		g.mu.Unlock()
		s.Close(protocol.ErrClosed)
		return nil, protocol.ErrClosed
	}
	g.sessions[info.ID] = openSession{s, t}
	g.mu.Unlock()
	if !g.live.Is(now) { // a reload may have looked at the sessions before this one was there
		s.Close(protocol.ErrClosed)
		return refuse(&protocol.DeniedError{Step: "gateway", Reason: "the configuration changed during the login", Hint: "connect again"})
	}
	pc.identified() // from here on waiting for an approval has its own limits
	if err := s.Connect(ctx, &protocol.Operation{}); err != nil {
		s.Close(err)
		return nil, err
	}
	g.log.Info("session opened", "session", info.ID, "identity", id.Subject, "issuer", id.Issuer, "target", t.Name, "tool", l.Tool.Name, "remote", info.Remote)
	return s, nil
}

func network(addr string) string {
	if strings.HasPrefix(addr, "/") {
		return "unix"
	}
	return "tcp"
}

func addr(a net.Addr) string {
	if a == nil {
		return ""
	}
	return a.String()
}

// pendingConn is a connection that has not logged in yet.
type pendingConn struct {
	g     *Gateway
	conn  net.Conn
	timer *time.Timer
	elem  *list.Element
}

type pendingKey struct{}

func (g *Gateway) admit(conn net.Conn) *pendingConn {
	pc := &pendingConn{g: g, conn: conn}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.pending.Len() >= g.maxPending {
		oldest := g.pending.Remove(g.pending.Front()).(*pendingConn)
		oldest.elem = nil
		_ = oldest.conn.Close() // its ServeConn ends with a read error
	}
	pc.elem = g.pending.PushBack(pc)
	pc.timer = time.AfterFunc(g.handshake, func() { _ = conn.Close() })
	return pc
}

func (pc *pendingConn) identified() {
	if pc == nil {
		return
	}
	pc.timer.Stop()
	pc.g.mu.Lock()
	defer pc.g.mu.Unlock()
	if pc.elem != nil {
		pc.g.pending.Remove(pc.elem)
		pc.elem = nil
	}
}

// Listen listens on addr, a host:port or the path of a Unix socket, which may be a dead one.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	removeStale(addr)
	return (&net.ListenConfig{}).Listen(ctx, network(addr), addr)
}

// ListenAndServe serves what [Listen] returns; see [Gateway.Serve].
func (g *Gateway) ListenAndServe(ctx context.Context, addr string, s protocol.Server) error {
	l, err := Listen(ctx, addr)
	if err == nil {
		err = g.Serve(ctx, l, s)
	}
	return err
}

// removeStale removes the socket that a process which was killed left at addr.
func removeStale(addr string) {
	if st, err := os.Lstat(addr); network(addr) != "unix" || err != nil || st.Mode().Type() != os.ModeSocket {
		return
	}
	if conn, err := net.Dial("unix", addr); err == nil {
		_ = conn.Close()
	} else if errors.Is(err, syscall.ECONNREFUSED) {
		_ = os.Remove(addr)
	}
}

// Serve accepts connections from l until ctx is done or Shutdown is called, and
// then returns nil; a target with settings that s does not know is an error at
// once. It closes l. Open sessions go on: end them with Shutdown.
func (g *Gateway) Serve(ctx context.Context, l net.Listener, s protocol.Server) error {
	g.mu.Lock()
	if g.closing {
		g.mu.Unlock()
		_ = l.Close()
		return protocol.ErrClosed
	}
	g.open[l] = struct{}{}
	g.mu.Unlock()
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	defer func() {
		_ = l.Close()
		g.mu.Lock()
		delete(g.open, l)
		g.mu.Unlock()
	}()
	now := g.live.Use()
	now.Done()
	for _, t := range now.With {
		if err := checkOptions(t, s); err != nil {
			return err
		}
	}
	g.log.Info("listening", "protocol", s.Name(), "address", l.Addr().String())
	for {
		conn, err := l.Accept()
		g.mu.Lock()
		closing := g.closing
		if err == nil && !closing {
			g.conns.Add(1)
		}
		g.mu.Unlock()
		switch {
		case err == nil && closing:
			_ = conn.Close()
			return nil
		case err == nil:
			go g.serveConn(conn, s)
		case closing || ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		default:
			// Out of descriptors, or a connection that was gone again: the
			// listener itself is fine.
			g.log.Warn("accept", "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
}

func (g *Gateway) serveConn(conn net.Conn, s protocol.Server) {
	defer g.conns.Done()
	pc := g.admit(conn)
	defer pc.identified()
	defer conn.Close()
	ctx := context.WithValue(g.ctx, pendingKey{}, pc)
	err := protocol.Guard(func() error { return s.ServeConn(ctx, conn, g) })
	var p *protocol.PanicError
	switch {
	case errors.As(err, &p):
		g.log.Error("a connection panicked", "protocol", s.Name(), "remote", addr(conn.RemoteAddr()), "panic", p.Value, "stack", string(p.Stack))
	case err != nil:
		g.log.Debug("connection ended", "protocol", s.Name(), "remote", addr(conn.RemoteAddr()), "err", err)
	}
}

// Run serves all Listeners of the Config until ctx is done, and returns the
// first error of any of them.
func (g *Gateway) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	errs := make([]error, len(g.listeners))
	for i, l := range g.listeners {
		wg.Go(func() {
			if errs[i] = g.ListenAndServe(ctx, l.Addr, l.Server); errs[i] != nil {
				cancel(errs[i])
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Shutdown stops accepting, asks every session to end at the next good moment,
// and waits. When ctx is done it ends what is left at once. Every session has
// written its end and the steps are closed when Shutdown returns.
func (g *Gateway) Shutdown(ctx context.Context) error {
	g.mu.Lock()
	if g.closing {
		g.mu.Unlock()
		return protocol.ErrClosed
	}
	g.closing = true
	for l := range g.open {
		_ = l.Close()
	}
	for e := g.pending.Front(); e != nil; e = e.Next() {
		_ = e.Value.(*pendingConn).conn.Close()
	}
	g.mu.Unlock()
	for _, s := range g.Sessions() {
		s.Drain()
	}
	done := make(chan struct{})
	go func() { g.conns.Wait(); close(done) }()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = ctx.Err()
		g.terminate(errShutdown)
		<-done
	}
	g.terminate(errShutdown)
	g.live.Close()
	return err
}

var errShutdown = errors.New("the gateway is shutting down")

// A ServerKind is a kind of listener that a configuration file can name.
type ServerKind struct {
	Name string
	// New builds the server from its settings, as in middleware.Kind.
	New func(decode func(into any) error) (protocol.Server, error)
}

// Kinds are what a configuration file may name. Nothing else can be used.
type Kinds struct {
	Steps   []middleware.Kind
	Servers []ServerKind

	// Sections are further top-level keys, for the program's own settings, and
	// what they are decoded into. That happens before anything is built.
	Sections map[string]any
}

// Load reads a YAML configuration, in the form that package config describes;
// name is the file's name for messages. It reports all mistakes that can be
// known without a client or a target, each with its place in the file. After an
// error it has closed the steps that it built.
func Load(r io.Reader, name string, kinds Kinds) (c Config, err error) {
	f, err := config.Read(r, name, kinds.Sections)
	errs := []error{err}
	fail := func(s config.Section, what string, err error) {
		if err != nil {
			errs = append(errs, s.Fail(what, err))
		}
	}
	for _, l := range f.Listen {
		kind, err := config.Named(l.Protocol, kinds.Servers, func(k ServerKind) string { return k.Name })
		if err != nil {
			fail(l.Section, "listen: protocol", err)
			continue
		}
		if !isAddr(l.Address) {
			fail(l.Section, "listen "+l.Protocol, errAddr)
		}
		s, err := kind.New(l.Settings.Decode)
		if fail(l.Settings, "listen "+l.Protocol, err); err == nil {
			c.Listeners = append(c.Listeners, Listener{Addr: l.Address, Server: s})
		}
	}
	for _, ft := range f.Targets {
		t := Target{Name: ft.Name, Protocol: ft.Protocol, Addr: ft.Address, User: ft.User, Labels: ft.Labels, Options: ft.Options}
		if ft.Secret != (config.Secret{}) {
			t.Secret = ft.Secret.Get
		}
		fail(ft.Section, "", checkTarget(t, c.Targets, c.Listeners))
		c.Targets = append(c.Targets, t)
	}
	c.Steps, err = f.Build(kinds.Steps)
	if err = errors.Join(append(errs, err)...); err == nil {
		return c, nil
	}
	return Config{}, errors.Join(err, config.Close(c.Steps))
}
