package mysql

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
)

// decodeTextRow appends the values of a row of text to values.
func decodeTextRow(b []byte, values [][]byte, count int) ([][]byte, error) {
	c := cursor{b: b}
	for range count {
		n, null := c.length()
		switch {
		case null:
			values = append(values, nil)
			continue
		case n > uint64(len(c.b)):
			return values, errMalformed
		}
		values = append(values, c.take(int(n)))
	}
	return values, c.done()
}

func appendTextRow(dst []byte, values [][]byte) []byte {
	for _, v := range values {
		if v == nil {
			dst = append(dst, 0xfb)
			continue
		}
		dst = appendStr(dst, v)
	}
	return dst
}

// A width says how many bytes a value has in a binary row.
type width int

// Widths of values that have no fixed one.
const (
	widthString width = -1 // behind a length-encoded integer
	widthShort  width = -2 // behind a byte with the length
)

// widthOf returns the width of a type's values.
func widthOf(typ byte) width {
	switch typ {
	case mysql.MYSQL_TYPE_NULL:
		return 0
	case mysql.MYSQL_TYPE_TINY:
		return 1
	case mysql.MYSQL_TYPE_SHORT, mysql.MYSQL_TYPE_YEAR:
		return 2
	case mysql.MYSQL_TYPE_LONG, mysql.MYSQL_TYPE_INT24, mysql.MYSQL_TYPE_FLOAT:
		return 4
	case mysql.MYSQL_TYPE_LONGLONG, mysql.MYSQL_TYPE_DOUBLE:
		return 8
	case mysql.MYSQL_TYPE_DATE, mysql.MYSQL_TYPE_NEWDATE, mysql.MYSQL_TYPE_DATETIME, mysql.MYSQL_TYPE_TIMESTAMP, mysql.MYSQL_TYPE_TIME,
		mysql.MYSQL_TYPE_DATETIME2, mysql.MYSQL_TYPE_TIMESTAMP2, mysql.MYSQL_TYPE_TIME2:
		return widthShort
	}
	return widthString
}

// take takes a value of width w.
func (w width) take(c *cursor) []byte {
	switch w {
	case widthString:
		return c.str()
	case widthShort:
		return c.take(int(c.u8()))
	}
	return c.take(int(w))
}

// decodeBinaryRow appends the values of a binary row with columns of these
// widths to values.
func decodeBinaryRow(b []byte, values [][]byte, widths []width) ([][]byte, error) {
	c := cursor{b: b}
	if c.u8() != packetOK {
		return values, errMalformed
	}
	nulls := c.take((len(widths) + 7 + 2) / 8)
	if c.bad {
		return values, errMalformed
	}
	for i, w := range widths {
		if bit := i + 2; nulls[bit/8]&(1<<(bit%8)) != 0 {
			values = append(values, nil)
			continue
		}
		v := w.take(&c)
		if c.bad {
			return values, errMalformed
		}
		if v == nil {
			v = []byte{}
		}
		values = append(values, v)
	}
	return values, c.done()
}

func appendBinaryRow(dst []byte, values [][]byte, widths []width) ([]byte, error) {
	dst = append(dst, packetOK)
	at := len(dst)
	dst = append(dst, make([]byte, (len(widths)+7+2)/8)...)
	for i, v := range values {
		switch w := widths[i]; {
		case v == nil:
			bit := i + 2
			dst[at+bit/8] |= 1 << (bit % 8)
		case w == widthString:
			dst = appendStr(dst, v)
		case w == widthShort:
			if len(v) > 12 { // of TIME, the longest
				return nil, errWidth
			}
			dst = append(append(dst, byte(len(v))), v...)
		case len(v) != int(w):
			return nil, errWidth
		default:
			dst = append(dst, v...)
		}
	}
	return dst, nil
}

// A valueType is a column's type as its values need it.
type valueType struct {
	typ      byte
	unsigned bool
}

// fits returns a value that a tap has given, as text, or nil if the column's
// type cannot hold it: NULL takes its place.
func (v valueType) fits(text []byte) []byte {
	switch w := widthOf(v.typ); {
	case w <= 0 || v.typ == mysql.MYSQL_TYPE_FLOAT || v.typ == mysql.MYSQL_TYPE_DOUBLE:
		return text
	default:
		if _, ok := v.integer(text); !ok {
			return nil
		}
		return text
	}
}

func (v valueType) integer(text []byte) (uint64, bool) {
	bits := 8 * int(widthOf(v.typ))
	if v.typ == mysql.MYSQL_TYPE_INT24 {
		bits = 24
	}
	if v.typ == mysql.MYSQL_TYPE_YEAR {
		n, err := strconv.ParseUint(string(text), 10, bits)
		return n, err == nil && (n == 0 || n >= 1901 && n <= 2155)
	}
	if v.unsigned {
		n, err := strconv.ParseUint(string(text), 10, bits)
		return n, err == nil
	}
	n, err := strconv.ParseInt(string(text), 10, bits)
	return uint64(n), err == nil
}

// encode returns a value that a tap has given in the binary form, or nil if the
// column's type cannot hold it.
func (v valueType) encode(text []byte) []byte {
	switch w := widthOf(v.typ); {
	case w == widthString:
		return text
	case w == widthShort:
		return encodeMoment(v.typ, string(text))
	case v.typ == mysql.MYSQL_TYPE_FLOAT:
		n, err := strconv.ParseFloat(string(text), 32)
		if err != nil {
			return nil
		}
		return appendUint(nil, 4, uint64(math.Float32bits(float32(n))))
	case v.typ == mysql.MYSQL_TYPE_DOUBLE:
		n, err := strconv.ParseFloat(string(text), 64)
		if err != nil {
			return nil
		}
		return appendUint(nil, 8, math.Float64bits(n))
	default:
		n, ok := v.integer(text)
		if !ok {
			return nil
		}
		return appendUint(nil, int(w), n)
	}
}

// encodeMoment returns a date or a time in the binary form, nil if it is none.
func encodeMoment(typ byte, text string) []byte {
	if typ == mysql.MYSQL_TYPE_TIME || typ == mysql.MYSQL_TYPE_TIME2 {
		return encodeTime(text)
	}
	t, err := time.Parse("2006-01-02", text)
	if err != nil {
		if t, err = time.Parse("2006-01-02 15:04:05", text); err != nil {
			return nil
		}
	}
	b := append(appendUint(nil, 2, uint64(t.Year())), byte(t.Month()), byte(t.Day()))
	h, m, s := t.Clock()
	micros := t.Nanosecond() / 1000
	if h+m+s+micros > 0 {
		b = append(b, byte(h), byte(m), byte(s))
	}
	if micros > 0 {
		b = appendUint(b, 4, uint64(micros))
	}
	return b
}

// encodeTime returns a time, of up to 838 hours, in the binary form.
func encodeTime(text string) []byte {
	rest, negative := strings.CutPrefix(text, "-")
	hours, rest, ok := strings.Cut(rest, ":")
	h, err := strconv.ParseUint(hours, 10, 10)
	t, err2 := time.Parse("04:05", rest)
	if !ok || err != nil || err2 != nil {
		return nil
	}
	micros := t.Nanosecond() / 1000
	if h == 0 && t.Minute()+t.Second()+micros == 0 {
		return []byte{}
	}
	b := []byte{0}
	if negative {
		b[0] = 1
	}
	b = append(appendUint(b, 4, h/24), byte(h%24), byte(t.Minute()), byte(t.Second()))
	if micros > 0 {
		b = appendUint(b, 4, uint64(micros))
	}
	return b
}
