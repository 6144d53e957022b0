package mysql_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
	connector "github.com/sallyport-dev/gateway/protocol/mysql"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
)

// A rawClient sends what it is told, byte for byte.
type rawClient struct {
	packetConn
	t     testing.TB
	n     int    // markers
	query string // what begins a COM_QUERY
}

const rawCaps = mysql.CLIENT_PROTOCOL_41 | mysql.CLIENT_SECURE_CONNECTION | mysql.CLIENT_PLUGIN_AUTH | mysql.CLIENT_CONNECT_WITH_DB |
	mysql.CLIENT_LONG_PASSWORD | mysql.CLIENT_TRANSACTIONS | mysql.CLIENT_MULTI_RESULTS | mysql.CLIENT_PS_MULTI_RESULTS

// rawLogin logs in with mysql_native_password. Without CLIENT_LONG_PASSWORD it wants
// MariaDB's extended metadata.
func rawLogin(t testing.TB, addr, user, password, database string, caps uint32) *rawClient {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	c := &rawClient{packetConn: packetConn{Conn: conn}, t: t, query: "\x03"}
	if caps&mysql.CLIENT_QUERY_ATTRIBUTES != 0 {
		c.query += "\x00\x01"
	}
	b, err := c.read()
	require.NoError(t, err)
	end := bytes.IndexByte(b, 0)
	salt := append(append([]byte{}, b[end+5:end+13]...), b[end+32:end+44]...)
	r := binary.LittleEndian.AppendUint32(nil, caps)
	r = append(binary.LittleEndian.AppendUint32(r, 1<<24), 45)
	r = append(r, make([]byte, 23)...)
	if caps&mysql.CLIENT_LONG_PASSWORD == 0 { // MariaDB's own capabilities stand behind
		r[len(r)-4] = 1 << 3 // MARIADB_CLIENT_EXTENDED_METADATA
	}
	r = append(r, user+"\x00"...)
	proof := mysql.CalcNativePassword(salt, []byte(password))
	r = append(append(r, byte(len(proof))), proof...)
	require.NoError(t, c.write(append(r, database+"\x00mysql_native_password\x00"...)))
	b, err = c.read()
	require.NoError(t, err)
	require.Equal(t, byte(0), b[0], "%q", b)
	return c
}

// ask sends a command and returns the packets of its answer, up to that of a
// query that is sent behind it, or what was read before the peer hung up.
func (c *rawClient) ask(command []byte) (answer [][]byte) {
	c.n++
	marker := fmt.Sprintf("marker-%d", c.n)
	c.seq = 0
	b := c.packets(command)
	c.seq = 0
	b = append(b, c.packets([]byte(c.query+"SELECT '"+marker+"'"))...)
	go func() { _, _ = c.Conn.Write(b) }() // a large one while the answer is read
	row := []byte(string(rune(len(marker))) + marker)
	for {
		var head [4]byte
		if _, err := io.ReadFull(c.Conn, head[:]); err != nil {
			return append(answer, []byte("hung up"))
		}
		p := make([]byte, int(head[0])|int(head[1])<<8|int(head[2])<<16)
		_, err := io.ReadFull(c.Conn, p)
		require.NoError(c.t, err)
		if bytes.Equal(p, row) {
			break
		}
		answer = append(answer, append([]byte{head[3]}, p...))
	}
	var head [4]byte // of the end of the marker's rows
	_, err := io.ReadFull(c.Conn, head[:])
	require.NoError(c.t, err)
	_, err = io.CopyN(io.Discard, c.Conn, int64(head[0]))
	require.NoError(c.t, err)
	// Before the row: the number of columns, the column and, in the older form,
	// an EOF.
	for i := len(answer) - 1; i >= 0; i-- {
		if string(answer[i]) == "\x01\x01" {
			return answer[:i]
		}
	}
	c.t.Fatal("the answer to the marker has no head")
	return nil
}

// brief is what a test prints of an answer.
func brief(answer [][]byte) string {
	var b strings.Builder
	for _, p := range answer {
		fmt.Fprintf(&b, "%d bytes %.200q\n", len(p), p)
	}
	return b.String()
}

