package ssh

import (
	"context"
	"errors"
	"path"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-dev/gateway/protocol"
)

const (
	// maxRequests bounds the requests of a channel that wait behind one that is
	// held. A person resizing a window sends a few dozen.
	maxRequests = 256
	// maxText bounds a command, as MAX_ARG_STRLEN of Linux does.
	maxText = 128 << 10
	// maxEnv bounds the variables of a channel, all together.
	maxEnv = 32 << 10
	// closeAfter is how long a client that has closed its channel is waited for
	// by what it has sent.
	closeAfter = 5 * time.Second
	// exitRefused is the exit status of what was refused: a shell's for a
	// command that cannot be executed.
	exitRefused = 126
)

// A channel is a session channel: a shell, a command or a subsystem with its
// streams.
type channel struct {
	s              *session
	client, target ssh.Channel
	calls          calls

	stdout, stderr *lockedWriter // the client's

	asking context.Context // for [protocol.Session.Begin]
	ctx    context.Context // ends when the client closes the channel
	cancel context.CancelCauseFunc
	over   chan struct{} // closed when the channel is done with

	pty   bool
	term  *protocol.Terminal
	state []string // what pty-req and env have set
	env   int      // bytes of it
	why   string   // a variable was set by which texts mean something else
	local bool     // the text may be read in another encoding than UTF-8
	in    *input   // nil: nothing was read yet

	mu       sync.Mutex
	withdraw func() // ends the present hold

	lent  *protocol.Exchange // the client's agent is; nil: it is not
	notes string             // what a terminal is told before anything runs

	phase   phase      // under mu
	changed *sync.Cond // the phase has
	streams streams
	x       *protocol.Exchange
	status  protocol.Outcome // under mu
	bytesIn atomic.Int64
	bytes   atomic.Int64
	files   *sftp  // nil: no file transfer
	lines   *lines // nil: what is typed is not looked at
}

// A phase is how far a channel has come.
type phase uint8

const (
	idle     phase = iota // nothing runs
	starting              // the target was asked to run something
	running               // the streams are copied
	done                  // nothing may run any more
)

func (c *channel) is(p phase) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.phase == p
}

func (c *channel) enter(p phase, x *protocol.Exchange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.phase, c.x = p, x
	c.changed.Broadcast()
}

func (c *channel) nl() string {
	if c.pty {
		return "\r\n"
	}
	return "\n"
}

// serveChannel serves a session channel until both sides have closed it.
func (s *session) serveChannel(nc ssh.NewChannel) error {
	c := &channel{s: s, calls: calls{s: s}, over: make(chan struct{}),
		streams: streams{in: make(chan struct{}), out: make(chan struct{})}}
	defer c.calls.Wait() // the channel counts for as long as something of it is left
	target, treqs, err := c.calls.open(s.ps.Context(), s.srv.answerTimeout(), s.target, "session", nc.ExtraData())
	if err != nil {
		rejectAs(nc, err)
		return nil
	}
	client, creqs, err := nc.Accept()
	if err != nil {
		_ = target.Close()
		return nil // the connection has ended
	}
	c.client, c.target = client, target
	c.changed = sync.NewCond(&c.mu)
	c.stdout, c.stderr = &lockedWriter{w: client}, &lockedWriter{w: client.Stderr()}
	c.asking = context.WithValue(s.ps.Context(), channelKey{}, c)
	c.ctx, c.cancel = context.WithCancelCause(s.ps.Context())
	defer c.cancel(nil)
	queue := make(chan *ssh.Request, maxRequests)
	s.ps.Go(func() error { return c.pump(creqs, queue) })
	finished := make(chan struct{})
	s.ps.Go(func() error { defer close(finished); return c.fromTarget(treqs) })
	defer func() {
		_ = target.Close()
		select {
		case <-finished:
		case <-time.After(s.srv.answerTimeout()):
			c.end() // how it ended is not known
			<-finished
		}
		close(c.over)
		c.takeAgent()
	}()
	for r := range queue {
		if err := c.request(r); err != nil {
			return err
		}
	}
	// The client has closed the channel. What it has sent goes out first.
	if c.is(running) {
		select {
		case <-finished:
		case <-c.inputEnded():
		case <-time.After(closeAfter):
		}
	}
	return nil
}

// pump moves the client's requests to queue, so that one that waits keeps no
// other channel of the connection waiting.
func (c *channel) pump(reqs <-chan *ssh.Request, queue chan<- *ssh.Request) error {
	defer close(queue)
	defer c.cancel(errGone)
	for r := range reqs {
		if r.Type == "signal" && c.interrupt() {
			reply(r, true, nil)
			continue
		}
		select {
		case queue <- r:
		default:
			_ = c.client.Close()
			for r := range reqs { // the library would wait for us else, and see no end of the connection
				reply(r, false, nil)
			}
			return nil
		}
	}
	return nil
}

// interrupt withdraws what is held, and reports whether anything was.
func (c *channel) interrupt() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.withdraw == nil {
		return false
	}
	c.withdraw()
	return true
}

