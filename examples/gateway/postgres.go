package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/sallyport-dev/gateway"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/postgres"
)

// postgresSettings are the settings of a PostgreSQL listener.
type postgresSettings struct {
	TLS            tlsSettings         `yaml:"tls"`
	RequireTLS     bool                `yaml:"require_tls"`
	AllowPlaintext bool                `yaml:"allow_plaintext"`
	Auth           postgres.AuthMethod `yaml:"auth"`
	Domain         string              `yaml:"domain"`
	MaxMessage     int                 `yaml:"max_message"`
	LoginTimeout   time.Duration       `yaml:"login_timeout"`
}

// tlsSettings name files in PEM.
type tlsSettings struct {
	Cert     string `yaml:"cert"` // with the intermediate certificates behind it
	Key      string `yaml:"key"`
	ClientCA string `yaml:"client_ca"` // authorities of client certificates; empty: none are asked for
}

// postgresKind is the listener "postgres"; see [postgres.Server] for what its
// settings mean.
func (a *assembly) postgresKind(c *configuration) gateway.ServerKind {
	return gateway.ServerKind{Name: "postgres", New: func(decode func(any) error) (protocol.Server, error) {
		var s postgresSettings
		if err := decode(&s); err != nil {
			return nil, err
		}
		c.fixed = append(c.fixed, s)
		srv := &postgres.Server{RequireTLS: s.RequireTLS, AllowPlaintext: s.AllowPlaintext, Auth: s.Auth, Domain: s.Domain,
			MaxMessage: s.MaxMessage, LoginTimeout: s.LoginTimeout, Logger: a.logger(&c.settings)}
		switch s.Auth {
		case "", postgres.AuthPassword, postgres.AuthSCRAM:
		default:
			return nil, fmt.Errorf("auth: %q is not %s or %s", s.Auth, postgres.AuthPassword, postgres.AuthSCRAM)
		}
		switch {
		case s.MaxMessage < 0 || s.LoginTimeout < 0:
			return nil, errors.New("max_message and login_timeout must not be negative")
		}
		if err := s.TLS.serve(a, c, &srv.TLS, s.RequireTLS, s.Domain, s.Auth == postgres.AuthSCRAM || s.AllowPlaintext); err != nil {
			return nil, err
		}
		return srv, nil
	}}
}

// serve puts what a database's listener serves with into to. require and domain
// are the listener's settings that need TLS; plain says that clients can log in
// without it.
func (t tlsSettings) serve(a *assembly, c *configuration, to **tls.Config, require bool, domain string, plain bool) (err error) {
	switch {
	case t != tlsSettings{}:
		if *to, err = t.config(a.logger(&c.settings)); err != nil {
			return fmt.Errorf("tls: %w", err)
		}
	case require:
		return errors.New("require_tls: there is no certificate: give tls: {cert: ..., key: ...}")
	case domain != "":
		return errors.New("domain: the name comes with TLS: give tls: {cert: ..., key: ...}")
	case !plain:
		return errors.New("nobody could log in: passwords and tokens are taken over TLS only. Give tls: {cert: ..., key: ...}, " +
			"or allow_plaintext: true where the network itself is trusted")
	}
	return nil
}

// clientCAs returns the pool of authorities in a file.
func clientCAs(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: there is no certificate in it", path)
	}
	return pool, nil
}

// withClients asks clients for certificates, which they need not have.
func withClients(c *tls.Config, pool *x509.CertPool) {
	c.ClientCAs, c.ClientAuth = pool, tls.VerifyClientCertIfGiven
}
