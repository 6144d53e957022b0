package mysqlsql

import (
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

// tableName returns a table's name as the grammar would.
func tableName(schema, name string) *ast.TableName {
	return &ast.TableName{Schema: ast.NewCIStr(schema), Name: ast.NewCIStr(name)}
}

// createForm creates what has code in it, or a table in words that the grammar
// lacks.
func (p *pass) createForm(r *reading) Statement {
	r.i++
	replaces := r.accept("OR")
	if replaces {
		r.expect("REPLACE")
	}
	if r.accept("DEFINER") {
		for r.i < len(r.list) && !r.token(0).is("PROCEDURE", "FUNCTION", "TRIGGER", "EVENT", "AGGREGATE", "SQL", "VIEW") {
			r.i++
		}
	}
	r.accept("AGGREGATE")
	kind := r.token(0)
	temporary := kind.is("TEMPORARY")
	if temporary {
		r.i++
		kind = r.token(0)
	}
	r.i++
	if r.accept("IF") {
		r.expect("NOT", "EXISTS")
	}
	s := Statement{Bounded: true, Changes: true}
	p.access |= protocol.Schema
	p.notPure("it changes definitions")
	switch {
	case kind.is("PROCEDURE"), kind.is("FUNCTION"):
		schema, name := r.object()
		s.Verb = "create procedure"
		if kind.is("FUNCTION") {
			s.Verb = "create function"
		}
		p.object(string(s.Verb[len("create "):]), p.qualified(schema, name), protocol.Schema)
		if !r.token(0).symbol('(') { // code in a library
			p.access |= protocol.Admin
			r.until()
			return r.done(s)
		}
		r.parameters()
		if r.accept("RETURNS") {
			r.until(append([]string{"RETURN", "BEGIN", "IF", "CASE"}, characteristics...)...)
		}
		r.characteristics()
	case kind.is("TRIGGER"):
		s.Verb = "create trigger"
		schema, name := r.object()
		p.object("trigger", p.qualified(schema, name), protocol.Schema)
		t := &routine{}
		for r.i < len(r.list) && !r.token(0).is("ON") {
			if r.token(0).is("INSERT", "UPDATE", "DELETE") {
				t.event = r.token(0).word
			}
			r.i++
		}
		r.expect("ON")
		tableSchema, table := r.object()
		if tableSchema == "" {
			tableSchema = schema
		}
		r.expect("FOR", "EACH", "ROW")
		if r.accept("FOLLOWS", "PRECEDES") {
			r.object()
		}
		n := tableName(tableSchema, table)
		_, _, t.table = p.relation(n)
		full := p.qualified(tableSchema, table)
		p.object("table", full, protocol.Schema)
		if t.table == nil || p.catalog == nil {
			return opaque("the table of a trigger is not known")
		}
		// What it copies is what somebody else's statement gives.
		t.event = "UPDATE"
		st := *p.st
		st.Catalog = func() *sql.Catalog { return p.catalog }
		p.st = &st
		p.triggered(t)
	case kind.is("EVENT"):
		s.Verb = "create event"
		schema, name := r.object()
		p.object("event", p.qualified(schema, name), protocol.Schema)
		for r.i < len(r.list) && !r.token(0).is("DO") {
			r.schedule()
		}
		r.expect("DO")
	case kind.is("TABLE"):
		if replaces {
			p.access |= protocol.Write
			s.Bounded = false
		}
		return p.createTable(r, s, temporary)
	default:
		return opaque("a form of CREATE that is not known here")
	}
	r.read()
	if r.why != "" {
		return opaque(r.why)
	}
	// Nothing of it runs now.
	p.effects, p.assigned, p.setsState = effects{}, nil, false
	p.access &^= protocol.Control
	return p.finish(s)
}

var characteristics = []string{"LANGUAGE", "NOT", "DETERMINISTIC", "CONTAINS", "NO", "READS", "MODIFIES", "SQL", "DATA", "SECURITY", "DEFINER", "INVOKER", "COMMENT"}

func (r *reading) characteristics() {
	for r.token(0).is(characteristics...) || r.token(0).kind == kindString {
		r.i++
	}
}

// parameters reads a list of parameters, whose names are variables.
func (r *reading) parameters() {
	w := writer{list: r.list}
	last := w.closing(r.i, len(r.list))
	if w.failed {
		r.fail("a list of parameters that is not understood")
		return
	}
	for _, list := range split(r.list[r.i+1 : last]) {
		if len(list) > 1 && list[0].is("IN", "OUT", "INOUT") {
			list = list[1:]
		}
		name, ok := list[0].name()
		if !ok {
			r.fail("a parameter that is not understood")
			return
		}
		r.local(name)
	}
	r.i = last + 1
}

// createTable is a table of columns whose types or options the grammar lacks.
// What would bring data with it is left to the grammar.
func (p *pass) createTable(r *reading, s Statement, temporary bool) Statement {
	s.Verb = "create table"
	schema, name := r.object()
	for i := r.i; i < len(r.list); i++ {
		if r.list[i].is("SELECT", "LIKE", "ENGINE", "UNION", "CONNECTION", "TABLE", "VALUES", "WITH") && !(r.list[i].is("WITH") && i+1 < len(r.list) && r.list[i+1].is("SYSTEM")) {
			return opaque("a form of CREATE TABLE that is not known here")
		}
		if r.list[i].is("REFERENCES") {
			at := reading{body: body{list: r.list, i: i + 1}}
			p.tellTable(tableName(at.object()), protocol.HowList)
		}
	}
	p.object("table", p.qualified(schema, name), protocol.Schema)
	ref, table, _ := p.relation(tableName(schema, name))
	p.writes = append(p.writes, protocol.ColumnRef{Schema: ref, Table: table, Column: "*"})
	if temporary {
		p.effects.lost = true
	}
	r.until()
	return r.done(s)
}

// alterForm changes what the grammar does not know, but not its code.
func (p *pass) alterForm(r *reading) Statement {
	kind := r.token(1)
	r.i += 2
	schema, name := r.object()
	word := strings.ToLower(kind.word)
	p.access |= protocol.Schema
	p.notPure("it changes definitions")
	p.object(word, p.qualified(schema, name), protocol.Schema)
	for r.i < len(r.list) && r.why == "" {
		if r.token(0).is("DO") {
			return opaque("a form of ALTER that is not known here")
		}
		r.schedule()
	}
	return r.done(Statement{Verb: protocol.Verb("alter " + word), Bounded: true, Changes: true})
}

// schedule reads when an event runs, which is shown, or passes over one word of
// something else.
func (r *reading) schedule() {
	if !r.accept("ON") || !r.accept("SCHEDULE") {
		r.i++
		return
	}
	behind := []string{"STARTS", "ENDS", "ON", "RENAME", "ENABLE", "DISABLE", "COMMENT", "DO"}
	if r.accept("EVERY") {
		list := r.until(behind...)
		r.expression(list[:max(len(list), 1)-1]) // without its unit
	}
	for r.accept("AT", "STARTS", "ENDS") {
		r.expression(r.until(behind...))
	}
}

// dropForm drops what the grammar does not know.
func (p *pass) dropForm(r *reading) Statement {
	r.i++
	r.accept("TEMPORARY")
	kind := r.token(0)
	if !kind.is("FUNCTION", "TRIGGER", "EVENT", "PACKAGE", "SERVER") {
		return opaque("a form of DROP that is not known here")
	}
	r.i++
	if kind.is("PACKAGE") {
		r.accept("BODY")
	}
	if r.accept("IF") {
		r.expect("EXISTS")
	}
	schema, name := r.object()
	word := map[string]string{"FUNCTION": "function", "TRIGGER": "trigger", "EVENT": "event", "PACKAGE": "package", "SERVER": "server"}[kind.word]
	p.access |= protocol.Schema
	if kind.is("SERVER") {
		p.access |= protocol.Admin
	}
	p.notPure("it changes definitions")
	p.object(word, p.qualified(schema, name), protocol.Schema)
	return r.done(Statement{Verb: protocol.Verb("drop " + word), Bounded: true, Changes: true})
}
