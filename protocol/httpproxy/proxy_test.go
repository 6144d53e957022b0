package httpproxy_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway"
	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/httpproxy"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
)

var versions = map[string]bool{"HTTP/1.1": false, "HTTP/2": true}

// TestIdentitiesAndSecrets looks at what the target sees of a client.
func TestIdentitiesAndSecrets(t *testing.T) {
	for version, h2 := range versions {
		t.Run(version, func(t *testing.T) {
			r := newRig(t, rigConfig{options: map[string]string{"user_header": "X-Remote-User"}})
			hop := []string{"Connection", "X-Kept", "Upgrade", "h2c"}
			if h2 { // Go's client sends none of these
				hop = nil
			}
			res, _ := r.do(t, h2, "GET", "https://app.gw.test/a%20b?q=1;r=%2f", nil, append(hop,
				"Cookie", "a=1; __Host-sallyport=stolen; b=2; __host-SALLYPORT-x=y",
				"X-Forwarded-For", "6.6.6.6", "X-Forwarded-User", "root", "X-Real-Ip", "6.6.6.6", "Forwarded", "for=6.6.6.6",
				"X_Remote_User", "root", "X-Remote-User", "root", "Remote-User", "root", "X-Auth-Request-Email", "root@x", "Impersonate-User", "root",
				"Client-Cert", ":MII:", "X-Webauth-User", "root", "Proxy-Authorization", "Basic eDp5", "Proxy", "evil", "X-Sallyport-Assertion", "forged",
				"X-Kept", "no", "X-App", "yes", "Te", "trailers")...)
			require.Equal(t, 200, res.StatusCode)
			require.Len(t, r.requests(), 1)
			got := r.requests()[0]
			require.Equal(t, "/a%20b?q=1;r=%2f", got.RequestURI)
			require.Equal(t, "Bearer "+secret, got.Header.Get("Authorization"))
			require.Equal(t, []string{"a=1; b=2"}, got.Header["Cookie"])
			require.Equal(t, "127.0.0.1", got.Header.Get("X-Forwarded-For"))
			require.Equal(t, "app.gw.test", got.Header.Get("X-Forwarded-Host"))
			require.Equal(t, "https", got.Header.Get("X-Forwarded-Proto"))
			require.Equal(t, []string{"alice"}, got.Header["X-Remote-User"])
			require.Equal(t, "yes", got.Header.Get("X-App"))
			all := fmt.Sprint(got.Header)
			for _, bad := range []string{"6.6.6.6", "root", "forged", "stolen", "evil", r.token, "h2c", "X-Kept", "SALLYPORT"} {
				if bad == "X-Kept" && h2 {
					continue
				}
				require.NotContains(t, all, bad)
			}
		})
	}
}

// TestLogins: identity is proven for each request.
func TestLogins(t *testing.T) {
	for version, h2 := range versions {
		t.Run(version, func(t *testing.T) {
			r := newRig(t, rigConfig{})
			c := r.client(h2)
			defer c.CloseIdleConnections()
			ask := func(auth string) (int, http.Header) {
				req, err := http.NewRequestWithContext(t.Context(), "GET", "https://app.gw.test/", nil)
				require.NoError(t, err)
				if auth != "" {
					req.Header.Set("Authorization", auth)
				}
				res, err := c.Do(req)
				require.NoError(t, err)
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
				return res.StatusCode, res.Header
			}
			status := func(auth string) int { s, _ := ask(auth); return s }
			require.Equal(t, 200, status("Bearer "+r.token))
			code, h := ask("")
			require.Equal(t, 401, code, "what another request proved on the same connection is not this one's")
			require.Len(t, h["Www-Authenticate"], 2)
			require.Equal(t, 401, status("Bearer wrong"))
			require.Equal(t, 401, status("Bearer "+r.token+"x"))
			require.Equal(t, 401, status("Digest username=alice"))
			require.Equal(t, 200, status("Bearer "+r.other))
			require.Equal(t, 200, status("bearer "+r.token))
			require.Len(t, r.requests(), 3)
		})
	}
}

