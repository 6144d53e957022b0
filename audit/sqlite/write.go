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
	ctx   context.Context
	tx    *sql.Tx
	stmts map[string]*sql.Stmt
}

// exec runs a statement that was prepared once; the transaction's end closes it.
func (w *writer) exec(query string, args ...any) (sql.Result, error) {
	s := w.stmts[query]
	if s == nil {
		var err error
		if s, err = w.tx.PrepareContext(w.ctx, query); err != nil {
			return nil, err
		}
		w.stmts[query] = s
	}
	return s.ExecContext(w.ctx, args...)
}

// event indexes one event.
func (w *writer) event(e *audit.Event) error {
	switch e.Kind {
	case audit.SessionOpened:
		var name, email string
		if e.Identity != nil {
			name, email = string(e.Identity.Name), string(e.Identity.Email)
		}
		if _, err := w.exec("insert or replace into session (id, name, email) values (?, ?, ?)", e.Session, name, email); err != nil {
			return err
		}
		return w.begin(e)
	case audit.CommandCompleted:
		if e.Decision != nil { // it says what was decided as well
			return w.begin(e)
		}
		return w.end(e)
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
		err := w.tx.QueryRowContext(w.ctx, "select id from entry where session = ? and command = ?", e.Session, int64(e.Command)).Scan(&held)
		switch {
		case err == nil:
			if _, err := w.exec("delete from tag where entry = ? and name in ('approval')", held); err != nil {
				return err
			}
			if _, err := w.exec(`update entry set ts = ?, kind = ?, target = ?, verb = ?, tool = ?, effect = ?, rule = ?, status = ?, risk = ?, approved = ?, event = ?
				where id = ?`, append(args, held)...); err != nil {
				return err
			}
			if err := w.tags(held, e); err != nil {
				return err
			}
			return w.use(e)
		case !errors.Is(err, sql.ErrNoRows):
			return err
		}
	}
	if _, err := w.exec(`insert into entry (ts, kind, target, verb, tool, effect, rule, status, risk, approved, event, id, session, command)
		values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, append(args, id, e.Session, int64(e.Command))...); err != nil {
		return err
	}
	if err := w.tags(id, e); err != nil {
		return err
	}
	if text := wordsOf(e); text != "" {
		if _, err := w.exec("insert into words (rowid, text) values (?, ?)", id, text); err != nil {
			return err
		}
	}
	return w.use(e)
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
	err = w.tx.QueryRowContext(w.ctx, "select id, event from entry where session = ? and command = ?", e.Session, int64(e.Command)).Scan(&id, &begun)
	if errors.Is(err, sql.ErrNoRows) {
		return w.begin(e) // what began it is not in the journal any more
	}
	if err != nil {
		return err
	}
	if _, err := w.exec("update entry set status = ?, end_event = ? where id = ?", status, b, id); err != nil {
		return err
	}
	if e.Result == nil || e.Identity == nil {
		return nil
	}
	var first audit.Event
	if err := json.Unmarshal(begun, &first); err != nil {
		return err
	}
	if first.Action == nil {
		return nil
	}
	_, err = w.exec(`update use_day set rows = rows + ?, masked = masked + ? where issuer = ? and subject = ? and target = ? and permission = ? and day = ? and kind = ?`,
		e.Result.Rows, min(len(e.Result.Masked), 1), string(e.Identity.Issuer), string(e.Identity.Subject), targetOf(e),
		strings.Join(first.Action.Access, "+"), dayOf(first.Time), string(e.Identity.Kind))
	return err
}

// tags indexes what an entry has several of.
func (w *writer) tags(id int64, e *audit.Event) error {
	tag := func(name string, values ...audit.Text) error {
		for _, v := range values {
			if v == "" {
				continue
			}
			if _, err := w.exec("insert or ignore into tag (name, value, entry) values (?, ?, ?)", name, lower(v), id); err != nil {
				return err
			}
		}
		return nil
	}
	for who := e.Identity; who != nil; who = who.OnBehalfOf {
		if err := tag("who", who.Subject, who.Name, who.Email); err != nil {
			return err
		}
	}
	if e.Kind == audit.LoginRefused {
		if err := tag("who", e.User); err != nil {
			return err
		}
	} else if e.Session != "" { // operations say the subject only
		var name, email audit.Text
		err := w.tx.QueryRowContext(w.ctx, "select name, email from session where id = ?", e.Session).Scan(&name, &email)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if err := tag("who", name, email); err != nil {
			return err
		}
	}
	if a := e.Action; a != nil {
		for _, c := range a.Access {
			if err := tag("access", audit.Text(c)); err != nil {
				return err
			}
		}
		for _, o := range a.Objects {
			if err := tag("object", o.Name); err != nil {
				return err
			}
		}
		for _, c := range slices.Concat(a.Reads, a.Writes) {
			if err := tag("column", c[0]+"."+c[1]+"."+c[2]); err != nil {
				return err
			}
		}
	}
	if d := e.Decision; d != nil {
		if err := tag("approval", d.Ticket); err != nil {
			return err
		}
		for _, g := range d.Grants {
			if err := tag("approval", g.Ticket, g.By); err != nil {
				return err
			}
		}
	}
	return nil
}

// use counts a decision.
func (w *writer) use(e *audit.Event) error {
	d, a, who := e.Decision, e.Action, e.Identity
	if d == nil || a == nil || who == nil || d.Effect == "hold" {
		return nil
	}
	ts := e.Time.UnixNano()
	denied := 0
	if d.Effect != "allow" {
		denied = 1
	}
	var rows int64
	masked := 0
	if e.Result != nil {
		rows, masked = e.Result.Rows, min(len(e.Result.Masked), 1)
	}
	target, access := targetOf(e), strings.Join(a.Access, "+")
	if _, err := w.exec(`insert into use_day (issuer, subject, kind, target, permission, day, n, denied, approved, rows, masked, max_risk, first_ts, last_ts, last_seq)
		values (?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?) on conflict do update set n = n + 1, denied = denied + excluded.denied,
		approved = approved + excluded.approved, rows = rows + excluded.rows, masked = masked + excluded.masked,
		max_risk = max(max_risk, excluded.max_risk), first_ts = min(first_ts, excluded.first_ts), last_ts = max(last_ts, excluded.last_ts), last_seq = excluded.last_seq`,
		string(who.Issuer), string(who.Subject), string(who.Kind), target, access, dayOf(e.Time),
		denied, min(len(d.Grants), 1), rows, masked, a.Risk, ts, ts, int64(e.Seq)); err != nil {
		return err
	}
	for _, o := range a.Objects {
		if _, err := w.exec(`insert into use_object (issuer, subject, target, object, access, n, last_ts) values (?, ?, ?, ?, ?, 1, ?)
			on conflict do update set n = n + 1, last_ts = max(last_ts, excluded.last_ts)`,
			string(who.Issuer), string(who.Subject), target, string(o.Name), strings.Join(o.Access, "+"), ts); err != nil {
			return err
		}
	}
	if e.Tool == nil {
		return nil
	}
	_, err := w.exec(`insert into use_tool (issuer, subject, target, tool, trust, n, first_ts, last_ts) values (?, ?, ?, ?, ?, 1, ?, ?)
		on conflict do update set n = n + 1, last_ts = max(last_ts, excluded.last_ts)`,
		string(who.Issuer), string(who.Subject), target, string(toolOf(e)), e.Tool.Trust, ts, ts)
	return err
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
