package protocoltest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
)

// toy is a connector for the line protocol of examples/customconnector, with
// cancelling over a second connection, and with bugs to order: the kit has to
// find each. For a good connector read the example, not this.
type toy struct {
	bug  string
	form form

	mu    sync.Mutex
	held  map[string]context.CancelFunc // by cancel key
	keys  int
	stuck chan struct{} // ends what the bugs leave behind

	lock    sync.Mutex // bug "one lock"
	scratch []byte     // bug "shared buffer"
}

func newToy(bug string) *toy {
	return &toy{bug: bug, held: map[string]context.CancelFunc{}, stuck: make(chan struct{})}
}

func (s *toy) Name() string { return "toy" }

const toyRow = 16 << 20

func toyLine(r *bufio.Reader, limit int) ([]byte, error) {
	var line []byte
	for {
		b, err := r.ReadSlice('\n')
		if line = append(line, b...); len(line) > limit {
			return nil, errors.New("too long")
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return bytes.TrimSuffix(line, []byte("\n")), err
		}
	}
}

type toyConn struct {
	s      *toy
	c, t   net.Conn
	cr, tr *bufio.Reader
	cw     *bufio.Writer
	key    string

	mu          sync.Mutex
	idle, drain bool
}

func (c *toyConn) say(format string, args ...any) error {
	fmt.Fprintf(c.cw, format+"\n", args...)
	return c.cw.Flush()
}

func (s *toy) ServeConn(ctx context.Context, conn net.Conn, h protocol.Handler) error {
	conn = s.form.wire(conn)
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	if s.bug != "deaf to context" {
		defer stop()
	} else {
		stop()
	}
	c := &toyConn{s: s, c: conn, cr: bufio.NewReader(conn), cw: bufio.NewWriter(conn)}
	limit := 4 << 10
	if s.bug == "endless login line" {
		limit = 1 << 40
	}
	if s.bug == "one read is one line" {
		b := make([]byte, 4<<10)
		n, err := conn.Read(b)
		if err != nil {
			return err
		}
		c.cr = bufio.NewReader(io.MultiReader(bytes.NewReader(append(bytes.TrimSuffix(b[:n:n], []byte("\n")), '\n')), conn))
	}
	line, err := toyLine(c.cr, limit)
	if err != nil {
		if s.bug == "waits forever" {
			<-s.stuck
		}
		return err
	}
	f := strings.Split(string(line), " ")
	if f[0] == "CANCEL" && len(f) == 2 {
		s.cancel(f[1])
		return nil
	}
	if s.bug == "believes a length" && f[0] != "LOGIN" {
		_ = append([]byte(nil), make([]byte, 64<<20)...)
	}
	if s.bug != "panics on short login" && (len(f) != 4 || f[0] != "LOGIN") {
		return errors.Join(errors.New("not a login"), c.say("ERR not a login"))
	}
	login := &protocol.Login{Protocol: "toy", Resource: f[1], User: f[2], Remote: conn.RemoteAddr(),
		Proof: protocol.Password{Secret: protocol.NewSecret(f[3])}, WhileHeld: c.whileHeld}
	if s.form == keys {
		login.Proof = protocol.PublicKey{Algorithm: "toy", Fingerprint: f[3]}
	}
	if s.bug == "accepts all" && f[1] == targetName && s.form == keys {
		login.Proof = protocol.PublicKey{Algorithm: "toy", Fingerprint: "good-key"}
	} else if s.bug == "accepts all" && f[1] == targetName {
		login.Proof = protocol.Password{Secret: protocol.NewSecret(s.knownProof(f[3]))}
	}
	sess, err := h.Open(ctx, login)
	if err != nil {
		return errors.Join(err, c.say("ERR %s", protocol.Reason(err)))
	}
	if s.bug == "no session close" {
		return c.serve(sess, f[3])
	}
	if s.bug == "no guard" {
		defer sess.Close(nil)
		return c.serve(sess, f[3])
	}
	err = protocol.Guard(func() error { return c.serve(sess, f[3]) })
	if s.bug == "survives panics" {
		var p *protocol.PanicError
		for errors.As(err, &p) {
			_ = c.say("ERR again")
			err = protocol.Guard(func() error { return c.loop(sess) })
		}
	}
	sess.Close(err)
	return err
}

