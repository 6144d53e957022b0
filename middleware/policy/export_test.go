package policy

import "github.com/sallyport-dev/gateway/protocol"

// Interpret evaluates c by CEL only.
func (c *Condition) Interpret(op *protocol.Operation) (bool, error) { return c.interpret(op) }

// Translated evaluates c without CEL; ok is false where that gives up.
func (c *Condition) Translated(op *protocol.Operation) (v, ok bool) {
	if c.native == nil {
		return false, false
	}
	return c.native(op)
}
