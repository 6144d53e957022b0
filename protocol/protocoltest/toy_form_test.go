package protocoltest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"io"
	"net"

	"github.com/sallyport-dev/gateway/protocol"
)

// A form is a kind of protocol that the toy can be.
type form string

const (
	rows      form = ""          // results are rows, as in a database
	streams   form = "streams"   // results are byte streams, as in a shell
	encrypted form = "encrypted" // equal messages differ on the wire, as in SSH
	keys      form = "keys"      // clients prove themselves by more than a secret
)

func (f form) shape() protocol.Shape {
	if f == streams {
		return protocol.Bytes
	}
	return protocol.Rows
}

// knows is the kit's Knows: the good key is called so.
func (f form) knows() func(*protocol.Login) bool {
	if f != keys {
		return nil
	}
	return func(l *protocol.Login) bool {
		k, ok := l.Proof.(protocol.PublicKey)
		return ok && k.Fingerprint == "good-key"
	}
}

func (f form) client(conn net.Conn, l Login) (Client, error) {
	if f == keys && !l.Direct {
		l.Proof = "good-key"
		if l.Wrong {
			l.Proof = "bad-key"
		}
	}
	if dial := l.Dial; dial != nil {
		l.Dial = func() (net.Conn, error) {
			c, err := dial()
			if err != nil {
				return nil, err
			}
			return f.wire(c), nil
		}
	}
	return newToyClient(f.wire(conn), l)
}

func (f form) target(conn net.Conn, t *Target) error { return serveToy(f.wire(conn), t) }

// wire returns what is spoken over conn.
func (f form) wire(conn net.Conn) net.Conn {
	if f == encrypted {
		return &cipherConn{Conn: conn}
	}
	return conn
}

// A cipherConn is AES-CTR under a key that everybody knows. Each direction
// begins with a random IV.
type cipherConn struct {
	net.Conn
	in, out cipher.Stream
}

func stream(iv []byte) cipher.Stream {
	block, err := aes.NewCipher([]byte("the key of a toy"))
	if err != nil {
		panic(err)
	}
	return cipher.NewCTR(block, iv)
}

func (c *cipherConn) Read(b []byte) (int, error) {
	if c.in == nil {
		var iv [aes.BlockSize]byte
		if _, err := io.ReadFull(c.Conn, iv[:]); err != nil {
			return 0, err
		}
		c.in = stream(iv[:])
	}
	n, err := c.Conn.Read(b)
	c.in.XORKeyStream(b[:n], b[:n])
	return n, err
}

func (c *cipherConn) Write(b []byte) (int, error) {
	var out []byte
	if c.out == nil {
		out = make([]byte, aes.BlockSize)
		_, _ = rand.Read(out) // never fails
		c.out = stream(out)
	}
	head := len(out)
	out = append(out, b...)
	c.out.XORKeyStream(out[head:], out[head:])
	n, err := c.Conn.Write(out)
	return max(0, n-head), err
}