// rawSide starts a gateway that takes a password as MySQL itself does.
func rawSide(t testing.TB, c rigConfig) *rig {
	if c.server == nil {
		c.server = &connector.Server{}
	}
	c.server.Auth, c.server.AllowPlaintext, c.server.Version = connector.AuthNative, true, "5.5.5-10.11.14-MariaDB"
	c.identify = middleware.ScramSecrets(middleware.ScramSecret{User: "alice", MySQL: protocol.NewSecret(rawPassword),
		Subject: "alice", Groups: []string{"dba"}, Kind: protocol.Human})
	return newRig(t, c)
}

const rawPassword = "for raw clients"

func command(com byte, parts ...string) []byte {
	return append([]byte{com}, strings.Join(parts, "")...)
}

// execution is a COM_STMT_EXECUTE with one argument that is a text.
func execution(id byte, flags byte, arg string) []byte {
	return command(mysql.COM_STMT_EXECUTE, string([]byte{id, 0, 0, 0, flags, 1, 0, 0, 0, 0, 1, mysql.MYSQL_TYPE_VAR_STRING, 0, byte(len(arg))}), arg)
}

// rawCommands are sent one after the other.
var rawCommands = []struct {
	name  string
	bytes []byte
	kind  bool // what is answered, or its order, changes from one time to the next: only the form is compared
}{
	{"ping", command(mysql.COM_PING), false},
	{"ping with a body", command(mysql.COM_PING, "x"), false},
	{"database", command(mysql.COM_INIT_DB, "mysql"), false},
	{"no database", command(mysql.COM_INIT_DB, "nothing"), false},
	{"database again", command(mysql.COM_INIT_DB, "shop"), false},
	{"fields", command(mysql.COM_FIELD_LIST, "customers\x00"), false},
	{"fields of a pattern", command(mysql.COM_FIELD_LIST, "customers\x00e%"), false},
	{"fields of nothing", command(mysql.COM_FIELD_LIST, "nothing\x00"), false},
	{"one statement only", command(mysql.COM_QUERY, "SELECT 1; SELECT 2"), false},
	{"several statements", command(mysql.COM_SET_OPTION, "\x00\x00"), false},
	{"now they are", command(mysql.COM_QUERY, "SELECT 1; SELECT 2"), false},
	{"the second fails", command(mysql.COM_QUERY, "SELECT 1; SELECT * FROM nothing; SELECT 3"), false},
	{"one again", command(mysql.COM_SET_OPTION, "\x01\x00"), false},
	{"and no more", command(mysql.COM_QUERY, "SELECT 1; SELECT 2"), false},
	{"an option that nobody knows", command(mysql.COM_SET_OPTION, "\x07\x00"), false},
	{"empty", command(mysql.COM_QUERY), false},
	{"a semicolon", command(mysql.COM_QUERY, " ; "), false},
	{"a comment", command(mysql.COM_QUERY, "/* nothing */"), false},
	{"a comment of a newer version", command(mysql.COM_QUERY, "/*!999999 nothing */"), false},
	{"syntax", command(mysql.COM_QUERY, "SELEKT 1"), false},
	{"warnings", command(mysql.COM_QUERY, "SELECT 'a' + 1"), false},
	{"show them", command(mysql.COM_QUERY, "SHOW WARNINGS"), false},
	{"insert", command(mysql.COM_QUERY, "INSERT INTO orders (item, amount) VALUES ('raw', 1), ('raw', 2)"), false},
	{"change", command(mysql.COM_QUERY, "UPDATE orders SET amount = 9 WHERE item = 'raw'"), false},
	{"begin", command(mysql.COM_QUERY, "BEGIN"), false},
	{"delete", command(mysql.COM_QUERY, "DELETE FROM orders WHERE item = 'raw'"), false},
	{"rollback", command(mysql.COM_QUERY, "ROLLBACK"), false},
	{"call", command(mysql.COM_QUERY, "CALL several()"), false},
	{"state", command(mysql.COM_QUERY, "SET sql_mode = 'ANSI_QUOTES'"), false},
	{"state of a session that is tracked", command(mysql.COM_QUERY, "SET NAMES latin1"), true},
	{"back", command(mysql.COM_QUERY, "SET sql_mode = '', NAMES utf8mb4"), true},
	{"types of MariaDB", command(mysql.COM_QUERY, "SELECT CAST('::1' AS INET6) AS i, JSON_ARRAY(1) AS j, POINT(1, 2) AS p, UUID() = '' AS u"), false},
	{"prepare", command(mysql.COM_STMT_PREPARE, "SELECT id, name, ? FROM customers ORDER BY id"), false},
	{"execute", execution(1, 0, "arg"), false},
	{"execute without types", command(mysql.COM_STMT_EXECUTE, "\x01\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x01y"), false},
	{"execute with NULL", command(mysql.COM_STMT_EXECUTE, "\x01\x00\x00\x00\x00\x01\x00\x00\x00\x01\x01\xfd\x00"), false},
	{"long data", command(mysql.COM_STMT_SEND_LONG_DATA, "\x01\x00\x00\x00\x00\x00", "long "), false},
	{"more long data", command(mysql.COM_STMT_SEND_LONG_DATA, "\x01\x00\x00\x00\x00\x00", "data"), false},
	{"execute with long data", command(mysql.COM_STMT_EXECUTE, "\x01\x00\x00\x00\x00\x01\x00\x00\x00\x00\x01\xfd\x00"), false},
	{"long data taken back", command(mysql.COM_STMT_SEND_LONG_DATA, "\x01\x00\x00\x00\x00\x00", "gone"), false},
	{"reset", command(mysql.COM_STMT_RESET, "\x01\x00\x00\x00"), false},
	{"execute after it", execution(1, 0, "again"), false},
	{"cursor", execution(1, 1, "cur"), false},
	{"fetch", command(mysql.COM_STMT_FETCH, "\x01\x00\x00\x00\x02\x00\x00\x00"), false},
	{"fetch the rest", command(mysql.COM_STMT_FETCH, "\x01\x00\x00\x00\x09\x00\x00\x00"), false},
	{"fetch behind the end", command(mysql.COM_STMT_FETCH, "\x01\x00\x00\x00\x01\x00\x00\x00"), false},
	{"another cursor", execution(1, 1, "cur"), false},
	{"closed by a reset", command(mysql.COM_STMT_RESET, "\x01\x00\x00\x00"), false},
	{"fetch from it", command(mysql.COM_STMT_FETCH, "\x01\x00\x00\x00\x01\x00\x00\x00"), false},
	{"prepare what changes", command(mysql.COM_STMT_PREPARE, "INSERT INTO orders (item) VALUES (?)"), false},
	{"execute that", execution(2, 0, "raw"), false},
	{"with a cursor that it has not", execution(2, 1, "raw"), false},
	{"prepare what is wrong", command(mysql.COM_STMT_PREPARE, "SELEKT ?"), false},
	{"the last one is none", command(mysql.COM_STMT_EXECUTE, "\xff\xff\xff\xff\x00\x01\x00\x00\x00"), false},
	{"prepare a procedure", command(mysql.COM_STMT_PREPARE, "CALL several()"), false},
	{"execute the last one", command(mysql.COM_STMT_EXECUTE, "\xff\xff\xff\xff\x00\x01\x00\x00\x00"), false},
	{"close it", command(mysql.COM_STMT_CLOSE, "\x02\x00\x00\x00"), false},
	{"execute what is closed", execution(2, 0, "raw"), false},
	{"reset what is closed", command(mysql.COM_STMT_RESET, "\x02\x00\x00\x00"), false},
	{"fetch from what is closed", command(mysql.COM_STMT_FETCH, "\x02\x00\x00\x00\x01\x00\x00\x00"), false},
	{"close what is closed", command(mysql.COM_STMT_CLOSE, "\x02\x00\x00\x00"), false},
	{"prepare many", command(mysql.COM_STMT_PREPARE, "SELECT 1; SELECT 2"), false},
	{"prepare nothing", command(mysql.COM_STMT_PREPARE), false},
	{"wide answer", command(mysql.COM_QUERY, "SELECT REPEAT('w', 20000000), 'behind'"), false},
	{"answer of just a packet", command(mysql.COM_QUERY, "SELECT REPEAT('w', 16777211)"), false},
	{"answer that begins like an end", command(mysql.COM_QUERY, "SELECT REPEAT('w', 16777216), 'behind' FROM orders LIMIT 2"), false},
	{"wide text", command(mysql.COM_QUERY, "SELECT LENGTH('", strings.Repeat("w", 17<<20), "')"), false},
	{"text of just a packet", command(mysql.COM_QUERY, "SELECT LENGTH('", strings.Repeat("w", 1<<24-1-1-len("SELECT LENGTH('')")), "')"), false},
	{"statistics", command(mysql.COM_STATISTICS), true},
	{"processes", command(mysql.COM_PROCESS_INFO), true},
	{"debug", command(mysql.COM_DEBUG), false},
	{"refresh", command(mysql.COM_REFRESH, "\x10"), false},
	{"kill nobody", command(mysql.COM_PROCESS_KILL, "\xfe\xff\xff\x7e"), false},
	{"obsolete", command(mysql.COM_TIME), false},
	{"reset connection", command(mysql.COM_RESET_CONNECTION), false},
	{"what was prepared is gone", execution(1, 0, "raw"), false},
	{"user variables too", command(mysql.COM_QUERY, "SELECT @a, DATABASE(), @@sql_mode"), false},
}

