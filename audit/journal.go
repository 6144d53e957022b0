package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport-dev/gateway/protocol"
)

// Errors that a journal returns.
var (
	// ErrClosed says that the journal was closed.
	ErrClosed = errors.New("audit: the journal is closed")
	// ErrLocked says that another process has the journal open.
	ErrLocked = errors.New("audit: the journal is locked")
	// ErrLowSpace says that the disk is nearly full: operations are refused
	// while there is still room to write down how the running ones end.
	ErrLowSpace = errors.New("audit: too little disk space")
	// ErrSlow says that the disk does not answer: operations are refused
	// until it does, instead of piling up.
	ErrSlow = errors.New("audit: the disk does not answer")
	// ErrUnsigned says that the signer has not signed for a while: operations
	// are refused until it does.
	ErrUnsigned = errors.New("audit: the journal is not signed")
	// ErrTooLarge says that an event is too large to be kept.
	ErrTooLarge = errors.New("audit: the event is too large")
)

// Options are a journal's settings. The zero Options are the defaults.
type Options struct {
	// SegmentSize is the size in bytes at which a new segment is begun: 64 MiB
	// if 0. A segment may exceed it by what was pending.
	SegmentSize int64

	// SegmentAge is how long a segment takes new events: the first event behind
	// it begins another, so that what is to be moved away by date can be. 0 is
	// forever. No segment is begun while nothing happens.
	SegmentAge time.Duration

	// MinFree is the free disk space in bytes below which new operations are
	// refused: 256 MiB if 0, enough for the ends of what runs and for the
	// refusals. Below half of it refusals are no longer kept either.
	MinFree uint64

	// AcceptGap opens a journal that is damaged. The damaged segments stay as
	// they are, an audit.gap event names each place, and writing goes on in a
	// new segment.
	AcceptGap bool

	// Key, if not empty, signs checkpoints: it is a private key as [NewKey]
	// makes it. What was signed once is checked by [Open]: a journal that lacks
	// it, or has it otherwise, is damaged.
	Key protocol.Secret

	// Signer signs checkpoints in the place of Key.
	Signer Signer

	// OldKeys are the public keys that signed before, one a line. To change the
	// key, stop the gateway, give the new one, and put the public half of the one
	// before here: the journal is held against the last checkpoint of that one,
	// which is kept beside it, and goes on with the new. Keep its name. Whoever
	// verifies is given both.
	OldKeys string

	// SealTo are the recipients of age, one a line, to whom [Detail.Seal] seals.
	SealTo string

	disk disk
}

// same reports whether o and p are the same settings.
func (o Options) same(p Options) bool {
	keys := o.Key.Reveal() == p.Key.Reveal() && (o.Signer == nil) == (p.Signer == nil) &&
		(o.Signer == nil || o.Signer.Name() == p.Signer.Name() && o.Signer.KeyHash() == p.Signer.KeyHash())
	o.Key, p.Key, o.Signer, p.Signer = protocol.Secret{}, protocol.Secret{}, nil, nil
	return keys && o == p
}

func (o Options) withDefaults() Options {
	if o.SegmentSize <= 0 {
		o.SegmentSize = 64 << 20
	}
	if o.MinFree == 0 {
		o.MinFree = 256 << 20
	}
	if o.disk == nil {
		o.disk = realDisk{}
	}
	return o
}

// A Position is a place in a journal: the number of leaves up to and with the
// one it was returned for. The zero Position is before all of them.
type Position uint64

const (
	// maxPending bounds the bytes that wait for a write; beyond it, Record
	// writes before it adds more.
	maxPending = 8 << 20

	// largeEvent is the size from which an event is encoded before the lock
	// is taken, so that one huge statement does not hold up everybody.
	largeEvent = 32 << 10

	// lazyFlush is how long an event waits for a write at most when nobody
	// asks for one.
	lazyFlush = 100 * time.Millisecond

	// slowSync is how long an fsync may run before new operations are refused.
	slowSync = 2 * time.Second
)

