// Package index finds entries of journals by a database. Packages sqlite and
// postgres are it with one; the schema, what is written and what is asked are the
// same for both.
//
// Each event is kept as its bytes, in compressed blocks, and what entries can be
// found by as sets of their numbers, in buckets: a search combines sets, newest
// bucket first, and reads the blocks of what is left. So what a page costs does
// not depend on how often each of its filters holds.
package index

import (
	"context"
	"crypto/sha256"
	"database/sql"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport-dev/gateway/audit"
)

// Schema makes the tables, with the types that SQLite has.
//
//go:embed schema.sql
var Schema string

// Version is that of [Schema].
const Version = 3

// A Dialect is what databases differ in.
type Dialect struct {
	Begin     string // begins a transaction that will write
	ForUpdate string // behind a select, so that nobody else changes the row
	Numbered  bool   // parameters are $1, $2; else ?
	Shared    bool   // a search looks in all journals that are there, not only in its own
	// Prepare makes the tables if they are not there.
	Prepare func(ctx context.Context, c *sql.Conn) error
}

// An Index finds entries of the journals in one database, and keeps those of one
// journal up to date. Its methods may be called from many goroutines at once.
type Index struct {
	dir string // of the journal; "": it is only asked
	db  *sql.DB
	d   Dialect

	mu     sync.Mutex // held by whoever writes; other processes have a lock of the database
	conn   *sql.Conn  // of whoever writes, with its prepared statements
	stmts  map[string]*sql.Stmt
	source *source // what is known of the journal in memory; nil: it is in the database only

	origin atomic.Pointer[string] // the journal's id; nil: not read yet
	most   int                    // maxWork, but for tests

	// Progress, if not nil, is told how many events of the journal are indexed
	// after each batch. Set it before Update or Follow is called.
	Progress func(indexed uint64)
	// Logger is told what Follow tries again; nil: slog.Default().
	Logger *slog.Logger
}

// New returns an index in db of the journal in dir; without a dir it can only be
// asked. It takes db over.
func New(ctx context.Context, db *sql.DB, d Dialect, dir string) (*Index, error) {
	x := &Index{dir: dir, db: db, d: d, most: maxWork}
	c, err := db.Conn(ctx)
	if err == nil {
		err = errors.Join(d.Prepare(ctx, c), c.Close())
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return x, nil
}

// Close closes the database.
func (x *Index) Close() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.disconnect()
	return x.db.Close()
}

func (x *Index) name() string {
	if x.dir == "" {
		return "index"
	}
	return "index of " + x.dir
}

// sql puts a statement into the database's dialect.
func (x *Index) sql(query string) string {
	if !x.d.Numbered {
		return query
	}
	var b strings.Builder
	n := 0
	for {
		before, after, found := strings.Cut(query, "?")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		n++
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(n))
		query = after
	}
}

// Rebuild makes the index of the journal anew. One that is interrupted is taken up
// by Update.
func (x *Index) Rebuild(ctx context.Context) error {
	if err := x.forget(ctx); err != nil {
		return fmt.Errorf("%s: %w", x.name(), err)
	}
	return x.Update(ctx)
}

// Update returns when the index knows what the journal held when it was called.
// It can be ended at any time, and goes on where it was.
func (x *Index) Update(ctx context.Context) error { return x.run(ctx, false) }

// Follow keeps the index up to date until ctx ends, and returns its cause. What
// fails is tried again, less and less often: a database may be away for a while.
func (x *Index) Follow(ctx context.Context) error {
	const most = 30 * time.Second
	for pause := time.Second; ; pause = min(2*pause, most) {
		began := time.Now()
		err := x.run(ctx, true)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if time.Since(began) > most {
			pause = time.Second
		}
		log := x.Logger
		if log == nil {
			log = slog.Default()
		}
		log.Error("the index stands still: answers are as old as this", "error", err, "again", pause)
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return context.Cause(ctx)
		}
	}
}

// errStale says that the journal is not what was indexed: after a power failure
// it can lack what waited to be written.
var errStale = errors.New("the journal is not the one that was indexed")

func (x *Index) run(ctx context.Context, follow bool) error {
	if x.dir == "" {
		return errors.New("index: it was opened without a journal")
	}
	for again := true; ; again = false {
		err := x.follow(ctx, follow)
		var damage *audit.DamageError
		switch {
		case errors.Is(err, errStale) && again:
			if err := x.forget(ctx); err != nil {
				return fmt.Errorf("%s: %w", x.name(), err)
			}
		case errors.As(err, &damage) && damage.Damages[0].Next > 0:
			// One bad place does not hide what is behind it.
			d := damage.Damages[0]
			if err := x.write(ctx, func(s *source) error {
				s.gap(d)
				return nil
			}); err != nil {
				return fmt.Errorf("%s: %w", x.name(), err)
			}
			again = true
		case err == nil || ctx.Err() != nil:
			return err
		default:
			return fmt.Errorf("%s: %w", x.name(), err)
		}
	}
}

// maxBatch is how many events one transaction holds at most.
const maxBatch = 2000

// follow indexes what is behind the cursor.
func (x *Index) follow(ctx context.Context, follow bool) error {
	var from uint64
	var last string
	x.origin.Store(nil) // it may be another by now
	_, err := x.journal()
	if errors.Is(err, errNoJournal) && follow {
		err = nil // it is to come
	} else if err == nil {
		err = x.write(ctx, func(s *source) error { from, last = s.next, s.last; return nil })
	}
	if err != nil {
		return err
	}
	check := last != ""
	if check {
		from-- // the last one is read again, to see that it is the same
	}
	err = audit.Leaves(ctx, x.dir, from, follow, maxBatch, func(batch []audit.Leaf) error {
		if check {
			if batch[0].Event.Seq != from || hashOf(batch[0].Bytes) != last {
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

// hashOf tells a leaf from all others.
func hashOf(leaf []byte) string {
	h := sha256.Sum256(leaf)
	return hex.EncodeToString(h[:])
}

var errNoJournal = errors.New("there is no journal")

// journal returns the journal's id, which each of its segments begins with.
func (x *Index) journal() (string, error) {
	if o := x.origin.Load(); o != nil {
		return *o, nil
	}
	for e, err := range audit.Events(x.dir) {
		if err == nil && e.Journal != nil && e.Journal.Origin != "" {
			x.origin.Store(&e.Journal.Origin)
			return e.Journal.Origin, nil
		}
	}
	return "", fmt.Errorf("%s: %w", x.dir, errNoJournal)
}

// apply indexes leaves, which follow one another.
func (x *Index) apply(ctx context.Context, batch []audit.Leaf) error {
	if len(batch) == 0 {
		return nil
	}
	err := x.write(ctx, func(s *source) error {
		for i := range batch {
			if batch[i].Event.Seq < s.next {
				continue // another process was faster
			}
			if err := s.event(&batch[i]); err != nil {
				return fmt.Errorf("event %d: %w", batch[i].Event.Seq, err)
			}
		}
		return nil
	})
	if err == nil && x.Progress != nil {
		x.Progress(batch[len(batch)-1].Event.Seq + 1)
	}
	return err
}
