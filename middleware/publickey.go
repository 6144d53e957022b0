package middleware

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
)

// A PublicKey says whose an SSH key is.
type PublicKey struct {
	Key string `yaml:"key"` // as in authorized_keys, without options: "ssh-ed25519 AAAA... comment"

	Subject string                `yaml:"subject"` // unique among all static identities
	Name    string                `yaml:"name"`
	Email   string                `yaml:"email"`
	Groups  []string              `yaml:"groups"`
	Kind    protocol.IdentityKind `yaml:"kind"` // human, workload or agent

	// OnBehalfOf is whom an agent or a workload acts for, as "issuer|subject".
	OnBehalfOf string `yaml:"on_behalf_of"`

	Expires time.Time `yaml:"expires"` // zero: never
}

// PublicKeys returns the step that knows the given SSH keys. It accepts a
// [protocol.PublicKey], which connectors make of a key only when the client has
// proven that it holds it. Who somebody is follows from the key alone, never
// from the account the client named. A session ends when its key expires and,
// after a reload, when the key is no longer listed or stands for somebody else.
func PublicKeys(keys ...PublicKey) Step {
	s := Step{Name: "public_keys"}
	known := map[string]*protocol.Identity{} // by the key in wire form
	for i, k := range keys {
		blob, err := parsePublicKey(k.Key)
		if err != nil {
			s.err = fmt.Errorf("key %d (subject %s): %w", i+1, k.Subject, err)
			return s
		}
		id, err := newStatic(protocol.Identity{Subject: k.Subject, Name: k.Name, Email: k.Email,
			Groups: k.Groups, Kind: k.Kind, Expires: k.Expires}, k.OnBehalfOf)
		if err != nil {
			s.err = fmt.Errorf("key %d: %w", i+1, err)
			return s
		}
		if other := known[string(blob)]; other != nil {
			s.err = fmt.Errorf("key %d: subject %s and subject %s have the same key", i+1, other.Subject, id.Subject)
			return s
		}
		known[string(blob)] = id
	}
	s.Authenticate = func(_ context.Context, l *protocol.Login) (*protocol.Identity, error) {
		p, ok := l.Proof.(protocol.PublicKey)
		if !ok || known[string(p.Blob)] == nil {
			return nil, nil
		}
		return loginAs(known[string(p.Blob)], "public key", p.Blob)
	}
	s.Recheck = func(_ context.Context, id *protocol.Identity) bool {
		for blob, k := range known {
			if isLogin(id, k, "public key", []byte(blob)) {
				return true
			}
		}
		return false
	}
	return s
}

// PublicKeyKind returns the kind "public_keys" for configuration files:
//
//	public_keys:
//	  keys:
//	    - {key: ssh-ed25519 AAAA..., subject: alice, kind: human, groups: [ops]}
func PublicKeyKind() Kind {
	type settings struct {
		Keys []PublicKey `yaml:"keys"`
	}
	return KindOf("public_keys", func(c settings) (Step, error) {
		s := PublicKeys(c.Keys...)
		return s, s.err
	})
}

// parsePublicKey returns the key of a line of authorized_keys in wire form.
func parsePublicKey(line string) ([]byte, error) {
	f := strings.Fields(line)
	if len(f) < 2 {
		return nil, errors.New(`a key is written like "ssh-ed25519 AAAA..."`)
	}
	blob, err := base64.StdEncoding.DecodeString(f[1])
	if err != nil {
		return nil, errors.New(`a key is written like "ssh-ed25519 AAAA...", without options`)
	}
	if len(blob) < 4 || !bytes.HasPrefix(blob[4:], []byte(f[0])) || binary.BigEndian.Uint32(blob) != uint32(len(f[0])) {
		return nil, fmt.Errorf("the key is not of the type %s", f[0])
	}
	if strings.Contains(f[0], "-cert-") {
		return nil, errors.New("this is a certificate: list its authority with ssh_certificates")
	}
	return blob, nil
}

