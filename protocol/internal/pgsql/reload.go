package pgsql

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"

	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

// A Loader loads the catalog of one database again and again. What came with
// the server is read once and kept while its rows are as they were, which makes
// the second load of a small database twenty times as fast as the first; and
// while no transaction that writes has ended, nothing is read at all. A Loader
// belongs to one database and is for one goroutine at a time. The zero Loader
// is ready.
type Loader struct {
	own  *ownCatalog
	last *sql.Catalog
	seen string // the transactions that the last load saw ended

	partial bool // the last load lacks definitions
}

// ownCatalog is what came with the server.
type ownCatalog struct {
	rows      string // sums up its rows in the server's tables
	sum       []byte
	relations []*sql.Relation
	types     []*sql.Type
	builtins  []sql.Builtin
}

// stateQuery says which transactions have ended and which of the others a
// query sees as under way: two equal answers saw the same rows everywhere. It
// sets the search_path for everything that follows, how long it may wait for a
// lock, and that it is not compiled: on a server with statistics of some
// hundred tables that takes longer than all the rest.
const stateQuery = `SELECT pg_catalog.concat(pg_catalog.set_config('search_path', 'pg_catalog', false), pg_catalog.set_config('lock_timeout', '500ms', false),
  CASE WHEN pg_catalog.current_setting('server_version_num')::pg_catalog.int4 OPERATOR(pg_catalog.>=) 110000 THEN pg_catalog.set_config('jit', 'off', false) END),
 pg_catalog.current_setting('server_version_num'), pg_catalog.txid_current_snapshot()::pg_catalog.text`

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
	rows, err := l.one(ownQuery)
	if err != nil {
		return nil, err
	}
	if k.own == nil || k.own.rows != rows {
		if k.own, err = newLoader(ctx, q).ownCatalog(l.version, rows); err != nil {
			return nil, err
		}
	}
	k.own.start(l)
	if err := l.steps(l.users()); err != nil {
		return nil, err
	}
	copy(l.snap.Key[:], l.sum.Sum(nil))
	k.seen, k.partial = seen, l.partial
	if k.last == nil || k.last.Key() != l.snap.Key {
		k.last = sql.New(l.snap, ExpandView)
	}
	return k.last, nil
}

// Reconnected says that the next Load has another connection than the last: the
// server behind it may be another too, with transactions of its own.
func (k *Loader) Reconnected() { k.seen = "" }

// Partial reports that the last Load lacks the definitions of views which
// somebody had locked: they are unknown, and another Load may find them.
func (k *Loader) Partial() bool { return k.partial }

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
	if err := l.steps(l.own()); err != nil {
		return nil, err
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
	l.snap.Builtins = slices.Clone(o.builtins)
}
