package middleware

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/sallyport-dev/gateway/protocol"
)

// An Access rule permits some identities to use some targets.
//
// Who: members of any of Groups, and Users; if both are empty, everybody of
// the Kinds. Where Kinds is given beside them, it limits them. Where: targets
// whose name matches any of Targets and that have all of Labels. A rule that
// leaves out who or where is an error, and so is a list that is empty but not nil:
// nothing is ever open to everybody by omission. To mean every target, write "*"; to
// mean everybody, all the Kinds.
type Access struct {
	Name string `yaml:"name"`

	Groups []string                `yaml:"groups"`
	Users  []string                `yaml:"users"` // "issuer|subject"
	Kinds  []protocol.IdentityKind `yaml:"kinds"`

	Targets []string          `yaml:"targets"` // names, each a [Glob] pattern
	Labels  map[string]string `yaml:"labels"`  // each value is a Glob pattern

	// Access limits what may be done to these classes: read, write, schema,
	// admin, execute, opaque. Empty means all but opaque: what could not be
	// analysed is permitted by name only. Verbs limits it further, to the
	// protocol's own words. Opening the session, and what is transaction
	// control or a session setting and nothing else, is always included.
	Access []string        `yaml:"access"`
	Verbs  []protocol.Verb `yaml:"verbs"`

	// When, if it is set, must be true as well, of whatever is asked: of the
	// opening of the session and of transaction control too. An operation for
	// which it fails is refused.
	When Condition `yaml:"-"`
}

// Authorize returns the step that allows what any of the rules permits: the
// opening of a session and each operation in it. About everything else it has
// no opinion, so it is refused unless another step allows it.
func Authorize(rules ...Access) Step {
	s := Step{Name: "authorize"}
	a := &authorizer{}
	for i, r := range rules {
		c, err := compileAccess(r)
		if err != nil {
			name := r.Name
			if name == "" {
				name = fmt.Sprint(i + 1)
			}
			s.err = fmt.Errorf("rule %s: %w", name, err)
			return s
		}
		a.rules = append(a.rules, c)
	}
	if len(rules) == 0 {
		s.err = errors.New("no rules: nobody could do anything")
		return s
	}
	s.usesRisk = slices.ContainsFunc(rules, func(r Access) bool { return usesRisk(r.When) })
	s.Operation = a.operation
	return s
}

type accessRule struct {
	Access
	users  []protocol.Key
	access protocol.Access
	allow  protocol.Decision
}

func compileAccess(r Access) (*accessRule, error) {
	if r.Name == "" {
		return nil, errors.New("no name")
	}
	for _, l := range []struct {
		name  string
		empty bool
	}{
		{"groups", empty(r.Groups)}, {"users", empty(r.Users)}, {"kinds", empty(r.Kinds)}, {"targets", empty(r.Targets)},
		{"labels", r.Labels != nil && len(r.Labels) == 0}, {"access", empty(r.Access)}, {"verbs", empty(r.Verbs)},
	} {
		if l.empty {
			return nil, fmt.Errorf("%s: the list is empty: leave it out, or say what is in it", l.name)
		}
	}
	if len(r.Groups) == 0 && len(r.Users) == 0 && len(r.Kinds) == 0 {
		return nil, errors.New("names nobody: give groups, users or kinds")
	}
	if len(r.Targets) == 0 && len(r.Labels) == 0 {
		return nil, errors.New(`names no target: give targets or labels; "*" is every target`)
	}
	users, err := parseUsers(r.Users)
	if err != nil {
		return nil, err
	}
	if slices.Contains(r.Groups, "") {
		return nil, errors.New("a group without a name")
	}
	for _, k := range r.Kinds {
		if k != protocol.Human && k != protocol.Workload && k != protocol.Agent {
			return nil, fmt.Errorf("kind %q is not one of human, workload, agent", k)
		}
	}
	if slices.Contains(r.Targets, "") {
		return nil, errors.New("a target without a name")
	}
	for k, p := range r.Labels {
		if k == "" || p == "" {
			return nil, fmt.Errorf("label %q: a name or a value is missing", k)
		}
	}
	if slices.Contains(r.Verbs, "") {
		return nil, errors.New("a verb without a name")
	}
	access := ^protocol.Opaque
	if len(r.Access) > 0 {
		if access, err = parseAccess(r.Access); err != nil {
			return nil, err
		}
	}
	// The caller may change its slices and maps afterwards.
	r.Groups, r.Kinds, r.Targets = slices.Clone(r.Groups), slices.Clone(r.Kinds), slices.Clone(r.Targets)
	labels := make(map[string]string, len(r.Labels))
	for k, v := range r.Labels {
		labels[k] = v
	}
	r.Labels, r.Verbs = labels, slices.Clone(r.Verbs)
	return &accessRule{r, users, access | protocol.Control, protocol.Allow(r.Name)}, nil
}

