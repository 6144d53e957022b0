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

// lying is a column of a result that has what lies at a path of public.t.doc.
func lying(edge protocol.Edge, path string) protocol.Column {
	return protocol.Column{Name: "x", Type: textOID, Known: true,
		Sources: []protocol.Source{{ColumnRef: ref("public.t.doc"), Edge: edge, Path: path}}}
}

func memberRules() []mask.Rule {
	return []mask.Rule{
		{Name: "mail", Columns: []string{"public.t.doc", "public.t.copy"}, Members: []string{"email"}, Transform: mask.Email(), Inference: mask.BlockInference},
		{Name: "home", Columns: []string{"public.t.doc"}, Members: []string{"home.street"}, Transform: mask.Redact()},
		{Name: "whole", Columns: []string{"public.t.other"}, Transform: mask.KeepLast(4)},
		{Name: "found", Detect: []string{"card"}, Transform: mask.Redact()},
	}
}

const memberDoc = `{"email":"ann@example.com","home":{"street":"High St","zip":"1"},"note":"4111 1111 1111 1111"}`

// What is explained of members is what happens.
func TestMaskMembersOfColumns(t *testing.T) {
	const masked = `{"email":"***@example.com","home":{"street":"***","zip":"1"},"note":"***"}`
	c := middleware.MaskConfig{Rules: memberRules()}
	union := func(cols ...protocol.Column) protocol.Column {
		out := cols[0]
		for _, c := range cols[1:] {
			out.Sources = append(out.Sources, c.Sources...)
		}
		return out
	}
	info := &protocol.SessionInfo{Protocol: "postgres", Identity: &protocol.Identity{Issuer: "i", Subject: "s", Kind: protocol.Human}, Resource: protocol.Resource{Name: "orders"}}
	e, err := middleware.NewMaskExplainer(c, info)
	require.NoError(t, err)
	for name, tc := range map[string]struct {
		col      protocol.Column
		in, want string
		effect   middleware.MaskEffect
		rule     string
	}{
		"own value":             {lying(protocol.EdgeIdentity, ""), memberDoc, masked, middleware.MaskMasks, "mail"},
		"its text":              {lying(protocol.EdgeMember, ""), memberDoc, masked, middleware.MaskMasks, "mail"},
		"no document":           {lying(protocol.EdgeIdentity, ""), "ann@example.com", "***", middleware.MaskMasks, "mail"},
		"masked member":         {lying(protocol.EdgeMember, "/email"), "ann@example.com", "***@example.com", middleware.MaskMasks, "mail"},
		"above a masked member": {lying(protocol.EdgeMember, "/home"), `{"street":"High St","zip":"1"}`, `{"street":"***","zip":"1"}`, middleware.MaskMasks, "home"},
		"another member":        {lying(protocol.EdgeMember, "/city"), "Rome", "Rome", middleware.MaskSearches, ""},
		"found in another":      {lying(protocol.EdgeMember, "/note"), "4111 1111 1111 1111", "***", middleware.MaskSearches, ""},
		"computed":              {lying(protocol.EdgeTransform, "/email"), "ann@example.com", "***", middleware.MaskHides, "mail"},
		"computed above":        {lying(protocol.EdgeTransform, "/home"), `{"street":"High St"}`, "***", middleware.MaskHides, "home"},
		"computed of another":   {lying(protocol.EdgeTransform, "/city"), "ROME", "ROME", middleware.MaskSearches, ""},
		"computed of all":       {lying(protocol.EdgeTransform, ""), memberDoc, "***", middleware.MaskHides, "mail"},
		"opaque":                {lying(protocol.EdgeOpaque, ""), memberDoc, "***", middleware.MaskHides, "mail"},
		"two places":            {union(lying(protocol.EdgeMember, "/email"), lying(protocol.EdgeMember, "/home")), `{"street":"High St"}`, "***", middleware.MaskHides, "home"},
		"one of them masked":    {union(lying(protocol.EdgeMember, "/city"), lying(protocol.EdgeMember, "/email")), "ann@example.com", "***@example.com", middleware.MaskMasks, "mail"},
		"columns of two kinds":  {union(lying(protocol.EdgeIdentity, ""), col("x", "is public.t.copy")), memberDoc, "***", middleware.MaskHides, "mail"},
		"part of a masked column": {protocol.Column{Name: "x", Type: textOID, Known: true,
			Sources: []protocol.Source{{ColumnRef: ref("public.t.other"), Edge: protocol.EdgeMember, Path: "/a"}}}, "ann@example.com", "***", middleware.MaskHides, "whole"},
		"whole row": {col("x", "is public.t.*"), memberDoc, "***", middleware.MaskHides, "mail"},
		"unknown":   {protocol.Column{Name: "x", Type: textOID}, memberDoc, "***", middleware.MaskHides, ""},
	} {
		t.Run(name, func(t *testing.T) {
			op := func() *protocol.Operation {
				o := as("orders", info.Identity, "public.t.doc")
				o.InferredKnown, o.Columns = true, []protocol.Column{tc.col}
				return o
			}
			rows, err := middlewaretest.Rows(middleware.MaskWith(c), op(), []protocol.Column{tc.col}, [][][]byte{bytesOf(tc.in), {nil}})
			require.NoError(t, err)
			require.Equal(t, [][][]byte{bytesOf(tc.want), {nil}}, rows)
			x := e.Operation(op())
			require.Empty(t, x.Refused)
			require.Equal(t, tc.effect, x.Values[0].Effect, "%+v", x.Values[0])
			require.Equal(t, tc.rule, x.Values[0].Rule, "%+v", x.Values[0])
		})
	}
	x := e.Column(ref("public.t.doc"))
	require.Equal(t, "rule mail is the first that is about public.t.doc, by public.t.doc (email)", x.Values[0].Why)
	require.Contains(t, x.Values[0].Passed, middleware.PassedRule{Rule: "home", Why: "it decides about other members, by public.t.doc (home.street)"})

	// Members are counted one by one.
	var counted map[string]int
	c.Shadow = func(_ *protocol.Operation, masked map[string]int, _ string) { counted = masked }
	own := lying(protocol.EdgeIdentity, "")
	shadowed := as("orders", info.Identity, "public.t.doc")
	shadowed.InferredKnown = true
	in := [][][]byte{bytesOf(memberDoc), bytesOf(`{"email":"b@example.com"}`), {nil}}
	rows, err := middlewaretest.Rows(middleware.MaskWith(c), shadowed, []protocol.Column{own}, in)
	require.NoError(t, err)
	require.Equal(t, in, rows)
	require.Equal(t, map[string]int{"mail": 2, "home": 1, "found": 1}, counted)
}

