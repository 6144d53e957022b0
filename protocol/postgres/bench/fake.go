//go:build linux

package main

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
)

// serveFake is a PostgreSQL that lets everybody in and refuses every query: a
// target for thousands of idle sessions that costs no backend for each.
func serveFake([]string) error {
	l, err := listen()
	if err != nil {
		return err
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_ = fakeSession(conn) // ends with the client
			}()
		}
	}()
	return serveCommands(l)
}

func fakeSession(conn net.Conn) error {
	r := bufio.NewReaderSize(conn, 512)
	var head [8]byte
	for {
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return err
		}
		if _, err := io.CopyN(io.Discard, r, int64(binary.BigEndian.Uint32(head[:]))-8); err != nil {
			return err
		}
		if binary.BigEndian.Uint32(head[4:])>>16 == 3 {
			break
		}
		if _, err := conn.Write([]byte{'N'}); err != nil { // no encryption here
			return err
		}
	}
	b := message(nil, 'R', 0, 0, 0, 0)
	for _, kv := range []string{"server_version\x0015.0", "server_encoding\x00UTF8", "client_encoding\x00UTF8",
		"standard_conforming_strings\x00on", "DateStyle\x00ISO, MDY", "TimeZone\x00UTC", "integer_datetimes\x00on"} {
		b = message(b, 'S', append([]byte(kv), 0)...)
	}
	b = message(b, 'K', 0, 0, 0, 1, 0, 0, 0, 1)
	b = message(b, 'Z', 'I')
	if _, err := conn.Write(b); err != nil {
		return err
	}
	refusal := message(nil, 'E', []byte("SERROR\x00VERROR\x00C0A000\x00Mnothing runs here\x00\x00")...)
	refusal = message(refusal, 'Z', 'I')
	for {
		var head [5]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return err
		}
		if _, err := io.CopyN(io.Discard, r, int64(binary.BigEndian.Uint32(head[1:]))-4); err != nil {
			return err
		}
		switch head[0] {
		case 'X':
			return nil
		case 'Q', 'S':
			if _, err := conn.Write(refusal); err != nil {
				return err
			}
		}
	}
}

// message appends a message of a server.
func message(b []byte, typ byte, body ...byte) []byte {
	b = binary.BigEndian.AppendUint32(append(b, typ), uint32(len(body)+4))
	return append(b, body...)
}
