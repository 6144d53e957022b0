package wire

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

// FuzzFrame checks that a header is read as the documentation says it, that no
// length escapes the limit, and that more bytes never change what was said.
func FuzzFrame(f *testing.F) {
	for _, b := range []string{"", "Q", "Q\x00\x00\x00\x04", "Q\x00\x00\x00\x03", "Q\x7f\xff\xff\xff", "Q\xff\xff\xff\xff", "Q\x80\x00\x00\x00", "D\x00\x00\x00\x05x", "Z\x00\x00\x00\x05I"} {
		f.Add([]byte(b), 100)
	}
	f.Fuzz(func(t *testing.T, b []byte, limit int) {
		typ, n, err := Frame(b, limit)
		if len(b) < HeaderLen {
			if n != 0 || err != nil {
				t.Fatalf("%q: %d, %v without a header", b, n, err)
			}
			return
		}
		l := int64(b[1])<<24 | int64(b[2])<<16 | int64(b[3])<<8 | int64(b[4])
		fits := l >= 4 && l+1 <= int64(limit)
		if typ != b[0] || fits != (err == nil) || fits && int64(n) != l+1 || !fits && n != 0 {
			t.Fatalf("%q under %d: %q, %d, %v", b[:HeaderLen], limit, typ, n, err)
		}
		if t2, n2, err2 := Frame(b[:HeaderLen], limit); t2 != typ || n2 != n || !errors.Is(err2, err) {
			t.Fatal("the body changes what the header says")
		}
	})
}

// script is a source that gives data in pieces whose sizes are in sizes, with
// empty reads where a size is 0.
type script struct {
	data, sizes []byte
	i           int
}

// Read implements io.Reader.
func (s *script) Read(p []byte) (int, error) {
	if len(s.data) == 0 {
		return 0, io.EOF
	}
	n := 1 + s.i%3
	if len(s.sizes) > 0 {
		n = int(s.sizes[s.i%len(s.sizes)]) * 97
		if n == 0 && s.i%5 == 0 {
			s.i++
			return 0, nil
		}
		n = max(n, 1)
	}
	s.i++
	n = copy(p, s.data[:min(n, len(s.data))])
	s.data = s.data[n:]
	return n, nil
}

// FuzzReader uses a Reader in any order and compares it with a plain slice:
// nothing is lost, repeated or reordered, what Buffered has shown before a Grow
// stays as it was, and memory follows the bytes that came, not those announced, and a buffer that is
// empty before it waits is not huge.
func FuzzReader(f *testing.F) {
	f.Add([]byte("hello"), []byte{1}, []byte{0, 1, 2, 3}, 10)
	f.Add([]byte("hello"), []byte{0, 255, 3}, []byte{0, 0, 2, 2, 1, 0}, 1000)
	f.Add([]byte("x"), []byte{255}, []byte{0, 0, 2, 0, 2, 0, 1, 3, 0, 0}, 500)
	f.Fuzz(func(t *testing.T, seed, sizes, ops []byte, repeat int) {
		if len(seed) == 0 || len(ops) > 200 {
			return
		}
		data := bytes.Repeat(seed, min(max(repeat, 1), 1+(1<<18)/len(seed)))
		for i := range data { // no two places alike
			data[i] ^= byte(i * 31)
		}
		r := NewReader(&script{data: data, sizes: sizes})
		defer r.Release()
		came, taken, reads, peak := 0, 0, 0, 0
		check := func() {
			b := r.Buffered()
			came = taken + len(b)
			if !bytes.Equal(b, data[taken:came]) {
				t.Fatalf("other bytes than came, after %d", taken)
			}
			peak = max(peak, len(b))
			if have := len(r.buf); have > 4*max(large, peak) {
				t.Fatalf("%d bytes of memory for %d", have, peak)
			}
		}
		for i := 0; i < len(ops) && reads < 2000; i++ {
			arg := 0
			if i+1 < len(ops) {
				arg = int(ops[i+1])
			}
			switch ops[i] % 4 {
			case 0:
				reads++
				waits := len(r.Buffered()) == 0 && arg < 50
				if err := r.Fill(arg * arg * 7); err != nil && err != io.EOF && !errors.Is(err, io.ErrNoProgress) {
					t.Fatal(err)
				}
				if waits && len(r.buf) > huge {
					t.Fatalf("%d bytes kept for nothing", len(r.buf))
				}
			case 1:
				n := min(arg*113, len(r.Buffered()))
				r.Discard(n)
				taken += n
			case 2: // a hold: slices are kept while more is read
				shown := r.Buffered()
				before := bytes.Clone(shown)
				for range 1 + arg%8 {
					reads++
					limit := len(shown) + arg*256
					err := r.Grow(limit)
					if len(r.Buffered()) > max(limit, len(shown))+2*max(large, limit) {
						t.Fatalf("%d bytes over the limit %d", len(r.Buffered()), limit)
					}
					if !bytes.Equal(shown, before) {
						t.Fatal("bytes that were shown have changed")
					}
					if err != nil {
						break
					}
				}
			case 3:
				for j := range r.Buffered() { // the owner may write: put back what was there
					r.Buffered()[j] ^= 0
				}
			}
			check()
		}
		for {
			r.Discard(len(r.Buffered()))
			taken = came
			if err := r.Fill(0); err != nil {
				break
			}
			check()
		}
		if came != len(data) {
			t.Fatalf("%d bytes came of %d", came, len(data))
		}
	})
}
