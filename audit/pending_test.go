package audit

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol"
)

// A sharingDisk is a disk with faults that still shares memory with a file.
type sharingDisk struct{ faultyDisk }

func (d *sharingDisk) share(path string, size int) ([]byte, func() error, error) {
	return d.realDisk.share(path, size)
}

func requireShared(t *testing.T, j *Journal) {
	t.Helper()
	if j.pending == nil {
		t.Fatal("no shared memory: this test needs Linux and a file system that can map files")
	}
}

// leavesIn returns how many leaves are in segments.
func leavesIn(t *testing.T, dir string) int {
	t.Helper()
	segs, err := segments(dir)
	require.NoError(t, err)
	tl, err := walk(segs, func(*frame) error { return nil }, func(Damage) error { return nil })
	require.NoError(t, err)
	return int(tl.frames)
}

func TestFlushNeedsNoWrite(t *testing.T) {
	d := &sharingDisk{}
	dir := t.TempDir()
	j := openTest(t, dir, Options{disk: d})
	requireShared(t, j)
	a := newActor(t, j, "s1")
	a.connect()
	before := d.writes.Load()
	p := a.allow(a.op("select", "select 1"))
	require.NoError(t, j.Flush(t.Context(), p))
	require.Equal(t, before, d.writes.Load())
	require.Len(t, events(t, dir), 4, "a reader of the directory sees it")
	rep, err := Verify(dir)
	require.NoError(t, err)
	require.Equal(t, 2, rep.Pending)
	require.EqualValues(t, 2, rep.Head.Size)
	require.NoError(t, j.Close())
	require.NoFileExists(t, filepath.Join(dir, pendingFile))
	rep, err = Verify(dir, j.Head())
	require.NoError(t, err)
	require.Zero(t, rep.Pending)
}

func TestPendingIsWrittenByTheNextProcess(t *testing.T) {
	for name, o := range map[string]Options{"one segment": {}, "many segments": {SegmentSize: 2 << 10}} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			j := openTest(t, dir, o)
			requireShared(t, j)
			a := newActor(t, j, "s1")
			a.connect()
			for i := range 100 {
				p := a.allow(a.op("select", fmt.Sprint("select ", i)))
				if i == 50 {
					require.NoError(t, j.Sync(t.Context(), p)) // the other half is in use now
				}
			}
			end := j.End()
			require.NoError(t, j.Flush(t.Context(), end))
			crash(j)
			written := leavesIn(t, dir)
			require.Less(t, written, int(end))
			require.Len(t, events(t, dir), int(end))

			// Also if the process that settles it dies before it is through.
			half := copyDir(t, dir)
			lost, err := settlePending(half, o.withDefaults())
			require.NoError(t, err)
			require.Zero(t, lost)
			require.Equal(t, int(end), leavesIn(t, half))

			for _, dir := range []string{dir, half} {
				k := openTest(t, dir, o)
				require.NoError(t, k.Close())
				rep, err := Verify(dir, k.Head())
				require.NoError(t, err)
				require.EqualValues(t, 100, rep.Kinds[CommandDecided])
				require.EqualValues(t, 100, rep.Kinds[CommandUnknown])
				require.EqualValues(t, 1, rep.Kinds[SessionClosed])
			}
		})
	}
}

func TestPendingThatDoesNotFollow(t *testing.T) {
	dir := t.TempDir()
	j := openTest(t, dir, Options{})
	requireShared(t, j)
	a := newActor(t, j, "s1")
	a.connect()
	for range 3 {
		require.NoError(t, j.Sync(t.Context(), a.allow(a.op("select", "1"))))
	}
	require.NoError(t, j.Flush(t.Context(), a.allow(a.op("select", "2"))))
	crash(j)
	segs, err := segments(dir)
	require.NoError(t, err)
	path := segs[0].path
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	at := frames(t, b)
	file := filepath.Join(dir, pendingFile)
	mem, err := os.ReadFile(file)
	require.NoError(t, err)

	t.Run("the segment lost its end", func(t *testing.T) { // the power failed
		dir := copyDir(t, dir)
		require.NoError(t, os.Truncate(filepath.Join(dir, filepath.Base(path)), int64(at[len(at)-3])))
		require.NoError(t, os.WriteFile(filepath.Join(dir, pendingFile), mem, 0o600))
		k := openTest(t, dir, Options{})
		require.NoError(t, k.Close())
		rep, err := Verify(dir, k.Head())
		require.NoError(t, err)
		require.Positive(t, rep.Kinds[CommandDecided])
		opened := last(events(t, dir), JournalOpened)
		if rep.Kinds[CommandDecided] < 4 {
			require.Contains(t, string(opened.Journal.What), "do not follow")
		}
	})
	t.Run("a frame is torn", func(t *testing.T) {
		dir := copyDir(t, dir)
		i := strings.LastIndex(string(mem), `"text":"2"`)
		require.Positive(t, i)
		torn := append([]byte(nil), mem...)
		torn[i+8] = '3'
		require.NoError(t, os.WriteFile(filepath.Join(dir, pendingFile), torn, 0o600))
		k := openTest(t, dir, Options{})
		require.NoError(t, k.Close())
		rep, err := Verify(dir, k.Head())
		require.NoError(t, err)
		require.EqualValues(t, 3, rep.Kinds[CommandDecided])
	})
	for name, garbage := range map[string][]byte{"empty": {}, "zeros": make([]byte, 2*pendingHalf), "short": mem[:100], "ones": []byte(strings.Repeat("\xff", 3*pendingHalf))} {
		t.Run(name, func(t *testing.T) {
			dir := copyDir(t, dir)
			require.NoError(t, os.WriteFile(filepath.Join(dir, pendingFile), garbage, 0o600))
			k := openTest(t, dir, Options{})
			require.NoError(t, k.Close())
			_, err := Verify(dir, k.Head())
			require.NoError(t, err)
		})
	}
}

