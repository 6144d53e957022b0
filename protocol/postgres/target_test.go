package postgres_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway"
	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/postgres"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/pgtest"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
)

// A front is a gateway for any number of targets; its log and journal are kept.
type frontRig struct {
	addr, dir, token string
	gateway          *gateway.Gateway
	log              *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// String returns what was written.
func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

type frontConfig struct {
	server  *postgres.Server
	dial    func(ctx context.Context, network, addr string) (net.Conn, error)
	steps   []middleware.Step // before record
	targets []gateway.Target
}

func newFront(t testing.TB, c frontConfig) *frontRig {
	t.Helper()
	f := &frontRig{dir: t.TempDir(), log: &lockedBuffer{}}
	token, hash := middleware.NewToken()
	f.token = token.Reveal()
	journal, err := audit.Open(f.dir, audit.Options{})
	require.NoError(t, err)
	log := slog.New(slog.NewTextHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if c.server == nil {
		c.server = &postgres.Server{}
	}
	c.server.AllowPlaintext, c.server.Logger = true, log
	steps := append([]middleware.Step{
		middleware.Tokens(middleware.Token{Hash: hash, Subject: "alice", Kind: protocol.Human, Groups: []string{"dba"}}),
		middleware.Authorize(middleware.Access{Name: "all", Groups: []string{"dba"}, Targets: []string{"*"},
			Access: []string{"read", "write", "schema", "admin", "execute", "opaque"}}),
	}, c.steps...)
	f.gateway, err = gateway.New(gateway.Config{Logger: log, Targets: c.targets, Dial: c.dial, Steps: append(steps, middleware.Record(journal))})
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	f.addr = l.Addr().String()
	go func() { _ = f.gateway.Serve(context.Background(), l, c.server) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = f.gateway.Shutdown(ctx)
		require.NoError(t, journal.Close())
		_, err := audit.Verify(f.dir)
		require.NoError(t, err)
	})
	return f
}

func (f *frontRig) connect(ctx context.Context, target string) (*pgx.Conn, error) {
	return pgx.Connect(ctx, "postgres://alice:"+f.token+"@"+f.addr+"/"+target+"?sslmode=disable")
}

// clientFiles writes a certificate and its key for user.
func clientFiles(t testing.TB, ca *servers.Authority, user string) (cert, key string) {
	t.Helper()
	c, err := ca.Issue(servers.Subject{CommonName: user})
	require.NoError(t, err)
	chain, k, err := servers.EncodePEM(c)
	require.NoError(t, err)
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "client.crt"), filepath.Join(dir, "client.key")
	require.NoError(t, os.WriteFile(cert, chain, 0o600))
	require.NoError(t, os.WriteFile(key, k, 0o600))
	return cert, key
}

