package httpproxy

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sallyport-dev/gateway/protocol"
)

// eventStream is the media type of server-sent events, and the kind of a document
// that is the data of one and not JSON.
const eventStream = "text/event-stream"

// docKind is the kind of each document in a body, of server-sent events the usual
// one.
func docKind(media string) string {
	if isLines(media) || media == eventStream {
		return "application/json"
	}
	return media
}

func isLines(media string) bool {
	switch media {
	case "application/x-ndjson", "application/ndjson", "application/jsonl", "application/jsonlines", "application/x-jsonlines", "application/stream+json":
		return true
	}
	return false
}

// isText reports whether bodies of that media type are read as text.
func isText(media string) bool {
	switch media {
	case "application/xml", "application/javascript", "application/yaml", "application/x-yaml", "application/x-www-form-urlencoded", "application/toml", "application/sql":
		return true
	}
	return strings.HasPrefix(media, "text/") && media != "text/json" || strings.HasPrefix(media, "application/") && strings.HasSuffix(media, "+xml")
}

// guarded returns f, unless that is nil, as it is called: its panic ends the
// session.
func (q *request) guarded(f protocol.DocFunc) protocol.DocFunc {
	if f == nil {
		return nil
	}
	return func(b []byte) (out []byte, err error) {
		err = q.guard(func() (err error) { out, err = f(b); return err })
		return out, err
	}
}

var errLarge = errors.New("a document that is too large to be looked at")

// documents is a stream of documents that a step rewrites one by one.
type documents struct {
	r     *bufio.Reader
	f     protocol.DocFunc                 // for JSON; nil: it is left alone
	next  func(*documents) ([]byte, error) // what takes the next one's place; io.EOF behind the last
	limit int64
	q     *request
	text  func() (protocol.DocFunc, error) // asks for f of data that is not JSON
	begun bool                             // the first line of events was read
	out   []byte
	err   error
}

// Read implements io.Reader.
func (d *documents) Read(b []byte) (int, error) {
	for len(d.out) == 0 {
		if d.err != nil {
			return 0, d.err
		}
		if d.out, d.err = d.next(d); d.err != nil && d.err != io.EOF {
			d.out = nil
			d.q.fault(&stepError{d.err})
		}
	}
	n := copy(b, d.out)
	d.out = d.out[n:]
	return n, nil
}

// line returns the next line without the LF at its end.
func (d *documents) line(limit int64) ([]byte, error) {
	var all []byte
	for {
		part, err := d.r.ReadSlice('\n')
		if int64(len(all)+len(part)) > limit {
			return nil, errLarge
		}
		all = append(all, part...)
		switch {
		case err == nil:
			return all[:len(all)-1], nil
		case errors.Is(err, bufio.ErrBufferFull):
		default:
			return all, err
		}
	}
}

func nextLine(d *documents) ([]byte, error) {
	line, err := d.line(d.limit)
	if err != nil && err != io.EOF {
		return nil, err
	}
	doc, cr := bytes.CutSuffix(line, []byte("\r"))
	if len(bytes.TrimSpace(doc)) > 0 {
		var ferr error
		if doc, ferr = d.f(doc); ferr != nil {
			return nil, ferr
		}
	}
	out := append([]byte(nil), doc...)
	if cr {
		out = append(out, '\r')
	}
	if err == nil {
		out = append(out, '\n')
	}
	return out, err
}

// data returns what takes the place of an event's data.
func (d *documents) data(data []byte) ([]byte, error) {
	f := d.f
	switch {
	case len(bytes.TrimSpace(data)) == 0: // many targets keep connections alive so
		return data, nil
	case !json.Valid(data):
		var err error
		if f, err = d.text(); err != nil {
			return nil, err
		}
		if f != nil && (!utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0) {
			return nil, errText
		}
	}
	if f == nil {
		return data, nil
	}
	return f(data)
}

// nextEvent reads a server-sent event. Its data is a document, JSON or else a
// text; comments, which nobody shows, lose their text.
func nextEvent(d *documents) ([]byte, error) {
	var out, data []byte
	has, left := false, d.limit
	for {
		line, err := d.line(left)
		if err != nil { // an event that does not end is none
			return nil, err
		}
		line = bytes.TrimSuffix(line, []byte("\r"))
		if !d.begun {
			line, d.begun = bytes.TrimPrefix(line, mark), true
		}
		if bytes.IndexByte(line, '\r') >= 0 {
			return nil, errors.New("an event stream with lines that end in CR")
		}
		left -= int64(len(line) + 1)
		if len(line) == 0 {
			break
		}
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "":
			out = append(out, ":\n"...)
		case "data":
			if has {
				data = append(data, '\n')
			}
			has, data = true, append(data, value...)
		case "event", "id":
			out = append(append(out, line...), '\n')
		case "retry":
			if _, err := strconv.ParseUint(string(value), 10, 64); err == nil { // else nobody reads it
				out = append(append(out, line...), '\n')
			}
		}
	}
	if has {
		masked, err := d.data(data)
		if err != nil {
			return nil, err
		}
		for line := range bytes.SplitSeq(masked, []byte("\n")) {
			out = append(append(append(out, "data: "...), line...), '\n')
		}
	}
	return append(out, '\n'), nil
}
