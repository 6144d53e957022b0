package audit

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"filippo.io/age"
	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"

	"github.com/sallyport-dev/gateway/protocol"
)

// sealedWorld is a signed journal in which one statement of session s1 and one of
// s2 are sealed to id.
func sealedWorld(t *testing.T, id *age.X25519Identity) (dir string, j *Journal, public note.Verifier) {
	t.Helper()
	key, public := newTestKey(t)
	dir = t.TempDir()
	j = openTest(t, dir, Options{Key: key, SealTo: id.Recipient().String()})
	for _, s := range []string{"s1", "s2"} {
		a := newActor(t, j, s)
		rec := func(e *protocol.Event) {
			e.Session, e.Time = a.s, noon
			_, err := j.Record(e, Detail{Seal: true})
			require.NoError(t, err)
		}
		c := a.op(protocol.Connect, "")
		c.Decide(protocol.Allow("x"), nil)
		rec(&protocol.Event{Kind: protocol.Decided, Op: c, Decision: protocol.Allow("x")})
		op := a.op("update", "update t set ssn = '900-12-3456' -- "+s)
		op.Args = []protocol.Arg{{Text: "tops3cret", Type: "text"}, {Null: true}, {Text: ""}}
		require.NoError(t, op.Rewrite("update t set ssn = '900-12-3456' /* rewritten */"))
		op.Decide(protocol.Allow("x"), nil)
		rec(&protocol.Event{Kind: protocol.Decided, Op: op, Decision: protocol.Allow("x")})
		rec(&protocol.Event{Kind: protocol.Ended, Op: op, Outcome: protocol.Outcome{Status: protocol.StatusOK}})
		rec(&protocol.Event{Kind: protocol.Ended, Op: c, Outcome: protocol.Outcome{Status: protocol.StatusOK}})
	}
	return dir, j, public
}

func decided(t *testing.T, dir, session string) Event {
	t.Helper()
	for _, e := range events(t, dir) {
		if e.Kind == CommandDecided && e.Session == session {
			return e
		}
	}
	t.Fatal("no such event")
	return Event{}
}

func TestSeal(t *testing.T) {
	id, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	other, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	dir, j, public := sealedWorld(t, id)
	require.NoError(t, j.Close())
	require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			b, err := os.ReadFile(path)
			require.NoError(t, err)
			require.NotContains(t, string(b), "900-12", path)
			require.NotContains(t, string(b), "tops3cret", path)
		}
		return err
	}))
	trust := Trust{Keys: []note.Verifier{public}}
	_, err = trust.Verify(t.Context(), dir)
	require.NoError(t, err)

	e := decided(t, dir, "s1")
	require.Error(t, NewUnsealer(dir, other).Open(&e))
	require.NotEmpty(t, e.Action.Text.Sealed)
	again, err := json.Marshal(e)
	require.NoError(t, err)
	parsed, err := ParseEvent(again)
	require.NoError(t, err)
	require.Equal(t, e, parsed)
	u := NewUnsealer(dir, id)
	require.NoError(t, u.Open(&e))
	require.EqualValues(t, "update t set ssn = '900-12-3456' -- s1", e.Action.Text.Text)
	require.EqualValues(t, "update t set ssn = '900-12-3456' /* rewritten */", e.Action.Rewritten.Text)
	require.EqualValues(t, "tops3cret", e.Action.Args[0].Value.Text)
	require.Nil(t, e.Action.Args[1].Value)
	require.NoError(t, u.Open(&e), "opened already")

	// What is sealed fits nowhere else, and one bit changed is no text.
	for name, move := range map[string]func(*Event){
		"another command": func(e *Event) { e.Command++ },
		"another session": func(e *Event) { e.Session = "s2" },
		"another field":   func(e *Event) { e.Action.Behind, e.Action.Text = e.Action.Text, nil },
		"a bit":           func(e *Event) { e.Action.Text.Sealed[20] ^= 1 },
		"the commitment":  func(e *Event) { e.Action.Text.Commit[20] ^= 1 },
	} {
		e := decided(t, dir, "s1")
		move(&e)
		require.Error(t, u.Open(&e), name)
	}
}

