package postgres_test

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway"
	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/postgres"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/pgtest"
)

var crashRounds = flag.Int("crash.rounds", 20, "how often the crash test kills the gateway")

const crashEnv = "SALLYPORT_TEST_CRASH"

// crashGateway is what the gateway that is going to be killed needs.
type crashGateway struct{ Dir, Target, User, Secret, Hash string }

// TestCrashChild is the gateway of TestCrash in a process of its own. It prints
// its address and runs until it is killed.
func TestCrashChild(t *testing.T) {
	if os.Getenv(crashEnv) == "" {
		t.Skip("runs as a child of TestCrash")
	}
	var c crashGateway
	require.NoError(t, json.Unmarshal([]byte(os.Getenv(crashEnv)), &c))
	journal, err := audit.Open(c.Dir, audit.Options{SegmentSize: 256 << 10})
	require.NoError(t, err)
	g, err := gateway.New(gateway.Config{
		Steps: []middleware.Step{
			middleware.Tokens(middleware.Token{Hash: c.Hash, Subject: "alice", Kind: protocol.Human, Groups: []string{"dba"}}),
			middleware.Authorize(middleware.Access{Name: "all", Groups: []string{"dba"}, Targets: []string{"*"},
				Access: []string{"read", "write", "schema", "admin", "execute", "opaque"}}),
			middleware.Record(journal),
		},
		Targets: []gateway.Target{{Name: "pg", Protocol: "postgres", Addr: c.Target, User: c.User,
			Secret: gateway.Fixed(protocol.NewSecret(c.Secret)), Options: map[string]string{"sslmode": "disable", "dbname": "postgres"}}},
	})
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	fmt.Println("listening on", l.Addr())
	go func() { // never outlive the test
		_, _ = bufio.NewReader(os.Stdin).ReadByte()
		os.Exit(3)
	}()
	_ = g.Serve(context.Background(), l, &postgres.Server{AllowPlaintext: true})
}

// start runs the gateway in a process and returns it with its address.
func (c crashGateway) start(t *testing.T) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestCrashChild$", "-test.v")
	conf, err := json.Marshal(c)
	require.NoError(t, err)
	cmd.Env = append(os.Environ(), crashEnv+"="+string(conf))
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	t.Cleanup(func() { _ = stdin.Close() })
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	var said []string
	for sc := bufio.NewScanner(out); sc.Scan(); {
		if addr, ok := strings.CutPrefix(sc.Text(), "listening on "); ok {
			return cmd, addr
		}
		said = append(said, sc.Text())
	}
	_ = cmd.Wait()
	t.Fatalf("the gateway did not start:\n%s", strings.Join(said, "\n"))
	return nil, ""
}

// A tally is what the clients know for sure.
type tally struct {
	mu    sync.Mutex
	reads []string // whose result arrived
	tried int
}

// seen returns how many results have arrived.
func (ta *tally) seen() int {
	ta.mu.Lock()
	defer ta.mu.Unlock()
	return len(ta.reads)
}

