package middleware_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/approval"
	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/middleware/middlewaretest"
	"github.com/sallyport-dev/gateway/protocol"
)

// inferenceConfig has a rule of each policy.
func inferenceConfig() middleware.MaskConfig {
	rule := func(name string, i mask.Inference) mask.Rule {
		return mask.Rule{Name: name, Columns: []string{"public.*." + name}, Transform: mask.Redact(), Inference: i}
	}
	nulls := rule("nulls", mask.EqualityInference)
	nulls.Nulls = true
	return middleware.MaskConfig{
		Rules: []mask.Rule{rule("open", "allow"), rule("equal", mask.EqualityInference), rule("asked", mask.ApproveInference), rule("closed", mask.BlockInference), nulls,
			{Name: "hidden", Columns: []string{"public.*.hidden"}, Transform: mask.Redact(), Nulls: true, Inference: mask.BlockInference}},
		Broker:    approval.NewBroker(approval.Options{}),
		Inference: middleware.ApproveRule{Groups: []string{"privacy"}},
	}
}

// telling is a query that tells of columns, "name:how".
func telling(told ...protocol.Inference) *protocol.Operation {
	op := as("orders", &protocol.Identity{Issuer: "i", Subject: "alice", Kind: protocol.Human, Groups: []string{"support"}})
	op.InferredKnown, op.Inferred = true, told
	for _, i := range told {
		op.Reads = append(op.Reads, i.ColumnRef)
	}
	return op
}

func tells(column string, how protocol.How) protocol.Inference {
	return protocol.Inference{ColumnRef: protocol.ColumnRef{Schema: "public", Table: "t", Column: column}, How: how}
}

func decided(t *testing.T, step middleware.Step, op *protocol.Operation) protocol.Decision {
	t.Helper()
	d, err := step.Operation(t.Context(), op)
	require.NoError(t, err)
	return d
}

func TestMaskInference(t *testing.T) {
	step := middleware.MaskWith(inferenceConfig())
	ask := func(op *protocol.Operation) string {
		return map[protocol.Effect]string{protocol.NoOpinion: "ran", protocol.HoldEffect: "held", protocol.DenyEffect: "refused"}[decided(t, step, op).Effect]
	}
	all := []protocol.How{protocol.HowUnknown, protocol.HowNull, protocol.HowEquality, protocol.HowList, protocol.HowJoin, protocol.HowGroup, protocol.HowOrder,
		protocol.HowRange, protocol.HowPattern, protocol.HowComputed, protocol.HowMember}
	for _, how := range all {
		require.Equal(t, "ran", ask(telling(tells("open", how))), how)
		require.Equal(t, "ran", ask(telling(tells("other", how))), how)
		want := "refused"
		if how == protocol.HowNull {
			want = "ran"
		}
		require.Equal(t, want, ask(telling(tells("closed", how))), how)
		if how == protocol.HowEquality || how == protocol.HowJoin {
			want = "ran"
		}
		require.Equal(t, want, ask(telling(tells("equal", how))), how)
		require.Equal(t, want, ask(telling(tells("nulls", how))), how)
		want = "held"
		if how == protocol.HowNull {
			want = "ran"
		}
		require.Equal(t, want, ask(telling(tells("asked", how))), how)
		require.Equal(t, "refused", ask(telling(tells("hidden", how))), how)
	}
	// A refusal counts before a hold; what is joined with what is not masked is a list.
	require.Equal(t, "refused", ask(telling(tells("asked", protocol.HowRange), tells("closed", protocol.HowRange))))
	require.Equal(t, "ran", ask(telling(tells("equal", protocol.HowJoin), tells("open", protocol.HowJoin))))
	require.Equal(t, "refused", ask(telling(tells("equal", protocol.HowJoin), tells("other", protocol.HowJoin))))

	// What is not known is the worst that any of the rules concerned says.
	for column, want := range map[string]string{"open": "ran", "equal": "refused", "asked": "held", "closed": "refused", "other": "ran"} {
		op := telling(tells(column, protocol.HowNull))
		op.InferredKnown = false
		require.Equal(t, want, ask(op), column)
	}
	unknown := telling()
	unknown.ReadsKnown, unknown.InferredKnown = false, false
	require.Equal(t, "refused", ask(unknown))
	unknown.InferredKnown = true // it shows what is not known, and compares nothing
	require.Equal(t, "ran", ask(unknown))
	restricted := telling()
	restricted.ReadsKnown, restricted.InferredKnown, restricted.MayRestrict = false, false, true
	require.Equal(t, "ran", ask(restricted))
	require.True(t, restricted.Restricted())

	d := decided(t, step, telling(tells("equal", protocol.HowPattern)))
	require.Contains(t, d.Reason, "public.t.equal (pattern)")
	require.Contains(t, d.Hint, "compare a masked column with one value")
}

