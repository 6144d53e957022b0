package middleware

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/sallyport-dev/gateway/approval"
	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/protocol"
)

// MaskConfig says what a mask step hides, where and from whom.
type MaskConfig struct {
	// Rules name base columns, fields of documents, or both, and what takes the
	// place of their values. At least one is needed.
	Rules []mask.Rule

	// Targets are [Glob] patterns for the names of the targets that the rules
	// are about; empty means every target, also one whose connector cannot say
	// which columns an operation reads and whose operations are then refused.
	Targets []string

	// PassKinds are [Glob] patterns for kinds of documents that hold nothing a
	// rule is about, such as "text/css" and "image/*": they are shown as they
	// are. By default, where a rule names fields, what is not JSON is refused; and
	// where rules only detect, what is neither JSON nor text. Then they may also be
	// verbs of operations that return what is no text: "scp", "open", "forward".
	PassKinds []string

	// Scopes say for whom and where a rule is there, by the rule's name; a rule
	// without one is for everybody and everywhere. Of the rules that are there the
	// first that is about a value counts. One with [mask.Show] takes a value out of
	// those behind it.
	Scopes map[string]MaskScope

	// Lifts say which masks of columns people may lift, for one query of somebody who
	// asks for it with the comment that [protocol.Operation.Unmask] speaks of. The
	// query is held, those who decide read which columns come in the clear and to
	// whom, and after their yes it runs once, unmasked in these columns. The first
	// lift counts that is for the query and for all rules that mask its result; if
	// there is none, or it cannot be told before what the result will hold, the query
	// is refused. What detectors find in other columns stays masked. Broker brings
	// requests and approvers together; without Lifts it is not needed.
	Lifts  []MaskLift
	Broker *approval.Broker

	// Inference says who allows what a rule with [mask.ApproveInference] wants approved,
	// and is needed if there is one. The operation is held, and runs once after their
	// yes, with its result masked. Name and Reason may be empty. What When does not
	// pick is refused.
	Inference ApproveRule

	// Shadow, if it is not nil, is told at the end of each operation how many values
	// the step would have masked, by rule, and why it would have refused the
	// operation; the step masks and refuses nothing. It is for trying rules, and is called
	// from many goroutines, also if there was nothing. Documents are read for it as for a
	// mask: one that is longer than its connector reads is refused all the same.
	Shadow func(op *protocol.Operation, masked map[string]int, refused string)

	// Labels say what columns hold. Rules name columns only: labels are here to be
	// asked about, see [MaskExplainer].
	Labels mask.Labels

	// Except says whose operations are left alone; nil means nobody's.
	Except func(*protocol.Operation) bool

	// AllowDerived allows statements that change data, definitions or settings
	// although they read a masked column, or may read one. Such a statement
	// can put masked values where no rule looks for them (INSERT ... SELECT,
	// UPDATE with a masked column on the right, CREATE TABLE AS, set_config, a
	// renamed column), so by default it is refused, unless the connector proves
	// that the column serves for conditions and in RETURNING only.
	AllowDerived bool
}

// Mask returns the step "mask" with rules for every target and everybody; see
// [MaskWith].
func Mask(rules ...mask.Rule) Step { return MaskWith(MaskConfig{Rules: rules}) }