// TestSubjects: two identities on one connection are two sessions, and share no
// connection to the target.
func TestSubjects(t *testing.T) {
	r := newRig(t, rigConfig{options: map[string]string{"user_header": "X-User"}})
	c := r.client(true)
	defer c.CloseIdleConnections()
	for _, token := range []string{r.token, r.other, r.token} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", "https://app.gw.test/", nil)
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+token)
		res, err := c.Do(req)
		require.NoError(t, err)
		_ = res.Body.Close()
	}
	require.Len(t, r.gateway.Sessions(), 2)
	seen := r.requests()
	require.Equal(t, "alice", seen[0].Header.Get("X-User"))
	require.Equal(t, "bob", seen[1].Header.Get("X-User"))
	require.Equal(t, "alice", seen[2].Header.Get("X-User"))
	require.Equal(t, seen[0].RemoteAddr, seen[2].RemoteAddr)
	require.NotEqual(t, seen[0].RemoteAddr, seen[1].RemoteAddr)
}

// TestPlaintextIsRefused: nobody's token is taken in the clear unless told so.
func TestPlaintextIsRefused(t *testing.T) {
	r := newRig(t, rigConfig{plain: true, server: &httpproxy.Server{}})
	status, _ := r.raw(t, "GET / HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\n\r\n")
	require.Equal(t, 200, status)
	strict := &httpproxy.Server{}
	r = newRig(t, rigConfig{plain: true, server: strict})
	strict.AllowPlaintext = false
	status, all := r.raw(t, "GET / HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\n\r\n")
	require.Equal(t, 403, status)
	require.Contains(t, all, "TLS")
	require.Empty(t, r.requests())
}

// TestRouting: targets are listed; a host, a path or a header cannot name
// another.
func TestRouting(t *testing.T) {
	r := newRig(t, rigConfig{server: &httpproxy.Server{Hosts: map[string]string{"127.0.0.1": "app"}, Paths: true}})
	for version, h2 := range versions {
		t.Run(version, func(t *testing.T) {
			status := func(url string, header ...string) int {
				res, _ := r.do(t, h2, "GET", url, nil, header...)
				return res.StatusCode
			}
			require.Equal(t, 200, status("https://app.gw.test/"))
			require.Equal(t, 200, status("https://127.0.0.1/"))
			require.Equal(t, 421, status("https://app.gw.test/", "Host", "other.gw.test"), "another host than the certificate was asked for")
			require.Equal(t, 403, status("https://gw.test/169.254.169.254/latest"))
			require.Equal(t, 421, status("https://gw.test/"))
			require.Equal(t, 200, status("https://gw.test/app/x?y=z"))
			last := r.requests()[len(r.requests())-1]
			require.Equal(t, "/x?y=z", last.RequestURI)
		})
	}
	require.False(t, strings.Contains(fmt.Sprint(r.requests()), "latest"))
}

// TestClientCertificate: a verified certificate is a proof.
func TestClientCertificate(t *testing.T) {
	var who atomic.Value
	r := newRig(t, rigConfig{steps: []middleware.Step{{Name: "cert", Authenticate: func(_ context.Context, l *protocol.Login) (*protocol.Identity, error) {
		c, ok := l.Proof.(protocol.Certificate)
		if !ok {
			return nil, nil
		}
		who.Store(c.Chain[0].Subject.CommonName)
		return &protocol.Identity{Issuer: "ca", Subject: "carol", Kind: protocol.Human, Groups: []string{"dev"}, Method: "certificate"}, nil
	}}}})
	for version, h2 := range versions {
		t.Run(version, func(t *testing.T) {
			c := r.client(h2)
			defer c.CloseIdleConnections()
			get := func(header ...string) int {
				req, err := http.NewRequestWithContext(t.Context(), "GET", "https://app.gw.test/", nil)
				require.NoError(t, err)
				for _, v := range header {
					req.Header.Add("Authorization", v)
				}
				res, err := c.Do(req)
				require.NoError(t, err)
				_ = res.Body.Close()
				return res.StatusCode
			}
			require.Equal(t, 401, get())
			c.CloseIdleConnections()
			cert := r.tls.Clone()
			_ = cert
			c.Transport.(*http.Transport).TLSClientConfig.Certificates = []tls.Certificate{r.clientCert(t)}
			require.Equal(t, 200, get())
			require.Equal(t, "carol", who.Load())
			require.Equal(t, 401, get(""), "a header that is there counts")
		})
	}
}

