package main

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
)

func issue(t *testing.T, ca *servers.Authority, name string) (chain, key []byte) {
	t.Helper()
	cert, err := ca.Issue(servers.Subject{CommonName: name, Hosts: []string{"localhost"}})
	require.NoError(t, err)
	chain, key, err = servers.EncodePEM(cert)
	require.NoError(t, err)
	return chain, key
}

func TestCertificateFollowsItsFiles(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "crt"), filepath.Join(dir, "key")
	ca, err := servers.NewAuthority("test")
	require.NoError(t, err)
	put := func(file string, b []byte) { require.NoError(t, os.WriteFile(file, b, 0o600)) }
	_, err = newCertificate(certFile, keyFile, slog.New(slog.DiscardHandler))
	require.Error(t, err)

	chain, key := issue(t, ca, "one")
	put(certFile, chain)
	put(keyFile, key)
	c, err := newCertificate(certFile, keyFile, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	name := func() string {
		c.looked = time.Time{} // as if a second had passed
		got, err := c.get(&tls.ClientHelloInfo{})
		require.NoError(t, err)
		leaf, err := x509.ParseCertificate(got.Certificate[0])
		require.NoError(t, err)
		return leaf.Subject.CommonName
	}
	require.Equal(t, "one", name())

	chain, key = issue(t, ca, "number two")
	put(certFile, chain)
	require.Equal(t, "one", name(), "between the two writes the old certificate stays")
	put(keyFile, key)
	require.Equal(t, "number two", name())
	require.NoError(t, os.Remove(keyFile))
	require.Equal(t, "number two", name())
}
