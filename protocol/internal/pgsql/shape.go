package pgsql

import (
	"math"
	"unsafe"

	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

// Marks that stand for literals in a shape. A valid text holds no control
// characters outside of literals and quoted names: the shape keeps quoted
// names, but always between their quotes.
const (
	markInteger = 0x01 // what the grammar takes for an integer
	markNumeric = 0x02 // any other number
	markString  = 0x03
	markBits    = 0x04
)

// maxShaped is the longest text whose shape is worth keeping.
const maxShaped = 64 << 10

// appendShape appends to dst what is left of text when the values of its
// literals, its comments and the amount of white space are taken away. ok is
// false where the shape might not stand for the same tree of nodes: such a text
// is parsed.
func appendShape(dst, text []byte) (shape []byte, ok bool) {
	l := lexer{text: text}
	afterString := false // white space may follow
	ordinals := sql.Ordinals{Ends: endsOrdinals}
	for {
		from := l.pos
		k := l.next()
		switch k {
		case kindEnd:
			return dst, true
		case kindSpace:
			if n := len(dst); n > 0 && dst[n-1] != ' ' {
				dst = append(dst, ' ')
			}
			continue
		case kindNumber:
			switch {
			case ordinals.Here(), typmod(dst):
				dst = append(dst, text[from:l.pos]...)
			case integer(text[from:l.pos]):
				dst = append(dst, markInteger)
			default:
				dst = append(dst, markNumeric)
			}
		case kindString, kindBits:
			if afterString {
				return dst, false // a string that goes on in the next line
			}
			if k == kindBits {
				dst = append(dst, markBits, text[from])
			} else {
				dst = append(dst, markString)
			}
			afterString = true
			ordinals.Other()
			continue
		case kindUnclear:
			return dst, false
		case kindSymbol:
			if c := text[from]; c < ' ' || c == 0x7f {
				return dst, false
			}
			dst = append(dst, text[from])
			ordinals.Symbol(text[from])
			afterString = false
			continue
		case kindWord:
			if hasUescape(text[from:l.pos]) {
				return dst, false
			}
			dst = append(dst, text[from:l.pos]...)
			ordinals.Word(unsafe.String(&text[from], l.pos-from)) // which is not kept
			afterString = false
			continue
		default:
			dst = append(dst, text[from:l.pos]...)
		}
		afterString = false
		ordinals.Other()
	}
}

// endsOrdinals reports whether a reserved word ends a list in which numbers may stand
// for columns.
func endsOrdinals(w string) bool {
	b := unsafe.Slice(unsafe.StringData(w), len(w))
	return foldEqual(b, "offset") || foldEqual(b, "fetch") || foldEqual(b, "window")
}

// integer reports whether a number is one of 31 bits, without a point or an
// exponent: the grammar has places where only such a number may stand.
func integer(b []byte) bool {
	n := 0
	for _, c := range b {
		if classes[c]&classDigit == 0 {
			return false
		}
		if n = n*10 + int(c-'0'); n > math.MaxInt32 {
			return false
		}
	}
	return true
}

// hasUescape reports whether a word is UESCAPE, which changes the meaning of
// the token before it.
func hasUescape(w []byte) bool { return len(w) == 7 && w[0]|0x20 == 'u' && foldEqual(w, "uescape") }

// foldEqual reports whether w is the lower-case word s but for the case of its
// letters.
func foldEqual(w []byte, s string) bool {
	if len(w) != len(s) {
		return false
	}
	for i, c := range w {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != s[i] {
			return false
		}
	}
	return true
}

// typmod reports whether a number that follows shape may be the precision of
// FLOAT, which decides between two types in the grammar itself.
func typmod(shape []byte) bool {
	n := len(shape)
	for n > 0 && shape[n-1] == ' ' {
		n--
	}
	if n == 0 || shape[n-1] != '(' {
		return false
	}
	n--
	for n > 0 && shape[n-1] == ' ' {
		n--
	}
	return n >= 5 && shape[n-5]|0x20 == 'f' && shape[n-4]|0x20 == 'l' && shape[n-3]|0x20 == 'o' && shape[n-2]|0x20 == 'a' && shape[n-1]|0x20 == 't'
}
