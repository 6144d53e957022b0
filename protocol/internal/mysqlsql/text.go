package mysqlsql

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/pingcap/tidb/pkg/parser/mysql"
)

const (
	maxNesting = 500  // parentheses within each other: what is nested takes stack
	maxJoins   = 2000 // of one statement, for which the parser takes a time that grows with their square
)

// plainText returns text without comments: those that the target executes have
// become code, all others a space. why says why that is not possible.
//
// The parser that follows knows nothing of versions, nor of MariaDB's comments.
func plainText(text []byte, st *State, mode mysql.SQLMode) (plain, why string) {
	escapes := mode&mysql.ModeNoBackslashEscapes == 0
	ansi := mode&mysql.ModeANSIQuotes != 0
	inside := false // of a comment that is executed
	depth, joins := 0, 0
	var b strings.Builder
	b.Grow(len(text))
	for i := 0; i < len(text); {
		rest := text[i:]
		switch c := rest[0]; {
		case c == '\'', c == '"', c == '`':
			n := quoted(rest, escapes && c != '`' && !(c == '"' && ansi))
			if n == 0 {
				return "", "a quotation does not end"
			}
			b.Write(rest[:n])
			i += n
		case c == '#', bytes.HasPrefix(rest, []byte("--")) && (len(rest) == 2 || rest[2] <= ' ' || rest[2] == 0x7f):
			n := bytes.IndexByte(rest, '\n')
			if inside {
				return "", "a comment within a comment that is executed"
			}
			if n < 0 {
				return b.String(), ""
			}
			b.WriteByte('\n')
			i += n + 1
		case bytes.HasPrefix(rest, []byte("--")): // two signs, for certain
			b.WriteString("- -")
			i += 2
		case inside && bytes.HasPrefix(rest, []byte("*/")):
			inside = false
			b.WriteByte(' ')
			i += 2
		case bytes.HasPrefix(rest, []byte("/*")):
			if inside {
				return "", "a comment within a comment that is executed"
			}
			n, code, why := executable(rest, st)
			if why != "" {
				return "", why
			}
			b.WriteByte(' ')
			if code {
				inside = true
				i += n
				continue
			}
			end := bytes.Index(rest[2:], []byte("*/"))
			switch {
			case end < 0:
				return "", "a comment does not end"
			case n > 0 && bytes.Contains(rest[n:2+end+1], []byte("/*")):
				return "", "a comment within a comment for other servers" // whose end is not the first there
			}
			i += 2 + end + 2
		default:
			switch c {
			case '(':
				if depth++; depth > maxNesting {
					return "", "the text is nested too deep"
				}
			case ')':
				depth--
			case ';':
				joins = 0
			case 'j', 'J':
				if len(rest) >= 4 && bytes.EqualFold(rest[:4], []byte("join")) {
					if joins++; joins > maxJoins {
						return "", "a statement has more than 2,000 joins"
					}
				}
			}
			b.WriteByte(c)
			i++
		}
	}
	if inside {
		return "", "a comment does not end"
	}
	return b.String(), ""
}

// quoted returns the length of the quotation at the start of b, 0 if it does
// not end.
func quoted(b []byte, escapes bool) int {
	q := b[0]
	for i := 1; i < len(b); i++ {
		switch {
		case b[i] == '\\' && escapes:
			i++
		case b[i] == q && i+1 < len(b) && b[i+1] == q:
			i++
		case b[i] == q:
			return i + 1
		}
	}
	return 0
}

// executable reports whether the target executes the comment at the start of b,
// and how many bytes stand before the code in it: 0 if it is for nobody. why says
// why that is not known.
func executable(b []byte, st *State) (n int, code bool, why string) {
	maria := false
	switch {
	case bytes.HasPrefix(b, []byte("/*!")):
		n = 3
	case bytes.HasPrefix(b, []byte("/*M!")):
		n, maria = 4, true
	default:
		return 0, false, ""
	}
	if maria && !st.MariaDB {
		return 0, false, ""
	}
	digits := 0
	for n+digits < len(b) && b[n+digits] >= '0' && b[n+digits] <= '9' {
		digits++
	}
	if digits < 5 {
		return n, true, ""
	}
	if digits > 6 || digits == 6 && !st.MariaDB {
		return 0, false, "a comment with a version that servers read differently"
	}
	version, _ := strconv.Atoi(string(b[n : n+digits]))
	switch {
	case st.Version == 0:
		return 0, false, "a comment that is executed by some servers"
	case st.MariaDB && !maria && version >= 50700 && version <= 99999: // features of MySQL's
		return n + digits, false, ""
	}
	return n + digits, version <= st.Version, ""
}

// diagnostics are the statements that show what the one before had to say, as
// whole texts in lower case.
var diagnostics = []string{"show warnings", "show errors", "show count(*) warnings", "show count(*) errors"}

// ShowsDiagnostics reports whether text is a plain one of the statements that
// show what the one before had to say: it means the same in any state.
func ShowsDiagnostics(text []byte) bool {
	if len(text) > 64 {
		return false
	}
	s := strings.ToLower(strings.Join(strings.Fields(strings.TrimRight(string(text), "; \t\r\n")), " "))
	for _, d := range diagnostics {
		if s == d {
			return true
		}
	}
	return false
}
