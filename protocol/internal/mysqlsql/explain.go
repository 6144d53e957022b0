package mysqlsql

import (
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"

	"github.com/sallyport-dev/gateway/protocol"
)

func (p *pass) explain(n *ast.ExplainStmt, s *Statement) {
	s.Verb, s.Shape = "explain", protocol.Rows
	if n.Explore || n.SQLDigest != "" || n.PlanDigest != "" || n.Stmt == nil {
		p.access = protocol.Opaque
		p.notPure("a form of EXPLAIN that is not known here")
		p.notKnown("a form of EXPLAIN that is not known here")
		return
	}
	inner := p.statement(n.Stmt)
	if show, ok := n.Stmt.(*ast.ShowStmt); ok { // DESCRIBE
		s.Verb = shown[show.Tp]
		return
	}
	if plainFormat(n.Format) && !n.Analyze {
		// Its columns hold names and numbers, no values.
		if s.Columns = p.columnsOf("id select_type table type possible_keys key key_len ref rows Extra", "", known); !p.st.MariaDB {
			s.Columns = p.columnsOf("id select_type table partitions type possible_keys key key_len ref rows filtered Extra", "", known)
		}
	}
	if !n.Analyze && inner.Access&protocol.Opaque == 0 {
		// It runs nothing, but for what is computed while it is planned: that may
		// be a subquery, and what that assigns.
		const planned = protocol.Execute | protocol.Control
		p.access = protocol.Read | inner.Access&planned
		p.writes = nil
		if inner.Access&planned == 0 {
			p.impure = ""
		}
		for i := range p.objects {
			p.objects[i].Access = protocol.Read | p.objects[i].Access&protocol.Execute
		}
	}
}

func plainFormat(format string) bool {
	return format == "" || strings.EqualFold(format, "row") || strings.EqualFold(format, "traditional")
}
