package httpproxy_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway"
	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/httpproxy"
)

// TestNamesThatReadAlike: a header never passes in which some server reads the
// name of one that is the gateway's to set.
func TestNamesThatReadAlike(t *testing.T) {
	auth := map[string]string{"auth": "header", "auth_name": "X-Api-Key", "user_header": "X-Who"}
	for name, c := range map[string]struct {
		options map[string]string
		secret  bool
	}{
		"secret":      {auth, true},
		"no secret":   {auth, false},
		"underscores": {map[string]string{"auth": "header", "auth_name": "X_Api_Key", "user_header": "X_Who"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, rigConfig{options: c.options, target: func(target *gateway.Target) {
				if !c.secret {
					target.Secret = nil
				}
			}})
			for _, h2 := range versions {
				_, _ = r.do(t, h2, "GET", "https://app.gw.test/", nil, "X.Remote.User", "forged", "X!Remote!User", "forged", "X.Api.Key", "forged",
					"X-Api-Key", "forged", "X-Api_Key", "forged", "X-Who", "forged", "x.who", "forged", "Iv-User", "forged", "X-Consumer-Username", "forged",
					"X-Credential-Identifier", "forged", "X-Host", "forged", "X-Http-Host-Override", "forged", "X-Fine", "yes")
				seen := r.requests()[len(r.requests())-1]
				require.NotContains(t, fmt.Sprint(seen.Header), "forged")
				require.Equal(t, "yes", seen.Header.Get("X-Fine"))
			}
		})
	}
}

// TestStepsSeeWhatIsSent: a header that the client takes back with Connection is
// not one that a step may decide by, nor one that is between the two only.
func TestStepsSeeWhatIsSent(t *testing.T) {
	var saw atomic.Value
	look := middleware.Step{Name: "look", Operation: func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
		if d, ok := op.Detail.(*httpproxy.Request); ok {
			saw.Store(d.Header)
		}
		return protocol.Pass, nil
	}}
	r := newRig(t, rigConfig{plain: true, steps: []middleware.Step{look}, options: map[string]string{"user_header": "X-Who"}})
	status, _ := r.raw(t, "GET / HTTP/1.1\r\nHost: app.gw.test\r\nConnection: X-Tenant, keep-alive\r\nX-Tenant: mine\r\nKeep-Alive: x\r\n"+
		"Te: trailers, x\r\nTrailer: X-Late\r\nX-Who: forged\r\nX-Fine: yes\r\nAUTH\r\n\r\n")
	require.Equal(t, 200, status)
	seen := r.requests()[0].Header
	require.Empty(t, seen["X-Tenant"])
	for name, values := range saw.Load().(http.Header) {
		require.Equal(t, values, seen[name], "a step saw %s, and the target did not", name)
	}
	require.Equal(t, []string{"yes"}, saw.Load().(http.Header)["X-Fine"])
}

