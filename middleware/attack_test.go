package middleware_test

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
)

// A login ends with what made it good: the verifier, the account, the rule.
func TestAttackRecheck(t *testing.T) {
	old := middleware.ScramSecret{User: "app", Verifier: verifier(t), Subject: "alice", Kind: protocol.Human, Groups: []string{"dba"}}
	id, err := middleware.ScramSecrets(old).Authenticate(t.Context(), &protocol.Login{User: "app", Proof: protocol.Challenge{Scheme: "SCRAM-SHA-256",
		Verify: func(context.Context, protocol.Secret) (bool, error) { return true, nil }}})
	require.NoError(t, err)
	changed, less, other := old, old, old
	changed.Verifier, less.Groups, other.User, other.Subject = verifier(t), nil, "other", "other"
	require.True(t, middleware.ScramSecrets(other, old).Recheck(t.Context(), id))
	for _, s := range []middleware.ScramSecret{changed, less, other} {
		require.False(t, middleware.ScramSecrets(s).Recheck(t.Context(), id))
	}

	a := newAuthority(t)
	leaf := a.sign(t, &x509.Certificate{Subject: pkix.Name{CommonName: "alice", OrganizationalUnit: []string{"ops"}}}, a.key)
	rule := middleware.CertificateRule{CA: people, Subject: middleware.CommonName, Kind: protocol.Human, Groups: []string{"staff"}, OrganizationalUnits: true}
	id, err = middleware.Certificates(rule).Authenticate(t.Context(), &protocol.Login{Proof: protocol.Certificate{Chain: []*x509.Certificate{leaf}}})
	require.NoError(t, err)
	require.True(t, middleware.Certificates(rule).Recheck(t.Context(), id))
	for _, change := range []func(*middleware.CertificateRule){
		func(r *middleware.CertificateRule) { r.CA = "CN=Other" },
		func(r *middleware.CertificateRule) { r.Kind = protocol.Agent },
		func(r *middleware.CertificateRule) { r.Groups = nil; r.OrganizationalUnits = false },
		func(r *middleware.CertificateRule) { r.Groups = []string{"staff", "more"} },
		func(r *middleware.CertificateRule) { r.Groups = nil },
		func(r *middleware.CertificateRule) { r.OrganizationalUnits = false },
	} {
		r := rule
		change(&r)
		require.False(t, middleware.Certificates(r).Recheck(t.Context(), id))
	}
}
