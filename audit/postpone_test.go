package audit

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol"
)

func (a *actor) postpone(op *protocol.Operation) {
	a.t.Helper()
	op.Pure = true
	d := protocol.Decision{Effect: protocol.AllowEffect, By: "policy", Rule: "readers"}
	op.Decide(d, nil)
	require.NoError(a.t, a.j.Postpone(&protocol.Event{Kind: protocol.Decided, Time: noon, Session: a.s, Op: op, Decision: d}, Detail{}))
}

func TestPostponedStandsInTheEnd(t *testing.T) {
	dir := t.TempDir()
	j := openTest(t, dir, Options{})
	a := newActor(t, j, "s1")
	c := a.connect()
	one, two, three := a.op("select", "select 1"), a.op("select", "select 2"), a.op("select", "select 3")
	a.postpone(one)
	a.postpone(two)
	a.postpone(three)
	upTo, err := j.Settle([]*protocol.Operation{two, two})
	require.NoError(t, err)
	require.Equal(t, j.End(), upTo)
	a.end(three, protocol.StatusOK)
	a.end(one, protocol.StatusFailed)
	a.end(two, protocol.StatusOK)
	a.end(c, protocol.StatusOK)
	require.NoError(t, j.Close())
	es := events(t, dir)[3:]
	require.Equal(t, []Kind{CommandDecided, CommandCompleted, CommandCompleted, CommandCompleted, SessionClosed, JournalClosed}, kindsOf(es))
	require.Equal(t, two.ID, es[0].Command)
	require.Nil(t, es[0].Result)
	for _, e := range es[1:3] {
		require.Equal(t, "allow", e.Decision.Effect)
		require.EqualValues(t, "readers", e.Decision.Rule)
		require.NotNil(t, e.Action.Text)
		require.True(t, e.Action.Pure)
		require.EqualValues(t, 3, e.Result.Rows)
	}
	require.Equal(t, "failed", es[2].Result.Status)
	require.Nil(t, es[3].Decision, "it was told before")
	require.Nil(t, es[3].Action.Text)
}

func TestPostponedIsToldInTime(t *testing.T) {
	dir := t.TempDir()
	j := openTest(t, dir, Options{})
	a := newActor(t, j, "s1")
	a.connect()
	long := a.op("select", "a long query")
	a.postpone(long)
	require.Eventually(t, func() bool {
		es := events(t, dir)
		return es[len(es)-1].Kind == CommandDecided && es[len(es)-1].Command == long.ID
	}, 10*time.Second, 10*time.Millisecond)
	a.end(long, protocol.StatusOK)
	require.NoError(t, j.Close())
	es := events(t, dir)
	require.Nil(t, es[len(es)-1].Decision)
}

func TestPostponeRefusesWhatCannotBeRecorded(t *testing.T) {
	d := &faultyDisk{}
	j := openTest(t, t.TempDir(), Options{disk: d})
	a := newActor(t, j, "s1")
	a.connect()
	d.fail(func([]byte) (int, error) { return 0, ErrLowSpace })
	require.Error(t, j.Sync(t.Context(), j.End()))
	op := a.op("select", "select 1")
	require.Error(t, j.Postpone(&protocol.Event{Kind: protocol.Decided, Session: a.s, Op: op, Decision: protocol.Allow("x")}, Detail{}))
}

// TestPostponedOnce ends operations while the journal settles them: each is
// decided once, and not behind its end.
func TestPostponedOnce(t *testing.T) {
	dir := t.TempDir()
	j := openTest(t, dir, Options{})
	var wg sync.WaitGroup
	for _, id := range []string{"s1", "s2", "s3"} {
		wg.Go(func() {
			a := newActor(t, j, id)
			c := a.connect()
			var open []*protocol.Operation
			for range 2000 {
				op := a.op("select", "select 1")
				a.postpone(op)
				open = append(open, op)
				if len(open) > 10 {
					a.end(open[0], protocol.StatusOK)
					open = open[1:]
				}
			}
			for _, op := range open {
				a.end(op, protocol.StatusOK)
			}
			a.end(c, protocol.StatusOK)
		})
	}
	stop := make(chan struct{})
	go func() {
		for {
			select {
			case <-stop:
				return
			default:
				j.sessions.Range(func(_, v any) bool {
					_, err := v.(*sessionState).later.settleOld(j, time.Now().Add(time.Hour))
					return err == nil
				})
			}
		}
	}()
	wg.Wait()
	close(stop)
	require.NoError(t, j.Close())
	type key struct {
		session string
		command uint64
	}
	decided, ended := map[key]int{}, map[key]int{}
	for _, e := range events(t, dir) {
		k := key{e.Session, e.Command}
		if e.Decision != nil {
			require.Zero(t, ended[k])
			decided[k]++
		}
		if e.Kind == CommandCompleted {
			ended[k]++
		}
	}
	require.Len(t, ended, 6000)
	for k, n := range ended {
		require.Equal(t, 1, n)
		require.Equal(t, 1, decided[k])
	}
}

// TestPostponedIsNotLostWithItsEnd holds that an end which cannot be kept does
// not take the decision with it: nothing may be released then.
func TestPostponedIsNotLostWithItsEnd(t *testing.T) {
	dir := t.TempDir()
	j := openTest(t, dir, Options{})
	a := newActor(t, j, "s1")
	a.connect()
	j.late.timer.Stop()
	j.late.armed.Store(true) // nothing is told by itself meanwhile
	op := a.op("select", "select 1")
	op.MarkMasked(strings.Repeat("x", maxLeaf))
	a.postpone(op)
	_, err := j.Record(&protocol.Event{Kind: protocol.Ended, Time: noon, Session: a.s, Op: op,
		Outcome: protocol.Outcome{Status: protocol.StatusOK}}, Detail{})
	require.ErrorIs(t, err, ErrTooLarge)
	upTo, err := j.Settle([]*protocol.Operation{op})
	require.NoError(t, err)
	require.NoError(t, j.Flush(t.Context(), upTo))
	es := events(t, dir)
	require.Equal(t, CommandDecided, es[len(es)-1].Kind)
	require.Equal(t, op.ID, es[len(es)-1].Command)
	j.fail(ErrSlow)
	lost := a.op("select", "select 2")
	st, _ := j.sessions.Load(a.s)
	st.(*sessionState).later.add(postponed{op: lost})
	for range 2 {
		_, err = j.Settle([]*protocol.Operation{lost})
		require.ErrorIs(t, err, ErrSlow)
	}
}
