package postgres_test

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/approval"
	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/pgtest"
)

var approver = &protocol.Identity{Issuer: "test", Subject: "bob", Name: "Bob", Kind: protocol.Human, Groups: []string{"approvers"}}

// holdDeletes returns a rig on which DELETE waits for Bob.
func holdDeletes(t *testing.T) (*rig, *approval.Broker) {
	t.Helper()
	b := approval.NewBroker(approval.Options{Command: "gateway approve"})
	r := newRig(t, rigConfig{steps: []middleware.Step{middleware.Approve(b, middleware.ApproveRule{
		Name: "deletes", Reason: "deletes need a second pair of eyes", Groups: []string{"approvers"}, For: time.Minute,
		When: middleware.If(func(op *protocol.Operation) (bool, error) { return op.Verb == "delete", nil }),
	})}})
	return r, b
}

// pending waits until one request is open and returns it.
func pending(t *testing.T, b *approval.Broker) approval.Request {
	t.Helper()
	var list []approval.Request
	require.Eventually(t, func() bool { list = b.List(approval.StatePending); return len(list) == 1 }, 5*time.Second, 5*time.Millisecond)
	return list[0]
}

func decide(t *testing.T, b *approval.Broker, yes bool) approval.Request {
	t.Helper()
	r := pending(t, b)
	_, err := b.Decide(context.Background(), approval.Verdict{Request: r.ID, Digest: r.Digest, By: approver, Approve: yes, Comment: "not today"})
	require.NoError(t, err)
	return r
}

// decideSoon decides the next request in the background, and is done when the
// returned function is, at the latest when the test ends.
func decideSoon(t *testing.T, b *approval.Broker, yes bool) (wait func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		decide(t, b, yes)
	}()
	wait = func() { <-done }
	t.Cleanup(wait)
	return wait
}

func withdrawn(t *testing.T, b *approval.Broker, within time.Duration) {
	t.Helper()
	require.Eventually(t, func() bool {
		return len(b.List(approval.StatePending)) == 0 && len(b.List(approval.StateWithdrawn)) == 1
	}, within, 5*time.Millisecond)
}

func count(t *testing.T, r *rig, table string) string {
	t.Helper()
	return strings.TrimSpace(pgtest.Exec(t, r.pg, "select count(*) from "+table))
}

func TestHeldInPsqlIsToldAndRunsOnceApproved(t *testing.T) {
	r, b := holdDeletes(t)
	pgtest.Exec(t, r.pg, "create table doomed as select 1 as a")
	done := make(chan string)
	go func() {
		out, _ := r.psql(t, "-c", "delete from doomed")
		done <- out
	}()
	req := pending(t, b)
	require.Equal(t, "delete from doomed", req.Text)
	require.Equal(t, "1", count(t, r, "doomed"))
	decide(t, b, true)
	out := <-done
	require.Contains(t, out, "NOTICE:  held for approval: deletes need a second pair of eyes")
	require.Contains(t, out, req.ID)
	require.Contains(t, out, "DELETE 1")
	require.Equal(t, "0", count(t, r, "doomed"))
}

func TestHeldAndRefusedLeavesTheSessionAlive(t *testing.T) {
	r, b := holdDeletes(t)
	for _, mode := range []string{"simple_protocol", "cache_statement", "exec"} {
		t.Run(mode, func(t *testing.T) {
			conn := r.connect(t, "&default_query_exec_mode="+mode)
			ctx := t.Context()
			decideSoon(t, b, false)
			_, err := conn.Exec(ctx, "delete from customers where name = 'nobody'")
			var pe *pgconn.PgError
			require.ErrorAs(t, err, &pe)
			require.Equal(t, "42501", pe.Code)
			require.Contains(t, pe.Message, "not today")
			var n int
			require.NoError(t, conn.QueryRow(ctx, "select 1").Scan(&n))
		})
	}
}

func TestHeldWithArgumentsShowsThemToTheApprover(t *testing.T) {
	r, b := holdDeletes(t)
	conn := r.connect(t, "")
	shown := make(chan approval.Request, 1)
	go func() { shown <- decide(t, b, true) }()
	_, err := conn.Exec(t.Context(), "delete from customers where name = $1", "nobody")
	require.NoError(t, err)
	req := <-shown
	require.Equal(t, "nobody", req.Args[0].Text)
}

