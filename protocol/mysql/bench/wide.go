//go:build linux

package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/go-mysql-org/go-mysql/mysql"
)

// A counter is a client that does nothing with rows but count them.
type counter struct {
	net.Conn
	r *bufio.Reader
}

const counterCaps = mysql.CLIENT_PROTOCOL_41 | mysql.CLIENT_SECURE_CONNECTION | mysql.CLIENT_PLUGIN_AUTH | mysql.CLIENT_CONNECT_WITH_DB |
	mysql.CLIENT_LONG_PASSWORD | mysql.CLIENT_TRANSACTIONS

// connect logs in with mysql_native_password.
func (p *party) connect() (*counter, error) {
	conn, err := net.Dial("tcp", p.addr)
	if err != nil {
		return nil, err
	}
	c := &counter{conn, bufio.NewReaderSize(conn, 256<<10)}
	b, _, err := c.packet()
	if err != nil {
		return nil, err
	}
	end := bytes.IndexByte(b, 0) // of the version
	if end < 0 || len(b) < end+45 {
		return nil, errors.New("no greeting")
	}
	salt := append(append([]byte{}, b[end+5:end+13]...), b[end+32:end+44]...)
	r := binary.LittleEndian.AppendUint32(nil, counterCaps)
	r = append(binary.LittleEndian.AppendUint32(r, 1<<24), 45)
	r = append(append(r, make([]byte, 23)...), p.user+"\x00"...)
	proof := mysql.CalcNativePassword(salt, []byte(password))
	r = append(append(r, byte(len(proof))), proof...)
	r = append(r, schema+"\x00mysql_native_password\x00"...)
	if err := c.send(1, r); err != nil {
		return nil, err
	}
	if b, _, err = c.packet(); err == nil && b[0] != mysql.OK_HEADER {
		err = fmt.Errorf("the login ends with %q", b)
	}
	return c, err
}

func (c *counter) send(seq byte, payload []byte) error {
	n := len(payload)
	_, err := c.Write(append([]byte{byte(n), byte(n >> 8), byte(n >> 16), seq}, payload...))
	return err
}

// packet returns the payload of the next packet, valid until the one behind it,
// and its size with the header.
func (c *counter) packet() (b []byte, size int, err error) {
	head, err := c.r.Peek(4)
	if err != nil {
		return nil, 0, err
	}
	n := int(head[0]) | int(head[1])<<8 | int(head[2])<<16
	if b, err = c.r.Peek(4 + n); err != nil {
		return nil, 0, err
	}
	_, err = c.r.Discard(4 + n)
	if n == 0 {
		err = io.ErrUnexpectedEOF
	}
	return b[4:], 4 + n, err
}

// read asks a query and returns how many rows came, and bytes.
func (c *counter) read(query string) (rows int, size int64, err error) {
	if err := c.send(0, append([]byte{mysql.COM_QUERY}, query...)); err != nil {
		return 0, 0, err
	}
	for ends := 0; ends < 2; {
		b, n, err := c.packet()
		switch size += int64(n); {
		case err != nil:
			return rows, size, err
		case b[0] == mysql.ERR_HEADER:
			return rows, size, fmt.Errorf("the server says %q", b)
		case b[0] == mysql.EOF_HEADER && len(b) < 9:
			ends++
		case ends == 1:
			rows++
		}
	}
	return rows, size, nil
}
