package mysql

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/sallyport-dev/gateway/protocol"
)

// fuzzEngine allows what ask does not refuse and counts.
type fuzzEngine struct {
	ask          func(op *protocol.Operation) error
	end          func(op *protocol.Operation, out protocol.Outcome) // nil: nobody asks
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
func (e *fuzzEngine) End(_ *protocol.Session, op *protocol.Operation, out protocol.Outcome) {
	e.ended.Add(1)
	if e.end != nil {
		e.end(op, out)
	}
}

// fuzzHandler opens sessions at a target that is a function.
type fuzzHandler struct {
	engine *fuzzEngine
	dials  atomic.Int64
	target func(conn net.Conn)
	wg     sync.WaitGroup
}

// Open implements protocol.Handler.
func (h *fuzzHandler) Open(ctx context.Context, l *protocol.Login) (*protocol.Session, error) {
	s := protocol.NewSession(ctx, protocol.SessionConfig{
		Info: &protocol.SessionInfo{Protocol: "mysql", User: l.User, Resource: protocol.Resource{Name: "t", Addr: "t:1",
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
			return ours, nil
		},
		Credentials: func(context.Context) (protocol.Credentials, error) { return protocol.Credentials{User: "gw"}, nil },
	})
	return s, s.Connect(ctx, &protocol.Operation{})
}

// fuzzTexts are what the clients of the session fuzz ask. A text with "deny" in
// it is refused.
var fuzzTexts = []string{"select 1", "select a from t", "deny", "begin", "commit", "", ";", "select 1; select 2", "select 1; deny", "insert into t values (?)",
	"call p()", "set sql_mode = ansi", "use x", "kill 7", "kill query 2147483649", "show warnings", "prepare s from 'select 1'", "sel\xffect", "load data local infile 'x' into table t"}

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

// clientCommand is one command of a client, or raw bytes.
func clientCommand(d *deck, attrs bool) []byte {
	packet := func(b ...byte) []byte {
		var seq byte
		return appendPacket(nil, &seq, b)
	}
	text := func() []byte { return []byte(fuzzTexts[int(d.next())%len(fuzzTexts)]) }
	id := func() []byte { return []byte{d.next() % 4, 0, 0, 0} }
	switch d.next() % 22 {
	case 0, 1, 2, 3:
		b := []byte{mysql.COM_QUERY}
		if attrs {
			b = append(b, 0, 1)
		}
		return packet(append(b, text()...)...)
	case 4, 5:
		return packet(append([]byte{mysql.COM_STMT_PREPARE}, text()...)...)
	case 6, 7, 8:
		b := append([]byte{mysql.COM_STMT_EXECUTE}, id()...)
		b = append(b, d.next()%2, 1, 0, 0, 0)
		if d.next()%2 == 0 {
			b = append(b, 0, 1, mysql.MYSQL_TYPE_VAR_STRING, 0, 1, 'x')
		}
		return packet(b...)
	case 9:
		return packet(append(append([]byte{mysql.COM_STMT_FETCH}, id()...), 2, 0, 0, 0)...)
	case 10:
		return packet(append(append([]byte{mysql.COM_STMT_SEND_LONG_DATA}, id()...), 0, 0, 'l')...)
	case 11:
		return packet(append([]byte{mysql.COM_STMT_CLOSE}, id()...)...)
	case 12:
		return packet(append([]byte{mysql.COM_STMT_RESET}, id()...)...)
	case 13:
		return packet(append([]byte{mysql.COM_INIT_DB}, text()...)...)
	case 14:
		return packet(append([]byte{mysql.COM_FIELD_LIST}, "t\x00%"...)...)
	case 15:
		return packet(append([]byte{mysql.COM_CHANGE_USER}, "fuzz\x00\x00db\x00"...)...)
	case 16:
		return packet([]byte{mysql.COM_RESET_CONNECTION, mysql.COM_PING, mysql.COM_STATISTICS, mysql.COM_DEBUG, mysql.COM_PROCESS_INFO, mysql.COM_TIME}[d.next()%6])
	case 17:
		return packet(mysql.COM_SET_OPTION, d.next()%3, 0)
	case 18:
		return packet([]byte{mysql.COM_REFRESH, mysql.COM_PROCESS_KILL, mysql.COM_BINLOG_DUMP, mysql.COM_SHUTDOWN}[d.next()%4], 1, 0, 0, 0)
	case 19, 20:
		return packet(append([]byte{d.next() % 40}, d.chunk(int(d.next()))...)...)
	}
	return d.chunk(int(d.next()))
}

// fuzzTargetScript greets, lets the gateway in, and then answers each command as
// a MySQL might, or not at all as one would; d decides.
func fuzzTargetScript(d *deck, over <-chan struct{}, caps uint32) func(conn net.Conn) {
	return func(conn net.Conn) {
		go func() { // a target that has nothing more to say hangs up
			<-over
			time.Sleep(2 * time.Millisecond)
			_ = conn.Close()
		}()
		var seq byte
		say := func(payloads ...[]byte) bool {
			for _, p := range payloads {
				if _, err := conn.Write(appendPacket(nil, &seq, p)); err != nil {
					return false
				}
			}
			return true
		}
		hear := func() []byte {
			var all []byte
			for {
				var head [headerLen]byte
				if _, err := io.ReadFull(conn, head[:]); err != nil {
					return nil
				}
				n, _ := frame(head[:])
				b := make([]byte, n)
				if _, err := io.ReadFull(conn, b); err != nil {
					return nil
				}
				if all = append(all, b...); n < maxPayload {
					seq = head[3] + 1
					return all
				}
			}
		}
		g := (&Server{}).greeting(&startup{id: 7, salt: [saltLen]byte{0: 1, 19: 1}})
		at := bytes.IndexByte(g[1:], 0) + 2 + 4 + 8 + 1 // of the lower half of what the server can do
		g[at], g[at+1] = byte(caps), byte(caps>>8)
		g[at+5], g[at+6] = byte(caps>>16), byte(caps>>24)
		if !say(g) {
			return
		}
		login := cursor{b: hear()}
		deprecated := caps&login.u32()&mysql.CLIENT_DEPRECATE_EOF != 0
		if login.bad || !say(appendOK(nil, statusAutocommit)) {
			return
		}
		end := func(status uint16) []byte {
			if deprecated {
				return append([]byte{packetEOF}, appendOK(nil, status)[1:]...)
			}
			return appendUint([]byte{packetEOF, 0, 0}, 2, uint64(status))
		}
		column := func(name string) []byte {
			b := appendStr(nil, []byte("def"))
			for _, s := range []string{"d", "t", "t", name, name} {
				b = appendStr(b, []byte(s))
			}
			return append(b, 0x0c, 45, 0, 0, 0, 0, 0, mysql.MYSQL_TYPE_VAR_STRING, 0, 0, 0, 0, 0)
		}
		result := func(status uint16, binary bool, values ...string) [][]byte {
			list := [][]byte{{byte(len(values))}}
			row, bin := []byte{}, make([]byte, 1+(len(values)+9)/8)
			for _, v := range values {
				list = append(list, column("a"))
				row, bin = appendStr(row, []byte(v)), appendStr(bin, []byte(v))
			}
			if !deprecated {
				list = append(list, end(status))
				if status&statusCursor != 0 {
					return list
				}
			}
			if binary {
				row = bin
			}
			return append(list, row, end(status))
		}
		fail := report{code: mysql.ER_PARSE_ERROR, msg: "no"}.append(nil, false)
		for {
			cmd := hear()
			if len(cmd) == 0 {
				return
			}
			ok := true
			how := d.next()
			switch {
			case how >= 252:
				seq += d.next() % 2
				ok = say(d.chunk(int(d.next() % 40)))
				if ok && how == 255 {
					_, err := conn.Write(d.chunk(int(d.next() % 40)))
					ok = err == nil
				}
			case how >= 250: // nothing
			case how == 249:
				return
			case how == 248:
				ok = say([]byte{packetLocalFile, 'x'})
			case how%7 == 6:
				ok = say(fail)
			case bytes.Contains(cmd, []byte("@@sql_mode")):
				ok = say(result(0, false, []string{"", "ANSI_QUOTES"}[how%2], "utf8mb4", "d", "", "0")...)
			case cmd[0] == mysql.COM_STMT_CLOSE, cmd[0] == mysql.COM_STMT_SEND_LONG_DATA:
			case cmd[0] == mysql.COM_STATISTICS:
				ok = say([]byte("Uptime: 1"))
			case cmd[0] == mysql.COM_FIELD_LIST:
				ok = say(append(column("a"), 0xfb), end(0))
			case cmd[0] == mysql.COM_STMT_PREPARE:
				params := how % 3
				p := []byte{packetOK, how % 4, 0, 0, 0, how % 2, 0, params, 0, 0, 0, 0}
				list := [][]byte{p}
				for range params {
					list = append(list, column("?"))
				}
				if params > 0 && !deprecated {
					list = append(list, end(0))
				}
				if how%2 > 0 {
					list = append(list, column("a"))
					if !deprecated {
						list = append(list, end(0))
					}
				}
				ok = say(list...)
			case cmd[0] == mysql.COM_STMT_FETCH:
				ok = say(append([]byte{packetOK, 0, 6}, "secret"...), end(0))
			case cmd[0] == mysql.COM_QUERY, cmd[0] == mysql.COM_STMT_EXECUTE, cmd[0] == mysql.COM_PROCESS_INFO:
				binary := cmd[0] == mysql.COM_STMT_EXECUTE
				switch how % 5 {
				case 0:
					ok = say(appendOK(nil, uint16(how)&statusInTx))
				case 1:
					ok = say(result(0, binary, "secret")...)
				case 2:
					ok = say(result(statusMoreResults, binary, "secret")...) && say(appendOK(nil, 0))
				case 3:
					ok = say(result(statusCursor, binary, "secret")...)
				default:
					ok = say(append(result(0, binary, "secret", "other")[:3], fail)...)
				}
			default:
				ok = say(appendOK(nil, 0))
			}
			if !ok {
				return
			}
		}
	}
}

// FuzzSession puts a client that sends anything and a target that answers
// anything on the two sides of a session. Whatever happens: no panic, the
// session ends when its sides have, each operation that was begun ends once, and
// nothing that a tap has replaced is shown.
func FuzzSession(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 16, 1, 4, 9, 6, 0, 0, 0, 11, 0}, []byte{0, 1, 2, 3, 0, 1, 1}, byte(0))
	f.Add([]byte{0, 7, 0, 8, 15, 4, 0, 6, 1, 0, 9, 1, 9, 1}, []byte{0, 1, 1, 0, 0, 1, 3, 0}, byte(3))
	f.Add([]byte{4, 9, 10, 1, 6, 1, 0, 0, 12, 1, 14, 17, 0, 18, 1}, []byte{0, 1, 1, 1, 0}, byte(5))
	f.Add([]byte{0, 10, 0, 0, 0, 11, 0, 0, 13, 3}, []byte{0, 2, 1, 0, 0, 4, 248}, byte(7))
	f.Add([]byte{21, 5, 1, 0, 0, 5, 3, 19, 3, 4, 1, 2, 3, 4}, []byte{0, 252, 0, 9, 1, 255, 3, 200, 255}, byte(1))
	f.Fuzz(func(t *testing.T, client, target []byte, flags byte) {
		if len(client)+len(target) <= 2000 {
			runSession(t, client, target, flags, 100*time.Millisecond)
		}
	})
}

