package middleware_test

import (
	"context"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/approval"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
)

// TestApprovalFromLoginToDecision assembles what a gateway assembles: tokens
// for both sides, access rules, a hold, and the HTTP interface over the same
// chain.
func TestApprovalFromLoginToDecision(t *testing.T) {
	tokens := map[string]protocol.Secret{}
	var known []middleware.Token
	for _, k := range []middleware.Token{
		{Subject: "alice", Kind: protocol.Human, Groups: []string{"dba"}},
		{Subject: "bob", Kind: protocol.Human, Groups: []string{"dba"}},
		{Subject: "helper", Kind: protocol.Agent, Groups: []string{"dba"}, OnBehalfOf: "static|alice"},
	} {
		tokens[k.Subject], k.Hash = middleware.NewToken()
		known = append(known, k)
	}
	b := approval.NewBroker(approval.Options{})
	chain, err := middleware.NewChain(
		middleware.Tokens(known...),
		middleware.Authorize(middleware.Access{Name: "dba", Groups: []string{"dba"}, Targets: []string{"orders"}}),
		dbaApproves(b),
		recording())
	require.NoError(t, err)
	server := httptest.NewServer(approval.Handler(b, approval.Bearer(chain.Authenticate)))
	defer server.Close()
	client := func(who string) *approval.Client { return &approval.Client{URL: server.URL, Token: tokens[who]} }

	for _, requester := range []string{"alice", "helper"} {
		t.Run(requester, func(t *testing.T) {
			id, err := chain.Authenticate(t.Context(), &protocol.Login{Proof: protocol.Password{Secret: tokens[requester], TLS: true}})
			require.NoError(t, err)
			s := protocol.NewSession(t.Context(), protocol.SessionConfig{Engine: chain,
				Info: &protocol.SessionInfo{Identity: id, Resource: protocol.Resource{Name: "orders"}},
				WhileHeld: func(ctx context.Context, _ protocol.Waiting, wait func(context.Context) error) error {
					return wait(ctx)
				}})
			defer s.Close(nil)
			require.NoError(t, s.Connect(t.Context(), &protocol.Operation{}))

			ran := make(chan error, 1)
			go func() {
				_, err := s.Begin(t.Context(), &protocol.Operation{Verb: "delete", Access: protocol.Write, Text: "delete from orders"})
				ran <- err
			}()
			for r, err := range client("bob").Watch(t.Context(), 5*time.Millisecond) {
				require.NoError(t, err)
				for _, self := range []string{"alice", "helper"} {
					_, err = client(self).Decide(t.Context(), r, true, "")
					var forbidden *approval.ForbiddenError
					require.ErrorAs(t, err, &forbidden, self)
				}
				select {
				case err := <-ran:
					t.Fatal("it ran before anybody else said yes", err)
				default:
				}
				_, err = client("bob").Decide(t.Context(), r, true, "")
				require.NoError(t, err)
				break
			}
			require.NoError(t, <-ran)
		})
	}
}
