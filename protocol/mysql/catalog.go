package mysql

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/mysqlsql"
	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

const (
	catalogAge   = 5 * time.Second  // how long a snapshot is used, since nothing tells of changes made past the gateway
	catalogLoad  = 30 * time.Second // limit for one load
	catalogRetry = time.Second      // pause after a failed load
)

// catalogKey says which sessions may share a catalog: those that log in alike.
type catalogKey struct{ target, addr, user, version string }

// catalogs are the catalogs of all targets with open sessions.
type catalogs struct {
	log *slog.Logger

	mu sync.Mutex
	m  map[catalogKey]*catalog
}

type connectFunc func(context.Context) (*target, error)

// A catalog is the latest snapshot of one target's definitions, read over a
// connection of the gateway's own.
type catalog struct {
	key      catalogKey
	log      *slog.Logger
	analyzer *mysqlsql.Analyzer
	state    mysqlsql.State              // views are expanded in it
	connect  atomic.Pointer[connectFunc] // with the newest credentials
	refs     int                         // under catalogs.mu

	changes atomic.Int64 // that sessions know of
	now     atomic.Pointer[snapshot]

	mu     sync.Mutex // one loader at a time
	failed time.Time
}

// A snapshot is what one load has read.
type snapshot struct {
	catalog *sql.Catalog
	changes int64 // known of when it began
	at      time.Time
}

func (cs *catalogs) open(key catalogKey, a *mysqlsql.Analyzer, st mysqlsql.State, connect connectFunc) *catalog {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.m == nil {
		cs.m = map[catalogKey]*catalog{}
	}
	k := cs.m[key]
	if k == nil {
		k = &catalog{key: key, log: cs.log, analyzer: a, state: st}
		cs.m[key] = k
	}
	k.connect.Store(&connect)
	k.refs++
	return k
}

func (cs *catalogs) release(k *catalog) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if k.refs--; k.refs == 0 {
		delete(cs.m, k.key)
	}
}

// stale says that definitions have changed.
func (k *catalog) stale() { k.changes.Add(1) }

// current returns a snapshot that is newer than every change noted by stale and
// not old, or nil if the target's definitions cannot be read.
func (k *catalog) current() *sql.Catalog {
	if c, ok := k.newest(); ok {
		return c
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if c, ok := k.newest(); ok {
		return c
	}
	if time.Since(k.failed) < catalogRetry {
		return nil
	}
	changes := k.changes.Load()
	c, err := k.load()
	if err != nil {
		k.failed = time.Now()
		k.now.Store(nil)
		k.log.Warn("the catalog of a target cannot be read: what names in statements mean is not known", "target", k.key.target, "err", err)
		return nil
	}
	if s := k.now.Load(); s != nil && s.catalog.Key() == c.Key() {
		c = s.catalog // what was computed from it holds
	}
	k.now.Store(&snapshot{c, changes, time.Now()})
	return c
}

// newest returns the last snapshot, if there is no reason to load another.
func (k *catalog) newest() (c *sql.Catalog, ok bool) {
	s := k.now.Load()
	if s == nil || s.changes < k.changes.Load() || time.Since(s.at) > catalogAge {
		return nil, false
	}
	return s.catalog, true
}

// load takes a fault in reading what the target says for a failure.
func (k *catalog) load() (c *sql.Catalog, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), catalogLoad)
	defer cancel()
	err = protocol.Guard(func() error {
		t, err := (*k.connect.Load())(ctx)
		if err != nil {
			return err
		}
		defer t.close()
		defer t.r.Release()
		c, err = k.analyzer.Load(ctx, t, k.state)
		return err
	})
	return c, err
}

// sources returns what the target says that a column of a result comes from: it
// names one of a table or a view.
func (k *catalog) sources(schema, table, column string) []protocol.Source {
	own := []protocol.Source{{ColumnRef: protocol.ColumnRef{Schema: schema, Table: table, Column: column}, Edge: protocol.EdgeIdentity}}
	c := k.current()
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
