package mysql

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/wire"
)

// maxHeldInput bounds what a client may send behind a held statement before it
// is only watched for leaving.
const maxHeldInput = 1 << 20

// hungUpEvery is how often a client that waits is looked at.
const hungUpEvery = 250 * time.Millisecond

// whileHeld is the session's [protocol.Login.WhileHeld]. It runs on the session's
// goroutine, or during the login. The protocol has no way to tell a client
// meanwhile that and why it waits.
func (c *session) whileHeld(ctx context.Context, w protocol.Waiting, wait func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := c.watch
	if c.ps == nil {
		watch = c.watchLogin
	}
	c.mu.Lock()
	c.hold = cancel
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
	err := wait(ctx)
	close(stop)
	_ = c.client.SetReadDeadline(time.Unix(1, 0)) // wakes the watcher
	<-done
	_ = c.client.SetReadDeadline(time.Time{})
	if cause := context.Cause(ctx); err != nil && (errors.Is(cause, errCancelled) || errors.Is(cause, protocol.ErrClientGone)) {
		return cause
	}
	return err
}

// cancelHold ends a hold, if the session is in one.
func (c *session) cancelHold() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hold == nil {
		return false
	}
	c.hold(errCancelled)
	return true
}

// watchLogin watches a client that has nothing to say before it is let in.
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

// watch reads what the client sends while a statement of its is held, up to a
// bound, and then only looks whether it is still there. It returns an error when
// the client leaves or says good-bye. It runs while the session waits, and is
// the only one to touch the reader.
func (c *session) watch(stop <-chan struct{}) error {
	stopped := func() bool {
		select {
		case <-stop:
			return true
		default:
			return false
		}
	}
	for {
		if b := c.r.Buffered(); len(b) > headerLen {
			if n, _ := frame(b); n == 1 && b[headerLen] == mysql.COM_QUIT {
				return errTerminated
			}
		}
		err := c.r.Grow(maxHeldInput)
		switch {
		case stopped(), errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case errors.Is(err, wire.ErrTooLarge):
			return c.watchHangup(stop)
		case err != nil:
			return err
		}
	}
}

// watchHangup looks for the end of the connection without reading from it.
func (c *session) watchHangup(stop <-chan struct{}) error {
	t := time.NewTicker(hungUpEvery)
	defer t.Stop()
	for {
		select {
		case <-stop:
			return nil
		case <-t.C:
		}
		if wire.HungUp(c.client) {
			return errTerminated
		}
	}
}

// lookout looks now and then whether the client is still there, until the
// function that it returns is called: the session, which would read its end,
// waits for the target. For a client that has left nothing more is waited for:
// its connection to the target is closed, as MySQL's own to a client is.
func (c *session) lookout() (stop func()) {
	if c.look == nil {
		c.look = time.AfterFunc(hungUpEvery, c.lookOut)
	} else {
		c.look.Reset(hungUpEvery)
	}
	c.looking.Store(true)
	return func() {
		c.looking.Store(false)
		c.look.Stop()
	}
}

// lostAfter is how long what runs for a client that is gone may go on.
const lostAfter = 4 // times hungUpEvery

func (c *session) lookOut() {
	if !c.looking.Load() {
		return
	}
	if !wire.HungUp(c.client) {
		c.away.Store(0)
	} else if c.away.Add(1) >= lostAfter {
		c.t.close()
		return
	}
	c.look.Reset(hungUpEvery)
}
