package ssh_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	xssh "golang.org/x/crypto/ssh"

	"github.com/sallyport-dev/gateway/middleware/oidc"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/ssh"
)

var _ ssh.BrowserLogin = (*oidc.Login)(nil)

// An issuer sends everybody back at once, with a token for who knows the verifier.
type issuer struct {
	token          string
	verifier, code string
}

func (i *issuer) Begin(_ context.Context, redirect, state, verifier, nonce string) (string, error) {
	i.verifier, i.code = verifier, "c"+nonce
	return redirect + "?" + url.Values{"state": {state}, "code": {i.code}}.Encode(), nil
}

func (i *issuer) Finish(_ context.Context, _, code, verifier, _ string) (protocol.Secret, error) {
	if code != i.code || verifier != i.verifier {
		return protocol.Secret{}, errors.New("another login")
	}
	return protocol.NewSecret(i.token), nil
}

// browser opens a page with cookies of its own and returns what it shows.
func browser(t testing.TB, s *httptest.Server, jar http.CookieJar, link string) (int, string) {
	t.Helper()
	c := s.Client()
	c.Jar = jar
	r, err := c.Get(link)
	require.NoError(t, err)
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return r.StatusCode, string(b)
}

var (
	linkOf = regexp.MustCompile(`https://\S+`)
	codeOf = regexp.MustCompile(`<code>([A-Z2-7]{8})</code>`)
)

func TestLoginWithABrowser(t *testing.T) {
	is := &issuer{}
	page := &ssh.LoginPage{Login: is}
	web := httptest.NewTLSServer(page)
	defer web.Close()
	page.URL = web.URL + "/ssh"
	require.NoError(t, page.Check())
	r := newRig(t, rigConfig{server: &ssh.Server{LoginPage: page}})
	is.token = r.token
	login := func(answer func(link string) string) error {
		c, err := xssh.Dial("tcp", r.addr, &xssh.ClientConfig{User: "alice@web1", HostKeyCallback: xssh.InsecureIgnoreHostKey(),
			Auth: []xssh.AuthMethod{xssh.KeyboardInteractive(func(_, instruction string, questions []string, _ []bool) ([]string, error) {
				require.Len(t, questions, 1)
				return []string{answer(linkOf.FindString(instruction))}, nil
			})}})
		if err == nil {
			_ = c.Close()
		}
		return err
	}
	var used, code string
	require.NoError(t, login(func(link string) string {
		jar, err := cookiejar.New(nil)
		require.NoError(t, err)
		status, text := browser(t, web, jar, link)
		require.Equal(t, 200, status, text)
		require.Contains(t, text, "alice@web1")
		used, code = link, codeOf.FindStringSubmatch(text)[1]
		status, text = browser(t, web, jar, link)
		require.Equal(t, 404, status, text)
		return " " + strings.ToLower(code) + " "
	}), "the code that the browser shows")
	require.NoError(t, login(func(string) string { return r.token }), "a token, as before")
	status, _ := browser(t, web, nil, used)
	require.Equal(t, 404, status, "the link was good for one login")

	for name, answer := range map[string]func(link string) string{
		"no browser came":       func(string) string { return "" },
		"the code of another":   func(string) string { return code },
		"somebody else's login": func(link string) string { browser(t, web, nil, link); return "" },
		"another browser comes back": func(link string) string {
			c := web.Client()
			c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			resp, err := c.Get(link)
			require.NoError(t, err)
			_ = resp.Body.Close()
			c.CheckRedirect = nil
			status, text := browser(t, web, nil, resp.Header.Get("Location"))
			require.Equal(t, 400, status)
			require.Empty(t, codeOf.FindString(text))
			return ""
		},
	} {
		require.Error(t, login(answer), name)
	}
	require.Error(t, (&ssh.LoginPage{Login: is, URL: "http://gateway"}).Check())
}

// OpenSSH shows the link to whoever is to open it.
func TestLinkIsShown(t *testing.T) {
	page := &ssh.LoginPage{Login: &issuer{}, URL: "https://gateway.example.com/ssh"}
	r := newRig(t, rigConfig{server: &ssh.Server{LoginPage: page}})
	got := run(t, r.askpass(t, r.command(t, "ssh", "-o", "BatchMode=no", "-o", "PubkeyAuthentication=no", "-o", "PreferredAuthentications=keyboard-interactive", "web1", "echo in"), r.token))
	require.Equal(t, "in\n", got.out, got.err)
}