// request answers one request of the client. An error ends the session.
func (c *channel) request(r *ssh.Request) error {
	switch r.Type {
	case "shell", "exec", "subsystem":
		if !c.is(idle) {
			reply(r, false, nil)
			return nil
		}
		return c.start(r)
	case "env":
		c.setEnv(r)
	case "pty-req":
		c.setPty(r)
	case "window-change":
		c.resize(r)
	case "signal", "break", "eow@openssh.com", "xon-xoff":
		c.forward(r)
	case agentRequest:
		c.lendAgent(r)
	default: // x11-req ...
		c.s.srv.log.Info("a request of this type does not go through the gateway", "session", c.s.ps.Info().ID, "type", r.Type)
		reply(r, false, nil)
	}
	return nil
}

// forward passes a request on and its answer back.
func (c *channel) forward(r *ssh.Request) {
	if !r.WantReply {
		_, _ = c.target.SendRequest(r.Type, false, r.Payload)
		return
	}
	ok, err := c.calls.request(c.target, r.Type, r.Payload)
	if errors.Is(err, errSilent) {
		c.silent(r, err)
		return
	}
	reply(r, ok, nil)
}

// resize passes a window's new size on, and tells the steps.
func (c *channel) resize(r *ssh.Request) {
	var v struct{ Columns, Rows, Width, Height uint32 }
	if ssh.Unmarshal(r.Payload, &v) != nil {
		reply(r, false, nil)
		return
	}
	c.mu.Lock()
	x := c.x
	if c.term != nil && x == nil {
		c.term = &protocol.Terminal{Type: c.term.Type, Columns: int(v.Columns), Rows: int(v.Rows)}
	}
	c.mu.Unlock()
	if x != nil {
		if err := x.Resize(int(v.Columns), int(v.Rows)); err != nil {
			_ = c.broken(&tapError{err})
			return
		}
	}
	if c.lines != nil {
		c.lines.resize(int(v.Columns), int(v.Rows))
	}
	c.forward(r)
}

func (c *channel) setEnv(r *ssh.Request) {
	var v struct{ Name, Value string }
	if !c.is(idle) || ssh.Unmarshal(r.Payload, &v) != nil || c.env+len(r.Payload) > maxEnv || strings.ContainsAny(v.Name, "=\x00") || strings.Contains(v.Value, "\x00") || !c.mayEnv(v.Name) {
		reply(r, false, nil)
		return
	}
	c.env += len(r.Payload)
	if runsOthers(v.Name) {
		c.why = "the client sets " + v.Name + ", by which other programs may run"
	}
	c.local = c.local || !unicodeLocale(v.Name, v.Value)
	c.state = append(c.state, "env "+strconv.Quote(v.Name)+"="+strconv.Quote(v.Value))
	c.forward(r)
}

// unicodeLocale reports whether text is read as UTF-8 where a variable has this
// value. In some encodings a backslash or a quote is the second half of a
// character.
func unicodeLocale(name, value string) bool {
	if name != "LANG" && name != "LC_ALL" && name != "LC_CTYPE" {
		return true
	}
	v, _, _ := strings.Cut(strings.ToLower(value), "@") // a modifier
	return v == "" || v == "c" || v == "posix" || strings.HasSuffix(v, ".utf-8") || strings.HasSuffix(v, ".utf8")
}

func (c *channel) mayEnv(name string) bool {
	for _, p := range c.s.env {
		if ok, _ := path.Match(p, name); ok { // patterns were checked
			return true
		}
	}
	return false
}

func (c *channel) setPty(r *ssh.Request) {
	var v struct {
		Term                         string
		Columns, Rows, Width, Height uint32
		Modes                        string
	}
	if !c.is(idle) || c.pty || c.s.limits.noPty || ssh.Unmarshal(r.Payload, &v) != nil || c.env+len(r.Payload) > maxEnv {
		reply(r, false, nil)
		return
	}
	c.env += len(r.Payload)
	var err error
	if c.pty, err = c.calls.request(c.target, r.Type, r.Payload); errors.Is(err, errSilent) {
		c.silent(r, err)
		return
	}
	if c.pty {
		c.state = append(c.state, "pty "+strconv.Quote(v.Term))
		c.term = &protocol.Terminal{Type: v.Term, Columns: int(v.Columns), Rows: int(v.Rows)}
	}
	reply(r, c.pty, nil)
}

