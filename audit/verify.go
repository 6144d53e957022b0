package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
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

	// First is the number of the first event that was read: 0, unless segments
	// are elsewhere and [Trust.Apart] accepts that. Beyond is how many of those
	// that the checkpoint covers are behind the last that was read.
	First, Beyond uint64

	// Resumed is what was not read again; nil: all was.
	Resumed *Resumed

	// Recordings is what was found of [Trust.Recordings]; nil if there are none.
	Recordings *RecordingReport

	// Checkpoint is the newest one in the directory, if it was signed with one
	// of the keys. Nobody without the key has made the events that it covers.
	Checkpoint *Checkpoint

	// Witnessed is the newest checkpoint that the quorum of witnesses has
	// cosigned: not even somebody with the key has rewritten what it covers since
	// then. What is behind it, only the key holder's word is for.
	Witnessed *Witnessed
}

// Unsigned returns how many events are behind the newest checkpoint: those of
// the last second while the journal is in use, none when it was closed.
func (r *Report) Unsigned() uint64 {
	if r.Checkpoint == nil {
		return r.Head.Size
	}
	return r.Head.Size - min(r.Head.Size, r.Checkpoint.Size)
}

// A Trust is what somebody who verifies a journal knows from elsewhere.
type Trust struct {
	Heads []Head // that the journal had

	// Keys are the public keys of the gateway. If there are any, the journal
	// has to have a checkpoint that is signed with one of them.
	Keys []note.Verifier

	// Checkpoints are signed notes that were kept elsewhere. Each has to be
	// signed with one of Keys, and what it covers to be in the journal: so
	// nothing is missing between any two of them.
	Checkpoints [][]byte

	// Witnesses are the public keys of witnesses, of which at least Quorum, or all
	// if it is 0, have to have cosigned a checkpoint of the journal.
	Witnesses []note.Verifier
	Quorum    int

	// Archive, if not nil, has the segments that are not in the directory, and the
	// recordings that are not in their folder.
	Archive Archive

	// Apart accepts that the first segments, or the last, are elsewhere, as long
	// as the tiles in the directory and a checkpoint that is signed with one of
	// Keys cover the events in them: what is there is then proven to be in its
	// place, and [Report] says what has to be found elsewhere. Without it, what
	// is not there is a damage.
	Apart bool

	// Recordings, if not empty, is the folder of the recordings, of which each chunk
	// that the journal has is compared with its file, and nothing may be behind the
	// last one but what a crash has left. A bad file does not keep others from being
	// checked. One that is not there is read from the Archive, once, when its end is
	// met; if there is none either, it was moved away, or removed: the Report names it.
	Recordings string

	// ArchivedRecordings asks for those that the Archive has where there is no folder
	// of others.
	ArchivedRecordings bool

	// Progress, if not nil, is told how many events are verified, now and then, and
	// while something long is read from the Archive the same again and again.
	Progress func(verified uint64)

	// Resume, if not empty, is a file that keeps how far Verify has got until it
	// is done, so that one that was interrupted goes on there. It is believed: it
	// may not be in the journal's directory, nor be one that others can write. What
	// was read before an interruption is not read again but for the tiles, as long
	// as nothing says that it has changed: the segments have the size, the times and
	// the number of their files, or the version that the Archive tells, and what is
	// to be trusted is the same. Else Verify begins anew. Of recordings, what has
	// changed is read again. So of what was read before, the answer says how it was
	// then: see [Resumed].
	Resume string

	often bool // Resume is written behind each segment: for tests
}

// Verify is [Trust.Verify] for whoever knows heads and no key.
func Verify(dir string, known ...Head) (Report, error) {
	return Trust{Heads: known}.Verify(context.Background(), dir)
}

// Verify checks the journal in dir, or in a copy of it: each frame, the numbers
// of the leaves, the chain, the segments, the checkpoint, the tiles, and that
// the journal holds what t knows. It changes nothing and takes no lock. The
// error is a [DamageError] if the journal, or a recording, is not what was written;
// the Report is complete even then.
func (t Trust) Verify(ctx context.Context, dir string) (Report, error) {
	rep := Report{Kinds: map[Kind]uint64{}}
	v := verifier{Trust: t, dir: dir, rep: &rep, heads: map[uint64]Head{}, gaps: map[place]bool{}, pause: saveEvery}
	if t.Recordings != "" || t.ArchivedRecordings {
		v.recordings = &recordings{dir: t.Recordings, archive: t.Archive, watched: v.watched, files: map[string]*recorded{}, open: map[string]*recorded{},
			keeps: t.Resume != "", often: t.often, read: map[Recording]stamp{}}
	}
	if err := v.verify(ctx); err != nil {
		return rep, fmt.Errorf("journal %s: %w", dir, err)
	}
	var bad []Damage
	for _, d := range v.damages {
		if d.Segment > 0 && v.gaps[place{d.Segment, d.Offset}] {
			rep.Gaps = append(rep.Gaps, d)
		} else {
			bad = append(bad, d)
		}
	}
	if rep.Recordings != nil {
		bad = append(bad, rep.Recordings.Damages...)
	}
	if len(bad) > 0 {
		return rep, &DamageError{dir, bad}
	}
	return rep, nil
}

