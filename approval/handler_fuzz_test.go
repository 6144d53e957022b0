package approval_test

import (
	"encoding/hex"
	"encoding/json"
	"mime"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/approval"
)

// FuzzHandler posts anything, as one who may decide and as others. A request is
// decided only by who may, in the words for it, and with its digest.
func FuzzHandler(f *testing.F) {
	form := func(pairs ...string) string {
		v := url.Values{}
		for i := 0; i < len(pairs); i += 2 {
			v.Set(pairs[i], pairs[i+1])
		}
		return v.Encode()
	}
	right := hex.EncodeToString(digest[:])
	f.Add("bob", jsonType, verdict("approve", "go"))
	f.Add("bob", jsonType+"; charset=utf-8", `{"Verdict":"deny","digest":"`+strings.ToUpper(right)+`","comment":"\u202e\u0000\n"}`)
	f.Add("bob", jsonType, `{"verdict":"deny","verdict":"approve","digest":"`+right+`"} {}`)
	f.Add("alice", jsonType, verdict("approve", ""))
	f.Add("", formType, form("token", "bob", "verdict", "approve", "digest", right, "comment", "ok"))
	f.Add("", formType, form("token", "bob"))
	f.Add("", formType, form("token", "alice", "verdict", "approve", "digest", right))
	f.Add("", formType, "token=bob&token=mallory&verdict=approve;digest=%zz")
	f.Add("bob", "multipart/form-data; boundary=x", "--x\r\n\r\n--x--")
	f.Fuzz(func(t *testing.T, token, media, body string) {
		b := approval.NewBroker(approval.Options{})
		p := submit(t, b, ask())
		r := httptest.NewRequest(http.MethodPost, "/approvals/"+p.Request().ID, strings.NewReader(body))
		r.Header.Set("Content-Type", media)
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		w := httptest.NewRecorder()
		approval.Handler(b, approval.Bearer(authenticate)).ServeHTTP(w, r)
		if !slices.Contains([]int{200, 400, 401, 403, 409, 413, 415}, w.Code) {
			t.Fatalf("status %d: %s", w.Code, w.Body)
		}
		if out := w.Body.String(); !utf8.ValidString(out) || strings.Contains(out, "secret reason") {
			t.Fatalf("answered %q", out)
		}
		after := p.Request()
		if after.State == approval.StatePending {
			require.Empty(t, after.Decisions)
			return
		}
		var v struct{ Verdict, Digest string }
		kind, _, _ := mime.ParseMediaType(media)
		if kind == formType {
			q, _ := url.ParseQuery(body)
			token, v.Verdict, v.Digest = strings.TrimSpace(q.Get("token")), q.Get("verdict"), q.Get("digest")
		} else {
			require.Equal(t, jsonType, kind)
			require.NoError(t, json.Unmarshal([]byte(body), &v))
		}
		require.Equal(t, 200, w.Code)
		require.Equal(t, "bob", strings.TrimSpace(token))
		require.Equal(t, right, strings.ToLower(v.Digest))
		require.Equal(t, map[string]approval.State{"approve": approval.StateApproved, "deny": approval.StateDenied}[v.Verdict], after.State)
		require.Len(t, after.Decisions, 1)
		comment := after.Decisions[0].Comment
		require.LessOrEqual(t, utf8.RuneCountInString(comment), approval.MaxComment)
		require.Equal(t, -1, strings.IndexFunc(comment, func(r rune) bool { return !unicode.IsPrint(r) }), "%q", comment)
	})
}
