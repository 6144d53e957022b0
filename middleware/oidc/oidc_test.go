package oidc_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

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

// FuzzClaims signs whatever an issuer may say of somebody. An identity comes of
// it only with what the token says, and nothing in it cannot be shown.
func FuzzClaims(f *testing.F) {
	i := oidctest.NewIssuer(issuerURL)
	c := config(i)
	c.Groups = "realm.roles"
	c.Kinds = []oidc.KindRule{{Claim: "a.b", Match: "*x*", Kind: protocol.Agent}}
	s, err := oidc.Authenticate(f.Context(), c)
	require.NoError(f, err)
	for _, text := range []string{`{}`, `{"sub":"u"}`, `{"aud":["x","sallyport"],"realm":{"roles":["a",1]}}`, `{"realm":{"roles":"a"},"act":{"sub":"bot"}}`,
		`{"act":{"sub":"bot","iss":"https://other.example.com"}}`, `{"act":null}`, `{"act":{"sub":" "}}`, `{"exp":1e400}`, `{"exp":"1"}`, `{"iat":-1}`, `{"nbf":{}}`, `{"iat":1e18,"exp":1e18}`,
		`{"name":"\u202e","email":"a@b","email_verified":"true"}`, `{"_claim_names":{"realm.roles":"x"}}`, `{"realm.roles":[[]],"a.b":[true]}`, `{"Sub":"root","SUB":"root"}`,
		`{"events":{}}`, `{"azp":"u-1","auth_time":1}`, `{"sub":null}`, `{"aud":null}`, `{"iss":"https://other.example.com"}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		m := claims()
		if json.Unmarshal(text, &m) != nil {
			return
		}
		before := time.Now()
		id, err := login(s, i.Token(m))
		if id == nil {
			var d *protocol.DeniedError
			if err != nil && !errors.As(err, &d) {
				t.Fatalf("neither an identity nor a refusal: %v", err)
			}
			return
		}
		who := id
		if id.OnBehalfOf != nil {
			who = id.OnBehalfOf
			if act := m["act"].(map[string]any); id.Subject != act["sub"] || len(id.Groups) != 0 {
				t.Fatalf("%s made the agent %+v", text, id)
			}
		}
		if who.Subject != m["sub"] || id.Issuer != issuerURL || who.Issuer != issuerURL || who.OnBehalfOf != nil {
			t.Fatalf("%s made %+v", text, who)
		}
		if !id.Expires.After(before) || id.Expires.After(before.Add(25*time.Hour)) || id.AuthTime.After(before.Add(time.Minute)) {
			t.Fatalf("%s is good from %v to %v", text, id.AuthTime, id.Expires)
		}
		if who.Email != "" && (who.Email != m["email"] || m["email_verified"] != true && m["email_verified"] != "true") {
			t.Fatalf("%s made the address %q", text, who.Email)
		}
		for _, p := range []*protocol.Identity{id, who} {
			if strings.ContainsFunc(p.Name+p.Email, func(r rune) bool { return !unicode.IsPrint(r) }) || strings.ContainsFunc(p.Subject, unicode.IsControl) || p.Subject == "" {
				t.Fatalf("%q, %q and %q cannot be shown", p.Subject, p.Name, p.Email)
			}
			if p.Kind != protocol.Human && p.Kind != protocol.Workload && p.Kind != protocol.Agent {
				t.Fatalf("kind %q", p.Kind)
			}
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
