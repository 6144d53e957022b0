package middleware

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/protocol"
)

// A MaskedInference is a masked column of whose values an operation tells without
// showing them, and what becomes of the operation for it.
type MaskedInference struct {
	Column string `json:"column"` // "*": any of the rule's
	How    string `json:"how"`    // see [protocol.How]
	Rule   string `json:"rule"`
	Policy string `json:"policy"` // of the rule, see [mask.Inference]
	Effect string `json:"effect"` // "allowed", "needs approval" or "refused"

	effect protocol.Effect
}

// inferred returns what op tells of masked columns. hit is a rule for a column that it
// reads; clear is where masks are lifted for it.
func (m *masking) inferred(op *protocol.Operation, hit *mask.Rule, clear []place) (out []MaskedInference) {
	if op.Verb == protocol.Connect || op.Access == protocol.Control && op.Shape == 0 {
		return nil
	}
	if !op.InferredKnown && !(op.ReadsKnown && hit == nil) {
		for r := range m.set.Inferences() {
			if op.ReadsKnown && !slices.ContainsFunc(op.Reads, func(c protocol.ColumnRef) bool {
				v := m.set.At(c.Schema, c.Table, c.Column, "")
				return v.Rule == r || slices.Contains(v.Rules(), r)
			}) {
				continue
			}
			out = append(out, m.infers("*", protocol.HowUnknown, r, false))
		}
	}
	joined := true // none but masked columns are joined
	for i := range op.Inferred {
		c := &op.Inferred[i]
		joined = joined && (c.How != protocol.HowJoin || m.set.Match(c.Schema, c.Table, c.Column) != nil)
	}
	for i := range op.Inferred {
		c := &op.Inferred[i]
		if within(clear, c.ColumnRef, c.Path) {
			continue
		}
		v := m.set.At(c.Schema, c.Table, c.Column, c.Path)
		if c.How == protocol.HowMember && v.Visible() {
			continue
		}
		for _, r := range v.Rules() {
			out = append(out, m.infers(c.ColumnRef.String()+c.Path, c.How, r, joined))
		}
	}
	return out
}

// infers says what becomes of an operation that tells of a column of rule r.
func (m *masking) infers(column string, how protocol.How, r *mask.Rule, joined bool) MaskedInference {
	x := MaskedInference{Column: column, How: how.String(), Rule: r.Name, Policy: r.Inference.String(), Effect: "allowed"}
	switch {
	case r.Inference == mask.AllowInference:
	case how == protocol.HowNull && !r.Nulls: // which is shown anyway
	case r.Inference == mask.EqualityInference && (how == protocol.HowNull || how == protocol.HowEquality || how == protocol.HowJoin && joined):
	case r.Inference == mask.ApproveInference:
		x.Effect, x.effect = "needs approval", protocol.HoldEffect
	default:
		x.Effect, x.effect = "refused", protocol.DenyEffect
	}
	return x
}

// infer decides about what op tells of masked columns.
func (m *masking) infer(op *protocol.Operation, hit *mask.Rule, clear []place) protocol.Decision {
	list := m.inferred(op, hit, clear)
	for _, e := range []protocol.Effect{protocol.DenyEffect, protocol.HoldEffect} {
		var names []string
		rule, policy := "", ""
		for i := range list {
			x := &list[i]
			if x.effect != e {
				continue
			}
			if rule == "" {
				rule, policy = x.Rule, x.Policy
			}
			if what := x.Column + " (" + x.How + ")"; x.Column != "*" && !slices.Contains(names, what) {
				names = append(names, what)
			}
		}
		switch {
		case rule == "":
			continue
		case e == protocol.HoldEffect:
			return m.holdInference(op, names)
		}
		return denyInference(rule, policy, names)
	}
	return protocol.Pass
}

func denyInference(rule, policy string, names []string) protocol.Decision {
	d := protocol.Deny("this statement tells of the values of masked columns without showing them: " + shortened(names))
	d.Hint = "leave masked columns out of conditions, joins, ORDER BY, GROUP BY and DISTINCT, and out of what is computed"
	if policy == string(mask.EqualityInference) {
		d.Hint = "compare a masked column with one value, by =, or leave it out"
	}
	if len(names) == 0 {
		d.Reason = "it is not known what this statement tells of the values of masked columns without showing them"
		d.Hint = "write it in a simpler form, without functions that somebody has defined and with columns that are named"
	}
	d.Rule = rule
	return d
}

// alsoTells refuses what would show values in the clear and tells of others beside.
func alsoTells(told protocol.Decision) protocol.Decision {
	d := protocol.Deny("values cannot be shown in the clear here: " + told.Reason)
	d.Rule, d.Hint = told.Rule, "leave masked columns that are not shown out of conditions and of what the rows are ordered by"
	return d
}

// holdInference holds an operation until people have allowed what it tells.
func (m *masking) holdInference(op *protocol.Operation, names []string) protocol.Decision {
	r := m.inference
	what := "it tells of masked columns " + shortened(names)
	if len(names) == 0 {
		what = "it is not known what it tells of masked columns"
	}
	if r.When != nil {
		if ok, err := r.When.Eval(op); err != nil || !ok {
			d := protocol.Deny("nobody may allow this: " + what)
			d.Rule = r.Name
			return d
		}
	}
	r.Reason = fmt.Sprintf("%s: %s", r.Reason, what)
	return r.hold(m.broker, op)
}

// shortened returns a list that people can read.
func shortened(names []string) string {
	const most = 5
	if len(names) > most {
		names = append(names[:most:most], "...")
	}
	return strings.Join(names, ", ")
}

// NeedsBroker reports whether people are asked about anything, see MaskConfig.Broker.
func (c *MaskConfig) NeedsBroker() bool {
	return len(c.Lifts) > 0 || slices.ContainsFunc(c.Rules, func(r mask.Rule) bool { return r.Inference == mask.ApproveInference })
}

// newInference returns how people allow what rules want approved.
func newInference(c MaskConfig) (r approveRule, err error) {
	i := slices.IndexFunc(c.Rules, func(r mask.Rule) bool { return r.Inference == mask.ApproveInference })
	a := c.Inference
	if i < 0 && len(a.Groups)+len(a.Users) > 0 {
		return r, errors.New("says who approves inference, which no rule wants approved")
	} else if i < 0 {
		return r, nil
	}
	if a.Name == "" {
		a.Name = "inference"
	}
	if a.Reason == "" {
		a.Reason = "masked values can be inferred"
	}
	rs, err := approveRules(c.Broker, []ApproveRule{a})
	if err != nil {
		return r, fmt.Errorf("rule %s wants inference to be approved, and the settings for that: %w", c.Rules[i].Name, err)
	}
	return rs[0], nil
}
