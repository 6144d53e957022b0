package archive

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/audit/store"
	"github.com/sallyport-dev/gateway/protocol"
)

// recorded makes n sessions with a recording of some chunks each.
func (w *world) recorded(j *audit.Journal, n int) {
	for range n {
		w.n++
		s := &protocol.SessionInfo{ID: fmt.Sprint("r", w.n), Identity: &protocol.Identity{Issuer: "i", Subject: "alice"}, Resource: protocol.Resource{Name: "web", Protocol: "ssh"}}
		connect := &protocol.Operation{Session: s, ID: 1, Verb: protocol.Connect}
		_, err := j.Record(&protocol.Event{Kind: protocol.Decided, Session: s, Op: connect, Decision: protocol.Allow("x")}, audit.Detail{})
		require.NoError(w.t, err)
		cast, err := audit.CreateAsciicast(w.rec, &protocol.Operation{Session: s, ID: 2, Verb: "shell"}, 64<<20, j)
		require.NoError(w.t, err)
		for i := range 40 { // some more than 2 MiB
			require.NoError(w.t, cast.Output([]byte(strings.Repeat(fmt.Sprint(s.ID, " was shown this ", i, "\r\n"), 2600)), false))
		}
		require.NoError(w.t, cast.Close(protocol.Outcome{Status: protocol.StatusOK}))
		_, err = j.Record(&protocol.Event{Kind: protocol.Ended, Session: s, Op: connect, Outcome: protocol.Outcome{Status: protocol.StatusOK}}, audit.Detail{})
		require.NoError(w.t, err)
		w.sessions(j, 4) // begins another segment
	}
	require.NoError(w.t, j.Close())
}

func object(t *testing.T, s store.Store, name string) []byte {
	t.Helper()
	r, err := s.Get(t.Context(), name)
	require.NoError(t, err)
	defer r.Close()
	return must(io.ReadAll(r))
}

func put(t *testing.T, s store.Store, name string, b []byte) {
	t.Helper()
	require.NoError(t, s.Put(t.Context(), name, must(store.NewBody(bytes.NewReader(b)))))
}

// Recordings that have gone to a store are verified there, once each, and whatever
// happens to them there is found.
func TestArchivedRecordings(t *testing.T) {
	for kind, s := range map[string]store.Store{"folder": store.Dir(t.TempDir()), "bucket": aBucket(t)} {
		t.Run(kind, func(t *testing.T) {
			w := newWorld(t)
			w.recorded(w.open(), 4)
			res, err := w.archive(s).Round(t.Context())
			require.NoError(t, err)
			require.Positive(t, res.Recordings)
			require.Positive(t, res.Removed)
			require.NoFileExists(t, filepath.Join(w.rec, "r1", "2.cast"))

			got := map[string]int{}
			c := w.copy(counting{s, func(name string) { got[name]++ }})
			here := w.trust()
			here.Recordings = w.rec
			here.Archive = c
			rep, err := here.Verify(t.Context(), w.dir)
			require.NoError(t, err)
			require.Equal(t, 4, rep.Recordings.Whole)
			require.Empty(t, rep.Recordings.Missing)
			archived := rep.Recordings.Archived
			require.Greater(t, archived, 1)
			stored := w.trust()
			stored.ArchivedRecordings = true
			rep, err = c.Verify(t.Context(), stored)
			require.NoError(t, err)
			require.Equal(t, archived, rep.Recordings.Archived)
			require.Empty(t, rep.Recordings.Missing)
			one := c.Origin + "/recordings/r1/2.cast"
			require.Equal(t, 2, got[one], "each of both has read it once")
			rep, err = c.Verify(t.Context(), w.trust())
			require.NoError(t, err)
			require.Nil(t, rep.Recordings, "nobody has asked")
			require.Equal(t, 2, got[one])

			was := object(t, s, one)
			other := object(t, s, c.Origin+"/recordings/r6/2.cast")
			require.Greater(t, len(was), 2<<20)
			bit := bytes.Clone(was)
			bit[len(bit)-1000] ^= 4
			for what, b := range map[string][]byte{"a bit": bit, "shorter": was[:len(was)-1], "longer": append(bytes.Clone(was), 'x'), "another": other, "empty": {}} {
				put(t, s, one, b)
				for _, verify := range []func() error{
					func() error { _, err := here.Verify(t.Context(), w.dir); return err },
					func() error { _, err := c.Verify(t.Context(), stored); return err },
				} {
					var d *audit.DamageError
					require.ErrorAs(t, verify(), &d, what)
					require.Len(t, d.Damages, 1)
					require.Equal(t, "r1/2.cast", d.Damages[0].File)
				}
			}
			put(t, s, one, was)

			// It is interrupted in the middle of one, and goes on.
			stored.Resume = filepath.Join(t.TempDir(), "resume")
			want, err := c.Verify(t.Context(), stored)
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			begun, told := 0, 0
			c.Store = counting{s, func(name string) {
				if strings.Contains(name, "/recordings/") {
					begun++
				}
			}}
			stored.Progress = func(uint64) {
				if begun == archived {
					if told++; told == 20 { // within the last, which has some 70 times 32 KiB
						cancel()
					}
				}
			}
			_, err = c.Verify(ctx, stored)
			require.ErrorIs(t, err, context.Canceled)
			stored.Progress = nil
			rep, err = c.Verify(t.Context(), stored)
			require.NoError(t, err)
			rep.Resumed = nil
			require.Equal(t, want, rep)

			// Somebody who removes it, and what the store refuses.
			gone := without{s, one}
			c.Store = gone
			rep, err = c.Verify(t.Context(), w.storedOnly())
			require.NoError(t, err)
			require.Equal(t, []string{"r1/2.cast"}, rep.Recordings.Missing)
			c.Store = failing{s, one}
			_, err = c.Verify(t.Context(), w.storedOnly())
			require.ErrorIs(t, err, errDead)
		})
	}
}

func (w *world) storedOnly() audit.Trust {
	trust := w.trust()
	trust.ArchivedRecordings = true
	return trust
}

// Without is a store in which an object is not.
type without struct {
	store.Store
	name string
}

func (w without) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	if name == w.name {
		return nil, fmt.Errorf("get %s: %w", name, os.ErrNotExist)
	}
	return w.Store.Get(ctx, name)
}

// A failing store does not say what it has under a name.
type failing struct {
	store.Store
	name string
}

func (f failing) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	if name == f.name {
		return nil, errDead
	}
	return f.Store.Get(ctx, name)
}

// A name that no store can have is not taken for a failure of the store.
func TestRecordingsOfImpossibleNames(t *testing.T) {
	c := Copy{Store: store.Dir(t.TempDir()), Origin: "x"}
	for _, name := range []string{"../../secret", "a//b", strings.Repeat("x", 600), "a\\b"} {
		_, err := c.OpenRecording(t.Context(), name)
		require.ErrorIs(t, err, os.ErrNotExist)
	}
}
