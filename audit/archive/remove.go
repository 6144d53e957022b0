package archive

import (
	"context"
	"os"
	"path/filepath"
	"time"
)

// remove removes local segments and recordings that may go, the oldest first.
func (r *round) remove(ctx context.Context) error {
	if r.Keep <= 0 {
		return nil
	}
	now := time.Now
	if r.now != nil {
		now = r.now
	}
	before := now().Add(-r.Keep)
	needed := ^uint64(0)
	if r.Needed != nil {
		var err error
		if needed, err = r.Needed(); err != nil {
			return err // nobody knows what may go
		}
	}
	for i := range r.sealed {
		s := &r.sealed[i]
		path := filepath.Join(r.Dir, s.File)
		// What is removed is a beginning of the journal, so that what is left has
		// no holes.
		if s.Unreadable || s.Needed || s.Next > needed || s.Next > r.covered || r.damaged[s.Number] || !s.Changed.Before(before) {
			break
		}
		ok, err := r.same(ctx, s.File, path)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		if err := os.Remove(path); err != nil {
			return err
		}
		r.result.Removed++
	}
	if r.Recordings == "" {
		return nil
	}
	return r.recordings(ctx, before)
}

// recordings removes those that are in the store. They are there because their
// session has ended.
func (r *round) recordings(ctx context.Context, before time.Time) error {
	sessions, err := os.ReadDir(r.Recordings)
	for _, d := range sessions {
		folder := filepath.Join(r.Recordings, d.Name())
		files, rerr := os.ReadDir(folder)
		if rerr != nil || !d.IsDir() {
			continue // nor what a link names
		}
		left := len(files)
		for _, f := range files {
			path := filepath.Join(folder, f.Name())
			st, serr := os.Lstat(path)
			if serr != nil || !st.Mode().IsRegular() || !st.ModTime().Before(before) {
				continue
			}
			ok, err := r.same(ctx, recordings+d.Name()+"/"+f.Name(), path)
			if err == nil && ok {
				err = os.Remove(path)
			}
			if err != nil {
				return err
			}
			if ok {
				r.result.Removed++
				left--
			}
		}
		if left == 0 && len(files) > 0 {
			_ = os.Remove(folder) // unless something was put there meanwhile
		}
	}
	return err
}

// same reports whether the store has an object of the file's size. It asks the
// store, once in a round, because nothing may go that only was there.
func (r *round) same(ctx context.Context, name, path string) (bool, error) {
	if !r.looked {
		if err := r.look(ctx); err != nil {
			return false, err
		}
		r.looked = true
	}
	st, err := os.Stat(path)
	size, ok := r.stored[name]
	return err == nil && ok && size == st.Size(), nil
}
