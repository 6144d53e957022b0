package postgres

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/sallyport-dev/gateway/protocol"
)

// Request codes that stand in a version's place (55.2.10 and 55.7).
const (
	codeCancelRequest = 80877102
	codeSSLRequest    = 80877103
	codeGSSENCRequest = 80877104
)

const (
	maxStartup  = 10000    // MAX_STARTUP_PACKET_LENGTH of PostgreSQL
	maxPassword = 64 << 10 // tokens are longer than passwords; PostgreSQL takes 64 KiB for GSS tokens
	maxKey      = 256      // cancel keys of protocol 3.2
	minorMax    = 2        // the newest protocol minor version that is spoken here
)

// param is one parameter of a startup message, in the client's order.
type param struct{ name, value string }

// startup is what a client has said before it proves who it is.
type startup struct {
	conn   net.Conn // inside TLS if there is any
	tls    *tls.ConnectionState
	minor  int
	params []param
	cancel *cancelRequest // set: the connection asks for this and nothing else
}

type cancelRequest struct {
	pid uint32
	key []byte
}

// param returns the value of a parameter. The last of several counts, as it
// does for the target, which gets them all.
func (st *startup) param(name string) string {
	for i := len(st.params) - 1; i >= 0; i-- {
		if st.params[i].name == name {
			return st.params[i].value
		}
	}
	return ""
}

// prefixConn gives back bytes that were read to look at them.
type prefixConn struct {
	net.Conn
	prefix []byte
}

// NetConn returns the connection itself.
func (c *prefixConn) NetConn() net.Conn { return c.Conn }

