package mysql_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
	connector "github.com/sallyport-dev/gateway/protocol/mysql"
	"github.com/sallyport-dev/gateway/protocol/protocoltest"
)

// TestChangeUserAsksForItsDatabase: what a rule says of USE holds for the
// database that comes with a COM_CHANGE_USER.
func TestChangeUserAsksForItsDatabase(t *testing.T) {
	rule := middleware.Step{Name: "databases", Operation: func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
		if strings.Contains(op.Text, "USE `mysql`") {
			return protocol.Deny("not this database"), nil
		}
		return protocol.Pass, nil
	}}
	r := newRig(t, rigConfig{steps: []middleware.Step{rule}, server: &connector.Server{AllowPlaintext: true}})
	conn, err := net.Dial("tcp", r.addr)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
	client, err := newKitClient(conn, protocoltest.Login{Target: "my", User: "alice", Proof: r.token})
	require.NoError(t, err)
	c := client.(*kitClient)
	change := func(db string) []byte {
		c.seq = 0
		require.NoError(t, c.write(append([]byte{mysql.COM_CHANGE_USER}, "alice\x00\x00my/"+db+"\x00"...)))
		b, err := c.read()
		require.NoError(t, err)
		return b
	}
	database := func() (name string) {
		require.NoError(t, c.Do("select database()", func(v [][]byte) error { name = string(v[0]); return nil }))
		return name
	}
	require.Equal(t, byte(mysql.OK_HEADER), change("shop")[0])
	require.Equal(t, "shop", database())
	refused := change("mysql")
	require.Equal(t, byte(mysql.ERR_HEADER), refused[0])
	require.Contains(t, string(refused), "not this database")
	require.Equal(t, "shop", database())
}
