package oidc_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/middleware/oidc"
	"github.com/sallyport-dev/gateway/middleware/oidc/oidctest"
	"github.com/sallyport-dev/gateway/protocol"
)

const issuerURL = "https://id.example.com"

func config(i *oidctest.Issuer) oidc.Config {
	return oidc.Config{Issuer: i.URL(), Audiences: []string{"sallyport"}, HTTPClient: i.Client()}
}

func step(t *testing.T, c oidc.Config) middleware.Step {
	t.Helper()
	s, err := oidc.Authenticate(t.Context(), c)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// claims are good ones, changed by pairs of name and value; nil leaves out.
func claims(pairs ...any) map[string]any {
	m := map[string]any{"sub": "u-1", "aud": "sallyport"}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i].(string)] = pairs[i+1]
	}
	return m
}

func login(s middleware.Step, token string) (*protocol.Identity, error) {
	return s.Authenticate(context.Background(), &protocol.Login{Proof: protocol.Token{Secret: protocol.NewSecret(token)}})
}

// refused requires a denial that says want and does not give the token away.
func refused(t *testing.T, s middleware.Step, token, want string) {
	t.Helper()
	id, err := login(s, token)
	require.Nil(t, id)
	var d *protocol.DeniedError
	require.ErrorAs(t, err, &d)
	require.Contains(t, d.Reason, want)
	require.NotEmpty(t, d.Hint)
	for _, part := range strings.Split(token, ".") {
		if len(part) > 8 {
			require.NotContains(t, fmt.Sprintf("%+v %#v", d, d), part)
		}
	}
}

func TestAGoodToken(t *testing.T) {
	i := oidctest.NewIssuer(issuerURL)
	s := step(t, config(i))
	now := time.Now().Truncate(time.Second)
	token := i.Token(claims("name", "Ana", "email", "ana@example.com", "email_verified", true, "groups", []string{"dba", "staff"},
		"iat", now.Unix(), "exp", now.Add(time.Hour).Unix(), "auth_time", now.Add(-time.Hour).Unix(), "department", "billing"))
	for _, proof := range []protocol.Proof{
		protocol.Token{Secret: protocol.NewSecret(token)},
		protocol.Password{Secret: protocol.NewSecret(token), TLS: true},
	} {
		id, err := s.Authenticate(t.Context(), &protocol.Login{Proof: proof})
		require.NoError(t, err)
		require.Equal(t, issuerURL, id.Issuer)
		require.Equal(t, "u-1", id.Subject)
		require.Equal(t, "Ana", id.Name)
		require.Equal(t, "ana@example.com", id.Email)
		require.Equal(t, []string{"dba", "staff"}, id.Groups)
		require.Equal(t, protocol.Human, id.Kind)
		require.Equal(t, "oidc", id.Method)
		require.True(t, id.Expires.Equal(now.Add(time.Hour)))
		require.True(t, id.AuthTime.Equal(now.Add(-time.Hour)))
		require.Equal(t, "billing", id.Claims["department"])
		require.Nil(t, id.OnBehalfOf)
	}
	require.Equal(t, 1, i.Fetches("/jwks"), "keys are kept")
}

func TestWhatIsNotAProofOfThisIssuer(t *testing.T) {
	i := oidctest.NewIssuer(issuerURL)
	s := step(t, config(i))
	other := oidctest.NewIssuer("https://other.example.com")
	good := i.Token(claims())
	for name, secret := range map[string]string{
		"empty":           "",
		"password":        "correct horse battery staple",
		"dots":            "a.b.c",
		"two parts":       good[:strings.LastIndex(good, ".")],
		"five parts":      good + ".a.b",
		"no issuer":       i.Token(claims("iss", nil)),
		"issuer a number": i.Token(claims("iss", 7)),
		"another issuer":  other.Token(claims()),
		"huge":            good + strings.Repeat("A", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			id, err := login(s, secret)
			require.NoError(t, err)
			require.Nil(t, id)
		})
	}
	for _, p := range []protocol.Proof{nil, protocol.PublicKey{}, protocol.Certificate{}, protocol.Challenge{}} {
		id, err := s.Authenticate(t.Context(), &protocol.Login{Proof: p})
		require.NoError(t, err)
		require.Nil(t, id)
	}
	require.Zero(t, i.Fetches("/jwks"), "nobody may make us ask the issuer with what is not its token")
}

