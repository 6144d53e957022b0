package oidc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
)

const (
	refetchAfter = 10 * time.Second // the soonest that keys, or a failure to get them, are asked for again
	freshFor     = time.Hour        // after that keys are renewed, so that a withdrawn one stops counting
	usableFor    = 24 * time.Hour   // for so long if the issuer cannot be reached
	maxBody      = 1 << 20          // of a discovery document or a key set
)

// An issuer knows where the keys are and keeps them.
type issuer struct {
	url        string
	client     *http.Client
	algorithms []string

	cur  atomic.Pointer[keys]
	busy chan struct{} // holds one element while somebody asks the issuer

	// Owned by who holds busy.
	failedAt time.Time
	failure  error
}

// keys are what one round of discovery has found.
type keys struct {
	verifier *gooidc.IDTokenVerifier
	since    time.Time
}

func newIssuer(c Config) *issuer {
	var client http.Client
	if c.HTTPClient != nil {
		client = *c.HTTPClient
	}
	if client.Timeout == 0 {
		client.Timeout = timeout
	}
	next := client.Transport
	if next == nil {
		next = http.DefaultTransport
	}
	client.Transport = bounded{next}
	client.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		if len(via) > 3 {
			return errors.New("too many redirects")
		}
		return secureURL(r.URL.String())
	}
	return &issuer{url: c.Issuer, client: &client, algorithms: c.Algorithms, busy: make(chan struct{}, 1)}
}

func (i *issuer) close() error {
	i.client.CloseIdleConnections()
	return nil
}

// verifier returns the verifier over the issuer's keys, which it gets or
// renews if need be. Only one caller asks the issuer at a time; the others go
// on with the keys at hand, or wait if there are none.
func (i *issuer) verifier(ctx context.Context) (*gooidc.IDTokenVerifier, error) {
	cur := i.cur.Load()
	if cur != nil {
		age := time.Since(cur.since)
		if age < freshFor {
			return cur.verifier, nil
		}
		if age < usableFor {
			select {
			case i.busy <- struct{}{}:
				if k, err := i.renew(ctx); err == nil {
					cur = k
				}
				<-i.busy
			default:
			}
			return cur.verifier, nil
		}
	}
	select {
	case i.busy <- struct{}{}:
		defer func() { <-i.busy }()
	case <-ctx.Done():
		return nil, fmt.Errorf("issuer %s: %w", i.url, context.Cause(ctx))
	}
	k, err := i.renew(ctx)
	if err != nil {
		return nil, fmt.Errorf("issuer %s cannot be reached: %w", i.url, err)
	}
	return k.verifier, nil
}

// renew asks the issuer, unless somebody else has just done so. The caller
// holds busy.
func (i *issuer) renew(ctx context.Context) (*keys, error) {
	if cur := i.cur.Load(); cur != nil && time.Since(cur.since) < freshFor {
		return cur, nil
	}
	if i.failure != nil && time.Since(i.failedAt) < refetchAfter {
		return nil, i.failure
	}
	k, err := i.discover(ctx)
	if err != nil {
		i.failure, i.failedAt = err, time.Now()
		return nil, err
	}
	i.failure = nil
	i.cur.Store(k)
	return k, nil
}

// discover does not end with ctx, which belongs to a client: one that leaves
// at the right moment would otherwise make the issuer look down for everybody.
func (i *issuer) discover(ctx context.Context) (*keys, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	p, err := gooidc.NewProvider(gooidc.ClientContext(ctx, i.client), i.url)
	if err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	var doc struct {
		JWKS string `json:"jwks_uri"`
	}
	if err := p.Claims(&doc); err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	if err := secureURL(doc.JWKS); err != nil {
		return nil, fmt.Errorf("discovery: jwks_uri %q: %w", doc.JWKS, err)
	}
	slow := *i.client
	slow.Transport = &seldom{next: i.client.Transport}
	slow.CheckRedirect = func(*http.Request, []*http.Request) error {
		return errors.New("jwks_uri must not be redirected")
	}
	// The first request fills the cache; so keys replace their predecessors
	// only if they could be fetched.
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, doc.JWKS, nil)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	resp, err := slow.Do(r)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	_ = resp.Body.Close()
	set := keySet{gooidc.NewRemoteKeySet(gooidc.ClientContext(context.Background(), &slow), doc.JWKS)}
	return &keys{since: time.Now(), verifier: gooidc.NewVerifier(i.url, set, &gooidc.Config{
		SkipClientIDCheck:    true, // several audiences: see forUs
		SupportedSigningAlgs: i.algorithms,
	})}, nil
}

// keySet tells apart a bad signature and keys that could not be had, which
// Verify reports as the same text.
type keySet struct{ *gooidc.RemoteKeySet }

type troubleKey struct{}

// VerifySignature notes trouble with the issuer where the caller asked for it.
func (s keySet) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	b, err := s.RemoteKeySet.VerifySignature(ctx, jwt)
	var t *troubleError
	if p, ok := ctx.Value(troubleKey{}).(*error); ok && (errors.As(err, &t) || ctx.Err() != nil) {
		*p = err
	}
	return b, err
}

// A troubleError says why an issuer's answer could not be had.
type troubleError struct{ err error }

func (e *troubleError) Error() string { return e.err.Error() }
func (e *troubleError) Unwrap() error { return e.err }

// bounded reads every answer as a whole, up to maxBody, and turns one that is
// no success into an error, without the body, which is not ours to repeat.
type bounded struct{ next http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(r)
	if err != nil {
		return nil, &troubleError{err}
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 400 {
		return nil, &troubleError{fmt.Errorf("the answer is %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))}
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err == nil && len(body) > maxBody {
		err = fmt.Errorf("the answer is larger than %d bytes", maxBody)
	}
	if err != nil {
		return nil, &troubleError{err}
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// seldom asks at most once in refetchAfter and gives the last answer, good or
// bad, in between: go-oidc asks again for every token that names an unknown
// key or has a bad signature, and anybody can send those.
type seldom struct {
	next http.RoundTripper

	mu   sync.Mutex
	last time.Time
	resp *http.Response
	body []byte
	err  error
}

func (s *seldom) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last.IsZero() || time.Since(s.last) >= refetchAfter {
		s.fetch(r)
		s.last = time.Now()
	}
	if s.err != nil {
		return nil, s.err
	}
	resp := *s.resp
	resp.Body = io.NopCloser(bytes.NewReader(s.body))
	return &resp, nil
}

func (s *seldom) fetch(r *http.Request) {
	s.resp, s.err = s.next.RoundTrip(r)
	if s.err == nil {
		s.body, s.err = io.ReadAll(s.resp.Body)
	}
}
