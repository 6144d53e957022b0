package sql

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// A load that fails is tried again after a while, also if nothing is known to
// have changed since the last one.
func TestLatestTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		loads, down := 0, false
		l := NewLatest(new(Changes), func(context.Context) (*Catalog, time.Duration, error) {
			loads++
			if down {
				return nil, 0, errors.New("down")
			}
			return &Catalog{}, time.Minute, nil
		}, func(error) {})
		require.NotNil(t, l.Current())
		require.NotNil(t, l.Current())
		require.Equal(t, 1, loads)
		time.Sleep(2 * time.Minute)
		down = true
		require.Nil(t, l.Current())
		require.Nil(t, l.Current(), "not asked at once")
		require.Equal(t, 2, loads)
		down = false
		time.Sleep(2 * loadRetry)
		require.NotNil(t, l.Current())
		l.Stale()
		require.Nil(t, l.Fresh())
		require.NotNil(t, l.Current())
		require.Equal(t, 4, loads)
		l.Close()
		l.Stale()
		require.Nil(t, l.Current())
	})
}

// Whoever asks while a snapshot is renewed gets the last one, and waits for a newer
// one only if a change is known or may be.
func TestLatestIsRenewedBeside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next := make(chan *Catalog)
		var l *Latest
		meanwhile := func() {}
		l = NewLatest(new(Changes), func(context.Context) (*Catalog, time.Duration, error) {
			meanwhile()
			if c := <-next; c != nil {
				return c, 0, nil
			}
			return nil, 0, errors.New("down")
		}, func(error) {})
		asked := make(chan *Catalog)
		ask := func() { asked <- l.Current() }
		first, second, third, fourth := &Catalog{}, &Catalog{}, &Catalog{}, &Catalog{}
		go ask()
		next <- first
		require.Same(t, first, <-asked)

		go l.Renew()
		synctest.Wait() // it loads
		require.Same(t, first, l.Current())
		l.Stale()
		go ask()
		next <- first // of before the change
		next <- second
		require.Same(t, second, <-asked)

		l.Doubt(0)
		meanwhile = func() { l.Doubt(time.Second) } // about what is being loaded
		go ask()
		go ask() // which waits too
		next <- third
		require.Same(t, third, <-asked)
		require.Same(t, third, <-asked)
		meanwhile = func() {}
		time.Sleep(2 * time.Second)
		go ask()
		next <- fourth
		require.Same(t, fourth, <-asked)

		go func() { next <- nil }()
		l.Renew()
		require.Nil(t, l.Current(), "the target cannot be asked")
		l.Close()
		l.Renew()
	})
}

func TestSharedLingers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		made, rested, closed := 0, 0, 0
		s := Shared[string, int]{Rest: func(int) { rested++ }, RestAfter: time.Second, Close: func(int) { closed++ }, CloseAfter: time.Minute}
		open := func() int { return s.Open("a", func() int { made++; return made }) }
		require.Equal(t, 1, open())
		require.Equal(t, 1, open())
		s.Release("a")
		time.Sleep(time.Hour)
		require.Zero(t, rested+closed, "one still needs it")
		s.Release("a")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.Equal(t, 1, rested)
		require.Equal(t, 1, open())
		time.Sleep(time.Hour)
		require.Zero(t, closed)
		s.Release("a")
		time.Sleep(time.Hour)
		synctest.Wait()
		require.Equal(t, 1, closed)
		require.Zero(t, s.Len())
		require.Equal(t, 2, open())
	})
}

// What may have changed is asked about at once, but not more often than is soon enough.
func TestLatestDoubts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		loads := 0
		l := NewLatest(new(Changes), func(context.Context) (*Catalog, time.Duration, error) {
			loads++
			return &Catalog{}, 0, nil
		}, func(error) {})
		after := func(pause time.Duration, doubt bool, want int) {
			t.Helper()
			time.Sleep(pause)
			if doubt {
				l.Doubt(time.Second)
			}
			l.Current()
			require.Equal(t, want, loads)
		}
		after(0, false, 1)
		after(time.Minute, true, 2)
		after(0, false, 2)
		after(500*time.Millisecond, true, 2)
		after(400*time.Millisecond, true, 2)
		after(200*time.Millisecond, false, 3)
		after(time.Hour, false, 3)
		l.Doubt(time.Second)
		time.Sleep(time.Minute) // nobody asks
		after(0, true, 4)
	})
}
