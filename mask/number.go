package mask

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Round replaces numbers with the next lower multiple of to, which is at least
// 2: of 10, 37 becomes 30 and -3 becomes -10. Parts of a whole are dropped. A
// value of any type but a number's is hidden whole, and so is one that is no
// number or too large.
func Round(to int64) Transform {
	return transformOf(fmt.Sprintf("round(%d)", to), func(t Type) (Func, error) {
		if to < 2 {
			return nil, errors.New("round: to is less than 2")
		}
		down := func(v int64) (int64, bool) {
			r := v % to
			if r < 0 {
				r += to
			}
			return v - r, v >= math.MinInt64+to
		}
		switch t.Kind {
		case Int2, Int4, Int8, OID, Float4, Float8, Numeric:
		default:
			return constant(t.redacted()), nil
		}
		zero := t.zero()
		return func(dst, in []byte) []byte {
			v, ok := t.whole(in)
			if ok {
				v, ok = down(v)
			}
			if ok {
				if out, ok := t.appendWhole(dst, v); ok {
					return out
				}
			}
			return append(dst, zero...)
		}, nil
	})
}

// whole returns the whole part, rounded down, of a number of type t.
func (t Type) whole(in []byte) (int64, bool) {
	be := binary.BigEndian
	if t.Encoding == TextEncoding {
		if len(in) > 40 {
			return 0, false
		}
		if v, err := strconv.ParseInt(string(in), 10, 64); err == nil {
			return v, true
		}
		if t.Kind != Numeric && t.Kind != Float4 && t.Kind != Float8 {
			return 0, false
		}
		v, err := strconv.ParseFloat(string(in), 64)
		return floor(v, err == nil)
	}
	switch {
	case t.Kind == Int2 && len(in) == 2:
		return int64(int16(be.Uint16(in))), true
	case t.Kind == Int4 && len(in) == 4:
		return int64(int32(be.Uint32(in))), true
	case t.Kind == OID && len(in) == 4:
		return int64(be.Uint32(in)), true
	case t.Kind == Int8 && len(in) == 8:
		return int64(be.Uint64(in)), true
	case t.Kind == Float4 && len(in) == 4:
		return floor(float64(math.Float32frombits(be.Uint32(in))), true)
	case t.Kind == Float8 && len(in) == 8:
		return floor(math.Float64frombits(be.Uint64(in)), true)
	case t.Kind == Numeric:
		return wholeNumeric(in)
	}
	return 0, false
}

func floor(v float64, ok bool) (int64, bool) {
	v = math.Floor(v)
	if !ok || math.IsNaN(v) || math.Abs(v) > 1<<53 {
		return 0, false
	}
	return int64(v), true
}

// wholeNumeric reads PostgreSQL's binary form of a number that fits.
func wholeNumeric(in []byte) (int64, bool) {
	be := binary.BigEndian
	if len(in) < 8 {
		return 0, false
	}
	n, weight, sign := int(be.Uint16(in)), int(int16(be.Uint16(in[2:]))), be.Uint16(in[4:])
	if len(in) != 8+2*n || weight > 4 || sign != 0 && sign != 0x4000 {
		return 0, false
	}
	v, rest := int64(0), false
	for i := range max(n, weight+1) {
		group := int64(0)
		if i < n {
			group = int64(be.Uint16(in[8+2*i:]))
		}
		switch {
		case group > 9999, i <= weight && v > (math.MaxInt64-group)/10000:
			return 0, false
		case i <= weight:
			v = v*10000 + group
		case group > 0:
			rest = true
		}
	}
	if sign != 0 {
		v = -v
		if rest {
			v--
		}
	}
	return v, true
}

