package protocoltest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/goleak"

	"github.com/sallyport-dev/gateway"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
)

const (
	soon     = time.Second     // what "within a second" means
	patience = 5 * time.Second // after which something hangs
	settle   = 60 * time.Millisecond
	slack    = 3 * time.Second // for what has a deadline of its own

	targetName = "kit-target"
)

// A rig is a gateway with one connector, a toy target behind it, and an eye on
// all wires.
type rig struct {
	TB
	check Check
	kit   Kit
	tr    Transport

	gw       *gateway.Gateway
	rec      *Recorder
	log      syncBuffer
	clock    atomic.Uint64
	tags     atomic.Uint64
	target   *Target
	proof    string
	secret   string // the target's
	internal string // in errors of steps: never for a client to read

	// Set in Check.setUp, or before the traffic they concern.
	handshake  time.Duration
	oneByte    bool
	mayPanic   bool // the check panics on purpose
	mayBeStuck bool // the check measures Shutdown itself

	toServer, toClient, toTarget, fromTarget *tape // of all legs together

	dials    atomic.Int64
	early    atomic.Int64 // dials before a login was accepted
	listener net.Listener
	dialPipe func() (net.Conn, error)
	stop     context.CancelFunc

	mu      sync.Mutex
	rules   map[string]rule // by tag
	verbs   map[protocol.Verb]rule
	conns   []net.Conn     // of clients
	targets []net.Conn     // the gateway's ends
	served  sync.WaitGroup // target connections, Serve
	ignore  goleak.Option
	stopped bool
}

type rule func(ctx context.Context, op *protocol.Operation) (protocol.Decision, error)

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// String returns what was written.
func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func newRig(t TB, k Kit, tr Transport, c Check) *rig {
	t.Helper()
	if k.Shape == 0 {
		k.Shape = protocol.Rows
	}
	if k.MaxRow == 0 {
		k.MaxRow = 8 << 20
	}
	r := &rig{TB: t, check: c, kit: k, tr: tr, handshake: 10 * time.Second, rules: map[string]rule{}, verbs: map[protocol.Verb]rule{},
		proof: "client-proof-" + protocol.NewID(), secret: "target-secret-" + protocol.NewID(),
		internal: "internal-detail-" + protocol.NewID(), ignore: goleak.IgnoreCurrent()}
	r.toServer, r.toClient, r.toTarget, r.fromTarget = newTape(&r.clock), newTape(&r.clock), newTape(&r.clock), newTape(&r.clock)
	r.rec = &Recorder{clock: &r.clock}
	r.target = &Target{script: map[string]func() Reply{},
		account: protocol.Credentials{User: "gateway", Secret: protocol.NewSecret(r.secret)},
		saw: func(text string) {
			if k.Encrypted {
				r.toTarget.add([]byte("\n" + text + "\n"))
			}
		}}
	if c.setUp != nil {
		c.setUp(r)
	}

	conf := r.config()
	conf.Logger = slog.New(slog.NewTextHandler(&r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	conf.HandshakeTimeout = r.handshake
	conf.Dial = r.dialTarget
	gw, err := gateway.New(conf)
	if err != nil {
		t.Fatalf("the kit's gateway: %v", err)
	}
	r.gw = gw
	var l net.Listener
	if tr == Pipe {
		pl := newPipeListener()
		l, r.dialPipe = pl, pl.dial
	} else if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatalf("the kit's listener: %v", err)
	}
	r.listener = &listener{l, func(c net.Conn) net.Conn {
		return (&tapedConn{Conn: c, in: []*tape{r.toServer}, out: []*tape{r.toClient}, oneByte: r.oneByte}).conn()
	}}
	ctx, cancel := context.WithCancel(context.Background())
	r.stop = cancel
	server := k.NewServer()
	r.served.Go(func() {
		if err := gw.Serve(ctx, r.listener, server); err != nil && !errors.Is(err, protocol.ErrClosed) { // a check may end first
			t.Errorf("the kit's gateway: %v", err)
		}
	})
	return r
}

func (r *rig) config(extra ...middleware.Step) gateway.Config {
	steps := []middleware.Step{
		{Name: "kit", Authenticate: r.authenticate, Operation: r.decide},
	}
	steps = append(append(steps, extra...), r.rec.Step())
	return gateway.Config{
		Steps: steps,
		Targets: []gateway.Target{{Name: targetName, Protocol: r.kit.NewServer().Name(), Addr: "kit:1",
			User: r.target.Account().User, Secret: gateway.Fixed(protocol.NewSecret(r.secret)), Options: r.kit.Options}},
	}
}

func (r *rig) authenticate(ctx context.Context, l *protocol.Login) (*protocol.Identity, error) {
	ok := false
	switch p := l.Proof.(type) {
	case protocol.Password:
		ok = p.Secret.Reveal() == r.proof
	case protocol.Token:
		ok = p.Secret.Reveal() == r.proof
	case protocol.Challenge:
		var err error
		if ok, err = p.Verify(ctx, protocol.NewSecret(r.proof)); err != nil {
			return nil, err
		}
	}
	if r.kit.Knows != nil {
		ok = r.kit.Knows(l)
	}
	if !ok {
		return nil, nil
	}
	return &protocol.Identity{Issuer: "kit", Subject: l.User, Kind: protocol.Human, Method: "kit"}, nil
}

func (r *rig) decide(ctx context.Context, op *protocol.Operation) (protocol.Decision, error) {
	r.mu.Lock()
	f := r.verbs[op.Verb]
	for tag, g := range r.rules {
		if strings.Contains(op.Text, tag) {
			f = g
		}
	}
	r.mu.Unlock()
	if f == nil {
		return protocol.Allow("kit"), nil
	}
	return f(ctx, op)
}

// rule sets what happens to operations whose text has the tag.
func (r *rig) rule(tag string, f rule) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rules[tag] = f
}

