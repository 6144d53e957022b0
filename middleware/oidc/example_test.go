package oidc_test

import (
	"context"
	"fmt"
	"net/url"

	"github.com/goccy/go-yaml"

	"github.com/sallyport-dev/gateway/middleware/oidc"
	"github.com/sallyport-dev/gateway/middleware/oidc/oidctest"
	"github.com/sallyport-dev/gateway/protocol"
)

func ExampleAuthenticate() {
	issuer := oidctest.NewIssuer("https://id.example.com") // a real one elsewhere
	step, err := oidc.Authenticate(context.Background(), oidc.Config{
		Issuer:     issuer.URL(),
		Audiences:  []string{"sallyport"},
		HTTPClient: issuer.Client(), // leave it out to go over the network
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	token := issuer.Token(map[string]any{"sub": "u-1", "aud": "sallyport", "groups": []string{"dba"}})

	id, err := step.Authenticate(context.Background(), &protocol.Login{
		Proof: protocol.Password{Secret: protocol.NewSecret(token), TLS: true},
	})
	fmt.Println(id.Subject, id.Kind, id.Groups, err)

	token = issuer.Token(map[string]any{"sub": "u-1", "aud": "wiki"})
	_, err = step.Authenticate(context.Background(), &protocol.Login{Proof: protocol.Token{Secret: protocol.NewSecret(token)}})
	fmt.Println(err)
	// Output:
	// u-1 human [dba] <nil>
	// refused by oidc: the token was made for another program
}

func ExampleKind() {
	step, err := oidc.Kind().New(func(into any) error {
		return yaml.UnmarshalWithOptions([]byte(`
issuer: https://token.actions.githubusercontent.com
audiences: [sallyport]
require: {repository_owner: acme, environment: production}
max_age: 1h
`), into, yaml.Strict())
	})
	fmt.Println(step.Name, err)
	// Output: oidc <nil>
}

func ExampleNewLogin() {
	issuer := oidctest.NewIssuer("https://id.example.com") // a real one elsewhere
	login, err := oidc.NewLogin(oidc.LoginConfig{Issuer: issuer.URL(), ClientID: "sallyport", HTTPClient: issuer.Client()})
	if err != nil {
		fmt.Println(err)
		return
	}
	// The connector makes state, verifier and nonce, and keeps them with the browser.
	where, err := login.Begin(context.Background(), "https://app.example.com/.sallyport/callback", "state", "verifier", "nonce")
	u, _ := url.Parse(where)
	fmt.Println(u.Host, u.Path, u.Query().Get("response_type"), u.Query().Get("scope"), u.Query().Get("code_challenge_method"), err)
	// Output: id.example.com /authorize code openid profile email S256 <nil>
}
