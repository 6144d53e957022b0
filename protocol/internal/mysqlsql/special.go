package mysqlsql

import (
	"strings"

	"github.com/sallyport-dev/gateway/protocol"
)

// A specialForm is a kind of statement that the grammar lacks, by the words it
// begins with.
type specialForm struct {
	words string
	maria bool // MariaDB's own
	says  func(p *pass, r *reading) Statement
}

func specialForms() []specialForm {
	return []specialForm{
		{"BEGIN NOT ATOMIC", true, (*pass).compoundForm},
		{"IF", true, (*pass).compoundForm}, {"CASE", true, (*pass).compoundForm}, {"LOOP", true, (*pass).compoundForm},
		{"WHILE", true, (*pass).compoundForm}, {"REPEAT", true, (*pass).compoundForm}, {"FOR", true, (*pass).compoundForm},
		{"HANDLER", false, (*pass).handlerForm},
		{"EXECUTE IMMEDIATE", true, (*pass).immediateForm},
		{"EXECUTE", true, (*pass).executeForm},
		{"PREPARE", true, (*pass).prepareForm},
		{"GET", false, (*pass).diagnosticsForm},
		{"SIGNAL", false, (*pass).signalForm}, {"RESIGNAL", false, (*pass).signalForm},
		{"XA", false, controls("xa")},
		{"START TRANSACTION", false, controls("begin")},
		{"CHECK TABLE", false, maintains("check table")}, {"CHECK VIEW", true, maintains("check view")},
		{"CHECKSUM TABLE", false, maintains("checksum table")}, {"REPAIR", false, maintains("repair table")},
		{"OPTIMIZE", false, maintains("optimize table")}, {"ANALYZE TABLE", true, maintains("analyze table")},
		{"SHOW", false, (*pass).showForm},
		{"DELETE HISTORY", true, (*pass).historyForm},
		{"SET STATEMENT", true, (*pass).setStatementForm},
		{"CREATE", false, (*pass).createForm},
		{"DROP", false, (*pass).dropForm},
		{"ALTER PROCEDURE", false, (*pass).alterForm}, {"ALTER FUNCTION", false, (*pass).alterForm}, {"ALTER EVENT", false, (*pass).alterForm},
	}
}

func form(list []token, maria bool) func(*pass, *reading) Statement {
	if len(list) > 1 && list[1].symbol(':') && maria {
		return (*pass).compoundForm
	}
	w := writer{list: list}
	for _, f := range specialForms() {
		if (maria || !f.maria) && w.words(0, strings.Fields(f.words)...) {
			return f.says
		}
	}
	return nil
}

// special reports whether the statement is one of those that have a form of
// their own here.
func special(list []token, maria bool) bool { return form(list, maria) != nil }

// special says what such a statement does.
func (p *pass) special(u *unit) Statement {
	f := form(u.list, p.st.MariaDB)
	if f == nil {
		return opaque("this kind of statement is not known here")
	}
	return f(p, &reading{body: body{p: p, list: u.list, mode: u.mode}, u: u})
}

// A reading goes through the tokens of a special statement.
type reading struct {
	body
	u *unit
}

// object reads a name that may have a schema before it.
func (r *reading) object() (schema, name string) {
	name, ok := r.token(0).name()
	if !ok {
		r.fail("a name is missing")
	}
	r.i++
	if r.token(0).symbol('.') {
		schema = name
		name, _ = r.token(1).name()
		r.i += 2
	}
	return schema, name
}

// done is the statement if all of it was understood.
func (r *reading) done(s Statement) Statement {
	if r.token(0).symbol(';') {
		r.i++
	}
	if r.why == "" && r.i < len(r.list) {
		r.fail("something stands behind the statement")
	}
	if r.why != "" {
		return opaque(r.why)
	}
	return r.p.finish(s)
}

func controls(verb protocol.Verb) func(*pass, *reading) Statement {
	return func(p *pass, r *reading) Statement {
		p.control()
		s := Statement{Verb: verb, Bounded: true}
		if verb == "xa" && r.token(1).is("RECOVER") {
			s.Shape = protocol.Rows
		}
		r.until()
		return r.done(s)
	}
}