// MaskWith returns the step "mask", which hides what its rules name in
// everything that comes back. It never allows anything, but may hold what
// MaskConfig.Lifts speaks of. It stands before the
// step that records, so that the record holds masked values.
//
// An operation that is proven to read no column under a rule is left alone.
// For any other, a result column is shown if it is proven to come from columns
// without a rule; it goes through the rule's transform if it is a base column's
// own value and no other rule is about what it may be; everything else (computed from a masked column, from
// columns under several rules, or of unknown origin) is hidden whole, as by
// [mask.Redact]. Whether there is a value is shown, unless a rule hides NULL as well. Messages keep their code and the names in them; their text is
// replaced.
//
// Of a column whose rules have Members only these are masked in its own values, which
// then have to be JSON documents. What lies at a path that is known is the member there:
// shown if no rule is about it or about something in it, masked by the rule's transform if one is about
// it or what it is in, and else a document of which members are masked. Anything computed
// from a masked member, or from where there may be one, is hidden whole.
//
// Documents, of connectors whose results are some, are masked where a rule names
// fields, see [mask.Rule]: JSON, and streams of it.
//
// What a rule's detectors find is masked in the columns and members that no rule
// names, in the text of messages and in streams from the target. A tap on a
// stream holds back as [mask.Stream] does: called with an empty chunk that is not
// the last, it returns what it holds. A result is no proof that there is nothing:
// what must not be seen has a rule that names it.
//
// A rule's [mask.Inference] is about what an operation tells of its columns without
// showing them, see [protocol.Operation.Inferred]: by conditions, joins, groups and
// orders, by errors and by NULL. Whether there is a value may always be told, unless
// the rule hides it. With [mask.EqualityInference] an operation may compare a column
// with one constant or argument, and with a column of another table that is masked as
// well. An operation of which that is not known is treated as the strictest of the
// rules says whose columns it may read.
//
// Where the target has a restricted login, see [protocol.Operation.Restrict], what
// would be refused runs under it unmasked, and so does what names no column under a
// rule and yet returns columns of unknown origin: the target refuses what reads a
// column under a rule. That serves where all rules name columns.
//
// Refused otherwise, if any rule names columns or fields, are operations that could not be
// analysed, results that are not rows, and what [MaskConfig.AllowDerived] speaks of.
// A DELETE may use a masked column in its condition. A connector must set protocol.Rows
// in Shape for every statement that can return rows, and with the verb "copy" both
// Rows and Bytes only where taps on rows see all of the stream.
func MaskWith(c MaskConfig) Step {
	s := Step{Name: "mask", Role: RoleMasks}
	m, err := newMasking(c)
	s.err = err
	s.Operation = m.operation
	s.usesRisk = usesRisk(c.Inference.When) || slices.ContainsFunc(c.Lifts, func(l MaskLift) bool { return usesRisk(l.When) })
	return s
}

func newMasking(c MaskConfig) (m *masking, err error) {
	m = &masking{targets: slices.Clone(c.Targets), passKinds: slices.Clone(c.PassKinds), except: c.Except, allowDerived: c.AllowDerived, shadow: c.Shadow}
	if len(c.Rules) == 0 {
		return m, errors.New("has no rules")
	}
	if m.set, err = mask.Compile(c.Rules...); err != nil {
		return m, err
	}
	if len(c.Scopes) > 0 {
		if m.scopes, err = newMaskScopes(c.Rules, c.Scopes); err != nil {
			return m, err
		}
	}
	m.broker = c.Broker
	if m.lifts, err = newMaskLifts(c); err != nil {
		return m, err
	}
	m.inference, err = newInference(c)
	return m, err
}

// masking is the step's state; it does not change.
type masking struct {
	set          *mask.Set
	targets      []string // none: all
	passKinds    []string
	except       func(*protocol.Operation) bool
	allowDerived bool
	scopes       *maskScopes // nil: all rules are for everybody
	shadow       func(op *protocol.Operation, masked map[string]int, refused string)
	counts       *maskCounts // of this operation, with shadow
	lifts        []maskLift
	broker       *approval.Broker
	lifting      *lifting // of this operation, if its client asks for it
	inference    approveRule
}

// changes are the classes of access that can carry values elsewhere.
const changes = protocol.Write | protocol.Schema

func (m *masking) operation(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
	if len(m.targets) > 0 && op.Session != nil && !globAny(m.targets, op.Session.Resource.Name) {
		return protocol.Decision{Steady: true}, nil
	}
	if op.Verb == protocol.Cancel {
		return protocol.Pass, nil
	}
	steady := m.scopes == nil
	if !steady {
		of, err := m.scopes.of(op)
		if of == nil || err != nil {
			return protocol.Pass, err
		}
		scoped := *m
		scoped.set = of
		m = &scoped
	}
	var hit *mask.Rule
	if op.ReadsKnown {
		if hit = m.read(op); hit == nil && op.Access == protocol.Read && !m.set.HasDetectors() {
			return protocol.Decision{Steady: steady}, nil // the common case: costs no tap
		}
	}
	if m.except != nil && m.except(op) {
		return protocol.Pass, nil
	}
	if m.shadow != nil {
		return m.watch(op, hit)
	}
	d, t := m.decide(op, hit)
	var clear []place // if what is asked for is allowed
	if op.Unmask != "" && d.Effect == protocol.NoOpinion && t.rows != nil {
		_, _, clear, _ = m.liftable(op)
		if ask, lifted, ok := m.lift(op, t); ok {
			if told := m.infer(op, hit, clear); ask.Effect == protocol.HoldEffect && told.Effect != protocol.NoOpinion {
				return alsoTells(told), nil
			}
			return ask, lifted.register(op)
		}
	}
	d, t = m.tell(op, hit, clear, d, t)
	return d, t.register(op)
}

