package pgsql

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"

	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

// A Loader loads the catalog of one database again and again. While no
// transaction that writes has ended nothing is read at all, and afterwards only
// what has changed: see [Loader.follow]. A Loader belongs to one database and is
// for one goroutine at a time. The zero Loader is ready.
type Loader struct {
	own  *ownCatalog
	last *sql.Catalog
	seen string // the transactions that the last load saw ended

	partial bool // the last load lacks definitions

	rows     []objectRows // what the steps of users have read, by step
	tally    *tally       // nil: everything has to be read anew
	prepared string       // how the names begin of what follow asks, which is prepared on this connection
	refused  bool         // it cannot be
	fulls    int          // how often everything was read
	changes  int64
}

// objectRows are the rows that a step has read, by the object they are about.
type objectRows map[uint32][][]byte

// ownCatalog is what came with the server.
type ownCatalog struct {
	rows      string // sums up its rows in the server's tables
	sum       []byte
	relations []*sql.Relation
	types     []*sql.Type
	builtins  map[string]sql.Builtin
}

// stateQuery says which transactions have ended and which of the others a
// query sees as under way: two equal answers saw the same rows everywhere. A
// standby does not say what is under way, so that no two of its answers are
// equal. It sets the search_path for everything that follows, how long it may
// wait for a lock, that what is prepared is planned once, and that nothing is
// compiled: on a server with statistics of some hundred tables that takes longer
// than all the rest.
const stateQuery = `SELECT pg_catalog.concat(pg_catalog.set_config('search_path', 'pg_catalog', false), pg_catalog.set_config('lock_timeout', '500ms', false),
  CASE WHEN pg_catalog.current_setting('server_version_num')::pg_catalog.int4 OPERATOR(pg_catalog.>=) 110000 THEN pg_catalog.set_config('jit', 'off', false) END,
  CASE WHEN pg_catalog.current_setting('server_version_num')::pg_catalog.int4 OPERATOR(pg_catalog.>=) 120000 THEN pg_catalog.set_config('plan_cache_mode', 'force_generic_plan', false) END),
 pg_catalog.current_setting('server_version_num'), pg_catalog.concat(pg_catalog.txid_current_snapshot()::pg_catalog.text,
  CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.concat(' ', pg_catalog.clock_timestamp()) END)`

// ownQuery sums up the rows of what came with the server, as Probe does.
const ownQuery = `SELECT pg_catalog.concat_ws(' ',
 (SELECT pg_catalog.concat(pg_catalog.count(*), ':', pg_catalog.sum(t.xmin::text::int8)) FROM pg_catalog.pg_class t WHERE t.oid < 16384),
 (SELECT pg_catalog.concat(pg_catalog.count(*), ':', pg_catalog.sum(t.xmin::text::int8)) FROM pg_catalog.pg_attribute t WHERE t.attrelid < 16384),
 (SELECT pg_catalog.concat(pg_catalog.count(*), ':', pg_catalog.sum(t.xmin::text::int8)) FROM pg_catalog.pg_type t WHERE t.oid < 16384),
 (SELECT pg_catalog.concat(pg_catalog.count(*), ':', pg_catalog.sum(t.xmin::text::int8)) FROM pg_catalog.pg_proc t WHERE t.oid < 16384),
 (SELECT pg_catalog.concat(pg_catalog.count(*), ':', pg_catalog.sum(t.xmin::text::int8)) FROM pg_catalog.pg_namespace t WHERE t.oid < 16384))`

// Load is like the function Load. It returns the catalog that it returned
// before if nothing has changed.
func (k *Loader) Load(ctx context.Context, q Querier) (*sql.Catalog, error) {
	l := newLoader(ctx, q)
	seen, err := l.state()
	if err != nil {
		return nil, err
	}
	if k.last != nil && seen == k.seen && !k.partial {
		return k.last, nil
	}
	before := k.seen
	k.seen = ""
	switch changed, ok := k.follow(l, before); {
	case !ok:
		if err := k.everything(l); err != nil {
			return nil, err
		}
	case !changed:
		k.seen = seen
		return k.last, nil
	}
	k.changes++
	k.own.start(l)
	if err := k.replay(l); err != nil {
		k.tally = nil
		return nil, err
	}
	copy(l.snap.Key[:], l.sum.Sum(nil))
	k.seen, k.partial = seen, l.partial
	if k.last == nil || k.last.Key() != l.snap.Key {
		k.last = sql.New(l.snap, ExpandView)
	}
	return k.last, nil
}

