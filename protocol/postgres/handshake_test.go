package postgres_test

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/postgres"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/pgtest"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
)

// A wireClient speaks the protocol by hand. Every wait has a limit.
type wireClient struct {
	t testing.TB
	net.Conn
}

func dialWire(t testing.TB, addr string) *wireClient {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return newWire(t, conn)
}

func newWire(t testing.TB, conn net.Conn) *wireClient {
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	return &wireClient{t, conn}
}

func (w *wireClient) send(b ...[]byte) {
	w.t.Helper()
	for _, p := range b {
		_, err := w.Write(p)
		require.NoError(w.t, err)
	}
}

// message returns the next message of the server.
func (w *wireClient) message() (byte, []byte) {
	w.t.Helper()
	typ, body, err := readMessage(w)
	require.NoError(w.t, err)
	return typ, body
}

func readMessage(r io.Reader) (byte, []byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n < 4 || n > 1<<20 {
		return 0, nil, fmt.Errorf("a message of type %q with length %d", head[0], n)
	}
	body := make([]byte, n-4)
	_, err := io.ReadFull(r, body)
	return head[0], body, err
}

// answer reads the one byte that answers a request for encryption.
func (w *wireClient) answer() string {
	w.t.Helper()
	var b [1]byte
	_, err := io.ReadFull(w, b[:])
	require.NoError(w.t, err)
	return string(b[:])
}

// until reads messages up to the first of one of the types.
func (w *wireClient) until(types string) (byte, []byte) {
	w.t.Helper()
	for {
		typ, body := w.message()
		if strings.IndexByte(types, typ) >= 0 {
			return typ, body
		}
		require.NotEqual(w.t, byte('E'), typ, "%q", body)
	}
}

// fatal reads an ErrorResponse and the end of the connection behind it.
func (w *wireClient) fatal() (code, text string) {
	w.t.Helper()
	typ, body := w.message()
	require.Equal(w.t, "E", string(typ), "%q", body)
	f := fields(body)
	require.Equal(w.t, "FATAL", f['S'])
	w.closed()
	return f['C'], f['M']
}

// closed waits for the end of the connection; nothing may come before it.
func (w *wireClient) closed() {
	w.t.Helper()
	rest, err := io.ReadAll(w)
	if ne := (net.Error)(nil); errors.As(err, &ne) && ne.Timeout() {
		w.t.Fatal("the connection was left open")
	}
	require.Empty(w.t, rest)
}

func fields(body []byte) map[byte]string {
	m := map[byte]string{}
	for len(body) > 1 {
		code := body[0]
		v, rest, _ := strings.Cut(string(body[1:]), "\x00")
		m[code], body = v, []byte(rest)
	}
	return m
}

func msg(typ byte, body string) []byte {
	b := binary.BigEndian.AppendUint32([]byte{typ}, uint32(len(body)+4))
	return append(b, body...)
}

// packet is a startup packet: a length, a code, a body.
func packet(code uint32, body string) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(body)+8))
	return append(binary.BigEndian.AppendUint32(b, code), body...)
}

// startupOf is a startup message with the given names and values.
func startupOf(version uint32, kv ...string) []byte {
	return packet(version, strings.Join(kv, "\x00")+"\x00\x00")
}

const (
	v30 = 3 << 16
	v32 = 3<<16 | 2
)

var (
	sslRequest = packet(80877103, "")
	gssRequest = packet(80877104, "")
)

// A door is a server whose handler remembers logins and lets nobody in.
type door struct {
	addr string
	mu   sync.Mutex
	seen []protocol.Login
	ends chan error // how each connection ended
}

// Open implements protocol.Handler.
func (d *door) Open(_ context.Context, l *protocol.Login) (*protocol.Session, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen = append(d.seen, *l)
	return nil, &protocol.DeniedError{Step: "door", Reason: "closed"}
}

func (d *door) logins() []protocol.Login {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.seen
}

func newDoor(t testing.TB, s *postgres.Server) *door {
	t.Helper()
	d := &door{ends: make(chan error, 64)}
	d.addr = serveOn(t, s, d, d.ends)
	return d
}

