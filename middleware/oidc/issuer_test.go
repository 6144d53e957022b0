package oidc_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware/oidc"
	"github.com/sallyport-dev/gateway/middleware/oidc/oidctest"
	"github.com/sallyport-dev/gateway/protocol"
)

func TestKeysRotate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := oidctest.NewIssuer(issuerURL)
		s := step(t, config(i))
		old := func() string { return i.Token(claims()) }()
		_, err := login(s, old)
		require.NoError(t, err)

		time.Sleep(time.Minute)
		i.Rotate()
		_, err = login(s, i.Token(claims()))
		require.NoError(t, err, "a token that names a new key makes the step fetch it")
		require.Equal(t, 2, i.Fetches("/jwks"))
		_, err = login(s, old)
		require.NoError(t, err)

		i.Retire()
		time.Sleep(2 * time.Minute) // the old token is valid for two more
		_, err = login(s, old)
		require.NoError(t, err, "keys are renewed every hour, not at every login")
	})
}

func TestAWithdrawnKeyStopsCounting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := oidctest.NewIssuer(issuerURL)
		s := step(t, config(i))
		stolen := i.Token(claims("exp", time.Now().Add(20*time.Hour).Unix()))
		_, err := login(s, stolen)
		require.NoError(t, err)
		i.Rotate()
		i.Retire()
		time.Sleep(61 * time.Minute)
		refused(t, s, stolen, "not valid")
	})
}

func TestAFloodOfUnknownKeysReachesTheIssuerSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := oidctest.NewIssuer(issuerURL)
		s := step(t, config(i))
		for n := range 500 {
			refused(t, s, i.Sign(map[string]any{"kid": fmt.Sprint("forged-", n)}, claims()), "not valid")
			time.Sleep(100 * time.Millisecond)
		}
		require.LessOrEqual(t, i.Fetches("/jwks"), 6, "50 seconds, one fetch in ten")
		require.Equal(t, 1, i.Fetches("/.well-known/openid-configuration"))
		id, err := login(s, i.Token(claims()))
		require.NoError(t, err)
		require.NotNil(t, id)
	})
}

func TestAnIssuerThatIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := oidctest.NewIssuer(issuerURL)
		i.SetDown(true)
		c := config(i)
		s := step(t, c) // starts nevertheless

		c.Eager = true
		_, err := oidc.Authenticate(t.Context(), c)
		require.ErrorContains(t, err, "issuer https://id.example.com cannot be reached: discovery: ")

		down := func() {
			t.Helper()
			id, err := login(s, i.Token(claims()))
			require.Nil(t, id)
			require.ErrorContains(t, err, "503")
			var d *protocol.DeniedError
			require.False(t, errors.As(err, &d), "an outage is not the client's to read")
		}
		before := i.Fetches("/.well-known/openid-configuration")
		for range 50 {
			down()
		}
		require.Equal(t, 1, i.Fetches("/.well-known/openid-configuration")-before, "a failure is remembered for a while")

		i.SetDown(false)
		time.Sleep(11 * time.Second)
		_, err = login(s, i.Token(claims()))
		require.NoError(t, err)

		// With keys at hand an outage goes unnoticed for a day.
		i.SetDown(true)
		time.Sleep(23 * time.Hour)
		_, err = login(s, i.Token(claims()))
		require.NoError(t, err)
		time.Sleep(2 * time.Hour)
		down()
	})
}

func TestAnUnknownKeyWhileTheIssuerIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := oidctest.NewIssuer(issuerURL)
		s := step(t, config(i))
		_, err := login(s, i.Token(claims()))
		require.NoError(t, err)
		time.Sleep(time.Minute)
		i.Rotate()
		i.SetDown(true)
		_, err = login(s, i.Token(claims()))
		require.ErrorContains(t, err, "the keys could not be fetched")
	})
}

// silent accepts requests and never answers.
type silent struct{}

