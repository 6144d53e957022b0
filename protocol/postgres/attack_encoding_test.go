package postgres_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/pgtest"
)

// A server cuts names at 63 bytes of its own encoding.
func TestAttackNamesInAnotherEncoding(t *testing.T) {
	long, short := strings.Repeat("é", 32), strings.Repeat("é", 31)
	r := newRig(t, rigConfig{steps: []middleware.Step{middleware.Mask(
		mask.Rule{Name: "mail", Columns: []string{"public.t.email", "public.t." + long}, Transform: mask.Redact()})}})
	pgtest.Exec(t, r.pg, "create database latin encoding latin1 locale 'C' template template0")
	dsn := strings.Replace(r.dsn("&client_encoding=UTF8"), "%2Fpostgres", "%2Flatin", 1)
	setup, err := pgx.Connect(context.Background(), strings.Replace(r.pg.SuperuserDSN(), "/postgres?", "/latin?client_encoding=UTF8&", 1))
	require.NoError(t, err)
	for _, q := range []string{`create table t (email text, name text, "` + short + `" text, "` + long + `" text)`, "insert into t values ('bela@example.org', 'x', 'y', 'bela@example.org')"} {
		_, err = setup.Exec(t.Context(), q)
		require.NoError(t, err)
	}
	require.NoError(t, setup.Close(t.Context()))
	session := func() *pgconn.HijackedConn {
		conn, err := pgx.Connect(t.Context(), dsn)
		require.NoError(t, err)
		hj, err := conn.PgConn().Hijack()
		require.NoError(t, err)
		t.Cleanup(func() { _ = hj.Conn.Close() })
		return hj
	}
	sync := &pgproto3.Sync{}
	parse := func(name, text string) pgproto3.FrontendMessage { return &pgproto3.Parse{Name: name, Query: text} }
	for name, steps := range map[string][][]pgproto3.FrontendMessage{
		"column":     {{query(`select upper("` + long + `") from t`)}},
		"column, U&": {{query(`select upper(U&"` + strings.Repeat(`\00e9`, 32) + `") from t`)}},
		"alias":      {{query(`select upper("` + long + `") from (select name as "` + short + `", email as "` + long + `" from t) x`)}},
		"Parse":      {{parse(long+"a", "select upper(email) from t"), sync}, {parse(long+"b", "select upper(name) from t"), sync}, {&pgproto3.Bind{PreparedStatement: long + "a"}, &pgproto3.Execute{}, sync}},
		"PREPARE":    {{query(`prepare "` + long + `a" as select upper(email) from t`)}, {query(`prepare "` + long + `b" as select upper(name) from t`)}, {query(`execute "` + long + `a"`)}},
		"portal":     {{query("begin")}, {parse("m", "select upper(email) from t"), parse("h", "select upper(name) from t"), &pgproto3.Bind{DestinationPortal: long + "a", PreparedStatement: "m"}, &pgproto3.Bind{DestinationPortal: long + "b", PreparedStatement: "h"}, sync}, {&pgproto3.Execute{Portal: long + "a"}, sync}},
		"cursor":     {{query("begin")}, {query(`declare "` + long + `a" cursor for select upper(email) from t`)}, {query(`declare "` + long + `b" cursor for select upper(name) from t`)}, {query(`fetch all from "` + long + `a"`)}},
	} {
		hj := session()
		out := seen(t, hj, 1, query("select name from t"))
		require.Contains(t, out, "row [x]")
		for _, msgs := range steps {
			if !strings.Contains(out, "closed") {
				out += seen(t, hj, 1, msgs...)
			}
		}
		if strings.Contains(strings.ToLower(out), "bela@") {
			t.Errorf("%s: %s", name, out)
		}
	}
	require.Contains(t, seen(t, session(), 1, query(`select name from t where name <> '`+long+`'`)), "row [x]")
}