func part(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

func TestAttacks(t *testing.T) {
	i := oidctest.NewIssuer(issuerURL)
	s := step(t, config(i))
	mallory := oidctest.NewIssuer(issuerURL) // same name and key id, other keys
	_, err := login(s, i.Token(claims()))
	require.NoError(t, err)

	now := time.Now()
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	good := i.Token(claims())
	parts := strings.Split(good, ".")
	full := claims("iss", issuerURL, "iat", at(0), "exp", at(time.Minute))

	t.Run("alg none", func(t *testing.T) {
		for _, alg := range []string{"none", "None", "NONE"} {
			refused(t, s, part(map[string]any{"alg": alg})+"."+part(full)+".", "algorithm")
		}
	})
	t.Run("alg none under a good name", func(t *testing.T) {
		refused(t, s, part(map[string]any{"alg": "ES256"})+"."+part(full)+".", "not valid")
	})
	t.Run("HS256 with the public key", func(t *testing.T) {
		r := httptest.NewRecorder()
		i.ServeHTTP(r, httptest.NewRequest(http.MethodGet, "/jwks", nil))
		text := part(map[string]any{"alg": "HS256", "kid": "key-1"}) + "." + part(full)
		m := hmac.New(sha256.New, r.Body.Bytes())
		m.Write([]byte(text))
		refused(t, s, text+"."+base64.RawURLEncoding.EncodeToString(m.Sum(nil)), "algorithm")
	})
	t.Run("another algorithm than the key's", func(t *testing.T) {
		refused(t, s, i.Sign(map[string]any{"alg": "RS256"}, claims()), "not valid")
	})
	t.Run("signed by somebody else", func(t *testing.T) {
		refused(t, s, mallory.Token(claims()), "not valid")
	})
	t.Run("changed claims", func(t *testing.T) {
		refused(t, s, parts[0]+"."+part(full)+"."+parts[2], "not valid")
	})
	t.Run("changed header", func(t *testing.T) {
		refused(t, s, part(map[string]any{"alg": "ES256", "kid": "key-1", "x": 1})+"."+parts[1]+"."+parts[2], "not valid")
	})
	t.Run("truncated", func(t *testing.T) {
		for n := range len(parts[2]) {
			refused(t, s, parts[0]+"."+parts[1]+"."+parts[2][:n], "not valid")
		}
	})
	t.Run("padding and white space", func(t *testing.T) {
		for _, bad := range []string{good + "=", good + "\n", good[:9] + "\r\n" + good[9:], " " + good, good + " "} {
			id, _ := login(s, bad) // not a proof, or refused: both are right
			require.Nil(t, id, "%q", bad)
		}
	})
	t.Run("own key in the header", func(t *testing.T) {
		asked := 0
		server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
		defer server.Close()
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		point, err := k.PublicKey.Bytes()
		require.NoError(t, err)
		b64 := base64.RawURLEncoding.EncodeToString
		for name, v := range map[string]any{
			"jku": server.URL + "/jwks", "x5u": server.URL + "/cert",
			"jwk": map[string]any{"kty": "EC", "crv": "P-256", "x": b64(point[1:33]), "y": b64(point[33:])},
		} {
			h := map[string]any{"alg": "ES256", "kid": "key-1"}
			h[name] = v
			text := part(h) + "." + part(full)
			sum := sha256.Sum256([]byte(text))
			r, sig, err := ecdsa.Sign(rand.Reader, k, sum[:])
			require.NoError(t, err)
			var b [64]byte
			r.FillBytes(b[:32])
			sig.FillBytes(b[32:])
			refused(t, s, text+"."+b64(b[:]), "not valid")
		}
		require.Zero(t, asked, "the token must not say where its keys are")
	})
	t.Run("critical extension", func(t *testing.T) {
		refused(t, s, i.Sign(map[string]any{"crit": []string{"b64"}, "b64": false}, claims()), "not valid")
	})

	for name, tt := range map[string]struct {
		claims map[string]any
		want   string
	}{
		"wrong aud":             {claims("aud", "wiki"), "another program"},
		"wrong auds":            {claims("aud", []string{"wiki", "chat"}), "another program"},
		"no aud":                {claims("aud", nil), "another program"},
		"aud in part":           {claims("aud", "sallyport2"), "another program"},
		"no sub":                {claims("sub", nil), "no subject"},
		"empty sub":             {claims("sub", ""), "no subject"},
		"long sub":              {claims("sub", strings.Repeat("x", 256)), "no subject"},
		"sub with a line break": {claims("sub", "u-1\nu-2"), "no subject"},
		"sub with a space":      {claims("sub", "u-1 "), "no subject"},
		"expired":               {claims("iat", at(-time.Hour), "exp", at(-time.Minute)), "the token expired at " + now.Add(-time.Minute).UTC().Format("2006-01-02T15:04")},
		"no exp":                {claims("exp", nil), "expired"},
		"ten years":             {claims("exp", at(10*365*24*time.Hour)), "lives for"},
		"ten years from then":   {claims("iat", at(-5*365*24*time.Hour), "exp", at(time.Hour)), "lives for"},
		"exp beyond time":       {claims("exp", 1e300), ""},
		"no iat":                {claims("iat", nil), "when it was issued"},
		"iat in the future":     {claims("iat", at(time.Hour), "exp", at(2*time.Hour)), "in the future"},
		"nbf in the future":     {claims("nbf", at(2*time.Minute)), "not valid yet"},
		"nbf is text":           {claims("nbf", "soon"), ""},
		"groups of numbers":     {claims("groups", []int{1}), "groups"},
		"groups an object":      {claims("groups", map[string]any{"a": 1}), "groups"},
		"too many groups":       {claims("groups", strings.Split(strings.Repeat("g,", 2001), ",")), "groups"},
		"groups elsewhere":      {claims("_claim_names", map[string]any{"groups": "src1"}, "_claim_sources", map[string]any{"src1": map[string]any{"endpoint": "https://x"}}), "too many"},
		"logout token":          {claims("events", map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}), "does not serve to log in"},
		"actor without sub":     {claims("act", map[string]any{}), "actor"},
		"actor a text":          {claims("act", "agent"), "actor"},
		"actor from elsewhere":  {claims("act", map[string]any{"sub": "root", "iss": "https://other.example.com"}), "another issuer"},
	} {
		t.Run(name, func(t *testing.T) { refused(t, s, i.Token(tt.claims), tt.want) })
	}
	for _, typ := range []string{"logout+jwt", "application/logout+jwt", "dpop+jwt", "secevent+jwt", "oauth-authz-req+jwt", "JOSE"} {
		t.Run("typ "+typ, func(t *testing.T) {
			refused(t, s, i.Sign(map[string]any{"typ": typ}, claims()), "does not serve to log in")
		})
	}
	for _, typ := range []any{"JWT", "jwt", "at+jwt", "application/at+jwt", nil} {
		t.Run(fmt.Sprint("good typ ", typ), func(t *testing.T) {
			id, err := login(s, i.Sign(map[string]any{"typ": typ}, claims()))
			require.NoError(t, err)
			require.NotNil(t, id)
		})
	}
}