// TestDenied: what a step refuses is said in the form the client reads, and not
// sent.
func TestDenied(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{{Name: "freeze", Operation: func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
		if op.Access.Has(protocol.Write) {
			return protocol.Deny("frozen until <Monday>"), nil
		}
		return protocol.Pass, nil
	}}}})
	for version, h2 := range versions {
		t.Run(version, func(t *testing.T) {
			for accept, want := range map[string]string{"": "frozen until <Monday>\n", "application/json": `"detail":"frozen until \u003cMonday\u003e"`, "text/html,*/*": "<p>frozen until &lt;Monday&gt;</p>"} {
				res, body := r.do(t, h2, "POST", "https://app.gw.test/x", strings.NewReader("a body"), "Accept", accept)
				require.Equal(t, 403, res.StatusCode)
				require.Contains(t, body, want)
			}
			res, _ := r.do(t, h2, "POST", "https://app.gw.test/x", strings.NewReader("\x00\x00\x00\x00\x00"), "Content-Type", "application/grpc")
			require.Equal(t, 200, res.StatusCode)
			require.Equal(t, "7", res.Header.Get("Grpc-Status"))
			res, _ = r.do(t, h2, "BREW", "https://app.gw.test/x", nil)
			require.Equal(t, 403, res.StatusCode, "a method that nobody knows is opaque")
			res, _ = r.do(t, h2, "GET", "https://app.gw.test/x", nil)
			require.Equal(t, 200, res.StatusCode)
		})
	}
	for _, req := range r.requests() {
		require.Equal(t, "GET", req.Method)
	}
}

// TestTargetCredentials: each way of sending the secret, and a target that
// refuses it.
func TestTargetCredentials(t *testing.T) {
	for name, c := range map[string]struct {
		options map[string]string
		check   func(*http.Request) string
	}{
		"basic":  {map[string]string{"auth": "basic"}, func(r *http.Request) string { u, p, _ := r.BasicAuth(); return u + ":" + p }},
		"header": {map[string]string{"auth": "header", "auth_name": "X-Api-Key"}, func(r *http.Request) string { return "svc:" + r.Header.Get("X-Api-Key") }},
		"query":  {map[string]string{"auth": "query", "auth_name": "key"}, func(r *http.Request) string { return "svc:" + r.URL.Query().Get("key") }},
		"none":   {map[string]string{"auth": "none"}, func(r *http.Request) string { return "svc:" + secret + r.Header.Get("Authorization") }},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, rigConfig{options: c.options})
			res, _ := r.do(t, false, "GET", "https://app.gw.test/?a=b", nil, "X-Api-Key", "the client's")
			require.Equal(t, 200, res.StatusCode)
			require.Equal(t, "svc:"+secret, c.check(r.requests()[0]))
			if name == "query" {
				for _, q := range []string{"?key=x", "?a=b&k%65y=x", "?a=b;key=x", "?KEY=x", "?key[]=x"} {
					res, _ := r.do(t, false, "GET", "https://app.gw.test/"+q, nil)
					require.Equal(t, 400, res.StatusCode, q)
				}
			}
		})
	}
	r := newRig(t, rigConfig{handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("WWW-Authenticate", "Basic")
		http.Error(w, "wrong: "+r.Header.Get("Authorization"), http.StatusUnauthorized)
	}})
	res, body := r.do(t, false, "GET", "https://app.gw.test/", nil)
	require.Equal(t, 502, res.StatusCode)
	require.NotContains(t, body, secret)
	require.Empty(t, res.Header["Www-Authenticate"])
}

// TestResponsesAreLocal: what a target says about itself is made right.
func TestResponsesAreLocal(t *testing.T) {
	r := newRig(t, rigConfig{server: &httpproxy.Server{Paths: true}, handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Set-Cookie"] = []string{"a=b; Domain=gw.test; Path=/; HttpOnly", "__Host-sallyport=forged; Path=/; Secure"}
		w.Header().Set("Alt-Svc", `h3=":443"`)
		w.Header().Set("Location", "http://"+r.Host+"/next?x=y")
		w.WriteHeader(302)
	}})
	res, _ := r.do(t, false, "GET", "https://app.gw.test/", nil)
	require.Equal(t, "/next?x=y", res.Header.Get("Location"))
	require.Equal(t, []string{"a=b; Path=/; HttpOnly"}, res.Header["Set-Cookie"])
	require.Empty(t, res.Header["Alt-Svc"])
	res, _ = r.do(t, false, "GET", "https://gw.test/app/", nil)
	require.Equal(t, "/app/next?x=y", res.Header.Get("Location"))
	require.Equal(t, []string{"a=b; Path=/app; HttpOnly"}, res.Header["Set-Cookie"])
}