// TestCookiesOfTheGateway: a target cannot set them, in no way that browsers
// take for one.
func TestCookiesOfTheGateway(t *testing.T) {
	forged := []string{"__Host-sallyport=forged; Path=/; Secure", "=__Host-sallyport=forged; Path=/; Secure", " = __Host-sallyport=forged; Path=/; Secure",
		"\t__host-Sallyport-login=forged; Path=/; Secure", "=\"__Host-sallyport=forged"}
	r := newRig(t, rigConfig{plain: true, handler: func(w http.ResponseWriter, req *http.Request) {
		h := w.Header()
		h["Set-Cookie"] = slices.Concat([]string{"a=b"}, forged)
		h["Alt-Svc"] = []string{"h3=forged"}
		switch req.URL.Path {
		case "/early":
			h["Link"] = []string{"</x>; rel=preload"}
			w.WriteHeader(http.StatusEarlyHints)
			h.Del("Link")
		case "/ws":
			nc, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer nc.Close()
			h["Connection"], h["Upgrade"] = []string{"Upgrade"}, []string{"websocket"}
			_, _ = io.WriteString(nc, "HTTP/1.1 101 Switching Protocols\r\n")
			_ = h.Write(nc)
			_, _ = io.WriteString(nc, "\r\n")
		}
	}})
	bearer := "Authorization: Bearer " + r.token + "\r\n"
	for path, more := range map[string]string{"/": "Connection: close\r\n", "/early": "Connection: close\r\n",
		"/ws": "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n"} {
		status, all := r.raw(t, "GET "+path+" HTTP/1.1\r\nHost: app.gw.test\r\n"+bearer+more+"\r\n")
		require.Contains(t, []int{200, 101}, status, all)
		require.Contains(t, all, "Set-Cookie: a=b")
		require.NotContains(t, all, "forged")
		require.NotContains(t, all, "Link") // hints come before anybody has looked at the response
	}
	_, _ = r.raw(t, "GET / HTTP/1.1\r\nHost: app.gw.test\r\nCookie: a=b; =__Host-sallyport=stolen; \"__Host-sallyport\"=stolen\r\nAUTH\r\n\r\n")
	require.NotContains(t, fmt.Sprint(r.requests()[len(r.requests())-1].Header), "stolen")
}

// TestHeldForAnotherPerson: what an agent asked on behalf of one person, it does
// not collect on behalf of another.
func TestHeldForAnotherPerson(t *testing.T) {
	agents := middleware.Step{Name: "agents", Authenticate: func(_ context.Context, l *protocol.Login) (*protocol.Identity, error) {
		tok, ok := l.Proof.(protocol.Token)
		if !ok || !strings.HasPrefix(tok.Secret.Reveal(), "for-") {
			return nil, nil
		}
		person := strings.TrimPrefix(tok.Secret.Reveal(), "for-")
		return &protocol.Identity{Issuer: "i", Subject: "agent", Kind: protocol.Agent, Groups: []string{"dev"},
			OnBehalfOf: &protocol.Identity{Issuer: "i", Subject: person, Kind: protocol.Human}}, nil
	}}
	h := newHold()
	r := newRig(t, rigConfig{steps: []middleware.Step{agents, h.step()}})
	res, _ := r.do(t, true, "POST", "https://app.gw.test/x", strings.NewReader("hello"), "Authorization", "Bearer for-ann", "Prefer", "respond-async")
	require.Equal(t, 202, res.StatusCode)
	<-h.waiting
	h.answer <- protocol.Allow("hold")
	where := "https://app.gw.test" + res.Header.Get("Location")
	res, _ = r.do(t, true, "GET", where, nil, "Authorization", "Bearer for-ben")
	require.Equal(t, 404, res.StatusCode)
	res, body := r.do(t, true, "GET", where, nil, "Authorization", "Bearer for-ann")
	require.Equal(t, 200, res.StatusCode)
	require.Equal(t, "hello", body)
}

// TestWebSocketOrigin: a page that came without TLS is of another origin.
func TestWebSocketOrigin(t *testing.T) {
	r := newRig(t, rigConfig{})
	ask := func(origin string) int {
		res, _ := r.do(t, false, "GET", "https://app.gw.test/", nil, "Upgrade", "websocket", "Connection", "Upgrade", "Origin", origin)
		return res.StatusCode
	}
	require.Equal(t, 200, ask("https://app.gw.test"), "of this one; the target has no WebSocket")
	for _, origin := range []string{"http://app.gw.test", "https://app.gw.test:8443", "https://other.gw.test", "null", "https://app.gw.test@evil.test", "//app.gw.test", "app.gw.test"} {
		require.Equal(t, 403, ask(origin), origin)
	}
}

