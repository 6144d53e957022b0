package postgres

import (
	"bytes"
	"context"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
)

// A fault in reading a catalog is a failure to read it, whoever asked: it ends
// no process, and the operator hears of it.
func TestCatalogFault(t *testing.T) {
	var log bytes.Buffer
	var cs catalogs
	cs.init(slog.New(slog.NewTextHandler(&log, nil)))
	k := cs.open(catalogKey{target: "orders"}, func(context.Context) (*target, error) { panic("a fault") })
	defer k.close()
	require.Nil(t, k.current())
	require.Contains(t, log.String(), "a fault")
	require.Contains(t, log.String(), "target=orders")

	wanted := k.Known()
	k.conn = &target{} // has no connection, so that asking it is a fault
	k.used.Store(true)
	k.check()
	require.Greater(t, k.Known(), wanted, "a check that fails proves nothing")
	k.conn = nil
}
