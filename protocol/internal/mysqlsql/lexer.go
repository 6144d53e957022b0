package mysqlsql

import "strings"

// A kind is the kind of a token.
type kind uint8

const (
	kindEnd      kind = iota
	kindSpace         // white space and comments that nobody executes, as long as they last
	kindWord          // identifier or keyword
	kindQuoted        // `identifier`, or "identifier" with ANSI_QUOTES
	kindNumber        // 12, 1.5e3, .5
	kindString        // '...', "..."
	kindVariable      // @a, @'a', @@b
	kindSymbol        // one character of an operator or punctuation
	kindUnclear       // what this lexer leaves to the parser
)

// A lexer cuts a text into tokens as MySQL's scanner does, without taking
// memory. It knows only what it takes to tell literals, names and the rest from
// each other. Where versions and settings differ, where a comment is executed
// and where the text is wrong, it answers kindUnclear and is of no further use.
type lexer struct {
	text    string
	pos     int  // end of the current token
	escapes bool // a backslash escapes: not NO_BACKSLASH_ESCAPES
	ansi    bool // ANSI_QUOTES
}

// Classes of bytes.
const (
	classSpace = 1 << iota
	classWord
	classDigit
)

// classes maps bytes to their classes. Bytes of 128 and above are letters.
var classes = func() (t [256]uint8) {
	for c := range 256 {
		switch b := byte(c); {
		case b == ' ', b >= '\t' && b <= '\r':
			t[c] = classSpace
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', b == '_', b == '$', b >= 0x80:
			t[c] = classWord
		case '0' <= b && b <= '9':
			t[c] = classWord | classDigit
		}
	}
	return t
}()

func (l *lexer) at(i int) byte {
	if i < len(l.text) {
		return l.text[i]
	}
	return 0
}

// next moves to the next token, which begins where the last one ended.
func (l *lexer) next() kind {
	i := l.pos
	if i >= len(l.text) {
		return kindEnd
	}
	switch c := l.text[i]; {
	case classes[c]&classDigit != 0:
		return l.number(i)
	case c == '.' && classes[l.at(i+1)]&classDigit != 0:
		if i > 0 && (classes[l.text[i-1]]&classWord != 0 || l.text[i-1] == '`' || l.text[i-1] == '"') {
			return kindUnclear // a name that begins with a digit, as in t.1a
		}
		return l.number(i)
	case classes[c]&classWord != 0:
		return l.word(i)
	case classes[c]&classSpace != 0, c == '#', c == '-' && l.at(i+1) == '-' && l.dashes(i), c == '/' && l.at(i+1) == '*':
		return l.space(i)
	case c == '\'':
		return l.quoted(i, kindString, l.escapes)
	case c == '"':
		if l.ansi {
			return l.quoted(i, kindQuoted, false)
		}
		return l.quoted(i, kindString, l.escapes)
	case c == '`':
		return l.quoted(i, kindQuoted, false)
	case c == '@':
		return l.variable(i)
	case c < ' ', c == 0x7f:
		return kindUnclear
	}
	l.pos = i + 1
	return kindSymbol
}

// dashes reports whether the two dashes at i begin a comment: MySQL wants a
// space or a control character behind them.
func (l *lexer) dashes(i int) bool {
	return i+2 >= len(l.text) || l.text[i+2] <= ' ' || l.text[i+2] == 0x7f
}

func (l *lexer) word(i int) kind {
	j := i + 1
	for j < len(l.text) && classes[l.text[j]]&classWord != 0 {
		j++
	}
	if j-i == 1 && l.at(j) == '\'' {
		switch l.text[i] {
		case 'x', 'X', 'b', 'B', 'n', 'N': // a letter that belongs to the string after it
			return kindUnclear
		}
	}
	if l.text[i] == '_' && (l.at(j) == '\'' || l.at(j) == '"') {
		return kindUnclear // a character set before its string
	}
	l.pos = j
	return kindWord
}

func (l *lexer) number(i int) kind {
	j := i
	digits := func() {
		for j < len(l.text) && classes[l.text[j]]&classDigit != 0 {
			j++
		}
	}
	digits()
	if l.at(j) == '.' {
		j++
		digits()
	}
	if c := l.at(j); c == 'e' || c == 'E' {
		k := j + 1
		if c := l.at(k); c == '+' || c == '-' {
			k++
		}
		if classes[l.at(k)]&classDigit == 0 {
			return kindUnclear
		}
		j = k
		digits()
	}
	if c := l.at(j); classes[c]&classWord != 0 || c == '.' {
		return kindUnclear // 0x1f, 12abc, 1..2
	}
	l.pos = j
	return kindNumber
}

