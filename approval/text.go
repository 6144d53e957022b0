package approval

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxComment is the number of runes that an approver's comment may have.
const MaxComment = 500

// Visible returns s with everything shown that a screen would hide or obey:
// control characters become the pictures that Unicode has for them, other
// characters that do not print (such as those that reverse the direction of
// writing) become their number, and so do bytes that are not UTF-8. Line feeds
// and tabs are kept. What it returns is safe to write to a terminal.
func Visible(s string) string {
	if plain(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 16)
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, "⟨0x%02X⟩", s[i])
		case r == '\n' || r == '\t':
			b.WriteRune(r)
		case r < ' ':
			b.WriteRune('\u2400' + r)
		case r == 0x7f:
			b.WriteRune('\u2421')
		case hidden(r):
			fmt.Fprintf(&b, "⟨U+%04X⟩", r)
		default:
			b.WriteRune(r)
		}
		i += n
	}
	return b.String()
}

// utf8Text returns s with bytes that are not UTF-8 as Visible shows them, for
// JSON, which would show them all alike.
func utf8Text(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			fmt.Fprintf(&b, "⟨0x%02X⟩", s[i])
		} else {
			b.WriteRune(r)
		}
		i += n
	}
	return b.String()
}

// plain reports whether s is printable ASCII, line feeds and tabs.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < ' ' && c != '\n' && c != '\t') || c >= 0x7f {
			return false
		}
	}
	return true
}

// hidden reports whether r would not be seen. Some letters, marks and symbols
// are blank although Unicode counts them as printable.
func hidden(r rune) bool {
	return !unicode.IsPrint(r) || r == 0x2800 ||
		unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) || unicode.Is(unicode.Variation_Selector, r)
}

// comment returns s as one line of printable text, or ErrComment.
func comment(s string) (string, error) {
	if len(s) > utf8.UTFMax*MaxComment || utf8.RuneCountInString(s) > MaxComment {
		return "", ErrComment
	}
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || hidden(r) {
			return ' '
		}
		return r
	}, s)
	return strings.Join(strings.Fields(s), " "), nil
}
