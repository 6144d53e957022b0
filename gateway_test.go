package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway"
	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/examples/customconnector/line"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/protocoltest"
)

// shop is the target of the line connector: it answers every statement with
// the login it got.
func shop(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var wg sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				r := bufio.NewReader(c)
				login, err := r.ReadString('\n')
				if err != nil {
					return
				}
				_, _ = fmt.Fprint(c, "OK\n") // a client that left is seen by the next read
				for {
					if _, err := r.ReadString('\n'); err != nil {
						return
					}
					_, _ = fmt.Fprintf(c, "COLS login\nROW %sEND\n", login)
				}
			})
		}
	})
	return l.Addr().String()
}

// door is a step that lets ada in, and allows what the rule allows.
func door(rule func(op *protocol.Operation) protocol.Decision) middleware.Step {
	return middleware.Step{Name: "door",
		Authenticate: func(_ context.Context, l *protocol.Login) (*protocol.Identity, error) {
			if p, ok := l.Proof.(protocol.Password); ok && l.User == "ada" && p.Secret.Reveal() == "open" {
				return &protocol.Identity{Issuer: "test", Subject: "ada"}, nil
			}
			return nil, nil
		},
		Operation: func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
			if rule == nil {
				return protocol.Allow("all"), nil
			}
			return rule(op), nil
		}}
}

func config(addr string, rec *protocoltest.Recorder) gateway.Config {
	return gateway.Config{
		Steps: []middleware.Step{door(nil), rec.Step()},
		Targets: []gateway.Target{{Name: "shop", Protocol: "line", Addr: addr, User: "gw",
			Secret: gateway.Fixed(protocol.NewSecret("target-secret"))}},
	}
}

// start serves c until the test ends and returns the address.
func start(t testing.TB, c gateway.Config) (*gateway.Gateway, string) {
	t.Helper()
	gw, err := gateway.New(c)
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- gw.Serve(context.Background(), l, &line.Server{}) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := gw.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, protocol.ErrClosed) {
			require.NoError(t, err)
		}
		require.NoError(t, <-served)
	})
	return gw, l.Addr().String()
}

// A person is a client of the line connector.
type person struct {
	net.Conn
	r *bufio.Reader
}

func dial(t testing.TB, addr string) *person {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(10*time.Second)))
	return &person{c, bufio.NewReader(c)}
}

// say sends a line and returns the next one, "" after the end.
func (p *person) say(text string) string {
	_, _ = fmt.Fprintf(p, "%s\n", text) // what comes back says whether it arrived
	return p.hear()
}

func (p *person) hear() string {
	s, _ := p.r.ReadString('\n')
	return strings.TrimSuffix(s, "\n")
}

func login(t testing.TB, addr string) *person {
	t.Helper()
	p := dial(t, addr)
	require.Equal(t, "OK", p.say("LOGIN shop ada open"))
	return p
}

func TestGateway(t *testing.T) {
	rec := &protocoltest.Recorder{}
	gw, addr := start(t, config(shop(t), rec))
	p := login(t, addr)
	require.Equal(t, "COLS login", p.say("GET x"))
	require.Equal(t, "ROW LOGIN - gw target-secret", p.hear(), "the target sees the gateway's own login")
	require.Equal(t, "END", p.hear())
	require.Len(t, gw.Sessions(), 1)
	info := gw.Sessions()[0].Info()
	require.Equal(t, "ada", info.Identity.Subject)
	require.Equal(t, "shop", info.Resource.Name)
	require.Equal(t, p.LocalAddr().String(), info.Remote)
	require.NoError(t, p.Close())
	require.Eventually(t, func() bool { return len(gw.Sessions()) == 0 }, 5*time.Second, time.Millisecond)
	var kinds []string
	for _, e := range rec.Events() {
		kinds = append(kinds, fmt.Sprint(e.Verb, " ", e.Kind))
	}
	require.Equal(t, []string{"connect asked", "connect decided", "get asked", "get decided", "get ended", "connect ended"}, kinds)
}

