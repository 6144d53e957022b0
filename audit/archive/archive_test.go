package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/sys/unix"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/audit/store"
	"github.com/sallyport-dev/gateway/protocol"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// A world is a journal with its recordings, and a store.
type world struct {
	t                *testing.T
	dir, rec, bucket string
	private          protocol.Secret
	public           note.Verifier
	n                int
	later            time.Time
}

func newWorld(t *testing.T) *world {
	private, public, err := audit.NewKey("gateway.example")
	require.NoError(t, err)
	key, err := audit.ParseKey(public)
	require.NoError(t, err)
	return &world{t: t, dir: t.TempDir(), rec: t.TempDir(), bucket: t.TempDir(), private: private, public: key, later: time.Now().Add(48 * time.Hour)}
}

func (w *world) open() *audit.Journal {
	j, err := audit.Open(w.dir, audit.Options{MinFree: 1, SegmentSize: 8 << 10, Key: w.private})
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = j.Close() })
	return j
}

// sessions records n of them, each with a recording.
func (w *world) sessions(j *audit.Journal, n int) {
	for range n {
		w.n++
		s := &protocol.SessionInfo{ID: fmt.Sprint("s", w.n), Identity: &protocol.Identity{Issuer: "i", Subject: "alice"}, Resource: protocol.Resource{Name: "web", Protocol: "ssh"}}
		record := func(e *protocol.Event) {
			e.Session = s
			_, err := j.Record(e, audit.Detail{})
			require.NoError(w.t, err)
		}
		connect := &protocol.Operation{Session: s, ID: 1, Verb: protocol.Connect}
		record(&protocol.Event{Kind: protocol.Decided, Op: connect, Decision: protocol.Allow("x")})
		op := &protocol.Operation{Session: s, ID: 2, Verb: "exec", Text: "ls " + strings.Repeat("x", 600), Access: protocol.Write}
		op.Decide(protocol.Allow("x"), nil)
		record(&protocol.Event{Kind: protocol.Decided, Op: op, Decision: protocol.Allow("x")})
		require.NoError(w.t, os.MkdirAll(filepath.Join(w.rec, s.ID), 0o700))
		require.NoError(w.t, os.WriteFile(filepath.Join(w.rec, s.ID, "2.cast"), []byte("recorded "+s.ID+"\n"), 0o600))
		record(&protocol.Event{Kind: protocol.Ended, Op: op, Outcome: protocol.Outcome{Status: protocol.StatusOK}})
		record(&protocol.Event{Kind: protocol.Ended, Op: connect, Outcome: protocol.Outcome{Status: protocol.StatusOK}})
	}
	_, err := j.Checkpoint(w.t.Context())
	require.NoError(w.t, err)
}

func (w *world) archive(s store.Store) *Archive {
	return &Archive{Dir: w.dir, Recordings: w.rec, Store: s, Keys: []note.Verifier{w.public}, Keep: 24 * time.Hour, Logger: quiet, now: func() time.Time { return w.later }}
}

func (w *world) trust() audit.Trust { return audit.Trust{Keys: []note.Verifier{w.public}} }

func (w *world) copy(s store.Store) Copy {
	ids, err := Journals(w.t.Context(), s)
	require.NoError(w.t, err)
	require.Len(w.t, ids, 1)
	return Copy{Store: s, Origin: ids[0]}
}

func segmentsIn(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.journal"))
	require.NoError(t, err)
	return files
}

