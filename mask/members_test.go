package mask_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/mask"
)

func inside(name string, with mask.Transform, members ...string) mask.Rule {
	return mask.Rule{Name: name, Columns: []string{"public.customers.profile"}, Members: members, Transform: with}
}

// memberTransform is the transform that a rule with members makes of a column's
// values.
type memberTransform struct{ mask.Verdict }

func (m memberTransform) Bind(t mask.Type) (mask.Func, error) { return m.Verdict.Bind(t, nil) }

// members returns what masks the members of documents.
func members(t testing.TB, with mask.Transform, patterns ...string) mask.Transform {
	s, err := mask.Compile(inside("r", with, patterns...))
	require.NoError(t, err)
	return memberTransform{s.At("public", "customers", "profile", "")}
}

func TestMembersOfValues(t *testing.T) {
	for _, c := range []struct {
		typ      mask.Type
		in, want string
	}{
		{text(mask.JSONB), `{"email": "a@b.c", "city": "Rome"}`, `{"email": "***", "city": "Rome"}`},
		{bin(mask.JSONB), "\x01" + `{"email": "a@b.c"}`, "\x01" + `{"email": "***"}`},
		{text(mask.JSON), ` {"e\u006dail" : 1.5 ,"Email":true,"email":null} `, ` {"e\u006dail" : 0 ,"Email":false,"email":null} `},
		{text(mask.Text), `[{"x":{"ssn":"1"}},[{"ssn":[2,{"a":3}]}]]`, `[{"x":{"ssn":"***"}},[{"ssn":"***"}]]`}, // whole
		{text(mask.JSON), `{"email":{"a@b.c":1},"z":{"email":[]}}`, `{"email":"***","z":{"email":[]}}`},
		{text(mask.JSON), `{"email":"a","email":{"x":{}},"y":[]}`, `{"email":"***","email":"***","y":[]}`}, // twice
		{text(mask.JSON), `null`, `null`},
		{text(mask.JSON), `{}`, `{}`},
		// Anything else is hidden whole.
		{text(mask.JSON), `"{\"email\":\"a@b.c\"}"`, `"***"`},
		{text(mask.Text), `a@b.c`, `***`},
		{text(mask.Text), `12`, `***`},
		{text(mask.Text), ``, `***`},
		{text(mask.Text), `{"email":"a@b.c"`, `***`},
		{text(mask.Text), `{"email":"a@b.c"}{}`, `***`},
		{text(mask.Text), "{\"em\xe4il\":\"a@b.c\"}", `***`}, // of another character set
		{text(mask.Text), strings.Repeat("[", 65) + strings.Repeat("]", 65), `***`},
		{text(mask.Text), `["` + strings.Repeat("x", 16<<20) + `"]`, `***`},
		{bin(mask.JSONB), `{"city": "Rome"}`, "\x01" + `"***"`},
		{bin(mask.JSONB), "\x02" + `{"city": "Rome"}`, "\x01" + `"***"`},
		{bin(mask.JSONB), "", "\x01" + `"***"`},
		{text(mask.Bytes), `\x7b7d`, `\x`},
		{text(mask.Int4), `7`, `0`},
		{text(mask.Unknown), `{}`, "NULL"},
		{mask.Postgres(3807, "_jsonb", false), `{"{\"email\": \"a\"}",NULL,"[1]"}`, `{"{\"email\": \"***\"}",NULL,"[1]"}`},
	} {
		for _, tr := range []mask.Transform{members(t, mask.Redact(), "email", "**.ssn")} {
			require.Equal(t, c.want, apply(tr, c.typ, c.in), "%.60q as %+v", c.in, c.typ)
		}
	}
	require.Equal(t, `{"card":"************1111","n":null}`, apply(members(t, mask.KeepLast(4), "card"), text(mask.JSON), `{"card":"4111111111111111","n":null}`))
	require.Equal(t, `{"a":null,"b":null}`, apply(members(t, mask.Null(), "a", "b"), text(mask.JSON), `{"a":{"c":1},"b":2}`))
	require.Equal(t, `{"a":"***"}`, apply(members(t, mask.KeepLast(1), "a"), text(mask.JSON), `{"a":{"c":1}}`))
}