func (r *rig) verb(v protocol.Verb, f rule) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.verbs[v] = f
}

func deny(reason string) rule {
	return func(context.Context, *protocol.Operation) (protocol.Decision, error) {
		return protocol.Deny(reason), nil
	}
}

// dialTarget is the gateway's way to the target.
func (r *rig) dialTarget(ctx context.Context, _, _ string) (net.Conn, error) {
	r.dials.Add(1)
	accepted := false
	for _, e := range r.rec.Events() {
		accepted = accepted || e.Kind == protocol.Decided && e.Verb == protocol.Connect && e.Decision.Effect == protocol.AllowEffect
	}
	if !accepted {
		r.early.Add(1)
	}
	ours, theirs, err := r.pair(ctx)
	if err != nil {
		return nil, err
	}
	r.keep(&r.targets, ours)
	r.mu.Lock()
	serve := r.kit.ServeTarget
	r.mu.Unlock()
	r.served.Go(func() {
		defer theirs.Close()
		_ = serve(theirs, r.target) // how it ends is the connector's choice
	})
	return (&tapedConn{Conn: ours, in: []*tape{r.fromTarget}, out: []*tape{r.toTarget}, oneByte: r.oneByte}).conn(), nil
}

// setServeTarget changes what is behind the target's address.
func (r *rig) setServeTarget(f func(net.Conn, *Target) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kit.ServeTarget = f
}

// pair returns the two ends of a connection.
func (r *rig) pair(ctx context.Context) (a, b net.Conn, err error) {
	if r.tr == Pipe {
		a, b = net.Pipe()
		return a, b, nil
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	if a, err = (&net.Dialer{}).DialContext(ctx, "tcp", l.Addr().String()); err != nil {
		return nil, nil, err
	}
	if b, err = l.Accept(); err != nil {
		return nil, nil, errors.Join(err, a.Close())
	}
	return a, b, nil
}

func (r *rig) keep(list *[]net.Conn, c net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*list = append(*list, c)
}

// dial opens a connection to the server under test.
func (r *rig) dial() (net.Conn, error) {
	dial := r.dialPipe
	if dial == nil {
		dial = func() (net.Conn, error) { return net.Dial("tcp", r.listener.Addr().String()) }
	}
	c, err := dial()
	if err != nil {
		return nil, err
	}
	r.keep(&r.conns, c)
	return c, nil
}

func (r *rig) login() Login {
	return Login{Target: targetName, User: "ada", Proof: r.proof, Dial: r.dial}
}

// A session is a client of the kit with its connection.
type session struct {
	r    *rig
	conn net.Conn
	c    Client
}

// connect logs in.
func (r *rig) connect(l Login) (*session, error) {
	conn, err := r.dial()
	if err != nil {
		return nil, err
	}
	var c Client
	err = r.within(patience, conn, "the login did not end", func() (err error) { c, err = r.kit.NewClient(conn, l); return err })
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &session{r, conn, c}, nil
}

// open logs in, which must succeed.
func (r *rig) open() *session {
	r.Helper()
	s, err := r.connect(r.login())
	if err != nil {
		r.fatalf("a good login was refused: %v\nlog: %s", err, r.log.String())
	}
	return s
}

var errHangs = errors.New("hangs")

// within runs f; if it takes too long its connection is closed.
func (r *rig) within(d time.Duration, conn net.Conn, what string, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-time.After(d):
		_ = conn.Close()
		select {
		case err := <-done:
			return fmt.Errorf("%s within %v (%w): %w", what, d, errHangs, err)
		case <-time.After(slack):
			return fmt.Errorf("%s within %v, nor when its connection was closed (%w)", what, d, errHangs)
		}
	}
}