// space skips white space and comments. They do not nest.
func (l *lexer) space(i int) kind {
	for i < len(l.text) {
		switch c := l.text[i]; {
		case classes[c]&classSpace != 0:
			i++
		case c == '#', c == '-' && l.at(i+1) == '-' && l.dashes(i):
			n := strings.IndexByte(l.text[i:], '\n')
			if n < 0 {
				n = len(l.text) - i
			}
			i += n
		case c == '/' && l.at(i+1) == '*':
			switch l.at(i + 2) {
			case '!', 'M', 'm', '+':
				return kindUnclear // executed, or a hint
			}
			n := strings.Index(l.text[i+2:], "*/")
			if n < 0 {
				return kindUnclear
			}
			i += n + 4
		default:
			l.pos = i
			return kindSpace
		}
	}
	l.pos = i
	return kindSpace
}

// quoted skips a quotation that begins at i.
func (l *lexer) quoted(i int, k kind, escapes bool) kind {
	q := l.text[i]
	for i++; i < len(l.text); i++ {
		switch c := l.text[i]; {
		case c == '\\' && escapes:
			i++
		case c == q && l.at(i+1) == q:
			i++
		case c == q:
			l.pos = i + 1
			return k
		}
	}
	return kindUnclear
}

// variable is one of the user's or of the server's; an @ alone, as between a
// user and a host, is a symbol.
func (l *lexer) variable(i int) kind {
	j := i + 1
	switch c := l.at(j); {
	case c == '\'', c == '"', c == '`':
		if l.quoted(j, kindVariable, l.escapes && c != '`' && !(c == '"' && l.ansi)) == kindUnclear {
			return kindUnclear
		}
		return kindVariable
	case c == '@':
		j++
	}
	for j < len(l.text) && (classes[l.text[j]]&classWord != 0 || l.text[j] == '.') {
		j++
	}
	l.pos = j
	return kindVariable
}

// A token is a piece of a text that is no space.
type token struct {
	kind     kind
	text     string
	word     string // of a word: in upper case
	from, to int
}

func (t *token) is(words ...string) bool {
	if t.kind != kindWord {
		return false
	}
	for _, w := range words {
		if t.word == w {
			return true
		}
	}
	return false
}

func (t *token) symbol(c byte) bool { return t.kind == kindSymbol && t.text[0] == c }

// name reports whether t can be a name, and which.
func (t *token) name() (string, bool) {
	switch t.kind {
	case kindWord:
		return t.text, true
	case kindQuoted:
		q := t.text[:1]
		return strings.ReplaceAll(t.text[1:len(t.text)-1], q+q, q), true
	}
	return "", false
}

// tokens returns the tokens of a text whose comments are plain, which it has no
// more of. ok is false where the lexer cannot tell. What belongs together, such
// as x'1f', is one token of kindString.
func tokens(text string, escapes, ansi bool) (list []token, ok bool) {
	l := lexer{text: text, escapes: escapes, ansi: ansi}
	for {
		from := l.pos
		k := l.next()
		switch k {
		case kindEnd:
			return list, true
		case kindSpace:
			continue
		case kindUnclear:
			if k = l.special(); k == kindUnclear {
				return nil, false
			}
		}
		t := token{kind: k, text: text[from:l.pos], from: from, to: l.pos}
		if k == kindWord {
			t.word = strings.ToUpper(t.text)
		}
		list = append(list, t)
	}
}

// special passes over what next leaves to the parser and whose extent is plain
// nevertheless.
func (l *lexer) special() kind {
	i := l.pos
	j := i
	for j < len(l.text) && classes[l.text[j]]&classWord != 0 {
		j++
	}
	switch c := l.at(j); {
	case j == i:
		return kindUnclear
	case c == '\'' && classes[l.text[i]]&classDigit == 0, c == '"' && l.text[i] == '_' && !l.ansi: // x'1f', n'a', _utf8mb4'a'
		return l.quoted(j, kindString, l.escapes)
	case l.text[i] == '0' && (l.at(i+1) == 'x' || l.at(i+1) == 'b') && c != '.':
		l.pos = j
		return kindNumber
	case c == '.' && l.at(j+1) == '.' && strings.Trim(l.text[i:j], "0123456789") == "": // FOR i IN 1..9
		l.pos = j
		return kindNumber
	case c != '.' && strings.Trim(l.text[i:j], "0123456789eE") != "": // 12abc is a name
		l.pos = j
		return kindWord
	}
	return kindUnclear
}
