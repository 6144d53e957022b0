// Package line is a connector for an invented database that speaks one line at
// a time. It is the example to start from when writing a connector: everything
// that the rules in package protocol ask for is here, and little else.
//
//	C: LOGIN <target> <user> <password>      S: OK            or ERR <text>
//	C: GET fruit                             S: COLS name\tprice
//	                                            ROW apple\t3  (any number of rows)
//	                                            END           or ERR <text>
//
// Values are tab-separated; \N is NULL, and \t, \n, \r and \\ stand for
// themselves.
package line

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/sallyport-dev/gateway/protocol"
)

// Server is the connector. The zero value is ready to use.
type Server struct{}

// Name implements [protocol.Server].
func (*Server) Name() string { return "line" }

// ServeConn implements [protocol.Server].
func (*Server) ServeConn(ctx context.Context, conn net.Conn, h protocol.Handler) error {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	c := &client{conn: conn, r: bufio.NewReaderSize(conn, bufSize), w: bufio.NewWriterSize(conn, bufSize)}

	login, err := c.handshake() // as far as the proof; nothing goes to the target yet
	if err != nil {
		return err
	}
	sess, err := h.Open(ctx, login)
	if err != nil {
		return errors.Join(err, c.fail(protocol.Reason(err)))
	}
	// Guard, so that after a panic the session's record says so.
	err = protocol.Guard(func() error { return serve(sess, c) })
	sess.Close(err)
	return err
}

func serve(sess *protocol.Session, c *client) error {
	ctx := sess.Context()
	t, err := dialTarget(ctx, sess)
	if err != nil {
		return errors.Join(err, c.fail(protocol.FixedReason))
	}
	defer t.conn.Close()
	// A revocation or a shutdown must end reads and writes that are under way.
	stop := context.AfterFunc(ctx, func() { _, _ = c.conn.Close(), t.conn.Close() })
	defer stop()
	if err := c.say("OK"); err != nil {
		return err
	}
	for {
		text, err := c.next(sess)
		if errors.Is(err, io.EOF) {
			return nil // the client has left, or the session drains
		}
		if err != nil {
			return err
		}
		x, err := sess.Begin(ctx, operation(text))
		if err != nil {
			if err := c.fail(protocol.Reason(err)); err != nil {
				return err
			}
			continue
		}
		out, err := run(x, c, t)
		x.End(out)
		if err != nil {
			return err
		}
	}
}

// operation says what a line does. What is not understood is Opaque: the worst
// is assumed.
func operation(text string) *protocol.Operation {
	op := &protocol.Operation{Verb: protocol.Unknown, Text: text, Access: protocol.Opaque, Shape: protocol.Rows, Why: "not a command of this protocol"}
	verb, object, ok := strings.Cut(text, " ")
	switch {
	case ok && verb == "GET":
		op.Verb, op.Access, op.Pure, op.Why = "get", protocol.Read, true, ""
	case ok && verb == "SET":
		op.Verb, op.Access, op.Why = "set", protocol.Write, ""
	default:
		return op
	}
	op.Objects = []protocol.Object{{Kind: "record", Name: object, Access: op.Access}}
	return op
}

// client is the side towards the client.
type client struct {
	conn net.Conn
	r    *bufio.Reader
	w    *bufio.Writer
}

// next returns the next statement.
func (c *client) next(sess *protocol.Session) (text string, err error) {
	err = sess.Idle(c.conn, func() error {
		line, err := readLine(c.r, maxStatement)
		text = string(line)
		return err
	})
	return text, err
}

func (c *client) say(line string) error {
	_, _ = c.w.WriteString(line + "\n") // a bufio.Writer keeps its error for Flush
	return c.w.Flush()
}

func (c *client) fail(text string) error {
	return c.say("ERR " + strings.NewReplacer("\r", " ", "\n", " ").Replace(text))
}
