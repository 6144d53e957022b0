package policy_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/sallyport-dev/gateway/approval"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/middleware/policy"
	"github.com/sallyport-dev/gateway/protocol"
)

func ExampleCompile() {
	cond, err := policy.Compile(`operation.access.write && !operation.bounded && target.labels.env == "prod"`)
	if err != nil {
		fmt.Println(err)
		return
	}
	// Eval fits the rules of package middleware.
	step := middleware.Block(middleware.BlockRule{Name: "whole-tables", When: cond, Reason: "add a WHERE clause"})

	d, err := step.Operation(context.Background(), &protocol.Operation{
		Session: &protocol.SessionInfo{Resource: protocol.Resource{Name: "orders", Labels: map[string]string{"env": "prod"}}},
		Verb:    "delete", Access: protocol.Write,
	})
	fmt.Println(d.Effect, d.Rule, d.Reason, err)
	// Output: deny whole-tables add a WHERE clause <nil>
}

func ExampleCompile_mistake() {
	_, err := policy.Compile(`operation.verbb == "drop table"`)
	fmt.Println(err)
	_, err = policy.Compile(`identity.kind == "machine"`)
	fmt.Println(err)
	// Output:
	// column 10: undefined field 'verbb' (did you mean 'verb'?)
	// column 18: there is no kind of identity "machine"; there are human, workload, agent
}

func ExampleMustCompile() {
	office := policy.MustCompile(`cidr("10.0.0.0/8").containsIP(session.remote)`)
	ok, err := office.Eval(&protocol.Operation{Session: &protocol.SessionInfo{Remote: "10.2.3.4:51234"}})
	fmt.Println(ok, err)
	// Output: true <nil>
}

func ExampleBlockKind() {
	step, err := build(policy.BlockKind(), `
steps:
- block:
    rules:
      - name: no-drop
        when: operation.access.schema && target.labels.env == "prod"
        reason: definitions in production change by migration only
`)
	fmt.Println(step.Name, err)

	_, err = build(policy.BlockKind(), `
steps:
- block:
    rules:
      - name: no-drop
        when: operation.access.shema
`)
	line, _, _ := strings.Cut(err.Error(), "\n") // what follows shows the place in the file
	fmt.Println(line)
	// Output:
	// block <nil>
	// [6:15] rule no-drop: column 17: undefined field 'shema' (did you mean 'schema'?)
}

func ExampleAuthorizeKind() {
	step, err := build(policy.AuthorizeKind(), `
steps:
- authorize:
    rules:
      - {name: engineers-read, groups: [engineering], targets: ["*"], access: [read], when: operation.pure}
`)
	if err != nil {
		fmt.Println(err)
		return
	}
	d, err := step.Operation(context.Background(), &protocol.Operation{
		Session: &protocol.SessionInfo{Identity: &protocol.Identity{Issuer: "static", Subject: "ada", Groups: []string{"engineering"}}},
		Verb:    "select", Access: protocol.Read, Pure: true,
	})
	fmt.Println(d.Effect, d.Rule, err)
	// Output: allow engineers-read <nil>
}

func ExampleApproveKind() {
	step, err := build(policy.ApproveKind(approval.NewBroker(approval.Options{})), `
steps:
- approve:
    rules:
      - name: four-eyes
        when: operation.risk >= 60
        approvers: {groups: [dba-leads]}
        reason: the risk is high
`)
	if err != nil {
		fmt.Println(err)
		return
	}
	d, err := step.Operation(context.Background(), &protocol.Operation{Risk: 70})
	fmt.Println(d.Effect, d.Rule, d.Reason, err)
	// Output: hold four-eyes the risk is high <nil>
}

func ExampleRiskKind() {
	step, err := build(policy.RiskKind(), `
steps:
- risk:
    sensitive: [public.customers.email]
    scores: {first_seen: -1}
    rules:
      - name: not a known tool
        when: '!(tool.name in ["psql", "dbeaver"])'
        score: 10
`)
	if err != nil {
		fmt.Println(err)
		return
	}
	op := &protocol.Operation{Verb: "delete", Access: protocol.Write, ReadsKnown: true}
	_, err = step.Operation(context.Background(), op)
	fmt.Println(op.Risk, op.RiskWhy, err)
	// Output: 50 [changes data, and no condition limits how much not a known tool] <nil>
}