// TestMasksHold: a body in which a client could read what the mask did not is
// not shown.
func TestMasksHold(t *testing.T) {
	zip := func(s string) string {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = io.WriteString(w, s)
		_ = w.Close()
		return b.String()
	}
	wide := func(s string) string {
		var b strings.Builder
		for _, c := range []byte(s) {
			b.WriteByte(c)
			b.WriteByte(0)
		}
		return b.String()
	}
	const doc = `{"email":"ann@example.com"}`
	const json = "application/json"
	cases := map[string]struct {
		kinds, codings []string
		body           string
		status         int
		shown          bool // with a mask
	}{
		"plain":              {[]string{json}, nil, doc, 200, true},
		"upper case":         {[]string{"Application/JSON"}, nil, `{"EMAIL":"ann@example.com"}`, 200, true},
		"escaped name":       {[]string{json}, nil, `{"\u0065mail":"ann@example.com"}`, 200, true},
		"twice":              {[]string{json}, nil, `{"email":"x","email":"ann@example.com"}`, 200, true},
		"in a list":          {[]string{json}, nil, `{"email":[{"a":["ann@example.com"]}]}`, 200, true},
		"members of gzip":    {[]string{json}, []string{"gzip"}, zip(`{"email":`) + zip(`"ann@example.com"}`), 200, true},
		"no kind":            {nil, nil, doc, 200, false},
		"two kinds":          {[]string{"image/png", json}, nil, doc, 200, false},
		"kinds in one":       {[]string{"image/png, " + json}, nil, doc, 200, false},
		"two charsets":       {[]string{json + "; charset=utf-8; charset=utf-16"}, nil, doc, 200, false},
		"utf-16":             {[]string{json + `; charset="UTF-16"`}, nil, wide(doc), 200, false},
		"utf-16 unsaid":      {[]string{json}, nil, wide(doc), 200, false},
		"utf-7":              {[]string{json + "; charset=utf-7"}, nil, `{"email":"ann+AEA-example.com"}`, 200, false},
		"byte order mark":    {[]string{json}, nil, "\ufeff" + doc, 200, true},
		"not a number":       {[]string{json}, nil, `{"a":NaN,"email":"ann@example.com"}`, 200, false},
		"two documents":      {[]string{json}, nil, doc + doc, 200, false},
		"comment":            {[]string{json}, nil, "/*" + doc + "*/" + doc, 200, false},
		"prefix":             {[]string{json}, nil, ")]}',\n" + doc, 200, false},
		"deep":               {[]string{json}, nil, strings.Repeat(`[`, 5000) + doc + strings.Repeat(`]`, 5000), 200, false},
		"sequence":           {[]string{"application/json-seq"}, nil, "\x1e" + doc + "\n", 200, false},
		"a part":             {[]string{json}, nil, doc, 206, false},
		"a difference":       {[]string{json}, nil, doc, 226, false},
		"many parts":         {[]string{"multipart/mixed; boundary=x"}, nil, "--x\r\nContent-Type: " + json + "\r\n\r\n" + doc + "\r\n--x--\r\n", 200, false},
		"rest behind gzip":   {[]string{json}, []string{"gzip"}, zip(doc) + "ann@example.com", 200, false},
		"two codings":        {[]string{json}, []string{"identity", "gzip"}, zip(doc), 200, false},
		"zstd":               {[]string{json}, []string{"zstd"}, doc, 200, false},
		"a coding of no one": {[]string{json}, []string{"aes128gcm"}, doc, 200, false},
	}
	r := newRig(t, rigConfig{steps: []middleware.Step{middleware.MaskWith(middleware.MaskConfig{PassKinds: []string{"image/*"},
		Rules: []mask.Rule{{Name: "mail", Fields: []string{"**.email"}, Transform: mask.Redact()}}})},
		handler: func(w http.ResponseWriter, req *http.Request) {
			c := cases[req.Header.Get("X-Case")]
			w.Header()["Content-Type"], w.Header()["Content-Encoding"] = c.kinds, c.codings
			for _, name := range []string{"X-Amz-Checksum-Sha256", "X-Goog-Hash", "X-Checksum-Sha1", "X-Goog-Stored-Content-Length", "Etag", "X-Uncompressed-Content-Length"} {
				w.Header().Set(name, "of the body as it was")
			}
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.body)
		}})
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			for _, h2 := range versions {
				res, body := r.do(t, h2, "GET", "https://app.gw.test/", nil, "X-Case", name, "A-Im", "diffe", "Accept-Encoding", "gzip, zstd")
				require.NotContains(t, body, "ann@")
				require.NotContains(t, body, wide("ann@"))
				require.Equal(t, c.shown, res.StatusCode == 200, body)
				require.NotContains(t, fmt.Sprint(res.Header, res.Trailer), "as it was")
				require.Empty(t, r.requests()[len(r.requests())-1].Header["A-Im"])
			}
		})
	}
}

