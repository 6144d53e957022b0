package postgres_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway"
	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/postgres"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/pgtest"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
)

// running waits until the server runs a statement with text in it.
func running(t testing.TB, pg *servers.Postgres, text string) {
	t.Helper()
	require.Eventually(t, func() bool {
		return pgtest.Exec(t, pg, "select count(*) from pg_stat_activity where state = 'active' and pid <> pg_backend_pid() and query like '%"+text+"%'") == "1\n"
	}, 10*time.Second, 20*time.Millisecond)
}

// commands returns what the journal in dir has of a verb.
func commands(t testing.TB, dir, verb string) (list []audit.Event) {
	t.Helper()
	for e, err := range audit.Events(dir) {
		require.NoError(t, err)
		if e.Action != nil && string(e.Action.Verb) == verb {
			list = append(list, e)
		}
	}
	return list
}

func cancelPacket(pid uint32, key []byte) []byte {
	return packet(80877102, string(binary.BigEndian.AppendUint32(nil, pid))+string(key))
}

func isCancelled(t testing.TB, err error) {
	t.Helper()
	var pe *pgconn.PgError
	require.ErrorAs(t, err, &pe)
	require.Equal(t, "57014", pe.Code)
}

func TestInterruptedPsqlCancels(t *testing.T) {
	r := newRig(t, rigConfig{})
	cmd := exec.Command(pgtest.Tool(t, "psql"), "-X", "-h", r.host, "-p", r.port, "-U", "alice", "-d", "pg/postgres", "-c", "select pg_sleep(60)")
	cmd.Env = append(cmd.Environ(), "PGPASSWORD="+r.token)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	require.NoError(t, cmd.Start())
	running(t, r.pg, "pg_sleep(60)")
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	_ = cmd.Wait()
	require.Contains(t, out.String(), "canceling statement due to user request")
	require.Eventually(t, func() bool { return len(commands(t, r.dir, "cancel")) > 0 }, 5*time.Second, 10*time.Millisecond)
}

// TestCancelEverywhere is a cancel over every mixture of encryption, since
// neither side may fall back to plaintext for it.
func TestCancelEverywhere(t *testing.T) {
	pg := pgtest.Start(t, pgtest.TLS())
	conf, ca := listenerTLS(t)
	targetRoot, clientRoot := caFile(t, pg.Authority), caFile(t, ca)
	target := func(name string, o map[string]string) gateway.Target {
		return gateway.Target{Name: name, Protocol: "postgres", Addr: pg.Addr, User: pg.Superuser.User, Secret: gateway.Fixed(pg.Superuser.Secret), Options: o}
	}
	f := newFront(t, frontConfig{server: &postgres.Server{TLS: conf}, targets: []gateway.Target{
		target("plain", map[string]string{"sslmode": "disable"}),
		target("tls", map[string]string{"sslmode": "verify-full", "sslrootcert": targetRoot}),
	}})
	for _, name := range []string{"plain", "tls"} {
		for _, mode := range []string{"disable", "verify-full"} {
			t.Run(name+" "+mode, func(t *testing.T) {
				conn, err := pgx.Connect(t.Context(), fmt.Sprintf("postgres://alice:%s@%s/%s%%2Fpostgres?sslmode=%s&sslrootcert=%s", f.token, f.addr, name, mode, clientRoot))
				require.NoError(t, err)
				defer conn.Close(context.Background())
				done := make(chan error, 1)
				go func() { _, err := conn.Exec(context.Background(), "select pg_sleep(60)"); done <- err }()
				running(t, pg, "pg_sleep(60)")
				require.NoError(t, conn.PgConn().CancelRequest(t.Context()))
				isCancelled(t, <-done)
				var n int
				require.NoError(t, conn.QueryRow(t.Context(), "select 3").Scan(&n), "the session goes on")
			})
		}
	}
	var asked, done int
	for _, e := range commands(t, f.dir, "cancel") {
		require.Equal(t, "alice", string(e.Identity.Subject))
		if e.Decision != nil {
			asked++
		}
		if e.Kind == audit.CommandCompleted {
			done++
			require.Equal(t, "ok", string(e.Result.Status))
		}
	}
	require.Equal(t, 4, asked)
	require.Equal(t, 4, done)
}

// The process id is the target's, so that it means the same on both sides; the
// key is the gateway's own.
func TestClientsGetTheirOwnCancelKey(t *testing.T) {
	var theirs []byte
	ft := newFakeTarget(t, func(w *wireClient) {
		w.write(auth(0, ""), msg('K', keyData), msg('Z', "I"))
		_, _, _ = readMessage(w)
	})
	f := newFront(t, frontConfig{targets: []gateway.Target{ft.target()}})
	seen := map[string]bool{}
	for _, tt := range []struct {
		version uint32
		key     int
	}{{v30, 4}, {v30 | 1, 4}, {v32, 32}, {v30 | 9999, 32}} {
		w := dialWire(t, f.addr)
		w.send(startupOf(tt.version, "user", "alice", "database", "fake"))
		w.until("R")
		w.send(msg('p', f.token+"\x00"))
		_, body := w.until("K")
		require.Equal(t, uint32(7), binary.BigEndian.Uint32(body))
		theirs = body[4:]
		require.Len(t, theirs, tt.key)
		require.NotContains(t, string(theirs), "\x01\x02\x03\x04")
		require.False(t, seen[string(theirs)], "each session has a key of its own")
		seen[string(theirs)] = true
	}

	r := newRig(t, rigConfig{})
	conn := r.connect(t, "")
	var pid uint32
	require.NoError(t, conn.QueryRow(t.Context(), "select pg_backend_pid()").Scan(&pid))
	require.Equal(t, pid, conn.PgConn().PID())
}

