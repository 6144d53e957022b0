package postgres_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
)

// The memory of an operation that is over is used again. Whatever a client
// pipelines, each operation ends once and with what came back for it: here
// each asks for a number of its own.
func TestOperationsAreNotMixedUp(t *testing.T) {
	var mu sync.Mutex
	ended := map[uint64]string{} // by the operation's number
	mixed := []string{}
	watch := middleware.Step{Name: "watch", Event: func(_ context.Context, e *protocol.Event) error {
		if e.Kind != protocol.Ended || e.Op.Verb != "select" || e.Op.Prepare {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		asked := strings.TrimPrefix(e.Op.Text, "select ")
		if len(e.Op.Args) == 1 {
			asked = e.Op.Args[0].Text
		}
		if was, again := ended[e.Op.ID]; again {
			mixed = append(mixed, fmt.Sprintf("operation %d ended as %s and as %s", e.Op.ID, was, asked))
		}
		ended[e.Op.ID] = asked + " " + string(e.Outcome.Status)
		if n, _ := strconv.ParseInt(asked, 10, 64); e.Outcome.Status == protocol.StatusOK && (e.Outcome.Rows == 1) != (n%2 == 0) {
			mixed = append(mixed, fmt.Sprintf("%s ended with %d rows", asked, e.Outcome.Rows))
		}
		return nil
	}}
	r := newRig(t, rigConfig{steps: []middleware.Step{watch}})
	hj := rawSession(t, r, "")
	require.NoError(t, hj.Conn.SetDeadline(time.Now().Add(60*time.Second)))
	out := seen(t, hj, 1, &pgproto3.Parse{Name: "s", Query: "select $1::int where $1::int % 2 = 0"}, &pgproto3.Sync{})
	require.NotContains(t, out, "error")

	rnd := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	next, rounds, count := 0, 600, map[string]int{}
	if testing.Short() {
		rounds = 100
	}
	number := func(even bool) int {
		next++
		n := next * 2
		if !even {
			n++
		}
		return n
	}
	for range rounds {
		var msgs []pgproto3.FrontendMessage
		want := map[string]bool{}
		ready := 0
		open := false
		for range 1 + rnd.IntN(12) {
			portal := []string{"", "", "p"}[rnd.IntN(3)]
			switch rnd.IntN(9) {
			case 0, 1, 2: // a row, or none
				n := number(rnd.IntN(3) > 0)
				msgs = append(msgs, &pgproto3.Bind{DestinationPortal: portal, PreparedStatement: "s", Parameters: [][]byte{[]byte(strconv.Itoa(n))}},
					&pgproto3.Execute{Portal: portal})
				want[strconv.Itoa(n)] = n%2 == 0
				open = true
			case 3: // perhaps of one that is over
				msgs = append(msgs, &pgproto3.Execute{Portal: portal})
				open = true
			case 4:
				n := number(true)
				msgs = append(msgs, &pgproto3.Parse{Query: "select " + strconv.Itoa(n)}, &pgproto3.Bind{DestinationPortal: portal}, &pgproto3.Execute{Portal: portal})
				want[strconv.Itoa(n)] = true
				open = true
			case 5:
				n := number(true)
				if open {
					msgs, ready = append(msgs, &pgproto3.Sync{}), ready+1
				}
				msgs, ready, open = append(msgs, query("select "+strconv.Itoa(n))), ready+1, false
				want[strconv.Itoa(n)] = true
			case 6:
				msgs = append(msgs, &pgproto3.Close{ObjectType: 'P', Name: portal})
				open = true
			case 7:
				msgs = append(msgs, &pgproto3.Bind{PreparedStatement: "s", Parameters: [][]byte{[]byte("not a number")}})
				open = true
			default:
				msgs, ready, open = append(msgs, &pgproto3.Sync{}), ready+1, false
			}
		}
		msgs, ready = append(msgs, &pgproto3.Sync{}), ready+1
		for _, m := range msgs {
			hj.Frontend.Send(m)
			if rnd.IntN(4) == 0 { // answers come in between
				require.NoError(t, hj.Frontend.Flush())
				time.Sleep(time.Duration(rnd.IntN(200)) * time.Microsecond)
			}
		}
		require.NoError(t, hj.Frontend.Flush())
		var rows []string
		for ready > 0 {
			m, err := hj.Frontend.Receive()
			require.NoError(t, err)
			switch m := m.(type) {
			case *pgproto3.DataRow:
				got := string(m.Values[0])
				require.True(t, want[got], "a row that was not asked for: %s", got)
				rows = append(rows, got+" ok")
			case *pgproto3.ReadyForQuery:
				ready--
			}
		}
		mu.Lock()
		ends := slices.Collect(maps.Values(ended))
		clear(ended)
		mu.Unlock()
		require.Subset(t, ends, rows)
		for _, e := range ends {
			if asked, ok := strings.CutSuffix(e, " ok"); ok { // what the target skips may be asked for again
				count[asked]++
			}
		}
	}
	mu.Lock()
	defer mu.Unlock()
	require.Empty(t, mixed)
	for asked, n := range count {
		require.LessOrEqual(t, n, 1, asked)
	}
	require.Greater(t, len(count), rounds)
}
