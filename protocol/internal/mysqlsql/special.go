package mysqlsql

import (
	"strings"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/sql"
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

// handlerForm reads a table row by row, past the optimizer.
func (p *pass) handlerForm(r *reading) Statement {
	r.i++
	schema, name := r.object()
	alias := strings.ToLower(name)
	s := Statement{Verb: "handler", Bounded: true}
	p.remembers = true
	p.notPure("it keeps a table open")
	p.effects.handlers = map[string]*item{}
	switch {
	case r.accept("OPEN"):
		r.accept("AS")
		if as, ok := r.token(0).name(); ok {
			alias = strings.ToLower(as)
			r.i++
		}
		p.control()
		it := p.table(tableName(schema, name), protocol.Read)
		it.name, it.schema = alias, ""
		p.effects.handlers[alias] = it
	case r.accept("CLOSE"):
		p.control()
		p.effects.handlers[alias] = nil
	case r.accept("READ"):
		p.access |= protocol.Read
		s.Shape = protocol.Rows
		p.effects.handlers = nil
		var it *item
		if p.st.Memory != nil && !p.st.Memory.lost {
			it = p.st.Memory.handlers[alias]
		}
		if it == nil || schema != "" {
			p.notKnown("what handler " + name + " reads is not known")
			it = &item{name: alias, rowset: rowset{open: true}}
		}
		in := &scope{parent: p.base, items: []*item{it}, cols: it.cols, open: it.open}
		for _, c := range it.cols {
			p.use(c.val)
		}
		if it.open {
			p.notKnown("what handler " + name + " reads is not known")
		}
		base := p.base
		p.base = in
		for i, list := 0, r.until("WHERE", "LIMIT"); i < len(list); i++ {
			if list[i].symbol('(') { // what is looked for in an index
				r.expression(list[i:])
				break
			}
		}
		if r.accept("WHERE") {
			r.expression(r.until("LIMIT"))
		}
		r.until()
		p.base = base
		s.Columns = columns(&it.rowset)
	default:
		return opaque("a form of HANDLER that is not known here")
	}
	return r.done(s)
}

// immediateForm runs a text.
func (p *pass) immediateForm(r *reading) Statement {
	r.i += 2
	text := r.constantUntil("USING")
	args := r.using()
	if r.why != "" || text == nil {
		return p.unclear("execute", "the text that it runs is not known")
	}
	return p.run("execute", &struct{ text, database, mode string }{*text, p.database, p.st.Mode}, args)
}

// executeForm runs what was prepared, with arguments that are expressions.
func (p *pass) executeForm(r *reading) Statement {
	r.i++
	_, name := r.object()
	args := r.using()
	if r.why != "" {
		return opaque(r.why)
	}
	return p.execute(name, args)
}

// prepareForm prepares a text that is an expression.
func (p *pass) prepareForm(r *reading) Statement {
	r.i++
	_, name := r.object()
	r.expect("FROM")
	p.control()
	p.prepare(name, r.constantUntil())
	p.quotes()
	return r.done(Statement{Verb: "prepare", Bounded: true})
}

// constantUntil reads an expression and returns what it is, if that is known.
func (r *reading) constantUntil(words ...string) *string {
	n := r.parsed(r.until(words...))
	if n == nil {
		return nil
	}
	r.p.expr(n, r.p.base)
	return r.p.constant(n)
}

// using reads the arguments of an execution.
func (r *reading) using() sql.Value {
	v := known
	if !r.accept("USING") {
		return v
	}
	for _, list := range split(r.until()) {
		v = join(v, r.expression(list))
	}
	return v
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
			p.assign(variableName(list[0].text), told)
		case !p.locals[variableName(list[0].text)]:
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

// showForms are the forms of SHOW that the grammar lacks and that show
// definitions, settings and counters only.
var showForms = set(`package function procedure trigger event slave all replica replicas binary locales authors contributors
profiles storage table_statistics index_statistics client_statistics user_statistics create index indexes keys count session local global
status variables plugins generic`)

func (p *pass) showForm(r *reading) Statement {
	p.access |= protocol.Read
	s := Statement{Verb: "show", Shape: protocol.Rows, Bounded: true}
	second := r.token(1)
	if !within(showForms, second.text) || second.is("PROFILES", "ALL", "BINARY", "SLAVE", "REPLICA") && !r.token(2).is("STATUS", "HOSTS", "LOGS", "SLAVES") {
		p.notKnown("what it shows may be what others sent")
	}
	if second.is("CREATE") && r.token(2).is("USER") {
		p.notKnown("it shows a secret")
	}
	for i := range r.list {
		if r.list[i].is("SELECT", "CODE") {
			return opaque("a form of SHOW that is not known here")
		}
	}
	r.until("WHERE")
	if r.accept("WHERE") {
		base := p.base
		p.base = &scope{parent: base, open: p.unknown != "", shows: true}
		r.expression(r.until())
		p.base = base
	}
	return r.done(s)
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
		r.expression(list[2:])
	}
	r.expect("FOR")
	inner := unit{list: r.list[min(r.i, len(r.list)):], mode: r.mode}
	part, ok := rewrite(inner.list)
	if stmts, _ := p.a.parse(part.text, r.mode); ok && len(stmts) == 1 {
		inner.node, inner.part = stmts[0], part
	} else if !special(inner.list, true) || r.why != "" {
		return opaque("what stands behind SET STATEMENT does not parse")
	}
	return p.unit(&inner)
}
