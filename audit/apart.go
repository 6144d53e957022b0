package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// An Archive has what was moved away from a journal's directory, and from the
// folder of its recordings.
type Archive interface {
	// Segments returns the segments that it has, by the names of their files.
	Segments(ctx context.Context) (map[string]Archived, error)
	// OpenSegment opens one of them.
	OpenSegment(ctx context.Context, file string) (io.ReadCloser, error)

	// Recordings returns the recordings that it has, by [Recording.File].
	Recordings(ctx context.Context) (map[string]Archived, error)
	// OpenRecording opens one. The error is [io/fs.ErrNotExist] if it has none of
	// that name; any other says nothing about what it has.
	OpenRecording(ctx context.Context, file string) (io.ReadCloser, error)
}

// An Archived is a file in an [Archive].
type Archived struct {
	Size    int64
	Version string // tells it from another that had this name before, or will have; "": nothing does
}

// stamp returns what of [Trust.Resume] tells the file from another.
func (a Archived) stamp() stamp {
	if a.Version == "" {
		return stamp{}
	}
	return stamp{Size: a.Size, Archived: a.Version}
}

// together returns segs and those of the archive that are not among them.
func (v *verifier) together(ctx context.Context, segs []segment) ([]segment, error) {
	if v.Archive == nil {
		return segs, nil
	}
	files, err := v.Archive.Segments(ctx)
	if err != nil {
		return nil, err
	}
	for file, at := range files {
		n, err := strconv.ParseUint(strings.TrimSuffix(file, segmentSuffix), 10, 64)
		if err != nil || n == 0 || segmentFile(n) != file {
			return nil, fmt.Errorf("the archive has a segment of the name %q", file)
		}
		if !slices.ContainsFunc(segs, func(s segment) bool { return s.number == n }) {
			segs = append(segs, segment{number: n, path: segmentPath(v.dir, n), archived: at, fetch: func() (*os.File, error) { return v.download(ctx, file, at.Size) }})
		}
	}
	slices.SortFunc(segs, func(a, b segment) int {
		if a.number < b.number {
			return -1
		}
		return 1
	})
	return segs, nil
}

// download copies a segment to a file that has no name, so that it goes with its
// reader. The archive has said how long it is.
func (v *verifier) download(ctx context.Context, file string, size int64) (*os.File, error) {
	r, err := v.Archive.OpenSegment(ctx, file)
	if err != nil {
		return nil, err
	}
	f, err := os.CreateTemp("", "segment")
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	err = os.Remove(f.Name())
	if err == nil {
		var n int64
		if n, err = io.Copy(f, io.LimitReader(v.watched(ctx, r), size+1)); err == nil && n != size {
			err = fmt.Errorf("%s: the archive said that it has %d bytes, and sends others: %w", file, size, io.ErrUnexpectedEOF)
		}
	}
	if err = errors.Join(err, r.Close()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// watched returns r as a reader that ends with ctx and tells how far the
// verification is, since what it has may be long.
func (v *verifier) watched(ctx context.Context, r io.Reader) io.Reader {
	return watched{r, func() error { return v.alive(ctx) }}
}

type watched struct {
	r     io.Reader
	alive func() error
}

// Read implements io.Reader.
func (w watched) Read(b []byte) (int, error) {
	if err := w.alive(); err != nil {
		return 0, err
	}
	return w.r.Read(b)
}

// skip begins the survey behind the events before the first segment that is
// there: the tiles have what their hashes add up to. Whether they are those of
// the checkpoint is seen when its root is compared.
func (v *verifier) skip(first segment) error {
	seq, _, err := header(first)
	if err != nil {
		return v.damaged(Damage{File: filepath.Base(first.path), Segment: first.number, What: "the first segment that is here has no readable header"})
	}
	t, err := treeAt(v.dir, seq&^(tileWidth-1))
	if err != nil {
		return v.damaged(Damage{File: "tile", What: err.Error()})
	}
	t.full = v.survey.tree.full
	v.survey.tree = t
	v.rep.First = seq
	return v.survey.lost(seq)
}

// beyond adds the hashes of the events that the newest checkpoint covers and that
// are behind the last segment that is there.
func (v *verifier) beyond() error {
	if c := v.rep.Checkpoint; c != nil && c.Size > v.survey.tree.size {
		v.rep.Beyond = c.Size - v.survey.tree.size
		return v.survey.lost(c.Size)
	}
	return nil
}

// older reports whether c, of a size that the survey did not come by, is of the
// same tree as the newest checkpoint, to which the tiles are held.
func (v *verifier) older(c Checkpoint) bool {
	newest := v.rep.Checkpoint
	if newest == nil || !v.Apart || c.Size > v.rep.First || c.Origin != newest.Origin {
		return false
	}
	if c.Size == 0 {
		return true
	}
	_, err := ProveConsistency(v.dir, c, *newest)
	return err == nil && v.survey.roots[newest.Size] == tlog.Hash(newest.Root)
}
