package oidc

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
)

const (
	maxSubject = 255 // OpenID Connect Core, section 2
	maxText    = 320 // names and addresses; the longest address that mail allows
	maxGroups  = 2000
)

// claims are the verified content of a token. Their names are compared
// exactly, unlike the fields of a Go struct, which JSON matches without regard
// to case.
type claims map[string]any

func (c claims) text(name string) string {
	s, _ := c[name].(string)
	return s
}

func (c claims) time(name string) (time.Time, bool) {
	n, ok := c[name].(float64)
	// The bound is year 9999: what lies beyond is no date, and overflows.
	if !ok || math.IsNaN(n) || n < 0 || n > 253402300799 {
		return time.Time{}, false
	}
	return time.Unix(int64(n), 0), true
}

// at follows a path of names through objects, but takes a claim that is
// called by the whole path first.
func (c claims) at(path string) any {
	if v, ok := c[path]; ok {
		return v
	}
	head, rest, ok := strings.Cut(path, ".")
	if !ok {
		return nil
	}
	inner, _ := c[head].(map[string]any)
	return claims(inner).at(rest)
}

// match reports whether the value at path, or one element of a list there,
// fits pattern.
func (c claims) match(path, pattern string) bool {
	fits := func(v any) bool {
		switch v := v.(type) {
		case string:
			return middleware.Glob(pattern, v)
		case bool:
			return middleware.Glob(pattern, fmt.Sprint(v))
		case float64:
			return middleware.Glob(pattern, fmt.Sprint(v))
		}
		return false
	}
	v := c.at(path)
	if l, ok := v.([]any); ok {
		return slices.ContainsFunc(l, fits)
	}
	return fits(v)
}

// identity turns verified claims into an identity, or says what they lack.
func (a *authenticator) identity(c claims, now time.Time) (*protocol.Identity, error) {
	if err := a.inTime(c, now); err != nil {
		return nil, err
	}
	return a.who(c, now)
}

// recheck reports whether the claims that id was made from would make the same
// identity now. Whether its time is up is the session's to see.
func (a *authenticator) recheck(_ context.Context, id *protocol.Identity) bool {
	if id.Issuer != a.Issuer || id.Method != stepName {
		return false
	}
	now, err := a.who(id.Claims, time.Now())
	for ; err == nil && id != nil && now != nil; id, now = id.OnBehalfOf, now.OnBehalfOf {
		if id.Key() != now.Key() || id.Kind != now.Kind || !slices.Equal(id.Groups, now.Groups) {
			return false
		}
	}
	return err == nil && id == nil && now == nil
}

// who is identity for a token that is valid at the time.
func (a *authenticator) who(c claims, now time.Time) (*protocol.Identity, error) {
	if !a.forUs(c["aud"]) {
		return nil, refuse("the token was made for another program", "get one whose audience is "+strings.Join(a.Audiences, " or "))
	}
	for name, pattern := range a.Require {
		if !c.match(name, pattern) {
			return nil, refuse(fmt.Sprintf("the token's claim %s is missing or not one that is let in here", name), "ask whoever runs the gateway")
		}
	}
	groups, err := a.groups(c)
	if err != nil {
		return nil, err
	}
	id := &protocol.Identity{
		Issuer: a.Issuer, Subject: c.text("sub"), Name: clean(c.text("name")), Groups: groups,
		Kind: a.kind(c), Method: "oidc", Claims: c,
	}
	if !validSubject(id.Subject) {
		return nil, refuse("the token names no subject that can be used", "the issuer has to fill in sub")
	}
	if id.Name == "" {
		id.Name = clean(c.text("preferred_username"))
	}
	if verified := c["email_verified"]; verified == true || verified == "true" {
		id.Email = clean(c.text("email"))
	}
	id.AuthTime, _ = c.time("iat")
	if t, ok := c.time("auth_time"); ok && t.Before(id.AuthTime) {
		id.AuthTime = t
	}
	id.Expires, _ = c.time("exp")
	if a.Session > 0 {
		id.Expires = now.Add(a.Session)
	}
	return a.actor(c, id)
}

