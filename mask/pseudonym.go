package mask

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
)

// A Format is what a pseudonym looks like.
type Format string

// The formats.
const (
	EmailLike Format = "email"  // 26 characters at example.invalid, of which no address is one
	UUIDLike  Format = "uuid"   // a UUID of version 8
	Digits    Format = "digits" // as many digits; what stands between them stays
)

// Pseudonym replaces text with a pseudonym like [Hash], in a format that programs
// take for what it was. Everything that Hash says about keys and domains holds; the
// pseudonyms of different formats have nothing in common. Digits has no more
// pseudonyms than there are numbers of that length: with fewer than six digits, or
// with anything but digits, spaces and -+./() in it, text is hidden whole, as are
// values of types that cannot hold the format. Integers take Digits too: their
// pseudonym has as many, and the same sign.
func Pseudonym(key Key, domain string, format Format) Transform {
	return transformOf("pseudonym("+string(format)+inDomain(domain)+")", func(t Type) (Func, error) {
		k := keyedHash{key, domain}
		if err := k.check("pseudonym"); err != nil {
			return nil, err
		}
		switch format {
		case EmailLike, UUIDLike, Digits:
		default:
			return nil, errors.New(`pseudonym: the format is none of "email", "uuid", "digits"`)
		}
		p := k.pseudonym(string(format))
		switch {
		case format == UUIDLike && t.Kind == UUID:
			return k.Bind(t)
		case format == Digits && (t.Kind == Int4 || t.Kind == Int8 || t.Kind == Numeric),
			t.Kind == Text, t.Kind == Padded:
		default:
			return constant(t.redacted()), nil
		}
		hidden := t.redacted()
		if t.Encoding == PostgresBinary && t.Kind != Text && t.Kind != Padded {
			return p.number(t, hidden), nil
		}
		return func(dst, in []byte) []byte {
			in = bytes.TrimRight(in, " ")
			switch format {
			case EmailLike:
				sum := p.of(bytes.ToLower(in)) // an address is one whatever its case
				return append(hex.AppendEncode(dst, sum[:13]), "@example.invalid"...)
			case UUIDLike:
				sum := p.of(in)[:16]
				sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80
				return appendUUID(dst, sum)
			}
			if out, ok := p.digits(dst, in, t.Kind != Text && t.Kind != Padded); ok {
				return out
			}
			return append(dst, hidden...)
		}, nil
	})
}

// number is digits for numbers that are no text.
func (p *pseudonymizer) number(t Type, hidden []byte) Func {
	var text, again []byte
	return func(dst, in []byte) []byte {
		v, ok := t.whole(in)
		if ok { // a fraction would be lost
			again, ok = t.appendWhole(again[:0], v)
		}
		if ok = ok && bytes.Equal(again, in); ok {
			text, ok = p.digits(text[:0], strconv.AppendInt(again[:0], v, 10), true)
		}
		if ok {
			v, err := strconv.ParseInt(string(text), 10, 64)
			if out, ok := t.appendWhole(dst, v); ok && err == nil {
				return out
			}
		}
		return append(dst, hidden...)
	}
}

// digits appends in with other digits. The same digits have the same pseudonym,
// however they are grouped. whole says that in is a number, whose first digit is no
// zero and which has room for as many nines less.
func (p *pseudonymizer) digits(dst, in []byte, whole bool) ([]byte, bool) {
	var d [40]byte
	n := 0
	for i, c := range in {
		switch {
		case '0' <= c && c <= '9':
			if n == len(d) {
				return dst, false
			}
			d[n] = c
			n++
		case c == '-' && i == 0, !whole && (c == ' ' || c == '-' || c == '+' || c == '.' || c == '/' || c == '(' || c == ')'):
		default:
			return dst, false
		}
	}
	if n < 6 || whole && n > 18 {
		return dst, false
	}
	sum := p.of(d[:n])
	for i := range n {
		if i == 16 {
			sum = p.of(sum)
		}
		v := binary.BigEndian.Uint16(sum[2*(i%16):])
		d[i] = '0' + byte(v%10)
	}
	if whole {
		if d[0] = '1' + (d[0]-'0')%9; n == 10 || n == 19 { // within 32 and 64 bits
			d[0] = '1'
		}
	}
	i := 0
	for _, c := range in {
		if '0' <= c && c <= '9' {
			c = d[i]
			i++
		}
		dst = append(dst, c)
	}
	return dst, true
}

