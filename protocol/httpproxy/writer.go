package httpproxy

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"
)

// writer is a ResponseWriter whose connection may become another protocol's.
type writer struct {
	http.ResponseWriter
	c     *conn
	watch *watch // nil for HTTP/1.1, whose connection has a deadline
	begun bool   // the head is written
	whole bool   // so is the rest
}

func newWriter(w http.ResponseWriter, c *conn) *writer {
	out := &writer{ResponseWriter: w, c: c}
	if c.h1 == nil {
		out.watch = watches.Get().(*watch)
		out.watch.w = w
	}
	return out
}

// close is for when nothing more is written.
func (w *writer) close() {
	if w.watch != nil {
		w.watch.w = nil
		watches.Put(w.watch)
	}
}

// Write implements http.ResponseWriter. A client of HTTP/2 that takes nothing
// keeps its connection alive, and its response waiting, for as long as it likes.
func (w *writer) Write(b []byte) (int, error) {
	if w.watch != nil {
		w.watch.begin(w.c.s.stallTimeout())
		defer w.watch.end()
	}
	return w.ResponseWriter.Write(b)
}

// FlushError serves http.ResponseController.
func (w *writer) FlushError() error {
	if w.watch != nil {
		w.watch.begin(w.c.s.stallTimeout())
		defer w.watch.end()
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// A watch resets the stream of w if a write takes too long.
type watch struct {
	w     http.ResponseWriter
	timer *time.Timer
	late  chan struct{} // holds one, when the timer has done its work
}

var watches = sync.Pool{New: func() any {
	t := &watch{late: make(chan struct{}, 1)}
	t.timer = time.AfterFunc(time.Hour, func() {
		_ = http.NewResponseController(t.w).SetWriteDeadline(time.Unix(1, 0)) // resets the stream
		t.late <- struct{}{}
	})
	t.timer.Stop()
	return t
}}

func (t *watch) begin(timeout time.Duration) { t.timer.Reset(timeout) }

// end is for when the write is over. Behind it the timer does nothing: net/http's writer
// must not be used when its handler has returned, and panics.
func (t *watch) end() {
	if !t.timer.Stop() {
		<-t.late
	}
}

// WriteHeader implements http.ResponseWriter. What a target says ahead of its
// response (103) is left out: nobody has looked at it.
func (w *writer) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		w.begun = status >= 200
		w.ResponseWriter.WriteHeader(status)
	}
}

// cut passes on what the target sent of a response that does not come to its
// end: net/http forgets what it has kept when a handler panics.
func (w *writer) cut() {
	if w.begun && !w.whole {
		_ = w.FlushError() // the connection is closed, whether the client was there or not
	}
}

// Unwrap serves http.ResponseController.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Hijack implements http.Hijacker.
func (w *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if w.c.h1 == nil {
		return nil, nil, http.ErrNotSupported
	}
	nc, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	if early := w.c.h1.hijack(); early || rw.Reader.Buffered() > 0 { // sent before there was an answer: it could be meant as a request
		return nil, nil, errors.Join(errors.New("httpproxy: bytes behind the request for an upgrade"), nc.Close())
	}
	w.c.h1.off.Store(true)
	return nc, rw, nil
}
