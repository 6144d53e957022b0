package mysql

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"testing"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol"
)

// packetsFrom returns payloads as packets that are counted from seq.
func packetsFrom(seq byte, payloads ...[]byte) (b []byte) {
	for _, p := range payloads {
		b = appendPacket(b, &seq, p)
	}
	return b
}

// columnOf is a column definition.
func columnOf(typ byte) []byte {
	b := appendStr(nil, []byte("def"))
	for range 5 {
		b = appendStr(b, []byte("a"))
	}
	return append(b, 0x0c, 45, 0, 0, 0, 0, 0, typ, 0, 0, 0, 0, 0)
}

// answering is a target that lets the gateway in, answers its question for the state,
// and then each command with the next of answers. Behind the last one it hangs up.
func answering(caps uint32, answers [][]byte) func(net.Conn) {
	return func(conn net.Conn) {
		hear := func() []byte {
			var seq byte
			b, _ := readExact(conn, &seq, maxPayload)
			return b
		}
		g := (&Server{}).greeting(&startup{id: 7, salt: [saltLen]byte{0: 1, 19: 1}})
		at := bytes.IndexByte(g[1:], 0) + 2 + 4 + 8 + 1 // of the lower half of what the server can do
		g[at], g[at+1] = byte(caps), byte(caps>>8)
		g[at+5], g[at+6] = byte(caps>>16), byte(caps>>24)
		_, _ = conn.Write(packetsFrom(0, g))
		seq := byte(1)
		login, err := readExact(conn, &seq, maxHandshake)
		if err != nil {
			return
		}
		c := cursor{b: login}
		end := []byte{packetEOF, 0, 0, 2, 0}
		if caps&c.u32()&mysql.CLIENT_DEPRECATE_EOF != 0 {
			end = append(end, 0, 0)
		}
		_, _ = conn.Write(packetsFrom(2, appendOK(nil, statusAutocommit)))
		for len(answers) > 0 {
			switch cmd := hear(); {
			case len(cmd) == 0:
				return
			case bytes.Contains(cmd, []byte("@@sql_mode")):
				state := [][]byte{{5}}
				for range 5 {
					state = append(state, columnOf(mysql.MYSQL_TYPE_VAR_STRING))
				}
				if len(end) == 5 {
					state = append(state, end)
				}
				_, _ = conn.Write(packetsFrom(1, append(state, []byte("\x00\x07utf8mb4\x01d\x00\x010"), end)...))
			default:
				_, _ = conn.Write(answers[0])
				answers = answers[1:]
			}
		}
	}
}

// masked has a target answer commands, while a step hides everything, and returns what
// the client reads. The session has to end well.
func masked(t *testing.T, caps, mine uint32, commands, answers [][]byte) []byte {
	t.Helper()
	seen := asked(t, &fuzzEngine{ask: func(op *protocol.Operation) error {
		_ = op.OnRows(func([]protocol.Column) (protocol.RowFunc, error) {
			return func(row [][]byte) error {
				for i := range row {
					row[i] = []byte("masked")
				}
				return nil
			}, nil
		})
		return nil
	}}, caps, mine, commands, answers)
	require.NotContains(t, string(seen), "secret")
	return seen
}

// asked is masked with an engine of its own.
func asked(t *testing.T, engine *fuzzEngine, caps, mine uint32, commands, answers [][]byte) []byte {
	t.Helper()
	return askedAt(t, &Server{AllowPlaintext: true}, engine, caps, mine, 0, commands, answers)
}

// askedAt is asked at a server of its own, by a client with MariaDB's capabilities extended.
func askedAt(t *testing.T, s *Server, engine *fuzzEngine, caps, mine, extended uint32, commands, answers [][]byte) []byte {
	t.Helper()
	h := &fuzzHandler{engine: engine, target: answering(caps, answers)}
	ours, theirs := net.Pipe()
	served := make(chan error, 1)
	go func() {
		served <- protocol.Guard(func() error { return s.ServeConn(context.Background(), theirs, h) })
	}()
	read := make(chan struct{})
	var seen bytes.Buffer
	go func() {
		defer close(read)
		_, _ = io.Copy(&seen, ours)
	}()
	hello := appendUint(append(appendUint(nil, 4, uint64(mine)), make([]byte, 24)...), 4, uint64(extended))
	_, _ = ours.Write(packetsFrom(1, append(hello, "fuzz@t\x00\x00mysql_clear_password\x00"...)))
	_, _ = ours.Write(packetsFrom(3, []byte("pw\x00")))
	for _, cmd := range append(slices.Clone(commands), []byte{mysql.COM_QUIT}) {
		_, _ = ours.Write(packetsFrom(0, cmd)) // it may have ended
	}
	err := <-served
	_ = ours.Close()
	<-read
	h.wg.Wait()
	var p *protocol.PanicError
	if errors.As(err, &p) {
		t.Fatalf("%v\n%s", err, p.Stack)
	}
	require.Equal(t, engine.begun.Load(), engine.ended.Load(), "operations that do not end")
	return seen.Bytes()
}

