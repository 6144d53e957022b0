// Package oidc accepts tokens of an OpenID Connect issuer in the place of a
// password: ID tokens, and access tokens in the form of RFC 9068. [Authenticate]
// is the step, [Kind] the same for a configuration file.
//
// A token is proof of who somebody is only if it was made for this gateway, so
// at least one audience is required. Beside what go-oidc verifies (signature,
// issuer, expiry), the step insists on a subject, on a bounded lifetime, on
// asymmetric algorithms and on a token that is meant for logging in.
//
// The issuer is asked for its keys when the first token arrives, and again
// when a token names a key that is not known, but not more often than once in
// ten seconds, whatever clients send. Keys are renewed every hour; if the
// issuer cannot be reached, those at hand are used for a day. After that, and
// while there are none, logins fail.
package oidc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
)

// Config says which tokens are accepted. Issuer and Audiences are required.
type Config struct {
	// Issuer is the issuer's URL, exactly as its tokens name it. It must use
	// https unless it is on a loopback address.
	Issuer string

	// Audiences are the values of which aud must contain one: the client id
	// that the issuer gave to this gateway.
	Audiences []string

	// Groups names the claim that becomes Identity.Groups: a list of strings
	// or one string. A path such as realm_access.roles leads into objects.
	// "groups" by default.
	Groups string

	// Kinds decide the kind of identity; the first that matches counts. If
	// none does, a token with an actor (act, RFC 8693) is an Agent, one that
	// a client got for itself, a CI job or a service account is a Workload,
	// and anything else is a Human.
	Kinds []KindRule

	// Require lists claims that must be there, each with a pattern for its
	// value, in which * stands for any run of characters. In a list one
	// element must match.
	Require map[string]string

	// MaxAge is the longest time between iat and exp, 24 hours by default.
	// Tokens that live longer are refused: they are passwords in disguise.
	MaxAge time.Duration

	// Skew is how far iat and nbf may lie in the future, 30 seconds by
	// default, at most 5 minutes. Expiry has no tolerance.
	Skew time.Duration

	// Session is how long a session may last from its login. By default it
	// ends when the token expires.
	Session time.Duration

	// Algorithms are the signature algorithms accepted: by default RS, PS and
	// ES with 256, 384 and 512 bits, and EdDSA. Symmetric ones cannot be.
	Algorithms []string

	// HTTPClient reaches the issuer. By default a client of its own; without
	// a Timeout of its own it gets one of ten seconds.
	HTTPClient *http.Client

	// AllowPlain accepts tokens from other machines over connections without
	// encryption, for a network that encrypts by other means.
	AllowPlain bool

	// Eager asks the issuer before Authenticate returns, and fails if it does
	// not answer. Otherwise an issuer that is down does not keep the gateway
	// from starting; logins fail meanwhile.
	Eager bool
}

// A KindRule gives the identity's kind for tokens whose claim matches. Match
// is a pattern, in which * stands for any run of characters.
type KindRule struct {
	Claim string
	Match string
	Kind  protocol.IdentityKind
}

const (
	timeout    = 10 * time.Second // for one request to the issuer
	maxSkew    = 5 * time.Minute
	defaultAge = 24 * time.Hour
)

var algorithms = []string{
	gooidc.RS256, gooidc.RS384, gooidc.RS512, gooidc.PS256, gooidc.PS384, gooidc.PS512,
	gooidc.ES256, gooidc.ES384, gooidc.ES512, gooidc.EdDSA,
}

// Authenticate returns the step "oidc", which accepts tokens of one issuer.
// Several issuers are several steps: about another issuer's token, and about
// what is not a token at all, a step has no opinion. A token of its issuer
// that is not good refuses the login, with a reason for whoever sent it; so one
// issuer is one step, with all its audiences. ctx is used only if Config.Eager
// is set.
func Authenticate(ctx context.Context, c Config) (middleware.Step, error) {
	if err := c.check(); err != nil {
		return middleware.Step{}, err
	}
	a := &authenticator{Config: c, issuer: newIssuer(c)}
	if c.Eager {
		if _, err := a.issuer.verifier(ctx); err != nil {
			return middleware.Step{}, err
		}
	}
	return middleware.Step{Name: stepName, Authenticate: a.authenticate, Recheck: a.recheck, Close: a.issuer.close}, nil
}

const stepName = "oidc"