// upper is a step that wants documents, and a mask's stand-in.
func upper(kinds *atomic.Value) middleware.Step {
	return middleware.Step{Name: "upper", Role: middleware.RoleMasks, Operation: func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
		if op.Verb == protocol.Connect {
			return protocol.Pass, nil
		}
		return protocol.Pass, op.OnDocs(func(kind string) (protocol.DocFunc, error) {
			if kinds.Store(kind); kind != "application/json" {
				return nil, errors.New("not a document that can be masked")
			}
			return func(doc []byte) ([]byte, error) {
				if !strings.HasPrefix(string(doc), "{") {
					return nil, errors.New("not JSON")
				}
				return append(bytes.ToUpper(doc), '!', '!'), nil
			}, nil
		})
	}}
}

// TestDocuments: what a step makes of documents is what the client sees, and
// what cannot be looked at is not shown.
func TestDocuments(t *testing.T) {
	var kinds atomic.Value
	zip := func(s string) string {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = w.Write([]byte(s))
		_ = w.Close()
		return b.String()
	}
	answers := map[string]struct {
		kind, coding, body, want string // want "" is a refusal, "-" is a cut
	}{
		"/json":      {"application/json; charset=utf-8", "", `{"a":1}`, `{"A":1}!!`},
		"/bom":       {"application/json", "", "\ufeff{\"a\":1}", "\ufeff{\"A\":1}!!"},
		"/gzip":      {"application/json", "gzip", zip(`{"a":1}`), `{"A":1}!!`},
		"/lines":     {"application/x-ndjson", "", "{\"a\":1}\n\n{\"b\":2}", "{\"A\":1}!!\n\n{\"B\":2}!!"},
		"/crlines":   {"application/x-ndjson", "", "{\"a\":1}\r\n \r\n{\"b\":2}\r\n", "{\"A\":1}!!\r\n \r\n{\"B\":2}!!\r\n"},
		"/gziplines": {"application/x-ndjson", "gzip", zip("{\"a\":1}\n{\"b\":2}\n"), "{\"A\":1}!!\n{\"B\":2}!!\n"},
		"/events":    {"text/event-stream", "", ": secret\nevent: e\nretry: secret\nretry: 10\nsecret\ndata: {\"a\":\ndata: 1}\n\n", ":\nevent: e\nretry: 10\ndata: {\"A\":\ndata: 1}!!\n\n"},
		"/marked":    {"text/event-stream", "", "\ufeffdata: {\"a\":1}\n\n", "data: {\"A\":1}!!\n\n"},
		"/stream":    {"application/stream+json", "", "{\"a\":1}\n{\"b\":2}\n", "{\"A\":1}!!\n{\"B\":2}!!\n"},
		"/crevents":  {"text/event-stream", "", "data: {\"a\":1}\n\ndata: {\"clear\":1}\rdata: 2\n\n", "-"},
		"/halfevent": {"text/event-stream", "", "data: {\"a\":1}\n\ndata: clear", "data: {\"A\":1}!!\n\n"},
		"/html":      {"text/html", "", "<p>{}", ""},
		"/nothing":   {"", "", "{}", ""},
		"/brotli":    {"application/json", "br", `{"a":1}`, ""},
		"/twice":     {"application/json", "gzip, gzip", zip(zip(`{"a":1}`)), ""},
		"/latin":     {"application/json; charset=iso-8859-1", "", `{"a":1}`, ""},
		"/large":     {"application/json", "", `{"a":"` + strings.Repeat("x", 5000) + `"}`, ""},
		"/bomb":      {"application/json", "gzip", zip(`{"a":"` + strings.Repeat("x", 50<<20) + `"}`), ""},
		"/badlines":  {"application/x-ndjson", "", "{\"a\":1}\nclear text\n", "-"},
		"/longline":  {"application/x-ndjson", "", "{\"a\":1}\n{" + strings.Repeat("x", 5000) + "\n", "-"},
	}
	r := newRig(t, rigConfig{server: &httpproxy.Server{MaxDocument: 4 << 10}, steps: []middleware.Step{upper(&kinds)}, handler: func(w http.ResponseWriter, r *http.Request) {
		a := answers[r.URL.Path]
		h := w.Header()
		h["Content-Type"] = []string{a.kind}
		h.Set("ETag", `"1"`)
		h.Set("Digest", "sha-256=x")
		h.Set("Content-MD5", "x")
		h.Set("Accept-Ranges", "bytes")
		if a.coding != "" {
			h.Set("Content-Encoding", a.coding)
		}
		if r.Header.Get("Range") != "" || r.Header.Get("If-None-Match") != "" {
			w.WriteHeader(http.StatusPartialContent)
		}
		_, _ = io.WriteString(w, a.body)
	}})
	for path, a := range answers {
		t.Run(path, func(t *testing.T) {
			for version, h2 := range versions {
				req, err := http.NewRequestWithContext(t.Context(), "GET", "https://app.gw.test"+path, nil)
				require.NoError(t, err)
				req.Header.Set("Authorization", "Bearer "+r.token)
				req.Header.Set("Accept-Encoding", "gzip, br")
				req.Header.Set("Range", "bytes=0-2")
				req.Header.Set("If-None-Match", `"1"`)
				c := r.client(h2)
				res, err := c.Do(req)
				require.NoError(t, err)
				body, err := io.ReadAll(res.Body)
				_ = res.Body.Close()
				c.CloseIdleConnections()
				switch a.want {
				case "":
					status := 500
					switch path {
					case "/twice": // which nobody unpacks
						status = 403
					case "/brotli": // which is none
						status = 502
					}
					require.Equal(t, status, res.StatusCode, version)
					require.NotContains(t, string(body), "{")
					require.NotContains(t, string(body), "clear")
				case "-":
					require.Error(t, err, "a stream that is cut looks complete")
					require.NotContains(t, string(body), "clear")
				default:
					require.NoError(t, err)
					require.Equal(t, 200, res.StatusCode)
					require.Equal(t, a.want, string(body))
					if strings.HasSuffix(path, "json") {
						require.EqualValues(t, len(a.want), res.ContentLength)
					}
				}
				for _, name := range []string{"Etag", "Digest", "Content-Md5", "Accept-Ranges", "Content-Encoding"} {
					require.Empty(t, res.Header[name])
				}
			}
		})
	}
	res, _ := r.do(t, false, "HEAD", "https://app.gw.test/json", nil)
	require.Equal(t, 200, res.StatusCode)
	require.Empty(t, res.Header["Etag"])
	require.Empty(t, res.Header["Content-Length"])
}

