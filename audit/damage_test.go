package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol"
)

// filled makes a closed journal of several segments and returns its head.
func filled(t testing.TB, dir string, sessions int) Head {
	t.Helper()
	j := openTest(t, dir, Options{SegmentSize: 8 << 10})
	for i := range sessions {
		a := newActor(t, j, fmt.Sprint("s", i))
		c := a.connect()
		for k := range 3 {
			op := a.op("select", fmt.Sprintf("select %d, %d", i, k))
			a.allow(op)
			a.end(op, protocol.StatusOK)
		}
		a.end(c, protocol.StatusOK)
	}
	require.NoError(t, j.Close())
	return j.Head()
}

func copyDir(t testing.TB, from string) string {
	t.Helper()
	to := t.TempDir()
	require.NoError(t, os.CopyFS(to, os.DirFS(from)))
	return to
}

// frames returns the offsets of the frames in b, and its end.
func frames(t testing.TB, b []byte) []int {
	t.Helper()
	var at []int
	for off := 0; off < len(b); off += frameLen(b[off:]) {
		at = append(at, off)
	}
	return append(at, len(b))
}

// reseal mends length and CRC of every frame in b, as somebody would who knows
// the format but not the chain.
func reseal(b []byte) {
	for off := 0; off < len(b); {
		f := b[off : off+frameLen(b[off:])]
		var c chain
		copy(c[:], f[8:headerSize])
		seal(f, c)
		off += len(f)
	}
}

// A mutation changes one segment's bytes, or returns nil to remove it.
var mutations = map[string]func(t testing.TB, r *rand.Rand, b []byte) []byte{
	"bit": func(t testing.TB, r *rand.Rand, b []byte) []byte {
		b[r.IntN(len(b))] ^= 1 << r.IntN(8)
		return b
	},
	"leaf with its CRC mended": func(t testing.TB, r *rand.Rand, b []byte) []byte {
		at := frames(t, b)
		i := r.IntN(len(at) - 1)
		leaf := b[at[i]+headerSize : at[i+1]]
		k := bytes.Index(leaf, []byte("2026-")) // stays a valid event
		if k < 0 {
			k = bytes.Index(leaf, []byte(`"time":"`)) + 8
		}
		leaf[k+3] = '0' + (leaf[k+3]-'0'+1+byte(r.IntN(9)))%10
		reseal(b)
		return b
	},
	"delete": func(t testing.TB, r *rand.Rand, b []byte) []byte {
		at := frames(t, b)
		i := r.IntN(len(at) - 1)
		return append(b[:at[i]:at[i]], b[at[i+1]:]...)
	},
	"swap": func(t testing.TB, r *rand.Rand, b []byte) []byte {
		at := frames(t, b)
		i := r.IntN(len(at) - 2)
		return bytes.Join([][]byte{b[:at[i]], b[at[i+1]:at[i+2]], b[at[i]:at[i+1]], b[at[i+2]:]}, nil)
	},
	"repeat": func(t testing.TB, r *rand.Rand, b []byte) []byte {
		at := frames(t, b)
		i := r.IntN(len(at) - 1)
		return bytes.Join([][]byte{b[:at[i+1]], b[at[i]:]}, nil)
	},
	"truncate": func(t testing.TB, r *rand.Rand, b []byte) []byte { return b[:r.IntN(len(b))] },
	"truncate between frames": func(t testing.TB, r *rand.Rand, b []byte) []byte {
		at := frames(t, b)
		return b[:at[r.IntN(len(at)-1)]]
	},
	"append": func(t testing.TB, r *rand.Rand, b []byte) []byte {
		at := frames(t, b)
		return append(b, b[at[len(at)-2]:]...)
	},
	"remove": func(testing.TB, *rand.Rand, []byte) []byte { return nil },
}

