package postgres_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
)

// noDrop blocks DROP TABLE and whatever mentions the function forbidden().
func noDrop() middleware.Step {
	return middleware.Block(middleware.BlockRule{Name: "no-drop", Reason: "tables are not dropped here", Hint: "ask the owner",
		When: middleware.If(func(op *protocol.Operation) (bool, error) { return op.Verb == "drop table", nil })})
}

func requireDenied(t *testing.T, err error) {
	t.Helper()
	var pe *pgconn.PgError
	require.ErrorAs(t, err, &pe)
	require.Equal(t, "42501", pe.Code)
	require.Equal(t, "tables are not dropped here", pe.Message)
	require.Contains(t, pe.Detail, "no-drop")
	require.Equal(t, "ask the owner", pe.Hint)
}

func TestDeniedSimpleQueryKeepsTheSession(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{noDrop()}})
	conn := r.connect(t, "&default_query_exec_mode=simple_protocol")
	ctx := t.Context()
	for range 3 {
		_, err := conn.Exec(ctx, "drop table customers")
		requireDenied(t, err)
	}
	var n int
	require.NoError(t, conn.QueryRow(ctx, "select count(*) from customers").Scan(&n))
	require.Positive(t, n)
}

func TestDeniedStatementFailsTheTransactionAsPostgresWould(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{noDrop()}})
	for _, mode := range []string{"simple_protocol", "cache_statement", "exec"} {
		t.Run(mode, func(t *testing.T) {
			conn := r.connect(t, "&default_query_exec_mode="+mode)
			ctx := t.Context()
			tx, err := conn.Begin(ctx)
			require.NoError(t, err)
			_, err = tx.Exec(ctx, "create table made_"+mode+" (a int)")
			require.NoError(t, err)
			_, err = tx.Exec(ctx, "drop table customers")
			requireDenied(t, err)
			require.Equal(t, byte('E'), conn.PgConn().TxStatus())
			_, err = tx.Exec(ctx, "select 1")
			var pe *pgconn.PgError
			require.ErrorAs(t, err, &pe)
			require.Equal(t, "25P02", pe.Code)
			require.NoError(t, tx.Rollback(ctx))
			var exists bool
			require.NoError(t, conn.QueryRow(ctx, "select exists(select from pg_class where relname = 'made_"+mode+"')").Scan(&exists))
			require.False(t, exists)
		})
	}
}

func TestQueryOfSeveralStatementsIsRefusedWhole(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{noDrop()}})
	conn := r.connect(t, "&default_query_exec_mode=simple_protocol")
	ctx := t.Context()
	for _, text := range []string{
		"create table whole (a int); drop table customers",
		"create table whole (a int); drop table customers; select 1",
		"begin; create table whole (a int); drop table customers; commit",
	} {
		_, err := conn.Exec(ctx, text)
		requireDenied(t, err)
		_, err = conn.Exec(ctx, "rollback")
		require.NoError(t, err)
		var exists bool
		require.NoError(t, conn.QueryRow(ctx, "select exists(select from pg_class where relname = 'whole')").Scan(&exists))
		require.False(t, exists, text)
	}
}

