package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/audit"
)

// What is prepared and executed in one request is one entry of the journal;
// what is only prepared, fails or is executed later has its own.
func TestPreparedAndExecutedIsOneEntry(t *testing.T) {
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
			[]string{"select 1 where 1 = 'x' true failed", "select 1 where 1 = 'x' false skipped"}},
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
	for _, m := range []pgproto3.FrontendMessage{&pgproto3.Parse{Query: "select pg_sleep($1)"}, &pgproto3.Describe{ObjectType: 'S'}, &pgproto3.Flush{},
		&pgproto3.Bind{Parameters: [][]byte{[]byte("0.5")}}, &pgproto3.Execute{}, &pgproto3.Sync{}} {
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
