package ssh

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol"
)

// bash runs commands in the index of an array's element wherever it computes
// something or takes a variable's name, also if it finds that in a value, which
// clients may set. What does so is opaque: no name of a command shows it.
func TestWhatBashEvaluatesIsOpaque(t *testing.T) {
	const code = "$(cat /etc/hostname >&2; echo RAN >&2)"
	const index = "'a[" + code + "]'"
	ran := 0
	for _, text := range []string{
		"echo $((LC_A))", "echo $[LC_A]", "((LC_A))", "let LC_A", "let " + index, "echo ${x[LC_A]}", "echo ${!LC_A}", "echo ${x:LC_A:1}", "echo ${LC_B@P}",
		"for ((i=LC_A;i<1;i++)); do ls; done", "[[ LC_A -eq 1 ]]", "[[ -v a[LC_A] ]]", "[[ -v $LC_A ]]", "a[LC_A]=1", "a=([LC_A]=1)",
		"test -v " + index, `test -v "$LC_A"`, "[ -v " + index + " ]", "printf -v " + index + " x", `printf -v "$LC_A" x`, "unset " + index,
		"read " + index + " <<<x", `read "$LC_A" <<<x`, "getopts a " + index, "declare -i x=LC_A", "declare " + index + "=1", "export -n " + index + "=1", "local -n r=LC_A",
		"wait -n -p " + index, "compgen -W '" + code + "'", "compgen -C ls", "mapfile -C 'ls' -c 1 x <<<x", "readarray -C ls -c 1 x <<<x", "jobs -x ls", "fc -s",
		"echo a >&'" + code + "'", "cat <&'" + code + "'", "x=LC_A; echo $((x))", "declare -n r=LC_A; echo $((r))", "set -- LC_A; echo $(($1))", "command test -v " + index, "builtin printf -v " + index + " x",
	} {
		cmd := exec.Command("bash", "-c", text)
		cmd.Dir = t.TempDir()
		cmd.Env = []string{"PATH=/bin:/usr/bin", "LC_A=a[" + code + "]", "LC_B=" + code}
		out, _ := cmd.CombinedOutput() // most fail behind it
		if strings.Contains(string(out), "RAN") {
			ran++
		}
		require.True(t, analyze(text).Access.Has(protocol.Opaque), "%s\n%s", text, out)
	}
	require.Greater(t, ran, 20, "else this shows nothing")

	for _, text := range []string{"ls -l /srv", "x=1; echo $x", "echo $((1+2*3))", "echo ${x[0]} ${x[@]} ${#x} ${x:1:2} ${x:-y}", `printf '%s\n' "$x"`, "export LANG=C", "test -f /etc/passwd", "[[ -f x ]] && [[ $y == z ]]",
		"for f in a b; do cat $f; done", "a[0]=1; a=(x y)"} {
		require.False(t, analyze(text).Access.Has(protocol.Opaque), "%s: %s", text, analyze(text).Why)
	}
}
