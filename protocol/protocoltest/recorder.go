package protocoltest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
)

// A Recorder is a step that keeps all events in memory, for tests. The zero
// value is ready to use, and safe for use by many goroutines.
type Recorder struct {
	// OnEvent and OnCommit, if set, run before an event or a commit is noted;
	// their error becomes the step's. Set them before use.
	OnEvent  func(*protocol.Event) error
	OnCommit func(protocol.Point, []*protocol.Operation) error

	clock *atomic.Uint64

	mu      sync.Mutex
	events  []Event
	commits []Commit
	changed chan struct{} // closed and replaced with each entry
}

// An Event is what a [Recorder] keeps of a [protocol.Event].
type Event struct {
	Seq       uint64 // order among all that the kit watches
	Kind      protocol.EventKind
	Session   string
	Operation uint64
	Verb      protocol.Verb
	Text      string
	Rewritten string
	Access    protocol.Access
	Pure      bool
	Decision  protocol.Decision
	Outcome   protocol.Outcome
	Err       error

	all string // everything a step could see, for the search for secrets
}

// A Commit says that a record was made safe.
type Commit struct {
	Seq       uint64
	Point     protocol.Point
	Session   string
	Operation uint64
	Text      string
}

// Step returns the step. It allows nothing and denies nothing.
func (r *Recorder) Step() middleware.Step {
	return middleware.Step{Name: "recorder", Role: middleware.RoleRecords, Event: r.event, Commit: r.commit}
}

func (r *Recorder) tick() uint64 {
	if r.clock == nil {
		return uint64(len(r.events) + len(r.commits))
	}
	return r.clock.Add(1)
}

func (r *Recorder) event(_ context.Context, e *protocol.Event) error {
	r.mu.Lock()
	onEvent := r.OnEvent
	r.mu.Unlock()
	if onEvent != nil {
		if err := onEvent(e); err != nil {
			return err
		}
	}
	k := Event{Kind: e.Kind, Decision: e.Decision, Outcome: e.Outcome, Err: e.Err, all: fmt.Sprint(e.Err, e.Decision.Reason, e.Decision.Hint, e.Outcome)}
	if op := e.Op; op != nil {
		k.Session, k.Operation, k.Verb, k.Text, k.Rewritten, k.Access, k.Pure = op.Session.ID, op.ID, op.Verb, op.Text, op.Rewritten(), op.Access, op.Pure
		k.all += fmt.Sprintf("%+v %+v %+v %s %s %+v %v", *op.Session, op.Args, op.Objects, op.Why, op.State, op.Detail, op.RiskWhy)
	}
	if l := e.Login; l != nil {
		k.all += fmt.Sprintf("%s %s %s %+v %+v", l.User, l.Resource, l.Database, l.Tool, l.Proof)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	k.Seq = r.tick()
	r.events = append(r.events, k)
	r.wake()
	return nil
}

func (r *Recorder) commit(_ context.Context, p protocol.Point, ops []*protocol.Operation) error {
	r.mu.Lock()
	onCommit := r.OnCommit
	r.mu.Unlock()
	if onCommit != nil {
		if err := onCommit(p, ops); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, op := range ops {
		r.commits = append(r.commits, Commit{Seq: r.tick(), Point: p, Session: op.Session.ID, Operation: op.ID, Text: op.Text})
	}
	r.wake()
	return nil
}

func (r *Recorder) wake() {
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}

// Changed returns a channel that is closed with the next entry.
func (r *Recorder) Changed() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.changed == nil {
		r.changed = make(chan struct{})
	}
	return r.changed
}

// Events returns a copy of all events so far.
func (r *Recorder) Events() []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Event(nil), r.events...)
}

// Commits returns a copy of all commits so far.
func (r *Recorder) Commits() []Commit {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Commit(nil), r.commits...)
}
