package mysql_test

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
	driver "github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
	connector "github.com/sallyport-dev/gateway/protocol/mysql"
)

// holding holds what has a word in it until somebody sends a decision.
type holding struct {
	asked   atomic.Int32
	waits   chan context.Context // of who begins to wait
	decides chan protocol.Decision
}

func newHolding() *holding {
	return &holding{waits: make(chan context.Context, 10), decides: make(chan protocol.Decision)}
}

func (h *holding) hold(*protocol.Operation) protocol.Decision {
	h.asked.Add(1)
	return protocol.Hold("ticket-7", "two people look at it", func(ctx context.Context) (protocol.Decision, error) {
		h.waits <- ctx
		select {
		case d := <-h.decides:
			return d, nil
		case <-ctx.Done():
			return protocol.Decision{}, context.Cause(ctx)
		}
	})
}

// impatient starts a gateway whose clients wait but for a moment.
func impatient(t *testing.T, h *holding) (*rig, *sql.Conn) {
	r := newRig(t, rigConfig{server: &connector.Server{Version: "5.5.5-10.11.14-MariaDB", HoldTimeout: time.Millisecond},
		steps: rulesOf("held", h.hold)})
	conn, err := r.connect(t).Conn(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return r, conn
}

// TestHeldStatementIsAskedForAgain tells a client that waits for long, serves it
// on meanwhile, and runs what it asks for again once.
func TestHeldStatementIsAskedForAgain(t *testing.T) {
	h := newHolding()
	r, conn := impatient(t, h)
	insert := func(args ...any) error {
		_, err := conn.ExecContext(t.Context(), "INSERT INTO orders (item, amount) VALUES ('held', ?)", args...)
		return err
	}
	for range 3 { // it waits for the same decision each time
		err := insert(1)
		require.EqualValues(t, 1227, number(t, err))
		require.ErrorContains(t, err, "two people look at it")
		require.ErrorContains(t, err, "request ticket-7")
		require.ErrorContains(t, err, "send the same again")
		var n int
		require.NoError(t, conn.QueryRowContext(t.Context(), "SELECT 7").Scan(&n))
	}
	<-h.waits
	require.EqualValues(t, 1, h.asked.Load())
	require.Error(t, insert(2), "another argument is another request")
	<-h.waits
	require.EqualValues(t, 2, h.asked.Load())
	require.NotContains(t, mytestLog(t, r), "held")
	h.decides <- protocol.Allow("somebody") // one of both
	h.decides <- protocol.Allow("somebody")
	require.NoError(t, retry(insert, 1))
	require.Equal(t, 1, strings.Count(mytestLog(t, r), "held"))
	require.Error(t, insert(1), "it was approved once")
	<-h.waits
	h.decides <- protocol.Deny("not on a Friday")
	require.ErrorContains(t, retry(insert, 1), "not on a Friday")
	require.Equal(t, 1, strings.Count(mytestLog(t, r), "held"))
}

// TestHeldStatementMeansWhatItMeant approves a statement and changes what it
// refers to before it is sent again.
func TestHeldStatementMeansWhatItMeant(t *testing.T) {
	h := newHolding()
	r, conn := impatient(t, h)
	exec := func(text string, args ...any) error {
		_, err := conn.ExecContext(t.Context(), text, args...)
		return err
	}
	const text = "UPDATE orders SET item = CONCAT('held', @what) WHERE id = 1"
	require.NoError(t, exec("SET @what = 'as shown'"))
	require.Error(t, exec(text))
	<-h.waits
	h.decides <- protocol.Allow("somebody")
	require.NoError(t, exec("BEGIN"))
	require.NoError(t, exec("ROLLBACK"))
	require.NoError(t, exec("SET @what = 'as not shown'"))
	require.ErrorContains(t, exec(text), "nobody has decided yet")
	require.EqualValues(t, 2, h.asked.Load())
	require.NotContains(t, mytestLog(t, r), "held")
	<-h.waits
	h.decides <- protocol.Allow("somebody")
	require.NoError(t, retry(func(...any) error { return exec(text) }, nil))
	require.Contains(t, mytestLog(t, r), "heldas not shown")

	// The bytes of an argument are another value as another type.
	const with = "UPDATE orders SET item = CONCAT('held', ?) WHERE id = 1"
	require.Error(t, exec(with, int64(math.Float64bits(2.5))))
	<-h.waits
	h.decides <- protocol.Allow("somebody")
	asked := h.asked.Load()
	require.ErrorContains(t, exec(with, 2.5), "nobody has decided yet")
	require.Equal(t, asked+1, h.asked.Load())
	require.NotContains(t, mytestLog(t, r), "held2.5")
}

// retry runs f until it is told something else than that nobody has decided yet.
func retry(f func(...any) error, arg any) error {
	for {
		if err := f(arg); err == nil || !strings.Contains(err.Error(), "nobody has decided yet") {
			return err
		}
	}
}

// TestHeldStatementsEndWithTheirSession leaves while some wait, one of which is
// allowed.
func TestHeldStatementsEndWithTheirSession(t *testing.T) {
	h := newHolding()
	r, conn := impatient(t, h)
	var waits []context.Context
	for _, text := range []string{"DELETE FROM orders WHERE item = 'held 1'", "DELETE FROM orders WHERE item = 'held 2'", "SELECT 'held 3'"} {
		_, err := conn.ExecContext(t.Context(), text)
		require.ErrorContains(t, err, "nobody has decided yet")
		waits = append(waits, <-h.waits)
	}
	h.decides <- protocol.Allow("somebody")
	require.NoError(t, conn.Raw(func(c any) error { return c.(interface{ Close() error }).Close() }))
	for _, w := range waits {
		<-w.Done()
	}
	require.NotContains(t, mytestLog(t, r), "held")
}

// TestTooManyHeldStatements fills what may wait.
func TestTooManyHeldStatements(t *testing.T) {
	h := newHolding()
	h.waits = make(chan context.Context, 100)
	_, conn := impatient(t, h)
	for i := range 20 {
		_, err := conn.ExecContext(t.Context(), "SELECT 'held', "+strings.Repeat("1+", i)+"1")
		want := "nobody has decided yet"
		if i >= 16 {
			want = "too much of this session waits already"
		}
		require.ErrorContains(t, err, want)
	}
}

// TestLargeStatementsWaitWithTheirClientOnly keeps memory from being filled with
// what nobody may ask for again.
func TestLargeStatementsWaitWithTheirClientOnly(t *testing.T) {
	h := newHolding()
	_, conn := impatient(t, h)
	_, err := conn.ExecContext(t.Context(), "SELECT 'held', '"+strings.Repeat("x", 1<<20)+"'")
	require.ErrorContains(t, err, "too much of this session waits already")
}

// TestKillQueryWithdrawsWhatIsHeld is Ctrl-C of the mysql client: KILL QUERY over
// a second connection, with the id that the first was greeted with.
func TestKillQueryWithdrawsWhatIsHeld(t *testing.T) {
	h := newHolding()
	r := newRig(t, rigConfig{steps: rulesOf("held", h.hold)})
	conn, err := r.connect(t).Conn(t.Context())
	require.NoError(t, err)
	defer conn.Close()
	done := make(chan error, 1)
	go func() {
		_, err := conn.ExecContext(t.Context(), "DELETE FROM orders WHERE item = 'held'")
		done <- err
	}()
	<-h.waits
	_, err = r.connect(t).Exec("KILL QUERY 2147483649") // the first session of this gateway
	require.NoError(t, err)
	err = <-done
	require.EqualValues(t, 1317, number(t, err))
	require.ErrorContains(t, err, "withdrawn; it did not run")
	var n int
	require.NoError(t, conn.QueryRowContext(t.Context(), "SELECT 7").Scan(&n))
}

// TestClosedConnectionWithdrawsWhatIsHeld leaves without a word.
func TestClosedConnectionWithdrawsWhatIsHeld(t *testing.T) {
	h := newHolding()
	r := rawSide(t, rigConfig{steps: rulesOf("held", h.hold)})
	c := rawLogin(t, r.addr, "alice@my", rawPassword, "shop", rawCaps)
	c.seq = 0
	require.NoError(t, c.write([]byte("\x03DELETE FROM orders WHERE item = 'held'")))
	ctx := <-h.waits
	require.NoError(t, c.Close())
	<-ctx.Done()
	require.ErrorIs(t, context.Cause(ctx), protocol.ErrClientGone)
}

// TestClientThatGivesUpReading is told before it does so.
func TestClientThatGivesUpReading(t *testing.T) {
	h := newHolding()
	r := newRig(t, rigConfig{server: &connector.Server{HoldTimeout: 10 * time.Millisecond}, steps: rulesOf("held", h.hold)})
	db := r.connect(t, func(c *driver.Config) { c.ReadTimeout = time.Minute })
	_, err := db.Exec("DELETE FROM orders WHERE item = 'held'")
	require.ErrorContains(t, err, "request ticket-7")
	require.NoError(t, db.Ping())
}

// TestIDsAreTheClientsOwn checks that the id of the greeting is what KILL takes.
func TestIDsAreTheClientsOwn(t *testing.T) {
	r := rawSide(t, rigConfig{})
	c := rawLogin(t, r.addr, "alice@my", rawPassword, "shop", rawCaps)
	answer := c.ask(append([]byte{0x0c}, binary.LittleEndian.AppendUint32(nil, 4000000000)...))
	require.Contains(t, string(answer[0]), "Unknown thread id: 4000000000")
}

// TestFetchShowsTheCursorsArguments: whoever is asked about rows of a cursor reads what
// it was opened with, too.
func TestFetchShowsTheCursorsArguments(t *testing.T) {
	asked := make(chan string, 10)
	r := rawSide(t, rigConfig{steps: []middleware.Step{{Name: "see", Operation: func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
		if op.Verb == "fetch" {
			asked <- fmt.Sprint(op.Args[0].Text, " of ", len(op.Args), ", ", len(op.Raw))
		}
		return protocol.Pass, nil
	}}}})
	c := rawLogin(t, r.addr, "alice", rawPassword, "my/shop", rawCaps)
	c.ask(command(mysql.COM_STMT_PREPARE, "select name from customers where id >= ? order by id"))
	c.ask(execution(1, 1, "2"))
	require.Contains(t, brief(c.ask(fetchOf(1))), "Bob")
	require.Equal(t, "2 of 1, 1", <-asked)
	c.ask(execution(1, 1, "3"))
	require.Contains(t, brief(c.ask(fetchOf(1))), "Eve")
	require.Equal(t, "3 of 1, 1", <-asked)
}