var goodProof sync.Map // of toy: the last proof that was accepted; for "accepts all"

func (s *toy) knownProof(p string) string {
	if strings.HasPrefix(p, "client-proof-") {
		goodProof.Store(s, p)
	}
	if g, ok := goodProof.Load(s); ok {
		return g.(string)
	}
	return p
}

func (s *toy) cancel(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.held[key]; f != nil && s.bug != "ignores cancel" {
		f()
	}
}

func (c *toyConn) whileHeld(ctx context.Context, _ protocol.Waiting, wait func(context.Context) error) error {
	if c.s.bug == "does not watch" {
		return wait(ctx)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.s.mu.Lock()
	c.s.held[c.key] = cancel
	c.s.mu.Unlock()
	defer func() {
		c.s.mu.Lock()
		delete(c.s.held, c.key)
		c.s.mu.Unlock()
	}()
	return protocol.While(ctx, c.c, c.cr, wait)
}

func (c *toyConn) serve(sess *protocol.Session, proof string) error {
	ctx := sess.Context()
	cred, err := sess.Credentials(ctx)
	if err != nil {
		return err
	}
	if c.t, err = sess.Dial(ctx); err != nil {
		return errors.Join(err, c.say("ERR %s", protocol.FixedReason))
	}
	c.t = c.s.form.wire(c.t)
	if c.s.bug != "leaves target open" {
		defer c.t.Close()
	}
	if c.s.bug != "deaf to context" {
		stop := context.AfterFunc(ctx, func() { c.c.Close(); c.t.Close() })
		defer stop()
	}
	if c.s.bug == "leaks a goroutine" {
		go func() { <-c.s.stuck }()
	}
	if c.s.bug != "ignores drain" {
		sess.Go(func() error {
			select {
			case <-sess.Draining():
				c.mu.Lock()
				defer c.mu.Unlock()
				if c.drain = true; c.idle || c.s.bug == "drains at once" {
					c.c.SetReadDeadline(time.Unix(1, 0))
				}
			case <-ctx.Done():
			}
			return nil
		})
	}
	c.tr = bufio.NewReader(c.t)
	user := cred.User
	if c.s.bug == "proof to target" {
		user += " " + proof
	}
	fmt.Fprintf(c.t, "LOGIN - %s %s\n", user, cred.Secret.Reveal())
	answer, err := toyLine(c.tr, 4<<10)
	if err == nil && string(answer) != "OK" {
		err = errors.New("target refused the login")
		if c.s.bug == "shows target's refusal" {
			return errors.Join(err, c.say("ERR %s", answer))
		}
	}
	if err != nil {
		return errors.Join(err, c.say("ERR %s", protocol.FixedReason))
	}
	c.s.mu.Lock()
	c.s.keys++
	c.key = fmt.Sprint("key", c.s.keys)
	c.s.mu.Unlock()
	if err := c.say("OK %s", c.key); err != nil {
		return err
	}
	return c.loop(sess)
}

func (c *toyConn) next() (string, error) {
	c.mu.Lock()
	c.idle = true
	if c.drain {
		c.mu.Unlock()
		return "", io.EOF
	}
	c.mu.Unlock()
	line, err := toyLine(c.cr, 1<<20)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.idle = false; c.drain && err != nil {
		return "", io.EOF
	}
	return string(line), err
}

func (c *toyConn) loop(sess *protocol.Session) error {
	ctx := sess.Context()
	for {
		text, err := c.next()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return err
		}
		op := &protocol.Operation{Verb: "get", Text: text, Access: protocol.Read, Pure: true, Shape: c.s.form.shape()}
		if !strings.HasPrefix(text, "GET ") {
			op.Verb, op.Access, op.Pure, op.Shape = "set", protocol.Write, false, 0
		}
		switch c.s.bug {
		case "writes are pure":
			op.Access, op.Pure = protocol.Read, true
		case "tidies the text":
			op.Text = strings.ToLower(text)
		case "sends before asking":
			fmt.Fprintf(c.t, "%s\n", text)
		}
		if c.s.bug == "one lock" {
			c.s.lock.Lock()
		}
		err = c.one(ctx, sess, op)
		if c.s.bug == "one lock" {
			c.s.lock.Unlock()
		}
		if err != nil {
			return err
		}
	}
}

