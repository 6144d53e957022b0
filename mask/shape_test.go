package mask_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/pgtest"
)

// shaped are the transforms that show something of a value, or of its shape.
var shaped = map[string]func(testing.TB) mask.Transform{
	"inner":        func(testing.TB) mask.Transform { return mask.Ends{First: 4, Last: 4} },
	"card":         func(testing.TB) mask.Transform { return mask.Card(true) },
	"shape":        func(testing.TB) mask.Transform { return mask.Shape() },
	"url":          func(testing.TB) mask.Transform { return mask.URL() },
	"replace":      func(testing.TB) mask.Transform { return mask.Replace(`[0-9]+`, "#") },
	"round":        func(testing.TB) mask.Transform { return mask.Round(10) },
	"truncate":     func(testing.TB) mask.Transform { return mask.Truncate(mask.Quarter) },
	"network":      func(testing.TB) mask.Transform { return mask.Network(24, 64) },
	"wide network": func(testing.TB) mask.Transform { return mask.Network(8, 120) },
	"mail":         func(t testing.TB) mask.Transform { return mask.Pseudonym(testKey(t), "x", mask.EmailLike) },
	"uuid":         func(t testing.TB) mask.Transform { return mask.Pseudonym(testKey(t), "x", mask.UUIDLike) },
	"digits":       func(t testing.TB) mask.Transform { return mask.Pseudonym(testKey(t), "x", mask.Digits) },
	"ff1":          func(t testing.TB) mask.Transform { return mask.FF1(testKey(t), "x", mask.Decimal) },
	"bucket":       func(t testing.TB) mask.Transform { return mask.Bucket(testKey(t), "x", 8) },
	"noise":        func(t testing.TB) mask.Transform { return mask.Noise(testKey(t), "x", 30) },
	"elements":     func(testing.TB) mask.Transform { return mask.Elements(mask.Redact()) },
	"found":        func(testing.TB) mask.Transform { return mask.Found(mask.Redact()) },
	"record":       func(testing.TB) mask.Transform { return mask.Record(map[int]mask.Transform{2: mask.Redact()}) },
}

