package pgcopy

import (
	"bytes"
	"errors"
)

var (
	errRow   = errors.New("a row of COPY is not written as this format is")
	errCount = errors.New("a row of COPY has another number of values than the result has columns")
)

// splitText cuts a line of the text format, without its end, at the delimiters.
func (w *Rewriter) splitText(line []byte) error {
	d := w.f.Delimiter
	start := 0
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\\':
			if i++; i == len(line) {
				return errRow
			}
		case c == '\r':
			return errRow // the server writes \r
		case c == d:
			w.field(line[start:i], false)
			start = i + 1
		}
	}
	w.field(line[start:], false)
	return nil
}

// textValue appends the value that a field of the text format stands for.
func textValue(dst, field []byte) ([]byte, error) {
	for {
		i := bytes.IndexByte(field, '\\')
		if i < 0 {
			return append(dst, field...), nil
		}
		dst = append(dst, field[:i]...)
		c := field[i+1] // there is one: splitText has seen it
		field = field[i+2:]
		switch c {
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'v':
			c = '\v'
		case 'x', 'N', '.', '0', '1', '2', '3', '4', '5', '6', '7':
			return dst, errRow // read by servers, written by none
		}
		dst = append(dst, c)
	}
}

// appendText appends v as the server writes it (CopyAttributeOutText). What would
// be read as NULL begins with a number, which is read as the character.
func (f *Format) appendText(dst, v []byte) []byte {
	at := len(dst)
	for _, c := range v {
		switch {
		case c == '\\', c == f.Delimiter && c >= ' ':
			dst = append(dst, '\\', c)
		case c >= ' ':
			dst = append(dst, c)
		case c == '\b':
			dst = append(dst, '\\', 'b')
		case c == '\f':
			dst = append(dst, '\\', 'f')
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c == '\t':
			dst = append(dst, '\\', 't')
		case c == '\v':
			dst = append(dst, '\\', 'v')
		case c == f.Delimiter:
			dst = append(dst, '\\', c)
		default:
			dst = append(dst, c)
		}
	}
	if len(v) > 0 && string(dst[at:]) == f.Null {
		rest := append([]byte(nil), dst[at+1:]...)
		c := dst[at]
		dst = append(dst[:at], '\\', '0'+c>>6, '0'+c>>3&7, '0'+c&7)
		dst = append(dst, rest...)
	}
	return dst
}

// tells reports whether what stands for NULL cannot be a value's text. A value
// that is the same as what whoever asks has chosen for NULL must not be taken for
// one: that it was left alone would tell that it is the same. The empty text tells
// nothing but that.
func (f *Format) tells() bool {
	if f.Kind != Text || f.Null == "" {
		return true
	}
	for i := 0; i < len(f.Null); i++ {
		if f.Null[i] != '\\' {
			continue
		}
		if i++; i == len(f.Null) {
			return true // a single backslash at the end
		}
		switch c := f.Null[i]; c {
		case '\\', 'b', 'f', 'n', 'r', 't', 'v':
		default:
			if c != f.Delimiter {
				return true // written by no value
			}
		}
	}
	return false
}
