package middleware

import (
	"slices"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/sallyport-dev/gateway/protocol"
)

// rememberFor is how long an allowance is remembered.
const rememberFor = time.Second

// A memory keeps the allowances that every step has called steady, so that the
// next operation of the session that does the same need not be asked about. It
// is part of a chain: another chain remembers nothing of this one.
type memory [1024]atomic.Pointer[allowance]

// An allowance is what an operation was and how it was allowed.
type allowance struct {
	session *protocol.SessionInfo
	until   time.Time

	verb        protocol.Verb
	access      protocol.Access
	shape       protocol.Shape
	pure        bool
	bounded     bool
	prepare     bool
	readsKnown  bool
	fingerprint string
	why         string
	objects     []protocol.Object
	reads       []protocol.ColumnRef
	writes      []protocol.ColumnRef

	decision protocol.Decision
	risk     int
	riskWhy  []string
}

// of reports whether a is about operations like op. Connectors analyse a
// statement once, so that equal texts are mostly at the same address.
func (a *allowance) of(op *protocol.Operation) bool {
	return a.session == op.Session && a.verb == op.Verb && a.access == op.Access && a.shape == op.Shape &&
		a.pure == op.Pure && a.bounded == op.Bounded && a.prepare == op.Prepare && a.readsKnown == op.ReadsKnown &&
		a.fingerprint == op.Fingerprint && a.why == op.Why &&
		slices.Equal(a.objects, op.Objects) && slices.Equal(a.reads, op.Reads) && slices.Equal(a.writes, op.Writes)
}

func (m *memory) slot(op *protocol.Operation) *atomic.Pointer[allowance] {
	h := uint64(uintptr(unsafe.Pointer(op.Session))) ^ uint64(uintptr(unsafe.Pointer(unsafe.StringData(op.Fingerprint))))<<20
	if op.Prepare {
		h++
	}
	return &m[h*0x9e3779b97f4a7c15>>54] // the golden ratio spreads what differs anywhere over the upper bits
}

// recall returns the allowance of an operation like op, or nil.
func (m *memory) recall(op *protocol.Operation) *allowance {
	if m == nil || op.Fingerprint == "" {
		return nil
	}
	a := m.slot(op).Load()
	if a == nil || !a.of(op) || !op.Started().Before(a.until) {
		return nil
	}
	return a
}

// keep remembers that op, which nothing has been registered for, was allowed
// by d.
func (m *memory) keep(op *protocol.Operation, d protocol.Decision) {
	if m == nil || op.Fingerprint == "" || op.Rewritten() != "" || !op.Exchange().Plain() {
		return
	}
	m.slot(op).Store(&allowance{
		session: op.Session, until: op.Started().Add(rememberFor),
		verb: op.Verb, access: op.Access, shape: op.Shape, pure: op.Pure, bounded: op.Bounded, prepare: op.Prepare, readsKnown: op.ReadsKnown,
		fingerprint: op.Fingerprint, why: op.Why,
		objects: slices.Clone(op.Objects), reads: slices.Clone(op.Reads), writes: slices.Clone(op.Writes),
		decision: d, risk: op.Risk, riskWhy: slices.Clone(op.RiskWhy),
	})
}