// The whole way: up, away, verified in four ways, and on.
func TestArchive(t *testing.T) {
	w := newWorld(t)
	s := store.Dir(w.bucket)
	j := w.open()
	w.sessions(j, 60)
	all := len(segmentsIn(t, w.dir))
	require.Greater(t, all, 10)

	young := w.archive(s)
	young.now = nil
	res, err := young.Round(t.Context())
	require.NoError(t, err)
	require.Equal(t, all-1, res.Segments, "all but the one that is written to")
	require.Zero(t, res.Removed)
	require.Zero(t, res.Behind)
	require.Greater(t, res.Recordings, 40)
	require.Len(t, segmentsIn(t, w.dir), all, "nothing goes before its time")
	res, err = young.Round(t.Context())
	require.NoError(t, err)
	require.Zero(t, res.Segments+res.Recordings, "nothing is uploaded twice")

	late := w.archive(s)
	late.Needed = func() (uint64, error) { return 0, errors.New("a cursor that cannot be read") }
	_, err = late.Round(t.Context())
	require.Error(t, err)
	late.Needed = func() (uint64, error) { return 30, nil }
	_, err = late.Round(t.Context())
	require.NoError(t, err)
	require.NotEqual(t, 1, len(segmentsIn(t, w.dir)), "what an exporter has not had stays")
	late.Needed = nil
	res, err = late.Round(t.Context())
	require.NoError(t, err)
	require.Positive(t, res.Removed)
	left := segmentsIn(t, w.dir)
	require.Less(t, len(left), 4)

	// Here, without and with what is elsewhere.
	_, err = w.trust().Verify(t.Context(), w.dir)
	var damage *audit.DamageError
	require.ErrorAs(t, err, &damage, "who does not know of the archive is told")
	apart := w.trust()
	apart.Apart = true
	rep, err := apart.Verify(t.Context(), w.dir)
	require.NoError(t, err)
	require.Positive(t, rep.First)
	whole := w.trust()
	whole.Archive = w.copy(s)
	rep, err = whole.Verify(t.Context(), w.dir)
	require.NoError(t, err)
	require.Zero(t, rep.First)
	require.EqualValues(t, 60, rep.Kinds[audit.SessionClosed])

	// The store itself, and a folder that was fetched back.
	rep, err = w.copy(s).Verify(t.Context(), w.trust())
	require.NoError(t, err)
	require.Positive(t, rep.Beyond)
	back := t.TempDir()
	require.NoError(t, w.copy(s).Fetch(t.Context(), back, false))
	_, err = apart.Verify(t.Context(), back)
	require.NoError(t, err)
	b, err := os.ReadFile(filepath.Join(back, "recordings", "s1", "2.cast"))
	require.NoError(t, err)
	require.Equal(t, "recorded s1\n", string(b))

	// The gateway goes on, over a crash and over a clean end.
	w.sessions(j, 5)
	require.NoError(t, j.Close())
	j = w.open()
	w.sessions(j, 20)
	require.NoError(t, j.Close())
	res, err = late.Round(t.Context())
	require.NoError(t, err)
	require.Positive(t, res.Segments)
	rep, err = whole.Verify(t.Context(), w.dir)
	require.NoError(t, err)
	require.EqualValues(t, 85, rep.Kinds[audit.SessionClosed])
	rep, err = apart.Verify(t.Context(), w.dir)
	require.NoError(t, err)
	require.True(t, rep.Closed)
	_, err = w.copy(s).Verify(t.Context(), w.trust())
	require.NoError(t, err)

	// Whoever has kept an old checkpoint holds it against each of them.
	old := w.trust()
	for o, err := range s.List(t.Context(), w.copy(s).Origin+"/checkpoints/") {
		require.NoError(t, err)
		b, err := read(t.Context(), s, o.Name, 1<<20)
		require.NoError(t, err)
		old.Checkpoints = append(old.Checkpoints, b)
	}
	require.Greater(t, len(old.Checkpoints), 1)
	_, err = w.copy(s).Verify(t.Context(), old)
	require.NoError(t, err)
	old.Apart = true
	_, err = old.Verify(t.Context(), w.dir)
	require.NoError(t, err, "also where the events are not there any more")

	// A reader that comes late is told what it has not got.
	err = audit.Tail(t.Context(), w.dir, 7, false, func(audit.Event) error { return nil })
	require.ErrorAs(t, err, &damage)
	require.Greater(t, damage.Damages[0].Next, uint64(7))
	require.NoError(t, audit.Tail(t.Context(), w.dir, 0, false, func(audit.Event) error { return nil }))
}

// A mortal store dies at its n-th upload: before it, in the middle (there is no
// half an object), or after it, and nobody hears of it.
type mortal struct {
	store.Store
	n, dies int
	after   bool
}

var errDead = errors.New("the process died")

func (m *mortal) Put(ctx context.Context, name string, b store.Body) error {
	m.n++
	switch {
	case m.n > m.dies || m.n == m.dies && !m.after:
		return errDead
	case m.n == m.dies:
		return errors.Join(m.Store.Put(ctx, name, b), errDead)
	}
	return m.Store.Put(ctx, name, b)
}

