//go:build !unix

package postgres

import "net"

// hungUp cannot be told here behind bytes that nobody has read: a hold ends at
// its limit.
func hungUp(net.Conn) bool { return false }