// TestRecorded: the journal has the request line, the body and how it ended,
// and neither side's secret.
func TestRecorded(t *testing.T) {
	r := newRig(t, rigConfig{})
	res, _ := r.do(t, false, "POST", "https://app.gw.test/orders/7?x=y", strings.NewReader(`{"amount":1}`), "Content-Type", "application/json")
	require.Equal(t, 200, res.StatusCode)
	require.Eventually(t, func() bool { return len(r.gateway.Sessions()) == 0 }, 5*time.Second, 5*time.Millisecond)
	var all strings.Builder
	_, err := audit.Verify(r.journal)
	require.NoError(t, err)
	entries, err := os.ReadDir(r.journal)
	require.NoError(t, err)
	for _, e := range entries {
		b, err := os.ReadFile(r.journal + "/" + e.Name())
		require.NoError(t, err)
		all.Write(b)
	}
	for _, want := range []string{"POST /orders/7?x=y", `{\"amount\":1}`, "alice"} {
		require.Contains(t, all.String(), want)
	}
	require.NotContains(t, all.String(), secret)
	require.NotContains(t, all.String(), r.token)
}

// TestRealClients: curl, Python's requests and http.client, Node's fetch.
func TestRealClients(t *testing.T) {
	require.NoError(t, servers.InstallTools(t.Context(), os.Stderr, []string{"curl", "python3", "node"}, "curl", "python3", "python3-requests", "nodejs"))
	r := newRig(t, rigConfig{})
	_, port, _ := strings.Cut(r.addr, ":")
	url := "https://app.gw.test:" + port
	resolve := "app.gw.test:" + port + ":127.0.0.1"
	run := func(t *testing.T, name string, args ...string) string {
		path, err := exec.LookPath(name)
		require.NoError(t, err, "install %s: apt-get install curl python3 python3-requests nodejs", name)
		cmd := exec.CommandContext(t.Context(), path, args...)
		cmd.Env = append(os.Environ(), "TOKEN="+r.token, "CA="+r.ca, "PORT="+port, "NODE_EXTRA_CA_CERTS="+r.ca)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return string(out)
	}
	for _, v := range []string{"--http1.1", "--http2"} {
		t.Run("curl"+v, func(t *testing.T) {
			auth := "Authorization: Bearer " + r.token
			require.Equal(t, "hello", run(t, "curl", "-sS", v, "--cacert", r.ca, "--resolve", resolve, "-H", auth, "-d", "hello", url+"/x"))
			require.Equal(t, "hello", run(t, "curl", "-sS", v, "--cacert", r.ca, "--resolve", resolve, "-u", "me:"+r.token, "-d", "hello", url+"/x"))
			big := t.TempDir() + "/big"
			require.NoError(t, os.WriteFile(big, bytes.Repeat([]byte("0123456789abcdef"), 1<<18), 0o600))
			require.Equal(t, "200 4194304", run(t, "curl", "-sS", v, "--cacert", r.ca, "--resolve", resolve, "-H", auth, "-T", big, "-H", "Expect: 100-continue",
				"-o", "/dev/null", "-w", "%{http_code} %{size_download}", url+"/big"))
			require.Equal(t, "401", run(t, "curl", "-sS", v, "--cacert", r.ca, "--resolve", resolve, "-o", "/dev/null", "-w", "%{http_code}", url+"/x"))
		})
	}
	t.Run("python", func(t *testing.T) {
		require.Equal(t, "hello hello 3\n", run(t, "python3", "-c", `
import os, socket, ssl, http.client
real = socket.getaddrinfo
socket.getaddrinfo = lambda h, *a, **k: real("127.0.0.1", *a, **k)
import requests
port, auth = os.environ["PORT"], {"Authorization": "Bearer " + os.environ["TOKEN"]}
s = requests.Session()
s.headers, s.verify, s.trust_env = auth, os.environ["CA"], False
a = s.post("https://app.gw.test:" + port + "/x", data="hello").text
c = http.client.HTTPSConnection("app.gw.test", int(port), context=ssl.create_default_context(cafile=os.environ["CA"]))
c.request("POST", "/y", body=iter([b"hel", b"lo"]), headers=auth, encode_chunked=True)
b = c.getresponse().read().decode()
n = 0
for i in range(3):
    c.request("GET", "/z", headers=auth)
    r = c.getresponse(); r.read(); n += r.status == 200
print(a, b, n)`))
	})
	t.Run("node", func(t *testing.T) {
		require.Equal(t, "hello 200\n", run(t, "node", "-e", `
const dns = require("dns"), real = dns.lookup;
dns.lookup = (h, o, cb) => real("127.0.0.1", o, cb);
const url = "https://app.gw.test:" + process.env.PORT, headers = {Authorization: "Bearer " + process.env.TOKEN};
(async () => {
  const a = await (await fetch(url + "/x", {method: "POST", body: "hello", headers})).text();
  console.log(a, (await fetch(url + "/y", {headers})).status);
})()`))
	})
}