// Whenever the upload dies, nothing that is not in the store goes, what is in the
// store verifies, and another round finishes it.
func TestCrashesWhileUploading(t *testing.T) {
	w := newWorld(t)
	j := w.open()
	w.sessions(j, 25)
	require.NoError(t, j.Close())
	n := 0
	for dies := 1; ; dies++ {
		at := *w
		at.dir, at.bucket = t.TempDir(), t.TempDir()
		require.NoError(t, os.CopyFS(at.dir, os.DirFS(w.dir)))
		s := store.Dir(at.bucket)
		m := &mortal{Store: s, dies: dies, after: dies%2 == 0}
		a := at.archive(m)
		a.Recordings = ""
		_, err := a.Round(t.Context())
		if err == nil {
			break // it took fewer uploads
		}
		n++
		require.ErrorIs(t, err, errDead)
		whole := at.trust()
		if ids, err := Journals(t.Context(), s); err == nil && len(ids) == 1 {
			_, err = at.copy(s).Verify(t.Context(), at.trust())
			require.NoError(t, err, "died at %d", dies)
			whole.Archive = at.copy(s)
		}
		rep, err := whole.Verify(t.Context(), at.dir)
		require.NoError(t, err, "died at %d", dies)
		require.EqualValues(t, 25, rep.Kinds[audit.SessionClosed])

		b := at.archive(s)
		b.Recordings = ""
		_, err = b.Round(t.Context())
		require.NoError(t, err)
		whole.Archive = at.copy(s)
		rep, err = whole.Verify(t.Context(), at.dir)
		require.NoError(t, err)
		require.EqualValues(t, 25, rep.Kinds[audit.SessionClosed])
	}
	require.Greater(t, n, 5)
}

// A round that is interrupted, wherever, is taken up by the next: in the end the
// store has what it has after one that was not, and nothing was uploaded twice.
func TestInterrupted(t *testing.T) {
	w := newWorld(t)
	j := w.open()
	w.sessions(j, 40)
	require.NoError(t, j.Close())
	whole := store.Dir(t.TempDir())
	a := w.archive(whole)
	a.Keep = 0
	total := uint64(0)
	a.Progress = func(n uint64) { require.GreaterOrEqual(t, n, total); total = n }
	want, err := a.Round(t.Context())
	require.NoError(t, err)
	require.Greater(t, total, uint64(8<<10))
	for from := range uint64(8) {
		s := store.Dir(t.TempDir())
		var got Result
		sent, rounds := uint64(0), 0
		for ; ; rounds++ {
			ctx, cancel := context.WithCancel(t.Context())
			a := w.archive(s)
			a.Keep = 0
			now, stop := uint64(0), total/8*(3+from%5)+from
			a.Progress = func(n uint64) {
				if now = n; n > stop {
					cancel()
				}
			}
			res, err := a.Round(ctx)
			cancel()
			got.Segments, got.Recordings, sent = got.Segments+res.Segments, got.Recordings+res.Recordings, sent+now
			if err == nil {
				break
			}
			require.ErrorIs(t, err, context.Canceled)
			require.Less(t, rounds, 20, "%d of %d", stop, total)
		}
		require.Positive(t, rounds)
		require.Equal(t, want.Segments, got.Segments)
		require.Equal(t, want.Recordings, got.Recordings)
		require.Equal(t, objects(t, whole), objects(t, s))
		_, err := w.copy(s).Verify(t.Context(), w.trust())
		require.NoError(t, err)
	}
}

func objects(t *testing.T, s store.Store) map[string]int64 {
	t.Helper()
	all := map[string]int64{}
	for o, err := range s.List(t.Context(), "") {
		require.NoError(t, err)
		all[o.Name] = o.Size
	}
	return all
}

// Verifying what is in a store can be interrupted while the proofs are fetched and
// while the events are read; what was fetched is not fetched again.
func TestInterruptedVerification(t *testing.T) {
	w := newWorld(t)
	s := store.Dir(w.bucket)
	j := w.open()
	w.sessions(j, 40)
	require.NoError(t, j.Close())
	_, err := w.archive(s).Round(t.Context())
	require.NoError(t, err)
	want, err := w.copy(s).Verify(t.Context(), w.trust())
	require.NoError(t, err)
	trust := w.trust()
	trust.Resume = filepath.Join(t.TempDir(), "resume")
	proofs := trust.Resume + ".proofs"
	ctx, cancel := context.WithCancel(t.Context())
	c := w.copy(counting{s, func(string) {}})
	c.Progress = func(uint64) { cancel() }
	_, err = c.Verify(ctx, trust)
	require.ErrorIs(t, err, context.Canceled)
	require.DirExists(t, proofs)

	ctx, cancel = context.WithCancel(t.Context())
	c.Progress, trust.Progress = nil, func(uint64) { cancel() }
	_, err = c.Verify(ctx, trust)
	require.ErrorIs(t, err, context.Canceled)

	trust.Progress = nil
	c.Store = counting{s, func(name string) { require.NotContains(t, name, "/tile/") }}
	rep, err := c.Verify(t.Context(), trust)
	require.NoError(t, err)
	rep.Resumed = nil
	require.Equal(t, want, rep)
	require.NoDirExists(t, proofs)
}

// A counting store tells what it is asked for.
type counting struct {
	store.Store
	got func(name string)
}

func (c counting) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	c.got(name)
	return c.Store.Get(ctx, name)
}

