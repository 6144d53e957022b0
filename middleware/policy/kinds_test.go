package policy_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/approval"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/middleware/policy"
	"github.com/sallyport-dev/gateway/protocol"
)

// build makes the step of kind k from the first step of a file, decoding as
// gateway.Load does: a file, then one node of it.
func build(k middleware.Kind, file string) (middleware.Step, error) {
	var f struct {
		Steps []map[string]ast.Node `yaml:"steps"`
	}
	if err := yaml.UnmarshalWithOptions([]byte(file), &f, yaml.Strict()); err != nil {
		return middleware.Step{}, err
	}
	node := f.Steps[0][k.Name]
	return k.New(func(into any) error { return yaml.NodeToValue(node, into, yaml.Strict()) })
}

func ask(t *testing.T, s middleware.Step, op *protocol.Operation) protocol.Decision {
	t.Helper()
	d, err := s.Operation(t.Context(), op)
	require.NoError(t, err)
	d.Steady = false // has tests of its own
	return d
}

func TestBlockKind(t *testing.T) {
	s, err := build(policy.BlockKind(), `
steps:
- block:
    rules:
      - name: no-writes
        when: |
          operation.access.write &&
            target.labels.env == "prod"
        reason: production is read-only
        hint: use the migration job
    opaque:
      - {name: report, when: 'identity.subject == "u-1"'}
`)
	require.NoError(t, err)
	require.Equal(t, protocol.Decision{Effect: protocol.DenyEffect, Rule: "no-writes", Reason: "production is read-only",
		Hint: "use the migration job"}, ask(t, s, operation()))
	op := operation()
	op.Access = protocol.Read
	require.Equal(t, protocol.Pass, ask(t, s, op))
	op.Access = protocol.Opaque
	require.Equal(t, protocol.Pass, ask(t, s, op))
	op.Session.Identity.Subject = "u-2"
	require.Equal(t, "opaque", ask(t, s, op).Rule)
}

func TestAuthorizeKind(t *testing.T) {
	s, err := build(policy.AuthorizeKind(), `
steps:
- authorize:
    rules:
      - {name: dba, groups: [dba], targets: ["orders*"], labels: {env: prod}, access: [read, write], when: '!operation.access.write || operation.bounded'}
      - {name: report, users: ["https://id.example.com|u-9"], kinds: [human], targets: ["*"], access: [opaque], verbs: [update]}
`)
	require.NoError(t, err)
	op := operation()
	require.Equal(t, protocol.Pass, ask(t, s, op))
	op.Bounded = true
	require.Equal(t, protocol.Allow("dba"), ask(t, s, op))
	op.Access = 0
	require.Equal(t, protocol.Pass, ask(t, s, op), "a rule that does not name opaque must not allow it")
	op.Session.Identity.Subject = "u-9"
	require.Equal(t, protocol.Allow("report"), ask(t, s, op))
	op.Session.Identity.Groups = nil
	op.Access = protocol.Write
	require.Equal(t, protocol.Pass, ask(t, s, op))

	for rule, want := range map[string]string{
		"{name: all, targets: ['*']}":                            "names nobody",
		"{name: all, targets: ['*'], when: 'true'}":              "names nobody",
		"{name: all, groups: [dba], when: 'true'}":               "names no target",
		"{name: all, group: [dba]}":                              `unknown field "group"`,
		"{name: all, groups: [dba], targets: ['*'], when: }":     "rule all: has no condition (when)",
		"{name: all, groups: [dba], targets: ['*'], when: nope}": "rule all: column 1: undeclared reference to 'nope'",
		"{groups: [dba], targets: ['*']}":                        "a rule has no name",
		"{name: all, kinds: [human], targets: ['*'], groups: }":  "groups has no value",
		"{name: all, groups: [dba], targets: ['*'], access: ~}":  "access has no value",
		"{name: all, groups: [], kinds: [human], targets: [a]}":  "groups: the list is empty",
		"{name: all, groups: [dba], targets: [a], labels: {}}":   "labels: the list is empty",
	} {
		s, err := build(policy.AuthorizeKind(), "steps:\n- authorize:\n    rules:\n      - "+rule+"\n")
		if err == nil {
			_, err = middleware.NewChain(s)
		}
		require.ErrorContains(t, err, want, rule)
	}
}

func TestRiskKind(t *testing.T) {
	s, err := build(policy.RiskKind(), `
steps:
- risk:
    sensitive: [public.customers.*]
    scores: {first_seen: -1, sensitive: 25}
    deny_at: 75
    rules:
      - {name: from psql, when: tool.name == "psql", score: 10}
`)
	require.NoError(t, err)
	op := operation()
	op.Inferred = nil
	op.Risk, op.RiskWhy = 0, nil
	require.Equal(t, "deny_at", ask(t, s, op).Rule)
	require.Equal(t, 75, op.Risk)
	require.Equal(t, []string{"changes data, and no condition limits how much",
		"reads sensitive columns: public.customers.email", "from psql"}, op.RiskWhy)
	op = operation()
	op.Inferred = nil
	op.Risk, op.Bounded = 0, true
	require.Equal(t, protocol.Pass, ask(t, s, op))
	require.Equal(t, 35, op.Risk)
}

