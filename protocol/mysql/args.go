package mysql

import (
	"encoding/hex"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/sallyport-dev/gateway/protocol"
)

// maxArgs bounds the parameters of a statement, as MySQL has it.
const maxArgs = 65535

// A binding is the arguments of one execution.
type binding struct {
	types  []byte   // two bytes each: the type, and 0x80 if it is unsigned
	values [][]byte // nil is NULL
	names  []string // of query attributes; nil: none have one
}

// decodeBinding takes the arguments of count parameters. types are those that
// the client sent before, for the case that it does not send them again. sent
// says which parameters' values have been sent ahead. named says that each type
// comes with a name.
func decodeBinding(c *cursor, count int, types []byte, sent func(i int) ([]byte, bool), named bool) (binding, error) {
	var b binding
	nulls := c.take((count + 7) / 8)
	if c.u8() == 1 {
		b.types = make([]byte, 0, 2*min(count, len(c.b)/2))
		for range count {
			typ := c.take(2)
			if c.bad || !isArgType(typ[0]) || typ[1]&^0x80 != 0 {
				return b, errMalformed
			}
			b.types = append(b.types, typ...)
			if named {
				b.names = append(b.names, string(c.str()))
			}
			if c.bad {
				return b, errMalformed
			}
		}
	} else {
		b.types = types
	}
	if c.bad || len(b.types) != 2*count {
		return b, errMalformed
	}
	b.values = make([][]byte, count)
	for i := range count {
		typ := b.types[2*i]
		w := widthOf(typ)
		if v, ok := sent(i); ok {
			if w != widthString { // which the servers refuse as well
				return b, errMalformed
			}
			b.values[i] = v
			continue
		}
		null := nulls[i/8]&(1<<(i%8)) != 0
		if null || typ == mysql.MYSQL_TYPE_NULL && !named {
			continue
		}
		v := w.take(c)
		if c.bad || typ == mysql.MYSQL_TYPE_NULL || w == widthShort && !isMoment(typ, len(v)) {
			return b, errMalformed
		}
		if v == nil {
			v = []byte{}
		}
		b.values[i] = v
	}
	return b, nil
}

// isArgType reports whether arguments have the type, for all servers in the form that it
// has in rows. Of others, such as INT24, YEAR and BOOL, some read no byte, some one and
// some a text: what follows is then not what the gateway takes it for.
func isArgType(typ byte) bool {
	switch typ {
	case mysql.MYSQL_TYPE_NULL, mysql.MYSQL_TYPE_TINY, mysql.MYSQL_TYPE_SHORT, mysql.MYSQL_TYPE_LONG, mysql.MYSQL_TYPE_LONGLONG,
		mysql.MYSQL_TYPE_FLOAT, mysql.MYSQL_TYPE_DOUBLE, mysql.MYSQL_TYPE_DECIMAL, mysql.MYSQL_TYPE_NEWDECIMAL,
		mysql.MYSQL_TYPE_DATE, mysql.MYSQL_TYPE_TIME, mysql.MYSQL_TYPE_DATETIME, mysql.MYSQL_TYPE_TIMESTAMP,
		mysql.MYSQL_TYPE_VARCHAR, mysql.MYSQL_TYPE_VAR_STRING, mysql.MYSQL_TYPE_STRING, mysql.MYSQL_TYPE_JSON, mysql.MYSQL_TYPE_VECTOR,
		mysql.MYSQL_TYPE_ENUM, mysql.MYSQL_TYPE_SET,
		mysql.MYSQL_TYPE_TINY_BLOB, mysql.MYSQL_TYPE_BLOB, mysql.MYSQL_TYPE_MEDIUM_BLOB, mysql.MYSQL_TYPE_LONG_BLOB:
		return true
	}
	return false
}

// isMoment reports whether a date or a time can have this length. Of others servers
// read on behind the end.
func isMoment(typ byte, n int) bool {
	if typ == mysql.MYSQL_TYPE_TIME {
		return n == 0 || n == 8 || n == 12
	}
	return n == 0 || n == 4 || n == 7 || n == 11
}

// numbers reports whether one of the arguments is no text: compared with a text it
// counts as a number or a moment, and so does the text.
func (b *binding) numbers() bool {
	for i := range b.values {
		switch b.types[2*i] {
		case mysql.MYSQL_TYPE_NULL, mysql.MYSQL_TYPE_VARCHAR, mysql.MYSQL_TYPE_VAR_STRING, mysql.MYSQL_TYPE_STRING,
			mysql.MYSQL_TYPE_TINY_BLOB, mysql.MYSQL_TYPE_BLOB, mysql.MYSQL_TYPE_MEDIUM_BLOB, mysql.MYSQL_TYPE_LONG_BLOB:
		default:
			return true
		}
	}
	return false
}

