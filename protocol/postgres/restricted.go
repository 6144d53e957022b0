package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/pgsql"
	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

// mayRestrict reports whether r could as well run in a session of its own, under
// the target's restricted login: it is alone in its text and outside of a
// transaction, and means the same there, since the client's session has nothing
// that the text could name or change and that is not the same in another.
func (f *front) mayRestrict(r *run) bool {
	c := f.c
	if !c.restricted || r.next != nil || f.unsynced.Load() || f.copyRun != nil {
		return false
	}
	const ofSession = pgsql.TxBegin | pgsql.TxEnd | pgsql.Savepoint | pgsql.Prepare | pgsql.Execute | pgsql.Deallocate | pgsql.DeclareCursor |
		pgsql.Fetch | pgsql.CloseCursor | pgsql.CopyIn | pgsql.Listen | pgsql.Notify | pgsql.Discard | pgsql.ReplicationLike
	e := r.stmt.Effect
	if e.Has(ofSession) || r.op.Verb != protocol.Unknown && e.Has(pgsql.SetsState|pgsql.CreatesTemp) {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &c.tracker
	return c.q.len() == 0 && !f.skipping() && c.status == 'I' && c.changing == 0 && !t.replication && t.known && t.settled() && !t.state.Temp && len(t.state.TempNames) == 0 && t.state.Role == c.user
}

// running returns the connection on which what the client asks for runs.
func (c *session) running() *target {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.other != nil {
		return c.other
	}
	return c.t
}

// turn waits while a statement runs apart: what the target says meanwhile on the
// client's own connection comes behind its answer.
func (c *session) turn() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.other != nil && c.ended == nil {
		c.changed.Wait()
	}
}

// apart runs r, the whole of a Query of n bytes, under the restricted login, in a
// session that is opened for it and closed behind it.
func (f *front) apart(r *run, n int) error {
	c := f.c
	t, err := c.connectRestricted(r)
	if err != nil {
		return f.refuse(msgQuery, n, nil, f.unask(r, err))
	}
	defer t.r.Release()
	defer t.conn.Close()
	c.mu.Lock()
	c.other = t
	c.q.push(entry{kind: msgQuery, run: r})
	c.sent(r)
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.other = nil
		c.changed.Broadcast()
		c.mu.Unlock()
	}()
	f.keep(n)
	if err := f.flush(); err != nil {
		return err
	}
	done := make(chan struct{})
	c.ps.Go(func() error {
		defer close(done)
		bk := &back{c: c, apart: true, segment: f.segment}
		err := protocol.Guard(func() error { return bk.answer(t) })
		if err != nil {
			c.finish(err)
			c.farewell(err)
		}
		if isPanic(err) {
			return err
		}
		return nil
	})
	err = c.wait(func() bool { return c.q.len() == 0 })
	if err != nil {
		_ = t.conn.Close() // wakes it
	}
	<-done
	return err
}

// answer passes on what t answers to the one thing that it was asked.
func (bk *back) answer(t *target) error {
	for {
		if err := bk.chunk(t.r.Buffered()); err != nil {
			_ = bk.release(t.r.Buffered())
			return err
		}
		if err := bk.release(t.r.Buffered()); err != nil {
			return err
		}
		t.r.Discard(bk.i)
		bk.start, bk.i = 0, 0
		bk.c.mu.Lock()
		over := bk.c.q.len() == 0
		bk.c.mu.Unlock()
		if over {
			return nil
		}
		if err := bk.fill(t); err != nil {
			return &protocol.Fault{Side: protocol.SideTarget, Code: codeConnectionFailure, Msg: "the target closed the connection", Err: err}
		}
	}
}

// connectRestricted logs in with the restricted login for r, makes the new session
// like the client's, and makes sure that it cannot read what r must not.
func (c *session) connectRestricted(r *run) (_ *target, err error) {
	ctx := c.ps.Context()
	res := c.ps.Info().Resource
	fail := func(err error) error {
		c.srv.log.Warn("a statement cannot run under the restricted login", "session", c.ps.Info().ID, "target", res.Name, "err", err)
		return &protocol.DeniedError{Step: "postgres", Reason: "this statement could run under the target's restricted login only, which is not in order",
			Hint: "ask whoever runs the gateway: the log says what is wrong with it"}
	}
	creds, err := restrictedCredentials(res)
	if err != nil {
		return nil, fail(err)
	}
	var params []param
	for _, p := range c.st.params {
		switch p.name {
		case "user", "database", "replication":
		default:
			params = append(params, p)
		}
	}
	c.mu.Lock()
	database, path := c.tracker.database, c.tracker.state.SearchPath
	settings := map[string]string{}
	for _, name := range []string{"client_encoding", "DateStyle", "IntervalStyle", "TimeZone", "standard_conforming_strings"} {
		if v, ok := c.tracker.told[name]; ok {
			settings[name] = v
		}
	}
	c.mu.Unlock()
	t, err := c.srv.connectTarget(ctx, res, c.ps.Dial, creds, database, params)
	if err != nil {
		return nil, fail(err)
	}
	defer func() {
		if err != nil {
			_ = t.conn.Close()
			t.r.Release()
		}
	}()
	if t.status != 'I' {
		return nil, fail(errors.New("it begins in a transaction"))
	}
	r.basis.ended, r.basis.version, r.basis.at = c.catalog.changes.Ended(), c.catalog.version.Load(), time.Now()
	cat := c.catalog.Anew() // a view that was made just now counts
	if cat == nil {
		return nil, fail(errors.New("the target's catalog cannot be read"))
	}
	ctx, cancel := context.WithTimeout(ctx, c.srv.loginTimeout())
	defer cancel()
	r.basis.state.Catalog, r.basis.apart = cat, true
	if err := proveRestricted(ctx, t, cat, creds.User, r.op.Hides); err != nil {
		return nil, fail(err)
	}
	if err := t.Query(ctx, likeText(settings, path), func([][]byte) error { return nil }); err != nil {
		return nil, fail(err)
	}
	return t, nil
}

