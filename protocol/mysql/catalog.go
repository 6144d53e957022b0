package mysql

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/mysqlsql"
	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

const (
	catalogAge    = 5 * time.Second  // how long a snapshot is used, since nothing tells of changes made past the gateway
	catalogLinger = 60 * time.Second // how long it is kept after its last session
)

// catalogKey says which sessions may share a catalog: those that log in alike.
type catalogKey struct{ target, addr, user, version string }

// catalogs are the catalogs of all targets with open sessions.
type catalogs struct {
	log *slog.Logger
	sql.Shared[catalogKey, *catalog]
}

func (cs *catalogs) init(log *slog.Logger) {
	cs.log = log
	cs.Close, cs.CloseAfter = func(k *catalog) { k.Close() }, catalogLinger
}

type connectFunc func(context.Context) (*target, error)

// A catalog is the latest snapshot of one target's definitions, read over a
// connection of the gateway's own.
type catalog struct {
	*sql.Latest
	key      catalogKey
	analyzer *mysqlsql.Analyzer
	state    mysqlsql.State              // views are expanded in it
	connect  atomic.Pointer[connectFunc] // with the newest credentials
	last     *sql.Catalog                // for load only, as what follows
	counted  mysqlsql.Counters           // before it was read
	changes  int64                       // known of when it was
}

func (cs *catalogs) open(key catalogKey, a *mysqlsql.Analyzer, st mysqlsql.State, connect connectFunc) *catalog {
	k := cs.Open(key, func() *catalog {
		k := &catalog{key: key, analyzer: a, state: st}
		k.Latest = sql.NewLatest(k.load, func(err error) {
			cs.log.Warn("the catalog of a target cannot be read: what names in statements mean is not known", "target", key.target, "err", err)
		})
		return k
	})
	k.connect.Store(&connect)
	return k
}

func (k *catalog) load(ctx context.Context) (c *sql.Catalog, good time.Duration, err error) {
	t, err := (*k.connect.Load())(ctx)
	if err != nil {
		return nil, 0, err
	}
	defer t.close()
	defer t.r.Release()
	counters := k.analyzer.Count(ctx, t, k.state)
	changes := k.Changes()
	if k.last != nil && changes == k.changes && counters.Same(k.counted) {
		return k.last, catalogAge, nil // nobody has changed anything
	}
	if c, err = k.analyzer.Load(ctx, t, k.state); err != nil {
		return nil, 0, err
	}
	k.counted, k.changes = counters, changes
	if k.last == nil || k.last.Key() != c.Key() {
		k.last = c // else what was computed from the last one holds
	}
	return k.last, catalogAge, nil
}

// sources returns what the target says that a column of a result comes from: it
// names one of a table or a view.
func (k *catalog) sources(schema, table, column string) []protocol.Source {
	own := []protocol.Source{{ColumnRef: protocol.ColumnRef{Schema: schema, Table: table, Column: column}, Edge: protocol.EdgeIdentity}}
	c := k.Current()
	if c == nil {
		return own
	}
	r := c.Lookup(schema, table)
	if r == nil {
		return own
	}
	lineage := c.Lineage(r, nil)
	for i := range r.Columns {
		if strings.EqualFold(r.Columns[i].Name, column) {
			return lineage[i].Sources
		}
	}
	return own
}

// versionOf returns a version as comments that are executed have it, such as
// 101114 for 5.5.5-10.11.14-MariaDB; 0 if it cannot be read.
func versionOf(version string) int {
	version = strings.TrimPrefix(version, "5.5.5-") // MariaDB's, for old clients
	n, parts := 0, 0
	for _, part := range strings.SplitN(version, ".", 3) {
		v := 0
		for i := 0; i < len(part) && part[i] >= '0' && part[i] <= '9' && v < 100; i++ {
			v = 10*v + int(part[i]-'0')
		}
		n, parts = 100*n+v, parts+1
	}
	if parts < 3 || n < 50000 {
		return 0
	}
	return n
}
