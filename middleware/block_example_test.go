package middleware_test

import (
	"context"
	"fmt"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
)

func ExampleBlock() {
	step := middleware.Block(
		middleware.BlockRule{
			Name:   "no-schema-changes",
			When:   middleware.If(func(op *protocol.Operation) (bool, error) { return op.Access.Has(protocol.Schema), nil }),
			Reason: "definitions change by migration only",
			Hint:   "open a merge request in the migrations repository",
		},
		middleware.AllowOpaque("vacuum-job", middleware.If(func(op *protocol.Operation) (bool, error) {
			return op.Session.Identity.Subject == "job:vacuum", nil
		})),
	)
	engineer := &protocol.SessionInfo{Identity: &protocol.Identity{Issuer: "https://id.example.com", Subject: "ana"}}
	for _, op := range []*protocol.Operation{
		{Verb: "select", Access: protocol.Read},
		{Verb: "drop table", Access: protocol.Schema},
		{Verb: protocol.Unknown, Access: protocol.Opaque, Why: "the grammar does not know it"},
	} {
		op.Session = engineer
		d, _ := step.Operation(context.Background(), op)
		fmt.Printf("%s: %s %q\n", op.Verb, d.Effect, d.Reason)
	}
	// Output:
	// select: none ""
	// drop table: deny "definitions change by migration only"
	// unknown: deny "this statement could not be analysed (the grammar does not know it)"
}

func ExampleWhen() {
	writes := func(op *protocol.Operation) bool { return op.Access.Has(protocol.Write) }
	step := middleware.When(writes, middleware.Step{
		Name: "freeze",
		Operation: func(context.Context, *protocol.Operation) (protocol.Decision, error) {
			return protocol.Deny("nothing is changed before the release"), nil
		},
	})
	for _, op := range []*protocol.Operation{{Verb: "select", Access: protocol.Read}, {Verb: "delete", Access: protocol.Write}} {
		d, _ := step.Operation(context.Background(), op)
		fmt.Printf("%s: %s %q\n", op.Verb, d.Effect, d.Reason)
	}
	// Output:
	// select: none ""
	// delete: deny "nothing is changed before the release"
}
