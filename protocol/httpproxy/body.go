package httpproxy

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"github.com/sallyport-dev/gateway/protocol"
)

// A stepError is what a step said about a body or the record, or why none could
// be asked.
type stepError struct{ error }

// Unwrap returns the step's error.
func (e *stepError) Unwrap() error { return e.error }

// tapBody lets the steps see the body of the request.
func (q *request) tapBody() error {
	r := q.in
	if r.ContentLength == 0 {
		return nil
	}
	var f protocol.BytesFunc
	if err := protocol.Guard(func() (err error) {
		kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
		f, err = q.x.Bytes(protocol.Stream{Name: "request", In: true, Kind: kind})
		return err
	}); err != nil {
		return err
	}
	in := r.Body
	counted := &counter{r: in, add: func(n int) { q.bytesIn.Add(int64(n)) }}
	if q.bytesIn.Load() > 0 { // was read before
		counted.add = func(int) {}
	}
	body := io.Reader(counted)
	if f != nil {
		body = &tapped{src: &direct{r: counted}, f: f, q: q}
		r.ContentLength = -1 // its header is left alone: who waits for this may read others
	}
	r.Body = readCloser{body, in}
	return nil
}

type readCloser struct {
	io.Reader
	io.Closer
}

type counter struct {
	r   io.Reader
	add func(int)
	eof func()
}

// Read implements io.Reader.
func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.add(n)
	if err == io.EOF && c.eof != nil {
		c.eof()
	}
	return n, err
}

// response looks at the target's response before anything of it is shown.
func (q *request) response(res *http.Response) error {
	q.status = res.StatusCode
	if res.StatusCode < 200 && res.StatusCode != http.StatusSwitchingProtocols { // net/http takes any three digits
		return refuse(http.StatusBadGateway, "the target answered with a status that is none")
	}
	if res.StatusCode == http.StatusUnauthorized && q.target.auth != "none" && !q.cred.Secret.Empty() {
		q.target.refused()
		_ = res.Body.Close()
		return refuse(http.StatusBadGateway, "the target refused the gateway's login") // its text may quote the secret
	}
	q.locals(res.Header)
	if q.bare {
		res.Header.Del("Content-Length")
	}
	if q.target.conceal(res.Header, q.cred) && res.StatusCode/100 == 3 { // its page says where, too
		_ = res.Body.Close()
		res.Body, res.ContentLength = http.NoBody, 0
		for _, name := range []string{"Content-Type", "Content-Encoding"} {
			res.Header.Del(name)
		}
		res.Header.Set("Content-Length", "0")
	}
	if res.StatusCode == http.StatusSwitchingProtocols {
		if !q.upgrade {
			return refuse(http.StatusBadGateway, "the target wants to speak another protocol")
		}
		q.whole = true
		if q.x.Plain() {
			return nil
		}
		return q.webSocket(res)
	}
	if q.x.Plain() {
		res.Body = &targetBody{ReadCloser: res.Body, q: q, counts: true}
		return nil
	}
	res.Body = &targetBody{ReadCloser: res.Body, q: q}
	body, err := q.tapped(res)
	if err != nil {
		_ = res.Body.Close()
		return err
	}
	res.Body = body
	return nil
}

// A targetBody is a body that ends the request when it is closed before its end.
// Over HTTP/2 Close would else wait for the client to end its side.
type targetBody struct {
	io.ReadCloser
	q      *request
	counts bool // as q's response; else what is made of it is counted
	whole  atomic.Bool
}

// Read implements io.Reader.
func (b *targetBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.counts {
		b.q.bytes += int64(n)
	}
	if err == io.EOF {
		b.whole.Store(true)
		b.q.whole = b.q.whole || b.counts
	}
	return n, err
}

// Close implements io.Closer.
func (b *targetBody) Close() error {
	if !b.whole.Load() {
		b.q.stop()
	}
	return b.ReadCloser.Close()
}

