package mysql

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"

	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/serve"
)

// offered are the capabilities that clients are offered beside TLS: what makes
// no difference to the gateway or is understood by it. Not among them: compression,
// files of the client's (LOCAL INFILE), results without their columns, and that the
// database in a table's name means nothing (CLIENT_NO_SCHEMA).
const offered = mysql.CLIENT_LONG_PASSWORD | mysql.CLIENT_FOUND_ROWS | mysql.CLIENT_LONG_FLAG | mysql.CLIENT_CONNECT_WITH_DB |
	mysql.CLIENT_ODBC | mysql.CLIENT_IGNORE_SPACE | mysql.CLIENT_PROTOCOL_41 | mysql.CLIENT_INTERACTIVE |
	mysql.CLIENT_IGNORE_SIGPIPE | mysql.CLIENT_TRANSACTIONS | mysql.CLIENT_SECURE_CONNECTION | mysql.CLIENT_MULTI_STATEMENTS |
	mysql.CLIENT_MULTI_RESULTS | mysql.CLIENT_PS_MULTI_RESULTS | mysql.CLIENT_PLUGIN_AUTH | mysql.CLIENT_CONNECT_ATTRS |
	mysql.CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA | mysql.CLIENT_SESSION_TRACK | mysql.CLIENT_DEPRECATE_EOF | mysql.CLIENT_QUERY_ATTRIBUTES

// extendedMetadata is MariaDB's capability MARIADB_CLIENT_EXTENDED_METADATA: column
// definitions say more of the type, such as that a text is JSON. It is in 32 bits of
// their own, which there are where CLIENT_LONG_PASSWORD is missing
// (mariadb.com/kb/en/connection, "Capabilities").
const extendedMetadata = 1 << (35 - 32)

const (
	maxHandshake = 128 << 10 // tokens are longer than passwords, and attributes may take 64 KiB
	maxAttrs     = 64 << 10
	saltLen      = 20
	utf8mb4      = 45 // utf8mb4_general_ci, which every server knows
)

// authOpenID is the plugin of MySQL 9 that sends a token of OpenID Connect.
const authOpenID = "authentication_openid_connect_client"

// startup is what a client has said before it proves who it is.
type startup struct {
	conn net.Conn // inside TLS if there is any
	tls  *tls.ConnectionState
	id   uint32 // of the session, as the client knows it
	seq  byte   // of the next packet
	salt [saltLen]byte

	response   // what the client has answered
	answered   bool
	challenged bool // the proof is a challenge
	proven     bool // and the client has met it
}

// A response is a client's answer to the greeting.
type response struct {
	caps     uint32
	extended bool // the client wants extended metadata
	charset  byte
	user     string
	auth     []byte
	db       string
	plugin   string
	attrs    []attr
}

// attr is one attribute of a connection, in the client's order.
type attr struct{ name, value string }

func (r *response) attr(name string) string {
	for _, a := range r.attrs {
		if a.name == name {
			return a.value
		}
	}
	return ""
}

// has reports whether the client has a capability.
func (r *response) has(capability uint32) bool { return r.caps&capability != 0 }

// sessions are the sessions by the id that their clients were told.
type sessions struct {
	mu   sync.Mutex
	last uint32
	m    map[uint32]*session // nil: the login is not over
}

// firstID is where the ids that clients are told begin: so high that they are
// not a target's own, which count from 1, and a KILL tells which one it means.
const firstID = 1 << 31

// add returns an id that no other session of the server has.
func (ss *sessions) add() uint32 {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if ss.m == nil {
		ss.m = map[uint32]*session{}
	}
	for {
		ss.last = (ss.last+1)&(firstID-1) | firstID
		if _, taken := ss.m[ss.last]; !taken {
			ss.m[ss.last] = nil
			return ss.last
		}
	}
}

func (ss *sessions) set(id uint32, c *session) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ss.m[id] = c
}

func (ss *sessions) remove(id uint32) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	delete(ss.m, id)
}

