package index

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"
)

// write runs f in a transaction that holds the journal's row, and keeps what f
// changed. What is in memory is thrown away after an error, and when another
// process has written meanwhile.
func (x *Index) write(ctx context.Context, f func(*source) error) (err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.conn == nil {
		if x.conn, err = x.db.Conn(ctx); err != nil {
			return err
		}
		x.stmts = map[string]*sql.Stmt{}
	}
	defer func() {
		if err != nil {
			x.source = nil
			// Whoever wrote was interrupted, perhaps in the middle: the
			// transaction must not stay open.
			if _, rerr := x.conn.ExecContext(context.WithoutCancel(ctx), "rollback"); rerr != nil {
				x.disconnect()
			}
		}
	}()
	t := &tx{ctx, x}
	if _, err := x.conn.ExecContext(ctx, x.d.Begin); err != nil {
		return err
	}
	if err := x.hold(t); err != nil {
		return err
	}
	if err := f(x.source); err != nil {
		return err
	}
	if err := x.source.flush(); err != nil {
		return err
	}
	_, err = x.conn.ExecContext(ctx, "commit")
	return err
}

// disconnect gives up the connection of whoever writes.
func (x *Index) disconnect() {
	x.source = nil
	if x.conn == nil {
		return
	}
	for _, s := range x.stmts {
		_ = s.Close()
	}
	_ = x.conn.Raw(func(any) error { return driver.ErrBadConn }) // it may be in a transaction
	_ = x.conn.Close()
	x.conn, x.stmts = nil, nil
}

// hold locks the journal's row, and reads what is not known in memory.
func (x *Index) hold(t *tx) error {
	origin, err := x.journal()
	if err != nil {
		return err
	}
	find := func() (id int64, next uint64, last string, err error) {
		_, err = t.find("select id, next, last from source where origin = ?"+x.d.ForUpdate, []any{origin}, &id, &next, &last)
		return
	}
	id, next, last, err := find()
	// Of gateways that are new at the same time, each waits for the one before.
	for i := 0; err == nil && id == 0; i++ {
		if i == 100 {
			return errors.New("the journal cannot be added: others are, all the time")
		}
		if err = t.exec("insert into source (id, origin, next, last) select coalesce(max(id), 0) + 1, ?, 0, '' from source where true on conflict do nothing", origin); err == nil {
			id, next, last, err = find()
		}
	}
	if err != nil {
		return err
	}
	if s := x.source; s != nil && s.id == id && s.next == next && s.last == last {
		s.t = t
		return nil
	}
	x.source, err = loadSource(t, id, next, last)
	return err
}

// forget removes what is indexed of the journal.
func (x *Index) forget(ctx context.Context) error {
	return x.write(ctx, func(s *source) error {
		for _, table := range []string{"block", "posting", "bucket", "later", "running", "session", "gap", "use_day", "use_rule"} {
			if err := s.t.exec("delete from "+table+" where source = ?", s.id); err != nil {
				return err
			}
		}
		*s = *newSource(s.t, s.id)
		return nil
	})
}

// A tx is a transaction that writes.
type tx struct {
	ctx context.Context
	x   *Index
}

// prepare prepares a statement once for the connection.
func (t *tx) prepare(query string) (*sql.Stmt, error) {
	s := t.x.stmts[query]
	if s == nil {
		var err error
		if s, err = t.x.conn.PrepareContext(t.ctx, t.x.sql(query)); err != nil {
			return nil, err
		}
		t.x.stmts[query] = s
	}
	return s, nil
}

func (t *tx) exec(query string, args ...any) error {
	s, err := t.prepare(query)
	if err == nil {
		_, err = s.ExecContext(t.ctx, args...)
	}
	return err
}

// find reads one row into dest, and reports whether there is one.
func (t *tx) find(query string, args []any, dest ...any) (bool, error) {
	s, err := t.prepare(query)
	if err == nil {
		err = s.QueryRowContext(t.ctx, args...).Scan(dest...)
	}
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// each calls f for each row, which scan reads.
func (t *tx) each(query string, args []any, f func(scan func(...any) error) error) error {
	s, err := t.prepare(query)
	if err != nil {
		return err
	}
	rows, err := s.QueryContext(t.ctx, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// insert inserts rows of so many columns, whose values follow one another in
// args: many in one statement, of which there are few.
func (t *tx) insert(into, behind string, columns int, args []any) error {
	row := "(?" + strings.Repeat(", ?", columns-1) + ")"
	for _, rows := range []int{128, 16, 1} {
		for n := rows * columns; len(args) >= n; args = args[n:] {
			if err := t.exec("insert into "+into+" values "+row+strings.Repeat(", "+row, rows-1)+behind, args[:n]...); err != nil {
				return err
			}
		}
	}
	return nil
}
