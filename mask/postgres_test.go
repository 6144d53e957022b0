package mask_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/pgtest"
)

// TestPostgresAcceptsMaskedValues takes a value of every type from a real
// server in both formats, masks it with every transform and gives it back as
// an argument: the server itself says whether it is one of that type.
func TestPostgresAcceptsMaskedValues(t *testing.T) {
	pg := pgtest.Start(t)
	c, err := pgconn.Connect(t.Context(), pg.SuperuserDSN())
	require.NoError(t, err)
	defer c.Close(t.Context())
	for _, sql := range []string{
		"create type mood as enum ('sad', 'happy')", "create domain short as varchar(40)", "create extension if not exists citext",
	} {
		require.NoError(t, c.Exec(t.Context(), sql).Close())
	}
	for typ, literal := range map[string]string{
		"text": "ada@example.com", "varchar": "4111111111111111", "char(20)": "abc", "name": "pg_class", `"char"`: "x",
		"citext": "Ada@Example.com", "short": "ada", "json": `{"a": 1}`, "jsonb": `{"a": [1, 2]}`, "xml": "<a>b</a>",
		"int2": "-7", "int4": "70000", "int8": "-5000000000", "oid": "4000000000", "float4": "1.5", "float8": "-1e300",
		"numeric": "12345.6789", "bool": "t", "date": "1815-12-10", "time": "12:30:00.5", "timetz": "12:30:00+02",
		"timestamp": "1815-12-10 01:02:03", "timestamptz": "1815-12-10 01:02:03+00", "interval": "1 year 2 days 00:00:01",
		"uuid": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "bytea": `\x0102`, "inet": "10.1.2.3/8", "cidr": "2001:db8::/32",
		"macaddr": "08:00:2b:01:02:03", "macaddr8": "08:00:2b:01:02:03:04:05", "tsvector": "a b", "int4range": "[1,5)",
		"numrange": "[1.5,2)", "tsrange": "[2000-01-01,2000-01-02)", "tstzrange": "[2000-01-01,2001-01-01)", "daterange": "(,2000-01-01)", "int8range": "[1,2)",
		"text[]": "{a,b}", "varchar[]": "{a}", "int4[]": "{{1,2},{3,4}}", "int8[]": "{1}", "numeric[]": "{1}", "bool[]": "{t}",
		"date[]": "{2000-01-01}", "timestamptz[]": "{2000-01-01}", "uuid[]": "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}",
		"jsonb[]": `{"{}"}`, "json[]": `{"{}"}`, "bytea[]": `{"\\x01"}`, "inet[]": "{::1}", "float8[]": "{1}", "int2[]": "{1}",
		"char(3)[]": "{a}", "name[]": "{a}", "interval[]": "{1d}", "int4range[]": `{"[1,2)"}`, "float4[]": "{1}", "oid[]": "{1}",
		"timestamp[]": "{2000-01-01}", "time[]": "{10:00}", "timetz[]": "{10:00+00}", "cidr[]": "{::/0}", "macaddr[]": "{08:00:2b:01:02:03}",
		"macaddr8[]": "{08:00:2b:01:02:03:04:05}", "xml[]": "{<a/>}", `"char"[]`: "{a}", "tsvector[]": "{a}",
		// What has no safe value becomes NULL.
		"mood": "happy", "money": "12.50", "point": "(1,2)", "bit(3)": "101", "regclass": "pg_class", "mood[]": "{sad}",
	} {
		unsafe := strings.Contains(" mood money point bit(3) regclass mood[] ", " "+typ+" ")
		for _, format := range []int16{0, 1} {
			res := c.ExecParams(t.Context(), "select $1::text::"+typ, [][]byte{[]byte(literal)}, nil, nil, []int16{format}).Read()
			require.NoError(t, res.Err, typ)
			oid, in := res.FieldDescriptions[0].DataTypeOID, res.Rows[0][0]
			m := mask.Postgres(oid, typ, format == 1)
			require.Equal(t, unsafe, m.Kind == mask.Unknown, "%s (%d) is known", typ, oid)
			for name, tr := range transforms {
				f, err := tr(t).Bind(m)
				require.NoError(t, err)
				out := f(nil, in)
				if unsafe || name == "null" {
					require.Nil(t, out, "%s of %s", name, typ)
					continue
				}
				if out == nil {
					require.Equal(t, "hash", name, "%s of %s is NULL", name, typ)
					continue
				}
				require.NotEqual(t, in, out, "%s of %s is shown", name, typ)
				back := c.ExecParams(t.Context(), "select $1::"+typ, [][]byte{out}, []uint32{oid}, []int16{format}, []int16{0}).Read()
				require.NoError(t, back.Err, "%s of %s in format %d: %q", name, typ, format, out)
				zero, err := mask.Default().Bind(mask.Postgres(oid, typ, false))
				require.NoError(t, err)
				if want := zero(nil, nil); name == "default" && typ != "char(20)" {
					require.Equal(t, string(want), string(back.Rows[0][0]), "the default of %s in format %d", typ, format)
				}
			}
		}
	}
}
