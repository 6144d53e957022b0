package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway"
	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/postgres"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/pgtest"
)

// backends returns how many sessions of clients the server has, the gateway's
// own readers of the catalog apart.
func backends(t testing.TB, r *rig) string {
	t.Helper()
	return strings.TrimSpace(pgtest.Exec(t, r.pg, "select count(*) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid() and application_name <> 'sallyport catalog'"))
}

func eventually(t testing.TB, within time.Duration, f func() bool, what string) {
	t.Helper()
	require.Eventually(t, f, within, 10*time.Millisecond, what)
}

func TestHalfClosedClientGetsItsResults(t *testing.T) {
	r := newRig(t, rigConfig{})
	w, _, _ := r.login(t, v30)
	w.send(msg('Q', "select pg_sleep(0.5), 'the answer'\x00"), msg('Q', "select 'another'\x00"))
	require.NoError(t, w.Conn.(*net.TCPConn).CloseWrite())
	all, err := io.ReadAll(w)
	require.NoError(t, err)
	require.Contains(t, string(all), "the answer")
	require.Contains(t, string(all), "another")
	eventually(t, 5*time.Second, func() bool { return backends(t, r) == "0" }, "the target's session ends")
	eventually(t, 5*time.Second, func() bool {
		ended := 0
		for _, e := range commands(t, r.dir, "select") {
			if e.Kind == audit.CommandCompleted && e.Result.Status == "ok" {
				ended++
			}
		}
		return ended == 2
	}, "both are recorded")
}

func TestClientLossEndsTheTargetsSession(t *testing.T) {
	for _, how := range []string{"close", "reset", "terminate"} {
		for _, state := range []string{"idle", "in a transaction", "in a result"} {
			t.Run(how+" "+state, func(t *testing.T) {
				r := newRig(t, rigConfig{})
				w, _, _ := r.login(t, v30)
				switch state {
				case "in a transaction":
					w.send(msg('Q', "begin; create table held (a int); lock table held\x00"))
					w.until("Z")
				case "in a result":
					w.send(msg('Q', "select repeat('x', 1000), generate_series(1, 100000000)\x00"))
					w.until("D")
				}
				require.Equal(t, "1", backends(t, r))
				switch how {
				case "reset":
					require.NoError(t, w.Conn.(*net.TCPConn).SetLinger(0))
				case "terminate":
					w.send(msg('X', ""))
				}
				require.NoError(t, w.Close())
				eventually(t, 5*time.Second, func() bool { return backends(t, r) == "0" }, "the target's session ends")
				eventually(t, 5*time.Second, func() bool { return len(r.gateway.Sessions()) == 0 }, "and the gateway's")
				require.Contains(t, pgtest.Exec(t, r.pg, "select count(*) from pg_class where relname = 'held'"), "0", "what was open is rolled back")
			})
		}
	}
}

func TestTargetDyingIsSaidAndRecorded(t *testing.T) {
	r := newRig(t, rigConfig{})
	w, pid, _ := r.login(t, v30)
	w.send(msg('Q', "select pg_sleep(60), 'never'\x00"))
	running(t, r.pg, "never")
	pgtest.Exec(t, r.pg, fmt.Sprintf("select pg_terminate_backend(%d)", pid))
	_, body := w.until("E")
	require.Equal(t, "57P01", fields(body)['C'], "the target's own words")
	w.closed()

	w, _, _ = r.login(t, v30)
	w.send(msg('Q', "select repeat('x', 1000), generate_series(1, 100000000)\x00"))
	w.until("D")
	r.pg.Stop()
	_, err := io.Copy(io.Discard, w)
	require.NoError(t, err, "the connection ends")
	eventually(t, 5*time.Second, func() bool { return len(r.gateway.Sessions()) == 0 }, "the session ends")
	eventually(t, 5*time.Second, func() bool {
		begun, ended := 0, 0
		for e, err := range audit.Events(r.dir) {
			require.NoError(t, err)
			if e.Action == nil || e.Action.Verb != "select" {
				continue
			}
			if e.Decision != nil && e.Decision.Effect == "allow" {
				begun++
			}
			if e.Kind == audit.CommandCompleted {
				ended++
			}
		}
		return begun == 2 && ended == 2
	}, "both have an end")
}

