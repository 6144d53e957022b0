package index

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-dev/gateway/audit"
)

// The keys of what is counted.
type (
	day struct {
		issuer, subject, kind, target, permission string
		day                                       int64
	}
	ruleKey struct{ step, rule string }
)

// A count is what one transaction adds to a row.
type count struct {
	n, denied, approved, rows, masked int64
	risk                              int
	first, last, seq                  int64 // 0: no event
}

func (c *count) at(e *audit.Event) {
	ts := nanoseconds(e.Time)
	if c.n++; c.n == 1 || ts < c.first {
		c.first = ts
	}
	c.last, c.seq = max(c.last, ts), int64(e.Seq)
}

// uses are what a transaction counts.
type uses struct {
	days  map[day]*count
	rules map[ruleKey]*count
}

// of returns m's count for k.
func of[K comparable](m *map[K]*count, k K) *count {
	if *m == nil {
		*m = map[K]*count{}
	}
	c := (*m)[k]
	if c == nil {
		c = &count{}
		(*m)[k] = c
	}
	return c
}

// dayOf returns what the use of e is counted as, or nil if it is none.
func dayOf(e *audit.Event) *day {
	who := e.Identity
	if e.Action == nil || who == nil {
		return nil
	}
	d := day{plainly(who.Issuer), plainly(who.Subject), plainly(who.Kind), "", strings.Join(e.Action.Access, "+"), dayNumber(e.Time)}
	if e.Target != nil {
		d.target = plainly(e.Target.Name)
	}
	return &d
}

func dayNumber(t time.Time) int64 { return t.Unix() / (24 * 60 * 60) }

// use counts a decision.
func (s *source) use(e *audit.Event) {
	k, d := dayOf(e), e.Decision
	if d == nil || k == nil || d.Effect == "hold" {
		return
	}
	c := of(&s.uses.days, *k)
	c.at(e)
	if d.Effect != "allow" {
		c.denied++
	}
	c.approved += int64(min(len(d.Grants), 1))
	c.risk = max(c.risk, e.Action.Risk)
	if e.Result != nil {
		c.rows += e.Result.Rows
		c.masked += int64(min(len(e.Result.Masked), 1))
	}
	if d.Rule != "" {
		of(&s.uses.rules, ruleKey{plainly(d.By), plainly(d.Rule)}).at(e)
	}
	for _, g := range d.Grants { // whose By is who approved
		of(&s.uses.rules, ruleKey{"approve", plainly(g.Rule)}).at(e)
	}
	for _, why := range e.Action.RiskWhy {
		of(&s.uses.rules, ruleKey{"risk", plainly(why)}).at(e)
	}
}

// rows returns the rows of m in order.
func rows[K comparable](m map[K]*count, row func(K, *count) []any, less func(a, b K) int) (args []any) {
	for _, k := range slices.SortedFunc(maps.Keys(m), less) {
		args = append(args, row(k, m[k])...)
	}
	return args
}

