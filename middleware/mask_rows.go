package middleware

import (
	"fmt"
	"slices"

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
		v, exact := m.verdict(c)
		masked := v.Rule != nil || m.set.HasColumns() && !c.Known
		if masked && m.lifting.shows(m, c) {
			continue
		}
		if !masked {
			if m.shown(c) {
				continue
			}
			if d := m.detector(op, c); d != nil {
				plan = append(plan, maskedColumn{index: i, detector: d})
			}
			continue
		}
		typ := typeOf(op, c)
		rule := v.Rule
		p := maskedColumn{index: i, buf: make([]byte, 0, 40)}
		var err error
		if !exact {
			p.f, err = mask.Redact().Bind(typ)
		} else if v.Inside() { // not every value has such a member
			p.f, err = v.Bind(typ, m.hidIn(op, c))
		} else {
			p.f, err = v.Bind(typ, nil)
		}
		if err != nil {
			return nil, fmt.Errorf("column %q: %w", c.Name, err)
		}
		if rule != nil && rule.Nulls {
			p.null = typ.Zero(p.f)
		}
		if exact && v.Inside() {
		} else if m.counts != nil {
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

// verdict returns what the rules say of the column, whose Rule is nil if none is about
// what it comes from. exact says that all that it comes from is known, that it has the
// own value of one of these, or what lies at a path in it, and that those of them that
// have a rule have that verdict: what is not exact is hidden whole.
func (m *masking) verdict(c *protocol.Column) (v mask.Verdict, exact bool) {
	if !m.set.HasColumns() || !c.Known {
		return v, c.Known
	}
	exact = true
	for i := range c.Sources {
		s := &c.Sources[i]
		if m.nullOnly(s) {
			continue
		}
		w := m.set.At(s.Schema, s.Table, s.Column, s.Path)
		switch {
		case s.Column == "*", s.Column == "":
			exact = false
		case s.Edge != protocol.EdgeIdentity && s.Edge != protocol.EdgeMember:
			exact = false
		case w.Rule == nil:
		case s.Edge == protocol.EdgeMember && w.Own():
			exact = false // the rule's transform is for whole values
		case v.Rule != nil && !v.Equal(&w):
			exact = false
		}
		if w.Rule != nil {
			v = w
		}
	}
	return v, exact
}

// nullOnly reports whether of s only is told whether there is a value, and no rule hides
// that.
func (m *masking) nullOnly(s *protocol.Source) bool {
	if s.Edge != protocol.EdgeNull || !sureOf(s) {
		return false
	}
	v := m.set.At(s.Schema, s.Table, s.Column, s.Path)
	return !slices.ContainsFunc(v.Rules(), func(r *mask.Rule) bool { return r.Nulls })
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
