package audit

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A file is a segment that is being written.
type file interface {
	io.WriteCloser
	Sync() error
	Truncate(size int64) error
}

// A disk is what a journal needs of the operating system; tests put faults
// behind it.
type disk interface {
	create(path string) (file, error)
	open(path string) (file, error) // to append to
	syncDir(dir string) error
	free(dir string) (uint64, error) // bytes that this process may still use

	// share makes a file of size bytes and returns it as memory. An error is
	// no failure: it is done without.
	share(path string, size int) (mem []byte, unmap func() error, err error)
}

type realDisk struct{}

func (realDisk) create(path string) (file, error) {
	// O_APPEND, so that a write after a truncation leaves no hole.
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	return &stream{File: f}, nil
}

func (realDisk) open(path string) (file, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (realDisk) share(path string, size int) ([]byte, func() error, error) {
	return shareFile(path, size)
}

func (realDisk) syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (realDisk) free(dir string) (uint64, error) { return freeSpace(dir) }

// A stream is a file that is written from its beginning to its end and not read
// soon: what is written is on its way to the disk early, so that an fsync finds
// little left to do, and then no longer takes memory, which new pages would
// have to be found for.
type stream struct {
	*os.File
	size, pushed, dropped int64
}

// pushEvery is how much is pushed to the disk at a time.
const pushEvery = 256 << 10

// Write implements [io.Writer].
func (f *stream) Write(b []byte) (int, error) {
	n, err := f.File.Write(b)
	f.size += int64(n)
	if end := f.size &^ (pushEvery - 1); end > f.pushed {
		push(f.File, f.dropped, f.pushed, end)
		f.dropped, f.pushed = f.pushed, end
	}
	return n, err
}

// Truncate implements [file].
func (f *stream) Truncate(size int64) error {
	f.size = size
	f.pushed, f.dropped = min(f.pushed, size), min(f.dropped, size)
	return f.File.Truncate(size)
}

const segmentSuffix = ".journal"

// A segment is one file of a journal.
type segment struct {
	number uint64
	path   string
	fetch  func() (*os.File, error) // nil: it is at path

	archived Archived // what fetch gets
}

func segmentFile(number uint64) string { return fmt.Sprintf("%010d%s", number, segmentSuffix) }

func segmentPath(dir string, number uint64) string { return filepath.Join(dir, segmentFile(number)) }

// segments returns the segments in dir, in order.
func segments(dir string) ([]segment, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var segs []segment
	for _, e := range entries {
		base, ok := strings.CutSuffix(e.Name(), segmentSuffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(base, 10, 64)
		if err != nil || n == 0 || segmentPath(dir, n) != filepath.Join(dir, e.Name()) {
			return nil, fmt.Errorf("journal %s: %s is not a segment's name", dir, e.Name())
		}
		segs = append(segs, segment{number: n, path: segmentPath(dir, n)})
	}
	slices.SortFunc(segs, func(a, b segment) int {
		if a.number < b.number {
			return -1
		}
		return 1
	})
	return segs, nil
}
