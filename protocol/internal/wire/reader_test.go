package wire

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// pieces is a source that gives what it has in pieces of at most size bytes,
// as a target that writes in pieces does, and counts the reads.
type pieces struct {
	b     []byte
	size  int
	reads int
}

// Read implements io.Reader.
func (p *pieces) Read(b []byte) (int, error) {
	if len(p.b) == 0 {
		return 0, io.EOF
	}
	p.reads++
	n := copy(b, p.b[:min(p.size, len(p.b))])
	p.b = p.b[n:]
	return n, nil
}

// frames returns n messages of PostgreSQL's form with size bytes of body.
func frames(n, size int) []byte {
	var b []byte
	for i := range n {
		b = binary.BigEndian.AppendUint32(append(b, 'D'), uint32(size+4))
		b = append(b, bytes.Repeat([]byte{byte(i)}, size)...)
	}
	return b
}

// readFrames reads all of src frame by frame and returns what it read.
func readFrames(t *testing.T, src io.Reader) []byte {
	t.Helper()
	var all []byte
	r := NewReader(src)
	defer r.Release()
	need := 0
	for {
		for {
			_, n, err := Frame(r.Buffered(), 1<<20)
			require.NoError(t, err)
			if n == 0 || n > len(r.Buffered()) {
				need = n
				break
			}
			all = append(all, r.Buffered()[:n]...)
			r.Discard(n)
		}
		if err := r.Fill(need); err != nil {
			require.Equal(t, io.EOF, err)
			require.Empty(t, r.Buffered())
			return all
		}
	}
}

// Messages that are cut by the ends of reads must not keep the buffer small,
// nor make reads short: each read is a system call.
func TestReaderTakesWholePieces(t *testing.T) {
	for _, size := range []int{0, 1, 250, 1500, 5000, 20_000, 100_000} {
		want := frames(4<<20/(size+5), size)
		src := &pieces{b: want, size: piece}
		require.True(t, bytes.Equal(want, readFrames(t, src)), "size %d", size)
		require.LessOrEqual(t, src.reads, len(want)/piece*6/5+16, "size %d", size)
	}
}

func TestReaderKeepsBytes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var want []byte
		for len(want) < 200<<10 {
			want = append(want, frames(1, int(float64(uint(1)<<r.IntN(17))*r.Float64()))...)
		}
		require.True(t, bytes.Equal(want, readFrames(t, &pieces{b: want, size: 1 + r.IntN(40<<10)})))
	}
}

func TestReaderShrinksWhenQuiet(t *testing.T) {
	src := &pieces{b: frames(1000, 250), size: piece}
	r := NewReader(src)
	drain := func() {
		require.NoError(t, r.Fill(0))
		r.Discard(len(r.Buffered()))
	}
	require.NoError(t, r.Fill(0))
	require.Len(t, r.buf, small)
	r.Discard(len(r.Buffered()))
	drain()
	require.Len(t, r.buf, large)
	src.size = 100
	drain()
	drain()
	require.Len(t, r.buf, small)
}
