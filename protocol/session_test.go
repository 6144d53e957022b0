package protocol_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol"
)

// engine allows all and counts ends.
type engine struct {
	ask    func(ops []*protocol.Operation) error
	commit func(p protocol.Point) error

	mu     sync.Mutex
	ends   map[uint64][]protocol.Outcome // by operation
	points []protocol.Point
}

func (e *engine) Authenticate(context.Context, *protocol.Login) (*protocol.Identity, error) {
	return nil, nil
}

func (e *engine) Ask(_ context.Context, _ *protocol.Session, ops []*protocol.Operation) error {
	if e.ask != nil {
		if err := e.ask(ops); err != nil {
			return err
		}
	}
	for _, op := range ops {
		op.Decide(protocol.Allow("test"), nil)
	}
	return nil
}

func (e *engine) Commit(_ context.Context, p protocol.Point, _ []*protocol.Operation) error {
	e.mu.Lock()
	e.points = append(e.points, p)
	e.mu.Unlock()
	if e.commit != nil {
		return e.commit(p)
	}
	return nil
}

func (e *engine) End(_ *protocol.Session, op *protocol.Operation, out protocol.Outcome) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ends == nil {
		e.ends = map[uint64][]protocol.Outcome{}
	}
	e.ends[op.ID] = append(e.ends[op.ID], out)
}

func (e *engine) status(t *testing.T, id uint64) protocol.Status {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	require.Len(t, e.ends[id], 1, "operation %d ends once", id)
	return e.ends[id][0].Status
}

func newSession(t *testing.T, e *engine) *protocol.Session {
	s := protocol.NewSession(t.Context(), protocol.SessionConfig{Info: &protocol.SessionInfo{}, Engine: e})
	t.Cleanup(func() { s.Close(nil) })
	return s
}

func TestEndCountsOnce(t *testing.T) {
	e := &engine{}
	s := newSession(t, e)
	x, err := s.Begin(t.Context(), &protocol.Operation{})
	require.NoError(t, err)
	require.Equal(t, []protocol.Point{protocol.BeforeSend, protocol.BeforeRelease}, e.points)
	var hooks atomic.Int64
	x.Operation().OnEnd(func(protocol.Outcome) error { hooks.Add(1); return nil })
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { x.End(protocol.Outcome{Status: protocol.StatusOK}) })
	}
	wg.Go(func() { s.Close(nil) })
	wg.Wait()
	require.Contains(t, []protocol.Status{protocol.StatusOK, protocol.StatusUnknown}, e.status(t, 1))
	require.Equal(t, int64(1), hooks.Load())
}

// What a step cannot bring to its end is told: by the record, and by the
// session's end.
func TestFailureAtTheEndIsRecorded(t *testing.T) {
	e := &engine{}
	s := newSession(t, e)
	x, err := s.Begin(t.Context(), &protocol.Operation{})
	require.NoError(t, err)
	broken := errors.New("the file cannot be completed")
	x.Operation().OnEnd(func(protocol.Outcome) error { return broken })
	x.End(protocol.Outcome{Status: protocol.StatusOK})
	require.Equal(t, protocol.StatusOK, e.status(t, 1))
	require.ErrorIs(t, e.ends[1][0].Err, broken)
	require.ErrorIs(t, context.Cause(s.Context()), broken)
}

func TestCloseEndsWhatIsLeft(t *testing.T) {
	for name, c := range map[string]struct {
		err     error
		connect protocol.Status
	}{
		"orderly": {nil, protocol.StatusOK},
		"broken":  {errors.New("the target went away"), protocol.StatusFailed},
		"panic":   {&protocol.PanicError{Value: "x"}, protocol.StatusError},
	} {
		t.Run(name, func(t *testing.T) {
			e := &engine{}
			closed := 0
			s := protocol.NewSession(t.Context(), protocol.SessionConfig{Info: &protocol.SessionInfo{}, Engine: e, OnClose: func() { closed++ }})
			require.NoError(t, s.Connect(t.Context(), &protocol.Operation{}))
			var xs []*protocol.Exchange
			for range 4 {
				x, err := s.Begin(t.Context(), &protocol.Operation{})
				require.NoError(t, err)
				xs = append(xs, x)
			}
			xs[1].End(protocol.Outcome{Status: protocol.StatusOK}) // from the middle of the list
			xs[3].End(protocol.Outcome{})
			s.Close(c.err)
			s.Close(nil)
			require.Equal(t, c.connect, e.status(t, 1))
			require.Equal(t, protocol.StatusUnknown, e.status(t, 2))
			require.Equal(t, protocol.StatusOK, e.status(t, 3))
			require.Equal(t, protocol.StatusUnknown, e.status(t, 4))
			require.Equal(t, protocol.StatusUnknown, e.status(t, 5), "no status is unknown")
			require.Equal(t, 1, closed)
			require.Error(t, s.Context().Err())

			_, err := s.Begin(t.Context(), &protocol.Operation{})
			require.ErrorIs(t, err, protocol.ErrClosed)
			e.mu.Lock()
			defer e.mu.Unlock()
			for id, ends := range e.ends {
				require.Len(t, ends, 1, "operation %d", id)
			}
		})
	}
}

