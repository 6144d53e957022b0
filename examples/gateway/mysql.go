package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/sallyport-dev/gateway"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/mysql"
)

// mysqlSettings are the settings of a MySQL listener.
type mysqlSettings struct {
	TLS            tlsSettings      `yaml:"tls"`
	RequireTLS     bool             `yaml:"require_tls"`
	AllowPlaintext bool             `yaml:"allow_plaintext"`
	Auth           mysql.AuthMethod `yaml:"auth"`
	Domain         string           `yaml:"domain"`
	Version        string           `yaml:"version"`
	MaxMessage     int              `yaml:"max_message"`
	LoginTimeout   time.Duration    `yaml:"login_timeout"`
	HoldTimeout    time.Duration    `yaml:"hold_timeout"`
}

// mysqlKind is the listener "mysql"; see [mysql.Server] for what its settings
// mean.
func (a *assembly) mysqlKind(c *configuration) gateway.ServerKind {
	return gateway.ServerKind{Name: "mysql", New: func(decode func(any) error) (protocol.Server, error) {
		var s mysqlSettings
		if err := decode(&s); err != nil {
			return nil, err
		}
		c.fixed = append(c.fixed, s)
		srv := &mysql.Server{RequireTLS: s.RequireTLS, AllowPlaintext: s.AllowPlaintext, Auth: s.Auth, Domain: s.Domain, Version: s.Version,
			MaxMessage: s.MaxMessage, LoginTimeout: s.LoginTimeout, HoldTimeout: s.HoldTimeout, Logger: a.logger(&c.settings)}
		challenge := s.Auth == mysql.AuthNative || s.Auth == mysql.AuthCachingSHA2
		switch {
		case s.Auth != "" && s.Auth != mysql.AuthPassword && !challenge:
			return nil, fmt.Errorf("auth: %q is not %s, %s or %s", s.Auth, mysql.AuthPassword, mysql.AuthNative, mysql.AuthCachingSHA2)
		case s.MaxMessage < 0 || s.LoginTimeout < 0 || s.HoldTimeout < 0:
			return nil, errors.New("max_message, login_timeout and hold_timeout must not be negative")
		}
		if err := s.TLS.serve(a, c, &srv.TLS, s.RequireTLS, s.Domain, challenge || s.AllowPlaintext); err != nil {
			return nil, err
		}
		return srv, nil
	}}
}
