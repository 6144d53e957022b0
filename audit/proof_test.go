package audit

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport-dev/gateway/protocol"
)

func newTestKey(t testing.TB) (protocol.Secret, note.Verifier) {
	t.Helper()
	private, public, err := NewKey("gateway.example")
	require.NoError(t, err)
	v, err := ParseKey(public)
	require.NoError(t, err)
	again, err := PublicKey(private)
	require.NoError(t, err)
	require.Equal(t, public, again)
	return private, v
}

// signed makes a closed and signed journal of several segments and tiles.
func signed(t testing.TB, dir string, key protocol.Secret, sessions int) {
	t.Helper()
	j := openTest(t, dir, Options{SegmentSize: 64 << 10, Key: key})
	for i := range sessions {
		a := newActor(t, j, fmt.Sprint("s", i))
		c := a.connect()
		for k := range 3 {
			op := a.op("select", fmt.Sprintf("select %d, %d", i, k))
			a.allow(op)
			a.end(op, protocol.StatusOK)
		}
		a.end(c, protocol.StatusOK)
		if i%10 == 5 {
			_, err := j.Checkpoint(t.Context())
			require.NoError(t, err)
		}
	}
	require.NoError(t, j.Close())
}

// The tree is held against that of package tlog at every size.
func TestTree(t *testing.T) {
	var tr tree
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) (out []tlog.Hash, err error) {
		for _, i := range indexes {
			out = append(out, stored[i])
		}
		return out, nil
	})
	full := 0
	tr.full = func(ti tlog.Tile, hashes []tlog.Hash) error {
		want, err := tlog.ReadTileData(ti, reader)
		require.NoError(t, err)
		require.Equal(t, want, appendHashes(nil, hashes))
		full++
		return nil
	}
	for n := range int64(1<<16 + 300) {
		leaf := fmt.Append(nil, n)
		more, err := tlog.StoredHashes(n, leaf, reader)
		require.NoError(t, err)
		stored = append(stored, more...)
		require.NoError(t, tr.add(tlog.RecordHash(leaf)))
		if n < 600 || n%997 == 0 || n > 1<<16-3 {
			want, err := tlog.TreeHash(n+1, reader)
			require.NoError(t, err)
			require.Equal(t, want, tr.root(), n)
		}
	}
	require.Equal(t, 256+1+1, full)
}

