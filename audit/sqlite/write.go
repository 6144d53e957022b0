package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-dev/gateway/audit"
)

// A writer indexes events in one transaction.
type writer struct {
	ctx      context.Context
	tx       *sql.Tx
	stmts    map[string]*sql.Stmt
	sessions map[string][2]audit.Text // name and email
	days     map[day]*count
	objects  map[object]*count
	tools    map[tool]*count
}

func newWriter(ctx context.Context, tx *sql.Tx) *writer {
	return &writer{ctx, tx, map[string]*sql.Stmt{}, map[string][2]audit.Text{}, map[day]*count{}, map[object]*count{}, map[tool]*count{}}
}

// prepare prepares a statement once; the transaction's end closes it.
func (w *writer) prepare(query string) (*sql.Stmt, error) {
	s := w.stmts[query]
	if s == nil {
		var err error
		if s, err = w.tx.PrepareContext(w.ctx, query); err != nil {
			return nil, err
		}
		w.stmts[query] = s
	}
	return s, nil
}

func (w *writer) exec(query string, args ...any) error {
	s, err := w.prepare(query)
	if err == nil {
		_, err = s.ExecContext(w.ctx, args...)
	}
	return err
}

// find reads one row into dest, and reports whether there is one.
func (w *writer) find(query string, args []any, dest ...any) (bool, error) {
	s, err := w.prepare(query)
	if err == nil {
		err = s.QueryRowContext(w.ctx, args...).Scan(dest...)
	}
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// event indexes one event.
func (w *writer) event(e *audit.Event) error {
	switch e.Kind {
	case audit.SessionOpened:
		var name, email string
		if e.Identity != nil {
			name, email = string(e.Identity.Name), string(e.Identity.Email)
		}
		if err := w.exec("insert or replace into session (id, name, email) values (?, ?, ?)", e.Session, name, email); err != nil {
			return err
		}
		return w.begin(e)
	case audit.CommandCompleted:
		if e.Decision != nil { // it says what was decided as well
			return w.begin(e)
		}
		return w.end(e)
	case audit.RecordingChunk:
		return nil // nobody looks for it
	case audit.CommandUnknown, audit.SessionClosed:
		return w.end(e)
	}
	return w.begin(e)
}

// begin indexes an event that says what was decided, or that stands alone.
func (w *writer) begin(e *audit.Event) error {
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	var d audit.Decision
	if e.Decision != nil {
		d = *e.Decision
	}
	var a audit.Action
	if e.Action != nil {
		a = *e.Action
	}
	var status string
	if e.Result != nil {
		status = e.Result.Status
	}
	id := int64(e.Seq)
	args := []any{e.Time.UnixNano(), string(e.Kind), lower(audit.Text(targetOf(e))), lower(a.Verb), lower(toolOf(e)), d.Effect, lower(d.Rule),
		status, a.Risk, min(len(d.Grants), 1), b}
	if e.Session != "" { // a decision about what was held, or another about what was allowed
		var held int64
		found, err := w.find("select id from entry where session = ? and command = ?", []any{e.Session, int64(e.Command)}, &held)
		if err != nil {
			return err
		}
		if found {
			if err := w.exec(`update entry set ts = ?, kind = ?, target = ?, verb = ?, tool = ?, effect = ?, rule = ?, status = ?, risk = ?, approved = ?, event = ?
				where id = ?`, append(args, held)...); err != nil {
				return err
			}
			w.use(e)
			return w.tags(held, e)
		}
	}
	if err := w.exec(`insert into entry (ts, kind, target, verb, tool, effect, rule, status, risk, approved, event, id, session, command)
		values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, append(args, id, e.Session, int64(e.Command))...); err != nil {
		return err
	}
	if text := wordsOf(e); text != "" {
		if err := w.exec("insert into words (rowid, text) values (?, ?)", id, text); err != nil {
			return err
		}
	}
	w.use(e)
	return w.tags(id, e)
}

// end indexes an event that says how an operation or a session ended.
func (w *writer) end(e *audit.Event) error {
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	status := ""
	if e.Result != nil {
		status = e.Result.Status
	}
	var begun []byte
	var id int64
	found, err := w.find("select id, event from entry where session = ? and command = ?", []any{e.Session, int64(e.Command)}, &id, &begun)
	if err != nil {
		return err
	}
	if !found {
		return w.begin(e) // what began it is not in the journal any more
	}
	if err := w.exec("update entry set status = ?, end_event = ? where id = ?", status, b, id); err != nil {
		return err
	}
	var first audit.Event
	if err := json.Unmarshal(begun, &first); err != nil {
		return err
	}
	if e.Result == nil || first.Action == nil || first.Identity == nil {
		return nil
	}
	c := w.day(&first)
	c.rows += e.Result.Rows
	c.masked += int64(min(len(e.Result.Masked), 1))
	return nil
}

// tags indexes what an entry has several of.
func (w *writer) tags(id int64, e *audit.Event) error {
	type tag struct{ name, value string }
	var tags []tag
	add := func(name string, values ...audit.Text) {
		for _, v := range values {
			if t := (tag{name, lower(v)}); v != "" && !slices.Contains(tags, t) {
				tags = append(tags, t)
			}
		}
	}
	for who := e.Identity; who != nil; who = who.OnBehalfOf {
		add("who", who.Subject, who.Name, who.Email)
	}
	if e.Kind == audit.LoginRefused {
		add("who", e.User)
	} else if e.Session != "" { // operations say the subject only
		s, known := w.sessions[e.Session]
		if !known {
			if _, err := w.find("select name, email from session where id = ?", []any{e.Session}, &s[0], &s[1]); err != nil {
				return err
			}
			w.sessions[e.Session] = s
		}
		add("who", s[:]...)
	}
	if a := e.Action; a != nil {
		for _, c := range a.Access {
			add("access", audit.Text(c))
		}
		for _, o := range a.Objects {
			add("object", o.Name)
		}
		for _, c := range slices.Concat(a.Reads, a.Writes) {
			add("column", c[0]+"."+c[1]+"."+c[2])
		}
	}
	if d := e.Decision; d != nil {
		add("approval", d.Ticket)
		for _, g := range d.Grants {
			add("approval", g.Ticket, g.By)
		}
	}
	for part := range slices.Chunk(tags, 16) { // so that there are few statements
		args := make([]any, 0, 3*len(part))
		for _, t := range part {
			args = append(args, t.name, t.value, id)
		}
		if err := w.exec("insert or ignore into tag (name, value, entry) values (?, ?, ?)"+strings.Repeat(", (?, ?, ?)", len(part)-1), args...); err != nil {
			return err
		}
	}
	return nil
}

// The keys of what is counted.
type (
	day struct {
		issuer, subject, kind, target, permission string
		day                                       int64
	}
	object struct{ issuer, subject, target, object, access string }
	tool   struct{ issuer, subject, target, tool, trust string }
)

// A count is what one transaction adds to a row.
type count struct {
	n, denied, approved, rows, masked int64
	risk                              int
	first, last, seq                  int64 // 0: no event
}

func (c *count) at(e *audit.Event) {
	ts := e.Time.UnixNano()
	if c.n++; c.n == 1 || ts < c.first {
		c.first = ts
	}
	c.last, c.seq = max(c.last, ts), int64(e.Seq)
}

// of returns m's count for k.
func of[K comparable](m map[K]*count, k K) *count {
	c := m[k]
	if c == nil {
		c = &count{}
		m[k] = c
	}
	return c
}

func (w *writer) day(e *audit.Event) *count {
	who := e.Identity
	return of(w.days, day{string(who.Issuer), string(who.Subject), string(who.Kind), targetOf(e), strings.Join(e.Action.Access, "+"), dayOf(e.Time)})
}

// use counts a decision.
func (w *writer) use(e *audit.Event) {
	d, a, who := e.Decision, e.Action, e.Identity
	if d == nil || a == nil || who == nil || d.Effect == "hold" {
		return
	}
	c := w.day(e)
	c.at(e)
	if d.Effect != "allow" {
		c.denied++
	}
	c.approved += int64(min(len(d.Grants), 1))
	c.risk = max(c.risk, a.Risk)
	if e.Result != nil {
		c.rows += e.Result.Rows
		c.masked += int64(min(len(e.Result.Masked), 1))
	}
	for _, o := range a.Objects {
		of(w.objects, object{string(who.Issuer), string(who.Subject), targetOf(e), string(o.Name), strings.Join(o.Access, "+")}).at(e)
	}
	if e.Tool != nil {
		of(w.tools, tool{string(who.Issuer), string(who.Subject), targetOf(e), string(toolOf(e)), e.Tool.Trust}).at(e)
	}
}

// flush writes what was counted.
func (w *writer) flush() error {
	for k, c := range w.days {
		if c.n == 0 { // ends of what an earlier transaction has counted
			if err := w.exec("update use_day set rows = rows + ?, masked = masked + ? where issuer = ? and subject = ? and kind = ? and target = ? and permission = ? and day = ?",
				c.rows, c.masked, k.issuer, k.subject, k.kind, k.target, k.permission, k.day); err != nil {
				return err
			}
			continue
		}
		if err := w.exec(`insert into use_day (issuer, subject, kind, target, permission, day, n, denied, approved, rows, masked, max_risk, first_ts, last_ts, last_seq)
			values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict do update set n = n + excluded.n, denied = denied + excluded.denied,
			approved = approved + excluded.approved, rows = rows + excluded.rows, masked = masked + excluded.masked,
			max_risk = max(max_risk, excluded.max_risk), first_ts = min(first_ts, excluded.first_ts), last_ts = max(last_ts, excluded.last_ts), last_seq = excluded.last_seq`,
			k.issuer, k.subject, k.kind, k.target, k.permission, k.day, c.n, c.denied, c.approved, c.rows, c.masked, c.risk, c.first, c.last, c.seq); err != nil {
			return err
		}
	}
	for k, c := range w.objects {
		if err := w.exec(`insert into use_object (issuer, subject, target, object, access, n, last_ts) values (?, ?, ?, ?, ?, ?, ?)
			on conflict do update set n = n + excluded.n, last_ts = max(last_ts, excluded.last_ts)`,
			k.issuer, k.subject, k.target, k.object, k.access, c.n, c.last); err != nil {
			return err
		}
	}
	for k, c := range w.tools {
		if err := w.exec(`insert into use_tool (issuer, subject, target, tool, trust, n, first_ts, last_ts) values (?, ?, ?, ?, ?, ?, ?, ?)
			on conflict do update set n = n + excluded.n, last_ts = max(last_ts, excluded.last_ts)`,
			k.issuer, k.subject, k.target, k.tool, k.trust, c.n, c.first, c.last); err != nil {
			return err
		}
	}
	return nil
}

func targetOf(e *audit.Event) string {
	if e.Target == nil {
		return ""
	}
	return string(e.Target.Name)
}

func toolOf(e *audit.Event) audit.Text {
	switch {
	case e.Tool == nil:
		return ""
	case e.Tool.Name != "":
		return e.Tool.Name
	}
	return e.Tool.Raw
}

// wordsOf returns what is searched for words: the statement as it was sent, what
// stands behind a name in it, and its arguments.
func wordsOf(e *audit.Event) string {
	if e.Action == nil {
		return ""
	}
	var b strings.Builder
	add := func(v *audit.Value) {
		if v != nil && !v.Hidden && b.Len() < maxText {
			b.WriteString(string(v.Text[:min(len(v.Text), maxText)]))
			b.WriteByte(' ')
		}
	}
	add(e.Action.Text)
	add(e.Action.Behind)
	for i := range e.Action.Args {
		add(e.Action.Args[i].Value)
	}
	return strings.ToValidUTF8(b.String(), " ")
}

// lower returns t as it is compared.
func lower(t audit.Text) string { return strings.ToLower(strings.ToValidUTF8(string(t), "?")) }

func dayOf(t time.Time) int64 { return t.Unix() / (24 * 60 * 60) }
