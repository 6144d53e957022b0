package httpproxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
)

// Limits for requests that are held while no client waits.
const (
	retryAfter = 5 * time.Second
	lease      = time.Minute // until a client that does not ask has left
	maxHeld    = 1024        // of a server
)

var errWithdrawn = errors.New("httpproxy: nobody came for the answer")

// waiting are the requests that clients were answered 202 about, by ticket.
type waiting struct {
	mu sync.Mutex
	by map[string]*pending
}

// A pending is a request while it is decided about. If that takes long, the
// client hears so, and comes back for the answer with a ticket: what then runs
// is the request as it was held.
type pending struct {
	context.Context // of the session, until q's client leaves, or nobody asks for the answer

	q    *request
	turn *turn
	w    protocol.Waiting
	done chan struct{} // once it was held: closed when x or err is there, or it has run
	x    *protocol.Exchange
	err  error

	settled atomic.Bool // it runs, or its client does not wait any more
	runs    atomic.Bool

	// Guarded by the server's waiting.mu.
	taken   bool      // the answer is somebody's
	callers int       // who wait for it now
	until   time.Time // when it is withdrawn, without callers
	over    chan struct{}
}

type (
	pendingKey struct{} // of a context: what is decided about
	requestKey struct{} // of a context: what runs
)

// Value implements context.Context.
func (p *pending) Value(key any) any {
	switch key {
	case pendingKey{}:
		return p
	case requestKey{}:
		return p.q
	case http.ServerContextKey: // httputil looks for it
		return p.q.in.Context().Value(key)
	}
	return p.Context.Value(key)
}

// whileHeld waits for a decision. A request waits for as long as its client
// does; a login, within a bound.
func (c *conn) whileHeld(ctx context.Context, w protocol.Waiting, wait func(context.Context) error) error {
	if p, ok := ctx.Value(pendingKey{}).(*pending); ok {
		if p.w = w; p.done == nil { // else it was held before, and has gone on beside its client
			p.turn.pause(false)
		}
		return wait(ctx)
	}
	late := &protocol.DeniedError{Reason: "needs approval (" + w.Reason + "), and nobody decided while the client waited", Hint: w.Hint}
	if len(w.Tickets) > 0 {
		late.Ticket = w.Tickets[0]
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.s.holdTimeout(), late)
	defer cancel()
	err := wait(ctx)
	if err != nil && context.Cause(ctx) == error(late) {
		return late
	}
	return err
}

// execute has the operation decided, and runs it. A client that leaves withdraws what
// is held.
func (q *request) execute(op *protocol.Operation) error {
	q.op[0] = op
	p := &pending{q: q}
	p.Context, q.cancel = context.WithCancelCause(q.session.ps.Context())
	reads := func() {}
	if q.c.h1 != nil && q.body == nil && q.in.ContentLength != 0 {
		reads = q.reads(p)
	}
	stays := q.leaves()
	p.turn = q.session.turns.take(p)
	over := p.turn.run()
	stays()
	if !over {
		later, err := q.held(p)
		reads()
		if !later {
			q.cancel(nil)
		}
		return err
	}
	q.session.turns.put(p.turn)
	reads()
	if !p.runs.Load() && p.Err() != nil {
		p.err = context.Cause(p)
	}
	q.cancel(nil)
	return p.err
}

// leaves has q end when its client leaves, until the function that it returns is called.
func (q *request) leaves() (stays func()) {
	left := q.in.Context()
	if q.c.h1 == nil || q.in.ContentLength != 0 {
		stop := context.AfterFunc(left, func() { q.cancel(protocol.ErrClientGone) })
		return func() { stop() }
	}
	// Most requests have no body, whose end or failure net/http would have to notice.
	if q.c.runs.Store(q); left.Err() != nil {
		q.cancel(protocol.ErrClientGone)
	}
	return func() { q.c.runs.Store(nil) }
}

// decide has p decided, and runs it if its client still waits.
func (p *pending) decide() {
	p.err = protocol.Guard(func() (err error) {
		p.x, err = ask(p, p.q.session.ps, p.q.op[:])
		if err != nil || p.settled.Swap(true) {
			return err
		}
		p.runs.Store(true)
		if p.Err() != nil { // meanwhile
			p.x.End(protocol.Outcome{Status: protocol.StatusWithdrawn})
			return context.Cause(p)
		}
		p.q.x = p.x
		return p.q.run(p)
	})
}

