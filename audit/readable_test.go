package audit

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAppendReadable: any bytes become a JSON string of what can be read of them,
// as strings.ToValidUTF8 has it.
func TestAppendReadable(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	pieces := []string{"a", "\"", "\\", "\n", "\t", "\r", "\x00", "\x1b", "\x7f", "\x80", "\xc3", "\xc3\xa9", "\xed\xa0\x80", "\xf0\x9f\x98\x80", "\xf0\x9f", "\uFFFD", "\u2028", "\xff"}
	for i := range 20_000 {
		var b []byte
		n := r.IntN(12)
		if i%200 == 0 {
			n = r.IntN(5000)
		}
		for range n {
			if i%3 == 0 {
				b = append(b, "plain text"[r.IntN(10):]...)
			}
			b = append(b, pieces[r.IntN(len(pieces))]...)
		}
		line := appendReadable([]byte("x"), b)
		var got string
		require.NoError(t, json.Unmarshal(line[1:], &got), "%q", b)
		require.Equal(t, strings.ToValidUTF8(string(b), "\uFFFD"), got, "%q", b)
	}
}

func BenchmarkReadable(b *testing.B) {
	text := []byte(strings.Repeat("drwxr-xr-x 2 root root 4096 Nov 30 15:52 bin\r\n", 700))
	random := make([]byte, 32<<10)
	r := rand.NewChaCha8([32]byte{})
	_, _ = r.Read(random) // never fails
	for name, data := range map[string][]byte{"text": text, "random": random} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			var line []byte
			for b.Loop() {
				line = appendReadable(line[:0], data)
			}
		})
	}
}
