package mask_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/mask"
)

func testKey(t testing.TB) mask.Key {
	t.Helper()
	k, err := mask.NewKey([]byte("0123456789abcdef0123456789abcdef"))
	require.NoError(t, err)
	return k
}

// apply returns what tr makes of in, with "NULL" for NULL.
func apply(tr mask.Transform, typ mask.Type, in string) string {
	f, err := tr.Bind(typ)
	if err != nil {
		panic(err)
	}
	out := f(nil, []byte(in))
	if out == nil {
		return "NULL"
	}
	return string(out)
}

func text(k mask.Kind) mask.Type { return mask.Type{Kind: k} }
func bin(k mask.Kind) mask.Type  { return mask.Type{Kind: k, Encoding: mask.PostgresBinary} }

func TestPartial(t *testing.T) {
	for _, c := range []struct {
		p        mask.Partial
		in, want string
	}{
		{mask.Partial{KeepLast: 4}, "4111111111111111", "************1111"},
		{mask.Partial{KeepFirst: 1, KeepLast: 2}, "abcdefgh", "a*****gh"},
		{mask.Partial{KeepLast: 4}, "12345678", "****5678"},
		{mask.Partial{KeepLast: 4}, "1234567", "***"},
		{mask.Partial{KeepLast: 4}, "", "***"},
		{mask.Partial{KeepFirst: 2, With: '•'}, "Żółwiątko", "Żó•••••••"},
		{mask.Partial{KeepLast: 1}, "a\xffbcd", "***"},
		{mask.Partial{KeepLast: 1}, strings.Repeat("x", 1000) + "y", strings.Repeat("*", 256) + "y"},
	} {
		require.Equal(t, c.want, apply(c.p, text(mask.Text), c.in), "%+v of %q", c.p, c.in)
	}
	require.Equal(t, "***", apply(mask.KeepLast(2), text(mask.Padded), "abc       "), "spaces are no characters to keep")
	require.Equal(t, "0", apply(mask.KeepLast(2), text(mask.Int4), "123456"))
	require.Equal(t, `"***"`, apply(mask.KeepLast(2), text(mask.JSON), `"abcdefgh"`))
}

func TestEmail(t *testing.T) {
	for in, want := range map[string]string{
		"ada@example.com":                        "***@example.com",
		"a.b+c@mail.example.co.uk":               "***@mail.example.co.uk",
		"ada@example.com  ":                      "***@example.com",
		"":                                       "***",
		"@example.com":                           "***",
		"ada@":                                   "***",
		"a@b@example.com":                        "***",
		"secret@password":                        "***",
		"call me @ 5.pm":                         "***",
		"x@10.2.3.44":                            "***",
		"x@1.2.3.4":                              "***",
		"x@a..com":                               "***",
		"x@" + strings.Repeat("a", 64) + ".com":  "***",
		"x@" + strings.Repeat("ab.", 100) + "de": "***",
		"Ada <ada@example.com>":                  "***",
	} {
		require.Equal(t, want, apply(mask.Email(), text(mask.Text), in), in)
	}
	require.Equal(t, "NULL", apply(mask.Email(), text(mask.Unknown), "ada@example.com"))
}

