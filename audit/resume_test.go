package audit

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"
)

// interrupt verifies dir until a good part of it is read.
func interrupt(t testing.TB, trust Trust, dir string) {
	t.Helper()
	require.NoError(t, os.RemoveAll(trust.Resume))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	trust.Progress = func(n uint64) {
		if n > 1000 {
			cancel()
		}
	}
	trust.often = true
	_, err := trust.Verify(ctx, dir)
	require.ErrorIs(t, err, context.Canceled)
	require.FileExists(t, trust.Resume)
}

// resumable makes a journal that is long enough to be interrupted.
func resumable(t testing.TB) (dir string, trust Trust) {
	t.Helper()
	key, public := newTestKey(t)
	dir = t.TempDir()
	signed(t, dir, key, 330)
	return dir, Trust{Keys: []note.Verifier{public}, Resume: filepath.Join(t.TempDir(), "resume"), often: true}
}

func TestResume(t *testing.T) {
	dir, trust := resumable(t)
	plain := trust
	plain.Resume = ""
	want, err := plain.Verify(t.Context(), dir)
	require.NoError(t, err)
	interrupt(t, trust, dir)
	got, err := trust.Verify(t.Context(), dir)
	require.NoError(t, err)
	require.NotNil(t, got.Resumed)
	require.Greater(t, got.Resumed.Events, uint64(1000))
	require.Less(t, got.Resumed.Events, got.Head.Size)
	require.WithinDuration(t, time.Now(), got.Resumed.Since, time.Minute)
	got.Resumed = nil
	require.Equal(t, want, got, "it is the same answer")
	require.NoFileExists(t, trust.Resume, "the next begins anew")

	// Without a key, and with heads of before and behind the interruption.
	heads := Trust{Resume: trust.Resume, often: true, Heads: []Head{want.Head}}
	for e, err := range Events(dir) {
		require.NoError(t, err)
		if e.Kind == JournalSegment && e.Seq > 0 {
			heads.Heads = append(heads.Heads, Head{want.Head.Origin, e.Seq, e.Journal.Prev})
		}
	}
	interrupt(t, heads, dir)
	got, err = heads.Verify(t.Context(), dir)
	require.NoError(t, err)
	require.NotNil(t, got.Resumed)

	// Interrupted twice.
	interrupt(t, trust, dir)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = trust.Verify(ctx, dir)
	require.ErrorIs(t, err, context.Canceled)
	got, err = trust.Verify(t.Context(), dir)
	require.NoError(t, err)
	require.NotNil(t, got.Resumed)
}

// A journal in use goes on between an interruption and the next try.
func TestResumeOfAJournalInUse(t *testing.T) {
	key, public := newTestKey(t)
	dir := t.TempDir()
	signed(t, dir, key, 330)
	trust := Trust{Keys: []note.Verifier{public}, Resume: filepath.Join(t.TempDir(), "resume"), often: true}
	interrupt(t, trust, dir)
	signed(t, dir, key, 30)
	rep, err := trust.Verify(t.Context(), dir)
	require.NoError(t, err)
	require.NotNil(t, rep.Resumed)
	require.True(t, rep.Closed)
}

// What was damaged before the interruption is told behind it.
func TestResumeTellsOfDamage(t *testing.T) {
	dir, trust := resumable(t)
	path := segmentPath(dir, 2)
	b := must(os.ReadFile(path))
	b[len(b)/2] ^= 1
	require.NoError(t, os.WriteFile(path, b, 0o600))
	interrupt(t, trust, dir)
	_, err := trust.Verify(t.Context(), dir)
	var d *DamageError
	require.ErrorAs(t, err, &d)
	require.EqualValues(t, 2, d.Damages[0].Segment)
}

