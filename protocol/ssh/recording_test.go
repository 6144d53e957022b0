package ssh_test

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	xssh "golang.org/x/crypto/ssh"

	"github.com/sallyport-dev/gateway/middleware"
)

// recordings returns the text of the recordings below dir.
func recordings(t testing.TB, dir string) string {
	t.Helper()
	files, err := filepath.Glob(dir + "/*/*.cast")
	require.NoError(t, err)
	var all strings.Builder
	for _, f := range files {
		b, err := os.ReadFile(f)
		require.NoError(t, err)
		all.Write(b)
	}
	return all.String()
}

func TestRecordings(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t, rigConfig{steps: []middleware.Step{middleware.Recordings(middleware.RecordingConfig{Dir: dir})}})
	c := r.dial(t)
	s, err := c.NewSession()
	require.NoError(t, err)
	require.NoError(t, s.RequestPty("xterm", 24, 80, xssh.TerminalModes{}))
	in, err := s.StdinPipe()
	require.NoError(t, err)
	out, err := s.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, s.Start("read x; stty size; read x; exit 3"))
	require.NoError(t, s.WindowChange(40, 120))
	_, err = io.WriteString(in, "not-kept\n")
	require.NoError(t, err)
	buf, got := make([]byte, 4096), ""
	for !strings.Contains(got, "40 120") {
		n, err := out.Read(buf)
		require.NoError(t, err, got)
		got += string(buf[:n])
	}
	// The recording can be followed: what the client has seen is in it.
	require.Contains(t, recordings(t, dir), `40 120`)
	_, err = io.WriteString(in, "\n")
	require.NoError(t, err)
	require.Error(t, s.Wait())
	require.Eventually(t, func() bool { return strings.Contains(recordings(t, dir), `"x", "3"]`) }, 5*time.Second, 10*time.Millisecond)
	cast := recordings(t, dir)
	require.Contains(t, cast, `"term":{"cols":80,"rows":24,"type":"xterm"}`)
	require.Contains(t, cast, `"r", "120x40"]`)
	require.NotContains(t, cast, `"i",`)

	require.Equal(t, 7, r.ssh(t, "web1", "echo out; echo err >&2; exit 7").code)
	require.Eventually(t, func() bool { return strings.Contains(recordings(t, dir), `"x", "7"]`) }, 5*time.Second, 10*time.Millisecond)
	require.Contains(t, recordings(t, dir), `"o", "out\n"]`)
	require.Contains(t, recordings(t, dir), `"e", "err\n"]`)
}

func TestWhatCannotBeRecordedDoesNotRun(t *testing.T) {
	dir := t.TempDir() + "/file"
	require.NoError(t, os.WriteFile(dir, nil, 0o600))
	r := newRig(t, rigConfig{steps: []middleware.Step{middleware.Recordings(middleware.RecordingConfig{Dir: dir})}})
	file := r.dir + "/touched"
	got := r.ssh(t, "web1", "touch "+file)
	require.Equal(t, 126, got.code)
	require.Contains(t, got.err, "the gateway could not process this request")
	require.NoFileExists(t, file)
}
