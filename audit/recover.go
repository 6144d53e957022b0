package audit

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
)

// found is what Open has learned from the segments of earlier processes.
type found struct {
	origin  string
	chain   chain
	next    uint64 // the next leaf's number
	segment uint64 // the last one's number
	since   uint64 // for the next header

	gaps    []Damage
	cut     int64
	cutHash string
	lost    int // leaves that waited to be written and do not continue the journal
	left    *unsettled
}

// examine reads what is in dir, writes down what waited for it, and cuts off what a crash has left unfinished
// at its end. After a clean close that is the last segment only; after a crash
// it is everything since the oldest session that was open began.
func examine(dir string, o Options) (*found, error) {
	lost, err := settlePending(dir, o)
	if err != nil {
		return nil, err
	}
	segs, err := segments(dir)
	if err != nil {
		return nil, err
	}
	segs, err = dropUnbegun(o.disk, dir, segs)
	if err != nil {
		return nil, err
	}
	f := &found{since: 1, lost: lost, left: newUnsettled()}
	if len(segs) == 0 {
		f.origin = protocol.NewID()
		return f, nil
	}
	f.segment = segs[len(segs)-1].number

	t, from, err := lastTail(segs)
	if err != nil {
		return nil, err
	}
	if t.kind != JournalClosed || t.torn > 0 {
		from = min(from, max(0, slices.IndexFunc(segs, func(s segment) bool { return s.number >= t.since })))
	}
	acked := map[Damage]bool{}
	var damages []Damage
	t, err = walk(segs[from:], func(fr *frame) error {
		if fr.head.kind == JournalGap {
			e, err := ParseEvent(fr.leaf)
			if err == nil && e.Journal != nil {
				acked[Damage{Segment: e.Journal.Segment, Offset: e.Journal.Offset}] = true
			}
		}
		return f.left.see(fr)
	}, func(d Damage) error {
		damages = append(damages, d)
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, d := range damages {
		if !acked[Damage{Segment: d.Segment, Offset: d.Offset}] {
			f.gaps = append(f.gaps, d)
		}
	}
	if len(f.gaps) > 0 && !o.AcceptGap {
		return nil, fmt.Errorf("%w; keep a copy, find out why, then open it with AcceptGap to go on behind the damage", &DamageError{dir, f.gaps})
	}
	f.origin, f.chain, f.since = t.origin, t.chain, max(segs[from].number, f.left.since)
	if t.frames > 0 {
		f.next = t.seq + 1
	}
	if f.origin == "" {
		f.origin = protocol.NewID()
	}
	if t.torn > 0 {
		f.cut = t.torn
		if f.cutHash, err = cut(segs[len(segs)-1].path, t.good); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// lastTail returns the end of segs. The last segment tells it; if that has no
// readable header, one before it does, whose index is from.
func lastTail(segs []segment) (t tail, from int, err error) {
	for from = len(segs) - 1; ; from-- {
		t, err = walk(segs[from:], func(*frame) error { return nil }, func(Damage) error { return nil })
		if err != nil || t.origin != "" || from == 0 {
			return t, from, err
		}
	}
}

// dropUnbegun removes a last segment of which not even the header was written
// completely: nothing in it was promised to anybody.
func dropUnbegun(d disk, dir string, segs []segment) ([]segment, error) {
	if len(segs) == 0 {
		return nil, nil
	}
	last := segs[len(segs)-1]
	n, damaged := 0, false
	t, err := walk(segs[len(segs)-1:], func(*frame) error { n++; return nil }, func(Damage) error { damaged = true; return nil })
	if err != nil {
		return nil, err
	}
	if n > 0 || damaged || t.torn > maxHeader {
		return segs, nil
	}
	if err := os.Remove(last.path); err != nil {
		return nil, err
	}
	return segs[:len(segs)-1], d.syncDir(dir)
}

// cut shortens the file to size, durably, and returns the SHA-256 of what it
// cut off.
func cut(path string, size int64) (hash string, err error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.Seek(size, io.SeekStart); err != nil {
		return "", err
	}
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	if err := f.Truncate(size); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), f.Sync()
}

// settle returns the events that bring the journal up to date. The last one
// says that it is.
func (f *found) settle() []Event {
	var es []Event
	for _, d := range f.gaps {
		es = append(es, Event{Kind: JournalGap, Journal: &About{Segment: d.Segment, Offset: d.Offset, Skipped: d.Skipped, What: Text(d.What)}})
	}
	es = append(es, f.left.events()...)
	about := &About{Origin: f.origin, Cut: f.cut, CutHash: f.cutHash}
	if f.lost > 0 {
		about.What = Text(fmt.Sprintf("%d events that waited to be written do not follow what is left of the journal", f.lost))
	}
	return append(es, Event{Kind: JournalOpened, Journal: about})
}

// unsettled keeps what has begun and not ended, and nothing else, however long
// the journal is.
type unsettled struct {
	sessions map[string]*openSession
	since    uint64 // the segment from which on nothing is settled
}

type openSession struct {
	opened   Event
	commands map[uint64]struct{} // that were allowed and have not ended
}

func newUnsettled() *unsettled { return &unsettled{sessions: map[string]*openSession{}} }

// allowed marks the events that let something begin. It cannot occur within a
// JSON string, where a backslash would stand before the quotation marks.
var allowed = []byte(`,"decision":{"effect":"allow"`)

func (u *unsettled) see(f *frame) error {
	h := f.head
	switch h.kind {
	case JournalOpened:
		// Whoever wrote this had settled all before it.
		clear(u.sessions)
		u.since = f.segment
	case SessionOpened:
		e, err := ParseEvent(f.leaf)
		if err != nil {
			return err
		}
		u.sessions[string(h.session)] = &openSession{e, map[uint64]struct{}{}}
	case SessionClosed:
		delete(u.sessions, string(h.session))
	case CommandDecided:
		s := u.sessions[string(h.session)]
		switch {
		case s == nil:
		case bytes.Contains(f.leaf, allowed):
			s.commands[h.command] = struct{}{}
		case h.command == s.opened.Command:
			delete(u.sessions, string(h.session)) // refused after all
		default:
			delete(s.commands, h.command)
		}
	case CommandCompleted, CommandUnknown:
		if s := u.sessions[string(h.session)]; s != nil {
			delete(s.commands, h.command)
		}
	}
	return nil
}

// events returns the ends that were never recorded, in the order in which what
// they end began.
func (u *unsettled) events() []Event {
	sessions := slices.SortedFunc(maps.Values(u.sessions), func(a, b *openSession) int { return cmp.Compare(a.opened.Seq, b.opened.Seq) })
	var es []Event
	for _, s := range sessions {
		end := s.opened
		end.Action, end.Decision = nil, nil
		end.Result = &Result{Status: string(protocol.StatusUnknown)}
		end.V, end.Seq, end.Time = 0, 0, time.Time{} // it gets its own
		for _, id := range slices.Sorted(maps.Keys(s.commands)) {
			e := end
			e.Kind, e.Command = CommandUnknown, id
			es = append(es, e)
		}
		end.Kind = SessionClosed
		es = append(es, end)
	}
	return es
}
