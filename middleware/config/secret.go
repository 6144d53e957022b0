package config

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/sallyport-dev/gateway/protocol"
)

// A Secret says where a secret is; at most one of its fields is set. The zero
// Secret is the empty secret.
type Secret struct {
	Env   string          `yaml:"env"`   // an environment variable
	File  string          `yaml:"file"`  // a file, read each time; one final newline does not count
	Value protocol.Secret `yaml:"value"` // the secret itself
}

// Get returns the secret. Its errors say where it should have been and nothing
// about its value.
func (s Secret) Get(context.Context) (protocol.Secret, error) {
	switch {
	case s.Env != "":
		v, ok := os.LookupEnv(s.Env)
		if !ok {
			return protocol.Secret{}, fmt.Errorf("environment variable %s is not set", s.Env)
		}
		return protocol.NewSecret(v), nil
	case s.File != "":
		b, err := os.ReadFile(s.File)
		if err != nil {
			return protocol.Secret{}, err
		}
		return protocol.NewSecret(strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")), nil
	}
	return s.Value, nil
}

func (s Secret) check() error {
	given := 0
	for _, there := range []bool{s.Env != "", s.File != "", !s.Value.Empty()} {
		if there {
			given++
		}
	}
	if given > 1 {
		return errors.New("secret: give one of env, file and value")
	}
	return nil
}
