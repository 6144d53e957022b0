package sqlite_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/audit/audittest"
	"github.com/sallyport-dev/gateway/audit/sqlite"
	"github.com/sallyport-dev/gateway/protocol"
)

func openIndex(t testing.TB, file, dir string) *sqlite.Index {
	t.Helper()
	x, err := sqlite.Open(t.Context(), file, dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, x.Close()) })
	return x
}

func TestIndex(t *testing.T) {
	dir := t.TempDir()
	audittest.TestIndex(t, func(t testing.TB, name, journal string) audittest.Index {
		return openIndex(t, filepath.Join(dir, name), journal)
	})
}

// A file is asked about one journal, whatever it has been used for, and is for
// its owner only.
func TestAnotherJournal(t *testing.T) {
	file := filepath.Join(t.TempDir(), "index.sqlite")
	for _, who := range []string{"alice", "eve"} {
		w := audittest.NewWorld(t)
		w.Open(w.Session(who, "orders", protocol.Human))
		w.Close()
		x := openIndex(t, file, w.Dir)
		require.NoError(t, x.Update(t.Context()))
		p, err := x.Search(t.Context(), audit.Query{Who: "*"})
		require.NoError(t, err)
		require.Len(t, p.Entries, 1)
		require.EqualValues(t, who, p.Entries[0].Identity.Subject)
		uses, err := x.Uses(t.Context(), audittest.Noon)
		require.NoError(t, err)
		require.Len(t, uses, 1)
		require.EqualValues(t, who, uses[0].Subject)
	}
	st, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), st.Mode().Perm())
}

// A file of an earlier version is made again.
func TestEarlierVersion(t *testing.T) {
	file := filepath.Join(t.TempDir(), "index.sqlite")
	db, err := sql.Open("sqlite", file)
	require.NoError(t, err)
	_, err = db.Exec("create table entry (id integer primary key); create table session (id text primary key); create virtual table words using fts5(text, content=''); pragma user_version = 1")
	require.NoError(t, err)
	require.NoError(t, db.Close())
	w := audittest.NewWorld(t)
	w.Story()
	w.Close()
	x := openIndex(t, file, w.Dir)
	require.NoError(t, x.Update(t.Context()))
	p, err := x.Search(t.Context(), audit.Query{Text: "lovelace"})
	require.NoError(t, err)
	require.Len(t, p.Entries, 2)
}

// Who asks what waits does not have all read that ever did.
func TestDecidedIsNotRead(t *testing.T) {
	w := audittest.NewWorld(t)
	s := w.Session("alice", "orders", protocol.Human)
	w.Open(s)
	before, at, twice := w.Op(s, "drop", "drop table a", protocol.Schema), w.Op(s, "update", "update b", protocol.Write), w.Op(s, "delete", "delete from c", protocol.Write)
	w.Hold(before, "t1")
	w.Hold(twice, "t2")
	w.Decide(twice, protocol.Decision{Effect: protocol.HoldEffect, By: "second", Ticket: "t3"})
	w.Flush()
	file := filepath.Join(t.TempDir(), "index.sqlite")
	x := openIndex(t, file, w.Dir)
	require.NoError(t, x.Update(t.Context()))
	p, err := x.Search(t.Context(), audit.Query{Outcome: "hold"})
	require.NoError(t, err)
	require.Len(t, p.Entries, 2)

	x = openIndex(t, file, w.Dir) // as after a new start
	w.Hold(at, "t4")
	for _, op := range []*protocol.Operation{before, at, twice} {
		w.Decide(op, audittest.Allow)
	}
	w.End(before, protocol.StatusOK, 1)
	w.Close()
	require.NoError(t, x.Update(t.Context()))
	db, err := sql.Open("sqlite", file)
	require.NoError(t, err)
	defer db.Close()
	_, err = db.Exec("update block set data = x'00'")
	require.NoError(t, err)
	for _, q := range []audit.Query{{Outcome: "hold"}, {Kind: audit.ApprovalRequested}, {Approval: "t3"}} {
		p, err := x.Search(t.Context(), q)
		require.NoError(t, err)
		require.Empty(t, p.Entries)
	}
	_, err = x.Search(t.Context(), audit.Query{Outcome: "allow"})
	require.Error(t, err, "these are")
}
