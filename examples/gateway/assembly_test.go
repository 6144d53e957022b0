package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/middleware/config"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
)

// build makes the one step of a file and closes it again.
func build(t *testing.T, kind middleware.Kind, text string) error {
	t.Helper()
	f, err := config.Read(strings.NewReader("steps:\n- "+text), "g.yaml", nil)
	require.NoError(t, err)
	steps, err := f.Build([]middleware.Kind{kind})
	require.NoError(t, config.Close(steps))
	return err
}

// What check says about record is what run would say.
func TestDryRecordUnderstandsTheSameSettings(t *testing.T) {
	for _, s := range []string{
		"dir: D", "dir: D, strict: true", "dir: D, segment_size: 1048576", "dir: D, min_free: 1", "dir: D, accept_gap: true",
		"dir: D, hide_args: true", "dir: D, hide_text: true", "dir: D, hide_key: abc",
		"", "strict: true", "dir: D, strikt: true", "dir: D, segment_size: -1", "dir: D, segment_age: 24h", "dir: D, segment_age: -1h", "dir: D, min_free: x", "dir: [D]",
	} {
		t.Run(s, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "journal")
			text := "record: {" + strings.ReplaceAll(s, "D", strconv.Quote(dir)) + "}"
			dry := build(t, middleware.DryRecordKind(), text)
			require.NoDirExists(t, dir)
			real := build(t, middleware.RecordKind(&audit.Set{}), text)
			require.Equal(t, real == nil, dry == nil, "record: %v; dry: %v", real, dry)
		})
	}
}

func TestPostgresSettings(t *testing.T) {
	for settings, want := range map[string]string{
		"{}":                      "nobody could log in",
		"{allow_plaintext: true}": "",
		"{auth: scram}":           "",
		"{auth: md5}":             `auth: "md5" is not password or scram`,
		"{require_tls: true}":     "require_tls: there is no certificate",
		"{domain: db.example.com, allow_plaintext: true}":                                  "domain: the name comes with TLS",
		"{tls: {cert: nowhere.crt}}":                                                       "tls: cert and key belong together",
		"{tls: {cert: nowhere.crt, key: nowhere.key}}":                                     "tls: open nowhere.crt",
		"{tls: {cert: tls/gateway.crt, key: tls/gateway.key, client_ca: ca.pem}}":          "",
		"{tls: {cert: tls/gateway.crt, key: tls/gateway.key, client_ca: tls/gateway.key}}": "there is no certificate in it",
		"{allow_plaintext: true, login_timeout: 5s, max_message: 1048576}":                 "",
		"{allow_plaintext: true, max_message: -1}":                                         "must not be negative",
	} {
		t.Run(settings, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, writeTLS(dir))
			t.Chdir(dir)
			require.NoError(t, os.WriteFile("g.yaml", []byte("listen: [{protocol: postgres, address: ':1', settings: "+settings+
				"}]\nsteps: [record: {dir: j}]\n"), 0o600))
			_, err := (&assembly{dry: true}).load("g.yaml")
			if want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, want)
			require.ErrorContains(t, err, "g.yaml:1:")
		})
	}
}

func TestSSHSettings(t *testing.T) {
	private, public, err := servers.NewSSHKey(t.Context())
	require.NoError(t, err)
	for settings, want := range map[string]string{
		"{}":                                   "host_keys: clients know the gateway by its key",
		"{host_keys: [nowhere]}":               "host_keys: open nowhere",
		"{host_keys: [g.yaml]}":                "host_keys: g.yaml is not a private key",
		"{host_keys: [key]}":                   "",
		"{host_keys: [key], max_channels: -1}": "must not be negative",
		"{host_keys: [key], file_hash: md5}":   `file hash "md5": want blake3 or sha256`,
		"{host_keys: [key], user_cas: [x]}":    `user_cas: "x" is not a public key`,
		"{host_keys: [key], user_cas: ['" + public + "'], banner: hello, login_timeout: 5s}": "",
	} {
		t.Run(settings, func(t *testing.T) {
			t.Chdir(t.TempDir())
			require.NoError(t, os.WriteFile("key", []byte(private.Reveal()), 0o600))
			require.NoError(t, os.WriteFile("g.yaml", []byte("listen: [{protocol: ssh, address: ':1', settings: "+settings+
				"}]\nsteps: [record: {dir: j}]\n"), 0o600))
			_, err := (&assembly{dry: true}).load("g.yaml")
			if want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, want)
			require.ErrorContains(t, err, "g.yaml:1:")
		})
	}
}

func TestAdminSettings(t *testing.T) {
	for _, c := range []struct {
		s    adminSettings
		want string
	}{
		{adminSettings{}, ""},
		{adminSettings{Address: "127.0.0.1:1"}, ""},
		{adminSettings{Address: "[::1]:1"}, ""},
		{adminSettings{Address: "localhost:1"}, ""},
		{adminSettings{URL: "https://x"}, "address is missing"},
		{adminSettings{Address: "7443"}, "want host:port"},
		{adminSettings{Address: ":1"}, "needs tls"},
		{adminSettings{Address: "0.0.0.0:1"}, "needs tls"},
		{adminSettings{Address: "example.com:1"}, "needs tls"},
		{adminSettings{Address: ":1", TLS: tlsSettings{Cert: "c", Key: "k"}}, ""},
		{adminSettings{Address: "127.0.0.1:1", URL: "gateway"}, "want a URL"},
	} {
		err := c.s.check()
		if c.want == "" {
			require.NoError(t, err, c.s)
		} else {
			require.ErrorContains(t, err, c.want, c.s)
		}
	}
}

func TestSSHLoginSettings(t *testing.T) {
	s := sshLoginSettings{Issuer: "https://id.example.com", ClientID: "gateway"}
	_, err := s.page(adminSettings{})
	require.ErrorContains(t, err, "without an admin listener")
	_, err = s.page(adminSettings{Address: "127.0.0.1:1"})
	require.ErrorContains(t, err, "give an address like https://")
	p, err := s.page(adminSettings{Address: "127.0.0.1:1", URL: "https://gateway.example.com/"})
	require.NoError(t, err)
	require.Equal(t, "https://gateway.example.com/ssh", p.URL)
	s.ClientSecret = "SALLYPORT_TEST_NOT_SET"
	_, err = s.page(adminSettings{Address: "127.0.0.1:1", URL: "https://gateway.example.com"})
	require.ErrorContains(t, err, "SALLYPORT_TEST_NOT_SET is not set")
}
