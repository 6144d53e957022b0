package policy

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// UnmarshalYAML compiles a condition in a configuration file. Its error names
// the line and the column in the file.
func (c *Condition) UnmarshalYAML(node ast.Node) error {
	var expr string
	switch n := node.(type) {
	case *ast.StringNode:
		expr = n.Value
	case *ast.LiteralNode:
		expr = n.Value.Value
	case *ast.BoolNode:
		expr = n.GetToken().Value // true and false are expressions too
	default:
		return syntaxError(node.GetToken(), "a condition is a text in quotes")
	}
	compiled, err := Compile(expr)
	if err != nil {
		return syntaxError(place(node, err), err.Error())
	}
	*c = *compiled
	return nil
}

func syntaxError(tk *token.Token, msg string) error {
	return &yaml.SyntaxError{Message: msg, Token: tk}
}

// place returns the token to point at: in a block of lines the line that is
// wrong, otherwise the start of the expression.
func place(node ast.Node, err error) *token.Token {
	n, literal := node.(*ast.LiteralNode)
	var e *ExprError
	if !literal || !errors.As(err, &e) || e.Line < 1 || !strings.HasPrefix(n.Start.Value, "|") {
		return node.GetToken()
	}
	tk := *n.Value.GetToken()
	pos := *n.Start.Position
	pos.Line += e.Line
	tk.Position = &pos
	return &tk
}

// decodeRule fills the pointed-to rule from its part of the file, strictly. It
// refuses a rule without name or condition, and puts the rule's name in front
// of an error; name and when point into the rule.
func decodeRule(node ast.Node, into any, name *string, when *Condition) error {
	return decode(node, into, name, when, true)
}

// decodeNarrowed is decodeRule for rules that may do without a condition, but
// not with an empty one: nothing of them may be written down without a value, since
// leaving it out permits more.
func decodeNarrowed(node ast.Node, into any, name *string, when *Condition) error {
	given := false
	if m, ok := node.(ast.MapNode); ok {
		for it := m.MapRange(); it.Next(); {
			key := it.Key().GetToken()
			given = given || key.Value == "when"
			if it.Value().Type() == ast.NullType && key.Value != "when" {
				return syntaxError(key, key.Value+" has no value: leave it out, or say what it is")
			}
		}
	}
	return decode(node, into, name, when, given)
}

func decode(node ast.Node, into any, name *string, when *Condition, needed bool) error {
	err := yaml.NodeToValue(node, into, yaml.Strict())
	var s *yaml.SyntaxError
	switch {
	case *name == "" && err == nil:
		return syntaxError(node.GetToken(), "a rule has no name")
	case errors.As(err, &s) && *name != "":
		return syntaxError(s.Token, fmt.Sprintf("rule %s: %s", *name, s.Message))
	case err == nil && needed && when.program == nil:
		return syntaxError(node.GetToken(), fmt.Sprintf("rule %s: has no condition (when)", *name))
	}
	return err
}
