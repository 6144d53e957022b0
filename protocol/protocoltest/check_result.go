package protocoltest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/metrics"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
)

func resultChecks() []Check {
	return []Check{
		{Name: "RowsAreRewritten", Rule: "what a tap makes of a row is what the client sees", run: rewritten},
		{Name: "NoTapsSameBytes", Rule: "invariant 4: a client that is not denied notices no difference from a direct connection", run: sameBytes},
		{Name: "TapErrorShowsNothing", Rule: "invariant 3: what cannot be masked is not shown", run: tapError},
		{Name: "UnexpectedResultShowsNothing", Rule: "a result in a shape that its operation does not have goes past every step, and is not shown", run: unexpectedResult},
		{Name: "ErrorTextPassesTaps", Rule: "invariant 9: nothing masked comes back in an error's text", run: errorText},
		{Name: "RowsAreNotKept", Rule: "a row's bytes belong to the tap again after the call", run: notKept},
		{Name: "FirstRowsAreSampled", Rule: "what a step learns from the first rows holds for each of them: none is shown before, and none is held for longer than is said", run: sampled},
		{Name: "OutcomeIsTold", Rule: "an outcome says what came back", run: outcome},
		{Name: "HugeRow", Rule: "invariant 8: what a result costs is bounded by a row, not by the result", run: hugeRow},
		{Name: "SlowClient", Rule: "a slow client slows its own target, and no other session", run: slowClient},
	}
}

// onValues registers a tap that passes each value, or the whole of each
// stream, through f. f's result is valid until its next call.
func (r *rig) onValues(op *protocol.Operation, f func([]byte) ([]byte, error)) error {
	if op.Shape&protocol.Rows != 0 {
		return op.OnRows(func([]protocol.Column) (protocol.RowFunc, error) {
			return func(values [][]byte) error {
				for i, v := range values {
					if v == nil {
						continue
					}
					var err error
					if values[i], err = f(v); err != nil {
						return err
					}
				}
				return nil
			}, nil
		})
	}
	var one sync.Mutex // the streams of an operation may be different goroutines', and f is not made for that
	return op.OnBytes(func(s protocol.Stream) (protocol.BytesFunc, error) {
		if s.In {
			return nil, nil
		}
		var all []byte
		return func(chunk []byte, last bool) ([]byte, error) {
			if all = append(all, chunk...); !last {
				return nil, nil // held back: what is looked for may be cut
			}
			one.Lock()
			defer one.Unlock()
			return f(all)
		}, nil
	})
}

func (r *rig) tap(tag string, f func([]byte) ([]byte, error)) {
	r.rule(tag, func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
		return protocol.Allow("kit"), r.onValues(op, f)
	})
}

func (r *rig) tapReplace(tag, from, to string) {
	r.tap(tag, func(b []byte) ([]byte, error) {
		return append([]byte{}, bytes.ReplaceAll(b, []byte(from), []byte(to))...), nil // never nil: that is NULL
	})
}

func rewritten(r *rig) {
	s := r.open()
	tag, text := r.read()
	rows := [][][]byte{{[]byte("1"), []byte("clear0" + tag)}, {[]byte(""), nil}, {[]byte("3"), []byte("clear0" + tag + " tab\t nl\n back\\ quote' é")}}
	if r.kit.Shape&protocol.Rows == 0 {
		rows[1][1] = []byte("-")
	}
	r.target.on(tag, func() Reply { return r.rows(rows...) })
	r.toClient.watch("clear0" + tag)
	// Shorter, longer, and empty.
	for _, to := range []string{"x", strings.Repeat("hidden", 50), ""} {
		r.tapReplace(tag, "clear0"+tag, to)
		var want [][][]byte
		for _, v := range rows {
			w := [][]byte{v[0], nil}
			if v[1] != nil {
				w[1] = bytes.ReplaceAll(v[1], []byte("clear0"+tag), []byte(to))
			}
			want = append(want, w)
		}
		got, err := s.do(text)
		if exp := r.expect(want...); err != nil || got != exp {
			r.fatalf("the client got %q, %v; want %q", got, err, exp)
		}
		if r.toClient.at("clear0"+tag) != 0 {
			r.fatalf("the value went to the client in the clear")
		}
	}
	s.works("after a result was rewritten")
}

