package detect

import (
	"bytes"
	"strings"
)

// named returns what the name says that stands before "value", which begins at i, as in
// {"name": "DB_PASSWORD", "value": "x"} and <add key="DB_PASSWORD" value="x"/>.
func (s *scan) named(i int) int {
	skip := func(what string) {
		for n := 0; n < 16 && i > 0 && strings.IndexByte(what, s.text[i-1]) >= 0; n++ {
			i--
		}
	}
	skip("\" ',\\\n\t")
	var b, by [32]byte
	name, start := s.keyBefore(i, &b)
	if i = start; len(name) == 0 {
		return noSecret
	}
	skip("\"'\\ ")
	if c := s.at(i - 1); c != ':' && c != '=' {
		return noSecret
	}
	switch key, _ := s.keyBefore(i-1, &by); string(key) {
	case "name", "key":
		return sensitive(name)
	}
	return noSecret
}

// element looks at "<password>...</password>" around the word text[i:j], and returns
// where to go on.
func (s *scan) element(i, j int) int {
	if s.at(i-1) == '/' || j-i <= 4 && s.text[i]|0x20 != 'p' || !s.d.on[secretPassword] { // most of HTML
		return j
	}
	var b [32]byte
	key, start := s.keyBefore(j, &b)
	if s.at(start-1) == '<' || s.at(start-1) == ':' {
		if end := s.content(j+1, sensitive(key)); end > 0 {
			return end
		}
	}
	return j
}

// content looks at the text of an element at i, and returns where it ends, or 0.
func (s *scan) content(i, level int) int {
	if level == noSecret || !s.d.on[secretPassword] || i >= len(s.text) {
		return 0
	}
	n := bytes.IndexByte(s.text[i:min(len(s.text), i+maxPassword)], '<')
	if n < 4 || s.at(i+n+1) != '/' {
		return 0
	}
	v := s.text[i : i+n]
	if !isSecret(v, level) || !s.add(secretPassword, i, i+n, 90, 0) {
		return 0
	}
	return i + n
}

// property looks at the element in which name="password" has its sign at i, and returns
// where to go on.
func (s *scan) property(i int) int {
	quote, end := s.at(i+1), i+2
	for end < len(s.text) && end-i < 48 && (isAlnum(s.text[end]) || s.text[end] == '.' || s.text[end] == '_' || s.text[end] == '-') {
		end++
	}
	if quote != '"' && quote != '\'' || s.at(end) != quote || s.at(end+1) != '>' {
		return i + 1
	}
	var b [32]byte
	key, _ := s.keyBefore(end, &b)
	if next := s.content(end+2, sensitive(key)); next > 0 {
		return next
	}
	return i + 1
}
