package middleware

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"strings"

	"github.com/sallyport-dev/gateway/protocol"
)

// A token is its prefix and the base 32 of 168 random bits and their CRC-32:
// scanners for leaked secrets recognise it, and a mistyped or truncated one is
// told apart from a wrong one without a look at the list. 25 bytes fill 40
// characters exactly, so a token has one spelling.
const (
	tokenPrefix = "spt_"
	tokenRandom = 21
	tokenLen    = len(tokenPrefix) + 40
)

func tokenCoding() *base32.Encoding {
	return base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
}

// NewToken returns a new random token, to be handed to its owner once, and the
// hash by which [Tokens] knows it.
func NewToken() (token protocol.Secret, hash string) {
	var b [tokenRandom + crc32.Size]byte
	_, _ = rand.Read(b[:tokenRandom]) // never fails: it ends the process if the system has no randomness
	binary.BigEndian.PutUint32(b[tokenRandom:], tokenSum(b[:tokenRandom]))
	text := tokenPrefix + tokenCoding().EncodeToString(b[:])
	sum := sha256.Sum256([]byte(text))
	return protocol.NewSecret(text), hex.EncodeToString(sum[:])
}

// tokenSum covers the prefix too, so that no other scheme's token fits.
func tokenSum(random []byte) uint32 {
	return crc32.Update(crc32.ChecksumIEEE([]byte(tokenPrefix)), crc32.IEEETable, random)
}

// isToken reports whether s has the form of a token from NewToken.
func isToken(s string) bool {
	text, ok := strings.CutPrefix(s, tokenPrefix)
	if !ok || len(s) != tokenLen {
		return false
	}
	b, err := tokenCoding().DecodeString(text)
	if err != nil || len(b) != tokenRandom+crc32.Size { // line feeds are skipped by the decoder
		return false
	}
	return binary.BigEndian.Uint32(b[tokenRandom:]) == tokenSum(b[:tokenRandom])
}