// serveOn serves s on loopback without a gateway.
func serveOn(t testing.TB, s *postgres.Server, h protocol.Handler, ends chan<- error) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				err := s.ServeConn(ctx, conn, h)
				select {
				case ends <- err:
				default:
				}
			})
		}
	})
	t.Cleanup(func() { cancel(); _ = l.Close(); wg.Wait() })
	return l.Addr().String()
}

// listenerTLS returns a server's TLS configuration and its authority.
func listenerTLS(t testing.TB, hosts ...string) (*tls.Config, *servers.Authority) {
	t.Helper()
	ca, err := servers.NewAuthority("listener test authority")
	require.NoError(t, err)
	cert, err := ca.Issue(servers.Subject{CommonName: "gateway", Hosts: append(hosts, "localhost", "127.0.0.1")})
	require.NoError(t, err)
	return &tls.Config{Certificates: []tls.Certificate{cert}}, ca
}

func caFile(t testing.TB, ca *servers.Authority) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(path, ca.PEM(), 0o600))
	return path
}

// TestClientsAtListeners is real clients at every kind of listener: the error,
// if any, is one that their user can act on.
func TestClientsAtListeners(t *testing.T) {
	conf, ca := listenerTLS(t)
	root := caFile(t, ca)
	_, other := listenerTLS(t)
	otherRoot := caFile(t, other)
	const needTLS = "over TLS only: use sslmode=require or stronger"
	for _, l := range []struct {
		name   string
		server *postgres.Server
		fail   map[string]string // by sslmode
	}{
		{"plain", &postgres.Server{AllowPlaintext: true}, map[string]string{"require": "", "verify-ca": "", "verify-full": ""}},
		{"optional", &postgres.Server{TLS: conf, AllowPlaintext: true}, nil},
		{"passwords under TLS", &postgres.Server{TLS: conf}, map[string]string{"disable": needTLS}},
		{"required", &postgres.Server{TLS: conf, RequireTLS: true, AllowPlaintext: true}, map[string]string{"disable": needTLS}},
		{"nothing", &postgres.Server{}, map[string]string{"disable": needTLS, "allow": needTLS, "prefer": needTLS,
			"require": "", "verify-ca": "", "verify-full": ""}},
	} {
		t.Run(l.name, func(t *testing.T) {
			r := newRig(t, rigConfig{server: l.server})
			for _, mode := range []string{"disable", "allow", "prefer", "require", "verify-ca", "verify-full"} {
				dsn := fmt.Sprintf("host=%s port=%s user=alice password=%s dbname=pg/postgres sslmode=%s sslrootcert=%s", r.host, r.port, r.token, mode, root)
				want, fails := l.fail[mode]
				out, err := psqlDSN(t, dsn, "-c", "select 41+1")
				pc, perr := pgx.Connect(t.Context(), dsn)
				if fails {
					require.Error(t, err, mode)
					require.Contains(t, out, want, mode)
					require.Error(t, perr, mode)
					require.ErrorContains(t, perr, want, mode)
					continue
				}
				require.NoError(t, err, "%s: %s", mode, out)
				require.Equal(t, "42", strings.TrimSpace(out), mode)
				require.NoError(t, perr, mode)
				var n int
				require.NoError(t, pc.QueryRow(t.Context(), "select 41+1").Scan(&n))
				require.NoError(t, pc.Close(t.Context()))
			}
			if l.server.TLS != nil {
				out, err := psqlDSN(t, fmt.Sprintf("host=%s port=%s user=alice password=%s dbname=pg/postgres sslmode=verify-ca sslrootcert=%s", r.host, r.port, r.token, otherRoot), "-c", "select 1")
				require.Error(t, err)
				require.Contains(t, out, "certificate verify failed")
				out, err = psqlDSN(t, fmt.Sprintf("host=%s port=%s user=alice password=%s dbname=pg/postgres sslmode=require channel_binding=require", r.host, r.port, r.token), "-c", "select 1")
				require.Error(t, err)
				require.Contains(t, strings.ToLower(out), "channel binding")
			}
		})
	}
}

