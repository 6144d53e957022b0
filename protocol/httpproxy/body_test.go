package httpproxy_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
)

// detect is a stand-in for a step that finds things in text: it looks into JSON
// as documents, and into text as bytes.
func detect() middleware.Step {
	return middleware.Step{Name: "detect", Role: middleware.RoleMasks, Operation: func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
		if op.Verb == protocol.Connect {
			return protocol.Pass, nil
		}
		err := op.OnDocs(func(kind string) (protocol.DocFunc, error) {
			if !strings.HasPrefix(kind, "text/") {
				return nil, &protocol.DeniedError{Reason: "not a text"}
			}
			return nil, nil
		})
		if err != nil {
			return protocol.Pass, err
		}
		return protocol.Pass, op.OnBytes(func(s protocol.Stream) (protocol.BytesFunc, error) {
			if s.In || !strings.HasPrefix(s.Kind, "text/") {
				return nil, nil
			}
			var all []byte // a real one holds back less
			return func(b []byte, last bool) ([]byte, error) {
				if all = append(all, b...); !last {
					return nil, nil
				}
				return bytes.ReplaceAll(all, []byte("ann@example.com"), []byte("***")), nil
			}, nil
		})
	}}
}

// TestText: text goes through the taps on bytes, and is UTF-8, as the client is
// told then, or is not shown.
func TestText(t *testing.T) {
	zip := func(s string) string {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = io.WriteString(w, s)
		_ = w.Close()
		return b.String()
	}
	const mail = "é ann@example.com 漢字"
	cases := map[string]struct {
		kind, coding, body, want, told string // want: "" is refused, "-" is cut off
	}{
		"html":            {"text/html; charset=UTF-8", "", "<p>" + mail, "<p>é *** 漢字", "text/html; charset=UTF-8"},
		"unsaid":          {"text/plain", "", mail, "é *** 漢字", "text/plain; charset=utf-8"},
		"more said":       {"text/plain; format=flowed", "", mail, "é *** 漢字", "text/plain; format=flowed; charset=utf-8"},
		"ascii":           {"text/csv; charset=us-ascii", "", "ann@example.com", "***", "text/csv; charset=us-ascii"},
		"empty":           {"text/plain", "", "", "", "text/plain"},
		"packed":          {"text/plain", "gzip", zip(mail), "é *** 漢字", "text/plain; charset=utf-8"},
		"latin":           {"text/html; charset=iso-8859-1", "", "\xe9 ann@example.com", "", ""},
		"wide":            {"text/html; charset=utf-16le", "", "a\x00n\x00n\x00@\x00", "", ""},
		"latin, unsaid":   {"text/html", "", "\xe9 ann@example.com", "-", ""},
		"wide, unsaid":    {"text/html", "", "a\x00n\x00n\x00@\x00", "-", ""},
		"half at the end": {"text/html", "", "ann@example.com \xe6\xbc", "-", ""},
		"half within":     {"text/html", "", "\xe6\xbcann@example.com", "-", ""},
		"two charsets":    {"text/html; charset=utf-8; charset=utf-7", "", mail, "", ""},
		"no text":         {"application/xml", "", mail, "", ""},
	}
	handler := func(w http.ResponseWriter, r *http.Request) {
		c := cases[r.Header.Get("X-Case")]
		w.Header()["Content-Type"] = []string{c.kind}
		if c.coding != "" {
			w.Header().Set("Content-Encoding", c.coding)
		}
		if c.body != "" {
			w.(http.Flusher).Flush()
		}
		_, _ = io.Copy(w, iotest.OneByteReader(strings.NewReader(c.body)))
	}
	r := newRig(t, rigConfig{steps: []middleware.Step{detect()}, handler: handler})
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), "GET", "https://app.gw.test/", nil)
			require.NoError(t, err)
			req.Header.Set("Authorization", "Bearer "+r.token)
			req.Header.Set("X-Case", name)
			client := r.client(true)
			defer client.CloseIdleConnections()
			res, err := client.Do(req)
			if err != nil && c.want == "-" {
				return // cut off before the head
			}
			require.NoError(t, err)
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			switch {
			case c.want == "-":
				require.Error(t, err)
				require.NotContains(t, string(body), "ann")
			case c.want == "" && c.body != "":
				require.Equal(t, 403, res.StatusCode, string(body))
				require.NotContains(t, string(body), "ann@")
			default:
				require.NoError(t, err)
				require.Equal(t, c.want, string(body))
				require.Equal(t, c.told, res.Header.Get("Content-Type"))
			}
		})
	}
	// Who only keeps bytes keeps them as they are.
	dir := t.TempDir()
	r = newRig(t, rigConfig{handler: handler, steps: []middleware.Step{middleware.Recordings(middleware.RecordingConfig{Dir: dir, Verbs: []protocol.Verb{"get"}})}})
	res, body := r.do(t, true, "GET", "https://app.gw.test/", nil, "X-Case", "latin")
	require.Equal(t, 200, res.StatusCode)
	require.Equal(t, cases["latin"].body, body)
}

