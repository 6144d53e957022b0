package httpproxy

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// maxDescription bounds a file that describes a target.
const maxDescription = 32 << 20

// descriptions are files that describe targets, as they were read last: they are
// read again when they change.
type descriptions[T any] struct {
	mu sync.Mutex
	by map[string]description[T]
}

type description[T any] struct {
	modified time.Time
	size     int64
	parsed   T
}

// read returns what parse makes of the file at path.
func (d *descriptions[T]) read(path string, parse func([]byte) (T, error)) (none T, err error) {
	st, err := os.Stat(path)
	if err != nil {
		return none, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if have, ok := d.by[path]; ok && have.modified.Equal(st.ModTime()) && have.size == st.Size() {
		return have.parsed, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return none, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxDescription+1))
	if err != nil {
		return none, err
	}
	if len(b) > maxDescription {
		return none, fmt.Errorf("%s: larger than %d bytes", path, maxDescription)
	}
	parsed, err := parse(b)
	if err != nil {
		return none, fmt.Errorf("%s: %w", path, err)
	}
	if d.by == nil {
		d.by = map[string]description[T]{}
	}
	d.by[path] = description[T]{st.ModTime(), st.Size(), parsed}
	return parsed, nil
}
