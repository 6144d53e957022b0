package ssh

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol"
)

// tokens are what texts are made of that are hard to take apart.
var tokens = []string{"ca", "cb", "cc", "ca", "cb", "cc", " ", " ", " ", " ", "\n", ";", ";", "&", "&&", "|", "||", "|&", "(", ")", "{", "}", "{ ", "; }", "$(", "`", "\\", "\\\n", "'", "\"", "'", "\"",
	"$'", "$\"", "\\'", "\\\"", "\\`", "#", " #", "<<E", "<<'E'", "<<-E", "<<\\E", "<<<", "\nE\n", "\n\tE\n", "E", ">f", ">>f", "&>f", "&>>f", ">&f", ">&2", "2>&1", "<f", "<>f", ">|f", "<(", ">(",
	"if ", "then ", "else ", "elif ", "fi", "for x in ", "do ", "done", "case x in ", "x)", ";;", ";&", "esac", "! ", "time ", "coproc ", "function ", "select ", "[[ ", " ]]", "((", "))", "$((", "$[", "]", "[ ",
	"=", "x=", "x=(", "x+=", "~", "*", "\t", "\r", "1", "a", "-", "--", "${x", "${x:-", "${x#", "${x/", "}", "$x", "$", "!", "{a,b}", ",", ":", "é", "\u00a0", "\u2028",
	"env ", "xargs ", "nice ", "exec ", "command ", "builtin ", "eval ", "sh -c ", "export ", "declare ", "test ", "true ", "set -- ", "ca=", "alias ", "\f", "\v", "\x01"}

// What runs is in the analysis, unless that says that it does not know: texts made
// up at random are given to the shells that are common as login shells, and the
// commands that ran are looked for.
func TestWhatShellsRunIsFound(t *testing.T) {
	n, seed := 300, uint64(1)
	if s := os.Getenv("SALLYPORT_SHELL_TEXTS"); s != "" { // how many, to look longer than a test may take
		var err error
		n, err = strconv.Atoi(s)
		require.NoError(t, err)
		seed = uint64(time.Now().UnixNano())
	}
	t.Log("seed", seed)
	bin, work, log := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "log")
	for _, c := range []string{"ca", "cb", "cc"} {
		require.NoError(t, os.WriteFile(filepath.Join(bin, c), []byte("#!/bin/sh\necho "+c+" >>"+log+"\n"), 0o700))
	}
	for _, c := range []string{"env", "xargs", "nice", "sh"} {
		path, err := exec.LookPath(c)
		require.NoError(t, err)
		require.NoError(t, os.Symlink(path, filepath.Join(bin, c)))
	}
	rnd := rand.New(rand.NewPCG(seed, 0))
	ran := 0
	for n > 0 {
		var b strings.Builder
		for range 2 + rnd.IntN(14) {
			b.WriteString(tokens[rnd.IntN(len(tokens))])
		}
		text := b.String()
		op := analyze(text)
		if op.Access.Has(protocol.Opaque) {
			continue
		}
		found := 0
		for _, o := range op.Objects {
			if o.Kind == "command" {
				found++
			}
		}
		if strings.Count(text, "ca")+strings.Count(text, "cb")+strings.Count(text, "cc") <= found && !strings.ContainsAny(text, "\\'\"`&#<") {
			continue // nothing could be hidden in it
		}
		n--
		for _, shell := range []string{"bash", "dash"} {
			require.NoError(t, os.RemoveAll(log))
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			cmd := exec.CommandContext(ctx, shell, "-c", text)
			cmd.Dir, cmd.Env, cmd.WaitDelay = work, []string{"PATH=" + bin, "LC_ALL=C.UTF-8"}, 5*time.Second
			out, _ := cmd.CombinedOutput() // many fail
			cancel()
			got, _ := os.ReadFile(log) // nothing ran: it is not there
			for _, c := range strings.Fields(string(got)) {
				ran++
				if !slices.Contains(op.Objects, protocol.Object{Kind: "command", Name: c, Access: protocol.Execute}) {
					t.Errorf("%s runs %s in %q, and the analysis finds %v\n%s", shell, c, text, op.Objects, out)
				}
			}
		}
	}
	require.Greater(t, ran, 20, fmt.Sprint("else this shows nothing"))
}
