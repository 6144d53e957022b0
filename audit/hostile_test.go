package audit

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Whoever can write to the folders cannot keep a verification from its end with what
// is no file: it says so, and does not say that all is well.
func TestVerifyWhatIsNoFile(t *testing.T) {
	for kind, put := range map[string]func(path string) error{
		"a pipe":            func(path string) error { return unix.Mkfifo(path, 0o600) },
		"what has no end":   func(path string) error { return os.Symlink("/dev/zero", path) },
		"a folder":          func(path string) error { return os.Mkdir(path, 0o700) },
		"a link to nothing": func(path string) error { return os.Symlink("nothing", path) },
	} {
		t.Run(kind, func(t *testing.T) {
			s := newStudio(t)
			require.NoError(t, s.j.Close())
			s.trust.Resume = ""
			for _, path := range []string{segmentPath(s.dir, 3), filepath.Join(s.dir, checkpointFile), filepath.Join(s.dir, pendingFile), s.file(2)} {
				was, werr := os.ReadFile(path)
				require.NoError(t, os.RemoveAll(path))
				require.NoError(t, put(path))
				rep, err := s.trust.Verify(t.Context(), s.dir)
				switch {
				case kind == "a link to nothing" && filepath.Base(path) == pendingFile:
					require.NoError(t, err, "as if there were none")
				case kind == "a link to nothing" && path == s.file(2):
					require.NoError(t, err)
					require.Equal(t, []string{"s2/2.cast"}, rep.Recordings.Missing)
				default:
					require.Error(t, err, path)
				}
				require.NoError(t, os.RemoveAll(path))
				if werr == nil {
					require.NoError(t, os.WriteFile(path, was, 0o600))
				}
			}
			_, err := s.trust.Verify(t.Context(), s.dir)
			require.NoError(t, err)
		})
	}
}

// What waits in memory that outlived its process is not taken for nothing when it
// cannot be read: the next Open would clear it.
func TestPendingThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	j := openTest(t, dir, Options{})
	require.NoError(t, j.Close())
	require.NoError(t, os.RemoveAll(filepath.Join(dir, pendingFile)))
	require.NoError(t, os.Mkdir(filepath.Join(dir, pendingFile), 0o700))
	_, err := Open(dir, Options{MinFree: 1})
	require.ErrorContains(t, err, pendingFile)
	_, err = Verify(dir)
	require.ErrorContains(t, err, pendingFile)
	for _, err := range Events(dir) {
		if err != nil {
			require.ErrorContains(t, err, pendingFile)
			return
		}
	}
	t.Fatal("who reads was not told")
}
