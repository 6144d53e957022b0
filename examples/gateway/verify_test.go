package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/protocol"
)

func TestHead(t *testing.T) {
	h := audit.Head{Origin: "01a2-b", Size: 7, Hash: strings.Repeat("0a", 32)}
	got, err := parseHead(formatHead(h))
	require.NoError(t, err)
	require.Equal(t, h, got)
	for _, s := range []string{"", "a:1", "a:1:zz", ":1:" + h.Hash, "a:-1:" + h.Hash, "a:01:" + h.Hash, "a:1:" + h.Hash + ":"} {
		_, err := parseHead(s)
		require.Error(t, err, s)
	}
}

func FuzzParseHead(f *testing.F) {
	f.Add("01a2-b:7:" + strings.Repeat("0a", 32))
	f.Fuzz(func(t *testing.T, s string) {
		if h, err := parseHead(s); err == nil && formatHead(h) != s {
			t.Fatalf("%q came back as %q", s, formatHead(h))
		}
	})
}

// What a client sent is shown, but neither obeyed nor cut into lines.
func TestEventLineIsOneLineOfText(t *testing.T) {
	evil := audit.Text("select 1;\n\x1b[2J\u202e drop\x00" + strings.Repeat("x", 1000))
	for _, k := range []audit.Kind{audit.LoginRefused, audit.SessionOpened, audit.SessionClosed, audit.ApprovalRequested,
		audit.CommandDecided, audit.CommandCompleted, audit.CommandUnknown, audit.JournalOpened, audit.JournalGap} {
		line := eventLine(&audit.Event{Kind: k, Session: "0123456789", Remote: evil, User: evil, Error: evil,
			Identity: &audit.Identity{Subject: evil, Issuer: evil, OnBehalfOf: &audit.Identity{Subject: evil}},
			Target:   &audit.Target{Name: evil}, Tool: &audit.Tool{Raw: evil}, Journal: &audit.About{What: evil},
			Action:   &audit.Action{Verb: "select", Text: &audit.Value{Text: evil}},
			Decision: &audit.Decision{Effect: "deny", By: evil, Rule: evil, Reason: evil, Grants: []audit.Grant{{By: evil, Reason: evil}}},
			Result:   &audit.Result{Status: "ok", Code: evil, Masked: []audit.Text{evil}}})
		require.NotContains(t, line, "\n")
		require.NotContains(t, line, "\x1b")
		require.NotContains(t, line, "\u202e")
		require.NotContains(t, line, "\x00")
		require.Less(t, len([]rune(line)), 2000)
		// Events of a journal may also lack everything that is optional.
		_ = eventLine(&audit.Event{Kind: k})
	}
}

// What is verified does not rule the terminal of whoever asks, who would see no damage
// then.
func TestVerifyIsTame(t *testing.T) {
	t.Chdir(t.TempDir())
	j, err := audit.Open("journal", audit.Options{MinFree: 1})
	require.NoError(t, err)
	s := &protocol.SessionInfo{ID: "s\x1b[8m1", Identity: &protocol.Identity{Issuer: "i", Subject: "alice"}, Resource: protocol.Resource{Name: "web", Protocol: "ssh"}}
	cast, err := audit.CreateAsciicast("recordings", &protocol.Operation{Session: s, ID: 2, Verb: "shell"}, 1<<20, j)
	require.NoError(t, err)
	require.NoError(t, cast.Close(protocol.Outcome{Status: protocol.StatusOK}))
	require.NoError(t, j.Close())
	require.NoError(t, os.WriteFile(filepath.Join("recordings", s.ID, "2.cast"), []byte("another"), 0o600))
	var out, errs strings.Builder
	p := &program{stdin: strings.NewReader(""), stdout: &out, stderr: &errs}
	require.Equal(t, exitError, p.main(t.Context(), []string{"verify", "-recordings", "recordings", "journal"}))
	require.Contains(t, out.String(), "DAMAGED")
	require.NotContains(t, out.String(), "\x1b")
	require.NotContains(t, errs.String(), "\x1b")
}
