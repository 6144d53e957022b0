//go:build unix && !linux

package wire

import "golang.org/x/sys/unix"

// peerClosed is the event of poll(2) for a peer that sends no more.
const peerClosed = unix.POLLHUP
