package middleware

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/protocol"
)

// A MaskExplainer says what a mask step would do for somebody, and why: which rule
// counts, and why the others do not. It decides as the step does, changes nothing and
// is safe for use by many goroutines.
type MaskExplainer struct {
	m    *masking
	c    MaskConfig
	info *protocol.SessionInfo
}

// NewMaskExplainer returns what explains the step that [MaskWith] makes of c, in a
// session of info, whose Identity, Protocol and Resource say for whom and where.
func NewMaskExplainer(c MaskConfig, info *protocol.SessionInfo) (*MaskExplainer, error) {
	m, err := newMasking(c)
	if err != nil {
		return nil, fmt.Errorf("mask: %w", err)
	}
	m.shadow = nil
	return &MaskExplainer{m, c, info}, nil
}

// A MaskExplanation is what a mask step makes of one thing that was asked about.
type MaskExplanation struct {
	About   string        `json:"about"`
	Shadow  bool          `json:"shadow,omitempty"`  // nothing is masked or refused, only counted
	Exempt  string        `json:"exempt,omitempty"`  // why the step leaves all of it alone
	Refused string        `json:"refused,omitempty"` // why it may not run
	Rule    string        `json:"rule,omitempty"`    // that refuses it
	Values  []MaskedValue `json:"values,omitempty"`

	Inferred []MaskedInference `json:"inferred,omitempty"` // what it tells of masked columns without showing them
}

// A MaskEffect says what becomes of a value.
type MaskEffect string

// The effects.
const (
	MaskShows    MaskEffect = "shown"
	MaskSearches MaskEffect = "searched" // what detectors find in it is masked
	MaskMasks    MaskEffect = "masked"   // by the transform of a rule
	MaskHides    MaskEffect = "hidden"   // whole, since no transform is right for it
)

// A MaskedValue is a column of a result, a member of a document or a stream.
type MaskedValue struct {
	Name   string       `json:"name"`
	From   []string     `json:"from,omitempty"`   // where it comes from, and how: "public.t.c (identity)"
	Labels []string     `json:"labels,omitempty"` // of those columns
	Effect MaskEffect   `json:"effect"`
	Rule   string       `json:"rule,omitempty"` // that decides
	With   string       `json:"with,omitempty"` // what it does, see [mask.Describe]
	Why    string       `json:"why"`
	Looks  []string     `json:"looks_for,omitempty"` // kinds that detectors look for in what is shown, with their rules
	Lifts  []string     `json:"lifts,omitempty"`     // of [MaskConfig.Lifts], by which people may show it to this identity
	Passed []PassedRule `json:"passed_over,omitempty"`

	// Inference is what the rule lets statements tell of the values without showing
	// them, see [mask.Inference]; "" where none is masked.
	Inference string `json:"inference,omitempty"`
}

// A PassedRule is a rule that does not decide about a value, and why.
type PassedRule struct {
	Rule string `json:"rule"`
	Why  string `json:"why"`
}

// Column explains what becomes of the values of a base column, as they are. Parts of
// its name that are not known are empty.
func (e *MaskExplainer) Column(c protocol.ColumnRef) MaskExplanation {
	op := &protocol.Operation{Verb: "select", Access: protocol.Read, Pure: true, Bounded: true, Shape: protocol.Rows, ReadsKnown: true, InferredKnown: true,
		Reads: []protocol.ColumnRef{c}, Columns: []protocol.Column{{Name: c.Column, Type: 25, TypeName: "text", Known: true,
			Sources: []protocol.Source{{ColumnRef: c, Edge: protocol.EdgeIdentity}}}}}
	return e.explain("column "+named(c), op, nil)
}

// Label explains what becomes of each column that has the label, as its patterns
// name them.
func (e *MaskExplainer) Label(label string) ([]MaskExplanation, error) {
	patterns, err := e.c.Labels.Columns(label)
	if err != nil {
		return nil, err
	}
	var out []MaskExplanation
	for _, p := range patterns {
		schema, table, column, err := mask.SplitColumn(p)
		if err != nil {
			return nil, fmt.Errorf("label %s: column %q: %w", label, p, err)
		}
		x := e.Column(protocol.ColumnRef{Schema: schema, Table: table, Column: column})
		x.About = "column " + p
		out = append(out, x)
	}
	return out, nil
}

// Operation explains what becomes of an operation that its connector has analysed;
// op is changed, and of no use afterwards.
func (e *MaskExplainer) Operation(op *protocol.Operation) MaskExplanation {
	about := string(op.Verb)
	if op.Text != "" {
		about = op.Text
	}
	return e.explain(about, op, nil)
}