// A SSHCertificateRule says whom certificates of one SSH authority stand for.
type SSHCertificateRule struct {
	// Authority is the authority's public key, as in authorized_keys. It is the
	// identity's Issuer, by its fingerprint. The connector decides which
	// authorities are trusted at all.
	Authority string `yaml:"authority"`

	// Subject is "key_id", what the authority calls the holder, or "principal",
	// the account that the client named and the certificate is good for.
	Subject string `yaml:"subject"`

	Kind   protocol.IdentityKind `yaml:"kind"`   // human, workload or agent
	Groups []string              `yaml:"groups"` // of everybody with such a certificate

	// Revoked are the key ids, and RevokedSerials the serial numbers, of
	// certificates that are no longer good.
	Revoked        []string `yaml:"revoked"`
	RevokedSerials []uint64 `yaml:"revoked_serials"`
}

// SSHCertificates returns the step that knows clients by an OpenSSH user
// certificate. The session ends when the certificate does and, after a reload,
// when it has been revoked. A certificate of an authority without a rule is not
// a proof that the step knows.
func SSHCertificates(rules ...SSHCertificateRule) Step {
	s := Step{Name: "ssh_certificates"}
	rs := map[string]SSHCertificateRule{} // by fingerprint
	for i, r := range rules {
		blob, err := parsePublicKey(r.Authority)
		if err != nil {
			s.err = fmt.Errorf("rule %d: authority: %w", i+1, err)
			return s
		}
		sum := sha256.Sum256(blob)
		print := "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
		if _, twice := rs[print]; twice {
			s.err = fmt.Errorf("authority %s is listed twice", print)
			return s
		}
		if r.Subject != "key_id" && r.Subject != "principal" {
			s.err = fmt.Errorf("authority %s: subject %q is not key_id or principal", print, r.Subject)
			return s
		}
		switch r.Kind {
		case protocol.Human, protocol.Workload, protocol.Agent:
		default:
			s.err = fmt.Errorf("authority %s: kind %q is not one of human, workload, agent", print, r.Kind)
			return s
		}
		r.Groups = slices.Clone(r.Groups)
		rs[print] = r
	}
	s.Authenticate = func(_ context.Context, l *protocol.Login) (*protocol.Identity, error) {
		p, ok := l.Proof.(protocol.SSHCertificate)
		r, known := rs[p.Authority]
		if !ok || !known {
			return nil, nil
		}
		subject := p.Principal
		if r.Subject == "key_id" {
			subject = p.KeyID
		}
		switch {
		case subject == "":
			return nil, &protocol.DeniedError{Step: s.Name, Reason: "the certificate does not say whose it is", Hint: "ask whoever issued it"}
		case r.revoked(p.KeyID, p.Serial):
			return nil, &protocol.DeniedError{Step: s.Name, Reason: "the certificate has been revoked", Hint: "ask whoever issued it"}
		}
		return &protocol.Identity{Issuer: p.Authority, Subject: subject, Name: p.KeyID, Kind: r.Kind, Groups: slices.Clone(r.Groups),
			Method: "ssh certificate", AuthTime: time.Now(), Expires: p.Expires,
			Claims: map[string]any{"key_id": p.KeyID, "serial": p.Serial}}, nil
	}
	s.Recheck = func(_ context.Context, id *protocol.Identity) bool {
		r, ok := rs[id.Issuer]
		keyID, _ := id.Claims["key_id"].(string)
		serial, _ := id.Claims["serial"].(uint64)
		return ok && id.Method == "ssh certificate" && id.Kind == r.Kind && slices.Equal(id.Groups, r.Groups) && !r.revoked(keyID, serial) &&
			(r.Subject != "key_id" || id.Subject == keyID)
	}
	return s
}

func (r *SSHCertificateRule) revoked(keyID string, serial uint64) bool {
	return slices.Contains(r.Revoked, keyID) || slices.Contains(r.RevokedSerials, serial)
}

// SSHCertificateKind returns the kind "ssh_certificates" for configuration
// files:
//
//	ssh_certificates:
//	  rules:
//	    - {authority: ssh-ed25519 AAAA..., subject: key_id, kind: human}
func SSHCertificateKind() Kind {
	type settings struct {
		Rules []SSHCertificateRule `yaml:"rules"`
	}
	return KindOf("ssh_certificates", func(c settings) (Step, error) {
		s := SSHCertificates(c.Rules...)
		return s, s.err
	})
}
