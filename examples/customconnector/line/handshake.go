package line

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"strings"

	"github.com/sallyport-dev/gateway/protocol"
)

const (
	bufSize      = 32 << 10 // what one connection costs, four times
	maxLogin     = 4 << 10
	maxStatement = 1 << 20
	maxRow       = 16 << 20 // of a row that a step looks at; others are copied in pieces
)

var errTooLong = errors.New("line: a line is too long")

// readLine returns the next line without its end. The limit is checked before
// memory is taken.
func readLine(r *bufio.Reader, limit int) ([]byte, error) {
	var line []byte
	for {
		b, err := r.ReadSlice('\n')
		if len(line)+len(b) > limit {
			return nil, errTooLong
		}
		line = append(line, b...)
		if err == nil {
			return bytes.TrimSuffix(line[:len(line)-1], []byte("\r")), nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
	}
}

// handshake reads the login. The gateway's deadline bounds how long it takes.
func (c *client) handshake() (*protocol.Login, error) {
	line, err := readLine(c.r, maxLogin)
	if err != nil {
		return nil, err
	}
	f := strings.Split(string(line), " ")
	if len(f) != 4 || f[0] != "LOGIN" {
		return nil, errors.Join(errors.New("line: not a login"), c.fail("expected: LOGIN target user password"))
	}
	return &protocol.Login{
		Protocol: "line", Resource: f[1], User: f[2], Remote: c.conn.RemoteAddr(),
		Proof: protocol.Password{Secret: protocol.NewSecret(f[3])},
		WhileHeld: func(ctx context.Context, _ protocol.Waiting, wait func(context.Context) error) error {
			return protocol.While(ctx, c.conn, c.r, wait)
		},
	}, nil
}