func TestCommitFailureEndsTheOperation(t *testing.T) {
	for _, point := range []protocol.Point{protocol.BeforeSend, protocol.BeforeRelease} {
		full := errors.New("disk full")
		e := &engine{commit: func(p protocol.Point) error {
			if p == point {
				return full
			}
			return nil
		}}
		_, err := newSession(t, e).Begin(t.Context(), &protocol.Operation{})
		require.ErrorIs(t, err, full)
		require.Equal(t, protocol.StatusError, e.status(t, 1))
	}
}

func TestRefusedOperationsHaveNoEnd(t *testing.T) {
	e := &engine{ask: func([]*protocol.Operation) error { return &protocol.DeniedError{Reason: "no"} }}
	s := newSession(t, e)
	_, err := s.Begin(t.Context(), &protocol.Operation{})
	require.Error(t, err)
	require.Error(t, s.Connect(t.Context(), &protocol.Operation{}))
	s.Close(nil)
	require.Empty(t, e.ends)
	require.Empty(t, e.points)
}

func TestLoginExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &engine{}
		s := protocol.NewSession(t.Context(), protocol.SessionConfig{Engine: e,
			Info: &protocol.SessionInfo{Identity: &protocol.Identity{Expires: time.Now().Add(time.Hour)}}})
		_, err := s.Begin(t.Context(), &protocol.Operation{})
		require.NoError(t, err)
		time.Sleep(time.Hour + time.Second)
		require.Error(t, s.Context().Err(), "also when nothing is asked")
		_, err = s.Begin(t.Context(), &protocol.Operation{})
		require.Equal(t, "the login has expired", protocol.Reason(err))
		s.Close(err)
	})
}

func TestPanicAndErrorEndTheSession(t *testing.T) {
	for name, f := range map[string]func() error{
		"panic": func() error { panic("boom") },
		"error": func() error { return errors.New("boom") },
	} {
		t.Run(name, func(t *testing.T) {
			s, other := newSession(t, &engine{}), newSession(t, &engine{})
			s.Go(f)
			<-s.Context().Done()
			require.ErrorContains(t, context.Cause(s.Context()), "boom")
			s.Close(nil)
			require.NoError(t, other.Context().Err())
		})
	}
}

func TestDrain(t *testing.T) {
	s := newSession(t, &engine{})
	ran := make(chan struct{})
	s.OnDrain(func() { close(ran) })
	select {
	case <-s.Draining():
		t.Fatal("nobody asked for it")
	default:
	}
	s.Drain()
	s.Drain()
	<-s.Draining()
	<-ran
	require.NoError(t, s.Context().Err(), "a session that is drained may finish")
}