// TestTargetWithoutExtendedMetadata has a target answer that knows nothing of them to a
// client that was offered them: each column definition says that there are none.
func TestTargetWithoutExtendedMetadata(t *testing.T) {
	const older = mysql.CLIENT_PROTOCOL_41 | mysql.CLIENT_PLUGIN_AUTH | mysql.CLIENT_SECURE_CONNECTION
	def := columnOf(mysql.MYSQL_TYPE_VAR_STRING)
	end := []byte{packetEOF, 0, 0, 2, 0}
	query := func(text string) []byte { return append([]byte{mysql.COM_QUERY}, text...) }
	for name, c := range map[string]struct {
		command []byte
		answer  [][]byte
	}{
		"rows":    {query("select a"), [][]byte{{1}, def, end, appendStr(nil, []byte("value")), end}},
		"prepare": {append([]byte{mysql.COM_STMT_PREPARE}, "select ?"...), [][]byte{{0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0}, def, end, def, end}},
		"fields":  {append([]byte{mysql.COM_FIELD_LIST}, "a\x00"...), [][]byte{def, end}},
	} {
		t.Run(name, func(t *testing.T) {
			seen := func(version string, extended uint32) []byte {
				return askedAt(t, &Server{AllowPlaintext: true, Version: version}, &fuzzEngine{ask: func(*protocol.Operation) error { return nil }}, offered, older, extended, [][]byte{c.command}, [][]byte{packetsFrom(1, c.answer...)})
			}
			var want [][]byte
			for _, p := range c.answer {
				if &p[0] == &def[0] {
					p = append(append(slices.Clone(def[:14]), 0), def[14:]...)
				}
				want = append(want, p)
			}
			const maria = "5.5.5-10.11.14-MariaDB"
			require.True(t, bytes.HasSuffix(seen(maria, extendedMetadata), packetsFrom(1, want...)))
			for _, as := range [][]byte{seen(maria, 0), seen("8.0.36", extendedMetadata)} {
				require.True(t, bytes.HasSuffix(as, packetsFrom(1, c.answer...)))
			}
		})
	}
}

// TestResetThatFails has a target refuse a COM_RESET_CONNECTION: what the session holds is
// then as little known as before.
func TestResetThatFails(t *testing.T) {
	refusal := packetsFrom(1, report{code: codeUnknownCommand, msg: "Unknown command"}.append(nil, false))
	ok := packetsFrom(1, appendOK(nil, statusAutocommit))
	for _, reset := range [][]byte{{mysql.COM_RESET_CONNECTION}, append([]byte{mysql.COM_CHANGE_USER}, "fuzz@t\x00\x00\x00"...)} {
		for _, answer := range [][]byte{refusal, ok} {
			var known bool
			asked(t, &fuzzEngine{ask: func(op *protocol.Operation) error {
				if op.Text == "select @m" {
					known = len(op.Columns) == 1 && op.Columns[0].Known
				}
				return nil
			}}, offered, mysql.CLIENT_PROTOCOL_41|mysql.CLIENT_PLUGIN_AUTH|mysql.CLIENT_SECURE_CONNECTION,
				[][]byte{append([]byte{mysql.COM_QUERY}, "call p(@m)"...), reset, append([]byte{mysql.COM_QUERY}, "select @m"...)}, [][]byte{ok, answer, ok})
			require.Equal(t, &answer[0] == &ok[0], known, "%q, %q", reset, answer)
		}
	}
}

