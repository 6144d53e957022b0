package postgres

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgproto3/v2"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/pgsql"
	"github.com/sallyport-dev/gateway/protocol/internal/serve"
	"github.com/sallyport-dev/gateway/protocol/internal/sql"
	"github.com/sallyport-dev/gateway/protocol/internal/wire"
)

var errGone = fmt.Errorf("%w while the gateway waited for the target", protocol.ErrClientGone)

// maxPending bounds the messages of a pipeline whose answers are outstanding.
// A client that sends more waits until the target has answered some.
const maxPending = 16 << 10

// A session relays between one client and one target. Two goroutines do so,
// one for each direction: front reads the client, decides and sends; back
// reads the target, shows results to the taps and answers. What they share is
// under mu.
type session struct {
	srv    *Server
	st     *startup
	client net.Conn
	ps     *protocol.Session
	t      *target
	other  *target // under mu: where a statement runs under the restricted login
	user   string  // the gateway's account

	restricted bool // the target has a restricted login

	limit int

	told   bool       // AuthenticationOk has been sent
	wmu    sync.Mutex // one writer to the client at a time
	inside bool       // under wmu: the last write ended inside a message
	lost   int        // under wmu: bytes that the client did not get
	bye    sync.Once

	mu         sync.Mutex
	changed    *sync.Cond // the queue has shrunk, or the session has ended
	q          queue
	copying    *run // the target reads COPY data
	status     byte // transaction status of the last ReadyForQuery
	ended      error
	gone       bool // the client is: nothing more is sent for it
	draining   atomic.Bool
	statements names[statement]
	portals    names[portal]
	over       []*run // to be used again
	tracker    tracker
	changing   int         // statements under way that may open a transaction or take locks
	change     *sql.Change // of definitions, by the open transaction or what is under way
	changers   int         // statements under way that may be part of it

	hold    serve.Hold
	lookout serve.Lookout
	front   front
	back    back

	cancelID  cancelID
	cancelKey []byte
	refuseAs  string // a name that no prepared statement has
	catalog   *catalog
}

func newSession(s *Server, st *startup) *session {
	c := &session{srv: s, st: st, client: st.conn, limit: s.maxMessage(), status: 'I',
		statements: newNames(statementMeaning), portals: newNames(portalMeaning)}
	c.changed = sync.NewCond(&c.mu)
	c.lookout.InitClient(c.client, c.abandon)
	return c
}

// serve logs in at the target and relays until either side ends.
func (c *session) serve(ps *protocol.Session) error {
	c.ps = ps
	ctx := ps.Context()
	defer context.AfterFunc(ctx, func() { c.kill(context.Cause(ctx)) })()
	defer c.leave()
	if err := c.login(ctx); err != nil {
		c.farewell(err)
		return err
	}
	defer ps.OnDrain(c.drain)()

	c.front.init(c)
	c.back.init(c)
	defer c.front.r.Release()
	defer c.t.r.Release()

	backDone := make(chan error, 1)
	ps.Go(func() error {
		err := protocol.Guard(c.back.loop)
		c.finish(err)
		c.farewell(err)
		backDone <- err
		// Whatever ended the target's side ends the client's: front is woken
		// from its read, or from writing to a target that does not read.
		_ = c.t.conn.Close()
		_ = c.client.SetReadDeadline(time.Unix(1, 0))
		var p *protocol.PanicError
		if errors.As(err, &p) {
			return err
		}
		return nil
	})
	err := protocol.Guard(c.front.loop)
	c.finish(err)
	var lost *net.OpError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, serve.ErrGoodbye) && c.changes():
		// The client may only have closed its sending side: what it asked for
		// is still answered. Who has said good-bye behind a change wants it.
		if c.halfClose() {
			return first(<-backDone, serve.ErrGoodbye)
		}
	case errors.As(err, &lost) && c.changes():
		// Changes of a lost client have a moment to end and to be recorded.
		defer time.AfterFunc(serve.LostAfter, c.abandon).Stop()
		return first(<-backDone, err)
	case targetLost(err):
		// It may have said why, which is still to be read.
		_ = c.t.conn.SetReadDeadline(time.Now().Add(serve.LostAfter))
		berr := <-backDone
		return first(berr, err)
	}
	_ = c.t.conn.Close()
	berr := <-backDone
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if errors.Is(err, serve.ErrGoodbye) || berr == nil {
		return err
	}
	if e := (*protocol.Fault)(nil); errors.As(berr, &e) || isPanic(berr) {
		return berr
	}
	return first(err, berr)
}

