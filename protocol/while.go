package protocol

import (
	"bufio"
	"context"
	"net"
	"time"
)

// While runs f while it watches conn: if the client closes the connection, the
// context passed to f ends with cause [ErrClientGone]. r must be the only
// reader of conn; what the client sends meanwhile stays in r, and a close
// behind more bytes than r can hold is not seen, so f needs a time limit as
// well. Connectors with nothing better use it for [Login.WhileHeld]. It
// returns f's error and leaves no goroutine behind.
func While(ctx context.Context, conn net.Conn, r *bufio.Reader, f func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := 1; ; n = r.Buffered() + 1 {
			if n > r.Size() {
				return
			}
			if _, err := r.Peek(n); err != nil {
				if ctx.Err() == nil {
					cancel(ErrClientGone)
				}
				return
			}
		}
	}()
	err := f(ctx)
	cancel(nil)
	_ = conn.SetReadDeadline(time.Unix(1, 0)) // wakes the watcher; reset below
	<-done
	_ = conn.SetReadDeadline(time.Time{})
	return err
}
