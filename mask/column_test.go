package mask_test

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/mask"
)

// cell masks the values one after the other, and shows those that stay as "=".
func cells(c *mask.Column, values ...string) []string {
	var out []string
	for _, v := range values {
		got, changed := c.Mask(nil, []byte(v))
		switch {
		case !changed:
			out = append(out, "=")
		case got == nil:
			out = append(out, "NULL")
		default:
			out = append(out, string(got))
		}
	}
	return out
}

// int8, array and record are PostgreSQL's binary form of such values.
func int8(v uint64) string { return string(binary.BigEndian.AppendUint64(nil, v)) }

func array(elem uint32, values ...string) string {
	be := binary.BigEndian
	b := be.AppendUint32(be.AppendUint32(be.AppendUint32(nil, 1), 0), elem)
	b = be.AppendUint32(be.AppendUint32(b, uint32(len(values))), 1)
	for _, v := range values {
		b = append(be.AppendUint32(b, uint32(len(v))), v...)
	}
	return string(b)
}

func record(oid uint32, value string) string {
	be := binary.BigEndian
	b := be.AppendUint32(be.AppendUint32(be.AppendUint32(nil, 1), oid), uint32(len(value)))
	return string(b) + value
}

func TestColumn(t *testing.T) {
	s := detecting(t, mask.Redact(), "*")
	be := binary.BigEndian
	for _, c := range []struct {
		name     string
		typ      mask.Type
		in, want []string
	}{
		{"note", text(mask.Text), []string{"hello", "write to ada@example.com", "hello"}, []string{"=", "write to ***", "="}},
		{"note", text(mask.Text), []string{"hello", "ada@example.com", "hello"}, []string{"=", "***", "***"}},
		{"ssn", text(mask.Text), []string{"536904399", "x"}, []string{"***", "***"}},
		{"id", text(mask.Text), []string{"536904399", "x"}, []string{"=", "="}},
		{"mail", text(mask.Padded), []string{"ada@example.com   ", "x"}, []string{"***", "***"}},
		{"ssn", text(mask.Int4), []string{"536904399", "1"}, []string{"0", "0"}},
		{"ssn", bin(mask.Int4), []string{string(be.AppendUint32(nil, 536904399))}, []string{"\x00\x00\x00\x00"}},
		{"phone", bin(mask.Int8), []string{string(be.AppendUint64(nil, 4155552671))}, []string{"\x00\x00\x00\x00\x00\x00\x00\x00"}},
		{"ssn", text(mask.Float8), []string{"1.5", "536904399", "1"}, []string{"=", "0", "0"}},
		{"x", text(mask.Float8), []string{"536904399", "4111111111111111.5", "0.4111111111111111", "NaN", "1e+300", "4.111111111111111e+15"}, []string{"=", "=", "=", "=", "=", "0"}},
		{"x", bin(mask.Float8), []string{int8(math.Float64bits(0.5)), int8(math.Float64bits(math.Inf(1))), int8(math.Float64bits(4111111111111111))}, []string{"=", "=", int8(0)}},
		{"phone", bin(mask.Numeric), []string{"\x00\x03\x00\x02\x00\x00\x00\x00\x00\x29\x15\xb3\x0a\x6f"}, []string{"\x00\x00\x00\x00\x00\x00\x00\x00"}},
		{"born", bin(mask.Date), []string{string(be.AppendUint32(nil, ^uint32(5405)))}, []string{"\xff\xff\xd5\x33"}},
		{"born", text(mask.Timestamp), []string{"infinity", "1985-03-12 00:00:00", "infinity"}, []string{"=", "1970-01-01 00:00:00", "1970-01-01 00:00:00"}},
		{"dob", bin(mask.TimestampTZ), []string{"\xff\xfe\x56\x68\xd9\x0a\x20\x00"}, []string{"\xff\xfc\xa2\xfe\xc4\xc8\x20\x00"}},
		{"phone_seen", text(mask.Timestamp), []string{"2024-01-15 10:30:00", "2024-01-15 10:30:00.123456"}, []string{"=", "="}},
		{"doc", text(mask.JSON), []string{`{"a": 1}`, `{"a":"ada@example.com"}`, `{`, `{"b":2}`}, []string{"=", `{"a":"***"}`, `"***"`, "="}},
		{"doc", bin(mask.JSONB), []string{"\x01{\"a\":\"ada@example.com\"}", "{}"}, []string{"\x01{\"a\":\"***\"}", "NULL"}},
		{"ssn", text(mask.JSON), []string{`536904399`, `["536904399"]`, `{"a":"536904399"}`}, []string{"0", `["***"]`, "="}},
		{"mails", text(mask.Array), []string{"{a,b}", "{ada@example.com,b}"}, []string{"=", "{}"}},
		{"wide", mask.MySQL("text in a wide character set"), []string{"\x00a\x00b", "\x00a\x00@\x00x\x00.\x00o\x00r\x00g"}, []string{"=", "NULL"}},
		{"wide", mask.MySQL("blob"), []string{"to a@x.org", "t\x00o\x00 \x00a\x00@\x00x\x00.\x00o\x00r\x00g\x00"}, []string{"to ***", "***"}},
		{"mood", text(mask.Unknown), []string{"happy", "ada@example.com", "sad"}, []string{"=", "NULL", "NULL"}},
		{"raw", text(mask.Bytes), []string{`\x00`, `\x616263`}, []string{"=", "="}},
		// Both formats are read alike.
		{"raw", text(mask.Bytes), []string{`\x` + hex.EncodeToString([]byte("ada@example.com")), `\x0`}, []string{`\x`, `\x`}},
		{"raws", mask.Postgres(1001, "", false), []string{`{"\\x00",NULL}`, `{NULL,"\\x` + hex.EncodeToString([]byte("ada@example.com")) + `"}`}, []string{"=", "{}"}},
		{"n", mask.Postgres(1016, "", false), []string{"{7,4111111111111111}", "{7}"}, []string{"{}", "="}},
		{"n", mask.Postgres(1016, "", true), []string{array(20, int8(7), int8(4111111111111111)), array(20, int8(7))}, []string{"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x14", "="}},
		{"s", mask.Postgres(1009, "", true), []string{array(25, "card 4111111111111111"), array(25, "4111111111111111 of somebody whose name nobody kno"), array(25, "a")},
			[]string{"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x19", "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x19", "="}},
		{"r", bin(mask.Unknown), []string{record(20, int8(7)), record(20, int8(4111111111111111)), record(1016, array(20, int8(4111111111111111))), record(2249, record(20, int8(4111111111111111)))},
			[]string{"=", "NULL", "NULL", "NULL"}},
		{"words", text(mask.TSVector), []string{"'cat':3 'fat':2", "'ada@example.com':1"}, []string{"=", ""}},
		{"words", bin(mask.TSVector), []string{"\x00\x00\x00\x01cat\x00\x00\x01\x00\x03", "\x00\x00\x00\x02a\x00\x00\x01\x0044111111111111111\x00\x00\x00"}, []string{"=", "\x00\x00\x00\x00"}},
	} {
		col := s.Column(c.name, c.typ, nil)
		require.NotNil(t, col, c.name)
		require.Equal(t, c.want, cells(col, c.in...), "%s %v of %q", c.name, c.typ, c.in)
	}
	require.Nil(t, s.Column("x", text(mask.Bool), nil))
	require.Nil(t, s.Column("created", bin(mask.Date), nil))
	require.Nil(t, s.Column("created", text(mask.Timestamp), nil))
	require.Nil(t, s.Column("quantity", text(mask.Int4), nil))
	for _, oid := range []uint32{1007, 1021, 1182} { // int4, float4, date
		require.Nil(t, s.Column("vector", mask.Postgres(oid, "", true), nil), oid)
	}
	require.NotNil(t, s.Column("ssns", mask.Postgres(1007, "", true), nil))
	require.Nil(t, new(mask.Set).Column("x", text(mask.Text), nil))
	// Only the first values tell what a column holds.
	late := s.Column("x", text(mask.Text), nil)
	for range 64 {
		late.Mask(nil, []byte("x"))
	}
	require.Equal(t, []string{"***", "="}, cells(late, "ada@example.com", "x"))
}

