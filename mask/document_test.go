package mask_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/mask"
)

func documents(t testing.TB, rules ...mask.Rule) *mask.Documents {
	s, err := mask.Compile(rules...)
	require.NoError(t, err)
	require.True(t, s.HasFields())
	return s.Documents(nil)
}

func TestDocuments(t *testing.T) {
	fields := func(with mask.Transform, fields ...string) mask.Rule {
		return mask.Rule{Name: fields[0], Fields: fields, Transform: with}
	}
	for _, c := range []struct {
		rule      mask.Rule
		doc, want string
	}{
		{fields(mask.Redact(), "email"), `{"email":"a@b.c"}`, `{"email":"***"}`},
		{fields(mask.Redact(), "email"), ` [ {"x":1, "EMail" : "a@b.c" } , {"\u0065mail":"d"} ] `, ` [ {"x":1, "EMail" : "***" } , {"\u0065mail":"***"} ] `},
		{fields(mask.Redact(), "email"), `{"user":{"email":"a@b.c"}}`, `{"user":{"email":"a@b.c"}}`},
		{fields(mask.Redact(), "**.email"), `{"user":{"email":"a"},"email":"b","e":[[{"email":"c"}]]}`, `{"user":{"email":"***"},"email":"***","e":[[{"email":"***"}]]}`},
		{fields(mask.Redact(), "user.*.email"), `{"user":{"a":{"email":"x"},"email":"y"}}`, `{"user":{"a":{"email":"***"},"email":"y"}}`},
		{fields(mask.Redact(), "user"), `{"user":{"n":1.5e3,"b":true,"s":"x","z":null,"l":["y",[2]],"o":{"s":"q"}},"other":1}`,
			`{"user":{"n":0,"b":false,"s":"***","z":null,"l":["***",[0]],"o":{"s":"***"}},"other":1}`},
		{fields(mask.Null(), "a"), `{"a":"x","b":"y","a":5}`, `{"a":null,"b":"y","a":null}`}, // twice, as some readers take the first
		{fields(mask.Redact(), "a"), `{"a":{},"b":[],"c":"d"}`, `{"a":{},"b":[],"c":"d"}`},
		{fields(mask.KeepLast(4), "card"), `{"card":"4111111111111111"}`, `{"card":"************1111"}`},
		{fields(mask.Email(), "m"), `{"m":"alice@example.com"}`, `{"m":"a****@example.com"}`},
		{fields(mask.Fixed(`"\<`), "a"), `{"a":"x"}`, `{"a":"\"\\\u003c"}`},
		{fields(mask.Redact(), `"a.b"`), `{"a.b":"x","a":{"b":"y"}}`, `{"a.b":"***","a":{"b":"y"}}`},
		{fields(mask.Redact(), "**"), `"x"`, `"***"`},
		{fields(mask.Redact(), "**"), `{"a":["x",{"b":true}]}`, `{"a":["***",{"b":false}]}`},
		{fields(mask.Redact(), "a"), `"a"`, `"a"`},
		{fields(mask.Redact(), "**.email"), `{"p":"{\"email\": \"a@b.c\", \"n\":1}","q":"[{\"EMail\":\"x\"}]","r":"{email"}`, `{"p":"{\"email\": \"***\", \"n\":1}","q":"[{\"EMail\":\"***\"}]","r":"{email"}`},
		{fields(mask.Redact(), "p.email"), `{"p":"{\"email\":\"{}\",\"x\":\"{\\\"email\\\":1}\"}","q":"{\"email\":1}"}`, `{"p":"{\"email\":\"***\",\"x\":\"{\\\"email\\\":1}\"}","q":"{\"email\":1}"}`},
		{fields(mask.Redact(), "p.x.email"), `["{\"p\":\"{\\\"x\\\":{\\\"email\\\":1}}\"}"]`, `["{\"p\":\"{\\\"x\\\":{\\\"email\\\":0}}\"}"]`},
		{fields(mask.Redact(), "a"), `{"x":{"a":1},"a":2,"y":[{"a":3}],"a":[4]}`, `{"x":{"a":1},"a":0,"y":[{"a":3}],"a":[0]}`},
	} {
		d := documents(t, c.rule)
		for range 2 {
			got, err := d.JSON([]byte(c.doc))
			require.NoError(t, err)
			if c.rule.Fields[0] == "m" { // how much of it is kept is Email's choice
				require.NotContains(t, string(got), "alice")
				continue
			}
			require.Equal(t, c.want, string(got))
		}
	}
	d := documents(t, fields(mask.Redact(), "**.a"))
	for _, bad := range []string{``, `{`, `{"a":1}{"a":2}`, `{"a":1} x`, `{'a':1}`, `{"a":01}`, `{"a":1,}`, "\xef\xbb\xbf{}", strings.Repeat("[", 100) + strings.Repeat("]", 100),
		`"` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `"`} {
		_, err := d.JSON([]byte(bad))
		require.Error(t, err, "%q", bad)
	}
	var seen []string
	set, err := mask.Compile(fields(mask.Redact(), "**.a"))
	require.NoError(t, err)
	_, err = set.Documents(func(rule, what string) { seen = append(seen, rule+" "+what) }).JSON([]byte(`{"a":1,"b":{"a":"x"},"c":2}`))
	require.NoError(t, err)
	require.Equal(t, []string{"**.a **.a", "**.a **.a"}, seen)
	for _, bad := range []string{"", "a..b", "a.**", `"a`, "a b"} {
		_, err := mask.Compile(fields(mask.Redact(), bad))
		require.Error(t, err, "%q", bad)
	}
}

