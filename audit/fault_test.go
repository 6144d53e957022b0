package audit

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol"
)

// A faultyDisk is a real disk with faults. It knows how much of each file is
// on stable storage, for cutPower.
type faultyDisk struct {
	realDisk
	mu     sync.Mutex
	stable map[string]int64

	write    func(b []byte) (int, error) // in place of a write: how much is written, and what is returned
	syncErr  error
	syncTime time.Duration
	syncWait chan struct{} // an fsync waits until it is closed
	truncErr error
	syncs    atomic.Int64
	writes   atomic.Int64
	freeNow  atomic.Uint64 // 0: what is really free
}

func (d *faultyDisk) create(path string) (file, error) {
	f, err := d.realDisk.create(path)
	if err != nil {
		return nil, err
	}
	return &faultyFile{file: f, d: d, path: path}, nil
}

// share does without, so that everything depends on writes.
func (d *faultyDisk) share(string, int) ([]byte, func() error, error) {
	return nil, nil, errors.ErrUnsupported
}

func (d *faultyDisk) free(dir string) (uint64, error) {
	if n := d.freeNow.Load(); n > 0 {
		return n, nil
	}
	return d.realDisk.free(dir)
}

type faultyFile struct {
	file
	d    *faultyDisk
	path string
	size atomic.Int64
}

func (f *faultyFile) Write(b []byte) (int, error) {
	f.d.writes.Add(1)
	f.d.mu.Lock()
	fault := f.d.write
	f.d.mu.Unlock()
	keep, ferr := len(b), error(nil)
	if fault != nil {
		keep, ferr = fault(b)
	}
	n, err := f.file.Write(b[:keep])
	f.size.Add(int64(n))
	return n, errors.Join(err, ferr)
}

func (f *faultyFile) Sync() error {
	f.d.syncs.Add(1)
	size := f.size.Load()
	time.Sleep(f.d.syncTime)
	f.d.mu.Lock()
	hold := f.d.syncWait
	f.d.mu.Unlock()
	if hold != nil {
		<-hold
	}
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.d.syncErr != nil {
		return f.d.syncErr
	}
	if f.d.stable == nil {
		f.d.stable = map[string]int64{}
	}
	f.d.stable[f.path] = size
	return nil // what is tested is when Sync is called, not the disk below
}

func (f *faultyFile) Truncate(n int64) error {
	if f.d.truncErr != nil {
		return f.d.truncErr
	}
	f.size.Store(n)
	return f.file.Truncate(n)
}

// fail makes writes behave as w says from now on.
func (d *faultyDisk) fail(w func([]byte) (int, error)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.write = w
}

// cutPower copies the journal as a machine would find it after its power
// failed: of what was not synced any part may be missing or garbage.
func (d *faultyDisk) cutPower(t testing.TB, dir string) string {
	t.Helper()
	after := t.TempDir()
	segs, err := segments(dir)
	require.NoError(t, err)
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range segs {
		b, err := os.ReadFile(s.path)
		require.NoError(t, err)
		stable, ok := d.stable[s.path]
		if !ok {
			continue // not even the name was made durable
		}
		b = b[:stable+rand.Int64N(int64(len(b))-stable+1)]
		if n := int64(len(b)) - stable; n > 0 && rand.IntN(2) == 0 {
			clear(b[stable+rand.Int64N(n):])
		}
		require.NoError(t, os.WriteFile(filepath.Join(after, filepath.Base(s.path)), b, 0o600))
	}
	// The checkpoint lasts and says no more than what lasts; of the tiles nothing
	// does.
	if b, err := ReadCheckpoint(dir); err == nil {
		require.NoError(t, os.WriteFile(filepath.Join(after, checkpointFile), b, 0o600))
	}
	return after
}

func TestFailedWriteEndsTheJournal(t *testing.T) {
	for name, fault := range map[string]func([]byte) (int, error){
		"EIO":                 func([]byte) (int, error) { return 0, syscall.EIO },
		"ENOSPC half way":     func(b []byte) (int, error) { return len(b) / 2, syscall.ENOSPC },
		"short without error": func(b []byte) (int, error) { return len(b) - 1, nil },
	} {
		for _, truncates := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				d := &faultyDisk{}
				if !truncates {
					d.truncErr = syscall.EIO
				}
				dir := t.TempDir()
				j := openTest(t, dir, Options{disk: d})
				a := newActor(t, j, "s1")
				a.connect()
				op := a.op("select", "select 1")
				safe := a.allow(op)
				require.NoError(t, j.Sync(t.Context(), safe))
				d.fail(fault)
				lost := a.allow(a.op("update", "update t set a = 1"))
				err := j.Flush(t.Context(), lost)
				require.Error(t, err)
				require.ErrorContains(t, err, dir)
				d.fail(nil) // the disk is well again, but who knows what it holds
				_, rerr := j.Record(&protocol.Event{Kind: protocol.Ended, Session: a.s, Op: op}, Detail{})
				require.Equal(t, err, rerr)
				require.Equal(t, err, j.Flush(t.Context(), safe))
				require.Equal(t, err, j.Sync(t.Context(), safe))
				require.Equal(t, err, j.Close())

				rep, err := Verify(dir)
				require.NoError(t, err)
				require.EqualValues(t, safe, rep.Head.Size)
				require.Equal(t, truncates || fault2(fault), rep.Torn == 0)
				j = openTest(t, dir, Options{})
				require.NoError(t, j.Close())
				es := events(t, dir)
				require.Equal(t, []Kind{CommandDecided, JournalSegment, CommandUnknown, SessionClosed, JournalOpened, JournalClosed}, kindsOf(es)[3:])
				require.Equal(t, rep.Torn, es[len(es)-2].Journal.Cut)
				_, err = Verify(dir, j.Head())
				require.NoError(t, err)
			})
		}
	}
}

