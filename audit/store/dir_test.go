package store_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/audit/store"
	"github.com/sallyport-dev/gateway/audit/store/storetest"
)

func TestDir(t *testing.T) {
	path := filepath.Join(t.TempDir(), "made", "when needed")
	storetest.Test(t, store.Dir(path))

	// What a crash has left of a file is nobody's object, and in nobody's way.
	require.NoError(t, os.WriteFile(filepath.Join(path, "x.unfinished"), []byte("half of it and more"), 0o600))
	b, err := store.NewBody(strings.NewReader("x"))
	require.NoError(t, err)
	for o, err := range store.Dir(path).List(t.Context(), "x") {
		require.NoError(t, err)
		t.Errorf("%s is listed", o.Name)
	}
	require.NoError(t, store.Dir(path).Put(t.Context(), "x", b))
	left, err := filepath.Glob(filepath.Join(path, "*.unfinished"))
	require.NoError(t, err)
	require.Len(t, left, 1, "that of the crash")

	// Whoever puts the same at the same time: one of them is there, whole.
	large := strings.Repeat("one or the other ", 1<<14)
	var wg sync.WaitGroup
	for _, text := range []string{large + "a", large + "b", large + "c"} {
		wg.Go(func() {
			b, err := store.NewBody(strings.NewReader(text))
			if err == nil {
				err = store.Dir(path).Put(t.Context(), "same", b)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	r, err := store.Dir(path).Get(t.Context(), "same")
	require.NoError(t, err)
	defer r.Close()
	same, err := io.ReadAll(r)
	require.NoError(t, err)
	require.Len(t, same, len(large)+1)
	require.Error(t, store.Dir(path).Put(t.Context(), "y.unfinished", b))
}

func ExampleDir() {
	dir, err := os.MkdirTemp("", "store")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	s := store.Dir(dir)
	b, err := store.NewBody(strings.NewReader("kept"))
	if err != nil {
		log.Fatal(err)
	}
	if err := s.Put(context.Background(), "2026/note.txt", b); err != nil {
		log.Fatal(err)
	}
	r, err := s.Get(context.Background(), "2026/note.txt")
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	fmt.Println(string(text), err)
	// Output: kept <nil>
}

func ExampleNewBody() {
	b, err := store.NewBody(strings.NewReader("abc"))
	fmt.Printf("%d bytes, sha256 %x..., %v\n", b.Size, b.SHA256[:4], err)
	// Output: 3 bytes, sha256 ba7816bf..., <nil>
}

// A file that was changed has another version, whatever time it is given.
func TestVersionOfWhatWasChanged(t *testing.T) {
	path := t.TempDir()
	s := store.Dir(path)
	b, err := store.NewBody(strings.NewReader("kept"))
	require.NoError(t, err)
	require.NoError(t, s.Put(t.Context(), "a", b))
	version := func() (v string) {
		for o, err := range s.List(t.Context(), "") {
			require.NoError(t, err)
			v = o.Version
		}
		return v
	}
	was := version()
	require.Equal(t, was, version())
	file := filepath.Join(path, "a")
	st, err := os.Stat(file)
	require.NoError(t, err)
	require.Eventually(t, func() bool { // the clock of the file system has ticks
		require.NoError(t, os.WriteFile(file, []byte("KEPT"), 0o600))
		require.NoError(t, os.Chtimes(file, st.ModTime(), st.ModTime()))
		return version() != was
	}, time.Minute, time.Millisecond)
}
