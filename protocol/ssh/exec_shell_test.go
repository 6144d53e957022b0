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

// shellText returns a text that is mostly valid, with tokens in places of any kind.
func shellText(rnd *rand.Rand) string {
	pick := func(list ...string) string { return list[rnd.IntN(len(list))] }
	var list func(depth int) string
	word := func(depth int) string {
		inner := func() string {
			if depth <= 0 {
				return "a"
			}
			return list(depth - 1)
		}
		switch rnd.IntN(14) {
		case 0:
			return "$(" + inner() + ")"
		case 1:
			return "\"" + pick("a ", "", "'", "#", "\\\"") + "$(" + inner() + ")\""
		case 2:
			return "`" + strings.NewReplacer("`", "", "\\", "").Replace(inner()) + "`"
		case 3:
			return "'" + pick("a", "; cb", "#", "\\", "$(cc)", "\n") + "'"
		case 4:
			return "<(" + inner() + ")"
		case 5:
			return "${x:-" + pick("a", "$("+inner()+")", "'a'", "}") + "}"
		case 6:
			return pick("a#b", "\\;", "\\\n", "\\'", "{a", "=b", "a=b", "-", "--", "]]", "}", "1", "é")
		}
		return pick("a", "b")
	}
	command := func(depth int) string {
		c := pick("ca", "cb", "cc", "ca", "cb", "cc", "ca", "cb", "cc", "c\"a\"", "c\\b", "'cc'", "x=1 ca", "time cb", "! cc", "nice ca", "env cb", "env x=1 cc", "command ca", "exec cb", "xargs cc", "echo x | xargs ca", "sh -c 'ca; cb'", "[[ a ]]", ":", "echo")
		for range rnd.IntN(3) {
			c += " " + word(depth)
		}
		for range rnd.IntN(5) / 2 {
			c += " " + pick(">f", ">>f", "2>&1", ">&2", "&>f", "<>f", "<<<", ">&f", ">| f", "< f") + pick("", " ") + pick("", word(0))
		}
		if rnd.IntN(8) == 0 {
			c += " " + pick("<<E\n"+word(depth)+"\nE\n", "<<'E'\n"+word(depth)+"\nE\n", "<<-E\n\ta\n\tE\n", "<<\"E\"\nE\nca", "<<E b\n$(cc)\nE\n", "<<E <<F\na\nE\nb\nF\n", "<<E\na\\\nE\ncb\nE\n")
		}
		return c
	}
	list = func(depth int) string {
		b := ""
		for i := range 1 + rnd.IntN(3) {
			if i > 0 {
				b += pick("; ", "\n", " && ", " || ", " | ", " & ", " |& ", ";", "|", " # ca\n", "\\\n; ")
			}
			inner := func() string {
				if depth <= 0 {
					return command(0)
				}
				return list(depth - 1)
			}
			switch rnd.IntN(12) {
			case 0:
				b += "{ " + inner() + "; }"
			case 1:
				b += "(" + inner() + ")"
			case 2:
				b += "if " + inner() + "; then " + inner() + "; fi"
			case 3:
				b += "for x in a; do " + inner() + "; done"
			case 4:
				b += "case a in " + pick("a)", "(a)", "*)", "b|a)", "esac)", "'a')") + " " + inner() + ";; esac"
			default:
				b += command(depth)
			}
		}
		return b
	}
	text := list(2)
	for range rnd.IntN(3) {
		i := rnd.IntN(len(text) + 1)
		text = text[:i] + tokens[rnd.IntN(len(tokens))] + text[min(i+rnd.IntN(3), len(text)):]
	}
	return text
}

// What runs is in the analysis, unless that says that it does not know: texts made
// up at random are given to the shells that are common as login shells, and the
// commands that ran are looked for.
func TestWhatShellsRunIsFound(t *testing.T) {
	n, seed := 100, uint64(1)
	if s := os.Getenv("SALLYPORT_SHELL_TEXTS"); s != "" { // how many, to look longer than a test may take
		var err error
		n, err = strconv.Atoi(s)
		require.NoError(t, err)
		seed = uint64(time.Now().UnixNano())
	}
	t.Log("seed", seed)
	bin, work, logs := t.TempDir(), t.TempDir(), t.TempDir()
	for _, c := range []string{"ca", "cb", "cc"} {
		require.NoError(t, os.WriteFile(filepath.Join(bin, c), []byte("#!/bin/sh\necho "+c+" >>$RAN\n"), 0o700))
	}
	for _, c := range []string{"env", "xargs", "nice", "sh"} {
		path, err := exec.LookPath(c)
		require.NoError(t, err)
		require.NoError(t, os.Symlink(path, filepath.Join(bin, c)))
	}
	rnd := rand.New(rand.NewPCG(seed, 0))
	ran := 0
	for n > 0 {
		text := shellText(rnd)
		op := analyze(text)
		if op.Access.Has(protocol.Opaque) {
			continue
		}
		n--
		for _, shell := range []string{"bash", "dash"} {
			log := filepath.Join(logs, fmt.Sprint(n, shell)) // its own: something may go on in the background
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			cmd := exec.CommandContext(ctx, shell, "-c", text)
			cmd.Dir, cmd.Env, cmd.WaitDelay = work, []string{"PATH=" + bin, "LC_ALL=C.UTF-8", "RAN=" + log}, 5*time.Second
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
	require.Greater(t, ran, 50, "else this shows nothing")
}
