package httpproxy

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/sallyport-dev/gateway/protocol"
)

// The opcodes and the status codes of RFC 6455 that are used here.
const (
	wsMore, wsText, wsBinary = 0, 1, 2
	wsClose, wsPing, wsPong  = 8, 9, 10

	wsProtocolError   = 1002
	wsBadText         = 1007
	wsPolicyViolation = 1008
	wsTooLarge        = 1009
)

const (
	maxControl = 125      // bytes, of a control frame's payload
	maxPings   = 16       // of a client that wait for their answer
	maxKept    = 64 << 10 // bytes of memory that are used again
)

// A wsError is why a WebSocket ends, in the form in which a client hears it.
type wsError struct {
	code uint16
	err  error
}

// Error returns the reason.
func (e *wsError) Error() string { return "httpproxy: WebSocket: " + e.err.Error() }

// Unwrap returns what is behind it, such as a step's error.
func (e *wsError) Unwrap() error { return e.err }

func wsBad(format string, args ...any) error {
	return &wsError{wsProtocolError, fmt.Errorf(format, args...)}
}

// webSocket is the target's side of a WebSocket whose messages steps look at. A
// message goes on when all of it is there and was looked at, in one frame. Pings
// are answered here: what they, their answers and a closing target say besides
// is shown to nobody.
type webSocket struct {
	io.ReadWriteCloser
	q       *request
	in, out frames
	err     error // of reading, behind what is left of out

	life sync.RWMutex // held while steps are asked
	over bool         // the operation has ended

	exchange sync.Mutex // both directions ask for the steps' functions
	docs     map[string]protocol.DocFunc

	mu    sync.Mutex // guards pings, and what is written to the target: whole frames
	pings [][]byte   // of the client, unanswered

	broken atomic.Pointer[error] // nothing is passed on any more, for this reason
	told   bool                  // the client was
	gone   chan struct{}         // closed with the webSocket
	close  sync.Once
}

// lingers is how long a client that was told why a WebSocket ends may take to end
// its side: what it still sends would else destroy what it was told.
const lingers = time.Second

// webSocket shows the messages of an upgraded connection to the steps.
func (q *request) webSocket(res *http.Response) error {
	if len(res.Header["Sec-Websocket-Extensions"]) > 0 { // none was asked for
		return refuse(http.StatusBadGateway, "the target's WebSocket has an extension that nobody asked for")
	}
	rwc, ok := res.Body.(io.ReadWriteCloser)
	if !ok {
		return errors.New("httpproxy: an upgraded connection that cannot be written to")
	}
	w := &webSocket{ReadWriteCloser: rwc, q: q, docs: map[string]protocol.DocFunc{}, gone: make(chan struct{})}
	w.in = frames{masked: true, limit: q.c.s.maxDocument(), message: w.sent, control: w.fromClient}
	w.out = frames{limit: q.c.s.maxDocument(), message: w.came, control: w.fromTarget}
	res.Body, q.socket = w, w
	return nil
}

// end waits until no step is asked, and then none is any more.
func (w *webSocket) end() {
	w.life.Lock()
	w.over = true
	w.life.Unlock()
}

// feed shows the steps what is in b, which moved in f's direction.
func (w *webSocket) feed(f *frames, b []byte) error {
	w.life.RLock()
	defer w.life.RUnlock()
	if w.over {
		return protocol.ErrClosed
	}
	if f.masked {
		w.q.bytesIn.Add(int64(len(b)))
	} else {
		w.q.bytes += int64(len(b))
	}
	err := f.feed(b)
	if err != nil {
		w.q.fault(err)
	}
	return err
}

// Write takes what the client sends, and sends on whole frames. Behind what cannot
// be sent on nothing is: Read tells the client why.
func (w *webSocket) Write(b []byte) (int, error) {
	if w.broken.Load() != nil {
		return len(b), nil
	}
	err := w.feed(&w.in, b)
	if len(w.in.out) > 0 {
		if werr := w.write(w.in.out); werr != nil {
			return 0, werr
		}
		w.in.out = again(w.in.out)
	}
	if err != nil {
		w.breaks(err) // which wakes Read
	}
	return len(b), nil
}

// breaks has nothing passed on any more.
func (w *webSocket) breaks(err error) {
	w.broken.CompareAndSwap(nil, &err)
	_ = w.ReadWriteCloser.Close()
}

// Close implements io.Closer.
func (w *webSocket) Close() error {
	w.close.Do(func() { close(w.gone) })
	return w.ReadWriteCloser.Close()
}

func (w *webSocket) write(frames []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err := w.ReadWriteCloser.Write(frames)
	return err
}

