package protocoltest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
)

func streamChecks() []Check {
	return []Check{
		{Name: "StreamsEndOnce", Rule: "a tap sees a stream in order, by one goroutine at a time, and its end once", run: streamsEnd},
		{Name: "ManyAtOnce", Rule: "operations of one session that run at the same time are not mixed", run: manyAtOnce},
		{Name: "HeldOperationBlocksNoOther", Rule: "a held operation keeps no other of its session waiting, where the protocol has several at once", run: holdOne},
	}
}

// A streamWatch is a tap that notes how it is called.
type streamWatch struct {
	mu      sync.Mutex
	seen    map[protocol.Stream]*watched
	broken  []string
	ended   bool // the operation
	content strings.Builder
}

type watched struct {
	busy bool
	ends int
}

func (w *streamWatch) breaks(format string, args ...any) {
	w.broken = append(w.broken, fmt.Sprintf(format, args...))
}

func (w *streamWatch) rule(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
	op.OnEnd(func(protocol.Outcome) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.ended = true
		for s, v := range w.seen {
			if !s.In && v.ends == 0 {
				w.breaks("the operation ended, and the stream %s had not", s.Name)
			}
		}
		return nil
	})
	return protocol.Allow("kit"), op.OnBytes(func(s protocol.Stream) (protocol.BytesFunc, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.seen[s] != nil {
			w.breaks("the stream %s was announced twice", s.Name)
		}
		v := &watched{}
		w.seen[s] = v
		return func(chunk []byte, last bool) ([]byte, error) {
			w.mu.Lock()
			if v.busy {
				w.breaks("the stream %s has two goroutines", s.Name)
			}
			if v.ends > 0 {
				w.breaks("the stream %s went on, or ended again, behind its end", s.Name)
			}
			v.busy = true
			w.mu.Unlock()
			time.Sleep(time.Millisecond / 4) // for a second goroutine to come
			w.mu.Lock()
			defer w.mu.Unlock()
			v.busy = false
			if last {
				v.ends++
			}
			if !s.In {
				w.content.Write(chunk)
			}
			return chunk, nil
		}, nil
	})
}

func streamsEnd(r *rig) {
	if r.kit.Shape&protocol.Rows != 0 {
		r.Logf("results are rows")
		return
	}
	s := r.open()
	pieces := make([][][]byte, 50)
	for i := range pieces {
		pieces[i] = row(fmt.Sprintf("piece %d of a stream\n", i))
	}
	for name, reply := range map[string]Reply{
		"of many chunks":    r.rows(pieces...),
		"of one chunk":      r.rows(row("one")),
		"without bytes":     r.rows(),
		"that is an error":  {Err: "no such thing"},
		"of an empty chunk": r.rows(row("")),
	} {
		w := &streamWatch{seen: map[protocol.Stream]*watched{}}
		tag := r.tag(func() Reply { return reply })
		r.rule(tag, w.rule)
		got, err := s.do(r.kit.Read(tag))
		if reply.Err == "" && err != nil {
			r.fatalf("a result %s: %v", name, err)
		}
		if !r.eventually(soon, func() bool { w.mu.Lock(); defer w.mu.Unlock(); return w.ended }) {
			r.fatalf("invariant 6: an operation with a result %s was answered, and has no end", name)
		}
		w.mu.Lock()
		if len(w.broken) > 0 {
			r.errorf(r.check.Rule, "a result %s: %s", name, strings.Join(w.broken, "; "))
		}
		if reply.Err == "" && w.content.String() != got {
			r.errorf(r.check.Rule, "a tap saw %q, and the client %q", cut(w.content.String()), cut(got))
		}
		w.mu.Unlock()
	}
}

// another returns a client of the same session, or nil if the protocol has one
// operation at a time.
func (s *session) another() *session {
	s.r.Helper()
	m, ok := s.c.(Multiplexer)
	if !ok {
		s.r.Logf("one operation at a time")
		return nil
	}
	c, err := m.Another()
	if err != nil {
		s.r.fatalf("another client of one session: %v", err)
	}
	return &session{s.r, s.conn, c}
}

func manyAtOnce(r *rig) {
	const clients, rounds = 6, 5
	first := r.open()
	var wg sync.WaitGroup
	for range clients {
		s := first.another()
		if s == nil {
			return
		}
		wg.Go(func() {
			for i := range rounds {
				tag, text := r.read()
				if i%2 == 1 {
					r.tapReplace(tag, value(tag), "hidden0"+tag)
				}
				want := r.expect(row("1", map[bool]string{false: value(tag), true: "hidden0" + tag}[i%2 == 1]), row("2", "another"))
				if got, err := s.do(text); err != nil || got != want {
					r.errorf(r.check.Rule, "the client got %q, %v; want %q", cut(got), err, cut(want))
				}
				if !r.eventually(soon, func() bool { return len(r.events(tag, protocol.Ended)) > 0 }) {
					r.errorf("invariant 6: a begun operation ends once", "%d ends", len(r.events(tag, protocol.Ended)))
				}
			}
		})
	}
	wg.Wait()
	if n := len(r.gw.Sessions()); n != 1 {
		r.fatalf("the clients have %d sessions: they are not of one", n)
	}
	first.works("after many operations at once")
}

func holdOne(r *rig) {
	s := r.open()
	other := s.another()
	if other == nil {
		return
	}
	tag, text := r.write()
	h := newHold()
	r.rule(tag, h.rule)
	done := s.start(text)
	h.wait(r, done)
	dtag, denied := r.write()
	r.rule(dtag, deny("not this one"))
	if shown := r.reply(other.doErr(denied), "a denied operation beside a held one"); !strings.Contains(shown, "not this one") {
		r.fatalf("the client saw %q", shown)
	}
	_, quick := r.read()
	select {
	case a := <-other.start(quick):
		if a.err != nil {
			r.fatalf("the other operation: %v", a.err)
		}
	case <-time.After(soon):
		r.errorf(r.check.Rule, "another operation waited %v", soon)
	}
	r.unsent(tag, "while it was held")
	h.answer <- protocol.Allow("kit")
	if a := <-done; a.err != nil {
		r.fatalf("after it was allowed: %v", a.err)
	}
}

func (s *session) doErr(text string) error {
	_, err := s.do(text)
	return err
}
