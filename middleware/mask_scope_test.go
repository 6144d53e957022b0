package middleware_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/middleware/middlewaretest"
	"github.com/sallyport-dev/gateway/protocol"
)

// as returns sel's operation of somebody on a target.
func as(target string, id *protocol.Identity, reads ...string) *protocol.Operation {
	op := sel(reads...)
	op.Session = &protocol.SessionInfo{ID: "s", Protocol: "postgres", Resource: protocol.Resource{Name: target}, Identity: id}
	return op
}

func TestMaskScopes(t *testing.T) {
	step := middleware.MaskWith(middleware.MaskConfig{
		Rules: []mask.Rule{
			{Name: "dba sees names", Columns: []string{"public.customers.name"}, Transform: mask.Show()},
			{Name: "agents", Columns: []string{"public.customers.*"}, Transform: mask.Null()},
			{Name: "staging", Columns: []string{"public.customers.name"}, Transform: mask.Fixed("staging")},
			{Name: "all", Columns: []string{"public.customers.name", "public.customers.email"}, Transform: mask.Redact()},
			{Name: "odd", Columns: []string{"public.customers.phone"}, Transform: mask.Redact()},
		},
		Scopes: map[string]middleware.MaskScope{
			"dba sees names": {Groups: []string{"dba"}, ExceptGroups: []string{"trainee"}},
			"agents":         {Kinds: []protocol.IdentityKind{protocol.Agent}},
			"staging":        {Targets: []string{"staging-*"}},
			"odd":            {If: middleware.If(func(*protocol.Operation) (bool, error) { return false, errors.New("cannot tell") })},
		},
	})
	cols := []protocol.Column{col("n", "is public.customers.name"), col("e", "is public.customers.email"), col("p", "is public.customers.phone"), col("c", "is public.customers.city")}
	in := [][][]byte{bytesOf("Ada", "ada@example.com", "555", "Rome")}
	human := func(groups ...string) *protocol.Identity {
		return &protocol.Identity{Issuer: "i", Subject: "s", Kind: protocol.Human, Groups: groups}
	}
	for name, c := range map[string]struct {
		op   *protocol.Operation
		want [][]byte
	}{
		"a developer":     {as("orders", human("dev"), "public.customers.name"), bytesOf("***", "***", "***", "Rome")},
		"on staging":      {as("staging-1", human("dev"), "public.customers.name"), bytesOf("staging", "***", "***", "Rome")},
		"a dba":           {as("orders", human("dba"), "public.customers.email"), bytesOf("Ada", "***", "***", "Rome")},
		"a dba's trainee": {as("orders", human("dba", "trainee"), "public.customers.name"), bytesOf("***", "***", "***", "Rome")},
		"an agent":        {as("orders", &protocol.Identity{Issuer: "i", Subject: "s", Kind: protocol.Agent}, "public.customers.city"), bytesOf("NULL", "NULL", "NULL", "NULL")},
		"nobody known":    {as("orders", nil, "public.customers.name"), bytesOf("NULL", "NULL", "NULL", "NULL")},
	} {
		rows, err := middlewaretest.Rows(step, c.op, cols, in)
		require.NoError(t, err, name)
		require.Equal(t, [][][]byte{c.want}, rows, name)
	}
	// What may be any column is no column that is shown.
	rows, err := middlewaretest.Rows(step, as("orders", human("dba"), "public.customers.*"), []protocol.Column{col("row", "is public.customers.*"), {Name: "y", Type: textOID}}, [][][]byte{bytesOf("(Ada)", "x")})
	require.NoError(t, err)
	require.Equal(t, [][][]byte{bytesOf("***", "***")}, rows)

	_, err = middleware.NewChain(middleware.MaskWith(middleware.MaskConfig{Rules: maskRules(), Scopes: map[string]middleware.MaskScope{"nmae": {}}}))
	require.ErrorContains(t, err, `has a scope for "nmae"`)
}