// What lies at a path is masked by where it lay.
func TestMembersAtPaths(t *testing.T) {
	s, err := mask.Compile(inside("r", mask.Redact(), "email", "address.street", "**.ssn", `"a/b~c"`, "p*.x.y"))
	require.NoError(t, err)
	const doc = `{"email":"e","street":"s","x":{"y":"z"},"open":"o"}`
	for path, want := range map[string]string{
		"":                `{"email":"***","street":"s","x":{"y":"z"},"open":"o"}`,
		"/email":          "***",
		"/EMAIL":          "***",
		"/email/deep/er":  "***",
		"/address":        `{"email":"e","street":"***","x":{"y":"z"},"open":"o"}`,
		"/address/street": "***",
		"/a/ssn":          "***",
		"/a~1b~0c":        "***",
		"/pq":             `{"email":"e","street":"s","x":{"y":"***"},"open":"o"}`,
		"/pq/x/y":         "***",
	} {
		v := s.At("public", "customers", "profile", path)
		require.NotNil(t, v.Rule, path)
		require.Equal(t, want, apply(memberTransform{v}, text(mask.Text), doc), path)
		require.Equal(t, len(want) > 3, v.Inside(), path)
		require.Equal(t, []*mask.Rule{v.Rule}, v.Rules(), path)
	}
	// In the text of a string or a number nothing lies; in what may be a document it does.
	v := s.At("public", "customers", "profile", "/city")
	for in, want := range map[string]string{"Rome": "Rome", "": "", "12": "12", "{Rome": "***", `{"ssn":"1"}`: `{"ssn":"***"}`, ` [{"ssn":1}]`: ` [{"ssn":0}]`, "R\xf6m": "***", "null": "null", "nothing": "nothing"} {
		require.Equal(t, want, apply(memberTransform{v}, text(mask.Text), in), in)
	}
	require.Equal(t, `"Rome"`, apply(memberTransform{v}, text(mask.JSONB), `"Rome"`))
	s, err = mask.Compile(inside("r", mask.Redact(), "**.ssn"), mask.Rule{Name: "found", Detect: []string{"email"}, Transform: mask.Redact()})
	require.NoError(t, err)
	require.Equal(t, "to ***", apply(memberTransform{s.At("public", "customers", "profile", "/city")}, text(mask.Text), "to ann@example.com"))

	s, err = mask.Compile(inside("r", mask.Redact(), "email", "address.street"))
	require.NoError(t, err)
	for _, path := range []string{"/city", "/address/city", "/street", "/x/email", "/address/x/street"} {
		v := s.At("public", "customers", "profile", path)
		require.Nil(t, v.Rule, path)
		require.Empty(t, v.Rules(), path)
	}
	// As JSON, a string stays one.
	v = s.At("public", "customers", "profile", "/email")
	require.Equal(t, `"***"`, apply(memberTransform{v}, text(mask.JSONB), `"a@b.c"`))
	require.Equal(t, "\x010", apply(memberTransform{v}, bin(mask.JSONB), "\x0112"))
	require.Equal(t, `"***"`, apply(memberTransform{v}, text(mask.JSONB), `{"a": 1}`))
	require.Equal(t, `null`, apply(memberTransform{v}, text(mask.JSONB), `null`))
}

func TestMembersOfSeveralRules(t *testing.T) {
	whole := mask.Rule{Name: "whole", Columns: []string{"public.customers.*"}, Transform: mask.Null()}
	shown := mask.Rule{Name: "shown", Columns: []string{"public.customers.*"}, Transform: mask.Show()}
	const doc = `{"a":"1","b":"2","c":"3"}`
	for name, c := range map[string]struct {
		rules []mask.Rule
		want  string
		by    []string
	}{
		"each member":            {[]mask.Rule{inside("x", mask.Redact(), "a"), inside("y", mask.Null(), "a", "b")}, `{"a":"***","b":null,"c":"3"}`, []string{"x", "y"}},
		"whole behind":           {[]mask.Rule{inside("x", mask.Redact(), "a"), whole}, "NULL", []string{"whole"}},
		"whole before":           {[]mask.Rule{whole, inside("x", mask.Redact(), "a")}, "NULL", []string{"whole"}},
		"shown behind":           {[]mask.Rule{inside("x", mask.Redact(), "a"), shown, whole}, `{"a":"***","b":"2","c":"3"}`, []string{"x"}},
		"shown before":           {[]mask.Rule{shown, inside("x", mask.Redact(), "a"), whole}, doc, nil},
		"shown member":           {[]mask.Rule{inside("s", mask.Show(), "a"), inside("x", mask.Redact(), "*")}, `{"a":"1","b":"***","c":"***"}`, []string{"x"}},
		"shown member and whole": {[]mask.Rule{inside("s", mask.Show(), "a"), whole}, "NULL", []string{"whole"}},
		"shown member alone":     {[]mask.Rule{inside("s", mask.Show(), "a")}, doc, nil},
		"behind what is shown":   {[]mask.Rule{inside("x", mask.Redact(), "a"), shown, inside("y", mask.Redact(), "b")}, `{"a":"***","b":"2","c":"3"}`, []string{"x"}},
	} {
		s, err := mask.Compile(c.rules...)
		require.NoError(t, err, name)
		v := s.At("public", "customers", "profile", "")
		var by []string
		for _, r := range v.Rules() {
			by = append(by, r.Name)
		}
		require.Equal(t, c.by, by, name)
		require.Equal(t, len(c.by) > 0, s.Match("public", "customers", "profile") != nil, name)
		require.Equal(t, c.want, apply(memberTransform{v}, text(mask.JSON), doc), name)
		decide := 0
		for _, o := range s.ColumnOpinions("public", "customers", "profile", "") {
			if o.Decides && !o.Shows {
				decide++
			}
		}
		require.Equal(t, len(c.by), decide, name)
	}

	// What is not known may be the column.
	s, err := mask.Compile(inside("s", mask.Show(), "a"), inside("x", mask.Redact(), "a"))
	require.NoError(t, err)
	for _, c := range [][3]string{{"public", "customers", "*"}, {"", "customers", "profile"}, {"public", "", "profile"}, {"", "", ""}} {
		require.Equal(t, "x", s.Match(c[0], c[1], c[2]).Name)
		v := s.At(c[0], c[1], c[2], "")
		require.Equal(t, `{"a":"***"}`, apply(memberTransform{v}, text(mask.JSON), `{"a":"1"}`), "a rule that shows does not count there")
	}
	require.True(t, s.Table("public", "customers"))
	require.True(t, s.HasColumns())
}

