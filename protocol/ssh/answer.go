package ssh

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-dev/gateway/protocol"
)

// errSilent says that a peer has not answered in time.
var errSilent = errors.New("ssh: no answer in time")

// connecting is how many times [Server.AnswerTimeout] a peer has for opening a
// forward: it first connects elsewhere, and a system gives that up after two
// minutes by itself.
const connecting = 5

// Calls wait for answers of a peer. The SSH library stops waiting only when the
// connection ends, so what has taken too long is left to itself; Wait waits for it.
type calls struct {
	s *session
	sync.WaitGroup
}

// wait returns f's error, or another one when ctx ends or timeout has passed
// before f returns.
func (w *calls) wait(ctx context.Context, timeout time.Duration, f func() error) error {
	done := make(chan error, 1)
	w.Add(1)
	w.s.ps.Go(func() error {
		defer w.Done()
		done <- f()
		return nil
	})
	t := time.NewTimer(timeout)
	defer t.Stop()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return errSilent
	}
}

// open opens a channel. One that the peer opens too late is closed.
func (w *calls) open(ctx context.Context, timeout time.Duration, to ssh.Conn, kind string, extra []byte) (ssh.Channel, <-chan *ssh.Request, error) {
	var mu sync.Mutex
	var ch ssh.Channel
	var reqs <-chan *ssh.Request
	var late bool
	drop := func() {
		_ = ch.Close()
		w.s.ps.Go(func() error {
			for r := range reqs {
				reply(r, false, nil)
			}
			return nil
		})
	}
	err := w.wait(ctx, timeout, func() error {
		c, r, err := to.OpenChannel(kind, extra)
		mu.Lock()
		defer mu.Unlock()
		if ch, reqs = c, r; err == nil && late {
			drop()
		}
		return err
	})
	mu.Lock()
	defer mu.Unlock()
	if err == nil {
		return ch, reqs, nil
	}
	if late = true; ch != nil { // it was opened just now
		drop()
	}
	return nil, nil, err
}

// request sends a request on a channel and returns the answer.
func (w *calls) request(ch ssh.Channel, kind string, payload []byte) (bool, error) {
	answer := make(chan bool, 1)
	err := w.wait(w.s.ps.Context(), w.s.srv.answerTimeout(), func() error {
		ok, err := ch.SendRequest(kind, true, payload)
		answer <- ok
		return err
	})
	return err == nil && <-answer, err
}

// global sends a global request and returns the answer. Without one the session
// ends: answers come in order, and none that comes later could be trusted.
func (w *calls) global(to ssh.Conn, kind string, payload []byte) (bool, []byte, error) {
	type answer struct {
		ok      bool
		payload []byte
	}
	got := make(chan answer, 1)
	err := w.wait(w.s.ps.Context(), w.s.srv.answerTimeout(), func() error {
		ok, payload, err := to.SendRequest(kind, true, payload)
		got <- answer{ok, payload}
		return err
	})
	if err != nil {
		if errors.Is(err, errSilent) {
			w.s.ps.Terminate(targetSilent(err))
		}
		return false, nil, err
	}
	a := <-got
	return a.ok, a.payload, nil
}

func targetSilent(err error) error {
	return &protocol.Fault{Side: protocol.SideTarget, Msg: "the target does not answer", Err: err}
}
