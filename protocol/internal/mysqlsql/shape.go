package mysqlsql

import "github.com/sallyport-dev/gateway/protocol/internal/sql"

// Marks that stand for literals in a shape. A valid text holds no control
// characters outside of quotations and space.
const (
	markInteger = 0x01
	markLong    = 0x02 // an integer of more than 32 bits
	markDecimal = 0x03
	markFloat   = 0x04
	markString  = 0x05
)

// maxShaped is the longest text whose analysis is kept.
const maxShaped = 64 << 10

// appendShape appends to dst what is left of text when the values of its
// literals, its comments and the amount of white space are taken away. ok is
// false where the shape might not stand for the same tree of nodes: such a text
// is parsed.
func appendShape(dst []byte, text string, escapes, ansi bool) (shape []byte, ok bool) {
	l := lexer{text: text, escapes: escapes, ansi: ansi}
	before := ""     // the token before, if it was a word
	open := true     // a string that follows is a value, and no name
	strings := false // the token before was a string
	var ordinals sql.Ordinals
	for {
		from := l.pos
		k := l.next()
		tok := text[from:l.pos]
		switch k {
		case kindEnd:
			return dst, true
		case kindUnclear:
			return dst, false
		case kindSpace:
			switch n := len(dst); {
			case n == 0 || dst[n-1] == ' ':
			case dst[n-1] == '.':
				return dst, false // not every space may stand within a name
			default:
				dst = append(dst, ' ')
			}
			continue
		case kindNumber:
			if m := markOf(tok); ordinals.Here() || m == 0 {
				dst = append(dst, tok...)
			} else {
				dst = append(dst, m)
			}
		case kindString:
			switch {
			case strings: // two that are one
				return dst, false
			case open && before == "" || valued(before):
				dst = append(dst, markString)
			default: // it may be the name of a column
				dst = append(dst, tok...)
			}
		default:
			if k == kindWord && len(tok) == 9 && (foldEqual(tok, "preceding") || foldEqual(tok, "following")) {
				return dst, false // not every number bounds a frame
			}
			dst = append(dst, tok...)
		}
		before = ""
		if k == kindWord {
			before = tok
		}
		switch {
		case k == kindWord:
			ordinals.Word(tok)
		case k == kindSymbol:
			ordinals.Symbol(tok[0])
		default:
			ordinals.Other()
		}
		open = k == kindSymbol && tok[0] != ')' && tok[0] != '?'
		strings = k == kindString
	}
}

// markOf returns the mark of a number, 0 for one that is kept as it is. The
// grammar has places where only some of them may stand.
func markOf(tok string) byte {
	m := byte(markInteger)
	for i := range len(tok) {
		switch c := tok[i]; {
		case c == 'e' || c == 'E':
			return markFloat
		case c == '.' && (i == 0 || i == len(tok)-1):
			return 0 // .5 and 7. stand where 1.5 may not, or the other way
		case c == '.':
			m = markDecimal
		}
	}
	switch {
	case m == markDecimal || len(tok) < 10:
		return m
	case len(tok) < 19:
		return markLong
	}
	return 0
}

// valued reports whether a string behind a word is a value. Behind others it
// may be the name that a column of the select list is given.
func valued(word string) bool {
	switch len(word) {
	case 2:
		return foldEqual(word, "or") || foldEqual(word, "by") || foldEqual(word, "in")
	case 3:
		return foldEqual(word, "and") || foldEqual(word, "not")
	case 4:
		return foldEqual(word, "like") || foldEqual(word, "then") || foldEqual(word, "else") || foldEqual(word, "when")
	case 5:
		return foldEqual(word, "where")
	case 6:
		return foldEqual(word, "select") || foldEqual(word, "regexp")
	case 7:
		return foldEqual(word, "between")
	}
	return false
}

// foldEqual reports whether w is the lower-case word s but for the case of its
// letters.
func foldEqual(w, s string) bool {
	for i := range len(s) {
		c := w[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != s[i] {
			return false
		}
	}
	return len(w) == len(s)
}

// appendState appends to dst all of st that changes what a text means, but for
// the catalog.
func appendState(dst []byte, st *State) []byte {
	for _, s := range []string{st.Database, st.Mode, st.Charset} {
		dst = append(dst, byte(len(s)>>16), byte(len(s)>>8), byte(len(s)))
		dst = append(dst, s...)
	}
	flags := byte('0')
	if st.MariaDB {
		flags |= 1
	}
	if st.Folded {
		flags |= 2
	}
	if st.Memory != nil && st.Memory.lost {
		flags |= 4
	}
	return append(dst, byte(st.Version>>16), byte(st.Version>>8), byte(st.Version), flags)
}

// holds reports whether an analysis is one of now.
func (s *Script) holds(st *State) bool {
	if !s.named {
		return true
	}
	cat := st.catalog()
	return cat != nil && s.catalog != nil && cat.Key() == s.catalog.Key()
}

// Holds reports whether what names in the text mean is what they meant when it was
// analysed, as far as the catalog of st knows.
func (s *Script) Holds(st *State) bool {
	return s.holds(st) || s.catalog == nil && st.catalog() == nil
}

// size is about what s takes in memory.
func (s *Script) size() int {
	const ref, source, column, object = 48, 80, 64, 40
	if s == nil {
		return 64
	}
	n := 128
	for i := range s.Statements {
		st := &s.Statements[i]
		n += 560 + source*(len(st.Inferred)+len(st.Numbers)) + ref*(len(st.Reads)+len(st.Returned)+len(st.Writes)) + object*len(st.Objects) + len(st.Why) + len(st.Behind)
		for k := range st.Columns {
			n += column + len(st.Columns[k].Name) + source*len(st.Columns[k].Sources)
		}
		if e := st.effects; e != nil {
			n += 256 + source*(len(e.messages.Sources)+len(e.filled.Sources)+len(e.insertID.Sources)) + 128*(len(e.assigned)+len(e.prepares))
		}
	}
	return n
}
