package middleware_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
)

const aliceKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl alice@laptop"

func keyBlob(t testing.TB, b64 string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(b64)
	require.NoError(t, err)
	return b
}

func ExamplePublicKeys() {
	step := middleware.PublicKeys(middleware.PublicKey{Key: aliceKey, Subject: "alice", Kind: protocol.Human, Groups: []string{"ops"}})
	blob, _ := base64.StdEncoding.DecodeString("AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl")
	id, _ := step.Authenticate(context.Background(), &protocol.Login{User: "root", Proof: protocol.PublicKey{Blob: blob}})
	fmt.Println(id.Subject, id.Method, id.Groups)
	// Output: alice public key [ops]
}

func ExampleSSHCertificates() {
	step := middleware.SSHCertificates(middleware.SSHCertificateRule{Authority: aliceKey, Subject: "key_id", Kind: protocol.Human,
		Groups: []string{"staff"}, Revoked: []string{"mallory"}})
	for _, who := range []string{"bob", "mallory"} {
		id, err := step.Authenticate(context.Background(), &protocol.Login{Proof: protocol.SSHCertificate{
			Authority: "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU", KeyID: who, Principal: "root"}})
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(id.Subject, id.Groups)
	}
	// Output:
	// bob [staff]
	// refused by ssh_certificates: the certificate has been revoked
}

func TestPublicKeyIsKnownByItsBytesOnly(t *testing.T) {
	step := middleware.PublicKeys(middleware.PublicKey{Key: aliceKey, Subject: "alice", Kind: protocol.Human})
	blob := keyBlob(t, "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl")
	blob[len(blob)-1]++
	id, err := step.Authenticate(t.Context(), &protocol.Login{User: "alice", Proof: protocol.PublicKey{Blob: blob}})
	require.NoError(t, err)
	require.Nil(t, id)
}

func TestPublicKeyExpiresAndIsRevoked(t *testing.T) {
	blob := keyBlob(t, "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl")
	login := &protocol.Login{Proof: protocol.PublicKey{Blob: blob}}
	key := middleware.PublicKey{Key: aliceKey, Subject: "alice", Kind: protocol.Human, Groups: []string{"ops"}}
	id, err := middleware.PublicKeys(key).Authenticate(t.Context(), login)
	require.NoError(t, err)

	require.True(t, middleware.PublicKeys(key).Recheck(t.Context(), id))
	require.False(t, middleware.PublicKeys().Recheck(t.Context(), id), "no longer listed")
	other := key
	other.Groups = nil
	require.False(t, middleware.PublicKeys(other).Recheck(t.Context(), id), "stands for other groups")

	key.Expires = time.Now().Add(-time.Second)
	_, err = middleware.PublicKeys(key).Authenticate(t.Context(), login)
	require.ErrorContains(t, err, "expired")
}

func TestSSHCertificateIsRechecked(t *testing.T) {
	rule := middleware.SSHCertificateRule{Authority: aliceKey, Subject: "key_id", Kind: protocol.Human}
	login := &protocol.Login{Proof: protocol.SSHCertificate{Authority: "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU", KeyID: "bob", Serial: 7}}
	id, err := middleware.SSHCertificates(rule).Authenticate(t.Context(), login)
	require.NoError(t, err)
	require.True(t, middleware.SSHCertificates(rule).Recheck(t.Context(), id))
	rule.RevokedSerials = []uint64{7}
	require.False(t, middleware.SSHCertificates(rule).Recheck(t.Context(), id))
}

func TestMistakesInPublicKeys(t *testing.T) {
	for _, c := range []struct {
		key  middleware.PublicKey
		want string
	}{
		{middleware.PublicKey{Key: "ssh-ed25519", Subject: "a", Kind: protocol.Human}, `a key is written like`},
		{middleware.PublicKey{Key: `no-pty ` + aliceKey, Subject: "a", Kind: protocol.Human}, "without options"},
		{middleware.PublicKey{Key: "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl", Subject: "a", Kind: protocol.Human}, "not of the type ssh-rsa"},
		{middleware.PublicKey{Key: aliceKey, Kind: protocol.Human}, "no subject"},
		{middleware.PublicKey{Key: aliceKey, Subject: "a"}, "kind"},
	} {
		_, err := middleware.NewChain(middleware.PublicKeys(c.key), middleware.Step{Name: "x"})
		require.ErrorContains(t, err, c.want)
	}
}

func ExamplePublicKeyKind() {
	steps, err := load("steps: [{public_keys: {keys: [{key: '"+aliceKey+"', subject: alice, kind: human, groups: [ops]}]}}]", middleware.PublicKeyKind())
	fmt.Println(steps[0].Name, err)
	_, err = load("steps: [{public_keys: {keys: [{key: ssh-ed25519, subject: alice, kind: human}]}}]", middleware.PublicKeyKind())
	fmt.Println(err)
	// Output:
	// public_keys <nil>
	// gateway.yaml:1:10: step public_keys: key 1 (subject alice): a key is written like "ssh-ed25519 AAAA..."
}

func ExampleSSHCertificateKind() {
	steps, err := load("steps: [{ssh_certificates: {rules: [{authority: '"+aliceKey+"', subject: key_id, kind: human}]}}]", middleware.SSHCertificateKind())
	fmt.Println(steps[0].Name, err)
	// Output: ssh_certificates <nil>
}