// Read returns whole frames of what the target sends. A stream that ends for a
// reason of the gateway's ends with a frame that says so.
func (w *webSocket) Read(b []byte) (int, error) {
	for len(w.out.out) == w.out.read {
		if w.told {
			select {
			case <-w.gone:
			case <-time.After(lingers):
			}
		}
		if w.err != nil {
			return 0, w.err
		}
		w.out.out, w.out.read = again(w.out.out), 0
		n, err := w.ReadWriteCloser.Read(b)
		var ferr error
		if broken := w.broken.Load(); broken != nil {
			ferr = *broken
		} else {
			ferr = w.feed(&w.out, b[:n])
		}
		if ferr == nil {
			w.err = err
			continue
		}
		w.breaks(ferr)
		w.err, w.told = ferr, true
		code, reason := uint16(wsPolicyViolation), protocol.Reason(ferr)
		var e *wsError
		if errors.As(ferr, &e) {
			code, reason = e.code, ""
		}
		for len(reason) > maxControl-2 || !utf8.ValidString(reason) {
			reason = reason[:min(len(reason), maxControl-1)-1]
		}
		w.out.frame(wsClose, append(binary.BigEndian.AppendUint16(nil, code), reason...))
	}
	n := copy(b, w.out.out[w.out.read:])
	w.out.read += n
	return n, nil
}

// sent shows the steps a message of the client.
func (w *webSocket) sent(op byte, message []byte) ([]byte, error) {
	return w.shown(message, protocol.Stream{Name: "request", In: true, Kind: messageKind(op, message)})
}