func psqlDSN(t testing.TB, dsn string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(pgtest.Tool(t, "psql"), append([]string{"-X", "-w", "-At", "-d", dsn}, args...)...)
	cmd.Env = append(cmd.Environ(), "PGCONNECT_TIMEOUT=20", "HOME="+t.TempDir())
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// upgrade asks for TLS and does its handshake.
func (w *wireClient) upgrade(c *tls.Config) *wireClient {
	w.t.Helper()
	w.send(sslRequest)
	require.Equal(w.t, "S", w.answer())
	return w.handshake(c)
}

func (w *wireClient) handshake(c *tls.Config) *wireClient {
	w.t.Helper()
	tc := tls.Client(w.Conn, c)
	require.NoError(w.t, tc.Handshake())
	return &wireClient{w.t, tc}
}

func TestEncryptionRequests(t *testing.T) {
	conf, ca := listenerTLS(t)
	client := &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost"}
	withALPN := client.Clone()
	withALPN.NextProtos = []string{"postgresql"}
	hello := startupOf(v30, "user", "alice", "database", "orders/shop")
	tlsDoor := newDoor(t, &postgres.Server{TLS: conf, AllowPlaintext: true})
	plainDoor := newDoor(t, &postgres.Server{AllowPlaintext: true})
	asked := func(t *testing.T, w *wireClient) {
		t.Helper()
		typ, body := w.message()
		require.Equal(t, "R\x00\x00\x00\x03", string(typ)+string(body), "a request for a password")
	}
	const violation = "08P01"

	t.Run("SSLRequest, then the login inside", func(t *testing.T) {
		w := dialWire(t, tlsDoor.addr).upgrade(client)
		w.send(hello)
		asked(t, w)
	})
	t.Run("GSSENCRequest, SSLRequest, login", func(t *testing.T) {
		w := dialWire(t, tlsDoor.addr)
		w.send(gssRequest)
		require.Equal(t, "N", w.answer())
		w = w.upgrade(client)
		w.send(hello)
		asked(t, w)
	})
	t.Run("everything declined, then in the clear", func(t *testing.T) {
		w := dialWire(t, plainDoor.addr)
		for _, req := range [][]byte{sslRequest, gssRequest} {
			w.send(req)
			require.Equal(t, "N", w.answer())
		}
		w.send(hello)
		asked(t, w)
	})
	for name, req := range map[string][]byte{"SSLRequest": sslRequest, "GSSENCRequest": gssRequest} {
		t.Run(name+" twice", func(t *testing.T) {
			w := dialWire(t, plainDoor.addr)
			w.send(req)
			require.Equal(t, "N", w.answer())
			w.send(req)
			code, _ := w.fatal()
			require.Equal(t, violation, code)
		})
		t.Run(name+" inside TLS is answered inside TLS", func(t *testing.T) {
			w := dialWire(t, tlsDoor.addr).upgrade(client)
			w.send(req)
			code, text := w.fatal()
			require.Equal(t, violation, code)
			require.Contains(t, text, "encryption")
		})
		t.Run(name+" with a body", func(t *testing.T) {
			w := dialWire(t, tlsDoor.addr)
			w.send(packet(binary.BigEndian.Uint32(req[4:]), "surplus"))
			code, _ := w.fatal()
			require.Equal(t, violation, code)
		})
	}
	t.Run("plaintext behind SSLRequest is never taken for what came inside TLS", func(t *testing.T) {
		before := len(tlsDoor.logins())
		w := dialWire(t, tlsDoor.addr)
		w.send(append(append([]byte{}, sslRequest...), startupOf(v30, "user", "mallory", "database", "orders")...))
		require.Equal(t, "S", w.answer())
		rest, err := io.ReadAll(w)
		require.NoError(t, err)
		require.NotContains(t, string(rest), "R\x00\x00\x00", "no authentication request in the clear")
		require.Len(t, tlsDoor.logins(), before)
	})
	t.Run("direct TLS", func(t *testing.T) {
		w := dialWire(t, tlsDoor.addr).handshake(withALPN)
		w.send(hello)
		asked(t, w)
	})
	t.Run("direct TLS without ALPN", func(t *testing.T) {
		w := dialWire(t, tlsDoor.addr).handshake(client)
		code, text := w.fatal()
		require.Equal(t, violation, code)
		require.Contains(t, text, "ALPN")
	})
	t.Run("direct TLS with another protocol", func(t *testing.T) {
		c := client.Clone()
		c.NextProtos = []string{"h2", "http/1.1"}
		w := dialWire(t, tlsDoor.addr)
		require.ErrorContains(t, tls.Client(w.Conn, c).Handshake(), "no application protocol")
	})
	t.Run("direct TLS where there is none", func(t *testing.T) {
		w := dialWire(t, plainDoor.addr)
		require.Error(t, tls.Client(w.Conn, withALPN).Handshake())
	})
	t.Run("TLS below 1.2", func(t *testing.T) {
		c := client.Clone()
		c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
		w := dialWire(t, tlsDoor.addr)
		w.send(sslRequest)
		require.Equal(t, "S", w.answer())
		require.Error(t, tls.Client(w.Conn, c).Handshake())
	})
	t.Run("TLS in TLS", func(t *testing.T) {
		w := dialWire(t, tlsDoor.addr).upgrade(client)
		_ = tls.Client(w.Conn, withALPN).Handshake()
		require.NotEmpty(t, <-tlsDoor.ends)
	})
}

func TestVersions(t *testing.T) {
	d := newDoor(t, &postgres.Server{AllowPlaintext: true})
	for _, tt := range []struct {
		name    string
		version uint32
		extra   []string
		want    string // the body of NegotiateProtocolVersion; "" for none
	}{
		{"3.0", v30, nil, ""},
		{"3.1", v30 | 1, nil, ""},
		{"3.2", v32, nil, ""},
		{"3.3", v30 | 3, nil, "\x00\x03\x00\x02\x00\x00\x00\x00"},
		{"3.9999", v30 | 9999, nil, "\x00\x03\x00\x02\x00\x00\x00\x00"},
		{"3.0 with an option", v30, []string{"_pq_.compression", "on"}, "\x00\x03\x00\x00\x00\x00\x00\x01_pq_.compression\x00"},
		{"3.9999 with options", v30 | 9999, []string{"_pq_.a", "1", "_pq_.b", "2"}, "\x00\x03\x00\x02\x00\x00\x00\x02_pq_.a\x00_pq_.b\x00"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := dialWire(t, d.addr)
			w.send(startupOf(tt.version, append([]string{"user", "alice"}, tt.extra...)...))
			typ, body := w.message()
			if tt.want != "" {
				require.Equal(t, "v", string(typ))
				require.Equal(t, tt.want, string(body))
				typ, _ = w.message()
			}
			require.Equal(t, "R", string(typ))
		})
	}
	for _, version := range []uint32{2 << 16, 1 << 16, 4 << 16, 0, 0xffffffff, 1234<<16 | 5677} {
		w := dialWire(t, d.addr)
		w.send(startupOf(version, "user", "alice"))
		code, text := w.fatal()
		require.Equal(t, "0A000", code)
		require.Contains(t, text, "server supports 3.0 to 3.2")
	}
}

