package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
)

// fuzzEngine allows what ask does not refuse and counts.
type fuzzEngine struct {
	ask          func(op *protocol.Operation) error
	begun, ended atomic.Int64
}

// Authenticate implements protocol.Engine.
func (e *fuzzEngine) Authenticate(context.Context, *protocol.Login) (*protocol.Identity, error) {
	return &protocol.Identity{Issuer: "fuzz", Subject: "fuzz"}, nil
}

// Ask implements protocol.Engine.
func (e *fuzzEngine) Ask(_ context.Context, _ *protocol.Session, ops []*protocol.Operation) error {
	for _, op := range ops {
		if err := e.ask(op); err != nil {
			for _, op := range ops {
				op.Decide(protocol.Deny(err.Error()), nil)
			}
			return err
		}
	}
	for _, op := range ops {
		op.Decide(protocol.Allow("all"), nil)
		e.begun.Add(1)
	}
	return nil
}

// Commit implements protocol.Engine.
func (e *fuzzEngine) Commit(context.Context, protocol.Point, []*protocol.Operation) error { return nil }

// End implements protocol.Engine.
func (e *fuzzEngine) End(*protocol.Session, *protocol.Operation, protocol.Outcome) { e.ended.Add(1) }

// fuzzHandler opens sessions at a target that is a function.
type fuzzHandler struct {
	engine *fuzzEngine
	dials  atomic.Int64
	target func(conn net.Conn)
	wrap   func(net.Conn) net.Conn // the gateway's side; nil: as it is
	wg     sync.WaitGroup
}

// Open implements protocol.Handler.
func (h *fuzzHandler) Open(ctx context.Context, l *protocol.Login) (*protocol.Session, error) {
	s := protocol.NewSession(ctx, protocol.SessionConfig{
		Info: &protocol.SessionInfo{Protocol: "postgres", User: l.User, Resource: protocol.Resource{Name: "t", Addr: "t:1",
			Options: map[string]string{"sslmode": "disable"}}, Identity: &protocol.Identity{Issuer: "fuzz", Subject: "fuzz"}},
		Engine: h.engine, WhileHeld: l.WhileHeld,
		Dial: func(context.Context) (net.Conn, error) {
			if h.dials.Add(1) > 1 {
				return nil, errors.New("the catalog cannot be read here")
			}
			ours, theirs := net.Pipe()
			h.wg.Go(func() {
				defer theirs.Close()
				h.target(theirs)
			})
			if h.wrap != nil {
				return h.wrap(ours), nil
			}
			return ours, nil
		},
		Credentials: func(context.Context) (protocol.Credentials, error) { return protocol.Credentials{User: "gw"}, nil },
	})
	return s, s.Connect(ctx, &protocol.Operation{})
}

// fuzzTexts are what the clients of the session fuzz ask. A text with "deny" in
// it is refused.
var fuzzTexts = []string{"select 1", "select a from t", "deny", "begin", "commit", "rollback", "", ";", "select 1; select 2", "select 1; deny; select 2", "insert into t values (1)",
	"copy t from stdin", "copy t to stdout", "set search_path = x", "prepare p as select 1", "execute p", "deallocate all", "declare c cursor for select 1", "fetch c",
	"create table x (a int)", "discard all", "sel\xffect", "start transaction; copy t from stdin; commit", "do $$ begin end $$"}

var fuzzNames = []string{"", "p", "c", "x"}

// A deck deals the bytes of a fuzz input; when it is empty it deals zeros.
type deck struct {
	mu sync.Mutex
	b  []byte
}

func (d *deck) next() byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.b) == 0 {
		return 0
	}
	c := d.b[0]
	d.b = d.b[1:]
	return c
}

func (d *deck) chunk(n int) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	n = min(n, len(d.b))
	c := d.b[:n]
	d.b = d.b[n:]
	return c
}

func (d *deck) empty() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.b) == 0
}

func frameOf(typ byte, body string) []byte {
	return appendMessage(nil, typ, func(b []byte) []byte { return append(b, body...) })
}

