package mysql

import (
	"encoding/hex"
	"fmt"
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
			b.types = append(b.types, c.take(2)...)
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
		if v, ok := sent(i); ok {
			b.values[i] = v
			continue
		}
		if nulls[i/8]&(1<<(i%8)) != 0 || b.types[2*i] == mysql.MYSQL_TYPE_NULL {
			continue
		}
		v := widthOf(b.types[2*i]).take(c)
		if c.bad {
			return b, errMalformed
		}
		if v == nil {
			v = []byte{}
		}
		b.values[i] = v
	}
	return b, nil
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
	c := cursor{b: v}
	switch w := widthOf(typ); w {
	case widthString:
		if utf8.Valid(v) {
			return string(v)
		}
		return `\x` + hex.EncodeToString(v)
	case widthShort:
		return momentText(typ, v)
	default:
		n := c.uint(int(w))
		switch {
		case typ == mysql.MYSQL_TYPE_FLOAT:
			return strconv.FormatFloat(float64(math.Float32frombits(uint32(n))), 'g', -1, 32)
		case typ == mysql.MYSQL_TYPE_DOUBLE:
			return strconv.FormatFloat(math.Float64frombits(n), 'g', -1, 64)
		case unsigned:
			return strconv.FormatUint(n, 10)
		}
		shift := 64 - 8*int(w)
		return strconv.FormatInt(int64(n)<<shift>>shift, 10)
	}
}

// momentText returns a date or a time.
func momentText(typ byte, v []byte) string {
	c := cursor{b: v}
	var s string
	if typ == mysql.MYSQL_TYPE_TIME || typ == mysql.MYSQL_TYPE_TIME2 {
		if len(v) == 0 {
			return "00:00:00"
		}
		sign := ""
		if c.u8() == 1 {
			sign = "-"
		}
		days := c.u32()
		s = fmt.Sprintf("%s%02d:%02d:%02d", sign, uint64(days)*24+uint64(c.u8()), c.u8(), c.u8())
	} else {
		s = fmt.Sprintf("%04d-%02d-%02d", c.u16(), c.u8(), c.u8())
		if len(v) <= 4 {
			return s
		}
		s += fmt.Sprintf(" %02d:%02d:%02d", c.u8(), c.u8(), c.u8())
	}
	if len(c.b) >= 4 {
		s += fmt.Sprintf(".%06d", c.u32())
	}
	return s
}

// queryAttributes are what a COM_QUERY of a client with query attributes holds.
type queryAttributes struct {
	text []byte
	raw  [][]byte
	args []protocol.Arg
}

func decodeQueryAttributes(body []byte) (queryAttributes, error) {
	c := cursor{b: body}
	count, _ := c.length()
	sets, _ := c.length()
	if c.bad || count > maxArgs || sets != 1 {
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
