package main

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
)

// Freeze refuses whatever may change something until a moment.
func Freeze(until time.Time) middleware.Step {
	return middleware.Step{
		Name: "freeze",
		Operation: func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
			if op.Access.Has(^(protocol.Read | protocol.Control)) && time.Now().Before(until) {
				return protocol.Deny("nothing changes before " + until.Format(time.RFC1123)), nil
			}
			return protocol.Pass, nil
		},
	}
}

// The README's step is the one above, and does what the README says.
func TestReadmeStep(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	here, err := os.ReadFile("readme_test.go")
	require.NoError(t, err)
	_, code, _ := strings.Cut(string(here), "// Freeze ")
	code, _, _ = strings.Cut(code, "\n// The README's")
	require.Contains(t, string(readme), strings.TrimSpace("// Freeze "+code))

	step := Freeze(time.Now().Add(time.Hour))
	for access, want := range map[protocol.Access]protocol.Effect{
		protocol.Read: protocol.NoOpinion, protocol.Control: protocol.NoOpinion,
		protocol.Write: protocol.DenyEffect, protocol.Schema: protocol.DenyEffect,
		protocol.Opaque: protocol.DenyEffect, 0: protocol.DenyEffect, // what is not known may be anything
		protocol.Read | protocol.Write: protocol.DenyEffect,
	} {
		d, err := step.Operation(t.Context(), &protocol.Operation{Access: access})
		require.NoError(t, err)
		require.Equal(t, want, d.Effect, access.String())
	}
	d, err := Freeze(time.Now()).Operation(t.Context(), &protocol.Operation{Access: protocol.Write})
	require.NoError(t, err)
	require.Equal(t, protocol.NoOpinion, d.Effect)
}
