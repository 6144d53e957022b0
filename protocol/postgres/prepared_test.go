package postgres_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol/postgres"
)

// What a session has prepared takes a bounded amount of memory, and whoever
// closes some may go on.
func TestPreparedStatementsAreBounded(t *testing.T) {
	r := newRig(t, rigConfig{server: &postgres.Server{AllowPlaintext: true, MaxPrepared: 1 << 20}})
	sync := &pgproto3.Sync{}
	text := func(i int) string { return fmt.Sprintf("select %d, '%s'", i, strings.Repeat("x", 50<<10)) }
	for name, c := range map[string]struct {
		prepare func(i int) []pgproto3.FrontendMessage
		free    string
	}{
		"Parse": {func(i int) []pgproto3.FrontendMessage {
			return []pgproto3.FrontendMessage{&pgproto3.Parse{Name: fmt.Sprint("s", i), Query: text(i)}, sync}
		}, "deallocate all"},
		"SQL PREPARE": {func(i int) []pgproto3.FrontendMessage {
			return []pgproto3.FrontendMessage{query(fmt.Sprintf("prepare s%d as %s", i, text(i)))}
		}, "discard all"},
		"SQL PREPARE, extended": {func(i int) []pgproto3.FrontendMessage {
			return []pgproto3.FrontendMessage{&pgproto3.Parse{Query: fmt.Sprintf("prepare s%d as %s", i, text(i))}, &pgproto3.Bind{}, &pgproto3.Execute{}, sync}
		}, "discard all"},
		"Bind": {func(i int) []pgproto3.FrontendMessage {
			return []pgproto3.FrontendMessage{&pgproto3.Parse{Query: "select $1::text"},
				&pgproto3.Bind{DestinationPortal: fmt.Sprint("p", i), Parameters: [][]byte{[]byte(text(i))}}, sync}
		}, "rollback"},
		"DECLARE": {func(i int) []pgproto3.FrontendMessage {
			return []pgproto3.FrontendMessage{query(fmt.Sprintf("declare c%d cursor with hold for %s", i, text(i)))}
		}, "rollback; close all"},
	} {
		t.Run(name, func(t *testing.T) {
			hj := rawSession(t, r, "")
			for range 2 {
				if name == "Bind" || name == "DECLARE" {
					seen(t, hj, 1, query("begin"))
				}
				out, n := "", 0
				for ; n < 100 && !strings.Contains(out, "error"); n++ {
					out = seen(t, hj, 1, c.prepare(n)...)
				}
				require.Contains(t, out, "error 53400 the prepared statements and portals of this session take more than the 1048576 bytes")
				require.Greater(t, n, 5)
				require.Less(t, n, 25)
				require.NotContains(t, seen(t, hj, 1, query(c.free)), "error")
				require.Contains(t, seen(t, hj, 1, query("select 'alive'")), "alive")
			}
		})
	}
}

// What is replaced makes room for what comes in its place: a pipeline may be
// longer than the limit, and one message too.
func TestWhatIsReplacedMakesRoom(t *testing.T) {
	r := newRig(t, rigConfig{server: &postgres.Server{AllowPlaintext: true, MaxPrepared: 1 << 20}})
	hj := rawSession(t, r, "")
	sync := &pgproto3.Sync{}
	var msgs []pgproto3.FrontendMessage
	for i := range 100 {
		msgs = append(msgs, &pgproto3.Parse{Query: fmt.Sprintf("select length($1::text), %d, length('%s')", i, strings.Repeat("x", 50<<10))},
			&pgproto3.Bind{Parameters: [][]byte{[]byte(strings.Repeat("y", 50<<10))}}, &pgproto3.Execute{})
	}
	out := seen(t, hj, 1, append(msgs, sync)...)
	require.NotContains(t, out, "error")
	require.Contains(t, out, "row [51200 99 51200]")

	seen(t, hj, 1, query("begin"))
	for range 3 {
		out = seen(t, hj, 1, &pgproto3.Parse{Query: "select length($1::text)"}, &pgproto3.Bind{Parameters: [][]byte{[]byte(strings.Repeat("y", 3<<20))}},
			&pgproto3.Execute{}, sync)
		require.Contains(t, out, "row [3145728]")
	}
}

// DEALLOCATE ALL frees what was prepared before it, not what is prepared
// behind it in the same text or pipeline.
func TestPreparedBehindDeallocateAll(t *testing.T) {
	r := newRig(t, rigConfig{})
	for name, msgs := range map[string][]pgproto3.FrontendMessage{
		"text": {query("deallocate all; prepare a as select 'again'"), query("execute a")},
		"pipeline": {&pgproto3.Parse{Query: "deallocate all"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Parse{Name: "a", Query: "select 'again'"}, &pgproto3.Sync{},
			&pgproto3.Bind{PreparedStatement: "a"}, &pgproto3.Execute{}, &pgproto3.Sync{}},
	} {
		t.Run(name, func(t *testing.T) {
			hj := rawSession(t, r, "")
			seen(t, hj, 1, query("prepare a as select 'before'"))
			out := seen(t, hj, 2, msgs...)
			require.Contains(t, out, "row [again]", out)
			require.Contains(t, seen(t, hj, 2, query("deallocate all"), &pgproto3.Bind{PreparedStatement: "a"}, &pgproto3.Sync{}), "error 26000")
		})
	}
}
