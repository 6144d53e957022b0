package httpproxy_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/middleware/oidc"
	"github.com/sallyport-dev/gateway/middleware/oidc/oidctest"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/httpproxy"
)

// provider is an issuer with the authorization code flow and PKCE; its user is
// carol and always logged in.
type provider struct {
	*oidctest.Issuer
	mu    sync.Mutex
	codes map[string]url.Values
	spoil func(claims map[string]any)
}

func newProvider(t *testing.T) *provider {
	p := &provider{codes: map[string]url.Values{}}
	srv := httptest.NewServer(p)
	t.Cleanup(srv.Close)
	p.Issuer = oidctest.NewIssuer(srv.URL)
	return p
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch r.URL.Path {
	case "/authorize":
		q := r.URL.Query()
		code := q.Get("state") + "-code"
		p.codes[code] = q
		http.Redirect(w, r, q.Get("redirect_uri")+"?"+url.Values{"state": {q.Get("state")}, "code": {code}}.Encode(), http.StatusFound)
	case "/token":
		q := p.codes[r.PostFormValue("code")]
		delete(p.codes, r.PostFormValue("code"))
		sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
		if q == nil || q.Get("code_challenge_method") != "S256" || q.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(sum[:]) ||
			q.Get("redirect_uri") != r.PostFormValue("redirect_uri") {
			http.Error(w, "{}", http.StatusBadRequest)
			return
		}
		claims := map[string]any{"sub": "carol", "aud": "gw", "groups": []string{"dev"}, "nonce": q.Get("nonce")}
		if p.spoil != nil {
			p.spoil(claims)
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "x", "token_type": "Bearer", "id_token": p.Token(claims)})
	default:
		p.Issuer.ServeHTTP(w, r)
	}
}