func TestRefusedLogins(t *testing.T) {
	rec := &protocoltest.Recorder{}
	c := config(shop(t), rec)
	c.Targets = append(c.Targets, gateway.Target{Name: "other", Protocol: "postgres", Addr: "127.0.0.1:1"})
	c.Dial = func(context.Context, string, string) (net.Conn, error) {
		t.Error("a refused login dials nothing")
		return nil, errors.New("no")
	}
	_, addr := start(t, c)
	for text, want := range map[string]string{
		"LOGIN shop ada wrong": "ERR the login was not accepted",
		"LOGIN shop bob open":  "ERR the login was not accepted",
		"LOGIN nope ada open":  `ERR there is no target "nope" for you here`,
		"LOGIN other ada open": `ERR there is no target "other" for you here`, // it exists, behind another protocol
		"LOGIN nope bob open":  "ERR the login was not accepted",              // who is not known learns nothing about targets
	} {
		p := dial(t, addr)
		require.Equal(t, want, p.say(text))
		require.Equal(t, "", p.hear())
	}
	require.Len(t, rec.Events(), 5)
	for _, e := range rec.Events() {
		require.Equal(t, protocol.LoginRefused, e.Kind)
	}
}

func TestNewRefuses(t *testing.T) {
	rec := (&protocoltest.Recorder{}).Step()
	good := gateway.Target{Name: "a", Protocol: "line", Addr: "h:1"}
	target := func(change func(*gateway.Target)) gateway.Config {
		tg := good
		change(&tg)
		return gateway.Config{Steps: []middleware.Step{rec}, Targets: []gateway.Target{tg}}
	}
	for want, c := range map[string]gateway.Config{
		"no step records":         {},
		"a target without a name": target(func(t *gateway.Target) { t.Name = "" }),
		"a name has no spaces":    target(func(t *gateway.Target) { t.Name = "a/b" }),
		"needs an address":        target(func(t *gateway.Target) { t.Addr = "" }),
		"a Unix socket":           target(func(t *gateway.Target) { t.Addr = "postgres://svc:hunter2@10.0.0.5/shop" }),
		"listener line: address":  {Steps: []middleware.Step{rec}, Listeners: []gateway.Listener{{Addr: "5432", Server: &line.Server{}}}},
		"max handshakes":          {Steps: []middleware.Step{rec}, MaxHandshakes: -1},
		"handshake timeout":       {Steps: []middleware.Step{rec}, HandshakeTimeout: -1},
		"and a protocol":          target(func(t *gateway.Target) { t.Protocol = "" }),
		"two of this name":        {Steps: []middleware.Step{rec}, Targets: []gateway.Target{good, good}},
		"no listener serves": {Steps: []middleware.Step{rec}, Targets: []gateway.Target{{Name: "a", Protocol: "postgres", Addr: "h:1"}},
			Listeners: []gateway.Listener{{Addr: ":0", Server: &line.Server{}}}},
	} {
		_, err := gateway.New(c)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "hunter2")
	}
}

// A gateway whose steps say nothing refuses everything.
func TestNobodyHasAnOpinion(t *testing.T) {
	c := config(shop(t), &protocoltest.Recorder{})
	c.Steps = []middleware.Step{(&protocoltest.Recorder{}).Step()}
	_, addr := start(t, c)
	require.Equal(t, "ERR the login was not accepted", dial(t, addr).say("LOGIN shop ada open"))
	c.Steps = []middleware.Step{door(func(*protocol.Operation) protocol.Decision { return protocol.Pass }), c.Steps[0]}
	_, addr = start(t, c)
	require.Equal(t, "ERR no rule allows this", dial(t, addr).say("LOGIN shop ada open"))
}

func TestReload(t *testing.T) {
	rec := &protocoltest.Recorder{}
	c := config(shop(t), rec)
	closed := make(chan string, 10)
	watch := func(name string) middleware.Step {
		return middleware.Step{Name: name, Operation: func(context.Context, *protocol.Operation) (protocol.Decision, error) { return protocol.Pass, nil },
			Close: func() error { closed <- name; return nil }}
	}
	c.Steps = append(c.Steps, watch("first"))
	gw, addr := start(t, c)
	p := login(t, addr)

	// A mistake changes nothing.
	require.ErrorContains(t, gw.Reload(t.Context(), gateway.Config{}), "no step records")
	require.Equal(t, "COLS login", p.say("GET x"))
	p.hear()
	p.hear()

	// New rules hold for open sessions; the old steps are closed.
	c.Steps = []middleware.Step{door(func(op *protocol.Operation) protocol.Decision {
		if op.Access.Has(protocol.Write) {
			return protocol.Deny("read only since the reload")
		}
		return protocol.Allow("reads")
	}), rec.Step(), watch("second")}
	require.NoError(t, gw.Reload(t.Context(), c))
	require.Equal(t, "first", <-closed)
	require.Equal(t, "ERR read only since the reload", p.say("SET x"))
	require.Equal(t, "COLS login", p.say("GET x"))
	p.hear()
	p.hear()

	// A target that is gone ends its sessions.
	c.Targets[0].Name = "elsewhere"
	require.NoError(t, gw.Reload(t.Context(), c))
	require.Equal(t, "", p.hear())
	require.Equal(t, `ERR there is no target "shop" for you here`, dial(t, addr).say("LOGIN shop ada open"))
}

