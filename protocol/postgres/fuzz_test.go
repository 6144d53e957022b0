package postgres

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

// hostileBodies are bodies that have broken other implementations.
var hostileBodies = []string{"", "\x00", "\x00\x00", "\xff\xff", "\x00\x01\xff\xff\xff\xfe", "\x00\x01\xff\xff\xff\xff", "\x00\x01\x7f\xff\xff\xff",
	"\x00\x00\x00\x00\x00\x01\xff\xff\xff\xfe\x00\x00", "p\x00s\x00\x00\x00\x00\x01\xff\xff\xff\xfe\x00\x00", "\x00\x00\x00\x01\x00\x00\xff\xff",
	"\x00\x00\x00\x2a\x00\x00\x00\x01\xff\xff\xff\xfe\x00\x00", "\x00select 1\x00\x00\x00", "\x00select 1\x00\xff\xff", "\x00\x00\x80\x00", "S\x00", "P\x00\x00"}

func seedBodies(f *testing.F) {
	for _, b := range hostileBodies {
		f.Add([]byte(b))
	}
}

// FuzzMessages decodes every message that a client or a target sends. What is
// accepted must be all of the body: encoding it again gives the same bytes.
func FuzzMessages(f *testing.F) {
	seedBodies(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		same := func(what string, b []byte) {
			if !bytes.Equal(b, body) {
				t.Fatalf("%s: %q became %q", what, body, b)
			}
		}
		count := func(b []byte, n int) []byte { return binary.BigEndian.AppendUint16(b, uint16(n)) }
		str := func(b, s []byte) []byte { return append(append(b, s...), 0) }
		if m, err := decodeParse(body); err == nil {
			b := str(str(nil, m.name), m.query)
			same("Parse", append(count(b, len(m.types)/4), m.types...))
		}
		if m, err := decodeBind(body, nil); err == nil {
			b := str(str(nil, m.portal), m.stmt)
			b = append(count(b, len(m.formats)/2), m.formats...)
			b = appendValues(count(b, len(m.params)), m.params)
			same("Bind", append(count(b, len(m.resultFormats)/2), m.resultFormats...))
			decodeArgs(nil, &m, func(i int) uint32 { return uint32(i*7 + len(body)) })
			for i := range m.params {
				format(m.formats, i)
			}
		}
		if m, err := decodeNamed(body); err == nil {
			same("Describe", str([]byte{m.kind}, m.name))
		}
		if m, err := decodeExecute(body); err == nil {
			same("Execute", binary.BigEndian.AppendUint32(str(nil, m.portal), m.rows))
		}
		if m, err := decodeFunctionCall(body); err == nil {
			formats := int(binary.BigEndian.Uint16(body[4:]))
			b := append(binary.BigEndian.AppendUint32(nil, m.function), body[4:6+2*formats]...)
			b = appendValues(count(b, len(m.args)), m.args)
			same("FunctionCall", append(b, body[len(body)-2:]...))
		}
		if row, err := decodeRow(body, nil); err == nil {
			same("DataRow", appendValues(count(nil, len(row)), row))
		}
		if fs, err := decodeFields(body); err == nil {
			var b []byte
			for _, fl := range fs {
				b = str(append(b, fl.code), []byte(fl.val))
			}
			same("ErrorResponse", append(b, 0))
		}
		if list, err := decodeMechanisms(body); err == nil {
			var b []byte
			for _, m := range list {
				b = str(b, []byte(m))
			}
			same("AuthenticationSASL", append(b, 0))
		}
		sqlstate(body)
		if first, err := decodeSASLInitial(body); err == nil && len(first) > len(body) {
			t.Fatal("a response longer than the message")
		}
		if cols, _, err := decodeColumns(body, nil, nil); err == nil {
			if len(cols)*19 > len(body) {
				t.Fatal("more columns than bytes")
			}
			withFormats(cols, []byte{0, 1})
		}
		_, _, _ = decodeColumns(body, nil, &sql.Catalog{})
	})
}

func appendValues(b []byte, vs [][]byte) []byte {
	for _, v := range vs {
		if v == nil {
			b = append(b, 0xff, 0xff, 0xff, 0xff)
			continue
		}
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(v))), v...)
	}
	return b
}

