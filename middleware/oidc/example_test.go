package oidc_test

import (
	"context"
	"fmt"

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
