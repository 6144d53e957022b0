package middleware

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/protocol"
)

// MaskKind returns the kind of step "mask" for configuration files:
//
//	mask:
//	  rules:
//	    - name: contact
//	      columns: [public.customers.email, "*.*.phone*"]
//	      with: email            # or null, redact, default
//	    - name: card
//	      columns: [public.payments.card]
//	      with: {partial: {keep_last: 4}}     # keep_first, mark
//	    - name: person
//	      columns: ["*.*.ssn"]
//	      with: {hash: {key_env: MASK_KEY}}   # or key; domain
//	    - name: birthday
//	      columns: [public.customers.born]
//	      with: {fixed: "1970-01-01"}
//	    - name: profile
//	      columns: [public.customers.profile]
//	      members: [email, "**.ssn"]          # of the JSON in it; see mask.Rule
//	      with: redact
//	    - name: mail
//	      fields: ["**.email", customer.phone] # of documents; see mask.Rule
//	      with: redact
//	    - name: found
//	      detect: [email, card, "secret.*"]    # wherever it is found; see mask.Rule
//	      with: redact
//	    - name: dba
//	      columns: [public.customers.name]
//	      groups: [dba]          # for whom the rule is there: except_groups, identities, targets, claims: {purpose: [support]}
//	      with: show             # not masked, whatever the rules behind it say
//	    - {name: people, labels: ["pii.*"], with: redact, nulls: true}
//	    - name: ssn
//	      columns: ["*.*.ssn"]
//	      with: redact
//	      inference: equality    # what statements may tell of it by conditions and the like: allow, equality, approve, block
//	  lifts:                     # what people may show in the clear for one query; see MaskConfig.Lifts
//	    - name: support-case
//	      rules: [contact]
//	      groups: [support]      # who may ask; by default everybody
//	      approvers: {groups: [privacy], users: ["https://id.example.com|u-7"]}
//	      need: 1
//	      for: 10m
//	      reason: support cases
//	  inference:                 # who allows what a rule with "inference: approve" wants approved; see MaskConfig.Inference
//	    approvers: {groups: [privacy]}
//	    groups: [analysts]       # who may ask; by default everybody
//	    need: 1
//	    for: 10m
//	  labels: {pii.name: [public.customers.name, "*.*.full_name"]}
//	  shadow: false              # true: only counts, in the log, what it would do
//	  pass_kinds: ["text/css", "image/*"]      # documents that hold none of these; see MaskConfig
//	  targets: ["orders-*"]      # by default all
//	  except_groups: [dba]
//	  allow_derived: false       # see MaskConfig.AllowDerived
//
// What with may say:
//
//	show, null, redact, default, email, shape, url, card
//	{fixed: TEXT}  {partial: {keep_first: N, keep_last: N, mark: C}}  {ends: {first: N, last: N}}
//	{card: {issuer: true}}  {replace: {pattern: REGEXP, with: TEXT}}
//	{round: N}  {truncate: day|month|quarter|year|decade}  {network: {v4: BITS, v6: BITS}}
//	{hash: {key_env: V, domain: D, key_name: N}}
//	{pseudonym: {key_env: V, domain: D, format: email|uuid|digits}}
//	{ff1: {key_env: V, domain: D, alphabet: decimal|hexadecimal|base36|alphanumeric}}   # or characters: C
//	{bucket: {key_env: V, domain: D, of: N}}  {noise: {key_env: V, domain: D, spread: N}}
//	{elements: WITH}
//	{found: {kinds: [...], with: WITH}}  {record: {FIELD: WITH}}
//
// They are the functions of package mask of the same names. A key is at least 32 characters of random text; key_env names the
// environment variable that holds it and keeps it out of the file.
//
// Each of with is given what the file says before the step is made of it: to look at
// it, and to add what a file cannot say.
func MaskKind(with ...func(*MaskConfig) error) Kind {
	return Kind{Name: "mask", New: func(decode func(any) error) (Step, error) {
		c, err := readMask(decode)
		for _, w := range with {
			if err == nil {
				err = w(&c)
			}
		}
		if err != nil {
			return Step{}, err
		}
		s := MaskWith(c)
		return s, s.err
	}}
}