// start greets a client and reads its answer. Every read is of exactly what is
// needed, so that no byte which belongs into TLS is taken from outside of it.
// After an error st.conn is what the client can be told through.
func (s *Server) start(ctx context.Context, conn net.Conn) (*startup, error) {
	st := &startup{conn: conn, id: s.sessions.add()}
	_, _ = rand.Read(st.salt[:]) // never fails
	for i := range st.salt {
		st.salt[i] = st.salt[i]&0x7f | 1 // no NUL, which would end it, and ASCII
	}
	if err := st.write(s.greeting(st)); err != nil {
		return st, err
	}
	b, err := readExact(conn, &st.seq, maxHandshake)
	if err != nil {
		return st, fmt.Errorf("handshake: %w", err)
	}
	if c := (cursor{b: b}); len(b) == 32 && c.u32()&mysql.CLIENT_SSL != 0 {
		if s.tls == nil {
			return st, fault(protocol.SideClient, codeNeedsTLS, "this gateway does not offer TLS", nil)
		}
		t := tls.Server(conn, s.tls)
		if err := t.HandshakeContext(ctx); err != nil {
			return st, fmt.Errorf("TLS handshake: %w", err)
		}
		cs := t.ConnectionState()
		st.conn, st.tls = t, &cs
		if b, err = readExact(st.conn, &st.seq, maxHandshake); err != nil {
			return st, fmt.Errorf("handshake: %w", err)
		}
	}
	if st.response, err = decodeResponse(b); err != nil {
		return st, fault(protocol.SideClient, mysql.ER_HANDSHAKE_ERROR, "Bad handshake", err)
	}
	st.answered = true
	if !st.has(mysql.CLIENT_PROTOCOL_41) || !st.has(mysql.CLIENT_PLUGIN_AUTH) {
		return st, fault(protocol.SideClient, mysql.ER_HANDSHAKE_ERROR, "this gateway needs a client of MySQL 5.5 or newer", nil)
	}
	st.caps &= offered | mysql.CLIENT_SSL
	st.extended = st.extended && s.isMariaDB()
	return st, nil
}

// greeting is the payload of the first packet.
func (s *Server) greeting(st *startup) []byte {
	caps := uint64(offered)
	if s.tls != nil {
		caps |= uint64(mysql.CLIENT_SSL)
	}
	var extended uint64
	if s.isMariaDB() {
		caps &^= uint64(mysql.CLIENT_LONG_PASSWORD)
		extended = extendedMetadata
	}
	b := appendNUL([]byte{mysql.ClassicProtocolVersion}, s.version())
	b = appendUint(b, 4, uint64(st.id))
	b = append(append(b, st.salt[:8]...), 0)
	b = appendUint(b, 2, caps)
	b = append(b, utf8mb4)
	b = appendUint(b, 2, uint64(statusAutocommit))
	b = appendUint(b, 2, caps>>16)
	b = append(b, saltLen+1)
	b = appendUint(append(b, make([]byte, 6)...), 4, extended)
	b = append(append(b, st.salt[8:]...), 0)
	return appendNUL(b, s.announced())
}

// announced is the plugin that the greeting names. It is never the one that
// sends what it has in the clear: the client does not know yet whether it is
// inside TLS.
func (s *Server) announced() string {
	if s.Auth == AuthCachingSHA2 {
		return mysql.AUTH_CACHING_SHA2_PASSWORD
	}
	return mysql.AUTH_NATIVE_PASSWORD
}