func TestDocumentsDetect(t *testing.T) {
	s, err := mask.Compile(mask.Rule{Name: "f", Fields: []string{"**.plain"}, Transform: mask.Fixed("field")},
		mask.Rule{Name: "d", Detect: []string{"*"}, Transform: mask.Redact()})
	require.NoError(t, err)
	var seen []string
	d := s.Documents(func(rule, what string) { seen = append(seen, rule+" "+what) })
	for in, want := range map[string]string{
		`{"note":"write to ada@example.com", "n":1}`:                      `{"note":"write to ***", "n":1}`,
		`{"ssn":536904399,"id":536904399,"ids":[536904399]}`:              `{"ssn":0,"id":536904399,"ids":[536904399]}`,
		`{"homePhone":{"numbers":["4155552671"]},"x":["4155552671"]}`:     `{"homePhone":{"numbers":["4155552671"]},"x":["4155552671"]}`,
		`{"phones":["4155552671",{"n":"4155552671"}],"x":["4155552671"]}`: `{"phones":["***",{"n":"4155552671"}],"x":["4155552671"]}`,
		`{"ada@example.com":{"a":1}, "b":true}`:                           `{"***":{"a":1}, "b":true}`,
		`{"plain":"ada@example.com","e":"\u0061da@example.com"}`:          `{"plain":"field","e":"***"}`,
		// Where it is called something is not always the next name.
		`{"ssn":{"value":"536904399"},"n":{"value":"536904399"}}`:                           `{"ssn":{"value":"***"},"n":{"value":"536904399"}}`,
		`{"ssn":{"type":"us","value":536904399}}`:                                           `{"ssn":{"type":"us","value":0}}`,
		`{"ssn":{"$numberLong":"536904399"},"a":{"ssns":{"L":[{"N":"536904399"}]}}}`:        `{"ssn":{"$numberLong":"***"},"a":{"ssns":{"L":[{"N":"***"}]}}}`,
		`{"db_password":{"S":"hunter2"},"x":{"S":"hunter2"}}`:                               `{"db_password":{"S":"***"},"x":{"S":"hunter2"}}`,
		`{"env":[{"name":"DB_PASSWORD","value":"hunter2"},{"name":"X","value":"hunter2"}]}`: `{"env":[{"name":"DB_PASSWORD","value":"***"},{"name":"X","value":"hunter2"}]}`,
		`[{"Key":"\u0073sn","Value":"536904399"},{"Value":"536904399","Key":"ssn"}]`:        `[{"Key":"\u0073sn","Value":"***"},{"Value":"536904399","Key":"ssn"}]`,
		`{"name":["ssn"],"value":"536904399"}`:                                              `{"name":["ssn"],"value":"536904399"}`,
		`"ada@example.com"`:                                                                 `"***"`,
		`[4111111111111111]`:                                                                `[0]`,
	} {
		got, err := d.JSON([]byte(in))
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}
	require.Contains(t, seen, "d email")
	require.Contains(t, seen, "f **.plain")
}

