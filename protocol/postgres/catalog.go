package postgres

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/pgsql"
	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

const (
	catalogPoll   = 5 * time.Second  // how often changes made past the gateway are looked for, while it is used
	catalogLinger = 60 * time.Second // how long a catalog is kept after its last session
	catalogIdle   = catalogDoubt     // how long its connection is
	catalogLoad   = 30 * time.Second // limit for one load
	catalogRetry  = time.Second      // pause after a failed load

	// catalogDoubt is how long a snapshot is good after a function has run that
	// may have changed definitions: as with those made past the gateway, no text
	// says so. Calls are too frequent to read the catalog after each.
	catalogDoubt = 250 * time.Millisecond
)

// catalogKey says which sessions may share a catalog: those that log in alike.
type catalogKey struct{ target, addr, user, database string }

// catalogs are the catalogs of all databases with open sessions.
type catalogs struct {
	log *slog.Logger

	mu sync.Mutex
	m  map[catalogKey]*catalog
}

type connectFunc func(context.Context) (*target, error)

// A catalog is the latest snapshot of one database's catalog, read over a
// connection of the gateway's own.
type catalog struct {
	key     catalogKey
	log     *slog.Logger
	connect atomic.Pointer[connectFunc] // with the newest credentials
	refs    int                         // under catalogs.mu
	idle    *time.Timer
	linger  *time.Timer

	used   atomic.Bool  // since the last poll
	wanted atomic.Int64 // counts changes that sessions know of
	now    atomic.Pointer[sql.Catalog]

	loaded atomic.Int64 // wanted at the last load, -1 before the first
	again  atomic.Int64 // when to load again though no change is known, in Unix ns; 0: not

	mu     sync.Mutex // one loader at a time
	failed time.Time
	conn   *target
	loader pgsql.Loader // reads from conn
	probe  string       // at the last check
	poll   *time.Timer
	closed bool
}

func (cs *catalogs) open(key catalogKey, connect connectFunc) *catalog {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.m == nil {
		cs.m = map[catalogKey]*catalog{}
	}
	k := cs.m[key]
	if k == nil {
		k = &catalog{key: key, log: cs.log}
		k.loaded.Store(-1)
		cs.m[key] = k
		k.mu.Lock() // check uses the timer
		k.poll = time.AfterFunc(catalogPoll, k.check)
		k.mu.Unlock()
	}
	k.connect.Store(&connect)
	k.refs++
	if k.linger != nil {
		k.idle.Stop()
		k.linger.Stop()
	}
	return k
}

func (cs *catalogs) release(k *catalog) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if k.refs--; k.refs > 0 {
		return
	}
	k.idle = time.AfterFunc(catalogIdle, k.rest)
	k.linger = time.AfterFunc(catalogLinger, func() {
		cs.mu.Lock()
		defer cs.mu.Unlock()
		if k.refs > 0 {
			return
		}
		delete(cs.m, k.key)
		k.close()
	})
}

func (k *catalog) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
	k.poll.Stop()
	k.disconnect()
}

// rest closes the connection until the catalog is needed again: a database can
// only be dropped, renamed or copied while nobody else is connected to it.
func (k *catalog) rest() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.disconnect()
	k.stale() // nobody looks for changes meanwhile
}

func (k *catalog) disconnect() {
	if k.conn != nil {
		_ = k.conn.conn.Close()
		k.conn.r.Release()
		k.conn = nil
	}
}

// stale says that definitions have changed.
func (k *catalog) stale() { k.wanted.Add(1) }

// doubt says that definitions may have changed.
func (k *catalog) doubt() {
	k.again.CompareAndSwap(0, time.Now().Add(catalogDoubt).UnixNano())
}

// current returns a snapshot that is newer than every change noted by stale,
// or nil if the target's catalog cannot be read.
func (k *catalog) current() *sql.Catalog {
	if !k.used.Load() {
		k.used.Store(true)
	}
	if c, ok := k.newest(); ok {
		return c
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if c, ok := k.newest(); ok {
		return c
	}
	if time.Since(k.failed) < catalogRetry || k.closed {
		return nil
	}
	want := k.wanted.Load()
	if err := k.load(); err != nil {
		k.failed = time.Now()
		k.log.Warn("the catalog of a target cannot be read: what names in statements mean is not known", "target", k.key.target, "database", k.key.database, "err", err)
		k.now.Store(nil)
		k.disconnect()
		return nil
	}
	k.loaded.Store(want)
	return k.now.Load()
}

// ahead loads a snapshot that will be asked for soon, for whoever asks: it does
// not wait, nor does the session's end.
func (k *catalog) ahead() {
	if _, ok := k.newest(); !ok {
		go k.current()
	}
}

// newest returns the last snapshot, if there is no reason to load another.
func (k *catalog) newest() (c *sql.Catalog, ok bool) {
	if k.loaded.Load() < k.wanted.Load() {
		return nil, false
	}
	if at := k.again.Load(); at != 0 && time.Now().UnixNano() > at {
		return nil, false
	}
	return k.now.Load(), true
}

// fresh returns the snapshot if no change is known that it lacks, else nil. It
// does not wait.
func (k *catalog) fresh() *sql.Catalog {
	if k.loaded.Load() >= k.wanted.Load() {
		return k.now.Load()
	}
	return nil
}

// load reads the catalog. The caller holds mu.
func (k *catalog) load() error {
	ctx, cancel := context.WithTimeout(context.Background(), catalogLoad)
	defer cancel()
	k.again.Store(0) // a doubt that arises meanwhile counts for the next load
	kept := k.conn != nil
	c, err := k.read(ctx)
	if err != nil && kept { // somebody may have ended it while it was idle
		k.disconnect()
		c, err = k.read(ctx)
	}
	if err != nil {
		return err
	}
	k.now.Store(c)
	if k.loader.Partial() {
		k.again.Store(time.Now().Add(catalogRetry).UnixNano())
	}
	return nil
}

// read takes a fault in reading what the target says for a failure: it may be on
// a goroutine that is no session's.
func (k *catalog) read(ctx context.Context) (c *sql.Catalog, err error) {
	err = protocol.Guard(func() (err error) {
		if k.conn == nil {
			if k.conn, err = (*k.connect.Load())(ctx); err != nil {
				return err
			}
			k.loader.Reconnected()
		}
		c, err = k.loader.Load(ctx, k.conn)
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
func (k *catalog) check() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return
	}
	defer k.poll.Reset(catalogPoll)
	if !k.used.Swap(false) || k.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), catalogLoad)
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
			k.stale()
		}
		return err
	})
	if err != nil {
		k.probe = ""
		k.stale()
	}
}

// Query implements [pgsql.Querier] with the simple protocol.
func (t *target) Query(ctx context.Context, text string, row func([][]byte) error) error {
	stop := context.AfterFunc(ctx, func() { _ = t.conn.SetDeadline(time.Unix(1, 0)) })
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
