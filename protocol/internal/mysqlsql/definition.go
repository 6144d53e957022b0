package mysqlsql

import (
	"slices"
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"

	"github.com/sallyport-dev/gateway/protocol"
)

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
		p.tellReferred(n)
		if n.ReferTable != nil {
			p.object("table", p.name(n.ReferTable), protocol.Read)
		}
		if n.Select != nil {
			s.Verb = "create table as"
			p.access |= protocol.Read | protocol.Write
		}
		if n.TemporaryKeyword != ast.TemporaryNone {
			p.temporary(n, s)
		} else if p.defaults(n.Cols); n.Select != nil {
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
		p.tellReferred(n)
		p.tellTable(n.Table, protocol.HowComputed)
		if _, _, rel := p.relation(n.Table); rel != nil && rel.Rules {
			p.notKnown("defaults of the table hold variables, which those of others may be computed from")
		}
		for _, spec := range n.Specs {
			p.defaults(spec.NewColumns)
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
		if n.KeyType == ast.IndexKeyTypeUnique {
			p.tellTable(n.Table, protocol.HowComputed) // it may be of the first letters
		}
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

// defaults notes the variables that defaults of columns are computed from, which the
// rows get that are there already, and reports whether there are any.
func (p *pass) defaults(defs []*ast.ColumnDef) (some bool) {
	for _, c := range defs {
		for _, o := range c.Options {
			if o.Tp != ast.ColumnOptionDefaultValue || o.Expr == nil {
				continue
			}
			anywhere(o.Expr, func(n ast.Node) bool {
				if v, ok := n.(*ast.VariableExpr); ok {
					p.expr(v, p.base)
					some = true
				}
				return false
			})
		}
	}
	return some
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