// TestLoginAtTargets is every method of a real PostgreSQL under every sslmode.
func TestLoginAtTargets(t *testing.T) {
	pg := pgtest.Start(t, pgtest.TLS(), pgtest.User("scram", "scram secret", ""), pgtest.User("md5", "md5 secret", "md5"),
		pgtest.User("plain", "plain secret", "password"), pgtest.User("card", "", "cert"), pgtest.User("open", "", "trust"))
	bare := pgtest.Start(t, pgtest.User("scram", "scram secret", ""))
	root := caFile(t, pg.Authority)
	other, err := servers.NewAuthority("somebody else")
	require.NoError(t, err)
	otherRoot := caFile(t, other)
	cert, key := clientFiles(t, pg.Authority, "card")

	var targets []gateway.Target
	add := func(name, addr, user, secret string, options ...string) {
		o := map[string]string{"dbname": "postgres"}
		for i := 0; i < len(options); i += 2 {
			o[options[i]] = options[i+1]
		}
		targets = append(targets, gateway.Target{Name: name, Protocol: "postgres", Addr: addr, User: user,
			Secret: gateway.Fixed(protocol.NewSecret(secret)), Options: o})
	}
	modes := []string{"disable", "prefer", "require", "verify-ca", "verify-full"}
	for _, m := range modes {
		o := []string{"sslmode", m}
		if strings.HasPrefix(m, "verify") {
			o = append(o, "sslrootcert", root)
		}
		add("scram-"+m, pg.Addr, "scram", "scram secret", o...)
		add("md5-"+m, pg.Addr, "md5", "md5 secret", o...)
		add("plain-"+m, pg.Addr, "plain", "plain secret", o...)
		add("open-"+m, pg.Addr, "open", "", o...)
		add("card-"+m, pg.Addr, "card", "", append(o, "sslcert", cert, "sslkey", key)...)
		add("bare-"+m, bare.Addr, "scram", "scram secret", o...)
	}
	wrongName := strings.Replace(pg.Addr, "127.0.0.1", "127.0.0.2", 1) // nobody is named so; redirected below
	add("other-ca", pg.Addr, "scram", "scram secret", "sslmode", "verify-ca", "sslrootcert", otherRoot)
	add("require-with-other-ca", pg.Addr, "scram", "scram secret", "sslmode", "require", "sslrootcert", otherRoot)
	add("wrong-name-full", wrongName, "scram", "scram secret", "sslmode", "verify-full", "sslrootcert", root)
	add("wrong-name-ca", wrongName, "scram", "scram secret", "sslmode", "verify-ca", "sslrootcert", root)
	add("wrong-secret", pg.Addr, "scram", "wrong", "sslmode", "disable")
	add("no-secret", pg.Addr, "scram", "", "sslmode", "disable")
	// require_auth and channel_binding, as libpq has them.
	for _, m := range []string{"scram", "md5", "plain", "open", "card"} {
		secret := map[string]string{"scram": "scram secret", "md5": "md5 secret", "plain": "plain secret"}[m]
		o := []string{"sslmode", "verify-full", "sslrootcert", root}
		if m == "card" {
			o = append(o, "sslcert", cert, "sslkey", key)
		}
		add(m+"-only-scram", pg.Addr, m, secret, append(o, "require_auth", "scram-sha-256")...)
		add(m+"-only-old", pg.Addr, m, secret, append(o, "require_auth", "md5, password")...)
		add(m+"-only-none", pg.Addr, m, secret, append(o, "require_auth", "none")...)
		add(m+"-not-none", pg.Addr, m, secret, append(o, "require_auth", "!none,!md5")...)
		add(m+"-bound", pg.Addr, m, secret, append(o, "channel_binding", "require")...)
		add(m+"-unbound", pg.Addr, m, secret, append(o, "channel_binding", "disable")...)
	}
	add("scram-bound-no-tls", pg.Addr, "scram", "scram secret", "sslmode", "disable", "channel_binding", "require")
	add("plain-allowed-no-tls", pg.Addr, "plain", "plain secret", "sslmode", "disable", "require_auth", "password")
	add("default-mode", pg.Addr, "scram", "scram secret")

	d := &net.Dialer{}
	f := newFront(t, frontConfig{targets: targets, dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		return d.DialContext(ctx, network, strings.Replace(addr, "127.0.0.2", "127.0.0.1", 1))
	}})
	// What must fail; everything else must work.
	const notLoggedIn, notTLS, notTrusted = "could not log in at the target", "does not offer TLS", "certificate was not accepted"
	fails := map[string]string{
		"plain-disable": notLoggedIn, "plain-prefer": notLoggedIn, "plain-require": notLoggedIn, // never in the clear
		"card-disable": notLoggedIn,
		"bare-require": notTLS, "bare-verify-ca": notTLS, "bare-verify-full": notTLS,
		"other-ca": notTrusted, "require-with-other-ca": notTrusted, "wrong-name-full": notTrusted, "default-mode": notTrusted,
		"wrong-secret": notLoggedIn, "no-secret": notLoggedIn,
		"md5-only-scram": notLoggedIn, "plain-only-scram": notLoggedIn, "open-only-scram": notLoggedIn, "card-only-scram": notLoggedIn,
		"scram-only-old": notLoggedIn, "open-only-old": notLoggedIn, "card-only-old": notLoggedIn,
		"scram-only-none": notLoggedIn, "md5-only-none": notLoggedIn, "plain-only-none": notLoggedIn,
		"open-not-none": notLoggedIn, "card-not-none": notLoggedIn, "md5-not-none": notLoggedIn,
		"md5-bound": notLoggedIn, "plain-bound": notLoggedIn, "open-bound": notLoggedIn, "card-bound": notLoggedIn,
		"scram-bound-no-tls": notLoggedIn, "plain-allowed-no-tls": notLoggedIn,
	}
	for _, tg := range targets {
		conn, err := f.connect(t.Context(), tg.Name)
		if want, ok := fails[tg.Name]; ok {
			require.ErrorContains(t, err, want, tg.Name)
			continue
		}
		require.NoError(t, err, tg.Name)
		var user string
		var encrypted bool
		require.NoError(t, conn.QueryRow(t.Context(), "select current_user::text, ssl from pg_catalog.pg_stat_ssl where pid = pg_catalog.pg_backend_pid()").Scan(&user, &encrypted))
		require.Equal(t, tg.User, user)
		require.Equal(t, !strings.HasSuffix(tg.Name, "-disable") && !strings.HasPrefix(tg.Name, "bare"), encrypted, tg.Name)
		require.NoError(t, conn.Close(t.Context()))
	}
	secretsStayInside(t, f, "scram secret", "md5 secret", "plain secret", f.token)
}

