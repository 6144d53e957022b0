package protocoltest

import (
	"errors"
	"strings"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
)

func recordChecks() []Check {
	return []Check{
		{Name: "JournalComesFirst", Rule: "invariant 1: the record is safe before the first byte", run: journalOrder},
		{Name: "RecordFailureStopsOperation", Rule: "invariant 3: what cannot be recorded is not done", run: recordFails},
		{Name: "EndIsTold", Rule: "invariant 6: a begun operation ends once", run: endIsTold},
	}
}

// journalOrder makes records slow, so that who does not wait is seen.
func journalOrder(r *rig) {
	r.rec.OnCommit = func(protocol.Point, []*protocol.Operation) error {
		time.Sleep(settle / 2)
		return nil
	}
	s := r.open()
	wtag, write := r.write()
	if _, err := s.do(write); err != nil {
		r.fatalf("%q failed: %v", write, err)
	}
	rtag, read := r.read()
	if _, err := s.do(read); err != nil {
		r.fatalf("%q failed: %v", read, err)
	}
	safe := func(tag string, p protocol.Point) uint64 {
		for _, c := range r.rec.Commits() {
			if c.Point == p && strings.Contains(c.Text, tag) {
				return c.Seq
			}
		}
		r.fatalf("no record was made safe (point %d) for an operation that was run", p)
		return 0
	}
	if safe(wtag, protocol.BeforeSend) > r.toTarget.at(wtag) {
		r.fatalf("a change was sent before its record was safe")
	}
	pure := true
	for _, e := range r.events(rtag, protocol.Decided) {
		pure = pure && e.Pure
	}
	if !pure && safe(rtag, protocol.BeforeSend) > r.toTarget.at(rtag) {
		r.fatalf("what is not proven to be a pure read was sent before its record was safe")
	}
	if safe(rtag, protocol.BeforeRelease) > r.toClient.at(value(rtag)) {
		r.fatalf("a result was released before its record was safe")
	}
}

func recordFails(r *rig) {
	for _, point := range []protocol.Point{protocol.BeforeSend, protocol.BeforeRelease} {
		for _, f := range []func() (string, string){r.read, r.write} {
			tag, text := f()
			r.setFailure(tag, func(p protocol.Point) bool { return p == point }, nil)
			s := r.open()
			_, err := s.do(text)
			if err == nil {
				r.fatalf("%q was answered though its record could not be made safe (point %d)", text, point)
			}
			if errors.Is(err, errHangs) {
				r.fatalf("after a record failed: %v", err)
			}
			changes := false
			for _, e := range r.events(tag, protocol.Decided) {
				changes = changes || !e.Pure
			}
			if point == protocol.BeforeSend && changes {
				r.unsent(tag, "though its record was lost")
			}
			if r.toClient.at(value(tag)) != 0 {
				r.fatalf("a result was released though its record was lost")
			}
		}
	}
	for _, kind := range []protocol.EventKind{protocol.Asked, protocol.Decided} {
		tag, text := r.write()
		r.setFailure(tag, nil, func(k protocol.EventKind) bool { return k == kind })
		s := r.open()
		if _, err := s.do(text); err == nil {
			r.fatalf("%q was answered though it could not be recorded (%v)", text, kind)
		}
		r.unsent(tag, "though it could not be recorded")
	}
	r.setFailure("", nil, nil)
	r.open().works("after records failed")
}

// setFailure makes the recorder fail for texts with the tag.
func (r *rig) setFailure(tag string, commit func(protocol.Point) bool, event func(protocol.EventKind) bool) {
	r.rec.mu.Lock()
	defer r.rec.mu.Unlock()
	r.rec.OnCommit = func(p protocol.Point, ops []*protocol.Operation) error {
		for _, op := range ops {
			if commit != nil && strings.Contains(op.Text, tag) && commit(p) {
				return errors.New(r.internal)
			}
		}
		return nil
	}
	failed := false
	r.rec.OnEvent = func(e *protocol.Event) error {
		if event != nil && !failed && e.Op != nil && strings.Contains(e.Op.Text, tag) && event(e.Kind) {
			failed = true // its refusal can be recorded again
			return errors.New(r.internal)
		}
		return nil
	}
}

func endIsTold(r *rig) {
	s := r.open()
	for _, f := range []func() (string, string){r.read, r.write} {
		tag, text := f()
		if _, err := s.do(text); err != nil {
			r.fatalf("%q failed: %v", text, err)
		}
		if !r.eventually(soon, func() bool { return len(r.events(tag, protocol.Ended)) > 0 }) {
			r.fatalf("%q was answered, and has no end %v later while its session lives", text, soon)
		}
	}
}
