package ssh_test

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/protocoltest"
	"github.com/sallyport-dev/gateway/protocol/ssh"
)

// TestKit holds the connector to the rules that all connectors are held to,
// with a scripted client and a scripted server of the test's own.
func TestKit(t *testing.T) {
	ours, theirs := hostKey(t), hostKey(t)
	protocoltest.Test(t, protocoltest.Kit{
		NewServer:   func() protocol.Server { return &ssh.Server{HostKeys: []xssh.Signer{ours}} },
		NewClient:   newKitClient,
		ServeTarget: func(conn net.Conn, t *protocoltest.Target) error { return serveKitTarget(conn, t, theirs) },
		Read:        func(tag string) string { return "cat " + tag },
		Write:       func(tag string) string { return "touch " + tag },
		Shape:       protocol.Bytes,
		Encrypted:   true,
		TCPOnly:     true,
		Options:     map[string]string{"host_key": authorized(theirs.PublicKey())},
		Garbage: [][]byte{
			[]byte("SSH-2.0-x\r\n\xff\xff\xff\xff"),
			[]byte("SSH-1.5-old\r\n"),
			[]byte(strings.Repeat("x", 64<<10)),
			[]byte("SSH-2.0-x\r\n\x00\x00\x00\x0c\x0a\x14"),
		},
	})
}

type kitClient struct {
	c    *xssh.Client
	sess *xssh.Session
}

func newKitClient(conn net.Conn, l protocoltest.Login) (protocoltest.Client, error) {
	user := l.User + "@" + l.Target
	if l.Direct {
		user = l.User
	}
	sc, chans, reqs, err := xssh.NewClientConn(conn, "kit", &xssh.ClientConfig{User: user, Auth: []xssh.AuthMethod{xssh.Password(l.Proof)},
		HostKeyCallback: xssh.InsecureIgnoreHostKey()})
	if err != nil {
		return nil, err
	}
	return &kitClient{c: xssh.NewClient(sc, chans, reqs)}, nil
}

func (c *kitClient) Do(text string, row func([][]byte) error) error {
	s, err := c.c.NewSession()
	if err != nil {
		return err
	}
	defer s.Close()
	c.sess = s
	out, err := s.StdoutPipe()
	if err != nil {
		return err
	}
	var errs strings.Builder
	s.Stderr = &errs
	if err := s.Start(text); err != nil {
		return err
	}
	buf := make([]byte, 32<<10)
	for {
		n, err := out.Read(buf)
		if n > 0 {
			if err := row([][]byte{buf[:n]}); err != nil {
				return err
			}
		}
		if err != nil {
			break
		}
	}
	err = s.Wait()
	var exit *xssh.ExitError
	if errors.As(err, &exit) {
		return &protocoltest.ReplyError{Text: errs.String()}
	}
	return err
}

func (c *kitClient) Cancel() error { return c.sess.Signal(xssh.SIGINT) }

func (c *kitClient) Another() (protocoltest.Client, error) { return &kitClient{c: c.c}, nil }

func (c *kitClient) Close() error { return c.c.Close() }

func serveKitTarget(conn net.Conn, t *protocoltest.Target, key xssh.Signer) error {
	cfg := &xssh.ServerConfig{PasswordCallback: func(m xssh.ConnMetadata, pw []byte) (*xssh.Permissions, error) {
		if want := t.Account(); m.User() != want.User || string(pw) != want.Secret.Reveal() {
			return nil, errors.New("wrong password")
		}
		return nil, nil
	}}
	cfg.AddHostKey(key)
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	sc, chans, reqs, err := xssh.NewServerConn(conn, cfg)
	if err != nil {
		return err
	}
	_ = conn.SetDeadline(time.Time{})
	defer sc.Close()
	go xssh.DiscardRequests(reqs)
	for nc := range chans {
		ch, creqs, err := nc.Accept()
		if err != nil {
			return err
		}
		go func() {
			for r := range creqs {
				if r.Type != "exec" {
					_ = r.Reply(r.Type == "signal", nil)
					continue
				}
				_ = r.Reply(true, nil)
				var v struct{ Text string }
				_ = xssh.Unmarshal(r.Payload, &v)
				go func() {
					if err := answerKit(ch, t.Do(v.Text)); err != nil {
						_ = sc.Close()
					}
				}()
			}
		}()
	}
	return nil
}

func answerKit(ch xssh.Channel, r protocoltest.Reply) error {
	defer ch.Close()
	status := uint32(0)
	if r.Err != "" {
		_, _ = io.WriteString(ch.Stderr(), r.Err)
		status = 1
	}
	if r.Rows != nil {
		for row, err := range r.Rows {
			if err != nil {
				return err
			}
			for _, v := range row {
				if _, err := ch.Write(v); err != nil {
					return nil
				}
			}
		}
	}
	_ = ch.CloseWrite()
	_, _ = ch.SendRequest("exit-status", false, xssh.Marshal(struct{ S uint32 }{status}))
	return nil
}
