// Package oidctest is an OpenID Connect issuer in one struct, for tests and
// demonstrations: a discovery document, a key set and signed tokens. It
// authenticates nobody: whoever holds the Issuer makes the tokens.
package oidctest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"
)

// An Issuer signs tokens and serves what is needed to verify them. Its methods
// are safe for use by many goroutines.
type Issuer struct {
	url string

	mu      sync.Mutex
	keys    []key // the last one signs
	down    bool
	fetches map[string]int
}

type key struct {
	id      string
	private *ecdsa.PrivateKey
}

var _ http.Handler = (*Issuer)(nil)

// NewIssuer returns an issuer with a fresh key. url is what its tokens carry
// as iss; the Issuer must be reachable there, or through [Issuer.Client].
func NewIssuer(url string) *Issuer {
	i := &Issuer{url: url, fetches: map[string]int{}}
	i.Rotate()
	return i
}

// URL returns the issuer's URL.
func (i *Issuer) URL() string { return i.url }

// Rotate makes a new key that signs from now on, and returns its id. The old
// keys stay published until [Issuer.Retire].
func (i *Issuer) Rotate() string {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic("oidctest: " + err.Error()) // the system has no randomness
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	id := fmt.Sprintf("key-%d", len(i.keys)+1)
	i.keys = append(i.keys, key{id, k})
	return id
}

// Retire no longer publishes any key but the one that signs.
func (i *Issuer) Retire() {
	i.mu.Lock()
	defer i.mu.Unlock()
	for n := range i.keys[:len(i.keys)-1] {
		i.keys[n].private = nil
	}
}

// SetDown lets the issuer answer every request with status 503, or no longer.
func (i *Issuer) SetDown(down bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.down = down
}

// Fetches returns how often the path was asked for: /jwks is the key set.
func (i *Issuer) Fetches(path string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.fetches[path]
}

// ServeHTTP serves the discovery document and the key set.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	i.fetches[r.URL.Path]++
	down, keys := i.down, append([]key(nil), i.keys...)
	i.mu.Unlock()
	var doc map[string]any
	switch {
	case down:
		http.Error(w, "down for maintenance", http.StatusServiceUnavailable)
		return
	case r.URL.Path == "/.well-known/openid-configuration":
		doc = map[string]any{
			"issuer": i.url, "jwks_uri": i.url + "/jwks",
			"authorization_endpoint": i.url + "/authorize", "token_endpoint": i.url + "/token",
			"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
			"id_token_signing_alg_values_supported": []string{"ES256"},
		}
	case r.URL.Path == "/jwks":
		jwks := []any{}
		for _, k := range keys {
			if k.private != nil {
				jwks = append(jwks, k.jwk())
			}
		}
		doc = map[string]any{"keys": jwks}
	default:
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(doc) // fails only if the client has left
}

func (k key) jwk() map[string]any {
	point, err := k.private.PublicKey.Bytes() // 4, x, y
	if err != nil {
		panic("oidctest: " + err.Error()) // the key was made above
	}
	return map[string]any{"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": k.id,
		"x": encode(point[1:33]), "y": encode(point[33:])}
}

// Client returns a client that reaches the issuer, whatever its URL, without a
// network.
func (i *Issuer) Client() *http.Client {
	return &http.Client{Transport: transport{i}}
}

type transport struct{ h http.Handler }

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	rec := httptest.NewRecorder()
	t.h.ServeHTTP(rec, r)
	return rec.Result(), nil
}

// Token returns a signed token. Claims that are not given default to this
// issuer, issued now, valid for five minutes; a nil value leaves a claim out.
func (i *Issuer) Token(claims map[string]any) string {
	return i.Sign(map[string]any{"typ": "JWT"}, claims)
}

// Sign returns a token like [Issuer.Token], with further header fields, which
// may replace alg and kid and so make a token that nobody should accept.
func (i *Issuer) Sign(header, claims map[string]any) string {
	i.mu.Lock()
	k := i.keys[len(i.keys)-1]
	i.mu.Unlock()
	now := time.Now()
	h := with(map[string]any{"alg": "ES256", "kid": k.id}, header)
	c := with(map[string]any{"iss": i.url, "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix()}, claims)
	text := encodeJSON(h) + "." + encodeJSON(c)
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, k.private, sum[:])
	if err != nil {
		panic("oidctest: " + err.Error())
	}
	var sig [64]byte
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return text + "." + encode(sig[:])
}

func with(base, more map[string]any) map[string]any {
	maps.Copy(base, more)
	maps.DeleteFunc(base, func(_ string, v any) bool { return v == nil })
	return base
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func encodeJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("oidctest: a claim that JSON cannot hold: " + err.Error())
	}
	return encode(b)
}
