package detect

import (
	"bytes"
	"encoding/base64"
)

// maxToken bounds one part of a token that is looked at.
const maxToken = 16 << 10

// jwt looks for a token of three parts (signed) or five (encrypted) at i, whose
// first part is a JSON object that names an algorithm (RFC 7519). It returns
// where it ends, or 0.
func (s *scan) jwt(i int) int {
	if !s.d.on[secretJWT] || s.at(i-1) == '-' || s.at(i-1) == '_' {
		return 0
	}
	text := s.text
	part := func(at int) int {
		for at < len(text) && at-i < maxToken && inAlphabet(inURL, text[at]) {
			at++
		}
		return at
	}
	end := part(i)
	head := text[i:end]
	if len(head) < 16 || len(head) > 1024 || s.at(end) != '.' {
		return 0
	}
	var b [768]byte
	n, err := base64.RawURLEncoding.Decode(b[:], head)
	if err != nil || n == 0 || b[0] != '{' || bytes.LastIndexByte(b[:n], '}') < 0 || !bytes.Contains(b[:n], []byte(`"alg"`)) {
		return 0
	}
	body := end + 1
	end = part(body)
	switch {
	case s.at(end) != '.' && (end == len(text) || end-i >= maxToken) && bytes.HasPrefix(text[body:], []byte("ey")): // cut off
		if !s.add(secretJWT, i, end, 98, 0) {
			return 0
		}
		return end
	case s.at(end) != '.', end-body < 2 && !bytes.Contains(b[:n], []byte(`"enc"`)):
		return 0
	}
	end = part(end + 1) // empty if the token is not signed
	for range 2 {
		if next := part(end + 1); s.at(end) == '.' && next > end+1 {
			end = next
		}
	}
	if !s.add(secretJWT, i, end, 98, 0) {
		return 0
	}
	return end
}
