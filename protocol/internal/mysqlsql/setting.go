package mysqlsql

import (
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"

	"github.com/sallyport-dev/gateway/protocol"
)

// quiet are the settings that change nothing about what a text means, and that
// programs set all the time.
var quiet = set(`autocommit foreign_key_checks innodb_lock_wait_timeout interactive_timeout lock_wait_timeout max_execution_time
max_statement_time net_buffer_length net_read_timeout net_write_timeout sql_auto_is_null sql_notes sql_quote_show_create
sql_safe_updates sql_select_limit sql_warnings time_zone transaction_isolation transaction_read_only tx_isolation
tx_isolation_one_shot tx_read_only unique_checks wait_timeout group_concat_max_len sql_big_selects`)

func (p *pass) set(n *ast.SetStmt, s *Statement) {
	s.Verb = "set"
	p.control()
	for _, v := range n.Variables {
		before := len(p.reads)
		if name, ok := v.Value.(*ast.ColumnNameExpr); !ok || !v.IsSystem { // SET sql_mode = ANSI: a bare word is no column
			value := p.expr(v.Value, p.base)
			if !v.IsSystem && v.Name != ast.SetNames && v.Name != ast.SetCharset {
				p.assign(nameKey(v.Name), value)
				p.effects.certain = append(p.effects.certain, nameKey(v.Name))
			}
		} else if name.Name.Table.L != "" {
			p.missing("column " + name.Name.String())
		}
		p.sets = p.sets || v.IsSystem && !p.plainSetting(v.Value)
		if len(p.reads) > before || p.unknown != "" && (v.IsSystem || hasQuery(v.Value)) {
			p.access |= protocol.Read
		}
		switch {
		case !v.IsSystem && v.Name != ast.SetNames && v.Name != ast.SetCharset:
			if text := p.constant(v.Value); text != nil && len(n.Variables) == 1 {
				name := nameKey(v.Name)
				p.assigned[name] = remembered{val: p.assigned[name].val, text: text}
			}
		case v.IsGlobal || v.IsInstance || v.IsSystem && strings.Contains(v.Name, "."): // as @@persist.a, or of a component
			p.access |= protocol.Admin
			s.SetsState = true
		case v.IsSystem:
			if _, ok := quiet[strings.ToLower(v.Name)]; !ok {
				s.SetsState = true
			}
		case v.Name == ast.SetNames || v.Name == ast.SetCharset:
			s.SetsState = true
		}
	}
}

// plainSetting reports whether a setting gets what stands there, or another setting.
func (p *pass) plainSetting(n ast.ExprNode) bool {
	switch n := n.(type) {
	case *ast.DefaultExpr:
		return true
	case *ast.ColumnNameExpr: // ON, or a variable of the routine's own
		return n.Name.Table.L == "" && !p.locals[n.Name.Name.L]
	case *ast.VariableExpr:
		return n.IsSystem && !keepsID(n)
	}
	return p.fixed(n)
}

// keepsID reports whether a variable of the server's holds what LAST_INSERT_ID was given.
func keepsID(n *ast.VariableExpr) bool {
	return strings.EqualFold(n.Name, "last_insert_id") || strings.EqualFold(n.Name, "identity")
}

// hasQuery reports whether a query stands anywhere in n.
func hasQuery(n ast.Node) bool {
	return n != nil && anywhere(n, func(n ast.Node) bool {
		_, ok := n.(*ast.SubqueryExpr)
		return ok
	})
}
