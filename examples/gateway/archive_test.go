package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/protocol"
)

// The way of a journal as an operator goes it: signed, witnessed, exported,
// archived, and verified where it is and where it went.
func TestArchiveOnTheCommandLine(t *testing.T) {
	t.Chdir(t.TempDir())
	out := func(want int, args ...string) string {
		t.Helper()
		var o, e strings.Builder
		p := &program{stdin: strings.NewReader(""), stdout: &o, stderr: &e}
		require.Equal(t, want, p.main(t.Context(), args), "%v\n%s%s", args, o.String(), e.String())
		return o.String() + e.String()
	}
	file := func(name, text string) { require.NoError(t, os.WriteFile(name, []byte(text), 0o600)) }
	file("gateway.pub", out(exitOK, "audit", "key", "-name", "gateway.example.com", "gateway.key"))
	file("witness.pub", out(exitOK, "audit", "key", "-name", "witness.example.org", "witness.key"))
	private := string(must(os.ReadFile("gateway.key")))
	for range 5 { // each start begins a segment
		j, err := audit.Open("journal", audit.Options{MinFree: 1, Key: protocol.NewSecret(private)})
		require.NoError(t, err)
		require.NoError(t, j.Close())
	}

	// A witness, in the background.
	ctx, cancel := context.WithCancel(t.Context())
	done, ready := make(chan int), make(chan string, 1)
	go func() {
		p := &program{stdin: strings.NewReader(""), stdout: sends(ready), stderr: &strings.Builder{}}
		done <- p.main(ctx, []string{"audit", "witness", "-key", "gateway.pub", "-key-file", "witness.key", "-listen", "127.0.0.1:0", "seen"})
	}()
	line := <-ready
	at := strings.TrimSpace(line[strings.Index(line, "http://"):])
	require.Contains(t, out(exitOK, "audit", "cosign", "-key", "gateway.pub", "-witness", at+"=witness.pub", "journal"), "cosigned by 1 witness")
	require.Contains(t, out(exitOK, "verify", "-key", "gateway.pub", "-witness", "witness.pub", "journal"), "witnessed the first")
	require.Contains(t, out(exitError, "verify", "-key", "gateway.pub", "-witness", "gateway.pub", "journal"), "0 witnesses, want 1")
	cancel()
	require.Equal(t, exitOK, <-done)

	// Files for whoever asks questions; twice is once.
	for range 2 {
		out(exitOK, "audit", "export", "-cursor", "lake.cursor", "-format", "parquet", "dir:lake", "journal")
		out(exitOK, "audit", "export", "-cursor", "lines.cursor", "-format", "ocsf", "dir:lines", "journal")
	}
	require.Len(t, must(filepath.Glob("lake/*/*/*/*.parquet")), 1)
	require.Len(t, must(filepath.Glob("lines/*/*/*/*.ndjson.gz")), 1)
	require.Contains(t, out(exitUsage, "audit", "export", "-cursor", "x", "-format", "parquet", "file:x", "journal"), "for a store")
	require.Contains(t, out(exitUsage, "audit", "export", "-cursor", "x", "otlp+http://collector.example:4318/v1/logs", "journal"), "over https")
	require.Contains(t, out(exitUsage, "audit", "export", "-cursor", "x", "s3://b/p?endpoint=http://s3.example", "journal"), "over https")

	// Away, and proven from everywhere.
	old := time.Now().Add(-48 * time.Hour)
	for _, f := range must(filepath.Glob("journal/*.journal")) {
		require.NoError(t, os.Chtimes(f, old, old))
	}
	file("other.cursor", `{"origin":"x","next":1000}`)
	require.Contains(t, out(exitError, "audit", "archive", "-key", "gateway.pub", "-keep", "24h", "-cursor", "other.cursor", "dir:bucket", "journal"), "it is of journal \"x\"")
	require.Len(t, must(filepath.Glob("journal/*.journal")), 5, "nobody knows what may go")
	file("late.cursor", fmt.Sprintf(`{"origin":%q,"next":0}`, must(audit.Origin("journal"))))
	require.Contains(t, out(exitOK, "audit", "archive", "-key", "gateway.pub", "-keep", "24h", "-cursor", "late.cursor", "dir:bucket", "journal"), "removed   0 files")
	require.Contains(t, out(exitOK, "audit", "archive", "-key", "gateway.pub", "-keep", "24h", "-cursor", "lake.cursor", "dir:bucket", "journal"), "removed   3 files")
	require.Contains(t, out(exitError, "verify", "-key", "gateway.pub", "journal"), "DAMAGED")
	require.Contains(t, out(exitOK, "verify", "-key", "gateway.pub", "-apart", "journal"), "apart     the first")
	require.NotContains(t, out(exitOK, "verify", "-key", "gateway.pub", "-witness", "witness.pub", "-store", "dir:bucket", "journal"), "apart")
	require.Contains(t, out(exitOK, "verify", "-key", "gateway.pub", "-witness", "witness.pub", "dir:bucket"), "apart     the last")
	out(exitOK, "tail", "journal")
	require.Contains(t, out(exitUsage, "audit", "archive", "dir:bucket", "journal"), "-key is missing")

	// The key is changed, as the documentation says.
	file("new.pub", out(exitOK, "audit", "key", "-name", "gateway.example.com", "new.key"))
	j, err := audit.Open("journal", audit.Options{MinFree: 1, Key: protocol.NewSecret(string(must(os.ReadFile("new.key")))), OldKeys: string(must(os.ReadFile("gateway.pub")))})
	require.NoError(t, err)
	require.NoError(t, j.Close())
	out(exitOK, "verify", "-key", "gateway.pub", "-key", "new.pub", "-witness", "witness.pub", "-store", "dir:bucket", "journal")
	require.Contains(t, out(exitOK, "audit", "archive", "-key", "gateway.pub", "-key", "new.pub", "dir:bucket", "journal"), "uploaded  1 segment")
	out(exitOK, "verify", "-key", "gateway.pub", "-key", "new.pub", "dir:bucket")
}