// sameBytes talks to the target through the gateway and without it.
func sameBytes(r *rig) {
	tag, read := r.read()
	long := r.tag(func() Reply {
		var rows [][][]byte
		for i := range 500 {
			rows = append(rows, row(fmt.Sprint(i), strings.Repeat("long ", i)))
		}
		return r.rows(rows...)
	})
	odd := r.tag(func() Reply {
		rows := [][][]byte{row("", "tab\t nl\n back\\ é"), row("\x01", "\\N")}
		if r.kit.Shape&protocol.Rows != 0 {
			rows = append(rows, [][]byte{nil, nil}, [][]byte{{}, nil})
		}
		return r.rows(rows...)
	})
	none := r.tag(func() Reply { return r.rows() })
	fails := r.tag(func() Reply { return Reply{Err: "value out of range, \\ and tab"} })
	_, write := r.write()
	texts := []string{read, r.kit.Read(long), r.kit.Read(odd), r.kit.Read(none), r.kit.Read(fails), write, r.kit.Read(fails), read}
	// A tap that is not interested in this result must change nothing either.
	uninterested := r.tag(func() Reply { return r.rows(row("9", value(tag))) })
	r.rule(uninterested, func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
		if op.Shape&protocol.Rows == 0 {
			return protocol.Allow("kit"), op.OnBytes(func(protocol.Stream) (protocol.BytesFunc, error) { return nil, nil })
		}
		return protocol.Allow("kit"), op.OnRows(func([]protocol.Column) (protocol.RowFunc, error) { return nil, nil })
	})
	texts = append(texts, r.kit.Read(uninterested))

	a, b, err := r.pair(r.Context())
	if err != nil {
		r.fatalf("%v", err)
	}
	r.keep(&r.conns, a)
	r.served.Go(func() {
		defer b.Close()
		_ = r.kit.ServeTarget(b, r.target) // ends when the client leaves
	})
	direct := newTape(&r.clock)
	conn := (&tapedConn{Conn: a, in: []*tape{direct}}).conn()
	acc := r.target.Account()
	var c Client
	err = r.within(patience, a, "the login did not end", func() (err error) {
		c, err = r.kit.NewClient(conn, Login{Target: targetName, User: acc.User, Proof: acc.Secret.Reveal(), Direct: true, Dial: r.dial})
		return err
	})
	if err != nil {
		r.fatalf("the kit's client cannot log in at the kit's target without a gateway: %v", err)
	}
	ds := &session{r, conn, c}
	gs := r.open()
	for _, text := range texts {
		d0, g0 := direct.len(), r.toClient.len()
		want, werr := ds.do(text)
		got, gerr := gs.do(text)
		if got != want || fmt.Sprint(gerr) != fmt.Sprint(werr) {
			r.fatalf("%q gave %q, %v; directly %q, %v", text, cut(got), gerr, cut(want), werr)
		}
		if r.kit.Encrypted || r.kit.Reframed {
			continue
		}
		// The end of an answer may be read with the client's next read.
		r.eventually(soon, func() bool { return r.toClient.len()-g0 >= direct.len()-d0 })
		if g, d := r.toClient.from(g0), direct.from(d0); !bytes.Equal(g, d) {
			i := 0
			for i < min(len(g), len(d)) && g[i] == d[i] {
				i++
			}
			r.fatalf("the answer to %q has %d bytes, directly %d; they differ from byte %d on: %q, directly %q",
				text, len(g), len(d), i, cut(string(g[i:])), cut(string(d[i:])))
		}
	}
	_ = a.Close()
}