// counted notes how much of the response there was, and that it was whole.
func (q *request) counted(r io.Reader, c io.Closer, eof func()) io.ReadCloser {
	return readCloser{&counter{r, func(n int) { q.bytes += int64(n) }, func() {
		q.whole = true
		if eof != nil {
			eof()
		}
	}}, c}
}

// tapped lets the steps see the body of the response and returns what takes its
// place.
func (q *request) tapped(res *http.Response) (io.ReadCloser, error) {
	kind, params, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	said := kind
	if err != nil {
		kind, said, params = "application/octet-stream", "", nil
	}
	none := res.Request.Method == http.MethodHead || res.StatusCode == http.StatusNoContent || res.StatusCode == http.StatusNotModified || res.ContentLength == 0
	if q.x.WantsDocs() && !none && len(res.Header["Content-Type"]) > 1 {
		return nil, &stepError{errors.New("a body of two kinds")}
	}
	form, isGRPC := grpcKind(kind)
	var doc protocol.DocFunc
	var stream protocol.BytesFunc
	hides := false // what gRPC says beside its messages
	if err := q.guard(func() (err error) {
		switch {
		case !q.x.WantsDocs():
		case isGRPC:
			if doc, err = q.grpcDocs(kind, form); doc != nil || err != nil {
				hides = true
				q.grpcHead(res.Header)
			}
			if none { // there is no message to refuse
				doc, err = nil, nil
			}
		case none:
		default:
			doc, err = q.x.Docs(docKind(kind))
		}
		if err != nil {
			return err
		}
		stream, err = q.x.Bytes(protocol.Stream{Name: "response", Kind: said})
		return err
	}); err != nil {
		return nil, &stepError{err}
	}
	body, announced := io.Reader(res.Body), none || res.ContentLength >= 0
	var eof func()
	if none && (q.x.WantsDocs() || stream != nil) {
		hide := q.x.WantsDocs() && (hides || !isGRPC)
		changed(res, hide)
		if res.Request.Method != http.MethodHead {
			res.Header.Set("Content-Length", "0")
		}
		eof = func() {
			trailer := res.Trailer
			if changed(res, hide); hides {
				res.Trailer = q.grpcTrailers(trailer)
			}
		}
	}
	looks := !none && (doc != nil || q.x.WantsDocs() && (kind == eventStream || stream != nil && isText(kind))) // for what is not to be shown
	if looks || stream != nil && !none {
		if res.StatusCode == http.StatusPartialContent || res.StatusCode == http.StatusIMUsed {
			return nil, &stepError{errors.New("a part of a body")} // though all of it was asked for
		}
		if body, err = decoded(res); err != nil {
			var r *refusal
			if errors.As(err, &r) {
				return nil, err
			}
			return nil, &stepError{err}
		}
		changed(res, looks)
		res.ContentLength = -1
		eof = func() { changed(res, looks) } // its trailers are there now
	}
	if looks {
		switch cs := params["charset"]; {
		case cs == "" || strings.EqualFold(cs, "utf-8") || strings.EqualFold(cs, "us-ascii"):
		case !isText(kind):
			return nil, &stepError{fmt.Errorf("a document in %s", cs)}
		default:
			return nil, refuse(http.StatusForbidden, fmt.Sprintf("a step has to look into this text, and cannot read %.20q", cs))
		}
		if isText(kind) && kind != eventStream { // which is UTF-8 by itself
			if params["charset"] == "" { // what is said here counts more than what a page or an XML declaration says
				res.Header.Set("Content-Type", res.Header.Get("Content-Type")+"; charset=utf-8")
			}
			body = &text{r: body}
		}
		res.Header.Set("Cache-Control", "no-store") // it is this client's view
	}
	f, limit := q.guarded(doc), q.c.s.maxDocument()
	switch {
	case !looks:
	case kind == eventStream:
		text := sync.OnceValues(func() (f protocol.DocFunc, err error) {
			err = q.guard(func() (err error) { f, err = q.x.Docs(eventStream); return err })
			return q.guarded(f), err
		})
		body = &documents{r: bufio.NewReader(body), f: f, text: text, next: nextEvent, limit: limit, q: q}
	case doc == nil: // a text, which goes through the taps on bytes
	case isGRPC:
		body, eof = q.grpcBody(res, body, doc)
	case isLines(kind):
		body = &documents{r: bufio.NewReader(body), f: f, next: nextLine, limit: limit, q: q}
	default:
		b, err := io.ReadAll(io.LimitReader(body, limit+1))
		if err != nil {
			return nil, err
		}
		if int64(len(b)) > limit {
			return nil, &stepError{fmt.Errorf("a document of more than %d bytes", limit)}
		}
		if len(b) > 0 {
			doc, marked := bytes.CutPrefix(b, mark) // which is none of the document's
			if b, err = f(doc); err != nil {
				return nil, &stepError{err}
			}
			if marked {
				b = append(bytes.Clone(mark), b...)
			}
		}
		body = bytes.NewReader(b)
		if stream == nil {
			res.ContentLength = int64(len(b))
			res.Header.Set("Content-Length", strconv.Itoa(len(b)))
		}
	}
	if stream == nil {
		return q.counted(body, res.Body, eof), nil
	}
	if announced || doc != nil || looks && kind == eventStream { // it is on its way, or comes in documents
		return q.counted(&tapped{src: &direct{r: body}, f: stream, q: q}, res.Body, eof), nil
	}
	p := newPaced(q, body)
	return q.counted(&tapped{src: p, f: stream, q: q}, closers{res.Body, p}, eof), nil
}

