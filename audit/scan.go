package audit

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/tlog"
)

// A Damage is a place in a journal that is not as it was written.
type Damage struct {
	File    string // without its directory
	Segment uint64
	Offset  int64
	Skipped int64 // bytes that cannot be read; 0 if all can, but do not belong together
	What    string
	Next    uint64 // of [Tail]: the number of the next event that can be read
}

// A DamageError says that a journal is damaged. It names the first place.
type DamageError struct {
	Dir     string
	Damages []Damage
}

// Error names the first damage and how many there are.
func (e *DamageError) Error() string {
	d := e.Damages[0]
	s := fmt.Sprintf("journal %s: damaged in %s at offset %d: %s", e.Dir, d.File, d.Offset, d.What)
	if n := len(e.Damages) - 1; n > 0 {
		s += fmt.Sprintf(" (and %d more)", n)
	}
	return s
}

// A frame is one frame as scanning meets it; leaf is valid until the next.
type frame struct {
	segment uint64
	offset  int64
	leaf    []byte
	head    leafHead
	chain   chain // as stored
	hash    tlog.Hash
}

// maxHeader is more than a segment's header frame takes.
const maxHeader = 4 << 10

// window is how much is read at once.
const window = 256 << 10

// A reader reads the frames of one segment.
type reader struct {
	f    *os.File
	seg  segment
	size int64 // where reading ends
	off  int64 // the next frame

	buf  []byte
	base int64 // the file offset of buf[0]

	// budget bounds the bytes that a search behind damage may check, so that
	// a file made to look like many long frames cannot stop the search.
	budget int64
}

func openReader(seg segment) (*reader, error) {
	get := seg.fetch
	if get == nil {
		get = func() (*os.File, error) { return openFile(seg.path) }
	}
	f, err := get()
	if err != nil {
		return nil, err
	}
	r := &reader{f: f, seg: seg}
	if err := r.grow(); err != nil {
		f.Close()
		return nil, err
	}
	r.budget = 16*r.size + maxLeaf
	return r, nil
}

// grow looks again how long the file is.
func (r *reader) grow() error {
	st, err := r.f.Stat()
	if err != nil {
		return err
	}
	r.size = st.Size()
	return nil
}

// again looks for what was added since; what was read ahead may be stale.
func (r *reader) again() error {
	r.buf = r.buf[:0]
	return r.grow()
}

func (r *reader) close() { r.f.Close() }

