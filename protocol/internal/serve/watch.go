package serve

import (
	"errors"
	"net"
	"os"
	"time"

	"github.com/sallyport-dev/gateway/protocol/internal/wire"
)

// maxHeld bounds what a client may send behind what is held before it is only
// watched for leaving.
const maxHeld = 1 << 20

// hungUpEvery is how often a client is looked at that cannot be read from.
const hungUpEvery = 250 * time.Millisecond

func stopped(stop <-chan struct{}) bool {
	select {
	case <-stop:
		return true
	default:
		return false
	}
}

// WatchLogin returns what watches a client that has nothing to say before it is
// let in, for [Hold.Wait].
func WatchLogin(client net.Conn) func(stop <-chan struct{}) error {
	return func(stop <-chan struct{}) error {
		var b [1]byte
		_, err := client.Read(b[:])
		switch {
		case stopped(stop):
			return nil
		case err == nil:
			return ErrGoodbye
		}
		return err
	}
}

// Watch returns what watches a client while something of its is held, for
// [Hold.Wait]: it reads ahead into r, whose first held bytes stay where they
// are, up to a bound, and then only looks whether the client is still there.
// left reports whether what r has buffered says good-bye. Meanwhile nobody else
// touches r.
func Watch(client net.Conn, r *wire.Reader, held int, left func(buffered []byte) bool) func(stop <-chan struct{}) error {
	return func(stop <-chan struct{}) error {
		for {
			if left(r.Buffered()) {
				return ErrGoodbye
			}
			err := r.Grow(held + maxHeld)
			switch {
			case stopped(stop), errors.Is(err, os.ErrDeadlineExceeded):
				return nil
			case errors.Is(err, wire.ErrTooLarge):
				return watchHangup(client, stop)
			case err != nil:
				return err
			}
		}
	}
}

// watchHangup looks for the end of the connection without reading from it.
func watchHangup(client net.Conn, stop <-chan struct{}) error {
	t := time.NewTicker(hungUpEvery)
	defer t.Stop()
	for {
		select {
		case <-stop:
			return nil
		case <-t.C:
		}
		if wire.HungUp(client) {
			return ErrGoodbye
		}
	}
}
