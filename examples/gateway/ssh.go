package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"github.com/sallyport-dev/gateway"
	"github.com/sallyport-dev/gateway/middleware/oidc"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/ssh"
)

// sshSettings are the settings of an SSH listener.
type sshSettings struct {
	HostKeys     []string      `yaml:"host_keys"` // files with private keys, as ssh-keygen writes them
	UserCAs      []string      `yaml:"user_cas"`  // public keys, as in authorized_keys
	Banner       string        `yaml:"banner"`
	MaxChannels  int           `yaml:"max_channels"`
	MaxAuthTries int           `yaml:"max_auth_tries"`
	LoginTimeout time.Duration `yaml:"login_timeout"`

	AnswerTimeout time.Duration    `yaml:"answer_timeout"`
	FileHash      ssh.FileHash     `yaml:"file_hash"`
	Login         sshLoginSettings `yaml:"login"`
}

// sshLoginSettings say where people without a key log in with a browser. The page
// is below /ssh/ at the address of admin.
type sshLoginSettings struct {
	Issuer       string   `yaml:"issuer"`
	ClientID     string   `yaml:"client_id"`
	ClientSecret string   `yaml:"client_secret_env"` // name an environment variable
	Scopes       []string `yaml:"scopes"`
}

// page returns the page, which admin serves.
func (s *sshLoginSettings) page(admin adminSettings) (*ssh.LoginPage, error) {
	if admin.Address == "" {
		return nil, errors.New("without an admin listener nobody could open a link: add 'admin: {address: ..., url: https://...}'")
	}
	var secret protocol.Secret
	if s.ClientSecret != "" {
		if secret = protocol.NewSecret(os.Getenv(s.ClientSecret)); secret.Empty() {
			return nil, fmt.Errorf("environment variable %s is not set", s.ClientSecret)
		}
	}
	l, err := oidc.NewLogin(oidc.LoginConfig{Issuer: s.Issuer, ClientID: s.ClientID, ClientSecret: secret, Scopes: s.Scopes})
	if err != nil {
		return nil, err
	}
	p := &ssh.LoginPage{Login: l, URL: strings.TrimSuffix(admin.url(), "/") + "/ssh"}
	return p, p.Check()
}

// sshKind is the listener "ssh"; see [ssh.Server] for what its settings mean.
func (a *assembly) sshKind(c *configuration) gateway.ServerKind {
	return gateway.ServerKind{Name: "ssh", New: func(decode func(any) error) (protocol.Server, error) {
		var s sshSettings
		if err := decode(&s); err != nil {
			return nil, err
		}
		c.fixed = append(c.fixed, s)
		srv := &ssh.Server{Banner: s.Banner, MaxChannels: s.MaxChannels, MaxAuthTries: s.MaxAuthTries, LoginTimeout: s.LoginTimeout,
			AnswerTimeout: s.AnswerTimeout, FileHash: s.FileHash, Logger: a.logger(&c.settings)}
		switch {
		case s.MaxChannels < 0 || s.MaxAuthTries < 0 || s.LoginTimeout < 0 || s.AnswerTimeout < 0:
			return nil, errors.New("max_channels, max_auth_tries and timeouts must not be negative")
		case len(s.HostKeys) == 0:
			return nil, errors.New("host_keys: clients know the gateway by its key: make one with 'ssh-keygen -t ed25519 -N \"\" -f host_key' and name its file")
		}
		if err := s.FileHash.Check(); err != nil {
			return nil, err
		}
		for _, path := range s.HostKeys {
			pem, err := os.ReadFile(path)
			if err != nil {
				return nil, fmt.Errorf("host_keys: %w", err)
			}
			key, err := xssh.ParsePrivateKey(pem)
			if err != nil {
				return nil, fmt.Errorf("host_keys: %s is not a private key without a passphrase", path) // the cause may quote it
			}
			srv.HostKeys = append(srv.HostKeys, key)
		}
		for _, line := range s.UserCAs {
			key, _, options, _, err := xssh.ParseAuthorizedKey([]byte(line))
			if err != nil || len(options) > 0 {
				return nil, fmt.Errorf("user_cas: %q is not a public key like \"ssh-ed25519 AAAA...\"", line)
			}
			srv.UserCAs = append(srv.UserCAs, key)
		}
		if s.Login.Issuer != "" || s.Login.ClientID != "" {
			if c.sshLogin != nil {
				return nil, errors.New("login: another listener has one, and there is one page: let both use one listener")
			}
			var err error
			if c.sshLogin, err = s.Login.page(c.settings.Admin); err != nil {
				return nil, fmt.Errorf("login: %w", err)
			}
			srv.LoginPage = c.sshLogin
		}
		return srv, nil
	}}
}