// TestEndsBehindRowsThatAreNotShown fails in the first of three results: how the statements
// behind it ended is what the target says of them.
func TestEndsBehindRowsThatAreNotShown(t *testing.T) {
	var ends []protocol.Status
	engine := &fuzzEngine{ask: func(op *protocol.Operation) error {
		_ = op.OnRows(func([]protocol.Column) (protocol.RowFunc, error) {
			return func([][]byte) error { return errors.New("not shown") }, nil
		})
		return nil
	}, end: func(op *protocol.Operation, out protocol.Outcome) {
		if op.Text != "" {
			ends = append(ends, out.Status)
		}
	}}
	more := byte(statusAutocommit | statusMoreResults)
	asked(t, engine, offered, mysql.CLIENT_PROTOCOL_41|mysql.CLIENT_PLUGIN_AUTH|mysql.CLIENT_SECURE_CONNECTION|mysql.CLIENT_MULTI_STATEMENTS|mysql.CLIENT_DEPRECATE_EOF,
		[][]byte{append([]byte{mysql.COM_QUERY}, "select a from t; select b from t; select c from t"...)},
		[][]byte{packetsFrom(1, []byte{1}, columnOf(mysql.MYSQL_TYPE_VAR_STRING), []byte("\x01a"), []byte{packetEOF, 0, 0, more, 0, 0, 0},
			[]byte{1}, columnOf(mysql.MYSQL_TYPE_VAR_STRING), []byte("\x01b"), []byte{packetEOF, 0, 0, more, 0, 0, 0},
			report{code: codeUnknown, msg: "failed"}.append(nil, false))})
	require.Equal(t, []protocol.Status{protocol.StatusError, protocol.StatusOK, protocol.StatusFailed}, ends)
}

