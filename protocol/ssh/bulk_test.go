package ssh

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Whatever is written comes out as it went in, whether the rest of a packet follows its
// beginning or there is none.
func TestPacketsAreJoined(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	out, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	in, err := l.Accept()
	require.NoError(t, err)
	defer in.Close()
	c := bulk(out)
	for i, sizes := range [][]int{{100}, {firstPart, 28 << 10}, {firstPart}, {firstPart, firstPart}, {firstPart, 1, firstPart}, {firstPart - 1, firstPart}} {
		var want []byte
		for j, size := range sizes {
			b := bytes.Repeat([]byte{byte(10*i + j)}, size)
			want = append(want, b...)
			n, err := c.Write(b)
			clear(b) // it is the writer's again
			require.NoError(t, err)
			require.Equal(t, size, n)
		}
		got := make([]byte, len(want))
		_, err := io.ReadFull(in, got)
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, got), "%v", sizes)
	}
	require.NoError(t, c.Close())
	_, _ = c.Write(make([]byte, firstPart)) // what is late is told with the next
	require.Eventually(t, func() bool {
		_, err := c.Write([]byte("x"))
		return err != nil
	}, 10*time.Second, time.Millisecond)
}
