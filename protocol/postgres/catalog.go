package postgres

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/pgsql"
	"github.com/sallyport-dev/gateway/protocol/internal/serve"
	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

const (
	catalogPoll   = 5 * time.Second  // how often changes made past the gateway are looked for, while it is used
	catalogLinger = 60 * time.Second // how long a catalog is kept after its last session
	catalogIdle   = catalogDoubt     // how long its connection is
	catalogLimit  = 30 * time.Second // for one look for changes

	// catalogRetry is how long a snapshot is good that lacks definitions.
	catalogRetry = time.Second

	// catalogDoubt is how often the catalog is read at most because a function has run
	// that may have changed definitions: as with those made past the gateway, no text
	// says so. Calls are too frequent to read the catalog after each, and which code
	// defines anything cannot be told from it: much of what runs texts never does.
	catalogDoubt = 250 * time.Millisecond
)

// catalogKey says which sessions may share a catalog: those that log in alike.
type catalogKey struct{ target, addr, user, database string }

// place is where definitions are that sessions share, however they log in.
type place struct{ addr, database string }

// catalogs are the catalogs of all databases with open sessions.
type catalogs struct {
	log *slog.Logger
	sql.Shared[catalogKey, *catalog]
	changes sql.Shared[place, *sql.Changes] // of those in one place
}

func (cs *catalogs) init(log *slog.Logger) {
	cs.log = log
	cs.Rest, cs.RestAfter = (*catalog).rest, catalogIdle
	cs.Close, cs.CloseAfter = func(k *catalog) { k.close(); cs.changes.Release(place{k.key.addr, k.key.database}) }, catalogLinger
	cs.changes.Close = func(*sql.Changes) {}
}

type connectFunc func(context.Context) (*target, error)

// A catalog is the latest snapshot of one database's catalog, read over a
// connection of the gateway's own.
type catalog struct {
	*sql.Latest
	key     catalogKey
	connect atomic.Pointer[connectFunc] // with the newest credentials
	used    atomic.Bool                 // since the last poll
	changes *sql.Changes
	version atomic.Int64 // of what was loaded last

	// Nothing of this is touched but between loads and by load itself.
	conn   *target
	loader pgsql.Loader // reads from conn
	probe  string       // at the last check
	poll   *time.Timer
}

func (cs *catalogs) open(key catalogKey, connect connectFunc) *catalog {
	k := cs.Open(key, func() *catalog {
		k := &catalog{key: key}
		k.changes = cs.changes.Open(place{key.addr, key.database}, func() *sql.Changes { return new(sql.Changes) })
		k.Latest = sql.NewLatest(k.changes, k.load, func(err error) {
			cs.log.Warn("the catalog of a target cannot be read: what names in statements mean is not known", "target", key.target, "database", key.database, "err", err)
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

// rest closes the connection until the catalog is needed again: a database can
// only be dropped, renamed or copied while nobody else is connected to it.
func (k *catalog) rest() {
	k.Between(k.disconnect)
	k.Doubt(0) // nobody looks for changes meanwhile
}

func (k *catalog) disconnect() {
	if k.conn != nil {
		_ = k.conn.conn.Close()
		k.conn.r.Release()
		k.conn = nil
	}
}

// doubt says that definitions may have changed.
func (k *catalog) doubt() { k.Doubt(catalogDoubt) }

// current returns a snapshot that is newer than every change noted by Stale,
// or nil if the target's catalog cannot be read.
func (k *catalog) current() *sql.Catalog {
	if !k.used.Load() {
		k.used.Store(true)
	}
	return k.Current()
}

// load reads the catalog.
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
	if k.loader.Partial() {
		good = catalogRetry
	}
	return c, good, nil
}

// read takes a fault in reading what the target says for a failure.
func (k *catalog) read(ctx context.Context) (c *sql.Catalog, err error) {
	err = protocol.Guard(func() (err error) {
		if k.conn == nil {
			if k.conn, err = (*k.connect.Load())(ctx); err != nil {
				return err
			}
			k.loader.Reconnected()
		}
		c, err = k.loader.Load(ctx, k.conn)
		k.version.Store(k.loader.Changes()) // before anybody gets c
		return err
	})
	return c, err
}

func (k *catalog) probeNow(ctx context.Context) (v string, err error) {
	err = k.conn.Query(ctx, pgsql.Probe(), func(row [][]byte) error {
		if len(row) > 0 {
			v = string(row[0])
		}
		return nil
	})
	return v, err
}

// check looks for changes made past the gateway.
func (k *catalog) check() { k.Between(k.checkNow) }

func (k *catalog) checkNow() {
	if k.poll == nil {
		return
	}
	defer k.poll.Reset(catalogPoll)
	if !k.used.Swap(false) || k.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), catalogLimit)
	defer cancel()
	err := protocol.Guard(func() error {
		if same, err := k.loader.Unchanged(ctx, k.conn); same && err == nil {
			return nil
		}
		// Transactions have ended since the last load. Whether they changed
		// definitions is seen by comparing with the check before.
		v, err := k.probeNow(ctx)
		if err == nil && v != k.probe {
			k.probe = v
			k.Stale()
		}
		return err
	})
	if err != nil {
		k.probe = ""
		k.Stale()
	}
}

// Query implements [pgsql.Querier] with the simple protocol.
func (t *target) Query(ctx context.Context, text string, row func([][]byte) error) error {
	stop := serve.Expire(ctx, t.conn)
	defer stop()
	_, err := t.conn.Write(appendMessage(nil, msgQuery, func(b []byte) []byte { return append(append(b, text...), 0) }))
	if err != nil {
		return err
	}
	var failed error
	var values [][]byte
	for {
		frame, err := t.next(maxCatalogRow)
		if err != nil {
			return errors.Join(failed, err)
		}
		switch frame[0] {
		case msgDataRow:
			if values, err = decodeRow(frame[5:], values); err != nil {
				return err
			}
			if failed == nil {
				failed = row(values)
			}
		case msgErrorResponse:
			if failed == nil { // one is enough: a target may fail without end
				failed = errors.New("the target refuses: " + sqlstate(frame[5:]))
			}
		case msgReadyForQuery:
			return failed
		case msgCopyInResponse, msgCopyOutResponse, msgCopyBothResponse:
			return io.ErrUnexpectedEOF
		}
	}
}

const maxCatalogRow = 64 << 20 // a view's definition, at most
