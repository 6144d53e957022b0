package protocoltest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
)

func faultChecks() []Check {
	return []Check{
		{Name: "TargetDiesMidResult", Rule: "a result that was cut off does not look complete", run: targetDies},
		{Name: "TargetIsDown", Rule: "a target that cannot be reached ends the login with an error", run: targetDown},
		{Name: "HostileTarget", Rule: "invariant 8: a target's bytes end their own session, nothing else", run: hostileTarget},
		{Name: "ClientLeavesMidResult", Rule: "invariant 6: a begun operation ends once", run: clientLeaves},
		{Name: "PanicEndsItsSessionOnly", Rule: "invariant 8: one session's panic ends that session only", run: panics,
			setUp: func(r *rig) { r.mayPanic = true }},
	}
}

func targetDies(r *rig) {
	for _, tapped := range []bool{false, true} {
		s := r.open()
		tag := r.tag(func() Reply {
			reply := r.rows(row("1", "first"), row("2", "second"))
			whole := reply.Rows
			reply.Rows = func(yield func([][]byte, error) bool) {
				for v := range whole {
					if !yield(v, nil) {
						return
					}
				}
				yield(nil, errors.New("the target dies here"))
			}
			return reply
		})
		if tapped {
			r.tap(tag, func(b []byte) ([]byte, error) { return b, nil })
		}
		got, err := s.do(r.kit.Read(tag))
		if err == nil || errors.Is(err, errHangs) {
			r.fatalf("the target died in the middle, and the client got %q, %v", got, err)
		}
		if !r.eventually(soon, func() bool { return len(r.events(tag, protocol.Ended)) > 0 }) {
			r.fatalf("the target died, and its operation has no end %v later", soon)
		}
		for _, e := range r.events(tag, protocol.Ended) {
			if e.Outcome.Status == protocol.StatusOK {
				r.fatalf("the target died in the middle, and the outcome is ok")
			}
		}
	}
	r.open().works("after a target died")
}

func targetDown(r *rig) {
	r.setServeTarget(func(c net.Conn, _ *Target) error { return c.Close() })
	s, err := r.connect(r.login())
	if err == nil { // a connector may log in at the target later
		_, text := r.read()
		_, err = s.do(text)
	}
	if err == nil || errors.Is(err, errHangs) {
		r.fatalf("the target hangs up at once, and the client got %v", err)
	}
	if !r.eventually(soon, func() bool { return len(r.gw.Sessions()) == 0 || s != nil }) {
		r.fatalf("the session stayed open")
	}
}

// hostileTarget answers with what a good target sent, spoiled.
func hostileTarget(r *rig) {
	s := r.open()
	s.works("before a target went bad")
	_, text := r.read()
	if _, err := s.do(text); err != nil {
		r.fatalf("%v", err)
	}
	good := r.fromTarget.from(0)
	_ = s.conn.Close()
	r.tapesOff()
	var answer atomic.Pointer[[]byte]
	serve := r.kit.ServeTarget
	r.setServeTarget(func(c net.Conn, t *Target) error {
		b := answer.Load()
		if b == nil {
			return serve(c, t)
		}
		go func() { _, _ = io.Copy(io.Discard, c) }() // ends when c is closed
		_ = c.SetDeadline(time.Now().Add(slack))
		_, err := c.Write(*b)
		return err
	})
	rng := rand.New(rand.NewPCG(5, 6))
	inputs := [][]byte{{}, []byte("\n"), make([]byte, 4<<10), bytes.Repeat([]byte{0xff}, 4<<10)}
	for range 20 {
		inputs = append(inputs, good[:rng.IntN(len(good))])
	}
	for range 60 {
		b := bytes.Clone(good)
		for range 1 + rng.IntN(3) {
			b[rng.IntN(len(b))] = byte(rng.Uint32())
		}
		inputs = append(inputs, b)
	}
	for range 40 { // a piece is missing, or a length is large
		b := bytes.Clone(good)
		i := rng.IntN(len(b))
		inputs = append(inputs, append(b[:i:i], b[min(len(b), i+1+rng.IntN(4)):]...))
		copy(b[i:], "\x7f\xff\xff\xff")
		inputs = append(inputs, b)
	}
	took := allocated(func() {
		for i, in := range inputs {
			answer.Store(&in)
			s, err := r.connect(r.login())
			if err == nil {
				_, err = s.do(text)
				_ = s.conn.Close()
			}
			if errors.Is(err, errHangs) {
				r.fatalf("answer %d (%q) of a hostile target: %v", i, cut(string(in)), err)
			}
		}
	})
	if took > maxHostile {
		r.errorf("invariant 8: every length that a peer sends is checked before memory is taken", "%d short answers of a target made the gateway take %d MB", len(inputs), took>>20)
	}
	answer.Store(nil)
	r.open().works("after hostile targets")
}

func clientLeaves(r *rig) {
	for _, tapped := range []bool{false, true} {
		s := r.open()
		var begun, over atomic.Bool
		tag := r.tag(func() Reply {
			return Reply{Columns: r.columns(), Rows: func(yield func([][]byte, error) bool) {
				defer over.Store(true)
				v := row("1", "some more")
				if r.kit.Shape&protocol.Rows == 0 {
					v = v[1:]
				}
				for { // whoever reads on never comes to an end
					if !yield(v, nil) {
						return
					}
					begun.Store(true)
				}
			}}
		})
		if tapped && r.kit.Shape&protocol.Rows != 0 {
			r.tap(tag, func(b []byte) ([]byte, error) { return b, nil })
		}
		done := s.start(r.kit.Read(tag))
		r.eventually(patience, begun.Load)
		_ = s.conn.Close()
		<-done
		if !r.eventually(slack, func() bool { return len(r.events(tag, protocol.Ended)) == 1 && over.Load() }) {
			r.fatalf("%v after its client left, an operation has %d ends", slack, len(r.events(tag, protocol.Ended)))
		}
	}
}

func panics(r *rig) {
	other := r.open()
	for what, f := range map[string]rule{
		"an Operation hook": func(context.Context, *protocol.Operation) (protocol.Decision, error) { panic(r.internal) },
		"a tap": func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
			return protocol.Allow("kit"), r.onValues(op, func([]byte) ([]byte, error) { panic(r.internal) })
		},
		"a tap's start": func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
			if op.Shape&protocol.Rows == 0 {
				return protocol.Allow("kit"), op.OnBytes(func(protocol.Stream) (protocol.BytesFunc, error) { panic(r.internal) })
			}
			return protocol.Allow("kit"), op.OnRows(func([]protocol.Column) (protocol.RowFunc, error) { panic(r.internal) })
		},
	} {
		s := r.open()
		tag, text := r.read()
		r.rule(tag, f)
		if _, err := s.do(text); err == nil || errors.Is(err, errHangs) {
			r.fatalf("%s panicked, and the client got %v", what, err)
		}
		if !closed(s.conn, slack) {
			r.fatalf("%s panicked, and its session went on", what)
		}
		if r.toClient.at(value(tag)) != 0 {
			r.fatalf("%s panicked, and the result was shown", what)
		}
		other.works("in another session, after " + what + " panicked,")
	}
}
