package mysql

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/mysqlsql"
	"github.com/sallyport-dev/gateway/protocol/internal/serve"
	"github.com/sallyport-dev/gateway/protocol/internal/sql"
	"github.com/sallyport-dev/gateway/protocol/internal/wire"
)

// A session relays between one client and one target. The protocol takes turns:
// one goroutine reads what the client asks, decides about it, sends it, and
// shows the answer to the taps on its way back.
type session struct {
	srv    *Server
	st     *startup
	client net.Conn
	r      *wire.Reader // of client
	ps     *protocol.Session
	limit  int
	eof    bool // the client wants EOF packets between and behind (no CLIENT_DEPRECATE_EOF)
	teof   bool // the target sends them, also if the client does not want them
	bare   bool // the client wants extended metadata, which the target has not
	plain  bool // the target's OK packets have another form than the client's (CLIENT_SESSION_TRACK)

	wmu    sync.Mutex // one writer to the client at a time
	inside bool       // under wmu: the last write ended inside a packet
	last   byte       // under wmu: seq, as of what was written or read last
	bye    sync.Once
	seq    byte // of the packet that the client gets next

	mu sync.Mutex
	t  *target

	hold    serve.Hold
	lookout serve.Lookout // for the client, while the target is waited for
	idle    serve.Lookout // for the target, while the client is
	asking  *run          // what is being decided about
	held    []*held       // what waits without the client, in their order
	left    chan error    // how it ended, from the goroutine that has served the client last

	status    uint16 // as the target last said
	tracker   tracker
	prepared  preparedStatements
	attrsSent bool // the target understands query attributes
	back      relay
	catalog   *catalog
	current   func() *sql.Catalog // of catalog
	ended     int64               // changes of definitions that had, when a text was analysed last
	version   int                 // of the target
}

func newSession(s *Server, st *startup) *session {
	c := &session{srv: s, st: st, client: st.conn, limit: s.maxMessage(), eof: !st.has(mysql.CLIENT_DEPRECATE_EOF), left: make(chan error, 1)}
	c.back.c = c
	c.lookout.InitClient(c.client, func() { c.t.close() })
	return c
}

// serve logs in at the target and relays until either side ends.
func (c *session) serve(ps *protocol.Session) (err error) {
	c.ps = ps
	ctx := ps.Context()
	defer context.AfterFunc(ctx, func() { c.kill(context.Cause(ctx)) })()
	defer func() {
		if c.t != nil {
			c.t.close()
		}
		if c.catalog != nil {
			c.srv.catalogs.Release(c.catalog.key)
		}
	}()
	if err := c.login(ctx); err != nil {
		if ctx.Err() == nil {
			c.st.refuse(err)
		}
		return err
	}
	c.srv.sessions.set(c.st.id, c)
	c.r = wire.NewReader(c.client)
	defer c.r.Release()
	defer c.t.r.Release()
	switch err = protocol.Guard(c.loop); {
	case errors.Is(err, errDetached):
		err = <-c.left
		for _, h := range c.held {
			h.withdraw(protocol.ErrClientGone)
		}
	case errors.Is(err, serve.ErrGoodbye): // between two commands
		c.t.quit()
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	c.farewell(err)
	return err
}

// login logs the gateway in at the target and lets the client in.
func (c *session) login(ctx context.Context) error {
	res := c.ps.Info().Resource
	creds, err := c.ps.Credentials(ctx)
	if err != nil {
		return fault(protocol.SideGateway, codeUnknown, protocol.FixedReason, err)
	}
	database := c.ps.Info().Database
	if database == "" {
		database = res.Options[optDatabase]
	}
	q := request{creds: creds, database: database, caps: c.st.caps, extended: c.st.extended, charset: c.st.charset, attrs: c.st.attrs}
	t, err := c.srv.connectTarget(ctx, res, c.ps.Dial, q)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.t, c.status = t, t.status
	c.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err // kill may not have seen it
	}
	c.teof = !t.has(mysql.CLIENT_DEPRECATE_EOF)
	c.bare = c.st.extended && !t.extended
	c.plain = c.st.has(mysql.CLIENT_SESSION_TRACK) && !t.has(mysql.CLIENT_SESSION_TRACK)
	c.attrsSent = t.has(mysql.CLIENT_QUERY_ATTRIBUTES)
	c.back.r = t.r
	// A target that leaves, as after its wait_timeout, is seen at once by who is
	// connected to it directly; programs look before they use a connection again.
	c.idle.InitTarget(t.conn, func() { _ = c.client.Close() })
	if err := c.askState(ctx); err != nil {
		return fault(protocol.SideTarget, codeCannotConnect, "the target did not say how it reads statements", err)
	}
	c.version = versionOf(t.version)
	st := mysqlsql.State{Version: c.version, MariaDB: t.isMariaDB(), Folded: c.tracker.folded}
	c.catalog = c.srv.catalogs.open(catalogKey{res.Name, res.Addr, creds.User, t.version}, c.srv.analyzer, st, func(ctx context.Context) (*target, error) {
		return c.srv.connectTarget(ctx, res, c.ps.Dial, request{creds: creds, attrs: []attr{{"program_name", "sallyport catalog"}}})
	})
	c.current = c.catalog.current
	return c.st.write(c.ok())
}