func TestDeniedInAPipelineEarlierResultsComeFirst(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{noDrop()}})
	conn := r.connect(t, "")
	ctx := t.Context()
	b := &pgx.Batch{}
	b.Queue("select 1")
	b.Queue("create table implicit_tx (a int)")
	b.Queue("drop table customers")
	b.Queue("select 2")
	res := conn.SendBatch(ctx, b)
	var n int
	err := res.QueryRow().Scan(&n)
	if err == nil { // pgx prepares first: then the refusal comes at once
		require.Equal(t, 1, n)
		_, err = res.Exec()
		require.NoError(t, err)
		_, err = res.Exec()
	}
	requireDenied(t, err)
	require.Error(t, res.Close())
	require.NoError(t, conn.QueryRow(ctx, "select 3").Scan(&n))
	require.Equal(t, 3, n)

	// By hand, unprepared: P B E, P B E (denied), P B E, S.
	pg := conn.PgConn()
	p := pg.StartPipeline(ctx)
	p.SendQueryParams("select 10", nil, nil, nil, nil)
	p.SendQueryParams("create table implicit_tx (a int)", nil, nil, nil, nil)
	p.SendQueryParams("drop table customers", nil, nil, nil, nil)
	p.SendQueryParams("select 11", nil, nil, nil, nil)
	require.NoError(t, p.Sync())
	p.SendQueryParams("select 12", nil, nil, nil, nil)
	require.NoError(t, p.Sync())
	got := []string{}
	for {
		res, err := p.GetResults()
		if err != nil {
			var pe *pgconn.PgError
			require.ErrorAs(t, err, &pe)
			got = append(got, "error "+pe.Code)
			continue
		}
		if res == nil {
			break
		}
		switch res := res.(type) {
		case *pgconn.ResultReader:
			v := res.Read()
			require.NoError(t, v.Err)
			s := v.CommandTag.String()
			if len(v.Rows) > 0 {
				s = string(v.Rows[0][0])
			}
			got = append(got, s)
		case *pgconn.PipelineSync:
			got = append(got, "sync")
		}
	}
	require.Equal(t, []string{"10", "CREATE TABLE", "error 42501", "sync", "12", "sync"}, got)
	require.NoError(t, p.Close())
	var exists bool
	require.NoError(t, conn.QueryRow(ctx, "select exists(select from pg_class where relname = 'implicit_tx')").Scan(&exists))
	require.False(t, exists, "the implicit transaction of the pipeline was rolled back")
}

func TestDeniedCopyLeavesPreparedStatementsIntact(t *testing.T) {
	noCopy := middleware.Block(middleware.BlockRule{Name: "no-drop", Reason: "tables are not dropped here", Hint: "ask the owner",
		When: middleware.If(func(op *protocol.Operation) (bool, error) { return op.Verb == "copy", nil })})
	r := newRig(t, rigConfig{steps: []middleware.Step{noCopy}})
	conn := r.connect(t, "")
	ctx := t.Context()
	_, err := conn.Prepare(ctx, "kept", "select $1::int")
	require.NoError(t, err)
	_, err = conn.CopyFrom(ctx, pgx.Identifier{"customers"}, []string{"name"}, pgx.CopyFromRows([][]any{{"x"}, {"y"}}))
	requireDenied(t, err)
	var n int
	require.NoError(t, conn.QueryRow(ctx, "kept", 7).Scan(&n))
	require.Equal(t, 7, n)
}

func TestFunctionCallIsAnOperation(t *testing.T) {
	deny := middleware.Block(middleware.BlockRule{Name: "no-drop", Reason: "tables are not dropped here", Hint: "ask the owner",
		When: middleware.If(func(op *protocol.Operation) (bool, error) { return op.Verb == "function call", nil })})
	r := newRig(t, rigConfig{steps: []middleware.Step{deny}})
	conn := r.connect(t, "")
	ctx := t.Context()
	_, err := conn.Exec(ctx, "select 1") // the session is up
	require.NoError(t, err)
	hj, err := conn.PgConn().Hijack()
	require.NoError(t, err)
	defer hj.Conn.Close()
	// lo_creat(-1), by its number 957.
	hj.Frontend.Send(&pgproto3.FunctionCall{Function: 957, ArgFormatCodes: []uint16{1}, Arguments: [][]byte{{0xff, 0xff, 0xff, 0xff}}, ResultFormatCode: 1})
	require.NoError(t, hj.Frontend.Flush())
	msg, err := hj.Frontend.Receive()
	require.NoError(t, err)
	require.Equal(t, "42501", msg.(*pgproto3.ErrorResponse).Code)
	msg, err = hj.Frontend.Receive()
	require.NoError(t, err)
	require.IsType(t, &pgproto3.ReadyForQuery{}, msg)
}

func TestOpaqueIsRefusedButASyntaxErrorIsTheServersOwnWhereARuleAllowsIt(t *testing.T) {
	r := newRig(t, rigConfig{})
	conn := r.connect(t, "&default_query_exec_mode=simple_protocol")
	_, err := conn.Exec(t.Context(), "selct 1")
	var pe *pgconn.PgError
	require.True(t, errors.As(err, &pe), "%v", err)
	require.Equal(t, "42601", pe.Code)
	require.Equal(t, `syntax error at or near "selct"`, pe.Message)
}

var _ = context.Background
