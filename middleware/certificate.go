package middleware

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
)

// A CertificateName says which of a certificate's names is the subject.
type CertificateName string

// The names. Those but CommonName are subject alternative names.
const (
	EmailName  CertificateName = "email"
	URIName    CertificateName = "uri" // such as a SPIFFE ID
	DNSName    CertificateName = "dns"
	CommonName CertificateName = "cn"
)

// A CertificateRule says whom certificates of one authority stand for.
type CertificateRule struct {
	// CA is the distinguished name of the authority that signed the client's
	// certificate, in the form of pkix.Name.String, such as
	// "CN=People,O=Example". It becomes the identity's Issuer. The TLS
	// configuration decides which authorities are trusted at all; if two of
	// them have one name, their certificates are not told apart.
	CA string `yaml:"ca"`

	Subject CertificateName       `yaml:"subject"` // which name is the subject
	Kind    protocol.IdentityKind `yaml:"kind"`    // human, workload or agent

	// Groups are the groups of everybody with such a certificate.
	// OrganizationalUnits adds the units (OU) that the certificate names.
	Groups              []string `yaml:"groups"`
	OrganizationalUnits bool     `yaml:"organizational_units"`
}

// Certificates returns the step that knows clients by the certificate that
// they proved to hold in the TLS handshake. The session ends when the
// certificate does. A certificate of an authority without a rule is not a
// proof that the step knows; one without exactly one name of the kind that
// the rule asks for is refused.
func Certificates(rules ...CertificateRule) Step {
	s := Step{Name: "certificates"}
	rs := make(map[string]CertificateRule, len(rules))
	for i, r := range rules {
		if r.CA == "" {
			s.err = fmt.Errorf("rule %d has no ca", i+1)
			return s
		}
		if _, twice := rs[r.CA]; twice {
			s.err = fmt.Errorf("ca %s is listed twice", r.CA)
			return s
		}
		switch r.Subject {
		case EmailName, URIName, DNSName, CommonName:
		default:
			s.err = fmt.Errorf("ca %s: subject %q is not one of email, uri, dns, cn", r.CA, r.Subject)
			return s
		}
		switch r.Kind {
		case protocol.Human, protocol.Workload, protocol.Agent:
		default:
			s.err = fmt.Errorf("ca %s: kind %q is not one of human, workload, agent", r.CA, r.Kind)
			return s
		}
		r.Groups = slices.Clone(r.Groups)
		rs[r.CA] = r
	}
	s.Authenticate = func(_ context.Context, l *protocol.Login) (*protocol.Identity, error) {
		p, ok := l.Proof.(protocol.Certificate)
		if !ok || len(p.Chain) == 0 {
			return nil, nil
		}
		leaf := p.Chain[0]
		r, ok := rs[leaf.Issuer.String()]
		if !ok {
			return nil, nil
		}
		id, err := r.identity(leaf, time.Now())
		if err != nil {
			return nil, &protocol.DeniedError{Step: s.Name, Reason: "the client certificate was not accepted: " + err.Error(),
				Hint: "ask whoever issued the certificate"}
		}
		return id, nil
	}
	s.Recheck = func(_ context.Context, id *protocol.Identity) bool {
		r, ok := rs[id.Issuer]
		units, _ := id.Claims[unitsClaim].([]string)
		return ok && id.Method == "certificate" && id.Kind == r.Kind && slices.Equal(id.Groups, r.groups(units))
	}
	return s
}

// CertificateKind returns the kind "certificates" for configuration files:
//
//	certificates:
//	  rules:
//	    - {ca: "CN=People,O=Example", subject: email, kind: human}
func CertificateKind() Kind {
	type settings struct {
		Rules []CertificateRule `yaml:"rules"`
	}
	return KindOf("certificates", func(c settings) (Step, error) {
		s := Certificates(c.Rules...)
		return s, s.err
	})
}

// unitsClaim holds the certificate's organizational units.
const unitsClaim = "organizational_units"

func (r *CertificateRule) groups(units []string) []string {
	if r.OrganizationalUnits {
		return slices.Concat(r.Groups, units)
	}
	return slices.Clone(r.Groups)
}

func (r *CertificateRule) identity(leaf *x509.Certificate, now time.Time) (*protocol.Identity, error) {
	switch {
	case leaf.IsCA:
		return nil, errors.New("it is an authority's own")
	case now.Before(leaf.NotBefore) || !now.Before(leaf.NotAfter):
		return nil, errors.New("it is not valid now")
	}
	id := &protocol.Identity{Issuer: r.CA, Name: leaf.Subject.CommonName, Kind: r.Kind, Groups: r.groups(leaf.Subject.OrganizationalUnit),
		Method: "certificate", AuthTime: now, Expires: leaf.NotAfter, Claims: map[string]any{unitsClaim: leaf.Subject.OrganizationalUnit}}
	var names []string
	switch r.Subject {
	case EmailName:
		names = leaf.EmailAddresses
	case DNSName:
		names = leaf.DNSNames
	case URIName:
		for _, u := range leaf.URIs {
			names = append(names, u.String())
		}
	case CommonName:
		if leaf.Subject.CommonName != "" {
			names = []string{leaf.Subject.CommonName}
		}
	}
	if len(names) != 1 || names[0] == "" {
		return nil, fmt.Errorf("it has %d names of the kind %s, and exactly one is needed", len(names), r.Subject)
	}
	id.Subject = names[0]
	if len(leaf.EmailAddresses) == 1 {
		id.Email = leaf.EmailAddresses[0]
	}
	return id, nil
}