// What is shown in the clear need not be kept from conditions; other columns are.
func TestMaskInferenceOfLifted(t *testing.T) {
	c := inferenceConfig()
	c.Lifts = []middleware.MaskLift{{ApproveRule: middleware.ApproveRule{Name: "case", Groups: []string{"privacy"}}, Rules: []string{"closed"}}}
	step := middleware.MaskWith(c)
	query := func(told ...protocol.Inference) *protocol.Operation {
		op := telling(told...)
		op.Unmask, op.Pure = "ticket 4711", true
		op.Columns = []protocol.Column{col("closed", "is public.t.closed")}
		op.Reads = append(op.Reads, protocol.ColumnRef{Schema: "public", Table: "t", Column: "closed"})
		return op
	}
	for _, prepare := range []bool{true, false} {
		op := query(tells("closed", protocol.HowRange))
		op.Prepare = prepare
		require.NotEqual(t, protocol.DenyEffect, decided(t, step, op).Effect)
		for _, other := range []string{"hidden", "asked"} {
			op = query(tells("closed", protocol.HowRange), tells(other, protocol.HowRange))
			op.Prepare = prepare
			d := decided(t, step, op)
			require.Contains(t, d.Reason, "public.t."+other+" (range)")
			if prepare && other == "asked" { // which is let through, and asked about when it runs
				require.Equal(t, protocol.HoldEffect, d.Effect)
				continue
			}
			require.Equal(t, protocol.DenyEffect, d.Effect)
		}
	}
}

// Nor does one member of a document that is shown let another be told of.
func TestMaskInferenceOfLiftedMember(t *testing.T) {
	rules := memberRules()[:2]
	rules[1].Inference = mask.BlockInference
	step := middleware.MaskWith(middleware.MaskConfig{Rules: rules, Broker: approval.NewBroker(approval.Options{}),
		Lifts: []middleware.MaskLift{{ApproveRule: middleware.ApproveRule{Name: "case", Groups: []string{"privacy"}}, Rules: []string{"mail"}}}})
	for path, want := range map[string]protocol.Effect{"/email": protocol.HoldEffect, "/email/0": protocol.HoldEffect, "/home/street": protocol.DenyEffect, "": protocol.DenyEffect} {
		op := telling(protocol.Inference{ColumnRef: ref("public.t.doc"), How: protocol.HowRange, Path: path})
		op.Unmask, op.Pure, op.Columns = "ticket 4711", true, []protocol.Column{lying(protocol.EdgeMember, "/email")}
		require.Equal(t, want, decided(t, step, op).Effect, path)
	}
}

func TestMaskInferenceInShadow(t *testing.T) {
	for _, column := range []string{"closed", "asked"} {
		c := inferenceConfig()
		refused := ""
		c.Shadow = func(_ *protocol.Operation, _ map[string]int, why string) { refused = why }
		x, err := middlewaretest.Ask(middleware.MaskWith(c), telling(tells(column, protocol.HowRange)))
		require.NoError(t, err)
		x.End(protocol.Outcome{Status: protocol.StatusOK})
		require.Contains(t, refused, "public.t."+column+" (range)")
	}
}

func TestMaskInferenceExplained(t *testing.T) {
	e, err := middleware.NewMaskExplainer(inferenceConfig(), telling().Session)
	require.NoError(t, err)
	x := e.Operation(telling(tells("equal", protocol.HowEquality), tells("asked", protocol.HowOrder)))
	require.Empty(t, x.Refused)
	require.Len(t, x.Inferred, 2)
	require.Equal(t, "allowed", x.Inferred[0].Effect)
	require.Equal(t, "needs approval", x.Inferred[1].Effect)
	x = e.Operation(telling(tells("closed", protocol.HowRange)))
	require.Equal(t, "closed", x.Rule)
	require.Contains(t, x.Refused, "public.t.closed (range)")
	require.Equal(t, "refused", x.Inferred[0].Effect)
	x = e.Column(protocol.ColumnRef{Schema: "public", Table: "t", Column: "equal"})
	require.Equal(t, "equality", x.Values[0].Inference)
	require.Empty(t, x.Inferred)
}

func TestMaskInferenceSettings(t *testing.T) {
	for want, change := range map[string]func(*middleware.MaskConfig){
		"no broker":                       func(c *middleware.MaskConfig) { c.Broker = nil },
		"rule asked wants inference":      func(c *middleware.MaskConfig) { c.Inference = middleware.ApproveRule{} },
		"which no rule wants approved":    func(c *middleware.MaskConfig) { c.Rules = c.Rules[:2] },
		`"maybe" is none of allow`:        func(c *middleware.MaskConfig) { c.Rules[0].Inference = "maybe" },
		"inference is about columns that": func(c *middleware.MaskConfig) { c.Rules[1].Transform = mask.Show() },
	} {
		c := inferenceConfig()
		change(&c)
		_, err := middleware.NewChain(middleware.MaskWith(c))
		require.ErrorContains(t, err, want)
	}
}