// Who is asked about rows of a cursor reads what it was opened with, too.
func TestHeldFetchShowsTheCursorsArguments(t *testing.T) {
	b := approval.NewBroker(approval.Options{})
	r := newRig(t, rigConfig{steps: []middleware.Step{middleware.Approve(b, middleware.ApproveRule{Name: "rows", Groups: []string{"approvers"}, For: time.Minute,
		When: middleware.If(func(op *protocol.Operation) (bool, error) { return op.Verb == "fetch", nil })})}})
	hj := rawSession(t, r, "")
	sync := &pgproto3.Sync{}
	bind := func(portal string, args ...[]byte) pgproto3.FrontendMessage {
		return &pgproto3.Bind{DestinationPortal: portal, Parameters: args}
	}
	seen(t, hj, 1, query("begin"))
	seen(t, hj, 1, &pgproto3.Parse{Query: "declare c cursor for select name from customers where id > $1 order by id", ParameterOIDs: []uint32{23}}, bind("", []byte("2")), &pgproto3.Execute{}, sync)
	seen(t, hj, 1, &pgproto3.Parse{Query: "select name from customers where id > $1 order by id", ParameterOIDs: []uint32{23}}, bind("p", []byte("2")), sync)
	for _, ask := range [][]pgproto3.FrontendMessage{
		{query("fetch 1 from c")}, {query("fetch 1 from p")}, {&pgproto3.Execute{Portal: "c", MaxRows: 1}, sync},
		{&pgproto3.Parse{Query: "fetch 1 from c"}, bind(""), &pgproto3.Execute{}, sync},
	} {
		shown := make(chan approval.Request, 1)
		go func() { shown <- decide(t, b, true) }()
		require.Contains(t, seen(t, hj, 1, ask...), "row [")
		require.Equal(t, []protocol.Arg{{Text: "2", Type: "int4"}}, (<-shown).Args)
	}
}

func TestCancelWithdrawsAHeldStatement(t *testing.T) {
	r, b := holdDeletes(t)
	conn := r.connect(t, "&default_query_exec_mode=simple_protocol")
	done := make(chan error, 1)
	go func() { _, err := conn.Exec(context.Background(), "delete from customers"); done <- err }()
	pending(t, b)
	require.NoError(t, conn.PgConn().CancelRequest(t.Context()))
	var pe *pgconn.PgError
	require.ErrorAs(t, <-done, &pe)
	require.Equal(t, "57014", pe.Code)
	withdrawn(t, b, time.Second)
	var n int
	require.NoError(t, conn.QueryRow(t.Context(), "select count(*) from customers").Scan(&n))
	require.Positive(t, n)
}

func TestInterruptedPsqlWithdraws(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			r, b := holdDeletes(t)
			cmd := exec.Command(pgtest.Tool(t, "psql"), "-X", "-h", r.host, "-p", r.port, "-U", "alice", "-d", "pg/postgres", "-c", "delete from customers")
			cmd.Env = append(cmd.Environ(), "PGPASSWORD="+r.token)
			require.NoError(t, cmd.Start())
			pending(t, b)
			require.NoError(t, cmd.Process.Signal(sig))
			withdrawn(t, b, time.Second)
			_ = cmd.Wait()
			require.NotEqual(t, "0", count(t, r, "customers"))
		})
	}
}

func TestHoldInAPipelineDeliversEarlierResultsFirst(t *testing.T) {
	r, b := holdDeletes(t)
	conn := r.connect(t, "")
	p := conn.PgConn().StartPipeline(t.Context())
	p.SendQueryParams("select 1", nil, nil, nil, nil)
	p.SendQueryParams("delete from customers where name = 'nobody'", nil, nil, nil, nil)
	p.SendQueryParams("select 2", nil, nil, nil, nil)
	require.NoError(t, p.Sync())
	res, err := p.GetResults()
	require.NoError(t, err)
	v := res.(*pgconn.ResultReader).Read()
	require.NoError(t, v.Err)
	require.Equal(t, "1", string(v.Rows[0][0]), "the result before the held statement has arrived")
	decide(t, b, true)
	res, err = p.GetResults()
	require.NoError(t, err)
	v = res.(*pgconn.ResultReader).Read()
	require.NoError(t, v.Err)
	require.Equal(t, "DELETE 0", v.CommandTag.String())
	res, err = p.GetResults()
	require.NoError(t, err)
	require.Equal(t, "2", string(res.(*pgconn.ResultReader).Read().Rows[0][0]))
	require.NoError(t, p.Close())
}

