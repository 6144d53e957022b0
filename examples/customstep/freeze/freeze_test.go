package freeze_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway"
	"github.com/sallyport-dev/gateway/examples/customstep/freeze"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
)

// A step is tested by calling its hook; there is nothing to fake.
func ExampleUntil() {
	step := freeze.Until(time.Date(2999, 1, 1, 0, 0, 0, 0, time.UTC))

	d, _ := step.Operation(context.Background(), &protocol.Operation{Access: protocol.Write})
	fmt.Println(d.Effect, "-", d.Reason)

	d, _ = step.Operation(context.Background(), &protocol.Operation{Access: protocol.Read})
	fmt.Println(d.Effect)
	// Output:
	// deny - changes are frozen until 2999-01-01 00:00:00 UTC
	// none
}

func ExampleKind() {
	kinds := gateway.Kinds{Steps: []middleware.Kind{freeze.Kind()}}
	c, err := gateway.Load(strings.NewReader("steps:\n  - freeze:\n      until: 2027-01-04T08:00:00+01:00\n"), "gateway.yaml", kinds)
	fmt.Println(c.Steps[0].Name, err)
	// Output: freeze <nil>
}

func TestUntil(t *testing.T) {
	future, past := freeze.Until(time.Now().Add(time.Hour)), freeze.Until(time.Now().Add(-time.Second))
	for access, frozen := range map[protocol.Access]bool{
		0:                                true, // nobody said what it does
		protocol.Opaque:                  true,
		protocol.Schema:                  true,
		protocol.Admin:                   true,
		protocol.Execute:                 true,
		protocol.Read | protocol.Write:   true,
		protocol.Read:                    false,
		protocol.Control:                 false,
		protocol.Read | protocol.Control: false,
	} {
		d, err := future.Operation(t.Context(), &protocol.Operation{Access: access})
		require.NoError(t, err)
		require.Equal(t, frozen, d.Effect == protocol.DenyEffect, access)
		d, err = past.Operation(t.Context(), &protocol.Operation{Access: access})
		require.NoError(t, err)
		require.Equal(t, protocol.NoOpinion, d.Effect, access)
	}
}

func TestKindIsStrict(t *testing.T) {
	for text, want := range map[string]string{
		"steps:\n  - freeze:\n      untill: 2027-01-04T08:00:00Z\n": "untill",
		"steps:\n  - freeze:\n":                    `until: "" is not a time`,
		"steps:\n  - freeze:\n      until: soon\n": `until: "soon" is not a time`,
	} {
		_, err := gateway.Load(strings.NewReader(text), "gateway.yaml", gateway.Kinds{Steps: []middleware.Kind{freeze.Kind()}})
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, "freeze")
	}
}
