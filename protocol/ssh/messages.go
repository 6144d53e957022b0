package ssh

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/sallyport-dev/gateway/protocol"
)

// messages reads the messages of a file transfer and writes those that may pass,
// as they came. Those that came together are written together: a message of 32 KiB
// and its head do not fit into a packet, and many of them would cost two each.
type messages struct {
	src  io.Reader
	dst  func([]byte) (int, error)
	side protocol.Side // whose messages they are

	// buf[from:at] is passed and not written, buf[at:next] is the message that is
	// looked at, and buf[next:end] is behind it.
	buf                 []byte
	from, at, next, end int
}

func newMessages(src io.Reader, dst func([]byte) (int, error), side protocol.Side) *messages {
	return &messages{src: src, dst: dst, side: side, buf: make([]byte, chunk)}
}

// each calls look for each message, with its length, until the messages end or an
// error does. The message may be changed in place. What look does not pass is
// dropped.
func (m *messages) each(look func(msg []byte) error) error {
	for {
		msg, err := m.read()
		if err == nil {
			err = look(msg)
		}
		if err == nil && m.at < m.next {
			err = m.drop()
		}
		if err != nil {
			if ferr := m.flush(); ferr != nil || err == io.EOF {
				return ferr
			}
			return err
		}
	}
}

// read returns the next message. Before it waits for one, what was passed is written.
func (m *messages) read() ([]byte, error) {
	for {
		have := m.end - m.at
		n := 5
		if have >= n {
			size := binary.BigEndian.Uint32(m.buf[m.at:])
			if size < 1 || size > maxSFTP {
				return nil, badSFTP(m.side, fmt.Sprintf("a message of %d bytes", size))
			}
			if n = 4 + int(size); have >= n {
				m.next = m.at + n
				return m.buf[m.at:m.next], nil
			}
		}
		if err := m.flush(); err != nil {
			return nil, err
		}
		if m.end == len(m.buf) && len(m.buf) < 4+maxSFTP { // much comes
			m.buf = append(make([]byte, 0, 4+maxSFTP), m.buf...)[:4+maxSFTP]
		}
		copy(m.buf, m.buf[m.at:m.end])
		m.from, m.at, m.next, m.end = 0, 0, 0, have
		got, err := io.ReadAtLeast(m.src, m.buf[have:], 1)
		m.end += got
		if err == io.EOF && have > 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
	}
}

// pass lets the message pass.
func (m *messages) pass() { m.at = m.next }

// drop writes what was passed before the message, and forgets it.
func (m *messages) drop() error {
	err := m.flush()
	m.from, m.at = m.next, m.next
	return err
}

// write writes bytes of the gateway's own, behind what was passed.
func (m *messages) write(b []byte) error {
	err := m.flush()
	if err == nil {
		_, err = m.dst(b)
	}
	return err
}

// flush writes what was passed.
func (m *messages) flush() error {
	if m.from == m.at {
		return nil
	}
	_, err := m.dst(m.buf[m.from:m.at])
	m.from = m.at
	return err
}
