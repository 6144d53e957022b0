package audit

import (
	"sync"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
)

// Postpone is Record for the decision that allows an operation which changes
// nothing. Such an operation may be sent before its record is safe, so what was
// decided can stand in one event with how the operation ended, which [Journal.Record]
// writes when it is told. If that takes longer, an event of its own says what
// was decided: as soon as somebody asks with [Journal.Settle], and within some
// 100 ms in any case. An error means that the operation must not happen.
func (j *Journal) Postpone(e *protocol.Event, d Detail) error {
	v, open := j.sessions.Load(e.Session)
	if !open || textSize(e) > largeEvent { // one that is too large is refused now
		_, err := j.Record(e, d)
		return err
	}
	if err := j.err(); err != nil {
		return err
	}
	if err := j.admit(e); err != nil {
		return err
	}
	v.(*sessionState).later.add(postponed{e.Op, d})
	if j.late.armed.CompareAndSwap(false, true) {
		j.late.timer.Reset(lazyFlush)
	}
	return nil
}

// Settle records what was decided about those of ops that [Journal.Postpone]
// keeps still, and returns the position behind all that has been recorded about
// ops. An error means that none of their results may be released.
func (j *Journal) Settle(ops []*protocol.Operation) (upTo Position, err error) {
	for _, op := range ops {
		v, open := j.sessions.Load(op.Session)
		if !open {
			upTo = max(upTo, j.End())
			continue
		}
		st := v.(*sessionState)
		if err := st.later.settle(j, op); err != nil {
			return upTo, err
		}
		upTo = max(upTo, Position(st.last.Load()))
	}
	return upTo, nil
}

type postponed struct {
	op     *protocol.Operation
	detail Detail
}

// record records what was decided about p, as if it had not been postponed.
func (p *postponed) record(j *Journal) error {
	_, err := j.Record(&protocol.Event{Kind: protocol.Decided, Time: p.op.Started(), Session: p.op.Session, Op: p.op, Decision: p.op.Decision()}, p.detail)
	return err
}

// postpones are a session's postponed decisions, in order. Operations mostly
// end in the order in which they began.
type postpones struct {
	mu    sync.Mutex // held while one is recorded, so that its end comes behind it
	items []postponed
	head  int
}

func (q *postpones) add(p postponed) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.items = append(q.items, p)
}

// take removes the decision about op, and reports whether there was one.
func (q *postpones) take(op *protocol.Operation) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := q.find(op)
	q.remove(i)
	return i >= 0
}

func (q *postpones) settle(j *Journal, op *protocol.Operation) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := q.find(op)
	if i < 0 {
		return nil
	}
	if err := q.items[i].record(j); err != nil {
		return err // it stays, so that no later Settle takes it for recorded
	}
	q.remove(i)
	return nil
}

// settleOld records the decisions from before then, and reports whether
// younger ones are left.
func (q *postpones) settleOld(j *Journal, then time.Time) (left bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := q.head; i < len(q.items); i++ {
		p := &q.items[i]
		if p.op == nil {
			continue
		}
		if p.op.Started().After(then) {
			return true, nil
		}
		if err := p.record(j); err != nil {
			return true, err
		}
		q.remove(i)
	}
	return false, nil
}

func (q *postpones) find(op *protocol.Operation) int {
	for i := q.head; i < len(q.items); i++ {
		if q.items[i].op == op {
			return i
		}
	}
	return -1
}

func (q *postpones) remove(i int) {
	if i < 0 {
		return
	}
	q.items[i] = postponed{}
	for q.head < len(q.items) && q.items[q.head].op == nil {
		q.head++
	}
	if q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	}
}

// settleLate records the decisions that have waited long enough.
func (j *Journal) settleLate() {
	j.late.armed.Store(false)
	then, left := time.Now().Add(-lazyFlush), false
	j.sessions.Range(func(_, v any) bool {
		more, err := v.(*sessionState).later.settleOld(j, then)
		left = left || more
		return err == nil // what ended the journal ends its sessions too
	})
	if left && j.late.armed.CompareAndSwap(false, true) {
		j.late.timer.Reset(lazyFlush)
	}
}