// appendWhole appends v as a value of type t, if it fits.
func (t Type) appendWhole(dst []byte, v int64) ([]byte, bool) {
	be := binary.BigEndian
	low, high := int64(math.MinInt64), int64(math.MaxInt64)
	switch t.Kind {
	case Int2:
		low, high = math.MinInt16, math.MaxInt16
	case Int4:
		low, high = math.MinInt32, math.MaxInt32
	case OID:
		low, high = 0, math.MaxUint32
	}
	switch {
	case v < low || v > high:
		return dst, false
	case t.Encoding == TextEncoding:
		return strconv.AppendInt(dst, v, 10), true
	}
	switch t.Kind {
	case Int2:
		return be.AppendUint16(dst, uint16(v)), true
	case Int4, OID:
		return be.AppendUint32(dst, uint32(v)), true
	case Int8:
		return be.AppendUint64(dst, uint64(v)), true
	case Float4:
		return be.AppendUint32(dst, math.Float32bits(float32(v))), true
	case Float8:
		return be.AppendUint64(dst, math.Float64bits(float64(v))), true
	}
	return append(dst, t.parseNumeric(strconv.FormatInt(v, 10))...), true
}

// A Unit is a part of the calendar.
type Unit string

// The units.
const (
	Day     Unit = "day"
	Month   Unit = "month"
	Quarter Unit = "quarter"
	Year    Unit = "year"
	Decade  Unit = "decade"
)

// Truncate replaces dates and moments with the first of the day, month, quarter,
// year or decade that they are in, in UTC where their type has a time zone. What is not
// a day from year 1 to 9999 is hidden whole, and so is a value of any other type, also
// text that holds a date. MySQL prints a timestamp in the session's time zone and does
// not say which: there, who changes it sees when the day turns.
func Truncate(to Unit) Transform {
	return transformOf("truncate("+string(to)+")", func(t Type) (Func, error) {
		switch to {
		case Day, Month, Quarter, Year, Decade:
		default:
			return nil, fmt.Errorf("truncate: %q is not one of day, month, quarter, year, decade", to)
		}
		switch t.Kind {
		case Date, Timestamp, TimestampTZ:
		default:
			return constant(t.redacted()), nil
		}
		zero := t.zero()
		return func(dst, in []byte) []byte {
			y, m, d, ok := t.day(in)
			if !ok {
				return append(dst, zero...)
			}
			switch to {
			case Month:
				d = 1
			case Quarter:
				m, d = m-(m-1)%3, 1
			case Year:
				m, d = 1, 1
			case Decade:
				y, m, d = max(1, y-y%10), 1, 1
			}
			return t.appendDay(dst, y, m, d)
		}, nil
	})
}

// day returns the day of a value of type t. A moment's is the one in UTC: who chooses
// the time zone that it is printed in would see when it turns, and so the time of day.
func (t Type) day(in []byte) (y int, m time.Month, d int, ok bool) {
	if t.Encoding == PostgresBinary {
		be := binary.BigEndian
		var sec int64
		switch {
		case t.Kind == Date && len(in) == 4:
			sec = (int64(int32(be.Uint32(in))) + daysTo2000) * 86400
		case t.Kind != Date && len(in) == 8:
			micros := int64(be.Uint64(in))
			if micros == math.MaxInt64 || micros == math.MinInt64 { // infinity
				return 0, 0, 0, false
			}
			sec = micros/1_000_000 + daysTo2000*86400
			if micros%1_000_000 < 0 {
				sec--
			}
		default:
			return 0, 0, 0, false
		}
		y, m, d = time.Unix(sec, 0).UTC().Date()
		return y, m, d, y >= 1 && y <= 9999
	}
	if len(in) < len(time.DateOnly) || len(in) > 40 || bytes.HasSuffix(in, []byte(" BC")) {
		return 0, 0, 0, false
	}
	rest := in[len(time.DateOnly):]
	if len(rest) > 0 && (t.Kind == Date || rest[0] != ' ') {
		return 0, 0, 0, false
	}
	v, err := time.Parse(time.DateOnly, string(in[:len(time.DateOnly)]))
	if err != nil {
		return 0, 0, 0, false
	}
	if t.Kind == TimestampTZ {
		after, ok := sinceMidnight(string(rest))
		if !ok {
			return 0, 0, 0, false
		}
		v = v.Add(after)
	}
	y, m, d = v.Date()
	return y, m, d, y >= 1 && y <= 9999
}

