package detect

import "bytes"

// scan is one pass over a text. Candidates are found by what a value of some
// kind cannot be without: a run of digits, an at sign, a prefix.
type scan struct {
	d     *Detector
	text  []byte
	field Field
	out   []Finding
	first int // of this text's findings

	nearAt, nearEnd int // what near was computed for
	nearWords       Field
	beforeAt        int // likewise before
	beforeWords     Field
	all             Field // of the whole text
	lookedAll       bool

	pemClear        int // up to here no private key's last line was found
	runFrom, runEnd int // a run of characters of one alphabet
	runAlphabet     int
}

// maxValue bounds how far a detector looks for the parts of a value. Tokens and
// keys may be longer.
const maxValue = 512

// The classes of bytes.
const (
	digit = 1 << iota
	upper
	lower
	high  // of a character that is not ASCII
	mark  // may begin or join a value
	alnum = digit | upper | lower
	alpha = upper | lower
)

var class = func() (c [256]uint8) {
	for i := range c {
		switch {
		case '0' <= i && i <= '9':
			c[i] = digit
		case 'A' <= i && i <= 'Z':
			c[i] = upper
		case 'a' <= i && i <= 'z':
			c[i] = lower
		case i >= 0x80:
			c[i] = high
		case i == '@' || i == ':' || i == '=' || i == '+' || i == '(' || i == '-' || i == '%':
			c[i] = mark
		}
	}
	return c
}()

func isDigit(c byte) bool  { return c-'0' < 10 }
func isLetter(c byte) bool { return class[c]&alpha != 0 }
func isAlnum(c byte) bool  { return class[c]&alnum != 0 }

// at returns the byte at i, or 0 outside of the text.
func (s *scan) at(i int) byte {
	if uint(i) < uint(len(s.text)) {
		return s.text[i]
	}
	return 0
}

func (s *scan) run() {
	text := s.text
	n := len(text)
	for i := 0; i < n; {
		c := class[text[i]]
		switch {
		case c&alnum != 0:
			j, bits := i+1, c
			for j < n {
				c := class[text[j]]
				if c&alnum == 0 {
					break
				}
				bits |= c
				j++
			}
			i = s.token(i, j, bits)
		case c&mark != 0:
			i = s.mark(i)
		default:
			i++
		}
	}
}

// mark looks at a candidate around the byte at i, and returns where to go on.
func (s *scan) mark(i int) int {
	switch s.text[i] {
	case '@':
		if s.d.on[email] {
			s.email(i, 1)
		}
	case '%':
		if s.d.on[email] && s.at(i+1) == '4' && s.at(i+2) == '0' {
			s.email(i, 3)
		}
	case ':':
		if s.at(i+1) == '/' && s.at(i+2) == '/' {
			s.url(i)
			return i + 1
		}
		if s.at(i+1) == ':' && s.d.on[ipAddress] && (i == 0 || !isAlnum(s.text[i-1])) {
			if end := s.ipv6(i); end > i {
				return end
			}
		}
		return s.keyValue(i)
	case '=':
		return s.keyValue(i)
	case '+', '(':
		if s.d.on[phone] && i+1 < len(s.text) && (isDigit(s.text[i+1]) || s.text[i+1] == '(' || s.text[i+1] == '+') {
			return s.phone(i)
		}
	case '-':
		switch {
		case s.at(i+1) != '-':
		case bytes.HasPrefix(s.text[i:], pemBegin):
			return s.pem(i)
		case isLetter(s.at(i + 2)):
			return s.flag(i + 2)
		}
	}
	return i + 1
}

// token looks at text[i:j], letters and digits with others around them, and
// returns where to go on.
func (s *scan) token(i, j int, bits uint8) int {
	text := s.text
	if j-i > 1 {
		if g := groupAt[beginning(text[i], text[i+1], s.at(i+2))]; g > 0 {
			if end := s.prefixed(prefixesAt[g], i); end > 0 {
				return end
			}
		}
	}
	switch {
	case bits&digit == 0:
		return s.word(i, j, bits)
	case bits&alpha != 0:
		return s.mixed(i, j, bits)
	case j-i == 6, j-i == 2, j-i == 8:
		if end := s.hyphened(i, j); end > 0 {
			return end
		}
	}
	return s.number(i, j)
}

// word looks at text[i:j], letters only, and returns where to go on.
func (s *scan) word(i, j int, bits uint8) int {
	n, next := j-i, s.at(j)
	switch {
	case next == '>':
		return s.element(i, j)
	case n > 11:
		return j
	case next == ' ' || next == '.':
		switch c := s.at(j + 1); {
		case next == ' ' && s.text[i]|0x20 == 'b' && n >= 5:
			return s.scheme(i, j)
		case isDigit(c):
			if n == 2 && bits == upper {
				s.ninoSpaced(i, j)
			}
			if n >= 3 && s.d.on[birthDate] {
				return s.monthFirst(i, j)
			}
		case c == '\'', c == '"':
			return s.statement(i, j)
		case n == 8 && s.text[i] == 'p' && next == ' ':
			return s.netrc(i, j)
		}
	case n <= 4 && (next == ':' || next == '-'):
		return s.hexGroups(i, j)
	}
	if bits == upper && (n == 8 || n == 11) {
		s.bic(i, j)
	}
	return j
}

// add notes a candidate. base is its score without context; with one of the
// words of context it is 95, or 80 and some if they are general ones, and behind
// a word that says that it is something else ("order", "build") 35 less.
func (s *scan) add(k id, start, end, base int, context uint64) bool {
	if !s.d.on[k] {
		return false
	}
	if base < s.d.min && !s.said(context) {
		return false
	}
	if base < 90 {
		switch near := s.near(start, end).words; {
		case near&context&^general != 0:
			base = max(base, 95)
		case near&context != 0:
			base = max(base, 80+base/10)
		case near&other != 0:
			base -= 35
		}
	}
	if base < s.d.min {
		return false
	}
	s.out = append(s.out, Finding{kindNames[k], start, end, base})
	return true
}

func contains(text, what []byte) bool { return bytes.Contains(text, what) }