// A column that was sampled is masked whole from its first value on.
func TestColumnSample(t *testing.T) {
	s := detecting(t, mask.Redact(), "*")
	col := s.Column("x", text(mask.Text), nil)
	for i, v := range []string{"4111 1111 1111 1112", "", "ada@example.com", "never looked at"} {
		require.Equal(t, i >= 2, col.Sample([]byte(v)), v)
	}
	require.False(t, s.Column("x", text(mask.Text), nil).Sample(nil))
	require.Equal(t, []string{"***", "***", "***"}, cells(col, "4111 1111 1111 1112", "", "ada@example.com"))
	// Text with something in it is no column of such values, nor is a document.
	col = s.Column("note", text(mask.Text), nil)
	require.False(t, col.Sample([]byte("write to ada@example.com")))
	require.Equal(t, []string{"="}, cells(col, "hello"))
	doc := s.Column("doc", text(mask.JSON), nil)
	require.False(t, doc.Sample([]byte(`"ada@example.com"`)))
	require.Equal(t, []string{"="}, cells(doc, `{"a":1}`))
	// What is sampled does not count as shown.
	late := s.Column("x", text(mask.Text), nil)
	for range 64 {
		late.Sample([]byte("x"))
	}
	require.Equal(t, []string{"=", "***", "***"}, cells(late, "x", "ada@example.com", "x"))
}