// TestTargetMTLS: the gateway shows the target a certificate of its own, and
// the target has to be the one that is listed.
func TestTargetMTLS(t *testing.T) {
	for _, o := range []map[string]string{
		{"tls": "maybe"}, {"auth": "digest"}, {"auth": "header"}, {"unknown": "x"}, {"cert": "x"}, {"host": "a b"}, {"http2": "yes"}, {"ca": "/nowhere"},
	} {
		require.Error(t, (&httpproxy.Server{}).CheckTarget(protocol.Resource{Addr: "127.0.0.1:1", Options: o}), "%v", o)
	}
	require.NoError(t, (&httpproxy.Server{}).CheckTarget(protocol.Resource{Addr: "127.0.0.1:1"}))
	_ = gateway.Target{}
}

// TestAssertion: a target that wants to hears who sends a request, signed, and
// nobody else can say so.
func TestAssertion(t *testing.T) {
	_, key, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	a := &httpproxy.Assertion{Issuer: "https://gw.test", Key: key, KeyID: "1", Header: "X-Who"}
	r := newRig(t, rigConfig{server: &httpproxy.Server{Assertion: a}, options: map[string]string{"assertion": "enable"}})
	res, _ := r.do(t, false, "GET", "https://app.gw.test/", nil, "X-Who", "forged")
	require.Equal(t, 200, res.StatusCode)
	require.Len(t, r.requests()[0].Header["X-Who"], 1)
	set, err := a.JWKS()
	require.NoError(t, err)
	var keys jose.JSONWebKeySet
	require.NoError(t, json.Unmarshal(set, &keys))
	tok, err := jwt.ParseSigned(r.requests()[0].Header.Get("X-Who"), []jose.SignatureAlgorithm{jose.EdDSA})
	require.NoError(t, err)
	var c jwt.Claims
	var more struct {
		Groups []string `json:"groups"`
	}
	require.NoError(t, tok.Claims(keys, &c, &more))
	require.NoError(t, c.ValidateWithLeeway(jwt.Expected{Issuer: "https://gw.test", Subject: "alice", AnyAudience: jwt.Audience{"app"}, Time: time.Now()}, 0))
	require.Equal(t, []string{"dev"}, more.Groups)
	require.Error(t, c.ValidateWithLeeway(jwt.Expected{Time: time.Now().Add(2 * time.Minute)}, 0))
	require.Error(t, (&httpproxy.Server{}).CheckTarget(protocol.Resource{Addr: "127.0.0.1:1", Options: map[string]string{"assertion": "enable"}}))

	r = newRig(t, rigConfig{server: &httpproxy.Server{Assertion: a}})
	_, _ = r.do(t, false, "GET", "https://app.gw.test/", nil, "X-Who", "forged")
	require.Empty(t, r.requests()[0].Header["X-Who"])
}

