package export

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/audit"
)

// whole returns how often each event stands in a line of its own.
func whole(b []byte) map[uint64]int {
	n := map[uint64]int{}
	for line := range bytes.Lines(b) {
		var e audit.Event
		if json.Unmarshal(line, &e) == nil {
			n[e.Seq]++
		}
	}
	return n
}

// A full disk takes a part of a batch. When there is room again, each event gets a
// line of its own.
func TestLinesThatWereCut(t *testing.T) {
	events := []audit.Event{{Seq: 1}, {Seq: 2}, {Seq: 3}}
	var all bytes.Buffer
	require.NoError(t, Lines(&all, JSON).Send(t.Context(), "", events))
	for room := range all.Len() {
		w := &small{room: room}
		s := Lines(w, JSON)
		require.ErrorIs(t, s.Send(t.Context(), "", events), errFull)
		require.ErrorIs(t, s.Send(t.Context(), "", events), errFull, "nothing at all")
		w.room = 1 << 20
		require.NoError(t, s.Send(t.Context(), "", events))
		for _, e := range events {
			require.Positive(t, whole(w.b.Bytes())[e.Seq], "%d, with room for %d: %s", e.Seq, room, w.b.String())
		}
	}
}

var errFull = errors.New("the disk is full")

// A small disk has little room.
type small struct {
	b    bytes.Buffer
	room int
}

func (w *small) Write(b []byte) (int, error) {
	if len(b) <= w.room {
		return w.b.Write(b)
	}
	n, _ := w.b.Write(b[:w.room])
	w.room = 0
	return n, errFull
}

// Whoever wrote a file died in the middle of a line: what is written next does not
// become a part of that.
func TestLinesBehindACrash(t *testing.T) {
	file := filepath.Join(t.TempDir(), "events")
	var all bytes.Buffer
	require.NoError(t, Lines(&all, JSON).Send(t.Context(), "", []audit.Event{{Seq: 1}, {Seq: 2}}))
	for size := range all.Len() + 1 {
		require.NoError(t, os.WriteFile(file, all.Bytes()[:size], 0o600))
		f, err := OpenLines(file)
		require.NoError(t, err)
		require.NoError(t, Lines(f, JSON).Send(t.Context(), "", []audit.Event{{Seq: 1}, {Seq: 2}}))
		require.NoError(t, f.Close())
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Positive(t, whole(b)[1], "behind %d bytes: %s", size, b)
		require.Positive(t, whole(b)[2])
		require.NotContains(t, string(b), "\n\n")
	}
}