// secretsStayInside looks for secrets in everything that is kept.
func secretsStayInside(t *testing.T, f *frontRig, secrets ...string) {
	t.Helper()
	kept := f.log.String()
	files, err := filepath.Glob(filepath.Join(f.dir, "*"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, name := range files {
		b, err := os.ReadFile(name)
		require.NoError(t, err)
		kept += string(b)
	}
	require.Contains(t, kept, "alice", "there is something to look at")
	for _, s := range secrets {
		require.NotContains(t, kept, s)
	}
}

// A fakeTarget runs script for each connection, once it has read the startup
// message.
type fakeTarget struct {
	addr  string
	dials atomic.Int64
}

func newFakeTarget(t testing.TB, script func(w *wireClient)) *fakeTarget {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ft := &fakeTarget{addr: l.Addr().String()}
	var wg sync.WaitGroup
	stopped := make(chan struct{})
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			ft.dials.Add(1)
			wg.Go(func() {
				defer conn.Close()
				go func() { <-stopped; _ = conn.Close() }()
				if _, err := readStartup(conn); err == nil {
					script(newWire(t, conn))
				}
			})
		}
	})
	t.Cleanup(func() { close(stopped); _ = l.Close(); wg.Wait() })
	return ft
}

func readStartup(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	body := make([]byte, binary.BigEndian.Uint32(head[:])-4)
	_, err := io.ReadFull(r, body)
	return body, err
}

func (ft *fakeTarget) target(options ...string) gateway.Target {
	t := gateway.Target{Name: "fake", Protocol: "postgres", Addr: ft.addr, User: "gw", Secret: gateway.Fixed(protocol.NewSecret(plantedSecret)),
		Options: map[string]string{"sslmode": "disable"}}
	for i := 0; i < len(options); i += 2 {
		t.Options[options[i]] = options[i+1]
	}
	return t
}

const plantedSecret = "planted-target-secret"

// auth is an authentication request.
func auth(kind uint32, data string) []byte {
	return msg('R', string(binary.BigEndian.AppendUint32(nil, kind))+data)
}

const (
	authSASL = "SCRAM-SHA-256\x00\x00"
	keyData  = "\x00\x00\x00\x07\x01\x02\x03\x04"
)

// write ignores errors: the gateway may have hung up by now, as it should.
func (w *wireClient) write(b ...[]byte) {
	for _, p := range b {
		if _, err := w.Write(p); err != nil {
			return
		}
	}
}

// clientFirst reads the gateway's SASLInitialResponse and returns its nonce.
func (w *wireClient) clientFirst() string {
	_, body, err := readMessage(w)
	if err != nil {
		return ""
	}
	_, nonce, _ := strings.Cut(string(body), "n=,r=")
	return nonce
}