func TestApproveKind(t *testing.T) {
	b := approval.NewBroker(approval.Options{})
	file := `
steps:
- approve:
    rules:
      - name: four-eyes
        when: operation.access.write
        approvers: {groups: [leads], users: ["https://id.example.com|u-7"]}
        need: 2
        for: 3m
        reason: production data
        auto_deny_in_tx: true
`
	s, err := build(policy.ApproveKind(b), file)
	require.NoError(t, err)
	d := ask(t, s, operation())
	require.Equal(t, protocol.HoldEffect, d.Effect)
	require.Equal(t, "four-eyes", d.Rule)
	require.Equal(t, "production data", d.Reason)
	require.WithinDuration(t, time.Now().Add(3*time.Minute), d.Until, time.Minute)
	op := operation()
	op.InTx = true
	require.Equal(t, protocol.DenyEffect, ask(t, s, op).Effect)
	op.Access = protocol.Read
	require.Equal(t, protocol.Pass, ask(t, s, op))

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go func() { _, _ = d.Wait(ctx) }()
	for r := range b.Watch(ctx) {
		require.Equal(t, 2, r.Approvers.Need)
		require.Equal(t, []string{"leads"}, r.Approvers.Groups)
		require.Equal(t, []protocol.Key{{Issuer: "https://id.example.com", Subject: "u-7"}}, r.Approvers.Users)
		break
	}

	_, err = build(policy.ApproveKind(b), strings.Replace(file, "access.write", "access.writes", 1))
	require.ErrorContains(t, err, "[6:15] rule four-eyes: column 17: undefined field 'writes'")
}

func TestAMistakeInTheFileIsFoundByItsLine(t *testing.T) {
	for name, tt := range map[string]struct {
		kind       middleware.Kind
		file, want string
	}{
		"field": {policy.BlockKind(), `steps:
- block:
    rules:
      - name: fine
        when: operation.pure
      - name: no-drop
        when: operation.verbb == "drop"
`, "[7:15] rule no-drop: column 10: undefined field 'verbb' (did you mean 'verb'?)"},
		"literal": {policy.AuthorizeKind(), `steps:
- authorize:
    rules:
      - name: a
        when: |
          operation.pure &&
            operation.nope
`, "[7:15] rule a: line 2, column 12: undefined field 'nope'"},
		"folded": {policy.RiskKind(), `steps:
- risk:
    rules:
      - name: a
        when: >
          operation.pure &&
          operation.nope
`, "[5:15] rule a: column 28: undefined field 'nope'"},
		"name after condition": {policy.BlockKind(), `steps:
- block:
    rules:
      - when: nope
        name: late
`, "[4:15] rule late: column 1: undeclared reference to 'nope'"},
		"unknown key": {policy.BlockKind(), `steps:
- block:
    rules:
      - name: a
        when: operation.pure
        reson: x
`, `[6:9] unknown field "reson"`},
		"no name": {policy.BlockKind(), `steps:
- block:
    opaque:
      - when: operation.pure
`, "[4:13] a rule has no name"},
		"no condition": {policy.BlockKind(), `steps:
- block:
    rules:
      - name: all
`, "[4:13] rule all: has no condition (when)"},
		"not a text": {policy.BlockKind(), `steps:
- block:
    rules:
      - name: all
        when: [a]
`, "[5:15] rule all: a condition is a text in quotes"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := build(tt.kind, tt.file)
			require.Error(t, err)
			first, _, _ := strings.Cut(err.Error(), "\n")
			require.Equal(t, tt.want, first)
		})
	}
}

func TestAConditionThatFailsRefuses(t *testing.T) {
	for kind, more := range map[*middleware.Kind]string{
		new(policy.BlockKind()): "", new(policy.RiskKind()): "score: 1", new(policy.AuthorizeKind()): "groups: [dba], targets: ['*']"} {
		s, err := build(*kind, "steps:\n- "+kind.Name+": {rules: [{name: a, when: target.labels.team == 'x', "+more+"}]}\n")
		require.NoError(t, err)
		_, err = s.Operation(context.Background(), operation())
		require.ErrorContains(t, err, "rule a: condition: no such key: team")
	}
}

// In a file too, what looks at the risk stands behind what adds to it.
func TestRiskIsAddedBeforeItIsLookedAt(t *testing.T) {
	risk, err := build(policy.RiskKind(), "steps:\n- risk: {}\n")
	require.NoError(t, err)
	for when, uses := range map[string]bool{
		"operation.risk >= 50": true, "size(operation.risk_why) > 0": true, "has(operation.risk) && identity.subject != ''": true,
		"operation.verb == 'risk'": false, "[tool].exists(t, t.name == 'risk')": false,
	} {
		step, err := build(policy.BlockKind(), "steps:\n- block:\n    rules:\n      - {name: high, when: \""+when+"\"}\n")
		require.NoError(t, err)
		record := middleware.Step{Name: "record", Role: middleware.RoleRecords, Event: func(context.Context, *protocol.Event) error { return nil },
			Commit: func(context.Context, protocol.Point, []*protocol.Operation) error { return nil }}
		_, err = middleware.NewChain(step, risk, record)
		if uses {
			require.ErrorContains(t, err, "step block: looks at the risk", when)
		} else {
			require.NoError(t, err, when)
		}
	}
}
