package audit

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport-dev/gateway/protocol"
)

// A Head is the state of a journal behind one of its leaves. Kept outside the
// journal's directory, it proves later that nothing before it was changed.
type Head struct {
	Origin string // the journal's random id
	Size   uint64 // how many leaves
	Hash   string // the chain, in hexadecimal
}

// String returns the chain in hexadecimal.
func (c chain) String() string { return hex.EncodeToString(c[:]) }

// End returns the position behind everything that has been recorded.
func (j *Journal) End() Position {
	j.mu.Lock()
	defer j.mu.Unlock()
	return Position(j.next)
}

// Last returns the position behind the last event of session s, or, for a
// session that is not open, of everything that has been recorded.
func (j *Journal) Last(s *protocol.SessionInfo) Position {
	if v, ok := j.sessions.Load(s); ok {
		return Position(v.(*sessionState).last.Load())
	}
	return j.End()
}

// Head returns the head behind the last leaf that is on stable storage.
func (j *Journal) Head() Head {
	h := head{}
	if p := j.durable.Load(); p != nil {
		h = *p
	}
	return Head{j.origin, h.size, h.chain.String()}
}

type head struct {
	size  uint64
	chain chain
}

// Flush returns when everything up to p is in the kernel, so that it survives
// the death of the process. Mostly it is so already when it was recorded;
// otherwise one write covers all that waits, and callers share it. If ctx ends
// first, so does Flush; the write goes on.
func (j *Journal) Flush(ctx context.Context, p Position) error {
	if j.kept.Load() >= uint64(p) {
		return j.err()
	}
	return j.writeOut(ctx, p)
}

// writeOut returns when everything up to p is written to its segment.
func (j *Journal) writeOut(ctx context.Context, p Position) error {
	for {
		if err := j.err(); err != nil {
			return err
		}
		if j.written.Load() >= uint64(p) {
			return nil
		}
		if err := j.known(p); err != nil {
			return err
		}
		if err := j.flushes.share(ctx, j.flush); err != nil {
			return err
		}
	}
}

// Sync returns when everything up to p is on stable storage. One fsync covers
// all that was recorded when it began; who comes meanwhile shares the next. If
// ctx ends first, so does Sync.
func (j *Journal) Sync(ctx context.Context, p Position) error {
	for {
		if err := j.err(); err != nil {
			return err
		}
		if j.synced.Load() >= uint64(p) {
			return nil
		}
		if err := j.known(p); err != nil {
			return err
		}
		if err := j.syncs.share(ctx, j.sync); err != nil {
			return err
		}
	}
}

// known refuses a position that would never be reached.
func (j *Journal) known(p Position) error {
	if end := j.End(); p > end {
		return fmt.Errorf("journal %s: position %d is not of this journal, which ends at %d", j.dir, p, end)
	}
	return nil
}

// A round lets many callers share one run of a function: one runs it, the
// others wait until it is over and then look whether it covered them.
type round struct {
	mu      sync.Mutex
	running bool
	over    chan struct{} // closed when the run is over; nil if nobody waits
}

