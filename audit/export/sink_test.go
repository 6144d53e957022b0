package export

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/audit/store"
)

// A picky sink never takes some events.
type picky struct {
	moody
	bad map[uint64]bool
}

func (s *picky) Send(ctx context.Context, origin string, events []audit.Event) error {
	for _, e := range events {
		if s.bad[e.Seq] {
			return &RejectedError{Err: fmt.Errorf("%d is odd", e.Seq)}
		}
	}
	return s.moody.Send(ctx, origin, events)
}

// count is how many events there are in dir.
func count(t *testing.T, dir string) (n int) {
	t.Helper()
	for _, err := range audit.Events(dir) {
		require.NoError(t, err)
		n++
	}
	return n
}

func rejectedIn(t *testing.T, path string) (n []uint64) {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	for line := range bytes.Lines(b) {
		var e audit.Event
		require.NoError(t, json.Unmarshal(line, &e))
		n = append(n, e.Seq)
	}
	return n
}

// One event that no sink takes costs no other its way.
func TestOnlyWhatIsRejectedIsKept(t *testing.T) {
	dir, cursor := t.TempDir(), filepath.Join(t.TempDir(), "cursor")
	filled(t, dir, 30)
	s := &picky{bad: map[uint64]bool{0: true, 17: true}}
	require.NoError(t, (&Exporter{Dir: dir, Sink: s, Cursor: cursor, Batch: 10, Logger: quiet}).Run(t.Context(), false))
	require.Equal(t, []uint64{0, 17}, rejectedIn(t, cursor+".rejected"))
	require.Len(t, s.got, 31)
}

// A sink that has taken some of a batch gets none of it again.
func TestPartlyRejected(t *testing.T) {
	dir, cursor := t.TempDir(), filepath.Join(t.TempDir(), "cursor")
	filled(t, dir, 7)
	s := &moody{fails: 1, err: &RejectedError{Err: errors.New("some"), Some: true}}
	require.NoError(t, (&Exporter{Dir: dir, Sink: s, Cursor: cursor, Every: time.Hour, Logger: quiet}).Run(t.Context(), false))
	require.Equal(t, 1, s.tries)
	require.Len(t, rejectedIn(t, cursor+".rejected"), 10)
}

// A sink that rejects everything does not fill the disk, and loses nothing.
func TestRejectedIsBounded(t *testing.T) {
	dir, cursor := t.TempDir(), filepath.Join(t.TempDir(), "cursor")
	filled(t, dir, 50)
	s := &moody{fails: 1 << 30, err: &RejectedError{Err: errors.New("all of them")}}
	waits := 0
	x := &Exporter{Dir: dir, Sink: s, Cursor: cursor, Batch: 1, MaxRejected: 4 << 10, Logger: quiet}
	x.wait = func(context.Context, time.Duration) error {
		if waits++; waits == 3 { // somebody has put it right
			s.fails = 0
		}
		return nil
	}
	require.NoError(t, x.Run(t.Context(), false))
	require.Equal(t, 3, waits)
	st, err := os.Stat(cursor + ".rejected")
	require.NoError(t, err)
	require.Less(t, st.Size(), int64(6<<10))
	have := seqs(s.got)
	for _, n := range rejectedIn(t, cursor+".rejected") {
		have[n]++
	}
	require.Len(t, have, count(t, dir))
}

func TestRetryAfter(t *testing.T) {
	dir := t.TempDir()
	filled(t, dir, 3)
	for _, c := range []struct{ header, want string }{{"90", "1m30s"}, {"999999999", "15m0s"}, {"-1", ""}, {"soon", ""}, {time.Now().Add(5 * time.Minute).UTC().Format(http.TimeFormat), "4m"}} {
		s := &moody{fails: 1, err: Retry(errors.New("busy"), http.Header{"Retry-After": {c.header}})}
		var pause time.Duration
		x := &Exporter{Dir: dir, Sink: s, Cursor: filepath.Join(t.TempDir(), "c"), Every: time.Hour, Logger: quiet, wait: func(_ context.Context, d time.Duration) error { pause = d; return nil }}
		require.NoError(t, x.Run(t.Context(), false))
		switch c.want {
		case "":
			require.LessOrEqual(t, pause, 2*firstPause, c.header)
		case "4m":
			require.InDelta(t, 5*time.Minute, pause, float64(time.Minute))
		default:
			require.Equal(t, c.want, pause.String())
		}
	}
}

// What goes out has a bound, whatever clients send, and says what is missing.
func TestGiantEventsAreCut(t *testing.T) {
	huge := strings.Repeat("é", 20<<20)
	e := audit.Event{V: 1, Seq: 9, Time: noon, Kind: audit.CommandDecided, User: audit.Text(huge),
		Action: &audit.Action{Verb: "insert", Text: &audit.Value{Text: audit.Text("x" + huge)}, Why: audit.Text(huge)},
		Result: &audit.Result{Status: "ok", Error: audit.Text(huge), Tag: audit.Text(huge)}}
	for range 200_000 {
		e.Action.Args = append(e.Action.Args, audit.Arg{Value: &audit.Value{Text: "some argument"}})
		e.Action.Reads = append(e.Action.Reads, audit.ColumnRef{"public", "orders", "id"})
	}
	e.Action.Args = append(e.Action.Args, audit.Arg{Value: &audit.Value{Sealed: make([]byte, 1<<20), Commit: make([]byte, 32)}}, audit.Arg{})
	x := &Exporter{Texts: true}
	size := x.prepare(&e)
	require.LessOrEqual(t, size, maxEvent+1<<10)
	for name, f := range map[string]Format{"json": JSON, "ocsf": OCSF, "cef": CEF} {
		b, err := f("o", &e)
		require.NoError(t, err)
		require.Less(t, len(b), 2*maxEvent, name)
	}
	require.Contains(t, string(e.Error), "cut for the export: ")
	require.Contains(t, string(e.Error), "text")
	require.Contains(t, string(e.Error), "args")
	require.NotContains(t, string(e.Action.Text.Text), "\uFFFD")
	require.True(t, bytes.HasPrefix([]byte(e.Action.Text.Text), []byte("xé")))
	b, err := JSON("o", &e)
	require.NoError(t, err)
	require.NotContains(t, string(b), "base64", "a character is not cut in two")

	usual := golden()
	for i := range usual {
		was, err := json.Marshal(usual[i])
		require.NoError(t, err)
		x.prepare(&usual[i])
		now, err := json.Marshal(usual[i])
		require.NoError(t, err)
		require.Equal(t, string(was), string(now), "others stay as they are")
	}
}

