package postgres

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/serve"
	"github.com/sallyport-dev/gateway/protocol/internal/sslmode"
	"github.com/sallyport-dev/gateway/protocol/internal/wire"
)

// Options of a target, as in [protocol.Resource], beside those of package
// sslmode. The names that PostgreSQL's own clients have too mean the same.
const (
	optDatabase    = "dbname"          // database for clients that name none
	optRequireAuth = "require_auth"    // methods the target may ask for; default: all
	optBinding     = "channel_binding" // prefer (default), require, disable
	optReplication = "replication"     // "allow": replication connections may be asked for; default: refused

	optRestricted     = "restricted_user"          // the account of the restricted login; default: there is none
	optRestrictedFile = "restricted_password_file" // the file with its password
)

// CheckTarget implements [protocol.TargetChecker].
func (s *Server) CheckTarget(r protocol.Resource) error {
	known := append(slices.Clone(sslmode.Options), optRequireAuth, optBinding, optDatabase, optReplication, optRestricted, optRestrictedFile)
	for k := range r.Options {
		if !slices.Contains(known, k) {
			return fmt.Errorf("unknown option %q; known are %s", k, strings.Join(known, ", "))
		}
	}
	if v := r.Options[optReplication]; v != "" && v != "allow" {
		return fmt.Errorf("option replication: %q is not \"allow\"", v)
	}
	if r.Options[optRestrictedFile] != "" && r.Options[optRestricted] == "" {
		return fmt.Errorf("option %s: there is no %s", optRestrictedFile, optRestricted)
	}
	if _, err := authRuleOf(r); err != nil {
		return err
	}
	_, err := sslmode.Config(r)
	return err
}

// target is a connection to a target at which the gateway has logged in.
type target struct {
	conn     net.Conn
	r        *wire.Reader
	greeting []byte // what the client gets of the login: settings and notices
	settings map[string]string
	pid      uint32
	key      []byte
	status   byte // of the first ReadyForQuery
}

// connectTarget dials with dial and logs in with creds. params are the startup
// parameters beside user and database.
func (s *Server) connectTarget(ctx context.Context, r protocol.Resource, dial func(context.Context) (net.Conn, error),
	creds protocol.Credentials, database string, params []param) (t *target, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.loginTimeout())
	defer cancel()
	conn, err := s.dialTarget(ctx, r, dial)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = conn.Close()
		}
	}()
	stop := serve.Expire(ctx, conn)
	defer stop()
	t = &target{conn: conn, r: wire.NewReader(conn), settings: map[string]string{}}
	err = t.login(s, r, creds, database, params)
	if !stop() { // the deadline is set, or about to be
		err = &protocol.Fault{Side: protocol.SideTarget, Code: codeCannotConnect, Msg: "the target did not complete the login in time", Err: first(err, context.Cause(ctx))}
	}
	if err != nil {
		t.r.Release()
		return nil, err
	}
	return t, nil
}

// dialTarget connects and encrypts as the target's sslmode says.
func (s *Server) dialTarget(ctx context.Context, r protocol.Resource, dial func(context.Context) (net.Conn, error)) (conn net.Conn, err error) {
	cfg, err := sslmode.Config(r, alpn)
	if err != nil {
		return nil, &protocol.Fault{Side: protocol.SideGateway, Code: codeCannotConnect, Msg: "the target's TLS settings are wrong", Err: err}
	}
	if conn, err = dial(ctx); err != nil {
		return nil, &protocol.Fault{Side: protocol.SideTarget, Code: codeCannotConnect, Msg: "the target cannot be reached", Err: err}
	}
	conn = wire.Conn(conn)
	if cfg == nil {
		return conn, nil
	}
	raw := conn // conn itself is set to nil on the ways out
	stop := serve.Expire(ctx, raw)
	defer stop()
	var answer [1]byte
	req := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, 8), codeSSLRequest)
	if _, err = conn.Write(req); err == nil {
		_, err = io.ReadFull(conn, answer[:])
	}
	if err != nil {
		_ = conn.Close()
		return nil, &protocol.Fault{Side: protocol.SideTarget, Code: codeCannotConnect, Msg: "the target does not answer", Err: err}
	}
	switch answer[0] {
	case 'S':
	case 'N':
		if sslmode.Of(r) == "prefer" {
			return conn, nil
		}
		fallthrough
	default:
		_ = conn.Close()
		return nil, &protocol.Fault{Side: protocol.SideTarget, Code: codeCannotConnect, Msg: "the target does not offer TLS",
			Err: errors.New("set the target's option sslmode=disable if its network is trusted")}
	}
	tc := tls.Client(conn, cfg)
	if err := tc.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, &protocol.Fault{Side: protocol.SideTarget, Code: codeCannotConnect, Msg: "the target's TLS certificate was not accepted", Err: err}
	}
	return tc, nil
}

// startupMessage asks for protocol 3.0: all that a newer minor version brings
// to a gateway is longer cancel keys.
func startupMessage(user, database string, params []param) []byte {
	b := binary.BigEndian.AppendUint32([]byte{0, 0, 0, 0}, 3<<16)
	put := func(k, v string) { b = append(append(append(append(b, k...), 0), v...), 0) }
	put("user", user)
	if database != "" {
		put("database", database)
	}
	for _, p := range params {
		put(p.name, p.value)
	}
	b = append(b, 0)
	binary.BigEndian.PutUint32(b, uint32(len(b)))
	return b
}

