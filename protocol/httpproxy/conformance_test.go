package httpproxy_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// conforming answers as RFC 9110 has it, by path.
func conforming(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	switch r.URL.Path {
	case "/file": // ranges and conditions are net/http's
		h.Set("Etag", `"v1"`)
		h.Set("Content-Type", "application/octet-stream")
		http.ServeContent(w, r, "", time.Unix(1700000000, 0), strings.NewReader("0123456789"))
	case "/status":
		var code int
		_, _ = fmt.Sscan(r.URL.RawQuery, &code)
		h.Set("Location", "/elsewhere?x=y#z")
		h.Set("Retry-After", "7")
		w.WriteHeader(code)
		if code != 204 && code != 304 {
			_, _ = io.WriteString(w, "status\n")
		}
	case "/fields":
		h["X-Many"] = []string{"a", "b, c", ""}
		h["Set-Cookie"] = []string{"a=1", "b=2; HttpOnly"}
		h["Warning"] = []string{`199 - "odd"`}
		h.Set("X-Empty", "")
		h.Set("Link", `</a>; rel=preload`)
		h.Set("Cache-Control", "private, max-age=3")
		h.Set("Content-Language", "en")
	case "/chunks":
		h.Set("Trailer", "X-Sum")
		for _, s := range []string{"one ", "two ", "three"} {
			_, _ = io.WriteString(w, s)
			_ = http.NewResponseController(w).Flush()
		}
		h.Set("X-Sum", "3")
	case "/echo":
		b, _ := io.ReadAll(r.Body)
		names := slices.Sorted(maps.Keys(r.Header))
		fmt.Fprintf(w, "%s %s %d %q %v %q", r.Method, r.RequestURI, len(b), r.Header["X-Sent"], slices.Contains(names, "Te"), r.Header["Accept"])
	case "/allow":
		h.Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
	case "/empty":
	case "/hints":
		h.Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		_, _ = io.WriteString(w, "late")
	}
}

