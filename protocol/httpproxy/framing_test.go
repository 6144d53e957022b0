package httpproxy_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// smuggled are requests that servers are known to read in several ways. Each
// hides a request for /hidden where one of them looks.
var smuggled = map[string]string{
	"CL and TE":              "POST /a HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\n\r\n",
	"TE and CL":              "POST /a HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\n",
	"two CL":                 "POST /a HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
	"two equal CL":           "POST /a HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
	"CL list":                "POST /a HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\nContent-Length: 5, 5\r\n\r\nhello",
	"CL with a sign":         "POST /a HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\nContent-Length: +5\r\n\r\nhello",
	"CL in hex":              "POST /a HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\nContent-Length: 0x5\r\n\r\nhello",
	"negative CL":            "POST /a HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\nContent-Length: -1\r\n\r\n",
	"empty CL":               "POST /a HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\nContent-Length: \r\n\r\n",
	"CL beyond 63 bits":      "POST /a HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\nContent-Length: 18446744073709551621\r\n\r\nhello",
	"space before colon":     "POST /a HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\nContent-Length : 5\r\n\r\nhello",
	"TE xchunked":            "POST /a HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
	"TE list":                "POST /a HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
	"two TE":                 "POST /a HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
	"TE with vertical tab":   "POST /a HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\nTransfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
	"TE in HTTP/1.0":         "POST /a HTTP/1.0\r\nHost: app.gw.test\r\nAUTH\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"folded TE":              "POST /a HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
	"obs-fold":               "GET /a HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\nX-A: b\r\n c\r\n\r\n",
	"fold of the first":      "GET /a HTTP/1.1\r\n Host: app.gw.test\r\nHost: app.gw.test\r\nAUTH\r\n\r\n",
	"bare LF after a header": "GET /a HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\nX-A: b\nX-B: c\r\n\r\n",
	"bare LF at the end":     "GET /a HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\n\n",
	"bare LF request line":   "GET /a HTTP/1.1\nHost: app.gw.test\r\nAUTH\r\n\r\n",
	"bare CR":                "GET /a HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\nX-A: b\rX-B: c\r\n\r\n",
	"NUL":                    "GET /a HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\nX-A: b\x00\r\n\r\n",
	"header without a name":  "GET /a HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\n: b\r\n\r\n",
	"header without a colon": "GET /a HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\nContent-Length\r\n\r\n",
	"two Hosts":              "GET /a HTTP/1.1\r\nHost: app.gw.test\r\nHost: other.gw.test\r\nAUTH\r\n\r\n",
	"no Host":                "GET /a HTTP/1.1\r\nAUTH\r\n\r\n",
	"odd Host":               "GET /a HTTP/1.1\r\nHost: app.gw.test@other\r\nAUTH\r\n\r\n",
	"Host with a path":       "GET /a HTTP/1.1\r\nHost: app.gw.test/x\r\nAUTH\r\n\r\n",
	"absolute form":          "GET http://other.gw.test/a HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\n\r\n",
	"authority form":         "CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\n\r\n",
	"asterisk form":          "OPTIONS * HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\n\r\n",
	"target without a slash": "GET a HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\n\r\n",
	"two slashes":            "GET //127.0.0.1/a HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\n\r\n",
	"fragment":               "GET /a#b HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\n\r\n",
	"space in the target":    "GET /a b HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\n\r\n",
	"tab in request line":    "GET\t/a\tHTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\n\r\n",
	"byte over 127":          "GET /\xff HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\n\r\n",
	"version 2 by hand":      "GET /a HTTP/2.0\r\nHost: app.gw.test\r\nAUTH\r\n\r\n",
	"version 1.2":            "GET /a HTTP/1.2\r\nHost: app.gw.test\r\nAUTH\r\n\r\n",
	"TRACE":                  "TRACE /a HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\n\r\n",
	"empty line first":       "\r\nGET /a HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\n\r\n",
	"chunk size in 0x":       "POST /a HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
	"chunk size with a sign": "POST /a HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\nTransfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n",
	"chunk size and space":   "POST /a HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\nTransfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n",
	"chunk size overflows":   "POST /a HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000005\r\nhello\r\n0\r\n\r\n",
	"chunk extension":        "POST /a HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\n\r\n",
	"extension with LF":      "POST /a HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\nTransfer-Encoding: chunked\r\n\r\n5;\nxx\r\nhello\r\n0\r\n\r\n",
	"chunk too long":         "POST /a HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello!\r\n0\r\n\r\n",
	"bare LF after a size":   "POST /a HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n",
	"bare LF after a chunk":  "POST /a HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\n0\r\n\r\n",
	"CL in a trailer":        "POST /a HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nContent-Length: 50\r\n\r\n",
	"method override":        "POST /a HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\nX-HTTP-Method-Override: DELETE\r\nContent-Length: 0\r\n\r\n",
	"other path":             "GET /a HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\nX-Original-URL: /admin\r\n\r\n",
	"two Authorizations":     "GET /a HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\nAUTH\r\n\r\n",
	"two Content-Types":      "POST /a HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\nContent-Type: text/plain\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
	"Connection: host":       "GET /a HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\nConnection: close, host\r\n\r\n",
	"dot segments":           "GET /a/../b HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\n\r\n",
	"a dot":                  "GET /a/./b HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\n\r\n",
	"encoded dot segments":   "GET /a/%2e%2e/b HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\n\r\n",
	"encoded twice":          "GET /a/%252e%252e/b HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\n\r\n",
	"dots with parameters":   "GET /a/..;x=y/b HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\n\r\n",
	"path parameters":        "GET /admin;x/b HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\n\r\n",
	"encoded semicolon":      "GET /admin%3bx/b HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\n\r\n",
	"encoded slash":          "GET /a%2fb HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\n\r\n",
	"slash encoded twice":    "GET /a%252fb HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\n\r\n",
	"backslash":              "GET /a\\..\\b HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\n\r\n",
	"encoded backslash":      "GET /a/..%5cb HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\n\r\n",
	"encoded NUL":            "GET /a%00.png HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\n\r\n",
	"encoded line":           "GET /a%0d%0aX:y HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\n\r\n",
	"not an escape":          "GET /a%zz HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\n\r\n",
	"half an escape":         "GET /a%2 HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\n\r\n",
	"overlong UTF-8":         "GET /a/%c0%ae%c0%ae/b HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\n\r\n",
	"half escape in a query": "GET /a?b=%2 HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\n\r\n",
}