func TestNobodyIsAskedAboutWhatAFailedPipelineSkips(t *testing.T) {
	r, b := holdDeletes(t)
	conn := r.connect(t, "")
	p := conn.PgConn().StartPipeline(t.Context())
	p.SendQueryParams("select 1/0", nil, nil, nil, nil)
	p.SendQueryParams("delete from customers", nil, nil, nil, nil)
	require.NoError(t, p.Sync())
	_, err := p.GetResults()
	if err == nil {
		res, _ := p.GetResults()
		require.NotNil(t, res)
	}
	_ = p.Close()
	require.Empty(t, b.List())
	var n int
	require.NoError(t, conn.QueryRow(t.Context(), "select count(*) from customers").Scan(&n))
	require.Positive(t, n)
}

// A client that has pipelined far more than the gateway reads while it holds
// is still seen to leave.
func TestHangUpIsSeenBehindPipelinedBytes(t *testing.T) {
	r, b := holdDeletes(t)
	conn := r.connect(t, "")
	hj, err := conn.PgConn().Hijack()
	require.NoError(t, err)
	q := func(s string) []byte {
		m := append([]byte{'Q', 0, 0, byte((len(s) + 5) >> 8), byte(len(s) + 5)}, s...)
		return append(m, 0)
	}
	_, err = hj.Conn.Write(q("delete from customers"))
	require.NoError(t, err)
	pending(t, b)
	_ = hj.Conn.SetWriteDeadline(time.Now().Add(2 * time.Second))
	big := q("select '" + strings.Repeat("x", 8000) + "'")
	for range 4000 { // more than any buffer takes
		if _, err := hj.Conn.Write(big); err != nil {
			break
		}
	}
	require.Len(t, b.List(approval.StatePending), 1)
	require.NoError(t, hj.Conn.Close())
	withdrawn(t, b, time.Second)
}

func TestTerminateBehindAHeldStatementWithdraws(t *testing.T) {
	r, b := holdDeletes(t)
	conn := r.connect(t, "")
	hj, err := conn.PgConn().Hijack()
	require.NoError(t, err)
	defer hj.Conn.Close()
	_, err = hj.Conn.Write([]byte("Q\x00\x00\x00\x1adelete from customers\x00" + "Q\x00\x00\x00\x0dselect 1\x00" + "X\x00\x00\x00\x04"))
	require.NoError(t, err)
	// It may have left before anybody could be asked.
	require.Eventually(t, func() bool {
		return len(r.gateway.Sessions()) == 0 && len(b.List(approval.StatePending)) == 0
	}, 5*time.Second, 5*time.Millisecond)
	require.Empty(t, b.List(approval.StateApproved))
	require.NotEqual(t, "0", count(t, r, "customers"))
}

func TestConnectCanBeHeld(t *testing.T) {
	b := approval.NewBroker(approval.Options{})
	r := newRig(t, rigConfig{steps: []middleware.Step{middleware.Approve(b, middleware.ApproveRule{
		Name: "connect", Reason: "access is granted for one session at a time", Groups: []string{"approvers"},
		When: middleware.If(func(op *protocol.Operation) (bool, error) { return op.Verb == protocol.Connect, nil }),
	})}})
	decideSoon(t, b, true)
	out, err := r.psql(t, "-Atc", "select 5")
	require.NoError(t, err, out)
	require.Contains(t, out, "5")
	decideSoon(t, b, false)
	out, err = r.psql(t, "-Atc", "select 5")
	require.Error(t, err)
	require.Contains(t, out, "not today")
}

