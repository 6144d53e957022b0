package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/audit/archive"
)

// A cast is a recording that can be played.
type cast struct {
	name   string // the path of its file, or SESSION/FILE in a store
	stored bool
	open   func(ctx context.Context) (io.ReadCloser, error)
}

func castIn(file string) cast {
	return cast{name: file, open: func(context.Context) (io.ReadCloser, error) { return os.Open(file) }}
}

// A shelf is where recordings are looked for: in a folder, and in a store that they
// have gone to.
type shelf struct {
	dir, config string        // the folder, or the configuration that names it
	store       *archive.Copy // nil: nobody has named one
	stored      []string      // what it has; nil: it was not asked yet
}

// storeOf returns the store that from names as far as it has the journal in dir, or
// in the directory that the configuration names, or else the only one that it has.
func storeOf(ctx context.Context, from, dir, config string) (*archive.Copy, error) {
	s, ok, err := openStore(from)
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, usagef("-store %q is not dir:PATH or s3://BUCKET/PREFIX", from)
	}
	if dir == "" {
		if dir, err = stepDir(config, "record"); err != nil {
			c, err := oneJournal(ctx, s)
			return &c, err
		}
	}
	origin, err := audit.Origin(dir)
	return &archive.Copy{Store: s, Origin: origin}, err
}

var errNoRecording = errors.New("there is no recording")

// casts returns the recordings that arg means, a file or a session, in the order in
// which they were made.
func (s *shelf) casts(ctx context.Context, arg string) ([]cast, error) {
	if isFile(arg) {
		return []cast{castIn(arg)}, nil
	}
	files, err := s.files(arg)
	if err != nil && (s.store == nil || !errors.Is(err, errNoRecording)) {
		return nil, err
	}
	found := map[string]cast{}
	for _, f := range files {
		found[filepath.Base(f)] = castIn(f)
	}
	if s.store != nil {
		if len(files) > 0 {
			arg = filepath.Base(filepath.Dir(files[0]))
		}
		names, err := s.inStore(ctx, arg)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if file := path.Base(name); found[file].open == nil {
				found[file] = cast{name, true, func(ctx context.Context) (io.ReadCloser, error) { return s.store.OpenRecording(ctx, name) }}
			}
		}
	}
	if len(found) == 0 {
		return nil, err
	}
	number := func(file string) int {
		n, _ := strconv.Atoi(strings.TrimSuffix(file, ".cast")) // another name comes first
		return n
	}
	var casts []cast
	for _, file := range slices.SortedFunc(maps.Keys(found), func(a, b string) int { return number(a) - number(b) }) {
		casts = append(casts, found[file])
	}
	return casts, nil
}

// files returns those in the folder.
func (s *shelf) files(arg string) ([]string, error) {
	if s.dir == "" {
		var err error
		if s.dir, err = stepDir(s.config, "recordings"); err != nil {
			return nil, fmt.Errorf("%w: %w (name the recording's file, or the directory with -dir)", errNoRecording, err)
		}
	}
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: %w", errNoRecording, err)
	}
	if err != nil {
		return nil, err
	}
	var sessions []string
	for _, e := range entries {
		if e.IsDir() {
			sessions = append(sessions, e.Name())
		}
	}
	id, err := oneSession(sessions, arg)
	if err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(s.dir, id, "*.cast"))
	if err == nil && (id == "" || len(files) == 0) {
		err = fmt.Errorf("%w of session %q in %s", errNoRecording, arg, s.dir)
	}
	return files, err
}

// inStore returns those in the store.
func (s *shelf) inStore(ctx context.Context, arg string) ([]string, error) {
	if s.stored == nil {
		all, err := s.store.Recordings(ctx)
		if err != nil {
			return nil, err
		}
		s.stored = append([]string{}, slices.Sorted(maps.Keys(all))...)
	}
	var sessions []string
	for _, name := range s.stored {
		if id := path.Dir(name); len(sessions) == 0 || sessions[len(sessions)-1] != id {
			sessions = append(sessions, id)
		}
	}
	id, err := oneSession(sessions, arg)
	if err != nil || id == "" {
		return nil, err
	}
	var names []string
	for _, name := range s.stored {
		if path.Dir(name) == id && strings.HasSuffix(name, ".cast") {
			names = append(names, name)
		}
	}
	return names, nil
}

// oneSession returns the one of sessions that arg is, or is the end of, or "".
func oneSession(sessions []string, arg string) (string, error) {
	var found []string
	for _, s := range sessions {
		if s == arg || len(arg) >= 6 && strings.HasSuffix(s, arg) {
			found = append(found, s)
		}
	}
	if len(found) > 1 {
		return "", fmt.Errorf("%q is the end of %d sessions: %s", arg, len(found), strings.Join(found, ", "))
	}
	return strings.Join(found, ""), nil
}