// came shows the steps a message of the target.
func (w *webSocket) came(op byte, message []byte) (out []byte, err error) {
	kind := messageKind(op, message)
	if w.q.x.WantsDocs() {
		err = w.q.guard(func() error {
			w.exchange.Lock()
			f, ok := w.docs[kind]
			if !ok {
				f, err = w.q.x.Docs(kind)
				w.docs[kind] = f
			}
			w.exchange.Unlock()
			if f != nil && err == nil {
				message, err = f(message)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return w.shown(message, protocol.Stream{Name: "response", Kind: kind})
}

// messageKind returns the media type of a message, which does not say it.
func messageKind(op byte, message []byte) string {
	switch {
	case op != wsText:
		return "application/octet-stream"
	case json.Valid(message):
		return "application/json"
	}
	return "text/plain"
}

// shown shows the steps a message as a stream of bytes.
func (w *webSocket) shown(message []byte, s protocol.Stream) (out []byte, err error) {
	err = w.q.guard(func() error {
		w.exchange.Lock()
		f, err := w.q.x.Bytes(s)
		w.exchange.Unlock()
		if out = message; f != nil && err == nil {
			out, err = f(message, true)
		}
		return err
	})
	return out, err
}

// fromClient passes on a control frame of the client.
func (w *webSocket) fromClient(op byte, payload []byte) error {
	if op == wsPing {
		w.mu.Lock()
		if len(w.pings) == maxPings {
			w.pings = w.pings[1:]
		}
		w.pings = append(w.pings, slices.Clone(payload))
		w.mu.Unlock()
	}
	w.in.frame(op, payload)
	return nil
}

// fromTarget passes on what a control frame of the target says to everybody.
func (w *webSocket) fromTarget(op byte, payload []byte) error {
	switch op {
	case wsClose: // the reason is left out
		w.out.frame(op, payload[:min(len(payload), 2)])
		return nil
	case wsPing: // the client's answer to a ping without payload answers nothing
		pong := frames{masked: true}
		pong.frame(wsPong, payload)
		if err := w.write(pong.out); err != nil {
			return err
		}
		w.out.frame(op, nil)
		return nil
	}
	w.mu.Lock()
	i := slices.IndexFunc(w.pings, func(p []byte) bool { return string(p) == string(payload) })
	if i >= 0 { // it answers those before it too
		w.pings = w.pings[i+1:]
	} else {
		payload = nil
	}
	w.mu.Unlock()
	w.out.frame(op, payload)
	return nil
}

// frames reads the frames of one direction, RFC 6455 section 5.2, and writes
// others in their place to out.
type frames struct {
	masked  bool // it is the client's direction
	limit   int64
	message func(op byte, message []byte) ([]byte, error)
	control func(op byte, payload []byte) error

	head    []byte // of the frame, as far as it has come
	op      byte   // of the frame
	final   bool
	key     [4]byte
	at      int    // in the key
	left    uint64 // of the frame's payload
	payload []byte // of a control frame
	kind    byte   // of the message that has begun; 0: none
	all     []byte // of the message, so far
	closed  bool

	out  []byte
	read int // of out
}

// feed takes the next bytes. After an error nothing may be fed.
func (f *frames) feed(b []byte) error {
	for len(b) > 0 {
		if f.closed { // nothing comes behind the closing frame
			return nil
		}
		if f.left == 0 {
			n, done, err := f.header(b)
			if b = b[n:]; err != nil {
				return err
			}
			if !done {
				continue
			}
		}
		n := int(min(f.left, uint64(len(b))))
		to := &f.all
		if f.op >= wsClose {
			to = &f.payload
		}
		*to = append(*to, b[:n]...)
		if f.masked {
			f.unmask((*to)[len(*to)-n:])
		}
		b = b[n:]
		if f.left -= uint64(n); f.left == 0 {
			if err := f.end(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *frames) unmask(b []byte) {
	for i := range b {
		b[i] ^= f.key[f.at&3]
		f.at++
	}
}

// header takes what of b belongs to a frame's header and reports whether it is
// complete.
func (f *frames) header(b []byte) (n int, done bool, err error) {
	need := 2
	for {
		if len(f.head) >= 2 {
			need = 2 + map[byte]int{126: 2, 127: 8}[f.head[1]&0x7f]
			if f.masked {
				need += 4
			}
		}
		if len(f.head) == need {
			break
		}
		if n == len(b) {
			return n, false, nil
		}
		f.head = append(f.head, b[n])
		n++
	}
	first, second := f.head[0], f.head[1]
	f.op, f.final = first&0x0f, first&0x80 != 0
	length := uint64(second & 0x7f)
	shortest := uint64(0)
	switch length {
	case 126:
		length, shortest = uint64(binary.BigEndian.Uint16(f.head[2:])), 126
	case 127:
		length, shortest = binary.BigEndian.Uint64(f.head[2:]), 1<<16
	}
	switch {
	case first&0x70 != 0:
		return n, false, wsBad("a reserved bit")
	case (second&0x80 != 0) != f.masked:
		return n, false, wsBad("the frame's mask")
	case length < shortest || length > 1<<63-1:
		return n, false, wsBad("the frame's length")
	case f.op >= wsClose && (f.op > wsPong || !f.final || length > maxControl || f.op == wsClose && length == 1):
		return n, false, wsBad("a control frame")
	case f.op > wsBinary && f.op < wsClose:
		return n, false, wsBad("opcode %d", f.op)
	case f.op < wsClose && (f.op == wsMore) != (f.kind != 0):
		return n, false, wsBad("a message within another, or none")
	case f.op < wsClose && length > uint64(f.limit)-uint64(len(f.all)):
		return n, false, &wsError{wsTooLarge, errLarge}
	}
	if f.op == wsText || f.op == wsBinary {
		f.kind = f.op
	}
	if f.masked {
		copy(f.key[:], f.head[len(f.head)-4:])
	}
	f.head, f.at, f.left = f.head[:0], 0, length
	if length == 0 {
		return n, false, f.end()
	}
	return n, true, nil
}

// end is the end of a frame.
func (f *frames) end() error {
	if f.op >= wsClose {
		payload := f.payload
		f.payload, f.closed = f.payload[:0], f.op == wsClose
		if f.closed && len(payload) > 0 {
			switch code := binary.BigEndian.Uint16(payload); {
			case code < 1000 || code > 1014 && code < 3000 || code > 4999 || code >= 1004 && code <= 1006: // RFC 6455, section 7.4
				return wsBad("the status code %d", code)
			case !utf8.Valid(payload[2:]):
				return &wsError{wsBadText, errText}
			}
		}
		return f.control(f.op, payload)
	}
	if !f.final {
		return nil
	}
	kind, all := f.kind, f.all
	f.kind, f.all = 0, again(f.all)
	if kind == wsText && !utf8.Valid(all) {
		return &wsError{wsBadText, errText}
	}
	message, err := f.message(kind, all)
	if err != nil {
		return err
	}
	f.frame(kind, message)
	return nil
}

// frame appends a whole frame to out.
func (f *frames) frame(op byte, payload []byte) {
	second := byte(0)
	if f.masked {
		second = 0x80
	}
	f.out = append(f.out, 0x80|op)
	switch n := len(payload); {
	case n < 126:
		f.out = append(f.out, second|byte(n))
	case n < 1<<16:
		f.out = binary.BigEndian.AppendUint16(append(f.out, second|126), uint16(n))
	default:
		f.out = binary.BigEndian.AppendUint64(append(f.out, second|127), uint64(n))
	}
	if !f.masked {
		f.out = append(f.out, payload...)
		return
	}
	// A key that the client knows would let it choose the bytes that are sent.
	var key [4]byte
	_, _ = rand.Read(key[:]) // never fails: it ends the process if the system has no randomness
	f.out = append(f.out, key[:]...)
	for i, c := range payload {
		f.out = append(f.out, c^key[i&3])
	}
}

// again returns memory for the next bytes.
func again(b []byte) []byte {
	if cap(b) > maxKept {
		return nil
	}
	return b[:0]
}
