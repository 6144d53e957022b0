package httpproxy_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/httpproxy"
)

// dialSocket opens a WebSocket as alice; it would like to compress.
func (r *rig) dialSocket(t *testing.T, path string) (*websocket.Conn, *http.Response) {
	t.Helper()
	c := r.client(false)
	t.Cleanup(c.CloseIdleConnections)
	c.Timeout = 0
	ws, res, err := websocket.Dial(t.Context(), "wss://app.gw.test"+path, &websocket.DialOptions{HTTPClient: c, Subprotocols: []string{"a", "b"},
		HTTPHeader: http.Header{"Authorization": {"Bearer " + r.token}}, CompressionMode: websocket.CompressionContextTakeover})
	require.NoError(t, err)
	t.Cleanup(func() { _ = ws.CloseNow() })
	ws.SetReadLimit(8 << 20)
	return ws, res
}

// socketTarget answers each message by what it says.
func socketTarget(w http.ResponseWriter, r *http.Request) {
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"b"}, CompressionMode: websocket.CompressionContextTakeover})
	if err != nil {
		return
	}
	defer ws.CloseNow()
	ws.SetReadLimit(8 << 20)
	ctx := r.Context()
	for {
		kind, message, err := ws.Read(ctx)
		if err != nil {
			return
		}
		switch text := string(message); text {
		case "text":
			err = ws.Write(ctx, websocket.MessageText, []byte("ann@example.com"))
		case "binary":
			err = ws.Write(ctx, websocket.MessageBinary, []byte(`{"email":"ann@example.com"}`))
		case "large":
			err = ws.Write(ctx, websocket.MessageText, []byte(`{"x":"`+strings.Repeat("x", 1<<20)+`"}`))
		case "pieces":
			mw, werr := ws.Writer(ctx, websocket.MessageText)
			for _, piece := range []string{`{"em`, `ail":"ann@`, `example.com"}`} {
				if werr == nil {
					_, werr = io.WriteString(mw, piece)
				}
			}
			err = errors.Join(werr, mw.Close())
		case "ping":
			ctx := ws.CloseRead(ctx)
			if err := ws.Ping(ctx); err == nil {
				_ = ws.Write(ctx, websocket.MessageText, []byte(`"pong"`))
			}
			return
		case "close":
			_ = ws.Close(4001, "ann@example.com")
			return
		default:
			err = ws.Write(ctx, kind, message)
		}
		if err != nil {
			return
		}
	}
}

