package postgres

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// A catalog looks for changes by itself from the moment it is opened; under the
// race detector this is about who may touch its timer when.
func TestCatalogIsPolled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cs catalogs
		k := cs.open(catalogKey{target: "t"}, func(context.Context) (*target, error) { return nil, errors.New("down") })
		k.used.Store(true)
		time.Sleep(catalogPoll + time.Second)
		if k.used.Load() {
			t.Fatal("nobody has looked")
		}
		cs.release(k)
		time.Sleep(catalogLinger + time.Second)
		cs.mu.Lock()
		defer cs.mu.Unlock()
		if len(cs.m) != 0 {
			t.Fatal("it lingers on")
		}
	})
}
