package mysql

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/mysqlsql"
)

// A catalogTarget answers what the gateway asks about definitions: there is one
// table, d.t.
type catalogTarget struct {
	mu      sync.Mutex
	columns []string
	changes int // counted
	opened  int
	open    int
	hold    chan struct{} // nil, or closed when the counters may be told
}

func (c *catalogTarget) dial(context.Context) (net.Conn, error) {
	ours, theirs := net.Pipe()
	go c.serve(theirs)
	return ours, nil
}

func (c *catalogTarget) serve(conn net.Conn) {
	c.mu.Lock()
	c.opened, c.open = c.opened+1, c.open+1
	c.mu.Unlock()
	defer func() {
		_ = conn.Close()
		c.mu.Lock()
		c.open--
		c.mu.Unlock()
	}()
	var seq byte
	say := func(payload []byte) { _, _ = conn.Write(appendPacket(nil, &seq, payload)) }
	say((&Server{}).greeting(&startup{id: 7, salt: [saltLen]byte{0: 1, 19: 1}}))
	for first := true; ; first = false {
		var head [headerLen]byte
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			return
		}
		n, _ := frame(head[:])
		body := make([]byte, n)
		if _, err := io.ReadFull(conn, body); err != nil {
			return
		}
		seq = head[3] + 1
		text := string(body)
		switch {
		case first, strings.Contains(text, "SET SESSION"):
			say(appendOK(nil, statusAutocommit))
			continue
		}
		c.mu.Lock()
		hold, columns, changes := c.hold, c.columns, c.changes
		c.mu.Unlock()
		var rows [][]string
		width := 4
		switch {
		case strings.Contains(text, "global_status"):
			if hold != nil {
				<-hold
			}
			width, rows = 2, [][]string{{fmt.Sprint(changes), "9"}}
		case strings.Contains(text, "TABLE_TYPE"):
			rows = [][]string{{"d", "t", "BASE TABLE", "InnoDB"}}
		case strings.Contains(text, "COLUMN_NAME"):
			list, _, _ := strings.Cut(text, " FROM ")
			width = strings.Count(list, ",") + 1
			for _, name := range columns {
				rows = append(rows, append([]string{"d", "t", name}, make([]string, width-3)...))
			}
		}
		say([]byte{byte(width)})
		for range width {
			say(appendStr(nil, []byte("def")))
		}
		say([]byte{packetEOF, 0, 0, 0, 0})
		for _, row := range rows {
			var b []byte
			for _, v := range row {
				b = appendStr(b, []byte(v))
			}
			say(b)
		}
		say(append([]byte{packetEOF}, appendOK(nil, 0)[1:]...))
	}
}

// alter changes the table past the gateway.
func (c *catalogTarget) alter(columns ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.columns, c.changes = columns, c.changes+1
}

func (c *catalogTarget) connections() (opened, open int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.opened, c.open
}

// Changes made past the gateway are looked for beside what statements do, over one
// connection, and no longer when nobody needs that.
func TestCatalogIsRenewedBeside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tt := &catalogTarget{}
		tt.alter("a")
		srv := &Server{}
		srv.init()
		key := catalogKey{target: "t"}
		k := srv.catalogs.open(key, srv.analyzer, mysqlsql.State{Version: 80036}, func(ctx context.Context) (*target, error) {
			return srv.connectTarget(ctx, protocol.Resource{Options: map[string]string{"sslmode": "disable"}}, tt.dial, request{creds: protocol.Credentials{User: "gw"}})
		})
		columns := func() string {
			var b bytes.Buffer
			for _, c := range k.current().Lookup("d", "t").Columns {
				b.WriteString(c.Name)
			}
			return b.String()
		}
		require.Equal(t, "a", columns())
		tt.alter("a", "b")
		require.Equal(t, "a", columns(), "nobody has looked yet")
		time.Sleep(catalogPoll + time.Millisecond)
		synctest.Wait()
		require.Equal(t, "ab", columns())
		opened, _ := tt.connections()
		require.Equal(t, 1, opened)

		tt.mu.Lock()
		tt.hold = make(chan struct{})
		tt.mu.Unlock()
		tt.alter("c")
		time.Sleep(catalogPoll)
		synctest.Wait()
		require.Equal(t, "ab", columns(), "a statement waits for no answer about what it does not know")
		close(tt.hold)
		synctest.Wait()
		require.Equal(t, "c", columns())
		k.Stale()
		tt.alter("d")
		require.Equal(t, "d", columns(), "but it does for what it knows")

		tt.alter("d") // counted when it begins
		use := func(d time.Duration) {
			for ; d > 0; d -= catalogPoll {
				time.Sleep(catalogPoll)
				synctest.Wait()
				columns()
			}
		}
		use(4 * catalogPoll)
		tt.mu.Lock()
		tt.columns = []string{"f"}
		tt.mu.Unlock()
		use(2 * catalogPoll)
		require.Equal(t, "f", columns())
		use(10 * time.Minute)
		tt.mu.Lock()
		tt.columns = []string{"g"}
		tt.mu.Unlock()
		use(catalogWhole + 2*catalogPoll)
		require.Equal(t, "g", columns())

		time.Sleep(time.Hour)
		_, open := tt.connections()
		require.Zero(t, open, "nobody uses it")
		tt.alter("e")
		require.Equal(t, "e", columns(), "after that the first who does looks")

		srv.catalogs.Release(key)
		time.Sleep(2 * catalogIdle)
		synctest.Wait()
		_, open = tt.connections()
		require.Zero(t, open, "nobody has it open")
		time.Sleep(2 * catalogLinger)
		synctest.Wait()
		require.Nil(t, k.current(), "it is closed")
	})
}
