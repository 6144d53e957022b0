package httpproxy

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
)

// errFraming says that the bytes of a client can be read in two ways.
var errFraming = errors.New("httpproxy: ambiguous HTTP/1.1 framing")

// checked is a connection with HTTP/1.1 requests that are looked at before
// net/http reads them. net/http is lenient where other servers read something
// else (a line that ends with LF alone, a folded header, Content-Length beside
// Transfer-Encoding or twice, chunk extensions); what is lenient there ends the
// connection here. The byte that makes a request ambiguous is never handed on,
// so that net/http cannot take the request for a whole one.
type checked struct {
	*lazy
	first []byte // read before
	f     framing
	err   error       // read after what came before it
	bad   atomic.Bool // there was an err
	off   atomic.Bool // the connection speaks another protocol now
}

func newChecked(nc *lazy, first []byte, maxHead int) *checked {
	return &checked{lazy: nc, first: first, f: framing{max: maxHead}}
}

// Read implements net.Conn.
func (c *checked) Read(b []byte) (n int, err error) {
	if c.err != nil {
		return 0, c.err
	}
	if len(c.first) > 0 {
		n = copy(b, c.first)
		c.first = c.first[n:]
	} else if n, err = c.lazy.Read(b); n == 0 {
		return 0, err
	}
	if c.off.Load() {
		return n, err
	}
	good, ferr := c.f.feed(b[:n])
	if ferr == nil {
		return n, err
	}
	c.err = ferr
	c.bad.Store(true)
	if good == 0 {
		return 0, ferr
	}
	return good, nil
}

// maxHeaders is how many header lines a request may have.
const maxHeaders = 256

// Where a framing is.
type place uint8

const (
	atRequestLine place = iota
	atHeader
	atBody      // left bytes
	atChunkSize // a line
	atChunk     // left bytes of data
	atChunkEnd  // the CRLF behind them
	atTrailer
)

// framing follows a stream of requests and knows where each begins and ends. It
// keeps one line in memory, which it bounds.
type framing struct {
	max int

	// Of responses, one is followed, and what is behind it is not let through.
	responses bool
	head      bool // the request was a HEAD
	status    [3]byte
	done      bool

	at    place
	line  []byte // the line so far
	size  int    // of the head or the trailers so far
	lines int
	left  uint64

	minor           byte // the version's, '0' or '1'
	hosts           int
	length, chunked bool
}

// feed takes the next bytes and returns how many of them may be read.
func (f *framing) feed(b []byte) (good int, err error) {
	for good < len(b) && !f.done {
		switch f.at {
		case atBody, atChunk:
			n := uint64(len(b) - good)
			if n < f.left {
				f.left -= n
				return len(b), nil
			}
			good += int(f.left)
			f.left = 0
			if f.at == atBody {
				f.next()
			} else {
				f.at = atChunkEnd
			}
		case atChunkEnd:
			if want := "\r\n"[len(f.line)]; b[good] != want {
				return good, fmt.Errorf("%w: a chunk is longer than it says", errFraming)
			}
			f.line = append(f.line, b[good])
			good++
			if len(f.line) == 2 {
				f.line = f.line[:0]
				f.at = atChunkSize
			}
		default:
			rest := b[good:]
			end := bytes.IndexByte(rest, '\n')
			n := end + 1
			if end < 0 {
				n = len(rest)
			}
			// net/http has the same limit, a little lower, and a better answer.
			if f.size += n; f.size > f.max+8<<10 {
				return good, fmt.Errorf("%w: too large", errFraming)
			}
			line := rest[:n]
			if len(f.line) > 0 || end < 0 { // most lines come whole
				f.line = append(f.line, line...)
				line = f.line
			}
			if end < 0 {
				return len(b), nil
			}
			if err := f.endLine(line); err != nil {
				return good + end, fmt.Errorf("%w: %w", errFraming, err)
			}
			f.line = f.line[:0]
			good += n
		}
	}
	return good, nil
}

// next is the beginning of a request, or behind a response.
func (f *framing) next() {
	*f = framing{max: f.max, line: f.line[:0], responses: f.responses, head: f.head, done: f.responses}
}