// TestPathsAsTheTargetReadsThem: an encoded slash and a semicolon pass where the
// target is said to read them in one way; rules see the path so read, and the
// target gets it as it was sent.
func TestPathsAsTheTargetReadsThem(t *testing.T) {
	var saw atomic.Value
	look := middleware.Step{Name: "look", Operation: func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
		if op.Verb == protocol.Connect {
			return protocol.Pass, nil
		}
		saw.Store(op.Objects[0].Name)
		if strings.HasPrefix(op.Objects[0].Name, "/admin/") {
			return protocol.Deny("no"), nil
		}
		return protocol.Pass, nil
	}}
	keep := map[string]string{"encoded_slashes": "keep", "semicolons": "keep"}
	split := map[string]string{"encoded_slashes": "slash", "semicolons": "parameters"}
	for _, c := range []struct {
		options map[string]string
		path    string
		want    string // as rules see it; "" is refused
		status  int
	}{
		{nil, "/a%2fb", "", 400},
		{nil, "/a;b", "", 400},
		{map[string]string{"encoded_slashes": "refuse", "semicolons": "refuse"}, "/a%2fb", "", 400},
		{map[string]string{"encoded_slashes": "keep"}, "/a;b", "", 400},
		{map[string]string{"semicolons": "keep"}, "/a%2Fb", "", 400},
		{map[string]string{"encoded_slashes": "keep"}, "/a%3bb", "", 400},
		{keep, "/projects/group%2fapp/files/a%2Fb%20c^d|e", "/projects/group%2Fapp/files/a%2Fb c^d|e", 200},
		{keep, "/admin%2Fusers", "/admin%2Fusers", 200},
		{keep, "/a;v=1/b", "/a;v=1/b", 200},
		{keep, "/a%3Bv/b", "/a%3Bv/b", 200},
		{keep, "/a%252fb", "", 400},
		{keep, "/a%253bb", "", 400},
		{keep, "/a%2f..%2fb", "", 400},
		{keep, "/a%2f%2e%2e/b", "", 400},
		{keep, "/a%2f%2fb", "", 400},
		{keep, "/%2fb", "", 400},
		{keep, "/..;x/b", "", 400},
		{keep, "/;x/b", "", 400},
		{keep, "/a%2f..;x%2fb", "", 400},
		{keep, "/a%2f..%3bx%2fb", "", 400},
		{split, "/admin%2fusers", "/admin/users", 403},
		{split, "/admin;x=y/users", "/admin/users", 403},
		{split, "/adm%69n;x/users;y", "/admin/users", 403},
		{split, "/a%3Bv/b", "/a%3Bv/b", 200},
		{split, "/a;x%2fb", "", 400},
		{split, "/a%2fb;x", "", 400},
		{split, "/a%2f;x", "", 400},
	} {
		t.Run(fmt.Sprint(c.options, c.path), func(t *testing.T) {
			r := newRig(t, rigConfig{plain: true, steps: []middleware.Step{look}, options: c.options})
			saw.Store("")
			status, all := r.raw(t, "GET "+c.path+"?a=%2f;b HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\n\r\n")
			require.Equal(t, c.status, status, all)
			require.Equal(t, c.want, saw.Load())
			if c.status != 200 {
				require.Empty(t, r.requests())
				return
			}
			require.Equal(t, strings.NewReplacer("^", "%5E", "|", "%7C").Replace(c.path)+"?a=%2f;b", r.requests()[0].RequestURI)
		})
	}
	for _, o := range []map[string]string{{"encoded_slashes": "yes"}, {"semicolons": "slash"}} {
		require.Error(t, (&httpproxy.Server{}).CheckTarget(protocol.Resource{Addr: "127.0.0.1:1", Options: o}))
	}
}

