//go:build unix

package wire

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// HungUp reports whether the peer has closed its side, also behind bytes that
// nobody has read.
func HungUp(conn net.Conn) bool {
	for {
		inside, ok := conn.(interface{ NetConn() net.Conn }) // as of TLS
		if !ok {
			break
		}
		conn = inside.NetConn()
	}
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return true
	}
	gone := false
	err = raw.Control(func(fd uintptr) {
		p := []unix.PollFd{{Fd: int32(fd), Events: peerClosed}}
		if n, err := unix.Poll(p, 0); err == nil && n > 0 {
			gone = p[0].Revents&(peerClosed|unix.POLLHUP|unix.POLLERR) != 0
		}
	})
	return gone || err != nil
}
