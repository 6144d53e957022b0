package audit

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// An attic is an archive of recordings, which knows what it was asked for.
type attic struct {
	t      testing.TB
	dir    string
	opened []string
	read   int64
	left   int   // how many were closed before their end
	fails  error // in the middle of what is read
}

func (a *attic) Segments(context.Context) (map[string]Archived, error) { return nil, nil }

func (a *attic) OpenSegment(context.Context, string) (io.ReadCloser, error) {
	return nil, fs.ErrNotExist
}

func (a *attic) Recordings(context.Context) (map[string]Archived, error) {
	all := map[string]Archived{}
	return all, fs.WalkDir(os.DirFS(a.dir), ".", func(name string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			b := must(os.ReadFile(filepath.Join(a.dir, name)))
			all[name] = Archived{int64(len(b)), fmt.Sprintf("%x", sha256.Sum256(b))}
		}
		return err
	})
}

func (a *attic) OpenRecording(_ context.Context, file string) (io.ReadCloser, error) {
	f, err := os.Open(filepath.Join(a.dir, file))
	if err != nil {
		return nil, err
	}
	a.opened = append(a.opened, file)
	return &atticFile{f, a, must(f.Stat()).Size()}, nil
}

type atticFile struct {
	*os.File
	a    *attic
	left int64
}

func (f *atticFile) Close() error {
	if f.left > 0 {
		f.a.left++
	}
	return f.File.Close()
}

func (f *atticFile) Read(b []byte) (int, error) {
	n, err := f.File.Read(b[:min(len(b), 100)])
	f.left -= int64(n)
	if f.a.read += int64(n); f.a.fails != nil && n > 0 {
		err = f.a.fails
	}
	return n, err
}

// archived is a studio whose recordings are in an attic.
func archived(t testing.TB) (*studio, *attic) {
	t.Helper()
	s := newStudio(t)
	a := &attic{t: t, dir: t.TempDir()}
	s.trust.Archive = a
	for i := range s.casts {
		s.toAttic(a, i)
	}
	return s, a
}

func (a *attic) file(i int) string { return filepath.Join(a.dir, fmt.Sprint("s", i), "2.cast") }

func (a *attic) cut(i int, size int64) { require.NoError(a.t, os.Truncate(a.file(i), size)) }

func (s *studio) toAttic(a *attic, i int) {
	require.NoError(s.t, os.MkdirAll(filepath.Dir(a.file(i)), 0o700))
	require.NoError(s.t, os.Rename(s.file(i), a.file(i)))
}

func TestArchivedRecordings(t *testing.T) {
	s, a := archived(t)
	want := &RecordingReport{Whole: 4, Open: 1, Archived: 5}
	rep, err := s.anew()
	require.NoError(t, err)
	require.Equal(t, want, rep.Recordings)
	size := int64(0)
	for i := range 5 {
		size += must(os.Stat(a.file(i))).Size()
	}
	require.LessOrEqual(t, a.read, size, "each was read once")
	slices.Sort(a.opened)
	require.Equal(t, []string{"s0/2.cast", "s1/2.cast", "s2/2.cast", "s3/2.cast", "s4/2.cast"}, a.opened)

	// Where there is no folder; and where nobody says that there is an archive.
	alone := s.trust
	alone.Resume, alone.Recordings, alone.ArchivedRecordings = "", "", true
	rep, err = alone.Verify(t.Context(), s.dir)
	require.NoError(t, err)
	require.Equal(t, want, rep.Recordings)
	alone.Archive = nil
	_, err = alone.Verify(t.Context(), s.dir)
	require.ErrorContains(t, err, "no archive")
	without := s.trust
	without.Resume, without.Archive = "", nil
	rep, err = without.Verify(t.Context(), s.dir)
	require.NoError(t, err)
	require.Len(t, rep.Recordings.Missing, 5)

	// What is here is read here, what is in neither is missing, and what the journal
	// does not know is told.
	require.NoError(t, os.WriteFile(s.file(0), must(os.ReadFile(a.file(0))), 0o600))
	flip(t, a.file(0))
	require.NoError(t, os.Remove(a.file(1)))
	appendTo(t, filepath.Join(a.dir, "s2", "9.cast"), "x")
	appendTo(t, filepath.Join(s.trust.Recordings, "s2", "9.cast"), "x")
	appendTo(t, filepath.Join(s.trust.Recordings, "s3", "9.cast"), "x")
	rep, err = s.anew()
	require.NoError(t, err)
	require.Equal(t, &RecordingReport{Whole: 3, Open: 1, Archived: 3, Missing: []string{"s1/2.cast"}, Unknown: []string{"s2/9.cast", "s3/9.cast"}}, rep.Recordings)
}