// What detectors find in the other members is masked too, and callers are told.
func TestMembersAndDetectors(t *testing.T) {
	s, err := mask.Compile(inside("x", mask.Redact(), "a"), mask.Rule{Name: "found", Detect: []string{"email"}, Transform: mask.Null()})
	require.NoError(t, err)
	v := s.At("public", "customers", "profile", "")
	told := map[string]int{}
	f, err := v.Bind(text(mask.JSON), func(rule, _ string) { told[rule]++ })
	require.NoError(t, err)
	require.Equal(t, `{"a":"***","b":"***"}`, string(f(nil, []byte(`{"a":"1","b":"ann@example.com"}`))))
	require.Equal(t, map[string]int{"x": 1, "found": 1}, told)
}

func FuzzMembers(f *testing.F) {
	for _, doc := range []string{`{"email":"S3CRET"}`, `{"\u0065mail":"S3CRET","x":[{"ssn":{"S3CRET":1}}]}`, ` [1, {"ssn" : ["S3CRET"]}]`, `"S3CRET"`, `{"email":"a","email":"S3CRET"}`, `{"a":{"email":"open"}}`, "{\"\xff\":1}"} {
		f.Add([]byte(doc))
	}
	tr := members(f, mask.Redact(), "email", "**.ssn")
	f.Fuzz(func(t *testing.T, doc []byte) {
		out := []byte(apply(tr, text(mask.JSON), string(doc)))
		require.True(t, json.Valid(out), "%q became %q", doc, out)
		require.Equal(t, string(out), apply(tr, bin(mask.JSONB), "\x01"+string(doc))[1:])
		var before, after any
		if json.Unmarshal(doc, &before) != nil || string(out) == `"***"` {
			return
		}
		require.NoError(t, json.Unmarshal(out, &after))
		hide(before, 0)
		hide(after, 0)
		require.Equal(t, before, after)
		if !bytes.Contains(bytes.ToLower(doc), []byte("m")) && !bytes.ContainsAny(doc, `Ss\`) && !bytes.Contains(doc, []byte(`""`)) {
			require.Equal(t, doc, out)
		}
	})
}

// hide removes what the rule of FuzzMembers is about.
func hide(v any, depth int) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			hide(e, depth)
		}
	case map[string]any:
		for name, e := range v {
			switch lower := strings.ToLower(name); {
			case lower == "ssn", lower == "email" && depth == 0, lower == "": // no name may be any
				delete(v, name)
			default:
				hide(e, depth+1)
			}
		}
	}
}

// profile is a document as people keep them.
const profile = `{"name": "Ada Lovelace", "email": "ada@example.com", "address": {"street": "St James's Square", "city": "London"}, "tags": ["a", "b"]}`

func TestMembersDoNotAllocate(t *testing.T) {
	f, err := members(t, mask.Redact(), "email", "**.ssn").Bind(text(mask.JSONB))
	require.NoError(t, err)
	doc, dst := []byte(profile), make([]byte, 0, 256)
	require.Zero(t, testing.AllocsPerRun(100, func() { f(dst, doc) }))
}

// On 2 shared vCPUs (AMD EPYC), Go 1.26: 1226 ns for these 134 bytes, no allocations.
func BenchmarkMembers(b *testing.B) {
	f, err := members(b, mask.Redact(), "email", "**.ssn").Bind(text(mask.JSONB))
	require.NoError(b, err)
	doc := []byte(profile)
	var dst []byte
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		dst = f(dst[:0], doc)
	}
}