func TestCheckpointsOfALife(t *testing.T) {
	dir := t.TempDir()
	key, public := newTestKey(t)
	_, other := newTestKey(t)
	var kept [][]byte
	for i := range 4 {
		j := openTest(t, dir, Options{SegmentSize: 64 << 10, Key: key})
		a := newActor(t, j, fmt.Sprint(i))
		c := a.connect()
		for range 200 {
			a.allow(a.op("update", "update t set a = 1"))
		}
		kept = append(kept, must(j.Checkpoint(t.Context())))
		for range 200 {
			a.allow(a.op("update", "update t set a = 2"))
		}
		kept = append(kept, must(j.Checkpoint(t.Context())))
		if i == 1 {
			crash(j)
			continue
		}
		a.end(c, protocol.StatusOK)
		require.NoError(t, j.Close())
	}
	trust := Trust{Keys: []note.Verifier{public}, Checkpoints: kept}
	rep, err := trust.Verify(t.Context(), dir)
	require.NoError(t, err)
	require.True(t, rep.Closed)
	require.Zero(t, rep.Unsigned())
	require.Greater(t, rep.Head.Size, uint64(1600))

	// A copy is as good, and only the public key is needed.
	dup := copyDir(t, dir)
	_, err = trust.Verify(t.Context(), dup)
	require.NoError(t, err)
	_, err = Trust{Keys: []note.Verifier{other}}.Verify(t.Context(), dup)
	require.ErrorContains(t, err, checkpointFile)
	_, err = Trust{Checkpoints: kept}.Verify(t.Context(), dup)
	require.ErrorContains(t, err, "public key")

	// Any two checkpoints are consistent, and whoever has both can check it.
	var cs []Checkpoint
	for _, k := range kept {
		c, err := ParseCheckpoint(k, public)
		require.NoError(t, err)
		cs = append(cs, c)
	}
	newest, err := ParseCheckpoint(must(ReadCheckpoint(dir)), public)
	require.NoError(t, err)
	require.Equal(t, rep.Head.Size, newest.Size)
	for _, c := range cs {
		p, err := ProveConsistency(dir, c, newest)
		require.NoError(t, err)
		require.NoError(t, tlog.CheckTree(p, int64(newest.Size), tlog.Hash(newest.Root), int64(c.Size), tlog.Hash(c.Root)))
	}

	// Old partial tiles are not kept.
	n := 0
	require.NoError(t, filepath.WalkDir(filepath.Join(dir, "tile"), func(path string, d fs.DirEntry, err error) error {
		if strings.Contains(path, ".p"+string(filepath.Separator)) {
			n++
		}
		return err
	}))
	require.LessOrEqual(t, n, 3)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestProof(t *testing.T) {
	dir := t.TempDir()
	key, public := newTestKey(t)
	_, other := newTestKey(t)
	signed(t, dir, key, 80)
	all := events(t, dir)
	for seq := range uint64(len(all)) {
		if seq > 20 && seq%37 != 0 && seq+3 < uint64(len(all)) {
			continue
		}
		text, err := Prove(t.Context(), dir, seq)
		require.NoError(t, err)
		require.Less(t, len(text), 4<<10)
		e, c, err := CheckProof(text, public)
		require.NoError(t, err)
		require.Equal(t, all[seq], e)
		require.EqualValues(t, len(all), c.Size)
		_, _, err = CheckProof(text, other)
		require.Error(t, err)
		for range 20 { // no bit of it can be changed
			b := []byte(text)
			b[rand.IntN(len(b))] ^= 1 << rand.IntN(7)
			got, _, err := CheckProof(string(b), public)
			if err == nil { // a space or a letter of the same meaning
				require.Equal(t, e, got)
			}
		}
	}
	_, err := Prove(t.Context(), dir, uint64(len(all)))
	require.ErrorContains(t, err, "covers the events before")
}

func FuzzCheckProof(f *testing.F) {
	dir := f.TempDir()
	key, public := newTestKey(f)
	signed(f, dir, key, 2)
	text, err := Prove(context.Background(), dir, 3)
	require.NoError(f, err)
	f.Add(text)
	f.Add(proofStart + "extra \nindex 0\n\nx/y\n1\n\n\n— a b\n")
	want, _, err := CheckProof(text, public)
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, s string) {
		e, _, err := CheckProof(s, public)
		if err == nil && (e.Seq != want.Seq || e.Kind != want.Kind) {
			t.Fatal("something else is proven")
		}
	})
}

// A rewriter has the right to write, knows the format, and mends chain and CRC
// of all that follows what it changed. Without the key it cannot sign.
func TestRewritingIsFoundByTheKey(t *testing.T) {
	key, public := newTestKey(t)
	dir := t.TempDir()
	signed(t, dir, key, 80)
	segs, err := segments(dir)
	require.NoError(t, err)
	require.Greater(t, len(segs), 2)
	trust := Trust{Keys: []note.Verifier{public}}
	for name, forge := range map[string]func(leaves [][]byte) [][]byte{
		"a leaf changed": func(l [][]byte) [][]byte {
			l[9] = bytes.Replace(l[9], []byte("u-17"), []byte("u-18"), 1)
			return l
		},
		"the last leaves cut off": func(l [][]byte) [][]byte { return l[:len(l)-3] },
		"a leaf added": func(l [][]byte) [][]byte {
			next := bytes.Replace(l[len(l)-1], fmt.Appendf(nil, `"seq":%d`, len(l)-1), fmt.Appendf(nil, `"seq":%d`, len(l)), 1)
			return append(l, next)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dup := copyDir(t, dir)
			rewrite(t, dup, forge)
			rep, err := Verify(dup)
			require.NoError(t, err, "the chain alone cannot tell")
			require.True(t, rep.Closed || name == "the last leaves cut off")
			_, err = trust.Verify(t.Context(), dup)
			var d *DamageError
			require.ErrorAs(t, err, &d)
			require.Equal(t, checkpointFile, filepath.Base(d.Damages[len(d.Damages)-1].File))

			// The gateway does not sign it either.
			if name == "a leaf added" {
				return // that could be a crash: behind what was signed nothing is known
			}
			_, err = Open(dup, Options{Key: key})
			require.ErrorAs(t, err, &d)
			require.ErrorContains(t, err, "checkpoint")
		})
	}
}

