package ssh

import (
	"io"
	"sync"
	"sync/atomic"

	"github.com/sallyport-dev/gateway/protocol"
)

// chunk is how much is copied at once: the largest payload of a packet.
const chunk = 32 << 10

var chunks = sync.Pool{New: func() any { return new([chunk]byte) }}

// copyStream copies src to dst until src ends, through f unless that is nil, and
// counts what it has written. A tap's error is returned as *tapError.
func copyStream(dst io.Writer, src io.Reader, f protocol.BytesFunc, n *atomic.Int64) error {
	buf := chunks.Get().(*[chunk]byte)
	defer chunks.Put(buf)
	for {
		m, rerr := src.Read(buf[:])
		if m > 0 || rerr == io.EOF && f != nil {
			b := buf[:m]
			if f != nil {
				var err error
				if b, err = f(b, rerr == io.EOF); err != nil {
					return &tapError{err}
				}
			}
			if len(b) > 0 {
				w, err := dst.Write(b)
				n.Add(int64(w))
				if err != nil {
					return err
				}
			}
		}
		if rerr == io.EOF {
			return nil
		}
		if rerr != nil {
			return rerr
		}
	}
}

// A tapError is a step's failure to look at a stream: nothing more of it may be
// shown.
type tapError struct{ error }

// Unwrap returns the step's error.
func (e *tapError) Unwrap() error { return e.error }

// A lockedWriter is written to by the target's errors and the gateway's own
// lines.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

// Write implements io.Writer.
func (l *lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}
