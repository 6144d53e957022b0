package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/wire"
)

// maxHeldInput bounds what a client may send behind a held statement before it
// is only watched for leaving.
const maxHeldInput = 1 << 20

// noticeAfter is when a waiting client is told again, counted from the notice
// before; the last one repeats.
var noticeAfter = []time.Duration{5 * time.Second, 10 * time.Second, 30 * time.Second}

// hangupEvery is how often a client that may send no more is looked at.
const hangupEvery = 250 * time.Millisecond

// whileHeld is the session's [protocol.Login.WhileHeld]. It runs on front's
// goroutine, or during the login.
func (c *session) whileHeld(ctx context.Context, w protocol.Waiting, wait func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := c.watchLogin
	if c.ps == nil {
		if err := c.letIn(); err != nil {
			return errors.Join(protocol.ErrClientGone, err)
		}
	} else {
		watch = c.front.watch
		if err := c.front.settleBeforeHold(); err != nil {
			return err
		}
	}
	c.mu.Lock()
	if c.hold = cancel; c.ended != nil {
		cancel(errOver)
	}
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.hold = nil
		c.mu.Unlock()
	}()
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := protocol.Guard(func() error { return watch(stop) }); err != nil {
			cancel(fmt.Errorf("%w: %w", protocol.ErrClientGone, err))
		}
	}()
	told := make(chan struct{})
	go func() {
		defer close(told)
		c.keepTelling(stop, w, cancel)
	}()
	err := wait(ctx)
	close(stop)
	_ = c.client.SetReadDeadline(time.Unix(1, 0)) // wakes the watcher
	<-done
	<-told
	_ = c.client.SetReadDeadline(time.Time{})
	if cause := context.Cause(ctx); err != nil && (errors.Is(cause, errCancelled) || errors.Is(cause, errOver) || errors.Is(cause, protocol.ErrClientGone)) {
		return cause
	}
	return err
}

// letIn ends the authentication, so that the client shows notices while its
// login is held.
func (c *session) letIn() error {
	if c.told {
		return nil
	}
	c.told = true
	return c.writeClient(authRequest(authOK, nil), false)
}

// watchLogin watches a client that has nothing to say before ReadyForQuery.
func (c *session) watchLogin(stop <-chan struct{}) error {
	var b [1]byte
	_, err := c.client.Read(b[:])
	select {
	case <-stop:
		return nil
	default:
	}
	if err == nil {
		err = errTerminated
	}
	return err
}

// keepTelling tells the client at once and then now and then that it waits.
func (c *session) keepTelling(stop <-chan struct{}, w protocol.Waiting, cancel context.CancelCauseFunc) {
	for i := 0; ; i++ {
		if err := c.writeClient(waitNotice(w).append(nil, msgNoticeResponse), false); err != nil {
			cancel(fmt.Errorf("%w: %w", protocol.ErrClientGone, err))
			return
		}
		t := time.NewTimer(noticeAfter[min(i, len(noticeAfter)-1)])
		select {
		case <-stop:
			t.Stop()
			return
		case <-t.C:
		}
	}
}

func waitNotice(w protocol.Waiting) report {
	r := report{severity: "NOTICE", code: "00000", msg: "held for approval: " + w.Reason, hint: w.Hint}
	if len(w.Tickets) > 0 {
		r.detail = "Request " + strings.Join(w.Tickets, ", ")
		if !w.Until.IsZero() {
			r.detail += fmt.Sprintf(", %s left", time.Until(w.Until).Round(time.Second))
		}
		r.detail += ". Cancel to withdraw it."
	}
	return r
}

// settleBeforeHold sends what was decided before the held statement and waits
// until the client has the results. If the pipeline has failed meanwhile, the
// held statement will not run and nobody needs to be asked.
func (f *front) settleBeforeHold() error {
	if err := f.parseAhead(); err != nil {
		return err
	}
	if err := f.await(nil); err != nil {
		return err
	}
	if f.skipped.Load() == f.segment+1 {
		return &protocol.DeniedError{Step: "postgres", Reason: "an earlier statement of the same pipeline failed"}
	}
	return nil
}

// watch reads what the client sends while a statement of its is held, up to a
// bound, and then only looks whether it is still there. It returns an error
// when the client leaves or says good-bye. It runs while front waits, and is
// the only one to touch the reader.
func (f *front) watch(stop <-chan struct{}) error {
	stopped := func() bool {
		select {
		case <-stop:
			return true
		default:
			return false
		}
	}
	// The held message is the first whole one; what lies behind it is framed
	// to find a Terminate.
	at := f.i
	for {
		b := f.r.Buffered()
		for at < len(b) {
			typ, n, err := wire.Frame(b[at:], 1<<30)
			if err != nil || n == 0 {
				break
			}
			if typ == msgTerminate {
				return errTerminated
			}
			at += n
		}
		err := f.r.Grow(maxHeldInput + f.i)
		switch {
		case stopped():
			return nil
		case errors.Is(err, wire.ErrTooLarge):
			return f.watchHangup(stop)
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case err != nil:
			return err
		}
	}
}

// watchHangup looks for the end of the connection without reading from it.
func (f *front) watchHangup(stop <-chan struct{}) error {
	t := time.NewTicker(hangupEvery)
	defer t.Stop()
	for {
		select {
		case <-stop:
			return nil
		case <-t.C:
		}
		if wire.HungUp(f.c.client) {
			return errTerminated
		}
	}
}

// lookout looks now and then whether the client is still there, until the
// function that it returns is called, both with mu held: front, which would read its end, waits
// for the target. A client that has left without good-bye is abandoned; one
// that has only closed its sending side looks the same here.
func (f *front) lookout() (stop func()) {
	if terminates(f.r.Buffered()[f.i:]) {
		return func() {}
	}
	f.away = 0
	f.waiting = true
	if f.look == nil {
		f.look = time.AfterFunc(hangupEvery, f.lookOut)
	} else {
		f.look.Reset(hangupEvery)
	}
	return f.lookedOut
}

func (f *front) lookedOut() {
	f.waiting = false
	f.look.Stop()
}

func (f *front) lookOut() {
	f.c.mu.Lock()
	if f.away++; !f.waiting || !wire.HungUp(f.c.client) {
		f.away = 0
	}
	gone := f.away == int(lostAfter/hangupEvery)
	if f.waiting && !gone {
		f.look.Reset(hangupEvery)
	}
	f.c.mu.Unlock()
	if gone {
		f.c.abandon()
	}
}

// terminates reports whether a Terminate is among the messages in b.
func terminates(b []byte) bool {
	for {
		typ, n, err := wire.Frame(b, 1<<30)
		if err != nil || n == 0 {
			return false
		}
		if typ == msgTerminate {
			return true
		}
		b = b[min(n, len(b)):]
	}
}