// What cannot be a startup packet is not waited for and gets no answer, as from
// PostgreSQL: a client that says good-bye before it has started would take the
// answer for an error.
func TestNoStartup(t *testing.T) {
	d := newDoor(t, &postgres.Server{AllowPlaintext: true})
	for _, n := range []uint32{0, 4, 7, 10001, 0x7fffffff, 0xffffffff} {
		w := dialWire(t, d.addr)
		w.send(binary.BigEndian.AppendUint32(nil, n))
		w.closed()
	}
	w := dialWire(t, d.addr)
	w.send(msg('X', ""))
	w.closed()
	require.Empty(t, d.logins())
}

// TestMalformedStartups are answered, not waited for: whatever is wrong is said
// as soon as it can be seen.
func TestMalformedStartups(t *testing.T) {
	d := newDoor(t, &postgres.Server{AllowPlaintext: true})
	for _, tt := range []struct {
		name string
		b    []byte
		code string
		text string
	}{
		{"no parameters and no terminator", packet(v30, ""), "08P01", "terminator"},
		{"no terminator", packet(v30, "user\x00alice\x00"), "08P01", "terminator"},
		{"an unterminated value", packet(v30, "user\x00alice"), "08P01", "terminator"},
		{"a name without a value", packet(v30, "user\x00\x00"), "08P01", "terminator"},
		{"bytes behind the terminator", packet(v30, "user\x00alice\x00\x00more"), "08P01", "terminator"},
		{"no user", startupOf(v30, "database", "orders"), "28000", "no PostgreSQL user name"},
		{"an empty user", startupOf(v30, "user", "", "database", "orders"), "28000", "no PostgreSQL user name"},
		{"a user that is all target", startupOf(v30, "user", "@orders"), "28000", "no PostgreSQL user name"},
		{"a cancel request without a key", packet(80877102, "\x00\x00\x00\x01"), "08P01", "invalid cancel request"},
		{"a cancel request with a short key", packet(80877102, "\x00\x00\x00\x01abc"), "08P01", "invalid cancel request"},
		{"a cancel request with a long key", packet(80877102, "\x00\x00\x00\x01"+strings.Repeat("k", 257)), "08P01", "invalid cancel request"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := dialWire(t, d.addr)
			w.send(tt.b)
			code, text := w.fatal()
			require.Equal(t, tt.code, code)
			require.Contains(t, text, tt.text)
		})
	}
	require.Empty(t, d.logins())
}