// loop answers what the client asks, one after the other.
func (c *session) loop() error {
	for {
		var payload, raw []byte
		c.seq = 0
		read := func() (err error) {
			c.idle.Start()
			defer c.idle.Stop()
			payload, raw, err = readWhole(c.r, &c.seq, c.limit, c.r.Fill)
			return err
		}
		var err error
		if c.status&statusInTx != 0 {
			err = read() // a session that drains ends behind its transaction
		} else {
			err = c.ps.Idle(c.client, read)
		}
		switch {
		case errors.Is(err, errOrder):
			return fault(protocol.SideClient, codeOutOfOrder, "Got packets out of order", nil)
		case errors.Is(err, wire.ErrTooLarge):
			return fault(protocol.SideClient, codeTooLarge, fmt.Sprintf("a message is larger than %d bytes, which is as much as this gateway looks at", c.limit), nil)
		case err == io.EOF && c.draining():
			return errDrained
		case errors.Is(err, net.ErrClosed) && c.ps.Context().Err() == nil:
			return fault(protocol.SideTarget, codeShutdown, "the target has closed the connection", err)
		case err != nil:
			return err
		case len(payload) == 0:
			return fault(protocol.SideClient, codeMalformed, "Malformed communication packet", nil)
		}
		c.wmu.Lock()
		c.last = c.seq
		c.wmu.Unlock()
		if err = c.command(payload, raw); errors.Is(err, errCommand) {
			err = c.refuse(err)
		}
		if err != nil {
			return err
		}
	}
}

func (c *session) draining() bool {
	select {
	case <-c.ps.Draining():
		return true
	default:
		return false
	}
}

// kill ends the session at once: revoked, shut down, or broken.
func (c *session) kill(cause error) {
	c.mu.Lock()
	t := c.t
	c.mu.Unlock()
	c.farewell(cause)
	if t != nil {
		t.close()
	}
	_ = c.client.Close()
}

var errDrained = &protocol.DeniedError{Step: "gateway", Reason: "the gateway is shutting down", Hint: "connect again"}

// farewell is the last thing that a client hears, if it may know why.
func (c *session) farewell(err error) {
	var d *protocol.DeniedError
	var f *protocol.Fault
	var p *protocol.PanicError
	r := report{code: codeShutdown, msg: "the connection ends: the gateway is shutting down"}
	switch {
	case errors.As(err, &d):
		r.msg = "the connection ends: " + refusal(err).msg
	case errors.As(err, &f):
		r = refusal(err)
	case errors.As(err, &p):
		r = report{code: codeUnknown, msg: protocol.FixedReason}
	case err == nil, errors.Is(err, serve.ErrGoodbye), errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
		return
	case c.ps.Context().Err() == nil:
		return // a connection broke
	}
	c.bye.Do(func() {
		c.wmu.Lock()
		defer c.wmu.Unlock()
		if !c.inside {
			serve.LastWord(c.client, appendPacket(nil, &c.last, r.append(nil, false)))
		}
	})
}

// writeClient writes whole packets, or with partial a chunk whose last packet
// goes on in the next.
func (c *session) writeClient(b []byte, partial bool) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	c.inside, c.last = partial, c.seq
	_, err := c.client.Write(b)
	return err
}

// reply sends one payload as the answer.
func (c *session) reply(payload []byte) error {
	return c.writeClient(appendPacket(nil, &c.seq, payload), false)
}

// ok returns an OK of the gateway's own. It tells of the session only: what the target's
// last answer was like, and whether it told of a change, is of that answer.
func (c *session) ok() []byte { return appendOK(nil, c.status&statusSession) }

// refuse answers with err in place of what the target would answer.
func (c *session) refuse(err error) error {
	if errors.Is(err, errDetached) || errors.Is(err, protocol.ErrClientGone) || errors.Is(err, protocol.ErrClosed) || c.ps.Context().Err() != nil {
		return err
	}
	var p *protocol.PanicError
	if errors.As(err, &p) {
		return err
	}
	return c.reply(refusal(err).append(nil, false))
}
