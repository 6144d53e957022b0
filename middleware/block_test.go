package middleware_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
)

var always middleware.If = func(*protocol.Operation) (bool, error) { return true, nil }
var never middleware.If = func(*protocol.Operation) (bool, error) { return false, nil }

var broken middleware.If = func(*protocol.Operation) (bool, error) { return false, errors.New("no answer") }

func TestBlock(t *testing.T) {
	read := &protocol.Operation{Verb: "select", Access: protocol.Read}
	opaque := &protocol.Operation{Verb: protocol.Unknown, Access: protocol.Opaque, Why: "syntax error at \"FRM\""}
	zero := &protocol.Operation{}
	partly := &protocol.Operation{Access: protocol.Read | protocol.Opaque}

	for name, tt := range map[string]struct {
		rules []middleware.BlockRule
		op    *protocol.Operation
		rule  string // "" passes
		text  string
	}{
		"no rules":           {nil, read, "", ""},
		"no match":           {[]middleware.BlockRule{{Name: "a", When: never}}, read, "", ""},
		"first match":        {[]middleware.BlockRule{{Name: "a", When: never}, {Name: "b", When: always, Reason: "no"}, {Name: "c", When: always}}, read, "b", "no"},
		"default reason":     {[]middleware.BlockRule{{Name: "a", When: always}}, read, "a", "this is not permitted here"},
		"opaque":             {nil, opaque, "opaque", `this statement could not be analysed (syntax error at "FRM")`},
		"zero access":        {nil, zero, "opaque", "this statement could not be analysed, and what cannot be analysed is refused"},
		"partly opaque":      {nil, partly, "opaque", "this statement could not be analysed, and what cannot be analysed is refused"},
		"opaque excepted":    {[]middleware.BlockRule{middleware.AllowOpaque("report", always)}, opaque, "", ""},
		"opaque not named":   {[]middleware.BlockRule{middleware.AllowOpaque("report", never)}, opaque, "opaque", `this statement could not be analysed (syntax error at "FRM")`},
		"excepted but ruled": {[]middleware.BlockRule{middleware.AllowOpaque("report", always), {Name: "a", When: always}}, opaque, "a", "this is not permitted here"},
		"exception only":     {[]middleware.BlockRule{middleware.AllowOpaque("report", always)}, read, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := middleware.Block(tt.rules...).Operation(t.Context(), tt.op)
			require.NoError(t, err)
			if tt.rule == "" {
				require.Equal(t, protocol.NoOpinion, d.Effect)
				return
			}
			require.Equal(t, protocol.DenyEffect, d.Effect)
			require.Equal(t, tt.rule, d.Rule)
			require.Equal(t, tt.text, d.Reason)
		})
	}
}

func TestABlockRuleThatFailsIsAnError(t *testing.T) {
	_, err := middleware.Block(middleware.BlockRule{Name: "a", When: broken}).Operation(t.Context(), &protocol.Operation{Access: protocol.Read})
	require.EqualError(t, err, "rule a: no answer")
	_, err = middleware.Block(middleware.AllowOpaque("b", broken)).Operation(t.Context(), &protocol.Operation{})
	require.EqualError(t, err, "rule b: no answer")
}

func TestBlockRulesAreChecked(t *testing.T) {
	for want, rule := range map[string]middleware.BlockRule{
		"step block: rule 1 has no name":          {When: always},
		"step block: rule a: has no condition":    {Name: "a"},
		"step block: rule here: has no condition": middleware.AllowOpaque("here", nil),
	} {
		_, err := middleware.NewChain(middleware.Block(rule))
		require.EqualError(t, err, want)
	}
}
