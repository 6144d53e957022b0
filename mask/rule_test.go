package mask_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/mask"
)

func rule(name string, columns ...string) mask.Rule {
	return mask.Rule{Name: name, Columns: columns, Transform: mask.Redact()}
}

func TestMatch(t *testing.T) {
	s, err := mask.Compile(
		rule("mail", "public.customers.email", "*.orders.contact"),
		rule("ssn", "*.*.ssn"),
		rule("pay", "hr.pay*.*"),
		rule("late", "public.customers.*"),
		rule("odd", `public."Odd.table"."a*b""c"`),
		rule("middle", "x.y.a*b*c"),
	)
	require.NoError(t, err)
	for _, c := range []struct{ schema, table, column, want string }{
		{"public", "customers", "email", "mail"},
		{"PUBLIC", "Customers", "EMAIL", "mail"},
		{"other", "customers", "email", ""},
		{"sales", "orders", "contact", "mail"},
		{"sales", "orders", "contacts", ""},
		{"public", "customers", "ssn", "ssn"}, // the first rule counts
		{"public", "customers", "name", "late"},
		{"hr", "payroll", "x", "pay"},
		{"hr", "pay", "x", "pay"},
		{"hr", "repay", "x", ""},
		{"public", "odd.table", `a*b"c`, "odd"},
		{"public", "odd.table", `axb"c`, ""},
		{"x", "y", "abc", "middle"},
		{"x", "y", "a-b-b-c", "middle"},
		{"x", "y", "acb", ""},
		{"x", "y", "ab", ""},
		{"public", "customers", "*", "mail"}, // the whole row
		{"hr", "payroll", "*", "ssn"},
		{"", "customers", "email", "mail"}, // not known which schema
		{"public", "", "email", "mail"},    // not known which table
		{"x", "y", "", "ssn"},              // not known which column
		{"", "", "", "mail"},
	} {
		got := ""
		if r := s.Match(c.schema, c.table, c.column); r != nil {
			got = r.Name
		}
		require.Equal(t, c.want, got, "%s.%s.%s", c.schema, c.table, c.column)
	}
}

func TestTable(t *testing.T) {
	s, err := mask.Compile(rule("a", "public.customers.email"), rule("b", "hr.*.name"))
	require.NoError(t, err)
	require.True(t, s.Table("public", "customers"))
	require.True(t, s.Table("hr", "anything"))
	require.True(t, s.Table("", "customers"))
	require.False(t, s.Table("public", "orders"))
	require.False(t, new(mask.Set).Table("public", "customers"))
	require.Nil(t, new(mask.Set).Match("", "", ""))
}

func TestCompileNamesTheRule(t *testing.T) {
	for want, r := range map[string]mask.Rule{
		"rule number 1: has no name":               {Columns: []string{"a.b.c"}, Transform: mask.Null()},
		"rule r: names no columns":                 {Name: "r", Transform: mask.Null()},
		"rule r: has no transform":                 {Name: "r", Columns: []string{"a.b.c"}},
		`rule r: column "email": has fewer`:        rule("r", "email"),
		`rule r: column "a.b.c.d": has more`:       rule("r", "a.b.c.d"),
		`rule r: column "a..c": has an empty part`: rule("r", "a..c"),
		`rule r: column "a.b.": has an empty part`: rule("r", "a.b."),
		`rule r: column "a.b. c": has a space`:     rule("r", "a.b. c"),
		`rule r: column "a.b.ca?d": has a ?`:       rule("r", "a.b.ca?d"),
		`rule r: column "a.\"b.c": has an open`:    rule("r", `a."b.c`),
		"rule r: inference is about columns":       {Name: "r", Fields: []string{"a"}, Inference: mask.BlockInference, Transform: mask.Null()},
		"rule r: inference is about columns that":  {Name: "r", Columns: []string{"a.b.c"}, Inference: mask.BlockInference, Transform: mask.Show()},
		`rule r: inference: "maybe" is none of`:    {Name: "r", Columns: []string{"a.b.c"}, Inference: "maybe", Transform: mask.Null()},
		"longer than 1024":                         rule("r", "a.b."+strings.Repeat("c", 1024)),
		"rule r: partial: nothing is kept":         {Name: "r", Columns: []string{"a.b.c"}, Transform: mask.Partial{}},
		"rule r: partial: the number":              {Name: "r", Columns: []string{"a.b.c"}, Transform: mask.KeepLast(-1)},
		"rule r: partial: keeps 65":                {Name: "r", Columns: []string{"a.b.c"}, Transform: mask.KeepLast(65)},
		"rule r: partial: ' ' cannot":              {Name: "r", Columns: []string{"a.b.c"}, Transform: mask.Partial{KeepLast: 1, With: ' '}},
		"rule r: hash: no key":                     {Name: "r", Columns: []string{"a.b.c"}, Transform: mask.Hash(mask.Key{}, "")},
		"rule r: fixed: the value is not text":     {Name: "r", Columns: []string{"a.b.c"}, Transform: mask.Fixed("a\x00b")},
		"rule r: fixed: the value is longer":       {Name: "r", Columns: []string{"a.b.c"}, Transform: mask.Fixed(strings.Repeat("x", 1<<17))},
	} {
		_, err := mask.Compile(r)
		require.ErrorContains(t, err, want)
	}
	_, err := mask.Compile(rule("twice", "a.b.c"), rule("twice", "a.b.d"))
	require.ErrorContains(t, err, "rule twice: there are two rules of this name")
}

func FuzzCompile(f *testing.F) {
	for _, s := range []string{"a.b.c", "*.*.ssn", `public."a.b".*`, `"".b.c`, "a.b*c**d.e", "..", `"`, "A.Ä.ß"} {
		f.Add(s, "public", "customers", "email")
	}
	f.Fuzz(func(t *testing.T, pattern, schema, table, column string) {
		s, err := mask.Compile(rule("r", pattern))
		if err != nil {
			return
		}
		if s.Match(schema, table, column) != nil {
			require.True(t, s.Table(schema, table), "a rule matches a column of a table it does not touch")
			require.NotNil(t, s.Match(strings.ToUpper(strings.ToLower(schema)), table, ""), "case matters")
			require.NotNil(t, s.Match("", table, column), "an unknown schema hides a match")
			require.NotNil(t, s.Match(schema, "", column), "an unknown table hides a match")
			require.NotNil(t, s.Match(schema, table, "*"), "the whole row hides a match")
		}
	})
}