// targetLost reports whether err says that the target does not take what is sent to it.
func targetLost(err error) bool {
	var e *protocol.Fault
	return errors.As(err, &e) && e.Side == protocol.SideTarget && e.Code == codeConnectionFailure
}

// abandon ends what runs for a client that is gone. If the target does not say
// that it has cancelled it, its connection is closed.
func (c *session) abandon() {
	c.mu.Lock()
	c.gone = true
	c.mu.Unlock()
	ctx, done := context.WithTimeout(c.ps.Context(), serve.LostAfter/2)
	defer done()
	_ = c.srv.cancelAtTarget(ctx, c)
	_ = c.running().conn.SetReadDeadline(time.Now().Add(serve.LostAfter / 2))
}

// maxUnheard bounds what the target may still answer to a client that is gone.
const maxUnheard = 1 << 20

// changes reports whether anything is under way that may change something.
func (c *session) changes() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changing > 0
}

// unheard notes that the client did not get n bytes. It reports whether the
// target's answers are wanted all the same: a change that was sent has its end,
// and a connection that is closed before might keep it from running.
func (c *session) unheard(n int) bool {
	c.lost += n
	return c.lost <= maxUnheard && c.changes()
}

// leave gives back what login took, as far as it came.
func (c *session) leave() {
	if c.t == nil {
		return
	}
	_ = c.t.conn.Close()
	if c.catalog != nil {
		if change := c.change; change != nil { // the target may still be at it
			k := c.catalog
			time.AfterFunc(catalogPoll, func() { k.Stale(); change.End() })
		}
		c.srv.catalogs.Release(c.catalog.key)
	}
	if c.cancelKey != nil {
		c.srv.cancels.remove(c.cancelID)
	}
}

func isPanic(err error) bool {
	var p *protocol.PanicError
	return errors.As(err, &p)
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil && !errors.Is(err, net.ErrClosed) {
			return err
		}
	}
	return nil
}

// halfClose passes the client's end of sending on to the target.
func (c *session) halfClose() bool {
	cw, ok := c.t.conn.(interface{ CloseWrite() error })
	return ok && cw.CloseWrite() == nil
}

// finish notes why the session ends and wakes whoever waits for the queue or
// for a decision.
func (c *session) finish(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended == nil {
		if err == nil {
			err = io.EOF
		}
		c.ended = err
	}
	c.hold.End()
	c.changed.Broadcast()
}

// kill ends the session at once: revoked, shut down, or broken.
func (c *session) kill(cause error) {
	if cause == nil || errors.Is(cause, context.Canceled) {
		cause = serve.ErrGoodbye
	}
	c.finish(cause)
	c.mu.Lock()
	ts := []*target{c.t, c.other}
	c.mu.Unlock()
	c.farewell(cause)
	for _, t := range ts {
		if t != nil {
			_ = t.conn.Close()
		}
	}
	_ = c.client.Close()
}

// farewell is the last thing that a client hears, if it may know why.
func (c *session) farewell(err error) {
	var d *protocol.DeniedError
	var e *protocol.Fault
	r := report{severity: "FATAL", code: codeAdminShutdown, msg: "terminating connection due to administrator command"}
	switch {
	case errors.As(err, &d):
		r.msg, r.hint = "terminating connection: "+d.Reason, d.Hint
	case errors.As(err, &e):
		r = fatal(err)
	case err == nil, errors.Is(err, serve.ErrGoodbye), errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
		return
	case isPanic(err):
		r.code, r.msg = codeInternal, protocol.FixedReason
	case !errors.Is(err, errDrained) && c.ps.Context().Err() == nil:
		return // a connection broke
	}
	c.bye.Do(func() {
		// A client that does not read must not hold up the end.
		_ = c.client.SetWriteDeadline(time.Now().Add(time.Second))
		_ = c.writeClient(r.append(nil, msgErrorResponse), false)
	})
}