func TestBrowserLogin(t *testing.T) {
	p := newProvider(t)
	step, err := oidc.Authenticate(t.Context(), oidc.Config{Issuer: p.URL(), Audiences: []string{"gw"}})
	require.NoError(t, err)
	login, err := oidc.NewLogin(oidc.LoginConfig{Issuer: p.URL(), ClientID: "gw"})
	require.NoError(t, err)
	r := newRig(t, rigConfig{server: &httpproxy.Server{Login: login, CookieKey: protocol.NewSecret("k")}, steps: []middleware.Step{step},
		options: map[string]string{"user_header": "X-User"}})
	for version, h2 := range versions {
		t.Run(version, func(t *testing.T) {
			c := r.client(h2)
			defer c.CloseIdleConnections()
			c.Jar, err = cookiejar.New(nil)
			require.NoError(t, err)
			visit := func(method, url string, header ...string) *http.Response {
				req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
				require.NoError(t, err)
				req.Header.Set("Accept", "text/html")
				for i := 0; i < len(header); i += 2 {
					req.Header.Set(header[i], header[i+1])
				}
				cl := c
				if strings.HasPrefix(url, p.URL()) {
					cl = &http.Client{CheckRedirect: c.CheckRedirect}
				}
				res, err := cl.Do(req)
				require.NoError(t, err)
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
				return res
			}
			// What is not a browser's navigation is not sent away.
			require.Equal(t, 401, visit("POST", "https://app.gw.test/x").StatusCode)
			require.Equal(t, 401, visit("GET", "https://app.gw.test/x", "Accept", "application/json").StatusCode)
			require.Equal(t, 401, visit("GET", "https://app.gw.test/x", "Sec-Fetch-Mode", "cors").StatusCode)
			require.Equal(t, 401, visit("GET", "https://app.gw.test/x", "Authorization", "Bearer wrong").StatusCode)

			res := visit("GET", "https://app.gw.test/page?a=%2F&b")
			require.Equal(t, 302, res.StatusCode)
			for _, ck := range res.Cookies() {
				require.True(t, ck.Secure && ck.HttpOnly && ck.Path == "/" && ck.Domain == "" && ck.SameSite == http.SameSiteLaxMode)
				require.True(t, strings.HasPrefix(ck.Name, "__Host-"))
			}
			res = visit("GET", res.Header.Get("Location")) // at the issuer
			back := res.Header.Get("Location")
			require.True(t, strings.HasPrefix(back, "https://app.gw.test/.sallyport/callback?"), back)

			other := r.client(h2) // another browser, which an attacker sends here
			defer other.CloseIdleConnections()
			lured, err := other.Get(back)
			require.NoError(t, err)
			_ = lured.Body.Close()
			require.Equal(t, 400, lured.StatusCode)
			require.Empty(t, lured.Cookies())
			require.Equal(t, 400, visit("GET", strings.Replace(back, "state=", "state=x", 1)).StatusCode)

			res = visit("GET", back)
			require.Equal(t, 302, res.StatusCode)
			require.Equal(t, "/page?a=%2F&b", res.Header.Get("Location"))
			res = visit("GET", "https://app.gw.test/page?a=%2F&b")
			require.Equal(t, 200, res.StatusCode)
			seen := r.requests()[len(r.requests())-1]
			require.Equal(t, "carol", seen.Header.Get("X-User"))
			require.Empty(t, seen.Header["Cookie"])
			require.Equal(t, 400, visit("GET", back).StatusCode, "a login is finished once")

			// A page elsewhere cannot use the cookie to change something.
			require.Equal(t, 403, visit("POST", "https://app.gw.test/x", "Sec-Fetch-Site", "cross-site").StatusCode)
			require.Equal(t, 200, visit("POST", "https://app.gw.test/x", "Sec-Fetch-Site", "same-origin").StatusCode)
			// The cookie is one host's, and nobody can make one.
			cookies := c.Jar.Cookies(&url.URL{Scheme: "https", Host: "app.gw.test"})
			require.Len(t, cookies, 1)
			stolen := "__Host-sallyport=" + cookies[0].Value
			c.Jar, _ = cookiejar.New(nil)
			require.Equal(t, 401, visit("POST", "https://other.gw.test/x", "Cookie", stolen).StatusCode)
			require.Equal(t, 200, visit("POST", "https://app.gw.test/x", "Cookie", stolen).StatusCode)
			require.Equal(t, 401, visit("POST", "https://app.gw.test/x", "Cookie", stolen[:len(stolen)-2]+"AA").StatusCode)
			require.Equal(t, 400, visit("POST", "https://app.gw.test/x", "Cookie", stolen+"; "+stolen).StatusCode)
			res = visit("POST", "https://app.gw.test/.sallyport/logout", "Cookie", stolen)
			require.Equal(t, 204, res.StatusCode)
			require.Equal(t, -1, res.Cookies()[0].MaxAge)
		})
	}
	// A token of another login, or for another program, is not taken.
	for name, spoil := range map[string]func(map[string]any){
		"nonce":    func(c map[string]any) { c["nonce"] = "another" },
		"no nonce": func(c map[string]any) { c["nonce"] = nil },
		"audience": func(c map[string]any) { c["aud"] = "another" },
		"expired":  func(c map[string]any) { c["exp"] = time.Now().Add(-time.Minute).Unix() },
	} {
		p.mu.Lock()
		p.spoil = spoil
		p.mu.Unlock()
		c := r.client(false)
		c.Jar, err = cookiejar.New(nil)
		require.NoError(t, err)
		c.CheckRedirect = nil
		plain := c.Transport
		c.Transport = roundTrip(func(req *http.Request) (*http.Response, error) {
			if strings.HasPrefix(req.URL.String(), p.URL()) {
				return http.DefaultTransport.RoundTrip(req)
			}
			return plain.RoundTrip(req)
		})
		req, err := http.NewRequestWithContext(t.Context(), "GET", "https://app.gw.test/", nil)
		require.NoError(t, err)
		req.Header.Set("Accept", "text/html")
		res, err := c.Do(req)
		require.NoError(t, err)
		_ = res.Body.Close()
		require.Equal(t, 403, res.StatusCode, name)
		require.Len(t, res.Cookies(), 1, name)
		require.Equal(t, -1, res.Cookies()[0].MaxAge, "a login that failed is over")
		plain.(*http.Transport).CloseIdleConnections()
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
