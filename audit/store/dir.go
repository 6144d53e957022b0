package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
)

// Dir is a store in a folder, which is made when the first object comes: each
// object is a file, written beside its place, synced and renamed.
func Dir(path string) Store { return dir{path} }

type dir struct{ path string }

// unfinished is the end of the names of files that are being written. One that a
// crash has left is no object, and can be removed.
const unfinished = ".unfinished"

func (d dir) file(name string) (string, error) {
	if err := CheckName(name); err != nil {
		return "", err
	}
	if strings.HasSuffix(name, unfinished) {
		return "", fmt.Errorf("store: %q is the name of what is not finished", name)
	}
	return filepath.Join(d.path, filepath.FromSlash(name)), nil
}

// Put implements [Store].
func (d dir) Put(ctx context.Context, name string, b Body) error {
	path, err := d.file(name)
	if err != nil {
		return err
	}
	made, err := mkdirs(filepath.Dir(path))
	if err != nil {
		return err
	}
	if _, err := b.Seek(0, io.SeekStart); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*"+unfinished) // of its own, whoever puts the same
	if err != nil {
		return err
	}
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, h), io.LimitReader(b, b.Size+1))
	if err == nil && (n != b.Size || !bytes.Equal(h.Sum(nil), b.SHA256[:])) {
		err = fmt.Errorf("store: %s is not what it was when its hash was made", name)
	}
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	for _, m := range append(made, filepath.Dir(path)) {
		if err := syncDir(m); err != nil {
			return err
		}
	}
	return nil
}

// mkdirs makes a folder and what is missing above it, and returns the folders
// that got an entry by that.
func mkdirs(path string) (above []string, err error) {
	for p := path; ; p = filepath.Dir(p) {
		if _, err := os.Stat(p); !errors.Is(err, fs.ErrNotExist) || p == filepath.Dir(p) {
			break
		}
		above = append(above, filepath.Dir(p))
	}
	return above, os.MkdirAll(path, 0o700)
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Get implements [Store].
func (d dir) Get(_ context.Context, name string) (io.ReadCloser, error) {
	path, err := d.file(name)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// List implements [Store].
func (d dir) List(ctx context.Context, prefix string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		err := fs.WalkDir(os.DirFS(d.path), ".", func(name string, e fs.DirEntry, err error) error {
			switch {
			case errors.Is(err, fs.ErrNotExist):
				return nil // nothing was put yet
			case err != nil:
				return err
			case ctx.Err() != nil:
				return context.Cause(ctx)
			case e.IsDir():
				if name != "." && !strings.HasPrefix(name+"/", prefix) && !strings.HasPrefix(prefix, name+"/") {
					return fs.SkipDir
				}
				return nil
			case !strings.HasPrefix(name, prefix) || strings.HasSuffix(name, unfinished):
				return nil
			}
			st, err := e.Info()
			if err == nil && !yield(Info{name, st.Size(), versionOf(st)}, nil) {
				return fs.SkipAll
			}
			return err
		})
		if err != nil {
			yield(Info{}, err)
		}
	}
}
