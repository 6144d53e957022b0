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
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"strings"

	_ "modernc.org/sqlite" // the driver; without cgo

	"github.com/sallyport-dev/gateway/audit/internal/index"
)

// An Index finds entries of one journal. Its methods may be called from many
// goroutines at once.
type Index = index.Index

// Open opens the index in file of the journal in dir, or begins one.
func Open(ctx context.Context, file, dir string) (*Index, error) {
	x, err := open(ctx, file, dir)
	if err != nil {
		return nil, fmt.Errorf("index %s: %w", file, err)
	}
	return x, nil
}

func open(ctx context.Context, file, dir string) (*Index, error) {
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
	}.Encode()}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, err
	}
	return index.New(ctx, db, index.Dialect{Begin: "begin immediate", Prepare: prepare}, dir)
}

// prepare makes the tables. A file of another version is made again.
func prepare(ctx context.Context, c *sql.Conn) (err error) {
	version := 0
	ask := func() error { return c.QueryRowContext(ctx, "pragma user_version").Scan(&version) }
	if err := ask(); err != nil || version == index.Version {
		return err
	}
	if _, err := c.ExecContext(ctx, "begin immediate"); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_, _ = c.ExecContext(context.WithoutCancel(ctx), "rollback")
		}
	}()
	if err := ask(); err != nil { // another process may have been faster
		return err
	}
	if version != index.Version {
		if err := drop(ctx, c); err != nil {
			return err
		}
		if _, err := c.ExecContext(ctx, index.Schema); err != nil {
			return err
		}
		if _, err := c.ExecContext(ctx, fmt.Sprintf("pragma user_version = %d", index.Version)); err != nil {
			return err
		}
	}
	_, err = c.ExecContext(ctx, "commit")
	return err
}

// drop removes what an earlier version has left.
func drop(ctx context.Context, c *sql.Conn) error {
	rows, err := c.QueryContext(ctx, "select name from sqlite_schema where type = 'table' and name not like 'sqlite_%' and name not like 'words_%'")
	if err != nil {
		return err
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return err
		}
		names = append(names, name)
	}
	if err := rows.Close(); err != nil {
		return err
	}
	for _, name := range names {
		if _, err := c.ExecContext(ctx, `drop table "`+strings.ReplaceAll(name, `"`, `""`)+`"`); err != nil {
			return err
		}
	}
	return nil
}