// check fills in the defaults and says what is wrong.
func (c *Config) check() error {
	if err := secureURL(c.Issuer); err != nil {
		return fmt.Errorf("issuer %q: %w", c.Issuer, err)
	}
	if len(c.Audiences) == 0 || slices.Contains(c.Audiences, "") {
		return fmt.Errorf("issuer %s: audiences are required, and none may be empty: without them a token made for any other program would open this gateway", c.Issuer)
	}
	if c.Groups == "" {
		c.Groups = "groups"
	}
	if c.MaxAge == 0 {
		c.MaxAge = defaultAge
	}
	if c.Skew == 0 {
		c.Skew = 30 * time.Second
	}
	if c.MaxAge < 0 || c.Session < 0 || c.Skew < 0 || c.Skew > maxSkew {
		return fmt.Errorf("issuer %s: max_age and session must not be negative, and skew lies between 0 and %v", c.Issuer, maxSkew)
	}
	if len(c.Algorithms) == 0 {
		c.Algorithms = algorithms
	}
	for _, a := range c.Algorithms {
		if !slices.Contains(algorithms, a) {
			return fmt.Errorf("issuer %s: algorithm %q is not one of %s", c.Issuer, a, strings.Join(algorithms, ", "))
		}
	}
	for _, k := range c.Kinds {
		switch {
		case k.Claim == "" || k.Match == "":
			return fmt.Errorf("issuer %s: a kind needs claim and match", c.Issuer)
		case k.Kind != protocol.Human && k.Kind != protocol.Workload && k.Kind != protocol.Agent:
			return fmt.Errorf("issuer %s: kind %q is not human, workload or agent", c.Issuer, k.Kind)
		}
	}
	return nil
}

// secureURL reports why keys that come from raw could not be trusted.
func secureURL(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return errors.New("not a URL")
	case u.Host == "" || u.User != nil || u.Fragment != "":
		return errors.New("want a URL such as https://id.example.com")
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && (u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback()):
		return nil
	}
	return errors.New("must use https: whoever can change its answers can log in as anybody")
}

type authenticator struct {
	Config
	issuer *issuer
}

func (a *authenticator) authenticate(ctx context.Context, l *protocol.Login) (*protocol.Identity, error) {
	var secret protocol.Secret
	plain := false
	switch p := l.Proof.(type) {
	case protocol.Password:
		secret, plain = p.Secret, !p.TLS && !loopback(l.Remote)
	case protocol.Token:
		secret = p.Secret
	default:
		return nil, nil
	}
	raw := secret.Reveal()
	t, ok := peek(raw)
	if !ok || t.issuer != a.Issuer {
		return nil, nil
	}
	if plain && !a.AllowPlain {
		return nil, refuse("a token that was sent without encryption is not accepted", "connect with TLS, and get a new token")
	}
	if err := t.meantForLogin(a.Algorithms); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	claims, err := a.verify(ctx, raw)
	if err != nil {
		return nil, err
	}
	return a.identity(claims, time.Now())
}

// verify checks the signature and what go-oidc knows of.
func (a *authenticator) verify(ctx context.Context, raw string) (claims, error) {
	v, err := a.issuer.verifier(ctx)
	if err != nil {
		return nil, err
	}
	var trouble error
	token, err := v.Verify(context.WithValue(ctx, troubleKey{}, &trouble), raw)
	var expired *gooidc.TokenExpiredError
	switch {
	case err == nil:
	case errors.As(err, &expired):
		return nil, refuse("the token expired at "+expired.Expiry.UTC().Format(time.RFC3339), "sign in again and connect with the new token")
	case trouble != nil:
		return nil, fmt.Errorf("issuer %s: the keys could not be fetched: %w", a.Issuer, trouble)
	default:
		return nil, refuseInvalid()
	}
	var c claims
	if err := token.Claims(&c); err != nil {
		return nil, refuseInvalid()
	}
	return c, nil
}

func loopback(a net.Addr) bool {
	if a == nil {
		return false
	}
	if a.Network() == "unix" {
		return true
	}
	host, _, err := net.SplitHostPort(a.String())
	return err == nil && net.ParseIP(host).IsLoopback()
}

func refuse(reason, hint string) error {
	return &protocol.DeniedError{Step: stepName, Reason: reason, Hint: hint}
}

// refuseInvalid does not tell what exactly is wrong: whoever forges tokens
// would be the one to read it.
func refuseInvalid() error {
	return refuse("the token is not valid: its signature does not fit, or its content is malformed", "get a new token from the issuer")
}