// one asks for an operation and runs it.
func (c *toyConn) one(ctx context.Context, sess *protocol.Session, op *protocol.Operation) error {
	ops := []*protocol.Operation{op}
	err := sess.Ask(ctx, ops)
	if c.s.bug == "answers for the steps" && err != nil {
		return c.say("END")
	}
	if err != nil {
		switch c.s.bug {
		case "hangs up on denial":
			return errors.Join(err, c.say("ERR %s", protocol.Reason(err)))
		case "shows all errors":
			return c.say("ERR %s", err)
		case "hides reasons":
			return c.say("ERR no")
		}
		return c.say("ERR %s", protocol.Reason(err))
	}
	x := op.Exchange()
	send := func() {
		text := op.Text
		if rw := op.Rewritten(); rw != "" && c.s.bug != "ignores rewrites" {
			text = rw
		}
		if c.s.bug != "sends before asking" {
			fmt.Fprintf(c.t, "%s\n", text)
		}
	}
	if c.s.bug == "sends before the record" {
		send()
	}
	err = sess.Commit(ctx, protocol.BeforeSend, ops)
	if err == nil && c.s.bug != "releases before the record" {
		err = sess.Commit(ctx, protocol.BeforeRelease, ops)
	}
	if err != nil && c.s.bug != "ignores record errors" {
		x.End(protocol.Outcome{Status: protocol.StatusError, Err: err})
		return c.say("ERR %s", protocol.Reason(err))
	}
	if c.s.bug != "sends before the record" {
		send()
	}
	out, err := c.result(x)
	if c.s.bug == "releases before the record" {
		_ = sess.Commit(ctx, protocol.BeforeRelease, ops)
	}
	switch c.s.bug {
	case "no end":
	case "always ok":
		x.End(protocol.Outcome{Status: protocol.StatusOK})
	default:
		x.End(out)
	}
	return err
}

