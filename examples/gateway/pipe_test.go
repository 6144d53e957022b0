package main

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Whoever is to read a pipe may have stopped doing so: the command can be ended all
// the same, and what was not taken counts as not sent.
func TestExportToAPipeThatNobodyReads(t *testing.T) {
	t.Chdir(t.TempDir())
	var out, errs strings.Builder
	p := &program{stdin: strings.NewReader(""), stdout: &out, stderr: &errs}
	require.Zero(t, p.main(t.Context(), []string{"audit", "key", "-name", "gateway.example.com", "gateway.key"}), errs.String())
	longJournal(t)
	require.NoError(t, unix.Mkfifo("pipe", 0o600))
	pipe, err := os.OpenFile("pipe", os.O_RDWR, 0)
	require.NoError(t, err)
	defer pipe.Close()
	c := exec.Command("gateway", "audit", "export", "-cursor", "cursor", "file:pipe", "journal")
	require.NoError(t, c.Start())
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	awaited(t, "the pipe to be full", func() bool {
		n, err := unix.IoctlGetInt(int(pipe.Fd()), unix.TIOCINQ)
		return err == nil && n > 48<<10
	})
	awaited(t, "the command to end", func() bool {
		_ = c.Process.Signal(syscall.SIGTERM) // one may come before the one before it was taken
		return len(ended) > 0
	})
	require.Error(t, <-ended)
}