// A Journal is an open journal. Its methods may be called from many goroutines
// at once. There is no zero Journal: use [Open].
type Journal struct {
	dir    string
	opts   Options
	lock   *os.File
	origin string
	space  space

	sessions sync.Map // *protocol.SessionInfo -> *sessionState, for open sessions
	open     atomic.Int64
	late     struct { // when postponed decisions are looked at
		timer *time.Timer
		armed atomic.Bool
	}
	failure atomic.Pointer[error] // set once; ends the journal's use

	mu      sync.Mutex // guards what Record appends to
	buf     []byte     // frames without chain and CRC
	rolls   []int      // offsets in buf at which a new segment begins
	next    uint64     // the next leaf's number
	segSize int64      // bytes in the newest segment, pending ones included
	segment uint64     // the newest segment's number, which may still be pending
	began   time.Time  // when it was
	pending *pending   // where buf is, unless it has outgrown it
	loose   uint64     // up to this leaf some may be neither written nor in shared memory
	armed   bool       // the lazy flush is due
	hurried bool       // it was asked for early
	timer   *time.Timer
	closed  bool
	facts   factCache

	flushes, syncs round
	kept           atomic.Uint64 // Position: in the kernel, one way or the other
	written        atomic.Uint64 // Position: in a segment
	synced         atomic.Uint64
	syncing        atomic.Int64 // when the fsync that runs began, Unix ns; 0 if none does
	slow           time.Duration
	tasks          sync.WaitGroup // lazy flushes under way

	notary *notary    // nil without a key
	holds  sync.Mutex // held by whoever erases or holds

	// Owned by whoever flushes.
	spare, scratch []byte
	hashes         []tlog.Hash
	chain          chain
	size           int64 // of the current file
	current        uint64

	fmu  sync.Mutex // held by fsync, and by the flush that changes file
	file file
	head head // behind the last written leaf

	durable atomic.Pointer[head]
}

type sessionState struct {
	constant []byte // what is the same on all events of the session
	brief    []byte // what its operations repeat of that
	segment  uint64 // that its first event is in
	last     atomic.Uint64
	later    postpones
	sealer   *sealer // nil: nothing can be sealed
}

// Open opens the journal in dir, or begins one, and locks it for this process.
// What an earlier process left unfinished is settled first: a torn write at the
// end is cut off, and operations and sessions that it did not see end are
// recorded as ended with status unknown. A [DamageError] means that the journal
// is damaged; see [Options.AcceptGap].
func Open(dir string, o Options) (*Journal, error) {
	j, err := openJournal(dir, o.withDefaults())
	if err != nil {
		return nil, fmt.Errorf("journal %s: %w", dir, err)
	}
	return j, nil
}

func openJournal(dir string, o Options) (_ *Journal, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	j := &Journal{dir: dir, opts: o, lock: lock, slow: slowSync, facts: newFactCache()}
	defer func() {
		if err != nil {
			if j.file != nil {
				j.file.Close()
			}
			j.pending.close(false)
			j.notary.stop()
			lock.Close()
		}
	}()
	j.space = space{disk: o.disk, dir: dir, min: o.MinFree}
	j.space.look(time.Now())
	found, err := examine(dir, o)
	if err != nil {
		return nil, err
	}
	if !o.Key.Empty() || o.Signer != nil {
		if j.notary, err = newNotary(dir, o, found); err != nil {
			return nil, err
		}
		j.notary.timer = time.AfterFunc(time.Hour, j.notarize)
		j.notary.timer.Stop()
	}
	if err := j.openSealed(); err != nil {
		return nil, err
	}
	j.origin, j.chain, j.next = found.origin, found.chain, found.next
	j.segment, j.current = found.segment, found.segment
	if j.pending = newPending(o.disk, dir, j.origin); j.pending != nil {
		j.buf = j.pending.swap()
	}
	j.timer = time.AfterFunc(time.Hour, j.lazy)
	j.timer.Stop()
	j.late.timer = time.AfterFunc(time.Hour, j.settleLate)
	j.late.timer.Stop()
	j.mu.Lock()
	err = j.beginSegment(found.since)
	for _, e := range found.settle() {
		if err == nil {
			err = j.appendEvent(e)
		}
	}
	j.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if err := j.Sync(context.Background(), j.End()); err != nil || j.notary == nil {
		return j, err
	}
	_, err = j.Checkpoint(context.Background())
	return j, err
}

// Dir returns the journal's directory.
func (j *Journal) Dir() string { return j.dir }