// TestTargetsThatBreak has targets break off at each byte of what they answer, and answer
// what nobody has asked for: sessions end, and what is masked is not shown.
func TestTargetsThatBreak(t *testing.T) {
	query := func(text string) []byte { return append([]byte{mysql.COM_QUERY}, text...) }
	var (
		query1   = query("select a from t")
		query2   = query("select a from t; select b from t")
		prepare  = append([]byte{mysql.COM_STMT_PREPARE}, "select a from t"...)
		execute  = []byte{mysql.COM_STMT_EXECUTE, 1, 0, 0, 0, 0, 1, 0, 0, 0}
		open     = []byte{mysql.COM_STMT_EXECUTE, 1, 0, 0, 0, 1, 1, 0, 0, 0}
		fetch    = []byte{mysql.COM_STMT_FETCH, 1, 0, 0, 0, 1, 0, 0, 0}
		ping     = []byte{mysql.COM_PING}
		prepared = []byte{packetOK, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0}
		one      = []byte{1}
		col      = columnOf(mysql.MYSQL_TYPE_VAR_STRING)
		row      = []byte("\x06secret")
		binary   = []byte("\x00\x00\x06secret")
		eof      = []byte{packetEOF, 0, 0, 2, 0}
		more     = []byte{packetEOF, 0, 0, 2 | byte(statusMoreResults), 0}
		later    = []byte{packetEOF, 0, 0, 2 | byte(statusCursor), 0}
		end      = []byte{packetEOF, 0, 0, 2, 0, 0, 0} // the newer form
		moreEnd  = []byte{packetEOF, 0, 0, 2 | byte(statusMoreResults), 0, 0, 0}
		laterEnd = []byte{packetEOF, 0, 0, 2 | byte(statusCursor), 0, 0, 0}
		ok       = appendOK(nil, statusAutocommit)
		file     = []byte{packetLocalFile, 'x'}
	)
	list := func(b ...[]byte) [][]byte { return b }
	answer := func(b ...[]byte) []byte { return packetsFrom(1, b...) }
	for _, c := range []struct {
		name     string
		newer    bool // the target ends rows with an OK
		cut      bool // at each byte of the last answer as well
		commands [][]byte
		answers  [][]byte
	}{
		{"text", false, true, list(query1), list(answer(one, col, eof, row, row, eof))},
		{"text, newer", true, true, list(query1), list(answer(one, col, row, row, end))},
		{"two", false, true, list(query2), list(answer(one, col, eof, row, more, one, col, eof, row, eof))},
		{"two, newer", true, true, list(query2), list(answer(one, col, row, moreEnd, one, col, row, end))},
		{"call", false, true, list(query("call p()")), list(answer(one, col, eof, row, more, one, col, eof, row, more, ok))},
		{"prepared", false, true, list(prepare, execute), list(answer(prepared, col, eof), answer(one, col, eof, binary, eof))},
		{"prepared, newer", true, true, list(prepare, execute), list(answer(prepared, col), answer(one, col, binary, end))},
		{"cursor", false, true, list(prepare, open, fetch), list(answer(prepared, col, eof), answer(one, col, later), answer(binary, eof))},
		{"cursor, newer", true, true, list(prepare, open, fetch), list(answer(prepared, col), answer(one, col, laterEnd), answer(binary, end))},

		{"a file", false, false, list(query1), list(answer(file))},
		{"a file for a column", false, false, list(query1), list(answer(one, file))},
		{"a file for a row", false, false, list(query1), list(answer(one, col, eof, file))},
		{"a file for the second", false, false, list(query2), list(answer(one, col, eof, row, more, file))},
		{"a file for a ping", false, false, list(ping), list(answer(file))},
		{"a file for a preparation", false, false, list(prepare), list(answer(file))},
		{"no columns", false, false, list(query1), list(answer([]byte{0xfc, 0, 0}))},
		{"too many columns", false, false, list(query1), list(answer([]byte{0xfd, 255, 255, 255}))},
		{"far too many columns", false, false, list(query1), list(answer([]byte{0xfe, 255, 255, 255, 255, 255, 255, 255, 255}))},
		{"a column more than there is", false, false, list(query1), list(answer([]byte{2}, col, eof, row, eof))},
		{"a column more, newer", true, false, list(query1), list(answer([]byte{2}, col, row, end))},
		{"a column less", false, false, list(query1), list(answer(one, col, col, eof, row, eof))},
		{"a column less, newer", true, false, list(query1), list(answer(one, col, col, row, end))},
		{"a value more", false, false, list(query1), list(answer(one, col, eof, append(slices.Clone(row), row...), eof))},
		{"a value less", false, false, list(query1), list(answer([]byte{2}, col, col, eof, row, eof))},
		{"a value longer than its row", false, false, list(query1), list(answer(one, col, eof, []byte("\x20secret"), eof))},
		{"a moment of 200 bytes", true, false, list(prepare, execute), list(answer(prepared, col), answer(one, columnOf(mysql.MYSQL_TYPE_DATE), append([]byte("\x00\x00\xc8secret"), make([]byte, 194)...), end))},
		{"an empty row", false, false, list(query1), list(append(answer(one, col, eof), packetsFrom(4, nil, row, eof)...))},
		{"an empty answer", false, false, list(query1), list(answer(nil, row, eof))},
		{"a number left out", false, false, list(query1), list(append(answer(one, col, eof), packetsFrom(5, row, eof)...))},
		{"an OK for a row", false, false, list(query1), list(answer(one, col, eof, append(slices.Clone(ok), "secret"...), eof))},
		{"an EOF with a row", false, false, list(query1), list(answer(one, col, eof, append(slices.Clone(eof), "sec"...), row, eof))},
		{"an EOF first", false, false, list(query1), list(answer(eof, row, eof))},
		{"more results than statements", false, false, list(query1), list(answer(one, col, eof, row, more, one, col, eof, row, eof))},
		{"a text for a binary row", false, false, list(prepare, execute), list(answer(prepared, col, eof), answer(one, col, eof, row, eof))},
		{"a binary row for a text", false, false, list(query1), list(answer(one, col, eof, binary, eof))},
		{"rows of no cursor", false, false, list(prepare, execute, fetch), list(answer(prepared, col, eof), answer(one, col, eof, eof), answer(binary, eof))},
		{"rows for a ping", false, false, list(ping), list(answer(one, col, eof, row, eof))},
		{"rows behind an OK", false, false, list(ping, query1), list(answer(ok, one, col, eof, row, eof), answer(one, col, eof, row, eof))},
		{"an OK that is cut", false, false, list(query1), list(answer(ok[:3]))},
		{"an error that is cut", false, false, list(query1), list(answer([]byte{packetERR, 1, 1, '#', 'x'}))},
	} {
		t.Run(c.name, func(t *testing.T) {
			caps, clients := uint32(offered), []uint32{mysql.CLIENT_DEPRECATE_EOF | mysql.CLIENT_SESSION_TRACK}
			if !c.newer {
				caps &^= mysql.CLIENT_DEPRECATE_EOF
				clients = append(clients, 0)
			}
			for _, mine := range clients {
				mine |= mysql.CLIENT_PROTOCOL_41 | mysql.CLIENT_PLUGIN_AUTH | mysql.CLIENT_SECURE_CONNECTION | mysql.CLIENT_MULTI_STATEMENTS
				seen := masked(t, caps, mine, c.commands, c.answers)
				if c.cut {
					require.Contains(t, string(seen), "masked", "what is right is shown")
					last := len(c.answers) - 1
					for n := range c.answers[last] {
						masked(t, caps, mine, c.commands, append(slices.Clone(c.answers[:last]), c.answers[last][:n]))
					}
				}
			}
		})
	}
}
