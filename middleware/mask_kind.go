package middleware

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"

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
//	    - name: mail
//	      fields: ["**.email", customer.phone] # of documents; see mask.Rule
//	      with: redact
//	    - name: found
//	      detect: [email, card, "secret.*"]    # wherever it is found; see mask.Rule
//	      with: redact
//	    - name: dba
//	      columns: [public.customers.name]
//	      groups: [dba]          # for whom the rule is there: except_groups, identities, targets
//	      with: show             # not masked, whatever the rules behind it say
//	    - {name: people, labels: ["pii.*"], with: redact, nulls: true}
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
//	{bucket: {key_env: V, domain: D, of: N}}  {noise: {key_env: V, domain: D, spread: N}}
//	{elements: WITH}  {members: {fields: [...], with: WITH}}
//	{found: {kinds: [...], with: WITH}}  {record: {FIELD: WITH}}
//
// They are the functions of package mask of the same names. A key is at least 32 characters of random text; key_env names the
// environment variable that holds it and keeps it out of the file.
func MaskKind() Kind {
	return KindOf("mask", func(c maskSettings) (Step, error) {
		mc := MaskConfig{Targets: c.Targets, PassKinds: c.PassKinds, AllowDerived: c.AllowDerived, Scopes: map[string]MaskScope{}}
		if c.Shadow {
			mc.Shadow = logShadow
		}
		for _, r := range c.Rules {
			rule := mask.Rule{Name: r.Name, Columns: r.Columns, Fields: r.Fields, Detect: r.Detect, Nulls: r.Nulls}
			columns, err := mask.Labels(c.Labels).Columns(r.Labels...)
			if err != nil {
				return Step{}, fmt.Errorf("mask rule %s: %w", r.Name, err)
			}
			rule.Columns = append(rule.Columns, columns...)
			scope := MaskScope{Groups: r.Groups, ExceptGroups: r.ExceptGroups, Kinds: r.Identities, Targets: r.Targets}
			for _, k := range scope.Kinds {
				switch k {
				case protocol.Human, protocol.Workload, protocol.Agent:
				default:
					return Step{}, fmt.Errorf("mask rule %s: identities: %q is none of human, workload, agent", r.Name, k)
				}
			}
			if len(r.Groups)+len(r.ExceptGroups)+len(r.Identities)+len(r.Targets) > 0 {
				mc.Scopes[r.Name] = scope
			}
			switch {
			case r.null:
				rule.Transform = mask.Null()
			case r.With != nil:
				t, err := r.With.transform()
				if err != nil {
					return Step{}, fmt.Errorf("mask rule %s: %w", r.Name, err)
				}
				rule.Transform = t
			}
			mc.Rules = append(mc.Rules, rule)
		}
		if groups := c.ExceptGroups; len(groups) > 0 {
			mc.Except = func(op *protocol.Operation) bool {
				return op.Session != nil && op.Session.Identity != nil && op.Session.Identity.InGroup(groups...)
			}
		}
		s := MaskWith(mc)
		return s, s.err
	})
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
}

type maskRule struct {
	Name    string    `yaml:"name"`
	Columns []string  `yaml:"columns"`
	Fields  []string  `yaml:"fields"`
	Detect  []string  `yaml:"detect"`
	Labels  []string  `yaml:"labels"`
	Nulls   bool      `yaml:"nulls"`
	With    *maskWith `yaml:"with"`

	Groups       []string                `yaml:"groups"`
	ExceptGroups []string                `yaml:"except_groups"`
	Identities   []protocol.IdentityKind `yaml:"identities"`
	Targets      []string                `yaml:"targets"`

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