// scramWith answers the gateway's first message; serverFirst gets its nonce.
func scramWith(serverFirst func(nonce string) string, then ...[]byte) func(w *wireClient) {
	return func(w *wireClient) {
		w.write(auth(10, authSASL))
		w.write(auth(11, serverFirst(w.clientFirst())))
		if _, _, err := readMessage(w); err != nil {
			return
		}
		w.write(then...)
	}
}

// TestHostileTargets is what a target may say during the login. Whatever it is,
// the client gets one clear error, soon, and the gateway does not swell.
func TestHostileTargets(t *testing.T) {
	const salt = "s=c2FsdHNhbHRzYWx0c2FsdA=="
	good := func(n string) string { return "r=" + n + "more," + salt + ",i=4096" }
	say := func(b ...[]byte) func(*wireClient) {
		return func(w *wireClient) { w.write(b...); _, _ = io.Copy(io.Discard, w) }
	}
	header := func(typ byte, n uint32) []byte { return binary.BigEndian.AppendUint32([]byte{typ}, n) }
	forever := func(b []byte) func(*wireClient) {
		return func(w *wireClient) {
			for {
				if _, err := w.Write(b); err != nil {
					return
				}
			}
		}
	}
	ok := auth(0, "")
	for _, tt := range []struct {
		name   string
		script func(w *wireClient)
		want   string
	}{
		{"hangs up", func(*wireClient) {}, "closed the connection"},
		{"says nothing", say(), "in time"},
		{"stops inside a message", say(header('R', 100)), "in time"},
		{"is no PostgreSQL", say([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")), "malformed"},
		{"2 GiB", say(header('R', 0x7fffffff)), "malformed"},
		{"4 GiB", say(header('R', 0xffffffff)), "malformed"},
		{"negative length", say(header('S', 0x80000000)), "malformed"},
		{"length 3", say(header('R', 3)), "malformed"},
		{"authentication without a kind", say(msg('R', "")), "could not log in"},
		{"unknown method", say(auth(99, "")), "could not log in"},
		{"GSSAPI", say(auth(7, "")), "could not log in"},
		{"clear-text password", say(auth(3, "")), "could not log in"},
		{"md5 with a short salt", say(auth(5, "abc")), "could not log in"},
		{"md5 over and over", forever(auth(5, "salt")), "could not log in"},
		{"SASL without an end", say(auth(10, "SC")), "could not log in"},
		{"SASL without a list", say(auth(10, "")), "could not log in"},
		{"SASL with an empty list", say(auth(10, "\x00")), "could not log in"},
		{"SASL with unknown mechanisms", say(auth(10, "X\x00Y\x00\x00")), "could not log in"},
		{"SASL with bytes behind the list", say(auth(10, authSASL+"x")), "could not log in"},
		{"channel binding without TLS", say(auth(10, "SCRAM-SHA-256-PLUS\x00\x00")), "could not log in"},
		{"SASL twice", say(auth(10, authSASL), auth(10, authSASL)), "could not log in"},
		{"SASL continued, never begun", say(auth(11, "r=x")), "could not log in"},
		{"SASL ended, never begun", say(auth(12, "v=x")), "could not log in"},
		{"SASL ended, never continued", say(auth(10, authSASL), auth(12, "v=")), "could not log in"},
		{"let in without proof", say(auth(10, authSASL), ok), "could not log in"},
		{"a nonce of its own", scramWith(func(string) string { return "r=mine," + salt + ",i=4096" }), "could not log in"},
		{"our nonce, not extended", scramWith(func(n string) string { return "r=" + n + "," + salt + ",i=4096" }), "could not log in"},
		{"no salt", scramWith(func(n string) string { return "r=" + n + "x,s=,i=4096" }), "could not log in"},
		{"a salt that is none", scramWith(func(n string) string { return "r=" + n + "x,s=!,i=4096" }), "could not log in"},
		{"0 iterations", scramWith(func(n string) string { return "r=" + n + "x," + salt + ",i=0" }), "could not log in"},
		{"-1 iterations", scramWith(func(n string) string { return "r=" + n + "x," + salt + ",i=-1" }), "could not log in"},
		{"2^31 iterations", scramWith(func(n string) string { return "r=" + n + "x," + salt + ",i=2147483648" }), "could not log in"},
		{"2^70 iterations", scramWith(func(n string) string { return "r=" + n + "x," + salt + ",i=1180591620717411303424" }), "could not log in"},
		{"a mandatory extension", scramWith(func(n string) string { return "m=x,r=" + n + "x," + salt + ",i=4096" }), "could not log in"},
		{"60 KB of SCRAM", scramWith(func(n string) string { return "r=" + n + strings.Repeat(",", 60<<10) }), "could not log in"},
		{"a wrong signature", scramWith(good, auth(12, "v=d3Jvbmc="), ok), "could not log in"},
		{"a signature that is none", scramWith(good, auth(12, "v=!")), "could not log in"},
		{"an error in the signature's place", scramWith(good, auth(12, "e=other-error")), "could not log in"},
		{"let in without a signature", scramWith(good, ok), "could not log in"},
		{"continued twice", scramWith(good, auth(11, "r=again")), "could not log in"},
		{"let in twice", say(ok, ok), "could not log in"},
		{"ready before the authentication", say(msg('Z', "I")), "skips the authentication"},
		{"a key before the authentication", say(msg('K', keyData)), "skips the authentication"},
		{"a setting before the authentication", say(msg('S', "a\x00b\x00")), "skips the authentication"},
		{"an error without an end", say(msg('E', "SFATAL\x00Mno end")), "malformed"},
		{"an error without a code", say(msg('E', "Mplain\x00\x00")), "could not log in"},
		{"an empty error", say(msg('E', "")), "malformed"},
		{"a refusal that repeats the secret", say(msg('E', "SFATAL\x00C28P01\x00Mno, not "+plantedSecret+"\x00\x00")), "could not log in"},
		{"settings without end", forever(append(append([]byte{}, ok...), msg('S', "name\x00"+strings.Repeat("v", 8000)+"\x00")...)), "could not log in"},
		{"settings without end, one OK", func(w *wireClient) { w.write(ok); forever(msg('S', "name\x00"+strings.Repeat("v", 8000)+"\x00"))(w) }, "too much"},
		{"small keys without end", func(w *wireClient) { w.write(ok); forever(msg('K', keyData))(w) }, "too much"},
		{"versions without end", forever(msg('v', "\x00\x03\x00\x00\x00\x00\x00\x00")), "too much"},
		{"a setting without an end", say(ok, msg('S', "name")), "malformed"},
		{"a notice without an end", say(ok, msg('N', "Mname")), "malformed"},
		{"a short key", say(ok, msg('K', "\x00\x00\x00\x07abc")), "malformed"},
		{"a key of odd length", say(ok, msg('K', "\x00\x00\x00\x07abcde")), "malformed"},
		{"a long key", say(ok, msg('K', "\x00\x00\x00\x07"+strings.Repeat("k", 32))), "malformed"},
		{"ready without a status", say(ok, msg('Z', "")), "malformed"},
		{"ready with a strange status", say(ok, msg('Z', "X")), "malformed"},
		{"rows during the login", say(ok, msg('D', "\x00\x00")), "unexpected message"},
		{"hangs behind the authentication", say(ok), "in time"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ft := newFakeTarget(t, tt.script)
			f := newFront(t, frontConfig{server: &postgres.Server{LoginTimeout: 700 * time.Millisecond}, targets: []gateway.Target{ft.target()}})
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			_, err := f.connect(t.Context(), "fake")
			require.ErrorContains(t, err, tt.want)
			require.ErrorContains(t, err, "FATAL")
			require.NotContains(t, err.Error(), plantedSecret)
			require.Less(t, time.Since(start), 5*time.Second)
			runtime.ReadMemStats(&after)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(16<<20))
			if !strings.Contains(tt.name, "repeats the secret") { // there the log repeats what the target said
				secretsStayInside(t, f, plantedSecret)
			}
		})
	}
}

// TestTargetTLSRequests is what a target may answer to a request for TLS.
func TestTargetTLSRequests(t *testing.T) {
	for name, tt := range map[string]struct{ answer, want string }{
		"declines":                  {"N", "does not offer TLS"},
		"answers with an error":     {string(msg('E', "SFATAL\x00\x00")), "does not offer TLS"},
		"pipelines plaintext":       {"S" + string(auth(0, "")) + string(msg('Z', "I")), "certificate was not accepted"},
		"speaks no TLS after an S":  {"Sxxxxxxxxxx", "certificate was not accepted"},
		"says nothing after an S":   {"S", "certificate was not accepted"},
		"answers something strange": {"?", "does not offer TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			ft := newFakeTarget(t, func(w *wireClient) { w.write([]byte(tt.answer)); _, _ = io.Copy(io.Discard, w) })
			f := newFront(t, frontConfig{server: &postgres.Server{LoginTimeout: 500 * time.Millisecond},
				targets: []gateway.Target{ft.target("sslmode", "require")}})
			_, err := f.connect(t.Context(), "fake")
			require.ErrorContains(t, err, tt.want)
			secretsStayInside(t, f, plantedSecret)
		})
	}
}

