package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
)

func verifier(tb testing.TB) protocol.Secret {
	v, err := middleware.NewScramVerifier(protocol.NewSecret("correct horse battery"))
	require.NoError(tb, err)
	return v
}

func TestScramSecrets(t *testing.T) {
	v := verifier(t)
	s := middleware.ScramSecrets(
		middleware.ScramSecret{User: "app", Verifier: v, Subject: "alice", Kind: protocol.Human, Groups: []string{"dba"}},
		middleware.ScramSecret{User: "old", Verifier: v, Subject: "old", Kind: protocol.Human, Expires: time.Now().Add(-time.Hour)})
	asked := 0
	login := func(user, scheme string, proven bool, err error) (*protocol.Identity, error) {
		return s.Authenticate(t.Context(), &protocol.Login{User: user, Proof: protocol.Challenge{Scheme: scheme,
			Verify: func(_ context.Context, secret protocol.Secret) (bool, error) {
				asked++
				require.Equal(t, v.Reveal(), secret.Reveal())
				return proven, err
			}}})
	}
	id, err := login("app", "SCRAM-SHA-256", true, nil)
	require.NoError(t, err)
	require.Equal(t, protocol.Key{Issuer: "static", Subject: "alice"}, id.Key())
	require.Equal(t, "scram", id.Method)

	var denied *protocol.DeniedError
	_, err = login("app", "SCRAM-SHA-256", false, nil)
	require.ErrorAs(t, err, &denied)
	_, err = login("old", "SCRAM-SHA-256", true, nil)
	require.ErrorAs(t, err, &denied)
	require.Contains(t, denied.Reason, "expired")
	broken := errors.New("connection reset")
	_, err = login("app", "SCRAM-SHA-256", true, broken)
	require.ErrorIs(t, err, broken)
	require.Equal(t, 4, asked)

	for user, scheme := range map[string]string{"APP": "SCRAM-SHA-256", "": "SCRAM-SHA-256", "app": "mysql_native_password"} {
		id, err = login(user, scheme, true, nil)
		require.NoError(t, err)
		require.Nil(t, id)
	}
	id, err = s.Authenticate(t.Context(), &protocol.Login{User: "app", Proof: protocol.Password{Secret: v}})
	require.NoError(t, err)
	require.Nil(t, id, "the verifier is no password")
	require.Equal(t, 4, asked)
}

func TestScramSecretsRefuseTheirSettings(t *testing.T) {
	v := verifier(t)
	ok := middleware.ScramSecret{User: "app", Verifier: v, Subject: "alice", Kind: protocol.Human}
	for name, c := range map[string]struct {
		spoil func(*middleware.ScramSecret)
		text  string
	}{
		"no user":    {func(k *middleware.ScramSecret) { k.User = "" }, "no user"},
		"no subject": {func(k *middleware.ScramSecret) { k.Subject = "" }, "no subject"},
		"no kind":    {func(k *middleware.ScramSecret) { k.Kind = "" }, "kind"},
		"a password": {func(k *middleware.ScramSecret) { k.Verifier = protocol.NewSecret("hunter2") }, "verifier"},
		"an md5 hash": {func(k *middleware.ScramSecret) {
			k.Verifier = protocol.NewSecret("md5d41d8cd98f00b204e9800998ecf8427e")
		}, "verifier"},
		"a short key": {func(k *middleware.ScramSecret) { k.Verifier = protocol.NewSecret(v.Reveal()[:len(v.Reveal())-4]) }, "verifier"},
		"few rounds": {func(k *middleware.ScramSecret) {
			k.Verifier = protocol.NewSecret(strings.Replace(v.Reveal(), "4096", "1000", 1))
		}, "1000 iterations"},
		"many rounds": {func(k *middleware.ScramSecret) {
			k.Verifier = protocol.NewSecret(strings.Replace(v.Reveal(), "4096", "99999999", 1))
		}, "iterations"},
		"another salt": {func(k *middleware.ScramSecret) {
			k.Verifier = protocol.NewSecret(strings.Replace(v.Reveal(), "4096:", "4096:!", 1))
		}, "verifier"},
	} {
		t.Run(name, func(t *testing.T) {
			k := ok
			c.spoil(&k)
			refusedStep(t, middleware.ScramSecrets(k), c.text)
		})
	}
	refusedStep(t, middleware.ScramSecrets(ok, ok), "twice")
}

func TestScramKind(t *testing.T) {
	s := fromYAML(t, middleware.ScramKind(), "accounts: [{user: app, verifier: '"+verifier(t).Reveal()+"', subject: alice, kind: human}]")
	require.NotNil(t, s.Authenticate)
	require.ErrorContains(t, badYAML(middleware.ScramKind(), "accounts: [{user: app, verifier: hunter2, subject: alice, kind: human}]"), "verifier")
}

func ExampleScramSecrets() {
	verifier, _ := middleware.NewScramVerifier(protocol.NewSecret("correct horse battery"))
	step := middleware.ScramSecrets(middleware.ScramSecret{User: "app", Verifier: verifier, Subject: "alice", Kind: protocol.Human})
	// The connector runs the exchange; here the client knows the password.
	challenge := protocol.Challenge{Scheme: "SCRAM-SHA-256",
		Verify: func(context.Context, protocol.Secret) (bool, error) { return true, nil }}
	id, err := step.Authenticate(context.Background(), &protocol.Login{User: "app", Proof: challenge})
	fmt.Println(id.Subject, err, verifier)
	// Output: alice <nil> [redacted]
}
