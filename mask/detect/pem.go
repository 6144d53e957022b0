package detect

import "bytes"

var (
	pemBegin = []byte("-----BEGIN ")
	pemEnd   = []byte("-----END ")
)

// pemHead returns the length of the line that begins a private key at the
// beginning of b, or 0.
func pemHead(b []byte) int {
	const longest = 80
	b = b[:min(len(b), longest)]
	if !bytes.HasPrefix(b, pemBegin) {
		return 0
	}
	end := bytes.Index(b[len(pemBegin):], []byte("-----"))
	if end < 0 {
		return 0
	}
	label := b[len(pemBegin) : len(pemBegin)+end]
	if !bytes.HasSuffix(label, []byte("PRIVATE KEY")) && !bytes.HasSuffix(label, []byte("PRIVATE KEY BLOCK")) {
		return 0
	}
	return len(pemBegin) + end + 5
}

// pem looks for a private key at i. Without its last line, what looks like one
// ends it.
func (s *scan) pem(i int) int {
	head := pemHead(s.text[i:])
	if head == 0 || !s.d.on[secretPrivateKey] {
		return i + 1
	}
	at := i + head
	end := len(s.text)
	if k := bytes.Index(s.text[at:], pemEnd); k >= 0 {
		k += at + len(pemEnd)
		if dashes := bytes.Index(s.text[k:min(len(s.text), k+80)], []byte("-----")); dashes >= 0 {
			end = k + dashes + 5
		}
	}
	s.add(secretPrivateKey, i, end, 99, 0)
	return end
}
