package mysqlsql

import (
	"strconv"
	"sync"
)

// A cache keeps the analyses of texts that are sent again and again. When it is
// full it begins anew: what is in use is back soon.
type cache struct {
	max int

	mu    sync.RWMutex
	m     map[string]*Script
	bytes int
}

const (
	maxCached = 64 << 10 // the longest text that is kept
	perScript = 1 << 10  // about what an analysis takes beside its text
)

// key returns what a text's analysis is found by, "" if it is not kept.
func (c *cache) key(text []byte, st *State) string {
	if c == nil || len(text) > maxCached {
		return ""
	}
	b := make([]byte, 0, len(text)+len(st.Database)+len(st.Mode)+len(st.Charset)+32)
	for _, s := range []string{st.Database, st.Mode, st.Charset} {
		b = append(strconv.AppendInt(b, int64(len(s)), 10), ':')
		b = append(b, s...)
	}
	b = strconv.AppendInt(b, int64(st.Version), 10)
	for _, f := range []bool{st.MariaDB, st.Folded, st.Temp} {
		b = strconv.AppendBool(append(b, ' '), f)
	}
	return string(append(append(b, ' '), text...))
}

// get returns an analysis that still holds.
func (c *cache) get(key string, st *State) *Script {
	if key == "" {
		return nil
	}
	c.mu.RLock()
	s := c.m[key]
	c.mu.RUnlock()
	if s == nil || !s.named {
		return s
	}
	if cat := st.catalog(); cat == nil || s.catalog == nil || cat.Key() != s.catalog.Key() {
		return nil
	}
	return s
}

func (c *cache) put(key string, s *Script) {
	if key == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m[key] == nil {
		if c.bytes += len(key) + perScript*len(s.Statements); c.bytes > c.max {
			c.m, c.bytes = map[string]*Script{}, 0
		}
	}
	c.m[key] = s
}
