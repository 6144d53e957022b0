package protocol_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol"
)

const hush = "correct horse battery"

// holders are the ways in which a secret may lie in something that is printed.
func holders() map[string]any {
	s := protocol.NewSecret(hush)
	type nested struct {
		Name   string
		Secret protocol.Secret
		Ptr    *protocol.Secret
		List   []protocol.Secret
		Map    map[string]protocol.Secret
	}
	return map[string]any{
		"value":       s,
		"pointer":     &s,
		"slice":       []protocol.Secret{s},
		"map":         map[string]protocol.Secret{"k": s},
		"key":         map[protocol.Secret]string{s: "v"},
		"array":       [1]protocol.Secret{s},
		"struct":      nested{"n", s, &s, []protocol.Secret{s}, map[string]protocol.Secret{"k": s}},
		"to a struct": &nested{"n", s, &s, []protocol.Secret{s}, nil},
		"interface":   struct{ Any any }{s},
		"credentials": protocol.Credentials{User: "app", Secret: s},
		"password":    protocol.Password{Secret: s},
		"token":       protocol.Token{Secret: s},
		"login":       &protocol.Login{Proof: protocol.Password{Secret: s}},
		"unexported":  struct{ secret protocol.Secret }{s},
	}
}

func clean(t *testing.T, how string, out string) {
	t.Helper()
	for _, form := range []string{hush, fmt.Sprintf("%x", hush), fmt.Sprintf("%X", hush), fmt.Sprintf("%v", []byte(hush)), "correct"} {
		require.NotContains(t, out, form, how)
	}
}

func TestSecretPrintsInNoVerb(t *testing.T) {
	for name, v := range holders() {
		for _, verb := range "vTtbcdoOqxXUeEfFgGsp" {
			for _, flags := range []string{"", "+", "#", "-30", "030", " ", ".3"} {
				format := "%" + flags + string(verb)
				clean(t, name+" "+format, fmt.Sprintf(format, v))
			}
		}
		clean(t, name, fmt.Sprint(v))
		clean(t, name, fmt.Errorf("wrapped: %v", v).Error())
	}
	require.Equal(t, "[redacted]", fmt.Sprint(protocol.NewSecret(hush)))
	require.Equal(t, "[redacted]", fmt.Sprintf("%#v", protocol.NewSecret(hush)))
	require.Equal(t, "[redacted]", fmt.Sprint(protocol.Secret{}), "an empty secret does not say that it is empty")
}

func TestSecretEncodesNowhere(t *testing.T) {
	for name, v := range holders() {
		if name == "login" || name == "to a struct" || name == "interface" {
			continue // login has functions; the others are covered below
		}
		if out, err := json.Marshal(v); err == nil {
			clean(t, "json "+name, string(out))
		}
		if out, err := yaml.Marshal(v); err == nil {
			clean(t, "yaml "+name, string(out))
		}
		if out, err := xml.Marshal(v); err == nil {
			clean(t, "xml "+name, string(out))
		}
	}
	out, err := json.Marshal(protocol.Credentials{User: "app", Secret: protocol.NewSecret(hush)})
	require.NoError(t, err)
	require.JSONEq(t, `{"User":"app","Secret":"[redacted]"}`, string(out))
	out, err = yaml.Marshal(map[string]any{"s": protocol.NewSecret(hush), "in": []any{protocol.NewSecret(hush)}})
	require.NoError(t, err)
	clean(t, "yaml", string(out))
	require.Equal(t, 2, strings.Count(string(out), "[redacted]"))
}

func TestSecretLogsNowhere(t *testing.T) {
	var out bytes.Buffer
	opts := &slog.HandlerOptions{Level: slog.LevelDebug, AddSource: true}
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, opts), slog.NewJSONHandler(&out, opts)} {
		log := slog.New(h)
		for name, v := range holders() {
			log.Info(name, "value", v)
			log.With("value", v).WithGroup("g").Info(name, slog.Group("inner", "value", v))
		}
	}
	require.NotEmpty(t, out.String())
	clean(t, "slog", out.String())
}

func TestSecret(t *testing.T) {
	s := protocol.NewSecret(hush)
	require.Equal(t, hush, s.Reveal())
	require.False(t, s.Empty())
	require.True(t, protocol.Secret{}.Empty())
	require.True(t, protocol.NewSecret("").Empty())
	require.Equal(t, "", protocol.Secret{}.Reveal())
	var c struct {
		Secret protocol.Secret `yaml:"secret"`
	}
	require.NoError(t, yaml.Unmarshal([]byte("secret: from a file"), &c))
	require.Equal(t, "from a file", c.Secret.Reveal())
}

func ExampleNewSecret() {
	s := protocol.NewSecret("hunter2")
	fmt.Println(s, len(s.Reveal()))
	// Output: [redacted] 7
}
