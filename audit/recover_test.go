package audit

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("AUDIT_TEST_VICTIM"); dir != "" {
		victim(dir)
		return
	}
	os.Exit(m.Run())
}

func TestUnfinishedIsSettled(t *testing.T) {
	dir := t.TempDir()
	j := openTest(t, dir, Options{SegmentSize: 2 << 10})
	b, a := newActor(t, j, `b"\`), newActor(t, j, "a")
	b.connect()
	a.connect()
	gone := newActor(t, j, "gone")
	gone.end(gone.connect(), protocol.StatusOK)
	refused := newActor(t, j, "refused")
	refused.deny(refused.connect()) // a later step failed
	done, open, denied := a.op("select", "1"), a.op("select", "2"), a.op("select", "3")
	a.allow(done)
	a.allow(open)
	a.allow(denied)
	a.deny(denied) // a later step failed
	a.end(done, protocol.StatusOK)
	b.allow(b.op("update", `,"decision":{"effect":"deny"`))
	require.NoError(t, j.Sync(t.Context(), j.End()))
	head := j.Head()
	crash(j)

	k := openTest(t, dir, Options{})
	require.NoError(t, k.Close())
	_, err := Verify(dir, head, k.Head())
	require.NoError(t, err)
	es := events(t, dir)[head.Size:]
	require.Equal(t, []Kind{JournalSegment, CommandUnknown, SessionClosed, CommandUnknown, SessionClosed, JournalOpened, JournalClosed}, kindsOf(es))
	require.Equal(t, `b"\`, es[1].Session)
	require.EqualValues(t, 2, es[1].Command)
	require.Equal(t, "a", es[3].Session)
	require.Equal(t, open.ID, es[3].Command)
	require.Equal(t, "unknown", es[3].Result.Status)
	require.EqualValues(t, "u-17", es[3].Identity.Subject)
	require.WithinDuration(t, time.Now(), es[3].Time, time.Minute)
}

// crash lets go of the directory as the death of the process would.
func crash(j *Journal) {
	j.mu.Lock()
	j.closed = true
	j.mu.Unlock()
	j.timer.Stop()
	j.tasks.Wait()
	j.fail(ErrClosed)
	j.file.Close()
	j.lock.Close()
}

func TestRepeatedCrashes(t *testing.T) {
	dir := t.TempDir()
	for i := range 5 {
		j := openTest(t, dir, Options{})
		for k := range 5 {
			newActor(t, j, fmt.Sprint(i, ".", k)).connect()
		}
		require.NoError(t, j.Flush(t.Context(), j.End()))
		crash(j)
	}
	j := openTest(t, dir, Options{})
	require.NoError(t, j.Close())
	rep, err := Verify(dir, j.Head())
	require.NoError(t, err)
	require.EqualValues(t, 25, rep.Kinds[SessionOpened])
	require.EqualValues(t, 25, rep.Kinds[SessionClosed], "each is closed once")
	var last Event
	for _, e := range events(t, dir) {
		if e.Kind == JournalSegment {
			last = e
		}
	}
	require.EqualValues(t, rep.Segments-1, last.Journal.OpenSince, "recovery does not look back further with each crash")
}

var kills = flag.Int("kills", 20, "how often TestKill kills a writer")

// TestKill kills a process that writes under load, or that recovers, again and
// again in one directory, and looks for every event that it had acknowledged. After
// ten kills it begins a new directory, because each look reads all of it.
func TestKill(t *testing.T) {
	n := *kills
	if testing.Short() {
		n = 3
	}
	for ; n > 0; n -= 10 {
		killed(t, min(n, 10))
	}
}

func killed(t *testing.T, n int) {
	t.Helper()
	dir := t.TempDir()
	acked, torn := 0, 0
	var start time.Duration // of the victim before
	for i := range n {
		early := time.Duration(0)
		if i%4 == 3 {
			early = start
		}
		acks, took := runVictim(t, dir, early)
		if early == 0 {
			start = took
		}
		rep, err := Verify(dir)
		require.NoError(t, err)
		if rep.Torn > 0 {
			torn++
		}
		have := map[string]bool{}
		for e, err := range Events(dir) {
			require.NoError(t, err)
			have[e.Session+" "+strconv.FormatUint(e.Command, 10)+" "+string(e.Kind)] = true
		}
		for _, a := range acks {
			require.True(t, have[a], "%q was acknowledged and is lost", a)
		}
		acked += len(acks)
	}
	j := openTest(t, dir, Options{})
	require.NoError(t, j.Close())
	rep, err := Verify(dir, j.Head())
	require.NoError(t, err)
	require.True(t, rep.Closed)
	require.Equal(t, rep.Kinds[SessionOpened], rep.Kinds[SessionClosed])
	decided := uint64(0)
	for _, e := range events(t, dir) {
		if e.Kind == CommandDecided || e.Kind == CommandCompleted && e.Decision != nil {
			decided++
		}
	}
	require.Equal(t, decided, rep.Kinds[CommandCompleted]+rep.Kinds[CommandUnknown])
	require.Positive(t, acked)
	t.Logf("%d kills, %d acknowledged, %d torn tails, %d events, %d ended as unknown", n, acked, torn, rep.Head.Size, rep.Kinds[CommandUnknown])
}

// runVictim kills a process at a random moment while it writes, or before early has
// passed, and returns what it had acknowledged and how long it took to begin.
func runVictim(t *testing.T, dir string, early time.Duration) (acks []string, start time.Duration) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "AUDIT_TEST_VICTIM="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	began := time.Now()
	require.NoError(t, cmd.Start())
	kill := func(within time.Duration) {
		timer := time.AfterFunc(rand.N(within), func() { _ = cmd.Process.Kill() })
		t.Cleanup(func() { timer.Stop() })
	}
	lines := bufio.NewScanner(out)
	if early > 0 {
		kill(early)
	}
	if lines.Scan() {
		require.Equal(t, "ready", lines.Text())
		start = time.Since(began)
	} else {
		require.Positive(t, early, "the victim did not start")
	}
	if early == 0 {
		kill(60 * time.Millisecond)
	}
	for lines.Scan() {
		if a, ok := strings.CutSuffix(lines.Text(), "."); ok { // a whole line
			acks = append(acks, a)
		}
	}
	require.Error(t, cmd.Wait(), "it was killed")
	return acks, start
}

// victim records until it is killed, and says what is safe once it is.
func victim(dir string) {
	j, err := Open(dir, Options{SegmentSize: 256 << 10, MinFree: 1})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("ready")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				victimSession(j)
			}
		})
	}
	wg.Wait()
}

