package audit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// A Segment is one file of a journal that nothing is added to any more.
type Segment struct {
	Number     uint64
	File       string // its name in the directory
	From, Next uint64 // the numbers of its first event, and of the one behind its last
	Changed    time.Time

	// Needed says that the next [Open] may have to read it, because a session
	// that began in it was open when the newest segment began.
	Needed bool

	Unreadable bool // it has no header that can be read: From and Next are not known
}

// Sealed returns the segments in dir but for the newest, in order. All of their
// events are settled: nobody writes to them.
func Sealed(dir string) ([]Segment, error) {
	segs, err := segments(dir)
	if err != nil || len(segs) == 0 {
		return nil, err
	}
	var sealed []Segment
	since := uint64(0)
	for i, s := range segs {
		h, e, err := header(s)
		if err != nil && i == len(segs)-1 {
			break // it is being begun
		}
		st, serr := os.Stat(s.path)
		if serr != nil {
			return nil, serr
		}
		at := Segment{Number: s.number, File: segmentFile(s.number), From: h, Changed: st.ModTime(), Unreadable: err != nil}
		if !at.Unreadable {
			since = e.OpenSince
			for k := len(sealed) - 1; k >= 0 && sealed[k].Next == 0; k-- {
				sealed[k].Next = h
			}
		}
		sealed = append(sealed, at)
	}
	if len(sealed) == 0 {
		return nil, nil
	}
	sealed = sealed[:len(sealed)-1]
	for i := range sealed {
		sealed[i].Needed = sealed[i].Number >= since
	}
	if n := len(sealed); n > 0 && sealed[n-1].Next == 0 {
		sealed = sealed[:n-1] // what is behind it was not begun
	}
	return sealed, nil
}

// Origin returns the id of the journal in dir.
func Origin(dir string) (string, error) {
	segs, err := segments(dir)
	if err != nil {
		return "", err
	}
	for _, s := range segs {
		if _, about, err := header(s); err == nil {
			return about.Origin, nil
		}
	}
	return "", noSegments(dir)
}

// header returns the number of a segment's first event, and what it says.
func header(s segment) (uint64, *About, error) {
	r, err := openReader(s)
	if err != nil {
		return 0, nil, err
	}
	defer r.close()
	var f frame
	if err := r.next(&f); err != nil {
		return 0, nil, err
	}
	e, err := ParseEvent(f.leaf)
	if err == nil && (e.Kind != JournalSegment || e.Journal == nil) {
		err = errors.New("the first leaf is no header")
	}
	return f.head.seq, e.Journal, err
}

// Check reads a sealed segment of the journal in dir and calls f with each event
// in it of one of the kinds. It is an error if an event is missing, or is not
// the one that the tiles have the hash of.
func (s *Segment) Check(ctx context.Context, dir string, f func(Event) error, kinds ...Kind) error {
	seq := s.From
	var tile []byte // of the level of the leaves, that seq is in
	_, err := walk([]segment{{number: s.Number, path: segmentPath(dir, s.Number)}}, func(fr *frame) error {
		if fr.head.seq != seq {
			return fmt.Errorf("event %d is where %d should be", fr.head.seq, seq)
		}
		i := int(seq % tileWidth)
		if i == 0 || tile == nil {
			w := int(min(tileWidth, s.Next-(seq-uint64(i))))
			var err error
			if tile, err = readTile(dir, tlog.Tile{H: tileHeight, L: 0, N: int64(seq / tileWidth), W: w}); err != nil {
				return err
			}
			if err := ctx.Err(); err != nil {
				return context.Cause(ctx)
			}
		}
		if string(tile[i*tlog.HashSize:(i+1)*tlog.HashSize]) != string(fr.hash[:]) {
			return fmt.Errorf("event %d is not the one that was signed", seq)
		}
		seq++
		for _, k := range kinds {
			if fr.head.kind == k {
				e, err := ParseEvent(fr.leaf)
				if err == nil {
					err = f(e)
				}
				return err
			}
		}
		return nil
	}, func(d Damage) error { return &DamageError{dir, []Damage{d}} })
	if err == nil && seq != s.Next {
		err = fmt.Errorf("events %d to %d are missing", seq, s.Next-1)
	}
	if err != nil {
		return fmt.Errorf("journal %s: %s: %w", dir, s.File, err)
	}
	return nil
}

// Tiles calls f with the name and the bytes of each tile of the tree of c over
// the journal in dir that have does not report to be known: what there has to be
// beside the segments to hold them against c. Full tiles are the same for every
// later checkpoint.
func Tiles(dir string, c Checkpoint, have func(name string) bool, f func(name string, b []byte) error) error {
	for l := 0; c.Size>>(tileHeight*l) > 0; l++ {
		hashes := c.Size >> (tileHeight * l)
		for n := uint64(0); n*tileWidth < hashes; n++ {
			t := tlog.Tile{H: tileHeight, L: l, N: int64(n), W: int(min(tileWidth, hashes-n*tileWidth))}
			name := tilePath("", t)
			if have(name) {
				continue
			}
			b, err := readTile(dir, t)
			if err != nil {
				return fmt.Errorf("journal %s: %w", dir, err)
			}
			if err := f(name, b); err != nil {
				return err
			}
		}
	}
	return nil
}
