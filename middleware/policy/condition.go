package policy

import (
	"errors"
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"

	"github.com/sallyport-dev/gateway/protocol"
)

const (
	// maxSize bounds an expression in code points. The longest that people
	// write by hand are some hundred.
	maxSize = 8 << 10
	// maxDepth bounds how deep expressions nest, and so the parser's stack.
	maxDepth = 64
	// maxRegex bounds a regular expression, which may come from a value, by
	// the size of its program.
	maxRegex = 10_000
	// maxCost stops an evaluation that loops over lists in lists. It is about
	// a tenth of a second of work; a usual condition costs less than 100.
	maxCost = 1_000_000
)

// A Condition is a compiled expression about an operation. The zero Condition
// is always an error. A Condition is immutable and safe for use by many
// goroutines.
type Condition struct {
	source  string
	program cel.Program
	native  expr[bool] // nil if nothing could be translated
	steady  bool
	risk    bool // looked at
}

// Compile checks and compiles an expression. An error names the column, and
// for an expression of several lines the line, within expr.
func Compile(expr string) (*Condition, error) {
	if strings.TrimSpace(expr) == "" {
		return nil, errors.New("the condition is empty")
	}
	e, err := environment()
	if err != nil {
		return nil, err
	}
	checked, issues := e.Compile(expr)
	if issues.Err() != nil {
		return nil, asError(expr, issues)
	}
	if t := checked.OutputType(); !t.IsExactType(cel.BoolType) {
		return nil, fmt.Errorf("the condition is of type %s, not bool", t)
	}
	cheap, err := lint(checked.NativeRep(), expr)
	if err != nil {
		return nil, err
	}
	opts := []cel.ProgramOption{cel.EvalOptions(cel.OptOptimize)}
	if !cheap {
		opts = append(opts, cel.CostLimit(maxCost))
	}
	p, err := e.Program(checked, opts...)
	if err != nil {
		return nil, err
	}
	return &Condition{source: expr, program: p, native: translate(checked.NativeRep(), cheap), steady: isSteady(checked.NativeRep()),
		risk: usesRisk(checked.NativeRep())}, nil
}

// MustCompile is Compile for expressions that are part of the program; it
// panics on an error.
func MustCompile(expr string) *Condition {
	c, err := Compile(expr)
	if err != nil {
		panic("policy: " + err.Error())
	}
	return c
}

// Eval reports whether the condition is true for op. An error means that the
// question has no answer; whoever asked must take the safer side.
func (c *Condition) Eval(op *protocol.Operation) (bool, error) {
	if c == nil || c.program == nil {
		return false, errors.New("no condition")
	}
	if c.native != nil && op != nil {
		if v, ok := c.native(op); ok {
			return v, nil
		}
	}
	return c.interpret(op)
}

// Steady reports whether the answer is the same for all operations of a session
// that have the same facts; see [middleware.Condition].
func (c *Condition) Steady() bool { return c != nil && c.steady }

// UsesRisk reports whether the condition looks at the operation's risk; see
// [middleware.NewChain].
func (c *Condition) UsesRisk() bool { return c != nil && c.risk }

// interpret evaluates the condition by CEL.
func (c *Condition) interpret(op *protocol.Operation) (bool, error) {
	out, _, err := c.program.Eval(&activation{op: op})
	if err != nil {
		return false, fmt.Errorf("condition: %w", err)
	}
	b, ok := out.(types.Bool)
	if !ok {
		return false, fmt.Errorf("condition: the result is a %s, not a bool", out.Type().TypeName())
	}
	return bool(b), nil
}

// String returns the expression as it was written.
func (c *Condition) String() string { return c.source }