// Bucket replaces values with the number of one of n groups, 0 to n-1, into which
// a key divides them: enough to count and to join roughly, too little to tell who
// it is. It is for text and integers; other types become NULL.
func Bucket(key Key, domain string, n int) Transform {
	return transformOf(fmt.Sprintf("bucket(of %d%s)", n, inDomain(domain)), func(t Type) (Func, error) {
		k := keyedHash{key, domain}
		if err := k.check("bucket"); err != nil {
			return nil, err
		}
		if n < 2 || n > 1<<15-1 {
			return nil, errors.New("bucket: n is not between 2 and 32767")
		}
		p := k.pseudonym("bucket")
		of := func(v []byte) int64 { return int64(binary.BigEndian.Uint64(p.of(v)) % uint64(n)) }
		switch t.Kind {
		case Text, Padded:
			return func(dst, in []byte) []byte {
				return strconv.AppendInt(dst, of(bytes.TrimRight(in, " ")), 10)
			}, nil
		case Int2, Int4, Int8, OID:
			var text [20]byte
			return func(dst, in []byte) []byte {
				v, ok := t.whole(in)
				if !ok {
					return nil
				}
				out, _ := t.appendWhole(dst, of(strconv.AppendInt(text[:0], v, 10)))
				return out
			}, nil
		}
		return constant(nil), nil
	})
}

// Noise replaces numbers with one that is at most spread higher or lower, and
// dates and moments with a day at most spread days away. How far is the value's own
// and the key's choice: asking again for the same value does not average it out, unless
// a session lets PostgreSQL print a floating-point number with fewer digits.
// Parts of a whole and times of day are dropped, and days are as for [Truncate]. Other
// types, and values that are no number or day, are hidden whole.
func Noise(key Key, domain string, spread int64) Transform {
	return transformOf(fmt.Sprintf("noise(up to %d%s)", spread, inDomain(domain)), func(t Type) (Func, error) {
		k := keyedHash{key, domain}
		if err := k.check("noise"); err != nil {
			return nil, err
		}
		if spread < 1 || spread > 1<<40 || (t.Kind == Date || t.Kind == Timestamp || t.Kind == TimestampTZ) && spread > 36500 {
			return nil, errors.New("noise: spread is not between 1 and 2^40, or 36500 days")
		}
		p := k.pseudonym("noise")
		var text [40]byte
		by := func(v []byte) int64 { return int64(binary.BigEndian.Uint64(p.of(v))%uint64(2*spread+1)) - spread }
		hidden := t.redacted()
		switch t.Kind {
		case Int2, Int4, Int8, OID, Float4, Float8, Numeric:
			return func(dst, in []byte) []byte {
				v, ok := t.whole(in)
				if ok && -1<<62 < v && v < 1<<62 {
					if out, ok := t.appendWhole(dst, v+by(strconv.AppendInt(text[:0], v, 10))); ok {
						return out
					}
				}
				return append(dst, hidden...)
			}, nil
		case Date, Timestamp, TimestampTZ:
			return func(dst, in []byte) []byte {
				y, m, d, ok := t.day(in)
				if !ok || y < 200 || y > 9800 {
					return append(dst, hidden...)
				}
				v := strconv.AppendInt(text[:0], int64(y), 10)
				v = append(v, byte(m), byte(d))
				return t.appendDay(dst, y, m, d+int(by(v)))
			}, nil
		}
		return constant(hidden), nil
	})
}
