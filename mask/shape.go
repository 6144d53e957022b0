package mask

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"unicode"
	"unicode/utf8"
)

// Ends hides the first and the last characters of text and shows those between;
// it is the other way round than [Partial], whose rules it has otherwise. A text
// of which less than half would be hidden is hidden whole.
type Ends struct {
	First, Last int // characters hidden at each end; together 1 to 64
}

// Bind implements [Transform].
func (e Ends) Bind(t Type) (Func, error) {
	hide := e.First + e.Last
	switch {
	case e.First < 0 || e.Last < 0:
		return nil, errors.New("ends: the number of characters to hide is negative")
	case hide == 0:
		return nil, errors.New("ends: nothing is hidden")
	case e.First > 64 || e.Last > 64 || hide > 64:
		return nil, fmt.Errorf("ends: hides %d characters, at most 64 can be hidden", hide)
	case t.Kind != Text && t.Kind != Padded:
		return constant(t.redacted()), nil
	}
	marks := bytes.Repeat([]byte("*"), 64)
	padded := t.Kind == Padded
	return func(dst, in []byte) []byte {
		if padded {
			in = bytes.TrimRight(in, " ")
		}
		n := utf8.RuneCount(in)
		if 2*hide < n || n <= hide || !utf8.Valid(in) {
			return append(dst, stars...)
		}
		head, tail := 0, len(in)
		for range e.First {
			_, size := utf8.DecodeRune(in[head:])
			head += size
		}
		for range e.Last {
			_, size := utf8.DecodeLastRune(in[:tail])
			tail -= size
		}
		dst = append(dst, marks[:e.First]...)
		dst = append(dst, in[head:tail]...)
		return append(dst, marks[:e.Last]...)
	}, nil
}

// Card shows the last four digits of a card's number and, if issuer is set and
// there are at least 15 digits, the first six, the issuer's. What stands between
// the digits stays. Text that is not 12 to 19 digits with spaces or dashes between
// them is hidden whole, and so is a value of any type but text.
func Card(issuer bool) Transform {
	return transformOf(cardName(issuer), func(t Type) (Func, error) {
		if t.Kind != Text && t.Kind != Padded {
			return constant(t.redacted()), nil
		}
		return func(dst, in []byte) []byte {
			in = bytes.TrimRight(in, " ")
			n := 0
			for _, c := range in {
				switch {
				case '0' <= c && c <= '9':
					n++
				case c != ' ' && c != '-':
					return append(dst, stars...)
				}
			}
			if n < 12 || n > 19 || len(in) > 2*n {
				return append(dst, stars...)
			}
			first := 0
			if issuer && n >= 15 {
				first = 6
			}
			k := 0
			for _, c := range in {
				if '0' <= c && c <= '9' {
					if k >= first && k < n-4 {
						c = '*'
					}
					k++
				}
				dst = append(dst, c)
			}
			return dst
		}, nil
	})
}

// Shape replaces each letter of text with x or X and each digit with 0, and shows
// everything else: "Flat 12b" becomes "Xxxx 00x". It shows how long a value is. At
// most 256 characters are shown so; what is longer or not valid UTF-8 is hidden
// whole, and so is a value of any type but text.
func Shape() Transform {
	return transformOf("shape", func(t Type) (Func, error) {
		if t.Kind != Text && t.Kind != Padded {
			return constant(t.redacted()), nil
		}
		return func(dst, in []byte) []byte {
			if len(in) > 4*maxHidden || utf8.RuneCount(in) > maxHidden || !utf8.Valid(in) {
				return append(dst, stars...)
			}
			if dst == nil {
				dst = []byte{}
			}
			for _, r := range string(in) {
				switch {
				case unicode.IsUpper(r):
					r = 'X'
				case unicode.IsLetter(r), unicode.IsMark(r):
					r = 'x'
				case unicode.IsNumber(r):
					r = '0'
				case r > unicode.MaxASCII: // such as a picture of somebody
					r = '*'
				}
				dst = append(dst, byte(r))
			}
			return dst
		}, nil
	})
}

// URL shows the scheme and the host of a URL: "https://example.com/***". Text that
// is none is hidden whole, as is one with a port and an at sign somewhere behind it,
// and so is a value of any type but text.
func URL() Transform {
	return transformOf("url", func(t Type) (Func, error) {
		if t.Kind != Text && t.Kind != Padded {
			return constant(t.redacted()), nil
		}
		return func(dst, in []byte) []byte {
			m := urlForm.FindSubmatchIndex(in[:min(len(in), 4<<10)])
			if m == nil || bytes.IndexByte(in[m[4]:m[5]], ':') >= 0 && bytes.IndexByte(in[m[5]:], '@') >= 0 { // it may be a password's end
				return append(dst, stars...)
			}
			dst = append(append(dst, in[:m[3]]...), in[m[4]:m[5]]...)
			return append(append(dst, '/'), stars...)
		}, nil
	})
}

// urlForm is a scheme, whatever names a user, and a host with a port.
var urlForm = regexp.MustCompile(`^([a-z][a-z0-9+.-]{0,15}://)(?:[^/?#\s]*@)?([A-Za-z0-9.-]{1,253}(?::[0-9]{1,5})?)(?:[/?#]|\s*$)`)

// Replace replaces what a regular expression matches in text; in with, $1 is the
// text of its first group, as in [regexp.Regexp.Expand]. Text in which it matches
// nothing is hidden whole, and so is a value of any type but text. It costs more
// than the other transforms, and allocates.
func Replace(pattern, with string) Transform {
	return transformOf(fmt.Sprintf("replace(%q with %q)", pattern, with), func(t Type) (Func, error) {
		re, err := regexp.Compile(pattern)
		if err != nil {
			return nil, fmt.Errorf("replace: %w", err)
		}
		if re.MatchString("") {
			return nil, errors.New("replace: the pattern matches the empty text")
		}
		if t.Kind != Text && t.Kind != Padded {
			return constant(t.redacted()), nil
		}
		template := []byte(with)
		return func(dst, in []byte) []byte {
			if !re.Match(in) || !utf8.Valid(in) {
				return append(dst, stars...)
			}
			return append(dst, re.ReplaceAll(in, template)...)
		}, nil
	})
}