// tell says what becomes of op, decided as d with t, for what it tells of masked
// columns without showing them.
func (m *masking) tell(op *protocol.Operation, hit *mask.Rule, clear []place, d protocol.Decision, t maskTaps) (protocol.Decision, maskTaps) {
	if d.Effect != protocol.NoOpinion || op.Restricted() {
		return d, t
	}
	told := m.infer(op, hit, clear)
	switch {
	case told.Effect == protocol.NoOpinion:
		return d, t
	case told.Effect == protocol.DenyEffect && !op.ReadsKnown && m.restrict(op): // the target keeps masked columns out of it
		return protocol.Pass, restrictedTaps
	}
	return told, t
}

// maskTaps are what an operation's result goes through; nil is nothing.
type maskTaps struct {
	rows   func([]protocol.Column) (protocol.RowFunc, error)
	sample func([]protocol.Column) (protocol.SampleFunc, error) // where there are rows
	docs   func(string) (protocol.DocFunc, error)
	bytes  func(protocol.Stream) (protocol.BytesFunc, error)
	text   protocol.TextFunc
}

// with returns the taps with those of r, which may be nil.
func (t maskTaps) with(r *rowMask) maskTaps {
	if r == nil {
		return t
	}
	t.rows = r.tap
	if r.m.set.HasDetectors() {
		t.sample = r.sample
	}
	return t
}

func (t *maskTaps) register(op *protocol.Operation) error {
	var errs [5]error
	if t.rows != nil {
		errs[0] = op.OnRows(t.rows)
	}
	if t.sample != nil {
		errs[4] = op.OnSample(t.sample)
	}
	if t.docs != nil {
		errs[1] = op.OnDocs(t.docs)
	}
	if t.bytes != nil {
		errs[2] = op.OnBytes(t.bytes)
	}
	if t.text != nil {
		errs[3] = op.OnText(t.text)
	}
	return errors.Join(errs[:]...)
}

// decide says what becomes of op; hit is a rule for a column that it reads.
func (m *masking) decide(op *protocol.Operation, hit *mask.Rule) (protocol.Decision, maskTaps) {
	// deny refuses op, unless the target itself can keep masked columns out of it.
	deny := func(d protocol.Decision) (protocol.Decision, maskTaps) {
		if !m.restrict(op) {
			return d, maskTaps{}
		}
		return protocol.Pass, restrictedTaps
	}
	// pass lets op be, with its messages masked.
	pass := func(t maskTaps, strict bool) (protocol.Decision, maskTaps) {
		t.text = m.found(op, m.messages(op, strict))
		return protocol.Pass, t
	}
	names := m.set.HasColumns() || m.set.HasFields() // otherwise only what is found is masked
	streams := op.Shape&(protocol.Bytes|protocol.Docs) != 0 && !inRows(op)
	switch {
	case op.Verb == protocol.Connect && names:
		return pass(maskTaps{}, false)
	case names && op.Access.Has(protocol.Opaque):
		return deny(denyOpaque(op))
	case op.Shape&protocol.Docs != 0 && (m.set.HasFields() || !names):
		return protocol.Pass, maskTaps{docs: m.documents(op), bytes: m.texts(op)}
	case !names:
		return m.detect(op)
	case !m.allowDerived && m.moves(op):
		return deny(denyDefinition(nil))
	case op.Access.Has(protocol.Schema) && !m.allowDerived && m.defined(op) != nil:
		return deny(denyDefinition(m.defined(op)))
	case op.ReadsKnown && hit == nil && !m.set.HasDetectors():
		return pass(maskTaps{}, m.touches(op))
	case op.ReadsKnown && hit == nil && !streams:
		return pass(maskTaps{}.with(m.rowsIfAny(op)), m.touches(op))
	case op.Access == protocol.Control && op.Shape == 0:
		return pass(maskTaps{}, false) // BEGIN, SET: no result
	case streams:
		return deny(denyShape(hit))
	case carries(op) && !m.allowDerived && !deletes(op) && !m.returns(op):
		return deny(denyDerived(op, hit))
	case silent(op), m.allowDerived && op.Shape == 0 && op.Access.Has(changes) && !op.Access.Has(protocol.Admin):
		return pass(maskTaps{}, !op.Prepare)
	case op.Shape&protocol.Rows == 0:
		return deny(denyShape(hit))
	case hit == nil && obscure(op) && m.restrict(op): // all that would be shown is that there is something
		return protocol.Pass, restrictedTaps
	}
	return pass(maskTaps{}.with(m.rows(op)), !op.Prepare)
}