// Whatever is not as it was when the first part was read lets all be read again.
func TestResumeBeginsAnew(t *testing.T) {
	dir, trust := resumable(t)
	_, other := newTestKey(t)
	key, _ := newTestKey(t)
	another := t.TempDir()
	signed(t, another, key, 330)
	old := must(ReadCheckpoint(dir))
	long := time.Now().Add(-time.Hour)
	for name, c := range map[string]struct {
		change func(*Trust, string) // of the trust, and of a copy of the journal
		bad    bool
	}{
		"another key":      {func(t *Trust, _ string) { t.Keys = append(t.Keys, other) }, false},
		"a head more":      {func(t *Trust, _ string) { t.Heads = []Head{{"x", 7, strings.Repeat("0", 64)}} }, true},
		"a checkpoint":     {func(t *Trust, _ string) { t.Checkpoints = [][]byte{old} }, false},
		"apart":            {func(t *Trust, _ string) { t.Apart = true }, false},
		"another journal":  {func(_ *Trust, dir string) { replaceDir(t, dir, another) }, true},
		"a bit":            {func(_ *Trust, dir string) { flip(t, segmentPath(dir, 3)) }, true},
		"a tile":           {func(_ *Trust, dir string) { flip(t, filepath.Join(dir, "tile", "0", "002")) }, true},
		"a tile is gone":   {func(_ *Trust, dir string) { require.NoError(t, os.Remove(filepath.Join(dir, "tile", "0", "001"))) }, true},
		"a segment":        {func(_ *Trust, dir string) { require.NoError(t, os.Remove(segmentPath(dir, 2))) }, true},
		"the first":        {func(_ *Trust, dir string) { require.NoError(t, os.Remove(segmentPath(dir, 1))) }, true},
		"the last ones":    {func(_ *Trust, dir string) { cutBehind(t, dir, 4) }, true},
		"the times":        {func(_ *Trust, dir string) { require.NoError(t, os.Chtimes(segmentPath(dir, 3), long, long)) }, false},
		"a file that lies": {func(tr *Trust, _ string) { require.NoError(t, os.WriteFile(tr.Resume, []byte(`{"version":1}`), 0o600)) }, false},
		"no file":          {func(tr *Trust, _ string) { require.NoError(t, os.WriteFile(tr.Resume, []byte(`nonsense`), 0o600)) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			folder := filepath.Join(t.TempDir(), "copy")
			require.NoError(t, os.CopyFS(folder, os.DirFS(dir)))
			trust := trust
			interrupt(t, trust, folder)
			c.change(&trust, folder)
			rep, err := trust.Verify(t.Context(), folder)
			require.Nil(t, rep.Resumed)
			if c.bad {
				var d *DamageError
				require.ErrorAs(t, err, &d)
			} else {
				require.NoError(t, err)
			}
		})
	}
}

func flip(t testing.TB, path string) {
	t.Helper()
	st, err := os.Stat(path)
	require.NoError(t, err)
	b := must(os.ReadFile(path))
	b[len(b)/2] ^= 1
	require.NoError(t, os.WriteFile(path, b, 0o600))
	require.NoError(t, os.Chtimes(path, time.Time{}, st.ModTime())) // as somebody who hides it would
}

func replaceDir(t testing.TB, dir, by string) {
	t.Helper()
	require.NoError(t, os.RemoveAll(dir))
	require.NoError(t, os.CopyFS(dir, os.DirFS(by)))
}

func cutBehind(t testing.TB, dir string, number uint64) {
	t.Helper()
	segs, err := segments(dir)
	require.NoError(t, err)
	for _, s := range segs {
		if s.number > number {
			require.NoError(t, os.Remove(s.path))
		}
	}
}

// The file is believed, so it is not taken from those who could have made it up.
func TestResumeFileOfOthers(t *testing.T) {
	dir, trust := resumable(t)
	interrupt(t, trust, dir)
	st, err := os.Stat(trust.Resume)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), st.Mode().Perm())
	require.NoError(t, os.Chmod(trust.Resume, 0o620))
	_, err = trust.Verify(t.Context(), dir)
	require.ErrorContains(t, err, "by others")
	require.NoError(t, os.Chmod(trust.Resume, 0o600))
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(trust.Resume, link))
	linked := trust
	linked.Resume = link
	_, err = linked.Verify(t.Context(), dir)
	require.ErrorContains(t, err, "by others")
	inside := trust
	for _, inside.Resume = range []string{filepath.Join(dir, "resume"), filepath.Join(dir, "tile", "resume")} {
		_, err = inside.Verify(t.Context(), dir)
		require.ErrorContains(t, err, "in the journal's directory")
	}
	around := filepath.Join(t.TempDir(), "around")
	require.NoError(t, os.Symlink(dir, around))
	inside.Resume = filepath.Join(around, "resume")
	_, err = inside.Verify(t.Context(), dir)
	require.ErrorContains(t, err, "in the journal's directory")
}

// Whatever is changed after an interruption is found behind it.
func TestResumeMutations(t *testing.T) {
	dir, trust := resumable(t)
	segs, err := segments(dir)
	require.NoError(t, err)
	r := rand.New(rand.NewPCG(3, 3))
	resumed := 0
	for range max(*mutationCount/20, 10) {
		interrupt(t, trust, dir)
		path := segs[r.IntN(len(segs))].path
		was := must(os.ReadFile(path))
		b := bytes.Clone(was)
		b[r.IntN(len(b))] ^= 1 << r.IntN(8)
		require.NoError(t, os.WriteFile(path, b, 0o600))
		rep, err := trust.Verify(t.Context(), dir)
		var d *DamageError
		require.ErrorAs(t, err, &d, path)
		if rep.Resumed != nil {
			resumed++
		}
		require.NoError(t, os.WriteFile(path, was, 0o600))
	}
	require.Positive(t, resumed)
}