// empty reports whether a list is given and holds nothing.
func empty[T any](list []T) bool { return list != nil && len(list) == 0 }

func parseAccess(names []string) (a protocol.Access, err error) {
	all := (^protocol.Access(0)).Names()
	for _, n := range names {
		i := slices.Index(all, n)
		if i < 0 {
			return 0, fmt.Errorf("access %q is not one of %s", n, strings.Join(all, ", "))
		}
		a |= 1 << i
	}
	return a, nil
}

// matches reports whether the rule is about this identity and this target.
func (r *accessRule) matches(s *protocol.SessionInfo) bool {
	id := s.Identity
	if id == nil || id.Issuer == "" || id.Subject == "" {
		return false
	}
	if len(r.Kinds) > 0 && !slices.Contains(r.Kinds, id.Kind) {
		return false
	}
	if (len(r.Groups) > 0 || len(r.users) > 0) && !id.InGroup(r.Groups...) && !slices.Contains(r.users, id.Key()) {
		return false
	}
	if len(r.Targets) > 0 && !globAny(r.Targets, s.Resource.Name) {
		return false
	}
	for k, p := range r.Labels {
		if v, ok := s.Resource.Labels[k]; !ok || !Glob(p, v) {
			return false
		}
	}
	return true
}

// covers reports whether op is of the access and verbs of the rule, which
// matches the session.
func (r *accessRule) covers(op *protocol.Operation) bool {
	switch {
	case op.Verb == protocol.Connect || op.Access == protocol.Control:
		return true
	case op.Access.Has(^r.access):
		return false
	}
	return len(r.Verbs) == 0 || slices.Contains(r.Verbs, op.Verb)
}

// authorizer keeps, for as long as a session lives, the rules that match it:
// identity and target of a session do not change.
type authorizer struct {
	rules    []*accessRule
	sessions sync.Map // *protocol.SessionInfo -> []*accessRule
}

func (a *authorizer) operation(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
	s := op.Session
	if s == nil {
		return protocol.Pass, nil
	}
	var rules []*accessRule
	if v, ok := a.sessions.Load(s); ok {
		rules = v.([]*accessRule)
	} else {
		for _, r := range a.rules {
			if r.matches(s) {
				rules = append(rules, r)
			}
		}
		if op.Verb == protocol.Connect { // the operation that ends with the session
			a.sessions.Store(s, rules)
			op.OnEnd(func(protocol.Outcome) error { a.sessions.Delete(s); return nil })
		}
	}
	same := op.Verb != protocol.Connect
	for _, r := range rules {
		if !r.covers(op) {
			continue
		}
		same = same && steady(r.When)
		if r.When != nil {
			ok, err := r.When.Eval(op)
			if err != nil {
				return protocol.Pass, fmt.Errorf("rule %s: %w", r.Name, err)
			}
			if !ok {
				continue
			}
		}
		d := r.allow
		d.Steady = same
		return d, nil
	}
	return protocol.Decision{Steady: same}, nil
}
