package protocoltest

import (
	"context"
	"strings"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
)

func holdChecks() []Check {
	return []Check{
		{Name: "HoldThenAllow", Rule: "a held operation is sent after it was allowed, and not before", run: holdAllow},
		{Name: "HoldThenDeny", Rule: "a held operation that is denied is never sent", run: holdDeny},
		{Name: "ClientGoneWhileHeld", Rule: "a hold ends within a second when its client leaves", run: holdGone},
		{Name: "CancelledWhileHeld", Rule: "a hold ends within a second when its client cancels, and the session lives", run: holdCancelled},
		{Name: "HeldSessionBlocksNoOther", Rule: "a held operation keeps no other session waiting", run: holdOther},
	}
}

// A hold is a rule that holds until it is answered.
type hold struct {
	waiting chan struct{}          // closed when Wait runs
	gone    chan struct{}          // closed when Wait's context ends
	answer  chan protocol.Decision // answers Wait
}

func newHold() *hold {
	return &hold{make(chan struct{}), make(chan struct{}), make(chan protocol.Decision, 1)}
}

func (h *hold) rule(context.Context, *protocol.Operation) (protocol.Decision, error) {
	return protocol.Hold("kit-ticket-1", "a second person has to look at this", func(ctx context.Context) (protocol.Decision, error) {
		close(h.waiting)
		select {
		case d := <-h.answer:
			return d, nil
		case <-ctx.Done():
			close(h.gone)
			return protocol.Decision{}, context.Cause(ctx)
		}
	}), nil
}

// wait returns when the operation is held.
func (h *hold) wait(r *rig, done <-chan answer) {
	r.Helper()
	select {
	case <-h.waiting:
	case a := <-done:
		r.fatalf("a held operation was answered at once: %q, %v", a.got, a.err)
	case <-time.After(patience):
		r.fatalf("nothing was held")
	}
}

// ended fails the check unless the hold ends within a second.
func (h *hold) ended(r *rig, what string) {
	r.Helper()
	select {
	case <-h.gone:
	case <-time.After(soon):
		r.errorf(r.check.Rule, "%s, and the request was still waiting %v later", what, soon)
		h.answer <- protocol.Deny("the kit gives up")
	}
}

type answer struct {
	got string
	err error
}

// start runs text on another goroutine.
func (s *session) start(text string) <-chan answer {
	done := make(chan answer, 1)
	go func() {
		got, err := s.do(text)
		done <- answer{got, err}
	}()
	return done
}

func holdAllow(r *rig) {
	s := r.open()
	tag, text := r.read()
	h := newHold()
	r.rule(tag, h.rule)
	done := s.start(text)
	h.wait(r, done)
	time.Sleep(settle)
	r.unsent(tag, "while it was held")
	h.answer <- protocol.Allow("kit")
	if a := <-done; a.err != nil || a.got != r.expect(row("1", value(tag)), row("2", "another")) {
		r.fatalf("after it was allowed the client got %q, %v", a.got, a.err)
	}
	s.works("after a hold")
}

func holdDeny(r *rig) {
	s := r.open()
	tag, text := r.write()
	h := newHold()
	r.rule(tag, h.rule)
	done := s.start(text)
	h.wait(r, done)
	time.Sleep(settle)
	const reason = "ask again after the release"
	h.answer <- protocol.Deny(reason)
	if shown := r.reply((<-done).err, "a held operation that was denied"); !strings.Contains(shown, reason) {
		r.fatalf("the reason is %q, the client saw %q", reason, shown)
	}
	r.unsent(tag, "of a held operation that was denied")
	s.works("after a hold was denied")
}

func holdGone(r *rig) {
	s := r.open()
	tag, text := r.write()
	h := newHold()
	r.rule(tag, h.rule)
	done := s.start(text)
	h.wait(r, done)
	_ = s.conn.Close()
	<-done
	h.ended(r, "the client left")
	if !r.eventually(soon, func() bool { return len(r.gw.Sessions()) == 0 }) {
		r.errorf(r.check.Rule, "the session was still open")
	}
	r.unsent(tag, "though its client has left")
}

func holdCancelled(r *rig) {
	s := r.open()
	c, ok := s.c.(Canceler)
	if !ok {
		r.Logf("this client cannot cancel")
		return
	}
	tag, text := r.write()
	h := newHold()
	r.rule(tag, h.rule)
	done := s.start(text)
	h.wait(r, done)
	if err := r.within(patience, s.conn, "Cancel did not return", c.Cancel); err != nil {
		r.fatalf("cancel: %v", err)
	}
	h.ended(r, "the client cancelled")
	r.reply((<-done).err, "a cancelled operation")
	r.unsent(tag, "though it was cancelled while it was held")
	s.works("after a cancelled hold")
}

func holdOther(r *rig) {
	s, other := r.open(), r.open()
	tag, text := r.write()
	h := newHold()
	r.rule(tag, h.rule)
	done := s.start(text)
	h.wait(r, done)
	_, quick := r.read()
	select {
	case a := <-other.start(quick):
		if a.err != nil {
			r.fatalf("the other session: %v", a.err)
		}
	case <-time.After(soon):
		r.errorf(r.check.Rule, "another session waited %v", soon)
	}
	h.answer <- protocol.Allow("kit")
	if a := <-done; a.err != nil {
		r.fatalf("after it was allowed: %v", a.err)
	}
}