// maintains is a statement about tables that reports how it went.
func maintains(verb protocol.Verb) func(*pass, *reading) Statement {
	return func(p *pass, r *reading) Statement {
		for r.accept("CHECK", "CHECKSUM", "REPAIR", "OPTIMIZE", "ANALYZE", "NO_WRITE_TO_BINLOG", "LOCAL", "TABLE", "VIEW") {
			continue
		}
		p.access |= protocol.Admin
		p.notPure("it maintains tables")
		s := Statement{Verb: verb, Shape: protocol.Rows, Bounded: true, Changes: true}
		for {
			schema, name := r.object()
			p.object("table", p.qualified(schema, name), protocol.Admin)
			if !r.token(0).symbol(',') {
				break
			}
			r.i++
		}
		r.until()
		return r.done(s)
	}
}

// qualified returns a table's name with its schema.
func (p *pass) qualified(schema, name string) string {
	if schema == "" {
		schema = p.database
	}
	if p.st.Folded {
		schema, name = strings.ToLower(schema), strings.ToLower(name)
	}
	return schema + "." + name
}

// compoundForm is a block of statements that runs at once.
func (p *pass) compoundForm(r *reading) Statement {
	r.read()
	p.access |= protocol.Execute
	p.notPure("a block of statements")
	s := Statement{Verb: "begin not atomic", Shape: protocol.Rows, Many: true, Bounded: true}
	if r.why != "" {
		return opaque(r.why)
	}
	return p.finish(s)
}

// diagnosticsForm is GET DIAGNOSTICS: what the messages hold goes to variables.
func (p *pass) diagnosticsForm(r *reading) Statement {
	r.i++
	r.accept("CURRENT", "STACKED")
	r.expect("DIAGNOSTICS")
	p.control()
	if r.accept("CONDITION") {
		r.i++
	}
	told := p.messages()
	for _, list := range split(r.until()) {
		switch {
		case len(list) < 3 || !list[1].symbol('='):
			r.fail("a form of GET DIAGNOSTICS that is not known here")
		case list[0].kind == kindVariable:
			p.assign(variableKey(&list[0]), told)
		case !p.locals[variableKey(&list[0])]:
			r.fail("GET DIAGNOSTICS into a variable that nobody has declared")
		}
	}
	return r.done(Statement{Verb: "get diagnostics", Bounded: true})
}

func (p *pass) signalForm(r *reading) Statement {
	p.access |= protocol.Read // its message can tell of what a variable holds
	p.notPure("it raises an error")
	r.signal()
	return r.done(Statement{Verb: "signal", Bounded: true})
}

// historyForm removes old versions of rows.
func (p *pass) historyForm(r *reading) Statement {
	r.i += 2
	r.expect("FROM")
	schema, name := r.object()
	p.access |= protocol.Write
	p.written(p.table(tableName(schema, name), protocol.Write), nil)
	s := Statement{Verb: "delete history", Bounded: r.token(0).is("BEFORE")}
	if s.Bounded {
		r.expect("BEFORE")
		r.accept("SYSTEM_TIME")
		r.accept("TIMESTAMP", "TRANSACTION")
		r.expression(r.until())
	}
	return r.done(s)
}

// setStatementForm sets variables for one statement.
func (p *pass) setStatementForm(r *reading) Statement {
	r.i += 2
	for _, list := range split(r.until("FOR")) {
		if len(list) < 3 || !list[1].symbol('=') {
			return opaque("a form of SET STATEMENT that is not known here")
		}
		if _, ok := quiet[strings.ToLower(list[0].text)]; !ok {
			return opaque("SET STATEMENT of a variable that may change what the statement means")
		}
		if n := r.parsed(list[2:]); n != nil && !p.plainSetting(n) {
			return opaque("SET STATEMENT with a value that is computed") // and shown as a setting, or by an error
		}
	}
	r.expect("FOR")
	inner := unit{list: r.list[min(r.i, len(r.list)):], mode: r.mode}
	if r.token(0).is("SET") && r.token(1).is("STATEMENT") {
		return opaque("SET STATEMENT within another")
	}
	part, ok := rewrite(inner.list)
	if stmts, _ := p.a.parse(part.text, r.mode); ok && len(stmts) == 1 {
		inner.node, inner.part = stmts[0], part
	} else if !special(inner.list, true) || r.why != "" {
		return opaque("what stands behind SET STATEMENT does not parse")
	}
	return p.unit(&inner)
}
