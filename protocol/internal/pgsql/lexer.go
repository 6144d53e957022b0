package pgsql

import "bytes"

// A kind is the kind of a token.
type kind uint8

const (
	kindEnd     kind = iota
	kindSpace        // white space and comments, as long as they last
	kindWord         // identifier or keyword
	kindQuoted       // "identifier"
	kindNumber       // 12, 1.5e3, .5
	kindString       // '...', E'...', $tag$...$tag$
	kindBits         // B'...', X'...'
	kindParam        // $1
	kindSymbol       // one character of an operator or punctuation
	kindUnclear      // what this lexer leaves to the parser
)

// A lexer cuts a text into tokens as PostgreSQL's scanner does, without taking
// memory. It knows only what it takes to tell literals from the rest. Where
// PostgreSQL's rules depend on its version or on settings, or where the text
// is wrong, it answers kindUnclear and is of no further use.
type lexer struct {
	text []byte
	pos  int // end of the current token

	// lenient is for telling what is inside of literals and what is not, and
	// no more: numbers and escapes are passed over whatever they hold.
	lenient bool
}

// Classes of bytes.
const (
	classSpace = 1 << iota
	classWordStart
	classWord
	classDigit
)

// classes maps bytes to their classes. Bytes of 128 and above are letters.
var classes = func() (t [256]uint8) {
	for c := range 256 {
		switch b := byte(c); {
		case space(b):
			t[c] = classSpace
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', b == '_', b >= 0x80:
			t[c] = classWordStart | classWord
		case '0' <= b && b <= '9':
			t[c] = classWord | classDigit
		case b == '$':
			t[c] = classWord
		}
	}
	return t
}()

// next moves to the next token, which begins where the last one ended.
func (l *lexer) next() kind {
	t, i := l.text, l.pos
	if i >= len(t) {
		return kindEnd
	}
	c := t[i]
	switch {
	case classes[c]&classWordStart != 0:
		return l.word(i)
	case classes[c]&classSpace != 0:
		return l.space(i)
	case classes[c]&classDigit != 0:
		return l.number(i)
	}
	switch c {
	case '\'':
		return l.quoted(i+1, false)
	case '"':
		return l.identifier(i + 1)
	case '$':
		return l.dollar(i)
	case '-':
		if i+1 < len(t) && t[i+1] == '-' {
			return l.space(i)
		}
	case '/':
		if i+1 < len(t) && t[i+1] == '*' {
			return l.space(i)
		}
	case '.':
		if i+1 < len(t) && classes[t[i+1]]&classDigit != 0 {
			return l.number(i)
		}
		if i+1 < len(t) && t[i+1] == '.' && !l.lenient {
			return kindUnclear
		}
	}
	l.pos = i + 1
	return kindSymbol
}

func (l *lexer) word(i int) kind {
	t := l.text
	j := i + 1
	for j < len(t) && classes[t[j]]&classWord != 0 {
		j++
	}
	if j < len(t) && j-i <= 2 {
		// A letter that belongs to the string after it.
		switch t[j] {
		case '\'':
			if j-i == 1 {
				switch t[i] {
				case 'e', 'E':
					return l.quoted(j+1, true)
				case 'b', 'B', 'x', 'X':
					// No quote can be part of it by being doubled.
					if end := bytes.IndexByte(t[j+1:], '\''); end >= 0 {
						l.pos = j + 1 + end + 1
						return kindBits
					}
					return kindUnclear
				}
			}
		case '&':
			if j-i == 1 && (t[i] == 'u' || t[i] == 'U') && j+1 < len(t) && (t[j+1] == '\'' || t[j+1] == '"') && !l.lenient {
				return kindUnclear
			}
		}
	}
	l.pos = j
	return kindWord
}

// space skips white space and comments. Comments nest.
func (l *lexer) space(i int) kind {
	t := l.text
	for i < len(t) {
		switch c := t[i]; {
		case classes[c]&classSpace != 0:
			i++
		case c == '-' && i+1 < len(t) && t[i+1] == '-':
			for i < len(t) && t[i] != '\n' && t[i] != '\r' {
				i++
			}
		case c == '/' && i+1 < len(t) && t[i+1] == '*':
			depth := 0
			for {
				if i+1 >= len(t) {
					return kindUnclear
				}
				if t[i] == '/' && t[i+1] == '*' {
					depth++
					i += 2
				} else if t[i] == '*' && t[i+1] == '/' {
					depth--
					i += 2
					if depth == 0 {
						break
					}
				} else {
					i++
				}
			}
		default:
			l.pos = i
			return kindSpace
		}
	}
	l.pos = i
	return kindSpace
}

func (l *lexer) number(i int) kind {
	t := l.text
	j := i
	for j < len(t) && classes[t[j]]&classDigit != 0 {
		j++
	}
	if j < len(t) && t[j] == '.' {
		j++
		for j < len(t) && classes[t[j]]&classDigit != 0 {
			j++
		}
	}
	if j < len(t) && (t[j] == 'e' || t[j] == 'E') {
		k := j + 1
		if k < len(t) && (t[k] == '+' || t[k] == '-') {
			k++
		}
		if k >= len(t) || classes[t[k]]&classDigit == 0 {
			if !l.lenient {
				return kindUnclear
			}
			k = j // the number ends before its e
		}
		for j = k; j < len(t) && classes[t[j]]&classDigit != 0; j++ {
		}
	}
	if !l.lenient && j < len(t) && (classes[t[j]]&classWord != 0 || t[j] == '.') {
		return kindUnclear // 0x1F, 1_000, 1..2, 12abc
	}
	l.pos = j
	return kindNumber
}

// quoted skips the rest of a string that begins before i.
func (l *lexer) quoted(i int, escapes bool) kind {
	t := l.text
	for i < len(t) {
		switch t[i] {
		case '\'':
			if i+1 < len(t) && t[i+1] == '\'' {
				i += 2
				continue
			}
			l.pos = i + 1
			return kindString
		case '\\':
			if escapes {
				// The harmless escapes are passed over; others may be wrong in
				// ways that depend on their value.
				if i+1 >= len(t) {
					return kindUnclear
				}
				if l.lenient {
					i += 2
					continue
				}
				switch t[i+1] {
				case '\\', '\'', 'n', 't', 'r', 'b', 'f':
					i += 2
					continue
				}
				return kindUnclear
			}
		}
		i++
	}
	return kindUnclear
}

func (l *lexer) identifier(i int) kind {
	t := l.text
	for ; i < len(t); i++ {
		if t[i] != '"' {
			continue
		}
		if i+1 < len(t) && t[i+1] == '"' {
			i++
			continue
		}
		l.pos = i + 1
		return kindQuoted
	}
	return kindUnclear
}

// dollar is a parameter or a dollar-quoted string.
func (l *lexer) dollar(i int) kind {
	t := l.text
	j := i + 1
	if j < len(t) && classes[t[j]]&classDigit != 0 {
		for j < len(t) && classes[t[j]]&classDigit != 0 {
			j++
		}
		if !l.lenient && j < len(t) && classes[t[j]]&classWord != 0 {
			return kindUnclear
		}
		l.pos = j
		return kindParam
	}
	for j < len(t) && classes[t[j]]&classWord != 0 && t[j] != '$' {
		j++
	}
	if j >= len(t) || t[j] != '$' {
		return kindUnclear
	}
	tag := t[i : j+1]
	for k := j + 1; k+len(tag) <= len(t); k++ {
		if t[k] == '$' && bytes.Equal(t[k:k+len(tag)], tag) {
			l.pos = k + len(tag)
			return kindString
		}
	}
	return kindUnclear
}
