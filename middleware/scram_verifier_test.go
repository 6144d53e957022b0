package middleware

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol"
)

// TestScramVerifierOfTheRFC checks the keys against the exchange printed in
// RFC 7677, section 3: the server's signature there comes from our ServerKey,
// the client's proof fits our StoredKey.
func TestScramVerifierOfTheRFC(t *testing.T) {
	salt, err := base64.StdEncoding.DecodeString("W22ZaJ0SNY7soEsUEjb6gQ==")
	require.NoError(t, err)
	v, err := scramVerifier("pencil", salt, 4096)
	require.NoError(t, err)
	require.NoError(t, checkVerifier(v))

	keys := strings.Split(v[strings.LastIndexByte(v, '$')+1:], ":")
	server, err := base64.StdEncoding.DecodeString(keys[1])
	require.NoError(t, err)
	auth := "n=user,r=rOprNGfwEbeRWgbNEkqO," +
		"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096," +
		"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
	require.Equal(t, "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", base64.StdEncoding.EncodeToString(scramMAC(server, auth)))

	stored, err := base64.StdEncoding.DecodeString(keys[0])
	require.NoError(t, err)
	proof, err := base64.StdEncoding.DecodeString("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
	require.NoError(t, err)
	require.True(t, proves(proof, stored, auth))
	stored[0]++
	require.False(t, proves(proof, stored, auth))
}

// proves reports whether a client's proof fits the stored key, as a connector
// finds out.
func proves(proof, stored []byte, auth string) bool {
	key := make([]byte, sha256.Size)
	subtle.XORBytes(key, proof, scramMAC(stored, auth))
	got := sha256.Sum256(key)
	return subtle.ConstantTimeCompare(got[:], stored) == 1
}

func TestNewScramVerifier(t *testing.T) {
	a, err := NewScramVerifier(protocol.NewSecret("correct horse battery"))
	require.NoError(t, err)
	b, err := NewScramVerifier(protocol.NewSecret("correct horse battery"))
	require.NoError(t, err)
	require.NotEqual(t, a.Reveal(), b.Reveal(), "each has a salt of its own")
	require.NoError(t, checkVerifier(a.Reveal()))
	for _, p := range []string{"", "short", "long enough, but ümläuted", "long enough, but\ttabbed"} {
		_, err := NewScramVerifier(protocol.NewSecret(p))
		require.Error(t, err, p)
	}
}

func FuzzScramVerifier(f *testing.F) {
	v, err := scramVerifier("pencil", make([]byte, 16), 4096)
	require.NoError(f, err)
	f.Add(v)
	f.Add(strings.Replace(v, "4096", "04096", 1))
	f.Add("SCRAM-SHA-256$4096:$:")
	f.Add("md5d41d8cd98f00b204e9800998ecf8427e")
	f.Fuzz(func(t *testing.T, s string) {
		if err := checkVerifier(s); err == nil {
			require.Regexp(t, `^SCRAM-SHA-256\$\d{4,8}:[A-Za-z0-9+/]{11,}={0,2}\$[A-Za-z0-9+/]{43}=:[A-Za-z0-9+/]{43}=$`, s)
		} else {
			require.NotContains(t, err.Error(), "A=", "errors do not repeat keys")
		}
	})
}
