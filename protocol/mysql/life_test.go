package mysql_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
)

// rules refuses or holds what has a word in it.
func rules(decide map[string]func(*protocol.Operation) protocol.Decision) middleware.Step {
	return middleware.Step{Name: "rules", Operation: func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
		for word, f := range decide {
			if strings.Contains(op.Text, word) && !op.Prepare {
				return f(op), nil
			}
		}
		return protocol.Pass, nil
	}}
}

func number(t testing.TB, err error) uint16 {
	t.Helper()
	var e *driver.MySQLError
	require.ErrorAs(t, err, &e)
	return e.Number
}

// TestDenialLeavesTheSessionAsItIs denies in a transaction, one of several
// statements, and an execution.
func TestDenialLeavesTheSessionAsItIs(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{rules(map[string]func(*protocol.Operation) protocol.Decision{
		"forbidden": func(*protocol.Operation) protocol.Decision { return protocol.Deny("frozen until Monday") }})}})
	db := r.connect(t)
	var n int
	tx, err := db.Begin()
	require.NoError(t, err)
	_, err = tx.Exec("INSERT INTO orders (item) VALUES ('kept')")
	require.NoError(t, err)
	_, err = tx.Exec("INSERT INTO orders (item) VALUES ('forbidden')")
	require.EqualValues(t, 1227, number(t, err))
	require.ErrorContains(t, err, "frozen until Monday")
	_, err = tx.Exec("INSERT INTO orders (item) VALUES ('first'); INSERT INTO orders (item) VALUES ('forbidden')")
	require.EqualValues(t, 1227, number(t, err))
	require.NoError(t, tx.Commit())
	require.NoError(t, db.QueryRow("SELECT COUNT(*) FROM orders WHERE item IN ('kept', 'first')").Scan(&n))
	require.Equal(t, 1, n)
	stmt, err := db.Prepare("SELECT 'forbidden' WHERE 1 = ?")
	require.NoError(t, err)
	_, err = stmt.Query(1)
	require.EqualValues(t, 1227, number(t, err))
	require.NoError(t, db.QueryRow("SELECT 7").Scan(&n))
	require.NotContains(t, mytestLog(t, r), "forbidden")
}

func mytestLog(t testing.TB, r *rig) string {
	t.Helper()
	out, err := r.db.Exec(t.Context(), "SELECT GROUP_CONCAT(IFNULL(item, '')) FROM shop.orders")
	require.NoError(t, err)
	return out
}

// TestHeldExecutionRunsOnceWithItsArguments holds a prepared execution and then
// allows it.
func TestHeldExecutionRunsOnceWithItsArguments(t *testing.T) {
	held := make(chan []protocol.Arg, 1)
	answer := make(chan protocol.Decision, 1)
	r := newRig(t, rigConfig{steps: []middleware.Step{rules(map[string]func(*protocol.Operation) protocol.Decision{
		"INSERT": func(op *protocol.Operation) protocol.Decision {
			args := append([]protocol.Arg{}, op.Args...)
			return protocol.Hold("ticket-1", "look at it", func(ctx context.Context) (protocol.Decision, error) {
				held <- args
				select {
				case d := <-answer:
					return d, nil
				case <-ctx.Done():
					return protocol.Decision{}, context.Cause(ctx)
				}
			})
		}})}})
	db := r.connect(t)
	done := make(chan error, 1)
	go func() {
		_, err := db.Exec("INSERT INTO orders (customer, item) VALUES (?, ?)", 5, "held")
		done <- err
	}()
	require.Equal(t, []protocol.Arg{{Text: "5", Type: "bigint"}, {Text: "held", Type: "varchar"}}, <-held)
	require.NotContains(t, mytestLog(t, r), "held")
	answer <- protocol.Allow("somebody")
	require.NoError(t, <-done)
	require.Equal(t, 1, strings.Count(mytestLog(t, r), "held"))
	// A client that is cancelled leaves: nothing runs.
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, err := db.ExecContext(ctx, "INSERT INTO orders (customer, item) VALUES (?, ?)", 6, "gone")
		done <- err
	}()
	<-held
	cancel()
	require.Error(t, <-done)
	require.NotContains(t, mytestLog(t, r), "gone")
}

