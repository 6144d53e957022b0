package httpproxy_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
)

// TestWebSocket: bytes go both ways after the upgrade, and nothing that was
// sent before it is taken for something else.
func TestWebSocket(t *testing.T) {
	var inside = make(chan string, 10)
	r := newRig(t, rigConfig{plain: true, handler: func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			inside <- "request " + r.URL.Path
			return
		}
		nc, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer nc.Close()
		_, _ = io.WriteString(nc, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
		line, err := rw.ReadString('\n')
		if err == nil {
			inside <- line
			_, _ = io.WriteString(nc, "got "+line)
		}
	}})
	head := "GET /ws HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: eA==\r\n"
	nc, err := net.Dial("tcp", r.addr)
	require.NoError(t, err)
	defer nc.Close()
	_, err = io.WriteString(nc, strings.ReplaceAll(head, "AUTH", "Authorization: Bearer "+r.token)+"\r\n")
	require.NoError(t, err)
	_ = nc.SetDeadline(time.Now().Add(5 * time.Second))
	br := bufio.NewReader(nc)
	res, err := http.ReadResponse(br, nil)
	require.NoError(t, err)
	require.Equal(t, 101, res.StatusCode)
	_, err = io.WriteString(nc, "GET /not/a/request\nHTTP\x00\n") // no HTTP, and not looked at as such
	require.NoError(t, err)
	line, err := br.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "got GET /not/a/request\n", line)
	require.Equal(t, "GET /not/a/request\n", <-inside)

	status, _ := r.raw(t, head+"Origin: https://evil.test\r\n\r\n")
	require.Equal(t, 403, status)
	status, _ = r.raw(t, head+"Content-Length: 2\r\n\r\nhi")
	require.Equal(t, 400, status)
	// A target that does not upgrade: what follows is looked at as requests.
	r2 := newRig(t, rigConfig{plain: true})
	status, all := r2.raw(t, head+"\r\nGET /hidden HTTP/1.1\nHost: app.gw.test\r\n\r\n")
	require.True(t, status == 200 || status == 400, all)
	require.LessOrEqual(t, strings.Count(all, " 200 OK"), 1)
	for _, req := range r2.requests() {
		require.Equal(t, "/ws", req.URL.Path)
	}
	// Another protocol is not spoken: the request is an ordinary one.
	status, _ = r2.raw(t, strings.ReplaceAll(head, "websocket", "h2c")+"HTTP2-Settings: AAMAAABk\r\n\r\n")
	require.Equal(t, 200, status)
}