type place struct {
	segment uint64
	offset  int64
}

type verifier struct {
	Trust
	dir     string
	rep     *Report
	damages []Damage
	gaps    map[place]bool
	heads   map[uint64]Head // not met yet, by size

	survey *survey      // nil if there is no checkpoint
	known  []Checkpoint // to be met by it

	recordings *recordings // nil if they are not asked about

	at uint64 // the event that is looked at

	// For Resume.
	since   time.Time // when reading began
	saved   time.Time
	pause   time.Duration // between saving and saving
	before  int           // damages that were found before
	stamps  []stamp       // of the segments
	read    int           // how many of them
	stopped stopped       // behind the last of these
}

func (v *verifier) damaged(d Damage) error {
	v.damages = append(v.damages, d)
	return nil
}

func (v *verifier) verify(ctx context.Context) error {
	for _, h := range v.Heads {
		if had, ok := v.heads[h.Size]; ok && had != h {
			return fmt.Errorf("two different heads of size %d: one of them is not of this journal", h.Size)
		}
		if h.Size > 0 {
			v.heads[h.Size] = h
		}
	}
	if err := v.checkpoints(); err != nil { // before the events, of which a journal in use gets more
		return err
	}
	segs, err := segments(v.dir)
	if err == nil {
		segs, err = v.together(ctx, segs)
	}
	if err != nil {
		return err
	}
	if len(segs) == 0 {
		return errNoSegments
	}
	if r := v.recordings; r != nil {
		if r.dir == "" && r.archive == nil {
			return errors.New("there is no archive that could have recordings")
		}
		if err := r.look(ctx); err != nil {
			return err
		}
	}
	v.rep.Segments = len(segs)
	v.since, v.saved, v.before = time.Now().UTC(), time.Now(), len(v.damages)
	w := walker{visit: func(f *frame) error {
		v.at = f.head.seq
		if v.rep.Kinds[f.head.kind]++; v.at%1024 == 0 || f.head.kind == RecordingChunk {
			if err := v.alive(ctx); err != nil {
				return err
			}
		}
		return v.frame(ctx, f)
	}, damaged: v.damaged}
	w.behind = func() error { return v.stop(&w) }
	if err := v.stampAll(segs); err != nil {
		return err
	}
	done, err := v.takeUp(ctx, &w, segs)
	if err != nil {
		return err
	}
	if n := segs[0].number; done > 0 {
		// What is missing before them was seen then.
	} else if n != 1 && v.Apart && v.survey != nil && v.rep.Checkpoint != nil {
		if err := v.skip(segs[0]); err != nil {
			return err
		}
	} else if n != 1 {
		v.damages = append(v.damages, Damage{What: fmt.Sprintf("segments 1 to %d are missing", n-1)})
	}
	t, err := w.walk(segs, done)
	if err != nil {
		return err
	}
	if t.frames > 0 {
		v.rep.Head = Head{t.origin, t.seq + 1, t.chain.String()}
	}
	if v.Apart {
		if err := v.beyond(); err != nil {
			return err
		}
	}
	u, err := readPending(v.dir, t.origin, t.seq+1)
	if err != nil {
		return err
	}
	u.leaves(func(leaf []byte) bool {
		v.rep.Pending++
		if v.recordings != nil {
			err = v.recorded(ctx, leaf)
		}
		return err == nil
	})
	if err != nil {
		return err
	}
	v.rep.Closed, v.rep.Torn = t.kind == JournalClosed && t.torn == 0 && v.rep.Pending == 0 && v.rep.Beyond == 0, t.torn
	for _, h := range v.Heads {
		if h.Origin != t.origin {
			v.damages = append(v.damages, Damage{What: fmt.Sprintf("this is journal %q, the known head is of %q", t.origin, h.Origin)})
		} else if _, left := v.heads[h.Size]; left {
			v.damages = append(v.damages, Damage{What: fmt.Sprintf("leaf %d, which the known head of size %d ends with, is missing", h.Size-1, h.Size)})
		}
	}
	if err := v.meet(t.origin); err != nil {
		return err
	}
	if r := v.recordings; r != nil {
		if err := r.rest(ctx, v.save); err != nil {
			return err
		}
		v.rep.Recordings = r.report()
		if r.again > 0 {
			if v.rep.Resumed == nil {
				v.rep.Resumed = &Resumed{Since: v.since}
			}
			v.rep.Resumed.Chunks = r.again
		}
	}
	return v.over()
}

// alive returns ctx's cause if it has ended, and tells how far it is.
func (v *verifier) alive(ctx context.Context) error {
	if err := interrupted(ctx); err != nil {
		return err
	}
	if v.Progress != nil {
		v.Progress(v.at)
	}
	return nil
}

