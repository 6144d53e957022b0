package middleware

import "github.com/sallyport-dev/gateway/protocol"

// A Condition is true of some operations. An error means that the question has
// no answer: whoever asked takes the safer side. It is safe for use by many
// goroutines. Package policy has conditions that are written in CEL.
//
// A condition with a method Steady() bool that returns true has the same answer
// for all operations of a session that have the same facts, as
// [protocol.Decision] explains at Steady. Who embeds one in a condition of its
// own that looks at more has to say false.
//
// A condition with a method UsesRisk() bool that returns true looks at the risk of
// the operation, and [NewChain] sees to it that something has added to it by then.
type Condition interface {
	Eval(op *protocol.Operation) (bool, error)
}

// If is a [Condition] that is written in Go.
type If func(op *protocol.Operation) (bool, error)

// Eval implements [Condition].
func (f If) Eval(op *protocol.Operation) (bool, error) { return f(op) }

// steady reports whether c's answer holds for all operations with the same
// facts. nil is no condition.
func steady(c Condition) bool {
	s, ok := c.(interface{ Steady() bool })
	return c == nil || ok && s.Steady()
}

// usesRisk reports whether c looks at the risk.
func usesRisk(c Condition) bool {
	u, ok := c.(interface{ UsesRisk() bool })
	return ok && u.UsesRisk()
}