// What an archive does to a recording is found, of one that has ended and of one that
// has not, and does not keep others from being checked.
func TestArchivedRecordingsTamperedWith(t *testing.T) {
	long := strings.Repeat("what was never shown ", 50)
	for name, c := range map[string]struct {
		change func(a *attic, i int)
		ended  string // what is said of one that has
		open   string // and of one that has not; "": a crash could have left it
	}{
		"a bit":            {func(a *attic, i int) { flip(a.t, a.file(i)) }, "not what was recorded", "not what was recorded"},
		"shorter":          {func(a *attic, i int) { a.cut(i, 400) }, "bytes are missing", "bytes are missing"},
		"by the last byte": {func(a *attic, i int) { a.cut(i, must(os.Stat(a.file(i))).Size()-1) }, "1 bytes are missing", "1 bytes are missing"},
		"empty":            {func(a *attic, i int) { a.cut(i, 0) }, "bytes are missing", "bytes are missing"},
		"longer":           {func(a *attic, i int) { appendTo(a.t, a.file(i), long) }, "behind the end", ""},
		"by a byte":        {func(a *attic, i int) { appendTo(a.t, a.file(i), "x") }, "behind the end", ""},
		"another": {func(a *attic, i int) {
			require.NoError(a.t, os.WriteFile(a.file(i), must(os.ReadFile(a.file(3))), 0o600))
		}, "not what was recorded", "not what was recorded"},
	} {
		t.Run(name, func(t *testing.T) {
			for i, what := range map[int]string{2: c.ended, 4: c.open} {
				s, a := archived(t)
				c.change(a, i)
				rep, err := s.anew()
				require.Equal(t, 5, rep.Recordings.Archived+len(rep.Recordings.Damages))
				if what == "" {
					require.NoError(t, err)
					continue
				}
				var d *DamageError
				require.ErrorAs(t, err, &d)
				require.Len(t, d.Damages, 1)
				require.Equal(t, fmt.Sprintf("s%d/2.cast", i), d.Damages[0].File)
				require.Contains(t, d.Damages[0].What, "in the archive: ")
				require.Contains(t, d.Damages[0].What, what)
			}
		})
	}
}

// A store that fails says nothing about what it has.
func TestArchivedRecordingsCannotBeRead(t *testing.T) {
	s, a := archived(t)
	a.fails = errors.New("the store is out of order")
	_, err := s.anew()
	require.ErrorIs(t, err, a.fails)
	var d *DamageError
	require.False(t, errors.As(err, &d))
	require.ErrorContains(t, err, "2.cast in the archive")
}

// Wherever it is interrupted, also within a recording, the answer is the same, and
// no recording that was read is read again.
func TestResumeArchivedRecordings(t *testing.T) {
	s, a := archived(t)
	require.NoError(t, os.WriteFile(s.file(2), must(os.ReadFile(a.file(2))), 0o600)) // one is here
	want, err := s.anew()
	require.NoError(t, err)
	require.Equal(t, &RecordingReport{Whole: 4, Open: 1, Archived: 4}, want.Recordings)
	total := 0
	counted := s.trust
	counted.Resume, counted.Progress = "", func(uint64) { total++ }
	_, err = counted.Verify(t.Context(), s.dir)
	require.NoError(t, err)
	require.Greater(t, total, 100)
	require.Zero(t, a.left)
	for n := 0; n < total; n += 7 {
		require.NoError(t, os.RemoveAll(s.trust.Resume))
		a.opened, a.read = nil, 0
		s.interrupt(n)
		before := a.opened
		a.opened = nil
		rep, _, err := s.answer(s.trust)
		require.NoError(t, err)
		require.Equal(t, want, rep, "interrupted at %d", n)
		twice := 0
		for _, name := range a.opened {
			if slices.Contains(before, name) {
				twice++
			}
		}
		require.LessOrEqual(t, twice, 1, "but for the one in which it was interrupted: %v, %v", before, a.opened)
	}
	require.Greater(t, a.left, 5, "it was interrupted within one")
}