// TestRowsOfWhatHasNone has a target that answers with rows what has none: a text, a
// text without a statement, an execution, a cursor.
func TestRowsOfWhatHasNone(t *testing.T) {
	for name, c := range map[string]struct {
		client, target []byte
		flags          byte
	}{
		"text":      {[]byte{0, 3, 0, 3}, []byte{0, 1, 2}, 1},
		"empty":     {[]byte{0, 5, 0, 6}, []byte{0, 1, 2}, 1},
		"execution": {[]byte{4, 9, 6, 1, 0, 0, 6, 1, 0, 0}, []byte{0, 1, 1, 2}, 1},
		"cursor":    {[]byte{4, 9, 6, 1, 1, 0, 9, 1, 16, 1}, []byte{0, 1, 3, 0}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			seen := runSession(t, c.client, c.target, c.flags, 20*time.Second)
			if !bytes.Contains(seen, []byte("expected none")) {
				t.Errorf("not refused: %q", seen)
			}
		})
	}
}

// runSession puts the two sides that the bytes make on a session, checks it and
// returns what the client has read. The client hangs up when the session does not
// read on for so long.
func runSession(t *testing.T, client, target []byte, flags byte, patience time.Duration) []byte {
	t.Helper()
	taps := flags&1 != 0
	engine := &fuzzEngine{ask: func(op *protocol.Operation) error {
		if strings.Contains(op.Text, "deny") {
			return &protocol.DeniedError{Step: "fuzz", Reason: "denied"}
		}
		if taps {
			_ = op.OnRows(func([]protocol.Column) (protocol.RowFunc, error) { // fails for what has none: the target may answer with some
				return func(row [][]byte) error {
					for i := range row {
						row[i] = []byte("masked")
					}
					return nil
				}, nil
			})
			_ = op.OnText(func(m *protocol.Message) error { m.Text = "masked"; return nil })
		}
		return nil
	}}
	over := make(chan struct{})
	caps := uint32(offered)
	if flags&2 != 0 {
		caps &^= mysql.CLIENT_DEPRECATE_EOF
	}
	h := &fuzzHandler{engine: engine, target: fuzzTargetScript(&deck{b: target}, over, caps)}
	srv := &Server{AllowPlaintext: true, MaxMessage: 1 << 20, LoginTimeout: 5 * time.Second}
	ours, theirs := net.Pipe()
	served := make(chan error, 1)
	go func() {
		served <- protocol.Guard(func() error { return srv.ServeConn(context.Background(), theirs, h) })
	}()
	read := make(chan struct{})
	var seen bytes.Buffer
	go func() { // the client reads everything
		defer close(read)
		_, _ = io.Copy(&seen, ours)
	}()
	attrs := flags&4 != 0
	mine := uint32(mysql.CLIENT_PROTOCOL_41 | mysql.CLIENT_PLUGIN_AUTH | mysql.CLIENT_SECURE_CONNECTION | mysql.CLIENT_MULTI_STATEMENTS)
	if attrs {
		mine |= mysql.CLIENT_QUERY_ATTRIBUTES
	}
	if flags&8 != 0 {
		mine |= mysql.CLIENT_DEPRECATE_EOF | mysql.CLIENT_SESSION_TRACK
	}
	hello := append(appendUint(nil, 4, uint64(mine)), make([]byte, 28)...)
	hello = append(hello, "fuzz@t\x00\x00mysql_clear_password\x00"...)
	seq := byte(1)
	b := appendPacket(nil, &seq, hello)
	seq++
	b = appendPacket(b, &seq, []byte("pw\x00"))
	d := &deck{b: client}
	// A session may wait for a target that says nothing: then the client
	// hangs up.
	_ = ours.SetWriteDeadline(time.Now().Add(patience))
	for {
		if _, err := ours.Write(b); err != nil || d.empty() {
			break
		}
		b = clientCommand(d, attrs)
	}
	_ = ours.Close()
	close(over)
	select {
	case err := <-served:
		var p *protocol.PanicError
		if errors.As(err, &p) {
			t.Fatalf("%v\n%s", err, p.Stack)
		}
	case <-time.After(10 * time.Second):
		buf := make([]byte, 1<<20)
		t.Fatalf("the session does not end\n%s", buf[:runtime.Stack(buf, true)])
	}
	<-read
	h.wg.Wait()
	if b, e := engine.begun.Load(), engine.ended.Load(); b != e {
		t.Fatalf("%d operations begun, %d ended", b, e)
	}
	if taps && !bytes.Contains(target, []byte("secret")) && bytes.Contains(seen.Bytes(), []byte("secret")) {
		t.Fatalf("shown: %q", seen.Bytes())
	}
	return seen.Bytes()
}
