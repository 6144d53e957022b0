// Package postgres keeps an index of journals in a PostgreSQL, by which package
// audit answers questions: that of a fleet. Each gateway indexes its own journal
// there, and a search finds what is in all of them, newest first. It is what
// package sqlite keeps in a file, otherwise.
//
// The tables are in the schema sallyport_audit, which is made when it is not
// there. They hold what the journals hold, statements and arguments included, and
// the database has to be kept as closely. An index is no evidence: what it says of
// an event can be proven by the journal and the event's number.
//
// While the database is away nobody waits for it; [Index.Follow] goes on where it
// was, and nothing is missing or counted twice.
package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/sallyport-dev/gateway/audit/internal/index"
)

// An Index finds entries of all journals in one database, and keeps those of one
// journal up to date. Its methods may be called from many goroutines at once.
type Index = index.Index

// schemaName is the schema of the tables.
const schemaName = "sallyport_audit"

// Open opens the index in the database that dsn names, a URL or keywords as libpq
// has them, of the journal in dir; without a dir it can only be asked. Errors hold
// no password.
func Open(ctx context.Context, dsn, dir string) (*Index, error) {
	c, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, errors.New("index in PostgreSQL: the connection string is not understood") // it has the password in it
	}
	c.RuntimeParams["search_path"] = schemaName
	x, err := index.New(ctx, stdlib.OpenDB(*c), index.Dialect{Begin: "begin", ForUpdate: " for update", Numbered: true, Shared: true, Prepare: prepare}, dir)
	if err != nil {
		return nil, fmt.Errorf("index in PostgreSQL at %s: %w", c.Host, err)
	}
	return x, nil
}

// statements make the tables, with PostgreSQL's types. Texts are compared byte by
// byte, as SQLite does, so that a pattern's begin is a range.
var statements = strings.NewReplacer(" integer", " bigint", " blob", " bytea", " text", ` text collate "C"`, " strict, without rowid", "").Replace(index.Schema)

// prepare makes the tables, one gateway at a time.
func prepare(ctx context.Context, c *sql.Conn) (err error) {
	tx, err := c.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ignoreDone(tx.Rollback())) }()
	if _, err := tx.ExecContext(ctx, "select pg_advisory_xact_lock(hashtext('"+schemaName+"'))"); err != nil {
		return err
	}
	var there bool
	if err := tx.QueryRowContext(ctx, "select to_regclass('"+schemaName+".version') is not null").Scan(&there); err != nil {
		return err
	}
	if !there {
		make := "create schema if not exists " + schemaName + "; create table version (number bigint not null);\n" +
			fmt.Sprintf("insert into version values (%d);\n", index.Version) + statements
		if err := c.Raw(func(conn any) error { // several statements at once, which is not prepared
			_, err := conn.(*stdlib.Conn).Conn().PgConn().Exec(ctx, make).ReadAll()
			return err
		}); err != nil {
			return err
		}
		return tx.Commit()
	}
	var version int
	if err := tx.QueryRowContext(ctx, "select number from version").Scan(&version); err != nil {
		return err
	}
	if version != index.Version {
		return fmt.Errorf("its tables are of version %d, this is %d: drop the schema %s, and the gateways make it anew", version, index.Version, schemaName)
	}
	return tx.Commit()
}

func ignoreDone(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}
