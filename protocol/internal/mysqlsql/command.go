package mysqlsql

import (
	"slices"

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
		it := p.table(n.Table, protocol.Write)
		p.written(it, nil)
		p.notKnown("what the file holds is not known")
		if n.FileLocRef == ast.FileLocClient || n.OnDuplicate != ast.OnDuplicateKeyHandlingError {
			p.tellConflict(it, nil, false, n)
		}
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
		args := arguments{val: known}
		for _, v := range n.UsingVars {
			args.add(p, v)
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
	s.Inferred, s.InferredKnown = p.tells.Sorted(), p.tells.Known() && s.Access&protocol.Opaque == 0
	s.Numbers = p.withNumbers(s.Inferred, nil)
	s.SetsState = s.SetsState || p.setsState
	s.Why = first(p.unknown, p.impure)
	s.Changes = s.Changes || p.changes
	s.Bounded = s.Bounded && !p.unbounded
	s.effects = p.effect()
	return s
}

// withNumbers returns what is told of if one of the arguments is no text: more than
// without, or nil.
func (p *pass) withNumbers(without, with []protocol.Inference) []protocol.Inference {
	if with = append(p.numbers.Sorted(), with...); with == nil {
		return nil
	}
	with = append(with, without...)
	slices.SortFunc(with, sql.CompareInference)
	return slices.Compact(with)
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
	p.tells.Lost()
	p.notKnown("what " + kind + " " + name + " reads is not known")
}

// name returns the qualified name of a table.
func (p *pass) name(n *ast.TableName) string {
	schema, name, _ := p.relation(n)
	return schema + "." + name
}
