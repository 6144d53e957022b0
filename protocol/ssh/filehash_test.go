package ssh

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFileHash(t *testing.T) {
	data := make([]byte, 102400) // the input of BLAKE3's test vectors
	for i := range data {
		data[i] = byte(i % 251)
	}
	for f, want := range map[FileHash]string{
		"":     "blake3:bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085",
		BLAKE3: "blake3:bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085",
		SHA256: "sha256:74588b7f0bcc354ac14d9cf199fa3a20c05f0c7293b9075b2f2e146e718de800",
	} {
		require.NoError(t, f.Check())
		sum := f.start()
		for rest := data; len(rest) > 0; rest = rest[min(32768, len(rest)):] {
			_, err := sum.Write(rest[:min(32768, len(rest))])
			require.NoError(t, err)
		}
		require.Equal(t, want, sum.tag())
	}
	require.EqualError(t, FileHash("md5").Check(), `file hash "md5": want blake3 or sha256`)
}
