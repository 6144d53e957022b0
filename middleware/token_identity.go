package middleware

import (
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

// loginAs returns a login's own copy of id, or a refusal if it has expired.
func loginAs(id *protocol.Identity, method string) (*protocol.Identity, error) {
	now := time.Now()
	if !id.Expires.IsZero() && !now.Before(id.Expires) {
		return nil, &protocol.DeniedError{Step: method, Reason: "the login has expired",
			Hint: "ask whoever runs the gateway for a new one"}
	}
	own := *id
	own.Groups = slices.Clone(id.Groups)
	own.Method, own.AuthTime = method, now
	return &own, nil
}