func cut(s string) string { return s[:min(len(s), 80)] }

func tapError(r *rig) {
	for _, err := range []error{&protocol.DeniedError{Step: "kit", Reason: "cannot mask this"}, errors.New(r.internal)} {
		s := r.open()
		tag, text := r.read()
		r.tap(tag, func(b []byte) ([]byte, error) { return nil, err })
		got, derr := s.do(text)
		if derr == nil || r.toClient.at(value(tag)) != 0 {
			r.fatalf("a tap failed, and the client got %q, %v", got, derr)
		}
		if errors.Is(derr, errHangs) {
			r.fatalf("after a tap failed: %v", derr)
		}
		if !r.eventually(soon, func() bool { return len(r.events(tag, protocol.Ended)) > 0 }) {
			r.fatalf("an operation whose tap failed has no end")
		}
		for _, e := range r.events(tag, protocol.Ended) {
			if e.Outcome.Status == protocol.StatusOK {
				r.fatalf("an operation whose tap failed ended with status ok")
			}
		}
	}
	r.open().works("after a tap failed")
}

// unexpectedResult has a target that answers a change with rows. Where the operation
// may have some, the step sees them.
func unexpectedResult(r *rig) {
	s := r.open()
	for _, tapped := range []bool{true, false} {
		tag, text := r.write()
		r.target.on(tag, func() Reply { return r.rows(row("1", value(tag)), row("2", value(tag))) })
		r.toClient.watch(value(tag))
		var may atomic.Bool
		r.rule(tag, func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
			may.Store(may.Load() || op.Shape&r.kit.Shape != 0)
			if !tapped || op.Shape&r.kit.Shape == 0 {
				return protocol.Allow("kit"), nil
			}
			return protocol.Allow("kit"), r.onValues(op, func(b []byte) ([]byte, error) {
				return append([]byte{}, bytes.ReplaceAll(b, []byte(value(tag)), []byte("hidden"))...), nil
			})
		})
		got, err := s.do(text)
		switch {
		case may.Load() && !tapped:
		case r.toClient.at(value(tag)) != 0:
			r.fatalf("the target answered a change with rows, and the client got %q, %v", got, err)
		case errors.Is(err, errHangs):
			r.fatalf("the target answered a change with rows: %v", err)
		case !may.Load() && err == nil:
			r.fatalf("the target answered a change with rows that are not shown, and the client was not told")
		}
		if !may.Load() {
			if !r.eventually(soon, func() bool { return len(r.events(tag, protocol.Ended)) > 0 }) {
				r.fatalf("an operation whose result cannot be shown has no end")
			}
			for _, e := range r.events(tag, protocol.Ended) {
				if e.Outcome.Status == protocol.StatusOK {
					r.fatalf("an operation whose result cannot be shown ended with status ok")
				}
			}
			s = r.open() // the connector may have ended the other
		}
	}
	s.works("after a change was answered with rows")
}

func errorText(r *rig) {
	if r.kit.Shape&protocol.Rows == 0 {
		r.Logf("streams carry their errors' texts")
		return
	}
	s := r.open()
	fails := r.tag(nil)
	secret := "clear0" + fails
	r.target.on(fails, func() Reply { return Reply{Err: "duplicate value " + secret} })
	r.toClient.watch(secret)
	r.rule(fails, func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
		return protocol.Allow("kit"), op.OnText(func(m *protocol.Message) error {
			for _, f := range []*string{&m.Text, &m.Detail, &m.Hint, &m.Where, &m.Query} {
				*f = strings.ReplaceAll(*f, secret, "hidden")
			}
			return nil
		})
	})
	_, err := s.do(r.kit.Read(fails))
	shown := r.reply(err, "a text that the target refuses")
	if r.toClient.at(secret) != 0 || !strings.Contains(shown, "hidden") {
		r.fatalf("a tap hides %q, the client saw %q", secret, shown)
	}
	s.works("after an error")
}