// reads keeps what runs from waiting for more of the body when p ends, on a connection
// that others use too, until the function that it returns is called.
func (q *request) reads(p *pending) (over func()) {
	stopped := make(chan struct{})
	stop := context.AfterFunc(p, func() {
		defer close(stopped)
		if p.runs.Load() {
			_ = http.NewResponseController(q.w).SetReadDeadline(time.Unix(1, 0)) // fails on a closed connection
		}
	})
	return func() {
		if !stop() {
			<-stopped
		}
	}
}

// held goes on with p, which has to wait for a decision. later says that it goes on
// waiting, without this client.
func (q *request) held(p *pending) (later bool, err error) {
	p.done, p.over = make(chan struct{}), make(chan struct{})
	q.session.ps.Go(func() error {
		p.turn.run()
		q.session.turns.put(p.turn)
		close(p.done)
		return nil
	})
	t := time.NewTimer(q.patience())
	defer t.Stop()
	left, ended, late := q.in.Context().Done(), p.Done(), t.C
	for {
		select {
		case <-p.done:
			return false, p.err
		case <-late:
			if late = nil; !p.settled.Swap(true) {
				return q.detach(p)
			}
			continue
		case <-left:
			left = nil
			q.cancel(protocol.ErrClientGone)
		case <-ended: // the session has
			ended = nil
		}
		if !p.settled.Swap(true) {
			p.withdrawn()
			return false, context.Cause(p)
		}
	}
}

// withdrawn waits until p, which was canceled, is over.
func (p *pending) withdrawn() {
	<-p.done
	if p.x != nil { // it was decided at the same moment
		p.x.End(protocol.Outcome{Status: protocol.StatusWithdrawn})
	}
}

// ask has one operation decided and its record made safe for sending it; what is
// released of its result comes after [request.release].
func ask(ctx context.Context, ps *protocol.Session, ops []*protocol.Operation) (*protocol.Exchange, error) {
	op := ops[0]
	if err := ps.Ask(ctx, ops); err != nil {
		return nil, err
	}
	if err := ps.Commit(ctx, protocol.BeforeSend, ops); err != nil {
		op.Exchange().End(protocol.Outcome{Status: protocol.StatusError, Err: err})
		return nil, err
	}
	return op.Exchange(), nil
}

// patience is how long the client waits for a response: a browser shows a page
// at once, and who prefers so hears at once too (RFC 7240).
func (q *request) patience() time.Duration {
	limit := q.c.s.holdTimeout()
	async, wait := wants(q.in) == "html", time.Duration(-1)
	for _, v := range q.in.Header["Prefer"] {
		for pref := range strings.FieldsFuncSeq(v, func(r rune) bool { return r == ',' || r == ';' }) {
			name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(pref)), "=")
			switch name {
			case "respond-async":
				async = true
			case "wait":
				if n, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 16); err == nil {
					wait = time.Duration(n) * time.Second
				}
			}
		}
	}
	switch {
	case wait >= 0:
		return min(wait, limit)
	case async:
		return 0
	}
	return limit
}

// detach lets p wait without a client, for as long as one comes to ask.
func (q *request) detach(p *pending) (later bool, err error) {
	s, ticket := q.c.s, ""
	if len(p.w.Tickets) > 0 {
		ticket = p.w.Tickets[0]
	}
	s.held.mu.Lock()
	if len(s.held.by) >= maxHeld || ticket == "" || s.held.by[ticket] != nil {
		s.held.mu.Unlock()
		p.q.cancel(errWithdrawn)
		p.withdrawn()
		return false, refuse(http.StatusServiceUnavailable, "needs approval, and too many requests are waiting already")
	}
	if s.held.by == nil {
		s.held.by = map[string]*pending{}
	}
	s.held.by[ticket] = p
	p.until = time.Now().Add(lease)
	s.held.mu.Unlock()
	// The connection and the session stay until nobody needs them any more.
	q.c.handlers.Add(1) // this handler counts, so nobody waits for none
	q.c.mu.Lock()
	q.session.users++
	q.c.mu.Unlock()
	go func() {
		defer q.c.handlers.Done()
		defer q.c.release(q.session)
		_ = protocol.Guard(func() error { p.keep(s, ticket); return nil })
	}()
	return true, p.later(q.prefix, ticket)
}