func TestEveryMutationIsFound(t *testing.T) {
	origin := t.TempDir()
	head := filled(t, origin, 20)
	segs, err := segments(origin)
	require.NoError(t, err)
	require.Greater(t, len(segs), 4)
	r := rand.New(rand.NewPCG(1, 2))
	rounds := 200
	if testing.Short() {
		rounds = 20
	}
	content := map[string][]byte{}
	dir := t.TempDir()
	for _, s := range segs {
		b, err := os.ReadFile(s.path)
		require.NoError(t, err)
		content[s.path] = b
		require.NoError(t, os.WriteFile(filepath.Join(dir, filepath.Base(s.path)), b, 0o600))
	}
	for name, mutate := range mutations {
		for range rounds {
			s := segs[r.IntN(len(segs))]
			path := filepath.Join(dir, filepath.Base(s.path))
			b := mutate(t, r, bytes.Clone(content[s.path]))
			if b == nil {
				require.NoError(t, os.Remove(path))
			} else {
				require.NoError(t, os.WriteFile(path, b, 0o600))
			}
			rep, err := Verify(dir, head)
			var d *DamageError
			require.ErrorAs(t, err, &d, "%s in %s", name, path)
			if _, err := Verify(dir); err == nil {
				// Without the head, only the loss of the end may pass, and it
				// does not look like an orderly end.
				require.False(t, rep.Closed, "%s in %s", name, path)
			}
			require.NoError(t, os.WriteFile(path, content[s.path], 0o600))
		}
	}
	_, err = Verify(dir, head)
	require.NoError(t, err)
}

func TestVerifyWithForeignHeads(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	head, foreign := filled(t, dir, 2), filled(t, other, 2)
	_, err := Verify(dir, foreign)
	require.ErrorContains(t, err, "known head")
	bad := head
	bad.Hash = foreign.Hash
	_, err = Verify(dir, bad)
	require.ErrorContains(t, err, "known head")
	_, err = Verify(dir, head, bad)
	require.Error(t, err)
	empty := t.TempDir()
	_, err = Verify(empty)
	require.ErrorContains(t, err, "no segments")
	require.ErrorContains(t, Tail(t.Context(), empty, 0, false, func(Event) error { return nil }), "no segments")
	errs := 0
	for _, err := range Events(empty) {
		require.ErrorContains(t, err, "no segments")
		errs++
	}
	require.Equal(t, 1, errs)
}

func TestSwappedSegments(t *testing.T) {
	dir := t.TempDir()
	filled(t, dir, 20)
	require.NoError(t, os.Rename(segmentPath(dir, 2), segmentPath(dir, 99)))
	require.NoError(t, os.Rename(segmentPath(dir, 3), segmentPath(dir, 2)))
	require.NoError(t, os.Rename(segmentPath(dir, 99), segmentPath(dir, 3)))
	_, err := Verify(dir)
	require.ErrorContains(t, err, "not this segment's header")
}

func TestTornTailIsCut(t *testing.T) {
	dir := t.TempDir()
	filled(t, dir, 2)
	segs, err := segments(dir)
	require.NoError(t, err)
	last := segs[len(segs)-1].path
	b, err := os.ReadFile(last)
	require.NoError(t, err)
	at := frames(t, b)
	for _, size := range []int{len(b) - 1, at[len(at)-2] + 1, at[len(at)-2] + headerSize, at[len(at)-2]} {
		dir := copyDir(t, dir)
		require.NoError(t, os.Truncate(filepath.Join(dir, filepath.Base(last)), int64(size)))
		j := openTest(t, dir, Options{})
		require.NoError(t, j.Close())
		es := events(t, dir)
		opened := es[len(es)-2]
		require.Equal(t, JournalOpened, opened.Kind)
		require.EqualValues(t, size-at[len(at)-2], opened.Journal.Cut)
		_, err := Verify(dir, j.Head())
		require.NoError(t, err)
	}
}

func TestSegmentThatNeverBegan(t *testing.T) {
	for _, begun := range [][]byte{{}, []byte("\x00\x00\x00\xff half a header"), make([]byte, 300)} {
		dir := t.TempDir()
		head := filled(t, dir, 2)
		segs, err := segments(dir)
		require.NoError(t, err)
		n := segs[len(segs)-1].number + 1
		require.NoError(t, os.WriteFile(segmentPath(dir, n), begun, 0o600))
		j := openTest(t, dir, Options{})
		require.NoError(t, j.Close())
		_, err = Verify(dir, head, j.Head())
		require.NoError(t, err)
	}
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(segmentPath(dir, 1), nil, 0o600))
	require.NoError(t, openTest(t, dir, Options{}).Close())
	_, err := Verify(dir)
	require.NoError(t, err)
}

