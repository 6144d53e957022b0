package config

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

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

// UnmarshalYAML reads {env: ...}, {file: ...} or {value: ...}. Its errors name
// nothing that it found: whoever mistypes the form may have put the secret in
// the place of a key.
func (s *Secret) UnmarshalYAML(node ast.Node) error {
	fail := func(n ast.Node) error {
		return &yaml.SyntaxError{Token: n.GetToken(), Message: "secret: want {env: NAME}, {file: PATH} or {value: TEXT}, a text in quotes"}
	}
	m, ok := node.(ast.MapNode)
	if !ok {
		return fail(node)
	}
	for it := m.MapRange(); it.Next(); {
		var v string
		switch n := it.Value().(type) {
		case *ast.StringNode:
			v = n.Value
		case *ast.LiteralNode:
			v = n.Value.Value
		default:
			return fail(it.Key())
		}
		switch it.Key().GetToken().Value {
		case "env":
			s.Env = v
		case "file":
			s.File = v
		case "value":
			s.Value = protocol.NewSecret(v)
		default:
			return fail(it.Key())
		}
	}
	return nil
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