func TestFixed(t *testing.T) {
	for _, c := range []struct {
		value string
		typ   mask.Type
		want  string
	}{
		{"hidden", text(mask.Text), "hidden"},
		{"", text(mask.Text), ""},
		{"hidden", text(mask.Int4), "0"},
		{"42", bin(mask.Int4), "\x00\x00\x00\x2a"},
		{"-1", bin(mask.Int2), "\xff\xff"},
		{"70000", bin(mask.Int2), "\x00\x00"},
		{"4294967295", bin(mask.OID), "\xff\xff\xff\xff"},
		{"-1", text(mask.OID), "0"},
		{"1.5", bin(mask.Float8), "\x3f\xf8\x00\x00\x00\x00\x00\x00"},
		{"-12.3400", bin(mask.Numeric), "\x00\x02\x00\x00\x40\x00\x00\x04\x00\x0c\x0d\x48"},
		{"0.00001", bin(mask.Numeric), "\x00\x01\xff\xfe\x00\x00\x00\x05\x03\xe8"},
		{"1e5", text(mask.Numeric), "0"},
		{"true", text(mask.Bool), "t"},
		{"a<b", text(mask.XML), "a&lt;b"},
		{"it's", text(mask.JSON), `"it's"`},
		{`{"a":1}`, bin(mask.JSONB), "\x01" + `{"a":1}`},
		{"2000-01-02", bin(mask.Date), "\x00\x00\x00\x01"},
		{"2000-01-01 00:00:01", bin(mask.Timestamp), "\x00\x00\x00\x00\x00\x0f\x42\x40"},
		{"2000-01-01T01:00:01+01:00", text(mask.TimestampTZ), "2000-01-01 00:00:01+00"},
		{"secret", text(mask.Bytes), `\x736563726574`},
		{"::1", bin(mask.Inet), "\x03\x80\x00\x10" + strings.Repeat("\x00", 15) + "\x01"},
		{"x", text(mask.Unknown), "NULL"},
	} {
		require.Equal(t, c.want, apply(mask.Fixed(c.value), c.typ, "in"), "%q as %+v", c.value, c.typ)
	}
}

func TestHashIsTheSameInEveryForm(t *testing.T) {
	h := mask.Hash(testKey(t), "")
	be := binary.BigEndian
	n := apply(h, text(mask.Int8), "7")
	require.Equal(t, n, strconv.FormatUint(be.Uint64([]byte(apply(h, bin(mask.Int8), "\x00\x00\x00\x00\x00\x00\x00\x07"))), 10))
	require.Equal(t, apply(h, text(mask.Int4), "7"),
		strconv.FormatUint(uint64(be.Uint32([]byte(apply(h, bin(mask.Int4), "\x00\x00\x00\x07")))), 10))
	require.Equal(t, apply(h, text(mask.Text), "a"), apply(h, bin(mask.Text), "a"))
	require.Equal(t, apply(h, text(mask.Text), "a"), apply(h, text(mask.Padded), "a   "))
	require.Equal(t, "\x01"+apply(h, text(mask.JSONB), "1"), apply(h, bin(mask.JSONB), "\x011"))
	require.Equal(t, apply(h, text(mask.Bytes), `\x6162`), `\x`+hex.EncodeToString([]byte(apply(h, bin(mask.Bytes), "ab"))))
	long := bytes.Repeat([]byte("abc"), 1000)
	require.Equal(t, apply(h, text(mask.Bytes), `\x`+hex.EncodeToString(long)),
		`\x`+hex.EncodeToString([]byte(apply(h, bin(mask.Bytes), string(long)))))
	u := apply(h, text(mask.UUID), "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")
	require.Regexp(t, `^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, u)
	raw, err := hex.DecodeString("a0eebc999c0b4ef8bb6d6bb9bd380a11")
	require.NoError(t, err)
	require.Equal(t, strings.ReplaceAll(u, "-", ""), hex.EncodeToString([]byte(apply(h, bin(mask.UUID), string(raw)))))
}

func TestHashIsKeyedAndSeparated(t *testing.T) {
	h := mask.Hash(testKey(t), "")
	other, err := mask.NewKey([]byte("another key of thirty-two bytes!"))
	require.NoError(t, err)
	seen := map[string]string{}
	for name, v := range map[string]string{
		"plain":         apply(h, text(mask.Text), "7"),
		"another key":   apply(mask.Hash(other, ""), text(mask.Text), "7"),
		"domain":        apply(mask.Hash(testKey(t), "a"), text(mask.Text), "7"),
		"another value": apply(h, text(mask.Text), "8"),
		"json":          strings.Trim(apply(h, text(mask.JSON), "7"), `"`),
	} {
		require.Len(t, v, 32, name)
		require.Empty(t, seen[v], "%s and %s agree", name, seen[v])
		seen[v] = name
	}
	for _, bad := range []struct {
		typ mask.Type
		in  string
	}{
		{text(mask.Int4), "seven"}, {text(mask.Int4), strings.Repeat("9", 30)}, {bin(mask.Int4), "\x01"},
		{text(mask.UUID), "x"}, {bin(mask.UUID), "x"}, {bin(mask.JSONB), "{}"}, {text(mask.Bytes), `ab\\c`},
		{text(mask.Date), "2000-01-01"}, {text(mask.Unknown), "x"}, {text(mask.Numeric), "1"},
	} {
		require.Equal(t, "NULL", apply(h, bad.typ, bad.in), "%+v", bad)
	}
}