// TestChannelBindingIsUsed checks the mechanism and its header; that the binding
// itself is right is what PostgreSQL says when it lets the gateway in over TLS.
func TestChannelBindingIsUsed(t *testing.T) {
	conf, ca := listenerTLS(t)
	first := make(chan string, 1)
	ft := newFakeTarget(t, func(w *wireClient) {
		w.write([]byte("S"))
		tc := tls.Server(w.Conn, conf)
		if _, err := readStartup(tc); err != nil {
			return
		}
		inside := &wireClient{w.t, tc}
		inside.write(auth(10, "SCRAM-SHA-256-PLUS\x00SCRAM-SHA-256\x00\x00"))
		_, body, _ := readMessage(inside)
		first <- string(body)
	})
	f := newFront(t, frontConfig{targets: []gateway.Target{ft.target("sslmode", "verify-full", "sslrootcert", caFile(t, ca))}})
	_, err := f.connect(t.Context(), "fake")
	require.Error(t, err)
	require.Regexp(t, "^SCRAM-SHA-256-PLUS\x00....p=tls-server-end-point,,n=,r=", <-first)
}

// tapRows is a step that looks at every row.
var tapRows = middleware.Step{Name: "look", Operation: func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
	err := op.OnRows(func([]protocol.Column) (protocol.RowFunc, error) { return func([][]byte) error { return nil }, nil })
	if errors.Is(err, protocol.ErrShape) {
		return protocol.Pass, nil
	}
	if err == nil {
		err = op.OnSample(func([]protocol.Column) (protocol.SampleFunc, error) { return func([][]byte) bool { return false }, nil })
	}
	return protocol.Pass, err
}}

