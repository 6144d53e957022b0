package oidc_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware/oidc"
	"github.com/sallyport-dev/gateway/middleware/oidc/oidctest"
	"github.com/sallyport-dev/gateway/protocol"
)

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

// An open session is asked about by the settings of the day.
func TestRecheck(t *testing.T) {
	i := oidctest.NewIssuer(issuerURL)
	agent := map[string]any{"sub": "agent"}
	for name, c := range map[string]struct {
		claims []any
		change func(*oidc.Config)
		stays  bool
	}{
		"the same":           {[]any{"groups", []string{"dba"}}, func(*oidc.Config) {}, true},
		"the same, an agent": {[]any{"groups", []string{"dba"}, "act", agent}, func(*oidc.Config) {}, true},
		"another audience":   {nil, func(c *oidc.Config) { c.Audiences = []string{"other"} }, false},
		"another issuer":     {nil, func(c *oidc.Config) { c.Issuer = "https://other.example.com" }, false},
		"a claim required":   {nil, func(c *oidc.Config) { c.Require = map[string]string{"hd": "x"} }, false},
		"other groups":       {[]any{"groups", []string{"dba"}}, func(c *oidc.Config) { c.Groups = "roles" }, false},
		"groups of whom the agent acts for": {[]any{"groups", []string{"dba"}, "act", agent},
			func(c *oidc.Config) { c.Groups = "roles" }, false},
		"another kind": {nil, func(c *oidc.Config) {
			c.Kinds = []oidc.KindRule{{Claim: "sub", Match: "*", Kind: protocol.Agent}}
		}, false},
	} {
		before := config(i)
		id, err := login(step(t, before), i.Token(claims(c.claims...)))
		require.NoError(t, err, name)
		after := config(i)
		c.change(&after)
		require.Equal(t, c.stays, step(t, after).Recheck(t.Context(), id), name)
	}
	require.False(t, step(t, config(i)).Recheck(t.Context(), &protocol.Identity{Issuer: issuerURL, Subject: "u-1", Method: "token"}))
}
