package middleware

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
)

// StaticIssuer is the Issuer of identities that the configuration itself
// vouches for: those of [Tokens] and [ScramSecrets]. The same subject in both
// is the same person.
const StaticIssuer = "static"

// newStatic returns what the identity of a configured subject is made from.
func newStatic(id protocol.Identity, onBehalfOf string) (*protocol.Identity, error) {
	if id.Subject == "" {
		return nil, errors.New("no subject")
	}
	switch id.Kind {
	case protocol.Human, protocol.Workload, protocol.Agent:
	default:
		return nil, fmt.Errorf("subject %s: kind %q is not one of human, workload, agent", id.Subject, id.Kind)
	}
	id.Issuer = StaticIssuer
	id.Groups = slices.Clone(id.Groups)
	if onBehalfOf != "" {
		users, err := parseUsers([]string{onBehalfOf})
		if err != nil {
			return nil, fmt.Errorf("subject %s: %w", id.Subject, err)
		}
		id.OnBehalfOf = &protocol.Identity{Issuer: users[0].Issuer, Subject: users[0].Subject, Kind: protocol.Human}
	}
	return &id, nil
}

// credentialClaim tells apart by which credential a configured subject logged
// in.
const credentialClaim = "credential"

var credentialKey = func() (k [32]byte) { _, _ = rand.Read(k[:]); return k }() // never fails

// credentialMark returns what stands for a credential while the process lives,
// and is of no use for guessing it.
func credentialMark(credential []byte) string {
	m := hmac.New(sha256.New, credentialKey[:])
	m.Write(credential)
	return hex.EncodeToString(m.Sum(nil)[:8])
}

// isLogin reports whether login is what loginAs returned for the like of id and
// the same credential.
func isLogin(login, id *protocol.Identity, method string, credential []byte) bool {
	a, b := login.OnBehalfOf, id.OnBehalfOf
	return login.Method == method && login.Key() == id.Key() && login.Kind == id.Kind && slices.Equal(login.Groups, id.Groups) &&
		login.Name == id.Name && login.Email == id.Email && login.Expires.Equal(id.Expires) &&
		(a == nil) == (b == nil) && (a == nil || a.Key() == b.Key()) && login.Claims[credentialClaim] == credentialMark(credential)
}

// loginAs returns a login's own copy of id, or a refusal if it has expired.
func loginAs(id *protocol.Identity, method string, credential []byte) (*protocol.Identity, error) {
	now := time.Now()
	if !id.Expires.IsZero() && !now.Before(id.Expires) {
		return nil, &protocol.DeniedError{Step: method, Reason: "the login has expired",
			Hint: "ask whoever runs the gateway for a new one"}
	}
	own := *id
	own.Groups = slices.Clone(id.Groups)
	own.Method, own.AuthTime = method, now
	own.Claims = map[string]any{credentialClaim: credentialMark(credential)}
	return &own, nil
}