// do runs text and returns the rows, in a form that can be compared.
func (s *session) do(text string) (string, error) {
	var b strings.Builder
	err := s.r.within(patience, s.conn, "no answer", func() error {
		return s.c.Do(text, func(values [][]byte) error {
			b.WriteString(s.r.show(values))
			return nil
		})
	})
	return b.String(), err
}

// show returns a row as text. Streams have no rows: their chunks are joined.
func (r *rig) show(values [][]byte) string {
	if r.kit.Encrypted {
		for _, v := range values {
			r.toClient.add(append(append([]byte("\n"), v...), '\n'))
		}
	}
	if r.kit.Shape&protocol.Rows == 0 {
		return string(bytes.Join(values, nil))
	}
	var b strings.Builder
	for _, v := range values {
		if v == nil {
			b.WriteString("NULL|")
		} else {
			fmt.Fprintf(&b, "%q|", v)
		}
	}
	b.WriteByte('\n')
	return b.String()
}

// tag returns a new tag for a text, which the target answers with f. The wires
// are watched for it.
func (r *rig) tag(f func() Reply) string {
	tag := fmt.Sprintf("kit%dz", r.tags.Add(1))
	r.toTarget.watch(tag)
	r.target.on(tag, f)
	return tag
}

// value is what the default answer to a tag has in its row.
func value(tag string) string { return "value0" + tag }

// read returns a tag and a text that reads one row with value(tag).
func (r *rig) read() (tag, text string) {
	tag = r.tag(nil)
	r.toClient.watch(value(tag))
	r.target.on(tag, func() Reply { return r.rows(row("1", value(tag)), row("2", "another")) })
	return tag, r.kit.Read(tag)
}

// write returns a tag and a text that changes something.
func (r *rig) write() (tag, text string) {
	tag = r.tag(func() Reply { return Reply{} })
	return tag, r.kit.Write(tag)
}

// rows returns a reply; for streams only the last value of each row counts.
func (r *rig) rows(rows ...[][]byte) Reply {
	if r.kit.Shape&protocol.Rows == 0 {
		rows = slices.Clone(rows) // the caller's
		for i := range rows {
			rows[i] = rows[i][len(rows[i])-1:]
		}
	}
	return Reply{Columns: r.columns(), Rows: rowsOf(rows...)}
}

func (r *rig) columns() []string {
	if r.kit.Shape&protocol.Rows == 0 {
		return []string{"data"}
	}
	return []string{"id", "value"}
}

// expect returns what do must return for the rows.
func (r *rig) expect(rows ...[][]byte) string {
	var b strings.Builder
	for _, v := range rows {
		if r.kit.Shape&protocol.Rows == 0 {
			v = v[len(v)-1:]
		}
		b.WriteString(r.show(v))
	}
	return b.String()
}

// works fails the check unless the session answers a read.
func (s *session) works(when string) {
	s.r.Helper()
	tag, text := s.r.read()
	got, err := s.do(text)
	if want := s.r.expect(row("1", value(tag)), row("2", "another")); err != nil || got != want {
		s.r.fatalf("%s a read gave %q, %v; want %q", when, got, err, want)
	}
}

// unsent fails the check if the target has seen the tag.
func (r *rig) unsent(tag, when string) {
	r.Helper()
	if r.toTarget.at(tag) != 0 {
		r.fatalf("the target saw the text %s", when)
	}
}

// eventually waits until f holds and returns whether it did.
func (r *rig) eventually(d time.Duration, f func() bool) bool {
	deadline := time.After(d)
	for !f() {
		select {
		case <-deadline:
			return f()
		case <-time.After(2 * time.Millisecond):
		}
	}
	return true
}

// events returns the events of operations whose text has the tag.
func (r *rig) events(tag string, kind protocol.EventKind) []Event {
	var out []Event
	for _, e := range r.rec.Events() {
		if e.Kind == kind && strings.Contains(e.Text, tag) {
			out = append(out, e)
		}
	}
	return out
}

// closed reports whether the server closes conn within d.
func closed(conn net.Conn, d time.Duration) bool {
	_ = conn.SetReadDeadline(time.Now().Add(d)) // fails on a closed connection
	var buf [4 << 10]byte
	for {
		if _, err := conn.Read(buf[:]); err != nil {
			var ne net.Error
			return !errors.As(err, &ne) || !ne.Timeout()
		}
	}
}

func (r *rig) fatalf(format string, args ...any) {
	r.Helper()
	r.Fatalf("%s: %s", r.check.Rule, fmt.Sprintf(format, args...))
}

