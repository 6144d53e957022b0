package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/sallyport-dev/gateway/audit"
)

var _ audit.Index = (*Index)(nil)

// Search implements [audit.Index].
func (x *Index) Search(ctx context.Context, q audit.Query) (audit.Page, error) {
	p, err := x.search(ctx, q)
	if err != nil {
		return audit.Page{}, fmt.Errorf("index of %s: %w", x.dir, err)
	}
	return p, nil
}

// A selection is a query on its way to become SQL. Values are parameters, always.
type selection struct {
	where []string
	args  []any
}

func (s *selection) and(cond string, args ...any) {
	s.where = append(s.where, cond)
	s.args = append(s.args, args...)
}

// match asks that column has value, which may be a pattern.
func match(column, value string) (cond string, arg string) {
	value = lower(audit.Text(value))
	if !strings.Contains(value, "*") {
		return column + " = ?", value
	}
	return column + ` like ? escape '\'`, strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`, `*`, `%`).Replace(value)
}

func (x *Index) search(ctx context.Context, q audit.Query) (p audit.Page, err error) {
	if err := q.Check(); err != nil {
		return p, err
	}
	limit := q.Limit
	if limit == 0 {
		limit = 100
	}
	var s selection
	if q.Cursor != "" {
		before, err := strconv.ParseInt(q.Cursor, 10, 64)
		if err != nil {
			return p, fmt.Errorf("%w: cursor: %q is none", audit.ErrQuery, q.Cursor)
		}
		s.and("entry.id < ?", before)
	}
	for _, f := range []struct{ column, value string }{{"entry.target", q.Target}, {"entry.verb", q.Verb}, {"entry.tool", q.Tool}, {"entry.rule", q.Rule}} {
		if f.value != "" {
			cond, arg := match(f.column, f.value)
			s.and(cond, arg)
		}
	}
	if q.Outcome != "" {
		s.and("(entry.effect = ? or entry.status = ?)", strings.ToLower(q.Outcome), strings.ToLower(q.Outcome))
	}
	if q.Session != "" {
		s.and("entry.session = ?", q.Session)
	}
	if q.Kind != "" {
		s.and("entry.kind = ?", string(q.Kind))
	}
	if q.MinRisk > 0 {
		s.and("entry.risk >= ? and entry.risk > 0", q.MinRisk)
	}
	if !q.Since.IsZero() {
		s.and("entry.ts >= ?", q.Since.UnixNano())
	}
	if !q.Until.IsZero() {
		s.and("entry.ts < ?", q.Until.UnixNano())
	}
	if q.Text != "" {
		words := strings.FieldsFunc(strings.ToValidUTF8(q.Text, " "), func(r rune) bool { return r == '"' || r <= ' ' })
		if len(words) == 0 {
			return p, fmt.Errorf("%w: text: there is no word in it", audit.ErrQuery)
		}
		s.and("entry.id in (select rowid from words where words match ?)", `"`+strings.Join(words, `" "`)+`"`)
	}
	// One tag leads: its index has the entries in order, so that a page takes as
	// long as the page, not as what matches. The others are looked up for each.
	from := "entry"
	for _, f := range []struct{ name, value string }{{"column", q.Column}, {"object", q.Object}, {"approval", q.Approval}, {"who", q.Who}, {"access", q.Access}} {
		switch {
		case f.value == "":
		case f.name == "approval" && f.value == "*":
			s.and("entry.approved > 0")
		case from == "entry" && !strings.Contains(f.value, "*"):
			from = "tag cross join entry on entry.id = tag.entry"
			s.and("tag.name = ? and tag.value = ?", f.name, lower(audit.Text(f.value)))
			if q.Cursor != "" {
				s.and("tag.entry < ?", s.args[0])
			}
		default:
			cond, arg := match("t.value", f.value)
			if strings.Contains(f.value, "*") {
				s.and("entry.id in (select t.entry from tag t where t.name = ? and "+cond+")", f.name, arg)
				break
			}
			s.and("exists (select 1 from tag t where t.name = ? and t.entry = entry.id and "+cond+")", f.name, arg)
		}
	}
	order := "entry.id"
	if from != "entry" {
		order = "tag.entry"
	}
	query := "select entry.id, entry.event, entry.end_event from " + from
	if len(s.where) > 0 {
		query += " where " + strings.Join(s.where, " and ")
	}
	query += " order by " + order + " desc limit ?"

	c, err := x.cursor(ctx)
	if err != nil {
		return p, err
	}
	p.Indexed, p.Entries = c.next, []audit.Entry{}
	rows, err := x.db.QueryContext(ctx, query, append(s.args, limit+1)...)
	if err != nil {
		return p, err
	}
	defer rows.Close()
	last := int64(0)
	for rows.Next() {
		if len(p.Entries) == limit {
			p.Next = strconv.FormatInt(last, 10)
			break
		}
		var begun, ended []byte
		if err := rows.Scan(&last, &begun, &ended); err != nil {
			return p, err
		}
		e, err := entry(begun, ended)
		if err != nil {
			return p, err
		}
		p.Entries = append(p.Entries, e)
	}
	return p, rows.Err()
}

// entry puts together what began and how it ended.
func entry(begun, ended []byte) (e audit.Entry, err error) {
	if err := json.Unmarshal(begun, &e.Event); err != nil || ended == nil {
		return e, err
	}
	var end audit.Event
	if err := json.Unmarshal(ended, &end); err != nil {
		return e, err
	}
	e.End, e.Result = end.Seq, end.Result
	if end.Error != "" {
		e.Error = end.Error
	}
	return e, nil
}