func TestShutdownDrains(t *testing.T) {
	r := newRig(t, rigConfig{})
	idle, _, _ := r.login(t, v30)
	busy, _, _ := r.login(t, v30)
	busy.send(msg('Q', "begin; create table drained (a int)\x00"))
	busy.until("Z")
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		done <- r.gateway.Shutdown(ctx)
	}()
	_, body := idle.until("E")
	require.Equal(t, "57P01", fields(body)['C'])
	require.Contains(t, fields(body)['M'], "shutting down")
	idle.closed()
	_, err := net.Dial("tcp", r.addr)
	require.Error(t, err, "nobody new is let in")
	select {
	case err := <-done:
		t.Fatalf("a session in a transaction was cut: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	busy.send(msg('Q', "insert into drained values (7)\x00"))
	busy.until("Z")
	busy.send(msg('Q', "commit\x00"))
	busy.until("Z")
	_, body = busy.until("E")
	require.Equal(t, "57P01", fields(body)['C'])
	busy.closed()
	require.NoError(t, <-done)
	require.Equal(t, "7\n", pgtest.Exec(t, r.pg, "select a from drained"))
}

// A pipeline that has not been synced is not a good moment to end either.
func TestShutdownWaitsForTheSync(t *testing.T) {
	r := newRig(t, rigConfig{})
	pgtest.Exec(t, r.pg, "create table piped (a int)")
	w, _, _ := r.login(t, v30)
	w.send(msg('P', "\x00insert into piped values (1)\x00\x00\x00"), msg('B', "\x00\x00\x00\x00\x00\x00\x00\x00"), msg('E', "\x00\x00\x00\x00\x00"), msg('H', ""))
	w.until("C")
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		done <- r.gateway.Shutdown(ctx)
	}()
	select {
	case err := <-done:
		t.Fatalf("a pipeline was cut: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	w.send(msg('S', ""))
	w.until("Z")
	_, body := w.until("E")
	require.Equal(t, "57P01", fields(body)['C'])
	require.NoError(t, <-done)
	require.Equal(t, "1\n", pgtest.Exec(t, r.pg, "select count(*) from piped"))
}

func TestShutdownEndsTheStubborn(t *testing.T) {
	r := newRig(t, rigConfig{})
	inTx, _, _ := r.login(t, v30)
	inTx.send(msg('Q', "begin\x00"))
	inTx.until("Z")
	working, _, _ := r.login(t, v30)
	working.send(msg('Q', "select pg_sleep(60), 'stubborn'\x00"))
	running(t, r.pg, "stubborn")
	deaf, _, _ := r.login(t, v30) // does not read
	deaf.send(msg('Q', "select repeat('x', 1000), generate_series(1, 100000000)\x00"))
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	start := time.Now()
	require.ErrorIs(t, r.gateway.Shutdown(ctx), context.DeadlineExceeded)
	require.Less(t, time.Since(start), 4*time.Second)
	for _, w := range []*wireClient{inTx, working} {
		_, body := w.until("E")
		require.Equal(t, "57P01", fields(body)['C'])
		w.closed()
	}
	require.Empty(t, r.gateway.Sessions())
}

// accessFor returns steps that let members of group in.
func accessFor(group string, hash string, journal *audit.Journal, expires time.Time) []middleware.Step {
	return []middleware.Step{
		middleware.Tokens(middleware.Token{Hash: hash, Subject: "alice", Kind: protocol.Human, Groups: []string{"dba"}, Expires: expires}),
		middleware.Authorize(middleware.Access{Name: "all", Groups: []string{group}, Targets: []string{"*"}, Access: []string{"read", "write", "opaque", "execute"}}),
		middleware.Record(journal),
	}
}

func TestReloadEndsSessionsThatLostAccess(t *testing.T) {
	for name, change := range map[string]func(c *gateway.Config, steps []middleware.Step){
		"the rule is gone":   func(c *gateway.Config, steps []middleware.Step) { c.Steps = steps },
		"the target is gone": func(c *gateway.Config, _ []middleware.Step) { c.Targets = nil },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, rigConfig{})
			dir := t.TempDir()
			journal, err := audit.Open(dir, audit.Options{})
			require.NoError(t, err)
			token, hash := middleware.NewToken()
			c := gateway.Config{Steps: accessFor("dba", hash, journal, time.Time{}), Targets: []gateway.Target{{Name: "pg", Protocol: "postgres",
				Addr: r.pg.Addr, User: r.pg.Superuser.User, Secret: gateway.Fixed(r.pg.Superuser.Secret), Options: map[string]string{"sslmode": "disable"}}}}
			g, addr := serveGateway(t, c)
			at := rig{addr: addr, token: token.Reveal()}
			idle, _, _ := at.login(t, v30)
			inTx, _, _ := at.login(t, v30)
			inTx.send(msg('Q', "begin\x00"))
			inTx.until("Z")

			require.NoError(t, g.Reload(t.Context(), c))
			idle.send(msg('Q', "select 1\x00"))
			idle.until("Z")

			change(&c, accessFor("somebody else", hash, journal, time.Time{}))
			require.NoError(t, g.Reload(t.Context(), c))
			for _, w := range []*wireClient{idle, inTx} {
				_, body := w.until("E")
				f := fields(body)
				require.Equal(t, "FATAL", f['S'])
				require.Equal(t, "57P01", f['C'])
				require.NotContains(t, f['M'], "administrator", "it says why: %s", f['M'])
				w.closed()
			}
		})
	}
}

