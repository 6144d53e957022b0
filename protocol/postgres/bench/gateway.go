//go:build linux

package main

import (
	"context"
	"flag"
	"runtime/debug"

	"github.com/sallyport-dev/gateway"
	"github.com/sallyport-dev/gateway/approval"
	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/middleware/policy"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/postgres"
)

// secretEnv is the environment variable in which the gateway gets the target's
// password.
const secretEnv = "SALLYPORT_BENCH_SECRET"

// serveGateway is a gateway as a careful team would assemble it: every step
// looks at every statement, though none has anything to do for the statements
// of these measurements, but for the masks of the table person.
func serveGateway(args []string) error {
	flags := flag.NewFlagSet("role-gateway", flag.ExitOnError)
	target := flags.String("target", "", "")
	user := flags.String("user", "", "")
	hash := flags.String("hash", "", "")
	journalDir := flags.String("journal", "", "")
	_ = flags.Parse(args)   // exits
	debug.SetGCPercent(400) // as examples/gateway does

	journal, err := audit.Open(*journalDir, audit.Options{})
	if err != nil {
		return err
	}
	defer journal.Close()
	gw, err := gateway.New(gateway.Config{
		Steps: []middleware.Step{
			middleware.Tokens(middleware.Token{Hash: *hash, Subject: "bench", Kind: protocol.Workload, Groups: []string{"dba"}}),
			middleware.Authorize(
				middleware.Access{Name: "agents", Kinds: []protocol.IdentityKind{protocol.Agent}, Targets: []string{"*"}, Access: []string{"read"}},
				middleware.Access{Name: "dba", Groups: []string{"dba"}, Targets: []string{"pg"}},
			),
			middleware.Block(
				middleware.BlockRule{Name: "whole-tables", When: policy.MustCompile(
					`operation.access.write && !operation.bounded`)},
				middleware.BlockRule{Name: "definitions", When: policy.MustCompile(
					`operation.access.schema && !("owners" in identity.groups)`)},
			),
			middleware.Risk(middleware.RiskConfig{Sensitive: []string{"public.person.*"}, Rules: []middleware.RiskRule{
				{Name: "an agent changes data", Score: 30, When: policy.MustCompile(
					`identity.kind == "agent" && operation.access.write`)}}}),
			middleware.Approve(approval.NewBroker(approval.Options{}), middleware.ApproveRule{Name: "four-eyes",
				When: policy.MustCompile(`operation.risk >= 90`), Groups: []string{"dba-leads"}}),
			middleware.Mask(
				mask.Rule{Name: "contact", Columns: []string{"public.person.email"}, Transform: mask.Email()},
				mask.Rule{Name: "phone", Columns: []string{"public.person.phone"}, Transform: mask.KeepLast(4)},
				mask.Rule{Name: "name", Columns: []string{"public.person.name"}, Transform: mask.Redact()},
			),
			middleware.Record(journal),
		},
		Targets: []gateway.Target{{Name: "pg", Protocol: "postgres", Addr: *target, User: *user, Secret: gateway.Env(secretEnv),
			Labels: map[string]string{"env": "prod"}, Options: map[string]string{"sslmode": "disable"}}},
	})
	if err != nil {
		return err
	}
	l, err := listen()
	if err != nil {
		return err
	}
	go func() { exitOn(gw.Serve(context.Background(), l, &postgres.Server{AllowPlaintext: true})) }()
	return serveCommands(l)
}