// What has begun would be in neither of two journals as a whole: the statement of a
// read that was under way was in none.
func TestReloadKeepsTheJournal(t *testing.T) {
	dir := t.TempDir()
	recordIn := func(name string) middleware.Step {
		j, err := audit.Open(filepath.Join(dir, name), audit.Options{MinFree: 1})
		require.NoError(t, err)
		t.Cleanup(func() { _ = j.Close() })
		return middleware.Record(j)
	}
	c := config(shop(t), &protocoltest.Recorder{})
	first := recordIn("first")
	c.Steps = []middleware.Step{door(nil), first}
	gw, addr := start(t, c)
	p := login(t, addr)
	next := c
	next.Steps = []middleware.Step{door(nil), recordIn("second")}
	require.ErrorContains(t, gw.Reload(t.Context(), next), "step record: "+filepath.Join(dir, "first")+" is the journal")
	require.Equal(t, "COLS login", p.say("GET x"), "nothing has changed")
	p.hear()
	p.hear()
	next.Steps = []middleware.Step{door(nil), first}
	require.NoError(t, gw.Reload(t.Context(), next))
	require.Equal(t, "COLS login", p.say("GET x"))
}

func TestShutdown(t *testing.T) {
	c := config(shop(t), &protocoltest.Recorder{})
	closed := false
	c.Steps = append(c.Steps, middleware.Step{Name: "last", Operation: c.Steps[0].Operation, Close: func() error { closed = true; return nil }})
	gw, err := gateway.New(c)
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- gw.Serve(context.Background(), l, &line.Server{}) }()
	idle, silent := login(t, l.Addr().String()), dial(t, l.Addr().String())

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	require.NoError(t, gw.Shutdown(ctx))
	require.NoError(t, <-served)
	require.Equal(t, "", idle.hear())
	require.Equal(t, "", silent.hear(), "who has not logged in is not waited for")
	require.Empty(t, gw.Sessions())
	require.True(t, closed)

	require.ErrorIs(t, gw.Shutdown(ctx), protocol.ErrClosed)
	require.ErrorIs(t, gw.ListenAndServe(ctx, "127.0.0.1:0", &line.Server{}), protocol.ErrClosed)
	_, err = gw.Open(ctx, &protocol.Login{Protocol: "line", Resource: "shop", User: "ada", Proof: protocol.Password{Secret: protocol.NewSecret("open")}})
	require.Error(t, err, "nobody gets in afterwards")
	_, err = net.Dial("tcp", l.Addr().String())
	require.Error(t, err)
}

func TestShutdownEndsWhatDoesNotEnd(t *testing.T) {
	held := make(chan struct{})
	rec := &protocoltest.Recorder{}
	c := config(shop(t), rec)
	c.Steps[0] = door(func(op *protocol.Operation) protocol.Decision {
		if op.Verb != "set" {
			return protocol.Allow("all")
		}
		return protocol.Hold("t", "four eyes", func(ctx context.Context) (protocol.Decision, error) {
			close(held)
			<-ctx.Done()
			return protocol.Decision{}, context.Cause(ctx)
		})
	})
	gw, addr := start(t, c)
	p := login(t, addr)
	_, err := fmt.Fprint(p, "SET x\n")
	require.NoError(t, err)
	<-held
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, gw.Shutdown(ctx), context.DeadlineExceeded)
	last := rec.Events()[len(rec.Events())-1]
	require.Equal(t, protocol.Ended, last.Kind, "every session has written its end")
	require.Equal(t, protocol.Connect, last.Verb)
}

func TestPendingConnectionsAreBounded(t *testing.T) {
	c := config(shop(t), &protocoltest.Recorder{})
	c.MaxHandshakes = 3
	_, addr := start(t, c)
	in := login(t, addr)
	var silent []*person
	for range 5 {
		silent = append(silent, dial(t, addr))
		time.Sleep(5 * time.Millisecond) // accepted in this order
	}
	require.Equal(t, "", silent[0].hear(), "the oldest goes first")
	require.Equal(t, "", silent[1].hear())
	require.Equal(t, "COLS login", in.say("GET x"), "who is logged in does not count")
	require.Equal(t, "OK", silent[4].say("LOGIN shop ada open"))
}

