package oidctest_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware/oidc/oidctest"
)

// The issuer is judged by go-oidc alone, over a real connection.
func TestTokensVerify(t *testing.T) {
	var issuer *oidctest.Issuer
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { issuer.ServeHTTP(w, r) }))
	defer server.Close()
	issuer = oidctest.NewIssuer(server.URL)

	p, err := gooidc.NewProvider(t.Context(), issuer.URL())
	require.NoError(t, err)
	v := p.Verifier(&gooidc.Config{ClientID: "app"})
	old := issuer.Token(map[string]any{"sub": "u-1", "aud": "app"})
	token, err := v.Verify(t.Context(), old)
	require.NoError(t, err)
	require.Equal(t, "u-1", token.Subject)

	require.Equal(t, "key-2", issuer.Rotate())
	fresh := issuer.Token(map[string]any{"sub": "u-2", "aud": "app"})
	// The fetch before this one may still be on its way out of the verifier.
	require.Eventually(t, func() bool { _, err := v.Verify(t.Context(), fresh); return err == nil }, 10*time.Second, time.Millisecond)
	issuer.Retire()
	v = p.Verifier(&gooidc.Config{ClientID: "app"})
	v2 := p.VerifierContext(t.Context(), &gooidc.Config{ClientID: "app"}) // without the keys kept so far
	_, err = v.Verify(t.Context(), old)
	require.NoError(t, err)
	_, err = v2.Verify(t.Context(), old)
	require.Error(t, err)
	_, err = v2.Verify(t.Context(), fresh)
	require.NoError(t, err)

	issuer.SetDown(true)
	_, err = gooidc.NewProvider(t.Context(), issuer.URL())
	require.ErrorContains(t, err, "503")
	require.Equal(t, 2, issuer.Fetches("/.well-known/openid-configuration"))
}

func ExampleNewIssuer() {
	issuer := oidctest.NewIssuer("https://id.example.com")
	ctx := gooidc.ClientContext(context.Background(), issuer.Client())
	p, err := gooidc.NewProvider(ctx, issuer.URL())
	if err != nil {
		fmt.Println(err)
		return
	}
	token, err := p.Verifier(&gooidc.Config{ClientID: "app"}).Verify(ctx, issuer.Token(map[string]any{"sub": "u-1", "aud": "app"}))
	fmt.Println(token.Issuer, token.Subject, err)
	// Output: https://id.example.com u-1 <nil>
}
