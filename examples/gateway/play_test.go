package main

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/audit/audittest"
	"github.com/sallyport-dev/gateway/protocol"
)

func played(t *testing.T, cast string, args ...string) (out, errs string, code int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "a.cast")
	require.NoError(t, os.WriteFile(file, []byte(cast), 0o600))
	var o, e strings.Builder
	p := &program{stdin: strings.NewReader(""), stdout: &o, stderr: &e}
	code = p.main(t.Context(), append(append([]string{"play", "-speed", "1000"}, args...), file))
	return o.String(), e.String(), code
}

func TestPlay(t *testing.T) {
	const v3 = `{"version":3,"term":{"cols":80,"rows":24}}` + "\n" + `[0.1, "o", "one "]` + "\n# a comment\n" + `[9999999, "o", "two\r\n"]` + "\n" +
		`[0.1, "i", "typed"]` + "\n" + `[0, "r", "10x10"]` + "\n" + `[0, "e", "bad"]` + "\n" + `[0, "m", "note"]` + "\n" + `[0, "x", "3"]` + "\n"
	out, errs, code := played(t, v3, "-idle", "1ms")
	require.Equal(t, "one two\r\n", out)
	require.Equal(t, "bad\n[note]\n\n[ended: 3]\n", errs)
	require.Zero(t, code)
	out, _, code = played(t, `{"version":2}`+"\n"+`[1.0, "o", "a"]`+"\n"+`[1.5, "o", "b"]`+"\n"+`[2, "o`)
	require.Equal(t, "ab", out, "a recording that was cut off")
	require.Zero(t, code)
	binary := `{"version":3}` + "\n" + `[0, "O", "AP9hCg=="]` + "\n" + `[0, "I", "AA=="]` + "\n"
	out, _, code = played(t, binary)
	require.Equal(t, "\x00\ufffda\n", out)
	require.Zero(t, code)
	out, _, _ = played(t, binary, "-raw")
	require.Equal(t, "\x00\xffa\n", out, "what was no text, as it was")
	_, errs, code = played(t, `{"version":3}`+"\n"+`[0, "O", "?"]`+"\n")
	require.Equal(t, 1, code, errs)
	// What was seen already is not waited for.
	long := `{"version":3}` + "\n" + `[9000000, "o", "a"]` + "\n" + `[1, "o", "b"]` + "\n" + `[1, "o", "c"]` + "\n"
	out, _, code = played(t, long, "-from", "2500h")
	require.Equal(t, "abc", out)
	require.Zero(t, code)
	// Whoever interrupts it is told how to go on.
	ctx, cancel := context.WithCancel(t.Context())
	var o, e strings.Builder
	file := filepath.Join(t.TempDir(), "a.cast")
	require.NoError(t, os.WriteFile(file, []byte(`{"version":3}`+"\n"+`[1.5, "o", "a"]`+"\n"+`[9000000, "o", "b"]`+"\n"), 0o600))
	p := &program{stdin: strings.NewReader(""), stdout: writerFunc(func(b []byte) { o.Write(b); cancel() }), stderr: &e}
	require.Equal(t, 1, p.main(ctx, []string{"play", "-speed", "100", file}))
	require.Equal(t, "a", o.String())
	require.Contains(t, e.String(), "-recording 1 -from 1.5s goes on here")
	for name, cast := range map[string]string{"another file": "{}\n", "nothing": "", "no event": `{"version":3}` + "\n[1]\n", "a long line": `{"version":3}` + "\n" + strings.Repeat("x", 5<<20)} {
		_, errs, code := played(t, cast)
		require.Equal(t, 1, code, name)
		require.Contains(t, errs, "a.cast", name)
	}
	_, errs, code = played(t, v3, "-idle", "-1s")
	require.Equal(t, exitUsage, code, errs)
}

