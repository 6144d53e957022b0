package middleware_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
)

// closing returns a chain that notes when its steps are closed.
func closing(t *testing.T, closed *bool) *middleware.Chain {
	t.Helper()
	c, err := middleware.NewChain(middleware.Step{Name: "record", Role: middleware.RoleRecords,
		Event:  func(context.Context, *protocol.Event) error { return nil },
		Commit: func(context.Context, protocol.Point, []*protocol.Operation) error { return nil },
		Close:  func() error { *closed = true; return nil }})
	require.NoError(t, err)
	return c
}

func TestLiveClosesWhatNobodyUses(t *testing.T) {
	var l middleware.Live[string]
	var first, second bool
	require.Nil(t, l.Replace(closing(t, &first), "first"))
	v := l.Use()
	require.Equal(t, "first", v.With)
	old := l.Replace(closing(t, &second), "second")
	require.False(t, l.Is(v))
	old.Done()
	require.False(t, first, "in use")
	v.Done()
	require.True(t, first)
	w := l.Use()
	require.Equal(t, "second", w.With)
	l.Close()
	require.False(t, second, "in use")
	w.Done()
	require.True(t, second)
}

func TestLiveThatIsClosedRefuses(t *testing.T) {
	var l middleware.Live[string]
	for range 2 {
		_, err := l.Authenticate(t.Context(), &protocol.Login{})
		require.Error(t, err)
		v := l.Use()
		require.Empty(t, v.With)
		v.Done()
		require.Error(t, l.Commit(t.Context(), protocol.BeforeSend, nil))
		var closed bool
		l.Replace(closing(t, &closed), "one")
		l.Close()
		require.True(t, closed)
	}
}