// A statement tells of a member, by a condition, only what the rule for it says.
func TestMaskMembersInference(t *testing.T) {
	step := middleware.Mask(memberRules()...)
	for at, effect := range map[protocol.Inference]protocol.Effect{
		{How: protocol.HowComputed, Path: "/email"}:   protocol.DenyEffect,
		{How: protocol.HowComputed, Path: ""}:         protocol.DenyEffect,
		{How: protocol.HowComputed, Path: "/email/x"}: protocol.DenyEffect,
		{How: protocol.HowMember, Path: "/email/x"}:   protocol.DenyEffect,
		{How: protocol.HowMember, Path: "/email"}:     protocol.NoOpinion, // which the document shows
		{How: protocol.HowComputed, Path: "/city"}:    protocol.NoOpinion,
		{How: protocol.HowComputed, Path: "/home"}:    protocol.NoOpinion, // whose rule allows it
	} {
		at.ColumnRef = ref("public.t.doc")
		op := sel("public.t.doc")
		op.Inferred, op.InferredKnown = []protocol.Inference{at}, true
		require.Equal(t, effect, decided(t, step, op).Effect, at.String())
	}
}

// An approval lifts the masks of all members, or none.
func TestMaskMembersLift(t *testing.T) {
	privacy := &protocol.Identity{Issuer: "i", Subject: "bob", Kind: protocol.Human, Groups: []string{"privacy"}}
	alice := &protocol.Identity{Issuer: "i", Subject: "alice", Kind: protocol.Human}
	for rules, want := range map[string]string{"mail": "nobody may let you see what rule home masks", "mail home": ""} {
		b := approval.NewBroker(approval.Options{})
		names := []string{"mail"}
		if rules != "mail" {
			names = append(names, "home")
		}
		step := middleware.MaskWith(middleware.MaskConfig{Rules: memberRules()[:3], Broker: b,
			Lifts: []middleware.MaskLift{{ApproveRule: middleware.ApproveRule{Name: "case", Groups: []string{"privacy"}}, Rules: names}}})
		go func() {
			for r := range b.Watch(t.Context()) {
				if r.State == approval.StatePending {
					_, _ = b.Decide(t.Context(), approval.Verdict{Request: r.ID, By: privacy, Approve: true, Digest: r.Digest})
					return
				}
			}
		}()
		cols := []protocol.Column{lying(protocol.EdgeIdentity, ""), lying(protocol.EdgeMember, "/email"), lying(protocol.EdgeMember, "/city")}
		op := unmasking(alice, cols)
		op.Reads, op.InferredKnown = refs("public.t.doc"), true
		rows, err := middlewaretest.Rows(step, op, cols, [][][]byte{bytesOf(memberDoc, "ann@example.com", "Rome")})
		if want != "" {
			require.ErrorContains(t, err, want)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, bytesOf(memberDoc, "ann@example.com", "Rome"), rows[0])
		require.Equal(t, "mail, home", op.Lifts[0].Rule)
		require.Len(t, op.Lifts, 2)
	}
}

func TestMaskMembersInFiles(t *testing.T) {
	step, err := buildMask("{rules: [{name: r, columns: [public.t.doc], members: [email, home], with: redact}]}")
	require.NoError(t, err)
	rows, err := middlewaretest.Rows(step, sel("public.t.doc"), []protocol.Column{lying(protocol.EdgeIdentity, "")}, [][][]byte{bytesOf(memberDoc)})
	require.NoError(t, err)
	require.Equal(t, bytesOf(`{"email":"***","home":"***","note":"4111 1111 1111 1111"}`), rows[0])
}
