package pgsql

import (
	"bytes"
	"sort"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// Texts returns the text of each statement in text, which must be the one that
// was analysed, in order and byte for byte: what stands between the semicolons,
// comments included, without the white space around it.
func (s *Script) Texts(text []byte) []string {
	out := make([]string, len(s.Statements))
	if s.offsets != nil {
		for i, o := range s.offsets {
			if o[1] <= len(text) {
				out[i] = string(text[o[0]:o[1]])
			}
		}
		return out
	}
	semis, _ := semicolons(text)
	for i, b := range s.between {
		from, to := 0, len(text)
		if b[0] > 0 && b[0] <= len(semis) {
			from = semis[b[0]-1] + 1
		}
		if b[1] >= 0 && b[1] < len(semis) {
			to = semis[b[1]]
		}
		out[i] = string(trim(text[from:to]))
	}
	return out
}

// semicolons returns where the semicolons outside of literals and comments
// are; ok is false if that cannot be told.
func semicolons(text []byte) (at []int, ok bool) {
	if bytes.IndexByte(text, ';') < 0 {
		return nil, true
	}
	l := lexer{text: text}
	for {
		from := l.pos
		switch l.next() {
		case kindEnd:
			return at, true
		case kindUnclear:
			return nil, false
		case kindSymbol:
			if text[from] == ';' {
				at = append(at, from)
			}
		}
	}
}

// before returns how many of the sorted positions are before i.
func before(at []int, i int) int { return sort.SearchInts(at, i) }

// extent returns where a statement is in the text, without the white space
// around it and without the semicolon after it.
func extent(text []byte, raw *pg.RawStmt) (from, to int) {
	from, to = int(raw.StmtLocation), len(text)
	if raw.StmtLen > 0 {
		to = from + int(raw.StmtLen)
	}
	if from < 0 || from > len(text) || to > len(text) || to < from {
		return 0, len(text)
	}
	for from < to && space(text[from]) {
		from++
	}
	for to > from && space(text[to-1]) {
		to--
	}
	return from, to
}

func trim(b []byte) []byte {
	for len(b) > 0 && space(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && space(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

func space(c byte) bool {
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v'
}