// TestKillMeansTheClientsOwnSession kills by the id that CONNECTION_ID() says,
// and not another person's.
func TestKillMeansTheClientsOwnSession(t *testing.T) {
	alice, aliceHash := middleware.NewToken()
	bob, bobHash := middleware.NewToken()
	r := newRig(t, rigConfig{identify: middleware.Tokens(
		middleware.Token{Hash: aliceHash, Subject: "alice", Kind: protocol.Human, Groups: []string{"dba"}},
		middleware.Token{Hash: bobHash, Subject: "bob", Kind: protocol.Human, Groups: []string{"dba"}})})
	r.token = alice.Reveal()
	slow, other := r.connect(t), r.connect(t)
	stranger := r.connect(t, func(c *driver.Config) { c.Passwd = bob.Reveal() })
	var id, own int
	require.NoError(t, slow.QueryRow("SELECT CONNECTION_ID()").Scan(&id))
	require.NoError(t, other.QueryRow("SELECT CONNECTION_ID()").Scan(&own))
	require.NotEqual(t, id, own)
	done := make(chan error, 1)
	go func() {
		var n int
		done <- slow.QueryRow("SELECT SLEEP(30) FROM orders").Scan(&n)
	}()
	require.Eventually(t, func() bool {
		out, err := r.db.Exec(t.Context(), "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE STATE = 'User sleep'")
		return err == nil && strings.TrimSpace(out) == "1"
	}, 20*time.Second, 20*time.Millisecond)
	_, err := other.Exec(fmt.Sprintf("KILL QUERY %d", id))
	require.NoError(t, err)
	require.EqualValues(t, 1317, number(t, <-done))
	_, err = other.Exec("KILL QUERY 4000000000")
	require.EqualValues(t, 1094, number(t, err), "an id of the gateway's that nobody has")
	for id := uint32(1<<31 + 1); id <= 1<<31+2; id++ { // those two
		_, err = stranger.Exec(fmt.Sprintf("KILL %d", id))
		require.EqualValues(t, 1094, number(t, err), "another person's")
	}
	require.NoError(t, other.Ping(), "somebody else's was killed")
	require.NoError(t, slow.Ping())
	_, err = other.Exec(fmt.Sprintf("KILL %d", id))
	require.NoError(t, err)
	require.Error(t, slow.Ping())
	// Among other statements, by the id that a client is greeted with.
	last := r.connect(t)
	require.NoError(t, last.Ping())
	kill := fmt.Sprintf("DO 0; KILL %d; DO 0", uint32(1<<31+4))
	_, err = stranger.Exec(kill)
	require.EqualValues(t, 1094, number(t, err), "another person's")
	require.NoError(t, last.Ping())
	_, err = other.Exec(kill)
	require.NoError(t, err)
	require.Error(t, last.Ping())
}

// TestSessionStateIsFollowed changes what a text means.
func TestSessionStateIsFollowed(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{maskShop()}})
	db := r.connect(t)
	query := func(text string) string {
		got, err := everything(db, text)
		require.NoError(t, err, text)
		return got
	}
	require.Equal(t, "email|\n", query(`SELECT "email" FROM customers WHERE id = 1`))
	query("SET sql_mode = 'ANSI_QUOTES'")
	require.Equal(t, "***|\n", query(`SELECT "email" FROM customers WHERE id = 1`))
	prepared, err := db.Prepare(`SELECT "email" FROM customers WHERE id = 1`)
	require.NoError(t, err)
	got, err := everything(preparedQuery{prepared}, "")
	require.NoError(t, err)
	require.Equal(t, "***|\n", got)
	query("SET sql_mode = ''")
	got, err = everything(preparedQuery{prepared}, "")
	require.Error(t, err, "it was read otherwise than it reads now")
	require.Empty(t, secretsIn(got))
	query("USE mysql")
	require.Equal(t, "***|\n", query("SELECT email FROM shop.customers WHERE id = 1"))
	_, err = everything(db, "SELECT email FROM customers WHERE id = 1")
	require.Error(t, err)
	query("USE shop")
	require.Equal(t, "London|\n", query("SELECT city FROM customers WHERE id = 1"))
}

