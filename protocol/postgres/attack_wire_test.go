package postgres_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/pgtest"
)

// ends notes how each operation ended, by its text.
type ends struct {
	mu sync.Mutex
	m  map[string][]string
}

func (e *ends) step() middleware.Step {
	return middleware.Step{Name: "ends", Event: func(_ context.Context, ev *protocol.Event) error {
		if ev.Op == nil || ev.Kind != protocol.Ended {
			return nil
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.m == nil {
			e.m = map[string][]string{}
		}
		e.m[ev.Op.Text] = append(e.m[ev.Op.Text], string(ev.Outcome.Status))
		return nil
	}}
}

func (e *ends) of(text string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return strings.Join(e.m[text], " ")
}

// The target commits a pipeline when its Sync comes. If that fails it skips
// nothing: what is pipelined behind the Sync runs, and is answered and recorded.
func TestAttackSyncThatFailsSkipsNothing(t *testing.T) {
	var e ends
	r := newRig(t, rigConfig{steps: []middleware.Step{e.step()}, pg: []pgtest.Option{pgtest.SQL(
		"create table once (a int, constraint u unique (a) deferrable initially deferred); insert into once values (1); create table log (a text); grant all on once, log to public")}})
	sync := &pgproto3.Sync{}
	run := func(text string) []pgproto3.FrontendMessage {
		return []pgproto3.FrontendMessage{&pgproto3.Parse{Query: text}, &pgproto3.Bind{}, &pgproto3.Execute{}}
	}
	const twice = "insert into once values (1)"
	t.Run("pipeline", func(t *testing.T) {
		hj := rawSession(t, r, "")
		msgs := append(run(twice), sync)
		msgs = append(append(msgs, run("insert into log values ('pipeline')")...), sync)
		msgs = append(append(msgs, run("insert into nowhere values ('pipeline')")...), sync)
		msgs = append(append(msgs, run("insert into log values ('after')")...), sync)
		require.Regexp(t, "^INSERT 0 1\nerror 23505 .*\nINSERT 0 1\nerror 42P01 .*\nINSERT 0 1\n$", seen(t, hj, 4, msgs...))
		require.Equal(t, "ok", e.of("insert into log values ('pipeline')"))
		require.Equal(t, "ok", e.of("insert into log values ('after')"))
	})
	t.Run("query", func(t *testing.T) {
		hj := rawSession(t, r, "")
		msgs := append(run(twice), sync, query("insert into log values ('query')"))
		require.Regexp(t, "^INSERT 0 1\nerror 23505 .*\nINSERT 0 1\n$", seen(t, hj, 2, msgs...))
		require.Equal(t, "ok", e.of("insert into log values ('query')"))
	})
}