// notKept has a tap that reuses its buffers, as taps may.
func notKept(r *rig) {
	s := r.open()
	tag, text := r.read()
	var rows, want [][][]byte
	for i := range 200 {
		rows = append(rows, row(fmt.Sprint(i), fmt.Sprintf("%s-%d;", value(tag), i)))
		want = append(want, row(fmt.Sprintf("<%d>", i), fmt.Sprintf("<%s-%d;>", value(tag), i)))
	}
	if r.kit.Shape&protocol.Rows == 0 {
		want = nil
		all := "<"
		for _, v := range rows {
			all += string(v[1])
		}
		want = append(want, row(all+">"))
	}
	r.target.on(tag, func() Reply { return r.rows(rows...) })
	var last [][]byte
	r.tap(tag, func(b []byte) ([]byte, error) {
		// Buffers of the row before this one are the tap's again.
		if len(last) == 4 {
			for _, old := range last[:2] {
				copy(old, bytes.Repeat([]byte("POISON"), len(old)/6+1))
			}
			last = last[2:]
		}
		out := append(append([]byte("<"), b...), '>')
		last = append(last, out)
		return out, nil
	})
	got, err := s.do(text)
	if exp := r.expect(want...); err != nil || got != exp {
		r.fatalf("the client got %q, %v; want %q", cut(got), err, cut(exp))
	}
}

func outcome(r *rig) {
	s := r.open()
	tag, text := r.read()
	fails := r.tag(func() Reply { return Reply{Err: "no such thing"} })
	if _, err := s.do(text); err != nil {
		r.fatalf("%q failed: %v", text, err)
	}
	_, err := s.do(r.kit.Read(fails))
	if shown := r.reply(err, "a text that the target refuses"); !strings.Contains(shown, "no such thing") {
		r.fatalf("the target said \"no such thing\", the client saw %q", shown)
	}
	s.works("after an error of the target")
	for _, c := range []struct {
		tag    string
		status protocol.Status
		rows   int64
	}{{tag, protocol.StatusOK, 2}, {fails, protocol.StatusFailed, 0}} {
		if !r.eventually(soon, func() bool { return len(r.events(c.tag, protocol.Ended)) > 0 }) {
			r.fatalf("invariant 6: an operation was answered, and has no end while its session lives")
		}
		ends := r.events(c.tag, protocol.Ended)
		out := ends[len(ends)-1].Outcome
		if out.Status != c.status || r.kit.Shape&protocol.Rows != 0 && out.Rows != c.rows {
			r.fatalf("an outcome says %q and %d rows, it was %q and %d", out.Status, out.Rows, c.status, c.rows)
		}
	}
}

// live returns the bytes of the heap that are in use. The second collection
// leaves out what came to be during the first.
func live() uint64 {
	runtime.GC()
	runtime.GC()
	heap := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(heap)
	return heap[0].Value.Uint64()
}