// recorded checks what a leaf says of a recording, if it does.
func (v *verifier) recorded(ctx context.Context, leaf []byte) error {
	e, err := ParseEvent(leaf)
	if err != nil || e.Recording == nil {
		return err
	}
	if err := v.recordings.chunk(ctx, e.Recording, v.rep.First > 0); err != nil {
		return err
	}
	return v.save()
}

func (v *verifier) frame(ctx context.Context, f *frame) error {
	v.rep.Bytes += int64(len(f.leaf))
	if f.head.kind == JournalGap {
		e, err := ParseEvent(f.leaf)
		if err != nil {
			return err
		}
		if e.Journal == nil {
			return errors.New("an audit.gap event that names no place")
		}
		v.gaps[place{e.Journal.Segment, e.Journal.Offset}] = true
	}
	if f.head.kind == RecordingChunk && v.recordings != nil {
		if err := v.recorded(ctx, f.leaf); err != nil {
			return err
		}
	}
	if h, ok := v.heads[f.head.seq+1]; ok {
		delete(v.heads, h.Size)
		if h.Hash != f.chain.String() {
			v.damages = append(v.damages, Damage{File: segmentFile(f.segment), Segment: f.segment, Offset: f.offset,
				What: fmt.Sprintf("leaf %d is not the one that the known head of size %d ends with", f.head.seq, h.Size)})
		}
	}
	if v.survey == nil {
		return nil
	}
	return v.survey.add(f)
}

// checkpoints reads those that are to be met.
func (v *verifier) checkpoints() error {
	if len(v.Keys) == 0 {
		if len(v.Witnesses) > 0 || v.Quorum > 0 {
			return v.witnessed()
		}
		if v.Apart {
			return errors.New("what is elsewhere cannot be proven without the public key")
		}
		if len(v.Checkpoints) > 0 {
			return errors.New("a checkpoint says nothing without the public key of whoever signed it")
		}
		return nil
	}
	for i, signed := range v.Checkpoints {
		c, err := ParseCheckpoint(signed, v.Keys...)
		if err != nil {
			return fmt.Errorf("known checkpoint %d: %w", i+1, err)
		}
		v.known = append(v.known, c)
	}
	v.survey = &survey{dir: v.dir, roots: map[uint64]tlog.Hash{}}
	signed, err := ReadCheckpoint(v.dir)
	if err == nil {
		var c Checkpoint
		if c, err = ParseCheckpoint(signed, v.Keys...); err == nil {
			v.rep.Checkpoint = &c
			v.known = append(v.known, c)
			v.survey.tree.full = func(t tlog.Tile, hashes []tlog.Hash) error { return v.tile(&c, t, hashes) }
		}
	}
	if err != nil {
		v.damages = append(v.damages, Damage{File: checkpointFile, What: err.Error()})
	}
	if err := v.retired(); err != nil {
		return err
	}
	if err := v.witnessed(); err != nil {
		return err
	}
	for _, c := range v.known {
		v.survey.roots[c.Size] = tlog.Hash{}
	}
	v.survey.look()
	return nil
}

// tile compares a tile with its file, which the checkpoint promises.
func (v *verifier) tile(c *Checkpoint, t tlog.Tile, hashes []tlog.Hash) error {
	if uint64(t.N+1)<<(tileHeight*(t.L+1)) > c.Size {
		return nil
	}
	b, err := readTile(v.dir, t)
	what := ""
	if err != nil {
		what = err.Error()
	} else if !bytes.Equal(b, appendHashes(nil, hashes)) {
		what = "the tile is not that of the events"
	}
	if what != "" {
		v.damages = append(v.damages, Damage{File: strings.TrimPrefix(tilePath("", t), "/"), What: what})
	}
	return nil
}

// meet compares the checkpoints with the events.
func (v *verifier) meet(origin string) error {
	for i, c := range v.known {
		d := Damage{File: checkpointFile}
		switch {
		case i < len(v.Checkpoints):
			d.File = fmt.Sprintf("known checkpoint %d", i+1)
		case v.rep.Witnessed != nil && i == len(v.known)-1:
			d.File = WitnessedFile
		}
		switch {
		case c.Journal() != origin:
			d.What = fmt.Sprintf("this is journal %q, the checkpoint is of %q", origin, c.Origin)
		case c.Size > v.survey.tree.size:
			d.What = fmt.Sprintf("events %d to %d, which the checkpoint covers, are missing", v.survey.tree.size, c.Size-1)
		case v.survey.roots[c.Size] != tlog.Hash(c.Root) && !v.older(c):
			d.What = fmt.Sprintf("the first %d events are not those that were signed", c.Size)
		default:
			continue
		}
		v.damages = append(v.damages, d)
	}
	if n := v.rep.Unsigned(); v.rep.Checkpoint != nil && v.rep.Closed && n > 0 {
		v.damages = append(v.damages, Damage{File: checkpointFile,
			What: fmt.Sprintf("the last %d events are not signed, though the journal was closed", n)})
	}
	return nil
}
