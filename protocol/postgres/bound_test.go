package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
)

// What is prepared and bound at once is one operation; what is only prepared, or
// bound later, is one of its own.
func TestPreparedAndBoundIsOneOperation(t *testing.T) {
	r := newRig(t, rigConfig{})
	hj := rawSession(t, r, "")
	parse := func(name, text string) pgproto3.FrontendMessage { return &pgproto3.Parse{Name: name, Query: text} }
	bind := func(name string) pgproto3.FrontendMessage { return &pgproto3.Bind{PreparedStatement: name} }
	execute, sync, flush := &pgproto3.Execute{}, &pgproto3.Sync{}, &pgproto3.Flush{}
	from, texts := 0, map[uint64]string{}
	said := func() (out []string) {
		t.Helper()
		n := 0
		for e, err := range audit.Events(r.dir) {
			require.NoError(t, err)
			if n++; e.Action != nil && e.Action.Text != nil { // on a slow machine an event of its own
				texts[e.Command] = fmt.Sprint(e.Action.Text.Text, " ", e.Action.Prepare)
			}
			if n > from && e.Kind == audit.CommandCompleted && e.Action.Verb == "select" {
				out = append(out, fmt.Sprint(texts[e.Command], " ", e.Result.Status))
			}
		}
		from = n
		return out
	}
	for _, c := range []struct {
		name  string
		ready int
		msgs  []pgproto3.FrontendMessage
		want  []string
	}{
		{"at once", 1, []pgproto3.FrontendMessage{parse("", "select 1"), bind(""), execute, sync}, []string{"select 1 false ok"}},
		{"twice", 1, []pgproto3.FrontendMessage{parse("", "select 1"), bind(""), execute, parse("", "select 2"), bind(""), execute, sync},
			[]string{"select 1 false ok", "select 2 false ok"}},
		{"only prepared", 1, []pgproto3.FrontendMessage{parse("a", "select 3"), sync}, []string{"select 3 true ok"}},
		{"executed later", 1, []pgproto3.FrontendMessage{bind("a"), execute, sync}, []string{"select 3 false ok"}},
		{"another is executed", 1, []pgproto3.FrontendMessage{parse("b", "select 4"), bind("a"), execute, sync}, []string{"select 4 true ok", "select 3 false ok"}},
		{"does not parse at the target", 1, []pgproto3.FrontendMessage{parse("", "select 1 where 1 = 'x'"), bind(""), execute, sync},
			[]string{"select 1 where 1 = 'x' false failed"}},
		{"fails when it runs", 1, []pgproto3.FrontendMessage{parse("", "select 1/0"), bind(""), execute, sync}, []string{"select 1/0 false failed"}},
		{"never bound", 1, []pgproto3.FrontendMessage{parse("", "select 5"), flush, parse("", "select 6"), bind(""), execute, sync},
			[]string{"select 5 true ok", "select 6 false ok"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			said()
			seen(t, hj, c.ready, c.msgs...)
			var got []string
			require.Eventually(t, func() bool { got = append(got, said()...); return len(got) >= len(c.want) }, 5*time.Second, 10*time.Millisecond)
			time.Sleep(2 * time.Millisecond)
			require.Equal(t, c.want, append(got, said()...))
		})
	}
}

// The entry that tells of a preparation is safe before the client hears that
// something was prepared.
func TestWhatIsPreparedIsRecordedBeforeItIsTold(t *testing.T) {
	r := newRig(t, rigConfig{})
	hj := rawSession(t, r, "")
	// The target answers the Parse at once and the Execute after a while.
	for _, m := range []pgproto3.FrontendMessage{&pgproto3.Parse{Query: "select pg_sleep($1)"},
		&pgproto3.Bind{Parameters: [][]byte{[]byte("0.5")}}, &pgproto3.Flush{}, &pgproto3.Execute{}, &pgproto3.Sync{}} {
		hj.Frontend.Send(m)
	}
	require.NoError(t, hj.Frontend.Flush())
	m, err := hj.Frontend.Receive()
	require.NoError(t, err)
	require.IsType(t, &pgproto3.ParseComplete{}, m)
	told := false
	for e, err := range audit.Events(r.dir) {
		require.NoError(t, err)
		told = told || e.Action != nil && e.Action.Text != nil && string(e.Action.Text.Text) == "select pg_sleep($1)"
	}
	require.True(t, told)
	require.NotContains(t, seen(t, hj, 1), "error")
}