// What was changed on the disk before it was uploaded stays there, with an
// error, and what was changed in the store is found.
func TestTampering(t *testing.T) {
	w := newWorld(t)
	s := store.Dir(w.bucket)
	j := w.open()
	w.sessions(j, 25)
	require.NoError(t, j.Close())
	spoil := filepath.Join(w.dir, "0000000003.journal")
	was, err := os.ReadFile(spoil)
	require.NoError(t, err)
	b := bytes.Clone(was)
	b[len(b)/2] ^= 1
	require.NoError(t, os.WriteFile(spoil, b, 0o600))
	_, err = w.archive(s).Round(t.Context())
	require.NoError(t, err)
	require.FileExists(t, spoil, "a damaged segment is not removed")
	require.FileExists(t, filepath.Join(w.dir, "0000000004.journal"), "nor what is behind it")
	_, err = w.copy(s).Verify(t.Context(), w.trust())
	var damage *audit.DamageError
	require.ErrorAs(t, err, &damage)

	// A segment of other events, which is whole in itself.
	v := newWorld(t)
	j = v.open()
	v.sessions(j, 25)
	require.NoError(t, j.Close())
	foreign := filepath.Join(v.dir, "0000000003.journal")
	require.NoError(t, os.WriteFile(foreign, was, 0o600))
	_, err = v.archive(store.Dir(v.bucket)).Round(t.Context())
	require.Error(t, err)
	require.FileExists(t, foreign, "it is not taken for the journal's")

	// Somebody who can write to the store, and does not have the key.
	u := newWorld(t)
	us := store.Dir(u.bucket)
	j = u.open()
	u.sessions(j, 25)
	require.NoError(t, j.Close())
	_, err = u.archive(us).Round(t.Context())
	require.NoError(t, err)
	_, err = u.copy(us).Verify(t.Context(), u.trust())
	require.NoError(t, err)
	root := filepath.Join(u.bucket, u.copy(us).Origin)
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.Contains(path, "checkpoints") || strings.Contains(path, "recordings") || strings.Contains(path, ".p/") {
			return err
		}
		was, err := os.ReadFile(path)
		require.NoError(t, err)
		b := bytes.Clone(was)
		b[len(b)/3] ^= 1
		require.NoError(t, os.WriteFile(path, b, 0o600))
		_, err = u.copy(us).Verify(t.Context(), u.trust())
		require.Error(t, err, path)
		return os.WriteFile(path, was, 0o600)
	}))
}

// A pipe in the place of a segment keeps nobody waiting, and the rest goes on.
func TestSegmentThatIsNoFile(t *testing.T) {
	w := newWorld(t)
	j := w.open()
	w.sessions(j, 25)
	require.NoError(t, j.Close())
	path := filepath.Join(w.dir, "0000000003.journal")
	require.NoError(t, os.Remove(path))
	require.NoError(t, unix.Mkfifo(path, 0o600))
	res, err := w.archive(store.Dir(w.bucket)).Round(t.Context())
	require.ErrorContains(t, err, "is not a file")
	require.Greater(t, res.Segments, 2)
	require.FileExists(t, filepath.Join(w.dir, "0000000004.journal"), "what is behind it stays")
}

func TestNoKey(t *testing.T) {
	w := newWorld(t)
	j := w.open()
	w.sessions(j, 2)
	a := w.archive(store.Dir(w.bucket))
	a.Keys = nil
	_, err := a.Round(t.Context())
	require.ErrorContains(t, err, "public key")
	_, public, err := audit.NewKey("gateway.example")
	require.NoError(t, err)
	key, err := audit.ParseKey(public)
	require.NoError(t, err)
	a.Keys = []note.Verifier{key}
	_, err = a.Round(t.Context())
	require.Error(t, err, "a checkpoint of somebody else covers nothing")
}

// A store that is down holds nobody: the round ends with its context, and the
// journal goes on.
func TestDeadStore(t *testing.T) {
	w := newWorld(t)
	j := w.open()
	w.sessions(j, 10)
	ctx, cancel := context.WithCancel(t.Context())
	a := w.archive(hanging{cancel})
	require.ErrorIs(t, a.Run(ctx), context.Canceled)
	w.sessions(j, 1)
	require.Equal(t, 1, len(must(filepath.Glob(filepath.Join(w.dir, "0000000001.journal")))))
}

type hanging struct{ cancel func() }

func (h hanging) Put(ctx context.Context, _ string, _ store.Body) error {
	h.cancel()
	<-ctx.Done()
	return ctx.Err()
}

func (hanging) Get(context.Context, string) (io.ReadCloser, error) { return nil, fs.ErrNotExist }

func (hanging) List(context.Context, string) iter.Seq2[store.Info, error] {
	return func(func(store.Info, error) bool) {}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
