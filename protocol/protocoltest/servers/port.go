package servers

import "net"

// FreePort returns a TCP port on 127.0.0.1 that nobody listened on a moment
// ago. Another process may take it before the caller does: be ready to try
// again, or listen on port 0 where that is possible.
func FreePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	return port, l.Close()
}
