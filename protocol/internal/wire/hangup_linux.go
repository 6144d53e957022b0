package wire

import "golang.org/x/sys/unix"

// peerClosed is the event of poll(2) for a peer that sends no more. Elsewhere
// POLLHUP says so.
const peerClosed = unix.POLLRDHUP
