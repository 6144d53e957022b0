package httpproxy_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/httpproxy"
)

// A wsFrame is a frame as somebody sends it.
type wsFrame struct {
	first   byte   // FIN, the reserved bits and the opcode
	payload string // without its mask
	length  string // in the header in place of the payload's: without the bit for the mask
}

func (f wsFrame) bytes(masked bool) []byte {
	length := []byte(f.length)
	switch n := len(f.payload); {
	case f.length != "":
	case n < 126:
		length = []byte{byte(n)}
	case n < 1<<16:
		length = binary.BigEndian.AppendUint16([]byte{126}, uint16(n))
	default:
		length = binary.BigEndian.AppendUint64([]byte{127}, uint64(n))
	}
	payload := []byte(f.payload)
	if masked {
		key := []byte{1, 2, 0xfe, 0}
		length[0] |= 0x80
		length = append(length, key...)
		for i := range payload {
			payload[i] ^= key[i%4]
		}
	}
	return append(append([]byte{f.first}, length...), payload...)
}

// wsTold says in words what frames say.
func wsTold(t *testing.T, b []byte, masked bool) []string {
	told := []string{}
	for len(b) > 0 {
		require.GreaterOrEqual(t, len(b), 2)
		first, n, head := b[0], int(b[1]&0x7f), 2
		require.Equal(t, masked, b[1]&0x80 != 0)
		switch n {
		case 126:
			n, head = int(binary.BigEndian.Uint16(b[2:])), 4
		case 127:
			n, head = int(binary.BigEndian.Uint64(b[2:])), 10
		}
		var key [4]byte
		if masked {
			copy(key[:], b[head:])
			head += 4
		}
		require.GreaterOrEqual(t, len(b), head+n)
		payload := b[head : head+n]
		for i := range payload {
			payload[i] ^= key[i%4]
		}
		b = b[head+n:]
		name := map[byte]string{0x81: "text", 0x82: "binary", 0x88: "close", 0x89: "ping", 0x8a: "pong"}[first]
		switch {
		case name == "close" && n >= 2:
			told = append(told, strings.TrimSpace(fmt.Sprintf("close %d %s", binary.BigEndian.Uint16(payload), payload[2:])))
		case n > 1000:
			told = append(told, fmt.Sprintf("%s of %d", name, n))
		default:
			told = append(told, strings.TrimSpace(name+" "+string(payload)))
		}
	}
	return told
}

