package pgsql

import (
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

// define notes that a relation is made or changed.
func (p *pass) define(rv *pg.RangeVar, kind string) {
	p.effect.Flags |= DDL
	if rv == nil {
		return
	}
	schema := rv.Schemaname
	switch {
	case rv.Relpersistence == "t" || isTemp(schema):
		p.effect.Flags |= CreatesTemp
		schema = "pg_temp"
	case schema == "":
		p.resolved = true
		// The server puts its own schema first, and nothing is made there.
		if i := slices.IndexFunc(p.st.SearchPath, func(s string) bool { return s != "pg_catalog" }); i >= 0 {
			schema = p.st.SearchPath[i]
		}
	}
	name := rv.Relname
	if schema != "" {
		name = schema + "." + name
	}
	p.object(kind, name, protocol.Schema)
	if p.access.Has(protocol.Write) { // it is filled at once
		p.writes.add(protocol.ColumnRef{Schema: schema, Table: rv.Relname, Column: "*"})
	}
}

// change notes that an existing relation is changed or dropped.
func (p *pass) change(rv *pg.RangeVar, a protocol.Access) {
	if rv == nil {
		return
	}
	p.subjects(rv, a)
}

// renameBelow notes that a column of the tables below is renamed as well.
func (p *pass) renameBelow(rv *pg.RangeVar) {
	r, proven := p.relation(rv.Schemaname, rv.Relname)
	if r == nil || !proven || r.Kind == sql.CompositeType { // tables may be of the type
		p.notKnown("which tables have this column of " + rv.Relname + " too is not known")
		return
	}
	for _, d := range p.catalog().Descendants(r) {
		p.object(d.KindName(), d.Schema+"."+d.Name, protocol.Schema)
	}
}

// partFrom notes that a table, or a column of it, no longer comes from what it came
// from: the tables above, which may be known for what is in it, are changed with it.
func (p *pass) partFrom(rv *pg.RangeVar) {
	r, proven := p.relation(rv.GetSchemaname(), rv.GetRelname())
	if r == nil || !proven {
		p.notKnown("which tables are above " + rv.GetRelname() + " is not known")
		return
	}
	for _, a := range p.catalog().Ancestors(r) {
		p.object(a.KindName(), a.Schema+"."+a.Name, protocol.Schema)
	}
}

// definition analyses the commands that change definitions, privileges or the
// server. ok is false for anything else.
func (p *pass) definition(n *pg.Node) (verb protocol.Verb, ok bool) {
	verb = p.changeDefinition(n)
	if verb == "" {
		if verb = p.administer(n); verb == "" {
			return "", false
		}
	}
	p.effect.Flags |= DDL
	p.callsIn(n)
	p.tellDefined(n)
	return verb, true
}

// callsIn notes the functions called anywhere in a definition: defaults,
// conditions and index expressions run while it is made, or later unseen.
func (p *pass) callsIn(n *pg.Node) {
	walk(n, func(m any) bool {
		switch x := m.(type) {
		case *pg.FuncCall:
			p.function(x.Funcname, nil)
			if a, _ := effectOf(last(x.Funcname)); a != 0 && last(x.Funcname) != "nextval" {
				p.notKnown("what " + last(x.Funcname) + " is given when it runs later is not known")
			}
		case *pg.RangeVar:
			if x.Relpersistence == "t" || isTemp(x.Schemaname) {
				p.effect.Flags |= CreatesTemp
			}
		case *pg.String:
			if isTemp(x.Sval) {
				p.effect.Flags |= CreatesTemp
			}
		}
		return true
	})
}

// changeDefinition is for commands that change definitions.
func (p *pass) changeDefinition(n *pg.Node) protocol.Verb {
	p.access |= protocol.Schema
	switch x := n.GetNode().(type) {
	case *pg.Node_CreateStmt:
		p.define(x.CreateStmt.Relation, "table")
		for _, r := range x.CreateStmt.InhRelations {
			p.change(r.GetRangeVar(), protocol.Schema)
		}
		return "create table"
	case *pg.Node_CreateForeignTableStmt:
		p.define(x.CreateForeignTableStmt.GetBaseStmt().GetRelation(), "foreign table")
		return "create foreign table"
	case *pg.Node_ViewStmt:
		p.nested(x.ViewStmt.Query, false)
		p.define(x.ViewStmt.View, "view")
		return "create view"
	case *pg.Node_IndexStmt:
		p.change(x.IndexStmt.Relation, protocol.Schema)
		return "create index"
	case *pg.Node_CreateSeqStmt:
		p.define(x.CreateSeqStmt.Sequence, "sequence")
		return "create sequence"
	case *pg.Node_AlterSeqStmt:
		p.change(x.AlterSeqStmt.Sequence, protocol.Schema)
		return "alter sequence"
	case *pg.Node_CreateSchemaStmt:
		p.object("schema", x.CreateSchemaStmt.Schemaname, protocol.Schema)
		for _, e := range x.CreateSchemaStmt.SchemaElts {
			p.nested(e, true)
		}
		p.inner = nil
		return "create schema"
	case *pg.Node_CreateFunctionStmt:
		kind := "function"
		if x.CreateFunctionStmt.IsProcedure {
			kind = "procedure"
		}
		p.access |= protocol.Execute
		p.hidden("a function's body is not looked into")
		p.object(kind, strings.Join(strs(x.CreateFunctionStmt.Funcname), "."), protocol.Schema)
		return protocol.Verb("create " + kind)
	case *pg.Node_CreateTrigStmt:
		p.change(x.CreateTrigStmt.Relation, protocol.Schema)
		p.hidden("a trigger runs a function")
		p.object("function", strings.Join(strs(x.CreateTrigStmt.Funcname), "."), protocol.Execute)
		return "create trigger"
	case *pg.Node_CreateEventTrigStmt:
		p.access |= protocol.Admin
		p.hidden("a trigger runs a function")
		return "create event trigger"
	case *pg.Node_RuleStmt:
		p.change(x.RuleStmt.Relation, protocol.Schema)
		p.hidden("a rule rewrites statements")
		return "create rule"
	case *pg.Node_AlterTableStmt:
		p.change(x.AlterTableStmt.Relation, protocol.Schema)
		p.alterTable(x.AlterTableStmt)
		return protocol.Verb("alter " + objectWord(x.AlterTableStmt.Objtype))
	case *pg.Node_RenameStmt:
		p.subject(x.RenameStmt.RenameType, x.RenameStmt.Relation, x.RenameStmt.Object)
		typ := x.RenameStmt.RenameType
		if x.RenameStmt.Relation != nil && (typ == pg.ObjectType_OBJECT_COLUMN || typ == pg.ObjectType_OBJECT_ATTRIBUTE) {
			p.renameBelow(x.RenameStmt.Relation)
		}
		if x.RenameStmt.Relation != nil && (typ == pg.ObjectType_OBJECT_COLUMN || typ == pg.ObjectType_OBJECT_TABCONSTRAINT) {
			typ = x.RenameStmt.RelationType
			if typ == pg.ObjectType_OBJECT_TYPE_UNDEFINED || typ == pg.ObjectType_OBJECT_ACCESS_METHOD {
				typ = pg.ObjectType_OBJECT_TABLE
			}
		}
		if x.RenameStmt.RenameType == pg.ObjectType_OBJECT_ROLE || x.RenameStmt.RenameType == pg.ObjectType_OBJECT_DATABASE {
			p.access |= protocol.Admin
		}
		return protocol.Verb("alter " + objectWord(typ))
	case *pg.Node_DropStmt:
		for _, o := range x.DropStmt.Objects {
			p.objectOf(x.DropStmt.RemoveType, o, protocol.Schema)
		}
		return protocol.Verb("drop " + objectWord(x.DropStmt.RemoveType))
	case *pg.Node_CommentStmt:
		p.subject(x.CommentStmt.Objtype, nil, x.CommentStmt.Object)
		return "comment"
	case *pg.Node_AlterObjectSchemaStmt:
		p.subject(x.AlterObjectSchemaStmt.ObjectType, x.AlterObjectSchemaStmt.Relation, x.AlterObjectSchemaStmt.Object)
		return protocol.Verb("alter " + objectWord(x.AlterObjectSchemaStmt.ObjectType))
	case *pg.Node_AlterObjectDependsStmt:
		return protocol.Verb("alter " + objectWord(x.AlterObjectDependsStmt.ObjectType))
	case *pg.Node_AlterFunctionStmt:
		p.object("function", strings.Join(strs(x.AlterFunctionStmt.GetFunc().GetObjname()), "."), protocol.Schema)
		p.notKnown("a function that is called immutable counts as one that reads nothing")
		return "alter function"
	case *pg.Node_CreateDomainStmt:
		p.object("domain", strings.Join(strs(x.CreateDomainStmt.Domainname), "."), protocol.Schema)
		return "create domain"
	case *pg.Node_AlterDomainStmt:
		return "alter domain"
	case *pg.Node_CompositeTypeStmt:
		p.object("type", x.CompositeTypeStmt.GetTypevar().GetRelname(), protocol.Schema)
		return "create type"
	case *pg.Node_CreateEnumStmt:
		p.object("type", strings.Join(strs(x.CreateEnumStmt.TypeName), "."), protocol.Schema)
		return "create type"
	case *pg.Node_CreateRangeStmt:
		p.object("type", strings.Join(strs(x.CreateRangeStmt.TypeName), "."), protocol.Schema)
		return "create type"
	case *pg.Node_AlterEnumStmt, *pg.Node_AlterTypeStmt:
		return "alter type"
	case *pg.Node_DefineStmt:
		return p.defineStmt(x.DefineStmt)
	case *pg.Node_CreateStatsStmt:
		return "create statistics"
	case *pg.Node_AlterStatsStmt:
		return "alter statistics"
	case *pg.Node_AlterCollationStmt:
		return "alter collation"
	case *pg.Node_CreateOpClassStmt:
		p.hidden("an operator class runs functions")
		return "create operator class"
	case *pg.Node_CreateOpFamilyStmt:
		return "create operator family"
	case *pg.Node_AlterOpFamilyStmt:
		p.hidden("an operator family runs functions")
		return "alter operator family"
	case *pg.Node_AlterOperatorStmt:
		return "alter operator"
	case *pg.Node_CreateCastStmt:
		p.hidden("a cast runs a function")
		return "create cast"
	case *pg.Node_CreateTransformStmt:
		p.hidden("a transform runs a function")
		return "create transform"
	case *pg.Node_CreateConversionStmt:
		p.hidden("a conversion runs a function")
		return "create conversion"
	case *pg.Node_AlterTsdictionaryStmt:
		return "alter text search dictionary"
	case *pg.Node_AlterTsconfigurationStmt:
		return "alter text search configuration"
	case *pg.Node_ReindexStmt:
		p.change(x.ReindexStmt.Relation, protocol.Schema)
		return "reindex"
	case *pg.Node_ClusterStmt:
		p.change(x.ClusterStmt.Relation, protocol.Schema)
		return "cluster"
	}
	p.access &^= protocol.Schema
	return ""
}

func (p *pass) alterTable(x *pg.AlterTableStmt) {
	p.altered(x)
	for _, c := range x.Cmds {
		cmd := c.GetAlterTableCmd()
		switch cmd.GetSubtype() {
		case pg.AlterTableType_AT_AttachPartition, pg.AlterTableType_AT_DetachPartition, pg.AlterTableType_AT_DetachPartitionFinalize:
			p.change(cmd.GetDef().GetPartitionCmd().GetName(), protocol.Schema)
		case pg.AlterTableType_AT_AddInherit, pg.AlterTableType_AT_DropInherit:
			p.change(cmd.GetDef().GetRangeVar(), protocol.Schema)
		}
		switch cmd.GetSubtype() {
		case pg.AlterTableType_AT_ChangeOwner, pg.AlterTableType_AT_EnableRowSecurity, pg.AlterTableType_AT_DisableRowSecurity,
			pg.AlterTableType_AT_ForceRowSecurity, pg.AlterTableType_AT_NoForceRowSecurity:
			p.access |= protocol.Admin
		case pg.AlterTableType_AT_DropInherit, pg.AlterTableType_AT_DetachPartition, pg.AlterTableType_AT_DetachPartitionFinalize, pg.AlterTableType_AT_DropExpression:
			p.partFrom(x.Relation)
		case pg.AlterTableType_AT_DropColumn, pg.AlterTableType_AT_AlterColumnType, pg.AlterTableType_AT_AddColumn:
			p.access |= protocol.Write
			if x.Relation != nil {
				if r, _ := p.relation(x.Relation.Schemaname, x.Relation.Relname); r != nil {
					name := cmd.GetName()
					if name == "" {
						name = cmd.GetDef().GetColumnDef().GetColname()
					}
					p.writes.add(r.Ref(name))
				}
			}
		}
	}
}

// altered notes what of a table's rows goes into constraints, generated columns and
// other types. Rows of a table above may be among them.
func (p *pass) altered(x *pg.AlterTableStmt) {
	rv := x.Relation
	r, proven := p.relation(rv.GetSchemaname(), rv.GetRelname())
	if r == nil || !proven {
		for _, c := range x.Cmds {
			if c.GetAlterTableCmd().GetDef().GetColumnDef().GetRawDefault() != nil && c.GetAlterTableCmd().Subtype == pg.AlterTableType_AT_AlterColumnType {
				p.notKnown("which columns of " + rv.GetRelname() + " its USING reads is not known")
			}
		}
		return
	}
	for _, a := range p.catalog().Ancestors(r) {
		p.object(a.KindName(), a.Schema+"."+a.Name, protocol.Read)
	}
	lineage := p.catalog().Lineage(r, p.chain)
	read := func(names ...string) {
		for i := range r.Columns {
			if slices.Contains(names, r.Columns[i].Name) || slices.Contains(names, r.Name) { // the row
				p.use(lineage[i])
			}
		}
	}
	walk(&pg.Node{Node: &pg.Node_AlterTableStmt{AlterTableStmt: x}}, func(m any) bool {
		switch m := m.(type) {
		case *pg.ColumnRef:
			if read(strs(m.Fields)...); last(m.Fields) == "" { // all of them
				read(r.Name)
			}
		case *pg.Constraint:
			read(strs(m.Keys)...)
			read(strs(m.FkAttrs)...)
		case *pg.IndexElem: // of EXCLUDE
			read(m.Name)
		}
		return true
	})
}

func (p *pass) defineStmt(x *pg.DefineStmt) protocol.Verb {
	word := objectWord(x.Kind)
	p.object(word, strings.Join(strs(x.Defnames), "."), protocol.Schema)
	switch x.Kind {
	case pg.ObjectType_OBJECT_AGGREGATE, pg.ObjectType_OBJECT_OPERATOR, pg.ObjectType_OBJECT_TYPE, pg.ObjectType_OBJECT_TSPARSER, pg.ObjectType_OBJECT_TSTEMPLATE:
		p.hidden("a definition runs functions")
	}
	return protocol.Verb("create " + word)
}

// administer is for commands that change privileges, roles or the server.
func (p *pass) administer(n *pg.Node) protocol.Verb {
	p.access |= protocol.Admin
	switch x := n.GetNode().(type) {
	case *pg.Node_GrantStmt:
		for _, o := range x.GrantStmt.Objects {
			p.subject(x.GrantStmt.Objtype, o.GetRangeVar(), o)
		}
		if x.GrantStmt.IsGrant {
			return "grant"
		}
		return "revoke"
	case *pg.Node_GrantRoleStmt:
		for _, r := range x.GrantRoleStmt.GrantedRoles {
			p.object("role", r.GetAccessPriv().GetPrivName(), protocol.Admin)
		}
		if x.GrantRoleStmt.IsGrant {
			return "grant"
		}
		return "revoke"
	case *pg.Node_AlterDefaultPrivilegesStmt:
		return "alter default privileges"
	case *pg.Node_CreateRoleStmt:
		p.object("role", x.CreateRoleStmt.Role, protocol.Admin)
		return "create role"
	case *pg.Node_AlterRoleStmt:
		p.object("role", x.AlterRoleStmt.GetRole().GetRolename(), protocol.Admin)
		return "alter role"
	case *pg.Node_AlterRoleSetStmt:
		p.object("role", x.AlterRoleSetStmt.GetRole().GetRolename(), protocol.Admin)
		return "alter role"
	case *pg.Node_DropRoleStmt:
		for _, r := range x.DropRoleStmt.Roles {
			p.object("role", r.GetRoleSpec().GetRolename(), protocol.Admin)
		}
		return "drop role"
	case *pg.Node_DropOwnedStmt:
		p.access |= protocol.Schema
		return "drop owned"
	case *pg.Node_ReassignOwnedStmt:
		return "reassign owned"
	case *pg.Node_AlterOwnerStmt:
		p.subject(x.AlterOwnerStmt.ObjectType, x.AlterOwnerStmt.Relation, x.AlterOwnerStmt.Object)
		return protocol.Verb("alter " + objectWord(x.AlterOwnerStmt.ObjectType))
	case *pg.Node_CreatePolicyStmt:
		p.change(x.CreatePolicyStmt.Table, protocol.Admin)
		return "create policy"
	case *pg.Node_AlterPolicyStmt:
		p.change(x.AlterPolicyStmt.Table, protocol.Admin)
		return "alter policy"
	case *pg.Node_SecLabelStmt:
		p.subject(x.SecLabelStmt.Objtype, nil, x.SecLabelStmt.Object)
		return "security label"
	case *pg.Node_AlterSystemStmt:
		p.effect.Setting = settingName(x.AlterSystemStmt.GetSetstmt().GetName())
		return "alter system"
	case *pg.Node_LoadStmt:
		p.hidden("LOAD runs a library")
		return "load"
	case *pg.Node_CreateExtensionStmt:
		p.object("extension", x.CreateExtensionStmt.Extname, protocol.Admin)
		p.hidden("an extension runs its scripts")
		return "create extension"
	case *pg.Node_AlterExtensionStmt:
		p.object("extension", x.AlterExtensionStmt.Extname, protocol.Admin)
		p.hidden("an extension runs its scripts")
		return "alter extension"
	case *pg.Node_AlterExtensionContentsStmt:
		return "alter extension"
	case *pg.Node_CreatePlangStmt:
		p.hidden("a language runs code")
		return "create language"
	case *pg.Node_CreateAmStmt:
		p.hidden("an access method runs code")
		return "create access method"
	case *pg.Node_CreatedbStmt:
		p.object("database", x.CreatedbStmt.Dbname, protocol.Admin)
		return "create database"
	case *pg.Node_AlterDatabaseStmt:
		p.object("database", x.AlterDatabaseStmt.Dbname, protocol.Admin)
		return "alter database"
	case *pg.Node_AlterDatabaseSetStmt:
		p.object("database", x.AlterDatabaseSetStmt.Dbname, protocol.Admin)
		return "alter database"
	case *pg.Node_AlterDatabaseRefreshCollStmt:
		return "alter database"
	case *pg.Node_DropdbStmt:
		p.object("database", x.DropdbStmt.Dbname, protocol.Admin)
		return "drop database"
	case *pg.Node_CreateTableSpaceStmt:
		return "create tablespace"
	case *pg.Node_DropTableSpaceStmt:
		return "drop tablespace"
	case *pg.Node_AlterTableSpaceOptionsStmt, *pg.Node_AlterTableMoveAllStmt:
		return "alter tablespace"
	case *pg.Node_CreateFdwStmt:
		p.hidden("a foreign data wrapper runs code")
		return "create foreign data wrapper"
	case *pg.Node_AlterFdwStmt:
		p.hidden("a foreign data wrapper runs code")
		return "alter foreign data wrapper"
	case *pg.Node_CreateForeignServerStmt:
		return "create server"
	case *pg.Node_AlterForeignServerStmt:
		return "alter server"
	case *pg.Node_CreateUserMappingStmt:
		return "create user mapping"
	case *pg.Node_AlterUserMappingStmt:
		return "alter user mapping"
	case *pg.Node_DropUserMappingStmt:
		return "drop user mapping"
	case *pg.Node_ImportForeignSchemaStmt:
		p.access |= protocol.Schema
		return "import foreign schema"
	case *pg.Node_CreatePublicationStmt:
		return "create publication"
	case *pg.Node_AlterPublicationStmt:
		return "alter publication"
	case *pg.Node_CreateSubscriptionStmt:
		return "create subscription"
	case *pg.Node_AlterSubscriptionStmt:
		return "alter subscription"
	case *pg.Node_DropSubscriptionStmt:
		return "drop subscription"
	case *pg.Node_AlterEventTrigStmt:
		return "alter event trigger"
	}
	p.access &^= protocol.Admin
	return ""
}

// subject notes the object that a command is about.
func (p *pass) subject(typ pg.ObjectType, rv *pg.RangeVar, n *pg.Node) {
	a := p.access & (protocol.Schema | protocol.Admin)
	if rv != nil {
		p.change(rv, a)
		return
	}
	if n != nil {
		p.objectOf(typ, n, a)
	}
}

// objectOf notes an object that a command names.
func (p *pass) objectOf(typ pg.ObjectType, n *pg.Node, a protocol.Access) {
	name, rv := p.objectName(typ, n)
	p.object(objectWord(typ), name, a)
	if rv != nil {
		p.guessed(rv, a)
	}
}

// objectName returns the name of an object in a command, resolved if it is a
// relation, which is returned too.
func (p *pass) objectName(typ pg.ObjectType, n *pg.Node) (string, *pg.RangeVar) {
	var names []string
	switch x := n.GetNode().(type) {
	case *pg.Node_List:
		names = strs(x.List.Items)
	case *pg.Node_String_:
		names = []string{x.String_.Sval}
	case *pg.Node_TypeName:
		names = strs(x.TypeName.Names)
	case *pg.Node_ObjectWithArgs:
		names = strs(x.ObjectWithArgs.Objname)
	case *pg.Node_RoleSpec:
		names = []string{x.RoleSpec.Rolename}
	case *pg.Node_RangeVar:
		_, name := p.relationName(x.RangeVar)
		return name, x.RangeVar
	}
	switch typ {
	case pg.ObjectType_OBJECT_TABLE, pg.ObjectType_OBJECT_VIEW, pg.ObjectType_OBJECT_MATVIEW,
		pg.ObjectType_OBJECT_SEQUENCE, pg.ObjectType_OBJECT_FOREIGN_TABLE:
		rv := &pg.RangeVar{Relname: names[len(names)-1:][0]}
		if len(names) > 1 {
			rv.Schemaname = names[len(names)-2]
		}
		_, name := p.relationName(rv)
		return name, rv
	}
	return strings.Join(names, "."), nil
}

// objectWord returns the word for a kind of object in commands.
func objectWord(t pg.ObjectType) string {
	switch t {
	case pg.ObjectType_OBJECT_MATVIEW:
		return "materialized view"
	case pg.ObjectType_OBJECT_FDW:
		return "foreign data wrapper"
	case pg.ObjectType_OBJECT_FOREIGN_SERVER:
		return "server"
	case pg.ObjectType_OBJECT_STATISTIC_EXT:
		return "statistics"
	case pg.ObjectType_OBJECT_TSCONFIGURATION:
		return "text search configuration"
	case pg.ObjectType_OBJECT_TSDICTIONARY:
		return "text search dictionary"
	case pg.ObjectType_OBJECT_TSPARSER:
		return "text search parser"
	case pg.ObjectType_OBJECT_TSTEMPLATE:
		return "text search template"
	case pg.ObjectType_OBJECT_OPCLASS:
		return "operator class"
	case pg.ObjectType_OBJECT_OPFAMILY:
		return "operator family"
	case pg.ObjectType_OBJECT_TABCONSTRAINT, pg.ObjectType_OBJECT_DOMCONSTRAINT:
		return "constraint"
	case pg.ObjectType_OBJECT_LARGEOBJECT:
		return "large object"
	case pg.ObjectType_OBJECT_ATTRIBUTE:
		return "type"
	case pg.ObjectType_OBJECT_PARAMETER_ACL:
		return "parameter"
	}
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(t.String(), "OBJECT_")), "_", " ")
}
