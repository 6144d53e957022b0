package mysql_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/sallyport-dev/gateway/protocol"
	connector "github.com/sallyport-dev/gateway/protocol/mysql"
	"github.com/sallyport-dev/gateway/protocol/protocoltest"
)

// TestKit holds the connector to the rules that all connectors are held to,
// with a scripted client and a scripted server of the test's own.
func TestKit(t *testing.T) {
	protocoltest.Test(t, protocoltest.Kit{
		NewServer:   func() protocol.Server { return &connector.Server{AllowPlaintext: true} },
		NewClient:   newKitClient,
		ServeTarget: serveKitTarget,
		Read:        func(tag string) string { return "select '" + tag + "'" },
		Write:       func(tag string) string { return "insert into kit values ('" + tag + "')" },
		Options:     map[string]string{"sslmode": "disable"},
		Garbage: [][]byte{
			{0xff, 0xff, 0xff, 1, 'x'},
			{32, 0, 0, 1, 0, 8, 0, 0},
			{0, 0, 0, 1},
			{1, 0, 0, 7, 'x'},
		},
	})
}

// kitCaps are what the kit's client asks for.
const kitCaps = mysql.CLIENT_PROTOCOL_41 | mysql.CLIENT_SECURE_CONNECTION | mysql.CLIENT_PLUGIN_AUTH | mysql.CLIENT_CONNECT_WITH_DB |
	mysql.CLIENT_LONG_PASSWORD | mysql.CLIENT_TRANSACTIONS | mysql.CLIENT_DEPRECATE_EOF | mysql.CLIENT_MULTI_STATEMENTS | mysql.CLIENT_MULTI_RESULTS

// A packetConn speaks in packets, for the kit's client and its target.
type packetConn struct {
	net.Conn
	seq byte
}

func (c *packetConn) read() ([]byte, error) {
	var out []byte
	for {
		var head [4]byte
		if _, err := io.ReadFull(c.Conn, head[:]); err != nil {
			return nil, err
		}
		n := int(head[0]) | int(head[1])<<8 | int(head[2])<<16
		if head[3] != c.seq {
			return nil, fmt.Errorf("packet %d, want %d", head[3], c.seq)
		}
		c.seq++
		b := make([]byte, n)
		if _, err := io.ReadFull(c.Conn, b); err != nil {
			return nil, err
		}
		if out = append(out, b...); n < 1<<24-1 {
			return out, nil
		}
	}
}

// packets returns payload as packets.
func (c *packetConn) packets(payload []byte) []byte {
	var out []byte
	for {
		n := min(len(payload), 1<<24-1)
		out = append(append(out, byte(n), byte(n>>8), byte(n>>16), c.seq), payload[:n]...)
		c.seq++
		if payload = payload[n:]; n < 1<<24-1 {
			return out
		}
	}
}

func (c *packetConn) write(payload []byte) error {
	_, err := c.Conn.Write(c.packets(payload))
	return err
}

type kitClient struct {
	packetConn
	id    uint32
	login protocoltest.Login
}

func newKitClient(conn net.Conn, l protocoltest.Login) (protocoltest.Client, error) {
	c := &kitClient{packetConn: packetConn{Conn: conn}, login: l}
	b, err := c.read()
	if err != nil {
		return nil, err
	}
	end := bytes.IndexByte(b, 0)
	if len(b) < end+40 || end < 0 {
		return nil, errors.New("no greeting")
	}
	c.id = binary.LittleEndian.Uint32(b[end+1:])
	salt := append(append([]byte{}, b[end+5:end+13]...), b[end+32:end+44]...)
	r := binary.LittleEndian.AppendUint32(nil, kitCaps)
	r = append(binary.LittleEndian.AppendUint32(r, 1<<24), 45)
	r = append(append(r, make([]byte, 23)...), l.User+"\x00"...)
	proof := mysql.CalcNativePassword(salt, []byte(l.Proof))
	r = append(append(r, byte(len(proof))), proof...)
	r = append(append(r, l.Target+"\x00"...), mysql.AUTH_NATIVE_PASSWORD+"\x00"...)
	if err := c.write(r); err != nil {
		return nil, err
	}
	for {
		b, err := c.read()
		switch {
		case err != nil:
			return nil, err
		case b[0] == mysql.OK_HEADER:
			return c, nil
		case b[0] == mysql.ERR_HEADER:
			return nil, errors.New(string(b))
		case b[0] == mysql.EOF_HEADER && bytes.HasPrefix(b[1:], []byte(mysql.AUTH_CLEAR_PASSWORD)):
			if err := c.write([]byte(l.Proof + "\x00")); err != nil {
				return nil, err
			}
		default:
			return nil, fmt.Errorf("unexpected packet %q", b)
		}
	}
}

func (c *kitClient) Do(text string, row func([][]byte) error) error {
	c.seq = 0
	if err := c.write(append([]byte{mysql.COM_QUERY}, text...)); err != nil {
		return err
	}
	b, err := c.read()
	if err != nil {
		return err
	}
	switch b[0] {
	case mysql.OK_HEADER:
		return nil
	case mysql.ERR_HEADER:
		return kitError(b)
	}
	columns := int(b[0])
	for range columns {
		if _, err = c.read(); err != nil {
			return err
		}
	}
	for {
		if b, err = c.read(); err != nil {
			return err
		}
		switch {
		case b[0] == mysql.EOF_HEADER && len(b) < 1<<24-1:
			return nil
		case b[0] == mysql.ERR_HEADER:
			return kitError(b)
		}
		values := make([][]byte, columns)
		for i := range values {
			v, null, n, err := mysql.LengthEncodedString(b)
			if err != nil {
				return err
			}
			if b = b[n:]; !null {
				values[i] = append([]byte{}, v...)
			}
		}
		if err := row(values); err != nil {
			return err
		}
	}
}