// TestLocalFilesAreRefused asks for a file of the client's.
func TestLocalFilesAreRefused(t *testing.T) {
	r := newRig(t, rigConfig{})
	driver.RegisterLocalFile("/etc/hostname")
	_, err := r.connect(t).Exec("LOAD DATA LOCAL INFILE '/etc/hostname' INTO TABLE orders (item)")
	require.Error(t, err)
	out, err := r.mariadb(t, "", "--local-infile=1", "-e", "LOAD DATA LOCAL INFILE '/etc/hostname' INTO TABLE orders (item)")
	require.Error(t, err, out)
}

// TestArgumentsOfEachType sends and reads values of all kinds with prepared
// statements, also with masks that look at each row.
func TestArgumentsOfEachType(t *testing.T) {
	look := middleware.Step{Name: "look", Operation: func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
		if op.Shape&protocol.Rows == 0 {
			return protocol.Pass, nil
		}
		return protocol.Pass, op.OnRows(func([]protocol.Column) (protocol.RowFunc, error) {
			return func(row [][]byte) error {
				for i := range row { // the same values, but not the same bytes
					if row[i] != nil {
						row[i] = append([]byte{}, row[i]...)
					}
				}
				return nil
			}, nil
		})
	}}
	for _, steps := range [][]middleware.Step{nil, {look}} {
		r := newRig(t, rigConfig{steps: steps})
		db := r.connect(t)
		_, err := db.Exec("CREATE TABLE kinds (a TINYINT, b SMALLINT UNSIGNED, c MEDIUMINT, d INT, e BIGINT UNSIGNED, f FLOAT, g DOUBLE, h DECIMAL(10,3), i DATE, j DATETIME(6), k TIME, l YEAR, m BLOB, n TEXT, o BIT(8), p ENUM('x','y'))")
		require.NoError(t, err)
		in := []any{-7, 65535, -8388608, -1, uint64(1<<64 - 1), 1.5, 2.25, "12.345", "2020-01-02", "2020-01-02 03:04:05", "-01:02:03", 1999, []byte{0, 255}, "é", []byte{1}, "y"}
		_, err = db.Exec("INSERT INTO kinds VALUES ("+strings.TrimSuffix(strings.Repeat("?,", len(in)), ",")+")", in...)
		require.NoError(t, err)
		_, err = db.Exec("INSERT INTO kinds VALUES (" + strings.TrimSuffix(strings.Repeat("NULL,", len(in)), ",") + ")")
		require.NoError(t, err)
		const want = "-7|65535|-8388608|-1|18446744073709551615|1.5|2.25|12.345|2020-01-02|2020-01-02 03:04:05.000000|-01:02:03|1999|\x00\xff|é|\x01|y|\n||||||||||||||||\n"
		got, err := everything(db, "SELECT * FROM kinds")
		require.NoError(t, err)
		require.Equal(t, want, got)
		stmt, err := db.Prepare("SELECT * FROM kinds")
		require.NoError(t, err)
		got, err = everything(preparedQuery{stmt}, "")
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

// rulesOf decides with f about what has a word in it.
func rulesOf(word string, f func(*protocol.Operation) protocol.Decision) []middleware.Step {
	return []middleware.Step{rules(map[string]func(*protocol.Operation) protocol.Decision{word: f})}
}
