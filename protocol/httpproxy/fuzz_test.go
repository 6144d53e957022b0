package httpproxy

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport-dev/gateway/protocol"
)

// script is a connection's bytes, in pieces of a size.
type script struct {
	b    []byte
	size int
}

func (s *script) Read(b []byte) (int, error) {
	if len(s.b) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), max(s.size, 1))], s.b)
	s.b = s.b[n:]
	return n, nil
}

// follow returns what framing lets through of input.
func follow(input []byte, size int) (let []byte, f *framing, err error) {
	f = &framing{max: 64 << 10}
	src := &script{input, size}
	buf := make([]byte, 4<<10)
	for {
		n, rerr := src.Read(buf)
		good, err := f.feed(buf[:n])
		if let = append(let, buf[:good]...); err != nil {
			return let, f, err
		}
		if rerr != nil {
			return let, f, nil
		}
	}
}

// FuzzFraming: what is let through, net/http divides into the same requests,
// and how the bytes come makes no difference. A request that framing refuses
// never looks whole to net/http.
func FuzzFraming(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\nPOST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.0\r\n\r\n"), 1)
	f.Add([]byte("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), 7)
	f.Add([]byte("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 4096)
	f.Add([]byte("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 03\r\n\r\nabc"), 2)
	f.Add([]byte("GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n"), 3)
	f.Add([]byte("GET / HTTP/1.1\nHost: a\r\n\r\n"), 3)
	f.Fuzz(func(t *testing.T, input []byte, size int) {
		let, fr, err := follow(input, size)
		again, fr2, err2 := follow(input, 1)
		if !bytes.Equal(let, again) || (err == nil) != (err2 == nil) || fr.at != fr2.at {
			t.Fatalf("in pieces of %d: %q, %v; of 1: %q, %v", size, let, err, again, err2)
		}
		if !bytes.HasPrefix(input, let) {
			t.Fatal("bytes were changed")
		}
		if cap(fr.line) > 4*(fr.max+8<<10) {
			t.Fatalf("a line took %d bytes", cap(fr.line))
		}
		// The requests as framing sees them.
		want := 0
		f2 := &framing{max: 64 << 10}
		for i := range let {
			if _, err := f2.feed(let[i : i+1]); err != nil {
				t.Fatalf("what was let through is refused: %v", err)
			}
			if f2.at == atRequestLine && len(f2.line) == 0 {
				want++
			}
		}
		// And as net/http does.
		r := bufio.NewReader(bytes.NewReader(let))
		got := 0
		for {
			req, err := http.ReadRequest(r)
			if err != nil {
				break
			}
			if _, err := io.Copy(io.Discard, req.Body); err != nil {
				break
			}
			got++
		}
		if got > want {
			t.Fatalf("net/http sees %d whole requests, framing %d in %q", got, want, let)
		}
		if rest := r.Buffered(); got == want && err == nil && fr.at == atRequestLine && len(fr.line) == 0 && rest > 0 {
			t.Fatalf("%d bytes are left of %q", rest, let)
		}
	})
}

// FuzzAnswers: where framing sees the end of a response, there is it for
// net/http, however the bytes come.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\n"), false, 1)
	f.Add([]byte("HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\nmore"), false, 7)
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"), true, 4096)
	f.Add([]byte("HTTP/1.1 304 No\r\nTransfer-Encoding: chunked\r\n\r\nabc"), false, 3)
	f.Fuzz(func(t *testing.T, in []byte, head bool, size int) {
		follow := func(size int) (good int, fr *framing, err error) {
			fr = &framing{max: 64 << 10, responses: true, head: head}
			for b := in; len(b) > 0 && err == nil && !fr.done; b = b[min(max(size, 1), len(b)):] {
				var n int
				n, err = fr.feed(b[:min(max(size, 1), len(b))])
				good += n
			}
			return good, fr, err
		}
		good, fr, err := follow(size)
		if n, again, err2 := follow(1); (err == nil) != (err2 == nil) || fr.done != again.done || fr.done && n != good {
			t.Fatalf("in pieces of %d it ends at %d, of 1 at %d", size, good, n)
		}
		if err != nil || !fr.done {
			return
		}
		r := bufio.NewReader(bytes.NewReader(in))
		method := map[bool]string{true: "HEAD", false: "GET"}[head]
		for {
			res, err := http.ReadResponse(r, &http.Request{Method: method})
			if err != nil {
				return // net/http ends the connection
			}
			if res.StatusCode/100 == 1 {
				continue
			}
			if _, err := io.Copy(io.Discard, res.Body); err != nil {
				return
			}
			break
		}
		rest, _ := io.ReadAll(r)
		if end := len(in) - len(rest); end != good {
			t.Fatalf("the answer ends at %d, and for net/http at %d, in %q", good, end, in)
		}
	})
}

// FuzzPath: what parsePath lets through means the same however often it is
// decoded, and stays below the root. What rules see is what the target reads, in
// each way that it can be said to read.
func FuzzPath(f *testing.F) {
	for _, s := range []string{"/", "/a/b", "/a/../b", "/%2e%2e/", "/%252e", "//", "/a//b", "/%2f", "/a%5cb", "/..;/", "/c;x/b", "/a%3bb", "/a%252fb",
		"/a%253bb", "/a;x%2fb", "/a%2f..%2fb", "/a%2f;x", "/%c0%ae", "/100%25", "/%41%zz", "/a%2fb^c|d[e]", "/é"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		path, bad := parsePath(raw)
		if bad != nil {
			return
		}
		once, err := url.PathUnescape(raw)
		if err != nil || strings.NewReplacer("%2F", "/", "%3B", ";").Replace(path) != once {
			t.Fatalf("%q is %q, decoded %q, %v", raw, path, once, err)
		}
		for p, level := raw, 0; ; level++ {
			for seg := range strings.SplitSeq(p, "/") {
				if seg, _, _ := strings.Cut(seg, ";"); seg == "." || seg == ".." {
					t.Fatalf("%q has a segment %q", raw, seg)
				}
			}
			if strings.Contains(p, "\\") || strings.Contains(p, "//") || !strings.HasPrefix(p, "/") ||
				level > 0 && (strings.Count(p, "/") != strings.Count(once, "/") || strings.Count(p, ";") != strings.Count(once, ";")) {
				t.Fatalf("%q is also %q", raw, p)
			}
			next, err := url.PathUnescape(p)
			if err != nil || next == p {
				break
			}
			p = next
		}
		// What is sent to the target is what was decided about.
		u := &url.URL{Path: once, RawPath: encoded(raw)}
		if u.EscapedPath() != encoded(raw) {
			t.Fatalf("%q is sent as %q", raw, u.EscapedPath())
		}
		for _, slashes := range []string{"", "keep", "slash"} {
			for _, semicolons := range []string{"", "keep", "parameters"} {
				tg := &target{settings: &settings{slashes: slashes, semicolons: semicolons}}
				at, bad := tg.pathAt(path)
				if bad != nil {
					continue
				}
				if checkPath(at) != nil || strings.Contains(at, "//") {
					t.Fatalf("%q is %q at a target", raw, at)
				}
				switch {
				case slashes == "" && strings.Count(raw, "/") != strings.Count(once, "/"), slashes == "keep" && strings.Count(at, "/") > strings.Count(raw, "/"),
					slashes == "slash" && strings.Contains(at, "%2F"), semicolons == "" && strings.Contains(once, ";"),
					semicolons == "parameters" && strings.Contains(at, ";"):
					t.Fatalf("%q is %q at a target with slashes %q and semicolons %q", raw, at, slashes, semicolons)
				}
			}
		}
	})
}

// FuzzHost: a host that is let through has one form.
func FuzzHost(f *testing.F) {
	for _, s := range []string{"a", "A.b:80", "[::1]:1", "a.", "a..b", "a@b", "a:b", "1.2.3.4", "[::1%25eth0]", "-a", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		host, bad := parseHost(s)
		if bad != nil {
			return
		}
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		again, bad := parseHost(host)
		if bad != nil || "["+again+"]" != host && again != host {
			t.Fatalf("%q is %q is %q", s, host, again)
		}
	})
}

// FuzzEvents: a stream of events is rewritten or ends with an error, and no data
// goes round the step.
func FuzzEvents(f *testing.F) {
	f.Add([]byte("data: secret\n\n: secret\nevent: a\ndata\ndata:secret\n\n"))
	f.Add([]byte("data: secret\r\n\r\ndatax: secret\n\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		c := &conn{s: &Server{}}
		hide := func([]byte) ([]byte, error) { return []byte("hidden"), nil }
		d := &documents{r: bufio.NewReader(bytes.NewReader(in)), next: nextEvent, limit: 1 << 10, q: &request{c: c}, f: hide,
			text: func() (protocol.DocFunc, error) { return hide, nil }}
		out, err := io.ReadAll(d)
		if err != nil && !errors.Is(err, errLarge) && d.q.faulty() == nil {
			t.Fatal(err)
		}
		for line := range bytes.SplitSeq(out, []byte("\n")) {
			switch field, _, _ := bytes.Cut(line, []byte(":")); string(field) {
			case "", "event", "id", "retry":
			case "data":
				if string(line) != "data: hidden" && len(bytes.TrimSpace(line)) > len("data:") {
					t.Fatalf("%q", line)
				}
			default:
				t.Fatalf("%q", line)
			}
		}
	})
}

// FuzzFrames: however the bytes of a WebSocket come, the same frames come out;
// each is whole, and a message is one that went through the step.
func FuzzFrames(f *testing.F) {
	f.Add([]byte("\x81\x05hello\x89\x01x\x01\x02he\x80\x03llo\x88\x02\x03\xe8"), 1, false)
	f.Add([]byte("\x81\x85\x01\x02\x03\x04igohn\x82\x80\x00\x00\x00\x00"), 3, true)
	f.Add([]byte("\x81\x7e\x00\x80"+strings.Repeat("x", 128)), 7, false)
	f.Fuzz(func(t *testing.T, in []byte, size int, masked bool) {
		const limit = 1 << 10
		run := func(size int) (messages []string, controls []string, f *frames, err error) {
			f = &frames{masked: masked, limit: limit}
			f.message = func(op byte, m []byte) ([]byte, error) {
				messages = append(messages, string(m))
				return []byte("seen"), nil
			}
			f.control = func(op byte, p []byte) error { controls = append(controls, string(p)); f.frame(op, p); return nil }
			for b := in; len(b) > 0 && err == nil; {
				n := min(max(size, 1), len(b))
				err = f.feed(b[:n])
				b = b[n:]
			}
			return
		}
		m1, c1, f1, err1 := run(size)
		m2, c2, f2, err2 := run(1)
		if strings.Join(m1, "|") != strings.Join(m2, "|") || strings.Join(c1, "|") != strings.Join(c2, "|") || (err1 == nil) != (err2 == nil) || len(f1.out) != len(f2.out) {
			t.Fatalf("in pieces of %d: %q %q %v; of 1: %q %q %v", size, m1, c1, err1, m2, c2, err2)
		}
		if cap(f1.all) > 4*limit || cap(f1.payload) > 4*limit || cap(f1.head) > 64 {
			t.Fatal("it takes memory")
		}
		back := &frames{masked: masked, limit: limit, control: func(byte, []byte) error { c1 = c1[1:]; return nil }, message: func(_ byte, m []byte) ([]byte, error) {
			if string(m) != "seen" {
				t.Fatalf("%q went round the step", m)
			}
			m1 = m1[1:]
			return nil, nil
		}}
		if err := back.feed(f1.out); err != nil || len(m1) > 0 || len(c1) > 0 || len(back.head) > 0 || back.left > 0 {
			t.Fatalf("what comes out is not frames: %v", err)
		}
	})
}
