package sql

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol"
)

func TestChanges(t *testing.T) {
	var cs Changes
	one, two := &protocol.SessionInfo{}, &protocol.SessionInfo{}
	view := []protocol.Object{{Kind: "view", Name: "shop.places"}}
	read := []protocol.Object{{Kind: "table", Name: "shop.customers"}, {Kind: "view", Name: "shop.places"}}
	since := func(ended int64, by *protocol.SessionInfo, objects []protocol.Object) [2]int {
		all, met := cs.Since(ended, by, objects, objects != nil)
		return [2]int{all, met}
	}
	start := cs.Ended()
	require.Equal(t, [2]int{}, since(start, two, read))

	c := cs.Begin(one)
	c.Add(view)
	require.Equal(t, [2]int{}, since(start, one, read), "a session's own")
	require.Equal(t, [2]int{1, 1}, since(start, two, read), "under way")
	c.End()
	c.End()
	require.Equal(t, [2]int{1, 1}, since(start, two, read), "ended")
	require.Equal(t, [2]int{}, since(cs.Ended(), two, read), "ended before")

	c = cs.Begin(one)
	c.Add([]protocol.Object{{Kind: "table", Name: "shop.else"}})
	require.Equal(t, [2]int{2, 1}, since(start, two, read))
	require.Equal(t, [2]int{2, 0}, since(start, two, []protocol.Object{}), "it reads nothing")
	c.Add([]protocol.Object{{Kind: "view", Name: "places"}})
	require.Equal(t, [2]int{2, 2}, since(start, two, read), "by whatever schema")
	c.End()

	start = cs.Ended()
	for name, objects := range map[string][]protocol.Object{"function": {{Kind: "function", Name: "shop.lower"}}, "anything": nil, "many": make([]protocol.Object, maxObjects+1)} {
		c = cs.Begin(one)
		c.Add(objects)
		require.Equal(t, [2]int{1, 1}, since(cs.Ended(), two, read), name)
		c.End()
	}
	require.Equal(t, [2]int{3, 2}, since(start, two, nil), "what it reads is not known; what may be anything is one")
	for range pastChanges {
		cs.Begin(one).End()
	}
	_, met := cs.Since(start, two, read, true)
	require.Greater(t, met, 1, "more than are remembered")
}

// A snapshot that is asked for anew is read from then on, once for all who wait.
func TestLatestAnew(t *testing.T) {
	next := make(chan *Catalog)
	loads := 0
	l := NewLatest(new(Changes), func(context.Context) (*Catalog, time.Duration, error) {
		loads++
		return <-next, 0, nil
	}, func(error) {})
	first, second := &Catalog{}, &Catalog{}
	asked := make(chan *Catalog)
	ask := func() { asked <- l.Anew() }
	go ask()
	next <- nil // it is being loaded
	require.Nil(t, <-asked)
	go ask()
	go ask()
	go ask()
	for l.asked.Load() < 4 {
		runtime.Gosched()
	}
	next <- first
	got := []*Catalog{<-asked}
	for len(got) < 3 {
		select {
		case next <- second: // some came after the load had begun
		case c := <-asked:
			got = append(got, c)
		}
	}
	require.Same(t, first, got[0])
	require.LessOrEqual(t, loads, 3)
	require.Same(t, got[2], l.Current(), "who does not ask anew does not wait")
	l.Close()
	require.Nil(t, l.Anew())
}
