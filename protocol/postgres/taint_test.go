package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol/internal/pgsql/querygen"
	"github.com/sallyport-dev/gateway/protocol/postgres"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/pgtest"
)

var (
	taintQueries = flag.Int("taint.queries", map[bool]int{false: 400, true: 100}[postgres.RaceDetector], "how many random queries TestTaint asks")
	taintSeed    = flag.Uint64("taint.seed", 1, "the seed of its first query")
	taintClients = flag.Int("taint.clients", 2, "how many sessions ask them")
)

// An answer is what came back for one query: rows of text, or an error.
type answer struct {
	rows  [][][]byte
	bytes []byte // of COPY
	err   error
}

// A way is one of the ways to ask a query.
type way struct {
	name string
	own  bool // the answer is not the query's rows
	dark bool // what comes back is of unknown origin
	ask  func(ctx context.Context, conn *pgconn.PgConn, query string) answer
}

func texts(ctx context.Context, conn *pgconn.PgConn, text string) answer {
	results, err := conn.Exec(ctx, text).ReadAll()
	a := answer{err: err}
	for _, r := range results {
		a.rows = append(a.rows, r.Rows...)
	}
	return a
}

func extended(ctx context.Context, conn *pgconn.PgConn, text string) answer {
	r := conn.ExecParams(ctx, text, nil, nil, nil, nil).Read()
	return answer{rows: r.Rows, err: r.Err}
}

func copied(ctx context.Context, conn *pgconn.PgConn, text string) answer {
	var b bytes.Buffer
	_, err := conn.CopyTo(ctx, &b, text)
	return answer{bytes: b.Bytes(), err: err}
}

// within asks texts in a transaction of their own, one after the other, until one
// fails.
func within(ctx context.Context, conn *pgconn.PgConn, list ...string) (a answer) {
	for _, text := range append([]string{"BEGIN"}, list...) {
		one := texts(ctx, conn, text)
		if a.rows = append(a.rows, one.rows...); one.err != nil {
			a.err = one.err
			break
		}
	}
	for _, text := range []string{"ROLLBACK", "DEALLOCATE ALL"} {
		if end := texts(ctx, conn, text); a.err == nil {
			a.err = end.err
		}
	}
	return a
}

var ways = []way{
	{"simple", false, false, texts},
	{"extended", false, false, extended},
	{"cursor", false, false, func(ctx context.Context, conn *pgconn.PgConn, q string) answer {
		return within(ctx, conn, "DECLARE c CURSOR FOR "+q, "FETCH 2 FROM c", "FETCH ALL FROM c")
	}},
	{"prepared", false, false, func(ctx context.Context, conn *pgconn.PgConn, q string) answer {
		return within(ctx, conn, "PREPARE p AS "+q, "EXECUTE p")
	}},
	{"inserted", false, true, func(ctx context.Context, conn *pgconn.PgConn, q string) answer {
		return within(ctx, conn, "CREATE TEMP TABLE kept AS "+q, "SELECT * FROM kept")
	}},
	{"view", false, true, func(ctx context.Context, conn *pgconn.PgConn, q string) answer {
		return within(ctx, conn, "CREATE VIEW v (a) AS SELECT * FROM ("+q+") q", "SELECT * FROM v")
	}},
	{"explained", true, false, func(ctx context.Context, conn *pgconn.PgConn, q string) answer {
		return texts(ctx, conn, "EXPLAIN (ANALYZE, VERBOSE) "+q)
	}},
	{"copied", false, false, func(ctx context.Context, conn *pgconn.PgConn, q string) answer {
		return copied(ctx, conn, "COPY ("+q+") TO STDOUT")
	}},
	{"returned", false, false, func(ctx context.Context, conn *pgconn.PgConn, q string) answer {
		return within(ctx, conn, "WITH gone AS (DELETE FROM sales WHERE id = 1 RETURNING *) SELECT q.* FROM ("+q+") q, gone")
	}},
}

// shows returns a value of the answer that shows a mark, or "".
func (a *answer) shows(own bool) string {
	for _, row := range a.rows {
		for _, v := range row {
			if !own && querygen.Shows(v) || own && querygen.Tells(v) {
				return string(v)
			}
		}
	}
	if querygen.Tells(a.bytes) || !own && querygen.Shows(a.bytes) {
		return string(a.bytes)
	}
	var pe *pgconn.PgError
	if errors.As(a.err, &pe) {
		if text := fmt.Sprintf("%+v", *pe); querygen.Tells([]byte(text)) {
			return text
		}
	} else if a.err != nil {
		return "no answer: " + a.err.Error()
	}
	return ""
}

