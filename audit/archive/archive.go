// Package archive copies a journal's sealed segments, its tiles and checkpoints,
// and its recordings to a store, and removes what may go from the local disk.
//
// Below the journal's id the store has what the journal's directory has, by the
// same names: a copy of it is a journal that can be verified, and [Copy] lets
// audit.Trust read the segments where they are. Each checkpoint that was met
// also stays as "checkpoints/SIZE", for whoever verifies later: give the store
// an object lock, and nobody can rewrite what was covered then.
//
// Nothing is marked as done but by being in the store, where an object is there
// whole or not at all. So a crash in the middle costs a few uploads that are made
// again, and two archives of one journal do not disturb each other.
//
// The keys of what is sealed (below "sealed") stay where they are: a copy would
// outlive their erasure.
package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/audit/store"
)

// An Archive copies one journal. It runs beside the gateway and never holds it.
// One goroutine at a time uses it.
type Archive struct {
	Dir        string // of the journal, which has to have a key
	Recordings string // the folder of the recordings; "": there are none
	Store      store.Store
	Keys       []note.Verifier // of which one has signed the checkpoint

	// Keep is how long segments and recordings stay on the local disk after they
	// were last written to; 0 is forever. Those that the next start of the
	// gateway reads stay longer, and those that are damaged, or are not in the
	// store with all that proves them.
	Keep time.Duration

	// Needed, if not nil, returns the number of the first event that somebody who
	// reads the journal, such as an exporter, has not had yet: it and what is
	// behind it stays.
	Needed func() (uint64, error)

	// Progress, if not nil, is told how many bytes were uploaded in this round, now
	// and then.
	Progress func(uploaded uint64)

	Logger *slog.Logger // nil: slog.Default()

	Every time.Duration // how often Run looks: once a minute if 0

	now func() time.Time // nil: the clock

	stored map[string]int64 // what the store has: sizes, by name without the journal's id
}

// Run makes rounds until ctx ends. A round that fails is made again.
func (a *Archive) Run(ctx context.Context) error {
	every := a.Every
	if every <= 0 {
		every = time.Minute
	}
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		if _, err := a.Round(ctx); err != nil && ctx.Err() == nil {
			a.logger().Warn("archive: it is tried again", "in", every, "error", err)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-t.C:
		}
	}
}

func (a *Archive) logger() *slog.Logger {
	if a.Logger == nil {
		return slog.Default()
	}
	return a.Logger
}

// A Result is what a round did.
type Result struct {
	Segments, Recordings int    // that were uploaded
	Removed              int    // local files
	Behind               uint64 // events in sealed segments that are not in the store yet
}

// Round uploads what is sealed and covered by the newest checkpoint, and removes
// what may go. What fails does not keep the rest from going on. One that is
// interrupted is taken up by the next: what is in the store is not uploaded again.
func (a *Archive) Round(ctx context.Context) (Result, error) {
	r, err := a.begin(ctx)
	if err != nil {
		return Result{}, fmt.Errorf("archive: %w", err)
	}
	err = r.upload(ctx)
	if err == nil {
		err = r.remove(ctx)
	}
	if err != nil {
		err = fmt.Errorf("archive: %w", err)
	}
	return r.result, err
}

// A round is one look at the journal and the store.
type round struct {
	*Archive
	result  Result
	signed  []byte // the local checkpoint
	seen    []byte // by witnesses, an earlier one or the same; nil: by none
	newest  audit.Checkpoint
	origin  string
	sealed  []audit.Segment
	covered uint64 // events that the store's checkpoint covers
	damaged map[uint64]bool
	looked  bool   // stored is of this round
	sent    uint64 // bytes that were uploaded
}