func victimSession(j *Journal) {
	s := sessionInfo(protocol.NewID())
	ctx := context.Background()
	note := func(e *protocol.Event, durable bool) {
		e.Session = s
		p, err := j.Record(e, Detail{})
		if err == nil && durable {
			err = j.Sync(ctx, p)
		} else if err == nil {
			err = j.Flush(ctx, p)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Printf("%s %d %s.\n", s.ID, e.Op.ID, kindOf(e))
	}
	allow := protocol.Decision{Effect: protocol.AllowEffect}
	connect := &protocol.Operation{Session: s, ID: 1, Verb: protocol.Connect}
	note(&protocol.Event{Kind: protocol.Decided, Op: connect, Decision: allow}, true)
	for id := uint64(2); id < 12; id++ {
		op := &protocol.Operation{Session: s, ID: id, Verb: "update", Text: "update t set a = " + strings.Repeat("1", rand.IntN(2000))}
		note(&protocol.Event{Kind: protocol.Decided, Op: op, Decision: allow}, id%3 == 0)
		if _, err := j.Record(&protocol.Event{Kind: protocol.Ended, Session: s, Op: op, Outcome: protocol.Outcome{Status: protocol.StatusOK}}, Detail{}); err != nil {
			os.Exit(1)
		}
	}
	for id := uint64(12); id < 40; id++ {
		op := &protocol.Operation{Session: s, ID: id, Verb: "select", Pure: true, Text: "select " + strings.Repeat("1", rand.IntN(2000))}
		op.Decide(allow, nil)
		if err := j.Postpone(&protocol.Event{Kind: protocol.Decided, Session: s, Op: op, Decision: allow}, Detail{}); err != nil {
			os.Exit(1)
		}
		note(&protocol.Event{Kind: protocol.Ended, Op: op, Outcome: protocol.Outcome{Status: protocol.StatusOK}}, false)
	}
	note(&protocol.Event{Kind: protocol.Ended, Op: connect, Outcome: protocol.Outcome{Status: protocol.StatusOK}}, false)
}