// TestStreaming: events come as they are made, uploads go as they are read, and
// what is in memory does not grow with either.
func TestStreaming(t *testing.T) {
	const total = 64 << 20
	next := make(chan struct{})
	var heap atomic.Uint64 // in the middle of a body
	measure := func() {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		heap.Store(m.HeapAlloc)
	}
	r := newRig(t, rigConfig{handler: func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		_ = rc.EnableFullDuplex()
		switch r.URL.Path {
		case "/events":
			w.Header().Set("Content-Type", "text/event-stream")
			for i := range 3 {
				fmt.Fprintf(w, "data: %d\n\n", i)
				_ = rc.Flush()
				<-next
			}
		case "/down":
			b := bytes.Repeat([]byte("x"), 1<<20)
			for i := range total / len(b) {
				if i == total/len(b)-1 { // a gateway that keeps the body has it now
					measure()
				}
				if _, err := w.Write(b); err != nil {
					return
				}
			}
		case "/up":
			measure() // a gateway that reads ahead has it a moment later
			time.Sleep(100 * time.Millisecond)
			measure()
			n, _ := io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, n)
		case "/echo":
			w.Header().Set("Trailer", "Grpc-Status")
			buf := make([]byte, 100)
			for {
				n, err := r.Body.Read(buf)
				_, _ = w.Write(bytes.ToUpper(buf[:n]))
				_ = rc.Flush()
				if err != nil {
					break
				}
			}
			w.Header().Set("Grpc-Status", "0")
			w.Header().Set(http.TrailerPrefix+"X-Late", "yes")
		case "/range":
			http.ServeContent(w, r, "a.txt", time.Time{}, strings.NewReader("0123456789"))
		}
	}})
	for version, h2 := range versions {
		t.Run(version, func(t *testing.T) {
			c := r.client(h2)
			c.Timeout = time.Minute
			defer c.CloseIdleConnections()
			ask := func(method, path string, body io.Reader, header ...string) *http.Response {
				req, err := http.NewRequestWithContext(t.Context(), method, "https://app.gw.test"+path, body)
				require.NoError(t, err)
				req.Header.Set("Authorization", "Bearer "+r.token)
				for i := 0; i < len(header); i += 2 {
					req.Header.Set(header[i], header[i+1])
				}
				res, err := c.Do(req)
				require.NoError(t, err)
				return res
			}
			res := ask("GET", "/events", nil)
			br := bufio.NewReader(res.Body)
			for i := range 3 {
				line, err := br.ReadString('\n')
				require.NoError(t, err)
				require.Equal(t, fmt.Sprintf("data: %d\n", i), line)
				_, _ = br.ReadString('\n')
				next <- struct{}{}
			}
			_ = res.Body.Close()

			measure()
			limit := heap.Load() + 12<<20
			res = ask("GET", "/down", nil)
			n, err := io.Copy(io.Discard, res.Body)
			require.NoError(t, err)
			require.EqualValues(t, total, n)
			require.Less(t, heap.Load(), limit)
			_ = res.Body.Close()
			res = ask("POST", "/up", io.LimitReader(zeros{}, total))
			text, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			require.Equal(t, strconv.Itoa(total), string(text))
			require.Less(t, heap.Load(), limit)

			pr, pw := io.Pipe() // both ways at once, as gRPC does
			sent := make(chan *http.Response, 1)
			go func() { sent <- ask("POST", "/echo", pr, "Te", "trailers") }()
			_, err = io.WriteString(pw, "hello")
			require.NoError(t, err)
			res = <-sent
			buf := make([]byte, 5)
			_, err = io.ReadFull(res.Body, buf)
			require.NoError(t, err)
			require.Equal(t, "HELLO", string(buf))
			_, _ = io.WriteString(pw, "again")
			_, err = io.ReadFull(res.Body, buf)
			require.NoError(t, err)
			require.Equal(t, "AGAIN", string(buf))
			_ = pw.Close()
			_, err = io.Copy(io.Discard, res.Body)
			require.NoError(t, err)
			require.Equal(t, "0", res.Trailer.Get("Grpc-Status"))
			require.Equal(t, "yes", res.Trailer.Get("X-Late"))
			_ = res.Body.Close()

			res = ask("GET", "/range", nil, "Range", "bytes=2-4")
			text, _ = io.ReadAll(res.Body)
			_ = res.Body.Close()
			require.Equal(t, 206, res.StatusCode)
			require.Equal(t, "234", string(text))
			require.Equal(t, "bytes 2-4/10", res.Header.Get("Content-Range"))
		})
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// TestContinue: a client that waits for 100 hears it, or why it need not send.
func TestContinue(t *testing.T) {
	r := newRig(t, rigConfig{plain: true, steps: []middleware.Step{{Name: "no", Operation: func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
		if strings.Contains(op.Text, "/no") {
			return protocol.Deny("no"), nil
		}
		return protocol.Pass, nil
	}}}})
	nc, err := net.Dial("tcp", r.addr)
	require.NoError(t, err)
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(5 * time.Second))
	head := " HTTP/1.1\r\nHost: app.gw.test\r\nAuthorization: Bearer " + r.token + "\r\nExpect: 100-continue\r\nContent-Length: 100000\r\n\r\n"
	_, _ = io.WriteString(nc, "POST /yes"+head)
	br := bufio.NewReader(nc)
	line, err := br.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "HTTP/1.1 100 Continue\r\n", line)
	_, _ = io.WriteString(nc, strings.Repeat("x", 100000))
	_, _ = br.ReadString('\n')
	res, err := http.ReadResponse(br, nil)
	require.NoError(t, err)
	n, err := io.Copy(io.Discard, res.Body)
	require.NoError(t, err)
	require.EqualValues(t, 100000, n)
	_, _ = io.WriteString(nc, "POST /no"+head)
	res, err = http.ReadResponse(br, nil)
	require.NoError(t, err)
	require.Equal(t, 403, res.StatusCode)
}