// A session of a database has no recordings: what is played is what the journal has.
func TestPlayJournal(t *testing.T) {
	w := audittest.NewWorld(t)
	w.Story()
	alice := w.Session("alice", "orders", protocol.Human)
	c := w.Open(alice)
	op := w.Op(alice, "select", "select email,\n\tname \x1b]0;title\x07\nfrom customers", protocol.Read)
	op.Args = []protocol.Arg{{Text: "Lovelace"}}
	w.Pure(op, protocol.StatusOK, 3)
	w.End(c, protocol.StatusOK, 0)
	w.Close()
	play := func(args ...string) (string, string, int) {
		var o, e strings.Builder
		p := &program{stdin: strings.NewReader(""), stdout: &o, stderr: &e}
		code := p.main(t.Context(), append([]string{"play", "-speed", "1000", "-idle", "1ms", "-dir", filepath.Join(t.TempDir(), "none"), "-journal", w.Dir}, args...))
		return o.String(), e.String(), code
	}
	out, errs, code := play("session-1")
	require.Zero(t, code, errs)
	require.Regexp(t, `(?s)session opened.*select email from customers.*ok, 3 rows.*HELD +update orders.*ALLOW.*approved by bob.*ok, 1 row.*session closed`, out)
	require.NotContains(t, out, "drop table")
	out, errs, code = play(alice.ID, "-follow")
	require.Zero(t, code, errs)
	require.Contains(t, out, "\n        select email,\n            name ")
	require.Contains(t, out, "\n        from customers\n")
	require.NotContains(t, out, "\x1b")
	_, errs, code = play("session-99")
	require.Equal(t, 1, code)
	require.Contains(t, errs, "not in the journal")

	// A pause is made, and can be interrupted.
	ctx, cancel := context.WithCancel(t.Context())
	var e strings.Builder
	n := 0
	p := &program{stdin: strings.NewReader(""), stdout: writerFunc(func([]byte) {
		if n++; n == 3 {
			cancel()
		}
	}), stderr: &e}
	require.Equal(t, 1, p.main(ctx, []string{"play", "-speed", "1000", "-statements", "-dir", t.TempDir(), "-journal", w.Dir, "session-1"}))
	require.Equal(t, 3, n)
	require.Regexp(t, `-from [0-9]+s goes on here`, e.String())
	from := regexp.MustCompile(`-from [0-9]+s`).FindString(e.String())
	whole, _, code := play("-statements", "session-1")
	require.Zero(t, code)
	rest, errs, code := play("-statements", "-from", strings.TrimPrefix(from, "-from "), "session-1")
	require.Zero(t, code, errs)
	require.Equal(t, whole, rest, "what was seen, and the rest")
}

type writerFunc func([]byte)

func (f writerFunc) Write(b []byte) (int, error) { f(b); return len(b), nil }

// Whoever was recorded does not rule the terminal of whoever looks.
func TestPlayIsTame(t *testing.T) {
	for in, want := range map[string]string{
		"a\x1b[31mb\x1b[0m\x1b[2J\x1b[1;1Hé\tc\r\n":          "a\x1b[31mb\x1b[0m\x1b[2J\x1b[1;1Hé\tc\r\n",
		"a\x1b]0;title\x07b":                                 "ab",
		"a\x1b]52;c;ZXZpbA==\x1b\\b":                         "ab",
		"a\x1bP$qm\x1b\\b\x1b_x\x1b\\c\x1b^y\x1b\\":          "abc",
		"a\x1b[6nb\x1b[cc\x1b[>cd\x1b[21te\x1bZf\x05":        "abcdef",
		"a\u009b6nb\u009d0;x\u009cc":                         "a6nb0;xc",
		"\x1b(B\x1b7\x1b8\x1bM":                              "\x1b(B\x1b7\x1b8\x1bM",
		"a\x1b\x05b\x1b\u009b6nc\x1b\u00e9d":                 "ab6nc\u00e9d",
		"a\x1b[?1$pb\x1b[?uc\x1b[?1;1;0Sd\x1b[1$we\x1b[?4mf": "abcdef",
		"a\x1b[>1ub\x1b[>4;2mc\x1b[=1ud\x1b[!pe\x1b[5if":     "abcdef",
		"a\x1b[?1003hb\x1b[?25;1004hc\x1b[20hd\x1b[2he":      "abcde",
		"a\x1b%@\u015b6nb\x1b Gc\x1b=d\x1b>e":                "a@\u015b6nbGcde",
		"\x1b[?1049h\x1b[?25l\x1b[4h\x1b[2;5r\x1b[s\x1b[u":   "\x1b[?1049h\x1b[?25l\x1b[4h\x1b[2;5r\x1b[s\x1b[u",
	} {
		var whole, parts strings.Builder
		_, err := (&tame{w: &whole}).Write([]byte(in))
		require.NoError(t, err)
		require.Equal(t, want, whole.String(), "%q", in)
		tm := &tame{w: &parts}
		for _, r := range in {
			_, err := tm.Write([]byte(string(r)))
			require.NoError(t, err)
		}
		require.Equal(t, want, parts.String(), "%q", in)
	}
}