// serveGateway serves c with a server that takes tokens in the clear.
func serveGateway(t testing.TB, c gateway.Config) (*gateway.Gateway, string) {
	t.Helper()
	g, err := gateway.New(c)
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() { _ = g.Serve(context.Background(), l, &postgres.Server{AllowPlaintext: true}) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		_ = g.Shutdown(ctx)
	})
	return g, l.Addr().String()
}

// An identity that expires ends its sessions, also those that ask for nothing.
func TestExpiryEndsIdleSessions(t *testing.T) {
	r := newRig(t, rigConfig{})
	journal, err := audit.Open(t.TempDir(), audit.Options{})
	require.NoError(t, err)
	token, hash := middleware.NewToken()
	expires := time.Now().Add(1500 * time.Millisecond)
	_, addr := serveGateway(t, gateway.Config{Steps: accessFor("dba", hash, journal, expires), Targets: []gateway.Target{{Name: "pg", Protocol: "postgres",
		Addr: r.pg.Addr, User: r.pg.Superuser.User, Secret: gateway.Fixed(r.pg.Superuser.Secret), Options: map[string]string{"sslmode": "disable"}}}})
	at := rig{addr: addr, token: token.Reveal()}
	w, _, _ := at.login(t, v30)
	_, body := w.until("E")
	require.WithinDuration(t, expires, time.Now(), time.Second)
	require.Contains(t, fields(body)['M'], "the login has expired")
	require.Contains(t, fields(body)['H'], "new token")
	w.closed()
	_, err = pgx.Connect(t.Context(), at.dsn(""))
	var pe *pgconn.PgError
	require.ErrorAs(t, err, &pe)
	require.Equal(t, "28000", pe.Code)
}

