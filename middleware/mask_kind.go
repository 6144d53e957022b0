package middleware

import (
	"errors"
	"fmt"
	"os"
	"unicode/utf8"

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
//	  pass_kinds: ["text/css", "image/*"]      # documents that hold none of these; see MaskConfig
//	  targets: ["orders-*"]      # by default all
//	  except_groups: [dba]
//	  allow_derived: false       # see MaskConfig.AllowDerived
//
// A hash key is at least 32 characters of random text; key_env names the
// environment variable that holds it and keeps it out of the file.
func MaskKind() Kind {
	return KindOf("mask", func(c maskSettings) (Step, error) {
		mc := MaskConfig{Targets: c.Targets, PassKinds: c.PassKinds, AllowDerived: c.AllowDerived}
		for _, r := range c.Rules {
			rule := mask.Rule{Name: r.Name, Columns: r.Columns, Fields: r.Fields, Detect: r.Detect}
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

type maskSettings struct {
	Rules        []maskRule `yaml:"rules"`
	Targets      []string   `yaml:"targets"`
	PassKinds    []string   `yaml:"pass_kinds"`
	ExceptGroups []string   `yaml:"except_groups"`
	AllowDerived bool       `yaml:"allow_derived"`
}

type maskRule struct {
	Name    string    `yaml:"name"`
	Columns []string  `yaml:"columns"`
	Fields  []string  `yaml:"fields"`
	Detect  []string  `yaml:"detect"`
	With    *maskWith `yaml:"with"`

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

// maskWith is one word, or a map with one key.
type maskWith struct {
	word string
	maskOptions
}

type maskOptions struct {
	Fixed   *string      `yaml:"fixed"`
	Partial *maskPartial `yaml:"partial"`
	Hash    *maskHash    `yaml:"hash"`
}

type maskPartial struct {
	KeepFirst int    `yaml:"keep_first"`
	KeepLast  int    `yaml:"keep_last"`
	Mark      string `yaml:"mark"`
}

type maskHash struct {
	Key    protocol.Secret `yaml:"key"`
	KeyEnv string          `yaml:"key_env"`
	Domain string          `yaml:"domain"`
}

// UnmarshalYAML accepts both forms.
func (w *maskWith) UnmarshalYAML(unmarshal func(any) error) error {
	if unmarshal(&w.word) == nil {
		return nil
	}
	w.word = ""
	return unmarshal(&w.maskOptions)
}

func (w *maskWith) transform() (mask.Transform, error) {
	given := 0
	for _, there := range []bool{w.word != "", w.Fixed != nil, w.Partial != nil, w.Hash != nil} {
		if there {
			given++
		}
	}
	if given != 1 {
		return nil, errors.New("with: takes one of null, redact, default, email, fixed, partial, hash")
	}
	switch {
	case w.Fixed != nil:
		return mask.Fixed(*w.Fixed), nil
	case w.Partial != nil:
		return w.Partial.transform()
	case w.Hash != nil:
		return w.Hash.transform()
	}
	switch w.word {
	case "null":
		return mask.Null(), nil
	case "redact":
		return mask.Redact(), nil
	case "default":
		return mask.Default(), nil
	case "email":
		return mask.Email(), nil
	case "fixed", "partial", "hash":
		return nil, fmt.Errorf("with: %s needs settings: write {%s: ...}", w.word, w.word)
	}
	return nil, fmt.Errorf("with: unknown transform %q; known are null, redact, default, email, fixed, partial, hash", w.word)
}

func (p *maskPartial) transform() (mask.Transform, error) {
	t := mask.Partial{KeepFirst: p.KeepFirst, KeepLast: p.KeepLast}
	if p.Mark != "" {
		r, size := utf8.DecodeRuneInString(p.Mark)
		if size != len(p.Mark) || r == utf8.RuneError {
			return nil, fmt.Errorf("partial: mark %q is not one character", p.Mark)
		}
		t.With = r
	}
	return t, nil
}

func (h *maskHash) transform() (mask.Transform, error) {
	key := h.Key.Reveal()
	switch {
	case h.KeyEnv == "" && key == "":
		return nil, errors.New("hash: needs a key: name an environment variable in key_env")
	case h.KeyEnv != "" && key != "":
		return nil, errors.New("hash: has both key and key_env; keep one")
	case h.KeyEnv != "":
		if key = os.Getenv(h.KeyEnv); key == "" {
			return nil, fmt.Errorf("hash: environment variable %s is not set", h.KeyEnv)
		}
	}
	if len(key) < 32 {
		return nil, errors.New("hash: the key is shorter than 32 characters; 'openssl rand -hex 32' makes one")
	}
	k, err := mask.NewKey([]byte(key))
	if err != nil {
		return nil, fmt.Errorf("hash: %w", err)
	}
	return mask.Hash(k, h.Domain), nil
}
