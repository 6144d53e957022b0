package mysqlsql

import (
	"strconv"

	"github.com/pingcap/tidb/pkg/parser/ast"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

// constant returns what an expression is if it is made of literals and of
// variables that literals were assigned to, else nil.
func (p *pass) constant(n ast.ExprNode) *string {
	p.literal = true
	switch n := n.(type) {
	case ast.ParamMarkerExpr:
		return nil
	case ast.ValueExpr:
		var s string
		switch v := n.GetValue().(type) {
		case string:
			s = v
		case int64:
			s = strconv.FormatInt(v, 10)
		case uint64:
			s = strconv.FormatUint(v, 10)
		default:
			return nil
		}
		return &s
	case *ast.ParenthesesExpr:
		return p.constant(n.Expr)
	case *ast.VariableExpr:
		name := nameKey(n.Name)
		_, own := p.assigned[name]
		if _, other := p.assigned[otherNames]; n.IsSystem || n.Value != nil || own || other {
			return nil
		}
		p.remembers = true
		return p.st.Memory.variable(name).text
	case *ast.FuncCallExpr:
		if n.FnName.L != "concat" || n.Schema.L != "" || p.stored("concat") {
			return nil
		}
		var out string
		for _, a := range n.Args {
			s := p.constant(a)
			if s == nil {
				return nil
			}
			out += *s
		}
		return &out
	}
	return nil
}

// temp returns a temporary table of the session's own, or nil.
func (p *pass) temp(schema, name string) *tempTable {
	if p.st.Memory == nil || len(p.st.Memory.temps) == 0 {
		return nil
	}
	p.remembers = true
	return p.st.Memory.temps[[2]string{schema, name}]
}

// temporary notes that a temporary table is created.
func (p *pass) temporary(n *ast.CreateTableStmt, s *Statement) {
	schema, name, _ := p.relation(n.Table)
	s.Changes = false // nobody else sees it
	rel := &sql.Relation{Schema: schema, Name: name, Kind: sql.Table}
	t := &tempTable{rel: rel}
	rel.Rules = p.defaults(n.Cols) // which hold variables
	add := func(name string, v sql.Value, vague bool) {
		for i := range t.cols {
			if t.cols[i].name == name && !vague {
				t.cols[i].val = join(t.cols[i].val, v)
				return
			}
		}
		own := sql.Value{Known: true, Sources: sql.Of(rel.Ref(name), protocol.EdgeIdentity)}
		rel.Columns = append(rel.Columns, sql.Column{Num: int16(len(rel.Columns) + 1), Name: name})
		t.cols = append(t.cols, col{name, join(own, v), vague})
	}
	for _, c := range n.Cols {
		add(c.Name.Name.L, known, !certain(c.Name.Name.O))
	}
	if n.ReferTable != nil {
		like := p.table(n.ReferTable, protocol.Read)
		for _, c := range like.cols {
			add(c.name, known, c.vague)
		}
		t.maybe = like.open || like.hidden
		rel.Rules = like.rel != nil && like.rel.Rules
	}
	if n.Select != nil {
		r := p.query(n.Select, p.base)
		for _, c := range r.cols {
			add(c.name, c.val, c.vague)
		}
		t.maybe = t.maybe || r.open
	}
	t.compute(n.Cols)
	if have := p.temp(schema, name); have != nil && n.IfNotExists {
		return // it stays as it is
	}
	p.effects.temp, p.effects.creates = [2]string{schema, name}, t
}

// compute adds what columns are computed from, always or by default. Those that are
// from each other, and so on, are not followed for long.
func (t *tempTable) compute(defs []*ast.ColumnDef) {
	const rounds = 4
	for round := range rounds {
		more := false
		for _, c := range defs {
			v := known
			for _, o := range c.Options {
				if o.Tp != ast.ColumnOptionGenerated && o.Tp != ast.ColumnOptionDefaultValue {
					continue
				}
				for _, name := range columnsIn(o.Expr) {
					w, some, _, _ := meant(t.cols, name)
					w.Known = w.Known && some && round < rounds-1
					v = join(v, through(w, protocol.EdgeTransform))
				}
			}
			for i := range t.cols {
				if have := t.cols[i].val; t.cols[i].name == c.Name.Name.L {
					t.cols[i].val = join(have, v)
					more = more || have.Known != t.cols[i].val.Known || len(have.Sources) != len(t.cols[i].val.Sources)
				}
			}
		}
		if !more {
			return
		}
	}
}

// dropped notes which temporary tables go.
func (p *pass) dropped(tables []*ast.TableName) {
	for _, n := range tables {
		schema, name, _ := p.relation(n)
		if p.temp(schema, name) != nil {
			p.effects.drops = append(p.effects.drops, [2]string{schema, name})
		}
	}
}

// altered notes that a table's definition changes: what a temporary one is
// called afterwards is not followed.
func (p *pass) altered(n *ast.TableName) {
	schema, name, _ := p.relation(n)
	if p.temp(schema, name) != nil {
		p.effects.lost = true
	}
}