// Field explains what becomes of a member of documents, such as "customer.email".
func (e *MaskExplainer) Field(path string) (MaskExplanation, error) {
	op := &protocol.Operation{Verb: "get", Access: protocol.Read, Shape: protocol.Docs}
	var failed error
	x := e.explain("field "+path, op, func(m *masking) (v MaskedValue) {
		opinions, err := m.set.FieldOpinions(path)
		failed = err
		v = MaskedValue{Name: path, Effect: MaskShows, Why: "no rule is about it"}
		e.count(m, &v, op, opinions, path)
		if v.Effect == MaskShows && v.Rule == "" {
			e.look(m, &v)
		}
		return v
	})
	return x, failed
}

// Stream explains what becomes of a stream that comes from the target, by the verb of
// its operation, such as "exec" or "scp", and its name, such as "stdout".
func (e *MaskExplainer) Stream(verb protocol.Verb, name string) MaskExplanation {
	op := &protocol.Operation{Verb: verb, Access: protocol.Read, Shape: protocol.Bytes}
	return e.explain("stream "+name+" of "+string(verb), op, func(m *masking) MaskedValue {
		v := MaskedValue{Name: name, Effect: MaskShows, Why: "no rule looks into streams"}
		e.count(m, &v, op, nil, "")
		e.look(m, &v)
		return v
	})
}

// explain asks the step about op. one explains the one value that it is about; nil:
// the columns of its result.
func (e *MaskExplainer) explain(about string, op *protocol.Operation, one func(*masking) MaskedValue) MaskExplanation {
	x := MaskExplanation{About: about, Shadow: e.c.Shadow != nil}
	op.Session = e.info
	m := *e.m
	if name := e.info.Resource.Name; len(m.targets) > 0 && !globAny(m.targets, name) {
		x.Exempt = "the step is for targets " + strings.Join(m.targets, ", ") + " only"
		return x
	}
	if m.scopes != nil {
		set, err := m.scopes.of(op)
		switch {
		case err != nil:
			x.Refused = err.Error()
			return x
		case set == nil:
			x.Exempt = "no rule is there for this identity and target"
			x.Values = []MaskedValue{{Name: about, Effect: MaskShows, Why: x.Exempt}}
			e.count(&m, &x.Values[0], op, nil, "")
			return x
		}
		m.set = set
	}
	if m.except != nil && m.except(op) {
		x.Exempt = "the step leaves operations of this identity alone"
		return x
	}
	var hit *mask.Rule
	if op.ReadsKnown {
		hit = m.read(op)
	}
	d, t := m.decide(op, hit)
	if one == nil {
		x.Inferred = m.inferred(op, hit, nil)
		d, _ = m.tell(op, hit, nil, d, t)
	}
	if d.Effect == protocol.DenyEffect {
		x.Refused, x.Rule = d.Reason, d.Rule
	}
	switch {
	case one != nil:
		x.Values = []MaskedValue{one(&m)}
	case op.Columns != nil:
		for i := range op.Columns {
			x.Values = append(x.Values, e.column(&m, op, &op.Columns[i]))
		}
	case op.Shape&protocol.Rows != 0:
		v := MaskedValue{Name: "*", Effect: MaskHides, With: mask.Describe(mask.Redact()), Why: "it is not known which columns the result has, nor where they come from"}
		switch {
		case op.ReadsKnown && hit == nil:
			v.Effect, v.With, v.Why = MaskShows, "", "it reads no column that a rule is about"
			e.look(&m, &v)
		case !m.set.HasColumns():
			v.Effect, v.With, v.Why = MaskShows, "", "no rule names columns"
			e.look(&m, &v)
		}
		x.Values = append(x.Values, v)
	}
	return x
}

