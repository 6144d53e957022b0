package httpproxy_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/middleware"
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
			res, body := r.do(t, false, "GET", "https://app.gw.test/", nil, "X-Case", name)
			require.NotContains(t, body, "ann@")
			require.NotContains(t, body, wide("ann@"))
			require.Equal(t, c.want != "", res.StatusCode == 200, "%d %s", res.StatusCode, body)
			if c.want != "" {
				require.Equal(t, c.want, body)
			}
		})
	}
}
