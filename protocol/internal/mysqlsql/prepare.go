package mysqlsql

import (
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

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
	p.effects.prepares[nameKey(name)] = known
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
		text = p.st.Memory.prepared[nameKey(name)]
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
