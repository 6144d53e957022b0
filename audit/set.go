package audit

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// A Set opens each journal once and hands it to everybody who asks, so that a
// configuration can be read again while sessions of the old one still record.
// The zero Set is ready to use, by many goroutines at once.
type Set struct {
	mu   sync.Mutex
	open map[string]*shared
}

type shared struct {
	journal *Journal
	options Options
	users   int
}

// Open returns the journal in dir and a function that gives it back. The
// journal is closed when all have given it back; nobody else closes it. Asking
// for an open journal with other options is an error.
func (s *Set) Open(dir string, o Options) (*Journal, func() error, error) {
	// The directory has to exist before it can be known by its one true name.
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("journal %s: %w", dir, err)
	}
	name, err := filepath.EvalSymlinks(dir)
	if err == nil {
		name, err = filepath.Abs(name)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("journal %s: %w", dir, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sh := s.open[name]
	switch {
	case sh == nil:
		j, err := Open(name, o)
		if err != nil {
			return nil, nil, err
		}
		sh = &shared{journal: j, options: o}
		if s.open == nil {
			s.open = map[string]*shared{}
		}
		s.open[name] = sh
	case !sh.options.same(o):
		return nil, nil, fmt.Errorf("journal %s: it is open with other settings; restart to change them", dir)
	}
	sh.users++
	var once sync.Once
	return sh.journal, func() (err error) {
		once.Do(func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			if sh.users--; sh.users == 0 {
				delete(s.open, name)
				err = sh.journal.Close()
			}
		})
		return err
	}, nil
}

// Find returns the journal in dir if it is open, and a function that gives it
// back, as [Set.Open] does.
func (s *Set) Find(dir string) (*Journal, func() error, bool) {
	s.mu.Lock()
	sh := s.open[trueName(dir)]
	s.mu.Unlock()
	if sh == nil {
		return nil, nil, false
	}
	j, release, err := s.Open(dir, sh.options)
	return j, release, err == nil
}

// trueName is the one name of dir, or "" if it does not exist.
func trueName(dir string) string {
	name, err := filepath.EvalSymlinks(dir)
	if err == nil {
		name, err = filepath.Abs(name)
	}
	if err != nil {
		return ""
	}
	return name
}