// guard runs a step's function; its panic ends the session.
func (q *request) guard(f func() error) error {
	err := protocol.Guard(f)
	var p *protocol.PanicError
	if errors.As(err, &p) {
		q.c.fail(q.session, err)
	}
	return err
}

// ofBody are names, and beginnings of names, of headers that speak of a body's
// bytes: of their number, a digest, a signature.
var ofBody = []string{"Content-Length", "Content-Encoding", "Etag", "Content-Md5", "Digest", "Content-Digest", "Repr-Digest",
	"Accept-Ranges", "Content-Range", "Signature", "Signature-Input", "Last-Modified", "Delta-Base", "Im", "X-Amz-Checksum-", "X-Checksum-",
	"X-Goog-Hash", "X-Goog-Stored-Content-Length", "X-Content-Length", "X-Original-Content-Length", "X-Uncompressed-Content-Length"}

// changed takes out of a response what spoke of the body as it was; and all
// trailers, where a step looks into the body for what is not to be shown.
func changed(res *http.Response, looks bool) {
	deleteOfBody(res.Header)
	if deleteOfBody(res.Trailer); looks {
		res.Trailer = nil
	}
}

func deleteOfBody(h http.Header) {
	for name := range h {
		for _, of := range ofBody {
			if name == of || strings.HasSuffix(of, "-") && strings.HasPrefix(name, of) {
				delete(h, name)
			}
		}
	}
}

// mark is what some programs begin a text in UTF-8 with.
var mark = []byte("\ufeff")

// text is a stream that has to be UTF-8, without the NUL of wider encodings.
type text struct {
	r    io.Reader
	part []byte // the begin of a character
}

var errText = errors.New("a text that is not UTF-8")

// Read implements io.Reader.
func (t *text) Read(b []byte) (int, error) {
	n, err := t.r.Read(b)
	all := b[:n]
	if len(t.part) > 0 {
		all = append(t.part, all...)
	}
	rest := len(all)
	for i := 1; i < utf8.UTFMax && i <= len(all); i++ {
		if tail := all[len(all)-i:]; utf8.RuneStart(tail[0]) && !utf8.FullRune(tail) {
			rest = len(all) - i
		}
	}
	t.part = append([]byte(nil), all[rest:]...)
	if !utf8.Valid(all[:rest]) || bytes.IndexByte(all, 0) >= 0 || err == io.EOF && len(t.part) > 0 {
		return 0, &stepError{errText}
	}
	return n, err
}
