package postgres

import (
	"bytes"
	"context"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/wire"
)

// A scriptConn is a target that says what stands in a script, with the
// gateway's own nonce in the place of NONCE.
type scriptConn struct {
	byteConn
	script []byte
}

// Read implements net.Conn.
func (c *scriptConn) Read(p []byte) (int, error) {
	if c.in == nil {
		nonce := []byte("NONCE")
		if _, rest, ok := bytes.Cut(c.out.Bytes(), []byte("n=,r=")); ok {
			nonce = rest[:24]
		} else if before, _, ok := bytes.Cut(c.script, nonce); ok && len(before) > 0 { // up to there without it
			n := copy(p, before)
			c.script = c.script[n:]
			return n, nil
		}
		c.script = bytes.ReplaceAll(c.script, []byte("NONCE"), nonce)
		c.in = bytes.NewReader(c.script)
	}
	return c.in.Read(p)
}

// SetDeadline implements net.Conn.
func (c *scriptConn) SetDeadline(time.Time) error { return nil }

// Close implements net.Conn.
func (c *scriptConn) Close() error { return nil }

// FuzzTarget is everything that a target may say while the gateway logs in,
// and then to a query of the gateway's own. The secret is not told, a login
// counts only if the target says so, and nothing is kept that was not sent.
func FuzzTarget(f *testing.F) {
	const secret = "planted-target-secret"
	ok := authRequest(authOK, nil)
	greeting := slices.Concat(ok, frameOf(msgParameterStatus, "client_encoding\x00UTF8\x00"), frameOf(msgBackendKeyData, "\x00\x00\x00\x01key!"),
		frameOf(msgNoticeResponse, "SNOTICE\x00C00000\x00Mhm\x00\x00"), frameOf(msgReadyForQuery, "I"))
	rows := slices.Concat(frameOf(msgRowDescription, "\x00\x01a\x00"+strings.Repeat("\x00", 18)),
		frameOf(msgDataRow, "\x00\x04\x00\x00\x00\x0c{a,\"b\\\"c\",d}\x00\x00\x00\x01u\x00\x00\x00\x02on\x00\x00\x00\x01t"), frameOf(msgCommandComplete, "SELECT 1\x00"), frameOf(msgReadyForQuery, "T"))
	fail := frameOf(msgErrorResponse, "SERROR\x00C42601\x00Mno\x00\x00")
	for _, b := range [][]byte{nil, ok, fail, greeting, slices.Concat(greeting, rows), slices.Concat(greeting, fail, fail, rows),
		authRequest(authMD5, []byte("salt")), authRequest(authCleartext, nil), slices.Concat(authRequest(authMD5, []byte("salt")), greeting, rows),
		slices.Concat(authRequest(authSASL, []byte("SCRAM-SHA-256\x00\x00")), authRequest(authSASLContinue, []byte("r=NONCEx,s=c2FsdA==,i=1")),
			authRequest(authSASLFinal, []byte("v=AAAA")), greeting),
		slices.Concat(authRequest(authSASL, []byte("SCRAM-SHA-256-PLUS\x00SCRAM-SHA-256\x00\x00")), authRequest(authSASLContinue, []byte("r=NONCEx,s=c2FsdA==,i=1")), greeting),
		frameOf(msgNegotiateVersion, "\x00\x03\x00\x00\x00\x00\x00\x00"), slices.Concat(greeting[:9], frameOf(msgReadyForQuery, "X")),
		slices.Concat(greeting, frameOf(msgCopyInResponse, "\x00\x00\x00"))} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if i := bytes.Index(b, []byte(",i=")); i >= 0 && len(b)-i >= 8 && len(bytes.TrimLeft(b[i+3:i+8], "0123456789")) == 0 {
			return // counts of five digits take their time
		}
		conn := &scriptConn{script: bytes.Clone(b)}
		dial := func(context.Context) (net.Conn, error) { return conn, nil }
		s := &Server{}
		s.init()
		r := protocol.Resource{Name: "t", Addr: "t:1", Options: map[string]string{"sslmode": "disable"}}
		tg, err := s.connectTarget(t.Context(), r, dial, protocol.Credentials{User: "gw", Secret: protocol.NewSecret(secret)}, "db", nil)
		if bytes.Contains(conn.out.Bytes(), []byte(secret)) {
			t.Fatal("the secret was told")
		}
		if err != nil {
			if strings.Contains(err.Error(), secret) {
				t.Fatal("the error tells the secret")
			}
			return
		}
		defer tg.r.Release()
		switch {
		case !bytes.Contains(b, ok):
			t.Fatal("logged in, and the target has not said so")
		case bytes.Contains(conn.out.Bytes(), []byte(scramSHA256)):
			t.Fatal("logged in at a target that does not know the password")
		case strings.IndexByte("ITE", tg.status) < 0 || tg.key != nil && len(tg.key) != 4:
			t.Fatalf("status %q, a key of %d bytes", tg.status, len(tg.key))
		case len(tg.greeting) > 2*maxLoginMessage:
			t.Fatalf("a greeting of %d bytes", len(tg.greeting))
		}
		for rest := tg.greeting; len(rest) > 0; {
			n := 1 + int(uint32(rest[1])<<24|uint32(rest[2])<<16|uint32(rest[3])<<8|uint32(rest[4]))
			if rest[0] != msgParameterStatus && rest[0] != msgNoticeResponse {
				t.Fatalf("the client is greeted with a message of type %q", rest[0])
			}
			rest = rest[n:]
		}
		var tr tracker
		tr.init(tg.settings, "db")
		came := 0
		err = tg.Query(t.Context(), "select 1", func(row [][]byte) error {
			for _, v := range row {
				came += 4 + len(v)
			}
			tr.probed(row)
			return nil
		})
		if came > len(b) {
			t.Fatalf("%d bytes of values out of %d", came, len(b))
		}
		if err == nil && !bytes.Contains(b, []byte{msgReadyForQuery, 0, 0, 0}) {
			t.Fatal("the query has ended, and the target has not said so")
		}
		if err != nil && len(err.Error()) > 1000+len(b) {
			t.Fatalf("an error of %d bytes", len(err.Error()))
		}
	})
}

// TestQueryKeepsOneFailure holds that a target which fails over and over costs
// no memory.
func TestQueryKeepsOneFailure(t *testing.T) {
	fail := frameOf(msgErrorResponse, "C42601\x00\x00")
	conn := &scriptConn{script: append(bytes.Repeat(fail, 10_000), frameOf(msgReadyForQuery, "I")...)}
	tg := &target{conn: conn, r: wire.NewReader(conn)}
	defer tg.r.Release()
	err := tg.Query(t.Context(), "select 1", func([][]byte) error { return nil })
	if err == nil || err.Error() != "the target refuses: 42601" {
		t.Fatalf("%.200v", err)
	}
}
