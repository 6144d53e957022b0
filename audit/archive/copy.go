package archive

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/audit/store"
)

// A Copy is a journal in a store. It is an [audit.Archive], so that audit.Trust
// reads its segments and recordings where they are.
type Copy struct {
	Store  store.Store
	Origin string // the journal's id

	// Progress, if not nil, is told by Fetch how many objects are there, of which
	// some may have been fetched before.
	Progress func(fetched uint64)
}

// Journals returns the ids of the journals in a store.
func Journals(ctx context.Context, s store.Store) (ids []string, err error) {
	for o, err := range s.List(ctx, "") {
		if err != nil {
			return nil, err
		}
		if id, ok := strings.CutSuffix(o.Name, "/"+checkpoint); ok && !strings.Contains(id, "/") {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// Segments implements [audit.Archive].
func (c Copy) Segments(ctx context.Context) (map[string]audit.Archived, error) {
	return c.list(ctx, "", func(name string) bool { return !strings.Contains(name, "/") && strings.HasSuffix(name, ".journal") })
}

// Recordings implements [audit.Archive].
func (c Copy) Recordings(ctx context.Context) (map[string]audit.Archived, error) {
	return c.list(ctx, recordings, func(string) bool { return true })
}

// recordings is where the recordings are, below the journal's id.
const recordings = "recordings/"

// list returns the objects below a folder of the journal.
func (c Copy) list(ctx context.Context, folder string, is func(name string) bool) (map[string]audit.Archived, error) {
	files := map[string]audit.Archived{}
	for o, err := range c.Store.List(ctx, c.Origin+"/"+folder) {
		if err != nil {
			return nil, err
		}
		if name, ok := strings.CutPrefix(o.Name, c.Origin+"/"+folder); ok && is(name) {
			files[name] = audit.Archived{Size: o.Size, Version: o.Version}
		}
	}
	return files, nil
}

// OpenSegment implements [audit.Archive].
func (c Copy) OpenSegment(ctx context.Context, file string) (io.ReadCloser, error) {
	return c.Store.Get(ctx, c.Origin+"/"+file)
}

// OpenRecording implements [audit.Archive].
func (c Copy) OpenRecording(ctx context.Context, file string) (io.ReadCloser, error) {
	name := c.Origin + "/" + recordings + file
	if err := store.CheckName(name); err != nil {
		return nil, errors.Join(fs.ErrNotExist, err) // no store can have it
	}
	return c.Store.Get(ctx, name)
}

// What is fetched of these has no more bytes, whatever the store sends.
const (
	maxCheckpoint = 64 << 10
	maxTile       = 256 * sha256.Size
)

// Fetch copies what is in the store of the journal to dir: all of it, or, if
// proofs is true, the checkpoint and the tiles only, which are small:
// some 33 bytes for an event. What is in dir already, of the same size, is not
// fetched again, so one that is interrupted can be taken up.
func (c Copy) Fetch(ctx context.Context, dir string, proofs bool) error {
	n := uint64(0)
	for o, err := range c.Store.List(ctx, c.Origin+"/") {
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(o.Name, c.Origin+"/")
		if proofs && name != checkpoint && name != audit.WitnessedFile && !strings.HasPrefix(name, "tile/") {
			continue
		}
		if proofs && o.Size > maxTile && strings.HasPrefix(name, "tile/") {
			return fmt.Errorf("archive: %s: %d bytes are no tile", name, o.Size)
		}
		if err := c.fetch(ctx, dir, name, o.Size); err != nil {
			return fmt.Errorf("archive: %s: %w", name, err)
		}
		if n++; c.Progress != nil {
			c.Progress(n)
		}
	}
	return nil
}

func (c Copy) fetch(ctx context.Context, dir, name string, size int64) error {
	if !filepath.IsLocal(filepath.FromSlash(name)) {
		return fmt.Errorf("%q is not a name below a folder", name)
	}
	to := filepath.Join(dir, filepath.FromSlash(path.Clean(name)))
	if st, err := os.Stat(to); err == nil && st.Size() == size && !strings.HasPrefix(name, checkpoint) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	r, err := c.Store.Get(ctx, c.Origin+"/"+name)
	if err != nil {
		return err
	}
	defer r.Close()
	// A second name, so that what was fetched in part is not taken for the whole.
	f, err := os.OpenFile(to+".part", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	limit, changes := size, strings.HasPrefix(name, checkpoint) // since it was listed
	if changes {
		limit = maxCheckpoint
	}
	n, err := io.Copy(f, io.LimitReader(r, limit+1))
	if err == nil && (n > limit || n < limit && !changes) {
		err = fmt.Errorf("%d bytes or more came, %d were promised: %w", n, limit, io.ErrUnexpectedEOF)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), to)
	}
	return err
}

// Verify checks the journal in the store by what t knows, without a copy of its
// segments: proofs are fetched to a folder that is removed afterwards, and the
// segments one after the other. With [audit.Trust.Resume], that folder is its name
// and ".proofs", and stays when Verify is interrupted; what is in it is held against
// the events and the checkpoint, and need not be believed. The last events that the
// checkpoint covers may be in segments that are not sealed yet: see [audit.Report].
// Recordings are checked if [audit.Trust.ArchivedRecordings] asks for them, or if
// there is a folder of those that are not in the store yet.
func (c Copy) Verify(ctx context.Context, t audit.Trust) (audit.Report, error) {
	dir, err := t.Resume+".proofs", error(nil)
	if t.Resume != "" {
		err = os.MkdirAll(dir, 0o700)
	} else {
		dir, err = os.MkdirTemp("", "journal")
	}
	if err != nil {
		return audit.Report{}, err
	}
	defer func() {
		if t.Resume == "" || ctx.Err() == nil {
			_ = os.RemoveAll(dir)
		}
	}()
	if err := c.Fetch(ctx, dir, true); err != nil {
		return audit.Report{}, err
	}
	t.Archive, t.Apart = c, true
	r, err := t.Verify(ctx, dir)
	if err == nil && r.First > 0 {
		err = fmt.Errorf("archive: events 0 to %d are not in the store", r.First-1)
	}
	return r, err
}

// read returns an object of at most limit bytes.
func read(ctx context.Context, s store.Store, name string, limit int64) ([]byte, error) {
	r, err := s.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%s: more than %d bytes: %w", name, limit, fs.ErrInvalid)
	}
	return b, err
}
