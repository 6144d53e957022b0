package export

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/audit"
)

// What was sent is on stable storage in the journal before: a power failure cannot
// take it there only.
func TestSentIsDurable(t *testing.T) {
	dir, cursor := t.TempDir(), filepath.Join(t.TempDir(), "cursor")
	filled(t, dir, 250)
	durable := -1
	s := sinkFunc(func(_ context.Context, _ string, events []audit.Event) error {
		require.Equal(t, int(events[0].Seq), durable)
		return nil
	})
	x := &Exporter{Dir: dir, Cursor: cursor, Sink: s, Logger: quiet, fsync: func(d string, from uint64) error {
		require.Equal(t, dir, d)
		durable = int(from)
		return audit.Fsync(d, from)
	}}
	require.NoError(t, x.Run(t.Context(), false))
	require.Positive(t, durable)

	require.NoError(t, os.Remove(cursor))
	broken := errors.New("the disk is broken")
	x.fsync = func(string, uint64) error { return broken }
	x.Sink = sinkFunc(func(context.Context, string, []audit.Event) error { t.Error("it was sent"); return nil })
	require.ErrorIs(t, x.Run(t.Context(), false), broken)
	require.NoFileExists(t, cursor)
}

// A journal that was put back gives numbers to other events than those that were
// sent. They are not left out in silence.
func TestJournalIsPutBack(t *testing.T) {
	dir, cursor := filepath.Join(t.TempDir(), "journal"), filepath.Join(t.TempDir(), "cursor")
	filled(t, dir, 100)
	older := filepath.Join(t.TempDir(), "older")
	require.NoError(t, os.CopyFS(older, os.DirFS(dir)))
	filled(t, dir, 50)
	x := &Exporter{Dir: dir, Cursor: cursor, Sink: sinkFunc(func(context.Context, string, []audit.Event) error { return nil }), Logger: quiet}
	require.NoError(t, x.Run(t.Context(), false))
	require.NoError(t, x.Run(t.Context(), false), "all of it is no more than it has")

	require.NoError(t, os.RemoveAll(dir))
	for _, follow := range []bool{false, true} {
		require.ErrorContains(t, x.Run(t.Context(), follow), "there is none", "nor are those of another journal, which is still to come")
	}
	require.NoError(t, os.Rename(older, dir))
	x.wait = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	for _, follow := range []bool{false, true} {
		require.ErrorContains(t, x.Run(t.Context(), follow), "an older state of it")
	}
}