func TestErase(t *testing.T) {
	id, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	dir, j, public := sealedWorld(t, id)
	ctx := t.Context()
	open := newActor(t, j, "s3")
	c := open.op(protocol.Connect, "")
	c.Decide(protocol.Allow("x"), nil)
	_, err = j.Record(&protocol.Event{Kind: protocol.Decided, Session: open.s, Op: c, Decision: protocol.Allow("x")}, Detail{Seal: true})
	require.NoError(t, err)
	require.ErrorContains(t, j.Erase(ctx, "s3", alice, "x"), "open")
	require.NoError(t, j.Hold(ctx, "s2", alice, "case 4711"))
	require.ErrorIs(t, j.Erase(ctx, "s2", alice, "x"), ErrLegalHold)
	before, err := j.Checkpoint(ctx)
	require.NoError(t, err)
	require.NoError(t, j.Erase(ctx, "s1", alice, "request 12 of the person"))
	require.ErrorIs(t, j.Erase(ctx, "s1", alice, "again"), ErrErased)
	for _, bad := range []string{"", "../x", "a/b", "."} {
		require.Error(t, j.Erase(ctx, bad, alice, "x"), bad)
	}
	require.NoError(t, j.Release(ctx, "s2", alice, "closed"))
	open.end(c, protocol.StatusOK)
	require.NoError(t, j.Close())

	// The evidence is whole, but for what cannot be read any more.
	trust := Trust{Keys: []note.Verifier{public}, Checkpoints: [][]byte{before}}
	_, err = trust.Verify(ctx, dir)
	require.NoError(t, err)
	u := NewUnsealer(dir, id)
	e := decided(t, dir, "s1")
	require.ErrorIs(t, u.Open(&e), ErrErased)
	e = decided(t, dir, "s2")
	require.NoError(t, u.Open(&e))
	var told []string
	for _, e := range events(t, dir) {
		if e.Journal != nil && e.Journal.Session != "" {
			told = append(told, string(e.Kind)+" "+e.Journal.Session+" "+string(e.Identity.Subject)+" "+string(e.Journal.What))
		}
	}
	require.Equal(t, []string{"audit.held s2 u-17 case 4711", "audit.erased s1 u-17 request 12 of the person", "audit.released s2 u-17 closed"}, told)
}

// Without a key that lasts nothing is sealed, and nothing happens.
func TestSealThatCannotBeKept(t *testing.T) {
	id, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	d := &faultyDisk{}
	j := openTest(t, t.TempDir(), Options{disk: d, SealTo: id.Recipient().String()})
	a := newActor(t, j, "s1")
	d.fail(func([]byte) (int, error) { return 0, syscall.ENOSPC })
	op := a.op(protocol.Connect, "")
	_, err = j.Record(&protocol.Event{Kind: protocol.Decided, Session: a.s, Op: op, Decision: protocol.Allow("x")}, Detail{Seal: true})
	require.ErrorIs(t, err, syscall.ENOSPC)
	d.fail(nil)
	_, err = Open(t.TempDir(), Options{SealTo: "age1nonsense"})
	require.ErrorContains(t, err, "seal to")

	// What has no key of a session is hidden, never in the clear.
	b := newActor(t, j, "s2")
	upd := b.op("update", "update secret")
	_, err = j.Record(&protocol.Event{Kind: protocol.Decided, Session: b.s, Op: upd, Decision: protocol.Deny("no")}, Detail{Seal: true})
	require.NoError(t, err)
	require.NoError(t, j.Flush(t.Context(), j.End()))
	es := events(t, j.Dir())
	last := es[len(es)-1]
	require.True(t, last.Action.Text.Hidden)
	leaf, err := json.Marshal(last)
	require.NoError(t, err)
	require.False(t, strings.Contains(string(leaf), "secret"))
}