func (ta *tally) work(ctx context.Context, addr, token, name string) {
	conn, err := pgx.Connect(ctx, "postgres://alice:"+token+"@"+addr+"/pg?sslmode=disable")
	if err != nil {
		return
	}
	defer conn.PgConn().Close(ctx)
	for i := 0; ; i++ {
		id := fmt.Sprintf("<%s-%d>", name, i)
		var err error
		read := ""
		switch i % 6 {
		case 0:
			_, err = conn.Exec(ctx, "insert into writes values ('"+id+"')", pgx.QueryExecModeSimpleProtocol)
		case 1:
			_, err = conn.Exec(ctx, "insert into writes values ($1)", id)
		case 2:
			_, err = conn.Exec(ctx, "begin; insert into writes values ('"+id+"'); commit", pgx.QueryExecModeSimpleProtocol)
		case 3:
			err = conn.QueryRow(ctx, "select '"+id+"' from customers limit 1", pgx.QueryExecModeSimpleProtocol).Scan(&read)
		case 4:
			err = conn.QueryRow(ctx, "select $1::text from customers limit 1", id).Scan(&read)
		case 5: // several at once, in one write
			b := &pgx.Batch{}
			b.Queue("insert into writes values ($1)", id)
			b.Queue("select $1::text from customers limit 1", id)
			r := conn.SendBatch(ctx, b)
			if _, err = r.Exec(); err == nil {
				err = r.QueryRow().Scan(&read)
			}
			_ = r.Close() // reports what Scan has reported
		}
		ta.mu.Lock()
		ta.tried++
		if read != "" {
			ta.reads = append(ta.reads, read)
		}
		ta.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// TestCrash kills the gateway under load, again and again. Every write that is
// in the server and every read whose result reached a client is in the journal,
// which the next process takes over without complaint.
func TestCrash(t *testing.T) {
	const clients = 6
	pg := pgtest.Start(t, pgtest.Sample(), pgtest.SQL("create table writes (id text)"))
	token, hash := middleware.NewToken()
	c := crashGateway{Dir: t.TempDir(), Target: pg.Addr, User: pg.Superuser.User, Secret: pg.Superuser.Secret.Reveal(), Hash: hash}
	var ta tally
	for round := range *crashRounds {
		cmd, addr := c.start(t)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		var wg sync.WaitGroup
		before := ta.seen()
		for i := range clients {
			wg.Go(func() { ta.work(ctx, addr, token.Reveal(), fmt.Sprintf("%d-%d", round, i)) })
		}
		require.Eventually(t, func() bool { return ta.seen() > before+clients }, 20*time.Second, time.Millisecond, "there is no load")
		time.Sleep(time.Duration(rand.IntN(400)) * time.Millisecond) // the moment is the point
		require.NoError(t, cmd.Process.Signal(syscall.SIGKILL))
		_ = cmd.Wait()
		wg.Wait()
		cancel()
		if left := pgtest.Exec(t, pg, "select pg_sleep(0.02)"); left == "" { // let the server see the loss
			t.Log("no answer")
		}
	}
	journal, err := audit.Open(c.Dir, audit.Options{})
	require.NoError(t, err)
	require.NoError(t, journal.Close())
	report, err := audit.Verify(c.Dir)
	require.NoError(t, err)
	require.True(t, report.Closed)

	recorded := map[string]bool{}
	open := map[string]bool{}
	ids := regexp.MustCompile(`<[0-9-]+>`)
	for e, err := range audit.Events(c.Dir) {
		require.NoError(t, err)
		key := fmt.Sprint(e.Session, "/", e.Command)
		if (e.Kind == audit.CommandDecided || e.Kind == audit.CommandCompleted) && e.Decision != nil {
			require.Equal(t, "allow", e.Decision.Effect)
			open[key] = true
			if e.Action == nil || e.Action.Text == nil {
				continue
			}
			for _, id := range ids.FindAllString(string(e.Action.Text.Text), -1) {
				recorded[id] = true
			}
			for _, a := range e.Action.Args {
				recorded[string(a.Value.Text)] = true
			}
		}
		switch e.Kind {
		case audit.CommandCompleted, audit.CommandUnknown:
			delete(open, key)
		}
	}
	require.Empty(t, open, "what a crash cut off has an end, of unknown outcome")
	written := strings.Fields(pgtest.Exec(t, pg, "select id from writes"))
	require.Greater(t, len(written), *crashRounds*clients, "there was a load")
	require.Greater(t, len(ta.reads), *crashRounds*clients)
	for _, id := range written {
		require.True(t, recorded[id], "%s changed the server and is not in the journal", id)
	}
	for _, id := range ta.reads {
		require.True(t, recorded[id], "%s was shown to a client and is not in the journal", id)
	}
	t.Logf("%d rounds: %d requests, %d rows written, %d results seen, %d leaves", *crashRounds, ta.tried, len(written), len(ta.reads), report.Head.Size)
}
