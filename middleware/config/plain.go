package config

import (
	"fmt"
	"regexp"
	"strconv"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// plain reports the first thing below n that YAML takes for something else than
// what is written. A password such as &x1 would be empty, and 0123 would be 83.
func plain(n ast.Node) error {
	v := &plainVisitor{}
	ast.Walk(v, n)
	return v.err
}

type plainVisitor struct{ err error }

func (v *plainVisitor) Visit(n ast.Node) ast.Visitor {
	if v.err != nil {
		return nil
	}
	what := ""
	switch n := n.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.DirectiveNode:
		what = "anchors (&), aliases (*), tags (!) and directives (%) are not supported"
	case *ast.MappingValueNode:
		if n.Start.Type != token.MappingValueType { // {name}: the rest of a text, or a secret in the wrong place
			what = "a key without a colon"
		}
	case *ast.IntegerNode:
		if n.Token.Value != fmt.Sprint(n.Value) {
			what = "a number that YAML reads as another one"
		}
	case *ast.FloatNode:
		if n.Token.Value != strconv.FormatFloat(n.Value, 'f', -1, 64) {
			what = "a number that YAML reads as another one"
		}
	case *ast.BoolNode:
		if n.Token.Value != strconv.FormatBool(n.Value) {
			what = "yes and no are written true and false"
		}
	}
	if what != "" {
		v.err = &yaml.SyntaxError{Token: n.GetToken(), Message: what + "; a text belongs in quotes"}
		return nil
	}
	return v
}

var quoted = regexp.MustCompile(` "(?:[^"\\]|\\.)*"`)

// unquoted returns a parser's error without what it quotes: at that stage it
// may be anything, such as a password that looks like the start of a block.
func unquoted(err error) error {
	if s, ok := err.(*yaml.SyntaxError); ok {
		return &yaml.SyntaxError{Token: s.Token, Message: quoted.ReplaceAllString(s.Message, "")}
	}
	return err
}