// A byteConn reads from a slice and remembers what is written.
type byteConn struct {
	net.Conn
	in  *bytes.Reader
	out bytes.Buffer
}

// Read implements net.Conn.
func (c *byteConn) Read(p []byte) (int, error) { return c.in.Read(p) }

// Write implements net.Conn.
func (c *byteConn) Write(p []byte) (int, error) { return c.out.Write(p) }

// RemoteAddr implements net.Conn.
func (c *byteConn) RemoteAddr() net.Addr { return &net.TCPAddr{} }

// FuzzStart is everything that a client may send before its proof, and the
// proof. Nothing is taken that was not sent, and no byte behind is read.
func FuzzStart(f *testing.F) {
	hello := "\x00\x03\x00\x00user\x00alice\x00database\x00a/b\x00\x00"
	packet := func(body string) []byte {
		return append(binary.BigEndian.AppendUint32(nil, uint32(len(body)+4)), body...)
	}
	ssl, gss := packet("\x04\xd2\x16\x2f"), packet("\x04\xd2\x16\x30")
	for _, b := range [][]byte{nil, {0x16, 3, 1}, {0, 0, 0, 0}, {0, 0, 0, 7, 0, 3, 0, 0}, {0x7f, 0xff, 0xff, 0xff}, ssl, gss, slices.Concat(ssl, gss, packet(hello)),
		slices.Concat(ssl, ssl), packet("\x04\xd2\x16\x2e\x00\x00\x00\x01key!"), packet("\x00\x03\x00\x02user\x00a@b\x00_pq_.x\x00y\x00\x00"),
		packet("\x00\x03\x27\x0fuser\x00a\x00\x00"), packet("\x00\x02\x00\x00"), packet("\x00\x03\x00\x00user\x00a"),
		slices.Concat(packet(hello), []byte("p\x00\x00\x00\x08pwd\x00")), slices.Concat(packet(hello), []byte("p\x7f\xff\xff\xff"))} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, auth := range []AuthMethod{AuthPassword, AuthSCRAM} {
			s := &Server{AllowPlaintext: true, Auth: auth, Domain: "example.com"}
			s.init()
			conn := &byteConn{in: bytes.NewReader(b)}
			st, err := s.start(context.Background(), conn)
			if err != nil {
				continue
			}
			if c := st.cancel; c != nil {
				if len(c.key) < 4 || len(c.key) > maxKey {
					t.Fatalf("a key of %d bytes", len(c.key))
				}
				continue
			}
			if len(st.params) > maxStartup/2 || st.minor > minorMax {
				t.Fatalf("%d parameters, minor version %d", len(st.params), st.minor)
			}
			for _, p := range st.params {
				if !bytes.Contains(b, []byte(p.name+"\x00"+p.value+"\x00")) || strings.HasPrefix(p.name, "_pq_.") {
					t.Fatalf("parameter %q=%q was not sent", p.name, p.value)
				}
			}
			l, ch, err := s.login(st)
			if err != nil {
				continue
			}
			if (ch != nil) != (auth == AuthSCRAM) || l.User == "" {
				t.Fatalf("login %+v", l)
			}
			if ch != nil {
				if ok, _ := ch.verify(context.Background(), protocol.NewSecret("password")); ok {
					t.Fatal("proven by accident")
				}
			} else if pw := l.Proof.(protocol.Password); pw.Secret.Empty() || !bytes.Contains(b, []byte(pw.Secret.Reveal())) {
				t.Fatal("a password that was not sent")
			}
			refused := conn.out.Len()
			s.refuse(st, l, ch, &protocol.DeniedError{Reason: "no"})
			if conn.out.Len() == refused {
				t.Fatal("refused in silence")
			}
		}
	})
}

// SetWriteDeadline implements net.Conn.
func (c *byteConn) SetWriteDeadline(time.Time) error { return nil }

const fuzzVerifier = "SCRAM-SHA-256$4096:c2FsdHNhbHRzYWx0c2FsdA==$Ay4yQ8hQ3wZ9tQhK6mX1hLJX3n3s2b1o6m5bq7c8d9A=:Ay4yQ8hQ3wZ9tQhK6mX1hLJX3n3s2b1o6m5bq7c8d9A="

