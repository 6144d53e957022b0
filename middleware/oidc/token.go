package oidc

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
)

// maxToken bounds a token before anything is decoded. Tokens with many groups
// reach some kilobytes.
const maxToken = 32 << 10

// An unverified token says what kind of token somebody claims to have. Nothing
// in it may be believed; it serves to decide whether to look closer.
type unverified struct {
	issuer, alg, typ string
	logout           bool
	malformed        bool // not written as RFC 7515 asks, though lenient decoders may read it
}

// peek reports whether raw has the form of a signed token that names an
// issuer.
func peek(raw string) (t unverified, ok bool) {
	if len(raw) > maxToken || strings.Count(raw, ".") != 2 {
		return t, false
	}
	head, rest, _ := strings.Cut(raw, ".")
	body, sig, _ := strings.Cut(rest, ".")
	var h, b map[string]any
	if !decode(head, &h) || !decode(body, &b) {
		return t, false
	}
	t.alg, _ = h["alg"].(string)
	t.typ, _ = h["typ"].(string)
	t.issuer, _ = b["iss"].(string)
	_, t.logout = b["events"] // security events, among them logout tokens, which may lack a typ
	// Decoders skip line breaks and stray bits; then one token would have many
	// forms.
	_, err := base64.RawURLEncoding.Strict().DecodeString(sig)
	t.malformed = err != nil || strings.ContainsAny(raw, "\r\n")
	return t, t.alg != "" && t.issuer != ""
}

func decode(part string, into any) bool {
	b, err := base64.RawURLEncoding.DecodeString(part)
	return err == nil && json.Unmarshal(b, into) == nil
}

// meantForLogin refuses tokens that the issuer signs for other purposes, so
// that nothing but an ID token or an access token serves as a login.
func (t unverified) meantForLogin(algorithms []string) error {
	if t.malformed {
		return refuseInvalid()
	}
	if !slices.Contains(algorithms, t.alg) {
		return refuse("the token's signature algorithm is not accepted", "the issuer has to sign with one of "+strings.Join(algorithms, ", "))
	}
	typ := strings.TrimPrefix(strings.ToLower(t.typ), "application/")
	if t.logout || typ != "" && typ != "jwt" && typ != "at+jwt" {
		return refuse("this kind of token does not serve to log in", "use an ID token or an access token")
	}
	return nil
}