// Clients that connect and say nothing, or ask for TLS and say no more, neither
// keep others out nor stay.
func TestSilentClients(t *testing.T) {
	const each = 1000
	r := newRig(t, rigConfig{})
	conf, ca := listenerTLS(t)
	journal, err := audit.Open(t.TempDir(), audit.Options{})
	require.NoError(t, err)
	token, hash := middleware.NewToken()
	g, err := gateway.New(gateway.Config{HandshakeTimeout: 15 * time.Second, Steps: accessFor("dba", hash, journal, time.Time{}), Targets: []gateway.Target{{
		Name: "pg", Protocol: "postgres", Addr: r.pg.Addr, User: r.pg.Superuser.User, Secret: gateway.Fixed(r.pg.Superuser.Secret),
		Options: map[string]string{"sslmode": "disable"}}}})
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() { _ = g.Serve(context.Background(), l, &postgres.Server{TLS: conf, AllowPlaintext: true}) }()
	defer func() { _ = g.Shutdown(context.Background()) }()
	dsn := fmt.Sprintf("postgres://alice:%s@%s/pg%%2Fpostgres?sslmode=verify-full&sslrootcert=%s", token.Reveal(), l.Addr(), caFile(t, ca))
	patient, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	defer patient.Close(context.Background())

	var silent []net.Conn
	for i := range 2 * each {
		conn, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		defer conn.Close()
		if i >= each {
			_, err = conn.Write(sslRequest)
			require.NoError(t, err)
		}
		silent = append(silent, conn)
	}
	conn, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	last := silent[len(silent)-1]
	require.NoError(t, last.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
	_, err = io.ReadAll(last)
	require.True(t, isTimeout(err), "a login among %d silent connections does not wait for their end: %v", len(silent), err)
	var n int
	require.NoError(t, conn.QueryRow(t.Context(), "select 5").Scan(&n))
	require.NoError(t, conn.Close(t.Context()))

	for _, c := range silent {
		_ = c.SetReadDeadline(time.Now().Add(time.Minute))
		b, err := io.ReadAll(c)
		require.False(t, errors.Is(err, syscall.EAGAIN) || isTimeout(err), "closed at the deadline")
		require.True(t, len(b) == 0 || string(b) == "S", "%q", b)
	}
	require.NoError(t, patient.QueryRow(t.Context(), "select 6").Scan(&n), "whoever is logged in is let be")
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// A login that waits inside the password exchange is under the deadline too.
func TestHandshakeDeadlineCoversThePassword(t *testing.T) {
	journal, err := audit.Open(t.TempDir(), audit.Options{})
	require.NoError(t, err)
	_, hash := middleware.NewToken()
	for name, said := range map[string][]byte{
		"startup":           startupOf(v30, "user", "alice"),
		"half a password":   append(startupOf(v30, "user", "alice"), 'p', 0, 0, 0, 50, 'x'),
		"half a startup":    startupOf(v30, "user", "alice")[:9],
		"a length, no more": {0, 0},
	} {
		g, err := gateway.New(gateway.Config{HandshakeTimeout: 300 * time.Millisecond, Steps: accessFor("dba", hash, journal, time.Time{})})
		require.NoError(t, err)
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		go func() { _ = g.Serve(context.Background(), l, &postgres.Server{AllowPlaintext: true}) }()
		w := dialWire(t, l.Addr().String())
		w.send(said)
		start := time.Now()
		_, err = io.ReadAll(w)
		require.False(t, isTimeout(err), name)
		require.Less(t, time.Since(start), 3*time.Second, name)
		require.NoError(t, g.Shutdown(t.Context()))
	}
}

// A flakyListener fails now and then, as one does that is out of descriptors.
type flakyListener struct {
	net.Listener
	mu    sync.Mutex
	fails []error
}

// Accept implements net.Listener.
func (l *flakyListener) Accept() (net.Conn, error) {
	l.mu.Lock()
	if len(l.fails) > 0 {
		err := l.fails[0]
		l.fails = l.fails[1:]
		l.mu.Unlock()
		return nil, &net.OpError{Op: "accept", Err: err}
	}
	l.mu.Unlock()
	return l.Listener.Accept()
}

func TestFailedAcceptsDoNotEndTheListener(t *testing.T) {
	r := newRig(t, rigConfig{})
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l := &flakyListener{Listener: inner, fails: []error{syscall.EMFILE, syscall.ENFILE, syscall.ECONNABORTED, syscall.EMFILE}}
	go func() { _ = r.gateway.Serve(context.Background(), l, &postgres.Server{AllowPlaintext: true}) }()
	at := rig{addr: inner.Addr().String(), token: r.token}
	w, _, _ := at.login(t, v30)
	w.send(msg('Q', "select 1\x00"))
	w.until("Z")
}

// ServeConn ends with its context, whatever its handler's sessions depend on.
func TestServeConnEndsWithItsContext(t *testing.T) {
	r := newRig(t, rigConfig{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	ctx, cancel := context.WithCancelCause(context.Background())
	done := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			err = (&postgres.Server{AllowPlaintext: true}).ServeConn(ctx, conn, r.gateway)
		}
		done <- err
	}()
	at := rig{addr: l.Addr().String(), token: r.token}
	w, _, _ := at.login(t, v30)
	cancel(errors.New("enough"))
	_, body := w.until("E")
	require.Equal(t, "57P01", fields(body)['C'])
	w.closed()
	require.ErrorContains(t, <-done, "enough")
}

// A gateway that stops while a client's first bytes are being read ends that
// connection, whichever comes first.
func TestStopWhileConnecting(t *testing.T) {
	s := &postgres.Server{AllowPlaintext: true}
	for range 100 {
		ctx, cancel := context.WithCancel(t.Context())
		ours, theirs := socketPair(t)
		ended := make(chan error, 1)
		go func() { ended <- s.ServeConn(ctx, ours, &door{ends: make(chan error, 1)}) }()
		go cancel()
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			t.Fatal("the connection outlives its gateway")
		}
		require.NoError(t, theirs.Close())
	}
}

// socketPair returns two ends of one loopback connection.
func socketPair(t testing.TB) (ours, theirs net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	theirs, err = net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	ours, err = l.Accept()
	require.NoError(t, err)
	return ours, theirs
}
