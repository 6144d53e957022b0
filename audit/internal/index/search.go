package index

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/audit/internal/words"
)

var _ audit.Index = (*Index)(nil)

// Search implements [audit.Index].
func (x *Index) Search(ctx context.Context, q audit.Query) (audit.Page, error) {
	p, err := x.search(ctx, q)
	if err != nil {
		return audit.Page{}, fmt.Errorf("%s: %w", x.name(), err)
	}
	return p, nil
}

func (x *Index) search(ctx context.Context, q audit.Query) (p audit.Page, err error) {
	if err := q.Check(); err != nil {
		return p, err
	}
	limit := cmp.Or(q.Limit, 100)
	p.Entries = []audit.Entry{}
	scans, err := x.scans(ctx, q)
	if err != nil {
		return p, err
	}
	filters, err := x.filters(ctx, q)
	if err != nil {
		return p, err
	}
	for _, s := range scans {
		p.Indexed += s.next
		s.filters, s.most = filters, max(1, x.most/len(scans))
		if err := s.step(ctx); err != nil {
			return p, err
		}
	}
	// The newest of what the journals have comes first; each gives its own in
	// order, so the next page begins where they are.
	for {
		var best *scan
		for _, s := range scans {
			if s.head != nil && (best == nil || s.head.Time.After(best.head.Time)) {
				best = s
			}
		}
		tired := slices.ContainsFunc(scans, func(s *scan) bool { return s.tired }) // nobody knows what comes next
		if best == nil && !tired {
			return p, nil
		}
		if len(p.Entries) == limit || tired {
			p.Next = cursor(scans, len(scans) == 1 && !x.d.Shared)
			return p, nil
		}
		p.Entries = append(p.Entries, *best.head)
		best.before = best.at
		if err := best.step(ctx); err != nil {
			return p, err
		}
	}
}

// cursor says where each journal's entries go on. Where there is one, its number
// is enough.
func cursor(scans []*scan, alone bool) string {
	var parts []string
	for _, s := range scans {
		if alone {
			return strconv.FormatUint(s.before, 10)
		}
		parts = append(parts, s.origin+":"+strconv.FormatUint(s.before, 10))
	}
	return strings.Join(parts, ",")
}

// scans returns a scan of each journal that is to be searched, from where the
// cursor is. What a cursor does not name came later.
func (x *Index) scans(ctx context.Context, q audit.Query) (list []*scan, err error) {
	where, args, err := x.which()
	if err != nil {
		return nil, err
	}
	if err := x.each(ctx, "select id, origin, next from source"+where+" order by origin", args, func(read func(...any) error) error {
		// What may change after an entry has begun is looked at in the entry.
		s := &scan{x: x, width: 1, late: audit.Query{Kind: q.Kind, Outcome: q.Outcome, Rule: q.Rule, Approval: q.Approval, Since: q.Since, Until: q.Until},
			later: map[uint64][]uint64{}, blocks: map[uint64]*block{}}
		err := read(&s.id, &s.origin, &s.next)
		s.before = s.next
		list = append(list, s)
		return err
	}); err != nil || q.Cursor == "" {
		return list, err
	}
	at := map[string]uint64{}
	for part := range strings.SplitSeq(q.Cursor, ",") {
		origin, number, found := strings.Cut(part, ":")
		if !found {
			origin, number = "", part
		}
		n, err := strconv.ParseUint(number, 10, 63)
		if err != nil || found == !x.d.Shared {
			return nil, fmt.Errorf("%w: cursor: %q is none", audit.ErrQuery, q.Cursor)
		}
		at[origin] = n
	}
	return slices.DeleteFunc(list, func(s *scan) bool {
		key := s.origin
		if !x.d.Shared {
			key = ""
		}
		n, named := at[key]
		s.before = min(s.before, n)
		return !named
	}), nil
}

// A filter holds for entries that have one of its terms, which are of one name.
type filter struct {
	name  string
	terms []term
}

// maxPattern is how many values a pattern may stand for.
const maxPattern = 10_000

// filters returns what q asks for, those that are likely to leave least first.
func (x *Index) filters(ctx context.Context, q audit.Query) (list []filter, err error) {
	add := func(name, v string) error {
		if v == "" {
			return nil
		}
		v = lower(audit.Text(v))
		if !strings.Contains(v, "*") || name == approval && v == "*" || !listed[name] {
			list = append(list, filter{name, []term{termOf(name, v)}})
			return nil
		}
		f, err := x.pattern(ctx, name, v)
		list = append(list, f)
		return err
	}
	if q.Text != "" {
		n := len(list)
		words.Each(q.Text, func(w string) { list = append(list, filter{word, []term{termOf(word, w)}}) })
		if len(list) == n {
			return nil, fmt.Errorf("%w: text: there is no word in it", audit.ErrQuery)
		}
	}
	for _, f := range []struct{ name, value string }{{approval, q.Approval}, {column, q.Column}, {object, q.Object}, {who, q.Who}, {rule, q.Rule},
		{outcome, q.Outcome}, {verb, q.Verb}, {target, q.Target}, {tool, q.Tool}, {access, q.Access}} {
		if err := add(f.name, f.value); err != nil {
			return nil, err
		}
	}
	if q.Session != "" {
		list = append(list, filter{session, []term{termOf(session, q.Session)}})
	}
	if q.Kind != "" {
		list = append(list, filter{kind, []term{termOf(kind, string(q.Kind))}})
	}
	if q.MinRisk > 0 {
		f := filter{name: risk}
		if err := x.each(ctx, "select value from value where name = ? and value >= ?", []any{risk, fmt.Sprintf("%010d", q.MinRisk)}, func(scan func(...any) error) error {
			var v string
			err := scan(&v)
			f.terms = append(f.terms, termOf(risk, v))
			return err
		}); err != nil {
			return nil, err
		}
		list = append(list, f)
	}
	if len(list) == 0 {
		list = append(list, filter{whole, []term{termOf(whole, "")}})
	}
	slices.SortStableFunc(list, func(a, b filter) int { return cmp.Compare(len(a.terms), len(b.terms)) }) // a pattern is many rows
	return list, nil
}

// pattern returns the terms that a pattern stands for.
func (x *Index) pattern(ctx context.Context, name, v string) (f filter, err error) {
	f = filter{name: name}
	like := strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`, `*`, `%`).Replace(v)
	from, _, _ := strings.Cut(v, "*")
	err = x.each(ctx, `select value from value where name = ? and value >= ? and value <= ? and value like ? escape '\' limit ?`,
		[]any{name, from, from + "\U0010FFFF", like, maxPattern + 1}, func(scan func(...any) error) error {
			var v string
			err := scan(&v)
			f.terms = append(f.terms, termOf(name, v))
			return err
		})
	if err == nil && len(f.terms) > maxPattern {
		err = fmt.Errorf("%w: %s: the pattern stands for more than %d values", audit.ErrQuery, name, maxPattern)
	}
	return f, err
}

// each asks the database, and calls f for each row.
func (x *Index) each(ctx context.Context, query string, args []any, f func(scan func(...any) error) error) error {
	rows, err := x.db.QueryContext(ctx, x.sql(query), args...)
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

// entry puts together what began, what was decided later and how it ended.
func entry(all [][]byte) (e audit.Entry, err error) {
	for i, leaf := range all {
		var next audit.Event
		if err := json.Unmarshal(leaf, &next); err != nil {
			return e, err
		}
		if i == 0 || next.Decision != nil {
			e.Event = next
			continue
		}
		e.End, e.Result = next.Seq, next.Result
		if next.Error != "" {
			e.Error = next.Error
		}
	}
	return e, nil
}
