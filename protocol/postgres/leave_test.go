package postgres_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/pgtest"
)

// Whoever says good-bye behind a change and is gone at once has asked for the
// change: it runs, and its end is recorded.
func TestGoodbyeBehindAChange(t *testing.T) {
	r := newRig(t, rigConfig{})
	pgtest.Exec(t, r.pg, "create table kept (a int)")
	now := func(text string) []byte {
		return append(append(msg('P', "\x00"+text+"\x00\x00\x00"), msg('B', "\x00\x00\x00\x00\x00\x00\x00\x00")...), msg('E', "\x00\x00\x00\x00\x00")...)
	}
	bye, sync := msg('X', ""), msg('S', "")
	n := 0
	for range 20 {
		for _, parts := range [][][]byte{
			{msg('Q', fmt.Sprintf("insert into kept values (%d)\x00", n)), bye},
			{msg('Q', "select 1\x00"), msg('Q', fmt.Sprintf("insert into kept values (%d)\x00", n)), bye},
			{msg('Q', fmt.Sprintf("select pg_sleep(0.005); insert into kept values (%d)\x00", n)), bye},
			{now("select 1"), now(fmt.Sprintf("insert into kept values (%d)", n)), sync, bye},
			{now("select generate_series(1, 5)"), sync, now(fmt.Sprintf("insert into kept values (%d)", n)), sync, now("select 1"), sync, bye},
		} {
			w, _, _ := r.login(t, v30)
			var all []byte
			for _, p := range parts {
				all = append(all, p...)
			}
			w.send(all)
			require.NoError(t, w.Close())
			n++
		}
		eventually(t, 20*time.Second, func() bool { return backends(t, r) == "0" }, "the sessions end")
	}
	require.Equal(t, fmt.Sprint(n), count(t, r, "kept"))
	eventually(t, 5*time.Second, func() bool {
		ok := 0
		for _, e := range commands(t, r.dir, "insert") {
			if e.Kind == audit.CommandCompleted && e.Result.Status == "ok" {
				ok++
			}
		}
		return ok >= n
	}, "all with their end")
}

// How a client that is gone without good-bye leaves its statements.
func TestLostClients(t *testing.T) {
	// What a means to the target is not known before the answer to deallocate.
	waiting := []string{"select pg_sleep(30)", "deallocate a", "execute a"}
	for name, c := range map[string]struct {
		sent   []string
		runs   string // in the first of them
		status string // how that ends
		reset  bool
	}{
		"while the gateway waits for the target": {waiting, "pg_sleep(30)", "cancelled", false},
		"the same by a reset":                    {waiting, "pg_sleep(30)", "cancelled", true},
		"amid a short change":                    {[]string{"insert into kept select 1 from pg_sleep(0.3)"}, "pg_sleep", "ok", true},
		"amid a long change":                     {[]string{"insert into kept select 1 from pg_sleep(30)"}, "pg_sleep", "cancelled", true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, rigConfig{})
			pgtest.Exec(t, r.pg, "create table kept (a int)")
			w, _, _ := r.login(t, v30)
			w.send(msg('Q', "prepare a as values (1)\x00"))
			w.until("Z")
			var all []byte
			for _, q := range c.sent {
				all = append(all, msg('Q', q+"\x00")...)
			}
			w.send(all)
			running(t, r.pg, c.runs)
			if c.reset {
				require.NoError(t, w.Conn.(*net.TCPConn).SetLinger(0))
			}
			require.NoError(t, w.Close())
			eventually(t, 5*time.Second, func() bool { return len(r.gateway.Sessions()) == 0 }, "the session ends")
			eventually(t, 5*time.Second, func() bool { return backends(t, r) == "0" }, "and the target's")
			verb := strings.Fields(c.sent[0])[0]
			eventually(t, 5*time.Second, func() bool {
				for _, e := range commands(t, r.dir, verb) {
					if e.Kind == audit.CommandCompleted {
						return string(e.Result.Status) == c.status
					}
				}
				return false
			}, "with its end: "+c.status)
			require.Empty(t, commands(t, r.dir, "values"), "nothing more is asked for")
		})
	}
}
