package pgsql

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/sallyport-dev/gateway/protocol"
)

// node analyses a statement of any kind and returns its verb.
func (p *pass) node(n *pg.Node) protocol.Verb {
	switch x := n.GetNode().(type) {
	case *pg.Node_SelectStmt:
		return p.selectStmt(x.SelectStmt)
	case *pg.Node_InsertStmt:
		return p.dml("insert", n, x.InsertStmt.ReturningList)
	case *pg.Node_UpdateStmt:
		return p.dml("update", n, x.UpdateStmt.ReturningList)
	case *pg.Node_DeleteStmt:
		return p.dml("delete", n, x.DeleteStmt.ReturningList)
	case *pg.Node_MergeStmt:
		return p.dml("merge", n, x.MergeStmt.ReturningList)
	}
	// Literals in other commands are names, options and settings.
	p.literal = true
	p.notPure("not a query")
	switch x := n.GetNode().(type) {
	case *pg.Node_CopyStmt:
		return p.copyStmt(x.CopyStmt)
	case *pg.Node_ExplainStmt:
		return p.explain(x.ExplainStmt)
	case *pg.Node_PrepareStmt:
		return p.prepare(x.PrepareStmt)
	case *pg.Node_ExecuteStmt:
		p.exprs(x.ExecuteStmt.Params, &scope{})
		p.argsKnown = p.unknown == "" && len(p.reads.set) == 0
		p.follow(Execute, x.ExecuteStmt.Name)
		p.opaque("EXECUTE runs what was prepared as " + x.ExecuteStmt.Name)
		p.shape |= protocol.Rows
		return "execute"
	case *pg.Node_DeallocateStmt:
		p.control()
		p.follow(Deallocate, x.DeallocateStmt.Name)
		return "deallocate"
	case *pg.Node_DeclareCursorStmt:
		return p.declare(x.DeclareCursorStmt)
	case *pg.Node_FetchStmt:
		p.follow(Fetch, x.FetchStmt.Portalname)
		p.opaque("FETCH reads from the cursor " + x.FetchStmt.Portalname)
		p.shape |= protocol.Rows
		if x.FetchStmt.Ismove {
			return "move"
		}
		return "fetch"
	case *pg.Node_ClosePortalStmt:
		p.control()
		p.follow(CloseCursor, x.ClosePortalStmt.Portalname)
		return "close"
	case *pg.Node_TransactionStmt:
		return p.transaction(x.TransactionStmt)
	case *pg.Node_ConstraintsSetStmt:
		p.control()
		return "set constraints"
	case *pg.Node_VariableSetStmt:
		return p.set(x.VariableSetStmt)
	case *pg.Node_VariableShowStmt:
		return p.show(x.VariableShowStmt)
	case *pg.Node_DiscardStmt:
		return p.discard(x.DiscardStmt)
	case *pg.Node_ListenStmt:
		p.control()
		p.follow(Listen, x.ListenStmt.Conditionname)
		return "listen"
	case *pg.Node_UnlistenStmt:
		p.control()
		p.follow(Listen, x.UnlistenStmt.Conditionname)
		return "unlisten"
	case *pg.Node_NotifyStmt:
		p.control()
		p.follow(Notify, x.NotifyStmt.Conditionname)
		return "notify"
	case *pg.Node_LockStmt:
		p.control()
		for _, r := range x.LockStmt.Relations {
			p.subjects(r.GetRangeVar(), protocol.Control)
		}
		return "lock"
	case *pg.Node_CreateTableAsStmt:
		return p.createTableAs(x.CreateTableAsStmt)
	case *pg.Node_DoStmt:
		p.hidden("DO runs code")
		return "do"
	case *pg.Node_CallStmt:
		p.hidden("CALL runs a procedure")
		p.shape |= protocol.Rows
		p.call(x.CallStmt.Funccall, &scope{})
		return "call"
	case *pg.Node_TruncateStmt:
		p.access |= protocol.Write
		p.bounded = false
		for _, r := range x.TruncateStmt.Relations {
			it := p.target(r.GetRangeVar())
			p.write(it, r.GetRangeVar(), "")
		}
		p.unknown = ""
		return "truncate"
	case *pg.Node_RefreshMatViewStmt:
		return p.refresh(x.RefreshMatViewStmt)
	case *pg.Node_VacuumStmt:
		p.maintain()
		for _, r := range x.VacuumStmt.Rels {
			p.subjects(r.GetVacuumRelation().GetRelation(), protocol.Schema)
		}
		if x.VacuumStmt.IsVacuumcmd {
			return "vacuum"
		}
		return "analyze"
	case *pg.Node_CheckPointStmt:
		p.access |= protocol.Admin
		return "checkpoint"
	}
	if verb, ok := p.definition(n); ok {
		return verb
	}
	p.opaque("a statement of this kind is not understood")
	p.effect.Flags |= RunsCode | DDL
	return protocol.Unknown
}

func (p *pass) control() { p.access |= protocol.Control }

// follow notes an effect on something that has a name in the session.
func (p *pass) follow(f Flags, name string) {
	p.effect.Flags |= f
	p.effect.Name = name
}

func (p *pass) opaque(why string) {
	p.access |= protocol.Opaque
	p.notKnown(why)
	p.notPure(why)
}

// hidden is a command that runs code whose effect is not visible here.
func (p *pass) hidden(why string) {
	p.runs(why)
	p.notKnown(why)
}

// maintain is a command that works on how data is kept. It runs the functions
// of expression indexes.
func (p *pass) maintain() { p.access |= protocol.Schema }

