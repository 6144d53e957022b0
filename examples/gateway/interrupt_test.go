package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/protocol"
)

// Long work says how far it is. Wherever it is interrupted, the same command goes
// on, and in the end all is as if it had not been. (Play is interrupted in TestPlay.)
func TestInterruptedCommands(t *testing.T) {
	t.Chdir(t.TempDir())
	run := func(ctx context.Context, told func(uint64), args ...string) (code int, out, errs string) {
		var o, e strings.Builder
		p := &program{stdin: strings.NewReader(""), stdout: &o, stderr: &e, told: told}
		code = p.main(ctx, args)
		return code, o.String(), e.String()
	}
	code, public, errs := run(t.Context(), nil, "audit", "key", "-name", "gateway.example.com", "gateway.key")
	require.Zero(t, code, errs)
	require.NoError(t, os.WriteFile("gateway.pub", []byte(public), 0o600))
	longJournal(t)
	code, _, errs = run(t.Context(), nil, "audit", "archive", "-key", "gateway.pub", "-recordings", "recordings", "dir:bucket", "journal")
	require.Zero(t, code, errs)

	resumed := regexp.MustCompile(`(?m)^(resumed|uploaded|removed) .*\n`)
	for name, c := range map[string]struct {
		args    []string // IN stands for a folder of the run's own
		message string   // of who is interrupted
		same    func(t *testing.T, dir, out string) any
	}{
		"verify": {[]string{"verify", "-key", "gateway.pub", "-recordings", "recordings", "-resume", "IN/resume", "journal"}, "context canceled",
			func(_ *testing.T, _, out string) any { return resumed.ReplaceAllString(out, "") }},
		"verify without a file": {[]string{"verify", "-key", "gateway.pub", "-recordings", "recordings", "journal"}, "with -resume it would go on there",
			func(_ *testing.T, _, out string) any { return out }},
		"verify a store": {[]string{"verify", "-key", "gateway.pub", "-archived-recordings", "-resume", "IN/resume", "dir:bucket"}, "context canceled",
			func(_ *testing.T, _, out string) any { return resumed.ReplaceAllString(out, "") }},
		"index": {[]string{"audit", "query", "-index", "IN/index", "-all", "-format", "csv", "journal"}, "context canceled",
			func(_ *testing.T, _, out string) any { return out }},
		"review": {[]string{"audit", "review", "-index", "IN/index", "journal"}, "context canceled",
			func(_ *testing.T, _, out string) any { return out }},
		"export to a file": {[]string{"audit", "export", "-cursor", "IN/cursor", "file:IN/events", "journal"}, "context canceled",
			func(t *testing.T, dir, _ string) any { return lineSet(t, filepath.Join(dir, "events")) }},
		"archive": {[]string{"audit", "archive", "-key", "gateway.pub", "-recordings", "recordings", "dir:IN/bucket", "journal"}, "the same command goes on there",
			func(t *testing.T, dir, out string) any { return sizes(t, filepath.Join(dir, "bucket")) }},
	} {
		t.Run(name, func(t *testing.T) {
			in := func(dir string) (args []string) {
				for _, a := range c.args {
					args = append(args, strings.ReplaceAll(a, "IN/", dir+"/"))
				}
				return args
			}
			whole := t.TempDir()
			told := 0
			code, out, errs := run(t.Context(), func(uint64) { told++ }, in(whole)...)
			require.Zero(t, code, errs)
			require.Greater(t, told, 2, "it shows progress")
			want := c.same(t, whole, out)
			for _, at := range []int{1, told / 2, told} {
				dir := t.TempDir()
				ctx, cancel := context.WithCancel(t.Context())
				n := 0
				code, _, errs := run(ctx, func(uint64) {
					if n++; n == at {
						cancel()
					}
				}, in(dir)...)
				if at == 1 { // later it may have come to its end, told by fewer steps than before
					require.Equal(t, exitError, code, errs)
				}
				if code != 0 {
					require.Equal(t, exitError, code, errs)
					require.Contains(t, errs, c.message)
				}
				code, out, errs = run(t.Context(), nil, in(dir)...)
				require.Zero(t, code, errs)
				require.Equal(t, want, c.same(t, dir, out), "interrupted at %d of %d", at, told)
			}
		})
	}
}

// longJournal makes a journal of many events and segments, and recordings.
func longJournal(t *testing.T) {
	t.Helper()
	j, err := audit.Open("journal", audit.Options{MinFree: 1, SegmentSize: 128 << 10, Key: protocol.NewSecret(string(must(os.ReadFile("gateway.key"))))})
	require.NoError(t, err)
	record := func(e protocol.Event) {
		e.Time = time.Now()
		_, err := j.Record(&e, audit.Detail{})
		require.NoError(t, err)
	}
	for i := range 20 {
		s := &protocol.SessionInfo{ID: fmt.Sprint("session-", i), Identity: &protocol.Identity{Issuer: "i", Subject: "alice"}, Resource: protocol.Resource{Name: "web", Protocol: "ssh"}}
		connect := &protocol.Operation{Session: s, ID: 1, Verb: protocol.Connect}
		record(protocol.Event{Kind: protocol.Decided, Session: s, Op: connect, Decision: protocol.Allow("x")})
		for k := range 200 {
			record(protocol.Event{Kind: protocol.LoginRefused, Login: &protocol.Login{Protocol: "ssh", User: fmt.Sprint("mallory", k), Resource: "web"}})
		}
		cast, err := audit.CreateAsciicast("recordings", &protocol.Operation{Session: s, ID: 2, Verb: "shell"}, 1<<20, j)
		require.NoError(t, err)
		require.NoError(t, cast.Output([]byte("what was shown\r\n"), false))
		require.NoError(t, cast.Close(protocol.Outcome{Status: protocol.StatusOK}))
		record(protocol.Event{Kind: protocol.Ended, Session: s, Op: connect, Outcome: protocol.Outcome{Status: protocol.StatusOK}})
	}
	require.NoError(t, j.Close())
}

// lineSet is what stands in a file, at least once.
func lineSet(t *testing.T, path string) []string {
	t.Helper()
	lines := map[string]bool{}
	for line := range strings.Lines(string(must(os.ReadFile(path)))) {
		require.True(t, strings.HasSuffix(line, "}\n"), "a whole line: %q", line)
		lines[line] = true
	}
	return slices.Sorted(maps.Keys(lines))
}

// sizes returns how large the files below dir are, but for those that are being put in
// the place of others.
func sizes(t *testing.T, dir string) map[string]int64 {
	t.Helper()
	all := map[string]int64{}
	require.NoError(t, fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			var st fs.FileInfo
			if st, err = d.Info(); err == nil {
				all[name] = st.Size()
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}))
	return all
}