func TestPasswordMessages(t *testing.T) {
	d := newDoor(t, &postgres.Server{AllowPlaintext: true})
	header := func(typ byte, n uint32) []byte { return binary.BigEndian.AppendUint32([]byte{typ}, n) }
	for _, tt := range []struct {
		name string
		b    []byte
		code string
	}{
		{"empty", msg('p', "\x00"), "28P01"},
		{"no NUL", msg('p', "secret"), "08P01"},
		{"no body", msg('p', ""), "08P01"},
		{"bytes behind the NUL", msg('p', "secret\x00more"), "08P01"},
		{"too short", header('p', 3), "08P01"},
		{"too long", header('p', 64<<10+1), "08P01"},
		{"2 GiB", header('p', 0x7fffffff), "08P01"},
		{"4 GiB", header('p', 0xffffffff), "08P01"},
		{"a query instead", msg('Q', "select 1\x00"), "08P01"},
		{"2 GiB of query", header('Q', 0x7fffffff), "08P01"},
		{"Terminate", msg('X', ""), "08P01"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := dialWire(t, d.addr)
			w.send(startupOf(v30, "user", "alice"))
			w.until("R")
			w.send(tt.b)
			code, _ := w.fatal()
			require.Equal(t, tt.code, code)
		})
	}
	require.Empty(t, d.logins())

	w := dialWire(t, d.addr)
	w.send(startupOf(v30, "user", "alice"))
	w.until("R")
	token := strings.Repeat("t", 60<<10) // tokens of identity providers are long
	w.send(msg('p', token+"\x00"))
	code, text := w.fatal()
	require.Equal(t, "28000", code, "a refused login is final for drivers")
	require.Equal(t, "closed", text)
	pw := d.logins()[0].Proof.(protocol.Password)
	require.Equal(t, token, pw.Secret.Reveal())
	require.False(t, pw.TLS)
}

