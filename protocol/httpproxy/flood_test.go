package httpproxy_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol/httpproxy"
)

const http2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// TestSlowReaders: a client that takes nothing of its response does not keep it,
// nor the target's connection, though it answers whatever asks whether it lives.
func TestSlowReaders(t *testing.T) {
	ended := make(chan string, 1)
	r := newRig(t, rigConfig{plain: true, server: &httpproxy.Server{StallTimeout: 300 * time.Millisecond}, handler: func(w http.ResponseWriter, req *http.Request) {
		defer func() { ended <- req.URL.Path }()
		if req.URL.Path == "/small" {
			_, _ = io.WriteString(w, "small")
			return
		}
		for {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				return
			}
			if req.URL.Path == "/flushed" {
				w.(http.Flusher).Flush()
			}
		}
	}})
	for _, path := range []string{"/large", "/flushed", "/small"} {
		nc, err := net.Dial("tcp", r.addr)
		require.NoError(t, err)
		defer nc.Close()
		noWindow := binary.BigEndian.AppendUint32([]byte{0, 4}, 0) // SETTINGS_INITIAL_WINDOW_SIZE
		_, err = nc.Write(append(append([]byte(http2Preface), frame(4, 0, 0, noWindow)...),
			frame(1, 5, 1, block(":method", "GET", ":scheme", "http", ":path", path, ":authority", "app.gw.test", "authorization", "Bearer "+r.token))...))
		require.NoError(t, err)
		require.Equal(t, path, <-ended)
		_ = nc.SetReadDeadline(time.Now().Add(20 * time.Second))
		for reset := false; !reset; {
			var head [9]byte
			_, err := io.ReadFull(nc, head[:])
			require.NoError(t, err, "%s: the stream is not reset", path)
			payload := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
			_, err = io.ReadFull(nc, payload)
			require.NoError(t, err)
			switch reset = head[3] == 3; head[3] {
			case 0:
				require.Empty(t, payload, "without a window")
			case 6: // PING
				_, _ = nc.Write(frame(6, 1, 0, payload))
			}
		}
	}
	// HTTP/1.1 as well.
	nc, err := net.Dial("tcp", r.addr)
	require.NoError(t, err)
	defer nc.Close()
	_, err = io.WriteString(nc, "GET /large HTTP/1.1\r\nHost: app.gw.test\r\nAuthorization: Bearer "+r.token+"\r\n\r\n")
	require.NoError(t, err)
	require.Equal(t, "/large", <-ended)
}

// TestFloods: whatever a client that is logged in sends very much of, the others
// are served, and the memory that it takes is bounded.
func TestFloods(t *testing.T) {
	r := newRig(t, rigConfig{plain: true})
	request := block(":method", "GET", ":scheme", "http", ":path", "/", ":authority", "app.gw.test", "authorization", "Bearer "+r.token)
	var resets, settings, pings, windows []byte
	for i := range uint32(20000) {
		resets = append(append(resets, frame(1, 5, 2*i+1, request)...), frame(3, 0, 2*i+1, []byte{0, 0, 0, 8})...)
		settings = append(settings, frame(4, 0, 0, []byte{0, 4, 0, 0, 0xff, 0xff})...)
		pings = append(pings, frame(6, 0, 0, make([]byte, 8))...)
		windows = append(windows, frame(8, 0, 0, []byte{0x7f, 0xff, 0xff, 0xff})...)
	}
	part := block("x", strings.Repeat("x", 8<<10))
	continued := append(frame(1, 0, 1, request), bytes.Repeat(frame(9, 0, 1, part), 4000)...)
	crumbs := bytes.Repeat(block("cookie", "a"), 1<<20)
	for name, flood := range map[string][]byte{
		"rapid reset":   resets,
		"continuations": continued,
		"settings":      settings,
		"pings":         pings,
		"windows":       windows,
		"empty data":    append(frame(1, 4, 1, request), bytes.Repeat(frame(0, 0, 1, nil), 1<<20)...),
		"crumbs":        append(frame(1, 0, 1, append(request[:len(request):len(request)], crumbs[:16000]...)), bytes.Repeat(frame(9, 0, 1, crumbs[:16000]), 400)...),
		"head of 1.1":   []byte("GET / HTTP/1.1\r\nHost: app.gw.test\r\nAuthorization: Bearer " + r.token + "\r\nX: " + strings.Repeat("x", 32<<20)),
		"lines of 1.1":  []byte("GET / HTTP/1.1\r\nHost: app.gw.test\r\nAuthorization: Bearer " + r.token + "\r\n" + strings.Repeat("X: y\r\n", 4<<20)),
		"trailers":      []byte("POST / HTTP/1.1\r\nHost: app.gw.test\r\nAuthorization: Bearer " + r.token + "\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + strings.Repeat("X: y\r\n", 4<<20)),
		"chunks":        []byte("POST / HTTP/1.1\r\nHost: app.gw.test\r\nAuthorization: Bearer " + r.token + "\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1\r\nx\r\n", 1<<20)),
	} {
		t.Run(name, func(t *testing.T) {
			nc, err := net.Dial("tcp", r.addr)
			require.NoError(t, err)
			defer nc.Close()
			_ = nc.SetWriteDeadline(time.Now().Add(500 * time.Millisecond)) // the gateway stops reading, or closes
			if !bytes.Contains(flood[:min(len(flood), 100)], []byte("HTTP/1.1")) {
				_, err = nc.Write(append([]byte(http2Preface), frame(4, 0, 0, nil)...))
				require.NoError(t, err)
			}
			_, _ = nc.Write(flood) // nothing is read
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			before := m.HeapAlloc
			_ = nc.Close()
			status, all := r.raw(t, "GET / HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\n\r\n")
			require.Equal(t, 200, status, all)
			runtime.GC()
			runtime.ReadMemStats(&m)
			require.Less(t, int64(before)-int64(m.HeapAlloc), int64(32<<20), "what the connection took")
		})
	}
}
