package policy

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
)

// short is the length up to which an expr looks at texts and lists if the
// condition has a cost limit. Longer ones are CEL's, which counts the work;
// with shorter ones an expression of maxSize stays far below the limit.
const short = 256

// A translator turns the checked expression of a condition into an expr. Most
// conditions compare fields with constants; translated, they take a tenth of
// the time that CEL's interpreter takes, and no memory.
type translator struct {
	ast   *ast.AST
	cheap bool // there is no cost limit
}

// translate returns the translation of a condition, or nil.
func translate(a *ast.AST, cheap bool) expr[bool] {
	return as[bool](translator{a, cheap}.expr(a.Expr()))
}

// expr returns the translation of e, an expr of some type, or nil. Of the
// variables of a loop there is none, and so none can hide one of ours.
func (t translator) expr(e ast.Expr) any {
	switch e.Kind() {
	case ast.LiteralKind:
		switch v := e.AsLiteral().(type) {
		case types.Bool:
			return always(bool(v))
		case types.Int:
			return always(int64(v))
		case types.String:
			return always(string(v))
		}
	case ast.ListKind:
		return stringsLiteral(e.AsList())
	case ast.IdentKind:
		for i := range variables {
			if variables[i].name == e.AsIdent() {
				return variables[i].expr
			}
		}
	case ast.SelectKind:
		return t.bounded(t.selection(e.AsSelect()))
	case ast.CallKind:
		c := e.AsCall()
		args := c.Args()
		if c.IsMemberFunction() {
			args = append([]ast.Expr{c.Target()}, args...)
		}
		return t.bounded(t.call(c.FunctionName(), args))
	}
	return nil
}

// bounded lets x give up at what is long, where the cost is limited.
func (t translator) bounded(x any) any {
	if t.cheap {
		return x
	}
	switch x := x.(type) {
	case expr[string]:
		return when(x, func(s string) (string, bool) { return s, len(s) <= short })
	case expr[[]string]:
		return when(x, func(l []string) ([]string, bool) { return l, len(l) <= short })
	}
	return x
}

func (t translator) selection(s ast.SelectExpr) any {
	of := t.expr(s.Operand())
	if ls := as[labels](of); ls != nil {
		if s.IsTestOnly() {
			return both(ls, always(s.FieldName()), hasLabel)
		}
		return value(both(ls, always(s.FieldName()), findLabel))
	}
	o := world.types[t.ast.GetType(s.Operand().ID()).TypeName()]
	if o == nil || o.fields[s.FieldName()] == nil {
		return nil
	}
	if s.IsTestOnly() {
		return o.fields[s.FieldName()].set(of)
	}
	return o.fields[s.FieldName()].get(of)
}

func (t translator) call(name string, args []ast.Expr) any {
	var x, y, z any
	for i, e := range []*any{&x, &y, &z}[:min(len(args), 3)] {
		*e = t.expr(args[i])
	}
	switch {
	case name == operators.Conditional && len(args) == 3:
		if as[string](y) != nil {
			return choice(as[bool](x), as[string](y), as[string](z))
		}
		return choice(as[bool](x), as[bool](y), as[bool](z))
	case name == operators.LogicalNot && len(args) == 1:
		return when(as[bool](x), func(b bool) (bool, bool) { return !b, true })
	case name == "size" && len(args) == 1 && as[string](x) != nil:
		return when(as[string](x), func(s string) (int64, bool) { return int64(utf8.RuneCountInString(s)), true })
	case name == "size" && len(args) == 1:
		return when(as[[]string](x), func(l []string) (int64, bool) { return int64(len(l)), true })
	case len(args) != 2:
		return nil
	}
	switch name {
	case operators.LogicalAnd:
		return choice(as[bool](x), as[bool](y), always(false))
	case operators.LogicalOr:
		return choice(as[bool](x), always(true), as[bool](y))
	case operators.In:
		if ls := as[labels](y); ls != nil {
			return both(ls, as[string](x), hasLabel)
		}
		return both(as[[]string](y), as[string](x), slices.Contains)
	case operators.Index:
		return value(both(as[labels](x), as[string](y), findLabel))
	case operators.OptIndex, operators.OptSelect:
		return both(as[labels](x), as[string](y), findLabel)
	case "orValue":
		return orValue(as[label](x), as[string](y))
	case mayReadName:
		s, ok := constant(args[1])
		if p, err := middleware.ParseColumnPattern(s); ok && err == nil {
			return both(as[*protocol.Operation](x), always(p), readsMatch)
		}
		return nil
	}
	switch x := x.(type) {
	case expr[string]:
		return both(x, as[string](y), stringFunction(name))
	case expr[int64]:
		return both(x, as[int64](y), comparison[int64](name))
	case expr[bool]:
		if name == operators.Equals {
			return both(x, as[bool](y), func(a, b bool) bool { return a == b })
		}
		if name == operators.NotEquals {
			return both(x, as[bool](y), func(a, b bool) bool { return a != b })
		}
	}
	return nil
}

// stringsLiteral returns a list of constants.
func stringsLiteral(l ast.ListExpr) any {
	var out []string
	for _, e := range l.Elements() {
		s, ok := constant(e)
		if !ok {
			return nil
		}
		out = append(out, s)
	}
	return always(out)
}

// stringFunction returns the function of two strings called name, or nil.
func stringFunction(name string) func(a, b string) bool {
	switch name {
	case "contains":
		return strings.Contains
	case "startsWith":
		return strings.HasPrefix
	case "endsWith":
		return strings.HasSuffix
	case "glob":
		return func(text, pattern string) bool { return middleware.Glob(pattern, text) }
	}
	return comparison[string](name)
}

func comparison[T cmp.Ordered](name string) func(a, b T) bool {
	switch name {
	case operators.Equals:
		return func(a, b T) bool { return a == b }
	case operators.NotEquals:
		return func(a, b T) bool { return a != b }
	case operators.Less:
		return func(a, b T) bool { return a < b }
	case operators.LessEquals:
		return func(a, b T) bool { return a <= b }
	case operators.Greater:
		return func(a, b T) bool { return a > b }
	case operators.GreaterEquals:
		return func(a, b T) bool { return a >= b }
	}
	return nil
}
