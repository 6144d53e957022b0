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

// A change whose transaction fails behind it has not lasted, whatever the target said of
// it: the record tells so. What an explicit transaction does is told by how that ended.
func TestAttackChangesThatDoNotLast(t *testing.T) {
	var e ends
	r := newRig(t, rigConfig{steps: []middleware.Step{e.step(), noDrop()}, pg: []pgtest.Option{pgtest.SQL(
		`create table once (a int, constraint u unique (a) deferrable initially deferred); insert into once values (1); create table log (a text); grant all on once, log to public;
		create procedure commits() language plpgsql as $$ begin insert into log values ('called'); commit; end $$`)}})
	sync, read := &pgproto3.Sync{}, "select count(*) from log"
	run := func(texts ...string) (msgs []pgproto3.FrontendMessage) {
		for _, text := range texts {
			msgs = append(msgs, &pgproto3.Parse{Query: text}, &pgproto3.Bind{}, &pgproto3.Execute{})
		}
		return append(msgs, sync)
	}
	insert := func(what string) string { return "insert into log values ('" + what + "')" }
	twice := func(what string) string { return "insert into once values (1) /* " + what + " */" }
	for what, c := range map[string]struct {
		msgs []pgproto3.FrontendMessage
		want map[string]string // how each ends
	}{
		"alone":               {run(twice("alone")), map[string]string{twice("alone"): "failed"}},
		"first of two":        {run(insert("a"), twice("a"), read), map[string]string{insert("a"): "failed", twice("a"): "failed"}},
		"an error":            {run(insert("b"), "select 1/0", insert("b2")), map[string]string{insert("b"): "failed", insert("b2"): "skipped"}},
		"a refusal":           {run(insert("c"), "drop table once", insert("c2")), map[string]string{insert("c"): "failed"}},
		"committed before":    {run(insert("d"), "commit", twice("d")), map[string]string{insert("d"): "ok", twice("d"): "failed"}},
		"committed by code":   {run("call commits()", twice("e")), map[string]string{"call commits()": "ok", twice("e"): "failed"}},
		"a transaction":       {run("begin", insert("f"), "select 1/0"), map[string]string{insert("f"): "ok"}},
		"behind one":          {append(run("begin", insert("g")), run("commit", twice("g"))...), map[string]string{insert("g"): "ok", twice("g"): "failed"}},
		"a text":              {[]pgproto3.FrontendMessage{query(insert("h") + "; " + twice("h"))}, map[string]string{insert("h"): "failed", twice("h"): "failed"}},
		"a text that commits": {[]pgproto3.FrontendMessage{query(insert("i") + "; commit; " + twice("i"))}, map[string]string{insert("i"): "ok", twice("i"): "failed"}},
		"a Query":             {append(run(insert("j"))[:3], query("select 1/0 /* j */")), map[string]string{insert("j"): "failed", "select 1/0 /* j */": "failed"}},
		"lasts":               {append(run(insert("k"), insert("k2")), run("select 1/0")...), map[string]string{insert("k"): "ok", insert("k2"): "ok"}},
		"read in pieces": {[]pgproto3.FrontendMessage{&pgproto3.Parse{Query: insert("l") + " returning a"}, &pgproto3.Bind{}, &pgproto3.Execute{MaxRows: 1},
			&pgproto3.Parse{Query: twice("l")}, &pgproto3.Bind{DestinationPortal: "p"}, &pgproto3.Execute{Portal: "p"}, sync}, map[string]string{insert("l") + " returning a": "failed", twice("l"): "failed"}},
	} {
		t.Run(what, func(t *testing.T) {
			n := 0
			for _, m := range c.msgs {
				switch m.(type) {
				case *pgproto3.Query, *pgproto3.Sync:
					n++
				}
			}
			out := seen(t, rawSession(t, r, ""), n, c.msgs...)
			require.NotContains(t, out, "closed")
			for text, want := range c.want {
				require.Equal(t, want, e.of(text), "%s\n%s", text, out)
			}
		})
	}
}
