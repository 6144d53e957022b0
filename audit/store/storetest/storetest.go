// Package storetest checks that a store does what [store.Store] promises.
package storetest

import (
	"bytes"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/audit/store"
)

// Test runs the checks on s, which has to be empty.
func Test(t *testing.T, s store.Store) {
	ctx := t.Context()
	list := func(prefix string) (names []string) {
		for o, err := range s.List(ctx, prefix) {
			require.NoError(t, err)
			names = append(names, o.Name)
		}
		return names
	}
	get := func(name string) string {
		r, err := s.Get(ctx, name)
		require.NoError(t, err)
		b, err := io.ReadAll(r)
		require.NoError(t, err)
		require.NoError(t, r.Close())
		return string(b)
	}
	put := func(name, text string) error {
		b, err := store.NewBody(strings.NewReader(text))
		require.NoError(t, err)
		return s.Put(ctx, name, b)
	}
	require.Empty(t, list(""), "the store is empty")
	_, err := s.Get(ctx, "a/none")
	require.ErrorIs(t, err, fs.ErrNotExist)

	require.NoError(t, put("a/b/one", "1"))
	require.NoError(t, put("a/two", "22"))
	require.NoError(t, put("other", ""))
	require.NoError(t, put("a/two", "two"))
	require.Equal(t, "1", get("a/b/one"))
	require.Equal(t, "two", get("a/two"), "what comes later takes the place")
	require.Empty(t, get("other"))
	require.Equal(t, []string{"a/b/one", "a/two", "other"}, list(""))
	require.Equal(t, []string{"a/b/one", "a/two"}, list("a/"))
	require.Equal(t, []string{"a/two"}, list("a/tw"))
	require.Empty(t, list("b"))

	large := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	body, err := store.NewBody(bytes.NewReader(large))
	require.NoError(t, err)
	require.NoError(t, s.Put(ctx, "large", body))
	require.NoError(t, s.Put(ctx, "large", body), "a body can be sent again")
	require.Len(t, get("large"), len(large))

	// What changes between the hash and the upload is not kept, and what was
	// there stays.
	spoiled, err := store.NewBody(strings.NewReader("as it was"))
	require.NoError(t, err)
	spoiled.ReadSeeker = strings.NewReader("as it is!")
	require.Error(t, s.Put(ctx, "a/two", spoiled))
	spoiled.ReadSeeker = strings.NewReader("as")
	require.Error(t, s.Put(ctx, "a/two", spoiled))
	require.Equal(t, "two", get("a/two"))

	for _, name := range []string{"", "/a", "a/../b", "..", "a//b", "./a", "a/", `a\b`, "a\x00"} {
		require.Error(t, put(name, ""), "%q", name)
		_, err := s.Get(ctx, name)
		require.Error(t, err, "%q", name)
	}
}
