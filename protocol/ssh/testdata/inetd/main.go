// Inetd joins the socket that is its standard input with GATEWAY: tests of others
// start it in place of an sshd.
package main

import (
	"io"
	"log"
	"net"
	"os"
)

func main() {
	client, err := net.FileConn(os.Stdin)
	if err != nil {
		log.Fatal(err)
	}
	gateway, err := net.Dial("tcp", os.Getenv("GATEWAY"))
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		_, _ = io.Copy(gateway, client) // either side may be gone
		_ = gateway.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(client, gateway)
}
