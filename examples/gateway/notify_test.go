package main

import (
	"net"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNotify(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	notifyStopping() // nobody to tell

	path := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	require.NoError(t, err)
	defer l.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	got := func() string {
		b := make([]byte, 256)
		n, err := l.Read(b)
		require.NoError(t, err)
		return string(b[:n])
	}
	notifyReady("1 listener")
	require.Equal(t, "READY=1\nSTATUS=1 listener", got())
	notifyReloading()
	require.Regexp(t, `^RELOADING=1\nMONOTONIC_USEC=[1-9][0-9]+$`, got())
	notifyStopping()
	require.Equal(t, "STOPPING=1", got())
}
