package protocoltest

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
)

func loginChecks() []Check {
	return []Check{
		{Name: "LoginRefusedNeverDials", Rule: "invariant 1: a byte reached the target before the login was accepted", run: loginRefused},
		{Name: "UnknownTargetNeverDials", Rule: "invariant 1: a byte reached the target before the login was accepted", run: unknownTarget},
		{Name: "ConnectDeniedNeverDials", Rule: "invariant 1: a byte reached the target before the login was accepted", run: connectDenied},
		{Name: "ConnectHeldNeverDials", Rule: "invariant 1: a byte reached the target before the login was accepted", run: connectHeld},
		{Name: "SecretsStayOnTheirSide", Rule: "invariant 5: secrets stay on their side", run: secrets},
		{Name: "SilentClientIsClosed", Rule: "invariant 8: every handshake has a deadline", run: silentClient,
			setUp: func(r *rig) { r.handshake = 200 * time.Millisecond }},
		{Name: "GarbageHandshake", Rule: "invariant 8: hostile bytes end their own connection, nothing else", run: garbage,
			setUp: func(r *rig) { r.handshake = 400 * time.Millisecond }},
		{Name: "SpoiledHandshake", Rule: "invariant 8: hostile bytes end their own connection, nothing else", run: spoiled,
			setUp: func(r *rig) { r.handshake = 400 * time.Millisecond }},
	}
}

func (r *rig) refused(l Login, what string) {
	r.Helper()
	dials := r.dials.Load()
	_, err := r.connect(l)
	if err == nil {
		r.fatalf("%s was let in", what)
	}
	if errors.Is(err, errHangs) {
		r.fatalf("%s: %v", what, err)
	}
	if r.dials.Load() != dials {
		r.fatalf("%s made the gateway dial", what)
	}
}

// quiet waits until the gateway dials no more: a connector may do so on behalf
// of a session that was let in while that goes on, or has ended already.
func (r *rig) quiet() {
	for n := r.dials.Load(); ; n = r.dials.Load() {
		time.Sleep(settle)
		if r.dials.Load() == n {
			return
		}
	}
}

func loginRefused(r *rig) {
	s := r.open() // what was good for one connection must not help the next
	s.works("before a refused login")
	_ = s.conn.Close()
	r.quiet()
	l := r.login()
	l.Proof, l.Wrong = "not-the-proof", true
	r.refused(l, "a login with a wrong proof")
	l.Proof = ""
	r.refused(l, "a login with an empty proof")
	r.open().works("after a refused login")
}

func unknownTarget(r *rig) {
	l := r.login()
	l.Target = "no-such-target"
	r.refused(l, "a login to an unknown target")
}

func connectDenied(r *rig) {
	r.verb(protocol.Connect, deny("not on a Sunday"))
	r.refused(r.login(), "a login that policy denies")
}

func connectHeld(r *rig) {
	h := newHold()
	r.verb(protocol.Connect, h.rule)
	done := make(chan error, 1)
	go func() {
		s, err := r.connect(r.login())
		if err == nil {
			_, text := r.read()
			_, err = s.do(text)
		}
		done <- err
	}()
	select {
	case <-h.waiting:
	case err := <-done:
		// A protocol may be unable to wait before the login is done; then it
		// must refuse.
		if err == nil {
			r.fatalf("a held login was let in")
		}
		if r.dials.Load() != 0 {
			r.fatalf("a held login made the gateway dial")
		}
		return
	}
	time.Sleep(settle)
	if r.dials.Load() != 0 {
		r.fatalf("a held login made the gateway dial")
	}
	h.answer <- protocol.Allow("kit")
	if err := <-done; err != nil {
		r.fatalf("after a held login was allowed: %v", err)
	}
}

// secrets makes everything happen in which a secret could slip; the search is
// part of every check's end.
func secrets(r *rig) {
	s := r.open()
	s.works("in a plain session")
	tag, text := r.read()
	r.rule(tag, func(context.Context, *protocol.Operation) (protocol.Decision, error) {
		return protocol.Decision{}, errors.New(r.internal)
	})
	if _, err := s.do(text); err == nil {
		r.fatalf("an operation that a step failed on was run")
	}
	s.works("after a step failed")
	_ = s.c.Close() // says goodbye; how does not matter
	l := r.login()
	l.Proof, l.Wrong = "other-proof", true
	if _, err := r.connect(l); err == nil {
		r.fatalf("a wrong proof was let in")
	}
	// The target refuses the gateway's own login.
	r.target.change("changed-at-the-target")
	if s, err := r.connect(r.login()); err == nil {
		if _, err := s.do(text); err == nil {
			r.fatalf("the target's refusal went unnoticed")
		}
	}
}

func silentClient(r *rig) {
	start := time.Now()
	conn, err := r.dial()
	if err != nil {
		r.fatalf("%v", err)
	}
	if !closed(conn, r.handshake+slack) {
		r.fatalf("a client that says nothing is still there after %v; the limit is %v", time.Since(start), r.handshake)
	}
}

