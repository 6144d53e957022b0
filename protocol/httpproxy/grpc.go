package httpproxy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"

	"github.com/sallyport-dev/gateway/protocol"
)

// grpcKind reports whether a media type is that of gRPC or of gRPC-Web, and in
// which form its messages are.
func grpcKind(media string) (form string, ok bool) {
	base, form, _ := strings.Cut(media, "+")
	if base != "application/grpc" && base != "application/grpc-web" { // -web-text is in base64
		return "", false
	}
	if form == "" {
		form = "proto"
	}
	return form, true
}

// grpcDocs returns what rewrites each message of a response: steps see it as JSON,
// where it is that or the target's descriptors say how to read it. Otherwise they
// see only that there is something of that media type.
func (q *request) grpcDocs(media, form string) (protocol.DocFunc, error) {
	var rewrite func([]byte, protocol.DocFunc) ([]byte, error)
	switch {
	case form == "json":
		rewrite = func(b []byte, f protocol.DocFunc) ([]byte, error) { return f(b) }
	case form == "proto" && q.target.services != nil:
		if t := q.target.services.output(q.inner()); t != nil {
			rewrite = func(b []byte, f protocol.DocFunc) ([]byte, error) {
				return q.target.services.rewrite(t, b, q.c.s.maxDocument(), f)
			}
		}
	}
	if rewrite == nil {
		return q.x.Docs(media)
	}
	f, err := q.x.Docs("application/json")
	if f == nil || err != nil {
		return nil, err
	}
	return func(b []byte) (out []byte, err error) {
		err = q.guard(func() (err error) { out, err = rewrite(b, f); return err }) // the library reads a target's bytes
		return out, err
	}, nil
}

// messages is a stream of gRPC messages that a step rewrites one by one, in the
// framing of https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md: a byte
// of flags, four of length. What is refused ends the stream as if the target had
// ended it, and err says why: gRPC tells its clients in trailers.
type messages struct {
	r     io.Reader
	f     protocol.DocFunc
	code  string // of messages that are compressed
	limit int64
	q     *request
	web   bool // it is gRPC-Web, whose trailers are in the body
	out   []byte
	done  error
	err   error // the step's
}

// Flags of a message. gRPC-Web has its trailers in the last.
const (
	messageCompressed = 1
	messageTrailers   = 0x80
)

// Read implements io.Reader.
func (m *messages) Read(b []byte) (int, error) {
	for len(m.out) == 0 {
		if m.done != nil {
			return 0, m.done
		}
		m.out, m.done = m.next()
		var step *stepError
		if errors.As(m.done, &step) {
			m.out, m.err, m.done = nil, m.done, io.EOF
			if m.web {
				m.out = frameOf(messageTrailers, appendTrailers(nil, refusedTrailers(m.err)))
			}
			m.q.fault(m.err)
		}
	}
	n := copy(b, m.out)
	m.out = m.out[n:]
	return n, nil
}

// next returns what takes the next message's place.
func (m *messages) next() ([]byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(m.r, head[:]); err != nil {
		return nil, err
	}
	size := int64(binary.BigEndian.Uint32(head[1:]))
	if size > m.limit {
		return nil, &stepError{errLarge}
	}
	var b bytes.Buffer // grows with what comes
	if _, err := io.CopyN(&b, m.r, size); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	payload := b.Bytes()
	if head[0]&messageCompressed != 0 {
		var err error
		if payload, err = m.unpack(payload); err != nil {
			return nil, &stepError{err}
		}
	}
	var err error
	switch head[0] &^ messageCompressed {
	case 0:
		payload, err = m.f(payload)
	case messageTrailers:
		payload, err = m.trailers(payload)
	default:
		err = errors.New("a message with flags that nobody knows")
	}
	if err != nil {
		return nil, &stepError{err}
	}
	return frameOf(head[0]&^messageCompressed, payload), nil
}

func frameOf(flags byte, payload []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{flags}, uint32(len(payload))), payload...)
}