func (c *toyConn) result(x *protocol.Exchange) (out protocol.Outcome, err error) {
	out.Status = protocol.StatusUnknown
	var row protocol.RowFunc
	var sampling *protocol.Sampling
	var held [][][]byte // while they are sampled
	release := func() error {
		sampling = nil
		for _, v := range held {
			if err := row(v); err != nil {
				return err
			}
			if err := toyEncode(c.cw, v); err != nil {
				return err
			}
		}
		held = nil
		return nil
	}
	var chunk protocol.BytesFunc // in place of row, for streams
	var kept [][][]byte
	var all bytes.Buffer // bug "whole result"
	defer func() {
		_, _ = c.cw.Write(all.Bytes())
		c.cw.Flush()
	}()
	for {
		if c.tr.Buffered() == 0 && c.s.bug != "whole result" {
			if err := c.cw.Flush(); err != nil {
				if c.s.bug == "ignores its client" {
					c.cw = bufio.NewWriter(io.Discard)
					continue
				}
				return out, err
			}
		}
		if len(held) > 0 && c.s.bug != "holds rows for long" {
			_ = c.t.SetReadDeadline(sampling.Until())
		}
		kind, err := c.tr.Peek(4)
		if len(held) > 0 {
			_ = c.t.SetReadDeadline(time.Time{})
		}
		if sampling != nil && (err != nil || string(kind) != "ROW ") {
			if err := release(); err != nil {
				return out, errors.Join(err, c.say("ERR %s", protocol.Reason(err)))
			}
			continue
		}
		if err != nil {
			switch c.s.bug {
			case "cut result looks complete":
				return out, c.say("END")
			case "hangs on cut result":
				<-c.s.stuck
			case "cut result is ok":
				out.Status = protocol.StatusOK
			}
			return out, errors.Join(err, c.say("ERR the target went away"))
		}
		k := string(kind)
		if k == "ROW " && row == nil && chunk == nil { // raw
			out.Rows++
			w := io.Writer(c.cw)
			if c.s.bug == "whole result" {
				w = &all
			}
			if c.s.bug == "shared buffer" {
				line, err := toyLine(c.tr, toyRow)
				if err != nil {
					return out, err
				}
				c.s.mu.Lock()
				c.s.scratch = append(c.s.scratch[:0], line...)
				c.s.mu.Unlock()
				time.Sleep(time.Millisecond)
				c.s.mu.Lock()
				c.cw.Write(append(c.s.scratch, '\n'))
				c.s.mu.Unlock()
				continue
			}
			for {
				b, err := c.tr.ReadSlice('\n')
				w.Write(b)
				if err == nil {
					break
				}
				if !errors.Is(err, bufio.ErrBufferFull) {
					return out, err
				}
			}
			continue
		}
		line, err := toyLine(c.tr, toyRow)
		if err != nil {
			return out, err
		}
		switch k {
		case "COLS":
			if len(line) < 5 && c.s.bug != "believes its target" {
				return out, errors.New("nonsense")
			}
			var cols []protocol.Column
			for n := range strings.SplitSeq(string(line[5:]), "\t") {
				cols = append(cols, protocol.Column{Name: n})
			}
			switch {
			case x.Operation().Shape == 0 && c.s.bug == "believes its analysis":
			case c.s.form == streams:
				chunk, err = x.Bytes(protocol.Stream{Name: "out"})
			default:
				row, err = x.Rows(cols)
				if sampling = x.Sample(); c.s.bug == "samples nothing" {
					sampling = nil
				}
			}
			if err != nil {
				return out, errors.Join(err, c.say("ERR %s", protocol.Reason(err)))
			}
			if c.s.bug == "renames columns" {
				line = bytes.ToUpper(line)
			}
			fmt.Fprintf(c.cw, "%s\n", line)
		case "ROW ":
			out.Rows++
			values := toyDecode(line[4:])
			before := fmt.Sprintf("%s\n", line)
			if chunk != nil {
				if c.s.bug == "shows what a tap refused" {
					all.WriteString(before)
				}
				row = func(v [][]byte) (err error) { v[0], err = chunk(v[0], false); return err }
			}
			if sampling != nil && !sampling.Fits(len(line)) {
				if err := release(); err != nil {
					return out, errors.Join(err, c.say("ERR %s", protocol.Reason(err)))
				}
			}
			if sampling != nil && c.s.bug != "samples what it shows" {
				held = append(held, values)
				if sampling.Add(values, len(line)) && c.s.bug != "samples too much" {
					if err := release(); err != nil {
						return out, errors.Join(err, c.say("ERR %s", protocol.Reason(err)))
					}
				}
				continue
			}
			if sampling != nil {
				sampling.Add(values, len(line))
			}
			if err := row(values); err != nil {
				if c.s.bug == "shows what a tap refused" {
					c.cw.WriteString(before)
				}
				return out, errors.Join(err, c.say("ERR %s", protocol.Reason(err)))
			}
			switch c.s.bug {
			case "ignores taps":
				c.cw.WriteString(before)
			case "keeps rows":
				kept = append(kept, values)
			default:
				if chunk != nil && len(values[0]) == 0 {
					break // held back
				}
				if err := toyEncode(c.cw, values); err != nil {
					return out, err
				}
			}
		case "END\n":
			if chunk != nil && c.s.bug != "forgets what was held back" {
				b, err := chunk(nil, true)
				if c.s.bug == "tells ends twice" {
					_, _ = chunk(nil, true)
				}
				if err != nil {
					return out, errors.Join(err, c.say("ERR %s", protocol.Reason(err)))
				}
				if len(b) > 0 {
					toyEncode(c.cw, [][]byte{b})
				}
			}
			for _, v := range kept {
				toyEncode(c.cw, v)
			}
			out.Status = protocol.StatusOK
			if chunk != nil {
				all.Reset()
			}
			fmt.Fprintf(&all, "%s\n", line)
			return out, nil
		case "ERR ":
			m := &protocol.Message{Kind: protocol.ErrorMessage, Text: string(line[4:])}
			if c.s.bug != "errors pass by" {
				if err := x.Text(m); err != nil {
					return out, err
				}
			}
			out.Status = protocol.StatusFailed
			return out, c.say("ERR %s", m.Text)
		default:
			if c.s.bug == "believes its target" {
				panic("nonsense")
			}
			return out, errors.New("nonsense")
		}
	}
}

