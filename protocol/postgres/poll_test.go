package postgres

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

// A catalog looks for changes by itself from the moment it is opened; under the
// race detector this is about who may touch its timer when.
func TestCatalogIsPolled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cs catalogs
		cs.init(slog.New(slog.DiscardHandler))
		k := cs.open(catalogKey{target: "t"}, func(context.Context) (*target, error) { return nil, errors.New("down") })
		k.used.Store(true)
		time.Sleep(catalogPoll + time.Second)
		if k.used.Load() {
			t.Fatal("nobody has looked")
		}
		cs.Release(k.key)
		time.Sleep(catalogLinger + time.Second)
		if cs.Len() != 0 {
			t.Fatal("it lingers on")
		}
	})
}
