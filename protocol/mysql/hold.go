package mysql

import (
	"context"

	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/serve"
)

// whileHeld is the session's [protocol.Login.WhileHeld]. It runs on the session's
// goroutine, or during the login. The protocol has no way to tell a client
// meanwhile that and why it waits.
func (c *session) whileHeld(ctx context.Context, _ protocol.Waiting, wait func(context.Context) error) error {
	watch := serve.WatchLogin(c.client)
	if c.ps != nil {
		watch = serve.Watch(c.client, c.r, 0, quits)
	}
	return c.hold.Wait(ctx, c.client, wait, watch)
}

// quits reports whether the first command in b is a good-bye.
func quits(b []byte) bool {
	if len(b) <= headerLen {
		return false
	}
	n, _ := frame(b)
	return n == 1 && b[headerLen] == mysql.COM_QUIT
}