// TestRoutes is the one rule by which a client names its target.
func TestRoutes(t *testing.T) {
	conf, ca := listenerTLS(t, "orders.db.example.com", "x.orders.db.example.com", "db.example.com")
	d := newDoor(t, &postgres.Server{TLS: conf, AllowPlaintext: true, Domain: "DB.example.com."})
	for _, tt := range []struct {
		sni, user, database    string
		wantUser, target, name string
	}{
		{"", "alice", "orders/shop", "alice", "orders", "shop"},
		{"", "alice", "orders", "alice", "orders", ""},
		{"", "alice", "orders/a/b", "alice", "orders", "a/b"},
		{"", "alice@orders", "shop", "alice", "orders", "shop"},
		{"", "alice@orders", "", "alice", "orders", ""},
		{"", "alice@corp.com@orders", "x/y", "alice@corp.com", "orders", "x/y"},
		{"", "alice", "", "alice", "alice", ""},
		{"", "alice@", "orders/shop", "alice", "", "orders/shop"},
		{"orders.db.example.com", "alice", "shop/x", "alice", "orders", "shop/x"},
		{"orders.db.example.com", "alice", "", "alice", "orders", ""},
		{"orders.db.example.com", "alice@billing", "shop", "alice", "billing", "shop"},
		{"x.orders.db.example.com", "alice", "orders/shop", "alice", "orders", "shop"},
		{"db.example.com", "alice", "orders/shop", "alice", "orders", "shop"},
		{"localhost", "alice", "orders/shop", "alice", "orders", "shop"},
	} {
		w := dialWire(t, d.addr)
		if tt.sni != "" {
			w = w.upgrade(&tls.Config{RootCAs: ca.Pool(), ServerName: tt.sni})
		}
		kv := []string{"user", tt.user}
		if tt.database != "" {
			kv = append(kv, "database", tt.database)
		}
		w.send(startupOf(v30, kv...))
		w.until("R")
		w.send(msg('p', "token\x00"))
		w.fatal()
		all := d.logins()
		l := all[len(all)-1]
		require.Equal(t, tt.wantUser, l.User, "%+v", tt)
		require.Equal(t, tt.target, l.Resource, "%+v", tt)
		require.Equal(t, tt.name, l.Database, "%+v", tt)
		require.Equal(t, tt.sni != "", l.TLS != nil && l.Proof.(protocol.Password).TLS)
	}
}

// The last of two parameters counts, as it does for PostgreSQL: what the record
// says about a client is what the target was told.
func TestDuplicateParameters(t *testing.T) {
	d := newDoor(t, &postgres.Server{AllowPlaintext: true})
	w := dialWire(t, d.addr)
	w.send(startupOf(v30, "user", "alice", "user", "bob", "database", "a/b", "database", "c/d",
		"application_name", "psql", "application_name", "DBeaver 24.1 - Main"))
	w.until("R")
	w.send(msg('p', "token\x00"))
	w.fatal()
	l := d.logins()[0]
	require.Equal(t, []string{"bob", "c", "d", "DBeaver", "24.1"}, []string{l.User, l.Resource, l.Database, l.Tool.Name, l.Tool.Version})
}

func TestStartupParametersReachTheTarget(t *testing.T) {
	r := newRig(t, rigConfig{})
	conn := r.connect(t, "&search_path=pg_catalog&client_encoding=UTF8&extra_float_digits=1&application_name=my%20tool&DateStyle=German"+
		"&options=-c%20statement_timeout%3D12s%20-c%20work_mem%3D3MB")
	for name, want := range map[string]string{"search_path": "pg_catalog", "client_encoding": "UTF8", "extra_float_digits": "1",
		"application_name": "my tool", "statement_timeout": "12s", "work_mem": "3MB", "DateStyle": "German, DMY"} {
		var got string
		require.NoError(t, conn.QueryRow(t.Context(), "select current_setting('"+name+"')").Scan(&got))
		require.Equal(t, want, got, name)
	}
	require.Equal(t, "my tool", conn.PgConn().ParameterStatus("application_name"))
	_, err := pgx.Connect(t.Context(), r.dsn("&no_such_parameter=1"))
	require.ErrorContains(t, err, "no_such_parameter", "the target's own answer")
	_, err = pgx.Connect(t.Context(), strings.Replace(r.dsn(""), "pg%2Fpostgres", "pg%2Fnowhere", 1))
	require.ErrorContains(t, err, `database "nowhere" does not exist`)
	require.ErrorContains(t, err, "3D000")
}

