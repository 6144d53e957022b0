package policy

import (
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/sallyport-dev/gateway/approval"
	"github.com/sallyport-dev/gateway/middleware"
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
			rules = append(rules, middleware.BlockRule{Name: r.Name, When: &r.When, Reason: r.Reason, Hint: r.Hint})
		}
		for i := range s.Opaque {
			rules = append(rules, middleware.AllowOpaque(s.Opaque[i].Name, &s.Opaque[i].When))
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

// AuthorizeKind returns the kind of step "authorize", which allows what its
// rules permit. A condition, which a rule need not have, narrows the rule:
//
//	authorize:
//	  rules:
//	    - {name: dba, groups: [dba], targets: ["orders-*"]}
//	    - {name: agents, kinds: [agent], labels: {env: dev}, access: [read]}
//	    - name: repairs
//	      groups: [on-call]
//	      targets: ["*"]
//	      access: [read, write]
//	      when: '!operation.access.write || operation.bounded'
//
// The condition is asked about the opening of the session as well, and about
// transaction control: one that is true of writes only lets nobody in.
//
// See [middleware.Authorize] and [middleware.Access].
func AuthorizeKind() middleware.Kind {
	return middleware.KindOf("authorize", func(s authorizeSettings) (middleware.Step, error) {
		var rules []middleware.Access
		for i := range s.Rules {
			r := &s.Rules[i]
			if r.When.program != nil {
				r.Access.When = &r.When
			}
			rules = append(rules, r.Access)
		}
		return middleware.Authorize(rules...), nil
	})
}

type authorizeSettings struct {
	Rules []authorizeRule `yaml:"rules"`
}

type authorizeRule struct {
	middleware.Access `yaml:",inline"`
	When              Condition `yaml:"when"`
}

// UnmarshalYAML decodes one rule.
func (r *authorizeRule) UnmarshalYAML(node ast.Node) error {
	type plain authorizeRule
	return decodeNarrowed(node, (*plain)(r), &r.Name, &r.When)
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
			rules = append(rules, middleware.ApproveRule{Name: r.Name, When: &r.When, Groups: r.Approvers.Groups,
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
			c.Rules = append(c.Rules, middleware.RiskRule{Name: r.Name, When: &r.When, Score: r.Score})
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
	Inference    int `yaml:"inference"`
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
