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

// PrivateKey looks for the private key in PEM that begins at the beginning of b.
// It returns the length of what is there of it, up to its last line, if that is
// there, or else up to what cannot be part of one; 0 if there is none. ended says
// that the last line is there.
func PrivateKey(b []byte) (n int, ended bool) {
	if n = pemHead(b); n == 0 {
		return 0, false
	}
	if end, ended := pemLast(b[n:]); ended {
		return n + end, true
	}
	n += pemBehind(b[n:])
	return n + pemLines(b[n:]), false
}

// PrivateKeyRest is PrivateKey for what follows the first line, or any other of
// a key. Whatever stands before a last line that is there is part of the key: each
// line may have something before and behind it, as in a listing with numbers, a
// comparison, a log or the source of a program.
func PrivateKeyRest(b []byte) (n int, ended bool) {
	if n, ended = pemLast(b); ended {
		return n, true
	}
	return pemLines(b), false
}

// pemLines returns how much of b are lines of a key.
func pemLines(b []byte) (n int) {
	for n < len(b) {
		m := pemSpace(b[n:])
		m += pemLine(b[n+m:])
		if m == 0 {
			break
		}
		n += m
	}
	return n
}

// pemLongest is how far from its first line the last one of a key is looked for.
const pemLongest = 64 << 10

// pemLast returns where the last line of a key ends in b, if that is there. One of
// which only the beginning is there ends with b.
func pemLast(b []byte) (end int, ok bool) {
	const line = 80
	at := bytes.Index(b[:min(len(b), pemLongest)], pemEnd)
	if at < 0 {
		return 0, false
	}
	at += len(pemEnd)
	if dashes := bytes.Index(b[at:min(len(b), at+line)], []byte("-----")); dashes >= 0 {
		return at + dashes + 5, true
	}
	return len(b), true
}

// pemSpace returns how much space begins b: line ends are also written as \n.
func pemSpace(b []byte) int {
	n := 0
	for n < len(b) {
		switch {
		case b[n] == '\n', b[n] == '\r', b[n] == ' ', b[n] == '\t':
			n++
		case b[n] == '\\' && n+1 < len(b) && (b[n+1] == 'n' || b[n+1] == 'r'):
			n += 2
		default:
			return n
		}
	}
	return n
}

// pemLine returns how much of b is one line of base64, or a header such as
// "DEK-Info: ...".
func pemLine(b []byte) int {
	n := 0
	for n < len(b) && inAlphabet(inBase64, b[n]) {
		n++
	}
	if n == len(b) || n >= 16 || n > 0 && (b[n] == '\n' || b[n] == '\r' || b[n] == '\\') {
		return n + pemBehind(b[n:])
	}
	const most = 1 << 10 // of a line, for what stands in it before the key
	line := b[:min(len(b), most)]
	if end := bytes.IndexByte(line, '\n'); end >= 0 {
		line = line[:end]
	}
	for _, name := range []string{"Proc-Type: ", "DEK-Info: ", "Comment: ", "Version: "} {
		if at := bytes.Index(line, []byte(name)); at >= 0 {
			if end := bytes.IndexByte(line[at:], '\\'); end >= 0 {
				return at + end + pemBehind(b[at+end:])
			}
			return len(line)
		}
	}
	if pemInside(line) {
		return len(line)
	}
	return 0
}

// pemBehind returns how much of b stands between what a line says of a key and its
// end: `\n" +`.
func pemBehind(b []byte) int {
	const most = 8
	return max(0, bytes.IndexByte(b[:min(len(b), most)], '\n'))
}

// pemInside reports whether a line of a key is inside of a line: a long word of
// base64, or a short one that cannot be another.
func pemInside(line []byte) bool {
	const long, short = 32, 8
	for i := 0; i < len(line); i++ {
		start := i
		for i < len(line) && inAlphabet(inBase64, line[i]) {
			i++
		}
		w := line[start:i]
		if len(w) >= long || len(w) >= short && (w[len(w)-1] == '=' || kindsOf(w)&(digit|upper|lower) == digit|upper|lower) {
			return true
		}
	}
	return false
}

// pem looks for a private key at i.
func (s *scan) pem(i int) int {
	if !s.d.on[secretPrivateKey] {
		return i + 1
	}
	rest := s.text[i:]
	n := pemHead(rest)
	if n == 0 {
		return i + 1
	}
	to := min(len(s.text), i+n+pemLongest)
	if from := max(i+n, s.pemClear-len(pemEnd)+1); s.pemClear < to && bytes.Contains(s.text[from:to], pemEnd) {
		n, _ = PrivateKey(rest)
	} else { // no last line is looked for twice
		s.pemClear = max(s.pemClear, to)
		n += pemBehind(rest[n:])
		n += pemLines(rest[n:])
	}
	s.add(secretPrivateKey, i, i+n, 99, 0)
	return i + n
}

// InToken reports whether c may stand inside of a token or a key in base64: what
// begins with one goes on so long.
func InToken(c byte) bool { return inAlphabet(inDotted, c) || inAlphabet(inBase64, c) }