// TestBodiesAreRecorded: a step keeps bodies by method and kind, within a bound,
// as the masks leave them.
func TestBodiesAreRecorded(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t, rigConfig{steps: []middleware.Step{
		middleware.MaskWith(middleware.MaskConfig{PassKinds: []string{"image/*", ""}, Rules: []mask.Rule{{Name: "mail", Fields: []string{"**.email"}, Transform: mask.Redact()}}}),
		middleware.Recordings(middleware.RecordingConfig{Dir: dir, Verbs: []protocol.Verb{"get", "post"}, Kinds: []string{"application/*json"}, Input: true, Max: 4 << 10})},
		handler: func(w http.ResponseWriter, req *http.Request) {
			w.Header()["Content-Type"] = req.Header["X-Kind"]
			if req.Method == "GET" && req.URL.Path == "/large" {
				_, _ = io.WriteString(w, `{"large":"`+strings.Repeat("x", 8<<10)+`"}`)
				return
			}
			_, _ = io.WriteString(w, `{"email":"ann@example.com"}`)
		}})
	ask := func(method, path, kind, body string) string {
		res, got := r.do(t, true, method, "https://app.gw.test"+path, strings.NewReader(body), "X-Kind", kind, "Content-Type", kind)
		require.Equal(t, 200, res.StatusCode)
		return got
	}
	require.Equal(t, `{"email":"***"}`, ask("POST", "/", "application/vnd.x+json", `{"sent":1}`))
	require.Equal(t, `{"email":"ann@example.com"}`, ask("GET", "/", "image/png", ""))
	require.Equal(t, `{"email":"***"}`, ask("PUT", "/", "application/json", "{}"))
	require.Len(t, ask("GET", "/large", "application/json", ""), 8<<10+12)
	require.NoError(t, r.gateway.Shutdown(t.Context()))
	files, err := filepath.Glob(dir + "/*/*.cast")
	require.NoError(t, err)
	require.Len(t, files, 2)
	var all strings.Builder
	for _, name := range files {
		b, err := os.ReadFile(name)
		require.NoError(t, err)
		all.Write(b)
	}
	require.Contains(t, all.String(), `"i", "{\"sent\":1}"`)
	require.Contains(t, all.String(), `"o", "{\"email\":\"***\"}"`)
	require.Contains(t, all.String(), `"x", "200"`)
	require.Contains(t, all.String(), "has reached its limit")
	require.NotContains(t, all.String(), "ann")
	require.NotContains(t, all.String(), "xxx")

	// What cannot be recorded is not shown.
	r = newRig(t, rigConfig{steps: []middleware.Step{middleware.Recordings(middleware.RecordingConfig{Dir: filepath.Join(files[0], "no-directory"), Verbs: []protocol.Verb{"get"}})},
		handler: func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "shown") }})
	res, body := r.do(t, true, "GET", "https://app.gw.test/", nil)
	require.Equal(t, 500, res.StatusCode)
	require.NotContains(t, body, "shown")
}

// TestCutWhileTheClientSends: a response that a step cuts ends at once for a client
// that has not ended its request, and for the target, over each version of HTTP.
func TestCutWhileTheClientSends(t *testing.T) {
	for _, http2 := range []string{"disable", "enable"} {
		gone := make(chan error, 2)
		r := newRig(t, rigConfig{options: map[string]string{"http2": http2}, handler: func(w http.ResponseWriter, req *http.Request) {
			_ = http.NewResponseController(w).EnableFullDuplex()
			w.Header().Set("Content-Type", "application/x-ndjson")
			_, _ = io.WriteString(w, "{\"email\":\"ann@example.com\"}\nemail: ann@example.com\n")
			_ = http.NewResponseController(w).Flush()
			_, err := io.Copy(io.Discard, req.Body)
			gone <- err
		}, steps: []middleware.Step{middleware.Mask(mask.Rule{Name: "mail", Fields: []string{"email"}, Transform: mask.Redact()})}})
		for version, h2 := range versions {
			body, in := io.Pipe()
			req, err := http.NewRequestWithContext(t.Context(), "POST", "https://app.gw.test/", body)
			require.NoError(t, err)
			req.Header.Set("Authorization", "Bearer "+r.token)
			c := r.client(h2)
			res, err := c.Do(req)
			require.NoError(t, err)
			all, err := io.ReadAll(res.Body)
			require.Error(t, err, "%s, HTTP/2 to the target: %s", version, http2)
			require.NotContains(t, string(all), "ann@")
			require.Error(t, <-gone, "the target hears of it")
			_, _ = res.Body.Close(), in.Close()
			c.CloseIdleConnections()
		}
	}
}
