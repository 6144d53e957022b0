package line_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"testing"

	"github.com/sallyport-dev/gateway/examples/customconnector/line"
	"github.com/sallyport-dev/gateway/protocol"
)

// script is a connection whose other end has sent some bytes and then left; it
// takes whatever is written.
type script struct {
	net.Conn // the rest of a connection
	r        *bytes.Reader
}

func newScript(b []byte) net.Conn {
	c, _ := net.Pipe()
	return script{c, bytes.NewReader(b)}
}

func (s script) Read(b []byte) (int, error)  { return s.r.Read(b) }
func (s script) Write(b []byte) (int, error) { return len(b), nil }

// allowAll is a handler and an engine that lets everything through to target.
type allowAll struct{ target []byte }

func (a allowAll) Open(ctx context.Context, l *protocol.Login) (*protocol.Session, error) {
	s := protocol.NewSession(ctx, protocol.SessionConfig{Info: &protocol.SessionInfo{}, Engine: a,
		Credentials: func(context.Context) (protocol.Credentials, error) { return protocol.Credentials{}, nil },
		Dial: func(context.Context) (net.Conn, error) {
			return newScript(a.target), nil
		}})
	return s, s.Connect(ctx, &protocol.Operation{})
}

func (allowAll) Authenticate(context.Context, *protocol.Login) (*protocol.Identity, error) {
	return nil, nil
}

func (allowAll) Ask(_ context.Context, _ *protocol.Session, ops []*protocol.Operation) error {
	for _, op := range ops {
		if op.Shape != 0 {
			if err := op.OnRows(func([]protocol.Column) (protocol.RowFunc, error) {
				return func([][]byte) error { return nil }, nil
			}); err != nil {
				return err
			}
		}
		op.Decide(protocol.Allow("fuzz"), nil)
	}
	return nil
}

func (allowAll) Commit(context.Context, protocol.Point, []*protocol.Operation) error { return nil }
func (allowAll) End(*protocol.Session, *protocol.Operation, protocol.Outcome)        {}

// FuzzServeConn gives arbitrary bytes to both sides: the connector returns, and
// does not panic.
func FuzzServeConn(f *testing.F) {
	f.Add([]byte("LOGIN a b c\nGET x\n"), []byte("OK\nCOLS a\tb\nROW 1\t\\N\nROW \\t\\\\\t\nEND\n"))
	f.Add([]byte("LOGIN a b c\nSET x\nnonsense\n"), []byte("OK\nERR no\nEND\n"))
	f.Add([]byte("LOGIN a b\n"), []byte("ERR\n"))
	f.Add([]byte("LOGIN a b c\nGET x\n"), []byte("OK\nCOLS\nROW\nROW \nEND\n"))
	f.Fuzz(func(t *testing.T, client, target []byte) {
		err := (&line.Server{}).ServeConn(t.Context(), newScript(client), allowAll{target})
		var p *protocol.PanicError
		if errors.As(err, &p) {
			t.Fatalf("%v\n%s", p.Value, p.Stack)
		}
	})
}
