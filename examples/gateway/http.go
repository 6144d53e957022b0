package main

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/sallyport-dev/gateway"
	"github.com/sallyport-dev/gateway/middleware/oidc"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/httpproxy"
)

// httpSettings are the settings of an HTTP listener.
type httpSettings struct {
	TLS             tlsSettings       `yaml:"tls"`
	AllowPlaintext  bool              `yaml:"allow_plaintext"`
	Hosts           map[string]string `yaml:"hosts"` // host name: target
	Domain          string            `yaml:"domain"`
	Paths           bool              `yaml:"paths"`
	Login           loginSettings     `yaml:"login"`
	Assertion       assertionSettings `yaml:"assertion"`
	MaxHead         int               `yaml:"max_head"`
	MaxBody         int64             `yaml:"max_body"`
	MaxDocument     int64             `yaml:"max_document"`
	HoldTimeout     time.Duration     `yaml:"hold_timeout"`
	ResponseTimeout time.Duration     `yaml:"response_timeout"`
}

// loginSettings say where people with a browser log in. A step oidc with the same
// issuer accepts what they bring back.
type loginSettings struct {
	Issuer       string   `yaml:"issuer"`
	ClientID     string   `yaml:"client_id"`
	ClientSecret string   `yaml:"client_secret_env"` // name an environment variable
	CookieKey    string   `yaml:"cookie_key_env"`    // likewise; empty: a restart logs everybody out
	Scopes       []string `yaml:"scopes"`
}

// assertionSettings say how targets are told who sends a request.
type assertionSettings struct {
	Issuer string        `yaml:"issuer"`
	Key    string        `yaml:"key"` // file, PKCS #8 in PEM
	KeyID  string        `yaml:"key_id"`
	Header string        `yaml:"header"`
	TTL    time.Duration `yaml:"ttl"`
}

// httpKind is the listener "http"; see [httpproxy.Server] for what its settings
// mean.
func (a *assembly) httpKind(c *configuration) gateway.ServerKind {
	return gateway.ServerKind{Name: "http", New: func(decode func(any) error) (protocol.Server, error) {
		var s httpSettings
		if err := decode(&s); err != nil {
			return nil, err
		}
		c.fixed = append(c.fixed, s)
		srv := &httpproxy.Server{AllowPlaintext: s.AllowPlaintext, Hosts: map[string]string{}, Domain: s.Domain, Paths: s.Paths, MaxHead: s.MaxHead,
			MaxBody: s.MaxBody, MaxDocument: s.MaxDocument, HoldTimeout: s.HoldTimeout, ResponseTimeout: s.ResponseTimeout, Logger: a.logger(&c.settings)}
		for host, target := range s.Hosts {
			srv.Hosts[strings.ToLower(host)] = target
		}
		switch {
		case s.MaxHead < 0 || s.MaxBody < 0 || s.MaxDocument < 0 || s.HoldTimeout < 0 || s.ResponseTimeout < 0 || s.Assertion.TTL < 0:
			return nil, errors.New("limits and times must not be negative")
		case len(s.Hosts) == 0 && s.Domain == "" && !s.Paths:
			return nil, errors.New("no request could name a target: give domain, hosts or paths: true")
		case s.TLS == tlsSettings{} && !s.AllowPlaintext:
			return nil, errors.New("nobody could log in: passwords and tokens are taken over TLS only. Give tls: {cert: ..., key: ...}, " +
				"or allow_plaintext: true where the network itself is trusted")
		}
		if s.TLS != (tlsSettings{}) {
			var err error
			if srv.TLS, err = s.TLS.config(a.logger(&c.settings)); err != nil {
				return nil, fmt.Errorf("tls: %w", err)
			}
		}
		if s.Login.Issuer != "" || s.Login.ClientID != "" {
			if s.TLS == (tlsSettings{}) {
				return nil, errors.New("login: browsers keep the gateway's cookies over TLS only: give tls: {cert: ..., key: ...}")
			}
			if err := s.Login.into(srv); err != nil {
				return nil, fmt.Errorf("login: %w", err)
			}
		}
		if s.Assertion != (assertionSettings{}) {
			key, err := signingKey(s.Assertion.Key)
			if err != nil {
				return nil, fmt.Errorf("assertion: key: %w", err)
			}
			srv.Assertion = &httpproxy.Assertion{Issuer: s.Assertion.Issuer, Key: key, KeyID: s.Assertion.KeyID, Header: s.Assertion.Header, TTL: s.Assertion.TTL}
			if err := srv.Assertion.Check(); err != nil {
				return nil, err
			}
		}
		return srv, nil
	}}
}

func (s loginSettings) into(srv *httpproxy.Server) error {
	var secrets [2]protocol.Secret
	for i, name := range []string{s.ClientSecret, s.CookieKey} {
		if name == "" {
			continue
		}
		value := os.Getenv(name)
		if value == "" {
			return fmt.Errorf("environment variable %s is not set", name)
		}
		secrets[i] = protocol.NewSecret(value)
	}
	if n := len(secrets[1].Reveal()); n > 0 && n < 32 {
		return errors.New("cookie_key_env: the key is shorter than 32 characters; 'openssl rand -hex 32' makes one")
	}
	srv.CookieKey = secrets[1]
	l, err := oidc.NewLogin(oidc.LoginConfig{Issuer: s.Issuer, ClientID: s.ClientID, ClientSecret: secrets[0], Scopes: s.Scopes})
	if err != nil {
		return err
	}
	srv.Login = l
	return nil
}

// signingKey reads a private key.
func signingKey(path string) (crypto.Signer, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, fmt.Errorf("%s: there is no key in PKCS #8: 'openssl genpkey -algorithm ed25519' makes one", path)
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: not a key in PKCS #8", path) // without a part of it
	}
	s, ok := k.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%s: not a key that signs", path)
	}
	return s, nil
}