// clientMessage is one message of a client, or raw bytes.
func clientMessage(d *deck) []byte {
	pick := func(list []string) string { return list[int(d.next())%len(list)] }
	switch d.next() % 20 {
	case 0, 1, 2:
		return frameOf(msgQuery, pick(fuzzTexts)+"\x00")
	case 3, 4:
		return frameOf(msgParse, pick(fuzzNames)+"\x00"+pick(fuzzTexts)+"\x00\x00\x00")
	case 5, 6:
		return frameOf(msgBind, pick(fuzzNames)+"\x00"+pick(fuzzNames)+"\x00\x00\x00\x00\x00\x00\x00")
	case 7, 8:
		return frameOf(msgExecute, pick(fuzzNames)+"\x00\x00\x00\x00"+string(d.next()%3))
	case 9:
		return frameOf(msgDescribe, string("SP"[d.next()%2])+pick(fuzzNames)+"\x00")
	case 10:
		return frameOf(msgClose, string("SP"[d.next()%2])+pick(fuzzNames)+"\x00")
	case 11, 12, 13:
		return frameOf(msgSync, "")
	case 14:
		return frameOf(msgFlush, "")
	case 15:
		return frameOf(msgFunctionCall, "\x00\x00\x00\x2a\x00\x00\x00\x01\x00\x00\x00\x01x\x00\x00")
	case 16:
		return frameOf(msgCopyData, "1\n")
	case 17:
		return frameOf("cf"[d.next()%2], "\x00")
	case 18:
		return frameOf("BCDEFPQSXp?"[d.next()%11], string(d.chunk(int(d.next()))))
	}
	return d.chunk(int(d.next()))
}

// fuzzTargetScript answers each message as a PostgreSQL might, or not at all as
// one would; d decides.
func fuzzTargetScript(d *deck, over <-chan struct{}) func(conn net.Conn) {
	return func(conn net.Conn) {
		go func() { // a target that has nothing more to say hangs up
			<-over
			time.Sleep(2 * time.Millisecond)
			_ = conn.Close()
		}()
		if !readStartupOf(conn) {
			return
		}
		say := func(b ...[]byte) bool {
			for _, p := range b {
				if _, err := conn.Write(p); err != nil {
					return false
				}
			}
			return true
		}
		ready := func() []byte { return frameOf(msgReadyForQuery, string("ITE"[d.next()%3])) }
		fail := frameOf(msgErrorResponse, "SERROR\x00C42601\x00Mno\x00\x00")
		row := append(frameOf(msgRowDescription, "\x00\x01a\x00"+strings.Repeat("\x00", 18)), frameOf(msgDataRow, "\x00\x01\x00\x00\x00\x01x")...)
		done := frameOf(msgCommandComplete, "SELECT 1\x00")
		if !say(authRequest(authOK, nil), frameOf(msgParameterStatus, "client_encoding\x00UTF8\x00"), frameOf(msgParameterStatus, "standard_conforming_strings\x00on\x00"),
			frameOf(msgBackendKeyData, "\x00\x00\x00\x01key!"), frameOf(msgReadyForQuery, "I")) {
			return
		}
		skip := false
		for {
			var head [5]byte
			if _, err := io.ReadFull(conn, head[:]); err != nil {
				return
			}
			n := int(binary.BigEndian.Uint32(head[1:]))
			if n < 4 || n > 1<<24 {
				panic("the gateway forwarded a message without a sensible length")
			}
			if _, err := io.CopyN(io.Discard, conn, int64(n-4)); err != nil {
				return
			}
			if skip && head[0] != msgSync {
				continue
			}
			ok := true
			how := d.next()
			switch {
			case how >= 250:
				say(frameOf("RKZ123CDEGHWITVdcnNASstv?"[d.next()%25], string(d.chunk(int(d.next()%40)))))
				continue
			case how >= 248:
				continue
			case how == 247:
				return
			case how >= 244:
				ok = say(frameOf(msgNoticeResponse, "SNOTICE\x00C00000\x00Mhm\x00\x00"), frameOf(msgParameterStatus, "search_path\x00x\x00"))
			}
			bad := how%5 == 4
			switch head[0] {
			case msgQuery:
				switch {
				case bad:
					ok = say(fail)
				case how%5 == 1:
					ok = say(row, done)
				case how%5 == 2:
					say(frameOf(msgCopyInResponse, "\x00\x00\x00"))
					continue
				case how%5 == 3:
					ok = say(frameOf(msgCopyOutResponse, "\x00\x00\x00"), frameOf(msgCopyData, "x\n"), frameOf(msgCopyDone, ""), done)
				default:
					ok = say(done)
				}
				ok = ok && say(ready())
			case msgSync:
				skip = false
				ok = say(ready())
			case msgFunctionCall:
				if bad {
					ok = say(fail, ready())
				} else {
					ok = say(frameOf(msgFunctionCallResponse, "\x00\x00\x00\x01x"), ready())
				}
			case msgCopyData, msgFlush:
			case msgCopyDone, msgCopyFail:
				ok = say(done, ready())
			case msgTerminate:
				return
			default:
				if bad {
					skip = true
					ok = say(fail)
					break
				}
				switch head[0] {
				case msgParse:
					ok = say(frameOf(msgParseComplete, ""))
				case msgBind:
					ok = say(frameOf(msgBindComplete, ""))
				case msgClose:
					ok = say(frameOf(msgCloseComplete, ""))
				case msgDescribe:
					if how%2 == 0 {
						ok = say(frameOf(msgNoData, ""))
					} else {
						ok = say(frameOf(msgParameterDescription, "\x00\x00"), frameOf(msgNoData, ""))
					}
				case msgExecute:
					switch how % 3 {
					case 0:
						ok = say(done)
					case 1:
						ok = say(frameOf(msgPortalSuspended, ""))
					default:
						ok = say(frameOf(msgEmptyQueryResponse, ""))
					}
				}
			}
			if !ok {
				return
			}
		}
	}
}

