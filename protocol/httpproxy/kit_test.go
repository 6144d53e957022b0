package httpproxy_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/httpproxy"
	"github.com/sallyport-dev/gateway/protocol/protocoltest"
)

// TestKit holds the connector to the rules that all connectors are held to.
func TestKit(t *testing.T) {
	protocoltest.Test(t, kit(map[string]string{"tls": "disable", "auth": "basic"}))
}

// TestKitPure does so where the target's safe methods are pure: their records
// then overlap the target's work.
func TestKitPure(t *testing.T) {
	protocoltest.Test(t, kit(map[string]string{"tls": "disable", "auth": "basic", "safe_methods": "pure"}))
}

// TestKitHTTP2 does so over HTTP/2 on both sides, with many requests at once.
func TestKitHTTP2(t *testing.T) {
	k := kit(map[string]string{"tls": "disable", "auth": "basic", "http2": "enable"})
	k.NewClient = newH2Client
	k.Encrypted = true        // headers are compressed: a text cannot be found in the bytes
	log.SetOutput(io.Discard) // where net/http tells what a hostile target sends
	defer log.SetOutput(os.Stderr)
	protocoltest.Test(t, k)
}

func kit(options map[string]string) protocoltest.Kit {
	return protocoltest.Kit{
		NewServer:   func() protocol.Server { return &httpproxy.Server{AllowPlaintext: true, Domain: "test"} },
		NewClient:   newKitClient,
		ServeTarget: serveKitTarget,
		Read:        func(tag string) string { return "GET /" + tag },
		Write:       func(tag string) string { return "POST /" + tag },
		Shape:       protocol.Bytes,
		Reframed:    true,
		Options:     options,
		Garbage: [][]byte{
			[]byte("GET / HTTP/1.1\nHost: x\n\n"),
			[]byte("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n"),
			[]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00\x7f\xff\xff\x01\x05\x00\x00\x00\x01"),
		},
	}
}

type kitClient struct {
	conn net.Conn
	r    *bufio.Reader
	l    protocoltest.Login
}

func newKitClient(conn net.Conn, l protocoltest.Login) (protocoltest.Client, error) {
	c := &kitClient{conn, bufio.NewReader(conn), l}
	err := c.Do("GET /.sallyport/whoami", func([][]byte) error { return nil })
	return c, err
}

func (c *kitClient) Do(text string, row func([][]byte) error) error {
	method, path, _ := strings.Cut(text, " ")
	_, err := fmt.Fprintf(c.conn, "%s %s HTTP/1.1\r\nHost: %s.test\r\nAuthorization: Basic %s\r\n\r\n",
		method, path, c.l.Target, base64.StdEncoding.EncodeToString([]byte(c.l.User+":"+c.l.Proof)))
	if err != nil {
		return err
	}
	res, err := http.ReadResponse(c.r, &http.Request{Method: method})
	if err != nil {
		return err
	}
	return readKit(res, row)
}

func readKit(res *http.Response, row func([][]byte) error) error {
	defer res.Body.Close()
	if res.StatusCode >= 400 {
		body, err := io.ReadAll(res.Body)
		if err != nil {
			return err
		}
		return &protocoltest.ReplyError{Text: string(body)}
	}
	for {
		buf := make([]byte, 32<<10)
		n, err := res.Body.Read(buf)
		if n > 0 {
			if err := row([][]byte{buf[:n]}); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (c *kitClient) Close() error { return c.conn.Close() }

// h2Client speaks HTTP/2, by net/http's client.
type h2Client struct {
	conn *http.ClientConn
	l    protocoltest.Login
}

func newH2Client(conn net.Conn, l protocoltest.Login) (protocoltest.Client, error) {
	tr := &http.Transport{Protocols: new(http.Protocols), DialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil }}
	tr.Protocols.SetUnencryptedHTTP2(true)
	cc, err := tr.NewClientConn(context.Background(), "http", l.Target+".test:80")
	if err != nil {
		return nil, err
	}
	c := &h2Client{cc, l}
	return c, c.Do("GET /.sallyport/whoami", func([][]byte) error { return nil })
}

func (c *h2Client) Do(text string, row func([][]byte) error) error {
	method, path, _ := strings.Cut(text, " ")
	req, err := http.NewRequest(method, "http://"+c.l.Target+".test"+path, http.NoBody)
	if err != nil {
		return err
	}
	req.SetBasicAuth(c.l.User, c.l.Proof)
	res, err := c.conn.RoundTrip(req)
	if err != nil {
		return err
	}
	return readKit(res, row)
}

func (c *h2Client) Another() (protocoltest.Client, error) { return c, nil }

func (c *h2Client) Close() error { return c.conn.Close() }

// once is a listener of one connection.
type once struct {
	conn chan net.Conn
	end  chan struct{}
}

func (o *once) Accept() (net.Conn, error) {
	select {
	case c := <-o.conn:
		return c, nil
	case <-o.end:
		return nil, net.ErrClosed
	}
}
func (o *once) Close() error   { return nil }
func (o *once) Addr() net.Addr { return &net.TCPAddr{} }

func serveKitTarget(conn net.Conn, t *protocoltest.Target) error {
	o := &once{make(chan net.Conn, 1), make(chan struct{})}
	o.conn <- conn
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answerKit(w, r, t) }),
		ConnState: func(_ net.Conn, st http.ConnState) {
			if st == http.StateClosed {
				close(o.end)
			}
		}}
	srv.Protocols = new(http.Protocols)
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetUnencryptedHTTP2(true)
	return srv.Serve(o)
}

func answerKit(w http.ResponseWriter, r *http.Request, t *protocoltest.Target) {
	w.Header()["Date"] = []string{"Tue, 24 Nov 2026 12:00:00 GMT"}
	if user, password, _ := r.BasicAuth(); user != t.Account().User || password != t.Account().Secret.Reveal() {
		http.Error(w, "wrong password in "+r.Header.Get("Authorization"), http.StatusUnauthorized)
		return
	}
	if r.URL.Path == "/.sallyport/whoami" { // the kit's client without a gateway
		return
	}
	reply := t.Do(r.Method + " " + r.RequestURI)
	if reply.Err != "" {
		http.Error(w, reply.Err, http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if reply.Rows == nil {
		return
	}
	for values, err := range reply.Rows {
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		if _, err := w.Write(values[len(values)-1]); err != nil {
			return
		}
		if err := http.NewResponseController(w).Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return
		}
	}
}