// decodeResponse reads the payload of a client's HandshakeResponse41.
func decodeResponse(b []byte) (r response, err error) {
	c := cursor{b: b}
	r.caps = c.u32()
	c.u32() // the client's own limit for a packet
	r.charset = c.u8()
	c.take(19)
	r.extended = c.u32()&extendedMetadata != 0 && !r.has(mysql.CLIENT_LONG_PASSWORD)
	r.user = string(c.nul())
	switch {
	case r.has(mysql.CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA):
		r.auth = c.str()
	case r.has(mysql.CLIENT_SECURE_CONNECTION):
		r.auth = c.take(int(c.u8()))
	default:
		r.auth = c.nul()
	}
	if r.has(mysql.CLIENT_CONNECT_WITH_DB) && len(c.b) > 0 {
		r.db = string(c.nul())
	}
	if r.has(mysql.CLIENT_PLUGIN_AUTH) && len(c.b) > 0 {
		r.plugin = string(c.nul())
	}
	if r.has(mysql.CLIENT_CONNECT_ATTRS) && len(c.b) > 0 {
		if r.attrs, err = decodeAttrs(c.str()); err != nil {
			return r, err
		}
	}
	if c.bad { // what follows, such as a level of compression, is of no interest
		return r, errMalformed
	}
	return r, nil
}

func decodeAttrs(b []byte) ([]attr, error) {
	if len(b) > maxAttrs {
		return nil, errMalformed
	}
	c := cursor{b: b}
	var list []attr
	for len(c.b) > 0 {
		list = append(list, attr{string(c.str()), string(c.str())})
		if c.bad {
			return nil, errMalformed
		}
	}
	return list, nil
}

// write sends one payload.
func (st *startup) write(payload []byte) error {
	_, err := st.conn.Write(appendPacket(nil, &st.seq, payload))
	return err
}

// refuse tells the client why its login is not accepted, if it may know.
func (st *startup) refuse(err error) {
	var d *protocol.DeniedError
	var f *protocol.Fault
	if !st.answered && !errors.As(err, &f) {
		return // whoever that is does not speak this protocol
	}
	r := refusal(err)
	switch {
	case errors.As(err, &f):
	case errors.As(err, &d), r.code == codeUnknown:
		r.code = codeAccessDenied
	}
	serve.LastWord(st.conn, appendPacket(nil, &st.seq, r.append(nil, !st.answered)))
}

// route says which target and database a client means. The one rule: the part
// of the user behind its last '@', else the first label of the TLS server name
// below Domain, else the part of the database before the first '/' is the
// target; the rest of the database names the database at the target.
func (s *Server) route(st *startup) (user, target, database string) {
	user, database = st.user, st.db
	if i := strings.LastIndexByte(user, '@'); i >= 0 {
		return user[:i], user[i+1:], database
	}
	if s.Domain != "" && st.tls != nil {
		if label, ok := strings.CutSuffix(strings.ToLower(st.tls.ServerName), "."+strings.ToLower(strings.Trim(s.Domain, "."))); ok && label != "" && !strings.Contains(label, ".") {
			return user, label, database
		}
	}
	target, database, _ = strings.Cut(database, "/")
	return user, target, database
}

// login fills a Login with what the client has said and the proof it offers.
func (s *Server) login(st *startup) (*protocol.Login, error) {
	user, target, database := s.route(st)
	if user == "" {
		return nil, fault(protocol.SideClient, codeAccessDenied, "the user name is missing", nil)
	}
	if s.RequireTLS && st.tls == nil {
		return nil, fault(protocol.SideClient, codeNeedsTLS, "this gateway accepts connections over TLS only", nil)
	}
	l := &protocol.Login{Protocol: s.Name(), User: user, Resource: target, Database: database,
		Remote: st.conn.RemoteAddr(), TLS: st.tls, Tool: st.tool()}
	var err error
	switch {
	case st.tls != nil && len(st.tls.VerifiedChains) > 0:
		l.Proof = protocol.Certificate{Chain: st.tls.VerifiedChains[0]}
	case s.Auth == AuthNative, s.Auth == AuthCachingSHA2:
		l.Proof, err = st.challenge(string(s.Auth))
	case st.tls == nil && !s.AllowPlaintext:
		err = fault(protocol.SideClient, codeNeedsTLS, "this gateway takes passwords and tokens over TLS only", nil)
	default:
		l.Proof, err = st.password()
	}
	return l, err
}