// operation returns what a request asks for. nil: it cannot be read.
func (c *channel) operation(r *ssh.Request) *protocol.Operation {
	var v struct{ Text string }
	if r.Type != "shell" && (ssh.Unmarshal(r.Payload, &v) != nil || len(v.Text) > maxText || strings.Contains(v.Text, "\x00")) {
		return nil // a target in C would end the text at the NUL
	}
	state := c.state
	kind := r.Type
	if forced := c.s.limits.command; forced != "" {
		state = append(state, "in place of "+kind+" "+strconv.Quote(v.Text))
		kind, v.Text = "exec", forced
	}
	var op *protocol.Operation
	switch kind {
	case "shell":
		op = &protocol.Operation{Verb: Shell, Access: protocol.Execute | protocol.Opaque,
			Why: "what is typed into a shell is known when it has run"}
	case "exec":
		op = analyze(v.Text)
	default:
		op = &protocol.Operation{Verb: Subsystem, Text: v.Text, Access: protocol.Execute | protocol.Opaque,
			Objects: []protocol.Object{{Kind: "subsystem", Name: v.Text, Access: protocol.Execute}}, Why: "a subsystem that the gateway does not know"}
		if v.Text == "sftp" { // what is done through it is asked about one by one
			op.Access, op.Why, op.Objects = protocol.Control, "", nil
		}
	}
	switch {
	case c.why != "":
		op.Access |= protocol.Opaque
		op.Why = c.why
	case c.local && strings.IndexFunc(v.Text, func(r rune) bool { return r > 0x7e }) >= 0:
		op.Access |= protocol.Opaque
		op.Why = "the client sets another encoding than UTF-8, in which it may be another text"
	}
	op.Terminal = c.term
	op.State, op.Shape = strings.Join(state, "\n"), protocol.Bytes
	if isSFTP(op) {
		op.Shape = 0
	}
	return op
}

// isSFTP reports whether op is the subsystem whose messages the gateway reads, and
// asks about one by one.
func isSFTP(op *protocol.Operation) bool { return op.Verb == Subsystem && op.Text == "sftp" }

// start asks about a shell, command or subsystem and, once it is allowed, starts
// it at the target and its streams.
func (c *channel) start(r *ssh.Request) error {
	op := c.operation(r)
	if op == nil {
		reply(r, false, nil)
		return nil
	}
	if c.pty && c.notes != "" {
		_, _ = c.stderr.Write([]byte(c.notes))
	}
	x, err := c.s.ps.Begin(c.asking, op)
	if err == nil && op.Rewritten() != "" {
		err = protocol.ErrFixed
		x.End(protocol.Outcome{Status: protocol.StatusError, Err: err})
	}
	if err != nil {
		c.refuse(r, err)
		return nil
	}
	taps, err := c.taps(x)
	if err != nil {
		x.End(protocol.Outcome{Status: protocol.StatusError, Err: err})
		c.refuse(r, err)
		return nil
	}
	if op.Verb == Shell && c.term != nil && c.s.lines {
		c.lines = newLines(c, c.term)
		c.lines.taps(&taps)
	}
	kind, payload := r.Type, r.Payload
	if c.s.limits.command != "" {
		kind, payload = "exec", ssh.Marshal(struct{ Text string }{op.Text})
	}
	c.enter(starting, x)
	ok, err := c.calls.request(c.target, kind, payload)
	if errors.Is(err, errSilent) { // it may run
		x.End(protocol.Outcome{Status: protocol.StatusUnknown, Err: targetSilent(err)})
		c.silent(r, err)
		return nil
	}
	if err != nil || !ok {
		c.enter(idle, nil)
		x.End(protocol.Outcome{Status: protocol.StatusFailed, Tag: "the target refused the request"})
		reply(r, false, nil)
		return nil
	}
	reply(r, true, nil)
	if isSFTP(op) {
		c.files = newSFTP(c)
	}
	c.relay(x, taps)
	return nil
}

// refuse tells the client, as a command would that failed, and closes the
// channel. A subsystem is refused as such: its client expects no text.
func (c *channel) refuse(r *ssh.Request, err error) {
	defer c.enter(done, nil) // the client's side is closed behind it
	c.s.note(err)
	_, _ = c.stderr.Write([]byte(refusal(err, c.nl())))
	if r.Type == "subsystem" {
		reply(r, false, nil)
		_ = c.client.Close()
		return
	}
	reply(r, true, nil)
	c.exit(exitRefused)
}

// silent ends the channel of a target that has not answered r in time.
func (c *channel) silent(r *ssh.Request, err error) {
	c.s.srv.log.Warn("the target does not answer", "session", c.s.ps.Info().ID, "type", r.Type)
	switch err = targetSilent(err); r.Type {
	case "shell", "exec", "subsystem":
		c.refuse(r, err)
	default:
		reply(r, false, nil)
		c.refuse(&ssh.Request{}, err)
	}
	_ = c.target.Close()
}

// exit ends the client's channel with an exit status.
func (c *channel) exit(status uint32) {
	_, _ = c.client.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{status}))
	_ = c.client.CloseWrite()
	_ = c.client.Close()
}

// taps are what looks at a channel's streams; nil where nothing does.
type taps struct{ in, inErr, out, err protocol.BytesFunc }

func (c *channel) taps(x *protocol.Exchange) (t taps, err error) {
	if x.Plain() || isSFTP(x.Operation()) {
		return t, nil
	}
	in, out := "stdin", "stdout"
	if c.pty {
		in, out = "pty", "pty"
	}
	for _, s := range []struct {
		f      *protocol.BytesFunc
		stream protocol.Stream
	}{{&t.in, protocol.Stream{Name: in, In: true}}, {&t.inErr, protocol.Stream{Name: "stderr", In: true}},
		{&t.out, protocol.Stream{Name: out}}, {&t.err, protocol.Stream{Name: "stderr"}}} {
		if *s.f, err = x.Bytes(s.stream); err != nil {
			return t, err
		}
	}
	return t, nil
}
