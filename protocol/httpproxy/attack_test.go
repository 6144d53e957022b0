package httpproxy_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
)

// TestHeldForAnotherPerson: what an agent asked on behalf of one person, it does
// not collect on behalf of another.
func TestHeldForAnotherPerson(t *testing.T) {
	agents := middleware.Step{Name: "agents", Authenticate: func(_ context.Context, l *protocol.Login) (*protocol.Identity, error) {
		tok, ok := l.Proof.(protocol.Token)
		if !ok || !strings.HasPrefix(tok.Secret.Reveal(), "for-") {
			return nil, nil
		}
		person := strings.TrimPrefix(tok.Secret.Reveal(), "for-")
		return &protocol.Identity{Issuer: "i", Subject: "agent", Kind: protocol.Agent, Groups: []string{"dev"},
			OnBehalfOf: &protocol.Identity{Issuer: "i", Subject: person, Kind: protocol.Human}}, nil
	}}
	h := newHold()
	r := newRig(t, rigConfig{steps: []middleware.Step{agents, h.step()}})
	res, _ := r.do(t, true, "POST", "https://app.gw.test/x", strings.NewReader("hello"), "Authorization", "Bearer for-ann", "Prefer", "respond-async")
	require.Equal(t, 202, res.StatusCode)
	<-h.waiting
	h.answer <- protocol.Allow("hold")
	where := "https://app.gw.test" + res.Header.Get("Location")
	res, _ = r.do(t, true, "GET", where, nil, "Authorization", "Bearer for-ben")
	require.Equal(t, 404, res.StatusCode)
	res, body := r.do(t, true, "GET", where, nil, "Authorization", "Bearer for-ann")
	require.Equal(t, 200, res.StatusCode)
	require.Equal(t, "hello", body)
}