func (f *framing) endLine(whole []byte) error {
	line, ok := bytes.CutSuffix(whole, []byte("\r\n"))
	switch {
	case ok:
	case f.responses: // net/http reads them, and has to be followed
		line = whole[:len(whole)-1]
	default:
		return errors.New("a line ends without CR")
	}
	switch f.at {
	case atRequestLine:
		f.at = atHeader
		if f.responses {
			return f.statusLine(line)
		}
		return f.requestLine(line)
	case atChunkSize:
		return f.chunkSize(string(line))
	}
	if len(line) > 0 {
		return f.header(line)
	}
	if f.at == atTrailer {
		f.next()
		return nil
	}
	switch {
	case f.responses && f.status[0] == '1' && !f.is("101"):
		f.next()
		f.done = false // the response is behind it
	case f.responses && (f.head || f.is("204") || f.is("304")):
		f.next()
	case f.responses && (f.length == f.chunked || f.is("101")):
		return errors.New("a response without an end")
	case f.responses && f.length && f.left == 0:
		f.next()
	case f.hosts != 1 && f.minor == '1' && !f.responses:
		return errors.New("not exactly one Host")
	case f.length && f.chunked:
		return errors.New("both Content-Length and Transfer-Encoding")
	case f.chunked && f.minor == '0':
		return errors.New("Transfer-Encoding in HTTP/1.0")
	case f.chunked:
		f.at, f.size, f.lines = atChunkSize, 0, 0
	case f.left > 0:
		f.at = atBody
	default:
		f.next()
	}
	return nil
}

// is compares the status of a response.
func (f *framing) is(status string) bool { return string(f.status[:]) == status }

func (f *framing) requestLine(line []byte) error {
	method, rest, _ := bytes.Cut(line, []byte(" "))
	target, version, _ := bytes.Cut(rest, []byte(" "))
	if !isToken(method) || len(target) == 0 {
		return errors.New("no request line")
	}
	for _, c := range target {
		if c <= ' ' || c >= 0x7f || c == '#' {
			return fmt.Errorf("byte %#x in the request's target", c)
		}
	}
	if v := string(version); v != "HTTP/1.1" && v != "HTTP/1.0" {
		return errors.New("a version that is not HTTP/1.1 or HTTP/1.0")
	}
	f.minor = version[len(version)-1]
	return nil
}

func (f *framing) statusLine(line []byte) error {
	version, rest, _ := bytes.Cut(line, []byte(" "))
	if v := string(version); len(rest) < 3 || v != "HTTP/1.1" && v != "HTTP/1.0" {
		return errors.New("no status line")
	}
	f.minor, f.status = version[len(version)-1], [3]byte(rest)
	return nil
}

func (f *framing) header(line []byte) error {
	if f.lines++; f.lines > maxHeaders {
		return errors.New("too many headers")
	}
	if line[0] == ' ' || line[0] == '\t' {
		return errors.New("a folded header")
	}
	name, value, ok := bytes.Cut(line, []byte(":"))
	if !ok || !isToken(name) {
		return errors.New("a header without a proper name")
	}
	for _, c := range value {
		if c < ' ' && c != '\t' || c == 0x7f {
			return fmt.Errorf("byte %#x in a header", c)
		}
	}
	var known *bool
	switch is := func(s string) bool { return len(name) == len(s) && strings.EqualFold(string(name), s) }; {
	case is("Host"):
		f.hosts++
	case is("Content-Length"):
		known = &f.length
	case is("Transfer-Encoding"):
		known = &f.chunked
	default:
		return nil
	}
	switch {
	case f.at == atTrailer:
		return fmt.Errorf("%s in a trailer", name)
	case known == nil:
		return nil
	case *known:
		return fmt.Errorf("two headers %s", name)
	}
	*known, value = true, bytes.Trim(value, " \t")
	if known == &f.chunked {
		if !bytes.EqualFold(value, []byte("chunked")) {
			return errors.New("a Transfer-Encoding that is not chunked")
		}
		return nil
	}
	// ParseUint takes no sign, but it takes any number of zeros.
	n, err := strconv.ParseUint(string(value), 10, 63)
	if err != nil || len(value) > 19 {
		return errors.New("a Content-Length that is not a number")
	}
	f.left = n
	return nil
}

// chunkSize reads the line before a chunk. Extensions are refused: nobody needs
// them, and servers do not agree on where they end.
func (f *framing) chunkSize(line string) error {
	f.size = 0
	if len(line) > 15 {
		return errors.New("a chunk size of many digits")
	}
	for i := range len(line) {
		if !isHex(line[i]) {
			return errors.New("a chunk size that is not a hexadecimal number")
		}
	}
	n, err := strconv.ParseUint(line, 16, 63)
	switch {
	case err != nil:
		return errors.New("a chunk size that is not a hexadecimal number")
	case n == 0:
		f.at = atTrailer
	default:
		f.at, f.left = atChunk, n
	}
	return nil
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// isToken reports whether s is a token of RFC 9110.
func isToken[S string | []byte](s S) bool {
	for i := range len(s) {
		if !tokens[s[i]] {
			return false
		}
	}
	return len(s) > 0
}

var tokens = func() (t [256]bool) {
	for c := range t {
		t[c] = 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c > 0 && c < 0x80 && strings.IndexByte("!#$%&'*+-.^_`|~", byte(c)) >= 0
	}
	return t
}()
