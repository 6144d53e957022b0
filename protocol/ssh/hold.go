package ssh

import (
	"context"
	"errors"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
)

// channelKey is under which the context of an operation has its channel.
type channelKey struct{}

// whileHeld implements [protocol.Login.WhileHeld] for the session and all its
// channels.
func (h *handshake) whileHeld(ctx context.Context, w protocol.Waiting, wait func(context.Context) error) error {
	if c, ok := ctx.Value(channelKey{}).(*channel); ok {
		return c.whileHeld(ctx, w, wait)
	}
	if h.sess != nil { // a forward: nowhere to say it
		return untilGone(ctx, h.conn.gone, wait)
	}
	if err := h.tell(held(w)); err != nil {
		return protocol.ErrClientGone
	}
	return untilGone(ctx, h.conn.gone, wait)
}

// untilGone runs wait until gone ends.
func untilGone(ctx, gone context.Context, wait func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(gone, func() { cancel(protocol.ErrClientGone) })()
	return wait(ctx)
}

// held says in a line what is waited for.
func held(w protocol.Waiting) string {
	s := "waiting for approval: " + w.Reason
	for _, t := range w.Tickets {
		if t != "" {
			s += ", request " + t
		}
	}
	if w.Hint != "" {
		s += ", " + w.Hint
	}
	if !w.Until.IsZero() {
		s += ", until " + w.Until.Format(time.TimeOnly)
	}
	return s + " (to withdraw, interrupt)"
}

// whileHeld holds what was asked for on a channel. The client withdraws by
// closing the channel, by a signal or, on a terminal, by Ctrl-C.
func (c *channel) whileHeld(ctx context.Context, w protocol.Waiting, wait func(context.Context) error) error {
	if _, err := c.stderr.Write([]byte("sallyport: " + printable(held(w), c.nl()) + c.nl())); err != nil {
		return errGone
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	withdraw := func() { cancel(protocol.ErrClientGone) }
	defer context.AfterFunc(c.ctx, withdraw)()
	c.mu.Lock()
	c.withdraw = withdraw
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.withdraw = nil
		c.mu.Unlock()
	}()
	if c.pty {
		defer c.listenForInterrupt(withdraw)()
	}
	return wait(ctx)
}

// maxTyped bounds what a client may type while it is held.
const maxTyped = 64 << 10

// An input is a client's input while and after something is held: what was
// typed meanwhile comes first.
type input struct {
	c      *channel
	chunks chan []byte
	err    error
	typed  []byte
}

// newInput begins to read what the client types.
func newInput(c *channel) *input {
	in := &input{c: c, chunks: make(chan []byte)}
	c.s.ps.Go(func() error {
		defer close(in.chunks)
		for {
			b := make([]byte, 4<<10)
			n, err := c.client.Read(b)
			if n > 0 {
				select {
				case in.chunks <- b[:n]:
				case <-c.over:
					return nil
				}
			}
			if err != nil {
				in.err = err
				return nil
			}
		}
	})
	return in
}

// listenForInterrupt reads what is typed on a terminal and calls withdraw for a
// Ctrl-C. The function that it returns stops that.
func (c *channel) listenForInterrupt(withdraw func()) (stop func()) {
	if c.in == nil {
		c.in = newInput(c)
	}
	in := c.in
	quit, done := make(chan struct{}), make(chan struct{})
	c.s.ps.Go(func() error {
		defer close(done)
		for {
			select {
			case b, ok := <-in.chunks:
				if !ok {
					return nil
				}
				for _, ch := range b {
					if ch == 3 {
						withdraw()
					}
				}
				if in.typed = append(in.typed, b...); len(in.typed) > maxTyped {
					withdraw()
					return errors.New("a held client types without end")
				}
			case <-quit:
				return nil
			}
		}
	})
	return func() { close(quit); <-done }
}

// Read implements io.Reader.
func (in *input) Read(b []byte) (int, error) {
	if len(in.typed) == 0 {
		var ok bool
		if in.typed, ok = <-in.chunks; !ok {
			return 0, in.err
		}
	}
	n := copy(b, in.typed)
	in.typed = in.typed[n:]
	return n, nil
}