// TestTrailersWithoutABody: a request of HTTP/2 that has no body, and announces
// trailers all the same, is answered like any other.
func TestTrailersWithoutABody(t *testing.T) {
	for _, target := range []string{"disable", "enable"} {
		r := newRig(t, rigConfig{options: map[string]string{"request_trailers": "enable", "http2": target}})
		for _, method := range []string{"GET", "HEAD", "POST"} {
			res, _ := r.do(t, true, method, "https://app.gw.test/", nil, "Trailer", "X-Sum")
			require.Equal(t, 200, res.StatusCode, "%s, HTTP/2 to the target: %s", method, target)
		}
	}
}

// TestRedirectsStayHere: where a target sends the client at itself, the client does
// not go to another host, nor to another path than the target said.
func TestRedirectsStayHere(t *testing.T) {
	r := newRig(t, rigConfig{server: &httpproxy.Server{Paths: true}, handler: func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Location", "http://"+req.Host+req.Header.Get("X-To"))
		w.WriteHeader(http.StatusFound)
	}})
	for to, want := range map[string]string{"": "/", "/a?b=%2F#c": "/a?b=%2F#c", "//evil.test/a": "//evil.test/a", "/\\evil.test": "/%5Cevil.test",
		"/group%2Fapp/a": "/group%2Fapp/a"} {
		for _, base := range []string{"https://app.gw.test/", "https://gw.test/app/"} {
			res, _ := r.do(t, false, "GET", base, nil, "X-To", to)
			got, err := res.Location()
			require.NoError(t, err)
			require.Equal(t, strings.TrimSuffix(base, "/")+want, strings.Replace(got.String(), "test/.//", "test//", 1))
		}
	}
}

// TestSecretInAQuery: what a target repeats of the query in its headers, or in the
// page of a redirect, has no secret in it.
func TestSecretInAQuery(t *testing.T) {
	const secret = "a/b c-secret"
	r := newRig(t, rigConfig{options: map[string]string{"auth": "query", "auth_name": "key"},
		target: func(target *gateway.Target) { target.Secret = gateway.Fixed(protocol.NewSecret(secret)) },
		handler: func(w http.ResponseWriter, req *http.Request) {
			require.Equal(t, secret, req.URL.Query().Get("key"))
			switch req.URL.Path {
			case "/slash":
				http.Redirect(w, req, "/slash/?"+req.URL.RawQuery, http.StatusMovedPermanently)
			case "/login":
				http.Redirect(w, req, "/in?next="+url.QueryEscape(req.RequestURI), http.StatusFound)
			case "/page":
				w.Header().Set("Link", `</page?page=2&`+req.URL.RawQuery+`>; rel="next"`)
				_, _ = io.WriteString(w, "page 1")
			}
		}})
	ask := func(path string) (*http.Response, string) {
		res, body := r.do(t, false, "GET", "https://app.gw.test"+path, nil)
		for _, said := range []string{secret, url.QueryEscape(secret), url.QueryEscape(url.QueryEscape(secret))} {
			require.NotContains(t, fmt.Sprint(res.Header, body), said, path)
		}
		return res, body
	}
	for _, path := range []string{"/slash", "/slash?a=b"} {
		res, _ := ask(path)
		require.Equal(t, http.StatusMovedPermanently, res.StatusCode)
		require.Equal(t, strings.Replace(path, "/slash", "/slash/", 1), res.Header.Get("Location"))
	}
	_, _ = ask("/login?a=b")
	res, body := ask("/page?a=b")
	require.Equal(t, `</page?page=2&a=b>; rel="next"`, res.Header.Get("Link"))
	require.Equal(t, "page 1", body)
}