// drain ends the session as soon as no transaction is open.
func (c *session) drain() {
	c.draining.Store(true)
	c.mu.Lock()
	idle := c.idle() && !c.front.busy.Load()
	c.mu.Unlock()
	if idle {
		c.ps.Terminate(errDrained)
	}
}

var errDrained = &protocol.DeniedError{Step: "gateway", Reason: "the gateway is shutting down", Hint: "connect again"}

// idle reports that the client loses nothing if the session ends now. The
// caller holds mu.
func (c *session) idle() bool {
	return c.q.len() == 0 && c.status == 'I' && !c.hold.Waiting() && !c.front.unsynced.Load() && !c.front.skipping()
}

// writeClient writes whole messages, or with partial a chunk whose last message
// goes on in the next. A writer that would cut into another's message does
// nothing.
func (c *session) writeClient(b []byte, partial bool) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if c.inside {
		return errors.New("inside a message")
	}
	c.inside = partial
	_, err := c.client.Write(b)
	return err
}

// login logs the gateway in at the target and lets the client in.
func (c *session) login(ctx context.Context) error {
	res := c.ps.Info().Resource
	creds, err := c.ps.Credentials(ctx)
	if err != nil {
		return &protocol.Fault{Side: protocol.SideGateway, Code: codeInternal, Msg: protocol.FixedReason, Err: err}
	}
	database := c.ps.Info().Database
	if database == "" {
		database = res.Options[optDatabase]
	}
	if database == "" {
		database = creds.User
	}
	var params []param
	for _, p := range c.st.params {
		switch p.name {
		case "user", "database":
			continue
		case "replication":
			if !isFalse(p.value) && res.Options[optReplication] != "allow" {
				return &protocol.Fault{Side: protocol.SidePolicy, Code: codePrivilege, Msg: "replication connections are not allowed for this target"}
			}
			c.tracker.replication = !isFalse(p.value)
		}
		params = append(params, p)
	}
	dial := c.ps.Dial
	t, err := c.srv.connectTarget(ctx, res, dial, creds, database, params)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.t, c.status, c.user = t, t.status, creds.User
	c.restricted = res.Options[optRestricted] != ""
	c.mu.Unlock()
	var raw [8]byte
	_, _ = rand.Read(raw[:]) // never fails
	c.refuseAs = "sallyport refused " + hex.EncodeToString(raw[:])
	c.catalog = c.srv.catalogs.open(catalogKey{res.Name, res.Addr, creds.User, database}, func(ctx context.Context) (*target, error) {
		return c.srv.connectTarget(ctx, res, dial, creds, database, []param{{"application_name", "sallyport catalog"}})
	})
	c.tracker.init(c.t.settings, database)

	c.cancelKey = make([]byte, 4)
	if c.st.minor >= 2 {
		c.cancelKey = make([]byte, 32)
	}
	_, _ = rand.Read(c.cancelKey) // never fails
	c.cancelID = c.srv.cancels.add(c)

	var b []byte
	if !c.told {
		b = authRequest(authOK, nil)
	}
	greeting, err := c.tapGreeting()
	if err != nil {
		return err
	}
	b = append(b, greeting...)
	b = appendMessage(b, msgBackendKeyData, func(b []byte) []byte {
		return append(binary.BigEndian.AppendUint32(b, c.t.pid), c.cancelKey...)
	})
	b = append(b, msgReadyForQuery, 0, 0, 0, 5, c.status)
	return c.writeClient(b, false)
}

func isFalse(v string) bool {
	switch strings.ToLower(v) {
	case "", "0", "off", "false", "no", "f", "n":
		return true
	}
	return false
}

// tapGreeting shows the settings and notices of the login to the taps of the
// session.
func (c *session) tapGreeting() ([]byte, error) {
	x := c.ps.Exchange()
	if !x.WantsText() {
		return c.t.greeting, nil
	}
	var out []byte
	for b := c.t.greeting; len(b) > 0; {
		_, n, err := wire.Frame(b, maxLoginMessage)
		if err != nil {
			return nil, err
		}
		frame, err := tapMessage(x, b[:n])
		if err != nil {
			return nil, err
		}
		out = append(out, frame...)
		b = b[n:]
	}
	return out, nil
}

