//go:build !linux

package wire

import "net"

// Conn returns c: only Linux has a cheaper way to a socket.
func Conn(c net.Conn) net.Conn { return c }
