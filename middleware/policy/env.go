package policy

import (
	"slices"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/ext"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
)

// world turns Go values into CEL's; it never changes.
var world, errWorld = newProvider()

func newProvider() (*provider, error) {
	r, err := types.NewRegistry()
	p := &provider{Registry: r, types: map[string]*objectType{}}
	for _, t := range objectTypes {
		p.types[t.name] = t
	}
	return p, err
}

// environment returns the variables, types and functions that every condition
// is checked against. Making it takes milliseconds, so it is made once, and
// only if a condition is compiled at all.
var environment = sync.OnceValues(func() (*cel.Env, error) {
	if errWorld != nil {
		return nil, errWorld
	}
	opts := []cel.EnvOption{
		cel.CustomTypeProvider(world),
		cel.CustomTypeAdapter(world),
		cel.OptionalTypes(),
		ext.Network(),
		cel.DefaultUTCTimeZone(true),
		cel.RegexProgramSizeLimit(maxRegex),
		cel.ParserExpressionSizeLimit(maxSize),
		cel.ParserRecursionLimit(maxDepth),
		cel.ParserErrorRecoveryLimit(1), // only the first error is shown
		cel.EagerlyValidateDeclarations(true),
		// Of CEL's string extensions only what cannot make a long text longer:
		// costs are counted when the harm is done.
		cel.Function("lowerAscii", cel.MemberOverload("string_lower_ascii", []*cel.Type{cel.StringType}, cel.StringType,
			cel.UnaryBinding(lowerASCII))),
		cel.Function("glob", cel.Overload("glob_string_string", []*cel.Type{cel.StringType, cel.StringType}, cel.BoolType,
			cel.BinaryBinding(glob))),
		cel.Function(mayReadName, cel.MemberOverload("operation_mayRead_string", []*cel.Type{operationType.cel, cel.StringType}, cel.BoolType,
			cel.BinaryBinding(mayRead))),
	}
	for _, v := range variables {
		opts = append(opts, cel.Variable(v.name, v.typ))
	}
	return cel.NewEnv(opts...)
})

// ResolveName returns the variable called name.
func (a *activation) ResolveName(name string) (any, bool) {
	for i := range variables {
		if variables[i].name == name {
			return variables[i].get(a.op), true
		}
	}
	return nil, false
}

func (a *activation) Parent() cel.Activation { return nil }

func glob(text, pattern ref.Val) ref.Val {
	t, ok1 := text.(types.String)
	p, ok2 := pattern.(types.String)
	if !ok1 || !ok2 {
		return types.NewErr("glob takes two strings")
	}
	return types.Bool(middleware.Glob(string(p), string(t)))
}

func lowerASCII(text ref.Val) ref.Val {
	s, ok := text.(types.String)
	if !ok {
		return types.NewErr("lowerAscii takes a string")
	}
	return types.String(strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, string(s)))
}

const mayReadName = "mayRead"

func mayRead(operation, pattern ref.Val) ref.Val {
	op, ok1 := operation.Value().(*protocol.Operation)
	s, ok2 := pattern.(types.String)
	if !ok1 || !ok2 {
		return types.NewErr("mayRead takes an operation and a string")
	}
	p, err := middleware.ParseColumnPattern(string(s))
	if err != nil {
		return types.WrapErr(err)
	}
	return types.Bool(readsMatch(op, p))
}

func readsMatch(op *protocol.Operation, p middleware.ColumnPattern) bool {
	return !op.ReadsKnown || slices.ContainsFunc(op.Reads, p.Matches)
}
