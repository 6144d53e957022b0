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
	catalogPoll   = 5 * time.Second        // how often changes made past the gateway are looked for, while it is used
	catalogUnused = 12                     // after so many polls without a use the next use looks for itself
	catalogWhole  = time.Minute            // how often it is read although nothing says that there was a change
	catalogLinger = 60 * time.Second       // how long a catalog is kept after its last session
	catalogIdle   = 250 * time.Millisecond // how long its connection is
)

// catalogKey says which sessions may share a catalog: those that log in alike.
type catalogKey struct{ target, addr, user, version string }

// catalogs are the catalogs of all targets with open sessions.
type catalogs struct {
	log *slog.Logger
	sql.Shared[catalogKey, *catalog]
	changes sql.Shared[string, *sql.Changes] // of those in one place
}

func (cs *catalogs) init(log *slog.Logger) {
	cs.log = log
	cs.Rest, cs.RestAfter = (*catalog).rest, catalogIdle
	cs.Close, cs.CloseAfter = func(k *catalog) { k.close(); cs.changes.Release(k.key.addr) }, catalogLinger
	cs.changes.Close = func(*sql.Changes) {}
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
	used     atomic.Bool                 // since the last poll
	changes  *sql.Changes

	// Nothing of this is touched but between loads and by load itself.
	conn    *target
	poll    *time.Timer
	unused  int // polls since the last use
	last    *sql.Catalog
	counted mysqlsql.Counters // before it was read
	known   int64             // changes that were when it was
	moved   time.Time         // when a change was last known of, or counted
	whole   time.Time         // when it was last read
	took    time.Duration     // and how long that took
}

func (cs *catalogs) open(key catalogKey, a *mysqlsql.Analyzer, st mysqlsql.State, connect connectFunc) *catalog {
	k := cs.Open(key, func() *catalog {
		k := &catalog{key: key, analyzer: a, state: st, unused: catalogUnused}
		k.changes = cs.changes.Open(key.addr, func() *sql.Changes { return new(sql.Changes) })
		k.Latest = sql.NewLatest(k.changes, k.load, func(err error) {
			cs.log.Warn("the catalog of a target cannot be read: what names in statements mean is not known", "target", key.target, "err", err)
		})
		k.Between(func() { k.poll = time.AfterFunc(catalogPoll, k.check) }) // which uses the timer
		return k
	})
	k.connect.Store(&connect)
	return k
}

func (k *catalog) close() {
	k.Close()
	k.Between(func() {
		k.poll.Stop()
		k.poll = nil
		k.disconnect()
	})
}

// rest closes the connection until the catalog is needed again, and nobody looks for
// changes until then.
func (k *catalog) rest() {
	k.Between(func() {
		k.used.Store(false)
		k.unused = catalogUnused
		k.disconnect()
	})
	k.Doubt(0)
}

func (k *catalog) disconnect() {
	if k.conn != nil {
		k.conn.quit()
		k.conn.close()
		k.conn.r.Release()
		k.conn = nil
	}
}

// current returns a snapshot that is newer than every change noted by Stale, or nil if
// the target's definitions cannot be read.
func (k *catalog) current() *sql.Catalog {
	if !k.used.Load() {
		k.used.Store(true)
	}
	return k.Current()
}

// check looks for changes made past the gateway, beside what statements do meanwhile.
func (k *catalog) check() {
	renew := false
	k.Between(func() {
		if k.used.Swap(false) {
			k.unused = 0
		} else {
			k.unused++
		}
		if renew = k.unused < catalogUnused; !renew {
			k.disconnect()
		}
	})
	if renew {
		k.Renew()
	} else {
		k.Doubt(0)
	}
	k.Between(func() {
		if k.poll != nil {
			k.poll.Reset(catalogPoll)
		}
	})
}

// load reads the definitions, if they are not those of the last time.
func (k *catalog) load(ctx context.Context) (c *sql.Catalog, good time.Duration, err error) {
	kept := k.conn != nil
	c, err = k.read(ctx)
	if err != nil && kept { // somebody may have ended it while it was idle
		k.disconnect()
		c, err = k.read(ctx)
	}
	if err != nil {
		k.disconnect()
		return nil, 0, err
	}
	return c, 0, nil
}

// read takes a fault in reading what the target says for a failure.
func (k *catalog) read(ctx context.Context) (c *sql.Catalog, err error) {
	err = protocol.Guard(func() (err error) {
		if k.conn == nil {
			if k.conn, err = (*k.connect.Load())(ctx); err != nil {
				return err
			}
		}
		began := time.Now()
		counters := k.analyzer.Count(ctx, k.conn, k.state)
		changes := k.Known()
		if k.last == nil || changes != k.known || !counters.Same(k.counted) {
			k.moved = began
		} else if age := began.Sub(k.whole); age < 20*k.took || age < catalogWhole && began.Sub(k.moved) > catalogWhole {
			// Nobody has begun to change anything: what is counted when it begins may
			// take a while.
			c = k.last
			return nil
		}
		if c, err = k.analyzer.Load(ctx, k.conn, k.state); err != nil {
			return err
		}
		k.counted, k.known, k.whole, k.took = counters, changes, began, time.Since(began)
		if k.last == nil || k.last.Key() != c.Key() {
			k.last = c // else what was computed from the last one holds
		}
		c = k.last
		return nil
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