// MaskedColumns returns which columns the step "mask" may hide at a target from
// anybody, whoever it is: decode is as for [Kind.New]. It is for what else has to
// keep them, such as a role of the target's own.
func MaskedColumns(decode func(into any) error, target string) (func(protocol.ColumnRef) bool, error) {
	mc, err := readMask(decode)
	if err != nil {
		return nil, err
	}
	var rules []mask.Rule
	for _, r := range mc.Rules {
		at := mc.Scopes[r.Name].Targets
		if len(r.Columns) > 0 && r.Transform != mask.Show() && (len(at) == 0 || globAny(at, target)) {
			rules = append(rules, r)
		}
	}
	if len(rules) == 0 || len(mc.Targets) > 0 && !globAny(mc.Targets, target) {
		return func(protocol.ColumnRef) bool { return false }, nil
	}
	set, err := mask.Compile(rules...)
	if err != nil {
		return nil, err
	}
	return func(c protocol.ColumnRef) bool { return set.Match(c.Schema, c.Table, c.Column) != nil }, nil
}

// readMask returns what the settings of a step say.
func readMask(decode func(into any) error) (MaskConfig, error) {
	var c maskSettings
	if err := decode(&c); err != nil {
		return MaskConfig{}, err
	}
	mc := MaskConfig{Targets: c.Targets, PassKinds: c.PassKinds, AllowDerived: c.AllowDerived, Labels: c.Labels, Scopes: map[string]MaskScope{}}
	if c.Shadow {
		mc.Shadow = logShadow
	}
	for i := range c.Rules {
		r := &c.Rules[i]
		rule, err := r.rule(c.Labels)
		if err != nil {
			return MaskConfig{}, fmt.Errorf("mask rule %s: %w", r.Name, err)
		}
		mc.Rules = append(mc.Rules, rule)
		scope, limited, err := r.scope()
		if err != nil {
			return MaskConfig{}, fmt.Errorf("mask rule %s: %w", r.Name, err)
		}
		if limited {
			mc.Scopes[r.Name] = scope
		}
	}
	for i := range c.Lifts {
		mc.Lifts = append(mc.Lifts, c.Lifts[i].lift())
	}
	if l := c.Inference; l != nil {
		mc.Inference = l.rule()
	}
	if groups := c.ExceptGroups; len(groups) > 0 {
		mc.Except = func(op *protocol.Operation) bool {
			return op.Session != nil && op.Session.Identity != nil && op.Session.Identity.InGroup(groups...)
		}
	}
	return mc, nil
}

func (l *maskLiftSettings) lift() MaskLift {
	out := MaskLift{ApproveRule: l.Asks.rule(), Rules: l.Rules}
	out.Name = l.Name
	return out
}

func (l *maskApproval) rule() ApproveRule {
	out := ApproveRule{Groups: l.Approvers.Groups, Users: l.Approvers.Users, Need: l.Need, For: l.For, Reason: l.Reason, AutoDenyInTx: l.AutoDenyInTx}
	if groups := l.Groups; len(groups) > 0 {
		out.When = If(func(op *protocol.Operation) (bool, error) {
			return op.Session != nil && op.Session.Identity != nil && op.Session.Identity.InGroup(groups...), nil
		})
	}
	return out
}

func (r *maskRule) rule(labels mask.Labels) (mask.Rule, error) {
	rule := mask.Rule{Name: r.Name, Columns: r.Columns, Members: r.Members, Fields: r.Fields, Detect: r.Detect, Nulls: r.Nulls}
	columns, err := labels.Columns(r.Labels...)
	if err != nil {
		return rule, err
	}
	rule.Columns = append(rule.Columns, columns...)
	if rule.Inference, err = mask.ParseInference(r.Inference); err != nil {
		return rule, err
	}
	switch {
	case r.null:
		rule.Transform = mask.Null()
	case r.With != nil:
		rule.Transform, err = r.With.transform()
	}
	return rule, err
}