// TestRawCommandsAreAnsweredAlike sends each command to MariaDB and through a
// gateway, with and without a step that looks at everything, for clients that
// want either form of answers: the answers are the same to the byte.
func TestRawCommandsAreAnsweredAlike(t *testing.T) {
	for name, caps := range map[string]uint32{
		"older":      rawCaps,
		"newer":      rawCaps | mysql.CLIENT_DEPRECATE_EOF | mysql.CLIENT_SESSION_TRACK,
		"of MariaDB": rawCaps&^mysql.CLIENT_LONG_PASSWORD | mysql.CLIENT_DEPRECATE_EOF,
	} {
		t.Run(name, func(t *testing.T) {
			type side struct {
				name string
				c    *rawClient
			}
			maria := servers.MariaDBConfig{SQL: append(several.SQL,
				"CREATE USER raw IDENTIFIED VIA mysql_native_password USING PASSWORD('"+rawPassword+"')", "GRANT ALL ON *.* TO raw")}
			account := &protocol.Credentials{User: "raw", Secret: protocol.NewSecret(rawPassword)}
			plain, looked := rawSide(t, rigConfig{maria: maria, account: account}), rawSide(t, rigConfig{maria: maria, account: account, steps: []middleware.Step{looking()}})
			// Each has a server of its own, so that what one changes does not
			// show in the answers to another.
			direct := rawSide(t, rigConfig{maria: maria, account: account})
			sides := []side{
				{"gateway", rawLogin(t, plain.addr, "alice@my", rawPassword, "shop", caps)},
				{"gateway that looks", rawLogin(t, looked.addr, "alice@my", rawPassword, "shop", caps)},
			}
			at := rawLogin(t, direct.db.Addr, "raw", rawPassword, "shop", caps)
			for _, cmd := range rawCommands {
				want := at.ask(cmd.bytes)
				for _, s := range sides {
					got := s.c.ask(cmd.bytes)
					if cmd.kind && len(got) > 0 && len(want) > 0 {
						got, want = got[:1], want[:1]
						got[0], want[0] = got[0][:2], want[0][:2]
					}
					if !bytes.Equal(bytes.Join(got, []byte("|")), bytes.Join(want, []byte("|"))) {
						t.Errorf("%s: %s:\n%sand at the target:\n%s", s.name, cmd.name, brief(got), brief(want))
					}
				}
			}
		})
	}
}

