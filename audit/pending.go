package audit

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
)

// What has been recorded and not yet written to a segment waits in memory that
// is shared with the file "pending": there it is in the kernel's hands, and
// survives the death of the process, without a system call for each event.
// The file has two halves. One takes new frames while the other is written; a
// frame in it has a CRC, but no chain yet. What does not fit waits in ordinary
// memory until it is written.
const (
	pendingFile = "pending"
	pendingHalf = 1 << 20

	// maxPendingFile is more than any version has made it.
	maxPendingFile = 64 * pendingHalf
)

// A pending is the file's memory. nil is none: everything has to be written to
// be in the kernel.
type pending struct {
	path  string
	owner chain // stands in each frame in place of the chain
	mem   []byte
	start int // of the half in use
	unmap func() error
}

// newPending makes the file anew. Where that cannot be done there is none.
func newPending(d disk, dir, origin string) *pending {
	path := filepath.Join(dir, pendingFile)
	mem, unmap, err := d.share(path, 2*pendingHalf)
	if err != nil {
		return nil
	}
	if touch(func() { clear(mem) }) != nil { // what an earlier process left is settled
		_ = unmap()
		return nil
	}
	return &pending{path: path, owner: ownerOf(origin), mem: mem, unmap: unmap}
}

// swap returns the half that is not in use, and takes it into use.
func (p *pending) swap() []byte {
	p.start = pendingHalf - p.start
	return p.mem[p.start : p.start : p.start+pendingHalf]
}

// ownerOf is by what a journal knows its own frames.
func ownerOf(origin string) chain { return sha256.Sum256([]byte(origin)) }

// mark completes the header of frame, whose leaf and length are in place. A
// frame that is torn, or of another journal, is known by it.
func (p *pending) mark(frame []byte) { seal(frame, p.owner) }

// holds reports whether b, which began as the half in use, still is it.
func (p *pending) holds(b []byte) bool {
	return p != nil && len(b) > 0 && &b[0] == &p.mem[p.start]
}

// close gives the memory back, and removes the file if all in it is written.
func (p *pending) close(written bool) {
	if p == nil {
		return
	}
	_ = p.unmap()
	p.mem = nil
	if written {
		_ = os.Remove(p.path)
	}
}

// touch runs f, which uses shared memory. Memory that is not there any more,
// because the file was cut or its disk fails, is an error.
func touch(f func()) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if v := recover(); isFault(v) {
			err = fmt.Errorf("the file %s cannot be used: %v", pendingFile, v)
		} else if v != nil {
			panic(v)
		}
	}()
	f()
	return nil
}

// isFault reports whether v is the panic of an access to memory that is not
// there any more: shared memory can fail as a disk does.
func isFault(v any) bool {
	_, ok := v.(interface {
		runtime.Error
		Addr() uintptr
	})
	return ok
}

// unwritten is what the file pending of a journal holds beyond its segments.
type unwritten struct {
	frames  []byte // one after the other, from the wanted leaf on
	rolls   []int  // offsets of those that begin a segment
	end     uint64 // the number behind the last one
	strange int    // leaves that do not continue the journal
}

// readPending returns the frames in dir's file that continue the journal of
// that origin from leaf number next on. It may be called while another process
// writes them.
func readPending(dir, origin string, next uint64) (u unwritten, err error) {
	u.end = next
	mem, err := readAtMost(filepath.Join(dir, pendingFile), maxPendingFile)
	if errors.Is(err, fs.ErrNotExist) {
		return u, nil
	}
	if err != nil {
		return u, err
	}
	var halves [][]pendingFrame
	for start := 0; start < len(mem); start += pendingHalf {
		if fs := pendingFrames(mem[start:min(len(mem), start+pendingHalf)], ownerOf(origin), next); len(fs) > 0 {
			halves = append(halves, fs)
		}
	}
	slices.SortFunc(halves, func(a, b []pendingFrame) int { return cmp.Compare(a[0].head.seq, b[0].head.seq) })
	for _, f := range slices.Concat(halves...) {
		if f.head.seq != u.end {
			u.strange++
			continue
		}
		if f.head.kind == JournalSegment {
			u.rolls = append(u.rolls, len(u.frames))
		}
		u.frames = append(u.frames, f.bytes...)
		u.end++
	}
	return u, nil
}

// leaves calls f for each leaf until it returns false.
func (u *unwritten) leaves(f func(leaf []byte) bool) {
	for b := u.frames; len(b) > 0; {
		n := frameLen(b)
		if !f(b[headerSize:n]) {
			return
		}
		b = b[n:]
	}
}

type pendingFrame struct {
	bytes []byte
	head  leafHead
}

// pendingFrames returns owner's whole frames at the start of half, but for
// those before leaf number next.
func pendingFrames(half []byte, owner chain, next uint64) (fs []pendingFrame) {
	for len(half) > headerSize {
		n, ok := leafLen(half)
		if !ok || n > len(half)-headerSize {
			break
		}
		b := half[: headerSize+n : headerSize+n]
		c, h, ok := open(b)
		if !ok || c != owner {
			break
		}
		if h.seq >= next {
			fs = append(fs, pendingFrame{b, h})
		}
		half = half[len(b):]
	}
	return fs
}

// settlePending writes to the segments in dir what a process that died had
// recorded and not written. It returns how many leaves do not continue the
// journal: after a power failure the segments may have lost what was between.
func settlePending(dir string, o Options) (lost int, err error) {
	segs, err := segments(dir)
	if err != nil || len(segs) == 0 {
		return 0, err
	}
	if segs, err = dropUnbegun(o.disk, dir, segs); err != nil || len(segs) == 0 {
		return 0, err
	}
	last := segs[len(segs)-1]
	damaged := false
	t, err := walk(segs[len(segs)-1:], func(*frame) error { return nil }, func(Damage) error { damaged = true; return nil })
	if err != nil {
		return 0, err
	}
	u, err := readPending(dir, t.origin, t.seq+1)
	if err != nil || len(u.frames) == 0 {
		return u.strange, err
	}
	if damaged || t.frames == 0 { // who knows what is missing before them
		u.leaves(func([]byte) bool { u.strange++; return true })
		return u.strange, nil
	}
	if t.torn > 0 { // a write of the same frames that was cut short
		if _, err := cut(last.path, t.good); err != nil {
			return 0, err
		}
	}
	f, err := o.disk.open(last.path)
	if err != nil {
		return 0, err
	}
	j := &Journal{dir: dir, opts: o, file: f, size: t.good, current: last.number, chain: t.chain}
	j.space = space{disk: o.disk, dir: dir}
	err = j.write(u.frames, u.rolls, u.end)
	if err == nil {
		err = j.file.Sync()
	}
	if cerr := j.file.Close(); err == nil {
		err = cerr
	}
	return u.strange, err
}