// FuzzDocuments: what comes out is JSON of the same shape, in which nothing is
// left at a masked place and everything else is as it was.
func FuzzDocuments(f *testing.F) {
	for _, s := range []string{`{"secret":"x","b":[{"secret":1}]}`, `[true,{"secret":{"a":[null,"y"]}}]`, `"x"`, `{"Secret" : 1e5 , "\u0073ecret":2}`, `{"ſecret":1}`} {
		f.Add([]byte(s))
	}
	d := documents(f, mask.Rule{Name: "s", Fields: []string{"**.secret"}, Transform: mask.Redact()})
	f.Fuzz(func(t *testing.T, in []byte) {
		out, err := d.JSON(in)
		if err != nil {
			return
		}
		var a, b any
		for _, v := range []struct {
			b  []byte
			to *any
		}{{in, &a}, {out, &b}} {
			dec := json.NewDecoder(bytes.NewReader(v.b))
			dec.UseNumber()
			if err := dec.Decode(v.to); err != nil {
				t.Fatalf("%q became %q: %v", in, out, err)
			}
		}
		compare(t, a, b, false)
	})
}

func compare(t *testing.T, a, b any, hidden bool) {
	switch a := a.(type) {
	case map[string]any:
		for k, v := range a {
			compare(t, v, b.(map[string]any)[k], hidden || strings.ToLower(k) == "secret" || k == "")
		}
	case []any:
		for i, v := range a {
			compare(t, v, b.([]any)[i], hidden)
		}
	default:
		switch v := b.(type) {
		case string:
			if hidden && v != "***" || !hidden && v != a {
				t.Fatalf("%v became %v", a, b)
			}
		case json.Number:
			if hidden && v != "0" || !hidden && v != a {
				t.Fatalf("%v became %v", a, b)
			}
		case bool:
			if hidden && v || !hidden && v != a {
				t.Fatalf("%v became %v", a, b)
			}
		}
	}
}

// What a member's name says of its value counts as it does in text.
func TestDocumentsSecrets(t *testing.T) {
	docs := detecting(t, mask.Redact(), "secret.*").Documents(nil)
	for in, want := range map[string]string{
		`{"password":"hunter2","user":"ada"}`:                                                            `{"password":"***","user":"ada"}`,
		`{"db_password":["correct horse","x1y2"]}`:                                                       `{"db_password":["***","***"]}`,
		`{"apiKey":"8f14e45fceea167a5a36dedd4bea2543"}`:                                                  `{"apiKey":"***"}`,
		`{"token":"ghp_16C7e42F292c6912E7710c838347Ae178B4a"}`:                                           `{"token":"***"}`,
		`{"password":"required","secret":null,"token":"string","passwordResetAt":"2024-01-15"}`:          `{"password":"required","secret":null,"token":"string","passwordResetAt":"2024-01-15"}`,
		`{"bypass":"12345","compass":"north","nextPageToken":"MTIzNDU2Nzg5MGFiY2RlZmdo"}`:                `{"bypass":"12345","compass":"north","nextPageToken":"MTIzNDU2Nzg5MGFiY2RlZmdo"}`,
		`{"key":"8f14e45fceea167a5a36dedd4bea2543","public_key":"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE"}`: `{"key":"8f14e45fceea167a5a36dedd4bea2543","public_key":"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE"}`,
	} {
		out, err := docs.JSON([]byte(in))
		require.NoError(t, err)
		require.Equal(t, want, string(out))
	}
	column := detecting(t, mask.Redact(), "secret.*").Column("users.password", mask.Type{Kind: mask.Text}, nil)
	out, changed := column.Mask(nil, []byte("hunter2"))
	require.True(t, changed)
	require.Equal(t, "***", string(out))
}