func (r *round) share(ctx context.Context, run func() error) error {
	r.mu.Lock()
	if r.running {
		if r.over == nil {
			r.over = make(chan struct{})
		}
		over := r.over
		r.mu.Unlock()
		select {
		case <-over:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	r.running = true
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.running = false
		if r.over != nil {
			close(r.over)
			r.over = nil
		}
	}()
	return run()
}

// keepBuffer is the largest buffer that is kept for the next batch.
const keepBuffer = 1 << 20

// flush writes what is pending. One goroutine at a time runs it.
func (j *Journal) flush() error {
	if err := j.err(); err != nil {
		return err
	}
	j.mu.Lock()
	batch, rolls, end := j.buf, j.rolls, j.next
	if len(batch) == 0 {
		j.mu.Unlock()
		return nil // another flush took it all
	}
	shared := j.pending.holds(batch)
	switch {
	case j.pending == nil:
		j.buf, j.spare = j.spare[:0], nil
	case !shared:
		j.loose = end
		fallthrough
	default:
		j.buf = j.pending.swap()
	}
	j.rolls, j.hurried = nil, false
	j.mu.Unlock()
	if shared {
		// Sealing changes a frame in two steps, and between them it must not
		// be the only one there is.
		if err := touch(func() { batch = append(j.spare[:0], batch...) }); err != nil {
			return j.fail(fmt.Errorf("journal %s: %w", j.dir, err))
		}
		j.spare = nil
	}
	if err := j.write(batch, rolls, end); err != nil {
		return j.fail(fmt.Errorf("journal %s: %w", j.dir, err))
	}
	if cap(batch) <= keepBuffer {
		j.spare = batch
	}
	if cap(j.scratch) > keepBuffer {
		j.scratch = nil
	}
	return nil
}

// write chains, seals and writes the frames of batch, which end before leaf
// number end.
func (j *Journal) write(batch []byte, rolls []int, end uint64) error {
	j.space.refresh()
	done := 0 // bytes of batch that are written
	for off := 0; off < len(batch); {
		f := batch[off : off+frameLen(batch[off:])]
		roll := len(rolls) > 0 && rolls[0] == off
		if roll {
			if err := j.put(batch[done:off]); err != nil {
				return err
			}
			done, rolls = off, rolls[1:]
			setPrev(f[headerSize:], j.chain)
		}
		var h tlog.Hash
		h, j.scratch = hashLeaf(f[headerSize:], j.scratch)
		j.chain = j.chain.next(h)
		if j.notary != nil {
			j.hashes = append(j.hashes, h)
		}
		seal(f, j.chain)
		off += len(f)
		if roll {
			if err := j.roll(f); err != nil {
				return err
			}
			done = off
		}
	}
	if err := j.put(batch[done:]); err != nil {
		return err
	}
	if j.notary != nil {
		j.notary.take(j.hashes)
		j.hashes = j.hashes[:0]
	}
	j.fmu.Lock()
	j.head = head{end, j.chain}
	j.fmu.Unlock()
	j.written.Store(end)
	return nil
}

// put writes b to the current segment. After a failure it tries to take back
// what was written of b, none of which was promised to anybody; if that fails
// too, the next Open cuts it off.
func (j *Journal) put(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	n, err := j.file.Write(b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	if err != nil {
		_ = j.file.Truncate(j.size)
		return err
	}
	j.size += int64(n)
	return nil
}

// roll ends the current segment, durably, and begins the next one with header.
// The header is durable before anything follows it, so that a crash cannot
// leave a segment of which nobody knows what it is.
func (j *Journal) roll(header []byte) error {
	j.fmu.Lock()
	defer j.fmu.Unlock()
	if j.file != nil {
		if err := j.file.Sync(); err != nil {
			return err
		}
		if err := j.file.Close(); err != nil {
			return err
		}
	}
	j.current++
	f, err := j.opts.disk.create(segmentPath(j.dir, j.current))
	if err != nil {
		return err
	}
	j.file, j.size = f, 0
	if err := j.put(header); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return j.opts.disk.syncDir(j.dir)
}

// sync makes what is pending durable. One goroutine at a time runs it, beside
// flushes.
func (j *Journal) sync() error {
	if err := j.writeOut(context.Background(), j.End()); err != nil {
		return err
	}
	j.fmu.Lock()
	defer j.fmu.Unlock()
	if err := j.err(); err != nil {
		return err
	}
	// What was written to earlier segments was made durable when they ended.
	h := j.head
	j.syncing.Store(time.Now().UnixNano())
	err := j.file.Sync()
	j.syncing.Store(0)
	if err != nil {
		return j.fail(fmt.Errorf("journal %s: fsync: %w", j.dir, err))
	}
	j.durable.Store(&h)
	j.synced.Store(h.size)
	return nil
}