// rewrite writes the journal in dir anew with other leaves.
func rewrite(t testing.TB, dir string, forge func([][]byte) [][]byte) {
	t.Helper()
	segs, err := segments(dir)
	require.NoError(t, err)
	var leaves [][]byte
	starts := map[int]string{}
	_, err = walk(segs, func(f *frame) error {
		if f.head.kind == JournalSegment {
			starts[len(leaves)] = segmentPath(dir, f.segment)
		}
		leaves = append(leaves, bytes.Clone(f.leaf))
		return nil
	}, func(d Damage) error { return errors.New(d.What) })
	require.NoError(t, err)
	var c chain
	path, files := "", map[string][]byte{}
	for i, leaf := range forge(leaves) {
		if p := starts[i]; p != "" {
			path = p
			setPrev(leaf, c)
		}
		frame := append(make([]byte, headerSize), leaf...)
		setLen(frame)
		h, _ := hashLeaf(leaf, nil)
		c = c.next(h)
		seal(frame, c)
		files[path] = append(files[path], frame...)
	}
	for p, b := range files {
		require.NoError(t, os.WriteFile(p, b, 0o600))
	}
}

var mutationCount = flag.Int("mutations", 200, "how many random mutations TestMutations makes")

// TestMutations changes any file of a closed and signed journal, in any way that
// it knows, and verifies with the public key only.
func TestMutations(t *testing.T) {
	key, public := newTestKey(t)
	origin := t.TempDir()
	signed(t, origin, key, 80)
	trust := Trust{Keys: []note.Verifier{public}}
	_, err := trust.Verify(t.Context(), origin)
	require.NoError(t, err)
	var files []string
	require.NoError(t, filepath.WalkDir(origin, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && d.Name() != "lock" && !strings.Contains(path, ".p"+string(filepath.Separator)) {
			files = append(files, path)
		}
		return err
	}))
	n := *mutationCount
	if testing.Short() {
		n = 50
	}
	r := rand.New(rand.NewPCG(7, uint64(n)))
	names := make([]string, 0, len(mutations))
	for name := range mutations {
		names = append(names, name)
	}
	for range n {
		path := files[r.IntN(len(files))]
		was, err := os.ReadFile(path)
		require.NoError(t, err)
		name := names[r.IntN(len(names))]
		if !strings.HasSuffix(path, segmentSuffix) {
			name = []string{"bit", "truncate", "remove"}[r.IntN(3)]
		}
		b := mutations[name](t, r, bytes.Clone(was))
		if bytes.Equal(b, was) && b != nil {
			continue // two leaves that are alike were swapped
		}
		if b == nil {
			require.NoError(t, os.Remove(path))
		} else {
			require.NoError(t, os.WriteFile(path, b, 0o600))
		}
		_, err = trust.Verify(t.Context(), origin)
		var d *DamageError
		require.ErrorAs(t, err, &d, "%s in %s", name, path)
		require.NoError(t, os.WriteFile(path, was, 0o600))
	}
	_, err = trust.Verify(t.Context(), origin)
	require.NoError(t, err)
}

// What a power failure spoils of the tiles is made anew from the events.
func TestSpoiledTiles(t *testing.T) {
	key, public := newTestKey(t)
	dir := t.TempDir()
	signed(t, dir, key, 80)
	require.NoError(t, os.Truncate(filepath.Join(dir, "tile", "0", "001"), 100))
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "tile", "1")))
	_, err := Trust{Keys: []note.Verifier{public}}.Verify(t.Context(), dir)
	require.ErrorContains(t, err, "tile")
	require.NoError(t, openTest(t, dir, Options{Key: key}).Close())
	_, err = Trust{Keys: []note.Verifier{public}}.Verify(t.Context(), dir)
	require.NoError(t, err)
}

