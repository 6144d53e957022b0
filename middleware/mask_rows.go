package middleware

import (
	"fmt"

	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/protocol"
)

// A maskedColumn is one column of a result that has to be masked.
type maskedColumn struct {
	index    int
	f        mask.Func
	detector *mask.Column // instead of f
	buf      []byte       // the last value, reused
	null     []byte       // in the place of NULL
	told     func()       // nil: nobody is
}

// A rowMask masks the rows of an operation's results, one after the other.
type rowMask struct {
	m    *masking
	op   *protocol.Operation
	plan []maskedColumn // of the current result
}

// rows returns what masks the rows of op's results.
func (m *masking) rows(op *protocol.Operation) *rowMask { return &rowMask{m: m, op: op} }

// sample is the [protocol.Operation.OnSample] of the rows.
func (r *rowMask) sample([]protocol.Column) (protocol.SampleFunc, error) {
	var columns []*maskedColumn
	for i := range r.plan {
		if r.plan[i].detector != nil {
			columns = append(columns, &r.plan[i])
		}
	}
	if columns == nil {
		return nil, nil
	}
	return func(row [][]byte) (enough bool) {
		left := columns[:0]
		for _, c := range columns {
			if c.index < len(row) && !c.detector.Sample(row[c.index]) {
				left = append(left, c)
			}
		}
		columns = left
		return len(columns) == 0
	}, nil
}

// tap is the [protocol.Operation.OnRows] of the rows.
func (r *rowMask) tap(cols []protocol.Column) (protocol.RowFunc, error) {
	m, op := r.m, r.op
	var plan []maskedColumn
	for i := range cols {
		c := &cols[i]
		t, rule := m.transform(c)
		if t != nil && m.lifting.shows(m, c) {
			continue
		}
		if t == nil {
			if m.shown(c) {
				continue
			}
			if d := m.detector(op, c); d != nil {
				plan = append(plan, maskedColumn{index: i, detector: d})
			}
			continue
		}
		typ := typeOf(op, c)
		f, err := t.Bind(typ)
		if err != nil {
			return nil, fmt.Errorf("column %q: %w", c.Name, err)
		}
		p := maskedColumn{index: i, f: f, buf: make([]byte, 0, 40)}
		if rule != nil && rule.Nulls {
			p.null = typ.Zero(f)
		}
		if m.counts != nil {
			p.told = func() { m.counts.add(ruleName(rule)) }
		} else {
			hidden := op.MarkMasked(c.Name)
			p.told = func() { hidden.Values.Add(1) }
		}
		plan = append(plan, p)
	}
	r.plan = plan
	if plan == nil {
		return nil, nil
	}
	want := len(cols)
	return func(row [][]byte) error {
		if len(row) != want {
			return fmt.Errorf("a row of %d values in a result of %d columns", len(row), want)
		}
		for i := range plan {
			c := &plan[i]
			if row[c.index] == nil {
				if row[c.index] = c.null; c.null != nil && c.told != nil {
					c.told()
				}
				continue
			}
			if c.told != nil {
				c.told()
			}
			var out []byte
			if c.f != nil {
				out = c.f(c.buf[:0], row[c.index])
			} else {
				var changed bool
				if out, changed = c.detector.Mask(c.buf[:0], row[c.index]); !changed {
					continue
				}
			}
			if out != nil {
				c.buf = out
			}
			row[c.index] = out
		}
		return nil
	}, nil
}

// transform says how the column is masked, and by which rule if it is one's; nil
// shows it, but for what is found in it.
func (m *masking) transform(c *protocol.Column) (mask.Transform, *mask.Rule) {
	if !m.set.HasColumns() {
		return nil, nil
	}
	if !c.Known {
		return mask.Redact(), nil
	}
	rule, exact := m.ruleOf(c)
	switch {
	case rule == nil:
		return nil, nil
	case exact:
		return rule.Transform, rule
	}
	return mask.Redact(), rule
}

// ruleOf returns a rule for one of the columns that c, whose sources are known, comes
// from; exact says that c has the own value of one of them, and that those of them which
// have a rule have that one.
func (m *masking) ruleOf(c *protocol.Column) (rule *mask.Rule, exact bool) {
	exact = true
	for i := range c.Sources {
		s := &c.Sources[i]
		r := m.set.Match(s.Schema, s.Table, s.Column)
		if s.Edge != protocol.EdgeIdentity || s.Column == "*" || s.Column == "" || r != nil && rule != nil && r != rule {
			exact = false
		}
		if r != nil {
			rule = r
		}
	}
	return rule, exact
}

// shown reports whether rules say that the column's values are shown whatever is
// found in them.
func (m *masking) shown(c *protocol.Column) bool {
	for i := range c.Sources {
		s := &c.Sources[i]
		if s.Edge != protocol.EdgeIdentity || !m.set.Shows(s.Schema, s.Table, s.Column) {
			return false
		}
	}
	return c.Known && len(c.Sources) > 0
}

// typeOf translates the connector's type numbers. Those of a protocol that is
// not known here make an unknown type, whose values become NULL.
func typeOf(op *protocol.Operation, c *protocol.Column) mask.Type {
	if op.Session == nil {
		return mask.Type{}
	}
	switch op.Session.Protocol {
	case "postgres":
		return mask.Postgres(c.Type, c.TypeName, c.Binary)
	case "mysql":
		return mask.MySQL(c.TypeName)
	}
	return mask.Type{}
}