func restrictedCredentials(r protocol.Resource) (protocol.Credentials, error) {
	creds := protocol.Credentials{User: r.Options[optRestricted]}
	if file := r.Options[optRestrictedFile]; file != "" {
		b, err := os.ReadFile(file)
		if err != nil {
			return creds, err
		}
		creds.Secret = protocol.NewSecret(strings.TrimRight(string(b), "\r\n"))
	}
	return creds, nil
}

// likeText sets what the client's session has set.
func likeText(settings map[string]string, path []string) string {
	quoted := make([]string, len(path))
	for i, s := range path {
		quoted[i] = ident(s)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "SELECT pg_catalog.set_config('search_path', %s, false)", literal(strings.Join(quoted, ", ")))
	for name, v := range settings {
		fmt.Fprintf(&b, ", pg_catalog.set_config(%s, %s, false)", literal(name), literal(v))
	}
	return b.String()
}

// literal returns s as a constant that reads the same whatever
// standard_conforming_strings is.
func literal(s string) string {
	return "E'" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(s) + "'"
}

// proveRestricted returns an error if the account at t can read a column that
// hides is true of, or one that is made of such a column or of what is not known,
// or become somebody who can: by being a superuser, by roles that it is a member
// of, or by functions that run with their owner's rights.
func proveRestricted(ctx context.Context, t *target, cat *sql.Catalog, user string, hides func(protocol.ColumnRef) bool) error {
	one := func(text string) (v string, err error) {
		rows := 0
		err = t.Query(ctx, text, func(row [][]byte) error {
			if rows++; len(row) == 1 {
				v = string(row[0])
			}
			return nil
		})
		if err == nil && rows != 1 {
			err = errors.New("the target answers strangely")
		}
		return v, err
	}
	who, err := one("SELECT pg_catalog.concat_ws(' ', CASE WHEN r.rolsuper THEN 'superuser' END, CASE WHEN r.rolcreaterole THEN 'createrole' END, CASE WHEN r.rolreplication THEN 'replication' END," +
		" CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_auth_members m WHERE m.member OPERATOR(pg_catalog.=) r.oid) THEN 'member of other roles' END," +
		" CASE WHEN session_user OPERATOR(pg_catalog.<>) current_user THEN 'not itself' END)" +
		" FROM pg_catalog.pg_roles r WHERE r.rolname OPERATOR(pg_catalog.=) current_user")
	switch {
	case err != nil:
		return err
	case who != "":
		return fmt.Errorf("the restricted login %s is %s", user, who)
	}
	owned, err := one("SELECT pg_catalog.count(*) FROM pg_catalog.pg_proc p WHERE p.prosecdef AND p.oid OPERATOR(pg_catalog.>=) 16384 AND pg_catalog.has_function_privilege(p.oid, 'EXECUTE')")
	switch {
	case err != nil:
		return err
	case owned != "0":
		return fmt.Errorf("the restricted login %s may call %s functions that run with their owner's rights (SECURITY DEFINER)", user, owned)
	}
	var rels, nums []string
	for _, h := range hiddenColumns(cat, hides) {
		rels, nums = append(rels, strconv.FormatUint(uint64(h.rel.OID), 10)), append(nums, strconv.Itoa(int(h.col.Num)))
	}
	if len(rels) == 0 {
		return nil
	}
	// What has been dropped meanwhile has no privileges: NULL.
	seen, err := one("SELECT pg_catalog.concat(pg_catalog.min(h.rel::pg_catalog.regclass::pg_catalog.text), ' ', pg_catalog.count(*)) FROM ROWS FROM (pg_catalog.unnest('{" + strings.Join(rels, ",") + "}'::pg_catalog.oid[]), pg_catalog.unnest('{" +
		strings.Join(nums, ",") + "}'::pg_catalog.int2[])) h (rel, num) WHERE pg_catalog.has_column_privilege(h.rel, h.num, 'SELECT')")
	switch {
	case err != nil:
		return err
	case seen != " 0":
		return fmt.Errorf("the restricted login %s may read columns that are masked, or that are not known for what they come from (of which table, and how many: %s)", user, seen)
	}
	return nil
}

// A hiddenColumn is one that a restricted login must not read.
type hiddenColumn struct {
	rel *sql.Relation
	col *sql.Column
}

// hiddenColumns returns the columns of users' relations that hides is true of, that
// come from such columns, or of which that is not known, in the order of names.
func hiddenColumns(cat *sql.Catalog, hides func(protocol.ColumnRef) bool) (list []hiddenColumn) {
	for r := range cat.Relations() {
		if !readable(r) {
			continue
		}
		lineage := cat.Lineage(r, nil)
		for i := range r.Columns {
			if !lineage[i].Known || slices.ContainsFunc(lineage[i].Sources, func(s protocol.Source) bool { return hides(s.ColumnRef) }) {
				list = append(list, hiddenColumn{r, &r.Columns[i]})
			}
		}
	}
	slices.SortFunc(list, func(a, b hiddenColumn) int {
		return sql.CompareRef(a.rel.Ref(a.col.Name), b.rel.Ref(b.col.Name))
	})
	return list
}

// readable reports whether r is a user's relation that a SELECT can read.
func readable(r *sql.Relation) bool {
	if r.System() {
		return false
	}
	switch r.Kind {
	case sql.Table, sql.PartitionedTable, sql.View, sql.MaterializedView, sql.ForeignTable:
		return true
	}
	return false
}
