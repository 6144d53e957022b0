package protocoltest

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
)

func decisionChecks() []Check {
	return []Check{
		{Name: "TextIsAsSent", Rule: "an operation's text is exactly what the client sent", run: textAsSent},
		{Name: "WritesAreNotPure", Rule: "only what is proven to change nothing is pure", run: writesNotPure},
		{Name: "DenialShowsReasonAndSessionLives", Rule: "invariant 4: a denied operation leaves the session as a failed one would", run: denial},
		{Name: "InternalErrorsStayInside", Rule: "only a refusal's reason is shown to a client: protocol.Reason", run: internalErrors},
		{Name: "RewriteIsHonoured", Rule: "a rewrite is sent, or the operation refused; the first text is never sent", run: rewrite},
		{Name: "TwoSessionsAreNotMixed", Rule: "sessions share nothing", run: notMixed},
		{Name: "OneByteAtATime", Rule: "the network may cut a message anywhere", run: oneByte, setUp: func(r *rig) { r.oneByte = true }},
	}
}

func textAsSent(r *rig) {
	s := r.open()
	for _, f := range []func() (string, string){r.read, r.write} {
		tag, text := f()
		if _, err := s.do(text); err != nil {
			r.fatalf("%q failed: %v", text, err)
		}
		asked := r.events(tag, protocol.Asked)
		if len(asked) == 0 {
			r.fatalf("%q was answered, but no step was asked about it", text)
		}
		for _, e := range asked {
			if e.Text != text {
				r.fatalf("the client sent %q, steps saw %q", text, e.Text)
			}
		}
	}
}

func writesNotPure(r *rig) {
	s := r.open()
	tag, text := r.write()
	if _, err := s.do(text); err != nil {
		r.fatalf("%q failed: %v", text, err)
	}
	changes := false
	for _, e := range r.events(tag, protocol.Asked) {
		changes = changes || !e.Pure && e.Access.Has(protocol.Write|protocol.Schema|protocol.Admin|protocol.Execute|protocol.Opaque)
	}
	if !changes {
		r.fatalf("no operation with the text %q may change something, as far as steps can see", text)
	}
}

// reply fails the check unless err is what the server reported.
func (r *rig) reply(err error, what string) string {
	r.Helper()
	var re *ReplyError
	if !errors.As(err, &re) {
		r.fatalf("%s: the client got %v, not an error reply", what, err)
	}
	return re.Text
}

func denial(r *rig) {
	s := r.open()
	const reason = "changes are frozen until Monday"
	for _, f := range []func() (string, string){r.write, r.read} {
		tag, text := f()
		r.rule(tag, deny(reason))
		got, err := s.do(text)
		if shown := r.reply(err, "a denied operation"); !strings.Contains(shown, reason) {
			r.fatalf("the reason is %q, the client saw %q", reason, shown)
		}
		if got != "" {
			r.fatalf("a denied operation gave rows: %q", got)
		}
		r.unsent(tag, "of a denied operation")
		s.works("after a denial")
	}
	_, text := r.write()
	if _, err := s.do(text); err != nil {
		r.fatalf("after a denial %q failed: %v", text, err)
	}
}

func internalErrors(r *rig) {
	s := r.open()
	tag, text := r.write()
	r.rule(tag, func(context.Context, *protocol.Operation) (protocol.Decision, error) {
		return protocol.Decision{}, errors.New(r.internal)
	})
	_, err := s.do(text)
	r.unsent(tag, "of an operation that a step failed on")
	if shown := r.reply(err, "an operation that a step failed on"); strings.Contains(shown, r.internal) {
		r.fatalf("the client saw %q", shown)
	}
	s.works("after a step failed")
}

func rewrite(r *rig) {
	s := r.open()
	tag, text := r.read()
	other, otherText := r.read()
	r.rule(tag, func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
		return protocol.Allow("kit"), op.Rewrite(otherText)
	})
	got, err := s.do(text)
	r.unsent(tag, "that a step has rewritten")
	if err != nil {
		r.reply(err, "a rewritten operation") // refused, as a connector may
	} else if r.toTarget.at(other) == 0 || got != r.expect(row("1", value(other)), row("2", "another")) {
		r.fatalf("the rewritten text was not run: the client got %q", got)
	}
	for _, e := range r.events(tag, protocol.Decided) {
		if e.Text != text {
			r.fatalf("the first text was not kept: %q", e.Text)
		}
	}
	s.works("after a rewrite")
}

func notMixed(r *rig) {
	const sessions, texts = 4, 40
	errs := make(chan error, sessions)
	for range sessions {
		s := r.open()
		go func() {
			for range texts {
				tag, text := r.read()
				got, err := s.do(text)
				if err == nil && got != r.expect(row("1", value(tag)), row("2", "another")) {
					err = errors.New("a session got " + got + " for " + text)
				}
				if err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range sessions {
		if err := <-errs; err != nil {
			r.fatalf("%v", err)
		}
	}
}

func oneByte(r *rig) {
	s := r.open()
	s.works("byte by byte")
	tag, text := r.write()
	r.rule(tag, deny("not now"))
	_, err := s.do(text)
	r.reply(err, "a denied operation")
	masked, text := r.read()
	r.tapReplace(masked, value(masked), "hidden")
	got, err := s.do(text)
	if want := r.expect(row("1", "hidden"), row("2", "another")); err != nil || got != want {
		r.fatalf("with a tap the client got %q, %v; want %q", got, err, want)
	}
	s.works("byte by byte, after a denial")
	tag, text = r.write()
	h := newHold()
	r.rule(tag, h.rule)
	done := s.start(text)
	h.wait(r, done)
	time.Sleep(settle)
	h.answer <- protocol.Allow("kit")
	if a := <-done; a.err != nil {
		r.fatalf("after a hold was granted: %v", a.err)
	}
}
