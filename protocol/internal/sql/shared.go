package sql

import (
	"sync"
	"time"
)

// Shared are values that sessions share as long as some need them, by what
// makes them alike. Its fields are set before the first use.
type Shared[K comparable, V any] struct {
	Rest  func(V) // nil, or called RestAfter the last session
	Close func(V) // called CloseAfter the last session: nobody gets the value any more

	RestAfter, CloseAfter time.Duration

	mu sync.Mutex
	m  map[K]*share[V]
}

type share[V any] struct {
	v      V
	refs   int
	timers []*time.Timer // since the last session
}

// Open returns the value for key, made with create if there is none.
func (s *Shared[K, V]) Open(key K, create func() V) V {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m == nil {
		s.m = map[K]*share[V]{}
	}
	e := s.m[key]
	if e == nil {
		e = &share[V]{v: create()}
		s.m[key] = e
	}
	e.refs++
	for _, t := range e.timers {
		t.Stop()
	}
	e.timers = nil
	return e.v
}

// Release says that one of those who opened the value for key needs it no more.
func (s *Shared[K, V]) Release(key K) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.m[key]
	if e.refs--; e.refs > 0 {
		return
	}
	e.timers = append(e.timers, time.AfterFunc(s.CloseAfter, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if e.refs == 0 && s.m[key] == e {
			delete(s.m, key)
			s.Close(e.v)
		}
	}))
	if s.Rest != nil {
		e.timers = append(e.timers, time.AfterFunc(s.RestAfter, func() { s.Rest(e.v) }))
	}
}

// Len returns how many values there are.
func (s *Shared[K, V]) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.m)
}
