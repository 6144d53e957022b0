package audit

import (
	"context"
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
	Whole    int      // recordings that are there to their end
	Open     int      // that have no end yet, or whose gateway crashed: what is there is as it was recorded
	Rests    int      // whose first chunks are in segments that are elsewhere: what is behind them is as it was recorded
	Archived int      // how many of these three are in the [Archive], and not in the folder
	Missing  []string // of which there is no file: moved away, or removed
	Unknown  []string // files that no event speaks of: just begun, or of segments that are elsewhere, or put there by somebody
	Damages  []Damage // what is not as it was recorded
}

// recordings are those that a verification has met chunks of.
type recordings struct {
	dir     string  // "": there is no folder
	archive Archive // nil: there is none
	away    map[string]Archived
	watched func(context.Context, io.Reader) io.Reader
	files   map[string]*recorded
	open    map[string]*recorded // of these, those that are not over
	keeps   bool                 // the verification can be interrupted
	often   bool                 // for tests: stamps may be young
	read    map[Recording]stamp  // chunks that were read before an interruption, and of which file
	again   int                  // how many of them were not read again
}

// A recorded is a recording as far as its chunks were met.
type recorded struct {
	next   int64 // where the next chunk begins
	closed bool
	rest   bool // its first chunks are elsewhere
	away   bool // it is not in the folder
	gone   bool // nor in the archive
	damage *Damage
	stamp  stamp // of its file, as long as that did not change; else none

	// What was met of it and is to be read in the archive. If the verification can be
	// interrupted: what was read of it, in segments that were read to their end and
	// beyond, until nothing more is to come.
	chunks  []Recording
	settled int  // how many of chunks are in such segments
	over    bool // nothing more is to come, and stamp is all that has to be kept
}

// look asks the archive what it has.
func (r *recordings) look(ctx context.Context) (err error) {
	if r.archive != nil {
		r.away, err = r.archive.Recordings(ctx)
	}
	return err
}

// chunk checks what the journal says of a part of a recording. first is whether
// segments before those that are read are elsewhere. An error says that the archive
// has failed, which is no damage.
func (r *recordings) chunk(ctx context.Context, c *Recording, first bool) error {
	s := r.files[c.File]
	if s == nil {
		s = &recorded{next: c.From, rest: c.From > 0}
		if s.rest && !first {
			s.next, s.rest = 0, false
		}
		r.files[c.File], r.open[c.File] = s, s
	}
	if s.damage != nil || s.gone {
		return nil
	}
	d, err := r.check(s, c)
	switch {
	case errors.Is(err, fs.ErrNotExist) && r.archive != nil:
		s.away, s.stamp = true, stamp{} // from here on, and what was read of it as well
	case errors.Is(err, fs.ErrNotExist):
		s.gone = true
	case err != nil:
		d = &Damage{Offset: c.From, What: err.Error()}
	}
	switch {
	case d != nil || s.gone:
	case c.From != s.next:
		d = &Damage{Offset: c.From, What: fmt.Sprintf("a chunk begins at %d, the one before it ends at %d", c.From, s.next)}
	case s.closed:
		d = &Damage{Offset: c.From, What: "a chunk is behind the end"}
	}
	if d != nil {
		d.File, s.damage = c.File, d
	}
	s.next, s.closed = c.From+c.Size, c.Last
	if s.damage != nil || s.gone || !r.keeps && r.archive == nil {
		return nil
	}
	s.chunks = append(s.chunks, *c)
	if !s.closed {
		return nil
	}
	if !r.keeps {
		defer func() { s.chunks = nil }()
	}
	if s.away {
		return r.fetch(ctx, c.File, s)
	}
	return nil
}

func (r *recordings) path(name string) string { return filepath.Join(r.dir, filepath.FromSlash(name)) }

// isRecording reports whether name can be that of a recording.
func isRecording(name string) bool {
	return fs.ValidPath(name) && name != "." && filepath.IsLocal(filepath.FromSlash(name))
}

// check compares a chunk with its file, if that is in the folder.
func (r *recordings) check(s *recorded, c *Recording) (*Damage, error) {
	if !isRecording(c.File) || c.From < 0 || c.Size < 0 {
		return nil, errors.New("the chunk is of no recording")
	}
	if s.away {
		return nil, nil
	}
	if r.dir == "" {
		return nil, fs.ErrNotExist
	}
	f, err := openFile(r.path(c.File))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if c.Last && st.Size() > c.From+c.Size {
		return &Damage{Offset: c.From + c.Size, What: "there are bytes behind the end"}, nil
	}
	if r.keeps {
		now := stampOf(st, r.often)
		if s.next == c.From && len(s.chunks) == 0 {
			s.stamp = now
		} else if s.stamp != now {
			s.stamp = stamp{} // it was changed between two chunks
		}
		if was, ok := r.read[*c]; ok && was == now && now != (stamp{}) {
			r.again++
			return nil, nil
		}
	}
	return compare(io.NewSectionReader(f, c.From, c.Size), c)
}

