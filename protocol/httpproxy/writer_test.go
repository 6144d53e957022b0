package httpproxy

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// slowWriter takes what is written when it is told that it takes too long, and is not
// to be used when the write has returned.
type slowWriter struct {
	http.ResponseWriter
	late, returned chan struct{}
	done           atomic.Bool
}

func (w *slowWriter) Write(b []byte) (int, error) {
	<-w.late
	return len(b), nil
}

func (w *slowWriter) SetWriteDeadline(time.Time) error {
	close(w.late)
	select {
	case <-w.returned:
	case <-time.After(100 * time.Millisecond): // long enough for a write to return that does not wait
		w.done.Store(true)
	}
	return nil
}

// TestTimerOfAWriter: a write that the client takes at the last moment returns when
// the timer is done with the writer, which belongs to net/http again from then on.
func TestTimerOfAWriter(t *testing.T) {
	slow := &slowWriter{ResponseWriter: httptest.NewRecorder(), late: make(chan struct{}), returned: make(chan struct{})}
	w := newWriter(slow, &conn{s: &Server{StallTimeout: time.Millisecond}})
	_, err := w.Write([]byte("x"))
	close(slow.returned)
	require.NoError(t, err)
	require.True(t, slow.done.Load(), "the writer is in use when the write has returned")
}