// TestHostileResults is what a target may answer to a statement whose rows a
// step looks at.
func TestHostileResults(t *testing.T) {
	describe := msg('T', "\x00\x01a\x00"+strings.Repeat("\x00", 18))
	header := func(typ byte, n uint32) []byte { return binary.BigEndian.AppendUint32([]byte{typ}, n) }
	for name, answer := range map[string][]byte{
		"a field of length -2":        append(describe, msg('D', "\x00\x01\xff\xff\xff\xfe")...),
		"a field longer than the row": append(describe, msg('D', "\x00\x01\x7f\xff\xff\xffx")...),
		"65535 fields in no bytes":    append(describe, msg('D', "\xff\xff")...),
		"more columns than bytes":     msg('T', "\xff\xff"),
		"a column without an end":     msg('T', "\x00\x01abc"),
		"rows without a description":  msg('D', "\x00\x00"),
		"a row of 2 GiB":              append(describe, header('D', 0x7fffffff)...),
		"a row of negative length":    append(describe, header('D', 0xfffffff0)...),
		"an error of 1 GiB":           header('E', 1<<30),
		"COPY in the place of rows":   slices.Concat(msg('H', "\x00\x00\x01\x00\x00"), msg('d', "clear\n"), msg('c', ""), msg('C', "COPY 1\x00"), msg('Z', "I")),
		"COPY data among rows":        slices.Concat(describe, msg('D', "\x00\x01\xff\xff\xff\xff"), msg('d', "clear\n"), msg('C', "SELECT 1\x00"), msg('Z', "I")),
		"COPY data before rows":       slices.Concat(describe, msg('d', "clear\n"), msg('C', "SELECT 1\x00"), msg('Z', "I")),
		"a strange message":           msg('?', ""),
		"an answer to nothing asked":  msg('1', ""),
		"a tag without an end":        msg('C', "SELECT 1"),
		"a status too long":           msg('Z', "II"),
		"the end":                     nil,
	} {
		t.Run(name, func(t *testing.T) {
			ft := newFakeTarget(t, func(w *wireClient) {
				w.write(auth(0, ""), msg('S', "client_encoding\x00UTF8\x00"), msg('S', "standard_conforming_strings\x00on\x00"), msg('K', keyData), msg('Z', "I"))
				for {
					typ, body, err := readMessage(w)
					switch {
					case err != nil:
						return
					case typ == 'S': // the gateway's own questions
						w.write(msg('E', "SERROR\x00C42501\x00Mno\x00\x00"), msg('Z', "I"))
					case typ == 'Q' && strings.Contains(string(body), "hostile"):
						w.write(answer)
						if answer == nil {
							return
						}
					case typ == 'Q':
						w.write(msg('E', "SERROR\x00C42501\x00Mno\x00\x00"), msg('Z', "I"))
					}
				}
			})
			f := newFront(t, frontConfig{steps: []middleware.Step{tapRows}, targets: []gateway.Target{ft.target()}})
			w := dialWire(t, f.addr)
			w.send(startupOf(v30, "user", "alice", "database", "fake"))
			w.until("R")
			w.send(msg('p', f.token+"\x00"))
			w.until("Z")
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			w.send(msg('Q', "select 'hostile'\x00"))
			for {
				typ, body, err := readMessage(w)
				if err != nil {
					require.False(t, errors.Is(err, os.ErrDeadlineExceeded), "the session goes on")
					break
				}
				require.NotEqual(t, "Z", string(typ))
				require.NotContains(t, string(body), "clear")
				if typ == 'E' {
					require.Equal(t, "FATAL", fields(body)['S'])
				}
			}
			runtime.ReadMemStats(&after)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(16<<20))
			require.Eventually(t, func() bool { return len(f.gateway.Sessions()) == 0 }, 5*time.Second, 5*time.Millisecond)
		})
	}
}