// fault2 reports whether the fault writes nothing at all.
func fault2(f func([]byte) (int, error)) bool {
	n, _ := f(make([]byte, 10))
	return n == 0
}

func TestFailedSyncEndsTheJournal(t *testing.T) {
	d := &faultyDisk{}
	dir := t.TempDir()
	j := openTest(t, dir, Options{disk: d})
	a := newActor(t, j, "s1")
	a.connect()
	d.mu.Lock()
	d.syncErr = syscall.EIO
	d.mu.Unlock()
	err := j.Sync(t.Context(), j.End())
	require.ErrorIs(t, err, syscall.EIO)
	d.mu.Lock()
	d.syncErr = nil
	d.mu.Unlock()
	require.Equal(t, err, j.Sync(t.Context(), j.End()), "an fsync is not tried again")
}

func TestFailedRoll(t *testing.T) {
	d := &faultyDisk{}
	dir := t.TempDir()
	j := openTest(t, dir, Options{disk: d, SegmentSize: 1})
	require.NoError(t, os.WriteFile(segmentPath(dir, 2), []byte("in the way"), 0o600))
	a := newActor(t, j, "s1")
	a.connect()
	err := j.Flush(t.Context(), j.End())
	require.ErrorIs(t, err, os.ErrExist)
	require.ErrorIs(t, j.Close(), os.ErrExist)
}

func TestSyncIsShared(t *testing.T) {
	d := &faultyDisk{syncTime: 20 * time.Millisecond}
	j := openTest(t, t.TempDir(), Options{disk: d})
	a := newActor(t, j, "s1")
	a.connect()
	before := d.syncs.Load()
	var wg sync.WaitGroup
	var mu sync.Mutex
	for range 64 {
		wg.Go(func() {
			mu.Lock()
			p := a.allow(a.op("update", "update t set a = 1"))
			mu.Unlock()
			if err := j.Sync(context.Background(), p); err != nil {
				t.Error(err)
			}
			if j.synced.Load() < uint64(p) {
				t.Error("Sync returned too early")
			}
		})
	}
	wg.Wait()
	require.LessOrEqual(t, d.syncs.Load()-before, int64(8))
}

func TestFlushIsCheapWhenCovered(t *testing.T) {
	d := &faultyDisk{}
	j := openTest(t, t.TempDir(), Options{disk: d})
	a, b := newActor(t, j, "s1"), newActor(t, j, "s2")
	a.connect()
	require.NoError(t, j.Flush(t.Context(), j.Last(a.s)))
	b.connect()
	before := d.writes.Load()
	require.NoError(t, j.Flush(t.Context(), j.Last(a.s)), "others' events are not waited for")
	require.Equal(t, before, d.writes.Load())
	require.Zero(t, testing.AllocsPerRun(100, func() { _ = j.Flush(context.Background(), j.Last(a.s)) }))
}

func TestFlushAndSyncWaitForTheDisk(t *testing.T) {
	d := &faultyDisk{}
	j := openTest(t, t.TempDir(), Options{disk: d})
	a := newActor(t, j, "s1")
	for name, commit := range map[string]func(context.Context, Position) error{"flush": j.Flush, "sync": j.Sync} {
		a.connect()
		var written atomic.Bool
		d.fail(func(b []byte) (int, error) {
			time.Sleep(20 * time.Millisecond)
			written.Store(true)
			return len(b), nil
		})
		require.NoError(t, commit(t.Context(), j.End()))
		require.True(t, written.Load(), name)
	}
}

func TestWaitEndsWithContext(t *testing.T) {
	d := &faultyDisk{}
	j := openTest(t, t.TempDir(), Options{disk: d})
	a := newActor(t, j, "s1")
	a.connect()
	release, reached := make(chan struct{}), make(chan struct{})
	var once sync.Once
	d.fail(func(b []byte) (int, error) {
		once.Do(func() { close(reached) })
		<-release
		return len(b), nil
	})
	var wg sync.WaitGroup
	wg.Go(func() { _ = j.Sync(context.Background(), j.End()) })
	<-reached
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, j.Sync(ctx, j.End()), context.Canceled)
	require.ErrorIs(t, j.Flush(ctx, j.End()), context.Canceled)
	close(release)
	wg.Wait()
}

