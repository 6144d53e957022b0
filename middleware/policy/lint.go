package policy

import (
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
)

// lint looks for what has the right type and can still never work: a kind of
// identity that does not exist, a column pattern that is none. It also reports
// whether the expression is cheap: without a loop and with such functions only
// its work is proportional to its length and to the text it looks at, and
// counting costs would only cost time.
func lint(a *ast.AST, expr string) (cheap bool, err error) {
	cheap = true
	fail := func(e ast.Expr, format string, args ...any) {
		if err == nil {
			at := a.SourceInfo().GetStartLocation(e.ID())
			err = exprError(expr, at.Line(), at.Column(), fmt.Sprintf(format, args...))
		}
	}
	ast.PostOrderVisit(a.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() {
		case ast.ComprehensionKind:
			cheap = false
		case ast.StructKind:
			fail(e, "a condition cannot make a new %s", e.AsStruct().TypeName())
		case ast.CallKind:
			c := e.AsCall()
			cheap = cheap && slices.Contains(cheapFunctions, c.FunctionName())
			switch c.FunctionName() {
			case mayReadName:
				if s, ok := constant(c.Args()[0]); ok {
					if _, err := middleware.ParseColumnPattern(s); err != nil {
						fail(c.Args()[0], "%v", err)
					}
				}
			case operators.Equals, operators.NotEquals, operators.In:
				x, y := c.Args()[0], c.Args()[1]
				if isKind(y) {
					x, y = y, x
				}
				if !isKind(x) {
					return
				}
				for _, v := range append([]ast.Expr{y}, elements(y)...) {
					if s, ok := constant(v); ok && !slices.Contains(kinds, s) {
						fail(v, "there is no kind of identity %q; there are %s", s, strings.Join(kinds[1:], ", "))
					}
				}
			}
		}
	}))
	return cheap, err
}

// isSteady reports whether the expression looks at nothing of the operation but
// its facts, nor at the clock; see [protocol.Decision].
func isSteady(a *ast.AST) bool {
	loose := 0 // uses of the operation and of the clock that are not known to be steady
	ast.PostOrderVisit(a.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() {
		case ast.IdentKind:
			// With a dot before it, it is the variable that a loop's own hides.
			if name := strings.TrimPrefix(e.AsIdent(), "."); name == "operation" || name == "now" {
				loose++
			}
		case ast.SelectKind:
			if s := e.AsSelect(); isOperation(s.Operand()) && slices.Contains(facts, s.FieldName()) {
				loose--
			}
		case ast.CallKind:
			if c := e.AsCall(); c.FunctionName() == mayReadName && c.IsMemberFunction() && isOperation(c.Target()) {
				loose--
			}
		}
	}))
	return loose == 0
}

// usesRisk reports whether the expression looks at the operation's risk.
func usesRisk(a *ast.AST) (uses bool) {
	ast.PostOrderVisit(a.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() == ast.SelectKind {
			s := e.AsSelect()
			uses = uses || isOperation(s.Operand()) && (s.FieldName() == "risk" || s.FieldName() == "risk_why")
		}
	}))
	return uses
}

func isOperation(e ast.Expr) bool { return e.Kind() == ast.IdentKind && e.AsIdent() == "operation" }

// facts are the fields of an operation that are the same for all that do the
// same in one session.
var facts = []string{"verb", "access", "pure", "bounded", "prepare", "objects", "reads", "reads_known", "inferred", "inferred_known", "writes", "fingerprint", "why", "risk", "risk_why"}

// cheapFunctions make nothing longer than what they look at.
var cheapFunctions = []string{
	operators.LogicalAnd, operators.LogicalOr, operators.LogicalNot, operators.Conditional,
	operators.Equals, operators.NotEquals, operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals,
	operators.In, operators.Index, operators.OptIndex, operators.OptSelect,
	"contains", "startsWith", "endsWith", "matches", "size", "lowerAscii", "glob", mayReadName,
	"ip", "cidr", "containsIP", "timestamp", "duration", "getHours", "getMinutes", "getDayOfWeek", "orValue", "hasValue",
}

var kinds = []string{"", string(protocol.Human), string(protocol.Workload), string(protocol.Agent)}

// isKind reports whether e is the field kind of an identity.
func isKind(e ast.Expr) bool {
	if e.Kind() != ast.SelectKind || e.AsSelect().FieldName() != "kind" {
		return false
	}
	of := e.AsSelect().Operand()
	return of.Kind() == ast.IdentKind && of.AsIdent() == "identity" ||
		of.Kind() == ast.SelectKind && of.AsSelect().FieldName() == "on_behalf_of"
}

func elements(e ast.Expr) []ast.Expr {
	if e.Kind() != ast.ListKind {
		return nil
	}
	return e.AsList().Elements()
}

func constant(e ast.Expr) (string, bool) {
	if e.Kind() != ast.LiteralKind {
		return "", false
	}
	s, ok := e.AsLiteral().(types.String)
	return string(s), ok
}