func TestSilenceHasADeadline(t *testing.T) {
	c := config(shop(t), &protocoltest.Recorder{})
	c.HandshakeTimeout = 100 * time.Millisecond
	_, addr := start(t, c)
	in := login(t, addr)
	p := dial(t, addr)
	_, err := fmt.Fprint(p, "LOGIN shop ") // and no more
	require.NoError(t, err)
	require.Equal(t, "", p.hear())
	require.Equal(t, "COLS login", in.say("GET x"), "the deadline is over once the identity is known")
}

// flaky is a listener whose first Accepts fail, as without descriptors.
type flaky struct {
	net.Listener
	mu   sync.Mutex
	left int
}

func (f *flaky) Accept() (net.Conn, error) {
	f.mu.Lock()
	f.left--
	fail := f.left >= 0
	f.mu.Unlock()
	if fail {
		return nil, errors.New("accept: too many open files")
	}
	return f.Listener.Accept()
}

func TestServeOutlivesAcceptErrors(t *testing.T) {
	var out bytes.Buffer
	c := config(shop(t), &protocoltest.Recorder{})
	c.Logger = slog.New(slog.NewTextHandler(&syncWriter{w: &out}, nil))
	gw, err := gateway.New(c)
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- gw.Serve(ctx, &flaky{Listener: l, left: 2}, &line.Server{}) }()
	p := login(t, l.Addr().String())
	cancel()
	require.NoError(t, <-served)
	require.Equal(t, "COLS login", p.say("GET x"), "sessions go on when no more are accepted")
	require.NoError(t, gw.Shutdown(context.Background()))
	require.Contains(t, out.String(), "too many open files")
	require.NotContains(t, out.String(), "target-secret")
}

type syncWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *syncWriter) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(b)
}

// bomb is a server that panics.
type bomb struct{ line.Server }

func (*bomb) ServeConn(context.Context, net.Conn, protocol.Handler) error { panic("boom") }

func TestPanicEndsOneConnection(t *testing.T) {
	gw, err := gateway.New(config(shop(t), &protocoltest.Recorder{}))
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- gw.Serve(context.Background(), l, &bomb{}) }()
	for range 3 {
		require.Equal(t, "", dial(t, l.Addr().String()).hear())
	}
	require.NoError(t, gw.Shutdown(context.Background()))
	require.NoError(t, <-served)
}

// Whoever opens the listeners first gets the same as ListenAndServe.
func TestListenReplacesAStaleSocket(t *testing.T) {
	dir, err := os.MkdirTemp("", "gw") // short: names of sockets have a limit
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "line.sock")
	killed, err := net.Listen("unix", path)
	require.NoError(t, err)
	killed.(*net.UnixListener).SetUnlinkOnClose(false)
	_, err = gateway.Listen(t.Context(), path)
	require.ErrorIs(t, err, syscall.EADDRINUSE, "not that of a living one")
	require.NoError(t, killed.Close())
	l, err := gateway.Listen(t.Context(), path)
	require.NoError(t, err)
	require.NoError(t, l.Close())
}

func TestUnixSockets(t *testing.T) {
	c := config(shop(t), &protocoltest.Recorder{})
	dir, err := os.MkdirTemp("", "gw") // short: names of sockets have a limit
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "line.sock")
	killed, err := net.Listen("unix", path) // a process that was killed leaves its socket
	require.NoError(t, err)
	killed.(*net.UnixListener).SetUnlinkOnClose(false)
	other, err := gateway.New(config(shop(t), &protocoltest.Recorder{}))
	require.NoError(t, err)
	require.ErrorIs(t, other.ListenAndServe(t.Context(), path, &line.Server{}), syscall.EADDRINUSE, "not that of a living one")
	require.NoError(t, killed.Close())
	c.Listeners = []gateway.Listener{{Addr: path, Server: &line.Server{}}}
	gw, err := gateway.New(c)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- gw.Run(ctx) }()
	var conn net.Conn
	require.Eventually(t, func() bool { conn, err = net.Dial("unix", path); return err == nil }, 5*time.Second, time.Millisecond)
	defer conn.Close()
	p := &person{conn, bufio.NewReader(conn)}
	require.Equal(t, "OK", p.say("LOGIN shop ada open"))
	cancel()
	require.NoError(t, <-ran)
	require.NoError(t, gw.Shutdown(context.Background()))
}

