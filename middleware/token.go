package middleware

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
)

// A Token says who presents a token. The token itself is not kept anywhere,
// only its hash.
type Token struct {
	Hash string `yaml:"hash"` // hexadecimal SHA-256 of the token, from NewToken

	Subject string                `yaml:"subject"` // unique among all static identities
	Name    string                `yaml:"name"`
	Email   string                `yaml:"email"`
	Groups  []string              `yaml:"groups"`
	Kind    protocol.IdentityKind `yaml:"kind"` // human, workload or agent

	// OnBehalfOf is whom an agent or a workload acts for, as "issuer|subject".
	OnBehalfOf string `yaml:"on_behalf_of"`

	Expires time.Time `yaml:"expires"` // zero: never
}

// Tokens returns the step that knows the given static tokens, for bootstraps
// and tests; where people log in, use their identity provider. It accepts a
// [protocol.Token], and a [protocol.Password] for clients that can send
// nothing else. Whether passwords may come over an unencrypted connection is
// the connector's to decide and is not checked again here. Who somebody is
// follows from the token alone, never from the account the client named.
//
// Only tokens from [NewToken] are looked at: their form has no room for a
// guessable one. Anything else, and a token that is not listed, is not a proof
// that the step knows.
func Tokens(tokens ...Token) Step {
	s := Step{Name: "tokens"}
	known := make([]knownToken, len(tokens))
	for i, t := range tokens {
		h, err := hex.DecodeString(t.Hash)
		if err != nil || len(h) != sha256.Size {
			// The value is not repeated: it may be a token in the wrong place.
			s.err = fmt.Errorf("token %d (subject %s): the hash is not %d hexadecimal digits", i+1, t.Subject, 2*sha256.Size)
			return s
		}
		id, err := newStatic(protocol.Identity{Subject: t.Subject, Name: t.Name, Email: t.Email,
			Groups: t.Groups, Kind: t.Kind, Expires: t.Expires}, t.OnBehalfOf)
		if err != nil {
			s.err = fmt.Errorf("token %d: %w", i+1, err)
			return s
		}
		k := knownToken{hash: [sha256.Size]byte(h), id: id}
		for _, other := range known[:i] {
			if other.hash == k.hash {
				s.err = fmt.Errorf("token %d: subject %s and subject %s have the same hash", i+1, other.id.Subject, id.Subject)
				return s
			}
		}
		known[i] = k
	}
	s.Authenticate = func(_ context.Context, l *protocol.Login) (*protocol.Identity, error) {
		var secret protocol.Secret
		switch p := l.Proof.(type) {
		case protocol.Token:
			secret = p.Secret
		case protocol.Password:
			secret = p.Secret
		default:
			return nil, nil
		}
		token := secret.Reveal()
		if !isToken(token) {
			return nil, nil
		}
		hash := sha256.Sum256([]byte(token))
		var found *protocol.Identity
		for i := range known { // all of them, so that time tells nothing
			if subtle.ConstantTimeCompare(known[i].hash[:], hash[:]) == 1 {
				found = known[i].id
			}
		}
		if found == nil {
			return nil, nil
		}
		return loginAs(found, "token", hash[:])
	}
	s.Recheck = func(_ context.Context, id *protocol.Identity) bool {
		return slices.ContainsFunc(known, func(k knownToken) bool { return isLogin(id, k.id, "token", k.hash[:]) })
	}
	return s
}

type knownToken struct {
	hash [sha256.Size]byte
	id   *protocol.Identity
}

// TokenKind returns the kind "tokens" for configuration files:
//
//	tokens:
//	  tokens:
//	    - {hash: 9f86d0..., subject: alice, kind: human, groups: [dba]}
func TokenKind() Kind {
	type settings struct {
		Tokens []Token `yaml:"tokens"`
	}
	return KindOf("tokens", func(c settings) (Step, error) {
		s := Tokens(c.Tokens...)
		return s, s.err
	})
}
