package mysql_test

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTargetThatLeavesAnIdleSession closes a connection whose client says nothing,
// as a wait_timeout does: the client sees it without asking anything.
func TestTargetThatLeavesAnIdleSession(t *testing.T) {
	r := rawSide(t, rigConfig{})
	c := rawLogin(t, r.addr, "alice@my", rawPassword, "shop", rawCaps)
	c.ask([]byte("\x03SET wait_timeout = 1"))
	_, err := c.Conn.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
}