func TestRunEndsWithItsFirstListener(t *testing.T) {
	c := config(shop(t), &protocoltest.Recorder{})
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer busy.Close()
	c.Listeners = []gateway.Listener{{Addr: "127.0.0.1:0", Server: &line.Server{}}, {Addr: busy.Addr().String(), Server: &line.Server{}}}
	gw, err := gateway.New(c)
	require.NoError(t, err)
	require.ErrorContains(t, gw.Run(t.Context()), "address already in use")
	require.NoError(t, gw.Shutdown(context.Background()))
}

func TestSecretSources(t *testing.T) {
	t.Setenv("GATEWAY_TEST_SECRET", "from the environment")
	s, err := gateway.Env("GATEWAY_TEST_SECRET")(t.Context())
	require.NoError(t, err)
	require.Equal(t, "from the environment", s.Reveal())
	_, err = gateway.Env("GATEWAY_TEST_NOT_SET")(t.Context())
	require.ErrorContains(t, err, "GATEWAY_TEST_NOT_SET")

	path := filepath.Join(t.TempDir(), "secret")
	for content, want := range map[string]string{"a b": "a b", "x\n": "x", "x\r\n": "x", "x\n\n": "x\n", " x ": " x "} {
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		s, err := gateway.File(path)(t.Context())
		require.NoError(t, err)
		require.Equal(t, want, s.Reveal(), "%q", content)
	}
	require.NoError(t, os.Remove(path))
	_, err = gateway.File(path)(t.Context())
	require.ErrorIs(t, err, os.ErrNotExist)
}

// A secret that cannot be fetched ends the login, and the client does not read
// where it was looked for.
func TestSecretThatIsMissing(t *testing.T) {
	c := config(shop(t), &protocoltest.Recorder{})
	c.Targets[0].Secret = gateway.Env("GATEWAY_TEST_NOT_SET")
	_, addr := start(t, c)
	require.Equal(t, "ERR "+protocol.FixedReason, dial(t, addr).say("LOGIN shop ada open"))
}

func ExampleNew() {
	recorder := &protocoltest.Recorder{} // in a program: middleware.Record(journal)
	gw, err := gateway.New(gateway.Config{
		Steps: []middleware.Step{
			{
				Name: "everybody may read",
				Authenticate: func(_ context.Context, l *protocol.Login) (*protocol.Identity, error) {
					return &protocol.Identity{Issuer: "example", Subject: l.User}, nil
				},
				Operation: func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
					if op.Access.Has(^(protocol.Read | protocol.Control)) {
						return protocol.Deny("reading only"), nil
					}
					return protocol.Allow("everybody may read"), nil
				},
			},
			recorder.Step(),
		},
		Targets: []gateway.Target{{Name: "shop", Protocol: "line", Addr: "127.0.0.1:7000", User: "gateway", Secret: gateway.Env("SHOP_PASSWORD")}},
	})
	if err != nil {
		log.Fatal(err)
	}
	// log.Fatal(gw.ListenAndServe(ctx, ":7001", &line.Server{}))
	s, err := gw.Open(context.Background(), &protocol.Login{Protocol: "line", Resource: "shop", User: "ada"})
	if err != nil {
		log.Fatal(err)
	}
	_, err = s.Begin(context.Background(), &protocol.Operation{Verb: "set", Access: protocol.Write})
	fmt.Println(err)
	s.Close(nil)
	// Output: refused by everybody may read: reading only
}

func ExampleFile() {
	dir, err := os.MkdirTemp("", "secrets")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "orders")
	source := gateway.File(path)
	for _, secret := range []string{"first", "rotated"} {
		if err := os.WriteFile(path, []byte(secret+"\n"), 0o600); err != nil {
			log.Fatal(err)
		}
		s, err := source(context.Background()) // the gateway does so for each session
		fmt.Println(s, s.Reveal(), err)
	}
	// Output:
	// [redacted] first <nil>
	// [redacted] rotated <nil>
}

func ExampleEnv() {
	source := gateway.Env("A_VARIABLE_THAT_IS_NOT_SET")
	_, err := source(context.Background())
	fmt.Println(err)
	// Output: environment variable A_VARIABLE_THAT_IS_NOT_SET is not set
}

func ExampleFixed() {
	s, err := gateway.Fixed(protocol.NewSecret("from a vault"))(context.Background())
	fmt.Println(s, err)
	// Output: [redacted] <nil>
}