// args returns the arguments as people read them.
func (b *binding) args() []protocol.Arg {
	args := make([]protocol.Arg, len(b.values))
	for i, v := range b.values {
		typ, unsigned := b.types[2*i], b.types[2*i+1]&0x80 != 0
		args[i].Type = typeName(columnMsg{typ: typ, flags: unsignedFlag(unsigned), charset: utf8mb4})
		if v == nil {
			args[i].Null = true
			continue
		}
		args[i].Text = argText(typ, unsigned, v)
	}
	return args
}

func unsignedFlag(unsigned bool) uint16 {
	if unsigned {
		return mysql.UNSIGNED_FLAG
	}
	return 0
}

// argText returns a binary value as text.
func argText(typ byte, unsigned bool, v []byte) string {
	if widthOf(typ) == widthString && !utf8.Valid(v) {
		return `\x` + hex.EncodeToString(v)
	}
	return string(appendText(nil, typ, unsigned, v))
}

// appendText appends a binary value as text.
func appendText(b []byte, typ byte, unsigned bool, v []byte) []byte {
	c := cursor{b: v}
	switch w := widthOf(typ); w {
	case widthString:
		return append(b, v...)
	case widthShort:
		return appendMoment(b, typ, v)
	default:
		n := c.uint(int(w))
		switch {
		case typ == mysql.MYSQL_TYPE_FLOAT:
			return strconv.AppendFloat(b, float64(math.Float32frombits(uint32(n))), 'g', -1, 32)
		case typ == mysql.MYSQL_TYPE_DOUBLE:
			return strconv.AppendFloat(b, math.Float64frombits(n), 'g', -1, 64)
		case unsigned:
			return strconv.AppendUint(b, n, 10)
		}
		shift := 64 - 8*int(w)
		return strconv.AppendInt(b, int64(n)<<shift>>shift, 10)
	}
}

// appendMoment appends a date or a time.
func appendMoment(b []byte, typ byte, v []byte) []byte {
	c := cursor{b: v}
	if typ == mysql.MYSQL_TYPE_TIME || typ == mysql.MYSQL_TYPE_TIME2 {
		if len(v) == 0 {
			return append(b, "00:00:00"...)
		}
		if c.u8() == 1 {
			b = append(b, '-')
		}
		days := c.u32()
		b = appendDigits(b, uint64(days)*24+uint64(c.u8()), 2)
	} else {
		b = appendDigits(b, uint64(c.u16()), 4)
		b = appendDigits(append(b, '-'), uint64(c.u8()), 2)
		b = appendDigits(append(b, '-'), uint64(c.u8()), 2)
		if len(v) <= 4 {
			return b
		}
		b = appendDigits(append(b, ' '), uint64(c.u8()), 2)
	}
	b = appendDigits(append(b, ':'), uint64(c.u8()), 2)
	b = appendDigits(append(b, ':'), uint64(c.u8()), 2)
	if len(c.b) >= 4 {
		b = appendDigits(append(b, '.'), uint64(c.u32()), 6)
	}
	return b
}

// appendDigits appends n with at least this many digits, up to six.
func appendDigits(b []byte, n uint64, digits int) []byte {
	for least := uint64(10); digits > 1; digits-- {
		if n < least {
			b = append(b, "00000"[:digits-1]...)
			break
		}
		least *= 10
	}
	return strconv.AppendUint(b, n, 10)
}

// queryAttributes are what a COM_QUERY of a client with query attributes holds.
type queryAttributes struct {
	text []byte
	raw  [][]byte
	args []protocol.Arg
}

func decodeQueryAttributes(body []byte) (queryAttributes, error) {
	c := cursor{b: body}
	count, null := c.length()
	sets, _ := c.length()
	if c.bad || null || count > maxArgs || sets != 1 {
		return queryAttributes{}, errMalformed
	}
	var a queryAttributes
	if count > 0 {
		from := c.b
		b, err := decodeBinding(&c, int(count), nil, func(int) ([]byte, bool) { return nil, false }, true)
		if err != nil {
			return a, err
		}
		a.raw = [][]byte{from[:len(from)-len(c.b)]}
		a.args = b.args()
		for i := range a.args {
			a.args[i].Text = b.names[i] + "=" + a.args[i].Text
		}
	}
	a.text = c.rest()
	if c.bad {
		return a, errMalformed
	}
	return a, nil
}