// FuzzScram is both sides of SCRAM against whatever the other says.
func FuzzScram(f *testing.F) {
	for _, s := range []string{"", ",", "n,,n=,r=abcdefghijklmnop", "y,,n=u,r=abcdefghijklmnop,x=1", "p=tls-unique,,n=,r=abcdefgh", "n,a=x,n=,r=abcdefgh", "r=NONCEx,s=c2FsdA==,i=1",
		"r=NONCEx,s=c2FsdA==,i=0", "r=NONCEx,s=c2FsdA==,i=2147483648", "r=NONCEx,s=,i=1", "m=1,r=NONCEx,s=c2FsdA==,i=1", "c=biws,r=NONCE,p=AAAA", ",p=", "v=AAAA", "v=", fuzzVerifier,
		"SCRAM-SHA-256$0:$:", "SCRAM-SHA-256$4096:====$A:B"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, msg string) {
		if keys, salt, it, ok := parseVerifier(msg); ok {
			again := "SCRAM-SHA-256$" + strconv.Itoa(it) + ":" + base64.StdEncoding.EncodeToString(salt) + "$" +
				base64.StdEncoding.EncodeToString(keys.stored) + ":" + base64.StdEncoding.EncodeToString(keys.server)
			k2, s2, i2, ok2 := parseVerifier(again)
			if !ok2 || i2 != it || !bytes.Equal(s2, salt) || !bytes.Equal(k2.stored, keys.stored) || !bytes.Equal(k2.server, keys.server) {
				t.Fatalf("%q and %q differ", msg, again)
			}
		}
		var cache keyCache
		_, c, err := newScramClient(&cache, protocol.NewSecret("pw"), []string{scramSHA256}, nil, "prefer")
		if err != nil {
			t.Fatal(err)
		}
		if c.verify(msg) == nil {
			t.Fatal("verified before the exchange")
		}
		serverFirst := strings.ReplaceAll(msg, "NONCE", c.nonce)
		if i := strings.Index(serverFirst, ",i="); i < 0 || len(serverFirst)-i < 8 { // counts of five digits take their time
			if final, err := c.final(serverFirst); err == nil {
				if !strings.HasPrefix(serverFirst, "r="+c.nonce) || !strings.Contains(final, ",p=") {
					t.Fatalf("answered %q with %q", serverFirst, final)
				}
				if c.verify(msg) == nil {
					t.Fatal("verified by accident")
				}
			}
		}
		srv := scramServer{keys: scramKeys{stored: make([]byte, 32), server: make([]byte, 32)}, salt: []byte("salt"), iterations: 4096}
		answer, err := srv.start([]byte(msg))
		if err == nil && (!strings.HasPrefix(answer, "r=") || len(answer) > maxSCRAM+200) {
			t.Fatalf("answered %q with %q", msg, answer)
		}
		if _, ok := srv.finish([]byte(strings.ReplaceAll(msg, "NONCE", srv.nonce))); ok {
			t.Fatal("proven by accident")
		}
	})
}

// FuzzScramExchange runs the client against the server: the right password is
// accepted by both, and any other, or a changed message, is not.
func FuzzScramExchange(f *testing.F) {
	f.Add("secret", "secret", 0, byte(0))
	f.Add("secret", "Secret", 0, byte(0))
	f.Add("s\u00e4cr\u00e9t", "s\u00e4cr\u00e9t", 40, byte(1))
	f.Add("", "x", 3, byte(255))
	f.Fuzz(func(t *testing.T, theirs, ours string, at int, flip byte) {
		if len(theirs)+len(ours) > 100 {
			return
		}
		keys, err := deriveKeys(theirs, []byte("salty"), 1)
		if err != nil {
			return
		}
		same, err := deriveKeys(ours, []byte("salty"), 1)
		if err != nil {
			return
		}
		srv := scramServer{keys: keys, salt: []byte("salty"), iterations: 1}
		var cache keyCache
		_, c, err := newScramClient(&cache, protocol.NewSecret(ours), []string{scramSHA256}, nil, "prefer")
		if err != nil {
			t.Fatal(err)
		}
		first, err := srv.start([]byte(c.first()))
		if err != nil {
			t.Fatal(err)
		}
		final, err := c.final(first)
		if err != nil {
			t.Fatal(err)
		}
		b := []byte(final)
		i := (at%len(b) + len(b)) % len(b)
		b[i] ^= flip
		sig, ok := srv.finish(b)
		want := bytes.Equal(keys.stored, same.stored) && flip == 0
		if ok != want && !(flip != 0 && ok && i >= len(b)-2) { // base64 has bits that mean nothing
			t.Fatalf("%q against %q, byte %d changed by %d: %v", ours, theirs, i, flip, ok)
		}
		if ok && c.verify(sig) != nil {
			t.Fatal("the client does not accept the server")
		}
	})
}

