package line

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
)

var errNonsense = errors.New("line: the target does not speak this protocol")

// target is the side towards the target.
type target struct {
	conn net.Conn
	r    *bufio.Reader
}

// dialTarget logs in at the target with the gateway's own credentials.
func dialTarget(ctx context.Context, sess *protocol.Session) (_ *target, err error) {
	cred, err := sess.Credentials(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := sess.Dial(ctx)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	t := &target{conn, bufio.NewReaderSize(conn, bufSize)}
	if _, err = fmt.Fprintf(conn, "LOGIN - %s %s\n", cred.User, cred.Secret.Reveal()); err == nil {
		var answer []byte
		if answer, err = readLine(t.r, maxLogin); err == nil && string(answer) != "OK" {
			err = errors.New("line: the target refused the gateway's login") // its text may quote the secret
		}
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return t, nil
}

// run sends what was allowed and brings back the answer. An error means that
// the session cannot go on.
func run(x *protocol.Exchange, c *client, t *target) (out protocol.Outcome, err error) {
	out.Status = protocol.StatusUnknown
	text := x.Operation().Text
	if rw := x.Operation().Rewritten(); rw != "" {
		if text = rw; strings.ContainsAny(rw, "\r\n") {
			return protocol.Outcome{Status: protocol.StatusError, Err: protocol.ErrFixed}, c.fail(protocol.FixedReason)
		}
	}
	if _, err := t.conn.Write([]byte(text + "\n")); err != nil {
		return out, errors.Join(err, c.fail("the target went away"))
	}
	var rows result
	for {
		if t.r.Buffered() == 0 { // about to wait for the target: show what there is
			if err := c.w.Flush(); err != nil {
				return out, err
			}
		}
		kind, err := rows.peek(t)
		if rows.sampling != nil && (err != nil || string(kind) != "ROW ") { // also if they have been held for long enough
			if err := rows.release(c); err != nil {
				return out, errors.Join(err, c.fail(protocol.Reason(err)))
			}
			continue
		}
		if err != nil {
			return out, errors.Join(err, c.fail("the target went away"))
		}
		switch string(kind) {
		case "COLS":
			rows, err = header(x, c, t)
		case "ROW ":
			out.Rows++
			if rows.f == nil {
				err = copyLine(c.w, t.r)
			} else {
				err = rows.next(c, t)
			}
		case "END\n":
			out.Status = protocol.StatusOK
			return out, errors.Join(copyLine(c.w, t.r), c.w.Flush())
		case "ERR ":
			m := &protocol.Message{Kind: protocol.ErrorMessage}
			line, err := readLine(t.r, maxStatement)
			if err != nil {
				return out, err
			}
			m.Text = string(line[len("ERR "):])
			if err := x.Text(m); err != nil {
				return out, errors.Join(err, c.fail(protocol.Reason(err)))
			}
			out.Status = protocol.StatusFailed
			return out, c.fail(m.Text)
		default:
			err = errNonsense
		}
		if err != nil {
			out.Err = err
			return out, errors.Join(err, c.fail(protocol.Reason(err)))
		}
	}
}

// A result is the rows of one, on their way through the steps.
type result struct {
	f        protocol.RowFunc   // nil: nobody looks at them
	sampling *protocol.Sampling // nil: none is held
	held     [][][]byte
}

func header(x *protocol.Exchange, c *client, t *target) (r result, err error) {
	line, err := readLine(t.r, maxStatement)
	if err != nil {
		return r, err
	}
	names, ok := strings.CutPrefix(string(line), "COLS ")
	if !ok {
		return r, errNonsense
	}
	var cols []protocol.Column
	for name := range strings.SplitSeq(names, "\t") {
		cols = append(cols, protocol.Column{Name: name, TypeName: "text"})
	}
	if r.f, err = x.Rows(cols); err != nil {
		return r, err
	}
	r.sampling = x.Sample()
	_, _ = c.w.Write(append(line, '\n'))
	return r, nil
}

// peek waits for what the target sends next, but not for longer than rows may be
// held.
func (r *result) peek(t *target) ([]byte, error) {
	if len(r.held) > 0 {
		_ = t.conn.SetReadDeadline(r.sampling.Until())
		defer func() { _ = t.conn.SetReadDeadline(time.Time{}) }()
	}
	return t.r.Peek(4)
}

// release shows the rows that are held, and from here on none is.
func (r *result) release(c *client) error {
	for _, values := range r.held {
		if err := show(r.f, values, c); err != nil {
			return err
		}
	}
	r.sampling, r.held = nil, nil
	return nil
}

// copyLine forwards a line of any length that nobody looks at.
func copyLine(w *bufio.Writer, r *bufio.Reader) error {
	for {
		b, err := r.ReadSlice('\n')
		if _, werr := w.Write(b); werr != nil {
			return werr
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}

var (
	escape   = strings.NewReplacer("\t", `\t`, "\n", `\n`, "\r", `\r`, `\`, `\\`)
	unescape = strings.NewReplacer(`\t`, "\t", `\n`, "\n", `\r`, "\r", `\\`, `\`)
)

// next reads a row and shows or holds it.
func (r *result) next(c *client, t *target) error {
	line, err := readLine(t.r, maxRow)
	if err != nil {
		return err
	}
	if r.sampling != nil && !r.sampling.Fits(len(line)) {
		if err := r.release(c); err != nil {
			return err
		}
	}
	if r.sampling == nil {
		return show(r.f, decode(line), c)
	}
	values := decode(line)
	r.held = append(r.held, values)
	if r.sampling.Add(values, len(line)) {
		return r.release(c)
	}
	return nil
}

func decode(line []byte) [][]byte {
	var values [][]byte
	for v := range bytes.SplitSeq(line[len("ROW "):], []byte("\t")) {
		if string(v) == `\N` {
			v = nil
		} else if bytes.IndexByte(v, '\\') >= 0 {
			v = []byte(unescape.Replace(string(v)))
		}
		values = append(values, v)
	}
	return values
}

// show shows a row to the steps and writes what they made of it.
func show(row protocol.RowFunc, values [][]byte, c *client) error {
	if err := row(values); err != nil {
		return err
	}
	sep := "ROW "
	for _, v := range values {
		_, _ = c.w.WriteString(sep)
		sep = "\t"
		if v == nil {
			_, _ = c.w.WriteString(`\N`)
		} else if _, err := escape.WriteString(c.w, string(v)); err != nil {
			return err
		}
	}
	return c.w.WriteByte('\n')
}