// TestMaskedValuesAreOfTheirTypeInMariaDB masks texts of which MariaDB's extended
// metadata say more: who reads them as JSON can go on doing so.
func TestMaskedValuesAreOfTheirTypeInMariaDB(t *testing.T) {
	r := rawSide(t, rigConfig{maria: servers.MariaDBConfig{SQL: []string{"USE shop", "CREATE TABLE typed (j JSON, u UUID)",
		`INSERT INTO typed VALUES ('{"a": "S3CRET"}', '123e4567-e89b-12d3-a456-426655440000')`}},
		steps: []middleware.Step{middleware.Mask(mask.Rule{Name: "typed", Columns: []string{"shop.typed.*"}, Transform: mask.Redact()})}})
	query := command(mysql.COM_QUERY, "SELECT j, u FROM typed")
	row := func(caps uint32) string {
		answer := rawLogin(t, r.addr, "alice@my", rawPassword, "shop", caps).ask(query)
		require.Len(t, answer, 6)
		return string(answer[4][1:])
	}
	require.Equal(t, "\x03***\x03***", row(rawCaps))
	require.Equal(t, "\x05\"***\"\x2400000000-0000-0000-0000-000000000000", row(rawCaps&^mysql.CLIENT_LONG_PASSWORD))
}

// TestRefusedExecutionIsOver refuses executions, and holds them for longer than their client
// waits: the next one has arguments of its own, of the types that were sent last, as
// behind an error of the target.
func TestRefusedExecutionIsOver(t *testing.T) {
	h := newHolding()
	r := rawSide(t, rigConfig{server: &connector.Server{HoldTimeout: time.Millisecond}, steps: []middleware.Step{{Name: "refuse", Operation: func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
		switch {
		case len(op.Args) > 0 && strings.Contains(op.Args[0].Text, "forbidden"):
			return protocol.Deny("not that"), nil
		case len(op.Args) > 0 && strings.Contains(op.Args[0].Text, "held"):
			return h.hold(op), nil
		}
		return protocol.Pass, nil
	}}}})
	c := rawLogin(t, r.addr, "alice@my", rawPassword, "shop", rawCaps)
	c.ask(command(mysql.COM_STMT_PREPARE, "SELECT CONCAT(?)"))
	long := func(s string) {
		c.seq = 0
		require.NoError(t, c.write(command(mysql.COM_STMT_SEND_LONG_DATA, "\x01\x00\x00\x00\x00\x00", s)))
	}
	again := func(s string) []byte { // without types
		return command(mysql.COM_STMT_EXECUTE, "\x01\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00", string([]byte{byte(len(s))}), s)
	}
	number := command(mysql.COM_STMT_EXECUTE, "\x01\x00\x00\x00\x00\x01\x00\x00\x00\x00\x01\x03\x00\x07\x00\x00\x00")
	require.Contains(t, brief(c.ask(number)), "7")
	require.Contains(t, brief(c.ask(execution(1, 0, "forbidden"))), "not that")
	require.Contains(t, brief(c.ask(again("allowed"))), `\aallowed`)
	long("forbidden ")
	require.Contains(t, brief(c.ask(execution(1, 0, ""))), "Incorrect arguments", "one argument too many")
	require.Contains(t, brief(c.ask(again("allowed"))), `\aallowed`)
	long("forbidden ")
	require.Contains(t, brief(c.ask(command(mysql.COM_STMT_EXECUTE, "\x01\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00"))), "not that")
	long("allowed")
	require.Contains(t, brief(c.ask(command(mysql.COM_STMT_EXECUTE, "\x01\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00"))), `\aallowed`)
	decided := false
	for { // until it is collected
		long("held")
		answer := brief(c.ask(command(mysql.COM_STMT_EXECUTE, "\x01\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00")))
		if !strings.Contains(answer, "nobody has decided yet") {
			require.Contains(t, answer, `\x04held`)
			break
		}
		if !decided {
			<-h.waits
			h.decides <- protocol.Allow("somebody")
			decided = true
		}
	}
	require.EqualValues(t, 1, h.asked.Load())
}