// everything reads all that there is.
func (k *Loader) everything(l *loader) error {
	k.tally = nil
	k.fulls++
	rows, err := l.one(ownQuery)
	if err != nil {
		return err
	}
	// What is counted before it is read is read again if it changes meanwhile.
	tally, err := l.count()
	if err != nil {
		return err
	}
	if k.own == nil || k.own.rows != rows {
		if k.own, err = newLoader(l.ctx, l.q).ownCatalog(l.version, rows); err != nil {
			return err
		}
	}
	steps := l.users()
	k.rows = make([]objectRows, len(steps))
	for i := range steps {
		k.rows[i] = objectRows{}
		err := l.read(&steps[i], which(steps[i].query, userObjects), func(oid uint32, row []byte) error {
			k.rows[i][oid] = append(k.rows[i][oid], row)
			return nil
		})
		if err != nil {
			return err
		}
	}
	k.tally = tally
	return nil
}

// replay makes a snapshot of the rows that have been read, in the order in which
// a server that is asked for all of them tells them.
func (k *Loader) replay(l *loader) error {
	steps := l.users()
	var oids []uint32
	for i := range steps {
		l.sum.Write([]byte(steps[i].query))
		oids = oids[:0]
		for oid := range k.rows[i] {
			oids = append(oids, oid)
		}
		slices.Sort(oids)
		for _, oid := range oids {
			for _, row := range k.rows[i][oid] {
				if err := l.take(&steps[i], row); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// Reconnected says that the next Load has another connection than the last: the
// server behind it may be another too, with transactions of its own.
func (k *Loader) Reconnected() { k.seen, k.tally, k.prepared, k.refused = "", nil, "", false }

// Partial reports that the last Load lacks the definitions of views which
// somebody had locked: they are unknown, and another Load may find them.
func (k *Loader) Partial() bool { return k.partial }

// Changes returns how many loads may have met another state than the one before: two
// between which it stays the same have met no change, and none that was taken back.
func (k *Loader) Changes() int64 { return k.changes }

// Unchanged reports that no definition can have changed since the last Load.
func (k *Loader) Unchanged(ctx context.Context, q Querier) (bool, error) {
	seen, err := newLoader(ctx, q).state()
	return err == nil && k.last != nil && seen == k.seen, err
}

func newLoader(ctx context.Context, q Querier) *loader {
	return &loader{ctx: ctx, q: q, sum: sha256.New(), rels: map[uint32]*sql.Relation{}, names: map[string]string{}}
}

// state asks stateQuery.
func (l *loader) state() (seen string, err error) {
	err = l.q.Query(l.ctx, stateQuery, func(values [][]byte) error {
		r := record{values: values}
		r.text()
		l.version, err = strconv.Atoi(r.text())
		seen = r.text()
		return first(r.err, err)
	})
	if err == nil && seen == "" {
		err = fmt.Errorf("no answer")
	}
	if err != nil {
		return "", fmt.Errorf("catalog: state: %w", err)
	}
	return seen, nil
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// one returns the only value that a query returns.
func (l *loader) one(query string) (v string, err error) {
	err = l.q.Query(l.ctx, query, func(values [][]byte) error {
		r := record{values: values}
		v = r.text()
		return r.err
	})
	if err != nil {
		return "", fmt.Errorf("catalog: %w", err)
	}
	return v, nil
}

func (l *loader) ownCatalog(version int, rows string) (*ownCatalog, error) {
	l.version = version
	for _, s := range l.own() {
		query := which(s.query, ownObjects)
		l.sum.Write([]byte(query))
		err := l.read(&s, query, func(_ uint32, row []byte) error { return l.take(&s, row) })
		if err != nil {
			return nil, err
		}
	}
	return &ownCatalog{rows: rows, sum: l.sum.Sum(nil), relations: l.snap.Relations, types: l.snap.Types, builtins: l.snap.Builtins}, nil
}

// start begins l with what came with the server. Relations are copied, since a
// catalog keeps in them what it works out.
func (o *ownCatalog) start(l *loader) {
	l.sum.Write(o.sum)
	l.snap.Relations = make([]*sql.Relation, len(o.relations))
	copies := make([]sql.Relation, len(o.relations))
	for i, r := range o.relations {
		c := &copies[i]
		c.OID, c.Schema, c.Name, c.Kind, c.Columns, c.Unproven = r.OID, r.Schema, r.Name, r.Kind, r.Columns, r.Unproven
		l.snap.Relations[i] = c
		l.rels[c.OID] = c
	}
	l.snap.Types = slices.Clone(o.types)
	l.snap.Builtins = o.builtins
}
