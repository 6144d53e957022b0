package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func played(t *testing.T, cast string, args ...string) (out, errs string, code int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "a.cast")
	require.NoError(t, os.WriteFile(file, []byte(cast), 0o600))
	var o, e strings.Builder
	p := &program{strings.NewReader(""), &o, &e}
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
	for name, cast := range map[string]string{"another file": "{}\n", "nothing": "", "no event": `{"version":3}` + "\n[1]\n", "a long line": `{"version":3}` + "\n" + strings.Repeat("x", 5<<20)} {
		_, errs, code := played(t, cast)
		require.Equal(t, 1, code, name)
		require.Contains(t, errs, "a.cast", name)
	}
	_, errs, code = played(t, v3, "-idle", "-1s")
	require.Equal(t, exitUsage, code, errs)
}

// Whoever was recorded does not rule the terminal of whoever looks.
func TestPlayIsTame(t *testing.T) {
	for in, want := range map[string]string{
		"a\x1b[31mb\x1b[0m\x1b[2J\x1b[1;1Hé\tc\r\n":   "a\x1b[31mb\x1b[0m\x1b[2J\x1b[1;1Hé\tc\r\n",
		"a\x1b]0;title\x07b":                          "ab",
		"a\x1b]52;c;ZXZpbA==\x1b\\b":                  "ab",
		"a\x1bP$qm\x1b\\b\x1b_x\x1b\\c\x1b^y\x1b\\":   "abc",
		"a\x1b[6nb\x1b[cc\x1b[>cd\x1b[21te\x1bZf\x05": "abcdef",
		"a\u009b6nb\u009d0;x\u009cc":                  "a6nb0;xc",
		"\x1b(B\x1b7\x1b8\x1bM":                       "\x1b(B\x1b7\x1b8\x1bM",
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