// Whom an identity acts for counts where that hides more, and what is not known too.
func TestMaskScopesOfAgents(t *testing.T) {
	step := middleware.MaskWith(middleware.MaskConfig{
		Rules: []mask.Rule{
			{Name: "dba", Columns: []string{"public.customers.name"}, Transform: mask.Show()},
			{Name: "contractors", Columns: []string{"public.customers.email"}, Transform: mask.Redact()},
			{Name: "people", Columns: []string{"public.customers.phone"}, Transform: mask.Redact()},
			{Name: "outside", Columns: []string{"public.customers.city"}, Transform: mask.Redact()},
			{Name: "all", Columns: []string{"public.customers.name"}, Transform: mask.Redact()},
		},
		Scopes: map[string]middleware.MaskScope{
			"dba":         {Groups: []string{"dba"}, ExceptGroups: []string{"trainee"}},
			"contractors": {Groups: []string{"contractors"}},
			"people":      {Kinds: []protocol.IdentityKind{protocol.Human}},
			"outside":     {Claims: map[string][]string{"external": {"true"}, "level": {"1", "2"}}},
		},
	})
	cols := []protocol.Column{col("n", "is public.customers.name"), col("e", "is public.customers.email"), col("p", "is public.customers.phone"), col("c", "is public.customers.city")}
	who := func(kind protocol.IdentityKind, behalf *protocol.Identity, groups ...string) *protocol.Identity {
		return &protocol.Identity{Issuer: "i", Subject: "s", Kind: kind, Groups: groups, OnBehalfOf: behalf, Claims: map[string]any{"external": behalf == nil, "level": []any{2.0}}}
	}
	for name, c := range map[string]struct {
		id   *protocol.Identity
		want [][]byte
	}{
		"a contractor's agent":      {who(protocol.Agent, who(protocol.Human, nil, "contractors")), bytesOf("***", "***", "555", "***")},
		"a dba's agent":             {who(protocol.Agent, who(protocol.Human, nil, "dba")), bytesOf("***", "ada@example.com", "555", "***")},
		"a trainee's agent that is": {who(protocol.Agent, who(protocol.Human, nil, "trainee"), "dba"), bytesOf("***", "ada@example.com", "555", "***")},
		"somebody of no kind":       {who("", nil), bytesOf("***", "ada@example.com", "***", "***")},
		"a claim that is false":     {who(protocol.Agent, who(protocol.Agent, &protocol.Identity{}, "dba"), "dba"), bytesOf("Ada", "ada@example.com", "555", "Rome")},
	} {
		rows, err := middlewaretest.Rows(step, as("orders", c.id, "public.customers.name", "public.customers.email"), cols, [][][]byte{bytesOf("Ada", "ada@example.com", "555", "Rome")})
		require.NoError(t, err, name)
		require.Equal(t, [][][]byte{c.want}, rows, name)
	}
}

// A rule that shows takes a column, a kind and a field out of those behind it.
func TestMaskShow(t *testing.T) {
	step := middleware.Mask(
		mask.Rule{Name: "shown", Columns: []string{"public.orders.support"}, Detect: []string{"net.*", "phone"}, Fields: []string{"support"}, Transform: mask.Show()},
		detecting(),
	)
	rows, err := middlewaretest.Rows(step, sel("public.orders.note"), []protocol.Column{col("support", "is public.orders.support"), col("note", "is public.orders.note")},
		[][][]byte{bytesOf("help@example.com", "help@example.com +49 30 901820 10.0.0.1")})
	require.NoError(t, err)
	require.Equal(t, [][][]byte{bytesOf("help@example.com", "*** +49 30 901820 10.0.0.1")}, rows)
	x, err := middlewaretest.Ask(step, &protocol.Operation{Access: protocol.Read, Shape: protocol.Docs})
	require.NoError(t, err)
	f, err := x.Docs("application/json")
	require.NoError(t, err)
	got, err := f([]byte(`{"support":"help@example.com","from":"ada@example.com"}`))
	require.NoError(t, err)
	require.Equal(t, `{"support":"help@example.com","from":"***"}`, string(got))
}