func TestATokenInTheClear(t *testing.T) {
	i := oidctest.NewIssuer(issuerURL)
	s := step(t, config(i))
	l := &protocol.Login{Proof: protocol.Password{Secret: protocol.NewSecret(i.Token(claims()))},
		Remote: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 9}}
	_, err := s.Authenticate(t.Context(), l)
	require.ErrorContains(t, err, "without encryption")

	l.Remote = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9}
	id, err := s.Authenticate(t.Context(), l)
	require.NoError(t, err)
	require.NotNil(t, id)

	c := config(i)
	c.AllowPlain = true
	l.Remote = nil
	id, err = step(t, c).Authenticate(t.Context(), l)
	require.NoError(t, err)
	require.NotNil(t, id)
}

func TestGroupsNamesAndKinds(t *testing.T) {
	i := oidctest.NewIssuer(issuerURL)
	c := config(i)
	c.Groups = "realm_access.roles"
	c.Kinds = []oidc.KindRule{{Claim: "client", Match: "bot-*", Kind: protocol.Agent}, {Claim: "roles", Match: "robot", Kind: protocol.Workload}}
	s := step(t, c)
	for name, tt := range map[string]struct {
		claims map[string]any
		want   protocol.Identity
	}{
		"plain":             {claims(), protocol.Identity{Kind: protocol.Human}},
		"path":              {claims("realm_access", map[string]any{"roles": []string{"a"}}), protocol.Identity{Kind: protocol.Human, Groups: []string{"a"}}},
		"whole name first":  {claims("realm_access.roles", "b", "realm_access", map[string]any{"roles": []string{"a"}}), protocol.Identity{Kind: protocol.Human, Groups: []string{"b"}}},
		"no groups":         {claims("realm_access", "none"), protocol.Identity{Kind: protocol.Human}},
		"e-mail unverified": {claims("email", "boss@example.com"), protocol.Identity{Kind: protocol.Human}},
		"e-mail denied":     {claims("email", "boss@example.com", "email_verified", false), protocol.Identity{Kind: protocol.Human}},
		"e-mail verified":   {claims("email", "a@example.com", "email_verified", "true"), protocol.Identity{Kind: protocol.Human, Email: "a@example.com"}},
		"name with escapes": {claims("name", "Ana\x1b[2J"), protocol.Identity{Kind: protocol.Human}},
		"user name":         {claims("preferred_username", "ana"), protocol.Identity{Kind: protocol.Human, Name: "ana"}},
		"rule":              {claims("client", "bot-7"), protocol.Identity{Kind: protocol.Agent}},
		"rule on a list":    {claims("roles", []string{"x", "robot"}), protocol.Identity{Kind: protocol.Workload}},
		"client":            {claims("azp", "u-1"), protocol.Identity{Kind: protocol.Workload}},
		"client id":         {claims("client_id", "u-1"), protocol.Identity{Kind: protocol.Workload}},
		"auth0":             {claims("gty", "client-credentials"), protocol.Identity{Kind: protocol.Workload}},
	} {
		t.Run(name, func(t *testing.T) {
			id, err := login(s, i.Token(tt.claims))
			require.NoError(t, err)
			require.Equal(t, tt.want, protocol.Identity{Kind: id.Kind, Groups: id.Groups, Name: id.Name, Email: id.Email})
		})
	}
	for _, sub := range []string{"repo:acme/shop:ref:refs/heads/main", "project_path:acme/shop:ref_type:branch", "system:serviceaccount:ci:runner"} {
		id, err := login(s, i.Token(claims("sub", sub)))
		require.NoError(t, err)
		require.Equal(t, protocol.Workload, id.Kind, sub)
	}
}