// TestSmuggling holds the gateway to: a request that two parsers could read
// differently is refused, the connection ends, and what may be hidden behind it
// reaches nobody.
func TestSmuggling(t *testing.T) {
	r := newRig(t, rigConfig{plain: true})
	for name, text := range smuggled {
		t.Run(name, func(t *testing.T) {
			before := len(r.requests())
			status, all := r.raw(t, text+"GET /hidden HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\n\r\n")
			require.GreaterOrEqual(t, status, 400, "%q", all)
			require.Less(t, status, 506)
			require.Equal(t, 1, strings.Count(all, "HTTP/1.1 "), "more than one answer: %q", all)
			for _, req := range r.requests()[before:] {
				require.NotEqual(t, "/hidden", req.URL.Path)
				// A body that goes wrong ends a request that was sent already:
				// the target sees it broken off.
				require.Equal(t, []string{"chunked"}, req.TransferEncoding, "the target saw %s %s", req.Method, req.URL)
			}
		})
	}
}

// TestGoodFraming shows that what is well formed is answered, also when it
// comes in many ways.
func TestGoodFraming(t *testing.T) {
	r := newRig(t, rigConfig{plain: true})
	for name, text := range map[string]string{
		"pipelined":        "GET /a HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\n\r\nGET /b HTTP/1.1\r\nHost: app.gw.test:8080\r\nAUTH\r\n\r\n",
		"length":           "POST /a HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\nContent-Length: 5\r\n\r\nhelloGET /b HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\n\r\n",
		"chunks":           "POST /a HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\nTransfer-Encoding: CHUNKED\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\nGET /b HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\n\r\n",
		"trailers":         "POST /a HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n5\r\nhello\r\n0\r\nX-T: u\r\n\r\nGET /b HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\n\r\n",
		"odd good paths":   "GET /a%20b/c%25d/%C3%A9/@:!$&'()*+,=~/ HTTP/1.1\r\nHost: APP.gw.TEST\r\nAUTH\r\n\r\nGET /b?a=1;b=2&c=%2F%2e%2e HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\n\r\n",
		"override in body": "POST /a?x=%00 HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\nContent-Length: 1\r\n\r\nxPUT /b HTTP/1.1\r\nHost: app.gw.test\r\nAUTH\r\nContent-Length: 0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			before := len(r.requests())
			status, all := r.raw(t, text)
			require.Equal(t, http.StatusOK, status, "%q", all)
			require.Equal(t, 2, strings.Count(all, "HTTP/1.1 200 OK"), "%q", all)
			require.Len(t, r.requests()[before:], 2)
		})
	}
}
