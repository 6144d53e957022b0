package protocoltest

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
)

func lifeChecks() []Check {
	return []Check{
		{Name: "ShutdownDrainsIdle", Rule: "a session that is drained ends at the next good moment", run: shutdownIdle},
		{Name: "ShutdownEndsHeld", Rule: "a session ends when its context does, also while something is held", run: shutdownHeld,
			setUp: func(r *rig) { r.mayBeStuck = true }},
		{Name: "ReloadAsksAgain", Rule: "a reload holds for open sessions", run: reload},
		{Name: "RevocationEndsSession", Rule: "a revocation ends a session within a second", run: revocation},
	}
}

func shutdownIdle(r *rig) {
	s := r.open()
	s.works("before the shutdown")
	tag, text := r.read()
	h := newHold()
	busy := r.open()
	r.rule(tag, h.rule)
	done := busy.start(text)
	h.wait(r, done)
	// The busy session has something under way and may finish it.
	time.AfterFunc(settle*3, func() { h.answer <- protocol.Allow("kit") })
	if err := r.shutdown(slack); err != nil {
		r.fatalf("an idle session and one about to be idle were still open %v after they were asked to drain", slack)
	}
	if a := <-done; a.err != nil || a.got != r.expect(row("1", value(tag)), row("2", "another")) {
		r.fatalf("a session that was drained lost the answer that was under way: %q, %v", a.got, a.err)
	}
	if !closed(s.conn, soon) {
		r.fatalf("the gateway is shut down, and an idle client is still connected")
	}
}

func shutdownHeld(r *rig) {
	s := r.open()
	tag, text := r.write()
	h := newHold()
	r.rule(tag, h.rule)
	done := s.start(text)
	h.wait(r, done)
	if err := r.shutdown(300 * time.Millisecond); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		r.fatalf("shutdown: %v", err)
	}
	h.ended(r, "the gateway was shut down")
	if a := <-done; a.err == nil {
		r.fatalf("the gateway was shut down, and a held operation was answered: %q", a.got)
	}
	r.unsent(tag, "though the gateway was shut down while it was held")
}

func reload(r *rig) {
	s := r.open()
	s.works("before a reload")
	// New rules hold for the next operation.
	if err := r.gw.Reload(r.Context(), r.config()); err != nil {
		r.fatalf("reload: %v", err)
	}
	s.works("after a reload that changes nothing")
	r.verb(protocol.Recheck, deny("no longer"))
	if err := r.gw.Reload(r.Context(), r.config()); err != nil {
		r.fatalf("reload: %v", err)
	}
	if !closed(s.conn, soon) {
		r.fatalf("a session that is no longer allowed was still open %v later", soon)
	}
}

func revocation(r *rig) {
	revoked := &protocol.DeniedError{Step: "kit", Reason: "revoked"}
	// Idle.
	s := r.open()
	s.works("before a revocation")
	for _, x := range r.gw.Sessions() {
		x.Terminate(revoked)
	}
	if !closed(s.conn, soon) {
		r.fatalf("an idle session was still open %v later", soon)
	}
	// In the middle of a result that does not end.
	s = r.open()
	var over atomic.Bool
	begun := make(chan struct{})
	wait := make(chan struct{})
	tag := r.tag(func() Reply {
		return Reply{Columns: r.columns(), Rows: func(yield func([][]byte, error) bool) {
			defer over.Store(true)
			v := row("1", "first")
			if r.kit.Shape&protocol.Rows == 0 {
				v = v[1:]
			}
			yield(v, nil)
			close(begun)
			<-wait // a statement that takes an hour
		}}
	})
	done := s.start(r.kit.Read(tag))
	select {
	case <-begun:
	case <-time.After(patience):
		r.errorf(r.check.Rule, "the text did not reach the target")
	}
	for _, x := range r.gw.Sessions() {
		x.Terminate(revoked)
	}
	select {
	case a := <-done:
		if a.err == nil {
			r.errorf(r.check.Rule, "a cut result looked complete: %q", a.got)
		}
	case <-time.After(soon):
		r.errorf(r.check.Rule, "a session in the middle of a result was still open %v later", soon)
	}
	close(wait)
	r.eventually(slack, over.Load)
	// While something is held.
	s = r.open()
	wtag, text := r.write()
	h := newHold()
	r.rule(wtag, h.rule)
	done = s.start(text)
	h.wait(r, done)
	for _, x := range r.gw.Sessions() {
		x.Terminate(revoked)
	}
	h.ended(r, "the session was revoked")
	if a := <-done; a.err == nil {
		r.errorf(r.check.Rule, "a held operation of a revoked session was answered: %q", a.got)
	}
	r.unsent(wtag, "though its session was revoked")
}