// sends passes on what is written to it first.
type sends chan string

func (c sends) Write(b []byte) (int, error) {
	select {
	case c <- string(b):
	default:
	}
	return len(b), nil
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Recordings that have gone to a store are verified and played there.
func TestRecordingsInAStore(t *testing.T) {
	t.Chdir(t.TempDir())
	run := func(want int, args ...string) (out, errs string) {
		t.Helper()
		var o, e strings.Builder
		p := &program{stdin: strings.NewReader(""), stdout: &o, stderr: &e}
		require.Equal(t, want, p.main(t.Context(), args), "%v\n%s%s", args, o.String(), e.String())
		return o.String(), e.String()
	}
	public, _ := run(exitOK, "audit", "key", "-name", "gateway.example.com", "gateway.key")
	require.NoError(t, os.WriteFile("gateway.pub", []byte(public), 0o600))
	longJournal(t)
	// Of one session, a recording is young and stays.
	young := filepath.Join("recordings", "session-3", "7.cast")
	require.NoError(t, os.WriteFile(young, []byte(`{"version":3}`+"\n"+`[0, "o", "the young one\r\n"]`+"\n"), 0o600))
	old := time.Now().Add(-48 * time.Hour)
	for _, f := range append(must(filepath.Glob("journal/*.journal")), must(filepath.Glob("recordings/*/2.cast"))...) {
		require.NoError(t, os.Chtimes(f, old, old))
	}
	run(exitOK, "audit", "archive", "-key", "gateway.pub", "-keep", "24h", "-recordings", "recordings", "dir:bucket", "journal")
	require.NoFileExists(t, "recordings/session-3/2.cast")
	require.FileExists(t, young)
	gone := len(must(filepath.Glob("bucket/*/recordings/*/2.cast")))
	require.Greater(t, gone, 10)

	out, _ := run(exitOK, "verify", "-key", "gateway.pub", "-apart", "-recordings", "recordings", "journal")
	require.Regexp(t, `missing is such as session-\d+/2.cast: removed, or moved to a store`, out)
	out, _ = run(exitOK, "verify", "-key", "gateway.pub", "-recordings", "recordings", "-store", "dir:bucket", "journal")
	require.Contains(t, out, "recorded  20 whole, 0 without an end, 0 missing\n")
	require.Contains(t, out, fmt.Sprintf("%d of these were read in the store\n", gone))
	out, _ = run(exitOK, "verify", "-key", "gateway.pub", "-archived-recordings", "dir:bucket")
	require.Contains(t, out, fmt.Sprintf("%d of these were read in the store\n", gone))
	out, _ = run(exitOK, "verify", "-key", "gateway.pub", "dir:bucket")
	require.NotContains(t, out, "recorded")
	_, errs := run(exitError, "verify", "-key", "gateway.pub", "-apart", "-archived-recordings", "journal")
	require.Contains(t, errs, "no archive")

	play := []string{"play", "-speed", "1000", "-idle", "1ms", "-dir", "recordings", "-journal", "journal"}
	out, errs = run(exitOK, append(play, "-store", "dir:bucket", "session-4")...)
	require.Equal(t, "what was shown\r\n", out, errs)
	out, errs = run(exitOK, append(play, "-store", "dir:bucket", "session-3")...)
	require.Equal(t, "what was shown\r\nthe young one\r\n", out, "those here and those there, in order: %s", errs)
	require.Regexp(t, `recording 1 of 2: session-3/2.cast`, errs)
	_, errs = run(exitError, append(play, "session-4")...)
	require.Regexp(t, `session "session-4" is not in the journal journal, of which the first \d+ events are elsewhere`, errs)
	require.NoError(t, os.RemoveAll("recordings/session-19"))
	for _, store := range []string{"", "dir:bucket"} {
		args := append(play, "session-19")
		want := "[recording session-19/2.cast is not in the folder: it was moved to a store, from which -store plays it, or removed]"
		if store != "" {
			args = append(play, "-store", store, "session-19")
			want = "[recording session-19/2.cast is neither in the folder nor in the store]"
		}
		out, errs = run(exitOK, args...)
		require.Contains(t, out, "session closed")
		require.Contains(t, errs, want)
	}
	// What is altered in the store is told.
	file := must(filepath.Glob("bucket/*/recordings/session-4/2.cast"))[0]
	require.NoError(t, os.WriteFile(file, []byte("something else"), 0o600))
	out, _ = run(exitError, "verify", "-key", "gateway.pub", "-recordings", "recordings", "-store", "dir:bucket", "journal")
	require.Regexp(t, `DAMAGED +session-4/2.cast at offset 0: in the archive: `, out)
}