func (u *uses) flush(s *source) func() error {
	return func() error {
		defer func() { *u = uses{} }()
		// The ends of what an earlier transaction has counted have no event of their own.
		for k, c := range u.days {
			if c.n > 0 {
				continue
			}
			delete(u.days, k)
			if err := s.t.exec(`update use_day set rows = rows + ?, masked = masked + ?
				where source = ? and issuer = ? and subject = ? and kind = ? and target = ? and permission = ? and day = ?`,
				c.rows, c.masked, s.id, k.issuer, k.subject, k.kind, k.target, k.permission, k.day); err != nil {
				return err
			}
		}
		largest := func(table string, columns ...string) string {
			var sets []string
			for _, c := range columns {
				op := ">"
				if c == "first_ts" {
					op = "<"
				}
				sets = append(sets, c+" = case when excluded."+c+" "+op+" "+table+"."+c+" then excluded."+c+" else "+table+"."+c+" end")
			}
			return strings.Join(sets, ", ")
		}
		for _, i := range []struct {
			into, behind string
			columns      int
			args         []any
		}{
			{"use_day (source, issuer, subject, kind, target, permission, day, n, denied, approved, rows, masked, max_risk, first_ts, last_ts, last_seq)",
				` on conflict (source, issuer, subject, kind, target, permission, day) do update set n = use_day.n + excluded.n, denied = use_day.denied + excluded.denied,
				approved = use_day.approved + excluded.approved, rows = use_day.rows + excluded.rows, masked = use_day.masked + excluded.masked, ` +
					largest("use_day", "max_risk", "first_ts", "last_ts", "last_seq"), 16,
				rows(u.days, func(k day, c *count) []any {
					return []any{s.id, k.issuer, k.subject, k.kind, k.target, k.permission, k.day, c.n, c.denied, c.approved, c.rows, c.masked, c.risk, c.first, c.last, c.seq}
				}, func(a, b day) int {
					return cmp.Or(cmp.Compare(a.subject, b.subject), cmp.Compare(a.target, b.target), cmp.Compare(a.permission, b.permission))
				})},
			{"use_rule (source, step, rule, n, last_ts)",
				" on conflict (source, step, rule) do update set n = use_rule.n + excluded.n, " + largest("use_rule", "last_ts"), 5,
				rows(u.rules, func(k ruleKey, c *count) []any { return []any{s.id, k.step, k.rule, c.n, c.last} },
					func(a, b ruleKey) int { return cmp.Or(cmp.Compare(a.step, b.step), cmp.Compare(a.rule, b.rule)) })},
		} {
			if err := s.t.insert(i.into, i.behind, i.columns, i.args); err != nil {
				return err
			}
		}
		return nil
	}
}

// which returns the condition by which the journals are chosen that are searched,
// with its arguments.
func (x *Index) which() (where string, args []any, err error) {
	if x.d.Shared {
		return "", nil, nil
	}
	origin, err := x.journal()
	return " where origin = ?", []any{origin}, err
}

// Uses returns how every identity used every target since then, by whole days.
func (x *Index) Uses(ctx context.Context, since time.Time) (list []audit.Use, err error) {
	first := int64(0)
	if !since.IsZero() {
		first = dayNumber(since)
	}
	which, args, err := x.which()
	if err != nil {
		return nil, err
	}
	err = x.each(ctx, `select issuer, subject, kind, target, permission, count(distinct day), sum(n), sum(denied), sum(approved),
		sum(rows), sum(masked), max(max_risk), min(first_ts), max(last_ts), max(last_seq)
		from use_day where source in (select id from source`+which+`) and day >= ? group by issuer, subject, kind, target, permission order by issuer, subject, target, permission, kind`,
		append(args, first), func(scan func(...any) error) error {
			var u audit.Use
			var first, last int64
			err := scan(&u.Issuer, &u.Subject, &u.Kind, &u.Target, &u.Permission, &u.Days, &u.Count, &u.Denied, &u.Approved,
				&u.Rows, &u.Masked, &u.MaxRisk, &first, &last, &u.LastSeq)
			u.First, u.Last = time.Unix(0, first).UTC(), time.Unix(0, last).UTC()
			list = append(list, u)
			return err
		})
	return list, err
}

// Rules returns how often each rule decided.
func (x *Index) Rules(ctx context.Context) (list []audit.RuleUse, err error) {
	which, args, err := x.which()
	if err != nil {
		return nil, err
	}
	err = x.each(ctx, "select step, rule, sum(n), max(last_ts) from use_rule where source in (select id from source"+which+") group by step, rule order by step, rule",
		args, func(scan func(...any) error) error {
			var u audit.RuleUse
			var last int64
			err := scan(&u.Step, &u.Rule, &u.Count, &last)
			u.Last = time.Unix(0, last).UTC()
			list = append(list, u)
			return err
		})
	return list, err
}
