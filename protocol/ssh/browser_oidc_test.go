package ssh_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	xssh "golang.org/x/crypto/ssh"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/middleware/oidc"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/ssh"
)

// realProvider is a certified OpenID provider with its login form, which sends
// browsers back to redirect.
func realProvider(t testing.TB, redirect string) (issuer string) {
	t.Helper()
	var router http.Handler
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { router.ServeHTTP(w, r) }))
	t.Cleanup(srv.Close)
	issuer = srv.URL + "/"
	storage.RegisterClients(storage.NativeClient("public", redirect), storage.WebClient("web", "the-clients-secret", redirect))
	was := slog.Default()
	router = exampleop.SetupServer(issuer, storage.NewStorage(storage.NewUserStore("http://localhost:1/")), slog.New(slog.DiscardHandler), false)
	slog.SetDefault(was) // which the provider replaces
	return issuer
}

var hiddenID = regexp.MustCompile(`name="id" value="([^"]*)"`)

// logIn opens the link as a person does who has a password at the provider, and
// returns the page that the browser shows in the end.
func logIn(t testing.TB, web *httptest.Server, issuer, link, password string) (status int, text string) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	status, text = browser(t, web, jar, link)
	require.Equal(t, 200, status, text)
	id := hiddenID.FindStringSubmatch(text)
	require.NotNil(t, id, text)
	c := web.Client()
	c.Jar = jar
	res, err := c.PostForm(issuer+"login/username", url.Values{"id": {id[1]}, "username": {"test-user2"}, "password": {password}})
	require.NoError(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(b)
}

// TestLoginAtARealProvider: keyboard-interactive with a link, a provider that knows
// nothing of this module, a form with a password, and the code typed into ssh.
func TestLoginAtARealProvider(t *testing.T) {
	page := &ssh.LoginPage{}
	web := httptest.NewTLSServer(page)
	defer web.Close()
	page.URL = web.URL + "/ssh"
	issuer := realProvider(t, page.URL+"/callback")
	step, err := oidc.Authenticate(t.Context(), oidc.Config{Issuer: issuer, Audiences: []string{"public", "web"}})
	require.NoError(t, err)
	may := middleware.Authorize(middleware.Access{Name: "them", Users: []string{issuer + "|id2"}, Targets: []string{"*"}, Access: []string{"execute"}})
	for name, c := range map[string]oidc.LoginConfig{
		"a public client":       {ClientID: "public"},
		"one that has a secret": {ClientID: "web", ClientSecret: protocol.NewSecret("the-clients-secret")},
	} {
		t.Run(name, func(t *testing.T) {
			c.Issuer = issuer
			login, err := oidc.NewLogin(c)
			require.NoError(t, err)
			page.Login = login
			r := newRig(t, rigConfig{server: &ssh.Server{LoginPage: page}, steps: []middleware.Step{step, may}})
			connect := func(user string, answer func(link string) string) (string, error) {
				c, err := xssh.Dial("tcp", r.addr, &xssh.ClientConfig{User: user + "@web1", HostKeyCallback: xssh.InsecureIgnoreHostKey(),
					Auth: []xssh.AuthMethod{xssh.KeyboardInteractive(func(_, instruction string, questions []string, _ []bool) ([]string, error) {
						require.Len(t, questions, 1)
						return []string{answer(linkOf.FindString(instruction))}, nil
					})}})
				if err != nil {
					return "", err
				}
				defer c.Close()
				s, err := c.NewSession()
				require.NoError(t, err)
				out, err := s.Output("echo in")
				return string(out), err
			}
			out, err := connect("somebody", func(link string) string {
				status, text := logIn(t, web, issuer, link, "verysecure")
				require.Equal(t, 200, status, text)
				code := codeOf.FindStringSubmatch(text)
				require.NotNil(t, code, text)
				return code[1]
			})
			require.NoError(t, err)
			require.Equal(t, "in\n", out)
			op := r.ops.ended(t, "exec", "echo in")
			require.Equal(t, protocol.StatusOK, op.out.Status)

			// Who does not know the password gets no code, nor who refuses at the provider.
			_, err = connect("somebody", func(link string) string {
				_, text := logIn(t, web, issuer, link, "wrong")
				require.Empty(t, codeOf.FindString(text), text)
				return ""
			})
			require.Error(t, err)
			_, err = connect("somebody", func(link string) string {
				jar, err := cookiejar.New(nil)
				require.NoError(t, err)
				c := web.Client()
				c.Jar = jar
				c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
				defer func() { c.CheckRedirect = nil }()
				res, err := c.Get(link)
				require.NoError(t, err)
				_ = res.Body.Close()
				at, err := url.Parse(res.Header.Get("Location"))
				require.NoError(t, err)
				status, text := browser(t, web, jar, fmt.Sprintf("%s/callback?error=access_denied&state=%s", page.URL, url.QueryEscape(at.Query().Get("state"))))
				require.Equal(t, 403, status, text)
				return ""
			})
			require.Error(t, err)
		})
	}
}
