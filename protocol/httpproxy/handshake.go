package httpproxy

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/sallyport-dev/gateway/protocol"
)

// A credential is what one request offers as its proof.
type credential struct {
	kind  string // "bearer", "basic", "cookie", "certificate"
	user  string // the account of basic
	proof protocol.Proof
	sum   [sha256.Size]byte // of the proof: equal ones need not be looked at twice
}

// maxProof bounds an Authorization header, which is hashed for every request.
const maxProof = 16 << 10

// credential returns what the request has to show who sends it, or nil for
// nothing: an Authorization header, else the gateway's cookie, else the
// connection's certificate. A header that makes no sense is an error, not
// nothing.
func (q *request) credential() (*credential, *refusal) {
	c := q.c
	sent := q.in.Header["Authorization"]
	if len(sent) == 0 {
		if k, bad := q.fromCookie(); k != nil || bad != nil {
			return k, bad
		}
		if c.tls != nil && len(c.tls.VerifiedChains) > 0 {
			chain := c.tls.VerifiedChains[0]
			return &credential{kind: "certificate", proof: protocol.Certificate{Chain: chain}, sum: sha256.Sum256(chain[0].Raw)}, nil
		}
		return nil, nil
	}
	if c.tls == nil && !c.s.AllowPlaintext {
		return nil, refuse(http.StatusForbidden, "passwords and tokens are taken over TLS only: use https. What was sent has to be replaced")
	}
	scheme, value, _ := strings.Cut(sent[0], " ")
	value = strings.Trim(value, " ")
	bad := func() *refusal { return c.challenge("the Authorization header makes no sense") }
	if len(sent[0]) > maxProof || value == "" {
		return nil, bad()
	}
	k := &credential{kind: strings.ToLower(scheme), sum: sha256.Sum256([]byte(value))}
	switch k.kind {
	case "bearer":
		k.proof = protocol.Token{Secret: protocol.NewSecret(value)}
	case "basic":
		b, err := base64.StdEncoding.DecodeString(value)
		user, password, ok := strings.Cut(string(b), ":")
		if err != nil || !ok || password == "" {
			return nil, bad()
		}
		k.user, k.proof = user, protocol.Password{Secret: protocol.NewSecret(password), TLS: c.tls != nil}
	default:
		return nil, bad()
	}
	return k, nil
}

// challenge asks the client to say who it is.
func (c *conn) challenge(reason string) *refusal {
	e := refuse(http.StatusUnauthorized, reason)
	e.d.Hint = "send a token of this gateway, as 'Authorization: Bearer ...' or in the place of a password"
	e.header = http.Header{"Www-Authenticate": {`Bearer realm="sallyport"`, `Basic realm="sallyport", charset="UTF-8"`}}
	return e
}

// tool reads a User-Agent.
func tool(r *http.Request) protocol.Tool {
	raw := r.Header.Get("User-Agent")
	if raw == "" {
		return protocol.Tool{}
	}
	if len(raw) > 512 {
		raw = raw[:512]
	}
	product, _, _ := strings.Cut(raw, " ")
	name, version, _ := strings.Cut(product, "/")
	return protocol.Tool{Name: name, Version: version, Raw: raw, Source: "User-Agent"}
}
