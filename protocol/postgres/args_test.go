package postgres

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol/protocoltest/pgtest"
)

// TestBinaryTextIsPostgreSQLsOwn compares the text of binary arguments with the
// one that PostgreSQL gives to the same bytes.
func TestBinaryTextIsPostgreSQLsOwn(t *testing.T) {
	pg := pgtest.Start(t)
	for _, tt := range []struct {
		oid                uint32
		typ, send, literal string
	}{
		{oidNumeric, "numeric", "numeric_send", "0 0.00 -0.00 1 -1 12345678 10000 0.0001 0.00000001 -98765432109876543210.123456789 1e30 1e-20 123456789.10 9999.9999 NaN Infinity -Infinity"},
		{oidInt2, "int2", "int2send", "0 -1 32767 -32768"},
		{oidInt4, "int4", "int4send", "0 -1 2147483647 -2147483648"},
		{oidInt8, "int8", "int8send", "0 -1 9223372036854775807 -9223372036854775808"},
		{oidOID, "oid", "oidsend", "0 4294967295"},
		{oidUUID, "uuid", "uuid_send", "00112233-4455-6677-8899-aabbccddeeff"},
		{oidDate, "date", "date_send", "2000-01-01 1999-12-31 2024-02-29 1900-03-01 0001-01-01 9999-12-31"},
		{oidTimestamp, "timestamp", "timestamp_send", "2000-01-01T00:00:00 1999-12-31T23:59:59.999999 2024-02-29T12:30:00.5 1750-06-01T00:00:00.000001"},
		{oidTimestamptz, "timestamptz", "timestamptz_send", "2000-01-01T00:00:00Z 1999-12-31T23:59:59.999999Z 2024-02-29T12:30:00.5Z"},
		{oidText, "text", "textsend", "abc \u00e4\u00f6"},
		{oidJSONB, "jsonb", "jsonb_send", `{"a":[1,null]} 5`},
	} {
		for _, v := range strings.Fields(tt.literal) {
			out := strings.TrimSpace(pgtest.Exec(t, pg, "set timezone = 'UTC'", "select encode("+tt.send+"('"+v+"'::"+tt.typ+"), 'hex') || ' ' || '"+v+"'::"+tt.typ+"::text"))
			raw, want, _ := strings.Cut(out, " ")
			b, err := hex.DecodeString(raw)
			require.NoError(t, err)
			require.Equal(t, want, binaryText(tt.oid, b), "%s %s", tt.typ, v)
		}
	}
	require.Equal(t, "true", binaryText(oidBool, []byte{1}))
	require.Equal(t, `\x0102`, binaryText(oidInt4, []byte{1, 2}), "what does not fit its type is shown as it is")
}
