// Package sqlite keeps an index of a journal in one SQLite file, by which
// package audit answers questions.
//
// An [Index] is made from a journal beside its writing, and can be made again:
// it is no evidence, and what it says of an event can be proven by the event's
// number. Nobody waits for it. [Index.Follow] brings it up to date and keeps it
// so; a gateway runs it beside its listeners, and a command runs [Index.Update]
// before it asks. Several processes may do so at once with the same file.
//
// The file holds what the journal holds, statements and arguments included, and
// has to be kept as closely.
package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver; without cgo

	"github.com/sallyport-dev/gateway/audit"
)

//go:embed schema.sql
var schema string

// version is that of the schema. An index of another version is made again.
const version = 1

// maxText bounds what is searched of a statement with its arguments.
const maxText = 64 << 10

// An Index finds entries of one journal. Its methods may be called from many
// goroutines at once.
type Index struct {
	dir   string // of the journal
	db    *sql.DB
	write sync.Mutex // one writer at a time in this process; SQLite sees to the others
}

// Open opens the index in file of the journal in dir, or begins one.
func Open(ctx context.Context, file, dir string) (*Index, error) {
	x, err := open(ctx, file, dir)
	if err != nil {
		return nil, fmt.Errorf("index %s: %w", file, err)
	}
	return x, nil
}

func open(ctx context.Context, file, dir string) (_ *Index, err error) {
	// The file has to be for its owner only before SQLite makes it.
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	// What is lost in a power failure is made again, so nothing is synced.
	dsn := url.URL{Scheme: "file", Opaque: (&url.URL{Path: file}).EscapedPath(), RawQuery: url.Values{
		"_pragma": {"busy_timeout(10000)", "journal_mode(wal)", "synchronous(off)", "cache_size(-32768)", "temp_store(memory)"},
		"_txlock": {"immediate"},
	}.Encode()}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, err
	}
	x := &Index{dir: dir, db: db}
	defer func() {
		if err != nil {
			_ = db.Close()
		}
	}()
	return x, x.transact(ctx, func(tx *sql.Tx) error {
		var v int
		if err := tx.QueryRowContext(ctx, "pragma user_version").Scan(&v); err != nil {
			return err
		}
		if v == version {
			return nil
		}
		return clear(ctx, tx)
	})
}

// Close closes the file.
func (x *Index) Close() error { return x.db.Close() }

// transact runs f in a transaction that writes.
func (x *Index) transact(ctx context.Context, f func(*sql.Tx) error) (err error) {
	x.write.Lock()
	defer x.write.Unlock()
	tx, err := x.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = tx.Rollback()
		}
	}()
	if err := f(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// clear empties the index.
func clear(ctx context.Context, tx *sql.Tx) error {
	rows, err := tx.QueryContext(ctx, "select name from sqlite_schema where type = 'table' and name not like 'sqlite_%' and name not like 'words_%'")
	if err != nil {
		return err
	}
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return errors.Join(err, rows.Close())
		}
		names = append(names, name)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	for _, name := range names {
		if _, err := tx.ExecContext(ctx, `drop table "`+strings.ReplaceAll(name, `"`, `""`)+`"`); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, schema); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, fmt.Sprintf("pragma user_version = %d", version))
	return err
}

// Rebuild makes the index anew.
func (x *Index) Rebuild(ctx context.Context) error {
	if err := x.transact(ctx, func(tx *sql.Tx) error { return clear(ctx, tx) }); err != nil {
		return fmt.Errorf("index of %s: %w", x.dir, err)
	}
	return x.Update(ctx)
}

// Update returns when the index knows what the journal held when it was called.
func (x *Index) Update(ctx context.Context) error { return x.run(ctx, false) }

// Follow keeps the index up to date until ctx ends, and returns its cause.
func (x *Index) Follow(ctx context.Context) error { return x.run(ctx, true) }

// errStale says that the index is not of this journal, or the journal is not
// what it was: after a power failure it can lack what waited to be written.
var errStale = errors.New("the index is of another journal")

