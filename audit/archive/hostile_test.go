package archive

import (
	"context"
	"io"
	"iter"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/audit/store"
)

// A hostile store sends what it likes in place of some objects.
type hostile struct {
	store.Store
	has  func(name string) bool
	info func(store.Info) store.Info // nil: what is true
	sent int64
}

func (h *hostile) List(ctx context.Context, prefix string) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		for o, err := range h.Store.List(ctx, prefix) {
			if err == nil && h.info != nil && h.has(o.Name) {
				o = h.info(o)
			}
			if !yield(o, err) {
				return
			}
		}
	}
}

func (h *hostile) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	r, err := h.Store.Get(ctx, name)
	if err == nil && h.has(name) {
		return endless{r, h}, nil
	}
	return r, err
}

// Endless is what never comes to its end.
type endless struct {
	io.ReadCloser
	h *hostile
}

func (e endless) Read(b []byte) (int, error) {
	n, err := e.ReadCloser.Read(b)
	if err == io.EOF {
		clear(b)
		n = len(b)
	}
	if e.h.sent += int64(n); e.h.sent > 64<<20 {
		return 0, io.ErrClosedPipe // the test has failed
	}
	return n, nil
}

// Whatever a store sends, a verification comes to its end without taking it all,
// and does not say that all is well.
func TestHostileStore(t *testing.T) {
	w := newWorld(t)
	s := store.Dir(w.bucket)
	w.recorded(w.open(), 3)
	_, err := w.archive(s).Round(t.Context())
	require.NoError(t, err)
	origin := w.copy(s).Origin
	in := func(part string) func(string) bool {
		return func(name string) bool { return strings.HasPrefix(name, origin+"/"+part) }
	}
	size := func(n int64) func(store.Info) store.Info {
		return func(o store.Info) store.Info { o.Size = n; return o }
	}
	name := func(n string) func(store.Info) store.Info {
		return func(o store.Info) store.Info { o.Name = origin + "/" + n; return o }
	}
	for what, h := range map[string]*hostile{
		"endless checkpoints":      {has: in("checkpoint")},
		"endless tiles":            {has: in("tile/")},
		"large tiles":              {has: in("tile/"), info: size(1 << 40)},
		"endless segments":         {has: in("00000")},
		"short segments":           {has: in("00000"), info: size(10)},
		"segments without a size":  {has: in("00000"), info: size(-1)},
		"segments of any size":     {has: in("00000"), info: size(math.MaxInt64)},
		"endless recordings":       {has: in("recordings/")},
		"a name above the folder":  {has: in("tile/"), info: name("tile/../../../../evil")},
		"a name that is absolute":  {has: in("tile/"), info: name("tile//etc/evil")},
		"a segment without number": {has: in("00000"), info: name("0000000000.journal")},
		"a segment of a long name": {has: in("00000"), info: name("99999999999999999999999.journal")},
	} {
		t.Run(what, func(t *testing.T) {
			h.Store = s
			_, err := Copy{Store: h, Origin: origin}.Verify(t.Context(), w.storedOnly())
			require.Error(t, err)
			require.NotErrorIs(t, err, io.ErrClosedPipe)
			require.Less(t, h.sent, int64(16<<20))
			if !strings.Contains(what, "recordings") {
				h.sent = 0
				here := w.trust()
				here.Archive = Copy{Store: h, Origin: origin}
				rep, err := here.Verify(t.Context(), w.dir)
				if strings.Contains(what, "segment") {
					require.Error(t, err)
				} else {
					require.NoError(t, err, "the proofs are here")
					require.Zero(t, rep.First)
				}
				require.Less(t, h.sent, int64(16<<20))
			}
			found, err := filepath.Glob(filepath.Join(filepath.Dir(w.bucket), "*evil*"))
			require.NoError(t, err)
			require.Empty(t, found)
		})
	}
}

// A link in the place of a session's folder takes nothing else to the store, nor from
// the disk.
func TestLinkInPlaceOfRecordings(t *testing.T) {
	w := newWorld(t)
	s := store.Dir(w.bucket)
	j := w.open()
	w.sessions(j, 25)
	require.NoError(t, j.Close())
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "id_ed25519"), []byte("a private key"), 0o600))
	require.NoError(t, os.RemoveAll(filepath.Join(w.rec, "s1")))
	require.NoError(t, os.Symlink(folder, filepath.Join(w.rec, "s1")))
	for range 2 {
		_, err := w.archive(s).Round(t.Context())
		require.NoError(t, err)
	}
	require.FileExists(t, filepath.Join(folder, "id_ed25519"))
	for name := range objects(t, s) {
		require.NotContains(t, name, "id_ed25519")
	}
}