func TestAnAgentActsForSomebody(t *testing.T) {
	i := oidctest.NewIssuer(issuerURL)
	id, err := login(step(t, config(i)), i.Token(claims("name", "Ana", "groups", "dba", "act", map[string]any{"sub": "agent-7"})))
	require.NoError(t, err)
	require.Equal(t, "agent-7", id.Subject)
	require.Equal(t, protocol.Agent, id.Kind)
	require.Empty(t, id.Groups, "an agent must not inherit groups unnoticed")
	require.Equal(t, "u-1", id.OnBehalfOf.Subject)
	require.Equal(t, protocol.Human, id.OnBehalfOf.Kind)
	require.Equal(t, []string{"dba"}, id.OnBehalfOf.Groups)
	require.True(t, id.Same(&protocol.Identity{Issuer: issuerURL, Subject: "u-1"}))
}

func TestRequiredClaims(t *testing.T) {
	i := oidctest.NewIssuer(issuerURL)
	c := config(i)
	c.Require = map[string]string{"repository": "acme/*", "environment": "production"}
	s := step(t, c)
	id, err := login(s, i.Token(claims("repository", "acme/shop", "environment", "production")))
	require.NoError(t, err)
	require.NotNil(t, id)
	refused(t, s, i.Token(claims("repository", "acme/shop")), "claim environment")
	refused(t, s, i.Token(claims("repository", "evil/acme/shop", "environment", "production")), "claim repository")
	refused(t, s, i.Token(claims("repository", nil, "environment", "production")), "claim repository")
}

func TestSessionMayOutliveTheToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := oidctest.NewIssuer(issuerURL)
		c := config(i)
		c.Session = 8 * time.Hour
		id, err := login(step(t, c), i.Token(claims()))
		require.NoError(t, err)
		require.Equal(t, time.Now().Add(8*time.Hour), id.Expires)
	})
}

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

func TestSettingsAreChecked(t *testing.T) {
	good := oidc.Config{Issuer: issuerURL, Audiences: []string{"a"}}
	for want, change := range map[string]func(*oidc.Config){
		"want a URL":                   func(c *oidc.Config) { c.Issuer = "id.example.com" },
		"must use https":               func(c *oidc.Config) { c.Issuer = "http://id.example.com" },
		"audiences are required":       func(c *oidc.Config) { c.Audiences = nil },
		"none may be empty":            func(c *oidc.Config) { c.Audiences = []string{"a", ""} },
		"skew lies between":            func(c *oidc.Config) { c.Skew = time.Hour },
		`algorithm "HS256" is not one`: func(c *oidc.Config) { c.Algorithms = []string{"HS256"} },
		`algorithm "none" is not one`:  func(c *oidc.Config) { c.Algorithms = []string{"none"} },
		"needs claim and match":        func(c *oidc.Config) { c.Kinds = []oidc.KindRule{{Kind: protocol.Human}} },
		`kind "robot" is not human`:    func(c *oidc.Config) { c.Kinds = []oidc.KindRule{{Claim: "sub", Match: "*", Kind: "robot"}} },
	} {
		c := good
		change(&c)
		_, err := oidc.Authenticate(t.Context(), c)
		require.ErrorContains(t, err, want)
	}
	for _, u := range []string{"http://localhost:8080", "http://127.0.0.1:1/x", "http://[::1]:1", issuerURL + "/realms/a"} {
		c := good
		c.Issuer = u
		_, err := oidc.Authenticate(t.Context(), c)
		require.NoError(t, err)
	}
}

func TestKind(t *testing.T) {
	decode := func(text string) func(any) error {
		return func(into any) error { return yaml.UnmarshalWithOptions([]byte(text), into, yaml.Strict()) }
	}
	s, err := oidc.Kind().New(decode(`
issuer: https://id.example.com
audiences: [sallyport]
groups: realm_access.roles
kinds:
  - {claim: sub, match: "ci-*", kind: workload}
require: {hd: example.com}
max_age: 12h
skew: 1m
session: 8h
algorithms: [RS256]
`))
	require.NoError(t, err)
	require.Equal(t, "oidc", s.Name)
	_, err = oidc.Kind().New(decode("issuer: https://id.example.com\naudience: a\n"))
	require.ErrorContains(t, err, `[2:1] unknown field "audience"`)
	_, err = oidc.Kind().New(decode("issuer: https://id.example.com\n"))
	require.ErrorContains(t, err, "audiences are required")
}

func FuzzAuthenticate(f *testing.F) {
	i := oidctest.NewIssuer(issuerURL)
	s, err := oidc.Authenticate(f.Context(), config(i))
	require.NoError(f, err)
	good := i.Token(claims("exp", time.Now().Add(time.Hour).Unix()))
	f.Add(good)
	f.Add(part(map[string]any{"alg": "none"}) + "." + part(claims("iss", issuerURL)) + ".")
	f.Add(i.Sign(map[string]any{"crit": []string{"x"}}, claims()))
	f.Add("..")
	f.Add("eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUuY29tIn0.AA")

	f.Fuzz(func(t *testing.T, token string) {
		id, err := login(s, token)
		if id != nil && token != good {
			t.Fatalf("accepted %q", token)
		}
		if err != nil && len(token) > 40 && strings.Contains(err.Error(), token) {
			t.Fatalf("the error repeats the token")
		}
	})
}

func BenchmarkAuthenticate(b *testing.B) {
	i := oidctest.NewIssuer(issuerURL)
	s, err := oidc.Authenticate(b.Context(), config(i))
	require.NoError(b, err)
	token := i.Token(claims("groups", []string{"a", "b"}))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := login(s, token); err != nil {
			b.Fatal(err)
		}
	}
}
