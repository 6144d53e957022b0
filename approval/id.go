package approval

import (
	"crypto/rand"
	"strings"
)

// crockford is Crockford's base 32: no i, l, o or u, so that what is read
// aloud or typed off a screen arrives as it was.
const crockford = "0123456789abcdefghjkmnpqrstvwxyz"

// idLen characters of 5 bits each are 60 bits.
const idLen = 12

// NewID returns an identifier for a request: 60 random bits in lower-case
// Crockford base 32, such as "7k3d9x0mq2wa". Knowing it permits nothing, but
// it cannot be guessed either.
func NewID() string {
	var b [idLen]byte
	_, _ = rand.Read(b[:]) // never fails: it ends the process if the system has no randomness
	for i := range b {
		b[i] = crockford[b[i]&31]
	}
	return string(b[:])
}

var typed = strings.NewReplacer("O", "0", "o", "0", "I", "1", "i", "1", "L", "1", "l", "1", "-", "", " ", "")

// ParseID returns the identifier that somebody typed: upper case, hyphens and
// blanks are accepted, as are the letters that Crockford's base 32 leaves out
// because they look like a digit. ok is false if s cannot be an identifier.
func ParseID(s string) (id string, ok bool) {
	if len(s) > 4*idLen {
		return "", false
	}
	id = strings.ToLower(typed.Replace(s))
	return id, validID(id)
}

func validID(id string) bool {
	if len(id) != idLen {
		return false
	}
	for i := range len(id) {
		if strings.IndexByte(crockford, id[i]) < 0 {
			return false
		}
	}
	return true
}