// Record keeps e, or nothing if it is of a kind that is not kept. It only puts
// the event into memory: [Journal.Flush] and [Journal.Sync] with the returned
// Position make it last; without them it is written within 100 ms. Record
// waits only when too much is pending. An error means that e is not kept, so
// what it is about must not happen.
func (j *Journal) Record(e *protocol.Event, d Detail) (p Position, err error) {
	kind := kindOf(e)
	if kind == "" {
		return 0, nil
	}
	if e.Time.IsZero() {
		now := *e
		now.Time = time.Now()
		e = &now
	}
	if err := j.admit(e); err != nil {
		return 0, err
	}
	var st *sessionState
	if e.Session != nil {
		st = j.session(e.Session)
	}
	l := leaf{kind: kind, event: e, session: st.bytes(kind, e), detail: &d}
	if d.Seal && st != nil {
		if kind == SessionOpened && st.sealer == nil {
			if st.sealer, err = j.seal(e.Session.ID); err != nil {
				return 0, fmt.Errorf("journal %s: session %s cannot be sealed: %w", j.dir, e.Session.ID, err)
			}
		}
		l.sealer = st.sealer
	}
	if l.whole = kind == CommandCompleted && st != nil && st.later.take(e.Op); l.whole {
		defer func() {
			if p == 0 { // an error or a panic: what was decided is still to be recorded
				st.later.add(postponed{e.Op, d})
			}
		}()
	}
	var body []byte
	if textSize(e) > largeEvent {
		body = l.append(nil)
		if len(body)+len(leafStart)+20 > maxLeaf && e.Kind == protocol.Decided && e.Decision.Effect != protocol.AllowEffect {
			// A refusal is kept even if what was refused is not.
			d.HideText, d.HideArgs = true, true
			body = l.append(nil)
		}
	}
	p, err = j.add(&l, st, body)
	if err == nil && (kind == SessionClosed || kind == CommandDecided && e.Op.Verb == protocol.Connect) {
		if _, was := j.sessions.LoadAndDelete(e.Session); was {
			j.open.Add(-1)
		}
	}
	return p, err
}

// admit refuses events of which more are better not begun: when the disk is
// nearly full, or does not answer. Ends are always welcome.
func (j *Journal) admit(e *protocol.Event) error {
	if e.Kind == protocol.Ended {
		return nil
	}
	if began := j.syncing.Load(); began != 0 {
		if d := time.Since(time.Unix(0, began)); d > j.slow {
			return fmt.Errorf("%w: an fsync in %s has been running for %s", ErrSlow, j.dir, d.Round(time.Millisecond))
		}
	}
	if err := j.notary.admit(); err != nil {
		return err
	}
	return j.space.admit(e)
}

// bytes returns what e, to be kept as kind, says of the session.
func (st *sessionState) bytes(kind Kind, e *protocol.Event) []byte {
	switch {
	case st == nil:
		return nil
	case brief(kind, e):
		return st.brief
	}
	return st.constant
}

// textSize is about how long e will be.
func textSize(e *protocol.Event) int {
	if e.Op == nil {
		return 0
	}
	n := len(e.Op.Text) + len(e.Op.Behind) + len(e.Op.Rewritten()) + 64*(len(e.Op.Reads)+len(e.Op.Writes)+len(e.Op.Objects))
	for i := range e.Op.Args {
		n += len(e.Op.Args[i].Text) + 32
	}
	return n
}

// session returns what is known about s, which is kept only from the Connect
// operation's allowance to its end.
func (j *Journal) session(s *protocol.SessionInfo) *sessionState {
	if v, ok := j.sessions.Load(s); ok {
		return v.(*sessionState)
	}
	return &sessionState{constant: appendSession(nil, s), brief: appendBrief(nil, s)}
}

// add appends one frame. body is the leaf behind its number, or nil if it is
// to be encoded in place.
func (j *Journal) add(l *leaf, st *sessionState, body []byte) (Position, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.room(); err != nil {
		return 0, err
	}
	p, err := j.frame(func(b []byte) []byte {
		b = appendHead(b, j.next)
		if body != nil {
			return append(b, body...)
		}
		l.facts = &j.facts
		return l.append(b)
	})
	if err != nil {
		return 0, err
	}
	if st != nil {
		st.last.Store(uint64(p)) // in order, because the lock is held
	}
	if l.kind == SessionOpened {
		// In the same breath as the event, so that no segment begins between
		// the two without counting this session as open.
		st.segment = j.segment
		if _, was := j.sessions.Swap(l.event.Session, st); !was {
			j.open.Add(1)
		}
	}
	return p, nil
}

// frame appends one frame, whose leaf put appends, with mu held. The buffer may
// be shared memory: if that is not there any more, the journal's use ends.
func (j *Journal) frame(put func([]byte) []byte) (Position, error) {
	start, shared, done := len(j.buf), false, false
	defer func() {
		if !done {
			j.buf = j.buf[:start] // after an error, or a panic in the encoding
		}
	}()
	if err := touch(func() {
		j.buf = put(append(j.buf, make([]byte, headerSize)...))
		setLen(j.buf[start:])
		if shared = j.pending.holds(j.buf); shared {
			j.pending.mark(j.buf[start:])
		}
	}); err != nil {
		return 0, j.fail(fmt.Errorf("journal %s: %w", j.dir, err))
	}
	if n := len(j.buf) - start - headerSize; n > maxLeaf {
		return 0, fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, n, maxLeaf)
	}
	done = true
	j.added(start, shared)
	return Position(j.next), nil
}