// keep waits until p was collected or is withdrawn.
func (p *pending) keep(s *Server, ticket string) {
	defer p.q.cancel(nil)
	ps := p.q.session.ps
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for left := false; !left; {
		select {
		case <-p.over:
			return
		case <-ps.Context().Done():
			left = true
		case <-ps.Draining():
			left = true
		case now := <-tick.C:
			s.held.mu.Lock()
			left = p.callers == 0 && now.After(p.until)
			s.held.mu.Unlock()
		}
	}
	s.held.mu.Lock()
	delete(s.held.by, ticket)
	taken := p.taken
	p.taken = true
	s.held.mu.Unlock()
	if taken {
		<-p.over
		return
	}
	p.q.cancel(errWithdrawn)
	p.withdrawn()
}

// later is the answer to who has to come back.
func (p *pending) later(prefix, ticket string) error {
	where := prefix + own + "held/" + ticket
	e := refuse(http.StatusAccepted, "needs approval ("+p.w.Reason+")")
	e.d.Ticket, e.d.Hint = ticket, p.w.Hint
	e.header = http.Header{"Location": {where}, "Retry-After": {strconv.Itoa(int(retryAfter / time.Second))}}
	e.refresh = where
	return e
}

// collect answers a held request whose ticket the client has.
func (q *request) collect(ticket string) error {
	s, session := q.c.s, q.session.ps.Context()
	ctx, stop := leaving(q.in)
	defer stop()
	gone := refuse(http.StatusNotFound, "nothing of yours waits here: it was answered, withdrawn, or is somebody else's")
	s.held.mu.Lock()
	p := s.held.by[ticket]
	if p == nil || p.taken || !p.of(q) {
		s.held.mu.Unlock()
		return gone
	}
	p.callers++
	s.held.mu.Unlock()
	t := time.NewTimer(q.patience())
	defer t.Stop()
	ready := false
	select {
	case <-p.done:
		ready = true
	case <-t.C:
	case <-ctx.Done():
	case <-session.Done():
		ctx = session
	}
	s.held.mu.Lock()
	p.callers--
	p.until = time.Now().Add(lease)
	if !ready {
		s.held.mu.Unlock()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return p.later(q.prefix, ticket)
	}
	if p.taken {
		s.held.mu.Unlock()
		return gone
	}
	p.taken = true
	delete(s.held.by, ticket)
	s.held.mu.Unlock()
	defer close(p.over)
	if p.err != nil {
		return p.err
	}
	return q.answer(ctx, p)
}

// of reports whether p is a request of the identity that q proved, on behalf of
// the same, at the same target.
func (p *pending) of(q *request) bool {
	i, j := p.q.session.ps.Info(), q.session.ps.Info()
	if i.Resource.Name != j.Resource.Name {
		return false
	}
	a, b := i.Identity, j.Identity
	for ; a != nil && b != nil; a, b = a.OnBehalfOf, b.OnBehalfOf {
		if a.Key() != b.Key() {
			return false
		}
	}
	return a == b // both nil: one chain as long as the other
}

// answer runs p, in its own session, as the answer to q.
func (q *request) answer(ctx context.Context, p *pending) error {
	in := p.q.in.Clone(q.in.Context())
	if body := p.q.body; body != nil {
		in.Body = io.NopCloser(bytes.NewReader(body))
	}
	run := &request{c: q.c, w: q.w, in: in, op: p.q.op, parsed: p.q.parsed, prefix: p.q.prefix, session: p.q.session, target: p.q.target, x: p.x, body: p.q.body,
		bare: in.Method == http.MethodHead}
	run.bytesIn.Store(int64(len(run.body)))
	ctx, run.cancel = context.WithCancelCause(context.WithValue(ctx, requestKey{}, run))
	defer run.cancel(nil)
	ps := run.session.ps
	defer context.AfterFunc(ps.Context(), func() { run.cancel(context.Cause(ps.Context())) })()
	if run.upgrade {
		run.end()
		return refuse(http.StatusConflict, "a WebSocket that was held has to be opened again")
	}
	return run.run(ctx)
}
