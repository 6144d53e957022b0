package audit

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
)

// lookEvery is how long a look at the free disk space stays good.
const lookEvery = 200 * time.Millisecond

// space watches the free disk space, so that a disk that fills up stops new
// operations while the running ones can still be written down, instead of
// failing a write and with it the journal.
type space struct {
	disk  disk
	dir   string
	min   uint64
	known atomic.Uint64 // free bytes at the last look
	next  atomic.Int64  // when to look again, Unix ns
}

// refresh looks if the last look is too long ago.
func (s *space) refresh() {
	now := time.Now()
	next := s.next.Load()
	if now.UnixNano() >= next && s.next.CompareAndSwap(next, now.Add(lookEvery).UnixNano()) {
		s.look(now)
	}
}

func (s *space) look(now time.Time) {
	s.next.Store(now.Add(lookEvery).UnixNano())
	free, err := s.disk.free(s.dir)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		free = ^uint64(0) // the write itself will tell
	case err != nil:
		free = 0
	}
	s.known.Store(free)
}

// admit refuses what the free space is too little for. Every write refreshes
// what it goes by; when it refuses there may be no writes, so it looks itself.
func (s *space) admit(e *protocol.Event) error {
	if s.known.Load() >= s.min {
		return nil
	}
	s.refresh()
	free, need := s.known.Load(), s.min
	if e.Kind == protocol.LoginRefused || e.Kind == protocol.Decided && e.Decision.Effect != protocol.AllowEffect {
		need /= 2
	}
	if free >= need {
		return nil
	}
	return fmt.Errorf("%w: %d MiB free in %s, %d MiB are kept in reserve", ErrLowSpace, free>>20, s.dir, s.min>>20)
}