var (
	toyEscape   = strings.NewReplacer("\t", `\t`, "\n", `\n`, `\`, `\\`)
	toyUnescape = strings.NewReplacer(`\t`, "\t", `\n`, "\n", `\\`, `\`)
)

func toyDecode(line []byte) (values [][]byte) {
	for v := range bytes.SplitSeq(line, []byte("\t")) {
		if string(v) == `\N` {
			values = append(values, nil)
		} else {
			values = append(values, []byte(toyUnescape.Replace(string(v))))
		}
	}
	return values
}

func toyEncode(w *bufio.Writer, values [][]byte) error {
	for i, v := range values {
		w.WriteString([]string{"ROW ", "\t"}[min(i, 1)])
		if v == nil {
			w.WriteString(`\N`)
		} else {
			toyEscape.WriteString(w, string(v))
		}
	}
	return w.WriteByte('\n') // an error stays, so this is that of all
}

// toyClient and serveToy are the other ends.
type toyClient struct {
	conn net.Conn
	r    *bufio.Reader
	l    Login
	key  string
}

func newToyClient(conn net.Conn, l Login) (Client, error) {
	c := &toyClient{conn: conn, r: bufio.NewReader(conn), l: l}
	fmt.Fprintf(conn, "LOGIN %s %s %s\n", l.Target, l.User, l.Proof)
	answer, err := c.r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	ok, key, _ := strings.Cut(strings.TrimSpace(answer), " ")
	if ok != "OK" {
		return nil, errors.New(answer)
	}
	c.key = key
	return c, nil
}

func (c *toyClient) Do(text string, row func([][]byte) error) error {
	if _, err := fmt.Fprintf(c.conn, "%s\n", text); err != nil {
		return err
	}
	for {
		line, err := c.r.ReadBytes('\n')
		if err != nil {
			return err
		}
		kind, rest, _ := bytes.Cut(line[:len(line)-1], []byte(" "))
		switch string(kind) {
		case "COLS":
		case "ROW":
			if err := row(toyDecode(rest)); err != nil {
				return err
			}
		case "END":
			return nil
		case "ERR":
			return &ReplyError{string(rest)}
		default:
			return fmt.Errorf("server said %q", line)
		}
	}
}

func (c *toyClient) Close() error { return c.conn.Close() }

func (c *toyClient) Cancel() error {
	conn, err := c.l.Dial()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(conn, "CANCEL %s\n", c.key)
	return errors.Join(err, conn.Close())
}

func serveToy(conn net.Conn, t *Target) error {
	r, w := bufio.NewReader(conn), bufio.NewWriter(conn)
	login, err := r.ReadString('\n')
	if err != nil {
		return err
	}
	f := strings.Fields(login)
	a := t.Account()
	if len(f) < 4 || f[2] != a.User || f[len(f)-1] != a.Secret.Reveal() {
		fmt.Fprintf(conn, "ERR wrong: %s", login)
		return nil
	}
	fmt.Fprint(conn, "OK\n")
	for {
		text, err := r.ReadString('\n')
		if err != nil {
			return err
		}
		reply := t.Do(strings.TrimSuffix(text, "\n"))
		if reply.Err != "" {
			fmt.Fprintf(w, "ERR %s\n", reply.Err)
		} else {
			if reply.Columns != nil {
				fmt.Fprintf(w, "COLS %s\n", strings.Join(reply.Columns, "\t"))
				for values, err := range reply.Rows {
					if err != nil {
						return w.Flush()
					}
					toyEncode(w, values)
					if err := w.Flush(); err != nil {
						return err
					}
				}
			}
			fmt.Fprint(w, "END\n")
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
}

func toyKit(s *toy) Kit {
	return Kit{
		NewServer: func() protocol.Server { return s }, NewClient: s.form.client, ServeTarget: s.form.target,
		Read: func(tag string) string { return "GET " + tag }, Write: func(tag string) string { return "SET " + tag },
		Shape: s.form.shape(), Encrypted: s.form == encrypted, Knows: s.form.knows(),
	}
}
