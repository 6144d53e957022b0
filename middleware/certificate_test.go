package middleware_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
)

// authority signs certificates for tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(tb testing.TB) *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(tb, err)
	a := &authority{key: key}
	a.cert = a.sign(tb, &x509.Certificate{Subject: pkix.Name{CommonName: "People", Organization: []string{"Example"}},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, key)
	return a
}

func (a *authority) sign(tb testing.TB, c *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	c.SerialNumber = big.NewInt(time.Now().UnixNano())
	if c.NotAfter.IsZero() {
		c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	parent := a.cert
	if parent == nil {
		parent = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, a.key)
	require.NoError(tb, err)
	out, err := x509.ParseCertificate(der)
	require.NoError(tb, err)
	return out
}

const people = "CN=People,O=Example"

func TestCertificates(t *testing.T) {
	a := newAuthority(t)
	spiffe, err := url.Parse("spiffe://example/alice")
	require.NoError(t, err)
	leaf := func(edit func(*x509.Certificate)) []*x509.Certificate {
		c := &x509.Certificate{Subject: pkix.Name{CommonName: "Alice", OrganizationalUnit: []string{"dba"}},
			EmailAddresses: []string{"alice@example.com"}, URIs: []*url.URL{spiffe}, DNSNames: []string{"alice.example"}}
		if edit != nil {
			edit(c)
		}
		return []*x509.Certificate{a.sign(t, c, a.key), a.cert}
	}
	login := func(name middleware.CertificateName, chain []*x509.Certificate) (*protocol.Identity, error) {
		s := middleware.Certificates(middleware.CertificateRule{CA: people, Subject: name, Kind: protocol.Human,
			Groups: []string{"staff"}, OrganizationalUnits: true})
		return s.Authenticate(t.Context(), &protocol.Login{User: "root", Proof: protocol.Certificate{Chain: chain}})
	}
	for name, subject := range map[middleware.CertificateName]string{
		middleware.EmailName: "alice@example.com", middleware.URIName: "spiffe://example/alice",
		middleware.DNSName: "alice.example", middleware.CommonName: "Alice",
	} {
		chain := leaf(nil)
		id, err := login(name, chain)
		require.NoError(t, err)
		require.Equal(t, protocol.Key{Issuer: people, Subject: subject}, id.Key())
		require.Equal(t, []string{"staff", "dba"}, id.Groups)
		require.Equal(t, chain[0].NotAfter, id.Expires)
		require.Equal(t, "alice@example.com", id.Email)
	}
	for name, edit := range map[string]func(*x509.Certificate){
		"two names": func(c *x509.Certificate) { c.EmailAddresses = append(c.EmailAddresses, "root@example.com") },
		"no name":   func(c *x509.Certificate) { c.EmailAddresses = nil },
		"expired":   func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Second) },
		"too early": func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(time.Minute), time.Now().Add(time.Hour)
		},
		"authority": func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true },
	} {
		t.Run(name, func(t *testing.T) {
			_, err := login(middleware.EmailName, leaf(edit))
			var denied *protocol.DeniedError
			require.ErrorAs(t, err, &denied)
		})
	}
	other := &authority{key: a.key}
	other.cert = other.sign(t, &x509.Certificate{Subject: pkix.Name{CommonName: "Other"}, IsCA: true, BasicConstraintsValid: true}, a.key)
	for _, p := range []protocol.Proof{
		protocol.Certificate{}, protocol.Token{},
		protocol.Certificate{Chain: []*x509.Certificate{other.sign(t, &x509.Certificate{EmailAddresses: []string{"alice@example.com"}}, a.key)}},
	} {
		s := middleware.Certificates(middleware.CertificateRule{CA: people, Subject: middleware.EmailName, Kind: protocol.Human})
		id, err := s.Authenticate(t.Context(), &protocol.Login{Proof: p})
		require.NoError(t, err)
		require.Nil(t, id)
	}
}

// TestCertificateOfARealHandshake takes the chain that crypto/tls verified.
func TestCertificateOfARealHandshake(t *testing.T) {
	a := newAuthority(t)
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	leaf := a.sign(t, &x509.Certificate{Subject: pkix.Name{CommonName: "Alice"}, DNSNames: []string{"gw"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}}, a.key)
	pair := tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: a.key}
	near, far := net.Pipe()
	server := tls.Server(near, &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: roots, ClientAuth: tls.RequireAndVerifyClientCert})
	client := tls.Client(far, &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots, ServerName: "gw"})
	done := make(chan error, 1)
	go func() { done <- client.HandshakeContext(t.Context()) }()
	require.NoError(t, server.HandshakeContext(t.Context()))
	require.NoError(t, <-done)
	state := server.ConnectionState()
	require.NoError(t, near.Close())
	require.NoError(t, far.Close())

	s := middleware.Certificates(middleware.CertificateRule{CA: people, Subject: middleware.CommonName, Kind: protocol.Human})
	id, err := s.Authenticate(t.Context(), &protocol.Login{TLS: &state, Proof: protocol.Certificate{Chain: state.VerifiedChains[0]}})
	require.NoError(t, err)
	require.Equal(t, protocol.Key{Issuer: people, Subject: "Alice"}, id.Key())
}

func TestCertificatesRefuseTheirSettings(t *testing.T) {
	ok := middleware.CertificateRule{CA: people, Subject: middleware.EmailName, Kind: protocol.Human}
	for text, spoil := range map[string]func(*middleware.CertificateRule){
		"no ca":   func(r *middleware.CertificateRule) { r.CA = "" },
		"subject": func(r *middleware.CertificateRule) { r.Subject = "" },
		"kind":    func(r *middleware.CertificateRule) { r.Kind = "" },
	} {
		r := ok
		spoil(&r)
		refusedStep(t, middleware.Certificates(r), text)
	}
	refusedStep(t, middleware.Certificates(ok, ok), "twice")
}

func TestCertificateKind(t *testing.T) {
	s := fromYAML(t, middleware.CertificateKind(), `rules: [{ca: "CN=People,O=Example", subject: uri, kind: workload, organizational_units: true}]`)
	require.NotNil(t, s.Authenticate)
	require.ErrorContains(t, badYAML(middleware.CertificateKind(), `rules: [{ca: "CN=People", subject: mail, kind: human}]`), "subject")
}

func ExampleCertificates() {
	step := middleware.Certificates(middleware.CertificateRule{
		CA: "CN=People,O=Example", Subject: middleware.EmailName, Kind: protocol.Human, OrganizationalUnits: true})
	// A connector takes the chain from the TLS handshake that verified it.
	leaf := &x509.Certificate{Issuer: pkix.Name{CommonName: "People", Organization: []string{"Example"}},
		Subject:        pkix.Name{CommonName: "Alice", OrganizationalUnit: []string{"dba"}},
		EmailAddresses: []string{"alice@example.com"}, NotAfter: time.Now().Add(time.Hour)}
	id, err := step.Authenticate(context.Background(), &protocol.Login{Proof: protocol.Certificate{Chain: []*x509.Certificate{leaf}}})
	fmt.Println(id.Issuer, id.Subject, id.Groups, err)
	// Output: CN=People,O=Example alice@example.com [dba] <nil>
}