// TestEndInTheMiddle: a session that ends takes the request with it whose client
// sends no more of a body, also where the connection has another session.
func TestEndInTheMiddle(t *testing.T) {
	ended := make(chan protocol.Outcome, 1)
	reading := make(chan struct{})
	look := middleware.Step{Name: "look", Event: func(_ context.Context, e *protocol.Event) error {
		if e.Kind == protocol.Ended && e.Op.Verb == "post" {
			ended <- e.Outcome
		}
		return nil
	}}
	r := newRig(t, rigConfig{plain: true, steps: []middleware.Step{look}, handler: func(w http.ResponseWriter, req *http.Request) {
		if req.Method == http.MethodPost {
			_, _ = req.Body.Read(make([]byte, 1))
			close(reading)
			_, _ = io.Copy(io.Discard, req.Body)
		}
	}})
	nc, err := net.Dial("tcp", r.addr)
	require.NoError(t, err)
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
	from := bufio.NewReader(nc)
	_, _ = fmt.Fprintf(nc, "GET / HTTP/1.1\r\nHost: app.gw.test\r\nAuthorization: Bearer %s\r\n\r\n", r.other)
	res, err := http.ReadResponse(from, nil)
	require.NoError(t, err)
	require.Equal(t, 200, res.StatusCode)
	_, _ = fmt.Fprintf(nc, "POST / HTTP/1.1\r\nHost: app.gw.test\r\nAuthorization: Bearer %s\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", r.token)
	<-reading
	for _, s := range r.gateway.Sessions() {
		if s.Info().Identity.Subject == "alice" {
			s.Terminate(&protocol.DeniedError{Reason: "revoked"})
		}
	}
	res, err = http.ReadResponse(from, nil) // before anything more is sent
	require.NoError(t, err)
	require.Equal(t, 403, res.StatusCode)
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Contains(t, string(body), "revoked")
	require.Equal(t, protocol.StatusUnknown, (<-ended).Status)
}

// TestTrailersAreDecidedAbout: a request that is like another but for a trailer that
// the target sees is another request.
func TestTrailersAreDecidedAbout(t *testing.T) {
	digests := make(chan [32]byte, 1)
	look := middleware.Step{Name: "look", Operation: func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
		if op.Verb != protocol.Connect {
			digests <- op.Digest()
		}
		return protocol.Pass, nil
	}}
	r := newRig(t, rigConfig{steps: []middleware.Step{look}, options: map[string]string{"request_trailers": "enable"}})
	c := r.client(true)
	defer c.CloseIdleConnections()
	ask := func(name, value string) [32]byte {
		req, err := http.NewRequestWithContext(t.Context(), "POST", "https://app.gw.test/", strings.NewReader("hello"))
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+r.token)
		req.Trailer = http.Header{name: {value}}
		res, err := c.Do(req)
		require.NoError(t, err)
		_ = res.Body.Close()
		return <-digests
	}
	one := ask("X-Sum", "1")
	require.Equal(t, one, ask("X-Sum", "1"))
	require.NotEqual(t, one, ask("X-Sum", "2"))
	require.Equal(t, ask("X-Forwarded-User", "1"), ask("X-Forwarded-User", "2"), "which does not pass")
}