// TestConformance holds what a client of HTTP relies on (RFC 9110, RFC 9112): each
// request is answered through the gateway as the target answers it directly.
func TestConformance(t *testing.T) {
	r := newRig(t, rigConfig{handler: conforming})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	srv := &http.Server{Handler: http.HandlerFunc(conforming)}
	go func() { _ = srv.Serve(l) }()
	defer srv.Close()
	type sent struct {
		method, path, body string
		header             []string
	}
	cases := []sent{
		{"GET", "/file", "", nil},
		{"HEAD", "/file", "", nil},
		{"GET", "/file", "", []string{"Range", "bytes=2-4"}},
		{"GET", "/file", "", []string{"Range", "bytes=-3"}},
		{"GET", "/file", "", []string{"Range", "bytes=20-"}},
		{"GET", "/file", "", []string{"Range", "bytes=2-4", "If-Range", `"v1"`}},
		{"GET", "/file", "", []string{"Range", "bytes=2-4", "If-Range", `"v0"`}},
		{"GET", "/file", "", []string{"If-None-Match", `"v1"`}},
		{"HEAD", "/file", "", []string{"If-None-Match", `W/"v1"`}},
		{"GET", "/file", "", []string{"If-None-Match", `"v0"`}},
		{"GET", "/file", "", []string{"If-Modified-Since", "Tue, 14 Nov 2023 22:13:20 GMT"}},
		{"GET", "/file", "", []string{"If-Match", `"v0"`}},
		{"GET", "/file", "", []string{"If-Unmodified-Since", "Tue, 14 Nov 2000 22:13:20 GMT"}},
		{"GET", "/fields", "", nil},
		{"HEAD", "/fields", "", nil},
		{"GET", "/chunks", "", nil},
		{"GET", "/chunks", "", []string{"Te", "trailers"}},
		{"OPTIONS", "/allow", "", nil},
		{"GET", "/empty", "", nil},
		{"DELETE", "/empty", "", nil},
		{"GET", "/hints", "", nil},
		{"GET", "/echo?", "", nil},
		{"GET", "/echo?a=b&a=c&%C3%A9=%20", "", []string{"X-Sent", "a"}},
		{"POST", "/echo", "body", []string{"X-Sent", "", "Accept", "a/b;q=0.5, */*"}},
		{"PUT", "/echo", "body", []string{"Expect", "100-continue"}},
		{"PATCH", "/echo", "", nil},
		{"DELETE", "/echo", "with a body", nil},
		{"POST", "/echo", strings.Repeat("x", 3<<20), nil},
	}
	for code := range 600 {
		if http.StatusText(code) != "" && code >= 200 && code != 401 { // which the gateway tells in its own words
			cases = append(cases, sent{"GET", fmt.Sprint("/status?", code), "", nil})
		}
	}
	ask := func(c *http.Client, base string, s sent, header ...string) (string, error) {
		var body io.Reader
		if s.body != "" {
			body = strings.NewReader(s.body)
		}
		req, err := http.NewRequestWithContext(t.Context(), s.method, base+s.path, body)
		require.NoError(t, err)
		for h := append(s.header, header...); len(h) > 0; h = h[2:] {
			req.Header.Set(h[0], h[1])
		}
		res, err := c.Do(req)
		if err != nil {
			return "", err
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		for _, name := range []string{"Date", "Connection", "Trailer"} { // each hop's own
			res.Header.Del(name)
		}
		return fmt.Sprintf("%d\n%v\n%q\n%v\n%d", res.StatusCode, res.Header, b, res.Trailer, res.ContentLength), err
	}
	direct := &http.Client{Transport: &http.Transport{DisableCompression: true}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer direct.CloseIdleConnections()
	for version, h2 := range versions {
		c := r.client(h2)
		defer c.CloseIdleConnections()
		for _, s := range cases {
			want, err := ask(direct, "http://"+l.Addr().String(), s)
			require.NoError(t, err)
			got, err := ask(c, "https://app.gw.test", s, "Authorization", "Bearer "+r.token)
			require.NoError(t, err, "%s: %s %s %v", version, s.method, s.path, s.header)
			require.Equal(t, want, got, "%s: %s %s %v", version, s.method, s.path, s.header)
		}
	}
}

// TestConformanceOfConnections: what RFC 9112 says about connections and versions.
func TestConformanceOfConnections(t *testing.T) {
	r := newRig(t, rigConfig{plain: true, handler: conforming})
	auth := "Host: app.gw.test\r\nAuthorization: Bearer " + r.token + "\r\n"
	type exchange struct {
		sent  string
		want  []string // of the answers' status lines
		ends  bool     // the gateway closes then
		holds []string
	}
	for name, c := range map[string]exchange{
		"persistent by itself":       {"GET /empty HTTP/1.1\r\n" + auth + "\r\nGET /empty HTTP/1.1\r\n" + auth + "\r\n", []string{"HTTP/1.1 200", "HTTP/1.1 200"}, false, nil},
		"close":                      {"GET /empty HTTP/1.1\r\n" + auth + "Connection: close\r\n\r\nGET /empty HTTP/1.1\r\n" + auth + "\r\n", []string{"HTTP/1.1 200"}, true, []string{"Connection: close"}},
		"version 1.0":                {"GET /chunks HTTP/1.0\r\n" + auth + "\r\n", []string{"HTTP/1.0 200"}, true, []string{"one two three"}},
		"version 1.0 that stays":     {"GET /file HTTP/1.0\r\n" + auth + "Connection: keep-alive\r\n\r\n", []string{"HTTP/1.0 200"}, false, []string{"Connection: keep-alive", "Content-Length: 10"}},
		"HEAD has no body":           {"HEAD /file HTTP/1.1\r\n" + auth + "\r\nGET /empty HTTP/1.1\r\n" + auth + "\r\n", []string{"HTTP/1.1 200", "HTTP/1.1 200"}, false, []string{"Content-Length: 10"}},
		"204 has neither":            {"GET /status?204 HTTP/1.1\r\n" + auth + "\r\nGET /empty HTTP/1.1\r\n" + auth + "\r\n", []string{"HTTP/1.1 204", "HTTP/1.1 200"}, false, nil},
		"304 has none":               {"GET /file HTTP/1.1\r\n" + auth + "If-None-Match: \"v1\"\r\n\r\nGET /empty HTTP/1.1\r\n" + auth + "\r\n", []string{"HTTP/1.1 304", "HTTP/1.1 200"}, false, nil},
		"continue":                   {"POST /echo HTTP/1.1\r\n" + auth + "Expect: 100-continue\r\nContent-Length: 2\r\n\r\nhi", []string{"HTTP/1.1 100", "HTTP/1.1 200"}, false, []string{"POST /echo 2 "}},
		"another expectation":        {"POST /echo HTTP/1.1\r\n" + auth + "Expect: miracles\r\nContent-Length: 2\r\n\r\nhi", []string{"HTTP/1.1 417"}, true, nil},
		"names in any case":          {"GET /empty HTTP/1.1\r\nhOST: app.gw.test\r\nauthorization: bearer " + r.token + "\r\n\r\n", []string{"HTTP/1.1 200"}, false, nil},
		"space around a value":       {"GET /echo HTTP/1.1\r\n" + auth + "X-Sent:\t  a b \t\r\n\r\n", []string{"HTTP/1.1 200"}, false, []string{`["a b"]`}},
		"a value in Latin-1":         {"GET /echo HTTP/1.1\r\n" + auth + "X-Sent: \xe9\r\n\r\n", []string{"HTTP/1.1 200"}, false, []string{`["\xe9"]`}},
		"methods are case-sensitive": {"get /echo HTTP/1.1\r\n" + auth + "\r\n", []string{"HTTP/1.1 403"}, false, nil},
		"an unknown method":          {"BREW /echo HTTP/1.1\r\n" + auth + "\r\n", []string{"HTTP/1.1 403"}, false, nil},
		"a body in chunks":           {"POST /echo HTTP/1.1\r\n" + auth + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", []string{"HTTP/1.1 200"}, false, []string{"POST /echo 2 "}},
		"an upgrade nobody knows":    {"GET /echo HTTP/1.1\r\n" + auth + "Connection: upgrade\r\nUpgrade: foo/2\r\n\r\n", []string{"HTTP/1.1 200"}, false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			nc, err := net.Dial("tcp", r.addr)
			require.NoError(t, err)
			defer nc.Close()
			_, err = io.WriteString(nc, c.sent)
			require.NoError(t, err)
			_ = nc.SetReadDeadline(time.Now().Add(20 * time.Second))
			var all strings.Builder
			in := bufio.NewReader(io.TeeReader(nc, &all))
			method, _, _ := strings.Cut(c.sent, " ")
			for _, want := range c.want {
				req, err := http.NewRequestWithContext(context.Background(), method, "/", nil)
				require.NoError(t, err)
				res, err := http.ReadResponse(in, req)
				require.NoError(t, err, "%q", all.String())
				require.Equal(t, want, fmt.Sprintf("%s %d", res.Proto, res.StatusCode), "%q", all.String())
				_, err = io.Copy(io.Discard, res.Body)
				require.NoError(t, err)
				method = "GET"
			}
			if c.ends {
				_, err = in.ReadByte()
				require.Equal(t, io.EOF, err, "%q", all.String())
			} else { // it still answers
				_, err = io.WriteString(nc, "GET /status?299 HTTP/1.1\r\n"+auth+"\r\n")
				require.NoError(t, err)
				res, err := http.ReadResponse(in, nil)
				require.NoError(t, err, "%q", all.String())
				require.Equal(t, 299, res.StatusCode)
			}
			for _, s := range c.holds {
				require.Contains(t, all.String(), s)
			}
		})
	}
}
