package ssh

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
)

// farewellWithin bounds how long a client that does not read keeps its session.
const farewellWithin = 300 * time.Millisecond

// farewell tells the client why its session is ended, on the error stream of
// each command and shell, if it may know. The reason of SSH's own disconnect
// message is not the library's to set, and ssh shows it to few.
func (s *session) farewell(ctx context.Context) {
	var d *protocol.DeniedError
	if !errors.As(context.Cause(ctx), &d) {
		return
	}
	s.mu.Lock()
	open := slices.Collect(maps.Keys(s.running))
	s.mu.Unlock()
	told := make(chan struct{}, len(open))
	for _, c := range open {
		go func() { // until the connection is closed at the latest
			if c.stderr.mu.TryLock() { // who holds it waits for the client
				_, _ = c.stderr.w.Write([]byte(refusal(d, c.nl())))
				c.stderr.mu.Unlock()
			}
			told <- struct{}{}
		}()
	}
	late := time.NewTimer(farewellWithin)
	defer late.Stop()
	for range open {
		select {
		case <-told:
		case <-late.C:
			return
		}
	}
}

// run notes that something runs on c, until its output has ended.
func (s *session) run(c *channel, runs bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !runs {
		delete(s.running, c)
		return
	}
	if s.running == nil {
		s.running = map[*channel]struct{}{}
	}
	s.running[c] = struct{}{}
}
