package postgres

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/sallyport-dev/gateway/protocol"
)

// Type numbers of PostgreSQL's own types (pg_type.dat).
const (
	oidBool        = 16
	oidBytea       = 17
	oidName        = 19
	oidInt8        = 20
	oidInt2        = 21
	oidInt4        = 23
	oidText        = 25
	oidOID         = 26
	oidJSON        = 114
	oidXML         = 142
	oidFloat4      = 700
	oidFloat8      = 701
	oidUnknown     = 705
	oidBPChar      = 1042
	oidVarchar     = 1043
	oidDate        = 1082
	oidTimestamp   = 1114
	oidTimestamptz = 1184
	oidNumeric     = 1700
	oidUUID        = 2950
	oidJSONB       = 3802
)

var typeNames = map[uint32]string{oidBool: "bool", oidBytea: "bytea", oidName: "name", oidInt8: "int8", oidInt2: "int2",
	oidInt4: "int4", oidText: "text", oidOID: "oid", oidJSON: "json", oidXML: "xml", oidFloat4: "float4", oidFloat8: "float8",
	oidUnknown: "unknown", oidBPChar: "bpchar", oidVarchar: "varchar", oidDate: "date", oidTimestamp: "timestamp",
	oidTimestamptz: "timestamptz", oidNumeric: "numeric", oidUUID: "uuid", oidJSONB: "jsonb"}

func typeName(oid uint32) string {
	if oid == 0 {
		return ""
	}
	if n, ok := typeNames[oid]; ok {
		return n
	}
	return strconv.FormatUint(uint64(oid), 10)
}

// decodeArgs returns the arguments of a Bind as text, for the record and the
// rules, in the memory of args if that is enough. types are the parameters' type
// numbers as far as they are known.
func decodeArgs(args []protocol.Arg, m *bindMsg, types func(i int) uint32) []protocol.Arg {
	if len(m.params) == 0 {
		return nil
	}
	args = slices.Grow(args[:0], len(m.params))[:len(m.params)]
	for i, v := range m.params {
		oid := types(i)
		args[i] = protocol.Arg{Type: typeName(oid)}
		switch {
		case v == nil:
			args[i].Null = true
		case format(m.formats, i) == 0 && utf8.Valid(v):
			args[i].Text = string(v)
		case format(m.formats, i) == 0:
			args[i].Text = hexText(v)
		default:
			args[i].Text = binaryText(oid, v)
		}
	}
	return args
}

func hexText(v []byte) string { return `\x` + hex.EncodeToString(v) }

// epoch is the zero of dates and timestamps in binary format.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// binaryText returns the text form of a value in binary format, or its bytes
// in hexadecimal if the type is not known here.
func binaryText(oid uint32, v []byte) string {
	switch oid {
	case oidText, oidVarchar, oidBPChar, oidName, oidJSON, oidXML, oidUnknown:
		if utf8.Valid(v) {
			return string(v)
		}
	case oidJSONB:
		if len(v) > 0 && v[0] == 1 && utf8.Valid(v[1:]) {
			return string(v[1:])
		}
	case oidBool:
		if len(v) == 1 {
			return strconv.FormatBool(v[0] != 0)
		}
	case oidInt2:
		if len(v) == 2 {
			return strconv.Itoa(int(int16(binary.BigEndian.Uint16(v))))
		}
	case oidInt4:
		if len(v) == 4 {
			return strconv.Itoa(int(int32(binary.BigEndian.Uint32(v))))
		}
	case oidOID:
		if len(v) == 4 {
			return strconv.FormatUint(uint64(binary.BigEndian.Uint32(v)), 10)
		}
	case oidInt8:
		if len(v) == 8 {
			return strconv.FormatInt(int64(binary.BigEndian.Uint64(v)), 10)
		}
	case oidFloat4:
		if len(v) == 4 {
			return strconv.FormatFloat(float64(math.Float32frombits(binary.BigEndian.Uint32(v))), 'g', -1, 32)
		}
	case oidFloat8:
		if len(v) == 8 {
			return strconv.FormatFloat(math.Float64frombits(binary.BigEndian.Uint64(v)), 'g', -1, 64)
		}
	case oidUUID:
		if len(v) == 16 {
			h := hex.EncodeToString(v)
			return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
		}
	case oidDate:
		if len(v) == 4 {
			if d := int32(binary.BigEndian.Uint32(v)); d != math.MaxInt32 && d != math.MinInt32 {
				return epoch.AddDate(0, 0, int(d)).Format(time.DateOnly)
			}
		}
	case oidTimestamp, oidTimestamptz:
		if len(v) == 8 {
			if us := int64(binary.BigEndian.Uint64(v)); us != math.MaxInt64 && us != math.MinInt64 {
				t := epoch.Add(time.Duration(us/1e6) * time.Second)
				if us/1e6 > math.MaxInt64/int64(time.Second) || us/1e6 < math.MinInt64/int64(time.Second) {
					break
				}
				s := t.Add(time.Duration(us%1e6) * time.Microsecond).Format("2006-01-02 15:04:05.999999")
				if oid == oidTimestamptz {
					s += "+00"
				}
				return s
			}
		}
	case oidNumeric:
		if s, ok := numericText(v); ok {
			return s
		}
	}
	return hexText(v)
}

const maxNumericText = 1 << 10 // digits beyond those that the value itself accounts for

// numericText reads the binary format of numeric: digit count, weight, sign
// and display scale, then base-10000 digits (numeric_send in numeric.c).
func numericText(v []byte) (string, bool) {
	c := cursor{b: v}
	n, weight, sign, scale := c.u16(), int(int16(c.u16())), c.u16(), c.u16()
	digits := c.take(2 * n)
	// A few bytes can stand for 130,000 digits. Many such arguments must not
	// become gigabytes of record: they stay as they are.
	if c.done() != nil || 4*max(weight, 0)+scale > maxNumericText+8*len(v) {
		return "", false
	}
	switch sign {
	case 0, 0x4000:
	case 0xC000:
		return "NaN", true
	case 0xD000:
		return "Infinity", true
	case 0xF000:
		return "-Infinity", true
	default:
		return "", false
	}
	for i := range n {
		if binary.BigEndian.Uint16(digits[2*i:]) > 9999 {
			return "", false
		}
	}
	digit := func(i int) int {
		if i < 0 || i >= n {
			return 0
		}
		return int(binary.BigEndian.Uint16(digits[2*i:]))
	}
	var whole, frac []byte
	for i := 0; i <= weight; i++ {
		d := strconv.Itoa(digit(i))
		whole = append(whole, ("0000" + d)[len(d):]...)
	}
	for i := weight + 1; len(frac) < scale; i++ {
		d := strconv.Itoa(digit(i))
		frac = append(frac, ("0000" + d)[len(d):]...)
	}
	frac = frac[:min(scale, len(frac))]
	if whole = bytes.TrimLeft(whole, "0"); len(whole) == 0 {
		whole = []byte{'0'}
	}
	if scale > 0 {
		whole = append(append(whole, '.'), frac...)
	}
	if sign == 0x4000 && len(bytes.Trim(whole, "0.")) > 0 { // there is no negative zero
		return "-" + string(whole), true
	}
	return string(whole), true
}