// scope returns for whom and where the rule is there, if that is limited.
func (r *maskRule) scope() (scope MaskScope, limited bool, err error) {
	for _, k := range r.Identities {
		switch k {
		case protocol.Human, protocol.Workload, protocol.Agent:
		default:
			return scope, false, fmt.Errorf("identities: %q is none of human, workload, agent", k)
		}
	}
	scope = MaskScope{Groups: r.Groups, ExceptGroups: r.ExceptGroups, Kinds: r.Identities, Targets: r.Targets, Claims: r.Claims}
	return scope, len(r.Groups)+len(r.ExceptGroups)+len(r.Identities)+len(r.Targets)+len(r.Claims) > 0, nil
}

// logShadow logs what a step in shadow would have done.
func logShadow(op *protocol.Operation, masked map[string]int, refused string) {
	if len(masked) == 0 && refused == "" {
		return
	}
	log := slog.With("verb", string(op.Verb))
	if s := op.Session; s != nil {
		log = log.With("session", s.ID, "target", s.Resource.Name)
	}
	for _, rule := range slices.Sorted(maps.Keys(masked)) {
		log.Info("mask in shadow", "rule", rule, "values", masked[rule])
	}
	if refused != "" {
		log.Info("mask in shadow", "would refuse", refused)
	}
}

type maskSettings struct {
	Rules        []maskRule          `yaml:"rules"`
	Labels       map[string][]string `yaml:"labels"`
	Shadow       bool                `yaml:"shadow"`
	Targets      []string            `yaml:"targets"`
	PassKinds    []string            `yaml:"pass_kinds"`
	ExceptGroups []string            `yaml:"except_groups"`
	AllowDerived bool                `yaml:"allow_derived"`
	Lifts        []maskLiftSettings  `yaml:"lifts"`
	Inference    *maskApproval       `yaml:"inference"`
}

type maskLiftSettings struct {
	Name  string       `yaml:"name"`
	Rules []string     `yaml:"rules"`
	Asks  maskApproval `yaml:",inline"`
}

// maskApproval says who may ask for something, and who allows it.
type maskApproval struct {
	Groups    []string `yaml:"groups"`
	Approvers struct {
		Groups []string `yaml:"groups"`
		Users  []string `yaml:"users"`
	} `yaml:"approvers"`
	Need         int           `yaml:"need"`
	For          time.Duration `yaml:"for"`
	Reason       string        `yaml:"reason"`
	AutoDenyInTx bool          `yaml:"auto_deny_in_tx"`
}

type maskRule struct {
	Name    string   `yaml:"name"`
	Columns []string `yaml:"columns"`
	Members []string `yaml:"members"`
	Fields  []string `yaml:"fields"`
	Detect  []string `yaml:"detect"`
	Labels  []string `yaml:"labels"`
	Nulls   bool     `yaml:"nulls"`

	Inference string `yaml:"inference"`

	With *maskWith `yaml:"with"`

	Groups       []string                `yaml:"groups"`
	ExceptGroups []string                `yaml:"except_groups"`
	Identities   []protocol.IdentityKind `yaml:"identities"`
	Targets      []string                `yaml:"targets"`
	Claims       map[string][]string     `yaml:"claims"`

	null bool // "with: null", which is not the same as no with
}

// UnmarshalYAML looks at the rule twice, since null and nothing look the same
// in a pointer.
func (r *maskRule) UnmarshalYAML(unmarshal func(any) error) error {
	type plain maskRule
	if err := unmarshal((*plain)(r)); err != nil {
		return err
	}
	var keys map[string]any
	if err := unmarshal(&keys); err != nil {
		return err
	}
	_, there := keys["with"]
	r.null = there && r.With == nil
	return nil
}