// TestTargetTLS: the target has to be the one that is listed, and sees the
// gateway's own certificate.
func TestTargetTLS(t *testing.T) {
	authority, err := servers.NewAuthority("target")
	require.NoError(t, err)
	cert, err := authority.Issue(servers.Subject{CommonName: "t", Hosts: []string{"target.internal"}})
	require.NoError(t, err)
	own, err := authority.Issue(servers.Subject{CommonName: "the-gateway"})
	require.NoError(t, err)
	dir := t.TempDir()
	certPEM, keyPEM, err := servers.EncodePEM(own)
	require.NoError(t, err)
	for name, b := range map[string][]byte{"ca.pem": authority.PEM(), "cert.pem": certPEM, "key.pem": keyPEM} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), b, 0o600))
	}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.TLS.PeerCertificates[0].Subject.CommonName, " ", r.Proto)
	}))
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, ClientCAs: authority.Pool(), ClientAuth: tls.RequireAndVerifyClientCert}
	srv.EnableHTTP2 = true
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	defer srv.Close()
	options := map[string]string{"tls": "", "ca": dir + "/ca.pem", "cert": dir + "/cert.pem", "key": dir + "/key.pem", "host": "target.internal"}
	for _, v := range []struct{ http2, want string }{{"disable", "the-gateway HTTP/1.1"}, {"enable", "the-gateway HTTP/2.0"}} {
		options["http2"] = v.http2
		r := newRig(t, rigConfig{addr: srv.Listener.Addr().String(), options: options})
		res, body := r.do(t, true, "GET", "https://app.gw.test/", nil)
		require.Equal(t, 200, res.StatusCode)
		require.Equal(t, v.want, body)
	}
	options["server_name"] = "other.internal"
	r := newRig(t, rigConfig{addr: srv.Listener.Addr().String(), options: options})
	res, body := r.do(t, true, "GET", "https://app.gw.test/", nil)
	require.Equal(t, 502, res.StatusCode)
	require.NotContains(t, body, "internal")
}

// TestNginx: a foreign server as the target.
func TestNginx(t *testing.T) {
	require.NoError(t, servers.InstallTools(t.Context(), os.Stderr, []string{"/usr/sbin/nginx"}, "nginx-light"))
	const path = "/usr/sbin/nginx"
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o755))
	port, err := servers.FreePort()
	require.NoError(t, err)
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	require.NoError(t, os.WriteFile(dir+"/hello.txt", []byte(strings.Repeat("hello ", 10000)), 0o644))
	require.NoError(t, os.WriteFile(dir+"/nginx.conf", []byte(fmt.Sprintf(`user root; daemon off; pid %[1]s/pid; error_log %[1]s/error.log;
events {}
http {
  access_log off; client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
  gzip on; gzip_proxied any; gzip_types text/plain;
  server {
    listen %[2]s; root %[1]s;
    location = /who { return 200 "$http_authorization|$http_x_forwarded_for|$request_uri|$http_x_forwarded_user"; }
    location = /moved { return 301 http://$host:$server_port/hello.txt; }
  }
}`, dir, addr)), 0o644))
	cmd := exec.Command(path, "-e", dir+"/error.log", "-p", dir, "-c", dir+"/nginx.conf")
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Signal(os.Interrupt); _ = cmd.Wait() })
	require.Eventually(t, func() bool {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			return false
		}
		return nc.Close() == nil
	}, 5*time.Second, 20*time.Millisecond)
	r := newRig(t, rigConfig{addr: addr})
	for version, h2 := range versions {
		t.Run(version, func(t *testing.T) {
			_, body := r.do(t, h2, "GET", "https://app.gw.test/who?a=%2Fb", nil, "X-Forwarded-User", "root", "X_Forwarded_User", "root")
			require.Equal(t, "Bearer "+secret+"|127.0.0.1|/who?a=%2Fb|", body)
			res, _ := r.do(t, h2, "GET", "https://app.gw.test/moved", nil)
			require.Equal(t, "/hello.txt", res.Header.Get("Location"))
			res, body = r.do(t, h2, "GET", "https://app.gw.test/hello.txt", nil, "Range", "bytes=0-4")
			require.Equal(t, 206, res.StatusCode)
			require.Equal(t, "hello", body)
			res, body = r.do(t, h2, "GET", "https://app.gw.test/hello.txt", nil, "If-None-Match", res.Header.Get("Etag"))
			require.Equal(t, 304, res.StatusCode)
			require.Empty(t, body)
			res, _ = r.do(t, h2, "GET", "https://app.gw.test/hello.txt", nil, "Accept-Encoding", "gzip")
			require.Equal(t, "gzip", res.Header.Get("Content-Encoding"))
			res, body = r.do(t, h2, "HEAD", "https://app.gw.test/hello.txt", nil)
			require.EqualValues(t, 60000, res.ContentLength)
			require.Empty(t, body)
		})
	}
}

