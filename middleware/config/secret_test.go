package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware/config"
	"github.com/sallyport-dev/gateway/protocol"
)

func TestSecret(t *testing.T) {
	get := func(s config.Secret) string {
		t.Helper()
		v, err := s.Get(t.Context())
		require.NoError(t, err)
		return v.Reveal()
	}
	t.Setenv("SECRET_OF_A_TEST", "from the environment")
	require.Equal(t, "from the environment", get(config.Secret{Env: "SECRET_OF_A_TEST"}))
	_, err := config.Secret{Env: "SECRET_THAT_IS_NOT_SET"}.Get(t.Context())
	require.EqualError(t, err, "environment variable SECRET_THAT_IS_NOT_SET is not set")
	require.Equal(t, "v", get(config.Secret{Value: protocol.NewSecret("v")}))
	require.Empty(t, get(config.Secret{}))

	path := filepath.Join(t.TempDir(), "secret")
	_, err = config.Secret{File: path}.Get(t.Context())
	require.ErrorIs(t, err, os.ErrNotExist)
	for text, want := range map[string]string{"a": "a", "a\n": "a", "a\r\n": "a", "a\n\n": "a\n", " a ": " a "} {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		require.Equal(t, want, get(config.Secret{File: path}), "a rotated secret is used at once")
	}
}

func ExampleRead() {
	f, err := config.Read(strings.NewReader(`
targets:
  - {name: orders, protocol: postgres, address: "10.0.0.5:5432", secret: {env: ORDERS_PASSWORD}}
  - {name: hr, protocol: postgres, adress: "10.0.0.6:5432"}
`), "gateway.yaml", nil)
	fmt.Println(f.Targets[0].Name, f.Targets[0].Secret.Env)
	fmt.Println(err)
	// Output:
	// orders ORDERS_PASSWORD
	// gateway.yaml:4:36: target hr: unknown field "adress"
}
