package mysql

import (
	"errors"

	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/sallyport-dev/gateway/protocol"
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

var errWidth = errors.New("a value does not fit its column")

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

// A rowTap shows the rows of one result to the taps of its operation.
type rowTap struct {
	f      protocol.RowFunc
	widths []width // nil: the rows are text
}

// row returns what the client gets of a row. It is valid until the next call.
func (t *rowTap) row(payload []byte, b *relay) (line []byte, err error) {
	if t.widths == nil {
		b.row, err = decodeTextRow(payload, b.row[:0], b.columns)
	} else {
		b.row, err = decodeBinaryRow(payload, b.row[:0], t.widths)
	}
	if err != nil {
		return nil, badReply(err)
	}
	if err := t.f(b.row); err != nil {
		return nil, err
	}
	if t.widths == nil {
		b.line = appendTextRow(b.line[:0], b.row)
	} else if b.line, err = appendBinaryRow(b.line[:0], b.row, t.widths); err != nil {
		return nil, err
	}
	line = b.line
	if cap(b.line) > 1<<20 {
		b.line, b.row = nil, nil
	}
	return line, nil
}

// tap announces a result with these column definitions to the taps of r; nil
// means that nobody looks at its rows.
func (c *session) tap(r *run, defs [][]byte, binary bool) (*rowTap, error) {
	cols, widths, err := c.describeColumns(r, defs, binary)
	if err != nil {
		return nil, badReply(err)
	}
	f, err := r.x().Rows(cols)
	if err != nil || f == nil {
		return nil, err
	}
	t := &rowTap{f: f}
	if binary {
		t.widths = widths
	}
	c.back.columns = len(cols)
	return t, nil
}