// compare reads a chunk. The Damage is nil if it is what was recorded.
func compare(in io.Reader, c *Recording) (*Damage, error) {
	h := sha256.New()
	n, err := io.CopyN(h, in, c.Size)
	switch {
	case errors.Is(err, io.EOF):
		return &Damage{Offset: c.From, What: fmt.Sprintf("%d bytes are missing", c.Size-n)}, nil
	case err != nil:
		return nil, err
	case hex.EncodeToString(h.Sum(nil)) != c.SHA256:
		return &Damage{Offset: c.From, What: "it is not what was recorded"}, nil
	}
	return nil, nil
}

// fetch compares what was met of a recording that is not in the folder with its
// file in the archive, which is read once, from its begin, and kept nowhere.
func (r *recordings) fetch(ctx context.Context, name string, s *recorded) error {
	now := r.away[name].stamp() // none if it came there just now
	if now != (stamp{}) && !slices.ContainsFunc(s.chunks, func(c Recording) bool { return r.read[c] != now }) {
		s.stamp = now
		r.again += len(s.chunks)
		return nil
	}
	f, err := r.archive.OpenRecording(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		s.gone = true
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	d, err := s.compare(r.watched(ctx, f))
	if err != nil {
		return fmt.Errorf("recording %s in the archive: %w", name, err)
	}
	if s.stamp = now; d != nil {
		s.damage = &Damage{File: name, Offset: d.Offset, What: "in the archive: " + d.What}
	}
	return nil
}

// compare reads a recording from its begin as far as its chunks were met. It
// takes no more than these from whoever sends it.
func (s *recorded) compare(in io.Reader) (*Damage, error) {
	if _, err := io.CopyN(io.Discard, in, s.chunks[0].From); errors.Is(err, io.EOF) {
		return &Damage{What: "bytes are missing"}, nil
	} else if err != nil {
		return nil, err
	}
	for i := range s.chunks {
		if d, err := compare(in, &s.chunks[i]); d != nil || err != nil {
			return d, err
		}
	}
	if !s.closed {
		return nil, nil
	}
	switch _, err := io.ReadFull(in, make([]byte, 1)); {
	case err == nil:
		return &Damage{Offset: s.next, What: "there are bytes behind the end"}, nil
	case !errors.Is(err, io.EOF):
		return nil, err
	}
	return nil, nil
}

// rest reads what the archive has of recordings of which no end was met, and calls
// done behind each.
func (r *recordings) rest(ctx context.Context, done func() error) error {
	for _, name := range slices.Sorted(maps.Keys(r.open)) {
		s := r.open[name]
		if !s.away || s.closed || s.gone || s.damage != nil {
			continue
		}
		err := r.fetch(ctx, name, s)
		if err == nil {
			err = done()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// report says what was found, when all chunks were met.
func (r *recordings) report() *RecordingReport {
	rep := &RecordingReport{}
	for _, name := range slices.Sorted(maps.Keys(r.files)) {
		s := r.files[name]
		switch {
		case s.damage != nil:
			rep.Damages = append(rep.Damages, *s.damage)
			continue
		case s.gone:
			rep.Missing = append(rep.Missing, name)
			continue
		case s.rest:
			rep.Rests++
		case s.closed:
			rep.Whole++
		default:
			rep.Open++
		}
		if s.away {
			rep.Archived++
		}
	}
	unknown := map[string]bool{}
	for name := range r.away {
		unknown[name] = r.files[name] == nil
	}
	if r.dir != "" {
		_ = fs.WalkDir(os.DirFS(r.dir), ".", func(name string, e fs.DirEntry, err error) error {
			switch {
			case errors.Is(err, fs.ErrNotExist):
			case err != nil || !e.IsDir():
				unknown[name] = r.files[name] == nil
			}
			return nil // what cannot be looked at does not keep others from it
		})
	}
	maps.DeleteFunc(unknown, func(_ string, is bool) bool { return !is })
	rep.Unknown = slices.Sorted(maps.Keys(unknown))
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

// now returns the stamp of where a recording is: in the folder, or in the archive.
func (r *recordings) now(name string) (at stamp, gone bool) {
	if r.dir != "" {
		st, err := os.Stat(r.path(name))
		if err == nil {
			return stampOf(st, true), false
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return stamp{}, false
		}
	}
	a, ok := r.away[name]
	return a.stamp(), !ok
}

// unchanged reports whether the recordings of which s has read all are as they
// were, and where they were, or are gone.
func (r *recordings) unchanged(s *stopped) bool {
	return !slices.ContainsFunc(s.Files, func(f stoppedFile) bool {
		if f.Gone || f.Damage != nil {
			return false
		}
		if !isRecording(f.File) {
			return true
		}
		at, gone := r.now(f.File)
		return !gone && at != f.Stamp
	})
}

// takeUp goes on where s was. Chunks whose file has changed are read again.
func (r *recordings) takeUp(ctx context.Context, s *stopped) error {
	for _, f := range s.Files {
		at := &recorded{next: f.Size, closed: f.Closed, rest: f.Rest, away: f.Stamp.Archived != "", gone: f.Gone, damage: f.Damage, stamp: f.Stamp, over: true}
		if r.files[f.File] = at; !f.Gone && f.Damage == nil {
			_, at.gone = r.now(f.File)
		}
	}
	for _, c := range s.Chunks {
		if !c.Settled {
			continue
		}
		if err := r.chunk(ctx, &c.Recording, c.Rest); err != nil {
			return err
		}
	}
	r.settle()
	return nil
}
