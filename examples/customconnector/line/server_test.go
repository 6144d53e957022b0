package line_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/sallyport-dev/gateway/examples/customconnector/line"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/protocoltest"
)

func TestConformance(t *testing.T) {
	protocoltest.Test(t, protocoltest.Kit{
		NewServer:   func() protocol.Server { return &line.Server{} },
		NewClient:   newClient,
		ServeTarget: serveTarget,
		Read:        func(tag string) string { return "GET " + tag },
		Write:       func(tag string) string { return "SET " + tag },
		Garbage:     [][]byte{[]byte("LOGIN\n"), []byte("LOGIN a b c d\n"), []byte("LOGIN  \x00 \n"), []byte("GET x\n")},
	})
}

// client speaks the protocol as its users' programs do.
type client struct {
	conn net.Conn
	r    *bufio.Reader
}

func newClient(conn net.Conn, l protocoltest.Login) (protocoltest.Client, error) {
	c := &client{conn, bufio.NewReader(conn)}
	if _, err := fmt.Fprintf(conn, "LOGIN %s %s %s\n", l.Target, l.User, l.Proof); err != nil {
		return nil, err
	}
	answer, err := c.r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	if answer != "OK\n" {
		return nil, errors.New(answer)
	}
	return c, nil
}

func (c *client) Do(text string, row func([][]byte) error) error {
	if _, err := c.conn.Write([]byte(text + "\n")); err != nil {
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
			if err := row(decode(rest)); err != nil {
				return err
			}
		case "END":
			return nil
		case "ERR":
			return &protocoltest.ReplyError{Text: string(rest)}
		default:
			return fmt.Errorf("the server said %q", line)
		}
	}
}

func (c *client) Close() error { return c.conn.Close() }

func decode(line []byte) (values [][]byte) {
	for v := range bytes.SplitSeq(line, []byte("\t")) {
		if string(v) == `\N` {
			values = append(values, nil)
			continue
		}
		values = append(values, []byte(strings.NewReplacer(`\t`, "\t", `\n`, "\n", `\r`, "\r", `\\`, `\`).Replace(string(v))))
	}
	return values
}

// serveTarget is the database behind the gateway.
func serveTarget(conn net.Conn, t *protocoltest.Target) error {
	r, w := bufio.NewReader(conn), bufio.NewWriter(conn)
	login, err := r.ReadString('\n')
	if err != nil {
		return err
	}
	if a := t.Account(); !strings.HasSuffix(login, " "+a.User+" "+a.Secret.Reveal()+"\n") {
		_, err = conn.Write([]byte("ERR wrong password in " + login)) // a target that talks too much
		return err
	}
	if _, err := conn.Write([]byte("OK\n")); err != nil {
		return err
	}
	for {
		text, err := r.ReadString('\n')
		if err != nil {
			return err
		}
		reply := t.Do(strings.TrimSuffix(text, "\n"))
		if reply.Err != "" {
			fmt.Fprintf(w, "ERR %s\n", reply.Err)
		} else {
			if err := writeResult(w, reply); err != nil {
				return err
			}
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
}

func writeResult(w *bufio.Writer, reply protocoltest.Reply) error {
	if reply.Columns != nil {
		fmt.Fprintf(w, "COLS %s\n", strings.Join(reply.Columns, "\t"))
		for values, err := range reply.Rows {
			if err != nil {
				return errors.Join(err, w.Flush())
			}
			for i, v := range values {
				w.WriteString([]string{"ROW ", "\t"}[min(i, 1)])
				if v == nil {
					w.WriteString(`\N`)
				} else {
					strings.NewReplacer("\t", `\t`, "\n", `\n`, "\r", `\r`, `\`, `\\`).WriteString(w, string(v))
				}
			}
			w.WriteByte('\n')
			if err := w.Flush(); err != nil {
				return err
			}
		}
	}
	w.WriteString("END\n")
	return nil
}