// TestOtherOrigins: a page elsewhere cannot use what a browser adds by itself.
func TestOtherOrigins(t *testing.T) {
	r := newRig(t, rigConfig{plain: true})
	basic := "POST / HTTP/1.1\r\nHost: app.gw.test\r\nConnection: close\r\nContent-Length: 0\r\nAuthorization: Basic " + basicAuth("me", r.token) + "\r\n"
	status, _ := r.raw(t, basic+"Sec-Fetch-Site: cross-site\r\n\r\n")
	require.Equal(t, 403, status)
	status, _ = r.raw(t, basic+"Origin: https://evil.test\r\n\r\n")
	require.Equal(t, 403, status)
	status, _ = r.raw(t, basic+"Sec-Fetch-Site: same-origin\r\n\r\n")
	require.Equal(t, 200, status)
	status, _ = r.raw(t, basic+"\r\n")
	require.Equal(t, 200, status)
	require.Len(t, r.requests(), 2)
}

func basicAuth(user, password string) string {
	req := &http.Request{Header: http.Header{}}
	req.SetBasicAuth(user, password)
	return strings.TrimPrefix(req.Header.Get("Authorization"), "Basic ")
}

// TestGRPC: calls in both directions over HTTP/2 to a target of HTTP/2, with the
// status in trailers, and without a body where the call fails at once.
func TestGRPC(t *testing.T) {
	r := newRig(t, rigConfig{options: map[string]string{"http2": "enable"}, handler: func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 || r.Header.Get("Te") != "trailers" {
			http.Error(w, "not gRPC", http.StatusUpgradeRequired)
			return
		}
		w.Header().Set("Content-Type", "application/grpc")
		if r.URL.Path == "/s/Fails" {
			w.Header().Set("Grpc-Status", "5")
			w.Header().Set("Grpc-Message", "not here")
			return
		}
		w.Header().Set("Trailer", "Grpc-Status, Grpc-Message")
		rc := http.NewResponseController(w)
		_ = rc.Flush() // before anything was asked
		for {
			var head [5]byte
			if _, err := io.ReadFull(r.Body, head[:]); err != nil {
				break
			}
			msg := make([]byte, head[4])
			if _, err := io.ReadFull(r.Body, msg); err != nil {
				break
			}
			_, _ = w.Write(append(head[:], bytes.ToUpper(msg)...))
			_ = rc.Flush()
		}
		w.Header().Set("Grpc-Status", "0")
	}})
	c := r.client(true)
	defer c.CloseIdleConnections()
	call := func(method string, body io.Reader) *http.Response {
		req, err := http.NewRequestWithContext(t.Context(), "POST", "https://app.gw.test/s/"+method, body)
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+r.token)
		req.Header.Set("Content-Type", "application/grpc")
		req.Header.Set("Te", "trailers")
		res, err := c.Do(req)
		require.NoError(t, err)
		return res
	}
	pr, pw := io.Pipe()
	res := call("Echo", pr)
	require.Equal(t, 200, res.StatusCode)
	for _, text := range []string{"one", "two", "three"} {
		_, err := pw.Write(append([]byte{0, 0, 0, 0, byte(len(text))}, text...))
		require.NoError(t, err)
		got := make([]byte, 5+len(text))
		_, err = io.ReadFull(res.Body, got)
		require.NoError(t, err)
		require.Equal(t, strings.ToUpper(text), string(got[5:]))
	}
	_ = pw.Close()
	_, err := io.Copy(io.Discard, res.Body)
	require.NoError(t, err)
	_ = res.Body.Close()
	require.Equal(t, "0", res.Trailer.Get("Grpc-Status"))
	res = call("Fails", http.NoBody)
	_ = res.Body.Close()
	require.Equal(t, "5", res.Header.Get("Grpc-Status"))
	require.Equal(t, "not here", res.Header.Get("Grpc-Message"))
}

