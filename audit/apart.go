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

// An Archive has segments that were moved away from a journal's directory.
type Archive interface {
	// Segments returns the names of the files that it has, and with each what tells
	// it from another that had this name before, or will have: its version.
	Segments(ctx context.Context) (map[string]string, error)
	// Open opens one of them.
	Open(ctx context.Context, file string) (io.ReadCloser, error)
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
	for file, version := range files {
		n, err := strconv.ParseUint(strings.TrimSuffix(file, segmentSuffix), 10, 64)
		if err != nil || n == 0 || segmentFile(n) != file {
			return nil, fmt.Errorf("the archive has a segment of the name %q", file)
		}
		if !slices.ContainsFunc(segs, func(s segment) bool { return s.number == n }) {
			segs = append(segs, segment{number: n, path: segmentPath(v.dir, n), version: version, fetch: func() (*os.File, error) { return v.download(ctx, file) }})
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
// reader.
func (v *verifier) download(ctx context.Context, file string) (*os.File, error) {
	r, err := v.Archive.Open(ctx, file)
	if err != nil {
		return nil, err
	}
	f, err := os.CreateTemp("", "segment")
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	err = os.Remove(f.Name())
	if err == nil {
		_, err = io.Copy(f, r)
	}
	if err = errors.Join(err, r.Close()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
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
