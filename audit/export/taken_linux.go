package export

import (
	"context"
	"errors"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// taken returns when the other side has all that was sent over c, which it has
// closed: it may have done so before the last of that came.
func taken(ctx context.Context, c *net.TCPConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	for end := time.Now().Add(readTime); ; {
		left := 0
		var oerr error
		if err := raw.Control(func(fd uintptr) { left, oerr = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) }); err != nil || oerr != nil {
			return errors.Join(err, oerr)
		}
		if left == 0 {
			return nil
		}
		if time.Now().After(end) {
			return errors.New("syslog: the server has closed the connection before it had all")
		}
		if err := wait(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
}
