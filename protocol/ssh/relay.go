package ssh

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-dev/gateway/protocol"
)

// streams are the copies of a channel that run.
type streams struct {
	in  chan struct{} // closed when the client's input has ended
	out chan struct{} // closed when the target's output has ended and was written
}

// inputEnded is closed when all that the client has sent was passed on.
func (c *channel) inputEnded() <-chan struct{} { return c.streams.in }

// relay copies the streams of what has been started.
func (c *channel) relay(x *protocol.Exchange, t taps) {
	var stdin io.Reader = c.client
	if c.in != nil {
		stdin = c.in
	}
	c.s.run(c, true)
	var in, out sync.WaitGroup
	in.Add(2)
	out.Add(2)
	copying := func(wg *sync.WaitGroup, f func() error) {
		c.s.ps.Go(func() error {
			defer wg.Done()
			return c.broken(protocol.Guard(f))
		})
	}
	pause := pause
	if c.pty {
		pause = typePause
	}
	files := c.files
	cut := func(err error) { c.s.ps.Go(func() error { return c.broken(err) }) }
	copying(&in, func() error {
		if files != nil {
			return files.requests(stdin, c.target)
		}
		return copyStream(c.target, stdin, t.in, &c.bytesIn, pause, cut)
	})
	copying(&in, func() error { return copyStream(c.target.Stderr(), c.client.Stderr(), t.inErr, &c.bytesIn, pause, cut) })
	copying(&out, func() error {
		if files != nil {
			return files.replies(c.stdout, c.target)
		}
		return copyStream(c.stdout, c.target, t.out, &c.bytes, pause, cut)
	})
	copying(&out, func() error { return copyStream(c.stderr, c.target.Stderr(), t.err, &c.bytes, pause, cut) })
	c.s.ps.Go(func() error {
		in.Wait()
		_ = c.target.CloseWrite() // half-close: the output goes on
		close(c.streams.in)
		return nil
	})
	c.s.ps.Go(func() error {
		out.Wait()
		c.s.run(c, false)
		close(c.streams.out)
		return nil
	})
	c.enter(running, x)
}

// broken looks at how a copy ended. What a step could not look at, and what
// breaks the protocol, ends the channel; that one side is gone is noticed
// elsewhere.
func (c *channel) broken(err error) error {
	var tap *tapError
	var bad *protocol.Fault
	var panicked *protocol.PanicError
	if !errors.As(err, &tap) && !errors.As(err, &bad) && !errors.As(err, &panicked) {
		return nil
	}
	c.mu.Lock()
	c.status = protocol.Outcome{Status: protocol.StatusError, Err: err}
	c.mu.Unlock()
	c.s.srv.log.Warn("a channel was cut off", "session", c.s.ps.Info().ID, "err", err)
	_ = c.target.Close()
	if c.stderr.mu.TryLock() { // who holds it waits for the client
		_, _ = c.stderr.w.Write([]byte(refusal(err, c.nl())))
		c.stderr.mu.Unlock()
	}
	_ = c.client.Close()
	if panicked != nil {
		return err // ends the session
	}
	return nil
}

// looked reports whether a step looks at what runs.
func (c *channel) looked() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.x != nil && c.x.Operation().Tapped()
}

// eofAfter is how long the end of the output waits for the exit status.
const eofAfter = 5 * time.Second

// fromTarget passes the target's requests on, tells the client the end of the
// output, and closes the client's side when the target has closed its own.
//
// A client whose input has ended closes the channel as soon as the output has.
// Between two OpenSSHs an exit status still arrives behind that; the SSH library
// has closed the channel by then. So the end of the output waits for the exit
// status, unless the client may be waiting for that end itself.
func (c *channel) fromTarget(reqs <-chan *ssh.Request) error {
	output := c.streams.out // closed when all output was written
	var late <-chan time.Time
	var exit *ssh.Request
	told := false
	eof := func() {
		if told || output != nil {
			return
		}
		told = true
		if exit != nil && !c.failed() {
			_, _ = c.client.SendRequest(exit.Type, false, exit.Payload)
			exit = nil
		}
		// Who holds one of them closes the channel, which says the same.
		if c.stdout.mu.TryLock() {
			if c.stderr.mu.TryLock() {
				_ = c.client.CloseWrite()
				c.stderr.mu.Unlock()
			}
			c.stdout.mu.Unlock()
		}
	}
	for open := true; open; {
		var r *ssh.Request
		select {
		case r, open = <-reqs:
			switch {
			case !open:
			case (r.Type == "exit-status" || r.Type == "exit-signal") && c.hasExited(): // one is enough
			case r.Type == "exit-status" || r.Type == "exit-signal":
				c.exited(r)
				if output != nil && c.looked() { // a result that a step cannot look at must not seem complete
					exit = r
					continue
				}
				_, _ = c.client.SendRequest(r.Type, false, r.Payload)
				eof()
			case r.Type == "eow@openssh.com" || r.Type == "xon-xoff":
				_, _ = c.client.SendRequest(r.Type, false, r.Payload)
				reply(r, true, nil)
			default: // keepalive@openssh.com too
				reply(r, false, nil)
			}
		case <-output:
			output = nil
			late = time.After(eofAfter)
			if exit != nil || c.hasExited() {
				eof()
			}
		case <-late:
			select {
			case <-c.streams.in:
			default:
				eof()
			}
		}
	}
	c.mu.Lock()
	for c.phase == starting { // what runs for a moment may be over before its streams are copied
		c.changed.Wait()
	}
	ran := c.phase == running
	c.mu.Unlock()
	if ran {
		if output != nil {
			<-output
			output = nil
		}
		eof()
	}
	c.end()
	_ = c.client.Close()
	return nil
}

func (c *channel) hasExited() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.status.Status != ""
}

func (c *channel) failed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.status.Status == protocol.StatusError
}

// exited notes how a command ended.
func (c *channel) exited(r *ssh.Request) {
	out := protocol.Outcome{Status: protocol.StatusFailed}
	if r.Type == "exit-status" {
		var v struct{ Status uint32 }
		if ssh.Unmarshal(r.Payload, &v) != nil {
			return
		}
		out.Code = fmt.Sprint(v.Status)
		if v.Status == 0 {
			out.Status = protocol.StatusOK
		}
	} else {
		var v struct {
			Signal     string
			Core       bool
			Error, Tag string
		}
		if ssh.Unmarshal(r.Payload, &v) != nil {
			return
		}
		out.Code = "SIG" + v.Signal
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.status.Status != protocol.StatusError {
		c.status = out
	}
}

// end ends the operation of the channel, if there is one.
func (c *channel) end() {
	c.mu.Lock()
	x, out := c.x, c.status
	c.mu.Unlock()
	if c.files != nil {
		c.files.end()
	}
	if x == nil {
		return
	}
	out.Bytes, out.BytesIn = c.bytes.Load(), c.bytesIn.Load()
	x.End(out)
}
