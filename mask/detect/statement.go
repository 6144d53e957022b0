package detect

import "bytes"

// statement looks at "PASSWORD '...'" and "IDENTIFIED BY '...'" of SQL around the
// word text[i:j], and returns where to go on.
func (s *scan) statement(i, j int) int {
	w := s.text[i:j]
	switch {
	case !s.d.on[secretPassword]:
		return j
	case bytes.EqualFold(w, []byte("password")) && s.at(j+1) == '\'':
	case bytes.EqualFold(w, []byte("by")):
		last, rest := lastField(s.text[max(0, i-maxNear):i])
		if bytes.EqualFold(last, identified) {
			break
		}
		if last, rest = lastField(rest); !bytes.EqualFold(last, []byte("with")) {
			return j
		}
		if last, _ = lastField(rest); !bytes.EqualFold(last, identified) {
			return j
		}
	default:
		return j
	}
	return s.value(j+1, j, password, true)
}

// userAndPassword looks at "curl -u name:password", whose name begins at start and has
// its colon at i, and returns where to go on.
func (s *scan) userAndPassword(i, start int) int {
	before := s.text[max(0, start-maxPassword):start]
	if !bytes.HasSuffix(before, []byte(" -u ")) && !bytes.HasSuffix(before, []byte("--user ")) || !bytes.Contains(before, []byte("curl")) {
		return i + 1
	}
	return s.value(i+1, i+1, password, true)
}

// netrc looks at "login ada password ..." around the word text[i:j], also where each has
// a line or its value stands in a column, and returns where to go on.
func (s *scan) netrc(i, j int) int {
	if !s.d.on[secretPassword] || string(s.text[i:j]) != "password" {
		return j
	}
	line := s.text[max(0, i-maxPassword):i]
	line = line[bytes.LastIndexByte(line, '\n')+1:]
	_, rest := lastField(line)
	login, _ := lastField(rest)
	start := j + 1
	for start-j < maxColumn && s.at(start) == ' ' {
		start++
	}
	end := start
	for end < len(s.text) && s.text[end] > ' ' {
		end++
	}
	switch {
	case string(login) == "login":
	case len(rest) == 0 && len(bytes.TrimSpace(line)) == 0 && (len(line) > 0 || start > j+2) && (end == len(s.text) || s.text[end] == '\n' || s.text[end] == '\r') && kindsOf(s.text[start:end])&(digit|mark) != 0:
	default:
		return j
	}
	return s.value(start, j, password, true)
}

var identified = []byte("identified")

// lastField returns the last of the fields in b that have blanks between them, and what
// stands before it.
func lastField(b []byte) (last, rest []byte) {
	b = bytes.TrimRight(b, " \t\r\n")
	i := bytes.LastIndexAny(b, " \t\r\n") + 1
	return b[i:], b[:i]
}