func (x *Index) run(ctx context.Context, follow bool) error {
	for again := true; ; again = false {
		err := x.follow(ctx, follow)
		var damage *audit.DamageError
		switch {
		case errors.Is(err, errStale) && again:
			if err := x.transact(ctx, func(tx *sql.Tx) error { return clear(ctx, tx) }); err != nil {
				return fmt.Errorf("index of %s: %w", x.dir, err)
			}
		case errors.As(err, &damage) && damage.Damages[0].Next > 0:
			// One bad place does not hide what is behind it.
			d := damage.Damages[0]
			if err := x.transact(ctx, func(tx *sql.Tx) error {
				_, err := tx.ExecContext(ctx, "insert or replace into gap (at, what) values (?, ?)", int64(d.Next), fmt.Sprintf("%s at offset %d: %s", d.File, d.Offset, d.What))
				if err != nil {
					return err
				}
				return setCursor(ctx, tx, cursor{next: d.Next})
			}); err != nil {
				return fmt.Errorf("index of %s: %w", x.dir, err)
			}
			again = true
		case err == nil || ctx.Err() != nil:
			return err
		default:
			return fmt.Errorf("index of %s: %w", x.dir, err)
		}
	}
}

// maxBatch is how many events one transaction holds at most.
const maxBatch = 1000

// follow indexes what is behind the cursor.
func (x *Index) follow(ctx context.Context, follow bool) error {
	c, err := x.cursor(ctx)
	if err != nil {
		return err
	}
	from := c.next
	check := c.last != ""
	if check {
		from-- // the last one is read again, to see that it is the same
	}
	err = audit.Batches(ctx, x.dir, from, follow, maxBatch, func(batch []audit.Event) error {
		if check {
			if batch[0].Seq != c.next-1 || hashOf(&batch[0]) != c.last {
				return errStale
			}
			batch, check = batch[1:], false
		}
		return x.apply(ctx, batch)
	})
	if check && err == nil {
		return errStale // the journal is shorter than what was indexed
	}
	return err
}

// hashOf tells an event from all others.
func hashOf(e *audit.Event) string {
	b, err := json.Marshal(e)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%x", sha256.Sum256(b))
}

// A cursor is how far a journal is indexed.
type cursor struct {
	next uint64 // the number of the next event
	last string // what tells the last one; "" if that is not known
}

func (x *Index) cursor(ctx context.Context) (c cursor, err error) {
	return readCursor(ctx, x.db)
}

type queryer interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func readCursor(ctx context.Context, q queryer) (c cursor, err error) {
	err = q.QueryRowContext(ctx, "select coalesce((select value from meta where name = 'next'), 0), coalesce((select value from meta where name = 'last'), '')").Scan(&c.next, &c.last)
	return c, err
}

func setCursor(ctx context.Context, tx *sql.Tx, c cursor) error {
	_, err := tx.ExecContext(ctx, "insert or replace into meta (name, value) values ('next', ?), ('last', ?)", int64(c.next), c.last)
	return err
}

// apply indexes events, which follow one another.
func (x *Index) apply(ctx context.Context, events []audit.Event) error {
	if len(events) == 0 {
		return nil
	}
	return x.transact(ctx, func(tx *sql.Tx) error {
		now, err := readCursor(ctx, tx)
		if err != nil {
			return err
		}
		w := newWriter(ctx, tx)
		for i := range events {
			if events[i].Seq < now.next {
				continue // another process was faster
			}
			if err := w.event(&events[i]); err != nil {
				return fmt.Errorf("event %d: %w", events[i].Seq, err)
			}
		}
		last := &events[len(events)-1]
		if last.Seq < now.next {
			return nil
		}
		if err := w.flush(); err != nil {
			return err
		}
		return setCursor(ctx, tx, cursor{last.Seq + 1, hashOf(last)})
	})
}

// Uses returns how every identity used every target since then.
func (x *Index) Uses(ctx context.Context, since time.Time) ([]audit.Use, error) {
	day := int64(0)
	if !since.IsZero() {
		day = dayOf(since)
	}
	rows, err := x.db.QueryContext(ctx, `select issuer, subject, kind, target, permission, count(*), sum(n), sum(denied), sum(approved),
		sum(rows), sum(masked), max(max_risk), min(first_ts), max(last_ts), max(last_seq)
		from use_day where day >= ? group by issuer, subject, kind, target, permission order by issuer, subject, target, permission`, day)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var uses []audit.Use
	for rows.Next() {
		var u audit.Use
		var first, last int64
		if err := rows.Scan(&u.Issuer, &u.Subject, &u.Kind, &u.Target, &u.Permission, &u.Days, &u.Count, &u.Denied, &u.Approved,
			&u.Rows, &u.Masked, &u.MaxRisk, &first, &last, &u.LastSeq); err != nil {
			return nil, err
		}
		u.First, u.Last = time.Unix(0, first).UTC(), time.Unix(0, last).UTC()
		uses = append(uses, u)
	}
	return uses, rows.Err()
}
