package httpproxy_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
)

// frame returns an HTTP/2 frame.
func frame(kind, flags byte, stream uint32, payload []byte) []byte {
	b := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, flags}
	return append(binary.BigEndian.AppendUint32(b, stream), payload...)
}

// block returns a header block without compression.
func block(fields ...string) (b []byte) {
	for i, f := range fields {
		if i%2 == 0 {
			b = append(b, 0) // literal, not indexed
		}
		b = append(b, 0x7f, byte((len(f)-0x7f)&0x7f|0x80), byte((len(f)-0x7f)>>7))
		if len(f) < 0x7f {
			b = append(b[:len(b)-3], byte(len(f)))
		}
		b = append(b, f...)
	}
	return b
}

// TestHTTP2Probes: in HTTP/2 too, a request that could be read in two ways is
// refused.
func TestHTTP2Probes(t *testing.T) {
	// A body whose length is wrong shows only when it ends: such a request may
	// be begun at the target, and is never whole there.
	var open atomic.Int32
	var whole atomic.Int32
	r := newRig(t, rigConfig{plain: true, handler: func(_ http.ResponseWriter, req *http.Request) {
		open.Add(1)
		defer open.Add(-1)
		if _, err := io.Copy(io.Discard, req.Body); err == nil {
			whole.Add(1)
		}
	}})
	auth := []string{"authorization", "Bearer " + r.token}
	send := func(body string, fields ...string) (status byte, ended bool) {
		nc, err := net.Dial("tcp", r.addr)
		require.NoError(t, err)
		defer nc.Close()
		_ = nc.SetDeadline(time.Now().Add(5 * time.Second))
		out := append([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frame(4, 0, 0, nil)...)
		flags := byte(4) // END_HEADERS
		if body == "" {
			flags |= 1 // END_STREAM
		}
		out = append(out, frame(1, flags, 1, block(append(fields, auth...)...))...)
		if body != "" {
			out = append(out, frame(0, 1, 1, []byte(body))...)
		}
		_, err = nc.Write(out)
		require.NoError(t, err)
		for {
			var head [9]byte
			if _, err := io.ReadFull(nc, head[:]); err != nil {
				return 0, true
			}
			payload := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
			if _, err := io.ReadFull(nc, payload); err != nil {
				return 0, true
			}
			switch head[3] {
			case 1: // HEADERS: the first field is the status
				return payload[0], false
			case 3, 7: // RST_STREAM, GOAWAY
				return 0, true
			}
		}
	}
	const ok = 0x88 // ":status 200" in the static table
	status, _ := send("", ":method", "GET", ":scheme", "http", ":path", "/good", ":authority", "app.gw.test")
	require.EqualValues(t, ok, status)
	status, _ = send("", ":method", "GET", ":scheme", "http", ":path", "/good", "host", "app.gw.test")
	require.EqualValues(t, ok, status, "Host in the place of :authority")
	status, _ = send("", ":method", "GET", ":scheme", "http", ":path", "/good", ":authority", "app.gw.test", "host", "app.gw.test")
	require.EqualValues(t, ok, status, "both, and equal")
	require.EqualValues(t, 3, whole.Load())
	for name, fields := range map[string][]string{
		"two hosts":            {":method", "GET", ":scheme", "http", ":path", "/bad", ":authority", "app.gw.test", "host", "other.gw.test"},
		"three hosts":          {":method", "GET", ":scheme", "http", ":path", "/bad", ":authority", "app.gw.test", "host", "app.gw.test", "host", "app.gw.test"},
		"no host":              {":method", "GET", ":scheme", "http", ":path", "/bad"},
		"user in authority":    {":method", "GET", ":scheme", "http", ":path", "/bad", ":authority", "app.gw.test@other.gw.test"},
		"path of another host": {":method", "GET", ":scheme", "http", ":path", "http://other.gw.test/bad", ":authority", "app.gw.test"},
		"path without a slash": {":method", "GET", ":scheme", "http", ":path", "bad", ":authority", "app.gw.test"},
		"two slashes":          {":method", "GET", ":scheme", "http", ":path", "//other/bad", ":authority", "app.gw.test"},
		"asterisk":             {":method", "OPTIONS", ":scheme", "http", ":path", "*", ":authority", "app.gw.test"},
		"space in the path":    {":method", "GET", ":scheme", "http", ":path", "/bad HTTP/1.1", ":authority", "app.gw.test"},
		"line in the path":     {":method", "GET", ":scheme", "http", ":path", "/bad\r\nX: y", ":authority", "app.gw.test"},
		"fragment":             {":method", "GET", ":scheme", "http", ":path", "/bad#x", ":authority", "app.gw.test"},
		"space in the query":   {":method", "GET", ":scheme", "http", ":path", "/bad?a HTTP/1.0", ":authority", "app.gw.test"},
		"fragment of a query":  {":method", "GET", ":scheme", "http", ":path", "/bad?a#x", ":authority", "app.gw.test"},
		"byte in the query":    {":method", "GET", ":scheme", "http", ":path", "/bad?a=\xa0", ":authority", "app.gw.test"},
		"line in a header":     {":method", "GET", ":scheme", "http", ":path", "/bad", ":authority", "app.gw.test", "x", "a\r\nTransfer-Encoding: chunked"},
		"line in a name":       {":method", "GET", ":scheme", "http", ":path", "/bad", ":authority", "app.gw.test", "x: y\r\nz", "a"},
		"transfer-encoding":    {":method", "POST", ":scheme", "http", ":path", "/bad", ":authority", "app.gw.test", "transfer-encoding", "chunked"},
		"connection":           {":method", "GET", ":scheme", "http", ":path", "/bad", ":authority", "app.gw.test", "connection", "close"},
		"space in the method":  {":method", "GET /x HTTP/1.1", ":scheme", "http", ":path", "/bad", ":authority", "app.gw.test"},
		"CONNECT":              {":method", "CONNECT", ":authority", "127.0.0.1:22"},
		"extended CONNECT":     {":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":path", "/bad", ":authority", "app.gw.test"},
		"two paths":            {":method", "GET", ":scheme", "http", ":path", "/good", ":path", "/bad", ":authority", "app.gw.test"},
		"upper case":           {":method", "GET", ":scheme", "http", ":path", "/bad", ":authority", "app.gw.test", "X-Upper", "y"},
	} {
		seen := len(r.requests())
		status, _ := send("", fields...)
		require.NotEqualValues(t, ok, status, name)
		require.Len(t, r.requests(), seen, name)
	}
	post := []string{":method", "POST", ":scheme", "http", ":path", "/bad", ":authority", "app.gw.test", "content-length"}
	for _, length := range []string{"+5", "5, 5", "99999999999999999999", ""} {
		status, _ := send("hello", append(post[:len(post):len(post)], length)...)
		require.NotEqualValues(t, ok, status, "a content-length of %q", length)
	}
	status, _ = send("", append(post[:len(post):len(post)], "5")...)
	require.NotEqualValues(t, ok, status, "a content-length and no body")
	status, _ = send("hello", append(post[:len(post):len(post)], "5", "content-length", "6")...)
	require.NotEqualValues(t, ok, status, "two content-lengths")
	require.Len(t, r.requests(), 3, "nothing of these is begun at the target")
	for _, length := range []string{"4", "6"} {
		status, _ := send("hello", append(post[:len(post):len(post)], length)...)
		require.NotEqualValues(t, ok, status, "a content-length of %s for 5 bytes", length)
	}
	require.Eventually(t, func() bool { return open.Load() == 0 }, 10*time.Second, time.Millisecond)
	require.EqualValues(t, 3, whole.Load())
}

// TestPureHTTP2: what a target vouches for holds over HTTP/2 as over HTTP/1.1.
func TestPureHTTP2(t *testing.T) {
	pure := make(chan bool, 1)
	r := newRig(t, rigConfig{plain: true, options: map[string]string{"safe_methods": "pure"},
		steps: []middleware.Step{{Name: "look", Operation: func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
			if op.Verb != protocol.Connect {
				pure <- op.Pure
			}
			return protocol.Decision{}, nil
		}}}})
	for _, h2 := range []bool{false, true} {
		tr := &http.Transport{Protocols: new(http.Protocols)}
		tr.Protocols.SetHTTP1(!h2)
		tr.Protocols.SetUnencryptedHTTP2(h2)
		defer tr.CloseIdleConnections()
		for _, c := range []struct {
			method string
			body   io.Reader
			pure   bool
		}{{"GET", nil, true}, {"HEAD", nil, true}, {"OPTIONS", nil, true}, {"POST", nil, false}, {"DELETE", nil, false},
			{"GET", strings.NewReader("x"), false}, {"GET", io.MultiReader(strings.NewReader("x")), false}} {
			req, err := http.NewRequest(c.method, "http://"+r.addr+"/", c.body)
			require.NoError(t, err)
			req.Host = "app.gw.test"
			req.Header.Set("Authorization", "Bearer "+r.token)
			res, err := tr.RoundTrip(req)
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
			require.Equal(t, http.StatusOK, res.StatusCode)
			require.Equal(t, c.pure, <-pure, "%s, HTTP/2 %v, body %v", c.method, h2, c.body)
		}
	}
}
