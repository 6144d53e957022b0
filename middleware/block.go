package middleware

import (
	"context"
	"fmt"
	"slices"

	"github.com/sallyport-dev/gateway/protocol"
)

// A BlockRule refuses the operations for which When is true.
type BlockRule struct {
	Name   string // names the rule in decisions and records; required
	When   Condition
	Reason string // what the client reads; a plain sentence by default
	Hint   string // what the client can do instead

	opaque bool // an exception for what cannot be analysed, not a refusal
}

// AllowOpaque returns a rule that lets [Block] pass operations that could not
// be analysed (protocol.Opaque) if when is true for them. It allows nothing by
// itself: such an operation still needs another step to allow it, and every
// other rule still applies. The name says in the configuration, for a reviewer
// to find, that somebody chose to trust what cannot be read.
func AllowOpaque(name string, when Condition) BlockRule {
	return BlockRule{Name: name, When: when, opaque: true}
}

// Block returns the step "block", which refuses what a rule describes and,
// with or without rules, every operation that could not be analysed and that
// no [AllowOpaque] rule excepts. The first rule in list order that matches
// gives the reason. A rule that fails refuses the operation too. Block never
// allows anything.
func Block(rules ...BlockRule) Step {
	s := Step{Name: "block"}
	var refuse, except []BlockRule
	for i, r := range rules {
		switch {
		case r.Name == "":
			s.err = fmt.Errorf("rule %d has no name", i+1)
		case r.When == nil:
			s.err = fmt.Errorf("rule %s: has no condition", r.Name)
		}
		if r.opaque {
			except = append(except, r)
			continue
		}
		if r.Reason == "" {
			r.Reason = "this is not permitted here"
		}
		refuse = append(refuse, r)
	}
	s.usesRisk = slices.ContainsFunc(rules, func(r BlockRule) bool { return usesRisk(r.When) })
	same := !slices.ContainsFunc(refuse, func(r BlockRule) bool { return !steady(r.When) })
	s.Operation = func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
		for i := range refuse {
			r := &refuse[i]
			hit, err := r.When.Eval(op)
			if err != nil {
				return protocol.Pass, fmt.Errorf("rule %s: %w", r.Name, err)
			}
			if hit {
				return protocol.Decision{Effect: protocol.DenyEffect, Rule: r.Name, Reason: r.Reason, Hint: r.Hint}, nil
			}
		}
		if op.Access.Has(protocol.Opaque) {
			return refuseOpaque(op, except)
		}
		return protocol.Decision{Steady: same}, nil
	}
	return s
}

func refuseOpaque(op *protocol.Operation, except []BlockRule) (protocol.Decision, error) {
	for i := range except {
		ok, err := except[i].When.Eval(op)
		if err != nil {
			return protocol.Pass, fmt.Errorf("rule %s: %w", except[i].Name, err)
		}
		if ok {
			return protocol.Pass, nil
		}
	}
	d := protocol.Deny("this statement could not be analysed, and what cannot be analysed is refused")
	if op.Why != "" {
		d.Reason = "this statement could not be analysed (" + op.Why + ")"
	}
	d.Rule = "opaque"
	d.Hint = "write it in a simpler form, or ask whoever runs the gateway for a rule that allows it by name"
	return d, nil
}
