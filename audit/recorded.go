package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// A RecordingReport is what a verification found of recordings.
type RecordingReport struct {
	Whole   int      // recordings that are there to their end
	Open    int      // that have no end yet, or whose gateway crashed: what is there is as it was recorded
	Rests   int      // whose first chunks are in segments that are elsewhere: what is behind them is as it was recorded
	Missing []string // of which there is no file: moved away, or removed
	Unknown []string // files that no event speaks of: just begun, or of segments that are elsewhere, or put there by somebody
	Damages []Damage // what is not as it was recorded
}

// recordings are those that a verification has met chunks of.
type recordings struct {
	dir   string
	files map[string]*recorded
	open  map[string]*recorded // of these, those that are not over
	keeps bool                 // the verification can be interrupted
	often bool                 // for tests: stamps may be young
	read  map[Recording]stamp  // chunks that were read before an interruption, and of which file
	again int                  // how many of them were not read again
}

// A recorded is a recording as far as its chunks were met.
type recorded struct {
	next   int64 // where the next chunk begins
	closed bool
	rest   bool // its first chunks are elsewhere
	gone   bool
	damage *Damage
	stamp  stamp // of its file, as long as that did not change; else none

	// If the verification can be interrupted: what was read of it, in segments that
	// were read to their end and beyond, until nothing more is to come.
	chunks  []Recording
	settled int  // how many of chunks are in such segments
	over    bool // nothing more is to come, and stamp is all that has to be kept
}

// chunk checks what the journal says of a part of a recording. first is whether
// segments before those that are read are elsewhere.
func (r *recordings) chunk(c *Recording, first bool) {
	s := r.files[c.File]
	if s == nil {
		s = &recorded{next: c.From, rest: c.From > 0}
		if s.rest && !first {
			s.next, s.rest = 0, false
		}
		r.files[c.File], r.open[c.File] = s, s
	}
	if s.damage != nil || s.gone {
		return
	}
	what := ""
	switch err := r.check(s, c); {
	case errors.Is(err, fs.ErrNotExist):
		s.gone = true
	case err != nil:
		what = err.Error()
	case c.From != s.next:
		what = fmt.Sprintf("a chunk begins at %d, the one before it ends at %d", c.From, s.next)
	case s.closed:
		what = "a chunk is behind the end"
	}
	if what != "" {
		s.damage = &Damage{File: c.File, Offset: c.From, What: what}
	}
	s.next, s.closed = c.From+c.Size, c.Last
	if r.keeps && s.damage == nil && !s.gone {
		s.chunks = append(s.chunks, *c)
	}
}

// check compares a chunk with its file.
func (r *recordings) check(s *recorded, c *Recording) error {
	if !filepath.IsLocal(filepath.FromSlash(c.File)) || c.From < 0 || c.Size < 0 {
		return errors.New("the chunk is of no recording")
	}
	f, err := os.Open(filepath.Join(r.dir, filepath.FromSlash(c.File)))
	if err != nil {
		return err
	}
	defer f.Close()
	if r.keeps {
		st, err := f.Stat()
		if err != nil {
			return err
		}
		now := stampOf(st, r.often)
		if s.next == c.From && len(s.chunks) == 0 {
			s.stamp = now
		} else if s.stamp != now {
			s.stamp = stamp{} // it was changed between two chunks
		}
		if was, ok := r.read[*c]; ok && was == now && now != (stamp{}) {
			r.again++
			return nil
		}
	}
	h := sha256.New()
	n, err := io.Copy(h, io.NewSectionReader(f, c.From, c.Size))
	switch {
	case err != nil:
		return err
	case n < c.Size:
		return fmt.Errorf("%d bytes are missing", c.Size-n)
	case hex.EncodeToString(h.Sum(nil)) != c.SHA256:
		return errors.New("it is not what was recorded")
	}
	return nil
}

// report says what was found, when all chunks were met.
func (r *recordings) report() *RecordingReport {
	rep := &RecordingReport{}
	for _, name := range slices.Sorted(maps.Keys(r.files)) {
		s := r.files[name]
		if s.closed && s.damage == nil && !s.gone {
			switch st, err := os.Stat(filepath.Join(r.dir, filepath.FromSlash(name))); {
			case errors.Is(err, fs.ErrNotExist):
				s.gone = true
			case err != nil:
				s.damage = &Damage{File: name, What: err.Error()}
			case st.Size() != s.next:
				s.damage = &Damage{File: name, Offset: s.next, What: "there are bytes behind the end"}
			}
		}
		switch {
		case s.damage != nil:
			rep.Damages = append(rep.Damages, *s.damage)
		case s.gone:
			rep.Missing = append(rep.Missing, name)
		case s.rest:
			rep.Rests++
		case s.closed:
			rep.Whole++
		default:
			rep.Open++
		}
	}
	_ = fs.WalkDir(os.DirFS(r.dir), ".", func(name string, e fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil || !e.IsDir() && r.files[name] == nil:
			rep.Unknown = append(rep.Unknown, name)
		}
		return nil // what cannot be looked at does not keep others from it
	})
	return rep
}

// A stoppedFile is a recording of which nothing more is to come.
type stoppedFile struct {
	File   string  `json:"file"`
	Size   int64   `json:"size"`
	Closed bool    `json:"closed,omitempty"`
	Rest   bool    `json:"rest,omitempty"`
	Gone   bool    `json:"gone,omitempty"`
	Damage *Damage `json:"damage,omitempty"`
	Stamp  stamp   `json:"stamp"`
}

// A stoppedChunk is a chunk that was read, of another.
type stoppedChunk struct {
	Recording
	Rest    bool  `json:"rest,omitempty"`
	Settled bool  `json:"settled,omitempty"` // the journal is not read again where it speaks of it
	Stamp   stamp `json:"stamp"`
}

// settle is called behind a segment.
func (r *recordings) settle() {
	for name, s := range r.open {
		if s.settled = len(s.chunks); s.gone || s.damage != nil || s.closed && s.stamp != (stamp{}) {
			s.chunks, s.settled, s.over = nil, 0, true
			delete(r.open, name)
		}
	}
}

// stop adds to out what was read.
func (r *recordings) stop(out *stopped) {
	for name, s := range r.files {
		if s.over {
			out.Files = append(out.Files, stoppedFile{name, s.next, s.closed, s.rest, s.gone, s.damage, s.stamp})
		}
		for i, c := range s.chunks {
			out.Chunks = append(out.Chunks, stoppedChunk{c, s.rest, i < s.settled, s.stamp})
		}
	}
}

// unchanged reports whether the recordings of which s has read all are as they were.
func (r *recordings) unchanged(s *stopped) bool {
	return !slices.ContainsFunc(s.Files, func(f stoppedFile) bool {
		if f.Gone || f.Damage != nil || !filepath.IsLocal(filepath.FromSlash(f.File)) {
			return f.Damage == nil && !f.Gone
		}
		st, err := os.Stat(filepath.Join(r.dir, filepath.FromSlash(f.File)))
		return !errors.Is(err, fs.ErrNotExist) && (err != nil || stampOf(st, true) != f.Stamp)
	})
}

// takeUp goes on where s was. Chunks whose file has changed are read again.
func (r *recordings) takeUp(s *stopped) {
	for _, f := range s.Files {
		r.files[f.File] = &recorded{next: f.Size, closed: f.Closed, rest: f.Rest, gone: f.Gone, damage: f.Damage, stamp: f.Stamp, over: true}
	}
	for _, c := range s.Chunks {
		if c.Settled {
			r.chunk(&c.Recording, c.Rest)
		}
	}
	r.settle()
}