// FuzzArgs turns values in binary format into text.
func FuzzArgs(f *testing.F) {
	for _, s := range []string{"", "00", "0001000000000000270f", "00020000400000020001270f", "0001ffff0000000423f0", "00000000c0000000", "7fff7fff000000001111", "0001000000000000ffff",
		"7fffffffffffffff", "8000000000000000", "80000000", "0000000000000001"} {
		b, _ := hex.DecodeString(s)
		f.Add(uint32(oidNumeric), b)
		f.Add(uint32(oidTimestamptz), b)
		f.Add(uint32(oidDate), b)
	}
	for oid := range typeNames {
		f.Add(oid, []byte{1, 2, 3, 4})
	}
	f.Fuzz(func(t *testing.T, oid uint32, v []byte) {
		s := binaryText(oid, v)
		if len(s) > 10*len(v)+maxNumericText+100 {
			t.Fatalf("%d bytes of text for %d", len(s), len(v))
		}
		if n, ok := numericText(v); ok {
			if !numericForm(n) {
				t.Fatalf("%x is no number: %q", v, n)
			}
		}
		typeName(oid)
	})
}

// numericForm reports whether s looks like what PostgreSQL prints of a numeric.
func numericForm(s string) bool {
	if s == "NaN" || s == "Infinity" || s == "-Infinity" {
		return true
	}
	whole, frac, dot := strings.Cut(strings.TrimPrefix(s, "-"), ".")
	digits := func(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
	return digits(whole) && (!dot || digits(frac)) && (whole == "0" || whole[0] != '0')
}

// FuzzNameArray reads what PostgreSQL prints of a name[]: any list of names
// comes back as it was.
func FuzzNameArray(f *testing.F) {
	f.Add("public", "pg_catalog")
	f.Add(`a"b\c`, "d,e {}")
	f.Add("", "{}")
	f.Fuzz(func(t *testing.T, a, b string) {
		quote := func(s string) string {
			return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
		}
		if got := parseNameArray("{" + quote(a) + "," + quote(b) + "}"); !slices.Equal(got, []string{a, b}) {
			t.Fatalf("%q and %q became %q", a, b, got)
		}
		if n := len(parseNameArray(a)); n > len(a)+1 {
			t.Fatalf("%d names in %d bytes", n, len(a))
		}
	})
}

// FuzzRows shows a row to a tap that changes it and compares with what the tap
// left.
func FuzzRows(f *testing.F) {
	f.Add([]byte("\x00\x02\x00\x00\x00\x03abc\x00\x00\x00\x03def"), []byte{0, 0})
	f.Add([]byte("\x00\x02\x00\x00\x00\x03abc\xff\xff\xff\xff"), []byte{1, 2, 3})
	f.Add([]byte("\x00\x02\x00\x00\x00\x03abc\x00\x00\x00\x03def"), []byte{4, 4})
	f.Add([]byte("\x00\x02\x00\x00\x00\x03abc\x00\x00\x00\x03def"), []byte{4, 0})
	f.Add([]byte("\x00\x01\xff\xff\xff\xfe"), []byte{0})
	f.Fuzz(func(t *testing.T, body, change []byte) {
		frame := appendMessage(nil, msgDataRow, func(b []byte) []byte { return append(b, body...) })
		before := bytes.Clone(frame)
		var w rowRewriter
		out, inPlace, err := w.rewrite([]byte("before"), frame, func([][]byte) error { return nil })
		if err != nil {
			if _, derr := decodeRow(body, nil); derr == nil {
				t.Fatal("a good row was refused")
			}
			return
		}
		if !inPlace || string(out) != "before" || !bytes.Equal(frame, before) {
			t.Fatal("a row that nobody changed is not as it was")
		}
		var want [][]byte
		tap := func(row [][]byte) error {
			for i := range row {
				if len(change) == 0 {
					break
				}
				switch c := change[i%len(change)]; c % 6 {
				case 0:
				case 1:
					row[i] = nil
				case 2:
					row[i] = []byte{}
				case 3:
					row[i] = bytes.Repeat([]byte{c}, int(c)%50)
				case 4: // another column's value, in its memory
					j := (i + 1) % len(row)
					row[i], row[j] = row[j], row[i]
				case 5:
					for k := range row[i] {
						row[i][k] ^= c
					}
				}
			}
			want = nil
			for _, v := range row {
				want = append(want, bytes.Clone(v))
				if v != nil && len(v) == 0 {
					want[len(want)-1] = []byte{}
				}
			}
			return nil
		}
		out, inPlace, err = w.rewrite(nil, frame, tap)
		if err != nil {
			t.Fatal(err)
		}
		if inPlace {
			out = frame
		}
		row, err := decodeRow(out[5:], nil)
		if err != nil || int(binary.BigEndian.Uint32(out[1:]))+1 != len(out) || out[0] != msgDataRow {
			t.Fatalf("%q is no row: %v", out, err)
		}
		if len(row) != len(want) {
			t.Fatalf("%d fields became %d", len(want), len(row))
		}
		for i := range row {
			if !bytes.Equal(row[i], want[i]) || (row[i] == nil) != (want[i] == nil) {
				t.Fatalf("field %d: %q became %q", i, want[i], row[i])
			}
		}
	})
}

// FuzzTexts shows messages that carry text to a tap that withholds every word
// of it: only names, codes and positions may be left.
func FuzzTexts(f *testing.F) {
	seedBodies(f)
	f.Add([]byte("SERROR\x00VERROR\x00C23505\x00Mdup\x00DKey (a)=(secret)\x00Hhint\x00P7\x00p3\x00qquery\x00Wwhere\x00scol\x00ttab\x00\x00"))
	f.Add([]byte("\x00\x00\x00\x07channel\x00payload\x00"))
	f.Add([]byte("application_name\x00psql\x00"))
	f.Fuzz(func(t *testing.T, body []byte) {
		s, x := textSession(t)
		defer s.Close(nil)
		for _, typ := range []byte{msgErrorResponse, msgNoticeResponse, msgParameterStatus, msgNotification} {
			frame := appendMessage(nil, typ, func(b []byte) []byte { return append(b, body...) })
			before := sha256.Sum256(frame)
			out, err := tapMessage(x, frame)
			if sha256.Sum256(frame) != before {
				t.Fatal("the frame was changed")
			}
			if err != nil {
				continue
			}
			if out[0] != typ || int(binary.BigEndian.Uint32(out[1:]))+1 != len(out) {
				t.Fatalf("%q is no message", out)
			}
			if typ != msgErrorResponse && typ != msgNoticeResponse {
				continue
			}
			fs, err := decodeFields(out[5:])
			if err != nil {
				t.Fatalf("%q became %q", body, out)
			}
			for _, fl := range fs {
				if strings.IndexByte("DHWq", fl.code) >= 0 || fl.code == 'M' && fl.val != "withheld" {
					t.Fatalf("%q is left of %q", out, body)
				}
			}
		}
	})
}

// textSession returns a session whose texts are withheld.
func textSession(t *testing.T) (*protocol.Session, *protocol.Exchange) {
	t.Helper()
	s := protocol.NewSession(context.Background(), protocol.SessionConfig{Info: &protocol.SessionInfo{}, Engine: &fuzzEngine{ask: func(op *protocol.Operation) error {
		return op.OnText(func(m *protocol.Message) error {
			*m = protocol.Message{Kind: m.Kind, Code: m.Code, Text: "withheld", Names: m.Names}
			return nil
		})
	}}})
	if err := s.Connect(context.Background(), &protocol.Operation{}); err != nil {
		t.Fatal(err)
	}
	return s, s.Exchange()
}