// TestPreparedStatementsTakeBoundedMemory fills what a session may keep with texts, long
// arguments and the columns of cursors, also after others were executed and closed.
func TestPreparedStatementsTakeBoundedMemory(t *testing.T) {
	r := rawSide(t, rigConfig{server: &connector.Server{MaxPrepared: 100 << 10, MaxMessage: 100 << 10}})
	prepare := func(c *rawClient, text string) (id, answer string) {
		packets := c.ask(command(mysql.COM_STMT_PREPARE, text))
		if packets[0][1] == mysql.OK_HEADER {
			id = string(packets[0][2:6])
		}
		return id, brief(packets)
	}
	for name, fill := range map[string]func(c *rawClient) string{
		"texts": func(c *rawClient) string {
			_, answer := prepare(c, "SELECT '"+strings.Repeat("x", 10<<10)+"'")
			return answer
		},
		"long arguments": func(c *rawClient) string {
			var ids []string
			for range 20 {
				id, _ := prepare(c, "SELECT ?")
				ids = append(ids, id)
			}
			answer := ""
			for _, id := range ids {
				answer += brief(c.ask(command(mysql.COM_STMT_SEND_LONG_DATA, id, "\x00\x00", strings.Repeat("x", 50<<10))))
			}
			return answer
		},
		"columns": func(c *rawClient) string {
			id, answer := prepare(c, "SELECT * FROM customers a, customers b, customers c, customers d, customers e, customers f")
			return answer + brief(c.ask(command(mysql.COM_STMT_EXECUTE, id, "\x01\x01\x00\x00\x00")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := rawLogin(t, r.addr, "alice@my", rawPassword, "shop", rawCaps)
			const params = 4000
			types, values := strings.Repeat("\x01\x00", params), strings.Repeat("\x07", params)
			for range 50 { // which are forgotten again
				id, _ := prepare(c, "DO 0"+strings.Repeat(",?", params))
				answer := c.ask(command(mysql.COM_STMT_EXECUTE, id, "\x00\x01\x00\x00\x00", strings.Repeat("\x00", params/8), "\x01", types, values))
				require.Equal(t, byte(mysql.OK_HEADER), answer[0][1], brief(answer))
				c.ask(command(mysql.COM_STMT_CLOSE, id))
			}
			var answer string
			for range 20 {
				if answer = fill(c); strings.Contains(answer, "too much memory") || strings.Contains(answer, "hung up") {
					return
				}
			}
			t.Errorf("nothing is refused: %s", answer)
		})
	}
}

// TestOwnAnswersTellOfTheSessionOnly makes the gateway answer with an OK of its own after
// answers whose status tells of more results, and of a session whose state has changed.
func TestOwnAnswersTellOfTheSessionOnly(t *testing.T) {
	h := newHolding()
	r := rawSide(t, rigConfig{steps: rulesOf("held", h.hold)})
	c := rawLogin(t, r.addr, "alice@my", rawPassword, "shop", rawCaps|mysql.CLIENT_SESSION_TRACK|mysql.CLIENT_MULTI_STATEMENTS)
	ok := [][]byte{{1, mysql.OK_HEADER, 0, 0, byte(mysql.SERVER_STATUS_AUTOCOMMIT), 0, 0, 0}}
	require.Equal(t, ok, c.ask(command(mysql.COM_CHANGE_USER, "alice@my\x00\x00mysql\x00\x2d\x00")))
	other := rawLogin(t, r.addr, "alice@my", rawPassword, "shop", rawCaps)
	other.seq = 0
	require.NoError(t, other.write(command(mysql.COM_QUERY, "SELECT 'held'")))
	<-h.waits
	c.seq = 0
	require.NoError(t, c.write(command(mysql.COM_QUERY, "SELECT 1; SELECT * FROM nothing")))
	for b := []byte{0}; b[0] != mysql.ERR_HEADER; {
		var err error
		b, err = c.read()
		require.NoError(t, err)
	}
	require.Equal(t, ok, c.ask(command(mysql.COM_QUERY, "KILL QUERY 2147483650")))
}

// TestLongDataBeyondAPacket sends ahead what is longer than a packet may be at the target,
// in pieces that are not.
func TestLongDataBeyondAPacket(t *testing.T) {
	const limit = 1 << 20
	r := rawSide(t, rigConfig{maria: servers.MariaDBConfig{SQL: []string{"CREATE USER raw IDENTIFIED VIA mysql_native_password USING PASSWORD('" + rawPassword + "')",
		"GRANT ALL ON *.* TO raw", fmt.Sprintf("SET GLOBAL max_allowed_packet = %d", limit)}}})
	direct, c := rawLogin(t, r.db.Addr, "raw", rawPassword, "shop", rawCaps), rawLogin(t, r.addr, "alice@my", rawPassword, "shop", rawCaps)
	execute := command(mysql.COM_STMT_EXECUTE, "\x01\x00\x00\x00\x00\x01\x00\x00\x00\x00\x01\xfc\x00")
	piece := func(n int) []byte {
		return command(mysql.COM_STMT_SEND_LONG_DATA, "\x01\x00\x00\x00\x00\x00", strings.Repeat("w", n))
	}
	for _, cmd := range [][]byte{command(mysql.COM_STMT_PREPARE, "SELECT LENGTH(?)"), piece(0), execute, piece(limit / 2), piece(limit / 2), execute,
		command(mysql.COM_STMT_RESET, "\x01\x00\x00\x00"), piece(limit / 2), piece(limit / 2), piece(1), execute, execution(1, 0, "again"), command(mysql.COM_STMT_RESET, "\x01\x00\x00\x00"), execution(1, 0, "again")} {
		require.Equal(t, brief(direct.ask(cmd)), brief(c.ask(cmd)), "%.20q", cmd)
	}
}
