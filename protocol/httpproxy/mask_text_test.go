package httpproxy_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol/httpproxy"
)

// TestTextIsMaskedByDetectors: what detectors find is hidden in texts, and a text
// that they cannot read is not shown.
func TestTextIsMaskedByDetectors(t *testing.T) {
	wide := func(s string) (out string) {
		for _, c := range []byte(s) {
			out += string([]byte{c, 0})
		}
		return out
	}
	cases := map[string]struct {
		kind, body, want string // want "": refused
	}{
		"plain":            {"text/plain", "write to ann@example.com, please", "write to ***, please"},
		"page":             {"text/html; charset=utf-8", "<p>ann@example.com</p>", "<p>***</p>"},
		"csv":              {"text/csv", "1,ann@example.com\n2,bob@example.org\n", "1,***\n2,***\n"},
		"document":         {"application/json", `{"note":"of ann@example.com"}`, `{"note":"of ***"}`},
		"nothing to hide":  {"text/plain", "nothing", "nothing"},
		"xml":              {"application/xml", "<a>ann@example.com</a>", "<a>***</a>"},
		"xml in utf-16":    {"application/xml", "\xff\xfe" + wide("<a>ann@example.com</a>"), ""},
		"xml that says so": {"application/soap+xml; charset=utf-16", "\xff\xfe" + wide("<a>ann@example.com</a>"), ""},
		"events": {"text/event-stream", "data: ann@example.com\n\ndata:\n\nevent: e\ndata: {\"a\":\"ann\\u0040example.com\"}\n\ndata: [DONE]\n\n",
			"data: ***\n\ndata: \n\nevent: e\ndata: {\"a\":\"***\"}\n\ndata: [DONE]\n\n"},
		"lines":            {"application/x-ndjson", "{\"a\":\"ann\\u0040example.com\"}\n[1]\n", "{\"a\":\"***\"}\n[1]\n"},
		"utf-16":           {"text/plain; charset=utf-16le", wide("ann@example.com"), ""},
		"utf-16 unsaid":    {"text/plain", wide("ann@example.com"), ""},
		"not a text":       {"application/pdf", "ann@example.com", ""},
		"nobody says what": {"", "ann@example.com", ""},
	}
	r := newRig(t, rigConfig{steps: []middleware.Step{middleware.Mask(mask.Rule{Name: "mail", Detect: []string{"email"}, Transform: mask.Redact()})},
		handler: func(w http.ResponseWriter, req *http.Request) {
			c := cases[req.Header.Get("X-Case")]
			w.Header()["Content-Type"] = []string{c.kind}
			_, _ = io.WriteString(w, c.body)
		}})
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), "GET", "https://app.gw.test/", nil)
			require.NoError(t, err)
			req.Header.Set("Authorization", "Bearer "+r.token)
			req.Header.Set("X-Case", name)
			client := r.client(true)
			defer client.CloseIdleConnections()
			res, err := client.Do(req)
			if err != nil && c.want == "" {
				return // cut off before the head
			}
			require.NoError(t, err)
			defer res.Body.Close()
			b, err := io.ReadAll(res.Body)
			body := string(b)
			require.NotContains(t, body, "ann@")
			require.NotContains(t, body, wide("ann@"))
			if c.want == "" {
				require.True(t, err != nil || res.StatusCode != 200, "%d %s", res.StatusCode, body)
				return
			}
			require.NoError(t, err)
			require.Equal(t, 200, res.StatusCode, body)
			require.Equal(t, c.want, body)
			require.Equal(t, "no-store", res.Header.Get("Cache-Control"))
		})
	}
}

// TestLongTextsAreMaskedAsTheyCome: a text that is far larger than a document may
// be is masked while it comes, in memory that does not grow with it.
func TestLongTextsAreMaskedAsTheyCome(t *testing.T) {
	const total = 24 << 20
	line := strings.Repeat("x ", 500) + "ann@example.com\n"
	seen := make(chan struct{})
	r := newRig(t, rigConfig{server: &httpproxy.Server{MaxDocument: 64 << 10}, steps: []middleware.Step{
		middleware.Mask(mask.Rule{Name: "mail", Detect: []string{"email"}, Transform: mask.Redact()})},
		handler: func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = io.WriteString(w, line)
			w.(http.Flusher).Flush()
			<-seen // its first line is seen before there is another
			for range total / len(line) {
				if _, err := io.WriteString(w, line); err != nil {
					return
				}
			}
		}})
	req, err := http.NewRequestWithContext(t.Context(), "GET", "https://app.gw.test/", nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+r.token)
	client := r.client(true)
	client.Timeout = time.Minute
	defer client.CloseIdleConnections()
	res, err := client.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	want := strings.Replace(line, "ann@example.com", "***", 1)
	first := make([]byte, len(want))
	_, err = io.ReadFull(res.Body, first)
	require.NoError(t, err)
	require.Equal(t, want, string(first))
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	close(seen)
	in := bufio.NewReader(res.Body)
	n, most := 0, int64(0)
	for {
		got, err := in.ReadString('\n')
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		require.True(t, got == want, "line %d is %q", n, got)
		if n++; n%(total/len(line)/8) == 0 {
			most = max(most, heap()-before)
		}
	}
	require.Equal(t, total/len(line), n)
	require.Less(t, most, int64(total/2), "the text is kept")
}

// TestTextIsShownInAPause: of a line that does not end, what can be told is shown
// when nothing has come for a while, and no part of a value, whose rest may come.
func TestTextIsShownInAPause(t *testing.T) {
	seen, left := make(chan struct{}), make(chan struct{})
	parts := []string{"working on it, and write to ann@exam", "ple.com or ", "to nobody. 4111 1111", " 1111 1111 good bye", "\nend"}
	r := newRig(t, rigConfig{steps: []middleware.Step{
		middleware.Mask(mask.Rule{Name: "found", Detect: []string{"email", "card"}, Transform: mask.Redact()})},
		handler: func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Content-Type", req.URL.Query().Get("kind"))
			for _, part := range parts {
				_, _ = io.WriteString(w, part)
				w.(http.Flusher).Flush()
				select {
				case <-seen:
				case <-req.Context().Done():
					left <- struct{}{}
					return
				}
			}
		}})
	for _, http2 := range []bool{false, true} {
		for _, kind := range []string{"text/plain", "text/html", "text/event-streams"} {
			req, err := http.NewRequestWithContext(t.Context(), "GET", "https://app.gw.test/?kind="+kind, nil)
			require.NoError(t, err)
			req.Header.Set("Authorization", "Bearer "+r.token)
			client := r.client(http2)
			client.Timeout = time.Minute
			res, err := client.Do(req)
			require.NoError(t, err)
			for _, want := range []string{"working on it, and write to ", "*** or ", "to nobody. ", "*** good ", "bye\n"} {
				got := make([]byte, len(want))
				_, err := io.ReadFull(res.Body, got)
				require.NoError(t, err)
				require.Equal(t, want, string(got))
				seen <- struct{}{}
			}
			rest, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			require.Equal(t, "end", string(rest))
			require.NoError(t, res.Body.Close())

			// A client that leaves ends the request while the target is waited for.
			ctx, leave := context.WithCancel(t.Context())
			res, err = client.Do(req.WithContext(ctx))
			require.NoError(t, err)
			_, err = io.ReadFull(res.Body, make([]byte, 10))
			require.NoError(t, err)
			leave()
			_ = res.Body.Close()
			client.CloseIdleConnections()
			<-left
		}
	}
	require.NoError(t, r.gateway.Shutdown(t.Context()))
}
