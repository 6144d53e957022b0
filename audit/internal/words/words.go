// Package words says what the words of a text are, for whoever searches texts
// and whoever says what a search finds.
package words

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// maxWord bounds a word: what is longer is data, and found by how it begins.
const maxWord = 64

// Each calls f for each word of s: a run of letters, digits and underscores, in
// lower case and without accents. What is not UTF-8 parts words.
func Each(s string, f func(word string)) {
	if !ascii(s) {
		s = norm.NFD.String(strings.ToValidUTF8(s, " "))
	}
	var buf [maxWord + utf8.UTFMax]byte
	w := buf[:0]
	for _, r := range s {
		switch {
		case r < utf8.RuneSelf && plain[r] != 0:
			r = rune(plain[r])
		case r >= utf8.RuneSelf && unicode.Is(unicode.Mn, r):
			continue // an accent
		case r >= utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsNumber(r)):
			r = unicode.ToLower(r)
		default:
			if len(w) > 0 {
				f(string(w))
				w = w[:0]
			}
			continue
		}
		if len(w) < maxWord {
			w = utf8.AppendRune(w, r)
		}
	}
	if len(w) > 0 {
		f(string(w))
	}
}

// plain holds the lower case of what words are made of in ASCII.
var plain = func() (t [utf8.RuneSelf]byte) {
	for c := byte('0'); c <= '9'; c++ {
		t[c] = c
	}
	for c := byte('a'); c <= 'z'; c++ {
		t[c], t[c-'a'+'A'] = c, c
	}
	t['_'] = '_'
	return t
}()

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