func TestGap(t *testing.T) {
	for name, spoil := range map[string]func(b []byte, at []int) []byte{
		"middle": func(b []byte, at []int) []byte { b[at[2]+headerSize+20] ^= 4; return b },
		"header": func(b []byte, at []int) []byte { b[headerSize+20] ^= 4; return b },
		"length": func(b []byte, at []int) []byte { b[at[2]] = 0xff; return b },
		"leaf removed": func(b []byte, at []int) []byte {
			return append(b[:at[2]:at[2]], b[at[3]:]...)
		},
		"all of it": func(b []byte, at []int) []byte { return make([]byte, len(b)+8<<10) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			filled(t, dir, 20)
			segs, err := segments(dir)
			require.NoError(t, err)
			path := segs[len(segs)-1].path
			b, err := os.ReadFile(path)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(path, spoil(b, frames(t, b)), 0o600))

			_, err = Open(dir, Options{})
			var d *DamageError
			require.ErrorAs(t, err, &d)
			require.ErrorContains(t, err, filepath.Base(path))
			require.ErrorContains(t, err, "AcceptGap")
			require.Equal(t, segs[len(segs)-1].number, d.Damages[0].Segment)

			j := openTest(t, dir, Options{AcceptGap: true})
			a := newActor(t, j, "after")
			a.connect()
			require.NoError(t, j.Sync(t.Context(), j.End()))
			require.NoError(t, j.Close())
			rep, err := Verify(dir, j.Head())
			require.NoError(t, err)
			require.Len(t, rep.Gaps, 1)
			require.EqualValues(t, 1, rep.Kinds[JournalGap])

			// Known from now on: no further consent is needed, nor recorded.
			k := openTest(t, dir, Options{})
			require.NoError(t, k.Close())
			rep, err = Verify(dir, j.Head(), k.Head())
			require.NoError(t, err)
			require.EqualValues(t, 1, rep.Kinds[JournalGap])

			// A reader is told once, and can go on behind the damage.
			n := 0
			err = Tail(t.Context(), dir, 0, false, func(e Event) error { n++; return nil })
			if name == "all of it" {
				// Nobody knows how many there were; the audit.gap event speaks.
				require.NoError(t, err)
			} else if name != "leaf removed" {
				require.ErrorAs(t, err, &d)
				var from uint64
				_, serr := fmt.Sscanf(d.Damages[0].What, "unreadable bytes; the next event is %d", &from)
				require.NoError(t, serr)
				require.NoError(t, Tail(t.Context(), dir, from, false, func(e Event) error { n++; return nil }))
			}
			require.EqualValues(t, rep.total(), n)
		})
	}
}

func (r Report) total() (n uint64) {
	for _, k := range r.Kinds {
		n += k
	}
	return n
}

func TestOldDamageDoesNotStopAStart(t *testing.T) {
	dir := t.TempDir()
	filled(t, dir, 20)
	b, err := os.ReadFile(segmentPath(dir, 2))
	require.NoError(t, err)
	b[len(b)/2] ^= 1
	require.NoError(t, os.WriteFile(segmentPath(dir, 2), b, 0o600))
	require.NoError(t, openTest(t, dir, Options{}).Close())
	_, err = Verify(dir)
	require.ErrorContains(t, err, segmentFile(2))
}

func TestResyncHasABudget(t *testing.T) {
	path := segmentPath(t.TempDir(), 1)
	var b []byte
	for len(b) < 1<<20 { // looks like a frame of 1 MiB every 60 bytes
		f := make([]byte, headerSize)
		f[1] = 0x0f
		b = append(b, f...)
		b = append(b, leafStart...)
		b = append(b, "123456"...)
	}
	b = append(b, make([]byte, 1<<20)...)
	require.NoError(t, os.WriteFile(path, b, 0o600))
	r, err := openReader(segment{number: 1, path: path})
	require.NoError(t, err)
	defer r.close()
	start := time.Now()
	found, err := r.resync()
	require.NoError(t, err)
	require.False(t, found)
	require.Less(t, time.Since(start), 5*time.Second)
}