// at returns n bytes at off, which the caller knows to be inside the file.
func (r *reader) at(off int64, n int) ([]byte, error) {
	if i := off - r.base; i >= 0 && i+int64(n) <= int64(len(r.buf)) {
		return r.buf[i : i+int64(n)], nil
	}
	want := int(min(int64(max(n, window)), r.size-off))
	if want < n {
		return nil, io.ErrUnexpectedEOF
	}
	if cap(r.buf) < want || cap(r.buf) > 4*window && want <= window {
		r.buf = make([]byte, want)
	}
	r.buf, r.base = r.buf[:want], off
	m, err := r.f.ReadAt(r.buf, off)
	r.buf = r.buf[:m]
	if m < n {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return r.buf[:n], nil
}

// errBad says that there is no valid frame at the reader's offset.
var errBad = errors.New("not a valid frame")

// next returns the frame at the reader's offset and steps behind it. io.EOF is
// the end of the segment, errBad damage or a frame that is being written.
func (r *reader) next(f *frame) error {
	if r.off == r.size {
		return io.EOF
	}
	n, err := r.frameAt(r.off, f)
	if err != nil {
		return err
	}
	r.off += n
	return nil
}

func (r *reader) frameAt(off int64, f *frame) (int64, error) {
	if r.size-off < headerSize {
		return 0, errBad
	}
	b, err := r.at(off, headerSize)
	if err != nil {
		return 0, err
	}
	n, ok := leafLen(b)
	if !ok || int64(n) > r.size-off-headerSize {
		return 0, errBad
	}
	b, err = r.at(off, headerSize+n)
	if err != nil {
		return 0, err
	}
	c, h, ok := open(b)
	if !ok {
		return 0, errBad
	}
	*f = frame{segment: r.seg.number, offset: off, leaf: b[headerSize:], head: h, chain: c}
	return int64(len(b)), nil
}

// resync moves to the next valid frame behind the reader's offset and reports
// whether there is one.
func (r *reader) resync() (bool, error) {
	pattern := []byte(leafStart)
	for from := r.off + 1; r.size-from >= int64(headerSize+len(pattern)); {
		n := int(min(window, r.size-from-headerSize))
		b, err := r.at(from+headerSize, n)
		if err != nil {
			return false, err
		}
		i := bytes.Index(b, pattern)
		if i < 0 {
			if int64(n) == r.size-from-headerSize {
				return false, nil
			}
			from += int64(n - len(pattern) + 1)
			continue
		}
		from += int64(i)
		h, err := r.at(from, headerSize)
		if err != nil {
			return false, err
		}
		var f frame
		if n, ok := leafLen(h); ok && int64(n) <= r.size-from-headerSize {
			if r.budget -= int64(n); r.budget < 0 {
				return false, nil
			}
			_, err := r.frameAt(from, &f)
			if err == nil {
				r.off = from
				return true, nil
			}
			if !errors.Is(err, errBad) {
				return false, err
			}
		}
		from++
	}
	return false, nil
}

// A tail is what a walk found at the end of a journal.
type tail struct {
	frames  uint64 // read in this walk
	seq     uint64 // of the last readable leaf
	chain   chain  // behind it
	kind    Kind   // of it
	origin  string
	segment uint64 // that it is in
	since   uint64 // open_since of the last segment header

	torn int64 // bytes of an unfinished write at the end of the last segment
	good int64 // the last segment's size without them
}

// walk reads segs in order, calls visit for each readable frame and damaged
// for each damage. Only an unfinished write at the very end is no damage: the
// process died there.
func walk(segs []segment, visit func(*frame) error, damaged func(Damage) error) (t tail, err error) {
	w := walker{visit: visit, damaged: damaged}
	return w.walk(segs, 0)
}

type walker struct {
	tail
	visit   func(*frame) error
	damaged func(Damage) error
	behind  func() error // nil, or called behind each segment but the last
	linked  bool         // the frame before is known to be the one before
	scratch []byte
}

// walk reads segs but for the first done, which w has read before.
func (w *walker) walk(segs []segment, done int) (tail, error) {
	for i := done; i < len(segs); i++ {
		s, last := segs[i], i == len(segs)-1
		if i > 0 && s.number != segs[i-1].number+1 {
			what := fmt.Sprintf("segments %d to %d are missing", segs[i-1].number+1, s.number-1)
			if err := w.damage(s, 0, 0, what); err != nil {
				return w.tail, err
			}
		}
		if err := w.one(s, last); err != nil {
			return w.tail, err
		}
		if w.behind == nil || last {
			continue
		}
		if err := w.behind(); err != nil {
			return w.tail, err
		}
	}
	return w.tail, nil
}

func (w *walker) damage(s segment, off, skipped int64, what string) error {
	w.linked = false
	return w.damaged(Damage{File: filepath.Base(s.path), Segment: s.number, Offset: off, Skipped: skipped, What: what})
}

// one reads s.
func (w *walker) one(s segment, last bool) error {
	r, err := openReader(s)
	if err != nil {
		return err
	}
	defer r.close()
	var f frame
	first := true
	if last {
		w.good = 0
	}
	for {
		start := r.off
		err := r.next(&f)
		switch {
		case errors.Is(err, io.EOF):
			if first && !last {
				return w.damage(s, 0, 0, "an empty segment")
			}
			return nil
		case errors.Is(err, errBad):
			found, err := r.resync()
			if err != nil {
				return err
			}
			if found {
				first = false
				if err := w.damage(s, start, r.off-start, "unreadable bytes"); err != nil {
					return err
				}
				continue
			}
			// A header is made durable before anything follows it, so a
			// segment without a readable one and with more in it than a
			// header was not just begun.
			if last && (!first || r.size <= maxHeader) {
				w.torn = r.size - start
				return nil
			}
			return w.damage(s, start, r.size-start, "unreadable bytes up to the end of the segment")
		case err != nil:
			return err
		}
		if err := w.frame(s, &f, first); err != nil {
			return err
		}
		first = false
		if last {
			w.good = r.off
		}
		if err := w.visit(&f); err != nil {
			return err
		}
	}
}

// frame checks how f follows what was before it.
func (w *walker) frame(s segment, f *frame, first bool) error {
	prev := w.chain
	what := ""
	if first {
		e, err := ParseEvent(f.leaf)
		switch {
		case err != nil:
			what = err.Error()
		case e.Kind != JournalSegment || e.Journal == nil || e.Journal.Segment != s.number:
			what = "the first leaf is not this segment's header"
		case w.origin != "" && e.Journal.Origin != w.origin:
			what = "the segment belongs to another journal"
		default:
			var c chain
			if n, err := hex.Decode(c[:], []byte(e.Journal.Prev)); err != nil || n != len(c) || len(e.Journal.Prev) != 2*len(c) {
				what = "the header has no chain"
				break
			}
			switch {
			case s.number == 1 && (c != chain{} || f.head.seq != 0):
				what = "the first segment does not begin the chain"
			case w.frames > 0 && w.linked && c != prev:
				what = "the segment does not follow the one before it"
			}
			if w.frames == 0 || !w.linked {
				prev, w.linked = c, w.frames == 0
			}
			w.origin, w.since = e.Journal.Origin, e.Journal.OpenSince
		}
	}
	f.hash, w.scratch = hashLeaf(f.leaf, w.scratch)
	if what == "" && (w.linked || first) && prev.next(f.hash) != f.chain {
		what = "the leaf is not the one that was chained"
	}
	if what == "" && w.frames > 0 && (f.head.seq <= w.seq || w.linked && f.head.seq != w.seq+1) {
		what = fmt.Sprintf("leaf %d follows leaf %d", f.head.seq, w.seq)
	}
	if what != "" {
		if err := w.damage(s, f.offset, 0, what); err != nil {
			return err
		}
	}
	w.frames++
	w.seq, w.chain, w.kind, w.segment = f.head.seq, f.chain, f.head.kind, s.number
	w.linked = true
	return nil
}