func (a *Archive) begin(ctx context.Context) (*round, error) {
	if len(a.Keys) == 0 {
		return nil, errors.New("without the public key nobody can tell what is covered by a checkpoint")
	}
	r := &round{Archive: a, damaged: map[uint64]bool{}}
	var err error
	// In this order: what witnesses have seen is not newer than the checkpoint.
	if r.seen, err = audit.ReadWitnessed(a.Dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if r.signed, err = audit.ReadCheckpoint(a.Dir); err != nil {
		return nil, err
	}
	if r.newest, err = audit.ParseCheckpoint(r.signed, a.Keys...); err != nil {
		return nil, err
	}
	r.origin = r.newest.Journal()
	if r.sealed, err = audit.Sealed(a.Dir); err != nil {
		return nil, err
	}
	if a.stored == nil {
		err = r.look(ctx)
	}
	return r, err
}

// look asks the store what it has. That is a long list, because there is a tile
// for each 256 events.
func (r *round) look(ctx context.Context) error {
	stored := map[string]int64{}
	for o, err := range r.Store.List(ctx, r.origin+"/") {
		if err != nil {
			return err
		}
		stored[strings.TrimPrefix(o.Name, r.origin+"/")] = o.Size
	}
	r.stored = stored
	return nil
}

// checkpoint is the name of the newest checkpoint, of which the store has the
// tiles.
const checkpoint = "checkpoint"

func (r *round) upload(ctx context.Context) error {
	var failed error
	var next uint64 // behind the last event that is in the store
	for i := range r.sealed {
		s := &r.sealed[i]
		if s.Unreadable {
			failed = errors.Join(failed, r.unreadable(ctx, s))
			continue
		}
		if s.Next > r.newest.Size {
			r.result.Behind += s.Next - s.From
			continue
		}
		if err := r.segment(ctx, s); err != nil {
			if ctx.Err() != nil {
				return err
			}
			r.result.Behind += s.Next - s.From
			r.logger().Error("archive: a segment stays here", "file", s.File, "error", err)
			failed = errors.Join(failed, err)
			continue
		}
		next = s.Next
	}
	// The checkpoint comes last, behind all that it promises.
	if err := r.checkpoints(ctx, next); err != nil {
		return errors.Join(failed, err)
	}
	return failed
}

// segment uploads a segment and the recordings of the sessions that ended in it,
// unless it is in the store already.
func (r *round) segment(ctx context.Context, s *audit.Segment) error {
	path := filepath.Join(r.Dir, s.File)
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	if size, ok := r.stored[s.File]; ok && size == st.Size() {
		return nil
	}
	err = s.Check(ctx, r.Dir, func(e audit.Event) error { return r.session(ctx, e.Session) }, audit.SessionClosed)
	var damage *audit.DamageError
	if errors.As(err, &damage) {
		r.damaged[s.Number] = true // it is copied as it is, and stays
		r.logger().Error("archive: a segment is damaged", "file", s.File, "error", err)
	} else if err != nil {
		return err
	}
	if err := r.file(ctx, s.File, path); err != nil {
		return err
	}
	r.result.Segments++
	return nil
}

// unreadable uploads a segment of which nobody knows which events it should have.
func (r *round) unreadable(ctx context.Context, s *audit.Segment) error {
	r.damaged[s.Number] = true
	if _, ok := r.stored[s.File]; ok {
		return nil
	}
	r.logger().Error("archive: a segment is damaged", "file", s.File)
	return r.file(ctx, s.File, filepath.Join(r.Dir, s.File))
}

// session uploads the recordings of a session that has ended.
func (r *round) session(ctx context.Context, id string) error {
	if r.Recordings == "" || !filepath.IsLocal(id) || strings.ContainsAny(id, `/\`) {
		return nil
	}
	dir := filepath.Join(r.Recordings, id)
	if st, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) || err == nil && !st.IsDir() {
		return nil // what a link names is no recording
	}
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if err != nil || !e.Type().IsRegular() {
			break
		}
		name := recordings + id + "/" + e.Name()
		var st fs.FileInfo
		if st, err = e.Info(); err != nil {
			break
		}
		if size, ok := r.stored[name]; ok && size == st.Size() {
			continue
		}
		if err = r.file(ctx, name, filepath.Join(dir, e.Name())); err == nil {
			r.result.Recordings++
		}
	}
	return err
}

// checkpoints uploads the tiles of the newest checkpoint and then itself, if the
// store has events, before number next, that the one it has does not cover.
func (r *round) checkpoints(ctx context.Context, next uint64) error {
	if r.newest.Size > 0 {
		name := fmt.Sprintf("checkpoints/%020d", r.newest.Size)
		if _, ok := r.stored[name]; !ok {
			if err := r.bytes(ctx, name, r.signed); err != nil {
				return err
			}
		}
	}
	if _, ok := r.stored[checkpoint]; ok {
		c, err := r.storedCheckpoint(ctx)
		if err != nil {
			return err
		}
		if r.covered = c.Size; c.Size >= next {
			return nil
		}
	}
	if next == 0 {
		return nil // the store has no event yet
	}
	err := audit.Tiles(r.Dir, r.newest, func(name string) bool { _, ok := r.stored[name]; return ok },
		func(name string, b []byte) error { return r.bytes(ctx, name, b) })
	if err == nil {
		err = r.bytes(ctx, checkpoint, r.signed)
	}
	if err == nil {
		r.covered = r.newest.Size
		if r.seen != nil {
			err = r.bytes(ctx, audit.WitnessedFile, r.seen)
		}
	}
	return err
}

func (r *round) storedCheckpoint(ctx context.Context) (audit.Checkpoint, error) {
	b, err := read(ctx, r.Store, r.origin+"/"+checkpoint, maxCheckpoint)
	if err != nil {
		return audit.Checkpoint{}, err
	}
	return audit.ParseCheckpoint(b, r.Keys...)
}

func (r *round) bytes(ctx context.Context, name string, b []byte) error {
	body, err := store.NewBody(bytes.NewReader(b))
	if err == nil {
		err = r.put(ctx, name, body)
	}
	return err
}

func (r *round) file(ctx context.Context, name, path string) error {
	if st, err := os.Stat(path); err != nil {
		return err
	} else if !st.Mode().IsRegular() {
		return fmt.Errorf("%s is not a file", path) // a pipe would be waited for
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	body, err := store.NewBody(f)
	if err != nil {
		return err
	}
	return r.put(ctx, name, body)
}

// putTime is how long one object may take: 64 MiB over a slow line.
const putTime = 15 * time.Minute

func (r *round) put(ctx context.Context, name string, b store.Body) error {
	ctx, cancel := context.WithTimeout(ctx, putTime)
	defer cancel()
	if r.Progress != nil {
		b.ReadSeeker = &counted{b.ReadSeeker, 0, func(n uint64) { r.Progress(r.sent + n) }}
	}
	if err := r.Store.Put(ctx, r.origin+"/"+name, b); err != nil {
		return err
	}
	r.sent += uint64(b.Size)
	r.stored[name] = b.Size
	return nil
}

// A counted says how much of it was read.
type counted struct {
	io.ReadSeeker
	n    uint64
	told func(uint64)
}

// Read implements io.Reader.
func (c *counted) Read(b []byte) (int, error) {
	n, err := c.ReadSeeker.Read(b)
	c.n += uint64(n)
	c.told(c.n)
	return n, err
}

// Seek implements io.Seeker.
func (c *counted) Seek(offset int64, whence int) (int64, error) {
	at, err := c.ReadSeeker.Seek(offset, whence)
	c.n = uint64(max(at, 0))
	return at, err
}
