package mask

import (
	"bytes"
	"errors"
	"fmt"
	"unicode"
	"unicode/utf8"
)

// Partial shows some characters at the ends of text and hides each of the
// others behind one mark, at most 256 of them. A value with fewer than twice
// the characters that would be shown is hidden whole, as by [Redact], and so
// is text that is not valid UTF-8 and a value of any type but text.
type Partial struct {
	KeepFirst, KeepLast int  // characters shown at each end; together 1 to 64
	With                rune // the mark; zero means '*'
}

// KeepLast shows the last n characters of text; see [Partial].
func KeepLast(n int) Transform { return Partial{KeepLast: n} }

// maxHidden bounds the marks in one value: a long document must not come back
// as a longer one, nor show how long it is.
const maxHidden = 256

// Bind implements [Transform].
func (p Partial) Bind(t Type) (Func, error) {
	keep := p.KeepFirst + p.KeepLast
	switch {
	case p.KeepFirst < 0 || p.KeepLast < 0:
		return nil, errors.New("partial: the number of characters to keep is negative")
	case keep == 0:
		return nil, errors.New("partial: nothing is kept: use redact")
	case p.KeepFirst > 64 || p.KeepLast > 64 || keep > 64:
		return nil, fmt.Errorf("partial: keeps %d characters, at most 64 can be kept", keep)
	}
	mark := p.With
	if mark == 0 {
		mark = '*'
	}
	if !unicode.IsGraphic(mark) || unicode.IsSpace(mark) {
		return nil, fmt.Errorf("partial: %q cannot stand for a hidden character", mark)
	}
	if t.Kind != Text && t.Kind != Padded {
		return constant(t.redacted()), nil
	}
	marks := bytes.Repeat(utf8.AppendRune(nil, mark), maxHidden)
	width := utf8.RuneLen(mark)
	padded := t.Kind == Padded
	return func(dst, in []byte) []byte {
		if padded { // spaces at the end are no characters worth keeping
			in = bytes.TrimRight(in, " ")
		}
		n := utf8.RuneCount(in)
		if n < 2*keep || !utf8.Valid(in) {
			return append(dst, stars...)
		}
		head, tail := 0, len(in)
		for range p.KeepFirst {
			_, size := utf8.DecodeRune(in[head:])
			head += size
		}
		for range p.KeepLast {
			_, size := utf8.DecodeLastRune(in[:tail])
			tail -= size
		}
		dst = append(dst, in[:head]...)
		dst = append(dst, marks[:width*min(n-keep, maxHidden)]...)
		return append(dst, in[tail:]...)
	}, nil
}
