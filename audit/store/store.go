// Package store keeps objects, each under a name: in a folder ([Dir]), or in a
// bucket of an S3-compatible service (package s3 below). Exports write their
// files to one, and the archive a journal's segments and recordings.
package store

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"iter"
	"path"
	"strings"
)

// A Store keeps objects. Its methods may be called from many goroutines at once.
type Store interface {
	// Put keeps an object, whole or not at all, in the place of what has its
	// name. When it returns nil the object is on stable storage, and its bytes
	// are those of b.
	Put(ctx context.Context, name string, b Body) error

	// Get returns an object for reading; the caller closes it. The error is
	// [io/fs.ErrNotExist] if there is none of that name.
	Get(ctx context.Context, name string) (io.ReadCloser, error)

	// List returns the objects whose names begin with prefix, in the order of
	// their names. It ends with the first error.
	List(ctx context.Context, prefix string) iter.Seq2[Info, error]
}

// A Body is what an object is to hold. It can be read again from the begin,
// for another try.
type Body struct {
	io.ReadSeeker
	Size   int64
	SHA256 [sha256.Size]byte
}

// NewBody reads r once, to know what [Store.Put] has to find in it.
func NewBody(r io.ReadSeeker) (Body, error) {
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return Body{}, err
	}
	h := sha256.New()
	n, err := io.Copy(h, r)
	if err == nil {
		_, err = r.Seek(0, io.SeekStart)
	}
	return Body{r, n, [sha256.Size]byte(h.Sum(nil))}, err
}

// An Info says what [Store.List] found.
type Info struct {
	Name    string
	Size    int64
	Version string // another when the object was put again, or changed
}

// CheckName refuses names that are not the same everywhere: a name is a relative
// path with slashes, without "." and "..", of at most 512 bytes.
func CheckName(name string) error {
	if name == "" || len(name) > 512 || path.Clean(name) != name || path.IsAbs(name) || name == ".." || strings.HasPrefix(name, "../") || strings.ContainsAny(name, "\x00\\") {
		return fmt.Errorf("store: %q is not the name of an object", name)
	}
	return nil
}
