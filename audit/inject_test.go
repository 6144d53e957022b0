package audit

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"

	"github.com/sallyport-dev/gateway/protocol"
)

var faultCount = flag.Int("faults", 25, "how many faults TestInjectedFaults injects")

// TestInjectedFaults lets the disk fail at a random moment under load, in one of
// many ways, and now and then the power with it. Whatever was acknowledged is
// there afterwards, what came later was refused, and the journal opens and
// verifies, checkpoints included.
func TestInjectedFaults(t *testing.T) {
	n := *faultCount
	if testing.Short() {
		n = 10
	}
	key, public := newTestKey(t)
	acked, refused := 0, 0
	for i := range n {
		a, r := injected(t, uint64(i), key, public)
		acked, refused = acked+a, refused+r
	}
	require.Positive(t, acked)
	require.Positive(t, refused)
	t.Logf("%d faults, %d events acknowledged, %d refused", n, acked, refused)
}

func injected(t *testing.T, seed uint64, key protocol.Secret, public note.Verifier) (acked, refused int) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 11))
	d := &faultyDisk{}
	dir := t.TempDir()
	j := openTest(t, dir, Options{disk: d, SegmentSize: 16 << 10, Key: key})
	after := int64(r.IntN(60))
	syncFault, cut, part := r.IntN(4) == 0, r.IntN(2) == 0, r.Float64()
	errno := []error{syscall.EIO, syscall.ENOSPC, nil}[r.IntN(3)]
	if r.IntN(4) == 0 {
		d.truncErr = syscall.EIO
	}
	if r.IntN(4) == 0 {
		d.syncTime = time.Duration(r.IntN(20)) * time.Millisecond // a slow disk, before it fails
	}
	var writes atomic.Int64
	d.fail(func(b []byte) (int, error) {
		switch n := writes.Add(1); {
		case n <= after:
			return len(b), nil
		case syncFault:
			d.mu.Lock()
			d.syncErr = syscall.EIO
			d.mu.Unlock()
			return len(b), nil
		case errno == nil: // short, without an error
			return int(part * float64(len(b)-1)), nil
		default:
			return int(part * float64(len(b))), errno
		}
	})
	var mu sync.Mutex
	acks := map[string]bool{}
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for k := 0; ; k++ {
				s := sessionInfo(fmt.Sprintf("s%d.%d", w, k))
				for id := uint64(1); id < 6; id++ {
					op := &protocol.Operation{Session: s, ID: id, Verb: "update", Text: "update t set a = 1"}
					if id == 1 {
						op.Verb = protocol.Connect
					}
					op.Decide(protocol.Allow("x"), nil)
					p, err := j.Record(&protocol.Event{Kind: protocol.Decided, Session: s, Op: op, Decision: protocol.Allow("x")}, Detail{})
					if err == nil {
						err = j.Sync(context.Background(), p)
					}
					mu.Lock()
					if err != nil {
						refused++
						mu.Unlock()
						return
					}
					acks[fmt.Sprint(s.ID, " ", id)] = true
					mu.Unlock()
				}
				if k%8 == 3 {
					_, _ = j.Checkpoint(context.Background())
				}
			}
		})
	}
	wg.Wait()
	_, err := j.Record(typical(sessionInfo("late")), Detail{})
	require.Error(t, err, "seed %d: nothing passes after a fault", seed)
	head := j.Head()
	if cut {
		dir = d.cutPower(t, dir)
	}
	d.fail(nil)
	require.Error(t, j.Close())

	k := openTest(t, dir, Options{Key: key})
	require.NoError(t, k.Close())
	rep, err := Trust{Keys: []note.Verifier{public}, Heads: []Head{head, k.Head()}}.Verify(t.Context(), dir)
	require.NoError(t, err, "seed %d", seed)
	require.True(t, rep.Closed)
	begun := map[string]bool{}
	for _, e := range events(t, dir) {
		id := fmt.Sprint(e.Session, " ", e.Command)
		switch e.Kind {
		case SessionOpened, CommandDecided:
			begun[id] = true
			delete(acks, id)
			acked++
		case SessionClosed, CommandUnknown:
			delete(begun, id)
		}
	}
	require.Empty(t, acks, "seed %d: acknowledged, and lost", seed)
	require.Empty(t, begun, "seed %d: without an end", seed)
	return acked, refused
}