func TestSlowDisk(t *testing.T) {
	d := &faultyDisk{}
	j := openTest(t, t.TempDir(), Options{disk: d})
	j.slow = 10 * time.Millisecond
	a := newActor(t, j, "s1")
	a.connect()
	running := a.op("update", "update t set a = 1")
	a.allow(running)
	release := make(chan struct{})
	d.mu.Lock()
	d.syncWait = release
	d.mu.Unlock()
	var wg sync.WaitGroup
	wg.Go(func() { _ = j.Sync(context.Background(), j.End()) })
	try := func() error {
		_, err := j.Record(&protocol.Event{Kind: protocol.Decided, Session: a.s, Op: a.op("select", ""), Decision: protocol.Allow("x")}, Detail{})
		return err
	}
	require.Eventually(t, func() bool { return errors.Is(try(), ErrSlow) }, 5*time.Second, time.Millisecond)
	a.end(running, protocol.StatusOK)
	d.mu.Lock()
	d.syncWait = nil
	d.mu.Unlock()
	close(release)
	wg.Wait()
	require.NoError(t, try())
}

func TestForeignPosition(t *testing.T) {
	j := openTest(t, t.TempDir(), Options{})
	require.ErrorContains(t, j.Flush(t.Context(), j.End()+1), "not of this journal")
	require.ErrorContains(t, j.Sync(t.Context(), j.End()+1), "not of this journal")
}

// TestLastCoversOwnEvents holds what Commit relies on when one session runs
// operations side by side.
func TestLastCoversOwnEvents(t *testing.T) {
	j := openTest(t, t.TempDir(), Options{})
	a := newActor(t, j, "s1")
	a.connect()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 5000 {
				p, err := j.Record(&protocol.Event{Kind: protocol.Decided, Session: a.s, Op: &protocol.Operation{Session: a.s}}, Detail{})
				if err != nil || j.Last(a.s) < p {
					t.Errorf("recorded at %d, but the session's last is %d: %v", p, j.Last(a.s), err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestLowSpace(t *testing.T) {
	d := &faultyDisk{}
	d.freeNow.Store(1 << 40)
	dir := t.TempDir()
	j := openTest(t, dir, Options{disk: d, MinFree: 100 << 20})
	a := newActor(t, j, "s1")
	c := a.connect()
	running := a.op("update", "update t set a = 1")
	a.allow(running)
	try := func(effect protocol.Effect) error {
		op := a.op("select", "select 1")
		d := protocol.Decision{Effect: effect}
		op.Decide(d, nil)
		_, err := j.Record(&protocol.Event{Kind: protocol.Decided, Session: a.s, Op: op, Decision: d}, Detail{})
		if err == nil {
			err = j.Flush(t.Context(), j.End())
		}
		return err
	}
	d.freeNow.Store(80 << 20)
	start := time.Now()
	require.Eventually(t, func() bool { return try(protocol.AllowEffect) != nil }, 5*time.Second, time.Millisecond)
	require.Less(t, time.Since(start), time.Second)
	err := try(protocol.AllowEffect)
	require.ErrorIs(t, err, ErrLowSpace)
	require.ErrorContains(t, err, "80 MiB free")
	require.NoError(t, try(protocol.DenyEffect), "refusals are kept while there is some reserve")
	d.freeNow.Store(10 << 20)
	require.Eventually(t, func() bool { return errors.Is(try(protocol.DenyEffect), ErrLowSpace) }, 5*time.Second, time.Millisecond)
	a.end(running, protocol.StatusOK) // ends always are
	d.freeNow.Store(1 << 40)
	require.Eventually(t, func() bool { return try(protocol.AllowEffect) == nil }, 5*time.Second, time.Millisecond)
	a.end(c, protocol.StatusOK)
	require.NoError(t, j.Close())
	_, err = Verify(dir, j.Head())
	require.NoError(t, err)
}

// TestPowerFailure cuts the power at random moments: whatever was synced is
// there afterwards, and the journal opens.
func TestPowerFailure(t *testing.T) {
	for range 30 {
		d := &faultyDisk{}
		dir := t.TempDir()
		j := openTest(t, dir, Options{disk: d, SegmentSize: 8 << 10})
		a := newActor(t, j, "s1")
		a.connect()
		for range 1 + rand.IntN(40) {
			p := a.allow(a.op("update", "update t set a = 1"))
			if rand.IntN(3) == 0 {
				require.NoError(t, j.Sync(t.Context(), p))
			} else if rand.IntN(2) == 0 {
				require.NoError(t, j.Flush(t.Context(), p))
			}
		}
		head := j.Head()
		after := d.cutPower(t, dir)
		require.NoError(t, j.Close())

		rep, err := Verify(after, head)
		require.NoError(t, err)
		require.False(t, rep.Closed)
		k := openTest(t, after, Options{})
		require.NoError(t, k.Close())
		rep, err = Verify(after, head, k.Head())
		require.NoError(t, err)
		require.True(t, rep.Closed)
		unfinished := map[uint64]bool{}
		for _, e := range events(t, after) {
			switch e.Kind {
			case CommandDecided:
				unfinished[e.Command] = true
			case CommandUnknown:
				delete(unfinished, e.Command)
			}
		}
		require.Empty(t, unfinished)
	}
}