// A target that answers nonsense and does not read must not leave the client's
// side waiting in its write for ever.
func TestTargetThatStopsReading(t *testing.T) {
	stop := make(chan struct{})
	ft := newFakeTarget(t, func(w *wireClient) {
		w.write(auth(0, ""), msg('S', "client_encoding\x00UTF8\x00"), msg('K', keyData), msg('Z', "I"))
		for {
			var head [5]byte
			if _, err := io.ReadFull(w, head[:]); err != nil {
				return
			}
			if head[0] == 'Q' {
				break
			}
			_, _ = io.CopyN(io.Discard, w, int64(binary.BigEndian.Uint32(head[1:]))-4)
			if head[0] == 'S' { // the gateway's own question
				w.write(msg('E', "SERROR\x00C42501\x00Mno\x00\x00"), msg('Z', "I"))
			}
		}
		time.Sleep(300 * time.Millisecond) // let the writer fill what there is to fill
		w.write(msg('?', ""))
		<-stop
	})
	t.Cleanup(func() { close(stop) })
	f := newFront(t, frontConfig{targets: []gateway.Target{ft.target()}})
	w := dialWire(t, f.addr)
	w.send(startupOf(v30, "user", "alice", "database", "fake"))
	w.until("R")
	w.send(msg('p', f.token+"\x00"))
	w.until("Z")
	w.send(msg('Q', "select 1 /* "+strings.Repeat("x", 24<<20)+" */\x00"))
	_, body := w.until("E")
	require.Equal(t, "FATAL", fields(body)['S'])
	w.closed()
	eventually(t, 5*time.Second, func() bool { return len(f.gateway.Sessions()) == 0 }, "the session ends")
}