// The pseudonym must never change: whoever stored one would not find it again.
// The values were computed by another implementation of HMAC.
func TestHashGolden(t *testing.T) {
	h := mask.Hash(testKey(t), "person")
	require.Equal(t, "85cada657f66a3469c4f762016b285cd", apply(h, text(mask.Text), "ada@example.com"))
	require.Equal(t, "4567623638277788757", apply(h, text(mask.Int8), "7"))
}

func TestKeyIsSecret(t *testing.T) {
	k := testKey(t)
	js, err := json.Marshal(map[string]any{"k": k})
	require.NoError(t, err)
	for _, s := range []string{fmt.Sprintf("%v %+v %#v %s", k, k, k, k), fmt.Sprintf("%v", mask.Hash(k, "")), string(js)} {
		require.NotContains(t, s, "0123")
	}
	for _, bad := range []string{"", "fifteen bytes !", strings.Repeat("a", 32), strings.Repeat("ab", 1000)} {
		_, err := mask.NewKey([]byte(bad))
		require.Error(t, err, bad)
	}
}

var transforms = map[string]func(testing.TB) mask.Transform{
	"null":    func(testing.TB) mask.Transform { return mask.Null() },
	"default": func(testing.TB) mask.Transform { return mask.Default() },
	"redact":  func(testing.TB) mask.Transform { return mask.Redact() },
	"fixed":   func(testing.TB) mask.Transform { return mask.Fixed("n/a") },
	"number":  func(testing.TB) mask.Transform { return mask.Fixed("12") },
	"day":     func(testing.TB) mask.Transform { return mask.Fixed("1999-12-31") },
	"last":    func(testing.TB) mask.Transform { return mask.KeepLast(2) },
	"ends":    func(testing.TB) mask.Transform { return mask.Partial{KeepFirst: 1, KeepLast: 1, With: '·'} },
	"email":   func(testing.TB) mask.Transform { return mask.Email() },
	"hash":    func(t testing.TB) mask.Transform { return mask.Hash(testKey(t), "x") },
}

// FuzzTransforms holds what the package promises for any bytes whatever: the
// result is valid for the type or NULL, a Func changes neither its input nor
// what is behind it, and only partial and email show anything of it.
func FuzzTransforms(f *testing.F) {
	for _, s := range []string{"", "a", "ada@example.com", "something@example.org", "4111111111111111", "\xff\xfe", "7", "-1", "\x00\x00\x00\x07",
		`{"a":[1]}`, "\x01{}", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", `\x6162`, "2000-01-01", "Żółw   ", "{1,2}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if in == nil {
			in = []byte{}
		}
		for name, tr := range transforms {
			for k := range mask.Kinds {
				for e := range mask.Encodings {
					typ := mask.Type{Kind: k, Encoding: e, Elem: 25}
					f, err := tr(t).Bind(typ)
					require.NoError(t, err)
					scratch := make([]byte, 0, 8)
					own := append(append(make([]byte, 0, len(in)+4), in...), "tail"...)
					out := f(scratch, own[:len(in)])
					require.Equal(t, string(in)+"tail", string(own), "%s of %v changes its input", name, typ)
					if out == nil {
						continue
					}
					require.True(t, valid(typ, out, in), "%s of %v: %q is no such value", name, typ, out)
					again := f(out[:0:0], own[:len(in)])
					require.Equal(t, out, again, "%s of %v is not the same twice", name, typ)
					switch name {
					case "last", "ends", "email":
						like, ok := lookalike(name, typ, in)
						if !ok {
							like = []byte{} // which has nothing to show
						}
						require.Equal(t, out, f(nil, like), "%s of %v shows what it must hide", name, typ)
					case "hash":
						if typ.Kind != mask.Int2 { // one in 32,768 stays
							require.NotEqual(t, in, out, "hash of %v shows its input", typ)
						}
					default:
						require.Equal(t, out, f(nil, []byte("something else")), "%s of %v depends on its input", name, typ)
					}
				}
			}
		}
	})
}