const (
	maxLoginMessage  = 64 << 10 // bytes of one message, and of all that the client gets to see
	maxLoginMessages = 1 << 10  // PostgreSQL sends about 20
)

// next returns the next message from the target; it is valid until the next
// call.
func (t *target) next(limit int) (frame []byte, err error) {
	for {
		b := t.r.Buffered()
		_, n, err := wire.Frame(b, limit)
		if err != nil {
			return nil, &protocol.Fault{Side: protocol.SideTarget, Code: codeProtocolViolation, Msg: "the target sent a malformed message", Err: err}
		}
		if n > 0 && n <= len(b) {
			t.r.Discard(n)
			return b[:n], nil
		}
		if err := t.r.Fill(n); err != nil {
			return nil, err
		}
	}
}

func (t *target) login(s *Server, r protocol.Resource, creds protocol.Credentials, database string, params []param) error {
	fail := func(msg string, err error) error {
		return &protocol.Fault{Side: protocol.SideTarget, Code: codeConnectionFailure, Msg: msg, Err: err}
	}
	rule, err := authRuleOf(r)
	if err != nil {
		return &protocol.Fault{Side: protocol.SideGateway, Code: codeCannotConnect, Msg: "the target's settings are wrong", Err: err}
	}
	if _, err := t.conn.Write(startupMessage(creds.User, database, params)); err != nil {
		return fail("the target closed the connection during the login", err)
	}
	a := authenticator{keys: &s.keys, conn: t.conn, mode: sslmode.Of(r), creds: creds, rule: rule}
	for range maxLoginMessages {
		frame, err := t.next(maxLoginMessage)
		if e := (*protocol.Fault)(nil); errors.As(err, &e) {
			return err
		}
		if err != nil {
			return fail("the target closed the connection during the login", err)
		}
		body := frame[5:]
		switch typ := frame[0]; typ {
		case msgErrorResponse:
			return t.refused(frame)
		case msgNegotiateVersion: // only about options, of which we asked for none
			continue
		case msgAuthentication:
			answer, err := a.answer(body)
			if err != nil {
				return fail("the gateway could not log in at the target", err)
			}
			if answer == nil {
				continue
			}
			if _, err := t.conn.Write(appendMessage(nil, msgPassword, func(b []byte) []byte { return append(b, answer...) })); err != nil {
				return fail("the target closed the connection during the login", err)
			}
			continue
		case msgParameterStatus, msgNoticeResponse, msgBackendKeyData, msgReadyForQuery:
			if !a.done {
				return fail("the target skips the authentication", fmt.Errorf("type %q", typ))
			}
		default:
			return fail("the target sent an unexpected message during the login", fmt.Errorf("type %q", typ))
		}
		if err := t.greeted(frame); err != nil {
			return fail("the target sent a malformed message", err)
		}
		if t.status != 0 {
			return nil
		}
		if len(t.greeting) > maxLoginMessage {
			return fail("the target sends too much during the login", nil)
		}
	}
	return fail("the target sends too much during the login", nil)
}

// greeted takes what the target says between the authentication and its first
// ReadyForQuery.
func (t *target) greeted(frame []byte) error {
	body := frame[5:]
	switch frame[0] {
	case msgParameterStatus:
		c := cursor{b: body}
		k, v := string(c.str()), string(c.str())
		if err := c.done(); err != nil {
			return err
		}
		t.settings[k] = v
	case msgNoticeResponse:
		if _, err := decodeFields(body); err != nil {
			return err
		}
	case msgBackendKeyData:
		if len(body) != 4+4 { // protocol 3.0, for which we asked, has no other
			return errMalformed
		}
		t.pid = binary.BigEndian.Uint32(body)
		t.key = append([]byte(nil), body[4:]...)
		return nil
	case msgReadyForQuery:
		if len(body) != 1 || body[0] != 'I' && body[0] != 'T' && body[0] != 'E' {
			return errMalformed
		}
		t.status = body[0]
		return nil
	}
	t.greeting = append(t.greeting, frame...)
	return nil
}

// refused turns the target's own refusal of the gateway into an error. What it
// says about the gateway's account is for the operator only; what it says
// about the database or its load is for the client too.
func (t *target) refused(frame []byte) error {
	fs, err := decodeFields(frame[5:])
	if err != nil {
		return &protocol.Fault{Side: protocol.SideTarget, Code: codeConnectionFailure, Msg: "the target sent a malformed message", Err: err}
	}
	var code, msg string
	for _, f := range fs {
		switch f.code {
		case 'C':
			code = f.val
		case 'M':
			msg = f.val
		}
	}
	e := &protocol.Fault{Side: protocol.SideTarget, Code: code, Msg: msg}
	if strings.HasPrefix(code, "28") || len(code) != 5 {
		e.Code, e.Msg, e.Err = codeConnectionFailure, "the gateway could not log in at the target", errors.New(msg)
	}
	return e
}
