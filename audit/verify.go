package audit

import (
	"errors"
	"fmt"
)

// A Report is what [Verify] found.
type Report struct {
	Head     Head // behind the last leaf
	Segments int
	Kinds    map[Kind]uint64 // how many events of each kind
	Bytes    int64           // of leaves

	// Closed says that the last process to write ended in good order. If it
	// is false, the journal is in use, or that process crashed, or its end was
	// cut off: only a Head from outside tells these apart.
	Closed bool

	// Torn is the number of bytes at the end that make no whole leaf: a write
	// under way, or one that a crash cut short.
	Torn int64

	// Pending is the number of events that the journal's process has recorded
	// and not yet written to a segment: some 100 ms of them while it runs, or
	// what the next Open will write if it died. They are not chained yet, so
	// Head does not cover them.
	Pending int

	// Gaps are the damages that an audit.gap event owns up to.
	Gaps []Damage
}

// Verify checks the journal in dir, or in a copy of it: each frame, the numbers
// of the leaves, the chain, the segments, and that it holds what the known
// heads say. It changes nothing and takes no lock. The error is a [DamageError]
// if the journal is not what was written; the Report is complete even then.
func Verify(dir string, known ...Head) (Report, error) {
	rep := Report{Kinds: map[Kind]uint64{}}
	segs, err := segments(dir)
	if err != nil {
		return rep, err
	}
	if len(segs) == 0 {
		return rep, noSegments(dir)
	}
	rep.Segments = len(segs)
	var damages []Damage
	if n := segs[0].number; n != 1 {
		damages = append(damages, Damage{What: fmt.Sprintf("segments 1 to %d are missing", n-1)})
	}
	expect := map[uint64]Head{}
	for _, h := range known {
		if had, ok := expect[h.Size]; ok && had != h {
			return rep, fmt.Errorf("journal %s: two different heads of size %d: one of them is not of this journal", dir, h.Size)
		}
		if h.Size > 0 {
			expect[h.Size] = h
		}
	}
	type place struct {
		segment uint64
		offset  int64
	}
	gaps := map[place]bool{}
	t, err := walk(segs, func(f *frame) error {
		rep.Kinds[f.head.kind]++
		rep.Bytes += int64(len(f.leaf))
		if f.head.kind == JournalGap {
			e, err := ParseEvent(f.leaf)
			if err != nil {
				return err
			}
			if e.Journal == nil {
				return errors.New("an audit.gap event that names no place")
			}
			gaps[place{e.Journal.Segment, e.Journal.Offset}] = true
		}
		if h, ok := expect[f.head.seq+1]; ok {
			delete(expect, h.Size)
			if h.Hash != f.chain.String() {
				damages = append(damages, Damage{File: segmentFile(f.segment), Segment: f.segment, Offset: f.offset,
					What: fmt.Sprintf("leaf %d is not the one that the known head of size %d ends with", f.head.seq, h.Size)})
			}
		}
		return nil
	}, func(d Damage) error {
		damages = append(damages, d)
		return nil
	})
	if err != nil {
		return rep, fmt.Errorf("journal %s: %w", dir, err)
	}
	if t.frames > 0 {
		rep.Head = Head{t.origin, t.seq + 1, t.chain.String()}
	}
	u, err := readPending(dir, t.origin, t.seq+1)
	if err != nil {
		return rep, fmt.Errorf("journal %s: %w", dir, err)
	}
	u.leaves(func([]byte) bool { rep.Pending++; return true })
	rep.Closed, rep.Torn = t.kind == JournalClosed && t.torn == 0 && rep.Pending == 0, t.torn
	var bad []Damage
	for _, d := range damages {
		if gaps[place{d.Segment, d.Offset}] {
			rep.Gaps = append(rep.Gaps, d)
		} else {
			bad = append(bad, d)
		}
	}
	for _, h := range known {
		if h.Origin != t.origin {
			bad = append(bad, Damage{What: fmt.Sprintf("this is journal %q, the known head is of %q", t.origin, h.Origin)})
		} else if _, left := expect[h.Size]; left {
			bad = append(bad, Damage{What: fmt.Sprintf("leaf %d, which the known head of size %d ends with, is missing", h.Size-1, h.Size)})
		}
	}
	if len(bad) > 0 {
		return rep, &DamageError{dir, bad}
	}
	return rep, nil
}