// tool says which program the client says it is.
func (st *startup) tool() protocol.Tool {
	for _, t := range []struct{ name, version string }{{"program_name", "_client_version"}, {"_client_name", "_client_version"}} {
		if v := st.attr(t.name); v != "" {
			tool := protocol.Tool{Name: v, Raw: v, Source: t.name, Version: st.attr(t.version)}
			if tool.Version != "" {
				tool.Raw += " " + tool.Version
			}
			return tool
		}
	}
	return protocol.Tool{}
}

// ask has the client log in with plugin and returns what that sends.
func (st *startup) ask(plugin string) ([]byte, error) {
	b := appendNUL([]byte{packetEOF}, plugin)
	if err := st.write(append(append(b, st.salt[:]...), 0)); err != nil {
		return nil, err
	}
	b, err := readExact(st.conn, &st.seq, maxHandshake)
	if err != nil {
		return nil, fmt.Errorf("handshake: %w", err)
	}
	return b, nil
}

// password reads a password or a token, which comes in the clear.
func (st *startup) password() (protocol.Proof, error) {
	if st.plugin == authOpenID {
		b := st.auth
		if len(b) == 0 { // else the plugin has spoken already, and does so once
			var err error
			if b, err = st.ask(authOpenID); err != nil {
				return nil, err
			}
		}
		c := cursor{b: b}
		c.u8() // what the client can do: there is only one version
		token := c.str()
		if c.bad || len(token) == 0 {
			return nil, fault(protocol.SideClient, mysql.ER_HANDSHAKE_ERROR, "Bad handshake", errMalformed)
		}
		return protocol.Token{Secret: protocol.NewSecret(string(token))}, nil
	}
	b, err := st.ask(mysql.AUTH_CLEAR_PASSWORD)
	if err != nil {
		return nil, err
	}
	pw, ended := strings.CutSuffix(string(b), "\x00")
	if !ended || pw == "" || strings.Contains(pw, "\x00") {
		return nil, fault(protocol.SideClient, codeAccessDenied, "a password or a token in its place is needed", nil)
	}
	return protocol.Password{Secret: protocol.NewSecret(pw), TLS: st.tls != nil}, nil
}

// challenge lets the client prove with plugin that it knows a secret.
func (st *startup) challenge(plugin string) (protocol.Proof, error) {
	proof := st.auth
	if st.plugin != plugin {
		var err error
		if proof, err = st.ask(plugin); err != nil {
			return nil, err
		}
	}
	st.challenged = true
	ran := false
	return protocol.Challenge{Scheme: plugin, Verify: func(_ context.Context, secret protocol.Secret) (bool, error) {
		if ran {
			return false, errors.New("the exchange has already run")
		}
		ran = true
		st.proven = provenBy(plugin, st.salt[:], proof, secret)
		if st.proven && plugin == mysql.AUTH_CACHING_SHA2_PASSWORD {
			return true, st.write([]byte{packetMore, mysql.CACHE_SHA2_FAST_AUTH})
		}
		return st.proven, nil
	}}, nil
}

// provenBy reports whether proof shows that the client knows secret: the secret
// itself or, for mysql_native_password, what MySQL stores of it.
func provenBy(plugin string, salt, proof []byte, secret protocol.Secret) bool {
	if secret.Empty() || len(proof) == 0 {
		return false
	}
	s := secret.Reveal()
	if plugin == mysql.AUTH_CACHING_SHA2_PASSWORD {
		return subtle.ConstantTimeCompare(proof, mysql.CalcCachingSha2Password(salt, []byte(s))) == 1
	}
	if len(s) == 41 && s[0] == '*' {
		if stored, err := mysql.DecodePasswordHex(s[1:]); err == nil {
			return len(proof) == len(stored) && mysql.CompareNativePassword(proof, stored, salt)
		}
	}
	return subtle.ConstantTimeCompare(proof, mysql.CalcNativePassword(salt, []byte(s))) == 1
}