// actor returns the identity of the program that acts for id, if the token
// names one (RFC 8693, section 4.1), or id. Groups stay with whom they were
// given to: an agent has none of its own.
func (a *authenticator) actor(c claims, id *protocol.Identity) (*protocol.Identity, error) {
	v, ok := c["act"]
	if !ok {
		return id, nil
	}
	m, _ := v.(map[string]any)
	act := claims(m)
	agent := &protocol.Identity{Issuer: a.Issuer, Subject: act.text("sub"), Name: clean(act.text("name")),
		Kind: id.Kind, Method: id.Method, AuthTime: id.AuthTime, Expires: id.Expires, Claims: id.Claims, OnBehalfOf: id}
	if !validSubject(agent.Subject) {
		return nil, refuse("the token names an actor without a subject", "the issuer has to fill in act.sub")
	}
	// An issuer speaks for its own subjects only.
	if iss, ok := act["iss"]; ok && iss != a.Issuer {
		return nil, refuse("the token names an actor of another issuer", "get a token whose actor has logged in at the same issuer")
	}
	id.Kind = protocol.Human
	if looksLikeWorkload(c, id.Subject) {
		id.Kind = protocol.Workload
	}
	return agent, nil
}

// inTime checks what go-oidc leaves open: it accepts a token that is valid for
// years, and one that was issued tomorrow.
func (a *authenticator) inTime(c claims, now time.Time) error {
	exp, ok1 := c.time("exp")
	iat, ok2 := c.time("iat")
	switch {
	case !ok1 || !ok2:
		return refuse("the token does not say when it was issued and when it expires", "the issuer has to fill in iat and exp")
	case !now.Before(exp):
		return refuse("the token expired at "+exp.UTC().Format(time.RFC3339), "sign in again and connect with the new token")
	case iat.After(now.Add(a.Skew)):
		return refuse("the token was issued in the future, at "+iat.UTC().Format(time.RFC3339), "check the clocks of the issuer and the gateway")
	case exp.Sub(iat) > a.MaxAge:
		return refuse(fmt.Sprintf("the token lives for %v, longer than the %v that are accepted", exp.Sub(iat), a.MaxAge), "get a token with a shorter life")
	}
	if _, ok := c["nbf"]; ok {
		nbf, ok := c.time("nbf")
		if !ok || nbf.After(now.Add(a.Skew)) {
			return refuse("the token is not valid yet", "check the clocks of the issuer and the gateway")
		}
	}
	return nil
}

func (a *authenticator) forUs(aud any) bool {
	ours := func(v any) bool {
		s, ok := v.(string)
		return ok && slices.Contains(a.Audiences, s)
	}
	if l, ok := aud.([]any); ok {
		return slices.ContainsFunc(l, ours)
	}
	return ours(aud)
}

func (a *authenticator) groups(c claims) ([]string, error) {
	if names, ok := c["_claim_names"].(map[string]any); ok && names[a.Groups] != nil {
		return nil, refuse("the token does not carry its groups, because they are too many", "let the issuer send only the groups that this gateway needs")
	}
	switch v := c.at(a.Groups).(type) {
	case nil:
		return nil, nil
	case string:
		if v == "" {
			return nil, nil
		}
		return []string{v}, nil
	case []any:
		groups := make([]string, 0, min(len(v), maxGroups))
		for _, e := range v {
			g, ok := e.(string)
			if !ok || len(groups) == maxGroups {
				return nil, refuse("the token's groups are not a list of names, or too many", "check the issuer's setting for the claim "+a.Groups)
			}
			groups = append(groups, g)
		}
		return groups, nil
	}
	return nil, refuse("the token's groups are not a list of names", "check the issuer's setting for the claim "+a.Groups)
}

func (a *authenticator) kind(c claims) protocol.IdentityKind {
	for _, k := range a.Kinds {
		if c.match(k.Claim, k.Match) {
			return k.Kind
		}
	}
	if _, ok := c["act"]; ok {
		return protocol.Agent
	}
	if looksLikeWorkload(c, c.text("sub")) {
		return protocol.Workload
	}
	return protocol.Human
}

// looksLikeWorkload knows how issuers name what is no person: a client that
// got the token for itself, a job of GitHub or GitLab, a Kubernetes service
// account.
func looksLikeWorkload(c claims, sub string) bool {
	if c.text("gty") == "client-credentials" || sub == c.text("client_id") || sub == c.text("azp") {
		return true
	}
	for _, prefix := range []string{"repo:", "project_path:", "system:serviceaccount:"} {
		if strings.HasPrefix(sub, prefix) {
			return true
		}
	}
	return false
}

func validSubject(s string) bool {
	return s != "" && len(s) <= maxSubject && !strings.ContainsFunc(s, unicode.IsControl) && strings.TrimSpace(s) == s
}

// clean returns s if it is fit to be shown, and otherwise nothing: these are
// texts that people choose themselves.
func clean(s string) string {
	if len(s) > maxText || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return ""
	}
	return s
}
