package mask_test

import (
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/pgtest"
)

// TestPostgresAcceptsEveryTransform gives what each transform makes of values of many
// types back to a real server, in both formats: it is one of the type, or NULL.
func TestPostgresAcceptsEveryTransform(t *testing.T) {
	pg := pgtest.Start(t)
	c, err := pgconn.Connect(t.Context(), pg.SuperuserDSN())
	require.NoError(t, err)
	defer c.Close(t.Context())
	require.NoError(t, c.Exec(t.Context(), "create type pair as (a text, b int4, c date)").Close())
	key := testKey(t)
	all := []mask.Transform{
		mask.Ends{First: 1, Last: 1}, mask.Card(false), mask.Card(true), mask.Shape(), mask.URL(), mask.Replace("[0-9]+", "#"), mask.Round(10), mask.Truncate(mask.Month),
		mask.Truncate(mask.Decade), mask.Network(24, 64), mask.Pseudonym(key, "d", mask.EmailLike), mask.Pseudonym(key, "d", mask.UUIDLike), mask.Pseudonym(key, "d", mask.Digits), mask.FF1(key, "d", mask.Decimal),
		mask.Bucket(key, "d", 100), mask.Noise(key, "d", 30), mask.Found(mask.Redact()), members(t, mask.Redact(), "**.mail", "n"), members(t, mask.Null(), "**.mail"),
		mask.Elements(mask.Redact()), mask.Elements(mask.Null()), mask.Elements(mask.Hash(key, "d")), mask.Elements(mask.KeepLast(2)), mask.Elements(mask.Truncate(mask.Year)),
		mask.Record(map[int]mask.Transform{1: mask.Redact(), 2: mask.Null()}), mask.Record(map[int]mask.Transform{3: mask.Null()}),
	}
	masked, null := 0, 0
	for _, v := range []struct{ typ, literal string }{
		{"text", "ada@example.com 10.1.2.3"}, {"text", "4111-1111-1111-1111"}, {"text", "https://example.com/a?b=c"}, {"text", ""}, {"varchar(40)", "Ada"}, {"char(20)", "Flat 12b"}, {"name", "pg_class"},
		{"json", `{"mail":"ada@example.com","n":1,"l":[{"mail":null}]}`}, {"jsonb", `{"mail":"ada@example.com","n":1}`}, {"jsonb", `[]`}, {"json", `"ada@example.com"`},
		{"int2", "-32768"}, {"int2", "32767"}, {"int4", "2147483647"}, {"int4", "-2147483648"}, {"int8", "9223372036854775807"}, {"int8", "-9223372036854775808"}, {"oid", "4294967295"},
		{"float4", "1.5"}, {"float4", "NaN"}, {"float8", "-1e300"}, {"float8", "Infinity"}, {"numeric", "12345.6789"}, {"numeric", "-99999999999999999999.5"}, {"numeric", "NaN"}, {"numeric", "0"},
		{"bool", "t"}, {"date", "1815-12-10"}, {"date", "infinity"}, {"date", "0044-03-15 BC"}, {"timestamp", "1815-12-10 01:02:03.5"}, {"timestamp", "-infinity"}, {"timestamptz", "2024-02-29 23:59:59+02"},
		{"time", "12:30:00.5"}, {"timetz", "12:30:00+02"}, {"interval", "1 year 2 days"}, {"uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}, {"bytea", `\x0102ff`}, {"bytea", `\x`},
		{"inet", "10.1.2.3"}, {"inet", "10.1.2.3/8"}, {"inet", "2001:db8::1/64"}, {"cidr", "10.0.0.0/8"}, {"cidr", "2001:db8::/32"}, {"macaddr", "08:00:2b:01:02:03"}, {"int4range", "[1,5)"}, {"tsvector", "a b"}, {"xml", "<a>b</a>"},
		{"text[]", `{ada@example.com,NULL,"a,b\"c"}`}, {"text[]", "{{a,b},{c,d}}"}, {"text[]", "[5:6]={a,b}"}, {"text[]", "{}"}, {"int4[]", "{1,NULL,-3}"}, {"int8[]", "{9223372036854775807}"}, {"numeric[]", "{1.5}"}, {"bool[]", "{t,f}"},
		{"date[]", "{2000-05-05,infinity}"}, {"timestamptz[]", "{2000-01-01}"}, {"uuid[]", "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}"}, {"jsonb[]", `{"{\"mail\":\"x\"}"}`}, {"json[]", `{"{\"mail\": 1}"}`}, {"bytea[]", `{"\\x01"}`}, {"inet[]", "{::1}"}, {"float8[]", "{1,NaN}"}, {"char(3)[]", "{a}"},
		{"pair", `(ada,1,2000-01-01)`}, {"pair", `("a ""b"", (c)",,)`}, {"pair[]", `{"(ada,1,2000-01-01)"}`},
	} {
		for _, format := range []int16{0, 1} {
			res := c.ExecParams(t.Context(), "select $1::text::"+v.typ, [][]byte{[]byte(v.literal)}, nil, nil, []int16{format}).Read()
			require.NoError(t, res.Err, v.typ)
			oid, in := res.FieldDescriptions[0].DataTypeOID, res.Rows[0][0]
			for _, tr := range all {
				f, err := tr.Bind(mask.Postgres(oid, v.typ, format == 1))
				require.NoError(t, err)
				out := f(nil, in)
				if out == nil {
					null++
					continue
				}
				masked++
				back := c.ExecParams(t.Context(), "select $1::"+v.typ, [][]byte{out}, []uint32{oid}, []int16{format}, []int16{0}).Read()
				require.NoError(t, back.Err, "%s of %s %q in format %d: %q", mask.Describe(tr), v.typ, v.literal, format, out)
			}
		}
	}
	t.Logf("%d values masked, %d NULL", masked, null)
}