// tapMessage shows a message that carries text to the taps of x and returns
// what the client gets.
func tapMessage(x *protocol.Exchange, frame []byte) ([]byte, error) {
	switch frame[0] {
	case msgErrorResponse:
		return rewriteFields(x, protocol.ErrorMessage, frame)
	case msgNoticeResponse:
		return rewriteFields(x, protocol.NoticeMessage, frame)
	case msgParameterStatus:
		c := cursor{b: frame[5:]}
		m := protocol.Message{Kind: protocol.ParameterMessage, Code: string(c.str()), Text: string(c.str())}
		if err := c.done(); err != nil {
			return nil, err
		}
		if err := x.Text(&m); err != nil {
			return nil, err
		}
		return encode(&pgproto3.ParameterStatus{Name: noNUL(m.Code), Value: noNUL(m.Text)}), nil
	case msgNotification:
		c := cursor{b: frame[5:]}
		pid := c.u32()
		m := protocol.Message{Kind: protocol.NotificationMessage, Code: string(c.str()), Text: string(c.str())}
		if err := c.done(); err != nil {
			return nil, err
		}
		if err := x.Text(&m); err != nil {
			return nil, err
		}
		return encode(&pgproto3.NotificationResponse{PID: pid, Channel: noNUL(m.Code), Payload: noNUL(m.Text)}), nil
	}
	return frame, nil
}

// illegible is the analysis of a text that the target may read in another
// encoding than the gateway: a byte that is half a character here may be a
// quote or a backslash there.
var illegible = &pgsql.Script{Statements: []pgsql.Statement{{Verb: protocol.Unknown, Access: protocol.Opaque,
	Shape: protocol.Rows | protocol.Bytes, Why: "its characters are not in UTF-8"}}}

// A reading is what a text was found to do, and the state in which it was read.
type reading struct {
	script *pgsql.Script
	state  pgsql.State

	prepared bool  // the text is that of what the target has prepared
	since    int64 // the version of the definitions by then
}

// analyze returns what is known about text in the session's present state; last
// is the text's last reading, nil if it may not come again. Only front calls it.
func (c *session) analyze(text []byte, last *reading) *pgsql.Script {
	c.mu.Lock()
	replication := c.tracker.replication
	st := &c.front.state
	*st = c.tracker.state
	cat := c.tracker.certain()
	legible := c.tracker.legible(text)
	st.StandardStrings = st.StandardStrings && c.tracker.settled()
	c.mu.Unlock()
	if !legible {
		return illegible
	}
	if replication && isReplicationCommand(text) {
		return replicationScript
	}
	c.front.ended, c.front.version, c.front.at = c.catalog.changes.Ended(), c.catalog.version.Load(), time.Now()
	if cat {
		st.Catalog = c.catalog.current()
		if v := c.catalog.version.Load(); v != c.front.version { // it was read just now
			c.front.version, st.Catalog = v, c.catalog.current()
		}
		cat = st.Catalog == nil || c.found(st.Catalog)
	}
	if !cat {
		c.guess(st)
	}
	if last == nil {
		return c.srv.analyzer.Analyze(text, st)
	}
	st.Outdated = last.prepared && last.since != c.front.version
	if last.script == nil || !last.state.Same(st) {
		last.script, last.state = c.srv.analyzer.Analyze(text, st), *st
	}
	return last.script
}

// guess makes st one in which nothing is proven and names may mean what they did last.
func (c *session) guess(st *pgsql.State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	st.Catalog, st.Guess, st.Temp = nil, c.catalog.Last(), true
	if t := &c.tracker; !t.known || t.outdated() || t.unsure > 0 {
		st.SearchPath = nil
	}
}

// found reports whether the session's search_path was told of the schemas that there
// are in cat.
func (c *session) found(cat *sql.Catalog) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tracker.moved = c.tracker.moved || c.tracker.schemas != cat.Schemas()
	return !c.tracker.moved
}
