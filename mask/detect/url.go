package detect

import "bytes"

// url looks for the password in "scheme://user:password@host" around the colon
// at i.
func (s *scan) url(i int) {
	if !s.d.on[secretURL] || i == 0 || !isAlnum(s.text[i-1]) {
		return
	}
	start := i + 3
	colon, at := -1, -1
	for k := start; k < len(s.text) && k-start < maxValue; k++ {
		switch c := s.text[k]; {
		case c == ':' && colon < 0:
			colon = k
			continue
		case c == '@' && colon >= 0:
			at = k // the last one counts: a password may hold one
			continue
		case c == '/' || c == '?' || c == '#':
			if at >= 0 {
				goto found
			}
			if colon < 0 {
				return
			}
			continue // in a password that nobody has escaped
		case c <= ' ' || c == '"' || c == '\'' || c == '<' || c == '>' || c == '`' || c == ')' || c == ',' && at >= 0:
			goto found
		}
	}
found:
	if at < 0 || at <= colon+1 {
		return
	}
	v := s.text[colon+1 : at]
	if placeholder(v, true) || port(v) {
		return
	}
	s.add(secretURL, colon+1, at, 92, 0)
}

// port reports whether v is a port with a path that has an at sign in it:
// "http://host:8080/@user".
func port(v []byte) bool {
	slash := bytes.IndexByte(v, '/')
	return slash > 0 && allDigits(v[:slash])
}
