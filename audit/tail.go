package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"time"
)

// Events returns the events in dir, from the first on. It changes nothing and
// takes no lock; of a journal in use it returns what is written when it gets
// there. Damage is an error between the events around it, and a folder without
// a journal an error too.
func Events(dir string) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		segs, err := segments(dir)
		if err == nil && len(segs) == 0 {
			err = noSegments(dir)
		}
		if err != nil {
			yield(Event{}, err)
			return
		}
		stop := errors.New("stop")
		t, err := walk(segs, func(f *frame) error {
			e, err := ParseEvent(f.leaf)
			if !yield(e, err) {
				return stop
			}
			return nil
		}, func(d Damage) error {
			if !yield(Event{}, &DamageError{dir, []Damage{d}}) {
				return stop
			}
			return nil
		})
		var u unwritten
		if err == nil && t.frames > 0 {
			u, err = readPending(dir, t.origin, t.seq+1)
		}
		if err != nil && !errors.Is(err, stop) {
			yield(Event{}, err)
		}
		u.leaves(func(leaf []byte) bool { return yield(ParseEvent(leaf)) })
	}
}

var errNoSegments = errors.New("there are no segments")

func noSegments(dir string) error { return fmt.Errorf("journal %s: %w", dir, errNoSegments) }

// pollEvery is how often a follower looks for more.
const pollEvery = 100 * time.Millisecond

// Tail calls f for each event in dir whose number is at least from, in order.
// At the end it returns nil, or, if follow is true, waits for more until ctx
// ends and returns its cause; a folder without a journal is an error, or one to
// wait for. It ends with f's error, or with a [DamageError] if
// events that were asked for cannot be read; it says with which number to go
// on. From 0 is from the first event that is there, if segments before it were
// moved away. Tail checks each frame by itself; the chain is [Verify]'s business.
func Tail(ctx context.Context, dir string, from uint64, follow bool, f func(Event) error) error {
	return tailLeaves(ctx, dir, from, follow, func(e Event, _ []byte) error { return f(e) })
}

// follower is what a tail is passed on to: events with their leaves, which are
// valid until it returns.
type follower func(Event, []byte) error

func tailLeaves(ctx context.Context, dir string, from uint64, follow bool, f follower) error {
	t := tailer{dir: dir, from: from, follow: follow, f: f}
	if err := t.start(); err != nil {
		return err
	}
	for {
		more, err := t.segment(ctx)
		if err != nil {
			return err
		}
		if !more {
			return t.pending()
		}
	}
}

type tailer struct {
	dir    string
	from   uint64
	follow bool
	f      follower
	number uint64 // the last segment that was read
	read   uint64 // behind the last leaf in it
	origin string
	lost   *Damage
}

// start skips the segments whose successor begins at or before from.
func (t *tailer) start() error {
	segs, err := segments(t.dir)
	if err == nil && len(segs) == 0 && !t.follow {
		err = noSegments(t.dir)
	}
	if err != nil {
		return err
	}
	i, err := segmentOf(segs, t.from)
	switch {
	case err != nil:
		return err
	case i >= 0:
		t.number = segs[i].number - 1
	case t.from > 0 && len(segs) > 0 && segs[0].number > 1:
		t.lost = &Damage{File: segmentFile(1), Segment: 1}
	}
	return nil
}

// segmentOf returns the index of the last segment that begins at or before leaf
// number seq, or -1.
func segmentOf(segs []segment, seq uint64) (int, error) {
	for i, s := range slices.Backward(segs) {
		r, err := openReader(s)
		if err != nil {
			return -1, err
		}
		var f frame
		err = r.next(&f)
		r.close()
		if err == nil && f.head.seq <= seq {
			return i, nil
		}
	}
	return -1, nil
}

// behind returns the first segment behind the one that was read last.
func (t *tailer) behind() (*segment, error) {
	segs, err := segments(t.dir)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(segs, func(s segment) bool { return s.number > t.number })
	if i < 0 {
		return nil, nil
	}
	return &segs[i], nil
}

// segment reads the next segment to its end. It reports whether there may be
// another.
func (t *tailer) segment(ctx context.Context) (more bool, err error) {
	var s *segment
	for {
		if s, err = t.behind(); err != nil {
			return false, err
		}
		if s != nil {
			break
		}
		if !t.follow {
			return false, nil
		}
		if err := wait(ctx); err != nil {
			return false, err
		}
	}
	r, err := openReader(*s)
	if err != nil {
		return false, err
	}
	defer r.close()
	if t.read > 0 && s.number > t.number+1 {
		t.lost = &Damage{File: segmentFile(t.number + 1), Segment: t.number + 1} // they went while it was reading
	}
	t.number = s.number
	over := false // nothing will be added to this segment
	var fr frame
	for {
		err := r.next(&fr)
		if err == nil {
			if t.lost != nil && fr.head.seq > t.from {
				t.lost.What = fmt.Sprintf("%s; the next event is %d", cmp.Or(t.lost.What, "segments were moved away"), fr.head.seq)
				t.lost.Next = fr.head.seq
				return false, &DamageError{t.dir, []Damage{*t.lost}}
			}
			t.lost, t.read = nil, fr.head.seq+1
			if fr.head.kind == JournalSegment {
				if e, err := ParseEvent(fr.leaf); err == nil && e.Journal != nil {
					t.origin = e.Journal.Origin
				}
			}
			if fr.head.seq < t.from {
				continue
			}
			t.from = fr.head.seq + 1
			e, err := ParseEvent(fr.leaf)
			if err != nil {
				return false, err
			}
			if err := t.f(e, fr.leaf); err != nil {
				return false, err
			}
			if err := ctx.Err(); err != nil {
				return false, context.Cause(ctx)
			}
			continue
		}
		if !errors.Is(err, io.EOF) && !errors.Is(err, errBad) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return false, err
		}
		if over {
			if errors.Is(err, io.EOF) {
				return true, nil
			}
			start := r.off
			found, err := r.resync()
			if err != nil {
				return false, err
			}
			if !found {
				r.off = r.size
			}
			t.lost = &Damage{File: segmentFile(s.number), Segment: s.number, Offset: start, Skipped: r.off - start, What: "unreadable bytes"}
			continue
		}
		next, err := t.behind()
		if err != nil {
			return false, err
		}
		// Over or not, look once more: it may have grown before the next began.
		if over = next != nil || !t.follow; !over {
			if err := wait(ctx); err != nil {
				return false, err
			}
		}
		if err := r.again(); err != nil {
			return false, err
		}
		if r.size < r.off {
			return false, fmt.Errorf("journal %s: segment %d became shorter than what was read of it", t.dir, s.number)
		}
	}
}

// pending passes on what a process that died has not written any more.
func (t *tailer) pending() error {
	u, err := readPending(t.dir, t.origin, t.read)
	if err != nil {
		return err
	}
	u.leaves(func(leaf []byte) bool {
		var e Event
		if e, err = ParseEvent(leaf); err == nil && e.Seq >= t.from {
			err = t.f(e, leaf)
		}
		return err == nil
	})
	return err
}

func wait(ctx context.Context) error {
	timer := time.NewTimer(pollEvery)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
