//go:build linux

package main

import (
	"encoding/binary"
	"errors"
	"flag"
	"io"
	"net"
)

// serveRelay is the yardstick: a relay that reads chunks, walks the frames in
// them as a gateway has to, and writes each chunk once. It decides nothing,
// keeps nothing and understands nothing, so what a gateway costs beyond it is
// the cost of being one.
func serveRelay(args []string) error {
	flags := flag.NewFlagSet("role-relay", flag.ExitOnError)
	target := flags.String("target", "", "")
	_ = flags.Parse(args) // exits
	l, err := listen()
	if err != nil {
		return err
	}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go relay(client, *target)
		}
	}()
	return serveCommands(l)
}

func relay(client net.Conn, target string) {
	defer client.Close()
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		_ = pump(server, client, true) // an end is an end
		_ = server.Close()
	}()
	_ = pump(client, server, false)
}

// Buffers begin small and grow when a peer fills them, as the gateway's do.
const (
	smallBuffer = 2 << 10
	largeBuffer = 32 << 10
)

var errLength = errors.New("impossible length")

// pump relays from src to dst. The client's first message has no type byte.
func pump(dst io.Writer, src io.Reader, startup bool) error {
	buf := make([]byte, smallBuffer)
	var head [5]byte
	have, left := 0, 0 // bytes of a header that is cut in two; bytes of a body to come
	if startup {
		head[0], have = 'F', 1
	}
	for {
		n, err := src.Read(buf)
		if n > 0 {
			for b := buf[:n]; len(b) > 0; {
				if left > 0 {
					k := min(left, len(b))
					b, left = b[k:], left-k
					continue
				}
				k := copy(head[have:], b)
				b, have = b[k:], have+k
				if have < len(head) {
					break
				}
				length := int(int32(binary.BigEndian.Uint32(head[1:])))
				if length < 4 {
					return errLength
				}
				left, have = length-4, 0
			}
			if _, err := dst.Write(buf[:n]); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
		if n == len(buf) && n < largeBuffer {
			buf = make([]byte, largeBuffer)
		}
	}
}