// selectStmt is a query as a statement.
func (p *pass) selectStmt(x *pg.SelectStmt) protocol.Verb {
	p.access |= protocol.Read
	p.output(p.query(x, nil))
	left := x
	for left.Larg != nil {
		left = left.Larg
	}
	switch {
	case left.IntoClause != nil:
		p.shape, p.columns = 0, nil
		return "create table as"
	case x.Op == pg.SetOperation_SETOP_NONE && len(x.ValuesLists) > 0:
		return "values"
	default:
		return "select"
	}
}

// dml is a change of data as a statement.
func (p *pass) dml(verb protocol.Verb, n *pg.Node, returning []*pg.Node) protocol.Verb {
	rows := p.changing(n, nil)
	if len(returning) > 0 {
		p.output(rows)
	}
	return verb
}

// named are the effects that belong to Effect.Name. They stay with the
// statement that has the name: EXPLAIN EXECUTE a is no EXECUTE.
const named = Savepoint | Prepare | Execute | Deallocate | DeclareCursor | Fetch | CloseCursor | Listen | Notify

// nested analyses a statement within another and keeps it as the inner one.
// What it does counts for the outer statement if it runs.
func (p *pass) nested(n *pg.Node, runs bool) *Statement {
	outer := p.facts
	p.reset()
	st := p.finish(p.node(n))
	inner := p.facts
	p.facts = outer
	p.inner = &st
	for ref := range inner.reads.set {
		p.reads.add(ref)
	}
	p.resolved = p.resolved || st.Resolved
	if runs {
		p.tells.Add(st.Inferred, st.InferredKnown)
	}
	if inner.unknown != "" {
		p.notKnown(inner.unknown)
	}
	for _, o := range inner.objects {
		p.object(o.Kind, o.Name, o.Access)
	}
	if !st.Pure {
		p.notPure(inner.impure)
	}
	if !runs {
		return &st
	}
	p.access |= st.Access
	p.effect.Flags |= st.Effect.Flags &^ named
	if p.effect.Setting == "" {
		p.effect.Setting, p.effect.Values = st.Effect.Setting, st.Effect.Values
	}
	p.bounded = p.bounded && st.Bounded
	for ref := range inner.writes.set {
		p.writes.add(ref)
	}
	for ref := range inner.kept.set {
		p.kept.add(ref)
	}
	p.keptAny = p.keptAny || inner.keptAny
	return &st
}

func (p *pass) prepare(x *pg.PrepareStmt) protocol.Verb {
	in := p.nested(x.Query, false)
	for _, t := range x.Argtypes {
		typ, proven := p.typeOf(t.GetTypeName())
		if !proven {
			typ = 0
		}
		p.argument(in, typ)
	}
	p.follow(Prepare, x.Name)
	// Planning may run what is immutable and constant.
	p.access |= protocol.Control | in.Access&(protocol.Execute|protocol.Opaque)
	return "prepare"
}

func (p *pass) declare(x *pg.DeclareCursorStmt) protocol.Verb {
	in := p.nested(x.Query, true)
	p.follow(DeclareCursor, x.Portalname)
	const binary, hold = 0x1, 0x20 // CURSOR_OPT_BINARY, CURSOR_OPT_HOLD
	if x.Options&binary != 0 {
		p.effect.Flags |= Binary
	}
	if x.Options&hold != 0 {
		p.effect.Flags |= Hold
	}
	p.notPure("a cursor is opened")
	p.access |= in.Access
	return "declare"
}

func (p *pass) explain(x *pg.ExplainStmt) protocol.Verb {
	analyze := false
	for _, o := range x.Options {
		if d := o.GetDefElem(); d.GetDefname() == "analyze" {
			analyze = option(d)
		}
	}
	p.impure = p.mistrust
	in := p.nested(x.Query, analyze)
	p.tells.Add(in.Inferred, in.InferredKnown) // by how many rows it expects
	p.access |= protocol.Read
	if !analyze {
		// Planning may run what is immutable and constant.
		p.access |= in.Access & (protocol.Execute | protocol.Opaque)
		p.effect.Flags |= in.Effect.Flags & RunsCode
		if in.Access.Has(protocol.Write | protocol.Schema | protocol.Admin | protocol.Control) {
			p.notPure("what is explained changes something")
		}
	}
	p.shape |= protocol.Rows
	return "explain"
}

// option reads a boolean option: without a value it is on. What cannot be read
// counts as on.
func option(d *pg.DefElem) bool {
	switch v := d.GetArg().GetNode().(type) {
	case *pg.Node_Boolean:
		return v.Boolean.Boolval
	case *pg.Node_Integer:
		return v.Integer.Ival != 0
	case *pg.Node_String_:
		switch strings.ToLower(v.String_.Sval) {
		case "false", "off":
			return false
		}
	}
	return true
}

func (p *pass) createTableAs(x *pg.CreateTableAsStmt) protocol.Verb {
	p.nested(x.Query, true)
	p.access |= protocol.Write | protocol.Schema
	kind, verb := "table", protocol.Verb("create table as")
	if x.Objtype == pg.ObjectType_OBJECT_MATVIEW {
		kind, verb = "materialized view", "create materialized view"
	}
	p.define(x.GetInto().GetRel(), kind)
	return verb
}

func (p *pass) refresh(x *pg.RefreshMatViewStmt) protocol.Verb {
	p.access |= protocol.Write
	it := p.table(x.Relation, protocol.Write)
	p.write(it, x.Relation, "")
	if it.rel != nil && p.catalog() != nil {
		v := p.catalog().Expansion(it.rel, p.chain)
		p.access |= v.Access
		if v.Access.Has(protocol.Execute) {
			p.effect.Flags |= RunsCode
		}
	} else {
		p.hidden("what is refreshed is not known")
	}
	return "refresh materialized view"
}