func TestGapUnderACheckpoint(t *testing.T) {
	key, public := newTestKey(t)
	trust := Trust{Keys: []note.Verifier{public}}
	for name, spoil := range map[string]func(path string, b []byte) error{
		"end lost": func(path string, b []byte) error { return os.Truncate(path, int64(frames(t, b)[5])) },
		"middle": func(path string, b []byte) error {
			b[frames(t, b)[3]+headerSize+30] ^= 1
			return os.WriteFile(path, b, 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			signed(t, dir, key, 80)
			before, err := ReadCheckpoint(dir)
			require.NoError(t, err)
			segs, err := segments(dir)
			require.NoError(t, err)
			path := segs[len(segs)-1].path
			require.NoError(t, spoil(path, must(os.ReadFile(path))))
			_, err = Open(dir, Options{Key: key})
			var d *DamageError
			require.ErrorAs(t, err, &d)
			j := openTest(t, dir, Options{Key: key, AcceptGap: true})
			a := newActor(t, j, "after")
			a.connect()
			require.NoError(t, j.Close())
			// The tiles know the hashes of what is lost, so that the checkpoint from
			// before still holds for the rest.
			trust := trust
			trust.Checkpoints = [][]byte{before}
			rep, err := trust.Verify(t.Context(), dir)
			require.NoError(t, err)
			require.NotEmpty(t, rep.Gaps)
			require.NoError(t, openTest(t, dir, Options{Key: key}).Close())
			_, err = trust.Verify(t.Context(), dir)
			require.NoError(t, err)
		})
	}
}

func TestAnotherKey(t *testing.T) {
	dir := t.TempDir()
	key, _ := newTestKey(t)
	other, public := newTestKey(t)
	signed(t, dir, key, 3)
	_, err := Open(dir, Options{Key: other})
	require.ErrorContains(t, err, "old keys")
	require.NoError(t, os.Remove(filepath.Join(dir, checkpointFile)))
	require.NoError(t, openTest(t, dir, Options{Key: other}).Close())
	_, err = Trust{Keys: []note.Verifier{public}}.Verify(t.Context(), dir)
	require.NoError(t, err)
	_, err = Open(t.TempDir(), Options{Key: protocol.NewSecret("PRIVATE+KEY+secret+nonsense")})
	require.ErrorContains(t, err, "not a private key")
	require.NotContains(t, err.Error(), "nonsense")
}

// A checkpoint that cannot be written ends the journal's use, as any other
// failed write does.
func TestCheckpointThatCannotBeWritten(t *testing.T) {
	key, _ := newTestKey(t)
	d := &faultyDisk{}
	j := openTest(t, t.TempDir(), Options{disk: d, Key: key})
	a := newActor(t, j, "s1")
	a.connect()
	require.NoError(t, j.Sync(t.Context(), j.End()))
	d.fail(func([]byte) (int, error) { return 0, syscall.ENOSPC })
	_, err := j.Checkpoint(t.Context())
	require.ErrorIs(t, err, syscall.ENOSPC)
	_, err = j.Record(typical(a.s), Detail{})
	require.ErrorIs(t, err, syscall.ENOSPC)
}

// Checkpoints come by themselves, over what nobody asked to sync as well.
func TestCheckpointEachSecond(t *testing.T) {
	key, public := newTestKey(t)
	dir := t.TempDir()
	j := openTest(t, dir, Options{Key: key})
	a := newActor(t, j, "s1")
	p := a.allow(a.connect())
	require.Eventually(t, func() bool {
		c, err := ParseCheckpoint(must(ReadCheckpoint(dir)), public)
		return err == nil && c.Size >= uint64(p)
	}, 20*time.Second, pollEvery)
}