func TestMaskNulls(t *testing.T) {
	step := middleware.Mask(mask.Rule{Name: "n", Columns: []string{"public.customers.email"}, Transform: mask.Redact(), Nulls: true},
		mask.Rule{Name: "o", Columns: []string{"public.customers.name"}, Transform: mask.Redact()})
	rows, err := middlewaretest.Rows(step, sel("public.customers.email"), []protocol.Column{col("e", "is public.customers.email"), col("n", "is public.customers.name")},
		[][][]byte{bytesOf("NULL", "NULL"), bytesOf("a", "b")})
	require.NoError(t, err)
	require.Equal(t, [][][]byte{bytesOf("***", "NULL"), bytesOf("***", "***")}, rows)
}

func TestMaskShadow(t *testing.T) {
	type seen struct {
		masked  map[string]int
		refused string
	}
	var got []seen
	step := middleware.MaskWith(middleware.MaskConfig{Rules: append(maskRules(), detecting()), Shadow: func(_ *protocol.Operation, masked map[string]int, refused string) {
		got = append(got, seen{masked, refused})
	}})
	in := [][][]byte{bytesOf("ada@example.com", "call +49 30 901820"), bytesOf("NULL", "x")}
	op := sel("public.customers.email")
	rows, err := middlewaretest.Rows(step, op, []protocol.Column{col("e", "is public.customers.email"), col("n", "is public.orders.note")}, in)
	require.NoError(t, err)
	require.Equal(t, in, rows)
	require.Empty(t, op.Result().Masked)
	msg, err := middlewaretest.Text(step, sel("public.customers.email"), protocol.Message{Code: "22P02", Text: "ada@example.com"})
	require.NoError(t, err)
	require.Equal(t, "ada@example.com", msg.Text)
	x, err := middlewaretest.Ask(step, &protocol.Operation{Verb: "do", Access: protocol.Opaque})
	require.NoError(t, err)
	x.End(protocol.Outcome{})
	require.Len(t, got, 3)
	require.Equal(t, map[string]int{maskRules()[0].Name: 1, "found": 1}, got[0].masked)
	require.Empty(t, got[1].refused)
	require.Contains(t, got[2].refused, "could not be analysed")
}

func TestMaskKindScopes(t *testing.T) {
	step, err := buildMask(`
labels: {pii.mail: [public.t.mail], pii.name: ["*.*.name"], other: [public.t.x]}
rules:
  - {name: dba, columns: [public.t.name], groups: [dba], with: show}
  - {name: pii, labels: ["pii.*"], nulls: true, with: redact}
  - {name: agents, columns: [public.t.x], identities: [agent], targets: [orders], with: "null"}
`)
	require.NoError(t, err)
	cols := []protocol.Column{col("m", "is public.t.mail"), col("n", "is public.t.name"), col("x", "is public.t.x")}
	for group, want := range map[string][][]byte{"dba": bytesOf("***", "b", "c"), "dev": bytesOf("***", "***", "c")} {
		rows, err := middlewaretest.Rows(step, as("orders", &protocol.Identity{Kind: protocol.Human, Groups: []string{group}}, "public.t.mail"), cols, [][][]byte{bytesOf("NULL", "b", "c")})
		require.NoError(t, err)
		require.Equal(t, [][][]byte{want}, rows)
	}
	for text, want := range map[string]string{
		"rules: [{name: r, labels: [pii.mial], with: redact}]":                             `rule r: no column has the label "pii.mial"`,
		"rules: [{name: r, columns: [a.b.c], identities: [robot], with: redact}]":          `identities: "robot" is none of`,
		"{shadow: true, rules: [{name: r, columns: [a.b.c], group: [dba], with: redact}]}": `unknown field "group"`,
		"{labels: {a: [x]}, rules: [{name: r, labels: [a], with: redact}]}":                `column "x": has fewer`,
	} {
		_, err := buildMask(text)
		require.ErrorContains(t, err, want, text)
	}
}
