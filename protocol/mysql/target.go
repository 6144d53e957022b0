package mysql

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/serve"
	"github.com/sallyport-dev/gateway/protocol/internal/sslmode"
	"github.com/sallyport-dev/gateway/protocol/internal/wire"
)

// Options of a target, as in [protocol.Resource], beside those of package
// sslmode.
const (
	optDatabase    = "dbname"            // database for clients that name none
	optRequireAuth = "require_auth"      // plugins the target may ask for, separated by commas; default: all
	optPublicKey   = "server_public_key" // file with the target's RSA key, or "ask"
)

// CheckTarget implements [protocol.TargetChecker].
func (s *Server) CheckTarget(r protocol.Resource) error {
	known := append(slices.Clone(sslmode.Options), optDatabase, optRequireAuth, optPublicKey)
	for k := range r.Options {
		if !slices.Contains(known, k) {
			return fmt.Errorf("unknown option %q; known are %s", k, strings.Join(known, ", "))
		}
	}
	for _, p := range requiredAuth(r) {
		if !slices.Contains(plugins, p) {
			return fmt.Errorf("option require_auth: %q is none of %s", p, strings.Join(plugins, ", "))
		}
	}
	if _, err := publicKeyOf(r); err != nil {
		return err
	}
	_, err := sslmode.Config(r)
	return err
}

// wanted are the capabilities that the gateway needs of a target for itself.
const wanted = mysql.CLIENT_LONG_PASSWORD | mysql.CLIENT_LONG_FLAG | mysql.CLIENT_PROTOCOL_41 | mysql.CLIENT_TRANSACTIONS |
	mysql.CLIENT_SECURE_CONNECTION | mysql.CLIENT_PLUGIN_AUTH | mysql.CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA

// asClient are those that the client has or has not: what they change is the
// client's to see.
const asClient = offered &^ wanted &^ mysql.CLIENT_CONNECT_WITH_DB &^ mysql.CLIENT_CONNECT_ATTRS

// A target is a connection to a target at which the gateway has logged in.
type target struct {
	conn    net.Conn
	r       *wire.Reader
	seq     byte
	caps    uint32 // agreed on
	version string
	id      uint32
	charset byte
	status  uint16

	extended bool // column definitions have extended metadata
}

// has reports whether a capability was agreed on with the target.
func (t *target) has(capability uint32) bool { return t.caps&capability != 0 }

// isMariaDB reports whether the target says that it is a MariaDB.
func (t *target) isMariaDB() bool { return strings.Contains(t.version, "MariaDB") }

// A request for a login is what the gateway asks a target for.
type request struct {
	creds    protocol.Credentials
	database string
	caps     uint32 // of asClient
	extended bool   // extended metadata
	charset  byte
	attrs    []attr
}

// connectTarget dials with dial and logs in.
func (s *Server) connectTarget(ctx context.Context, r protocol.Resource, dial func(context.Context) (net.Conn, error), q request) (t *target, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.loginTimeout())
	defer cancel()
	conn, err := dial(ctx)
	if err != nil {
		return nil, fault(protocol.SideTarget, codeCannotConnect, "the target cannot be reached", err)
	}
	conn = wire.Conn(conn)
	raw := conn
	defer func() {
		if err != nil {
			_ = raw.Close()
		}
	}()
	stop := serve.Expire(ctx, raw)
	defer stop()
	t = &target{conn: conn}
	err = t.login(ctx, r, q)
	if !stop() { // the deadline is set, or about to be
		err = fault(protocol.SideTarget, codeCannotConnect, "the target did not complete the login in time", errors.Join(err, context.Cause(ctx)))
	}
	if err != nil {
		return nil, err
	}
	t.r = wire.NewReader(t.conn)
	return t, nil
}

// quit says good-bye, as a client does that means to end: a target counts and logs
// connections that end without. What is under way is lost, as when it is closed.
func (t *target) quit() {
	_ = t.conn.SetWriteDeadline(time.Now().Add(time.Second))
	t.seq = 0
	_ = t.write([]byte{mysql.COM_QUIT}) // it is gone: then there is nobody to tell
}

// close ends the connection.
func (t *target) close() { _ = t.conn.Close() }

func (t *target) read() ([]byte, error) {
	b, err := readExact(t.conn, &t.seq, maxHandshake)
	if err != nil {
		err = fault(protocol.SideTarget, codeCannotConnect, "the target broke off the login", err)
	}
	return b, err
}