func readStartupOf(conn net.Conn) bool {
	var head [4]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return false
	}
	_, err := io.CopyN(io.Discard, conn, int64(binary.BigEndian.Uint32(head[:])-4))
	return err == nil
}

// FuzzSession puts a client that sends anything and a target that answers
// anything on the two sides of a session. Whatever happens: no panic, the
// session ends when its sides have, and each operation that was begun ends once.
func FuzzSession(f *testing.F) {
	f.Add([]byte{0, 0, 11, 3, 0, 0, 5, 0, 0, 7, 0, 11}, []byte{0, 0, 0}, false)
	f.Add([]byte{0, 11, 16, 17, 0, 11, 0, 0}, []byte{2, 0, 0, 0}, false)
	f.Add([]byte{3, 0, 2, 5, 0, 0, 7, 0, 0, 11, 0, 1}, []byte{0, 4, 4, 4}, true)
	f.Add([]byte{3, 1, 0, 9, 0, 1, 5, 1, 1, 7, 1, 1, 14, 11, 10, 0, 1, 11}, []byte{1, 1, 1, 1, 1}, true)
	f.Add([]byte{0, 3, 0, 13, 0, 1, 0, 4, 11}, []byte{0, 1, 0, 2, 1}, true)
	f.Add([]byte{18, 0, 6, 0, 0, 0, 0, 0, 1, 255}, []byte{251, 9, 6, 0, 1, 255, 255, 255, 254}, true)
	f.Fuzz(func(t *testing.T, client, target []byte, taps bool) {
		if len(client)+len(target) > 2000 {
			return
		}
		engine := &fuzzEngine{ask: func(op *protocol.Operation) error {
			if strings.Contains(op.Text, "deny") {
				return &protocol.DeniedError{Step: "fuzz", Reason: "denied"}
			}
			if taps {
				_ = op.OnRows(func([]protocol.Column) (protocol.RowFunc, error) {
					return func(row [][]byte) error {
						if len(row) > 0 && row[0] != nil {
							row[0] = []byte("masked")
						}
						return nil
					}, nil
				})
				_ = op.OnBytes(func(protocol.Stream) (protocol.BytesFunc, error) {
					return func(b []byte, last bool) ([]byte, error) { return b, nil }, nil
				})
				_ = op.OnText(func(m *protocol.Message) error { m.Text = "masked"; return nil })
			}
			return nil
		}}
		over := make(chan struct{})
		h := &fuzzHandler{engine: engine, target: fuzzTargetScript(&deck{b: target}, over)}
		srv := &Server{AllowPlaintext: true, MaxMessage: 1 << 20, LoginTimeout: 5 * time.Second}
		ours, theirs := net.Pipe()
		served := make(chan error, 1)
		go func() {
			served <- protocol.Guard(func() error { return srv.ServeConn(context.Background(), theirs, h) })
		}()
		go func() { // the client reads everything
			_, _ = io.Copy(io.Discard, ours)
		}()
		hello := "\x00\x03\x00\x00user\x00fuzz\x00database\x00t\x00\x00"
		b := append(binary.BigEndian.AppendUint32(nil, uint32(len(hello)+4)), hello...)
		b = append(b, frameOf(msgPassword, "pw\x00")...)
		d := &deck{b: client}
		// A session may wait for a target that says nothing: then the client
		// hangs up.
		_ = ours.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		for {
			if _, err := ours.Write(b); err != nil || d.empty() {
				break
			}
			b = clientMessage(d)
		}
		_ = ours.Close()
		close(over)
		select {
		case err := <-served:
			if isPanic(err) {
				t.Fatalf("%v\n%s", err, panicStack(err))
			}
		case <-time.After(10 * time.Second):
			stuck(t, "the session does not end")
		}
		h.wg.Wait()
		if b, e := engine.begun.Load(), engine.ended.Load(); b != e {
			t.Fatalf("%d operations begun, %d ended", b, e)
		}
	})
}

func panicStack(err error) []byte {
	var p *protocol.PanicError
	if errors.As(err, &p) {
		return p.Stack
	}
	return nil
}

func stuck(t *testing.T, what string) {
	t.Helper()
	buf := make([]byte, 1<<20)
	t.Fatalf("%s\n%s", what, buf[:runtime.Stack(buf, true)])
}
