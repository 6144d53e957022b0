package mysql

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/serve"
)

const (
	maxHeld   = 16              // what of one session may wait without its client
	maxSize   = 1 << 20         // bytes of all that together
	collectIn = 5 * time.Minute // how long what is allowed waits for the client to ask again
)

var (
	errLate     = errors.New("nobody has decided while the client waited")
	errDetached = errors.New("another goroutine serves the client meanwhile")
)

// whileHeld is the session's [protocol.Login.WhileHeld]. It runs on the goroutine
// that serves the client, or during the login. The protocol has no way to tell a
// client meanwhile that and why it waits. So one that has waited for long is told
// with an error, and served on by another goroutine; this one waits on. If the
// client asks for the same again it waits for the same decision, and what it has
// asked runs then: see [session.collect].
func (c *session) whileHeld(ctx context.Context, w protocol.Waiting, wait func(context.Context) error) error {
	if c.ps == nil {
		return c.hold.Wait(ctx, c.client, wait, serve.WatchLogin(c.client))
	}
	h := c.asking.hold(w)
	ctx, h.cancel = context.WithCancelCause(ctx)
	defer h.cancel(nil)
	decided := make(chan struct{})
	var err error
	gone := c.patiently(decided, func() { // by now a KILL finds what it is to end
		go func() {
			defer close(decided)
			err = protocol.Guard(func() error { return wait(ctx) })
		}()
	})
	size := h.size
	for _, other := range c.held {
		size += other.size
	}
	if gone == errLate && len(c.held) < maxHeld && size <= maxSize {
		h.detached, h.moves = true, c.tracker.moves
		c.held = append(c.held, h)
		c.ps.Go(func() error { return c.succeed(h) })
		gone = nil
	}
	if gone != nil {
		h.cancel(gone)
	}
	<-decided
	if gone == errLate {
		return &protocol.DeniedError{Step: "mysql", Reason: "needs approval (" + w.Reason + "), and too much of this session waits already"}
	}
	return errors.Join(gone, err)
}

// patiently calls begin and waits until decided is closed, for as long as a client can
// be kept waiting. It returns errLate after that, or why nobody waits any more.
func (c *session) patiently(decided <-chan struct{}, begin func()) error {
	t := time.NewTimer(c.srv.holdTimeout())
	defer t.Stop()
	return c.hold.Wait(c.ps.Context(), c.client, func(ctx context.Context) error {
		begin()
		select {
		case <-decided:
			return nil
		case <-t.C:
			return errLate
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}, serve.Watch(c.client, c.r, 0, quits))
}

// quits reports whether the first command in b is a good-bye.
func quits(b []byte) bool {
	if len(b) <= headerLen {
		return false
	}
	n, _ := frame(b)
	return n == 1 && b[headerLen] == mysql.COM_QUIT
}

// A held is what a client has asked and may ask again.
type held struct {
	first    *run
	w        protocol.Waiting
	raw      [][][]byte // the values of each run
	size     int        // bytes of text and values
	moves    int        // of the session when it was asked
	cancel   context.CancelCauseFunc
	detached bool
	done     chan struct{} // closed when it has been decided about, by err
	err      error
	at       time.Time // when
}

// hold notes that the run is held. What it was asked with lies in the buffer of
// the client, which is read on.
func (r *run) hold(w protocol.Waiting) *held {
	h := &held{first: r, w: w, done: make(chan struct{})}
	r.held = h
	h.size = len(r.op.Text)
	for ; r != nil; r = r.next {
		for i, v := range r.op.Raw {
			r.op.Raw[i] = bytes.Clone(v)
			h.size += len(v)
		}
		h.raw = append(h.raw, r.op.Raw)
	}
	return h
}

// decide ends the wait. Nobody else has touched the runs.
func (h *held) decide(err error) {
	h.err, h.at = err, time.Now()
	close(h.done)
}

// asks reports whether first asks for the same as what is held, in the same
// state.
func (h *held) asks(first *run) bool {
	a := h.first
	for _, raw := range h.raw {
		if first == nil {
			return false
		}
		x, y := &a.op, &first.op
		if x.Verb != y.Verb || x.Text != y.Text || x.Behind != y.Behind || x.State != y.State || x.InTx != y.InTx || x.Prepare != y.Prepare ||
			!slices.Equal(x.Args, y.Args) || // their types too: the same bytes are other values
			!slices.EqualFunc(raw, y.Raw, func(v, w []byte) bool { return (v == nil) == (w == nil) && bytes.Equal(v, w) }) {
			return false
		}
		a, first = a.next, first.next
	}
	return first == nil
}

// late is what the client is told.
func (h *held) late() error {
	return &protocol.DeniedError{Step: "mysql", Reason: "needs approval (" + h.w.Reason + "), and nobody has decided yet",
		Ticket: strings.Join(h.w.Tickets, ", "), Hint: "send the same again on this connection, and it runs once as soon as it is approved; " + h.w.Hint}
}

// withdraw ends what nobody will ask for again.
func (h *held) withdraw(cause error) {
	h.cancel(cause)
	<-h.done
	if h.err == nil {
		endAll(h.first, protocol.Outcome{Status: protocol.StatusWithdrawn})
	}
}

// succeed goes on serving the client, after it was told that h takes its time.
func (c *session) succeed(h *held) error {
	err := c.refuse(h.late())
	if err == nil {
		err = protocol.Guard(c.loop)
	}
	if errors.Is(err, errDetached) {
		return nil // somebody has succeeded this goroutine
	}
	for _, h := range c.held {
		h.cancel(protocol.ErrClientGone)
	}
	c.left <- err
	return nil
}

// recall returns what is held and asked for again with first, nil if there is
// none, and forgets what was allowed and nobody has asked for since.
func (c *session) recall(first *run) (again *held) {
	c.held = slices.DeleteFunc(c.held, func(h *held) bool {
		select {
		case <-h.done:
			if time.Since(h.at) > collectIn {
				h.withdraw(protocol.ErrClientGone)
				return true
			}
		default:
		}
		switch {
		case again != nil || !h.asks(first):
			return false
		case h.moves != c.tracker.moves:
			// It may mean something else by now, and is asked about anew.
			h.withdraw(protocol.ErrClientGone)
			return true
		}
		again = h
		return true
	})
	return again
}

// collect waits for the decision about h and returns what it is.
func (c *session) collect(h *held) error {
	gone := c.patiently(h.done, func() {})
	switch {
	case gone == errLate:
		c.held = append(c.held, h)
		return h.late()
	case gone != nil:
		h.withdraw(gone)
		return gone
	}
	return h.err
}
