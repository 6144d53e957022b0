package mask

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Fixed replaces values with value: text as it stands, JSON as a document if
// value is one and else as a string, and other types if value can be read as
// one: "0.5", "true", "2000-01-31", "2000-01-31 12:00:00", a UUID, an IP
// address. Where it cannot, values are replaced as by [Default].
func Fixed(value string) Transform {
	return transformOf(fmt.Sprintf("fixed(%q)", value), func(t Type) (Func, error) {
		switch {
		case len(value) > 64<<10:
			return nil, errors.New("fixed: the value is longer than 64 KiB")
		case !utf8.ValidString(value) || strings.IndexByte(value, 0) >= 0:
			return nil, errors.New("fixed: the value is not text that every database can hold")
		}
		if v := t.parse(value); v != nil {
			return constant(v), nil
		}
		return constant(t.zero()), nil
	})
}

// parse returns the value of type t that s describes, or nil if it does not.
func (t Type) parse(s string) []byte {
	text := t.Encoding == TextEncoding
	switch t.Kind {
	case Text, Padded:
		return append([]byte{}, s...)
	case Char:
		if len(s) == 1 {
			return []byte(s)
		}
	case JSON, JSONB:
		doc := []byte(s)
		if !json.Valid(doc) {
			doc, _ = json.Marshal(s) // a valid string always marshals
		}
		return t.json(doc)
	case XML:
		var b bytes.Buffer
		if xml.EscapeText(&b, []byte(s)) == nil {
			return append([]byte{}, b.Bytes()...)
		}
	case Int2, Int4, Int8, OID:
		return t.parseInt(s)
	case Float4, Float8:
		return t.parseFloat(s)
	case Numeric:
		return t.parseNumeric(s)
	case Bool:
		v, err := strconv.ParseBool(s)
		switch {
		case err != nil:
		case text && v:
			return []byte("t")
		case text:
			return []byte("f")
		case v:
			return []byte{1}
		default:
			return []byte{0}
		}
	case Date, Timestamp, TimestampTZ:
		return t.parseTime(s)
	case UUID:
		var u [16]byte
		switch {
		case !parseUUID(u[:], []byte(s)):
		case text:
			return appendUUID(nil, u[:])
		default:
			return u[:]
		}
	case Bytes:
		if text {
			return hex.AppendEncode([]byte(`\x`), []byte(s))
		}
		return append([]byte{}, s...)
	case Inet:
		a, err := netip.ParseAddr(s)
		switch {
		case err != nil || a.Zone() != "":
		case text:
			return []byte(a.String())
		case a.Is4():
			return append([]byte{2, 32, 0, 4}, a.AsSlice()...)
		default:
			return append([]byte{3, 128, 0, 16}, a.AsSlice()...)
		}
	}
	return nil
}

func (t Type) parseInt(s string) []byte {
	bits := map[Kind]int{Int2: 16, Int4: 32, Int8: 64, OID: 33}[t.Kind]
	v, err := strconv.ParseInt(s, 10, bits)
	switch {
	case err != nil || t.Kind == OID && v < 0:
		return nil
	case t.Encoding == TextEncoding:
		return strconv.AppendInt(nil, v, 10)
	case t.Kind == Int2:
		return binary.BigEndian.AppendUint16(nil, uint16(v))
	case t.Kind == Int8:
		return binary.BigEndian.AppendUint64(nil, uint64(v))
	}
	return binary.BigEndian.AppendUint32(nil, uint32(v))
}

func (t Type) parseFloat(s string) []byte {
	bits := 64
	if t.Kind == Float4 {
		bits = 32
	}
	v, err := strconv.ParseFloat(s, bits)
	switch {
	case err != nil || math.IsInf(v, 0) || math.IsNaN(v):
		return nil
	case t.Encoding == TextEncoding:
		return strconv.AppendFloat(nil, v, 'g', -1, bits)
	case bits == 32:
		return binary.BigEndian.AppendUint32(nil, math.Float32bits(float32(v)))
	}
	return binary.BigEndian.AppendUint64(nil, math.Float64bits(v))
}

// parseNumeric reads a plain decimal number of up to 100 digits. The binary
// form is its digits in groups of four: their number, the weight of the first
// in powers of 10,000, the sign, and the decimal places to print.
func (t Type) parseNumeric(s string) []byte {
	rest, negative := strings.CutPrefix(s, "-")
	whole, frac, dot := strings.Cut(rest, ".")
	if whole == "" || dot && frac == "" || len(whole)+len(frac) > 100 {
		return nil
	}
	for _, c := range []byte(whole + frac) {
		if c < '0' || c > '9' {
			return nil
		}
	}
	if t.Encoding == TextEncoding {
		return []byte(s)
	}
	scale := len(frac)
	whole = strings.Repeat("0", (4-len(whole)%4)%4) + whole
	frac += strings.Repeat("0", (4-len(frac)%4)%4)
	var groups []uint16
	for d := whole + frac; d != ""; d = d[4:] {
		n, err := strconv.ParseUint(d[:4], 10, 16)
		if err != nil {
			return nil
		}
		groups = append(groups, uint16(n))
	}
	weight := len(whole)/4 - 1
	for len(groups) > 0 && groups[0] == 0 {
		groups, weight = groups[1:], weight-1
	}
	for len(groups) > 0 && groups[len(groups)-1] == 0 {
		groups = groups[:len(groups)-1]
	}
	sign := uint16(0)
	if negative && len(groups) > 0 {
		sign = 0x4000
	}
	if len(groups) == 0 {
		weight = 0
	}
	out := make([]byte, 0, 8+2*len(groups))
	for _, v := range append([]uint16{uint16(len(groups)), uint16(int16(weight)), sign, uint16(scale)}, groups...) {
		out = binary.BigEndian.AppendUint16(out, v)
	}
	return out
}

func (t Type) parseTime(s string) []byte {
	var v time.Time
	err := errors.New("no layout")
	for _, layout := range []string{time.DateOnly, time.DateTime, time.RFC3339} {
		if v, err = time.Parse(layout, s); err == nil {
			break
		}
	}
	v = v.UTC()
	if err != nil || v.Year() < 1 || v.Year() > 9999 {
		return nil
	}
	text := t.Encoding == TextEncoding
	switch {
	case t.Kind == Date && text:
		return []byte(v.Format(time.DateOnly))
	case t.Kind == Date:
		day := time.Date(v.Year(), v.Month(), v.Day(), 0, 0, 0, 0, time.UTC)
		return binary.BigEndian.AppendUint32(nil, uint32(int32(day.Unix()/86400-daysTo2000)))
	case t.Kind == Timestamp && text:
		return []byte(v.Format(time.DateTime))
	case text:
		return []byte(v.Format(time.DateTime + "+00"))
	}
	return binary.BigEndian.AppendUint64(nil, uint64(v.UnixMicro()-microsTo2000))
}