// restrictedTaps show everything, messages too: an account that cannot read a value
// is not told it in an error.
var restrictedTaps = maskTaps{text: func(*protocol.Message) error { return nil }}

// obscure reports whether it is not known where a column of op's result comes from.
func obscure(op *protocol.Operation) bool {
	return op.Columns == nil || slices.ContainsFunc(op.Columns, func(c protocol.Column) bool { return !c.Known })
}

// restrict asks that op runs under the target's restricted login, where there is
// one that serves for all that the rules are about.
func (m *masking) restrict(op *protocol.Operation) bool {
	set := m.set
	return op.MayRestrict && m.counts == nil && set.HasColumns() && !set.HasFields() && !set.HasDetectors() &&
		op.Restrict(func(c protocol.ColumnRef) bool { return set.Match(c.Schema, c.Table, c.Column) != nil }) == nil
}

// inRows reports whether what op streams are rows which a tap on rows sees: those
// of a COPY to the client. Of anything else with both shapes either may come.
func inRows(op *protocol.Operation) bool {
	return op.Verb == "copy" && op.Shape == protocol.Rows|protocol.Bytes
}

// read returns a rule for one of the columns that op reads, or nil.
func (m *masking) read(op *protocol.Operation) *mask.Rule {
	ruled := false
	for i := range op.Reads {
		r := &op.Reads[i]
		// A table's columns mostly stand together: look the table up once.
		if i == 0 || r.Table != op.Reads[i-1].Table || r.Schema != op.Reads[i-1].Schema {
			ruled = m.set.Table(r.Schema, r.Table)
		}
		if !ruled {
			continue
		}
		if rule := m.set.Match(r.Schema, r.Table, r.Column); rule != nil {
			return rule
		}
	}
	return nil
}

// written returns a rule of a table that op writes to, or nil.
func (m *masking) written(op *protocol.Operation) *mask.Rule {
	for i := range op.Writes {
		if rule := m.set.Match(op.Writes[i].Schema, op.Writes[i].Table, "*"); rule != nil {
			return rule
		}
	}
	return nil
}

// touches reports whether op changes a table with masked columns, so that an
// error about it can quote a whole row, or may do so for all that is known.
func (m *masking) touches(op *protocol.Operation) bool {
	if !op.Access.Has(changes) {
		return false
	}
	return len(op.Writes) == 0 || m.written(op) != nil ||
		strings.HasPrefix(string(op.Verb), "alter ") && slices.ContainsFunc(op.Objects, func(o protocol.Object) bool { return m.about(&o) != nil })
}

// moves reports whether op may give tables that it does not name another
// schema, bring data under a name of its own choice from another server, which may be
// this one, change PostgreSQL's catalog itself, and so give anything any name and
// code, or settings of sessions that are open, such as where names are looked up.
func (m *masking) moves(op *protocol.Operation) bool {
	switch op.Verb {
	case "alter schema", "alter extension", "alter system", "create foreign table", "alter foreign table", "import foreign schema", "alter server":
		return true
	}
	return op.Access.Has(changes) && slices.ContainsFunc(op.Objects, func(o protocol.Object) bool {
		if !strings.Contains("."+o.Name, ".pg_catalog.") {
			return false
		}
		return o.Access.Has(protocol.Write) && o.Kind != "function" || o.Access.Has(protocol.Schema) && strings.HasPrefix(string(op.Verb), "alter ")
	})
}

// defined returns a rule of a table whose definition op changes in a way that
// may take a column out of its rule, such as by another name, or nil.
func (m *masking) defined(op *protocol.Operation) *mask.Rule {
	switch op.Verb {
	case "create table", "create table as", "create view", "create materialized view", "create index",
		"create sequence", "create schema", "create type", "comment", "analyze", "vacuum":
		return nil // what these read is looked at like any other reading
	}
	if strings.HasPrefix(string(op.Verb), "drop ") {
		return nil
	}
	if rule := m.written(op); rule != nil {
		return rule
	}
	for i := range op.Objects {
		o := &op.Objects[i]
		if o.Access == protocol.Read {
			continue
		}
		if rule := m.about(o); rule != nil {
			return rule
		}
	}
	return nil
}

// about returns a rule of the table that o is, or nil.
func (m *masking) about(o *protocol.Object) *mask.Rule {
	switch o.Kind {
	case "schema", "database", "function", "role", "extension":
		return nil // no relation, though the name could be one's
	}
	schema, table := "", o.Name
	if dot := strings.LastIndexByte(o.Name, '.'); dot >= 0 {
		schema, table = o.Name[:dot], o.Name[dot+1:]
		schema = schema[strings.LastIndexByte(schema, '.')+1:] // without a database before it
	}
	if table == "" {
		return nil
	}
	return m.set.Match(schema, table, "*")
}

