package mysqlsql

import "github.com/pingcap/tidb/pkg/parser/ast"

// anywhere reports whether f holds for n or for any node below it.
func anywhere(n ast.Node, f func(ast.Node) bool) bool {
	v := &visitor{f: f}
	n.Accept(v)
	return v.found
}

// columnsIn returns the names of columns in n, in lower case.
func columnsIn(n ast.Node) (names []string) {
	anywhere(n, func(n ast.Node) bool {
		if c, ok := n.(*ast.ColumnName); ok {
			names = append(names, c.Name.L)
		}
		return false
	})
	return names
}

type visitor struct {
	f     func(ast.Node) bool
	found bool
}

// Enter implements ast.Visitor.
func (v *visitor) Enter(n ast.Node) (ast.Node, bool) {
	v.found = v.found || v.f(n)
	return n, v.found
}

// Leave implements ast.Visitor.
func (v *visitor) Leave(n ast.Node) (ast.Node, bool) { return n, true }
