package serve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
)

// Why a hold ends without a decision, beside the client's leaving, which is
// [protocol.ErrClientGone].
var (
	ErrCancelled = errors.New("the client asked to cancel")
	ErrOver      = fmt.Errorf("%w: what was held can no longer run", protocol.ErrClosed)
)

// A Hold is the wait of one session for somebody's decision, one at a time. The
// zero Hold is ready. It is safe for use by many goroutines.
type Hold struct {
	mu     sync.Mutex
	cancel context.CancelCauseFunc // of the wait that is under way
	over   bool
}

// Wait waits with wait. Meanwhile each of watch runs on a goroutine of its own
// until the channel it is given is closed and its reads of client fail; if it
// returns an error before, the client counts as gone. wait's context ends then,
// and with Cancel and End, and the reason is what Wait returns. Nobody else
// reads from client, and afterwards it has no deadline for reading.
func (h *Hold) Wait(ctx context.Context, client net.Conn, wait func(context.Context) error, watch ...func(stop <-chan struct{}) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	h.mu.Lock()
	if h.cancel = cancel; h.over {
		cancel(ErrOver)
	}
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		h.cancel = nil
		h.mu.Unlock()
	}()
	stop := make(chan struct{})
	var watchers sync.WaitGroup
	for _, w := range watch {
		watchers.Go(func() {
			if err := protocol.Guard(func() error { return w(stop) }); err != nil {
				cancel(fmt.Errorf("%w: %w", protocol.ErrClientGone, err))
			}
		})
	}
	err := wait(ctx)
	close(stop)
	_ = client.SetReadDeadline(past) // wakes who reads
	watchers.Wait()
	_ = client.SetReadDeadline(time.Time{})
	if cause := context.Cause(ctx); err != nil && (errors.Is(cause, ErrCancelled) || errors.Is(cause, ErrOver) || errors.Is(cause, protocol.ErrClientGone)) {
		return cause
	}
	return err
}

// Waiting reports whether a wait is under way.
func (h *Hold) Waiting() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.cancel != nil
}

// Cancel ends the wait that is under way, as the client has asked, and reports
// whether there is one.
func (h *Hold) Cancel() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.cancel == nil {
		return false
	}
	h.cancel(ErrCancelled)
	return true
}

// End ends the wait that is under way and all that would follow.
func (h *Hold) End() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over = true; h.cancel != nil {
		h.cancel(ErrOver)
	}
}
