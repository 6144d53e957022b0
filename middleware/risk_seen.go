package middleware

import (
	"container/list"
	"crypto/sha256"
	"encoding/hex"
	"sync"

	"github.com/sallyport-dev/gateway/protocol"
)

// A seenKey is a statement of one identity on one target.
type seenKey struct {
	who          protocol.Key
	target, what string
}

// keyOf names what op runs by its fingerprint, or by its exact text where the
// connector has none.
func keyOf(op *protocol.Operation) seenKey {
	k := seenKey{what: op.Fingerprint}
	if k.what == "" {
		k.what = string(op.Verb) + "\x00" + op.Text
	}
	if len(k.what) > 64 { // bounds what an entry holds
		sum := sha256.Sum256([]byte(k.what))
		k.what = hex.EncodeToString(sum[:])
	}
	if s := op.Session; s != nil {
		k.target = s.Resource.Name
		if s.Identity != nil {
			k.who = s.Identity.Key()
		}
	}
	return k
}

// seenBefore remembers the keys used last, up to a limit. What it forgets
// counts as new, so flooding it can only raise a risk.
type seenBefore struct {
	limit int

	mu    sync.Mutex
	order *list.List // of seenKey, the one used last in front
	keys  map[seenKey]*list.Element
}

func newSeenBefore(limit int) *seenBefore {
	return &seenBefore{limit: limit, order: list.New(), keys: map[seenKey]*list.Element{}}
}

func (s *seenBefore) has(k seenKey) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.keys[k]
	if ok {
		s.order.MoveToFront(e)
	}
	return ok
}

func (s *seenBefore) add(k seenKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.keys[k]; ok {
		return
	}
	s.keys[k] = s.order.PushFront(k)
	for s.order.Len() > s.limit {
		last := s.order.Back()
		delete(s.keys, last.Value.(seenKey))
		s.order.Remove(last)
	}
}
