package middleware_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/middleware/config"
	"github.com/sallyport-dev/gateway/middleware/middlewaretest"
	"github.com/sallyport-dev/gateway/protocol"
)

func ExampleRecordings() {
	step := middleware.Recordings(middleware.RecordingConfig{Dir: "/var/lib/sallyport/recordings"})
	// A shell without streams that can be seen cannot be recorded.
	d, _ := step.Operation(context.Background(), &protocol.Operation{Verb: "shell"})
	fmt.Println(d.Effect, d.Reason)
	d, _ = step.Operation(context.Background(), &protocol.Operation{Verb: "select"})
	fmt.Println(d.Effect)
	// Output:
	// deny this cannot be recorded, and has to be
	// none
}

func TestMistakesInRecordings(t *testing.T) {
	for want, c := range map[string]middleware.RecordingConfig{"dir is missing": {}, "max is negative": {Dir: "d", Max: -1}} {
		_, err := middleware.NewChain(middleware.Recordings(c))
		require.ErrorContains(t, err, want)
	}
}

func ExampleRecordingKind() {
	steps, err := load("steps: [{recordings: {dir: /var/lib/sallyport/recordings, input: true}}]", middleware.RecordingKind(nil))
	fmt.Println(steps[0].Name, err)
	// Output: recordings <nil>
}

// The rows of a statement are kept as they are shown: behind what masks.
func TestRecordedRows(t *testing.T) {
	dir := t.TempDir()
	step := middleware.Recordings(middleware.RecordingConfig{Dir: dir, Verbs: []protocol.Verb{"select"}})
	op := &protocol.Operation{ID: 3, Verb: "select", Shape: protocol.Rows, Text: "select id, name, raw from t",
		Session: &protocol.SessionInfo{ID: "s-1", Identity: &protocol.Identity{Subject: "alice"}, Resource: protocol.Resource{Name: "orders"}}}
	in := [][][]byte{{[]byte("1"), []byte("a\tb\\\r\n"), {1, 255}}, {[]byte("2"), nil, nil}}
	out, err := middlewaretest.Rows(step, op, []protocol.Column{{Name: "id"}, {Name: "name"}, {Name: "raw", Binary: true}}, in)
	require.NoError(t, err)
	require.Equal(t, in, out)
	files, err := filepath.Glob(filepath.Join(dir, "*", "*.cast"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	b, err := os.ReadFile(files[0])
	require.NoError(t, err)
	var kept strings.Builder
	for line := range strings.Lines(string(b)) {
		var code, data string
		var at float64
		if json.Unmarshal([]byte(line), &[]any{&at, &code, &data}) == nil && code == "o" {
			kept.WriteString(data)
		}
	}
	require.Equal(t, "id\tname\traw\r\n1\ta\\tb\\\\\\r\\n\t\\x01ff\r\n2\t\\N\t\\N\r\n", kept.String())

	// What has rows that nobody can see is not recorded, and so refused.
	d, err := step.Operation(t.Context(), &protocol.Operation{Verb: "select"})
	require.NoError(t, err)
	require.Equal(t, protocol.DenyEffect, d.Effect)
}

// A journal that no step records in would let everything be refused: the mistake is
// told with its place when the file is read.
func TestRecordingsIntoNoJournal(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "journal"), 0o700))
	require.NoError(t, os.Symlink(filepath.Join(dir, "journal"), filepath.Join(dir, "link")))
	t.Chdir(dir)
	for into, ok := range map[string]bool{"journal": true, "./journal/": true, "link": true, filepath.Join(dir, "journal"): true, "elsewhere": false, "journal/..": false} {
		for _, list := range []string{"steps:\n  - recordings: {dir: r, journal: %q}\n  - record: {dir: journal}", "steps:\n  - record: {dir: journal}\n  - recordings: {dir: r, journal: %q}"} {
			for _, dry := range []bool{false, true} {
				var set audit.Set
				record := middleware.RecordKind(&set)
				if dry {
					record = middleware.DryRecordKind()
				}
				steps, err := load(fmt.Sprintf(list, into), middleware.RecordingKind(&set), record)
				if ok {
					require.NoError(t, err)
				} else {
					line := 1 + strings.Count(list[:strings.Index(list, "recordings")], "\n")
					require.ErrorContains(t, err, fmt.Sprintf(":%d:5: step recordings: journal: no step records in %s", line, into))
				}
				require.NoError(t, config.Close(steps))
			}
		}
	}
	// Nobody knows where a step of somebody else records.
	own := middleware.Step{Name: "own", Role: middleware.RoleRecords, Event: func(context.Context, *protocol.Event) error { return nil },
		Commit: func(context.Context, protocol.Point, []*protocol.Operation) error { return nil }}
	steps, err := load("steps: [{recordings: {dir: r, journal: elsewhere}}, {own: {}}]", middleware.RecordingKind(nil), middleware.KindOf("own", func(struct{}) (middleware.Step, error) { return own, nil }))
	require.NoError(t, err)
	require.Len(t, steps, 2)
}