func (t *target) write(payload []byte) error {
	if _, err := t.conn.Write(appendPacket(nil, &t.seq, payload)); err != nil {
		return fault(protocol.SideTarget, codeCannotConnect, "the target broke off the login", err)
	}
	return nil
}

// login encrypts and logs in.
func (t *target) login(ctx context.Context, r protocol.Resource, q request) error {
	fail := func(msg string, err error) error { return fault(protocol.SideTarget, codeCannotConnect, msg, err) }
	b, err := t.read()
	if err != nil {
		return err
	}
	if len(b) > 0 && b[0] == packetERR {
		return t.refused(b)
	}
	g, err := decodeGreeting(b)
	if err != nil {
		return fail("the target does not speak this protocol", err)
	}
	t.version, t.id = g.version, g.id
	if missing := wanted &^ g.caps &^ mysql.CLIENT_LONG_PASSWORD; missing != 0 { // which MariaDB has for another use
		return fail("the target is older than MySQL 5.5", fmt.Errorf("it lacks capabilities %#x", missing))
	}
	// What the client was offered and the target has not is made up for: query
	// attributes are left out, as a client does itself with such a server, and
	// packets are brought into the newer form.
	t.caps = wanted | q.caps&asClient&g.caps
	if t.extended = q.extended && g.extended; t.extended {
		t.caps &^= mysql.CLIENT_LONG_PASSWORD
	}
	if q.database != "" {
		t.caps |= mysql.CLIENT_CONNECT_WITH_DB
	}
	if len(q.attrs) > 0 {
		t.caps |= mysql.CLIENT_CONNECT_ATTRS & g.caps
	}
	mode := sslmode.Of(r)
	cfg, err := sslmode.Config(r)
	if err != nil {
		return fault(protocol.SideGateway, codeCannotConnect, "the target's TLS settings are wrong", err)
	}
	if cfg != nil && g.caps&mysql.CLIENT_SSL == 0 && mode == "prefer" {
		cfg = nil
	}
	if cfg != nil {
		if g.caps&mysql.CLIENT_SSL == 0 {
			return fail("the target does not offer TLS", errors.New("set the target's option sslmode=disable if its network is trusted"))
		}
		t.caps |= mysql.CLIENT_SSL
		if err := t.write(t.hello(q)); err != nil {
			return err
		}
		tc := tls.Client(t.conn, cfg)
		if err := tc.HandshakeContext(ctx); err != nil {
			return fail("the target's TLS certificate was not accepted", err)
		}
		t.conn = tc
	}
	a := authenticator{t: t, creds: q.creds, mode: mode, allowed: requiredAuth(r), salt: g.salt}
	if a.key, err = publicKeyOf(r); err != nil {
		return fault(protocol.SideGateway, codeCannotConnect, "the target's settings are wrong", err)
	}
	first, err := a.first(g.plugin)
	if err != nil {
		return fail("the gateway could not log in at the target", err)
	}
	b = appendNUL(t.hello(q), q.creds.User)
	b = appendStr(b, first)
	if t.has(mysql.CLIENT_CONNECT_WITH_DB) {
		b = appendNUL(b, q.database)
	}
	b = appendNUL(b, a.plugin)
	if t.has(mysql.CLIENT_CONNECT_ATTRS) {
		var attrs []byte
		for _, at := range q.attrs {
			attrs = appendStr(appendStr(attrs, []byte(at.name)), []byte(at.value))
		}
		b = appendStr(b, attrs)
	}
	if err := t.write(b); err != nil {
		return err
	}
	for range maxLoginPackets {
		if b, err = t.read(); err != nil {
			return err
		}
		if len(b) == 0 {
			return fail("the target sent a malformed message", errMalformed)
		}
		switch b[0] {
		case packetOK:
			m, err := decodeOK(b)
			t.status = m.status
			if err != nil {
				err = fail("the target sent a malformed message", err)
			}
			return err
		case packetERR:
			return t.refused(b)
		}
		answer, err := a.answer(b)
		if f := (*protocol.Fault)(nil); errors.As(err, &f) {
			return err
		}
		if err != nil {
			return fail("the gateway could not log in at the target", err)
		}
		if answer != nil {
			if err := t.write(answer); err != nil {
				return err
			}
		}
	}
	return fail("the target does not come to an end with the login", nil)
}

const maxLoginPackets = 16

// hello is what both a request for TLS and the answer to the greeting begin
// with.
func (t *target) hello(q request) []byte {
	b := appendUint(nil, 4, uint64(t.caps))
	b = appendUint(b, 4, maxPayload+1)
	t.charset = q.charset
	if t.charset == 0 {
		t.charset = utf8mb4
	}
	b = append(append(b, t.charset), make([]byte, 19)...)
	if t.extended {
		return appendUint(b, 4, extendedMetadata)
	}
	return appendUint(b, 4, 0)
}

