package audit

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// End returns the number of the event that comes next in the journal in dir, behind
// all that its readers find.
func End(dir string) (uint64, error) {
	segs, err := segments(dir)
	if err != nil {
		return 0, err
	}
	if len(segs) == 0 {
		return 0, noSegments(dir)
	}
	t, _, err := lastTail(segs)
	if err != nil || t.frames == 0 {
		return 0, err
	}
	u, err := readPending(dir, t.origin, t.seq+1)
	return u.end, err
}

// Fsync returns when the events of the journal in dir, from number from on as far as
// a reader has got, are on stable storage. Readers find them as soon as they are in
// the kernel. Whoever passes them on to somebody who keeps them calls it before: else
// a power failure may take them from the journal only, which then gives their numbers
// to others. Its key's checkpoint covers what is on stable storage in any case.
func Fsync(dir string, from uint64) error {
	segs, err := segments(dir)
	if err != nil {
		return err
	}
	i, err := segmentOf(segs, from)
	if err != nil {
		return err
	}
	paths := []string{filepath.Join(dir, pendingFile)}
	for _, s := range segs[max(i, 0):] {
		paths = append(paths, s.path)
	}
	for _, path := range paths {
		f, err := openFile(path)
		if errors.Is(err, fs.ErrNotExist) { // it was written to a segment, or moved away
			continue
		}
		if err != nil {
			return err
		}
		if err := errors.Join(syncFile(f), f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// syncFile is an fsync. Nothing is to be made durable where nothing can be written.
func syncFile(f *os.File) error {
	if err := f.Sync(); err != nil && !errors.Is(err, syscall.EROFS) {
		return err
	}
	return nil
}