func last(es []Event, kind Kind) (e Event) {
	for i := range es {
		if es[i].Kind == kind {
			e = es[i]
		}
	}
	return e
}

// TestMoreThanPendingHolds holds that Flush writes what shared memory has no
// room for, and that nothing recorded behind it counts as kept before.
func TestMoreThanPendingHolds(t *testing.T) {
	d := &sharingDisk{}
	dir := t.TempDir()
	j := openTest(t, dir, Options{disk: d})
	requireShared(t, j)
	a := newActor(t, j, "s1")
	a.connect()
	release := make(chan struct{})
	reached := make(chan struct{}, 100)
	d.fail(func(b []byte) (int, error) {
		reached <- struct{}{}
		<-release
		return len(b), nil
	})
	for range 3 {
		a.allow(a.op("select", strings.Repeat("x", pendingHalf)))
	}
	<-reached // the writing has begun, of the first or of all
	p := a.allow(a.op("select", "1"))
	done := make(chan error, 1)
	go func() { done <- j.Flush(t.Context(), p) }()
	select {
	case <-done:
		t.Fatal("kept before what was recorded before it")
	case <-reached:
		t.Fatal("two writes at once")
	default:
	}
	close(release)
	require.NoError(t, <-done)
	require.NoError(t, j.Sync(t.Context(), j.End()))
	require.NoError(t, j.Flush(t.Context(), a.allow(a.op("select", "1"))))
	require.Equal(t, uint64(j.End()), j.kept.Load(), "shared memory is in use again")
	crash(j)
	k := openTest(t, dir, Options{})
	require.NoError(t, k.Close())
	rep, err := Verify(dir, k.Head())
	require.NoError(t, err)
	require.EqualValues(t, 5, rep.Kinds[CommandDecided])
}

// Whoever touches shared memory that is gone is told, and the process lives on.
func TestSharedMemoryThatFails(t *testing.T) {
	for name, touch := range map[string]func(t *testing.T, a *actor, gone func()) error{
		"an event": func(_ *testing.T, a *actor, gone func()) error {
			gone()
			_, err := a.j.Record(&protocol.Event{Kind: protocol.Decided, Session: a.s, Op: a.op("select", "1"), Decision: protocol.Allow("x")}, Detail{})
			return err
		},
		"a recording": func(t *testing.T, a *actor, gone func()) error {
			c, err := CreateAsciicast(t.TempDir(), a.op("exec", "ls"), 1<<20, a.j)
			require.NoError(t, err)
			gone()
			return c.Close(protocol.Outcome{Status: protocol.StatusOK})
		},
		"a hold": func(t *testing.T, a *actor, gone func()) error {
			gone()
			return a.j.note(t.Context(), SealHeld, a.s.ID, nil, "x")
		},
		"a segment": func(_ *testing.T, a *actor, gone func()) error {
			gone()
			a.j.mu.Lock()
			defer a.j.mu.Unlock()
			return a.j.beginSegment(1)
		},
		"what waits": func(t *testing.T, a *actor, gone func()) error {
			a.connect()
			gone()
			return a.j.Sync(t.Context(), a.j.End())
		},
		"its end": func(_ *testing.T, a *actor, gone func()) error {
			gone()
			return a.j.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			j := openTest(t, dir, Options{})
			requireShared(t, j)
			err := touch(t, newActor(t, j, "s1"), func() { require.NoError(t, os.Truncate(filepath.Join(dir, pendingFile), 0)) })
			require.ErrorContains(t, err, "the file pending cannot be used")
			require.Error(t, j.Flush(t.Context(), 1), "its use has ended")
		})
	}
}

func FuzzPending(f *testing.F) {
	dir := f.TempDir()
	j, err := Open(dir, Options{})
	require.NoError(f, err)
	a := newActor(f, j, "s1")
	a.connect()
	a.allow(a.op("select", "1"))
	mem, err := os.ReadFile(filepath.Join(dir, pendingFile))
	require.NoError(f, err)
	f.Add(mem[:4<<10], uint64(0))
	f.Add(mem[pendingHalf:pendingHalf+4<<10], uint64(3))
	require.NoError(f, j.Close())
	owner := ownerOf(j.origin)
	f.Fuzz(func(t *testing.T, half []byte, next uint64) {
		var end int
		for _, fr := range pendingFrames(half, owner, next) {
			_, h, ok := open(fr.bytes)
			require.True(t, ok)
			require.GreaterOrEqual(t, h.seq, next)
			end += len(fr.bytes)
		}
		require.LessOrEqual(t, end, len(half))
	})
}

// The end of a journal is behind what waits to be written, too.
func TestEnd(t *testing.T) {
	dir := t.TempDir()
	_, err := End(dir)
	require.ErrorIs(t, err, errNoSegments)
	j := openTest(t, dir, Options{})
	a := newActor(t, j, "s1")
	a.connect()
	for range 3 {
		end, err := End(dir)
		require.NoError(t, err)
		require.EqualValues(t, j.End(), end)
		require.NoError(t, Fsync(dir, 1))
		require.NoError(t, Fsync(dir, 1000))
		a.allow(a.op("update", "update t set a = 1"))
	}
	require.NoError(t, j.Close())
	end, err := End(dir)
	require.NoError(t, err)
	require.EqualValues(t, j.Head().Size, end)
}