// hostile sends first to the server, once or without end, and reads until it
// closes. It returns how many bytes were taken.
func (r *rig) hostile(first []byte, endless bool, patience time.Duration) (sent int64, gone bool) {
	conn, err := r.dial()
	if err != nil {
		r.errorf(r.check.Rule, "%v", err)
		return 0, true
	}
	var n atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = conn.SetWriteDeadline(time.Now().Add(r.handshake + slack)) // fails on a closed connection, as Write will
		for {
			m, err := conn.Write(first)
			n.Add(int64(m))
			if err != nil || !endless {
				return
			}
		}
	}()
	gone = closed(conn, r.handshake+patience)
	_ = conn.Close()
	<-done
	return n.Load(), gone
}

func (r *rig) tapesOff() {
	for _, t := range []*tape{r.toServer, r.toClient, r.toTarget, r.fromTarget} {
		t.stop()
	}
}

// allocated returns the bytes that f makes the process take.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// maxHostile is more than a hundred hostile connections need, each with its
// buffers, and less than one length that was believed.
const maxHostile = 96 << 20

func garbage(r *rig) {
	rng := rand.New(rand.NewPCG(1, 2))
	inputs := [][]byte{
		{0}, {0xff}, []byte("\n"), []byte("\r\n\r\n"), []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), []byte("SSH-2.0-x\r\n"),
		[]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
		make([]byte, 64), make([]byte, 64<<10), []byte(strings.Repeat("\xff", 64)), []byte(strings.Repeat("A", 64<<10)),
		{0x7f, 0xff, 0xff, 0xff, 0, 3, 0, 0}, {0x80, 0, 0, 0, 0, 3, 0, 0}, {0, 0, 0, 0, 0, 3, 0, 0}, {0, 0, 0, 3, 0, 3, 0, 0}, // PostgreSQL lengths
		{0, 0, 0, 8, 4, 210, 22, 47}, {0, 0, 0, 8, 4, 210, 22, 48}, {0, 0, 0, 16, 4, 210, 22, 46, 0, 0, 0, 1, 0, 0, 0, 1}, // its special requests
		{0xff, 0xff, 0xff, 0, 1}, {0xff, 0xff, 0xff, 0x7f}, // MySQL and SSH lengths
		{0x16, 3, 1, 0xff, 0xff, 1, 0, 0xff, 0xff, 3, 3}, {0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0}, // TLS
	}
	for _, n := range []int{1, 4, 7, 8, 9, 64, 1000, 20000} {
		for range 3 {
			b := make([]byte, n)
			for i := range b {
				b[i] = byte(rng.Uint32())
			}
			inputs = append(inputs, b)
		}
	}
	inputs = append(inputs, r.kit.Garbage...)
	r.tapesOff()
	r.bombard(inputs, true)
	r.floods()
}

// bombard sends each input on a connection of its own.
func (r *rig) bombard(inputs [][]byte, mustClose bool) {
	patience := slack
	if !mustClose {
		patience = settle
	}
	took := allocated(func() {
		var wg sync.WaitGroup
		for i, in := range inputs {
			wg.Go(func() {
				if _, gone := r.hostile(in, false, patience); !gone && mustClose {
					r.errorf(r.check.Rule, "input %d (%q...) left its connection open past the deadline", i, in[:min(len(in), 32)])
				}
			})
		}
		wg.Wait()
	})
	if took > maxHostile {
		r.errorf("invariant 8: every length that a peer sends is checked before memory is taken", "%d short inputs made the gateway take %d MB", len(inputs), took>>20)
	}
	r.open().works("after hostile clients")
}

// floods sends without end: what the gateway takes must not grow with it.
func (r *rig) floods() {
	flood := []byte(strings.Repeat("A", 64<<10))
	var sent int64
	took := allocated(func() {
		var gone bool
		if sent, gone = r.hostile(flood, true, slack); !gone {
			r.errorf(r.check.Rule, "a client that never stops sending was not closed at the deadline")
		}
	})
	if took > 8<<20+uint64(sent)/2 {
		r.errorf("invariant 8: every length that a peer sends is checked before memory is taken", "of an endless start the gateway read %d KB, and took %d KB", sent>>10, took>>10)
	}
}

// spoiled sends the kit's own handshake, cut off and with wrong bytes.
func spoiled(r *rig) {
	s := r.open()
	good := r.toServer.from(0)
	_ = s.c.Close()
	_ = s.conn.Close()
	rng := rand.New(rand.NewPCG(3, 4))
	var inputs [][]byte
	for range 24 {
		inputs = append(inputs, good[:rng.IntN(len(good))])
	}
	for range 72 {
		b := append([]byte(nil), good...)
		for range 1 + rng.IntN(3) {
			b[rng.IntN(len(b))] = byte(rng.Uint32())
		}
		inputs = append(inputs, b)
	}
	// Lengths are where the danger is: large numbers at every place.
	for i := 0; i+4 <= min(len(good), 24); i++ {
		b := append([]byte(nil), good...)
		copy(b[i:], "\x7f\xff\xff\xff")
		inputs = append(inputs, b)
	}
	r.tapesOff()
	// A spoiled byte may have been one that does not matter: such a client is
	// logged in and stays.
	r.bombard(inputs, false)
}
