package middleware

import (
	"fmt"
	"slices"
	"sync"

	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/protocol"
)

// A MaskScope says for whom and where a rule of a mask step is there. What is empty
// limits nothing.
type MaskScope struct {
	Groups       []string                // of whom one is the person's
	ExceptGroups []string                // of whom none is
	Kinds        []protocol.IdentityKind // "human", "workload", "agent"
	Targets      []string                // [Glob] patterns for targets' names
	If           Condition               // an error counts as true, of a rule that shows as false
}

// maskScopes keeps the sets of rules for each combination of scopes that there was.
type maskScopes struct {
	rules  []mask.Rule
	scopes []*MaskScope // by rule; nil is everybody and everywhere
	sets   sync.Map     // *mask.Set by the rules in it, a bit each
}

func newMaskScopes(rules []mask.Rule, scopes map[string]MaskScope) (*maskScopes, error) {
	s := &maskScopes{rules: slices.Clone(rules), scopes: make([]*MaskScope, len(rules))}
	if len(rules) > 64 {
		return nil, fmt.Errorf("has %d rules, and with scopes at most 64", len(rules))
	}
	for name, scope := range scopes {
		i := slices.IndexFunc(rules, func(r mask.Rule) bool { return r.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("has a scope for %q, which is none of its rules", name)
		}
		s.scopes[i] = &scope
	}
	return s, nil
}

// of returns the set of the rules that are there for op, nil if there are none.
func (s *maskScopes) of(op *protocol.Operation) (*mask.Set, error) {
	var there uint64
	for i, scope := range s.scopes {
		if scope == nil || scope.includes(op, s.rules[i].Transform == mask.Show()) {
			there |= 1 << i
		}
	}
	if there == 0 {
		return nil, nil
	}
	if set, ok := s.sets.Load(there); ok {
		return set.(*mask.Set), nil
	}
	var rules []mask.Rule
	for i := range s.rules {
		if there>>i&1 != 0 {
			rules = append(rules, s.rules[i])
		}
	}
	set, err := mask.Compile(rules...)
	if err != nil {
		return nil, err
	}
	s.sets.Store(there, set)
	return set, nil
}

// includes reports whether the rule is there for op. Where that is not known it is,
// unless it is one that shows.
func (s *MaskScope) includes(op *protocol.Operation, shows bool) bool {
	if op.Session == nil || op.Session.Identity == nil {
		return !shows
	}
	id := op.Session.Identity
	switch {
	case len(s.Targets) > 0 && !globAny(s.Targets, op.Session.Resource.Name),
		len(s.Groups) > 0 && !id.InGroup(s.Groups...),
		len(s.ExceptGroups) > 0 && id.InGroup(s.ExceptGroups...),
		len(s.Kinds) > 0 && !slices.Contains(s.Kinds, id.Kind):
		return false
	case s.If == nil:
		return true
	}
	ok, err := s.If.Eval(op)
	if err != nil {
		return !shows
	}
	return ok
}