func TestCheckTarget(t *testing.T) {
	s := &postgres.Server{}
	check := func(addr string, options ...string) error {
		o := map[string]string{}
		for i := 0; i < len(options); i += 2 {
			o[options[i]] = options[i+1]
		}
		return s.CheckTarget(protocol.Resource{Name: "t", Addr: addr, Options: o})
	}
	require.NoError(t, check("db:5432"))
	require.NoError(t, check("/run/postgresql/.s.PGSQL.5432"))
	require.NoError(t, check("db:5432", "sslmode", "require", "dbname", "x", "replication", "allow"))
	require.ErrorContains(t, check("db:5432", "ssl_mode", "require"), `unknown option "ssl_mode"; known are sslmode`)
	require.ErrorContains(t, check("db:5432", "sslmode", "full"), `"full" is none of disable`)
	require.ErrorContains(t, check("db:5432", "replication", "yes"), `"yes" is not "allow"`)
	require.ErrorContains(t, check("db:5432", "sslrootcert", "/does/not/exist"), "option sslrootcert")
	require.ErrorContains(t, check("db:5432", "sslrootcert", os.Args[0]), "no certificate in")
	require.ErrorContains(t, check("db:5432", "sslcert", "/does/not/exist"), "options sslcert and sslkey")
	require.ErrorContains(t, check("db:5432", "sslkey", "/does/not/exist"), "sslkey needs sslcert")
	require.ErrorContains(t, check("postgres://u:hunter2@db"), "address: want host:port")
	require.NoError(t, check("db:5432", "require_auth", "scram-sha-256, md5", "channel_binding", "require"))
	require.NoError(t, check("db:5432", "require_auth", "!password,!md5"))
	require.ErrorContains(t, check("db:5432", "require_auth", "scram"), `"scram" is none of scram-sha-256, md5`)
	require.ErrorContains(t, check("db:5432", "require_auth", ""), `"" is none of`)
	require.ErrorContains(t, check("db:5432", "require_auth", "md5,!none"), "either all")
	require.ErrorContains(t, check("db:5432", "channel_binding", "yes"), `"yes" is none of prefer`)
	require.Error(t, check("/run/postgresql/.s.PGSQL.5432", "sslmode", "verify-full"))
}

// A cancel request or a time limit that hits the gateway's own question about the
// session's state leaves it unknown for that statement only.
func TestCancelledProbeIsAskedAgain(t *testing.T) {
	for code, want := range map[string]int64{"57014": 3, "42501": 1} {
		var asked atomic.Int64
		ft := newFakeTarget(t, func(w *wireClient) {
			w.write(auth(0, ""), msg('S', "client_encoding\x00UTF8\x00"), msg('S', "standard_conforming_strings\x00on\x00"), msg('K', keyData), msg('Z', "I"))
			for {
				switch typ, _, err := readMessage(w); {
				case err != nil:
					return
				case typ == 'S':
					asked.Add(1)
					w.write(msg('E', "SERROR\x00C"+code+"\x00Mno\x00\x00"), msg('Z', "I"))
				case typ == 'Q':
					w.write(msg('E', "SERROR\x00C42P01\x00Mno\x00\x00"), msg('Z', "I"))
				}
			}
		})
		f := newFront(t, frontConfig{steps: []middleware.Step{tapRows}, targets: []gateway.Target{ft.target()}})
		w := dialWire(t, f.addr)
		w.send(startupOf(v30, "user", "alice", "database", "fake"))
		w.until("R")
		w.send(msg('p', f.token+"\x00"))
		w.until("Z")
		for range 3 {
			w.send(msg('Q', "select a from t\x00"))
			w.until("E")
			w.until("Z")
		}
		require.Equal(t, want, asked.Load(), code)
	}
}
