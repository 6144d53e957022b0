package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"github.com/sallyport-dev/gateway"
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
			Logger: a.logger(&c.settings)}
		switch {
		case s.MaxChannels < 0 || s.MaxAuthTries < 0 || s.LoginTimeout < 0:
			return nil, errors.New("max_channels, max_auth_tries and login_timeout must not be negative")
		case len(s.HostKeys) == 0:
			return nil, errors.New("host_keys: clients know the gateway by its key: make one with 'ssh-keygen -t ed25519 -N \"\" -f host_key' and name its file")
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
		return srv, nil
	}}
}
