package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What is old is erased at once and again with each tick, also after an attempt that
// failed, which is told.
func TestRetire(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	tick := make(chan time.Time)
	asked := make(chan int)
	var log bytes.Buffer
	done := make(chan struct{})
	go func() {
		defer close(done)
		n := 0
		retire(ctx, tick, slog.New(slog.NewTextHandler(&log, nil)), func() (int, int, error) {
			n++
			asked <- n
			if n == 2 {
				return 0, 0, errors.New("the disk is full")
			}
			return n, 1, nil
		})
	}()
	for n := 1; n < 4; n++ {
		require.Equal(t, n, <-asked)
		if n < 3 {
			tick <- time.Time{}
		}
	}
	cancel()
	<-done
	require.Contains(t, log.String(), "sessions=1 held=1")
	require.Contains(t, log.String(), "the disk is full")
}

func TestReaderSettings(t *testing.T) {
	admin := &adminSettings{Address: "127.0.0.1:1"}
	require.NoError(t, (&readerSettings{EraseAfter: time.Hour}).check(&adminSettings{}))
	require.ErrorContains(t, (&readerSettings{EraseAfter: -time.Hour}).check(admin), "erase_after must not be negative")
	require.ErrorContains(t, (&readerSettings{Erase: []string{"x"}}).check(&adminSettings{}), "admin listener")
	require.ErrorContains(t, (&readerSettings{Index: "x"}).check(admin), "groups is missing")
}
