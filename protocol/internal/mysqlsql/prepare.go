package mysqlsql

import (
	"slices"

	"github.com/pingcap/tidb/pkg/parser/ast"

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

// arguments are what a statement is executed with that was prepared in SQL. Which of
// them go where is not followed.
type arguments struct {
	val  sql.Value
	vars []string // the user variables among them
}

func (a *arguments) add(p *pass, n ast.ExprNode) {
	a.val = join(a.val, p.expr(n, p.base))
	if v, ok := unparenthesised(n).(*ast.VariableExpr); ok && !v.IsSystem {
		a.vars = append(a.vars, nameKey(v.Name))
	}
}

// using reads the arguments of an execution.
func (r *reading) using() arguments {
	args := arguments{val: known}
	if !r.accept("USING") {
		return args
	}
	for _, list := range split(r.until()) {
		if n := r.parsed(list); n != nil {
			args.add(r.p, n)
		}
	}
	return args
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
func (p *pass) execute(name string, args arguments) Statement {
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
func (p *pass) run(verb protocol.Verb, text preparedText, args arguments) Statement {
	switch {
	case p.st.inner:
		return p.unclear(verb, "a statement that is prepared within another")
	case text.mode != p.st.Mode:
		return p.unclear(verb, "sql_mode has changed since it was prepared")
	case p.access&^protocol.Read != 0: // before the statement, which may read it
		return p.unclear(verb, "an argument that changes something")
	}
	st := *p.st
	st.inner, st.params, st.given, st.Database = true, args.val, args.vars, text.database
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
	p.computes(&one)
	return one
}

// computes adds to s what was read for its arguments, which may be in all that it
// leaves and tells: a definition, an error.
func (p *pass) computes(s *Statement) {
	p.tells.Add(s.Inferred, s.InferredKnown)
	s.Inferred, s.InferredKnown = p.tells.Sorted(), p.tells.Known()
	s.Numbers = p.withNumbers(s.Inferred, s.Numbers)
	if len(p.reads) == 0 && p.unknown == "" {
		return
	}
	s.Access |= protocol.Read
	s.Reads = sortedRefs(append(p.reads.Refs(), s.Reads...))
	s.ReadsKnown = s.ReadsKnown && p.unknown == ""
	s.Returned = nil
	s.Why = first(s.Why, p.unknown)
	if s.effects != nil {
		e := *s.effects
		e.messages = join(e.messages, p.everything())
		s.effects = &e
	}
}

func sortedRefs(refs []protocol.ColumnRef) []protocol.ColumnRef {
	slices.SortFunc(refs, sql.CompareRef)
	return slices.Compact(refs)
}