// hugeRow has one row of the largest size, and a result of many rows that are
// smaller. Before its last row the target lets the others arrive and looks at
// what is in memory: a gateway that buffers the result has them there.
func hugeRow(r *rig) {
	s := r.open()
	r.tapesOff()
	ask := func(rows, size int, tapped bool) uint64 {
		huge := bytes.Repeat([]byte("x"), size)
		base := live()
		var got, grew atomic.Uint64
		tag := r.tag(func() Reply {
			return Reply{Columns: r.columns(), Rows: func(yield func([][]byte, error) bool) {
				for i := range rows {
					if i > 0 && i == rows-1 {
						still, last := time.Now(), uint64(0)
						r.eventually(patience, func() bool {
							if n := got.Load(); n != last {
								still, last = time.Now(), n
							}
							return last >= uint64((i-1)*size) || time.Since(still) > soon
						})
						now := live()
						grew.Store(now - min(now, base))
					}
					v := [][]byte{[]byte("1"), huge}
					if r.kit.Shape&protocol.Rows == 0 {
						v = v[1:]
					}
					if !yield(v, nil) {
						return
					}
				}
			}}
		})
		if tapped {
			r.tap(tag, func(b []byte) ([]byte, error) { return b, nil })
		}
		err := r.within(12*patience, s.conn, "no answer", func() error {
			return s.c.Do(r.kit.Read(tag), func(values [][]byte) error {
				got.Add(uint64(len(values[len(values)-1])))
				return nil
			})
		})
		if err != nil {
			r.fatalf("%d rows of %d bytes (seen by a tap: %t): %v", rows, size, tapped, err)
		}
		if n := got.Load(); n != uint64(rows*size) {
			r.fatalf("%d bytes (seen by a tap: %t) came back as %d", rows*size, tapped, n)
		}
		return grew.Load()
	}
	for _, tapped := range []bool{false, true} {
		if tapped && r.kit.Shape&protocol.Rows == 0 {
			return // a tap on a stream decides itself what it holds
		}
		ask(1, r.kit.MaxRow-1<<10, tapped)
		const rows = 96 // client and target of the kit hold some too
		size := r.kit.MaxRow / 16
		if grew := ask(rows, size, tapped); grew > uint64(rows/3*size) {
			r.fatalf("a result of %d rows of %d KB (seen by a tap: %t) took %d KB", rows, size>>10, tapped, grew>>10)
		}
	}
	s.works("after huge rows")
}

func slowClient(r *rig) {
	const chunk, limit = 64 << 10, 64 << 20
	s, other := r.open(), r.open()
	r.tapesOff()
	var sent atomic.Int64
	var begun, stopped atomic.Bool
	big := bytes.Repeat([]byte("y"), chunk)
	tag := r.tag(func() Reply {
		return Reply{Columns: r.columns(), Rows: func(yield func([][]byte, error) bool) {
			defer stopped.Store(true)
			begun.Store(true)
			for sent.Load() < 4*limit {
				v := [][]byte{[]byte("1"), big}
				if r.kit.Shape&protocol.Rows == 0 {
					v = v[1:]
				}
				if !yield(v, nil) {
					return
				}
				sent.Add(chunk)
			}
		}}
	})
	r.tap(tag, func(b []byte) ([]byte, error) { return b, nil })
	if r.kit.Shape&protocol.Rows == 0 {
		r.rule(tag, nil) // a tap that holds everything back would be to blame itself
	}
	read := make(chan struct{})
	done := make(chan error, 1)
	go func() {
		done <- s.c.Do(r.kit.Read(tag), func([][]byte) error { <-read; return nil })
	}()
	// The target stands still once all buffers on the way are full.
	still, last := time.Now(), int64(-1)
	ok := r.eventually(patience, func() bool {
		if n := sent.Load(); n != last {
			still, last = time.Now(), n
		}
		return last > limit || begun.Load() && time.Since(still) > 250*time.Millisecond // a pipe may hold less than one chunk
	})
	if !ok || last > limit || stopped.Load() {
		r.errorf(r.check.Rule, "its client reads nothing, and the target has sent %d MB", last>>20)
	}
	_, quick := r.read()
	select {
	case a := <-other.start(quick):
		if a.err != nil {
			r.errorf(r.check.Rule, "another session: %v", a.err)
		}
	case <-time.After(soon):
		r.errorf(r.check.Rule, "another session waited %v", soon)
	}
	_ = s.conn.Close()
	close(read)
	select {
	case <-done:
	case <-time.After(patience):
		r.fatalf("the kit's client does not notice that its connection is closed")
	}
	if !r.eventually(slack, func() bool { return len(r.events(tag, protocol.Ended)) == 1 && stopped.Load() }) {
		r.errorf("invariant 6: a begun operation ends once", "%v after a slow client left, its operation had not ended or its target was still sending", slack)
	}
}
