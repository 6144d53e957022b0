package mask

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
)

// Alphabets for [FF1].
const (
	Decimal      = "0123456789"
	Hexadecimal  = "0123456789abcdef"
	Base36       = "0123456789abcdefghijklmnopqrstuvwxyz"
	Alphanumeric = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// FF1 replaces text with another one of the same length and alphabet by
// format-preserving encryption, AES-256 in the mode FF1 of NIST SP 800-38G: different
// values have different tokens, and who has the key gets the value back with
// [OpenFF1]. That makes it weaker than [Hash] and [Pseudonym], which nobody can turn
// back: use it where somebody has to.
//
// alphabet has 2 to 94 different characters of ASCII, such as [Decimal]; the space is
// none of them. Spaces and -+./() that are not in it stay where they are, and the same
// characters have the same token however they are grouped. Text with any other
// character is hidden whole. So is text of which there are less than a million of its
// length (with [Decimal], shorter than six characters), since these could be tried,
// and what is longer than 256 characters.
//
// Integers, and a numeric without a fraction, take [Decimal]: their token has as many
// digits and the same sign, and fits the type. With fewer than seven digits they are hidden whole, as are
// values of other types.
//
// Tokens of different domains have nothing in common. A key that is replaced has to
// be kept for as long as its tokens are: a token has no room for a key's name.
func FF1(key Key, domain, alphabet string) Transform {
	return transformOf("ff1("+strconv.Itoa(len(alphabet))+" characters"+inDomain(domain)+")", func(t Type) (Func, error) {
		return bindFF1(key, domain, alphabet, t, false)
	})
}

// OpenFF1 returns the value of type t of which [FF1] with that key, domain and
// alphabet makes token. What it cannot have made is an error.
func OpenFF1(key Key, domain, alphabet string, t Type, token []byte) ([]byte, error) {
	seal, err := bindFF1(key, domain, alphabet, t, false)
	if err != nil {
		return nil, err
	}
	open, err := bindFF1(key, domain, alphabet, t, true)
	if err != nil {
		return nil, err
	}
	if t.Kind == Text || t.Kind == Padded {
		token = bytes.TrimRight(token, " ")
	}
	value := open(nil, token)
	if bytes.Equal(value, t.redacted()) || !bytes.Equal(seal(nil, value), token) {
		return nil, errors.New("ff1: this is no token")
	}
	return value, nil
}

func bindFF1(key Key, domain, alphabet string, t Type, open bool) (Func, error) {
	k := keyedHash{key, domain}
	if err := k.check("ff1"); err != nil {
		return nil, err
	}
	at, err := readAlphabet(alphabet)
	if err != nil {
		return nil, err
	}
	c, err := newFF1(k.derive("ff1"), len(alphabet), []byte(domain))
	if err != nil {
		return nil, err
	}
	hidden := t.redacted()
	switch t.Kind {
	case Text, Padded:
		var x [maxFF1]uint16
		return func(dst, in []byte) []byte {
			in = bytes.TrimRight(in, " ")
			n := 0
			for _, b := range in {
				switch d := at[b]; {
				case d >= 0 && n < len(x):
					x[n] = uint16(d)
					n++
				case d >= 0 || !between(b):
					return append(dst, hidden...)
				}
			}
			if n < c.least(ff1Domain) {
				return append(dst, hidden...)
			}
			c.run(x[:n], open)
			i := 0
			for _, b := range in {
				if at[b] >= 0 {
					b = alphabet[x[i]]
					i++
				}
				dst = append(dst, b)
			}
			return dst
		}, nil
	case Int4, Int8, OID, Numeric:
		if alphabet == Decimal {
			return c.numbers(t, open), nil
		}
	}
	return constant(hidden), nil
}

// between reports whether b may stand between the characters of a value.
func between(b byte) bool { return bytes.IndexByte([]byte(" -+./()"), b) >= 0 }

// readAlphabet returns the number of each byte in alphabet, or -1.
func readAlphabet(alphabet string) (*[256]int16, error) {
	if len(alphabet) < 2 {
		return nil, errors.New("ff1: the alphabet has fewer than two characters")
	}
	var at [256]int16
	for i := range at {
		at[i] = -1
	}
	for i := range len(alphabet) {
		b := alphabet[i]
		if b <= ' ' || b > '~' {
			return nil, errors.New("ff1: the alphabet has a character that is not one of printed ASCII")
		}
		if at[b] >= 0 {
			return nil, fmt.Errorf("ff1: the alphabet has %q twice", b)
		}
		at[b] = int16(i)
	}
	return &at, nil
}

// numbers returns the Func for numbers of type t. What is encrypted to something that
// is no number of as many digits, or does not fit, is encrypted again until it is one
// (cycle walking): so different numbers have different tokens.
func (c *ff1) numbers(t Type, open bool) Func {
	limit := uint64(math.MaxInt64)
	switch t.Kind {
	case Int4:
		limit = math.MaxInt32
	case OID:
		limit = math.MaxUint32
	}
	hidden := t.redacted()
	var (
		text  [20]byte
		again []byte
		x     [20]uint16
	)
	return func(dst, in []byte) []byte {
		v, ok := t.whole(in)
		if ok { // a fraction, a sign or zeros would be lost
			again, ok = t.appendWhole(again[:0], v)
			ok = ok && bytes.Equal(again, in)
		}
		u := uint64(max(v, -v))
		digits := strconv.AppendUint(text[:0], u, 10)
		n := len(digits)
		if !ok || n < 7 || u > limit {
			return append(dst, hidden...)
		}
		for i, d := range digits {
			x[i] = uint16(d - '0')
		}
		for {
			c.run(x[:n], open)
			u = 0
			for _, d := range x[:n] {
				u = u*10 + uint64(d)
			}
			if x[0] != 0 && u <= limit {
				break
			}
		}
		w := int64(u)
		if v < 0 {
			w = -w
		}
		out, ok := t.appendWhole(dst, w)
		if !ok {
			return append(dst, hidden...)
		}
		return out
	}
}

// The least number of values that there must be, as the draft of SP 800-38G Rev. 1
// has it, and the most characters of one.
const (
	ff1Domain = 1_000_000
	maxFF1    = 256
)

// An ff1 is FF1 with one key, radix and tweak. It is for one goroutine at a time, and
// does not allocate once its numbers have grown.
type ff1 struct {
	block cipher.Block
	radix *big.Int
	tweak []byte

	p, y  []byte
	r, s  [aes.BlockSize]byte
	a, b  big.Int
	sum   big.Int
	quo   big.Int
	digit big.Int

	length int        // of the last value
	mods   [2]big.Int // how many values its halves have
	bytes  int        // of the largest of them
}

func newFF1(key []byte, radix int, tweak []byte) (*ff1, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return &ff1{block: block, radix: big.NewInt(int64(radix)), tweak: tweak}, nil
}

// least returns how many characters have at least that many values.
func (c *ff1) least(values int64) int {
	n, of := 0, int64(1)
	for of < values {
		n, of = n+1, of*c.radix.Int64()
	}
	return n
}

// run encrypts x, numerals below the radix, in place, or decrypts it. There are at
// least two of them.
func (c *ff1) run(x []uint16, open bool) {
	n := len(x)
	u := n / 2
	if n != c.length {
		c.power(&c.mods[0], u)
		c.power(&c.mods[1], n-u)
		c.length, c.bytes = n, (c.sum.Sub(&c.mods[1], one).BitLen()+7)/8
	}
	d := 4*((c.bytes+3)/4) + 4
	be := binary.BigEndian
	// P: versions, radix, rounds and lengths.
	p := append(c.p[:0], 1, 2, 1, 0, 0, 0, 10, byte(u))
	be.PutUint32(p[2:], 1<<24|uint32(c.radix.Int64()))
	p = be.AppendUint32(p, uint32(n))
	p = be.AppendUint32(p, uint32(len(c.tweak)))
	// Q: the tweak, zeros up to whole blocks, the round and a half.
	p = append(p, c.tweak...)
	for (len(p)+1+c.bytes)%aes.BlockSize != 0 {
		p = append(p, 0)
	}
	round := len(p)
	p = append(append(p, 0), make([]byte, c.bytes)...)
	c.p = p
	c.number(&c.a, x[:u])
	c.number(&c.b, x[u:])
	for i := range 10 {
		if open {
			i = 9 - i
			c.a, c.b = c.b, c.a
		}
		p[round] = byte(i)
		c.b.FillBytes(p[round+1:])
		c.spread(p, d)
		c.sum.SetBytes(c.y[:d])
		if open {
			c.sum.Sub(&c.a, &c.sum)
		} else {
			c.sum.Add(&c.a, &c.sum)
		}
		c.quo.DivMod(&c.sum, &c.mods[i%2], &c.a)
		if !open {
			c.a, c.b = c.b, c.a
		}
	}
	c.numerals(x[:u], &c.a)
	c.numerals(x[u:], &c.b)
}

var one = big.NewInt(1)

// power leaves radix^m in v.
func (c *ff1) power(v *big.Int, m int) {
	v.SetInt64(1)
	for range m {
		v.Mul(v, c.radix)
	}
}

// spread leaves d bytes in y that depend on p, which is whole blocks: its CBC-MAC, and
// that of it in counter mode.
func (c *ff1) spread(p []byte, d int) {
	clear(c.r[:])
	for ; len(p) > 0; p = p[16:] {
		for i := range c.r {
			c.r[i] ^= p[i]
		}
		c.block.Encrypt(c.r[:], c.r[:])
	}
	c.y = append(c.y[:0], c.r[:]...)
	for j := uint64(1); len(c.y) < d; j++ {
		c.s = c.r
		binary.BigEndian.PutUint64(c.s[8:], binary.BigEndian.Uint64(c.s[8:])^j)
		c.block.Encrypt(c.s[:], c.s[:])
		c.y = append(c.y, c.s[:]...)
	}
}

func (c *ff1) number(v *big.Int, x []uint16) {
	v.SetInt64(0)
	for _, d := range x {
		v.Add(v.Mul(v, c.radix), c.digit.SetInt64(int64(d)))
	}
}

func (c *ff1) numerals(x []uint16, v *big.Int) {
	for i := range x {
		c.quo.QuoRem(v, c.radix, &c.digit)
		v.Set(&c.quo)
		x[len(x)-1-i] = uint16(c.digit.Int64())
	}
}