func TestShaped(t *testing.T) {
	textArray, intArray := mask.Postgres(1009, "_text", false), mask.Postgres(1007, "_int4", true)
	for _, c := range []struct {
		with string
		typ  mask.Type
		in   string
		want string
	}{
		{"inner", text(mask.Text), "1234567890123", "****56789****"},
		{"inner", text(mask.Text), "12345678", "***"},
		{"inner", text(mask.Text), strings.Repeat("x", 30), "***"}, // most would be shown
		{"card", text(mask.Text), "4111 1111-1111 1111", "4111 11**-**** 1111"},
		{"card", text(mask.Text), "4222222222222", "*********2222"},
		{"card", text(mask.Text), "n/a", "***"},
		{"card", text(mask.Int8), "4111111111111111", "0"},
		{"shape", text(mask.Text), "Flat 12b, Żółć ①☺", "Xxxx 00x, Xxxx 0*"},
		{"shape", text(mask.Text), strings.Repeat("x", 300), "***"},
		{"url", text(mask.Text), "https://u:p@example.com:8443/a/b?token=x#y", "https://example.com:8443/***"},
		{"url", text(mask.Text), "https://example.com", "https://example.com/***"},
		{"url", text(mask.Text), "https://example.com secret", "***"},
		{"url", text(mask.Text), "https://example.com/@ada?x=a@b.c", "https://example.com/***"},
		{"url", text(mask.Text), "https://ada:1234/tiger@example.com/", "***"}, // a password that nobody has escaped
		{"url", text(mask.Text), "https://ada:1234#tiger@example.com", "***"},
		{"url", text(mask.Text), "javascript:alert(1)", "***"},
		{"replace", text(mask.Text), "Room 12, floor 3", "Room #, floor #"},
		{"replace", text(mask.Text), "no digits", "***"},
		{"round", text(mask.Int4), "37", "30"},
		{"round", text(mask.Int4), "-3", "-10"},
		{"round", text(mask.Numeric), "1234.56", "1230"},
		{"round", text(mask.Numeric), "NaN", "0"},
		{"round", text(mask.Int2), "-32765", "0"}, // does not fit
		{"round", bin(mask.Int4), "\x00\x00\x00\x25", "\x00\x00\x00\x1e"},
		{"round", bin(mask.Numeric), "\x00\x02\x00\x00\x40\x00\x00\x02\x00\x0c\x15\xe0", "\x00\x01\x00\x00\x40\x00\x00\x00\x00\x14"}, // -12.56
		{"round", text(mask.Numeric), "12345678901234567", "12345678901234560"},
		{"round", bin(mask.Numeric), "\x00\x05\x00\x04\x00\x00\x00\x00\x00\x01\x09\x29\x1a\x85\x04\xd2\x11\xd7", "\x00\x05\x00\x04\x00\x00\x00\x00\x00\x01\x09\x29\x1a\x85\x04\xd2\x11\xd0"},
		{"round", bin(mask.Numeric), "\x00\x05\x00\x04\x00\x00\x00\x00\x03\xe7\x09\x29\x1a\x85\x04\xd2\x11\xd7", "\x00\x00\x00\x00\x00\x00\x00\x00"},
		{"round", bin(mask.Float8), "\x40\x42\xc0\x00\x00\x00\x00\x00", "\x40\x3e\x00\x00\x00\x00\x00\x00"},
		{"round", text(mask.Text), "37", "***"},
		{"truncate", text(mask.Date), "1985-03-12", "1985-01-01"},
		{"truncate", text(mask.Date), "infinity", "1970-01-01"},
		{"truncate", text(mask.Timestamp), "1985-12-31 23:59:59.5", "1985-10-01 00:00:00"},
		{"truncate", text(mask.TimestampTZ), "1985-12-31 23:59:59+02", "1985-10-01 00:00:00+00"},
		{"truncate", text(mask.TimestampTZ), "1985-10-01 00:59:59.25+01", "1985-07-01 00:00:00+00"}, // whatever time zone it is printed in
		{"truncate", text(mask.TimestampTZ), "1985-09-30 18:30:00-05:30", "1985-10-01 00:00:00+00"},
		{"truncate", text(mask.TimestampTZ), "1985-10-07 23:59:58+167:59:59", "1985-07-01 00:00:00+00"},
		{"truncate", text(mask.TimestampTZ), "0001-01-01 00:00:00+01", "1970-01-01 00:00:00+00"},
		{"truncate", text(mask.TimestampTZ), "1985-10-01 00:59:59", "1970-01-01 00:00:00+00"},
		{"truncate", bin(mask.Date), "\x00\x00\x00\x65", "\x00\x00\x00\x5b"}, // 2000-04-11
		{"truncate", bin(mask.Timestamp), "\xff\xff\xff\xff\xff\xff\xff\xff", "\xff\xff\xf8\xc5\x46\x99\x80\x00"},
		{"truncate", text(mask.Text), "1985-03-12", "***"},
		{"network", text(mask.Text), "10.1.2.3", "10.1.2.0"},
		{"network", text(mask.Inet), "2001:db8:1:2:3:4:5:6/96", "2001:db8:1:2::"},
		{"network", text(mask.CIDR), "10.1.2.128/25", "10.1.2.0/24"},
		{"network", bin(mask.Inet), "\x02\x20\x00\x04\x0a\x01\x02\x03", "\x02\x20\x00\x04\x0a\x01\x02\x00"},
		{"network", text(mask.Text), "localhost", "***"},
		{"wide network", text(mask.Text), "::ffff:10.1.2.3", "::ffff:10.0.0.0"},
		{"digits", text(mask.Text), "12345", "***"},
		{"digits", text(mask.Text), "4111 1111 1111 111x", "***"},
		{"digits", text(mask.UUID), "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "00000000-0000-0000-0000-000000000000"},
		{"noise", text(mask.Text), "37", "***"},
		{"bucket", text(mask.Date), "1985-03-12", "NULL"},
		{"elements", textArray, `{a,"b c",NULL,"NULL",{"\"",""}}`, `{"***","***",NULL,"***",{"***","***"}}`},
		{"elements", textArray, `[0:1]={a,b}`, `[0:1]={"***","***"}`},
		{"elements", textArray, `{}`, `{}`},
		{"elements", textArray, `{a,b`, `{}`},
		{"elements", textArray, `{a}{b}`, `{}`},
		{"elements", textArray, `a`, `{}`},
		{"elements", intArray, "\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x17\x00\x00\x00\x02\x00\x00\x00\x01\x00\x00\x00\x04\x00\x00\x00\x07\xff\xff\xff\xff",
			"\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x17\x00\x00\x00\x02\x00\x00\x00\x01\x00\x00\x00\x04\x00\x00\x00\x00\xff\xff\xff\xff"},
		{"elements", intArray, "\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x17\x7f\xff\xff\xff\x00\x00\x00\x01", "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x17"},
		{"elements", text(mask.Text), "{a}", "***"},
		{"found", text(mask.Text), "ask ada@example.com", "ask ***"},
		{"found", text(mask.Text), "", ""},
		{"found", text(mask.JSON), `{"n": "ada@example.com"}`, `{"n": "***"}`},
		{"found", text(mask.Int4), "1", "0"},
		{"record", text(mask.Unknown), `(a,"b ""c""",,d)`, `("a","***",,"d")`},
		{"record", text(mask.Unknown), `(a)`, "NULL"},
		{"record", text(mask.Unknown), `happy`, "NULL"},
		{"record", bin(mask.Unknown), "\x00\x00\x00\x02\x00\x00\x00\x17\x00\x00\x00\x04\x00\x00\x00\x07\x00\x00\x00\x17\x00\x00\x00\x04\x00\x00\x00\x07",
			"\x00\x00\x00\x02\x00\x00\x00\x17\x00\x00\x00\x04\x00\x00\x00\x07\x00\x00\x00\x17\x00\x00\x00\x04\x00\x00\x00\x00"},
	} {
		require.Equal(t, c.want, apply(shaped[c.with](t), c.typ, c.in), "%s of %q as %+v", c.with, c.in, c.typ)
	}
	for _, bad := range []mask.Transform{mask.Ends{}, mask.Ends{First: -1}, mask.Ends{First: 65}, mask.Replace("(", ""), mask.Replace("x*", ""), mask.Round(1), mask.Truncate("week"),
		mask.Network(33, 0), mask.Pseudonym(testKey(t), "", "hex"), mask.Pseudonym(mask.Key{}, "", mask.Digits), mask.Bucket(testKey(t), "", 1), mask.Noise(testKey(t), "", 0),
		mask.Elements(nil), mask.Found(nil), mask.Found(mask.Redact(), "emial"), mask.Record(nil), mask.Record(map[int]mask.Transform{0: mask.Redact()})} {
		_, err := bad.Bind(text(mask.Text))
		require.Error(t, err)
	}
}

func TestPseudonymKeepsTheFormat(t *testing.T) {
	digits := shaped["digits"](t)
	card := apply(digits, text(mask.Text), "4111 1111 1111 1111")
	require.Regexp(t, `^\d{4} \d{4} \d{4} \d{4}$`, card)
	require.Equal(t, strings.ReplaceAll(card, " ", ""), apply(digits, text(mask.Text), "4111111111111111"), "however it is grouped")
	require.NotEqual(t, card, apply(digits, text(mask.Text), "4111 1111 1111 1112"))
	// These never change; another implementation of HMAC has computed them.
	require.Equal(t, "0265 4882 3024 7230", card)
	require.Equal(t, "fdb96fb6c54e28eb39092acfab@example.invalid", apply(shaped["mail"](t), text(mask.Text), "ada@example.com"))
	require.Regexp(t, `^\+\d{2} \(\d\)\d{2} \d{6}$`, apply(digits, text(mask.Text), "+49 (0)30 901820"))
	for _, in := range []string{"2147483647", "-2147483648", "100000"} {
		require.True(t, valid(text(mask.Int4), []byte(apply(digits, text(mask.Int4), in)), nil))
	}
	for _, n := range []uint64{99999, 100000, 1234567890, 123456789012345678, 1 << 62, ^uint64(1234566)} { // the same in both formats
		want, err := strconv.ParseInt(apply(digits, text(mask.Int8), strconv.FormatInt(int64(n), 10)), 10, 64)
		require.NoError(t, err)
		require.Equal(t, int8(uint64(want)), apply(digits, bin(mask.Int8), int8(n)), n)
	}
	mail := shaped["mail"](t)
	require.Regexp(t, `^[0-9a-f]{26}@example\.invalid$`, apply(mail, text(mask.Text), "Ada@example.com"))
	require.Equal(t, apply(mail, text(mask.Text), "Ada@example.com"), apply(mail, text(mask.Text), "ada@EXAMPLE.com"))
	require.Regexp(t, `^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, apply(shaped["uuid"](t), text(mask.Text), "x"))
	seen := map[string]bool{}
	for i := range 200 {
		seen[apply(shaped["bucket"](t), text(mask.Int4), fmt.Sprint(i))] = true
	}
	require.Len(t, seen, 8)
	require.Equal(t, "0", apply(mask.Bucket(testKey(t), "x", 8), text(mask.Int4), "7"), "must never change")
	far := 0
	for i := range 100 {
		var v int
		_, err := fmt.Sscan(apply(shaped["noise"](t), text(mask.Int4), fmt.Sprint(1000+i)), &v)
		require.NoError(t, err)
		require.InDelta(t, 1000+i, v, 30)
		if v < 1000+i-10 || v > 1000+i+10 {
			far++
		}
	}
	require.Greater(t, far, 30)
}

// A key's name says which one made a pseudonym.
func TestKeyRotation(t *testing.T) {
	one, err := testKey(t).Named("k1")
	require.NoError(t, err)
	plain, err := mask.PseudonymOf(testKey(t), "person", "ada@example.com")
	require.NoError(t, err)
	named, err := mask.PseudonymOf(one, "person", "ada@example.com")
	require.NoError(t, err)
	require.Equal(t, "k1_"+plain, named)
	require.Equal(t, `"k1_`, apply(mask.Hash(one, ""), text(mask.JSON), "1")[:4])
	for _, bad := range []string{"", "a b", "a_b", strings.Repeat("x", 17)} {
		_, err := one.Named(bad)
		require.Error(t, err)
	}
	_, err = mask.PseudonymOf(mask.Key{}, "", "x")
	require.Error(t, err)
}

// FuzzShaped: whatever the bytes, a Func changes neither its input nor what is
// behind it, gives the same twice, and NULL where the type is not known.
func FuzzShaped(f *testing.F) {
	for _, s := range []string{"", "{a,\"b\\\"\",{NULL}}", "[0:1]={a}", "(a,\"b\"\"\",)", "10.1.2.3/8", "1985-03-12 01:02:03+00", "-12.5", "https://a@b.c/d", `{"a":1}`,
		"\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x19\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x01a", "\x00\x00\x00\x02\x00\x00\x00\x17\x00\x00\x00\x04\x00\x00\x00\x07\x00\x00\x00\x19\xff\xff\xff\xff",
		"\x02\x20\x00\x04\x0a\x01\x02\x03", "4111 1111 1111 1111"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if in == nil {
			in = []byte{}
		}
		for name, tr := range shaped {
			for k := range mask.Kinds {
				for e := range mask.Encodings {
					typ := mask.Type{Kind: k, Encoding: e, Elem: 25}
					f, err := tr(t).Bind(typ)
					require.NoError(t, err)
					own := append(append(make([]byte, 0, len(in)+4), in...), "tail"...)
					out := f(make([]byte, 0, 8), own[:len(in)])
					require.Equal(t, string(in)+"tail", string(own), "%s of %v changes its input", name, typ)
					require.Equal(t, out, f(nil, own[:len(in)]), "%s of %v is not the same twice", name, typ)
					if k == mask.Unknown && name != "record" {
						require.Nil(t, out, "%s of %v", name, typ)
					}
				}
			}
		}
	})
}

// TestPostgresAcceptsShapedValues is as TestPostgresAcceptsMaskedValues.
func TestPostgresAcceptsShapedValues(t *testing.T) {
	pg := pgtest.Start(t)
	c, err := pgconn.Connect(t.Context(), pg.SuperuserDSN())
	require.NoError(t, err)
	defer c.Close(t.Context())
	require.NoError(t, c.Exec(t.Context(), "create type pair as (a text, b text)").Close())
	for typ, literals := range map[string][]string{
		"text": {"ada@example.com", "4111111111111111", "10.1.2.3", "https://example.com/x"}, "char(20)": {"4111111111111111"}, "json": {`{"a": 1}`}, "jsonb": {`{"a": [1, "x"]}`},
		"int2": {"-7", "32767"}, "int4": {"70000", "-2147483648"}, "int8": {"-5000000000", "9223372036854775807"}, "oid": {"4000000000"}, "float4": {"1.5"}, "float8": {"-1e300", "37.5"},
		"numeric": {"12345.6789", "-12345678901", "0.5", "1e30"}, "date": {"1815-12-10", "infinity", "0044-03-15 BC"}, "timestamp": {"1815-12-10 01:02:03"}, "timestamptz": {"2001-12-10 01:02:03+00", "-infinity"},
		"uuid": {"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}, "inet": {"10.1.2.3/8", "2001:db8::1"}, "cidr": {"2001:db8::/32", "10.0.0.0/8"}, "bool": {"t"}, "bytea": {`\x01`},
		"text[]": {`{a,"b \" c",NULL}`, "{{a},{b}}", "{}", "[0:1]={a,b}"}, "int4[]": {"{{1,2},{3,4}}"}, "date[]": {"{2000-01-01}"}, "jsonb[]": {`{"{}"}`}, "uuid[]": {"{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}"}, "bytea[]": {`{"\\x01"}`},
		"pair": {`(a,"b ""x"" \\")`, "(,)", `("",b)`},
	} {
		for _, literal := range literals {
			for _, format := range []int16{0, 1} {
				res := c.ExecParams(t.Context(), "select $1::text::"+typ, [][]byte{[]byte(literal)}, nil, nil, []int16{format}).Read()
				require.NoError(t, res.Err, typ)
				oid, in := res.FieldDescriptions[0].DataTypeOID, res.Rows[0][0]
				for name, tr := range shaped {
					f, err := tr(t).Bind(mask.Postgres(oid, typ, format == 1))
					require.NoError(t, err)
					out := f(nil, in)
					if out == nil {
						require.True(t, name == "bucket" || name == "record" || typ == "pair", "%s of %s is NULL", name, typ)
						continue
					}
					back := c.ExecParams(t.Context(), "select $1::"+typ, [][]byte{out}, []uint32{oid}, []int16{format}, []int16{0}).Read()
					require.NoError(t, back.Err, "%s of %s %q in format %d: %q", name, typ, literal, format, out)
				}
			}
		}
	}
}
