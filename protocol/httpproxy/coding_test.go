package httpproxy_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol/httpproxy"
)

// packers make compressed bodies, by their name in Content-Encoding.
var packers = map[string]func(io.Writer) io.WriteCloser{
	"gzip":    func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
	"deflate": func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) },
	"br":      func(w io.Writer) io.WriteCloser { return brotli.NewWriter(w) },
	"zstd": func(w io.Writer) io.WriteCloser {
		z, err := zstd.NewWriter(w, zstd.WithWindowSize(1<<20))
		if err != nil {
			panic(err)
		}
		return z
	},
	"wide zstd": func(w io.Writer) io.WriteCloser { // of a window that HTTP does not let it have
		z, err := zstd.NewWriter(w, zstd.WithWindowSize(64<<20))
		if err != nil {
			panic(err)
		}
		return z
	},
}

func pack(t testing.TB, coding, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := packers[coding](&b)
	for text != "" { // so that the format does not learn how much there is before it begins
		n := min(len(text), 1<<20)
		_, err := io.WriteString(w, text[:n])
		require.NoError(t, err)
		text = text[n:]
	}
	require.NoError(t, w.Close())
	return b.String()
}

// TestCompressedBodies: a target that compresses although it was asked not to is
// looked into, within bounds, or is not shown; and without masks its bytes stay.
func TestCompressedBodies(t *testing.T) {
	const doc, masked = `{"email":"ann@example.com"}`, `{"email":"***"}`
	bomb := `{"x":"` + strings.Repeat("x", 40<<20) + `"}`
	type answer struct {
		coding, body string
		status       int
		want         string
	}
	cases := map[string]answer{
		"unknown":   {"lzma", doc, 403, "a step has to look into this body, and cannot unpack"},
		"twice":     {"gzip, br", pack(t, "br", pack(t, "gzip", doc)), 403, "cannot unpack"},
		"wide zstd": {"zstd", pack(t, "wide zstd", bomb), 500, ""},
		"huge zstd": {"zstd", "\x28\xb5\x2f\xfd\x00\xff", 500, ""}, // a window of 3.75 TB
	}
	for _, coding := range []string{"gzip", "deflate", "br", "zstd"} {
		whole := pack(t, coding, doc)
		cases[coding] = answer{coding, whole, 200, masked}
		cases[coding+" in capitals"] = answer{strings.ToUpper(coding), whole, 200, masked}
		cases[coding+", not"] = answer{coding, doc, 500, ""}
		cases[coding+", half"] = answer{coding, whole[:len(whole)/2], 500, ""}
		cases[coding+", a bomb"] = answer{coding, pack(t, coding, bomb), 500, ""}
		cases[coding+", empty"] = answer{coding, pack(t, coding, ""), 200, ""}
	}
	handler := func(w http.ResponseWriter, req *http.Request) {
		c := cases[req.Header.Get("X-Case")]
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Encoding", c.coding)
		w.Header().Set("Etag", `"as-it-was"`)
		_, _ = io.WriteString(w, c.body)
	}
	r := newRig(t, rigConfig{handler: handler, server: &httpproxy.Server{MaxDocument: 1 << 20}, steps: []middleware.Step{
		middleware.Mask(mask.Rule{Name: "mail", Fields: []string{"**.email"}, Transform: mask.Redact()})}})
	plain := newRig(t, rigConfig{handler: handler})
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			res, body := r.do(t, true, "GET", "https://app.gw.test/", nil, "X-Case", name, "Accept-Encoding", "gzip, br, zstd")
			if c.status == 500 { // or 502, once something was unpacked
				require.Equal(t, 5, res.StatusCode/100, body)
			} else {
				require.Equal(t, c.status, res.StatusCode, body)
			}
			require.Contains(t, body, c.want)
			require.NotContains(t, body, "ann@")
			require.Empty(t, res.Header["Content-Encoding"])
			require.Empty(t, res.Header["Etag"])
			if c.status == 200 {
				require.EqualValues(t, len(body), res.ContentLength)
			}
			require.Equal(t, "identity", r.requests()[len(r.requests())-1].Header.Get("Accept-Encoding"))
			_, body = plain.do(t, true, "GET", "https://app.gw.test/", nil, "X-Case", name, "Accept-Encoding", "gzip, br, zstd")
			require.True(t, body == c.body, "without a mask the body is another")
			require.Equal(t, "gzip, br, zstd", plain.requests()[len(plain.requests())-1].Header.Get("Accept-Encoding"))
		})
	}
}