// TestGuesses: who guesses what a mask hides, and so the document's ETag, is not told
// whether it is that.
func TestGuesses(t *testing.T) {
	const tag, when = `"of ann"`, "Tue, 01 Dec 2020 00:00:00 GMT"
	r := newRig(t, rigConfig{steps: []middleware.Step{middleware.Mask(mask.Rule{Name: "mail", Fields: []string{"**.email"}, Transform: mask.Redact()})},
		handler: func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Etag", tag)
			modified, _ := http.ParseTime(when)
			http.ServeContent(w, req, "", modified, strings.NewReader(`{"email":"ann@example.com"}`))
		}})
	for _, name := range []string{"If-Match", "If-None-Match", "If-Unmodified-Since", "If-Modified-Since"} {
		for _, guess := range []string{tag, `"of ben"`, when, "Tue, 01 Dec 2015 00:00:00 GMT", "Tue, 01 Dec 2025 00:00:00 GMT"} {
			res, body := r.do(t, true, "GET", "https://app.gw.test/", nil, name, guess)
			require.Equal(t, 200, res.StatusCode, "%s: %s", name, guess)
			require.Equal(t, `{"email":"***"}`, body)
		}
	}
	_, _ = r.do(t, true, "PUT", "https://app.gw.test/", nil, "If-Match", tag)
	require.Equal(t, tag, r.requests()[len(r.requests())-1].Header.Get("If-Match"), "what is changed is guarded")
}

// TestEndOfOneOfTwo: what is under way without a body ends with its session, and the
// connection serves the other that it has.
func TestEndOfOneOfTwo(t *testing.T) {
	waits := make(chan struct{})
	r := newRig(t, rigConfig{plain: true, handler: func(_ http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/wait" {
			close(waits)
			<-req.Context().Done()
		}
	}})
	nc, err := net.Dial("tcp", r.addr)
	require.NoError(t, err)
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
	from := bufio.NewReader(nc)
	send := func(path, token string) {
		_, _ = fmt.Fprintf(nc, "GET %s HTTP/1.1\r\nHost: app.gw.test\r\nAuthorization: Bearer %s\r\n\r\n", path, token)
	}
	answer := func() int {
		res, err := http.ReadResponse(from, nil)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, res.Body)
		require.NoError(t, err)
		return res.StatusCode
	}
	send("/", r.other)
	require.Equal(t, 200, answer())
	send("/wait", r.token)
	<-waits
	for _, s := range r.gateway.Sessions() {
		if s.Info().Identity.Subject == "alice" {
			s.Terminate(&protocol.DeniedError{Reason: "revoked"})
		}
	}
	require.Equal(t, 403, answer())
	send("/", r.other)
	require.Equal(t, 200, answer())
}

// TestTargetThatDoesNotRead: a request that its target takes nothing of ends, whether
// the client is there or not: nobody reads what it sends, and so that it has left.
func TestTargetThatDoesNotRead(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	ended := make(chan protocol.Outcome, 1)
	look := middleware.Step{Name: "look", Event: func(_ context.Context, e *protocol.Event) error {
		if e.Kind == protocol.Ended && e.Op.Verb == "post" {
			ended <- e.Outcome
		}
		return nil
	}}
	r := newRig(t, rigConfig{addr: l.Addr().String(), steps: []middleware.Step{look}, server: &httpproxy.Server{ResponseTimeout: 200 * time.Millisecond}})
	for version, h2 := range versions {
		req, err := http.NewRequestWithContext(t.Context(), "POST", "https://app.gw.test/", io.LimitReader(zeros{}, 1<<30))
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+r.token)
		c := r.client(h2)
		defer c.CloseIdleConnections()
		if res, err := c.Do(req); err == nil { // HTTP/1.1 may not hear of it, while it sends
			require.Equal(t, 504, res.StatusCode, version)
			_ = res.Body.Close()
		}
		require.Equal(t, protocol.StatusError, (<-ended).Status, version)
	}
}

// TestStatusThatIsNone: what is no final status is not shown as 200.
func TestStatusThatIsNone(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer nc.Close()
				if _, err := http.ReadRequest(bufio.NewReader(nc)); err == nil {
					_, _ = io.WriteString(nc, "HTTP/1.1 099 Odd\r\nContent-Length: 6\r\n\r\nsecret")
				}
			}()
		}
	}()
	r := newRig(t, rigConfig{addr: l.Addr().String()})
	for version, h2 := range versions {
		res, body := r.do(t, h2, "GET", "https://app.gw.test/", nil)
		require.Equal(t, 502, res.StatusCode, version)
		require.NotContains(t, body, "secret")
	}
}