// TestWebSocketFrames: what RFC 6455 says about frames, in both directions. With a
// step that looks at messages they come whole, and what is none ends the WebSocket
// with the status that section 7.4.1 has for it; without one the bytes pass as they
// are.
func TestWebSocketFrames(t *testing.T) {
	code := func(n int, reason string) string {
		return string(binary.BigEndian.AppendUint16(nil, uint16(n))) + reason
	}
	text := func(s string) wsFrame { return wsFrame{0x81, s, ""} }
	cases := []struct {
		name   string
		frames []wsFrame
		want   string // "client: " and "target: " in what one of them only hears; ends with fails CODE
	}{
		{"nothing in it", []wsFrame{text(""), {0x82, "", ""}}, "text; binary"},
		{"of 125 and 126 bytes", []wsFrame{text(strings.Repeat("a", 125)), text(strings.Repeat("b", 126))}, "text " + strings.Repeat("a", 125) + "; text " + strings.Repeat("b", 126)},
		{"of 65,535 and 65,536 bytes", []wsFrame{{0x82, strings.Repeat("a", 65535), ""}, {0x82, strings.Repeat("b", 65536), ""}}, "binary of 65535; binary of 65536"},
		{"in pieces", []wsFrame{{0x01, "a", ""}, {0x00, "", ""}, {0x00, "b", ""}, {0x80, "c", ""}}, "text abc"},
		{"in pieces of which the last is empty", []wsFrame{{0x02, "a", ""}, {0x80, "", ""}}, "binary a"},
		{"control frames between pieces", []wsFrame{{0x01, "a", ""}, {0x89, "1", ""}, {0x00, "b", ""}, {0x8a, "2", ""}, {0x80, "c", ""}}, "target: ping 1; client: ping; target: pong 2; client: pong; text abc"},
		{"ping of 125 bytes", []wsFrame{{0x89, strings.Repeat("p", 125), ""}}, "target: ping " + strings.Repeat("p", 125) + "; client: ping"},
		{"ping of 126 bytes", []wsFrame{text("a"), {0x89, strings.Repeat("p", 126), ""}}, "text a; fails 1002"},
		{"ping in pieces", []wsFrame{{0x09, "p", ""}, {0x80, "p", ""}}, "fails 1002"},
		{"a character in two pieces", []wsFrame{{0x01, "\xe2\x82", ""}, {0x80, "\xac", ""}}, "text \u20ac"},
		{"a character in four pieces", []wsFrame{{0x01, "\xf0", ""}, {0x00, "\x9f", ""}, {0x00, "\x98", ""}, {0x80, "\x80", ""}}, "text \U0001f600"},
		{"half a character", []wsFrame{{0x01, "a\xe2\x82", ""}, {0x80, "", ""}}, "fails 1007"},
		{"a character that is too long", []wsFrame{text("\xc0\xaf")}, "fails 1007"},
		{"half a pair", []wsFrame{text("\xed\xa0\x80")}, "fails 1007"},
		{"beyond Unicode", []wsFrame{text("\xf4\x90\x80\x80")}, "fails 1007"},
		{"binary is not text", []wsFrame{{0x82, "\xff", ""}}, "binary \xff"},
		{"the first reserved bit", []wsFrame{{0xc1, "a", ""}}, "fails 1002"},
		{"the second", []wsFrame{{0xa1, "a", ""}}, "fails 1002"},
		{"the third", []wsFrame{{0x91, "a", ""}}, "fails 1002"},
		{"of a ping", []wsFrame{{0xc9, "a", ""}}, "fails 1002"},
		{"opcode 3", []wsFrame{{0x83, "a", ""}}, "fails 1002"},
		{"opcode 7", []wsFrame{{0x87, "a", ""}}, "fails 1002"},
		{"opcode 11", []wsFrame{{0x8b, "a", ""}}, "fails 1002"},
		{"opcode 15", []wsFrame{{0x8f, "a", ""}}, "fails 1002"},
		{"a piece of nothing", []wsFrame{text("a"), {0x80, "b", ""}}, "text a; fails 1002"},
		{"a message within another", []wsFrame{{0x01, "a", ""}, text("b")}, "fails 1002"},
		{"a length in too many bytes", []wsFrame{{0x81, "a", "\x7e\x00\x01"}}, "fails 1002"},
		{"in far too many", []wsFrame{{0x81, "a", "\x7f\x00\x00\x00\x00\x00\x00\x00\x01"}}, "fails 1002"},
		{"of 64 bits", []wsFrame{{0x82, "a", "\x7f\x80\x00\x00\x00\x00\x00\x00\x01"}}, "fails 1002"},
		{"of 63 bits", []wsFrame{{0x82, "a", "\x7f\x7f\xff\xff\xff\xff\xff\xff\xff"}}, "fails 1009"},
		{"too large", []wsFrame{{0x82, strings.Repeat("a", 100<<10), ""}, {0x82, strings.Repeat("a", 129<<10), ""}}, "binary of 102400; fails 1009"},
		{"too large in pieces", []wsFrame{{0x02, strings.Repeat("a", 100<<10), ""}, {0x80, strings.Repeat("a", 100<<10), ""}}, "fails 1009"},
		{"the end", []wsFrame{text("a"), {0x88, "", ""}, text("b")}, "text a; close"},
		{"the end with a reason", []wsFrame{{0x88, code(1000, "bye"), ""}}, "target: close 1000 bye; client: close 1000"},
		{"with 1014", []wsFrame{{0x88, code(1014, ""), ""}}, "close 1014"},
		{"with 3000", []wsFrame{{0x88, code(3000, ""), ""}}, "close 3000"},
		{"with 4999", []wsFrame{{0x88, code(4999, ""), ""}}, "close 4999"},
		{"with half a status", []wsFrame{{0x88, "\x03", ""}}, "fails 1002"},
		{"with 0", []wsFrame{{0x88, code(0, ""), ""}}, "fails 1002"},
		{"with 999", []wsFrame{{0x88, code(999, ""), ""}}, "fails 1002"},
		{"with 1004", []wsFrame{{0x88, code(1004, ""), ""}}, "fails 1002"},
		{"with 1005", []wsFrame{{0x88, code(1005, ""), ""}}, "fails 1002"},
		{"with 1006", []wsFrame{{0x88, code(1006, ""), ""}}, "fails 1002"},
		{"with 1015", []wsFrame{{0x88, code(1015, ""), ""}}, "fails 1002"},
		{"with 2999", []wsFrame{{0x88, code(2999, ""), ""}}, "fails 1002"},
		{"with 5000", []wsFrame{{0x88, code(5000, ""), ""}}, "fails 1002"},
		{"with a reason that is no text", []wsFrame{{0x88, code(1000, "\xff"), ""}}, "fails 1007"},
		{"with a long reason", []wsFrame{{0x88, code(1000, strings.Repeat("r", 124)), ""}}, "fails 1002"},
	}
	heard := make(chan []byte, 1)
	handler := func(w http.ResponseWriter, req *http.Request) {
		nc, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer nc.Close()
		_, _ = io.WriteString(nc, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
		var i int
		if _, err := fmt.Sscan(req.URL.Query().Get("send"), &i); err == nil {
			for _, f := range cases[i].frames {
				_, _ = nc.Write(f.bytes(false))
			}
			return
		}
		b, _ := io.ReadAll(rw)
		heard <- b
	}
	look := middleware.Step{Name: "look", Operation: func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
		if op.Verb != "websocket" {
			return protocol.Pass, nil
		}
		return protocol.Pass, op.OnBytes(func(protocol.Stream) (protocol.BytesFunc, error) {
			return func(b []byte, _ bool) ([]byte, error) { return b, nil }, nil
		})
	}}
	for mode, steps := range map[string][]middleware.Step{"looked at": {look}, "untouched": nil} {
		r := newRig(t, rigConfig{plain: true, server: &httpproxy.Server{MaxDocument: 128 << 10}, steps: steps, handler: handler})
		dial := func(t *testing.T, path string) (net.Conn, *bufio.Reader) {
			nc, err := net.Dial("tcp", r.addr)
			require.NoError(t, err)
			t.Cleanup(func() { _ = nc.Close() })
			require.NoError(t, nc.SetDeadline(time.Now().Add(time.Minute)))
			fmt.Fprintf(nc, "GET %s HTTP/1.1\r\nHost: app.gw.test\r\nAuthorization: Bearer %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: eA==\r\n\r\n", path, r.token)
			in := bufio.NewReader(nc)
			res, err := http.ReadResponse(in, nil)
			require.NoError(t, err)
			require.Equal(t, 101, res.StatusCode)
			return nc, in
		}
		for i, c := range cases {
			hears := map[string][]string{"client": {}, "target": {}}
			fails := ""
			for part := range strings.SplitSeq(c.want, "; ") {
				who, what, one := strings.Cut(part, ": ")
				switch n, failed := strings.CutPrefix(part, "fails "); {
				case failed:
					fails = "close " + n
				case one:
					hears[who] = append(hears[who], what)
				default:
					hears["client"], hears["target"] = append(hears["client"], part), append(hears["target"], part)
				}
			}
			t.Run(mode+"/to the client/"+c.name, func(t *testing.T) {
				_, in := dial(t, fmt.Sprintf("/?send=%d", i))
				got, err := io.ReadAll(in)
				require.NoError(t, err)
				if mode == "untouched" {
					for _, f := range c.frames {
						sent := f.bytes(false)
						require.True(t, len(got) >= len(sent) && string(got[:len(sent)]) == string(sent))
						got = got[len(sent):]
					}
					require.Empty(t, got)
					return
				}
				want := hears["client"]
				if fails != "" {
					want = append(want, fails)
				}
				require.Equal(t, want, wsTold(t, got, false))
			})
			t.Run(mode+"/to the target/"+c.name, func(t *testing.T) {
				nc, in := dial(t, "/")
				var all []byte
				for _, f := range c.frames {
					all = append(all, f.bytes(true)...)
				}
				for rest := all; len(rest) > 0; { // in pieces of any size
					n := min(len(rest), 1+i*i*7)
					_, _ = nc.Write(rest[:n]) // the gateway may have ended it
					rest = rest[n:]
				}
				if mode == "untouched" || fails == "" {
					require.NoError(t, nc.(*net.TCPConn).CloseWrite())
				}
				back, err := io.ReadAll(in)
				got := <-heard
				if mode == "untouched" {
					require.True(t, string(all) == string(got))
					require.Empty(t, back)
					return
				}
				require.Equal(t, hears["target"], wsTold(t, got, true))
				if fails != "" {
					require.NoError(t, err)
					require.Equal(t, []string{fails}, wsTold(t, back, false))
				}
			})
		}
	}
}