// boundAtOnce is text prepared as a and executed in one request.
func boundAtOnce(text string, args ...[]byte) []pgproto3.FrontendMessage {
	return []pgproto3.FrontendMessage{&pgproto3.Parse{Name: "a", Query: text}, &pgproto3.Bind{PreparedStatement: "a", Parameters: args}, &pgproto3.Execute{}, &pgproto3.Sync{}}
}

const howMany = "select count(*) from pg_prepared_statements"

func TestRefusedWithItsBindIsNotEvenPrepared(t *testing.T) {
	var asked atomic.Int32
	refuse := middleware.Step{Name: "seven", Operation: func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
		if op.Verb == "select" && len(op.Args) == 1 {
			asked.Add(1)
			if op.Args[0].Text == "7" {
				return protocol.Deny("not seven"), nil
			}
		}
		return protocol.Pass, nil
	}}
	r := newRig(t, rigConfig{steps: []middleware.Step{refuse}})
	hj := rawSession(t, r, "")
	seven := boundAtOnce("select $1::int", []byte("7"))
	require.Equal(t, "error 42501 not seven\n", seen(t, hj, 1, seven...))
	require.EqualValues(t, 1, asked.Load())
	require.Contains(t, seen(t, hj, 1, query(howMany)), "row [0]")
	require.Equal(t, "row [8]\nSELECT 1\n", seen(t, hj, 1, boundAtOnce("select $1::int", []byte("8"))...))
	require.EqualValues(t, 2, asked.Load())

	// The requests around it are what they were, and the next has the name.
	seen(t, hj, 1, query("deallocate all"))
	all := append([]pgproto3.FrontendMessage{&pgproto3.Parse{Query: "select 1"}, &pgproto3.Bind{}, &pgproto3.Execute{}}, seven...)
	all = append(append(all, seven...), boundAtOnce("select $1::int + 1", []byte("8"))...)
	require.Equal(t, "row [1]\nSELECT 1\nerror 42501 not seven\nerror 42501 not seven\nrow [9]\nSELECT 1\n", seen(t, hj, 3, all...))
}

// Nobody is asked about a statement that the target does not even parse; of one
// that waits, the preparation stands whatever is decided.
func TestHeldWithItsParse(t *testing.T) {
	r, b := holdDeletes(t)
	hj := rawSession(t, r, "")
	require.Contains(t, seen(t, hj, 1, boundAtOnce("delete from customers where nosuch = $1", []byte("1"))...), "error 42703")
	require.Empty(t, b.List())
	for _, c := range []struct {
		yes  bool
		want string
	}{{false, "error 42501"}, {true, "DELETE 0"}} {
		decided := decideSoon(t, b, c.yes)
		out := seen(t, hj, 1, boundAtOnce("delete from customers where name = $1", []byte("nobody"))...)
		decided()
		require.Contains(t, out, c.want)
		require.Contains(t, seen(t, hj, 1, query(howMany)), "row [1]")
		seen(t, hj, 1, query("deallocate a"))
	}
}

// A Parse that cannot be recorded ahead of a decision is refused with its Bind,
// and the next message begins where that ends.
func TestParseAheadThatCannotBeRecorded(t *testing.T) {
	var broken atomic.Bool
	hold := middleware.Step{Name: "hold", Operation: func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
		if op.Verb != "delete" {
			return protocol.Pass, nil
		}
		return protocol.Hold("t", "wait", func(context.Context) (protocol.Decision, error) { return protocol.Allow("x"), nil }), nil
	}, Commit: func(_ context.Context, p protocol.Point, _ []*protocol.Operation) error {
		if p == protocol.BeforeRelease && broken.CompareAndSwap(true, false) {
			return errors.New("the disk is full")
		}
		return nil
	}}
	r := newRig(t, rigConfig{steps: []middleware.Step{hold}})
	hj := rawSession(t, r, "")
	require.NoError(t, hj.Conn.SetDeadline(time.Now().Add(20*time.Second)))
	broken.Store(true)
	out := seen(t, hj, 1, boundAtOnce("delete from customers where name = $1", []byte("nobody"))...)
	require.False(t, broken.Load())
	require.Contains(t, out, "error ")
	require.NotContains(t, out, "closed")
	require.NotContains(t, out, "DELETE")
	require.Contains(t, seen(t, hj, 1, query(howMany)), "row [0]")
	require.Contains(t, seen(t, hj, 1, boundAtOnce("delete from customers where name = $1", []byte("nobody"))...), "DELETE 0")
}