func (silent) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestAnIssuerThatNeverAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := oidctest.NewIssuer(issuerURL)
		c := config(i)
		c.HTTPClient = &http.Client{Transport: silent{}}
		s := step(t, c)
		start := time.Now()
		done := make(chan error)
		for range 20 {
			go func() {
				_, err := login(s, i.Token(claims()))
				done <- err
			}()
		}
		for range 20 {
			require.Error(t, <-done)
		}
		require.LessOrEqual(t, time.Since(start), 11*time.Second)
	})
}

// Browsers that log in do not wait for one another's turn at such an issuer.
func TestLoginsAtAnIssuerThatNeverAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, err := oidc.NewLogin(oidc.LoginConfig{Issuer: issuerURL, ClientID: "gw", HTTPClient: &http.Client{Transport: silent{}}})
		require.NoError(t, err)
		start := time.Now()
		done := make(chan error)
		for range 20 {
			go func() {
				_, err := l.Begin(t.Context(), "https://gw.test/callback", "state", "verifier", "nonce")
				done <- err
			}()
		}
		for range 20 {
			require.Error(t, <-done)
		}
		require.LessOrEqual(t, time.Since(start), 11*time.Second)
	})
}

// A client that leaves while the issuer is being asked must not make it look
// down for those who come after.
func TestALeavingClientHarmsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := oidctest.NewIssuer(issuerURL)
		c := config(i)
		c.HTTPClient = &http.Client{Transport: slow{i.Client().Transport}}
		s := step(t, c)
		ctx, leave := context.WithCancel(t.Context())
		go func() {
			_, _ = s.Authenticate(ctx, &protocol.Login{Proof: protocol.Token{Secret: protocol.NewSecret(i.Token(claims()))}})
		}()
		synctest.Wait()
		leave()
		id, err := login(s, i.Token(claims()))
		require.NoError(t, err)
		require.NotNil(t, id)
	})
}

type slow struct{ next http.RoundTripper }

func (s slow) RoundTrip(r *http.Request) (*http.Response, error) {
	select {
	case <-time.After(time.Second):
		return s.next.RoundTrip(r)
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

func TestAnIssuerThatMisbehaves(t *testing.T) {
	for name, tt := range map[string]struct {
		path, status, body, want string
	}{
		"another issuer":  {"/.well-known/openid-configuration", "", `{"issuer":"https://evil.example.com","jwks_uri":"https://id.example.com/jwks"}`, "did not match"},
		"keys over http":  {"/.well-known/openid-configuration", "", `{"issuer":"https://id.example.com","jwks_uri":"http://id.example.com/jwks"}`, "must use https"},
		"no keys":         {"/.well-known/openid-configuration", "", `{"issuer":"https://id.example.com"}`, "jwks_uri"},
		"endless":         {"/.well-known/openid-configuration", "", strings.Repeat(" ", 2<<20), "larger than"},
		"endless keys":    {"/jwks", "", strings.Repeat(" ", 2<<20), "larger than"},
		"keys redirected": {"/jwks", "http://evil.example.com/jwks", "", "must not be redirected"},
		"plain redirect":  {"/.well-known/openid-configuration", "http://evil.example.com/", "", "must use https"},
	} {
		t.Run(name, func(t *testing.T) {
			i := oidctest.NewIssuer(issuerURL)
			c := config(i)
			c.HTTPClient = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				if r.URL.Host != "id.example.com" {
					t.Errorf("asked %s", r.URL)
				}
				if r.URL.Path != tt.path {
					return i.Client().Transport.RoundTrip(r)
				}
				rec := httptest.NewRecorder()
				rec.Header().Set("Content-Type", "application/json")
				if tt.status != "" {
					rec.Header().Set("Location", tt.status)
					rec.WriteHeader(http.StatusFound)
				}
				_, _ = rec.WriteString(tt.body)
				return rec.Result(), nil
			})}
			id, err := login(step(t, c), i.Token(claims()))
			require.Nil(t, id)
			require.ErrorContains(t, err, tt.want)
		})
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