func (a *answer) code() string {
	var pe *pgconn.PgError
	if errors.As(a.err, &pe) {
		return pe.Code
	}
	return ""
}

// tainted starts a gateway that masks the columns with marks. All that is asked
// through it is allowed.
func tainted(t *testing.T) *rig {
	marks := mask.Rule{Name: "marks", Columns: querygen.Masked, Transform: mask.Redact()}
	members := mask.Rule{Name: "members", Columns: querygen.Documents, Members: querygen.Members, Transform: mask.Redact()}
	// To plan such a query well, or to compile it, costs far more than to run it over
	// these few rows.
	options := []pgtest.Option{pgtest.SQL(querygen.Schema)}
	for _, name := range []string{"join_collapse_limit", "from_collapse_limit"} {
		options = append(options, pgtest.Setting(name, "1"))
	}
	return newRig(t, rigConfig{steps: []middleware.Step{middleware.Mask(marks, members)}, pg: append(options, pgtest.Setting("jit", "off"), pgtest.Setting("max_parallel_workers_per_gather", "0"))})
}

// TestTaint asks random queries in all ways through a gateway. No mark comes
// back, whatever is made of it; and what is asked of columns without marks comes
// back as it is, but for a few in which a type is not followed. -taint.queries=1000000 asks more.
func TestTaint(t *testing.T) {
	r := tainted(t)
	var next, answered, refused, failed, clean, over atomic.Int64
	var wg sync.WaitGroup
	for range *taintClients {
		direct, err := pgconn.Connect(t.Context(), r.pg.SuperuserDSN())
		require.NoError(t, err)
		through, err := pgconn.Connect(t.Context(), r.dsn(""))
		require.NoError(t, err)
		wg.Go(func() {
			defer direct.Close(context.Background())
			defer func() { through.Close(context.Background()) }()
			for _, c := range []*pgconn.PgConn{direct, through} {
				if a := texts(t.Context(), c, "SET statement_timeout = '2s'"); a.err != nil {
					t.Error(a.err)
					return
				}
			}
			for !t.Failed() {
				n := int(next.Add(1)) - 1
				if n >= *taintQueries {
					return
				}
				seed := *taintSeed + uint64(n)
				m := querygen.New(seed)
				w := ways[seed/4%2] // the others cost more
				if k := seed / 4 % 32; k < uint64(len(ways)) {
					w = ways[k]
				}
				m.Clean = seed%4 == 0
				q := m.Query(1 + int(seed%3))
				got := w.ask(t.Context(), through, q)
				var want answer // matters where nothing is masked, or nothing came back
				if m.Clean || got.err != nil {
					want = w.ask(t.Context(), direct, q)
				}
				if shown := got.shows(w.own); shown != "" {
					t.Errorf("seed %d, %s: a mark came back: %.300s\n%s", seed, w.name, shown, q)
				}
				switch {
				case want.err != nil || want.code() == "57014" || got.code() == "57014":
					failed.Add(1)
				case m.Clean:
					clean.Add(1)
					if got.err != nil || !w.own && !w.dark && fmt.Sprintf("%q", want.rows) != fmt.Sprintf("%q", got.rows) || !bytes.Equal(want.bytes, got.bytes) {
						over.Add(1)
						t.Logf("seed %d, %s: nothing here has a mark, but the answer is another: %v\n%.300q\n%.300q\n%s", seed, w.name, got.err, want.rows, got.rows, q)
					}
				case got.err == nil:
					answered.Add(1)
				default:
					refused.Add(1)
					if testing.Verbose() && *taintQueries <= 2000 {
						t.Logf("refused, %s: %v\n%s", w.name, got.err, q)
					}
				}
			}
		})
	}
	wg.Wait()
	t.Logf("of %d queries %d fail on the server, %d have no marks, of which %d were masked all the same or refused, %d were answered with masks, %d refused",
		*taintQueries, failed.Load(), clean.Load(), over.Load(), answered.Load(), refused.Load())
	require.LessOrEqual(t, over.Load(), clean.Load()/100, "what has no marks is the server's own answer")
	require.Greater(t, answered.Load(), int64(*taintQueries/20))
	require.Greater(t, clean.Load(), int64(*taintQueries/20))
}
