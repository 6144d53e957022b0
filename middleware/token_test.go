package middleware_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
)

func TestTokens(t *testing.T) {
	alice, aliceHash := middleware.NewToken()
	old, oldHash := middleware.NewToken()
	bot, botHash := middleware.NewToken()
	unknown, _ := middleware.NewToken()
	require.NotContains(t, fmt.Sprintf("%v %+v %s %#v", alice, alice, alice, alice), "spt_")
	s := middleware.Tokens(
		middleware.Token{Hash: aliceHash, Subject: "alice", Email: "alice@example.com", Groups: []string{"dba"}, Kind: protocol.Human,
			Expires: time.Now().Add(time.Hour)},
		middleware.Token{Hash: strings.ToUpper(oldHash), Subject: "old", Kind: protocol.Human, Expires: time.Now().Add(-time.Second)},
		middleware.Token{Hash: botHash, Subject: "bot", Kind: protocol.Agent, OnBehalfOf: "https://id.example|alice"})
	login := func(p protocol.Proof) (*protocol.Identity, error) {
		return s.Authenticate(t.Context(), &protocol.Login{User: "postgres", Proof: p})
	}

	for _, p := range []protocol.Proof{protocol.Token{Secret: alice}, protocol.Password{Secret: alice}} {
		id, err := login(p)
		require.NoError(t, err)
		require.Equal(t, protocol.Key{Issuer: middleware.StaticIssuer, Subject: "alice"}, id.Key(), "not the account that was named")
		require.Equal(t, "token", id.Method)
		require.False(t, id.Expires.IsZero())
		id.Groups[0] = "admin" // a login's identity is its own
	}
	id, err := login(protocol.Token{Secret: alice})
	require.NoError(t, err)
	require.Equal(t, []string{"dba"}, id.Groups)

	id, err = login(protocol.Token{Secret: bot})
	require.NoError(t, err)
	require.True(t, id.Same(&protocol.Identity{Issuer: "https://id.example", Subject: "alice"}))

	_, err = login(protocol.Token{Secret: old})
	var denied *protocol.DeniedError
	require.ErrorAs(t, err, &denied)
	require.Contains(t, denied.Reason, "expired")

	text := alice.Reveal()
	for name, p := range map[string]protocol.Proof{
		"unknown":         protocol.Token{Secret: unknown},
		"empty":           protocol.Token{},
		"its hash":        protocol.Token{Secret: protocol.NewSecret(aliceHash)},
		"truncated":       protocol.Token{Secret: protocol.NewSecret(text[:len(text)-1])},
		"longer":          protocol.Token{Secret: protocol.NewSecret(text + "a")},
		"a line feed":     protocol.Token{Secret: protocol.NewSecret(text[:20] + "\n" + text[21:])},
		"upper case":      protocol.Token{Secret: protocol.NewSecret(strings.ToUpper(text))},
		"mistyped":        protocol.Token{Secret: protocol.NewSecret(text[:10] + flip(text[10]) + text[11:])},
		"another's key":   protocol.PublicKey{},
		"guessable":       protocol.Password{Secret: protocol.NewSecret("hunter2")},
		"prefix and dots": protocol.Token{Secret: protocol.NewSecret("spt_" + strings.Repeat(".", 40))},
	} {
		t.Run(name, func(t *testing.T) {
			id, err := login(p)
			require.NoError(t, err)
			require.Nil(t, id)
		})
	}
}

func flip(c byte) string {
	if c == 'a' {
		return "b"
	}
	return "a"
}

func TestTokensRefuseTheirSettings(t *testing.T) {
	token, hash := middleware.NewToken()
	ok := middleware.Token{Hash: hash, Subject: "alice", Kind: protocol.Human}
	for name, c := range map[string]struct {
		spoil func(*middleware.Token)
		text  string
	}{
		"a short hash":     {func(k *middleware.Token) { k.Hash = k.Hash[1:] }, "64 hexadecimal"},
		"no hash":          {func(k *middleware.Token) { k.Hash = "" }, "64 hexadecimal"},
		"the token itself": {func(k *middleware.Token) { k.Hash = token.Reveal() }, "64 hexadecimal"},
		"no subject":       {func(k *middleware.Token) { k.Subject = "" }, "no subject"},
		"no kind":          {func(k *middleware.Token) { k.Kind = "" }, "kind"},
		"an owner alone":   {func(k *middleware.Token) { k.OnBehalfOf = "alice" }, "issuer|subject"},
	} {
		t.Run(name, func(t *testing.T) {
			k := ok
			c.spoil(&k)
			refusedStep(t, middleware.Tokens(k), c.text)
			_, err := middleware.NewChain(middleware.Tokens(k), recording())
			require.NotContains(t, err.Error(), token.Reveal())
		})
	}
	refusedStep(t, middleware.Tokens(ok, ok), "same hash")
}

func TestTokenKind(t *testing.T) {
	_, hash := middleware.NewToken()
	s := fromYAML(t, middleware.TokenKind(), "tokens: [{hash: "+hash+", subject: alice, kind: human, groups: [dba], expires: 2999-01-01T00:00:00Z}]")
	require.NotNil(t, s.Authenticate)
	require.ErrorContains(t, badYAML(middleware.TokenKind(), "tokens: [{hash: x, subject: alice, kind: human}]"), "64 hexadecimal")
	require.ErrorContains(t, badYAML(middleware.TokenKind(), "tokens: [{hash: x, user: alice}]"), "user")
}

func FuzzTokens(f *testing.F) {
	token, hash := middleware.NewToken()
	s := middleware.Tokens(middleware.Token{Hash: hash, Subject: "alice", Kind: protocol.Human})
	f.Add(token.Reveal() + "x")
	f.Add("spt_" + strings.Repeat("a", 40))
	f.Fuzz(func(t *testing.T, text string) {
		id, err := s.Authenticate(t.Context(), &protocol.Login{Proof: protocol.Token{Secret: protocol.NewSecret(text)}})
		require.NoError(t, err)
		require.Equal(t, text == token.Reveal(), id != nil)
	})
}

func ExampleTokens() {
	token, hash := middleware.NewToken() // the token goes to Alice, the hash into the configuration
	step := middleware.Tokens(middleware.Token{Hash: hash, Subject: "alice", Kind: protocol.Human, Groups: []string{"dba"}})

	id, err := step.Authenticate(context.Background(), &protocol.Login{User: "app", Proof: protocol.Password{Secret: token, TLS: true}})
	fmt.Println(id.Issuer, id.Subject, id.Groups, err)
	id, err = step.Authenticate(context.Background(), &protocol.Login{User: "alice", Proof: protocol.Password{Secret: protocol.NewSecret("guess")}})
	fmt.Println(id, err)
	// Output:
	// static alice [dba] <nil>
	// <nil> <nil>
}