func TestReplicationIsAnOption(t *testing.T) {
	refusing := newRig(t, rigConfig{})
	for _, v := range []string{"database", "true", "1", "on", "yes", "TRUE", "anything"} {
		_, err := pgx.Connect(t.Context(), refusing.dsn("&replication="+v))
		require.ErrorContains(t, err, "replication connections are not allowed for this target", v)
	}
	_, err := pgx.Connect(t.Context(), refusing.dsn("&replication=false"))
	require.NoError(t, err)

	allowing := newRig(t, rigConfig{options: map[string]string{"sslmode": "disable", "replication": "allow"}})
	conn, err := pgx.Connect(t.Context(), allowing.dsn("&replication=database&default_query_exec_mode=simple_protocol"))
	require.NoError(t, err)
	defer conn.Close(context.Background())
	rows, err := conn.PgConn().Exec(t.Context(), "IDENTIFY_SYSTEM").ReadAll()
	require.NoError(t, err)
	require.Len(t, rows[0].Rows, 1)
}

// TestRefusedLoginsLookAlike checks that a bad token and a target that does not
// exist are final refusals, and that nothing was dialled for them.
func TestRefusedLoginsLookAlike(t *testing.T) {
	r := newRig(t, rigConfig{pg: []pgtest.Option{pgtest.Setting("log_connections", "on")}})
	r.connect(t, "") // what a login that is accepted looks like
	before := strings.Count(r.pg.Log(), "connection received")
	require.NotZero(t, before)
	for _, dsn := range []string{
		strings.Replace(r.dsn(""), r.token, "sp_wrong", 1),
		strings.Replace(r.dsn(""), "pg%2Fpostgres", "nowhere", 1),
		strings.Replace(r.dsn(""), "alice:", "alice%40nowhere:", 1),
	} {
		_, err := pgx.Connect(t.Context(), dsn)
		require.Error(t, err)
		require.ErrorContains(t, err, "SQLSTATE 28000")
		require.NotContains(t, err.Error(), r.token)
	}
	require.Equal(t, before, strings.Count(r.pg.Log(), "connection received"))
}

// A certificate that TLS has verified is the client's proof, and no password is
// asked for; who has none is asked.
func TestClientCertificates(t *testing.T) {
	conf, ca := listenerTLS(t)
	people, err := servers.NewAuthority("people")
	require.NoError(t, err)
	conf.ClientAuth, conf.ClientCAs = tls.VerifyClientCertIfGiven, people.Pool()
	r := newRig(t, rigConfig{server: &postgres.Server{TLS: conf}, steps: []middleware.Step{middleware.Certificates(middleware.CertificateRule{
		CA: "CN=people", Subject: middleware.CommonName, Kind: protocol.Human, Groups: []string{"dba"}})}})
	root := caFile(t, ca)
	dsn := func(extra string) string {
		return fmt.Sprintf("host=%s port=%s user=alice dbname=pg/postgres sslmode=verify-full sslrootcert=%s %s", r.host, r.port, root, extra)
	}
	cert, key := clientFiles(t, people, "carol")
	with := fmt.Sprintf("sslcert=%s sslkey=%s", cert, key)
	for _, password := range []string{"", " password=wrong"} {
		out, err := psqlDSN(t, dsn(with+password), "-c", "select 8")
		require.NoError(t, err, out)
		require.Equal(t, "8", strings.TrimSpace(out))
	}
	conn, err := pgx.Connect(t.Context(), dsn(with))
	require.NoError(t, err)
	id := r.gateway.Sessions()[0].Info().Identity
	require.Equal(t, "carol", id.Subject)
	require.Equal(t, "certificate", id.Method)
	require.NoError(t, conn.Close(t.Context()))

	out, err := psqlDSN(t, dsn("password="+r.token), "-c", "select 8")
	require.NoError(t, err, out)
	out, err = psqlDSN(t, dsn(""), "-c", "select 8")
	require.Error(t, err)
	require.Contains(t, out, "no password supplied")
	strangers, err := servers.NewAuthority("people") // another one of that name
	require.NoError(t, err)
	cert, key = clientFiles(t, strangers, "carol")
	out, err = psqlDSN(t, dsn(fmt.Sprintf("sslcert=%s sslkey=%s password=%s", cert, key, r.token)), "-c", "select 8")
	require.Error(t, err, out)
}