func TestNewIDSortsByTime(t *testing.T) {
	seen := map[string]bool{}
	last := ""
	for range 20 {
		for range 100 {
			id := protocol.NewID()
			require.Regexp(t, `^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, id)
			require.False(t, seen[id])
			seen[id] = true
		}
		id := protocol.NewID()
		require.GreaterOrEqual(t, id[:13], last, "of different milliseconds")
		last = id[:13]
	}
}

func TestTapsAreComposedInOrder(t *testing.T) {
	op := &protocol.Operation{Shape: protocol.Rows | protocol.Bytes | protocol.Docs}
	add := func(s string) func([]byte) ([]byte, error) {
		return func(b []byte) ([]byte, error) { return append(b, s...), nil }
	}
	for _, name := range []string{"1", "2"} {
		require.NoError(t, op.OnRows(func([]protocol.Column) (protocol.RowFunc, error) {
			return func(row [][]byte) (err error) { row[0], err = add(name)(row[0]); return err }, nil
		}))
		require.NoError(t, op.OnBytes(func(protocol.Stream) (protocol.BytesFunc, error) {
			return func(b []byte, _ bool) ([]byte, error) { return add(name)(b) }, nil
		}))
		require.NoError(t, op.OnDocs(func(string) (protocol.DocFunc, error) { return add(name), nil }))
		require.NoError(t, op.OnText(func(m *protocol.Message) error { m.Text += name; return nil }))
	}
	// One that looks away, at everything.
	require.NoError(t, op.OnRows(func([]protocol.Column) (protocol.RowFunc, error) { return nil, nil }))
	x, err := newSession(t, &engine{}).Begin(t.Context(), op)
	require.NoError(t, err)
	require.False(t, x.Plain())
	require.True(t, x.WantsRows())
	require.True(t, x.WantsText())

	rows, err := x.Rows([]protocol.Column{{Name: "a"}})
	require.NoError(t, err)
	row := [][]byte{[]byte("r")}
	require.NoError(t, rows(row))
	require.Equal(t, "r12", string(row[0]))
	bytes, err := x.Bytes(protocol.Stream{Name: "copy"})
	require.NoError(t, err)
	b, err := bytes([]byte("b"), true)
	require.NoError(t, err)
	require.Equal(t, "b12", string(b))
	docs, err := x.Docs("application/json")
	require.NoError(t, err)
	d, err := docs([]byte("d"))
	require.NoError(t, err)
	require.Equal(t, "d12", string(d))
	m := &protocol.Message{Text: "m"}
	require.NoError(t, x.Text(m))
	require.Equal(t, "m12", m.Text)
	require.Equal(t, "a", op.Result().Columns[0].Name)
}

func TestTapErrorsStopTheResult(t *testing.T) {
	bad := errors.New("cannot mask")
	op := &protocol.Operation{Shape: protocol.Rows | protocol.Bytes | protocol.Docs}
	require.NoError(t, op.OnRows(func([]protocol.Column) (protocol.RowFunc, error) { return nil, bad }))
	require.NoError(t, op.OnBytes(func(protocol.Stream) (protocol.BytesFunc, error) { return nil, bad }))
	require.NoError(t, op.OnDocs(func(string) (protocol.DocFunc, error) { return nil, bad }))
	require.NoError(t, op.OnText(func(*protocol.Message) error { return bad }))
	x, err := newSession(t, &engine{}).Begin(t.Context(), op)
	require.NoError(t, err)
	_, err = x.Rows(nil)
	require.ErrorIs(t, err, bad)
	_, err = x.Bytes(protocol.Stream{})
	require.ErrorIs(t, err, bad)
	_, err = x.Docs("")
	require.ErrorIs(t, err, bad)
	require.ErrorIs(t, x.Text(&protocol.Message{}), bad)
}

func TestNobodyLooks(t *testing.T) {
	x, err := newSession(t, &engine{}).Begin(t.Context(), &protocol.Operation{Shape: protocol.Rows | protocol.Bytes | protocol.Docs})
	require.NoError(t, err)
	require.True(t, x.Plain())
	require.False(t, x.WantsRows())
	require.False(t, x.WantsDocs())
	rows, err := x.Rows(nil)
	require.NoError(t, err)
	require.Nil(t, rows)
	bytes, err := x.Bytes(protocol.Stream{})
	require.NoError(t, err)
	require.Nil(t, bytes)
	docs, err := x.Docs("")
	require.NoError(t, err)
	require.Nil(t, docs)
}

// What comes in a shape that steps have not been told of is refused, also where no
// step looks at anything.
func TestWhatHasNoShapeIsRefused(t *testing.T) {
	for _, shape := range []protocol.Shape{0, protocol.Rows, protocol.Bytes, protocol.Docs} {
		x, err := newSession(t, &engine{}).Begin(t.Context(), &protocol.Operation{Shape: shape})
		require.NoError(t, err)
		require.Equal(t, shape != 0, x.Plain())
		require.Equal(t, shape != protocol.Rows, x.WantsRows())
		require.Equal(t, shape != protocol.Docs, x.WantsDocs())
		_, rows := x.Rows([]protocol.Column{{Name: "a"}})
		_, bytes := x.Bytes(protocol.Stream{})
		_, docs := x.Docs("application/json")
		for of, err := range map[protocol.Shape]error{protocol.Rows: rows, protocol.Bytes: bytes, protocol.Docs: docs} {
			if of == shape {
				require.NoError(t, err)
				continue
			}
			require.ErrorIs(t, err, protocol.ErrShape)
			require.NotEqual(t, protocol.FixedReason, protocol.Reason(err))
		}
	}
}

func ExampleNewSession() {
	s := protocol.NewSession(context.Background(), protocol.SessionConfig{Info: &protocol.SessionInfo{}, Engine: &engine{}})
	x, err := s.Begin(context.Background(), &protocol.Operation{Verb: "select", Access: protocol.Read, Shape: protocol.Rows})
	fmt.Println(x.Plain(), err)
	x.End(protocol.Outcome{Status: protocol.StatusOK})
	s.Close(nil)
	// Output: true <nil>
}

func ExampleGuard() {
	err := protocol.Guard(func() error { panic("boom") })
	fmt.Println(err)
	// Output: panic: boom
}

func TestResizeIsTold(t *testing.T) {
	op := &protocol.Operation{}
	require.ErrorIs(t, op.OnResize(nil), protocol.ErrShape, "there is no terminal")
	op = &protocol.Operation{Terminal: &protocol.Terminal{Columns: 80, Rows: 24}}
	var got []int
	require.NoError(t, op.OnResize(func(columns, rows int) error { got = append(got, columns, rows); return nil }))
	bad := errors.New("full")
	require.NoError(t, op.OnResize(func(int, int) error { return bad }))
	s := protocol.NewSession(t.Context(), protocol.SessionConfig{Info: &protocol.SessionInfo{}, Engine: &engine{}})
	defer s.Close(nil)
	x, err := s.Begin(t.Context(), op)
	require.NoError(t, err)
	require.ErrorIs(t, x.Resize(100, 30), bad)
	require.Equal(t, []int{100, 30}, got)
	op.Decide(protocol.Allow(""), nil)
	require.ErrorIs(t, op.OnResize(nil), protocol.ErrDecided)
}

// What a function registered with OnEnd does wrong must not keep the end from the
// record, nor from the other functions and operations.
func TestAPanicAtTheEndIsRecorded(t *testing.T) {
	e := &engine{}
	closed := false
	s := protocol.NewSession(t.Context(), protocol.SessionConfig{Info: &protocol.SessionInfo{}, Engine: e, OnClose: func() { closed = true }})
	require.NoError(t, s.Connect(t.Context(), &protocol.Operation{}))
	others := 0
	var xs []*protocol.Exchange
	for range 3 {
		op := &protocol.Operation{}
		op.OnEnd(func(protocol.Outcome) error { others++; return nil }) // runs last
		op.OnEnd(func(protocol.Outcome) error { panic("boom") })
		x, err := s.Begin(t.Context(), op)
		require.NoError(t, err)
		xs = append(xs, x)
	}
	require.NotPanics(t, func() { xs[0].End(protocol.Outcome{Status: protocol.StatusOK}) })
	require.Equal(t, protocol.StatusOK, e.status(t, 2))
	var p *protocol.PanicError
	require.ErrorAs(t, e.ends[2][0].Err, &p)
	require.ErrorAs(t, context.Cause(s.Context()), &p, "the session ends")
	require.NotPanics(t, func() { s.Close(nil) })
	require.Equal(t, protocol.StatusUnknown, e.status(t, 3))
	require.Equal(t, protocol.StatusUnknown, e.status(t, 4))
	e.status(t, 1)
	require.Equal(t, 3, others)
	require.True(t, closed)
}

func TestAPanicAfterARefusalStaysInside(t *testing.T) {
	op, others := &protocol.Operation{}, 0
	op.OnEnd(func(protocol.Outcome) error { others++; return nil })
	op.OnEnd(func(protocol.Outcome) error { panic("boom") })
	require.NotPanics(t, func() { op.Decide(protocol.Deny("no"), nil) })
	require.Equal(t, 1, others)
}

// Who ends a session while one of its operations waits for a decision ends that as
// well: a yes that comes later, or at the same moment, permits nothing.
func TestWhatWasHeldDoesNotOutliveItsSession(t *testing.T) {
	e := &engine{}
	s := newSession(t, e)
	gone := &protocol.DeniedError{Reason: "an operator ended it"}
	e.ask = func([]*protocol.Operation) error { s.Terminate(gone); return nil }
	_, err := s.Begin(t.Context(), &protocol.Operation{})
	require.ErrorIs(t, err, protocol.ErrClosed)
	require.Equal(t, "an operator ended it", protocol.Reason(err))
	require.Equal(t, protocol.StatusError, e.status(t, 1))
	require.Empty(t, e.points)
}
