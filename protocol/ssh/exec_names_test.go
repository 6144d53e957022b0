package ssh

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol"
)

// What a shell finds under a name depends on variables and folders, and they are set in
// many ways. Each text runs a program of the client's own, and its analysis says so.
func TestNamesThatStandForOthersAreOpaque(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "uptime"), []byte("#!/bin/sh\necho RAN\n"), 0o700))
	for n := range 20 { // whichever number the shell gives to a file
		require.NoError(t, os.Mkdir(filepath.Join(dir, fmt.Sprint(n)), 0o700))
		require.NoError(t, os.Symlink("../uptime", filepath.Join(dir, fmt.Sprint(n), "uptime")))
	}
	for _, c := range []struct{ shell, text string }{
		{"sh", "for PATH in %s; do uptime; done"},
		{"sh", "unset PATH; : ${PATH:=%s}; uptime"},
		{"sh", "unset PATH; : ${PATH=%s}; uptime"},
		{"sh", "echo %s >p; read PATH <p; uptime"},
		{"sh", "echo %s >p; read -r PATH <p; uptime"},
		{"bash", "select PATH in %s; do uptime; break; done <<<1"},
		{"bash", "read PATH <<<%s; uptime"},
		{"bash", "read -ra PATH <<<%s; uptime"},
		{"bash", "read -raPATH <<<%s; uptime"},
		{"bash", "printf -v PATH %s; uptime"},
		{"bash", "printf -vPATH %s; uptime"},
		{"bash", "cd %s; unset PATH; uptime"},
		{"bash", "cd %s; exec {PATH}>/dev/null; uptime"},
		{"bash", "set -k; uptime PATH=%s"},
		{"bash", "set -e -o keyword; uptime PATH=%s"},
		{"bash", "shopt -so keyword; uptime PATH=%s"},
		{"bash", "shopt -s expand_aliases; BASH_ALIASES[0]=%s/uptime\n0"},
		{"sh", "cd %s; ./uptime"},
		{"sh", "env -C %s ./uptime"},
		{"sh", "echo %s/uptime | xargs -I@ env @"},
		{"sh", "echo %s/uptime | xargs -rI @ nice @"},
	} {
		text := fmt.Sprintf(c.text, dir)
		cmd := exec.Command(c.shell, "-c", text)
		cmd.Dir, cmd.Env = dir, []string{"PATH=/bin:/usr/bin"}
		out, _ := cmd.CombinedOutput() // some fail behind it
		assert.Contains(t, string(out), "RAN", text)
		assert.True(t, analyze(text).Access.Has(protocol.Opaque), text)
	}
	for _, text := range []string{"for p in a b; do uptime; done", "read -r line </etc/hostname; uptime", "printf 'PATH %s' x", "unset x", ": ${x:=y}", "set -euo pipefail; uptime",
		"set -- a b; uptime", "shopt -s nullglob", "exec {x}>/dev/null", "cd /srv; uptime", "./uptime", "ls | xargs -I@ cp @ /srv", "ls | xargs -I@ env A=b cp @ /srv"} {
		require.False(t, analyze(text).Access.Has(protocol.Opaque), "%s: %s", text, analyze(text).Why)
	}
}
