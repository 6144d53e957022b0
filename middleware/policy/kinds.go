package policy

import (
	"context"
	"fmt"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/sallyport-dev/gateway/approval"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
)

// BlockKind returns the kind of step "block", which refuses what its rules
// describe, and everything that could not be analysed unless a rule under
// opaque excepts it by name:
//
//	block:
//	  rules:
//	    - name: no-drop
//	      when: operation.access.schema && target.labels.env == "prod"
//	      reason: definitions in production change by migration only
//	      hint: open a merge request in the migrations repository
//	  opaque:
//	    - name: nightly-report
//	      when: identity.subject == "job:report"
//
// See [middleware.Block].
func BlockKind() middleware.Kind {
	return middleware.KindOf("block", func(s blockSettings) (middleware.Step, error) {
		var rules []middleware.BlockRule
		for i := range s.Rules {
			r := &s.Rules[i]
			rules = append(rules, middleware.BlockRule{Name: r.Name, When: r.When.Eval, Reason: r.Reason, Hint: r.Hint})
		}
		for i := range s.Opaque {
			rules = append(rules, middleware.AllowOpaque(s.Opaque[i].Name, s.Opaque[i].When.Eval))
		}
		return middleware.Block(rules...), nil
	})
}

type blockSettings struct {
	Rules  []blockRule `yaml:"rules"`
	Opaque []rule      `yaml:"opaque"`
}

type blockRule struct {
	Name   string    `yaml:"name"`
	When   Condition `yaml:"when"`
	Reason string    `yaml:"reason"`
	Hint   string    `yaml:"hint"`
}

func (r *blockRule) UnmarshalYAML(node ast.Node) error {
	type plain blockRule
	return decodeRule(node, (*plain)(r), &r.Name, &r.When)
}

// AllowKind returns the kind of step "allow", which allows what its rules
// describe: [middleware.Authorize] with conditions in the place of lists.
//
//	allow:
//	  rules:
//	    - name: engineers-read
//	      when: '"engineering" in identity.groups && operation.access.read && operation.pure'
//
// A rule allows an operation that could not be analysed only if it says
// opaque: true, and then the step block needs an exception for it as well.
func AllowKind() middleware.Kind {
	return middleware.KindOf("allow", func(s allowSettings) (middleware.Step, error) {
		return allow(s.Rules), nil
	})
}

type allowSettings struct {
	Rules []allowRule `yaml:"rules"`
}

type allowRule struct {
	Name   string    `yaml:"name"`
	When   Condition `yaml:"when"`
	Opaque bool      `yaml:"opaque"`
}

func (r *allowRule) UnmarshalYAML(node ast.Node) error {
	type plain allowRule
	return decodeRule(node, (*plain)(r), &r.Name, &r.When)
}

func allow(rules []allowRule) middleware.Step {
	return middleware.Step{
		Name: "allow",
		Operation: func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
			opaque := op.Access.Has(protocol.Opaque)
			for i := range rules {
				r := &rules[i]
				if opaque && !r.Opaque {
					continue
				}
				ok, err := r.When.Eval(op)
				if err != nil {
					return protocol.Pass, fmt.Errorf("rule %s: %w", r.Name, err)
				}
				if ok {
					return protocol.Allow(r.Name), nil
				}
			}
			return protocol.Pass, nil
		},
	}
}

// ApproveKind returns the kind of step "approve", which holds what its rules
// describe until people have decided about it through b:
//
//	approve:
//	  rules:
//	    - name: writes-in-production
//	      when: operation.access.write && target.labels.env == "prod"
//	      approvers: {groups: [dba-leads], users: ["https://id.example.com|u-7"]}
//	      need: 2
//	      for: 10m
//	      reason: production data changes with four eyes
//
// See [middleware.Approve].
func ApproveKind(b *approval.Broker) middleware.Kind {
	return middleware.KindOf("approve", func(s approveSettings) (middleware.Step, error) {
		var rules []middleware.ApproveRule
		for i := range s.Rules {
			r := &s.Rules[i]
			rules = append(rules, middleware.ApproveRule{Name: r.Name, When: r.When.Eval, Groups: r.Approvers.Groups,
				Users: r.Approvers.Users, Need: r.Need, For: r.For, Reason: r.Reason, AutoDenyInTx: r.AutoDenyInTx})
		}
		return middleware.Approve(b, rules...), nil
	})
}

type approveSettings struct {
	Rules []approveRule `yaml:"rules"`
}

type approveRule struct {
	Name      string    `yaml:"name"`
	When      Condition `yaml:"when"`
	Approvers struct {
		Groups []string `yaml:"groups"`
		Users  []string `yaml:"users"`
	} `yaml:"approvers"`
	Need         int           `yaml:"need"`
	For          time.Duration `yaml:"for"`
	Reason       string        `yaml:"reason"`
	AutoDenyInTx bool          `yaml:"auto_deny_in_tx"`
}

// UnmarshalYAML decodes one rule.
func (r *approveRule) UnmarshalYAML(node ast.Node) error {
	type plain approveRule
	return decodeRule(node, (*plain)(r), &r.Name, &r.When)
}

// RiskKind returns the kind of step "risk", which adds to an operation's risk
// and says why:
//
//	risk:
//	  sensitive: [public.customers.email, "hr.*.*"]
//	  scores: {first_seen: 10, execute: -1}
//	  deny_at: 90
//	  rules:
//	    - name: at night
//	      when: now.getHours("Europe/Rome") < 7
//	      score: 15
//
// See [middleware.Risk] and [middleware.RiskScores]: a score of 0 is the
// default, a negative one leaves the finding out.
func RiskKind() middleware.Kind {
	return middleware.KindOf("risk", func(s riskSettings) (middleware.Step, error) {
		c := middleware.RiskConfig{Scores: middleware.RiskScores(s.Scores), Sensitive: s.Sensitive, DenyAt: s.DenyAt, Remember: s.Remember}
		for i := range s.Rules {
			r := &s.Rules[i]
			c.Rules = append(c.Rules, middleware.RiskRule{Name: r.Name, When: r.When.Eval, Score: r.Score})
		}
		return middleware.Risk(c), nil
	})
}

type riskSettings struct {
	Scores    riskScores `yaml:"scores"`
	Rules     []riskRule `yaml:"rules"`
	Sensitive []string   `yaml:"sensitive"`
	DenyAt    int        `yaml:"deny_at"`
	Remember  int        `yaml:"remember"`
}

type riskScores struct {
	Unbounded    int `yaml:"unbounded"`
	Schema       int `yaml:"schema"`
	Admin        int `yaml:"admin"`
	Execute      int `yaml:"execute"`
	Opaque       int `yaml:"opaque"`
	Sensitive    int `yaml:"sensitive"`
	UnknownReads int `yaml:"unknown_reads"`
	FirstSeen    int `yaml:"first_seen"`
}

type riskRule struct {
	Name  string    `yaml:"name"`
	When  Condition `yaml:"when"`
	Score int       `yaml:"score"`
}

func (r *riskRule) UnmarshalYAML(node ast.Node) error {
	type plain riskRule
	return decodeRule(node, (*plain)(r), &r.Name, &r.When)
}

type rule struct {
	Name string    `yaml:"name"`
	When Condition `yaml:"when"`
}

// UnmarshalYAML decodes one rule.
func (r *rule) UnmarshalYAML(node ast.Node) error {
	type plain rule
	return decodeRule(node, (*plain)(r), &r.Name, &r.When)
}
