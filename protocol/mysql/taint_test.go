package mysql_test

import (
	"database/sql"
	"flag"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol/internal/mysqlsql/querygen"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
)

var (
	taintQueries = flag.Int("taint.queries", 400, "how many random queries TestTaint asks")
	taintSeed    = flag.Uint64("taint.seed", 1, "the seed of its first query")
	taintClients = flag.Int("taint.clients", 2, "how many sessions ask them")
)

// quoted returns text as a string of SQL.
func quoted(text string) string {
	return "'" + strings.ReplaceAll(strings.ReplaceAll(text, `\`, `\\`), "'", "''") + "'"
}

// A way is one of the ways to ask a query. own says that the answer is not the
// query's rows.
type way struct {
	name string
	own  bool
	ask  func(db *sql.DB, query string) (string, error)
}

func inSteps(list ...string) func(*sql.DB, string) (string, error) {
	return func(db *sql.DB, query string) (seen string, failed error) {
		for _, text := range list {
			text = strings.ReplaceAll(text, "QUOTED", quoted(query))
			got, err := everything(db, strings.ReplaceAll(text, "QUERY", query))
			if seen += got; err != nil && failed == nil {
				failed = err
			}
		}
		return seen, failed
	}
}

var ways = []way{
	{"text", false, inSteps("QUERY")},
	{"prepared", false, func(db *sql.DB, query string) (string, error) {
		s, err := db.Prepare(query)
		if err != nil {
			return err.Error(), err
		}
		defer s.Close()
		return everything(preparedQuery{s}, "")
	}},
	{"prepared in SQL", false, inSteps("PREPARE s FROM QUOTED", "EXECUTE s", "DEALLOCATE PREPARE s")},
	{"immediate", false, inSteps("EXECUTE IMMEDIATE QUOTED")},
	{"temporary", false, inSteps("CREATE TEMPORARY TABLE kept AS QUERY", "SELECT * FROM kept", "DROP TEMPORARY TABLE kept")},
	{"block", false, inSteps("BEGIN NOT ATOMIC QUERY; END")},
	{"explained", true, inSteps("EXPLAIN FORMAT=JSON QUERY", "EXPLAIN EXTENDED QUERY", "SHOW WARNINGS")},
	{"analyzed", true, inSteps("ANALYZE FORMAT=JSON QUERY")},
	{"returned", false, inSteps("DELETE FROM sales WHERE id = 0 RETURNING *", "DELETE FROM sales WHERE id = 0 RETURNING (SELECT COUNT(*) FROM (QUERY) q)")},
	{"variable", false, inSteps("SET @a = NULL", "SELECT * FROM (QUERY) q LIMIT 1 INTO @a", "SELECT @a")},
	{"argument", false, inSteps("SET @a = NULL", "CALL gives((SELECT * FROM (QUERY) q LIMIT 1), @a)", "EXECUTE IMMEDIATE 'SELECT ?' USING @a")},
	{"identity", true, inSteps("CALL keeps((SELECT * FROM (QUERY) q LIMIT 1))", "SELECT LAST_INSERT_ID()")},
}

// rows are those of an answer in an order that tells nothing: few of the queries have
// one.
func rows(answer string) string {
	lines := strings.Split(answer, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// TestTaint asks random queries in all ways through a gateway. No mark comes
// back, whatever is made of it; and what is asked of columns without marks comes
// back as it is. -taint.queries=1000000 asks more.
func TestTaint(t *testing.T) {
	marks := mask.Rule{Name: "marks", Columns: querygen.Masked, Transform: mask.Redact()}
	members := mask.Rule{Name: "members", Columns: querygen.Documents, Members: querygen.Members, Transform: mask.Redact()}
	r := newRig(t, rigConfig{steps: []middleware.Step{middleware.Mask(marks, members)}, maria: servers.MariaDBConfig{SQL: querygen.Schema}})
	c := mysql.NewConfig()
	c.User, c.Passwd, c.Net, c.Addr, c.DBName = r.db.Superuser.User, r.db.Superuser.Secret.Reveal(), "tcp", r.db.Addr, "gen"
	direct, err := mysql.NewConnector(c)
	require.NoError(t, err)
	var next, answered, refused, failed, clean, over atomic.Int64
	var wg sync.WaitGroup
	for range *taintClients {
		own := sql.OpenDB(direct)
		through := r.connect(t, func(c *mysql.Config) { c.DBName = "my/gen" })
		for _, db := range []*sql.DB{own, through} {
			db.SetMaxOpenConns(1)
			db.SetMaxIdleConns(1)
			_, err := db.Exec("SET max_statement_time = 2")
			require.NoError(t, err)
		}
		wg.Go(func() {
			defer own.Close()
			for !t.Failed() {
				n := int(next.Add(1)) - 1
				if n >= *taintQueries {
					return
				}
				seed := *taintSeed + uint64(n)
				m := querygen.New(seed)
				w := ways[seed/4%2] // the others cost more
				if k := seed / 4 % 16; k < uint64(len(ways)) {
					w = ways[k]
				}
				m.Clean = seed%4 == 0
				q := m.Query(1 + int(seed%3))
				got, gotErr := w.ask(through, q)
				var want string // matters where nothing is masked, or nothing came back
				var wantErr error
				if m.Clean || gotErr != nil {
					want, wantErr = w.ask(own, q)
				}
				show := querygen.Shows
				if w.own || gotErr != nil {
					show = querygen.Tells
				}
				// Times of ANALYZE have digits like marks.
				if show([]byte(got)) && !(m.Clean && (got == want || w.own)) {
					t.Errorf("seed %d, %s: a mark came back: %.300s\n%s", seed, w.name, got, q)
				}
				switch {
				case wantErr != nil:
					failed.Add(1)
				case m.Clean:
					clean.Add(1)
					if gotErr != nil || !w.own && rows(got) != rows(want) {
						over.Add(1)
						t.Logf("seed %d, %s: nothing here has a mark, but the answer is another: %v\n%.300q\n%.300q\n%s", seed, w.name, gotErr, want, got, q)
					}
				case gotErr == nil:
					answered.Add(1)
				default:
					refused.Add(1)
					if testing.Verbose() && *taintQueries <= 2000 {
						t.Logf("refused, %s: %v\n%s", w.name, gotErr, q)
					}
				}
			}
		})
	}
	wg.Wait()
	t.Logf("of %d queries %d fail on the server, %d have no marks, of which %d were masked all the same or refused, %d were answered with masks, %d refused",
		*taintQueries, failed.Load(), clean.Load(), over.Load(), answered.Load(), refused.Load())
	require.LessOrEqual(t, over.Load(), clean.Load()/50, "what has no marks is the server's own answer")
	require.Greater(t, answered.Load(), int64(*taintQueries/20))
	require.Greater(t, clean.Load(), int64(*taintQueries/20))
}
