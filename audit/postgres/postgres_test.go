package postgres_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/audit/audittest"
	"github.com/sallyport-dev/gateway/audit/postgres"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/pgtest"
)

func openIndex(t testing.TB, dsn, dir string) *postgres.Index {
	t.Helper()
	x, err := postgres.Open(t.Context(), dsn, dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, x.Close()) })
	return x
}

func inDatabase(dsn, name string) string { return strings.Replace(dsn, "/postgres?", "/"+name+"?", 1) }

func TestIndex(t *testing.T) {
	pg := pgtest.Start(t, pgtest.User("gateway", "secret", "scram-sha-256"))
	made := map[string]bool{}
	audittest.TestIndex(t, func(t testing.TB, name, journal string) audittest.Index {
		if !made[name] { // one database for each test
			pgtest.Exec(t, pg, "create database "+name+" owner gateway")
			made[name] = true
		}
		return openIndex(t, inDatabase(pg.DSN("gateway", "secret"), name), journal)
	})
}

// Several gateways feed one database, and each entry says whose it is.
func TestFleet(t *testing.T) {
	pg := pgtest.Start(t, pgtest.User("gateway", "secret", "scram-sha-256"))
	pgtest.Exec(t, pg, "create database fleet owner gateway")
	dsn := inDatabase(pg.DSN("gateway", "secret"), "fleet")
	const gateways = 4
	done := make(chan error, gateways)
	var worlds []*audittest.World
	for range gateways {
		w := audittest.NewWorld(t)
		for range 20 {
			w.Story()
		}
		w.Close()
		worlds = append(worlds, w)
		go func() { // all make the tables, if there are none
			x, err := postgres.Open(t.Context(), dsn, w.Dir)
			if err == nil {
				err = errors.Join(x.Update(t.Context()), x.Close())
			}
			done <- err
		}()
	}
	for range gateways {
		require.NoError(t, <-done)
	}
	x := openIndex(t, dsn, "")
	require.Error(t, x.Update(t.Context()))
	type key struct {
		origin string
		seq    uint64
	}
	seen := map[key]bool{}
	q := audit.Query{Who: "alice", Limit: 7}
	last := worlds[0].At
	for i := 0; ; i++ {
		p, err := x.Search(t.Context(), q)
		require.NoError(t, err)
		for _, e := range p.Entries {
			require.False(t, e.Time.After(last), "newest first")
			last = e.Time
			require.NotEmpty(t, e.Origin)
			require.False(t, seen[key{e.Origin, e.Seq}])
			seen[key{e.Origin, e.Seq}] = true
		}
		if q.Cursor = p.Next; p.Next == "" {
			break
		}
		if i == 2 { // another gateway joins, whose entries are not in the answer
			w := audittest.NewWorld(t)
			w.Open(w.Session("alice", "late", protocol.Human))
			w.Close()
			require.NoError(t, openIndex(t, dsn, w.Dir).Update(t.Context()))
		}
	}
	require.Len(t, seen, gateways*60)
	uses, err := x.Uses(t.Context(), audittest.Noon)
	require.NoError(t, err)
	for _, u := range uses {
		if u.Subject == "alice" && u.Permission == "write" {
			require.EqualValues(t, gateways*20, u.Count)
			require.EqualValues(t, gateways*20, u.Rows)
			require.EqualValues(t, 1, u.Days)
		}
	}
	// One journal is indexed anew; the others stay.
	y := openIndex(t, dsn, worlds[0].Dir)
	require.NoError(t, y.Rebuild(t.Context()))
	p, err := y.Search(t.Context(), audit.Query{Who: "alice", Limit: 1000, Access: "write"})
	require.NoError(t, err)
	require.Len(t, p.Entries, gateways*20)
}

// A database that goes away, in the middle of what is written to it, is waited
// for; nothing is missing or counted twice afterwards.
func TestDatabaseGoesAway(t *testing.T) {
	pg := pgtest.Start(t, pgtest.User("gateway", "secret", "scram-sha-256"))
	pgtest.Exec(t, pg, "create database away owner gateway")
	w := audittest.NewWorld(t)
	x := openIndex(t, inDatabase(pg.DSN("gateway", "secret"), "away"), w.Dir)
	x.Logger = slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- x.Follow(ctx) }()
	for range 5 {
		w.Story()
		pgtest.Exec(t, pg, "select pg_terminate_backend(pid) from pg_stat_activity where datname = 'away'")
	}
	w.Close()
	require.Eventually(t, func() bool {
		p, err := x.Search(t.Context(), audit.Query{Who: "alice"})
		return err == nil && len(p.Entries) == 15 // connections that were cut off fail once
	}, time.Minute, 50*time.Millisecond)
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	uses, err := x.Uses(t.Context(), time.Time{})
	require.NoError(t, err)
	for _, u := range uses {
		if u.Subject == "alice" && u.Permission == "write" {
			require.EqualValues(t, 5, u.Count)
			require.EqualValues(t, 5, u.Rows)
		}
	}
}

func TestOpenTellsNoPassword(t *testing.T) {
	for _, dsn := range []string{"host=/nowhere password=hunter2", "postgres://u:hunter2@:x/", "host='hunter2"} {
		_, err := postgres.Open(t.Context(), dsn, "")
		require.Error(t, err)
		require.False(t, strings.Contains(err.Error(), "hunter2"), err)
	}
}