// TestWebSocketMessages: a mask and a recording see the messages of a WebSocket,
// and what they cannot see is not shown.
func TestWebSocketMessages(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t, rigConfig{server: &httpproxy.Server{MaxDocument: 512 << 10}, handler: socketTarget, steps: []middleware.Step{
		middleware.Mask(mask.Rule{Name: "mail", Fields: []string{"**.email"}, Transform: mask.Redact()}),
		middleware.Recordings(middleware.RecordingConfig{Dir: dir, Verbs: []protocol.Verb{"websocket"}, Input: true})}})
	ws, res := r.dialSocket(t, "/")
	require.Empty(t, res.Header["Sec-Websocket-Extensions"])
	require.Equal(t, "b", ws.Subprotocol())
	say := func(ws *websocket.Conn, message string) (string, error) {
		if err := ws.Write(t.Context(), websocket.MessageText, []byte(message)); err != nil {
			return "", err
		}
		_, got, err := ws.Read(t.Context())
		return string(got), err
	}
	for message, want := range map[string]string{
		`{"email":"ann@example.com","n":1}`:      `{"email":"***","n":1}`,
		"pieces":                                 `{"email":"***"}`,
		`"` + strings.Repeat("é", 100) + `"`:     `"` + strings.Repeat("é", 100) + `"`,
		`"` + strings.Repeat("y", 300<<10) + `"`: `"` + strings.Repeat("y", 300<<10) + `"`,
	} {
		got, err := say(ws, message)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	pinged := make(chan error, 1)
	go func() { pinged <- ws.Ping(t.Context()) }()
	for answered := false; !answered; { // reading a message reads the answer to the ping too
		_, err := say(ws, "1")
		require.NoError(t, err)
		select {
		case err := <-pinged:
			require.NoError(t, err)
			answered = true
		default:
		}
	}
	got, err := say(ws, "ping")
	require.NoError(t, err)
	require.Equal(t, `"pong"`, got)

	for message, want := range map[string]websocket.CloseError{
		"text":   {Code: websocket.StatusPolicyViolation, Reason: "masked fields cannot be hidden in a result of this form (text/plain)"},
		"binary": {Code: websocket.StatusPolicyViolation, Reason: "masked fields cannot be hidden in a result of this form (application/octet-stream)"},
		"large":  {Code: websocket.StatusMessageTooBig},
		"close":  {Code: 4001},
	} {
		ws, _ := r.dialSocket(t, "/")
		got, err := say(ws, message)
		var closed websocket.CloseError
		require.ErrorAs(t, err, &closed, message)
		require.Equal(t, want, closed, message)
		require.Empty(t, got)
	}
	ws, _ = r.dialSocket(t, "/") // of the client, also too large for a step to see
	_, err = say(ws, strings.Repeat("z", 600<<10))
	require.Error(t, err)

	require.NoError(t, r.gateway.Shutdown(t.Context()))
	var all strings.Builder
	casts, err := filepath.Glob(dir + "/*/*.cast")
	require.NoError(t, err)
	require.Len(t, casts, 5) // the last had no message
	for _, name := range casts {
		b, err := os.ReadFile(name)
		require.NoError(t, err)
		for line := range strings.SplitSeq(string(b), "\n") {
			var event []any
			if json.Unmarshal([]byte(line), &event) == nil && len(event) == 3 {
				fmt.Fprintln(&all, event[1], event[2])
			}
		}
	}
	require.Contains(t, all.String(), `o {"email":"***","n":1}`)
	require.Contains(t, all.String(), `i {"email":"ann@example.com","n":1}`)
	require.NotContains(t, all.String(), `o {"email":"ann`)
	require.NotContains(t, all.String(), `zzz`)
}

// TestWebSocketUntouched: without a step that looks, the bytes are the target's.
func TestWebSocketUntouched(t *testing.T) {
	r := newRig(t, rigConfig{handler: socketTarget})
	ws, res := r.dialSocket(t, "/")
	require.Contains(t, res.Header.Get("Sec-Websocket-Extensions"), "permessage-deflate")
	require.NoError(t, ws.Write(t.Context(), websocket.MessageText, []byte("large")))
	_, got, err := ws.Read(t.Context())
	require.NoError(t, err)
	require.Len(t, got, 1<<20+8)
}