func kitError(b []byte) error {
	if binary.LittleEndian.Uint16(b[1:]) == mysql.ER_SERVER_SHUTDOWN {
		return errors.New(string(b[9:]))
	}
	return &protocoltest.ReplyError{Text: string(b[9:])}
}

// Cancel does what mysql does at Ctrl-C: it asks on another connection.
func (c *kitClient) Cancel() error {
	conn, err := c.login.Dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	other, err := newKitClient(conn, c.login)
	if err != nil {
		return err
	}
	return other.Do(fmt.Sprintf("KILL QUERY %d", c.id), nil)
}

func (c *kitClient) Close() error {
	c.seq = 0
	return c.write([]byte{mysql.COM_QUIT})
}

const kitSalt = "abcdefghijklmnopqrst"

func serveKitTarget(conn net.Conn, t *protocoltest.Target) error {
	c := &packetConn{Conn: conn}
	caps := uint32(kitCaps | mysql.CLIENT_LONG_FLAG | mysql.CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA | mysql.CLIENT_CONNECT_ATTRS)
	b := append([]byte{10}, "8.0.36-kit\x00"...)
	b = append(append(binary.LittleEndian.AppendUint32(b, 7), kitSalt[:8]...), 0)
	b = append(binary.LittleEndian.AppendUint16(b, uint16(caps)), 45, 2, 0)
	b = append(binary.LittleEndian.AppendUint16(b, uint16(caps>>16)), 21)
	b = append(append(append(b, make([]byte, 10)...), kitSalt[8:]...), 0)
	if err := c.write(append(b, mysql.AUTH_NATIVE_PASSWORD+"\x00"...)); err != nil {
		return err
	}
	b, err := c.read()
	if err != nil {
		return err
	}
	user, rest, _ := bytes.Cut(b[min(32, len(b)):], []byte{0})
	want := t.Account()
	proof := mysql.CalcNativePassword([]byte(kitSalt), []byte(want.Secret.Reveal()))
	if string(user) != want.User || len(rest) < 21 || !bytes.Equal(rest[1:21], proof) {
		_ = c.write(kitErr(mysql.ER_ACCESS_DENIED_ERROR, "28000", "Access denied"))
		return errors.New("wrong password")
	}
	if err := c.write([]byte{0, 0, 0, 2, 0, 0, 0}); err != nil {
		return err
	}
	for {
		c.seq = 0
		b, err := c.read()
		if err != nil {
			return err
		}
		switch b[0] {
		case mysql.COM_QUIT:
			return nil
		case mysql.COM_QUERY:
			err = answerKit(c, t, string(b[1:]))
		default:
			err = c.write(kitErr(mysql.ER_UNKNOWN_COM_ERROR, "08S01", "the kit's target knows queries only"))
		}
		if err != nil {
			return err
		}
	}
}

func kitErr(code uint16, state, msg string) []byte {
	b := binary.LittleEndian.AppendUint16([]byte{mysql.ERR_HEADER}, code)
	return append(append(append(b, '#'), state...), msg...)
}

// answerKit answers one query as the kit's script has it.
func answerKit(c *packetConn, t *protocoltest.Target, text string) error {
	var r protocoltest.Reply
	switch {
	case strings.HasPrefix(text, "SELECT @@sql_mode"): // what the gateway asks at the start
		row := [][]byte{{}, []byte("utf8mb4"), nil, nil, []byte("0")}
		r = protocoltest.Reply{Columns: []string{"a", "b", "c", "d", "e"}, Rows: func(yield func([][]byte, error) bool) { yield(row, nil) }}
	case strings.Contains(text, "information_schema"), strings.Contains(text, "performance_schema"), strings.HasPrefix(text, "SET SESSION"): // it reads the catalog: there is none
		r = protocoltest.Reply{Err: "no such table"}
	default:
		r = t.Do(text)
	}
	if r.Err != "" {
		return c.write(kitErr(mysql.ER_UNKNOWN_ERROR, "HY000", r.Err))
	}
	if r.Columns == nil {
		return c.write([]byte{0, 1, 0, 2, 0, 0, 0})
	}
	out := c.packets([]byte{byte(len(r.Columns))})
	for _, name := range r.Columns {
		b := append([]byte{3}, "def"...)
		b = append(b, 0, 0, 0)
		b = append(append(append(b, byte(len(name))), name...), 0)
		out = append(out, c.packets(append(b, 0x0c, 45, 0, 255, 255, 0, 0, mysql.MYSQL_TYPE_VAR_STRING, 0, 0, 0, 0, 0))...)
	}
	for row, err := range r.Rows {
		if err != nil {
			_, _ = c.Write(out)
			return err
		}
		var b []byte
		for _, v := range row {
			if v == nil {
				b = append(b, 0xfb)
			} else {
				b = append(mysql.AppendLengthEncodedInteger(b, uint64(len(v))), v...)
			}
		}
		out = append(out, c.packets(b)...)
		if _, err := c.Write(out); err != nil {
			return err
		}
		out = out[:0]
	}
	_, err := c.Write(append(out, c.packets([]byte{mysql.EOF_HEADER, 0, 0, 2, 0, 0, 0})...))
	return err
}
