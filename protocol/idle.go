package protocol

import (
	"io"
	"net"
	"time"
)

// Idle runs read, which waits on conn for what the client asks next. That is
// the moment at which a session that drains can end: Idle then returns io.EOF,
// without calling read or by interrupting it. What read has got whole by then
// is still to be answered: its nil is returned. Idle uses the read deadline of
// conn and leaves none.
func (s *Session) Idle(conn net.Conn, read func() error) error {
	if s.drain.Err() != nil {
		return io.EOF
	}
	woken := make(chan struct{})
	stop := s.OnDrain(func() {
		defer close(woken)
		_ = conn.SetReadDeadline(time.Unix(1, 0)) // fails on a closed connection only, as read does
	})
	err := read()
	if stop() {
		return err
	}
	<-woken
	_ = conn.SetReadDeadline(time.Time{})
	if err != nil {
		return io.EOF
	}
	return nil
}
