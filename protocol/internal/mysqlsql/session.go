package mysqlsql

import (
	"strconv"
	"strings"

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
		name := "@" + strings.ToLower(n.Name)
		if _, own := p.assigned[name]; n.IsSystem || n.Value != nil || own {
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

// prepare notes that a statement is prepared under a name; nil is one that is
// not known.
func (p *pass) prepare(name string, text *string) {
	p.literal = true
	var known preparedText
	if text != nil {
		known = &struct{ text, database, mode string }{*text, p.database, p.st.Mode}
	}
	if p.effects.prepares == nil {
		p.effects.prepares = map[string]preparedText{}
	}
	p.effects.prepares[strings.ToLower(name)] = known
}

// quotes notes that an error about the statement quotes what it has read.
func (p *pass) quotes() {
	if len(p.reads) > 0 || p.unknown != "" {
		p.access |= protocol.Read
	}
}

// execute says what the execution of a statement does that was prepared in SQL.
func (p *pass) execute(name string, args sql.Value) Statement {
	p.remembers = true
	var text preparedText
	if p.st.Memory != nil {
		text = p.st.Memory.prepared[strings.ToLower(name)]
	}
	if text == nil {
		return p.unclear("execute", "what was prepared under this name is not known")
	}
	return p.run("execute", text, args)
}

// unclear is a statement that could do anything.
func (p *pass) unclear(verb protocol.Verb, why string) Statement {
	s := opaque(why)
	s.Verb = verb
	return s
}

// run says what a text does that the target is given within another statement.
func (p *pass) run(verb protocol.Verb, text preparedText, args sql.Value) Statement {
	switch {
	case p.st.inner:
		return p.unclear(verb, "a statement that is prepared within another")
	case text.mode != p.st.Mode:
		return p.unclear(verb, "sql_mode has changed since it was prepared")
	}
	st := *p.st
	st.inner, st.params, st.Database = true, args, text.database
	if why := refuse([]byte(text.text), &st, p.a.maxText); why != "" {
		return p.unclear(verb, why)
	}
	s := p.a.parsed([]byte(text.text), &st)
	if len(s.Statements) != 1 {
		return p.unclear(verb, "what is prepared is not one statement")
	}
	one := s.Statements[0]
	p.named, p.remembers, p.catalog = p.named || s.named, p.remembers || s.remembers, s.catalog
	one.Behind = text.text
	// Which arguments go where is not followed: any may be kept or told.
	if one.effects != nil && args.Sources != nil {
		e := *one.effects
		e.messages.Sources = e.messages.Sources.Merge(args.Sources)
		one.effects = &e
	}
	return one
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
	add := func(name string, v sql.Value) {
		for i := range t.cols {
			if t.cols[i].name == name {
				t.cols[i].val = join(t.cols[i].val, v)
				return
			}
		}
		own := sql.Value{Known: true, Sources: sql.Of(rel.Ref(name), protocol.EdgeIdentity)}
		rel.Columns = append(rel.Columns, sql.Column{Num: int16(len(rel.Columns) + 1), Name: name})
		t.cols = append(t.cols, col{name, join(own, v)})
	}
	for _, c := range n.Cols {
		add(c.Name.Name.L, known)
	}
	if n.ReferTable != nil {
		like := p.table(n.ReferTable, protocol.Read)
		for _, c := range like.cols {
			add(c.name, known)
		}
		t.maybe = like.open
	}
	if n.Select != nil {
		r := p.query(n.Select, p.base)
		for _, c := range r.cols {
			add(c.name, c.val)
		}
		t.maybe = t.maybe || r.open
	}
	if have := p.temp(schema, name); have != nil && n.IfNotExists {
		return // it stays as it is
	}
	p.effects.temp, p.effects.creates = [2]string{schema, name}, t
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