func (r *rig) errorf(rule, format string, args ...any) {
	r.Helper()
	r.Errorf("%s: %s", rule, fmt.Sprintf(format, args...))
}

// tearDown ends everything and then looks at what was left.
func (r *rig) tearDown() {
	r.Helper()
	r.mu.Lock()
	conns := r.conns
	r.mu.Unlock()
	for _, c := range conns {
		_ = c.Close() // some are closed already
	}
	if !r.eventually(slack, func() bool { return len(r.gw.Sessions()) == 0 }) {
		r.errorf("a session ends when its client leaves", "%d are still open %v later", len(r.gw.Sessions()), slack)
	}
	if err := r.shutdown(slack); err != nil && !r.mayBeStuck {
		r.errorf("ServeConn returns when its client leaves", "it still ran %v later", slack)
	}
	r.stop()
	done := make(chan struct{})
	go func() { r.served.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(slack):
		r.errorf("a connection to the target ends with its session", "one was still open %v later", slack)
		r.mu.Lock()
		for _, c := range r.targets {
			_ = c.Close()
		}
		r.mu.Unlock()
		<-done
	}
	r.audit()
	if err := goleak.Find(r.ignore); err != nil {
		r.errorf("no goroutine outlives ServeConn", "%v", err)
	}
}

// shutdown ends the gateway once; a connector that never returns is reported
// and left behind.
func (r *rig) shutdown(d time.Duration) error {
	r.mu.Lock()
	done := r.stopped
	r.stopped = true
	r.mu.Unlock()
	if done {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- r.gw.Shutdown(ctx) }()
	select {
	case err := <-ended:
		return err
	case <-time.After(d + slack):
		r.errorf("ServeConn returns soon after its context is done", "it still ran %v later", slack)
		return errHangs
	}
}

// audit holds the record of the check to the rules that always hold.
func (r *rig) audit() {
	r.Helper()
	if n := r.early.Load(); n > 0 {
		r.errorf("invariant 1: nothing is dialled before the login is accepted", "%d dials came before", n)
	}
	type key struct {
		session string
		op      uint64
	}
	allowed, ended := map[key]int{}, map[key]int{}
	label := map[key]string{}
	for _, e := range r.rec.Events() {
		k := key{e.Session, e.Operation}
		label[k] = fmt.Sprintf("operation %d (%s %q)", e.Operation, e.Verb, e.Text)
		switch {
		case e.Kind == protocol.Decided && e.Decision.Effect == protocol.AllowEffect:
			allowed[k]++
		case e.Kind == protocol.Ended:
			ended[k]++
		}
	}
	for k, n := range allowed {
		if n != 1 || ended[k] != 1 {
			r.errorf("invariant 6: a begun operation ends once", "%s was begun %d times and ended %d times", label[k], n, ended[k])
		}
	}
	for k, n := range ended {
		if allowed[k] == 0 {
			r.errorf("invariant 6: only a begun operation ends", "%s ended %d times", label[k], n)
		}
	}
	if s := r.log.String(); !r.mayPanic && strings.Contains(s, "panicked") {
		r.errorf("invariant 8: no bytes make a connector panic", "%s", s)
	}
	r.searchSecrets()
}

// searchSecrets looks for planted secrets where they do not belong.
func (r *rig) searchSecrets() {
	r.Helper()
	var events strings.Builder
	for _, e := range r.rec.Events() {
		fmt.Fprintf(&events, "%+v\n", e)
	}
	const rule = "invariant 5: secrets stay on their side"
	for _, s := range []struct {
		what, secret string
		wires        map[string]*tape
	}{
		{"the client's proof", r.proof, map[string]*tape{"to the target": r.toTarget, "to the client": r.toClient}},
		{"the target's secret", r.secret, map[string]*tape{"to the client": r.toClient, "from the client": r.toServer}},
	} {
		for _, form := range forms(s.secret) {
			for where, t := range s.wires {
				if t.contains(form) {
					r.errorf(rule, "%s went %s", s.what, where)
				}
			}
			if strings.Contains(r.log.String(), form) {
				r.errorf(rule, "%s is in the log", s.what)
			}
			if strings.Contains(events.String(), form) {
				r.errorf(rule, "%s is in the record", s.what)
			}
		}
	}
	if r.toClient.contains(r.internal) {
		r.errorf("only a refusal's reason is shown to a client: protocol.Reason", "an internal error's text went to the client")
	}
}

// forms returns the ways in which a secret may appear.
func forms(s string) []string {
	return []string{s, hex.EncodeToString([]byte(s)), base64.StdEncoding.EncodeToString([]byte(s)), base64.URLEncoding.EncodeToString([]byte(s))}
}