// lookalike returns a value that differs from in in everything that the
// transform has to hide; false means that it has to hide all.
func lookalike(name string, typ mask.Type, in []byte) ([]byte, bool) {
	if typ.Kind != mask.Text && typ.Kind != mask.Padded || name != "email" && !utf8.Valid(in) {
		return nil, false
	}
	if typ.Kind == mask.Padded || name == "email" {
		in = bytes.TrimRight(in, " ")
	}
	r := []rune(string(in))
	at := bytes.IndexByte(in, '@')
	switch {
	case name == "email":
		if at < 1 || !bytes.ContainsRune(in[at:], '.') || bytes.Count(in, []byte("@")) > 1 {
			return nil, false
		}
		if domain := string(in[at+1:]); strings.HasSuffix(apply(mask.Email(), typ, "q@"+domain), domain) {
			return []byte("q@" + domain), true
		}
		return nil, false
	case len(r) < 4:
		return nil, false
	case name == "last":
		return []byte(strings.Repeat("q", len(r)-2) + string(r[len(r)-2:])), true
	}
	return []byte(string(r[0]) + strings.Repeat("q", len(r)-2) + string(r[len(r)-1])), true
}

// valid reports whether v can be read as a value of the type. Text stays in
// the encoding that it came in.
func valid(typ mask.Type, v, in []byte) bool {
	be := binary.BigEndian
	if typ.Encoding == mask.TextEncoding {
		s := string(v)
		switch typ.Kind {
		case mask.Text, mask.Padded, mask.XML:
			return utf8.Valid(v) || !utf8.Valid(in)
		case mask.Char:
			return len(v) == 1
		case mask.JSON, mask.JSONB:
			return json.Valid(v)
		case mask.Int2, mask.Int4, mask.Int8:
			_, err := strconv.ParseInt(s, 10, map[mask.Kind]int{mask.Int2: 16, mask.Int4: 32, mask.Int8: 64}[typ.Kind])
			return err == nil
		case mask.OID:
			_, err := strconv.ParseUint(s, 10, 32)
			return err == nil
		case mask.Float4, mask.Float8, mask.Numeric:
			_, err := strconv.ParseFloat(s, 64)
			return err == nil
		case mask.UUID:
			return len(v) == 36
		case mask.Bytes:
			_, err := hex.DecodeString(strings.TrimPrefix(s, `\x`))
			return err == nil && strings.HasPrefix(s, `\x`)
		case mask.Unknown:
			return false // NULL only
		}
		return len(v) > 0 || typ.Kind == mask.TSVector
	}
	switch typ.Kind {
	case mask.Text, mask.Padded, mask.XML:
		return utf8.Valid(v) || !utf8.Valid(in)
	case mask.Bytes:
		return true
	case mask.JSON:
		return json.Valid(v)
	case mask.JSONB:
		return len(v) > 1 && v[0] == 1 && json.Valid(v[1:])
	case mask.Char, mask.Bool, mask.Range:
		return len(v) == 1
	case mask.Int2:
		return len(v) == 2
	case mask.Int4, mask.OID, mask.Date, mask.TSVector:
		return len(v) == 4
	case mask.Float4:
		return len(v) == 4 && !math.IsNaN(float64(math.Float32frombits(be.Uint32(v))))
	case mask.Int8, mask.Float8, mask.Time, mask.Timestamp, mask.TimestampTZ, mask.MAC8, mask.Inet, mask.CIDR:
		return len(v) == 8
	case mask.Numeric:
		return len(v) >= 8 && len(v) == 8+2*int(be.Uint16(v))
	case mask.MAC:
		return len(v) == 6
	case mask.TimeTZ, mask.Array:
		return len(v) == 12
	case mask.Interval, mask.UUID:
		return len(v) == 16
	}
	return false
}