// Nobody is asked for what can no longer run: a hold ends with the target's
// connection, however it ends, and the client hears what the target said.
func TestHoldEndsWithTheTarget(t *testing.T) {
	for how, end := range map[string]func(r *rig, pid uint32){
		"terminated": func(r *rig, pid uint32) { pgtest.Exec(t, r.pg, fmt.Sprintf("select pg_terminate_backend(%d)", pid)) },
		"stopped":    func(r *rig, _ uint32) { r.pg.Stop() },
	} {
		t.Run(how, func(t *testing.T) {
			r, b := holdDeletes(t)
			w, pid, _ := r.login(t, v30)
			w.send(msg('Q', "delete from customers\x00"))
			q := pending(t, b)
			end(r, pid)
			withdrawn(t, b, time.Second)
			said, err := io.ReadAll(w)
			require.NoError(t, err)
			require.Contains(t, string(said), "57P01", "the target's own words")
			_, err = b.Decide(t.Context(), approval.Verdict{Request: q.ID, Digest: q.Digest, By: approver, Approve: true})
			require.Error(t, err)
			eventually(t, time.Second, func() bool { return len(r.gateway.Sessions()) == 0 }, "the session ends")
		})
	}
}

// Approvers, and the record, see what runs and not only its name.
func TestHeldByNameShowsWhatRuns(t *testing.T) {
	b := approval.NewBroker(approval.Options{})
	r := newRig(t, rigConfig{steps: []middleware.Step{middleware.Approve(b, middleware.ApproveRule{
		Name: "deletes", Reason: "deletes and cursors", Groups: []string{"approvers"}, For: time.Minute,
		When: middleware.If(func(op *protocol.Operation) (bool, error) { return op.Verb == "delete" || op.Verb == "fetch", nil }),
	})}})
	sync := &pgproto3.Sync{}
	prepare := query("prepare d(text) as delete from customers where name = $1")
	declare := "declare c cursor for select name from customers"
	for name, c := range map[string]struct {
		first        []pgproto3.FrontendMessage // nobody is asked about
		held         []pgproto3.FrontendMessage
		text, behind string
	}{
		"EXECUTE": {[]pgproto3.FrontendMessage{prepare}, []pgproto3.FrontendMessage{query("execute d('Ada')")},
			"execute d('Ada')", "prepare d(text) as delete from customers where name = $1"},
		"EXECUTE in the same text": {nil, []pgproto3.FrontendMessage{query("prepare d(text) as delete from customers where name = $1; execute d('Ada')")},
			"execute d('Ada')", "prepare d(text) as delete from customers where name = $1"},
		"EXECUTE of what was parsed": {[]pgproto3.FrontendMessage{&pgproto3.Parse{Name: "d", Query: "delete from customers"}, sync},
			[]pgproto3.FrontendMessage{query("execute d")}, "execute d", "delete from customers"},
		"EXECUTE of an EXECUTE": {[]pgproto3.FrontendMessage{prepare, &pgproto3.Parse{Name: "e", Query: "execute d('Ada')"}, sync},
			[]pgproto3.FrontendMessage{query("execute e")}, "execute e", "execute d('Ada')\nprepare d(text) as delete from customers where name = $1"},
		"Bind of an EXECUTE": {[]pgproto3.FrontendMessage{prepare, &pgproto3.Parse{Name: "e", Query: "execute d('Ada')"}, sync},
			[]pgproto3.FrontendMessage{&pgproto3.Bind{PreparedStatement: "e"}, &pgproto3.Execute{}, sync},
			"execute d('Ada')", "prepare d(text) as delete from customers where name = $1"},
		"Bind of SQL PREPARE": {[]pgproto3.FrontendMessage{prepare},
			[]pgproto3.FrontendMessage{&pgproto3.Bind{PreparedStatement: "d", Parameters: [][]byte{[]byte("Ada")}}, &pgproto3.Execute{}, sync},
			"prepare d(text) as delete from customers where name = $1", ""},
		"FETCH":                  {[]pgproto3.FrontendMessage{query("begin"), query(declare)}, []pgproto3.FrontendMessage{query("fetch c")}, "fetch c", declare},
		"FETCH in the same text": {[]pgproto3.FrontendMessage{query("begin")}, []pgproto3.FrontendMessage{query(declare + "; fetch c")}, "fetch c", declare},
		"FETCH from a portal": {[]pgproto3.FrontendMessage{query("begin"), &pgproto3.Parse{Query: "select 5"}, &pgproto3.Bind{DestinationPortal: "c"}, sync},
			[]pgproto3.FrontendMessage{query("fetch c")}, "fetch c", "select 5"},
		"Execute of a cursor": {[]pgproto3.FrontendMessage{query("begin"), query(declare)},
			[]pgproto3.FrontendMessage{&pgproto3.Execute{Portal: "c"}, sync}, "portal c", declare},
	} {
		t.Run(name, func(t *testing.T) {
			hj := rawSession(t, r, "")
			n := 0
			for _, m := range c.first {
				switch m.(type) {
				case *pgproto3.Query, *pgproto3.Sync:
					n++
				}
			}
			require.NotContains(t, seen(t, hj, n, c.first...), "error")
			done := make(chan string)
			go func() { done <- seen(t, hj, 1, c.held...) }()
			q := decide(t, b, false)
			require.Contains(t, <-done, "error 42501")
			require.Equal(t, c.text, q.Text)
			require.Equal(t, c.behind, q.Behind)
			if c.behind == "" {
				return
			}
			eventually(t, 5*time.Second, func() bool {
				for e, err := range audit.Events(r.dir) {
					require.NoError(t, err)
					if e.Action != nil && e.Action.Behind != nil && string(e.Action.Behind.Text) == c.behind && string(e.Action.Text.Text) == c.text {
						return true
					}
				}
				return false
			}, "and so is it recorded")
		})
	}
}