// column explains a column of a result.
func (e *MaskExplainer) column(m *masking, op *protocol.Operation, c *protocol.Column) MaskedValue {
	v := MaskedValue{Name: c.Name, Effect: MaskShows, Why: "no rule is about it"}
	for i := range c.Sources {
		s := &c.Sources[i]
		v.From = append(v.From, named(s.ColumnRef)+s.Path+" ("+edgeNames[s.Edge]+")")
		for _, l := range e.c.Labels.Of(s.Schema, s.Table, s.Column) {
			if !slices.Contains(v.Labels, l) {
				v.Labels = append(v.Labels, l)
			}
		}
	}
	var opinions []mask.Opinion
	where := ""
	for i := range c.Sources {
		s := &c.Sources[i]
		if m.nullOnly(s) {
			v.Why = "it tells only whether there is a value"
			continue
		}
		all := m.set.ColumnOpinions(s.Schema, s.Table, s.Column, s.Path)
		if opinions == nil {
			opinions, where = all, named(s.ColumnRef)+s.Path
			continue
		}
		for j := range all { // what any source makes a rule say, it says
			if all[j].Decides && !opinions[j].Decides || all[j].About != "" && opinions[j].About == "" {
				opinions[j] = all[j]
			}
		}
	}
	e.count(m, &v, op, opinions, where)
	said, exact := m.verdict(c)
	switch {
	case !c.Known && m.set.HasColumns():
		v.Effect, v.Rule, v.With, v.Why = MaskHides, "", mask.Describe(mask.Redact()), "it is not known where it comes from"
	case said.Rule == nil && m.shown(c):
	case said.Rule == nil:
		v.Effect = MaskShows
		if m.detector(op, c) != nil {
			e.look(m, &v)
		}
	case !exact:
		v.Effect, v.Rule, v.With = MaskHides, said.Rule.Name, mask.Describe(mask.Redact())
		v.Why = "it is computed from what rule " + said.Rule.Name + " is about, or from columns of different rules"
	}
	for i := range e.c.Rules {
		if r := &e.c.Rules[i]; r.Name == v.Rule && v.Effect != MaskShows {
			v.Inference = r.Inference.String()
		}
	}
	if v.Rule != "" && c.Known && v.Effect != MaskShows {
		for i := range m.lifts {
			l := &m.lifts[i]
			if picks, err := l.picks(op); picks && err == nil && slices.Contains(l.rules, v.Rule) {
				v.Lifts = append(v.Lifts, l.Name)
			}
		}
	}
	return v
}

// count enters which rule decides by opinions, and why the others do not. about is
// what they are about.
func (e *MaskExplainer) count(m *masking, v *MaskedValue, op *protocol.Operation, opinions []mask.Opinion, about string) {
	by := map[string]mask.Opinion{}
	for _, o := range opinions {
		by[o.Rule] = o
		if o.Decides && v.Rule == "" {
			v.Rule, v.With, v.Effect = o.Rule, o.With, MaskMasks
			v.Why = fmt.Sprintf("rule %s is the first that is about %s, by %s", o.Rule, about, o.About)
			if o.Shows {
				v.Effect = MaskShows
			}
		}
	}
	for i := range e.c.Rules {
		r := &e.c.Rules[i]
		o, there := by[r.Name]
		why := ""
		if m.scopes != nil && m.scopes.scopes[i] != nil {
			why = m.scopes.scopes[i].why(op, r.Transform == mask.Show())
		}
		switch {
		case why != "":
		case r.Name == v.Rule:
			continue
		case there && o.Decides && len(r.Members) > 0:
			why = "it decides about other members, by " + o.About
		case there && o.Decides:
			why = "it decides about another column that this comes from"
		case there && o.About != "":
			why = "it is about it too, by " + o.About + ", but stands behind rule " + v.Rule
		case there && len(r.Columns)+len(r.Fields) > 0:
			why = "it names others"
		case len(r.Columns)+len(r.Fields) == 0:
			why = "it is about what is found in values that no rule names"
			if v.Effect == MaskShows || v.Effect == MaskSearches {
				why = "nothing is looked for here"
			}
		default:
			why = "it is about columns and fields"
		}
		v.Passed = append(v.Passed, PassedRule{r.Name, why})
	}
}

// look enters what detectors look for.
func (e *MaskExplainer) look(m *masking, v *MaskedValue) {
	by := m.set.Detects()
	for i := range e.c.Rules { // in their order
		kinds := by[e.c.Rules[i].Name]
		if len(kinds) == 0 {
			continue
		}
		names := make([]string, len(kinds))
		for j, k := range kinds {
			names[j] = string(k)
		}
		rule := e.c.Rules[i].Name
		v.Looks = append(v.Looks, fmt.Sprintf("%s (rule %s: %s)", strings.Join(names, ", "), rule, mask.Describe(e.c.Rules[i].Transform)))
		v.Effect, v.Why = MaskSearches, "no rule names it; what is found in it is masked"
		v.Passed = slices.DeleteFunc(v.Passed, func(p PassedRule) bool { return p.Rule == rule })
	}
}

var edgeNames = map[protocol.Edge]string{protocol.EdgeUnknown: "unknown", protocol.EdgeIdentity: "identity", protocol.EdgeTransform: "transform",
	protocol.EdgeAggregate: "aggregate", protocol.EdgeOpaque: "opaque", protocol.EdgeMember: "member", protocol.EdgeNull: "null"}

// named returns schema.table.column, with a star for what is not known.
func named(c protocol.ColumnRef) string {
	for _, p := range []*string{&c.Schema, &c.Table, &c.Column} {
		if *p == "" {
			*p = "*"
		}
	}
	return c.String()
}
