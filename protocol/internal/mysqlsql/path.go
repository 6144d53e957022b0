package mysqlsql

import (
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"
	"github.com/pingcap/tidb/pkg/parser/mysql"

	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

// extracted returns what a call takes out of a document, if the place is told by one
// constant; vals are its arguments. The operators -> and ->> are such calls.
func (p *pass) extracted(n *ast.FuncCallExpr, vals []sql.Value) (v sql.Value, ok bool) {
	switch name := n.FnName.L; {
	case name == "json_unquote" && len(vals) == 1:
		return sql.Value{Known: vals[0].Known, Sources: vals[0].Sources.Member(nil, true)}, true
	case (name == "json_extract" || name == "json_value" || name == "json_query") && len(vals) == 2:
		names, ok := p.path(n.Args[1])
		return sql.Value{Known: vals[0].Known, Sources: vals[0].Sources.Member(names, true)}, ok
	}
	return v, false
}

// taken returns the call whose value n, a call, takes a part of or shows as text.
func taken(n *ast.FuncCallExpr) *ast.FuncCallExpr {
	switch n.FnName.L {
	case "json_unquote", "json_extract", "json_value", "json_query":
		if len(n.Args) > 0 {
			inner, _ := n.Args[0].(*ast.FuncCallExpr)
			return inner
		}
	}
	return nil
}

// path returns the names in a path that is a literal: ok is false if it has anything
// else than names and numbers of elements, which lie where their array does.
func (p *pass) path(n ast.ExprNode) (names []string, ok bool) {
	lit, ok := n.(ast.ValueExpr)
	if _, param := n.(ast.ParamMarkerExpr); !ok || param || lit.GetType().GetFlag()&mysql.UnderScoreCharsetFlag != 0 {
		return nil, false
	}
	p.literal = true
	s, ok := lit.GetValue().(string)
	if !ok {
		return nil, false
	}
	if s, ok = strings.CutPrefix(s, "$"); !ok {
		return nil, false
	}
	for s != "" {
		var name string
		switch {
		case strings.HasPrefix(s, `."`):
			if name, s, ok = strings.Cut(s[2:], `"`); !ok || strings.ContainsFunc(name, odd) {
				return nil, false
			}
		case s[0] == '.':
			end := 1
			for end < len(s) && (s[end] == '_' || letter(s[end]) || end > 1 && digit(s[end])) {
				end++
			}
			if name, s = s[1:end], s[end:]; name == "" {
				return nil, false
			}
		case s[0] == '[':
			end := 1
			for end < len(s) && digit(s[end]) {
				end++
			}
			if end == 1 || end == len(s) || s[end] != ']' {
				return nil, false
			}
			s = s[end+1:]
			continue
		default:
			return nil, false
		}
		names = append(names, name)
	}
	return names, true
}

// odd reports whether a character in a quoted name may stand for another: after a
// backslash, or in another character set.
func odd(r rune) bool { return r == '\\' || r < ' ' || r > '~' }

func letter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func digit(c byte) bool { return '0' <= c && c <= '9' }
