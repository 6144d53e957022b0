package middleware

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/protocol"
)

// A MaskLift says which masks people may lift for one query of somebody who asks for
// it, see [protocol.Operation.Unmask], and who they are. When says who may ask and
// for what; the rest is as for an operation that has to be approved.
type MaskLift struct {
	ApproveRule
	Rules []string // names of rules with columns that may be lifted
}

// maxLifts bounds the columns in the clear that an approver has to read about.
const maxLifts = 100

// A maskLift is a MaskLift, checked.
type maskLift struct {
	approveRule
	rules []string
}

func newMaskLifts(c MaskConfig) ([]maskLift, error) {
	if len(c.Lifts) == 0 {
		return nil, nil
	}
	rules := make([]ApproveRule, len(c.Lifts))
	for i, l := range c.Lifts {
		rules[i] = l.ApproveRule
		if rules[i].Reason == "" {
			rules[i].Reason = "masked values in the clear"
		}
	}
	rs, err := approveRules(c.Broker, rules)
	if err != nil {
		return nil, fmt.Errorf("lifts: %w", err)
	}
	var out []maskLift
	for i, l := range c.Lifts {
		if len(l.Rules) == 0 {
			return nil, fmt.Errorf("lift %s: names no rules", l.Name)
		}
		for _, name := range l.Rules {
			j := slices.IndexFunc(c.Rules, func(r mask.Rule) bool { return r.Name == name })
			if j < 0 || len(c.Rules[j].Columns) == 0 {
				return nil, fmt.Errorf("lift %s: %q is none of the rules for columns", l.Name, name)
			}
		}
		out = append(out, maskLift{rs[i], slices.Clone(l.Rules)})
	}
	return out, nil
}

// picks reports whether op may be asked about under the lift.
func (l *maskLift) picks(op *protocol.Operation) (bool, error) {
	if l.When == nil {
		return true, nil
	}
	return l.When.Eval(op)
}

// A lifting is what an approval lifts for one operation.
type lifting struct {
	op     *protocol.Operation
	ticket string
	rules  []string
	from   []place
}

// A place is where in a column a value lies.
type place struct {
	protocol.ColumnRef
	path string
}

// holds reports whether what is at o lies at p or in what is there.
func (p place) holds(o place) bool {
	return p.ColumnRef == o.ColumnRef && (o.path == p.path || strings.HasPrefix(o.path, p.path+"/"))
}

// within reports whether what lies at that path of a column is part of one of places.
func within(places []place, c protocol.ColumnRef, path string) bool {
	return slices.ContainsFunc(places, func(p place) bool { return p.holds(place{c, path}) })
}

// lift decides about an operation whose client asks for values in the clear. t is
// what it goes through otherwise. ok is false if there is nothing to lift.
func (m *masking) lift(op *protocol.Operation, t maskTaps) (d protocol.Decision, taps maskTaps, ok bool) {
	lifts, rules, from, err := m.liftable(op)
	if err == nil && lifts == nil {
		return d, t, false
	}
	var chosen *maskLift
	if err == nil {
		chosen, err = m.chooseLift(op, rules)
	}
	if err != nil {
		d = protocol.Deny("values cannot be shown in the clear here: " + err.Error())
		d.Hint = "leave out the comment that asks for it to see the result with masks"
		if len(rules) > 0 {
			d.Rule = rules[0]
		}
		return d, maskTaps{}, true
	}
	if op.Prepare { // nothing of the result comes yet
		return d, t, false
	}
	op.Lifts = append(op.Lifts, lifts...)
	d = chosen.hold(m.broker, op)
	if d.Effect != protocol.HoldEffect { // as inside a transaction
		return d, maskTaps{}, true
	}
	lifted := *m
	lifted.lifting = &lifting{op, d.Ticket, rules, from}
	return d, t.with(lifted.rows(op)), true
}

