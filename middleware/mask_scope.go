package middleware

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/protocol"
)

// A MaskScope says for whom and where a rule of a mask step is there. What is empty
// limits nothing.
type MaskScope struct {
	Groups       []string                // of whom one is the identity's; of a rule that masks also of whom it acts for
	ExceptGroups []string                // of whom none is; of a rule that shows also of whom it acts for
	Kinds        []protocol.IdentityKind // "human", "workload", "agent"
	Claims       map[string][]string     // each is a claim of the identity, or of whom it acts for, with one of the values
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
	return s.excludes(op, shows) == scopeIncludes
}

// A scopeReason says what of a scope keeps a rule away.
type scopeReason uint8

const (
	scopeIncludes scopeReason = iota
	scopeUnknown
	scopeTargets
	scopeGroups
	scopeExceptGroups
	scopeKinds
	scopeClaims
	scopeIf
)

// excludes returns why the rule is not there for op.
func (s *MaskScope) excludes(op *protocol.Operation, shows bool) scopeReason {
	if op.Session == nil || op.Session.Identity == nil {
		if shows {
			return scopeUnknown
		}
		return scopeIncludes
	}
	id := op.Session.Identity
	switch {
	case len(s.Targets) > 0 && !globAny(s.Targets, op.Session.Resource.Name):
		return scopeTargets
	case len(s.Groups) > 0 && !inGroup(id, !shows, s.Groups):
		return scopeGroups
	case len(s.ExceptGroups) > 0 && inGroup(id, shows, s.ExceptGroups):
		return scopeExceptGroups
	case len(s.Kinds) > 0 && !slices.Contains(s.Kinds, id.Kind) && (shows || id.Kind != ""):
		return scopeKinds
	}
	for name, values := range s.Claims {
		if !claims(id, name, values) {
			return scopeClaims
		}
	}
	if s.If == nil {
		return scopeIncludes
	}
	ok, err := s.If.Eval(op)
	if ok && err == nil || err != nil && !shows {
		return scopeIncludes
	}
	return scopeIf
}

// inGroup reports whether the identity is in one of the groups or, with behalf, one
// that it acts for: an agent of somebody from whom a rule hides something sees no more.
func inGroup(id *protocol.Identity, behalf bool, groups []string) bool {
	for ; id != nil; id = id.OnBehalfOf {
		if id.InGroup(groups...) {
			return true
		}
		if !behalf {
			break
		}
	}
	return false
}

// claims reports whether the identity, or one that it acts for, has the claim with
// one of the values: as text, or in a list of texts.
func claims(id *protocol.Identity, name string, values []string) bool {
	for ; id != nil; id = id.OnBehalfOf {
		list := []any{id.Claims[name]}
		switch v := id.Claims[name].(type) {
		case []any:
			list = v
		case []string:
			for _, t := range v {
				list = append(list, t)
			}
		}
		for _, v := range list {
			switch f := v.(type) {
			case float64:
				v = strconv.FormatFloat(f, 'f', -1, 64)
			case string, bool, json.Number, int, int64:
			default:
				continue
			}
			if slices.Contains(values, fmt.Sprint(v)) {
				return true
			}
		}
	}
	return false
}

// why says in words why the rule is not there for op; "" if it is.
func (s *MaskScope) why(op *protocol.Operation, shows bool) string {
	list := func(what []string) string { return strings.Join(what, ", ") }
	switch s.excludes(op, shows) {
	case scopeUnknown:
		return "who asks is not known"
	case scopeTargets:
		return "only for targets " + list(s.Targets)
	case scopeGroups:
		return "only for groups " + list(s.Groups)
	case scopeExceptGroups:
		return "not for groups " + list(s.ExceptGroups)
	case scopeKinds:
		kinds := make([]string, len(s.Kinds))
		for i, k := range s.Kinds {
			kinds[i] = string(k)
		}
		return "only for identities " + list(kinds)
	case scopeClaims:
		var want []string
		for _, name := range slices.Sorted(maps.Keys(s.Claims)) {
			want = append(want, name+" "+strings.Join(s.Claims[name], " or "))
		}
		return "only with claims " + list(want)
	case scopeIf:
		return "its condition does not hold"
	}
	return ""
}