// TestWebSocketEvasions: what a target or a client sends that two ends could
// read differently ends the WebSocket, and is not shown.
func TestWebSocketEvasions(t *testing.T) {
	const shown, hidden = "\x81\x0f{\"email\":\"***\"}", "ann@example.com"
	doc := `{"email":"ann@example.com"}`
	frame := func(first byte, payload string) string { return string([]byte{first, byte(len(payload))}) + payload }
	for name, c := range map[string]struct {
		extension, frames, want string // want is what comes before the connection ends
	}{
		"whole":                     {"", frame(0x81, doc), shown},
		"a ping within":             {"", frame(0x01, doc[:9]) + frame(0x89, hidden) + frame(0x80, doc[9:]), "\x89\x00" + shown},
		"a pong that nobody wanted": {"", frame(0x8a, hidden), "\x8a\x00"},
		"a reason to close":         {"", frame(0x88, "\x03\xe8"+hidden), "\x88\x02\x03\xe8"},
		"behind the close":          {"", frame(0x88, "\x03\xe8") + frame(0x81, doc), "\x88\x02\x03\xe8"},
		"an extension":              {"permessage-deflate", frame(0xc1, doc), ""},
		"compressed":                {"", frame(0xc1, doc), "\x88\x02\x03\xea"},
		"masked":                    {"", "\x81\x9b\x00\x00\x00\x00" + doc, "\x88\x02\x03\xea"},
		"a length too long":         {"", "\x81\x7e\x00\x1b" + doc, "\x88\x02\x03\xea"},
		"a length far too long":     {"", "\x81\x7f\x00\x00\x00\x00\x00\x00\x00\x1b" + doc, "\x88\x02\x03\xea"},
		"a length beyond 63 bits":   {"", "\x81\x7f\x80\x00\x00\x00\x00\x00\x00\x1b" + doc, "\x88\x02\x03\xea"},
		"a length of no memory":     {"", "\x81\x7f\x7f\xff\xff\xff\xff\xff\xff\xff" + doc, "\x88\x02\x03\xf1"},
		"more of nothing":           {"", frame(0x80, doc), "\x88\x02\x03\xea"},
		"a message within another":  {"", frame(0x01, "{") + frame(0x81, doc), "\x88\x02\x03\xea"},
		"a ping in pieces":          {"", frame(0x09, hidden), "\x88\x02\x03\xea"},
		"a long ping":               {"", "\x89\x7e\x00\xff" + strings.Repeat(hidden, 17), "\x88\x02\x03\xea"},
		"an opcode of nobody":       {"", frame(0x83, hidden), "\x88\x02\x03\xea"},
		"a control of nobody":       {"", frame(0x8b, hidden), "\x88\x02\x03\xea"},
		"not UTF-8":                 {"", frame(0x81, doc+"\xff"), "\x88\x02\x03\xef"},
		"cut off":                   {"", frame(0x81, doc)[:20], ""},
		"no end":                    {"", frame(0x01, doc), ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, rigConfig{plain: true, steps: []middleware.Step{middleware.Mask(mask.Rule{Name: "mail", Fields: []string{"**.email"}, Transform: mask.Redact()})},
				handler: func(w http.ResponseWriter, r *http.Request) {
					nc, _, err := http.NewResponseController(w).Hijack()
					if err != nil {
						return
					}
					defer nc.Close()
					extension := ""
					if c.extension != "" {
						extension = "Sec-WebSocket-Extensions: " + c.extension + "\r\n"
					}
					_, _ = io.WriteString(nc, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+extension+"\r\n"+c.frames)
				}})
			_, all := r.raw(t, "GET /ws HTTP/1.1\r\nHost: app.gw.test\r\nAuthorization: Bearer "+r.token+"\r\nConnection: close, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: eA==\r\n\r\n")
			head, body, _ := strings.Cut(all, "\r\n\r\n")
			require.NotContains(t, all, hidden)
			if c.extension != "" {
				require.Contains(t, head, " 502 ")
				return
			}
			require.Equal(t, c.want, body)
		})
	}
	// The client's frames have to be masked, and what is not never arrives.
	got := make(chan string, 1)
	r := newRig(t, rigConfig{plain: true, steps: []middleware.Step{middleware.Mask(mask.Rule{Name: "mail", Fields: []string{"**.email"}, Transform: mask.Redact()})},
		handler: func(w http.ResponseWriter, r *http.Request) {
			nc, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer nc.Close()
			_, _ = io.WriteString(nc, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
			b, _ := io.ReadAll(rw)
			got <- string(b)
		}})
	nc, err := net.Dial("tcp", r.addr)
	require.NoError(t, err)
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(nc, "GET /ws HTTP/1.1\r\nHost: app.gw.test\r\nAuthorization: Bearer %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: eA==\r\n\r\n", r.token)
	res, err := http.ReadResponse(bufio.NewReader(nc), nil)
	require.NoError(t, err)
	_ = res.Body.Close()
	_, err = io.WriteString(nc, frame(0x81, "GET /hidden HTTP/1.1\r\n\r\n"))
	require.NoError(t, err)
	require.Empty(t, <-got)
}