// carries reports whether op can put what it reads where it is read again: a
// query, a cursor or a COPY that changes the session's state can keep a value in a
// setting, with set_config, in the number of a lock or the name of a replication slot,
// or send it in a notification.
func carries(op *protocol.Operation) bool {
	if op.Access.Has(changes) {
		return true
	}
	switch op.Verb {
	case "prepare", "call": // runs nothing; is followed by who knows what it sets
		return false
	case "select", "values", "table", "explain", "declare", "fetch", "move":
		return op.Access.Has(protocol.Control | protocol.Admin)
	case "copy":
		return op.Access.Has(protocol.Control) || op.Shape != 0 && op.Access.Has(protocol.Admin) // without a shape, to a file
	}
	return op.Access.Has(protocol.Control)
}

// deletes reports whether all that op changes is to delete rows, so that no
// value can flow anywhere but into its result. The text has to begin with the
// word: before it a WITH could insert.
func deletes(op *protocol.Operation) bool {
	const word = "delete"
	text := strings.TrimLeft(op.Text, " \t\r\n")
	return op.ReadsKnown && op.Verb == word && op.Access&^(protocol.Read|protocol.Write) == 0 &&
		len(text) > len(word) && strings.EqualFold(text[:len(word)], word)
}

// returns reports whether all that op does with masked columns is to show them, as
// in RETURNING, and to find rows by them.
func (m *masking) returns(op *protocol.Operation) bool {
	if !op.ReadsKnown || op.Access&^(protocol.Read|protocol.Write) != 0 {
		return false
	}
	for i := range op.Reads {
		r := &op.Reads[i]
		if m.set.Match(r.Schema, r.Table, r.Column) != nil && !slices.Contains(op.Returned, *r) {
			return false
		}
	}
	return true
}

// silent reports whether op is known to return nothing: what is analysed and
// has no shape, such as an UPDATE without RETURNING or the declaration of a
// cursor. A query without a shape is not, nor what hands its result to a file
// or a program, nor what may hand it to code.
func silent(op *protocol.Operation) bool {
	if op.Shape != 0 || !op.ReadsKnown || op.Access.Has(protocol.Execute|protocol.Admin) {
		return false
	}
	switch op.Verb {
	case "declare", "prepare":
		return true
	}
	return op.Access.Has(changes)
}

func ruleName(r *mask.Rule) string {
	if r == nil {
		return ""
	}
	return r.Name
}

func denyOpaque(op *protocol.Operation) protocol.Decision {
	d := protocol.Deny("this statement could not be analysed, so masked columns cannot be kept out of its result")
	if op.Why != "" {
		d.Reason = "this statement could not be analysed (" + op.Why + "), so masked columns cannot be kept out of its result"
	}
	d.Hint = "write it in a simpler form, such as a plain SELECT, or ask whoever runs the gateway for an exception from the masks"
	return d
}

func denyShape(hit *mask.Rule) protocol.Decision {
	d := protocol.Deny("masked columns cannot be hidden in a result of this form")
	if hit == nil {
		d.Reason = "it is not known which columns this reads, and masked columns cannot be hidden in a result of this form"
	}
	d.Rule = ruleName(hit)
	d.Hint = `select the columns instead; in psql, \g or --csv writes the rows of a SELECT to a file`
	return d
}

func denyDerived(op *protocol.Operation, hit *mask.Rule) protocol.Decision {
	d := protocol.Deny("this statement changes data or settings and reads a masked column, so it could copy masked values to where they are shown")
	d.Hint = "find the rows by a column that is not masked, such as the primary key, and leave masked columns out of expressions and RETURNING"
	if len(op.Returned) > 0 {
		d.Hint = "leave masked columns out of what is written: they may stand in a condition and in RETURNING"
	}
	if hit == nil {
		d.Reason = "this statement changes data or settings and it is not known which columns it reads, so it could copy masked values to where they are shown"
		d.Hint = "write it in a simpler form, with literal values and without function calls"
	}
	d.Rule = ruleName(hit)
	return d
}

func denyDefinition(hit *mask.Rule) protocol.Decision {
	d := protocol.Deny("this statement changes definitions in a way that could take a masked column out of its rule")
	d.Rule = ruleName(hit)
	d.Hint = "ask whoever runs the gateway for an exception from the masks"
	return d
}
