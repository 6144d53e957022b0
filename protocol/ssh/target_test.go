package ssh_test

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	xssh "golang.org/x/crypto/ssh"
)

// A target opens no channel to a client that does not listen for it.
func TestUninvitedChannelsOfATarget(t *testing.T) {
	key := hostKey(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	answers := make(chan error, 8)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		cfg := &xssh.ServerConfig{NoClientAuth: true}
		cfg.AddHostKey(key)
		sc, chans, reqs, err := xssh.NewServerConn(conn, cfg)
		if err != nil {
			return
		}
		go xssh.DiscardRequests(reqs)
		go func() {
			for nc := range chans {
				_ = nc.Reject(xssh.Prohibited, "no")
			}
		}()
		tcp := xssh.Marshal(struct {
			Host       string
			Port       uint32
			Origin     string
			OriginPort uint32
		}{"127.0.0.1", 22, "127.0.0.1", 1})
		for typ, payload := range map[string][]byte{"forwarded-tcpip": tcp, "session": nil, "auth-agent@openssh.com": nil, "x11": tcp, "direct-tcpip": tcp} {
			_, _, err := sc.OpenChannel(typ, payload)
			answers <- err
		}
	}()
	r := newRig(t, rigConfig{addr: l.Addr().String(), options: map[string]string{"host_key": authorized(key.PublicKey())}})
	c := r.dial(t)
	for _, typ := range []string{"forwarded-tcpip", "session", "auth-agent@openssh.com", "x11", "direct-tcpip"} {
		offered := c.HandleChannelOpen(typ)
		go func() {
			for nc := range offered {
				t.Errorf("the client was offered a channel of type %s", nc.ChannelType())
				_ = nc.Reject(xssh.Prohibited, "no")
			}
		}()
	}
	for range 5 {
		select {
		case err := <-answers:
			require.Error(t, err)
		case <-time.After(10 * time.Second):
			t.Fatal("the target was not answered")
		}
	}
}