// room makes sure that the buffer can take another frame, in the segment that
// the frame belongs to. It is called with mu held, and may release it.
func (j *Journal) room() error {
	for {
		if err := j.err(); err != nil {
			return err
		}
		if j.closed {
			return ErrClosed
		}
		if len(j.buf) < maxPending {
			break
		}
		p := Position(j.next)
		j.mu.Unlock()
		err := j.writeOut(context.Background(), p)
		j.mu.Lock()
		if err != nil {
			return err
		}
	}
	if j.segSize >= j.opts.SegmentSize || j.opts.SegmentAge > 0 && time.Since(j.began) >= j.opts.SegmentAge {
		return j.beginSegment(j.oldest())
	}
	return nil
}

// added accounts for the frame at start, which is in shared memory or not, with
// mu held.
func (j *Journal) added(start int, shared bool) {
	j.next++
	j.segSize += int64(len(j.buf) - start)
	if shared && j.written.Load() >= j.loose {
		j.kept.Store(j.next)
	}
	switch {
	case len(j.buf) > pendingHalf/2 && !j.hurried:
		j.armed, j.hurried = true, true
		j.timer.Reset(0)
	case !j.armed:
		j.armed = true
		j.timer.Reset(lazyFlush)
	}
}

// oldest returns the segment in which the oldest open session began, or the
// one that is about to begin.
func (j *Journal) oldest() uint64 {
	since := j.segment + 1
	j.sessions.Range(func(_, v any) bool {
		since = min(since, v.(*sessionState).segment)
		return true
	})
	return since
}

// beginSegment appends the header of a new segment, with mu held. The chain
// before it is not known yet; whoever writes puts it in place.
func (j *Journal) beginSegment(since uint64) error {
	j.rolls = append(j.rolls, len(j.buf))
	j.segment++
	j.segSize, j.began = 0, time.Now()
	return j.appendEvent(Event{Kind: JournalSegment, Journal: &About{
		Origin: j.origin, Segment: j.segment, OpenSince: since, Prev: chain{}.String()}})
}

// appendEvent appends an event of the journal's own, with mu held. They are
// rare, so encoding/json writes them.
func (j *Journal) appendEvent(e Event) error {
	e.V, e.Seq = Version, j.next
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	leaf, err := e.encode()
	if err != nil {
		return err
	}
	_, err = j.frame(func(b []byte) []byte { return append(b, leaf...) })
	return err
}

// encode returns e as a leaf.
func (e *Event) encode() ([]byte, error) {
	// All that stands behind the kind is as encoding/json writes it.
	rest := *e
	rest.V, rest.Seq, rest.Time, rest.Kind = 0, 0, time.Time{}, ""
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(rest); err != nil {
		return nil, err
	}
	leaf := appendTimeKind(appendHead(nil, e.Seq), e.Time, e.Kind)
	fields := bytes.TrimPrefix(bytes.TrimSpace(b.Bytes()), []byte(`{"v":0,"seq":0,"time":"0001-01-01T00:00:00Z","kind":""`))
	return append(leaf, fields...), nil
}

// lazy writes what nobody asked to be written.
func (j *Journal) lazy() {
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return
	}
	j.armed = false
	j.tasks.Add(1)
	p := Position(j.next)
	j.mu.Unlock()
	defer j.tasks.Done()
	_ = j.writeOut(context.Background(), p) // a failure stays in j.failure
}

// Close writes and syncs what is pending and releases the directory. It is
// called after the last session has ended; if some are open, the next Open
// records them as ended with status unknown. Close returns the error that ended
// the journal's use, if one did. Further calls do nothing.
func (j *Journal) Close() error {
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return nil
	}
	err := j.err()
	if err == nil && j.open.Load() == 0 {
		err = j.appendEvent(Event{Kind: JournalClosed})
	}
	j.closed = true
	p := Position(j.next)
	j.mu.Unlock()
	j.timer.Stop()
	j.late.timer.Stop()
	j.notary.stop()
	j.tasks.Wait()
	if err == nil {
		err = j.Sync(context.Background(), p)
	}
	if err == nil && j.notary != nil {
		_, err = j.notary.publish(uint64(p))
	}
	// Later calls fail, those that no event is pending for as well.
	j.fail(ErrClosed)
	j.mu.Lock()
	j.buf = nil
	j.pending.close(err == nil)
	j.mu.Unlock()
	j.fmu.Lock()
	defer j.fmu.Unlock()
	if cerr := j.file.Close(); err == nil && cerr != nil {
		err = cerr
	}
	j.lock.Close()
	return err
}

// err returns what ended the journal's use, or nil.
func (j *Journal) err() error {
	if p := j.failure.Load(); p != nil {
		return *p
	}
	return nil
}

// fail ends the journal's use because of err and returns the first cause.
func (j *Journal) fail(err error) error {
	j.failure.CompareAndSwap(nil, &err)
	return j.err()
}
