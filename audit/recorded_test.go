package audit

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"

	"github.com/sallyport-dev/gateway/protocol"
)

// A studio is a journal of many segments that has recordings: s0 and s1 end early,
// s2 and s3 late, and s4 not at all.
type studio struct {
	t     testing.TB
	j     *Journal
	dir   string
	trust Trust
	casts []*Asciicast
}

func newStudio(t testing.TB) *studio {
	t.Helper()
	key, public := newTestKey(t)
	s := &studio{t: t, dir: t.TempDir(), trust: Trust{Keys: []note.Verifier{public}, Recordings: t.TempDir(), Resume: filepath.Join(t.TempDir(), "resume"), often: true}}
	s.j = openTest(t, s.dir, Options{Key: key, SegmentSize: 2 << 10})
	for i := range 5 {
		op := &protocol.Operation{ID: 2, Verb: "shell", Session: sessionInfo(fmt.Sprint("s", i))}
		cast, err := CreateAsciicast(s.trust.Recordings, op, 64<<20, s.j)
		require.NoError(t, err)
		s.casts = append(s.casts, cast)
	}
	s.play(3)
	s.end(0, 1)
	s.play(6)
	s.end(2, 3)
	s.play(1)
	return s
}

// play adds so many chunks to each recording that has not ended.
func (s *studio) play(n int) {
	for range n {
		for _, c := range s.casts {
			if c.Output([]byte(strings.Repeat("what was shown ", 20)), false) == nil {
				c.log.late()
				settle(c)
			}
		}
	}
	_, err := s.j.Checkpoint(s.t.Context())
	require.NoError(s.t, err)
}

func (s *studio) end(casts ...int) {
	for _, i := range casts {
		require.NoError(s.t, s.casts[i].Close(protocol.Outcome{Status: protocol.StatusOK}))
	}
}

func (s *studio) file(i int) string {
	return filepath.Join(s.trust.Recordings, fmt.Sprint("s", i), "2.cast")
}

// interrupt verifies until n chunks were met.
func (s *studio) interrupt(n int) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	trust, events := s.trust, 0
	trust.Progress = func(uint64) {
		if events++; events > n {
			cancel()
		}
	}
	_, err := trust.Verify(ctx, s.dir)
	require.ErrorIs(s.t, err, context.Canceled)
}

// answer is what verifying says, without what it has not read again.
func (s *studio) answer(trust Trust) (Report, *Resumed, error) {
	s.t.Helper()
	rep, err := trust.Verify(s.t.Context(), s.dir)
	resumed := rep.Resumed
	rep.Resumed = nil
	return rep, resumed, err
}

// anew is the answer of who was not interrupted.
func (s *studio) anew() (Report, error) {
	s.t.Helper()
	trust := s.trust
	trust.Resume = ""
	rep, _, err := s.answer(trust)
	return rep, err
}

// Wherever it is interrupted, also within a segment, the answer is the same, and
// what was read is not read again.
func TestResumeRecordings(t *testing.T) {
	s := newStudio(t)
	want, err := s.anew()
	require.NoError(t, err)
	require.Equal(t, &RecordingReport{Whole: 4, Open: 1}, want.Recordings)
	chunks := int(want.Kinds[RecordingChunk])
	require.Greater(t, chunks, 30)
	require.Greater(t, want.Segments, 6)
	for n := 0; n < chunks; n += 3 {
		require.NoError(t, os.RemoveAll(s.trust.Resume))
		s.interrupt(n)
		rep, resumed, err := s.answer(s.trust)
		require.NoError(t, err)
		require.Equal(t, want, rep, "interrupted at %d", n)
		require.NoFileExists(t, s.trust.Resume)
		if n > 1 {
			require.NotNil(t, resumed, "interrupted at %d", n)
			require.NotZero(t, resumed.Events+uint64(resumed.Chunks), "interrupted at %d", n)
		}
	}
	// Interrupted again and again, it gets to the end.
	for tries := 1; ; tries++ {
		ctx, cancel := context.WithCancel(t.Context())
		trust, met := s.trust, 0
		trust.Progress = func(uint64) {
			if met++; met > 9 {
				cancel()
			}
		}
		rep, err := trust.Verify(ctx, s.dir)
		cancel()
		if err == nil {
			require.Greater(t, tries, 3)
			rep.Resumed = nil
			require.Equal(t, want, rep)
			break
		}
		require.ErrorIs(t, err, context.Canceled)
		require.Less(t, tries, chunks)
	}
}