// login is a login by hand; it returns what the client needs to cancel.
func (r *rig) login(t testing.TB, version uint32) (w *wireClient, pid uint32, key []byte) {
	t.Helper()
	w = dialWire(t, r.addr)
	w.send(startupOf(version, "user", "alice", "database", "pg/postgres"))
	w.until("R")
	w.send(msg('p', r.token+"\x00"))
	_, body := w.until("K")
	w.until("Z")
	return w, binary.BigEndian.Uint32(body), body[4:]
}

// cancelBy sends a cancel request and waits until the gateway has closed.
func (r *rig) cancelBy(t testing.TB, pid uint32, key []byte) {
	t.Helper()
	c := dialWire(t, r.addr)
	c.send(cancelPacket(pid, key))
	c.closed()
}

func TestCancelNeedsPidAndKey(t *testing.T) {
	for _, version := range []uint32{v30, v32} {
		r := newRig(t, rigConfig{})
		w, pid, key := r.login(t, version)
		_, otherPid, otherKey := r.login(t, version)
		w.send(msg('Q', "select pg_sleep(60)\x00"))
		running(t, r.pg, "pg_sleep(60)")
		flipped := append([]byte(nil), key...)
		flipped[len(flipped)-1] ^= 1
		r.cancelBy(t, pid, flipped)
		r.cancelBy(t, pid, otherKey)
		r.cancelBy(t, otherPid, key)
		r.cancelBy(t, pid+100000, key)
		if len(key) > 4 {
			r.cancelBy(t, pid, key[:4])
		}
		r.cancelBy(t, pid, append(append([]byte(nil), key...), 0))
		running(t, r.pg, "pg_sleep(60)")
		require.Empty(t, commands(t, r.dir, "cancel"))
		r.cancelBy(t, pid, key)
		for {
			typ, body := w.message()
			if typ == 'E' {
				require.Equal(t, "57014", fields(body)['C'])
				break
			}
		}
		w.until("Z")
		// A cancel request that comes late hits nothing, and a key ends with
		// its session.
		r.cancelBy(t, pid, key)
		w.send(msg('X', ""))
		w.closed()
		require.Eventually(t, func() bool { return len(r.gateway.Sessions()) == 1 }, 5*time.Second, 5*time.Millisecond)
		n := len(commands(t, r.dir, "cancel"))
		r.cancelBy(t, pid, key)
		require.Len(t, commands(t, r.dir, "cancel"), n)
	}
}

// A client that cancels without end does not flood the target with connections.
func TestCancelsAreRateLimited(t *testing.T) {
	r := newRig(t, rigConfig{pg: []pgtest.Option{pgtest.Setting("log_connections", "on")}})
	_, pid, key := r.login(t, v30)
	before := strings.Count(r.pg.Log(), "connection received")
	start := time.Now()
	for range 100 {
		r.cancelBy(t, pid, key)
	}
	limit := 10 + 1 + int(time.Since(start)/(100*time.Millisecond))
	passed := strings.Count(r.pg.Log(), "connection received") - before
	require.LessOrEqual(t, passed, limit)
	require.GreaterOrEqual(t, passed, 10)
}

// Keys cannot be guessed: after some wrong ones from an address nothing from
// there is looked at for a while, not even the right one. Others are let be,
// and the operator is told.
func TestWrongCancelKeysAreRateLimited(t *testing.T) {
	var log lockedBuffer
	r := newRig(t, rigConfig{server: &postgres.Server{AllowPlaintext: true, Logger: slog.New(slog.NewTextHandler(&log, nil))}})
	w, pid, key := r.login(t, v30)
	w.send(msg('Q', "select pg_sleep(60)\x00"))
	running(t, r.pg, "pg_sleep(60)")
	wrong := []byte{key[0] ^ 1, key[1], key[2], key[3]}
	looked := func() int { return strings.Count(log.String(), "wrong key") }
	start := time.Now()
	for range 30 {
		r.cancelBy(t, pid, wrong)
	}
	for n := looked(); looked() == n; { // one more is looked at: the next will be in a second
		r.cancelBy(t, pid, wrong)
	}
	r.cancelBy(t, pid, key)
	require.Empty(t, commands(t, r.dir, "cancel"))
	running(t, r.pg, "pg_sleep(60)")
	require.LessOrEqual(t, looked(), 12+int(time.Since(start)/time.Second), "nor is the log flooded")
	require.Contains(t, log.String(), "no more from there")
	require.Contains(t, log.String(), "remote=127.0.0.1")

	elsewhere := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	conn, err := elsewhere.Dial("tcp", r.addr)
	require.NoError(t, err)
	c := newWire(t, conn)
	c.send(cancelPacket(pid, key))
	c.closed()
	_, body := w.until("E")
	require.Equal(t, "57014", fields(body)['C'])
	require.Eventually(t, func() bool {
		r.cancelBy(t, pid, key)
		return len(commands(t, r.dir, "cancel")) > 2
	}, 5*time.Second, 100*time.Millisecond, "and it is a while only")
}

// A cancel request that a step does not allow goes nowhere.
func TestCancelIsAnOperation(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{{Name: "no cancel", Operation: func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
		if op.Verb == protocol.Cancel {
			return protocol.Deny("not today"), nil
		}
		return protocol.Pass, nil
	}}}})
	w, pid, key := r.login(t, v30)
	w.send(msg('Q', "select pg_sleep(1), 'slept'\x00"))
	running(t, r.pg, "slept")
	r.cancelBy(t, pid, key)
	_, body := w.until("D")
	require.Contains(t, string(body), "slept")
	list := commands(t, r.dir, "cancel")
	require.Len(t, list, 1)
	require.Equal(t, "deny", string(list[0].Decision.Effect))
}
