package middleware_test

import (
	"fmt"

	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/middleware/middlewaretest"
	"github.com/sallyport-dev/gateway/protocol"
)

func ExampleMask() {
	step := middleware.Mask(
		mask.Rule{Name: "contact", Columns: []string{"public.customers.email"}, Transform: mask.Email()},
	)

	// What the connector says about: SELECT email AS city FROM customers
	email := protocol.ColumnRef{Schema: "public", Table: "customers", Column: "email"}
	op := &protocol.Operation{Verb: "select", Access: protocol.Read, Shape: protocol.Rows,
		ReadsKnown: true, Reads: []protocol.ColumnRef{email}}
	cols := []protocol.Column{{Name: "city", Type: 25, Known: true,
		Sources: []protocol.Source{{ColumnRef: email, Edge: protocol.EdgeIdentity}}}}

	rows, err := middlewaretest.Rows(step, op, cols, [][][]byte{{[]byte("ada@example.com")}})
	fmt.Printf("%s %v\n", rows[0][0], err)
	// Output: ***@example.com <nil>
}

func ExampleMaskWith() {
	step := middleware.MaskWith(middleware.MaskConfig{
		Rules:   []mask.Rule{{Name: "person", Columns: []string{"*.*.ssn"}, Transform: mask.KeepLast(4)}},
		Targets: []string{"orders"},
		Except:  func(op *protocol.Operation) bool { return op.Session.Identity.InGroup("dba") },
	})

	// INSERT INTO notes (text) SELECT ssn FROM people
	_, err := middlewaretest.Ask(step, &protocol.Operation{Verb: "insert", Access: protocol.Read | protocol.Write,
		Session: &protocol.SessionInfo{Protocol: "postgres", Identity: &protocol.Identity{Groups: []string{"dev"}},
			Resource: protocol.Resource{Name: "orders"}},
		ReadsKnown: true, Reads: []protocol.ColumnRef{{Schema: "public", Table: "people", Column: "ssn"}},
		Writes: []protocol.ColumnRef{{Schema: "public", Table: "notes", Column: "text"}}})
	fmt.Println(protocol.Reason(err))
	// Output: this statement changes data or settings and reads a masked column, so it could copy masked values to where they are shown
}

func ExampleMaskKind() {
	step, err := middleware.MaskKind().New(func(into any) error { return fmt.Errorf("line 3: unknown field %q", "rulez") })
	fmt.Println(step.Name, err)
	// Output: line 3: unknown field "rulez"
}

// A rule that lets nobody guess: support finds the customer whose number it was told,
// and nothing more.
func ExampleMaskWith_inference() {
	step := middleware.MaskWith(middleware.MaskConfig{Rules: []mask.Rule{{Name: "person", Columns: []string{"*.*.ssn"},
		Transform: mask.Redact(), Inference: mask.EqualityInference}}})

	// What the connector says about: SELECT name FROM people WHERE ssn LIKE '9%'
	ssn := protocol.ColumnRef{Schema: "public", Table: "people", Column: "ssn"}
	_, err := middlewaretest.Ask(step, &protocol.Operation{Verb: "select", Access: protocol.Read, Shape: protocol.Rows,
		ReadsKnown: true, Reads: []protocol.ColumnRef{ssn},
		InferredKnown: true, Inferred: []protocol.Inference{{ColumnRef: ssn, How: protocol.HowPattern}}})
	fmt.Println(protocol.Reason(err))
	// Output: this statement tells of the values of masked columns without showing them: public.people.ssn (pattern)
}