// Whatever is changed behind an interruption, the answer is that of who was not
// interrupted.
func TestResumeRecordingsThatChange(t *testing.T) {
	for name, c := range map[string]struct {
		change func(s *studio)
		goesOn bool // where it was interrupted
	}{
		"a bit of one that has ended":    {func(s *studio) { flip(s.t, s.file(0)) }, false},
		"a bit of one that has not":      {func(s *studio) { flip(s.t, s.file(4)) }, true},
		"a bit of one between":           {func(s *studio) { flip(s.t, s.file(2)) }, true},
		"one is longer":                  {func(s *studio) { appendTo(s.t, s.file(1), "[0, \"o\", \"forged\"]\n") }, false},
		"one is shorter":                 {func(s *studio) { require.NoError(s.t, os.Truncate(s.file(3), 400)) }, true},
		"one is gone":                    {func(s *studio) { require.NoError(s.t, os.Remove(s.file(0))) }, true},
		"an open one is gone":            {func(s *studio) { require.NoError(s.t, os.Remove(s.file(4))) }, true},
		"one is another":                 {func(s *studio) { require.NoError(s.t, os.Rename(s.file(1), s.file(0))) }, false},
		"they go on, and the journal":    {func(s *studio) { s.play(1); s.end(4); s.play(1) }, true},
		"it was touched":                 {func(s *studio) { require.NoError(s.t, os.WriteFile(s.file(0), must(os.ReadFile(s.file(0))), 0o600)) }, false},
		"a file that no event speaks of": {func(s *studio) { appendTo(s.t, filepath.Join(s.trust.Recordings, "s0", "7.cast"), "x") }, true},
		"an event":                       {func(s *studio) { flip(s.t, segmentPath(s.dir, 3)) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			for _, n := range []int{4, 30} {
				s := newStudio(t)
				s.interrupt(n)
				c.change(s)
				want, wantErr := s.anew()
				rep, resumed, err := s.answer(s.trust)
				if wantErr == nil {
					require.NoError(t, err)
				} else {
					require.EqualError(t, err, wantErr.Error())
				}
				require.Equal(t, want, rep, "interrupted at %d", n)
				if n == 30 {
					require.Equal(t, c.goesOn, resumed != nil && resumed.Segments > 0)
				}
			}
		})
	}
}

func appendTo(t testing.TB, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	require.NoError(t, err)
	_, err = f.WriteString(text)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

// The file is not taken from where those write who were recorded.
func TestResumeFileAmongRecordings(t *testing.T) {
	s := newStudio(t)
	s.trust.Resume = filepath.Join(s.trust.Recordings, "s0", "resume")
	_, err := s.trust.Verify(t.Context(), s.dir)
	require.ErrorContains(t, err, "among its recordings")
}

// Of a recording whose first chunks are in segments that are elsewhere, the rest is
// checked.
func TestRecordingsApart(t *testing.T) {
	s := newStudio(t)
	require.NoError(t, s.j.Close())
	require.NoError(t, os.Remove(segmentPath(s.dir, 1)))
	require.NoError(t, os.Remove(segmentPath(s.dir, 2)))
	s.trust.Apart = true
	rep, err := s.anew()
	require.NoError(t, err)
	require.Equal(t, &RecordingReport{Rests: 5}, rep.Recordings)
	s.interrupt(20)
	again, resumed, err := s.answer(s.trust)
	require.NoError(t, err)
	require.Equal(t, rep, again)
	require.NotNil(t, resumed)
	flip(t, s.file(2))
	_, err = s.anew()
	require.ErrorContains(t, err, "s2/2.cast")
}