// What is moved away while somebody reads is not skipped in silence.
func TestTailMissesSegments(t *testing.T) {
	dir := t.TempDir()
	key, _ := newTestKey(t)
	signed(t, dir, key, 200)
	segs := must(segments(dir))
	require.Greater(t, len(segs), 4)
	last := uint64(0)
	err := Tail(t.Context(), dir, 0, false, func(e Event) error {
		if e.Seq == 0 {
			require.NoError(t, os.Remove(segs[1].path))
			require.NoError(t, os.Remove(segs[2].path))
		}
		last = e.Seq
		return nil
	})
	var damage *DamageError
	require.ErrorAs(t, err, &damage)
	next := damage.Damages[0].Next
	require.Greater(t, next, last+1)
	require.NoError(t, Tail(t.Context(), dir, next, false, func(e Event) error {
		require.GreaterOrEqual(t, e.Seq, next)
		return nil
	}))
	require.ErrorAs(t, Tail(t.Context(), dir, last+1, false, func(Event) error { return nil }), &damage, "nor for who begins there")
}

func TestTailFollows(t *testing.T) {
	dir := t.TempDir()
	j := openTest(t, dir, Options{SegmentSize: 2 << 10})
	ctx, cancel := context.WithCancel(t.Context())
	seen := make(chan Event)
	done := make(chan error)
	go func() {
		done <- Tail(ctx, dir, 2, true, func(e Event) error {
			select {
			case seen <- e:
			case <-ctx.Done():
			}
			return nil
		})
	}()
	want := uint64(2)
	for i := range 10 {
		a := newActor(t, j, fmt.Sprint("s", i))
		c := a.connect()
		p := a.end(c, protocol.StatusOK)
		require.NoError(t, j.Flush(t.Context(), p))
		for want < uint64(p) {
			select {
			case e := <-seen:
				require.Equal(t, want, e.Seq)
				want++
			case <-time.After(20 * time.Second):
				t.Fatal("nothing came")
			}
		}
	}
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	stop := errors.New("enough")
	require.ErrorIs(t, Tail(t.Context(), dir, 0, false, func(Event) error { return stop }), stop)
}

// FuzzScan holds that no bytes in a directory make reading panic, hang or
// change them, and that what cannot be read is said.
func FuzzScan(f *testing.F) {
	dir := f.TempDir()
	filled(f, dir, 1)
	b, err := os.ReadFile(segmentPath(dir, 1))
	require.NoError(f, err)
	f.Add(b, 0, byte(0))
	f.Add(b[:len(b)/2], 50, byte(1))
	f.Add([]byte{}, 0, byte(0))
	f.Add(bytes.Repeat([]byte(leafStart), 9), 3, byte(4))
	f.Fuzz(func(t *testing.T, b []byte, at int, x byte) {
		b = bytes.Clone(b) // the fuzzer's own must stay as it is
		if len(b) > 0 {
			b[uint(at)%uint(len(b))] ^= x
		}
		dir := t.TempDir()
		if err := os.WriteFile(segmentPath(dir, 1), b, 0o600); err != nil {
			t.Fatal(err)
		}
		rep, err := Verify(dir)
		if err == nil && rep.Torn == 0 && rep.total() > 0 {
			n := 0
			for _, err := range Events(dir) {
				if err == nil {
					n++
				}
			}
			if uint64(n) > rep.total() {
				t.Fatal("more events than leaves")
			}
		}
		_ = Tail(t.Context(), dir, 0, false, func(Event) error { return nil })
		after, err := os.ReadFile(segmentPath(dir, 1))
		if err != nil || !bytes.Equal(after, b) {
			t.Fatal("reading changed the journal")
		}
	})
}