// sinceMidnight returns how long after its day began in UTC a moment is that is
// printed as " 23:59:59.5+02", with more colons where the time zone has minutes and
// seconds.
func sinceMidnight(s string) (time.Duration, bool) {
	sign := strings.LastIndexAny(s, "+-")
	if sign < 0 {
		return 0, false
	}
	clock, err := time.Parse(" 15:04:05", s[:sign])
	if err != nil {
		return 0, false
	}
	var zone time.Duration
	unit := time.Hour
	for part := range strings.SplitSeq(s[sign+1:], ":") {
		n, err := strconv.ParseUint(part, 10, 8)
		if err != nil || unit < time.Second {
			return 0, false
		}
		zone += time.Duration(n) * unit
		unit /= 60
	}
	if s[sign] == '-' {
		zone = -zone
	}
	return clock.Sub(clock.Truncate(24*time.Hour)) - zone, true
}

func (t Type) appendDay(dst []byte, y int, m time.Month, d int) []byte {
	v := time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	be := binary.BigEndian
	switch {
	case t.Kind == Date && t.Encoding == TextEncoding:
		return v.AppendFormat(dst, time.DateOnly)
	case t.Kind == Date:
		return be.AppendUint32(dst, uint32(int32(v.Unix()/86400-daysTo2000)))
	case t.Encoding == PostgresBinary:
		return be.AppendUint64(dst, uint64(v.UnixMicro()-microsTo2000))
	case t.Kind == Timestamp:
		return v.AppendFormat(dst, time.DateTime)
	}
	return v.AppendFormat(dst, time.DateTime+"+00")
}

// Network replaces IP addresses with the network that they are in, of so many bits:
// with 24 and 64, 10.1.2.3 becomes 10.1.2.0. Text that is no address is hidden
// whole, and so is a value of any type but text, inet and cidr.
func Network(bits4, bits6 int) Transform {
	return transformOf(fmt.Sprintf("network(/%d, /%d)", bits4, bits6), func(t Type) (Func, error) {
		if bits4 < 0 || bits4 > 32 || bits6 < 0 || bits6 > 128 {
			return nil, errors.New("network: an address has 32 or 128 bits")
		}
		switch t.Kind {
		case Text, Padded, Inet, CIDR:
		default:
			return constant(t.redacted()), nil
		}
		hidden := t.redacted()
		return func(dst, in []byte) []byte {
			a, ok := t.address(in)
			if !ok {
				return append(dst, hidden...)
			}
			bits := bits6
			switch {
			case a.Is4():
				bits = bits4
			case a.Is4In6(): // ::ffff:10.1.2.3
				bits = min(bits6, 96+bits4)
			}
			p, err := a.Prefix(bits)
			if err != nil {
				return append(dst, hidden...)
			}
			return t.appendNetwork(dst, p)
		}, nil
	})
}

// address returns the address of a value of type t, without how long its network
// is.
func (t Type) address(in []byte) (netip.Addr, bool) {
	if t.Encoding == PostgresBinary && (t.Kind == Inet || t.Kind == CIDR) { // family, bits, is a network, length, address
		if len(in) < 4 || int(in[3]) != len(in)-4 || (in[0] != 2 || in[3] != 4) && (in[0] != 3 || in[3] != 16) {
			return netip.Addr{}, false
		}
		return netip.AddrFromSlice(in[4:])
	}
	in = bytes.TrimRight(in, " ")
	if len(in) > 64 {
		return netip.Addr{}, false
	}
	text, _, _ := bytes.Cut(in, []byte("/"))
	a, err := netip.ParseAddr(string(text))
	return a, err == nil && a.Zone() == ""
}

func (t Type) appendNetwork(dst []byte, p netip.Prefix) []byte {
	a := p.Addr()
	if t.Encoding == PostgresBinary && (t.Kind == Inet || t.Kind == CIDR) {
		family, bits, network := byte(2), byte(a.BitLen()), byte(0)
		if a.Is6() {
			family = 3
		}
		if t.Kind == CIDR {
			bits, network = byte(p.Bits()), 1
		}
		return append(append(dst, family, bits, network, byte(a.BitLen()/8)), a.AsSlice()...)
	}
	dst = a.AppendTo(dst)
	if t.Kind == CIDR {
		dst = strconv.AppendInt(append(dst, '/'), int64(p.Bits()), 10)
	}
	return dst
}