var _ = pgx.ErrNoRows

// What runs as soon as a statement is parsed is held before it is parsed, once
// if it is executed in the same request.
func TestHeldBeforeItsParseRunsCode(t *testing.T) {
	b := approval.NewBroker(approval.Options{Command: "gateway approve"})
	r := newRig(t, rigConfig{steps: []middleware.Step{middleware.Approve(b, middleware.ApproveRule{
		Name: "code", Groups: []string{"approvers"}, For: time.Minute,
		When: middleware.If(func(op *protocol.Operation) (bool, error) { return op.Access.Has(protocol.Execute), nil }),
	})}})
	pgtest.Exec(t, r.pg, "create sequence ran",
		"create function f(text) returns bool language plpgsql as $$ begin perform nextval('ran'); return true; end $$",
		"create domain d as text check (f(value)); create type ct as (d d)")
	ran := func() string {
		return strings.TrimSpace(pgtest.Exec(t, r.pg, "select case when is_called then last_value else 0 end from ran"))
	}
	hj := rawSession(t, r, "")
	const text = "select '(x)'::ct"
	only := []pgproto3.FrontendMessage{&pgproto3.Parse{Name: "a", Query: text}, &pgproto3.Sync{}}
	for _, c := range []struct {
		msgs []pgproto3.FrontendMessage
		yes  bool
		want string
		ran  string
	}{
		{only, false, "error 42501", "0"},
		{boundAtOnce(text), false, "error 42501", "0"},
		{boundAtOnce("select $$(x)$$::ct"), false, "error 42501", "0"},
		{only, true, "", "1"},
	} {
		decided := decideSoon(t, b, c.yes)
		out := seen(t, hj, 1, c.msgs...)
		decided()
		require.Contains(t, out, c.want)
		require.Equal(t, c.ran, ran())
	}
	decided := decideSoon(t, b, true)
	require.Contains(t, seen(t, hj, 1, &pgproto3.Bind{PreparedStatement: "a"}, &pgproto3.Execute{}, &pgproto3.Sync{}), "row [(x)]")
	decided()
	// Without a literal nothing runs: it is held when it is executed.
	require.Empty(t, seen(t, hj, 1, &pgproto3.Parse{Name: "b", Query: "select f($1)"}, &pgproto3.Sync{}))
	require.Empty(t, b.List(approval.StatePending))
}