func (m *messages) unpack(b []byte) ([]byte, error) {
	if m.code == "" || m.code == "identity" {
		return nil, errors.New("a message that is compressed in no way")
	}
	r, err := unpack(m.code, bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	out, err := io.ReadAll(io.LimitReader(r, m.limit+1))
	if err == nil && int64(len(out)) > m.limit {
		err = errLarge
	}
	return out, err
}

// trailers returns the trailers of gRPC-Web as they are shown.
func (m *messages) trailers(b []byte) ([]byte, error) {
	h := http.Header{}
	for line := range strings.SplitSeq(string(b), "\r\n") {
		if name, value, ok := strings.Cut(line, ":"); ok {
			h.Add(textproto.TrimString(name), textproto.TrimString(value))
		}
	}
	return appendTrailers(nil, m.q.grpcTrailers(h)), nil
}

// appendTrailers appends trailers as gRPC-Web has them.
func appendTrailers(b []byte, h http.Header) []byte {
	for name, values := range h {
		b = fmt.Appendf(b, "%s: %s\r\n", strings.ToLower(name), values[0])
	}
	return b
}

// refusedTrailers tell what a step has refused.
func refusedTrailers(err error) http.Header {
	e := refusalOf(err)
	return http.Header{"Grpc-Status": {strconv.Itoa(grpcStatus(e.status))}, "Grpc-Message": {url.PathEscape(e.d.Reason)}}
}

// grpcBody returns what takes the place of a body of gRPC messages, and what is to
// be done when it has come to its end.
func (q *request) grpcBody(res *http.Response, body io.Reader, f protocol.DocFunc) (io.Reader, func()) {
	web := strings.HasPrefix(strings.ToLower(res.Header.Get("Content-Type")), "application/grpc-web")
	m := &messages{r: body, f: f, web: web, code: strings.ToLower(res.Header.Get("Grpc-Encoding")), limit: q.c.s.maxDocument(), q: q}
	res.Header.Del("Grpc-Encoding")
	res.Trailer = nil // none are announced: which there are is known behind the body
	return m, func() {
		deleteOfBody(res.Header)
		if m.err == nil {
			res.Trailer = q.grpcTrailers(res.Trailer)
			return
		}
		res.Trailer = nil
		if !m.web {
			res.Trailer = refusedTrailers(m.err)
		}
	}
}

// grpcHead takes out of the head of a response what trailers would not show, if
// the head is all that there is.
func (q *request) grpcHead(h http.Header) {
	if h["Grpc-Status"] == nil {
		return
	}
	shown := q.grpcTrailers(h)
	for _, name := range []string{"Content-Type", "Content-Length", "Date", "Grpc-Accept-Encoding"} {
		if h[name] != nil {
			shown[name] = h[name]
		}
	}
	clear(h)
	maps.Copy(h, shown)
}

// grpcTrailers returns those trailers of a call that are shown where a step looks
// for what is not to be: the status, and its message as far as steps let texts pass.
func (q *request) grpcTrailers(h http.Header) http.Header {
	out := http.Header{}
	if s := h["Grpc-Status"]; len(s) == 1 {
		if _, err := strconv.ParseUint(s[0], 10, 32); err == nil {
			out["Grpc-Status"] = s
		}
	}
	if text := h.Get("Grpc-Message"); text != "" {
		out["Grpc-Message"] = []string{url.PathEscape(q.grpcMessage(text))}
	}
	return out
}

// grpcMessage returns what is shown of a status's text.
func (q *request) grpcMessage(text string) string {
	const none = "the gateway leaves out the target's message"
	text, err := url.PathUnescape(text)
	if err != nil {
		return none
	}
	b := []byte(text)
	err = q.guard(func() error {
		doc, err := q.x.Docs("text/plain")
		if err == nil && doc != nil {
			b, err = doc(b)
		}
		if err != nil {
			return err
		}
		stream, err := q.x.Bytes(protocol.Stream{Name: "response", Kind: "text/plain"})
		if err == nil && stream != nil {
			b, err = stream(b, true)
		}
		return err
	})
	if err != nil {
		return none
	}
	return string(b)
}