// A greeting is a server's first packet.
type greeting struct {
	version string
	id      uint32
	salt    []byte
	caps    uint32
	plugin  string

	extended bool // extended metadata is offered
}

func decodeGreeting(b []byte) (greeting, error) {
	c := cursor{b: b}
	if c.u8() != mysql.ClassicProtocolVersion {
		return greeting{}, errMalformed
	}
	g := greeting{version: string(c.nul()), id: c.u32()}
	g.salt = append(g.salt, c.take(8)...)
	c.u8()
	g.caps = uint32(c.u16())
	c.u8()  // charset
	c.u16() // status
	g.caps |= uint32(c.u16()) << 16
	n := int(c.u8())
	c.take(6)
	g.extended = c.u32()&extendedMetadata != 0 && g.caps&mysql.CLIENT_LONG_PASSWORD == 0
	g.salt = append(g.salt, c.take(max(13, n-8))...)
	if c.bad || len(g.salt) < saltLen {
		return greeting{}, errMalformed
	}
	g.salt = g.salt[:saltLen] // a NUL ends it
	if g.caps&mysql.CLIENT_PLUGIN_AUTH != 0 {
		g.plugin, _, _ = strings.Cut(string(c.rest()), "\x00")
	}
	return g, nil
}

// refused turns the target's own refusal of the gateway into an error. What it
// says about the gateway's account is for the operator only; what it says about
// the database or its load is for the client too.
func (t *target) refused(b []byte) error {
	r, err := decodeReport(b)
	if err != nil {
		return fault(protocol.SideTarget, codeCannotConnect, "the target sent a malformed message", err)
	}
	switch r.code {
	case mysql.ER_BAD_DB_ERROR, mysql.ER_CON_COUNT_ERROR, mysql.ER_OUT_OF_RESOURCES, mysql.ER_SERVER_SHUTDOWN:
		return fault(protocol.SideTarget, r.code, r.msg, nil)
	}
	return fault(protocol.SideTarget, codeCannotConnect, "the gateway could not log in at the target", fmt.Errorf("error %d: %s", r.code, r.msg))
}

// maxOwnRow bounds a row of what the gateway asks for itself: a view's
// definition, at most.
const maxOwnRow = 16 << 20

// Query asks the target something on the gateway's own account and calls row
// for each row of the one result.
func (t *target) Query(ctx context.Context, text string, row func([][]byte) error) error {
	stop := serve.Expire(ctx, t.conn)
	defer stop()
	t.seq = 0
	b := []byte{mysql.COM_QUERY}
	if t.has(mysql.CLIENT_QUERY_ATTRIBUTES) {
		b = append(b, 0, 1) // none, in one set
	}
	if _, err := t.conn.Write(appendPacket(nil, &t.seq, append(b, text...))); err != nil {
		return err
	}
	next := func() ([]byte, error) {
		p, _, err := readWhole(t.r, &t.seq, maxOwnRow, t.r.Fill)
		if err == nil && len(p) == 0 {
			err = errMalformed
		}
		return p, err
	}
	p, err := next()
	switch {
	case err != nil:
		return err
	case p[0] == packetERR:
		return t.refusedQuery(p)
	case p[0] == packetOK:
		return nil
	case p[0] == packetLocalFile:
		return errMalformed
	}
	c := cursor{b: p}
	columns, _ := c.length()
	if columns == 0 || columns > maxColumns || c.done() != nil {
		return errMalformed
	}
	packets := int(columns)
	if !t.has(mysql.CLIENT_DEPRECATE_EOF) {
		packets++
	}
	for range packets {
		if p, err = next(); err != nil {
			return err
		}
		if p[0] == packetERR {
			return t.refusedQuery(p)
		}
	}
	var failed error
	var values [][]byte
	for {
		if p, err = next(); err != nil {
			return errors.Join(failed, err)
		}
		switch {
		case p[0] == packetERR:
			return t.refusedQuery(p)
		case p[0] == packetEOF && len(p) < maxPayload:
			return failed
		}
		if values, err = decodeTextRow(p, values[:0], int(columns)); err != nil {
			return err
		}
		if failed == nil {
			failed = row(values)
		}
	}
}

func (t *target) refusedQuery(b []byte) error {
	r, err := decodeReport(b)
	if err != nil {
		return err
	}
	return fmt.Errorf("the target refuses: error %d", r.code)
}
