package middleware

import (
	"hash/maphash"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
)

// rememberFor is how long an allowance is remembered.
const rememberFor = time.Second

// A memory keeps the allowances that every step has called steady, so that the
// next operation of the session that does the same need not be asked about. It
// is part of a chain: another chain remembers nothing of this one.
type memory struct {
	seed  maphash.Seed
	slots [1024]atomic.Pointer[allowance]
}

// An allowance is what an operation was and how it was allowed.
type allowance struct {
	session  *protocol.SessionInfo
	facts    protocol.Facts
	until    time.Time
	decision protocol.Decision
	risk     int
	riskWhy  []string
}

func newMemory() *memory { return &memory{seed: maphash.MakeSeed()} }

func (m *memory) slot(op *protocol.Operation) *atomic.Pointer[allowance] {
	h := maphash.String(m.seed, op.Session.ID)*31 + maphash.String(m.seed, op.Fingerprint)
	if op.Prepare {
		h++
	}
	return &m.slots[h%uint64(len(m.slots))]
}

// recall returns the allowance of an operation like op, or nil.
func (m *memory) recall(op *protocol.Operation) *allowance {
	if m == nil || op.Fingerprint == "" {
		return nil
	}
	a := m.slot(op).Load()
	if a == nil || a.session != op.Session || !a.facts.Of(op) || !op.Started().Before(a.until) {
		return nil
	}
	return a
}

// keep remembers that op, which nothing has been registered for, was allowed
// by d.
func (m *memory) keep(op *protocol.Operation, d protocol.Decision) {
	if m == nil || op.Fingerprint == "" || op.Rewritten() != "" || op.Tapped() {
		return
	}
	m.slot(op).Store(&allowance{op.Session, op.Facts(), op.Started().Add(rememberFor), d, op.Risk, slices.Clone(op.RiskWhy)})
}