// Who asks chooses which value comes first, as with UNION. What is found in those
// behind it is masked by its own rule all the same.
func TestColumnOfSeveralKinds(t *testing.T) {
	s, err := mask.Compile(
		mask.Rule{Name: "card", Detect: []string{"card"}, Transform: mask.KeepLast(4)},
		mask.Rule{Name: "number", Detect: []string{"id.*"}, Transform: mask.Hash(testKey(t), "")},
		mask.Rule{Name: "secret", Detect: []string{"secret.*"}, Transform: mask.Null()},
	)
	require.NoError(t, err)
	var told []string
	col := s.Column("x", text(mask.Text), func(rule, _ string) { told = append(told, rule) })
	require.True(t, col.Sample([]byte("4111 1111 1111 1111")))
	got := cells(col, "4111 1111 1111 1112", "4111 1111 1111 1111", "536-90-4399", "ssn 536-90-4399", "password=hunter2", "4111 1111 1111 1111 536-90-4399")
	require.Equal(t, "***************1112", got[0])
	require.Equal(t, "***************1111", got[1])
	require.Len(t, got[2], 32)
	require.Equal(t, []string{"***", "***", "***"}, got[3:])
	require.Equal(t, []string{"card", "card", "number", "card", "card", "card"}, told)
	// A value that is masked whole though only some of it is found.
	array := s.Column("x", mask.Postgres(1009, "", false), nil)
	require.Equal(t, []string{"{}"}, cells(array, "{4111111111111111,536-90-4399}"))
	padded := s.Column("x", text(mask.Padded), nil)
	require.Equal(t, []string{"card ************1111 password=***  "}, cells(padded, "card 4111111111111111 password=hunter2  "))
}

func TestColumnDoesNotAllocate(t *testing.T) {
	col := detecting(t, mask.Redact(), "*").Column("x", text(mask.Text), nil)
	buf := make([]byte, 0, 128)
	for _, in := range []string{"hello there", "write to ada@example.com", "ada@example.com", "whatever"} {
		in := []byte(in)
		col.Mask(buf, in)
		require.Zero(t, testing.AllocsPerRun(100, func() { col.Mask(buf, in) }), in)
	}
}
