package protocol

import "slices"

// Facts are what an operation does, as far as it was analysed: all that
// operations have in common which differ in nothing but literals, arguments and
// the moment. They are a copy, and stay as they are.
type Facts struct {
	Verb       Verb
	Access     Access
	Shape      Shape
	Pure       bool
	Bounded    bool
	Prepare    bool
	ReadsKnown bool

	InferredKnown bool

	Fingerprint string
	Why         string
	Objects     []Object
	Reads       []ColumnRef
	Returned    []ColumnRef
	Writes      []ColumnRef
	Inferred    []Inference
}

// Facts returns the operation's facts.
func (op *Operation) Facts() Facts {
	return Facts{op.Verb, op.Access, op.Shape, op.Pure, op.Bounded, op.Prepare, op.ReadsKnown, op.InferredKnown, op.Fingerprint, op.Why,
		slices.Clone(op.Objects), slices.Clone(op.Reads), slices.Clone(op.Returned), slices.Clone(op.Writes), slices.Clone(op.Inferred)}
}

// Of reports whether they are the facts of op. Connectors analyse a statement
// once for all that run it, so that comparing mostly is a matter of addresses.
func (f *Facts) Of(op *Operation) bool {
	return f.Verb == op.Verb && f.Access == op.Access && f.Shape == op.Shape &&
		f.Pure == op.Pure && f.Bounded == op.Bounded && f.Prepare == op.Prepare && f.ReadsKnown == op.ReadsKnown && f.InferredKnown == op.InferredKnown &&
		f.Fingerprint == op.Fingerprint && f.Why == op.Why &&
		slices.Equal(f.Objects, op.Objects) && slices.Equal(f.Reads, op.Reads) && slices.Equal(f.Returned, op.Returned) && slices.Equal(f.Writes, op.Writes) &&
		slices.Equal(f.Inferred, op.Inferred)
}
