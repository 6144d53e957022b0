package middleware

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/sallyport-dev/gateway/protocol"
)

const (
	scramScheme = "SCRAM-SHA-256"

	// minIterations is what RFC 7677 asks for. More costs the client time, not
	// us; the upper bound only catches mistakes.
	minIterations = 4096
	maxIterations = 10_000_000
)

// NewScramVerifier returns a verifier for the password, with a new random
// salt, in PostgreSQL's form. The password is printable ASCII, on whose form
// all clients agree without normalising it, and has at least 12 characters.
func NewScramVerifier(password protocol.Secret) (protocol.Secret, error) {
	p := password.Reveal()
	if len(p) < 12 {
		return protocol.Secret{}, errors.New("the password has fewer than 12 characters")
	}
	for i := range len(p) {
		if p[i] < ' ' || p[i] > '~' {
			return protocol.Secret{}, errors.New("the password has characters other than printable ASCII")
		}
	}
	var salt [16]byte
	_, _ = rand.Read(salt[:]) // never fails: it ends the process if the system has no randomness
	v, err := scramVerifier(p, salt[:], minIterations)
	return protocol.NewSecret(v), err
}

// scramVerifier does what RFC 5802, section 3, says.
func scramVerifier(password string, salt []byte, iterations int) (string, error) {
	salted, err := pbkdf2.Key(sha256.New, password, salt, iterations, sha256.Size)
	if err != nil {
		return "", err
	}
	stored := sha256.Sum256(scramMAC(salted, "Client Key"))
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("%s$%d:%s$%s:%s", scramScheme, iterations, b64(salt), b64(stored[:]),
		b64(scramMAC(salted, "Server Key"))), nil
}

func scramMAC(key []byte, text string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

var errVerifier = errors.New("the verifier is not of the form SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>")

// checkVerifier reports what is wrong with v. Errors do not repeat it.
func checkVerifier(v string) error {
	parts := strings.Split(v, "$")
	if len(v) > 1024 || len(parts) != 3 || parts[0] != scramScheme {
		return errVerifier
	}
	count, salt, ok1 := strings.Cut(parts[1], ":")
	stored, server, ok2 := strings.Cut(parts[2], ":")
	n, err := strconv.Atoi(count)
	if !ok1 || !ok2 || err != nil || strconv.Itoa(n) != count {
		return errVerifier
	}
	if n < minIterations || n > maxIterations {
		return fmt.Errorf("the verifier has %d iterations, which is not between %d and %d", n, minIterations, maxIterations)
	}
	if s, err := base64.StdEncoding.Strict().DecodeString(salt); err != nil || len(s) < 8 {
		return errVerifier
	}
	for _, key := range []string{stored, server} {
		if k, err := base64.StdEncoding.Strict().DecodeString(key); err != nil || len(k) != sha256.Size {
			return errVerifier
		}
	}
	return nil
}
