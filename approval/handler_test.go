package approval_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/approval"
	"github.com/sallyport-dev/gateway/protocol"
)

// logins are the tokens that the test server accepts: the name of whoever
// sends them.
var logins = map[string]*protocol.Identity{
	"alice":   person("alice", "dba"),
	"bob":     person("bob", "dba"),
	"mallory": person("mallory", "interns"),
}

func authenticate(_ context.Context, l *protocol.Login) (*protocol.Identity, error) {
	if id := logins[l.Proof.(protocol.Token).Secret.Reveal()]; id != nil {
		return id, nil
	}
	return nil, errors.New("the secret reason")
}

func serve(t *testing.T) (*approval.Broker, *httptest.Server) {
	b := approval.NewBroker(approval.Options{})
	s := httptest.NewServer(approval.Handler(b, approval.Bearer(authenticate)))
	t.Cleanup(s.Close)
	return b, s
}

// call sends one request and returns the status and the body.
func call(t *testing.T, method, where, token, media, body string, more ...string) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, where, strings.NewReader(body))
	require.NoError(t, err)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if media != "" {
		req.Header.Set("Content-Type", media)
	}
	for i := 0; i < len(more); i += 2 {
		req.Header.Set(more[i], more[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(out), resp.Header
}

func verdict(v, comment string) string {
	b, _ := json.Marshal(map[string]string{"verdict": v, "digest": hex.EncodeToString(digest[:]), "comment": comment})
	return string(b)
}

const jsonType = "application/json"

func TestHTTPDecides(t *testing.T) {
	b, s := serve(t)
	p := submit(t, b, ask())
	one := s.URL + "/approvals/" + p.Request().ID

	status, body, head := call(t, "GET", s.URL+"/approvals", "bob", "", "")
	require.Equal(t, 200, status)
	require.Contains(t, body, `"text":"delete from orders where id = $1"`)
	require.Equal(t, "no-store", head.Get("Cache-Control"))
	require.Equal(t, "nosniff", head.Get("X-Content-Type-Options"))
	require.Contains(t, head.Get("Content-Security-Policy"), "default-src 'none'")

	status, body, _ = call(t, "POST", one, "bob", jsonType, verdict("approve", "go"))
	require.Equal(t, 200, status, body)
	require.Contains(t, body, `"state":"approved"`)
	require.Equal(t, approval.StateApproved, p.Request().State)

	_, body, _ = call(t, "GET", s.URL+"/approvals", "bob", "", "")
	require.JSONEq(t, `{"requests":[]}`, body)
	_, body, _ = call(t, "GET", s.URL+"/approvals?state=all", "bob", "", "")
	require.Contains(t, body, `"state":"approved"`)
}

func TestHTTPRefuses(t *testing.T) {
	cases := map[string]struct {
		method, token, media, body string
		more                       []string
		status                     int
		text                       string
	}{
		"without a token":      {"POST", "", jsonType, verdict("approve", ""), nil, 401, "log in"},
		"reading without one":  {"GET", "", "", "", nil, 401, "log in"},
		"with a wrong token":   {"POST", "guess", jsonType, verdict("approve", ""), nil, 401, "log in"},
		"basic credentials":    {"POST", "", jsonType, verdict("approve", ""), []string{"Authorization", "Basic Ym9iOmJvYg=="}, 401, "log in"},
		"a cookie":             {"POST", "", jsonType, verdict("approve", ""), []string{"Cookie", "token=bob"}, 401, "log in"},
		"their own":            {"POST", "alice", jsonType, verdict("approve", ""), nil, 403, "their own request"},
		"wrong group":          {"POST", "mallory", jsonType, verdict("approve", ""), nil, 403, "not among those"},
		"wrong group, reading": {"GET", "mallory", "", "", nil, 403, "not among those"},
		"digest mismatch":      {"POST", "bob", jsonType, strings.Replace(verdict("approve", ""), "010203", "010204", 1), nil, 409, "digest"},
		"half a digest":        {"POST", "bob", jsonType, `{"verdict":"approve","digest":"0102"}`, nil, 400, "64 hexadecimal"},
		"no digest":            {"POST", "bob", jsonType, `{"verdict":"approve"}`, nil, 400, "64 hexadecimal"},
		"a strange verdict":    {"POST", "bob", jsonType, verdict("yes", ""), nil, 400, "approve"},
		"an unknown field":     {"POST", "bob", jsonType, `{"approve":true}`, nil, 400, "send"},
		"two bodies":           {"POST", "bob", jsonType, verdict("approve", "") + verdict("approve", ""), nil, 400, "send"},
		"huge comment":         {"POST", "bob", jsonType, verdict("approve", strings.Repeat("x", 20<<10)), nil, 400, "too long"},
		"huge body":            {"POST", "bob", jsonType, verdict("approve", strings.Repeat("x", 1<<20)), nil, 413, "more than"},
		"plain text":           {"POST", "bob", "text/plain", verdict("approve", ""), nil, 415, "application/json"},
		"a form without token": {"POST", "bob", "application/x-www-form-urlencoded", "verdict=approve&digest=" + hex.EncodeToString(digest[:]), nil, 401, "log in"},
		"a malformed form":     {"POST", "", "application/x-www-form-urlencoded", "token=%zz", nil, 400, "the form cannot be read"},
		"a huge form":          {"POST", "", "application/x-www-form-urlencoded", "token=" + strings.Repeat("x", 1<<20), nil, 413, "more than"},
		"another site":         {"POST", "bob", jsonType, verdict("approve", ""), []string{"Sec-Fetch-Site", "cross-site"}, 403, ""},
		"another origin":       {"POST", "bob", jsonType, verdict("approve", ""), []string{"Origin", "https://evil.example"}, 403, ""},
		"another method":       {"DELETE", "bob", "", "", nil, 405, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			b, s := serve(t)
			p := submit(t, b, ask())
			status, body, _ := call(t, c.method, s.URL+"/approvals/"+p.Request().ID, c.token, c.media, c.body, c.more...)
			require.Equal(t, c.status, status, body)
			require.Contains(t, body, c.text)
			require.NotContains(t, body, "secret reason")
			require.NotContains(t, body, "delete from", "a refusal shows nothing of the request")
			require.Equal(t, approval.StatePending, p.Request().State)
		})
	}
}

// TestHTTPNeedsABearerToken gives the handler an auth function that would know
// the caller by a cookie: it must not even be asked.
func TestHTTPNeedsABearerToken(t *testing.T) {
	b := approval.NewBroker(approval.Options{})
	p := submit(t, b, ask())
	expired := person("bob", "dba")
	expired.Expires = time.Now().Add(-time.Second)
	s := httptest.NewServer(approval.Handler(b, func(r *http.Request) (*protocol.Identity, error) {
		switch r.Header.Get("Authorization") {
		case "Bearer nobody":
			return nil, nil
		case "Bearer nameless":
			return &protocol.Identity{Issuer: "x", Kind: protocol.Human, Groups: []string{"dba"}}, nil
		case "Bearer expired":
			return expired, nil
		}
		return person("bob", "dba"), nil
	}))
	defer s.Close()
	for _, token := range []string{"", "nobody", "nameless", "expired"} {
		for _, method := range []string{"GET", "POST"} {
			status, body, _ := call(t, method, s.URL+"/approvals/"+p.Request().ID, token, jsonType, verdict("approve", ""), "Cookie", "session=bob")
			require.Equal(t, 401, status, "%s as %q", method, token)
			require.NotContains(t, body, "delete from")
		}
	}
	require.Equal(t, approval.StatePending, p.Request().State)
	status, _, _ := call(t, "POST", s.URL+"/approvals/"+p.Request().ID, "bob", jsonType, verdict("approve", ""))
	require.Equal(t, 200, status)
}

func TestHTTPDoubleDecide(t *testing.T) {
	b, s := serve(t)
	p := submit(t, b, ask())
	for _, want := range []int{200, 409} {
		status, _, _ := call(t, "POST", s.URL+"/approvals/"+p.Request().ID, "bob", jsonType, verdict("deny", ""))
		require.Equal(t, want, status)
	}
	status, _, _ := call(t, "GET", s.URL+"/approvals/"+approval.NewID(), "bob", "", "")
	require.Equal(t, 404, status)
	status, _, _ = call(t, "GET", s.URL+"/approvals/..%2f..%2fetc", "bob", "", "")
	require.Equal(t, 404, status)
}

func TestHTTPShowsEachOnlyTheirOwn(t *testing.T) {
	b, s := serve(t)
	submit(t, b, ask())
	_, body, _ := call(t, "GET", s.URL+"/approvals", "mallory", "", "")
	require.JSONEq(t, `{"requests":[]}`, body)
	_, body, _ = call(t, "GET", s.URL+"/approvals", "alice", "", "")
	require.Contains(t, body, "delete from")
}

const (
	formType = "application/x-www-form-urlencoded"
	html     = "text/html,application/xhtml+xml,*/*;q=0.8"
)

func TestPage(t *testing.T) {
	b, s := serve(t)
	r := ask()
	r.Text = "select 1 -- <script>alert(1)</script>\x1b[2K\u202e"
	r.Risk, r.RiskWhy = 60, []string{"first time", "no <b>condition</b>"}
	p := submit(t, b, r)
	one := s.URL + "/approvals/" + p.Request().ID

	// At first, nothing but the question who is there.
	status, body, head := call(t, "GET", one, "", "", "", "Accept", html)
	require.Equal(t, 200, status)
	require.NotContains(t, body, "select 1")
	require.Contains(t, body, `name="token"`)
	require.NotContains(t, head.Get("Content-Security-Policy"), "unsafe")

	// The style sheet is the one that the policy lets through.
	style := regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(body)[1]
	sum := sha256.Sum256([]byte(style))
	require.Contains(t, head.Get("Content-Security-Policy"), "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'")

	status, body, _ = call(t, "POST", s.URL+"/approvals", "", formType, url.Values{"token": {"bob"}}.Encode(), "Sec-Fetch-Site", "same-origin")
	require.Equal(t, 200, status)
	require.Contains(t, body, p.Request().ID)

	status, body, _ = call(t, "POST", one, "", formType, url.Values{"token": {" bob\n"}}.Encode())
	require.Equal(t, 200, status)
	require.Contains(t, body, "select 1 -- &lt;script&gt;alert(1)&lt;/script&gt;␛[2K⟨U&#43;202E⟩")
	require.Contains(t, body, "no &lt;b&gt;condition")
	require.Contains(t, body, "A yes lets alice run exactly this, once, on orders as app")
	require.Contains(t, body, `value="approve"`)
	require.NotContains(t, body, `value="bob"`, "the token is not sent back")

	// The requester sees it, and why there is nothing to press.
	status, body, _ = call(t, "POST", one, "", formType, url.Values{"token": {"alice"}}.Encode())
	require.Equal(t, 200, status)
	require.Contains(t, body, "their own request")
	require.NotContains(t, body, `value="approve"`)

	form := url.Values{"token": {"bob"}, "verdict": {"approve"}, "digest": {hex.EncodeToString(digest[:])}, "comment": {"fine"}}
	form.Set("token", "mallory")
	status, body, _ = call(t, "POST", one, "", formType, form.Encode())
	require.Equal(t, 403, status)
	require.NotContains(t, body, "select 1")
	form.Set("token", "bob")
	status, _, _ = call(t, "POST", one, "", formType, form.Encode(), "Sec-Fetch-Site", "cross-site")
	require.Equal(t, 403, status)
	require.Equal(t, approval.StatePending, p.Request().State)
	status, body, _ = call(t, "POST", one, "", formType, form.Encode())
	require.Equal(t, 200, status)
	require.Contains(t, body, "Your approve is recorded.")
	require.Equal(t, approval.StateApproved, p.Request().State)
	status, body, _ = call(t, "POST", one, "", formType, form.Encode())
	require.Equal(t, 409, status)
	require.Contains(t, body, "already been decided")
}

func TestClient(t *testing.T) {
	b, s := serve(t)
	r := ask()
	r.Approvers.Users = users(0, "zoe").Users
	r.Objects = []protocol.Object{{Kind: "table", Name: "public.orders", Access: protocol.Write | protocol.Read}}
	p := submit(t, b, r)
	c := approval.Client{URL: s.URL + "/", Token: protocol.NewSecret("bob")}

	rs, err := c.List(t.Context(), false)
	require.NoError(t, err)
	require.Len(t, rs, 1)
	got, err := c.Get(t.Context(), " "+strings.ToUpper(p.Request().ID))
	require.NoError(t, err)
	want := p.Request()
	require.Equal(t, want.Card(), got.Card(), "who decides from afar sees the same card")
	require.Equal(t, want.Digest, got.Digest)

	wrong := got
	wrong.Digest[0]++
	_, err = c.Decide(t.Context(), wrong, true, "")
	require.ErrorIs(t, err, approval.ErrDigest)
	_, err = c.Decide(t.Context(), got, true, strings.Repeat("x", 501))
	require.ErrorIs(t, err, approval.ErrComment)
	after, err := c.Decide(t.Context(), got, false, "not today")
	require.NoError(t, err)
	require.Equal(t, approval.StateDenied, after.State)
	_, err = c.Decide(t.Context(), got, true, "")
	require.ErrorIs(t, err, approval.ErrEnded)
	_, err = c.Get(t.Context(), approval.NewID())
	require.ErrorIs(t, err, approval.ErrUnknown)

	own := submit(t, b, ask()).Request()
	c.Token = protocol.NewSecret("alice")
	_, err = c.Decide(t.Context(), own, true, "")
	var forbidden *approval.ForbiddenError
	require.ErrorAs(t, err, &forbidden)
	require.Contains(t, forbidden.Reason, "their own request")
	c.Token = protocol.Secret{}
	_, err = c.List(t.Context(), true)
	require.ErrorIs(t, err, approval.ErrLogin)
}

func TestClientKeepsItsToken(t *testing.T) {
	c := approval.Client{URL: "http://gateway.example.com", Token: protocol.NewSecret("bob")}
	_, err := c.List(t.Context(), false)
	require.ErrorContains(t, err, "https")

	var got string
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Get("Authorization") }))
	defer other.Close()
	s := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer s.Close()
	c.URL = s.URL
	_, err = c.List(t.Context(), false)
	require.ErrorContains(t, err, "307")
	require.Empty(t, got)
}

func TestClientWatch(t *testing.T) {
	b, s := serve(t)
	p := submit(t, b, ask())
	c := approval.Client{URL: s.URL, Token: protocol.NewSecret("bob")}
	var seen []approval.State
	for r, err := range c.Watch(t.Context(), 5*time.Millisecond) {
		require.NoError(t, err)
		seen = append(seen, r.State)
		if r.State.Ended() {
			break
		}
		_, err = b.Decide(t.Context(), yes(p, person("bob", "dba")))
		require.NoError(t, err)
	}
	require.Equal(t, []approval.State{"pending", "approved"}, seen)
}
