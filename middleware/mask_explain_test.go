package middleware_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/middleware/middlewaretest"
	"github.com/sallyport-dev/gateway/protocol"
)

func ExampleNewMaskExplainer() {
	e, err := middleware.NewMaskExplainer(middleware.MaskConfig{
		Rules: []mask.Rule{
			{Name: "support", Columns: []string{"public.customers.email"}, Transform: mask.Show()},
			{Name: "contact", Columns: []string{"*.*.email"}, Transform: mask.Email()},
		},
		Scopes: map[string]middleware.MaskScope{"support": {Groups: []string{"support"}}},
	}, &protocol.SessionInfo{Protocol: "postgres", Identity: &protocol.Identity{Issuer: "static", Subject: "alice", Groups: []string{"dev"}},
		Resource: protocol.Resource{Name: "orders", Protocol: "postgres"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	x := e.Column(protocol.ColumnRef{Schema: "public", Table: "customers", Column: "email"})
	v := x.Values[0]
	fmt.Println(v.Effect, v.Rule, v.With)
	fmt.Println(v.Why)
	fmt.Println(v.Passed)
	// Output:
	// masked contact email
	// rule contact is the first that is about public.customers.email, by *.*.email
	// [{support only for groups support}]
}

// What is explained is what happens: for each kind of column, the explanation and
// the step are asked the same.
func TestMaskExplainsWhatHappens(t *testing.T) {
	c := middleware.MaskConfig{
		Rules: []mask.Rule{
			{Name: "shown", Columns: []string{"public.t.open"}, Transform: mask.Show()},
			{Name: "a", Columns: []string{"public.t.a*"}, Transform: mask.Fixed("A")},
			{Name: "b", Columns: []string{"public.t.b"}, Transform: mask.KeepLast(2)},
			{Name: "agents", Columns: []string{"public.t.c"}, Transform: mask.Null()},
			{Name: "n", Columns: []string{"public.t.n"}, Transform: mask.Redact(), Nulls: true},
			{Name: "mail", Detect: []string{"email"}, Transform: mask.Redact()},
		},
		Scopes: map[string]middleware.MaskScope{"agents": {Claims: map[string][]string{"purpose": {"support", "care"}}}},
	}
	value := "somebody"
	for name, tc := range map[string]struct {
		col    protocol.Column
		claims map[string]any
		effect middleware.MaskEffect
		rule   string
		want   string
	}{
		"own value":             {col("x", "is public.t.a1"), nil, middleware.MaskMasks, "a", "A"},
		"shown":                 {col("x", "is public.t.open"), nil, middleware.MaskShows, "shown", value},
		"computed":              {col("x", "of public.t.a1"), nil, middleware.MaskHides, "a", "***"},
		"whether it is there":   {col("x", "null public.t.b"), nil, middleware.MaskSearches, "", value},
		"where that is hidden":  {col("x", "null public.t.n"), nil, middleware.MaskHides, "n", "***"},
		"of two rules":          {col("x", "is public.t.a1", "is public.t.b"), nil, middleware.MaskHides, "b", "***"},
		"unknown":               {protocol.Column{Name: "x", Type: textOID}, nil, middleware.MaskHides, "", "***"},
		"whole row":             {col("x", "is public.t.*"), nil, middleware.MaskHides, "a", "***"},
		"no rule":               {col("x", "is public.t.z"), nil, middleware.MaskSearches, "", value},
		"claim":                 {col("x", "is public.t.c"), map[string]any{"purpose": "care"}, middleware.MaskMasks, "agents", "NULL"},
		"claim of several":      {col("x", "is public.t.c"), map[string]any{"purpose": []any{"a", "support"}}, middleware.MaskMasks, "agents", "NULL"},
		"another claim":         {col("x", "is public.t.c"), map[string]any{"purpose": "sales"}, middleware.MaskSearches, "", value},
		"no claim":              {col("x", "is public.t.c"), nil, middleware.MaskSearches, "", value},
		"claim of another kind": {col("x", "is public.t.c"), map[string]any{"purpose": 7}, middleware.MaskSearches, "", value},
	} {
		t.Run(name, func(t *testing.T) {
			id := &protocol.Identity{Issuer: "i", Subject: "s", Kind: protocol.Human, Claims: tc.claims}
			info := &protocol.SessionInfo{Protocol: "postgres", Identity: id, Resource: protocol.Resource{Name: "orders"}}
			e, err := middleware.NewMaskExplainer(c, info)
			require.NoError(t, err)
			op := func() *protocol.Operation {
				o := as("orders", id, "public.t.a1")
				o.Columns = []protocol.Column{tc.col}
				return o
			}
			x := e.Operation(op())
			require.Empty(t, x.Refused)
			require.Len(t, x.Values, 1)
			v := x.Values[0]
			require.Equal(t, tc.effect, v.Effect, "%+v", v)
			require.Equal(t, tc.rule, v.Rule, "%+v", v)
			require.NotEmpty(t, v.Why)
			// Each rule decides, looks, or is passed over.
			rest := len(c.Rules) - len(v.Passed) - len(v.Looks)
			if v.Rule != "" {
				rest--
			}
			require.Zero(t, rest, "%+v", v)
			rows, err := middlewaretest.Rows(middleware.MaskWith(c), op(), []protocol.Column{tc.col}, [][][]byte{bytesOf(value)})
			require.NoError(t, err)
			require.Equal(t, bytesOf(tc.want), rows[0])
		})
	}
}

// In a number is looked where it is called something, also where it comes from.
func TestMaskExplainsNumbers(t *testing.T) {
	c := middleware.MaskConfig{Rules: []mask.Rule{detecting()}}
	info := &protocol.SessionInfo{Protocol: "postgres", Identity: &protocol.Identity{Issuer: "i", Subject: "s"}, Resource: protocol.Resource{Name: "orders"}}
	e, err := middleware.NewMaskExplainer(c, info)
	require.NoError(t, err)
	for source, want := range map[string]struct {
		effect middleware.MaskEffect
		value  string
	}{"ssn": {middleware.MaskSearches, "0"}, "id": {middleware.MaskShows, "536904399"}} {
		cols := []protocol.Column{col("x", "is public.t."+source)}
		cols[0].Type = 23
		op := as("orders", info.Identity, "public.t."+source)
		op.Columns = cols
		require.Equal(t, want.effect, e.Operation(op).Values[0].Effect, source)
		rows, err := middlewaretest.Rows(middleware.MaskWith(c), as("orders", info.Identity, "public.t."+source), cols, [][][]byte{bytesOf("536904399")})
		require.NoError(t, err)
		require.Equal(t, bytesOf(want.value), rows[0], source)
	}
}

func TestMaskExplainsRefusals(t *testing.T) {
	c := middleware.MaskConfig{Rules: maskRules(), Targets: []string{"orders"}}
	info := &protocol.SessionInfo{Protocol: "postgres", Identity: &protocol.Identity{Issuer: "i", Subject: "s"}, Resource: protocol.Resource{Name: "orders"}}
	e, err := middleware.NewMaskExplainer(c, info)
	require.NoError(t, err)
	op := sel("public.customers.email")
	op.Access |= protocol.Write
	x := e.Operation(op)
	require.Contains(t, x.Refused, "copy masked values")
	require.NotEmpty(t, x.Rule)
	require.Contains(t, e.Operation(&protocol.Operation{Verb: protocol.Unknown, Why: "it is odd"}).Refused, "it is odd")

	info = &protocol.SessionInfo{Protocol: "postgres", Identity: info.Identity, Resource: protocol.Resource{Name: "other"}}
	e, err = middleware.NewMaskExplainer(c, info)
	require.NoError(t, err)
	require.Contains(t, e.Operation(sel("public.customers.email")).Exempt, "targets orders")
	_, err = middleware.NewMaskExplainer(middleware.MaskConfig{}, info)
	require.ErrorContains(t, err, "has no rules")
}

func TestMaskExplainsFieldsAndLabels(t *testing.T) {
	c := middleware.MaskConfig{Rules: []mask.Rule{
		{Name: "customer", Fields: []string{"customer"}, Transform: mask.Redact()},
		{Name: "open", Fields: []string{"customer.city", "city"}, Transform: mask.Show()},
		{Name: "found", Detect: []string{"email"}, Transform: mask.Redact()},
	}, Labels: mask.Labels{"pii.name": {"public.t.name", "*.*.full_name"}}}
	info := &protocol.SessionInfo{Protocol: "http", Identity: &protocol.Identity{Issuer: "i", Subject: "s"}, Resource: protocol.Resource{Name: "api"}}
	e, err := middleware.NewMaskExplainer(c, info)
	require.NoError(t, err)
	for path, want := range map[string]middleware.MaskEffect{"customer.city": middleware.MaskMasks, "customer.a.b": middleware.MaskMasks,
		"city": middleware.MaskShows, "other": middleware.MaskSearches} {
		x, err := e.Field(path)
		require.NoError(t, err)
		require.Equal(t, want, x.Values[0].Effect, path)
		// And so it happens.
		doc := `{"customer":{"city":"ann@example.com","a":{"b":"ann@example.com"}},"city":"ann@example.com","other":"ann@example.com"}`
		set, err := mask.Compile(c.Rules...)
		require.NoError(t, err)
		out, err := set.Documents(nil).JSON([]byte(doc))
		require.NoError(t, err)
		require.JSONEq(t, `{"customer":{"city":"***","a":{"b":"***"}},"city":"ann@example.com","other":"***"}`, string(out))
	}
	_, err = e.Field("a..b")
	require.Error(t, err)
	all, err := e.Label("pii.*")
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Equal(t, "column *.*.full_name", all[1].About)
	require.Equal(t, []string{"pii.name"}, all[0].Values[0].Labels)
}