// Batches are bounded by bytes as well.
func TestBatchesOfBytes(t *testing.T) {
	dir := t.TempDir()
	filled(t, dir, 100)
	s := &sizes{}
	require.NoError(t, (&Exporter{Dir: dir, Sink: s, Cursor: filepath.Join(t.TempDir(), "c"), Batch: 1000, Bytes: 8 << 10, Every: time.Hour, Logger: quiet}).Run(t.Context(), false))
	total := 0
	for _, n := range s.n {
		require.LessOrEqual(t, n, 8)
		total += n
	}
	require.Equal(t, count(t, dir), total)
}

type sizes struct{ n []int }

func (s *sizes) Send(_ context.Context, _ string, events []audit.Event) error {
	s.n = append(s.n, len(events))
	return nil
}

// A dying store keeps what it got of some objects and says so of none.
type dying struct {
	store.Store
	puts, die int
}

func (d *dying) Put(ctx context.Context, name string, b store.Body) error {
	err := d.Store.Put(ctx, name, b)
	if d.puts++; d.puts == d.die {
		return errors.Join(err, errors.New("the answer was lost"))
	}
	return err
}

// Whatever dies when, each event is in exactly one object in the end.
func TestObjects(t *testing.T) {
	dir := t.TempDir()
	filled(t, dir, 250)
	for die := range 8 {
		to := t.TempDir()
		cursor := filepath.Join(t.TempDir(), "c")
		d := &dying{Store: store.Dir(to), die: die}
		dead := errors.New("killed")
		// The process is killed where the store has failed, and comes back with
		// batches of another size.
		for i, batch := range []int{40, 33} {
			x := &Exporter{Dir: dir, Sink: Objects(d, NDJSON(nil)), Cursor: cursor, Batch: batch, Every: time.Hour, Logger: quiet,
				wait: func(context.Context, time.Duration) error { return dead }}
			if err := x.Run(t.Context(), false); i == 1 || !errors.Is(err, dead) {
				require.NoError(t, err)
			}
		}
		n := map[uint64]int{}
		for o, err := range d.List(t.Context(), "") {
			require.NoError(t, err)
			require.Regexp(t, `^[-0-9a-z]+/day=\d{4}-\d\d-\d\d/hour=\d\d/\d{20}\.ndjson\.gz$`, o.Name)
			r, err := d.Get(t.Context(), o.Name)
			require.NoError(t, err)
			z, err := gzip.NewReader(r)
			require.NoError(t, err)
			b, err := io.ReadAll(z)
			require.NoError(t, err)
			require.NoError(t, r.Close())
			for line := range bytes.Lines(b) {
				var e audit.Event
				require.NoError(t, json.Unmarshal(line, &e))
				n[e.Seq]++
			}
		}
		require.Len(t, n, count(t, dir))
		for seq, k := range n {
			require.Equal(t, 1, k, "event %d, killed at %d", seq, die)
		}
	}
}

// A sink that hangs holds nobody but its exporter, which ends with its context.
func TestSlowSink(t *testing.T) {
	dir := t.TempDir()
	filled(t, dir, 20)
	ctx, cancel := context.WithCancel(t.Context())
	slow := sinkFunc(func(ctx context.Context, _ string, _ []audit.Event) error {
		cancel()
		<-ctx.Done()
		return ctx.Err()
	})
	x := &Exporter{Dir: dir, Sink: slow, Cursor: filepath.Join(t.TempDir(), "c"), Batch: 1, Logger: quiet}
	require.ErrorIs(t, x.Run(ctx, true), context.Canceled)
	require.NoFileExists(t, x.Cursor)
}

type sinkFunc func(context.Context, string, []audit.Event) error

func (f sinkFunc) Send(ctx context.Context, origin string, events []audit.Event) error {
	return f(ctx, origin, events)
}

// The clock of a machine may go back; the number is the order.
func TestClockGoesBack(t *testing.T) {
	events := golden()
	for i := range events {
		events[i].Time = noon.Add(-time.Duration(i) * 100 * 24 * 365 * time.Hour) // to the year 700
	}
	for name, f := range map[string]Format{"json": JSON, "ocsf": OCSF, "cef": CEF} {
		var b bytes.Buffer
		require.NoError(t, Lines(&b, f).Send(t.Context(), "o", events), name)
		require.Equal(t, len(events), bytes.Count(b.Bytes(), []byte("\n")))
	}
	to := t.TempDir()
	require.NoError(t, Objects(store.Dir(to), NDJSON(nil)).Send(t.Context(), "o", events))
}
