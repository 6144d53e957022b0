package mysqlsql

import (
	"slices"
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

// statement says what one statement does.
func (p *pass) statement(n ast.StmtNode) Statement {
	s := Statement{Bounded: true}
	switch n := n.(type) {
	case *ast.SelectStmt:
		s.Verb, s.Shape = "select", protocol.Rows
		if n.Kind == ast.SelectStmtKindTable {
			s.Verb = "table"
		} else if n.Kind == ast.SelectStmtKindValues {
			s.Verb = "values"
		}
		if n.SelectIntoOpt != nil {
			s.Shape = 0
		}
		p.access |= protocol.Read
		s.Columns = columns(p.query(n, p.base))
	case *ast.SetOprStmt:
		s.Verb, s.Shape = "select", protocol.Rows
		p.access |= protocol.Read
		s.Columns = columns(p.query(n, p.base))
	case *ast.InsertStmt:
		p.insert(n, &s)
	case *ast.UpdateStmt:
		p.update(n, &s)
	case *ast.DeleteStmt:
		p.delete(n, &s)
	case *ast.LoadDataStmt:
		s.Verb, p.events = "load data", []string{"INSERT", "DELETE"}
		p.access |= protocol.Write
		if n.FileLocRef == ast.FileLocServerOrRemote {
			p.access |= protocol.Admin // it reads a file of the server's
		}
		p.written(p.table(n.Table, protocol.Write), nil)
		p.notKnown("what the file holds is not known")
	case *ast.CallStmt:
		s.Verb, s.Shape, s.Many = "call", protocol.Rows, true
		name := n.Procedure.FnName.O
		if n.Procedure.Schema.O != "" {
			name = n.Procedure.Schema.O + "." + name
		}
		args := known
		for _, a := range n.Procedure.Args {
			args = join(args, p.expr(a, p.base))
		}
		p.procedure(n.Procedure, name, args, &s)
	case *ast.DoStmt:
		s.Verb = "do"
		p.access |= protocol.Read
		for _, e := range n.Exprs {
			p.expr(e, p.base)
		}
	case *ast.SetStmt:
		p.set(n, &s)
	case *ast.ShowStmt:
		p.show(n, &s)
	case *ast.ExplainStmt:
		p.explain(n, &s)
	case *ast.ExplainForStmt:
		s.Verb, s.Shape = "explain", protocol.Rows
		p.access |= protocol.Read
		p.notKnown("it shows what another session runs")
	case *ast.UseStmt:
		return *Use(n.DBName)
	case *ast.BeginStmt:
		s.Verb = "begin"
		p.control()
	case *ast.CommitStmt:
		s.Verb = "commit"
		p.control()
	case *ast.RollbackStmt:
		s.Verb = "rollback"
		if n.SavepointName != "" {
			s.Verb = "rollback to savepoint"
		}
		p.control()
	case *ast.SavepointStmt:
		s.Verb = "savepoint"
		p.control()
	case *ast.ReleaseSavepointStmt:
		s.Verb = "release savepoint"
		p.control()
	case *ast.LockTablesStmt:
		s.Verb = "lock tables"
		p.control()
		for _, l := range n.TableLocks {
			p.object("table", p.name(l.Table), protocol.Control)
		}
	case *ast.UnlockTablesStmt:
		s.Verb = "unlock tables"
		p.control()
	case *ast.PrepareStmt:
		s.Verb = "prepare"
		p.control()
		if n.SQLVar != nil {
			p.expr(n.SQLVar, p.base)
			p.prepare(n.Name, p.constant(n.SQLVar))
			p.quotes()
		} else {
			p.prepare(n.Name, &n.SQLText)
		}
	case *ast.DeallocateStmt:
		s.Verb = "deallocate"
		p.control()
		p.prepare(n.Name, nil)
	case *ast.ExecuteStmt:
		args := known
		for _, v := range n.UsingVars {
			args = join(args, p.expr(v, p.base))
		}
		return p.execute(n.Name, args)
	case *ast.KillStmt:
		p.literal = true
		s.Verb = "kill"
		p.access |= protocol.Admin
		p.notPure("it ends what another session does")
		p.expr(n.Expr, p.base)
		if n.Expr == nil && !n.TiDBExtension {
			s.Kill = &Kill{ID: n.ConnectionID, Query: n.Query}
		}
	case *ast.HelpStmt:
		s.Verb, s.Shape = "help", protocol.Rows
		p.access |= protocol.Read
	default:
		if !p.definition(n, &s) {
			return opaque("this kind of statement is not known here")
		}
	}
	return p.finish(s)
}

// finish puts what was collected into s.
func (p *pass) finish(s Statement) Statement {
	s.Access = p.access
	s.Pure = p.impure == "" && p.access&^protocol.Read == 0
	s.Objects, s.Writes = p.objects, p.writes
	s.Reads, s.ReadsKnown = p.reads.Refs(), p.unknown == ""
	s.Returned = p.returned(&s)
	s.SetsState = s.SetsState || p.setsState
	s.Why = first(p.unknown, p.impure)
	s.Changes = s.Changes || p.changes
	s.Bounded = s.Bounded && !p.unbounded
	s.effects = p.effect()
	return s
}

// effect returns what the statement does to the session's memory.
func (p *pass) effect() *effects {
	e := p.effects
	e.assigned = p.assigned
	e.messages = p.everything()
	for i := range p.writes {
		w := &p.writes[i]
		if p.temp(w.Schema, w.Table) != nil {
			e.fills, e.filled = append(e.fills, [2]string{w.Schema, w.Table}), p.everything()
		}
		if p.catalog == nil {
			continue
		}
		if r := p.catalog.Lookup(w.Schema, w.Table); r != nil {
			for _, v := range p.catalog.Lineage(r, nil) { // a message may tell of any of them
				e.messages.Sources = e.messages.Sources.Merge(v.Sources.Through(protocol.EdgeOpaque))
			}
		}
	}
	return &e
}

func (p *pass) control() {
	p.access |= protocol.Control
	p.notPure("it is about the session or its transaction")
}

// runs notes that code runs which somebody has defined.
func (p *pass) runs(kind, name string) {
	p.access |= protocol.Execute
	p.setsState = true
	p.object(kind, name, protocol.Execute)
	p.notPure(kind + " " + name + " is not known to be harmless")
	p.notKnown("what " + kind + " " + name + " reads is not known")
}

// name returns the qualified name of a table.
func (p *pass) name(n *ast.TableName) string {
	schema, name, _ := p.relation(n)
	return schema + "." + name
}

// written notes that columns of a table are written; none stands for whole rows.
func (p *pass) written(it *item, names []string) {
	p.notPure("it changes data")
	if it.rel == nil {
		name := it.name
		p.writes = append(p.writes, protocol.ColumnRef{Schema: it.schema, Table: name, Column: "*"})
		return
	}
	p.triggers(it.rel)
	if len(names) == 0 {
		names = []string{"*"}
	}
	for _, name := range names {
		for _, c := range it.rel.Columns {
			if strings.EqualFold(c.Name, name) {
				name = c.Name
			}
		}
		p.writes = append(p.writes, it.rel.Ref(name))
	}
	if it.rel.Kind == sql.View {
		// The tables behind it are what is written.
		x := p.catalog.Expansion(it.rel, nil)
		for _, o := range x.Objects {
			if schema, table, ok := strings.Cut(o.Name, "."); ok && o.Kind == "table" {
				p.writes = append(p.writes, protocol.ColumnRef{Schema: schema, Table: table, Column: "*"})
				if r := p.catalog.Lookup(schema, table); r != nil {
					p.triggers(r)
				}
			}
		}
	}
}

// triggers notes what the triggers of a table do about what is done to its rows.
func (p *pass) triggers(rel *sql.Relation) {
	if rel.Triggers != "" && len(rel.Code) == 0 {
		p.runs("trigger", rel.Schema+"."+rel.Name)
		p.effects.code = true
	}
	for _, code := range rel.Code {
		if r, ok := code.(*routine); ok && slices.Contains(p.events, r.event) {
			p.does(r, "trigger", r.schema+"."+r.name, p.everything())
		}
	}
}

func (p *pass) insert(n *ast.InsertStmt, s *Statement) {
	s.Verb = "insert"
	if n.IsReplace {
		s.Verb = "replace"
	}
	p.access |= protocol.Write
	p.events = []string{"INSERT"}
	if n.IsReplace {
		p.events = append(p.events, "DELETE")
	}
	if len(n.OnDuplicate) > 0 {
		p.events = append(p.events, "UPDATE")
	}
	in := &scope{parent: p.base}
	it := p.target(n.Table, in)
	if it == nil {
		p.missing("the table")
		return
	}
	p.changed = &scope{parent: p.base, items: []*item{it}, cols: it.cols, open: it.open}
	var names []string
	for _, c := range n.Columns {
		names = append(names, c.Name.L)
	}
	for _, list := range n.Lists {
		for _, e := range list {
			p.keepIn(nil, "", func() sql.Value { return p.expr(e, in) })
		}
	}
	if n.Select != nil {
		p.access |= protocol.Read
		p.keep(func() *rowset {
			r := p.query(n.Select, p.base)
			in.items = append(in.items, &item{rowset: *r})
			return r
		})
	}
	for _, a := range n.OnDuplicate {
		names = append(names, a.Column.Name.L)
		p.keepIn(it, a.Column.Name.L, func() sql.Value { return p.expr(a.Expr, in) })
	}
	if len(n.Columns) == 0 {
		names = nil
	}
	p.written(it, names)
}

// target returns the one table that a statement is about, and puts it into s.
// Its columns are not read by that.
func (p *pass) target(n *ast.TableRefsClause, s *scope) *item {
	if n == nil || n.TableRefs == nil || n.TableRefs.Right != nil {
		return nil
	}
	src, ok := n.TableRefs.Left.(*ast.TableSource)
	if !ok {
		return nil
	}
	name, ok := src.Source.(*ast.TableName)
	if !ok {
		return nil
	}
	it := p.table(name, protocol.Write)
	if src.AsName.L != "" {
		it.name, it.schema = src.AsName.L, ""
	}
	s.items, s.cols, s.open = append(s.items, it), it.cols, it.open
	return it
}

func (p *pass) update(n *ast.UpdateStmt, s *Statement) {
	s.Verb, p.events = "update", []string{"UPDATE"}
	p.access |= protocol.Write
	in := &scope{parent: p.with(n.With, p.base)}
	if it := p.target(n.TableRefs, in); it == nil {
		p.from(n.TableRefs.TableRefs, in)
		p.access |= protocol.Read
	}
	written := map[*item][]string{}
	for _, a := range n.List {
		var owners []*item
		for _, it := range in.items {
			if a.Column.Table.L != "" && it.name != a.Column.Table.L {
				continue
			}
			if _, ok := find(it.cols, a.Column.Name.L); ok || it.open || len(in.items) == 1 {
				owners = append(owners, it)
				written[it] = append(written[it], a.Column.Name.L)
			}
		}
		var owner *item
		switch len(owners) {
		case 0:
			p.missing("column " + a.Column.Name.O)
		case 1:
			owner = owners[0]
		}
		p.keepIn(owner, a.Column.Name.L, func() sql.Value { return p.expr(a.Expr, in) })
	}
	p.expr(n.Where, in)
	p.tail(n.Order, n.Limit, in)
	for _, it := range in.items {
		if names := written[it]; names != nil {
			p.written(it, names)
			p.markWritten(it)
		}
	}
	s.Bounded = bounded(n.Where)
}

// markWritten notes that a table in FROM is one that is written.
func (p *pass) markWritten(it *item) {
	if it.rel != nil {
		p.object(it.rel.KindName(), it.rel.Schema+"."+it.rel.Name, protocol.Write)
	}
}

func (p *pass) delete(n *ast.DeleteStmt, s *Statement) {
	s.Verb, p.events = "delete", []string{"DELETE"}
	p.access |= protocol.Write
	in := &scope{parent: p.with(n.With, p.base)}
	if n.IsMultiTable {
		p.access |= protocol.Read
		p.from(n.TableRefs.TableRefs, in)
		for _, t := range n.Tables.Tables {
			found := false
			for _, it := range in.items {
				if it.name == t.Name.L {
					p.written(it, nil)
					p.markWritten(it)
					found = true
				}
			}
			if !found {
				p.missing("table " + t.Name.O)
			}
		}
	} else if it := p.target(n.TableRefs, in); it != nil {
		p.written(it, nil)
		p.changed = in
	} else {
		p.missing("the table")
	}
	p.expr(n.Where, in)
	p.tail(n.Order, n.Limit, in)
	s.Bounded = bounded(n.Where)
}

// bounded reports whether a condition limits anything: it names a column, and
// does not only compare one with itself.
func bounded(where ast.ExprNode) bool {
	if where == nil {
		return false
	}
	if len(columnsIn(where)) == 0 {
		return false
	}
	if b, ok := unparenthesised(where).(*ast.BinaryOperationExpr); ok {
		l, lok := unparenthesised(b.L).(*ast.ColumnNameExpr)
		r, rok := unparenthesised(b.R).(*ast.ColumnNameExpr)
		if lok && rok && l.Name.Name.L == r.Name.Name.L {
			return false
		}
		switch b.Op.String() {
		case "or", "xor":
			return bounded(b.L) && bounded(b.R)
		case "and":
			return bounded(b.L) || bounded(b.R)
		}
	}
	return true
}

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
				p.assign("@"+strings.ToLower(v.Name), value)
				p.effects.certain = append(p.effects.certain, "@"+strings.ToLower(v.Name))
			}
		} else if name.Name.Table.L != "" {
			p.missing("column " + name.Name.String())
		}
		if len(p.reads) > before || p.unknown != "" && (v.IsSystem || hasQuery(v.Value)) {
			p.access |= protocol.Read
		}
		switch {
		case !v.IsSystem && v.Name != ast.SetNames && v.Name != ast.SetCharset:
			if text := p.constant(v.Value); text != nil && len(n.Variables) == 1 {
				name := "@" + strings.ToLower(v.Name)
				p.assigned[name] = remembered{val: p.assigned[name].val, text: text}
			}
		case v.IsGlobal || v.IsInstance:
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

// hasQuery reports whether a query stands anywhere in n.
func hasQuery(n ast.Node) bool {
	return n != nil && anywhere(n, func(n ast.Node) bool {
		_, ok := n.(*ast.SubqueryExpr)
		return ok
	})
}

// shown are the forms of SHOW that show definitions, settings and counters, and
// no data.
var shown = map[ast.ShowStmtType]protocol.Verb{
	ast.ShowEngines: "show engines", ast.ShowDatabases: "show databases", ast.ShowTables: "show tables", ast.ShowTableStatus: "show table status",
	ast.ShowColumns: "show columns", ast.ShowCharset: "show character set", ast.ShowVariables: "show variables", ast.ShowStatus: "show status",
	ast.ShowCollation: "show collation", ast.ShowCreateTable: "show create table", ast.ShowCreateView: "show create view",
	ast.ShowCreateSequence: "show create sequence", ast.ShowGrants: "show grants", ast.ShowTriggers: "show triggers",
	ast.ShowProcedureStatus: "show procedure status", ast.ShowFunctionStatus: "show function status", ast.ShowIndex: "show index",
	ast.ShowCreateDatabase: "show create database", ast.ShowEvents: "show events", ast.ShowPlugins: "show plugins",
	ast.ShowMasterStatus: "show master status", ast.ShowBinlogStatus: "show binary log status", ast.ShowReplicaStatus: "show replica status",
	ast.ShowPrivileges: "show privileges", ast.ShowOpenTables: "show open tables", ast.ShowCreateProcedure: "show create procedure",
}

func (p *pass) show(n *ast.ShowStmt, s *Statement) {
	s.Shape = protocol.Rows
	p.access |= protocol.Read
	var ok bool
	if s.Verb, ok = shown[n.Tp]; !ok {
		s.Verb = "show"
	}
	switch {
	case n.Tp == ast.ShowWarnings || n.Tp == ast.ShowErrors:
		if n.CountWarningsOrErrors {
			break
		}
		s.Columns = p.columnsOf("Level Code", "Message", p.messages())
	case n.Tp == ast.ShowProcessList:
		names := "Id User Host db Command Time State"
		p.notKnown("it shows what other sessions run")
		if s.Columns = p.columnsOf(names, "Info", sql.Value{}); p.st.MariaDB {
			s.Columns = append(s.Columns, p.columnsOf("Progress", "", known)...)
		}
	case !ok:
		p.notKnown("what it shows may be what others sent")
	}
	if n.Table != nil {
		p.object("table", p.name(n.Table), protocol.Read)
	}
	if n.DBName != "" {
		p.object("database", n.DBName, protocol.Read)
	}
	p.expr(n.Where, &scope{parent: p.base, open: p.unknown != "", shows: true})
}

// columnsOf returns columns that show nothing of anybody's data, and one more
// with a value of its own.
func (p *pass) columnsOf(plain, last string, v sql.Value) (out []protocol.Column) {
	for _, name := range strings.Fields(plain) {
		out = append(out, protocol.Column{Name: name, Known: true})
	}
	if last != "" {
		out = append(out, protocol.Column{Name: last, Known: v.Known, Sources: v.Sources})
	}
	return out
}

// messages is what the target's messages about earlier statements may hold.
func (p *pass) messages() sql.Value {
	p.remembers = true
	v := p.st.Memory.messages()
	if !v.Known {
		p.notKnown("what the messages are about is not known")
	}
	return p.use(v)
}

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
		// It runs nothing, but for what is computed while it is planned.
		p.access = protocol.Read | inner.Access&protocol.Execute
		p.writes, p.assigned, p.effects = nil, nil, effects{}
		if inner.Access&protocol.Execute == 0 {
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

// definition says what a statement does that changes definitions, accounts or
// the server.
func (p *pass) definition(n ast.StmtNode, s *Statement) bool {
	p.literal = true
	p.notPure("it changes definitions")
	change := func(verb protocol.Verb, kind string, tables ...*ast.TableName) bool {
		s.Verb, s.Changes = verb, true
		p.access |= protocol.Schema
		for _, t := range tables {
			if t == nil {
				continue
			}
			schema, name, rel := p.relation(t)
			p.object(kind, schema+"."+name, protocol.Schema)
			ref := protocol.ColumnRef{Schema: schema, Table: name, Column: "*"}
			if rel != nil {
				ref = rel.Ref("*")
			}
			if !slices.Contains(p.writes, ref) {
				p.writes = append(p.writes, ref)
			}
		}
		return true
	}
	admin := func(verb protocol.Verb, tables ...*ast.TableName) bool {
		s.Verb, s.Changes = verb, true
		p.access |= protocol.Admin
		for _, t := range tables {
			p.object("table", p.name(t), protocol.Admin)
		}
		return true
	}
	switch n := n.(type) {
	case *ast.CreateTableStmt:
		change("create table", "table", n.Table)
		if n.ReferTable != nil {
			p.object("table", p.name(n.ReferTable), protocol.Read)
		}
		if n.Select != nil {
			s.Verb = "create table as"
			p.access |= protocol.Read | protocol.Write
		}
		if n.TemporaryKeyword != ast.TemporaryNone {
			p.temporary(n, s)
		} else if n.Select != nil {
			p.query(n.Select, p.base)
		}
		for _, o := range n.Options {
			switch o.Tp {
			case ast.TableOptionEngine:
				if remote(o.StrValue) {
					p.access |= protocol.Admin // it brings data from elsewhere under a name of its own
				}
			case ast.TableOptionUnion, ast.TableOptionDataDirectory, ast.TableOptionIndexDirectory, ast.TableOptionConnection:
				p.access |= protocol.Admin
			}
		}
		return true
	case *ast.CreateViewStmt:
		change("create view", "view", n.ViewName)
		p.access |= protocol.Read
		p.query(n.Select, p.base)
		return true
	case *ast.DropTableStmt:
		if n.IsView {
			return change("drop view", "view", n.Tables...)
		}
		p.dropped(n.Tables)
		change("drop table", "table", n.Tables...)
		s.Changes = n.TemporaryKeyword == ast.TemporaryNone
		return true
	case *ast.AlterTableStmt:
		change("alter table", "table", n.Table)
		p.altered(n.Table)
		for _, spec := range n.Specs {
			if spec.NewTable != nil {
				p.object("table", p.name(spec.NewTable), protocol.Schema)
			}
			for _, o := range spec.Options {
				if o.Tp == ast.TableOptionEngine && remote(o.StrValue) || o.Tp == ast.TableOptionUnion || o.Tp == ast.TableOptionConnection {
					p.access |= protocol.Admin
				}
			}
		}
		return true
	case *ast.RenameTableStmt:
		var tables []*ast.TableName
		for _, t := range n.TableToTables {
			tables = append(tables, t.OldTable, t.NewTable)
			p.altered(t.OldTable)
		}
		return change("rename table", "table", tables...)
	case *ast.TruncateTableStmt:
		before := p.access
		change("truncate table", "table", n.Table)
		s.Bounded = false
		p.access = before | protocol.Write
		return true
	case *ast.CreateIndexStmt:
		return change("create index", "table", n.Table)
	case *ast.DropIndexStmt:
		return change("drop index", "table", n.Table)
	case *ast.CreateSequenceStmt:
		return change("create sequence", "sequence", n.Name)
	case *ast.AlterSequenceStmt:
		return change("alter sequence", "sequence", n.Name)
	case *ast.DropSequenceStmt:
		return change("drop sequence", "sequence", n.Sequences...)
	case *ast.CreateDatabaseStmt:
		p.object("database", n.Name.O, protocol.Schema)
		return change("create database", "database")
	case *ast.AlterDatabaseStmt:
		p.object("database", n.Name.O, protocol.Schema)
		return change("alter database", "database")
	case *ast.DropDatabaseStmt:
		s.SetsState = true
		p.object("database", n.Name.O, protocol.Schema)
		return change("drop database", "database")
	case *ast.ProcedureInfo:
		p.object("procedure", n.ProcedureName.Name.O, protocol.Schema)
		return change("create procedure", "procedure")
	case *ast.DropProcedureStmt:
		p.object("procedure", n.ProcedureName.Name.O, protocol.Schema)
		return change("drop procedure", "procedure")
	case *ast.OptimizeTableStmt:
		return admin("optimize table", n.Tables...) && p.rows(s)
	case *ast.RepairTableStmt:
		return admin("repair table", n.Table) && p.rows(s)
	case *ast.AnalyzeTableStmt:
		return admin("analyze table", n.TableNames...) && p.rows(s)
	case *ast.CreateUserStmt:
		return admin("create user")
	case *ast.AlterUserStmt:
		return admin("alter user")
	case *ast.DropUserStmt:
		return admin("drop user")
	case *ast.RenameUserStmt:
		return admin("rename user")
	case *ast.GrantStmt:
		return admin("grant")
	case *ast.GrantRoleStmt:
		return admin("grant")
	case *ast.GrantProxyStmt:
		return admin("grant")
	case *ast.RevokeStmt:
		return admin("revoke")
	case *ast.RevokeRoleStmt:
		return admin("revoke")
	case *ast.SetPwdStmt:
		return admin("set password")
	case *ast.SetDefaultRoleStmt:
		return admin("set default role")
	case *ast.SetRoleStmt:
		s.Verb, s.SetsState = "set role", true
		p.access |= protocol.Control
		return true
	case *ast.FlushStmt:
		return admin("flush")
	case *ast.ShutdownStmt:
		return admin("shutdown")
	case *ast.RestartStmt:
		return admin("restart")
	case *ast.AlterInstanceStmt:
		return admin("alter instance")
	}
	return false
}

// rows notes that a statement which changes something returns rows that say how
// it went.
func (p *pass) rows(s *Statement) bool {
	s.Shape = protocol.Rows
	return true
}

// remote reports whether a storage engine shows data that is not its own.
func remote(engine string) bool {
	switch strings.ToLower(engine) {
	case "federated", "federatedx", "connect", "spider", "merge", "mrg_myisam", "csv", "oqgraph", "s3", "ndb", "ndbcluster":
		return true
	}
	return false
}