// liftable returns the columns that come in the clear if everything that masks them
// is lifted, the rules that do, and where what those are about lies. An error says
// why that cannot be told before the query runs.
func (m *masking) liftable(op *protocol.Operation) (lifts []protocol.Lift, rules []string, from []place, err error) {
	switch {
	case !m.set.HasColumns():
		return nil, nil, nil, nil
	case !op.ReadsKnown || op.Columns == nil:
		return nil, nil, nil, errors.New("it is not known which columns the result has")
	}
	for i := range op.Columns {
		c := &op.Columns[i]
		if v, _ := m.verdict(c); v.Rule == nil && c.Known {
			continue
		} else if !c.Known {
			return nil, nil, nil, fmt.Errorf("it is not known where column %q comes from", c.Name)
		}
		l := protocol.Lift{Column: c.Name}
		var names []string
		for j := range c.Sources {
			s := &c.Sources[j]
			v := m.set.At(s.Schema, s.Table, s.Column, s.Path)
			if v.Rule == nil || m.nullOnly(s) {
				continue
			}
			if !sureOf(s) {
				return nil, nil, nil, fmt.Errorf("column %q may hold any column of %s.%s; name those you need", c.Name, s.Schema, s.Table)
			}
			for _, r := range v.Rules() {
				if !slices.Contains(names, r.Name) {
					names = append(names, r.Name)
				}
			}
			if !slices.Contains(l.From, s.ColumnRef) {
				l.From = append(l.From, s.ColumnRef)
			}
			if !within(from, s.ColumnRef, s.Path) {
				from = append(from, place{s.ColumnRef, s.Path})
			}
		}
		l.Rule = strings.Join(names, ", ")
		lifts = append(lifts, l)
		for _, n := range names {
			if !slices.Contains(rules, n) {
				rules = append(rules, n)
			}
		}
	}
	switch {
	case len(lifts) > 0 && (op.Access != protocol.Read || op.Shape != protocol.Rows):
		return nil, rules, nil, errors.New("that is only for a query that does nothing but read rows")
	case len(lifts) > maxLifts:
		return nil, nil, nil, fmt.Errorf("more than %d columns are masked, which is more than an approver can read", maxLifts)
	}
	return lifts, rules, from, nil
}

// sureOf reports whether a column's source is that column and no other.
func sureOf(s *protocol.Source) bool {
	switch s.Edge {
	case protocol.EdgeIdentity, protocol.EdgeMember, protocol.EdgeTransform, protocol.EdgeAggregate, protocol.EdgeNull:
		return s.Schema != "" && s.Table != "" && s.Column != "" && s.Column != "*"
	}
	return false
}

// chooseLift returns the first lift that is for op and lifts all the rules.
func (m *masking) chooseLift(op *protocol.Operation, rules []string) (*maskLift, error) {
	missing := rules[0]
	for i := range m.lifts {
		l := &m.lifts[i]
		if picks, err := l.picks(op); err != nil {
			return nil, fmt.Errorf("lift %s cannot be decided", l.Name)
		} else if !picks {
			continue
		}
		at := slices.IndexFunc(rules, func(r string) bool { return !slices.Contains(l.rules, r) })
		if at < 0 {
			return l, nil
		}
		missing = rules[at]
	}
	if len(rules) == 1 {
		return nil, fmt.Errorf("nobody may let you see what rule %s masks", missing)
	}
	return nil, fmt.Errorf("nobody may let you see what rule %s masks, at least not together with what other rules mask", missing)
}

// shows reports whether the column's values come in the clear: whether all of what
// masks them was lifted by an approval of this operation.
func (l *lifting) shows(m *masking, c *protocol.Column) bool {
	if l == nil || !c.Known || !slices.ContainsFunc(l.op.Grants(), func(g protocol.Decision) bool {
		return g.Effect == protocol.AllowEffect && g.Ticket == l.ticket
	}) {
		return false
	}
	for i := range c.Sources {
		s := &c.Sources[i]
		v := m.set.At(s.Schema, s.Table, s.Column, s.Path)
		if v.Rule == nil || m.nullOnly(s) {
			continue
		}
		if !sureOf(s) || !within(l.from, s.ColumnRef, s.Path) || slices.ContainsFunc(v.Rules(), func(r *mask.Rule) bool { return !slices.Contains(l.rules, r.Name) }) {
			return false
		}
	}
	return true
}
