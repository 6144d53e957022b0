package middleware

import (
	"fmt"
	"strings"

	"github.com/sallyport-dev/gateway/protocol"
)

// parseUsers reads users written as "issuer|subject". A subject alone would
// give another issuer's user of that name the same rights.
func parseUsers(users []string) ([]protocol.Key, error) {
	var keys []protocol.Key
	for _, u := range users {
		issuer, subject, ok := strings.Cut(u, "|")
		if !ok || issuer == "" || subject == "" {
			return nil, fmt.Errorf("user %q is not of the form issuer|subject, such as %q", u, StaticIssuer+"|alice")
		}
		keys = append(keys, protocol.Key{Issuer: issuer, Subject: subject})
	}
	return keys, nil
}