// Whatever the archive does behind an interruption, the answer is that of who was
// not interrupted.
func TestResumeArchivedRecordingsThatChange(t *testing.T) {
	for name, change := range map[string]func(s *studio, a *attic){
		"nothing":                     func(*studio, *attic) {},
		"a bit of one that has ended": func(s *studio, a *attic) { flip(s.t, a.file(0)) },
		"a bit of one that has not":   func(s *studio, a *attic) { flip(s.t, a.file(4)) },
		"one is longer":               func(s *studio, a *attic) { appendTo(s.t, a.file(0), "x") },
		"one is shorter":              func(s *studio, a *attic) { require.NoError(s.t, os.Truncate(a.file(3), 400)) },
		"one is gone":                 func(s *studio, a *attic) { require.NoError(s.t, os.Remove(a.file(0))) },
		"one comes back": func(s *studio, a *attic) {
			require.NoError(s.t, os.WriteFile(s.file(0), must(os.ReadFile(a.file(0))), 0o600))
		},
		"one comes back, changed": func(s *studio, a *attic) {
			require.NoError(s.t, os.WriteFile(s.file(0), must(os.ReadFile(a.file(0))), 0o600))
			flip(s.t, s.file(0))
		},
		"one goes there":              func(s *studio, a *attic) { s.toAttic(a, 2) },
		"one goes there, changed":     func(s *studio, a *attic) { s.toAttic(a, 2); flip(s.t, a.file(2)) },
		"an ended one, too":           func(s *studio, a *attic) { s.toAttic(a, 1) },
		"an ended one, changed":       func(s *studio, a *attic) { s.toAttic(a, 1); flip(s.t, a.file(1)) },
		"one that goes on goes there": func(s *studio, a *attic) { s.play(1); s.end(4); s.play(0); s.toAttic(a, 4) },
	} {
		t.Run(name, func(t *testing.T) {
			for _, n := range []int{4, 40, 70} {
				s := newStudio(t)
				a := &attic{t: t, dir: t.TempDir()}
				s.trust.Archive = a
				here := []int{1, 2}
				if name == "one that goes on goes there" {
					here = append(here, 4)
				}
				for i := range 5 {
					if !slices.Contains(here, i) {
						s.toAttic(a, i)
					}
				}
				s.interrupt(n)
				change(s, a)
				want, wantErr := s.anew()
				rep, _, err := s.answer(s.trust)
				if wantErr == nil {
					require.NoError(t, err)
				} else {
					require.EqualError(t, err, wantErr.Error())
				}
				require.Equal(t, want, rep, "interrupted at %d", n)
			}
		})
	}
}

// Of a recording whose first chunks are in segments that are elsewhere, the rest is
// checked in the archive, too.
func TestArchivedRecordingsApart(t *testing.T) {
	s, a := archived(t)
	require.NoError(t, s.j.Close())
	require.NoError(t, os.Remove(segmentPath(s.dir, 1)))
	require.NoError(t, os.Remove(segmentPath(s.dir, 2)))
	s.trust.Apart = true
	rep, err := s.anew()
	require.NoError(t, err)
	require.Equal(t, &RecordingReport{Rests: 5, Archived: 5}, rep.Recordings)
	flip(t, a.file(2))
	require.NoError(t, os.Truncate(a.file(3), 10))
	_, err = s.anew()
	var d *DamageError
	require.ErrorAs(t, err, &d)
	require.Len(t, d.Damages, 2)
}

// A recording that is uploaded and removed between two of its chunks is read from
// its begin.
func TestRecordingGoesWhileItIsRead(t *testing.T) {
	for name, change := range map[string]func(path string){"as it is": func(string) {}, "changed": func(path string) { flip(t, path) }} {
		t.Run(name, func(t *testing.T) {
			s := newStudio(t)
			a := &attic{t: t, dir: t.TempDir()}
			s.trust.Archive, s.trust.Resume = a, ""
			met := 0
			s.trust.Progress = func(uint64) {
				if met++; met == 12 {
					s.toAttic(a, 2)
					change(a.file(2))
				}
			}
			rep, err := s.trust.Verify(t.Context(), s.dir)
			if name == "changed" {
				require.ErrorContains(t, err, "s2/2.cast")
				return
			}
			require.NoError(t, err)
			require.Equal(t, &RecordingReport{Whole: 4, Open: 1, Archived: 1}, rep.Recordings)
		})
	}
}
