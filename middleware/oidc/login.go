package oidc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/sallyport-dev/gateway/protocol"
)

// A LoginConfig says where people who use a browser log in. Issuer and ClientID
// are required.
type LoginConfig struct {
	Issuer   string // as in [Config]
	ClientID string // which the step's audiences have to contain

	// ClientSecret is what the issuer gave to this gateway. Empty: the client
	// is a public one, which PKCE alone protects.
	ClientSecret protocol.Secret

	Scopes     []string     // openid is always among them; nil means profile and email
	HTTPClient *http.Client // as in [Config]
}

// A Login sends browsers to an issuer, with the authorization code flow and
// PKCE, and brings back ID tokens, for connectors that serve browsers. Whether
// a token is accepted is the step's to say: see [Authenticate]. It is safe for
// use by many goroutines.
type Login struct {
	c LoginConfig

	provider atomic.Pointer[gooidc.Provider]
	busy     chan struct{} // holds one element while somebody asks the issuer

	// Owned by who holds busy.
	failedAt time.Time
	failure  error
}

// NewLogin returns a login. The issuer is asked when the first browser comes.
func NewLogin(c LoginConfig) (*Login, error) {
	if err := secureURL(c.Issuer); err != nil {
		return nil, fmt.Errorf("issuer %q: %w", c.Issuer, err)
	}
	if c.ClientID == "" {
		return nil, errors.New("a client id is required")
	}
	if c.Scopes == nil {
		c.Scopes = []string{"profile", "email"}
	}
	if !slices.Contains(c.Scopes, gooidc.ScopeOpenID) {
		c.Scopes = append([]string{gooidc.ScopeOpenID}, c.Scopes...)
	}
	if c.HTTPClient == nil {
		c.HTTPClient = &http.Client{Timeout: timeout}
	}
	// No answer of an issuer is large.
	own := *c.HTTPClient
	next := own.Transport
	if next == nil {
		next = http.DefaultTransport
	}
	own.Transport = bounded{next}
	if own.Timeout == 0 {
		own.Timeout = timeout
	}
	c.HTTPClient = &own
	return &Login{c: c, busy: make(chan struct{}, 1)}, nil
}

// config returns the client's settings, with what the issuer says about itself.
func (l *Login) config(ctx context.Context, redirect string) (context.Context, *oauth2.Config, *gooidc.Provider, error) {
	ctx = gooidc.ClientContext(ctx, l.c.HTTPClient)
	p, err := l.discovered(ctx)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("issuer %s: %w", l.c.Issuer, err)
	}
	return ctx, &oauth2.Config{ClientID: l.c.ClientID, ClientSecret: l.c.ClientSecret.Reveal(), Endpoint: p.Endpoint(),
		RedirectURL: redirect, Scopes: l.c.Scopes}, p, nil
}

// discovered returns what the issuer says about itself. One caller asks, and the
// others, who wait, share what it heard.
func (l *Login) discovered(ctx context.Context) (*gooidc.Provider, error) {
	if p := l.provider.Load(); p != nil {
		return p, nil
	}
	select {
	case l.busy <- struct{}{}:
		defer func() { <-l.busy }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if p := l.provider.Load(); p != nil {
		return p, nil
	}
	if l.failure != nil && time.Since(l.failedAt) < refetchAfter {
		return nil, l.failure
	}
	// The provider keeps its context for fetching keys later.
	p, err := gooidc.NewProvider(context.WithoutCancel(ctx), l.c.Issuer)
	if err != nil {
		l.failure, l.failedAt = err, time.Now()
		return nil, err
	}
	l.failure = nil
	l.provider.Store(p)
	return p, nil
}

// Begin returns the address that a browser is sent to.
func (l *Login) Begin(ctx context.Context, redirect, state, verifier, nonce string) (string, error) {
	_, c, _, err := l.config(ctx, redirect)
	if err != nil {
		return "", err
	}
	return c.AuthCodeURL(state, oauth2.S256ChallengeOption(verifier), gooidc.Nonce(nonce)), nil
}

// Finish exchanges code for an ID token, which is the issuer's, for this client,
// and of this login.
func (l *Login) Finish(ctx context.Context, redirect, code, verifier, nonce string) (protocol.Secret, error) {
	ctx, c, p, err := l.config(ctx, redirect)
	if err != nil {
		return protocol.Secret{}, err
	}
	got, err := c.Exchange(ctx, code, oauth2.VerifierOption(verifier))
	if err != nil {
		return protocol.Secret{}, fmt.Errorf("issuer %s: the code was not exchanged: %w", l.c.Issuer, err)
	}
	raw, _ := got.Extra("id_token").(string)
	if raw == "" {
		return protocol.Secret{}, fmt.Errorf("issuer %s: there is no ID token in its answer", l.c.Issuer)
	}
	token, err := p.VerifierContext(ctx, &gooidc.Config{ClientID: l.c.ClientID, SupportedSigningAlgs: algorithms}).Verify(ctx, raw)
	if err != nil {
		return protocol.Secret{}, fmt.Errorf("issuer %s: %w", l.c.Issuer, err)
	}
	if token.Nonce != nonce {
		return protocol.Secret{}, fmt.Errorf("issuer %s: the ID token is of another login", l.c.Issuer)
	}
	return protocol.NewSecret(raw), nil
}