func (c *prefixConn) Read(p []byte) (int, error) {
	if len(c.prefix) > 0 {
		n := copy(p, c.prefix)
		c.prefix = c.prefix[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

// errLength is not told to the client, as little as PostgreSQL does: what has
// such a length does not speak this protocol, or is a good-bye before the start.
var errLength = errors.New("invalid length of startup packet")

// start brings a connection to its startup message or cancel request. Every
// read is of exactly what is needed, so that no byte which belongs into TLS is
// taken from outside of it, and none from outside is taken as if it had been
// inside (CVE-2021-23214). After an error st.conn is what the client can be
// told through.
func (s *Server) start(ctx context.Context, conn net.Conn) (st *startup, err error) {
	st = &startup{conn: conn}
	var first [1]byte
	if _, err := io.ReadFull(conn, first[:]); err != nil {
		return st, err
	}
	if first[0] == 0x16 { // a TLS handshake record: direct TLS, as PostgreSQL 17 does it
		if s.TLS == nil {
			return st, &protocol.Fault{Side: protocol.SideClient, Code: codeProtocolViolation, Msg: "this gateway does not offer TLS"}
		}
		if err := st.startTLS(ctx, s, &prefixConn{conn, first[:]}); err != nil {
			return st, err
		}
		if st.tls.NegotiatedProtocol != alpn {
			return st, &protocol.Fault{Side: protocol.SideClient, Code: codeProtocolViolation, Msg: "direct TLS needs the ALPN protocol postgresql"}
		}
		if _, err := io.ReadFull(st.conn, first[:]); err != nil {
			return st, err
		}
	}
	asked := map[uint32]bool{}
	for {
		var head [8]byte
		head[0] = first[0]
		if _, err := io.ReadFull(st.conn, head[1:4]); err != nil {
			return st, err
		}
		n := binary.BigEndian.Uint32(head[:4])
		if n < 8 || n > maxStartup {
			return st, errLength
		}
		if _, err := io.ReadFull(st.conn, head[4:]); err != nil {
			return st, err
		}
		code := binary.BigEndian.Uint32(head[4:])
		body := make([]byte, n-8)
		if _, err := io.ReadFull(st.conn, body); err != nil {
			return st, err
		}
		switch code {
		case codeSSLRequest, codeGSSENCRequest:
			if asked[code] || n != 8 || st.tls != nil {
				return st, &protocol.Fault{Side: protocol.SideClient, Code: codeProtocolViolation, Msg: "unexpected request for encryption"}
			}
			asked[code] = true
			answer := byte('N')
			if code == codeSSLRequest && s.TLS != nil {
				answer = 'S'
			}
			if _, err := st.conn.Write([]byte{answer}); err != nil {
				return st, err
			}
			if answer == 'S' {
				if err := st.startTLS(ctx, s, st.conn); err != nil {
					return st, err
				}
			}
			if _, err := io.ReadFull(st.conn, first[:]); err != nil {
				return st, err
			}
			continue
		case codeCancelRequest:
			if len(body) < 4+4 || len(body) > 4+maxKey {
				return st, &protocol.Fault{Side: protocol.SideClient, Code: codeProtocolViolation, Msg: "invalid cancel request"}
			}
			st.cancel = &cancelRequest{pid: binary.BigEndian.Uint32(body), key: body[4:]}
			return st, nil
		}
		if code>>16 != 3 {
			return st, &protocol.Fault{Side: protocol.SideClient, Code: codeFeatureNotSupported,
				Msg: fmt.Sprintf("unsupported frontend protocol %d.%d: server supports 3.0 to 3.%d", code>>16, code&0xffff, minorMax)}
		}
		st.minor = int(code & 0xffff)
		if err := st.readParams(body); err != nil {
			return st, err
		}
		return st, st.negotiate()
	}
}

const alpn = "postgresql"

func (st *startup) startTLS(ctx context.Context, s *Server, conn net.Conn) error {
	t := tls.Server(conn, s.tls)
	if err := t.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("TLS handshake: %w", err)
	}
	state := t.ConnectionState()
	st.conn, st.tls = t, &state
	return nil
}

func (st *startup) readParams(body []byte) error {
	c := cursor{b: body}
	bad := &protocol.Fault{Side: protocol.SideClient, Code: codeProtocolViolation, Msg: "invalid startup packet layout: expected terminator as last byte"}
	for {
		name := string(c.str())
		if c.bad {
			return bad
		}
		if name == "" {
			if len(c.b) != 0 {
				return bad
			}
			return nil
		}
		value := string(c.str())
		if c.bad {
			return bad
		}
		st.params = append(st.params, param{name, value})
	}
}

// negotiate answers a client that asks for a newer minor version or for
// protocol options: none of those is known.
func (st *startup) negotiate() error {
	var options []string
	keep := st.params[:0]
	for _, p := range st.params {
		if strings.HasPrefix(p.name, "_pq_.") {
			options = append(options, p.name)
			continue
		}
		keep = append(keep, p)
	}
	st.params = keep
	if st.minor <= minorMax && len(options) == 0 {
		return nil
	}
	st.minor = min(st.minor, minorMax)
	_, err := st.conn.Write(appendMessage(nil, msgNegotiateVersion, func(b []byte) []byte {
		b = binary.BigEndian.AppendUint32(b, uint32(3<<16|st.minor))
		b = binary.BigEndian.AppendUint32(b, uint32(len(options)))
		for _, o := range options {
			b = append(append(b, o...), 0)
		}
		return b
	}))
	return err
}

// route says which target and database a client means. The one rule: the part
// of the user behind its last '@', else the first label of the TLS server name
// below Domain, else the part of the database before the first '/' is the
// target; the rest of the database names the database at the target.
func (s *Server) route(st *startup) (user, target, database string) {
	user, database = st.param("user"), st.param("database")
	if i := strings.LastIndexByte(user, '@'); i >= 0 {
		return user[:i], user[i+1:], database
	}
	if s.Domain != "" && st.tls != nil {
		if label, ok := strings.CutSuffix(strings.ToLower(st.tls.ServerName), "."+strings.ToLower(strings.Trim(s.Domain, "."))); ok && label != "" && !strings.Contains(label, ".") {
			return user, label, database
		}
	}
	if database == "" {
		database = user // PostgreSQL's own default
	}
	target, database, _ = strings.Cut(database, "/")
	return user, target, database
}

// login fills a Login with what the client has said and the proof it offers.
// The challenge is nil unless the proof is one.
func (s *Server) login(st *startup) (*protocol.Login, *challenge, error) {
	user, target, database := s.route(st)
	if user == "" {
		return nil, nil, &protocol.Fault{Side: protocol.SideClient, Code: codeInvalidAuth, Msg: "no PostgreSQL user name specified in startup packet"}
	}
	if s.RequireTLS && st.tls == nil {
		return nil, nil, &protocol.Fault{Side: protocol.SideClient, Code: codeInvalidAuth, Msg: "this gateway accepts connections over TLS only: use sslmode=require or stronger"}
	}
	l := &protocol.Login{Protocol: s.Name(), User: user, Resource: target, Database: database,
		Remote: st.conn.RemoteAddr(), TLS: st.tls}
	if app := st.param("application_name"); app != "" {
		l.Tool = protocol.Tool{Name: app, Raw: app, Source: "application_name"}
		// "psql", "pgAdmin 4 - DB:x", "DBeaver 24.1 - Main": the version, if
		// any, is what follows the first word and starts with a digit.
		if name, rest, ok := strings.Cut(app, " "); ok && rest != "" && rest[0] >= '0' && rest[0] <= '9' {
			l.Tool.Name, l.Tool.Version = name, strings.Fields(rest)[0]
		}
	}
	var ch *challenge
	var err error
	switch {
	case st.tls != nil && len(st.tls.VerifiedChains) > 0:
		l.Proof = protocol.Certificate{Chain: st.tls.VerifiedChains[0]}
	case s.Auth == AuthSCRAM:
		ch = s.newChallenge(st, user)
		l.Proof = protocol.Challenge{Scheme: scramSHA256, Verify: ch.verify}
	case st.tls == nil && !s.AllowPlaintext:
		err = &protocol.Fault{Side: protocol.SideClient, Code: codeInvalidAuth, Msg: "this gateway takes passwords and tokens over TLS only: use sslmode=require or stronger"}
	default:
		l.Proof, err = readPassword(st)
	}
	return l, ch, err
}

func authRequest(kind uint32, data []byte) []byte {
	return appendMessage(nil, msgAuthentication, func(b []byte) []byte {
		return append(binary.BigEndian.AppendUint32(b, kind), data...)
	})
}

// Authentication request codes (55.7, AuthenticationXXX).
const (
	authOK           = 0
	authCleartext    = 3
	authMD5          = 5
	authSASL         = 10
	authSASLContinue = 11
	authSASLFinal    = 12
)

func readPassword(st *startup) (protocol.Proof, error) {
	if _, err := st.conn.Write(authRequest(authCleartext, nil)); err != nil {
		return nil, err
	}
	body, err := readPasswordMessage(st.conn)
	if err != nil {
		return nil, err
	}
	c := cursor{b: body}
	pw := string(c.str())
	if c.done() != nil {
		return nil, &protocol.Fault{Side: protocol.SideClient, Code: codeProtocolViolation, Msg: "invalid password packet"}
	}
	if pw == "" {
		return nil, &protocol.Fault{Side: protocol.SideClient, Code: codeInvalidPassword, Msg: "empty password returned by client"}
	}
	return protocol.Password{Secret: protocol.NewSecret(pw), TLS: st.tls != nil}, nil
}

// readPasswordMessage reads one 'p' message and nothing behind it.
func readPasswordMessage(r io.Reader) ([]byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if head[0] != msgPassword || n < 4 || n > maxPassword {
		return nil, &protocol.Fault{Side: protocol.SideClient, Code: codeProtocolViolation, Msg: "expected a password response"}
	}
	body := make([]byte, n-4)
	_, err := io.ReadFull(r, body)
	return body, err
}

// A challenge is one SCRAM-SHA-256 exchange with a client. It runs when a step
// that knows the account's secret asks for it, and otherwise as a mock, so that
// a client cannot tell an account that nobody knows from a wrong password.
type challenge struct {
	st     *startup
	salt   []byte // for secrets that have none of their own
	ran    bool
	proven bool // the client knows the secret
}

// newChallenge returns the challenge for a client that says it is user.
func (s *Server) newChallenge(st *startup, user string) *challenge {
	return &challenge{st: st, salt: s.mockSalt(user)}
}

// mockSalt returns the salt of an account that has none. It is the same each
// time, as that of an account which exists would be (mock_scram_secret in
// PostgreSQL's auth-scram.c).
func (s *Server) mockSalt(user string) []byte {
	s.saltOnce.Do(func() {
		s.saltKey = make([]byte, sha256.Size)
		_, _ = rand.Read(s.saltKey) // never fails
	})
	return hmacSHA256(s.saltKey, user)[:16]
}

// verify is the challenge's [protocol.Challenge].Verify.
func (c *challenge) verify(_ context.Context, secret protocol.Secret) (bool, error) {
	if c.ran {
		return false, errors.New("the exchange has already run")
	}
	c.ran = true
	keys, salt, iterations, ok := parseVerifier(secret.Reveal())
	if !ok {
		salt, iterations = c.salt, minIterations
		var err error
		if keys, err = deriveKeys(secret.Reveal(), salt, iterations); err != nil {
			return false, err
		}
	}
	ok, err := c.exchange(scramServer{keys: keys, salt: salt, iterations: iterations})
	c.proven = ok
	return ok, err
}

// mock runs the exchange for an account that nobody knows, unless the exchange
// has run. No client passes it.
func (c *challenge) mock() error {
	if c.ran {
		return nil
	}
	c.ran = true
	keys := scramKeys{stored: make([]byte, sha256.Size), server: make([]byte, sha256.Size)}
	_, _ = rand.Read(keys.stored) // never fails
	_, err := c.exchange(scramServer{keys: keys, salt: c.salt, iterations: minIterations})
	return err
}

// exchange talks to the client. An error that is the client's fault is an
// [Error].
func (c *challenge) exchange(srv scramServer) (bool, error) {
	conn := c.st.conn
	if _, err := conn.Write(authRequest(authSASL, []byte(scramSHA256+"\x00\x00"))); err != nil {
		return false, err
	}
	body, err := readPasswordMessage(conn)
	if err != nil {
		return false, err
	}
	first, err := decodeSASLInitial(body)
	if err != nil {
		return false, err
	}
	answer, err := srv.start(first)
	if err != nil {
		return false, &protocol.Fault{Side: protocol.SideClient, Code: codeProtocolViolation, Msg: err.Error()}
	}
	if _, err := conn.Write(authRequest(authSASLContinue, []byte(answer))); err != nil {
		return false, err
	}
	if body, err = readPasswordMessage(conn); err != nil {
		return false, err
	}
	sig, ok := srv.finish(body)
	if !ok {
		return false, nil
	}
	_, err = conn.Write(authRequest(authSASLFinal, []byte(sig)))
	return err == nil, err
}

// decodeSASLInitial returns the client's first SCRAM message out of a
// SASLInitialResponse.
func decodeSASLInitial(body []byte) ([]byte, error) {
	c := cursor{b: body}
	mech := string(c.str())
	first := c.value()
	switch {
	case c.done() != nil:
		return nil, &protocol.Fault{Side: protocol.SideClient, Code: codeProtocolViolation, Msg: "malformed SASL response"}
	case mech != scramSHA256:
		return nil, &protocol.Fault{Side: protocol.SideClient, Code: codeProtocolViolation, Msg: "client selected an invalid SASL authentication mechanism"}
	}
	return first, nil
}
