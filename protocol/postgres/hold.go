package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/serve"
	"github.com/sallyport-dev/gateway/protocol/internal/wire"
)

// noticeAfter is when a waiting client is told again, counted from the notice
// before; the last one repeats.
var noticeAfter = []time.Duration{5 * time.Second, 10 * time.Second, 30 * time.Second}

// whileHeld is the session's [protocol.Login.WhileHeld]. It runs on front's
// goroutine, or during the login.
func (c *session) whileHeld(ctx context.Context, w protocol.Waiting, wait func(context.Context) error) error {
	watch := serve.WatchLogin(c.client)
	if c.ps == nil {
		if err := c.letIn(); err != nil {
			return errors.Join(protocol.ErrClientGone, err)
		}
	} else {
		if err := c.front.settleBeforeHold(); err != nil {
			return err
		}
		watch = c.front.watch()
	}
	return c.hold.Wait(ctx, c.client, wait, watch, func(stop <-chan struct{}) error { return c.keepTelling(stop, w) })
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

// keepTelling tells the client at once and then now and then that it waits.
func (c *session) keepTelling(stop <-chan struct{}, w protocol.Waiting) error {
	for i := 0; ; i++ {
		if err := c.writeClient(waitNotice(w).append(nil, msgNoticeResponse), false); err != nil {
			return err
		}
		t := time.NewTimer(noticeAfter[min(i, len(noticeAfter)-1)])
		select {
		case <-stop:
			t.Stop()
			return nil
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
	if f.skipping() {
		return &protocol.DeniedError{Step: "postgres", Reason: "an earlier statement of the same pipeline failed"}
	}
	return nil
}

// watch watches the client while a statement of its is held. The held message is
// the first whole one; what lies behind it is framed to find a Terminate.
func (f *front) watch() func(stop <-chan struct{}) error {
	at := f.i
	return serve.Watch(f.c.client, f.r, f.i, func(b []byte) bool {
		for at < len(b) {
			typ, n, err := wire.Frame(b[at:], 1<<30)
			if err != nil || n == 0 {
				break
			}
			if typ == msgTerminate {
				return true
			}
			at += n
		}
		return false
	})
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