// TestUnasked: what a target says without being asked is nobody's answer, and is
// not printed.
func TestUnasked(t *testing.T) {
	var printed bytes.Buffer
	log.SetOutput(&printed)
	defer log.SetOutput(os.Stderr)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	closed := make(chan struct{}, 10)
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { closed <- struct{}{} }()
				defer nc.Close()
				req, err := http.ReadRequest(bufio.NewReader(nc))
				if err != nil {
					return
				}
				fmt.Fprintf(nc, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(req.URL.Path), req.URL.Path)
				time.Sleep(50 * time.Millisecond)
				_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nunasked!")
				_, _ = io.Copy(io.Discard, nc)
			}()
		}
	}()
	r := newRig(t, rigConfig{addr: l.Addr().String()})
	c := r.client(true)
	defer c.CloseIdleConnections()
	for _, path := range []string{"/first", "/second"} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", "https://app.gw.test"+path, nil)
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+r.token)
		res, err := c.Do(req)
		require.NoError(t, err)
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		_ = res.Body.Close()
		require.Equal(t, path, string(body))
		select {
		case <-closed: // by the gateway
		case <-time.After(5 * time.Second):
			t.Fatal("the connection stays open")
		}
	}
	require.NotContains(t, printed.String(), "unasked")
}

// TestReleaseWaits: nothing of a target's answer is shown before the record of
// the request is safe, early hints, a WebSocket and a target's silence included.
func TestReleaseWaits(t *testing.T) {
	r := newRig(t, rigConfig{plain: true, options: map[string]string{"safe_methods": "pure"},
		steps: []middleware.Step{{Name: "broken", Commit: func(_ context.Context, p protocol.Point, ops []*protocol.Operation) error {
			if p == protocol.BeforeRelease && ops[0].Verb != protocol.Connect {
				return errors.New("the record is lost")
			}
			return nil
		}}},
		handler: func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/silent" {
				panic(http.ErrAbortHandler)
			}
			w.Header().Set("Link", "</told>")
			w.WriteHeader(http.StatusEarlyHints)
			w.Header().Set("Upgrade", r.Header.Get("Upgrade"))
			if r.Header.Get("Upgrade") != "" {
				w.Header().Set("Connection", "Upgrade")
				w.WriteHeader(http.StatusSwitchingProtocols)
			}
			_, _ = io.WriteString(w, "told")
		}})
	for _, head := range []string{"GET / HTTP/1.1", "POST / HTTP/1.1", "GET /silent HTTP/1.1",
		"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="} {
		status, all := r.raw(t, head+"\r\nHost: app.gw.test\r\nAUTH\r\n\r\n")
		require.Equal(t, http.StatusInternalServerError, status, "%s: %s", head, all)
		require.NotContains(t, all, "told")
		require.NotContains(t, all, "103")
	}
}

// TestCutOff: what a target sent before it broke off is shown, as without the
// gateway: the head too, though nothing follows it.
func TestCutOff(t *testing.T) {
	r := newRig(t, rigConfig{handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Told", "yes")
		if r.URL.Path == "/counted" {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "told")
		}
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}})
	for _, http2 := range []bool{false, true} {
		client := r.client(http2)
		defer client.CloseIdleConnections()
		for path, want := range map[string]string{"/head": "", "/counted": "told"} {
			for range 20 {
				req, err := http.NewRequestWithContext(t.Context(), "GET", "https://app.gw.test"+path, nil)
				require.NoError(t, err)
				req.Header.Set("Authorization", "Bearer "+r.token)
				res, err := client.Do(req)
				require.NoError(t, err, "HTTP/2: %t, %s", http2, path)
				require.Equal(t, "yes", res.Header.Get("X-Told"))
				b, err := io.ReadAll(res.Body)
				require.Error(t, err)
				_ = res.Body.Close()
				require.Equal(t, want, string(b))
			}
		}
	}
}
