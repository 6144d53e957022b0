package audit_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/protocol"
)

func castOp() *protocol.Operation {
	return &protocol.Operation{ID: 3, Text: "top", Terminal: &protocol.Terminal{Type: "xterm", Columns: 100, Rows: 30},
		Session: &protocol.SessionInfo{ID: "s-1", Identity: &protocol.Identity{Subject: "alice"}, Resource: protocol.Resource{Name: "web1"}}}
}

func ExampleCreateAsciicast() {
	dir, err := os.MkdirTemp("", "recordings")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	a, err := audit.CreateAsciicast(dir, castOp(), 64<<20, nil)
	if err != nil {
		panic(err)
	}
	if err := a.Output([]byte("hello\r\n"), false); err != nil {
		panic(err)
	}
	if err := a.Close(protocol.Outcome{Status: protocol.StatusOK, Code: "0"}); err != nil {
		panic(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "s-1", "3.cast"))
	fmt.Println(strings.Count(string(b), "\n"), err)
	// Output: 3 <nil>
}

// events returns the header and the codes and data of a recording.
func events(t *testing.T, path string) (head map[string]any, codes []string, data []string) {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	require.NoError(t, json.Unmarshal([]byte(lines[0]), &head))
	for _, l := range lines[1:] {
		var e [3]any
		require.NoError(t, json.Unmarshal([]byte(l), &e), l)
		require.GreaterOrEqual(t, e[0].(float64), 0.0)
		codes, data = append(codes, e[1].(string)), append(data, e[2].(string))
	}
	return head, codes, data
}

func TestAsciicast(t *testing.T) {
	dir := t.TempDir()
	a, err := audit.CreateAsciicast(dir, castOp(), 1<<20, nil)
	require.NoError(t, err)
	require.NoError(t, a.Output([]byte("\x1b[1mgr\xc3"), false))
	require.NoError(t, a.Input([]byte("q")))
	require.NoError(t, a.Output([]byte("\xbc\xc3\x9f \xff\"\r\n"), false), "a character in two chunks, and a byte that is none")
	require.NoError(t, a.Resize(120, 40))
	require.NoError(t, a.Output([]byte("oops\xe2\x82"), true))
	path := filepath.Join(dir, "s-1", "3.cast")
	_, codes, _ := events(t, path)
	require.Equal(t, []string{"o", "i", "o", "r", "e"}, codes, "what was added can be read while the recording runs")
	require.NoError(t, a.Close(protocol.Outcome{Status: protocol.StatusFailed, Code: "7"}))
	require.Error(t, a.Output([]byte("late"), false))

	head, codes, data := events(t, path)
	require.Equal(t, map[string]any{"cols": 100.0, "rows": 30.0, "type": "xterm"}, head["term"])
	require.Equal(t, 3.0, head["version"])
	require.Equal(t, "top", head["command"])
	require.Equal(t, []string{"o", "i", "o", "r", "e", "e", "x"}, codes)
	require.Equal(t, []string{"\x1b[1mgr", "q", "\u00fc\u00df \ufffd\"\r\n", "120x40", "oops", "\ufffd", "7"}, data)

	_, err = audit.CreateAsciicast(dir, castOp(), 1, nil)
	require.ErrorIs(t, err, os.ErrExist, "no recording is overwritten")
}

// TestAsciicastOfWhatIsNoText: it is there byte for byte, unless a terminal showed it.
func TestAsciicastOfWhatIsNoText(t *testing.T) {
	dir := t.TempDir()
	op := castOp()
	op.Terminal = nil
	a, err := audit.CreateAsciicast(dir, op, 1<<20, nil)
	require.NoError(t, err)
	require.NoError(t, a.Output([]byte("text\xe2\x82"), false))
	require.NoError(t, a.Output([]byte("\xac\x00\xff"), false))
	require.NoError(t, a.Output([]byte("text\n"), false))
	require.NoError(t, a.Output([]byte("a\x00b"), true))
	require.NoError(t, a.Input([]byte("\x00\xc3")))
	require.NoError(t, a.Close(protocol.Outcome{Status: protocol.StatusOK}))
	path := filepath.Join(dir, "s-1", "3.cast")
	_, codes, data := events(t, path)
	require.Equal(t, []string{"o", "O", "o", "e", "I", "x"}, codes)
	require.Equal(t, []string{"text", base64.StdEncoding.EncodeToString([]byte("\xe2\x82\xac\x00\xff")), "text\n", "a\x00b", "AMM=", "ok"}, data)

	op = castOp()
	op.ID = 4
	a, err = audit.CreateAsciicast(dir, op, 1<<20, nil)
	require.NoError(t, err)
	require.NoError(t, a.Output([]byte("\x1b[H\x00x"), false))
	require.NoError(t, a.Close(protocol.Outcome{Status: protocol.StatusOK}))
	_, codes, data = events(t, filepath.Join(dir, "s-1", "4.cast"))
	require.Equal(t, []string{"o", "x"}, codes)
	require.Equal(t, "\x1b[H\x00x", data[0])
}

func TestAsciicastSaysThatItIsFull(t *testing.T) {
	dir := t.TempDir()
	a, err := audit.CreateAsciicast(dir, castOp(), 10, nil)
	require.NoError(t, err)
	for range 5 {
		require.NoError(t, a.Output([]byte("12345678"), false))
	}
	require.NoError(t, a.Close(protocol.Outcome{Status: protocol.StatusOK}))
	_, codes, data := events(t, filepath.Join(dir, "s-1", "3.cast"))
	require.Equal(t, []string{"o", "m", "x"}, codes)
	require.Contains(t, data[1], "reached its limit")
}

// A client may resize its window without end.
func TestAsciicastIsFullOfResizes(t *testing.T) {
	dir := t.TempDir()
	a, err := audit.CreateAsciicast(dir, castOp(), 10, nil)
	require.NoError(t, err)
	for range 5 {
		require.NoError(t, a.Resize(132, 43))
	}
	require.NoError(t, a.Close(protocol.Outcome{Status: protocol.StatusOK}))
	_, codes, _ := events(t, filepath.Join(dir, "s-1", "3.cast"))
	require.Equal(t, []string{"r", "m", "x"}, codes)
}