// TestOpenAPI: a description names what is asked for, and bounds it if asked.
func TestOpenAPI(t *testing.T) {
	file := t.TempDir() + "/api.json"
	require.NoError(t, os.WriteFile(file, []byte(`{"openapi":"3.0.0","paths":{"/pets/{id}":{"get":{"operationId":"getPet"},"delete":{"operationId":"deletePet"}}}}`), 0o600))
	noDelete := middleware.Step{Name: "no", Operation: func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
		for _, o := range op.Objects {
			if o.Kind == "route" && o.Name == "deletePet" {
				return protocol.Deny("no"), nil
			}
		}
		return protocol.Pass, nil
	}}
	for undescribed, want := range map[string]int{"allow": 200, "refuse": 404} {
		r := newRig(t, rigConfig{steps: []middleware.Step{noDelete}, options: map[string]string{"openapi": file, "undescribed": undescribed}})
		for _, c := range []struct {
			method, path string
			want         int
		}{{"GET", "/pets/7", 200}, {"DELETE", "/pets/7", 403}, {"DELETE", "/pets/%37", 403}, {"GET", "/admin", want}} {
			res, _ := r.do(t, false, c.method, "https://app.gw.test"+c.path, nil)
			require.Equal(t, c.want, res.StatusCode, c.path)
		}
	}
}

// What may change something is sent once, also where net/http would send it
// again because the client has given it a key against that.
func TestChangesAreSentOnce(t *testing.T) {
	var posts atomic.Int64
	r := newRig(t, rigConfig{handler: func(w http.ResponseWriter, req *http.Request) {
		if req.Method != http.MethodPost {
			return
		}
		posts.Add(1)
		nc, _, err := http.NewResponseController(w).Hijack()
		require.NoError(t, err)
		_ = nc.Close() // as a target does that dies with the request
	}})
	c := r.client(false)
	for _, method := range []string{http.MethodGet, http.MethodPost} { // the second on a connection that was used
		req, err := http.NewRequestWithContext(t.Context(), method, "https://app.gw.test/", nil)
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+r.token)
		req.Header.Set("Idempotency-Key", "1")
		res, err := c.Do(req)
		require.NoError(t, err)
		_, _ = io.Copy(io.Discard, res.Body)
		require.NoError(t, res.Body.Close())
		require.Equal(t, map[string]int{"GET": 200, "POST": 502}[method], res.StatusCode)
	}
	require.EqualValues(t, 1, posts.Load())
}
