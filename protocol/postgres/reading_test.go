package postgres_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware"
)

// rawSession logs in with pgx and hands out the bare connection.
func rawSession(t *testing.T, r *rig, extra string) *pgconn.HijackedConn {
	t.Helper()
	conn := r.connect(t, extra)
	hj, err := conn.PgConn().Hijack()
	require.NoError(t, err)
	t.Cleanup(func() { _ = hj.Conn.Close() })
	_ = hj.Conn.SetDeadline(time.Now().Add(20 * time.Second))
	return hj
}

// answers reads until n ReadyForQuery have come or the connection ends, and
// returns the codes of the errors and the tags.
func answers(hj *pgconn.HijackedConn, n int) (got []string) {
	for n > 0 {
		msg, err := hj.Frontend.Receive()
		if err != nil {
			return append(got, "closed")
		}
		switch msg := msg.(type) {
		case *pgproto3.ErrorResponse:
			got = append(got, msg.Code)
		case *pgproto3.CommandComplete:
			got = append(got, string(msg.CommandTag))
		case *pgproto3.ReadyForQuery:
			n--
		}
	}
	return got
}

// In SJIS the second byte of a character may be a backslash: to the server the
// string ends where a reader of bytes sees an escaped quote.
func TestTextInAnotherEncodingHidesNoStatement(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{noDrop()}})
	hj := rawSession(t, r, "&client_encoding=SJIS&default_query_exec_mode=simple_protocol")
	hj.Frontend.Send(&pgproto3.Query{String: "select E'\x95\x5c'; drop table orders; --'"})
	hj.Frontend.Send(&pgproto3.Query{String: "select 1"})
	require.NoError(t, hj.Frontend.Flush())
	require.Equal(t, []string{"42501", "SELECT 1"}, answers(hj, 2))
	require.Equal(t, "500", count(t, r, "orders"))
}

// A setting that changes how strings end holds from the next text on, also in
// one that was sent before the setting was answered.
func TestPipelinedSettingHidesNoStatement(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{noDrop()}})
	for _, set := range []string{
		"set standard_conforming_strings = off",
		"select set_config('standard_conforming_strings', 'off', false)",
		"do $$ begin perform set_config('standard_conforming_strings', 'off', false); end $$",
	} {
		hj := rawSession(t, r, "")
		hj.Frontend.Send(&pgproto3.Query{String: set})
		hj.Frontend.Send(&pgproto3.Query{String: `select '\' , ' ; drop table orders; --'`})
		require.NoError(t, hj.Frontend.Flush())
		got := answers(hj, 2)
		require.Equal(t, "42501", got[len(got)-1], set)
		// The same within one pipeline of the extended protocol.
		hj = rawSession(t, r, "")
		hj.Frontend.Send(&pgproto3.Parse{Query: set})
		hj.Frontend.Send(&pgproto3.Bind{})
		hj.Frontend.Send(&pgproto3.Execute{})
		hj.Frontend.Send(&pgproto3.Parse{Query: `select '\' , (select 1 from orders) , ' from orders'`})
		hj.Frontend.Send(&pgproto3.Sync{})
		require.NoError(t, hj.Frontend.Flush())
		got = answers(hj, 1)
		require.Equal(t, "42501", got[len(got)-1], set)
		require.Equal(t, "500", count(t, r, "orders"))
	}
}

// A request behind COPY FROM STDIN is an error in the data to the server, which
// answers once where two answers would be expected: from then on each result
// would be taken for another statement's.
func TestRequestDuringCopyEndsTheSession(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{maskCustomers()}})
	hj := rawSession(t, r, "")
	for _, q := range []string{"copy orders from stdin", "select 1", "select ssn, email from customers"} {
		hj.Frontend.Send(&pgproto3.Query{String: q})
	}
	require.NoError(t, hj.Frontend.Flush())
	for {
		msg, err := hj.Frontend.Receive()
		if err != nil {
			break
		}
		if row, ok := msg.(*pgproto3.DataRow); ok {
			for _, v := range row.Values {
				requireClean(t, string(v))
			}
		}
	}
	// A COPY that fails at its start leaves the next request alone.
	hj = rawSession(t, newRig(t, rigConfig{}), "")
	hj.Frontend.Send(&pgproto3.Query{String: "copy no_such_table from stdin"})
	hj.Frontend.Send(&pgproto3.Query{String: "select 1"})
	require.NoError(t, hj.Frontend.Flush())
	require.Equal(t, []string{"42P01", "SELECT 1"}, answers(hj, 2))
}

// A Sync that meets a COPY which has just failed is answered; the request
// behind it is not one of the skipped pipeline.
func TestRequestBehindAFailedCopyIsAnswered(t *testing.T) {
	r := newRig(t, rigConfig{})
	for range 20 {
		hj := rawSession(t, r, "")
		hj.Frontend.Send(&pgproto3.Parse{Query: "copy orders from stdin"})
		hj.Frontend.Send(&pgproto3.Bind{})
		hj.Frontend.Send(&pgproto3.Execute{})
		hj.Frontend.Send(&pgproto3.Flush{})
		require.NoError(t, hj.Frontend.Flush())
		for {
			msg, err := hj.Frontend.Receive()
			require.NoError(t, err)
			if _, ok := msg.(*pgproto3.CopyInResponse); ok {
				break
			}
		}
		// The first line ends the COPY; the Sync may come before or after that.
		hj.Frontend.Send(&pgproto3.CopyData{Data: []byte("no number\n")})
		hj.Frontend.Send(&pgproto3.CopyDone{})
		hj.Frontend.Send(&pgproto3.Sync{})
		hj.Frontend.Send(&pgproto3.Query{String: "select 1"})
		require.NoError(t, hj.Frontend.Flush())
		require.Equal(t, []string{"22P02", "SELECT 1"}, answers(hj, 2))
	}
}
