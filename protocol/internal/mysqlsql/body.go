package mysqlsql

import (
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"
	"github.com/pingcap/tidb/pkg/parser/mysql"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

// A body is the code of a routine, a trigger or a compound statement while it is
// analysed. What it does is the sum of what its statements do, whatever runs
// how often: each of its variables may hold whatever is read anywhere in it.
type body struct {
	p    *pass
	list []token
	i    int
	mode mysql.SQLMode
	why  string // why it is not known

	cursors map[string]*rowset
}

// compound reports whether a statement begins here that has others inside, so
// that a semicolon does not end it.
func compound(list []token) bool {
	at := func(i int) *token {
		if i < len(list) {
			return &list[i]
		}
		return &token{}
	}
	switch {
	case at(0).is("BEGIN") && at(1).is("NOT"), at(0).is("IF", "CASE", "LOOP", "WHILE", "REPEAT", "FOR"):
		return true
	case at(1).symbol(':'):
		return true
	case !at(0).is("CREATE"):
		return false
	}
	for i := 1; i < len(list) && i < 24; i++ {
		switch t := at(i); {
		case t.is("PROCEDURE", "FUNCTION", "TRIGGER", "EVENT", "PACKAGE"):
			return true
		case t.is("TABLE", "VIEW", "USER", "DATABASE", "SCHEMA", "INDEX", "SEQUENCE", "SERVER", "ROLE"), t.symbol(';'):
			return false
		}
	}
	return false
}

func (b *body) token(k int) *token {
	if b.i+k < len(b.list) {
		return &b.list[b.i+k]
	}
	return &token{}
}

func (b *body) fail(why string) {
	if b.why == "" {
		b.why = why
	}
	b.i = len(b.list)
}

// accept passes over a word if it is the next.
func (b *body) accept(words ...string) bool {
	if b.token(0).is(words...) {
		b.i++
		return true
	}
	return false
}

func (b *body) expect(words ...string) {
	for _, w := range words {
		if !b.accept(w) {
			b.fail("a body that is not understood near " + w)
			return
		}
	}
}

// end passes over the end of a statement.
func (b *body) end() {
	switch {
	case b.i >= len(b.list):
	case b.token(0).symbol(';'):
		b.i++
	default:
		b.fail("a body that is not understood")
	}
}

// until returns the tokens before the next of some words, or a semicolon, that
// stands outside of parentheses and of CASE.
func (b *body) until(words ...string) []token {
	depth, from := 0, b.i
	for ; b.i < len(b.list); b.i++ {
		t := b.token(0)
		switch {
		case t.symbol('('):
			depth++
		case t.symbol(')'):
			depth--
		case depth == 0 && (t.symbol(';') || t.is(words...)):
			return b.list[from:b.i]
		case t.is("CASE"):
			depth++
		case t.is("END"):
			depth--
		}
	}
	return b.list[from:b.i]
}

// expression reads an expression.
func (b *body) expression(list []token) sql.Value {
	n := b.parsed(list)
	if n == nil {
		return sql.Value{}
	}
	return b.p.expr(n, b.p.base)
}

// parsed returns an expression, nil if it does not parse.
func (b *body) parsed(list []token) ast.ExprNode {
	w := writer{list: list, part: &part{}}
	w.write(0, len(list), false)
	stmts, why := b.p.a.parse("SELECT ("+w.out.String()+")", b.mode)
	if w.failed || why != "" || len(stmts) != 1 {
		b.fail("an expression does not parse")
		return nil
	}
	sel, ok := stmts[0].(*ast.SelectStmt)
	if !ok || sel.Fields == nil || len(sel.Fields.Fields) != 1 || sel.Fields.Fields[0].Expr == nil || sel.From != nil {
		b.fail("an expression is not understood")
		return nil
	}
	return sel.Fields.Fields[0].Expr
}

// local makes the name of a variable known.
func (b *body) local(name string) {
	p := b.p
	if p.locals == nil {
		p.locals = map[string]bool{}
	}
	name = strings.ToLower(name)
	p.locals[name] = true
	p.base = &scope{parent: p.base, items: []*item{{rowset: rowset{cols: []col{{name, known, !certain(name)}}}}}}
}

// statements reads statements until one of some words.
func (b *body) statements(words ...string) {
	for b.i < len(b.list) && !b.token(0).is(words...) {
		b.statement()
		b.end()
	}
}

// statement reads one statement, without its semicolon.
func (b *body) statement() {
	defer b.p.deeper()()
	if b.token(1).symbol(':') { // a label
		b.i += 2
		if !b.token(0).is("BEGIN", "LOOP", "WHILE", "REPEAT", "FOR") {
			b.fail("a label that is not understood")
			return
		}
	}
	t := b.token(0)
	switch {
	case t.is("BEGIN"):
		b.i++
		if b.accept("NOT") {
			b.expect("ATOMIC")
		}
		b.statements("END")
		b.closed("")
	case t.is("DECLARE"):
		b.i++
		b.declare()
	case t.is("IF"):
		b.branches("IF", "THEN")
	case t.is("CASE"):
		b.i++
		if !b.token(0).is("WHEN") {
			b.expression(b.until("WHEN"))
		}
		for b.accept("WHEN") {
			b.expression(b.until("THEN"))
			b.expect("THEN")
			b.statements("WHEN", "ELSE", "END")
		}
		if b.accept("ELSE") {
			b.statements("END")
		}
		b.closed("CASE")
	case t.is("LOOP"):
		b.i++
		b.statements("END")
		b.closed("LOOP")
	case t.is("REPEAT"):
		b.i++
		b.statements("UNTIL")
		b.expect("UNTIL")
		b.expression(b.until("END"))
		b.closed("REPEAT")
	case t.is("WHILE"):
		b.branches("WHILE", "DO")
	case t.is("FOR"):
		b.forLoop()
	case t.is("LEAVE", "ITERATE", "OPEN", "CLOSE"):
		b.i += 2
		if t.is("OPEN") && b.token(0).symbol('(') {
			b.fail("a cursor with parameters")
		}
	case t.is("FETCH"):
		for _, v := range b.until() {
			if v.kind == kindVariable {
				b.fail("FETCH into a variable of the session")
			}
		}
	case t.is("RETURN"):
		b.i++
		b.expression(b.until())
	case t.is("SET"):
		b.i++
		b.set()
	case t.is("SIGNAL", "RESIGNAL"):
		b.signal()
	case t.is("EXPLAIN", "DESC", "DESCRIBE", "ANALYZE"):
		b.fail("EXPLAIN in a body")
	default:
		b.plain()
	}
}

// branches reads conditions with statements behind them: IF and WHILE.
func (b *body) branches(word, then string) {
	b.i++
	b.expression(b.until(then))
	b.expect(then)
	b.statements("ELSEIF", "ELSE", "END")
	for b.accept("ELSEIF") {
		b.expression(b.until("THEN"))
		b.expect("THEN")
		b.statements("ELSEIF", "ELSE", "END")
	}
	if b.accept("ELSE") {
		b.statements("END")
	}
	b.closed(word)
}

// closed passes over END and what belongs to it.
func (b *body) closed(word string) {
	b.expect("END")
	if word != "" {
		b.expect(word)
	}
	if t := b.token(0); !t.symbol(';') && !t.is("END", "ELSE", "ELSEIF", "WHEN", "UNTIL") {
		if _, ok := t.name(); ok {
			b.i++ // a label
		}
	}
}

func (b *body) declare() {
	name, ok := b.token(0).name()
	switch {
	case b.token(0).is("CONTINUE", "EXIT", "UNDO") && b.token(1).is("HANDLER"):
		for b.i < len(b.list) && !b.token(0).is("FOR") {
			b.i++
		}
		b.i++
		b.condition()
		for b.token(0).symbol(',') {
			b.i++
			b.condition()
		}
		b.statement()
	case b.token(1).is("CONDITION"):
		b.until()
	case b.token(1).is("CURSOR"):
		b.i += 2
		if !b.accept("FOR") {
			b.fail("a cursor with parameters")
			return
		}
		if r := b.query(b.until()); r != nil {
			if b.cursors == nil {
				b.cursors = map[string]*rowset{}
			}
			b.cursors[strings.ToLower(name)] = r
		}
	case ok:
		b.local(name)
		for b.i++; b.token(0).symbol(','); b.i += 2 {
			if name, ok = b.token(1).name(); !ok {
				b.fail("a declaration that is not understood")
				return
			}
			b.local(name)
		}
		if b.token(0).is("ROW", "TYPE") || b.token(1).symbol('.') {
			b.fail("a variable of a row's type")
			return
		}
		b.until("DEFAULT")
		if b.accept("DEFAULT") {
			b.expression(b.until())
		}
	default:
		b.fail("a declaration that is not understood")
	}
}

// condition passes over what a handler is for.
func (b *body) condition() {
	switch {
	case b.accept("SQLSTATE"):
		b.accept("VALUE")
	case b.accept("NOT"):
	}
	b.i++
}

// query reads a query.
func (b *body) query(list []token) *rowset {
	part, ok := rewrite(list)
	stmts, why := b.p.a.parse(part.text, b.mode)
	if !ok || why != "" || len(stmts) != 1 || len(part.into) > 0 || part.file {
		b.fail("a query in a body does not parse")
		return nil
	}
	switch stmts[0].(type) {
	case *ast.SelectStmt, *ast.SetOprStmt:
		return b.p.query(stmts[0], b.p.base)
	}
	b.fail("a query in a body is not understood")
	return nil
}

// forLoop reads FOR i IN 1..9 DO, and FOR r IN a query or a cursor DO.
func (b *body) forLoop() {
	b.i++
	name, ok := b.token(0).name()
	b.i++
	b.expect("IN")
	if !ok {
		b.fail("a loop that is not understood")
		return
	}
	b.accept("REVERSE")
	list := b.until("DO")
	b.expect("DO")
	base := b.p.base
	switch {
	case len(list) == 1 && list[0].kind != kindNumber:
		cursor, _ := list[0].name()
		r := b.cursors[strings.ToLower(cursor)]
		if r == nil {
			b.fail("a loop over a cursor that is not known")
			return
		}
		b.record(name, r)
	case len(list) > 2 && list[0].symbol('(') && list[len(list)-1].symbol(')') && list[1].is("SELECT", "WITH"):
		if r := b.query(list[1 : len(list)-1]); r != nil {
			b.record(name, r)
		}
	default:
		b.local(name)
		for k := range list {
			if list[k].kind != kindNumber && !list[k].symbol('.') {
				if _, named := list[k].name(); !named || !b.p.locals[strings.ToLower(list[k].text)] {
					b.fail("a loop whose bounds are not understood")
					return
				}
			}
		}
	}
	b.statements("END")
	b.closed("FOR")
	b.p.base = base
}

// record makes a row's fields known under a name.
func (b *body) record(name string, r *rowset) {
	it := &item{name: strings.ToLower(name), rowset: rowset{open: r.open}}
	for _, c := range r.cols {
		it.cols = append(it.cols, col{c.name, known, c.vague})
	}
	b.p.base = &scope{parent: b.p.base, items: []*item{it}}
}

// set reads the assignments of SET.
func (b *body) set() {
	for _, list := range split(b.until()) {
		i := 0
		for i < len(list) && !list[i].symbol('=') {
			i++
		}
		if i == 0 || i >= len(list)-1 {
			b.fail("SET in a body is not understood")
			return
		}
		value := list[i+1:]
		left := list[:i]
		if left[len(left)-1].symbol(':') {
			left = left[:len(left)-1]
		}
		name, ok := "", false
		if len(left) > 0 {
			name, ok = left[0].name()
		}
		name = strings.ToLower(name)
		switch {
		case len(left) == 1 && ok && b.p.locals[name]:
			b.expression(value)
		case len(left) == 1 && left[0].kind == kindVariable && !strings.HasPrefix(left[0].text, "@@"):
			b.p.assign(variableKey(&left[0]), b.expression(value))
		case len(left) == 3 && ok && left[1].symbol('.') && b.p.rowOf(name) != nil:
			b.expression(value)
			column, _ := left[2].name()
			b.p.written(b.p.rowOf(name), []string{column})
			b.p.access |= protocol.Write
		default:
			b.run(append([]token{{kind: kindWord, text: "SET", word: "SET"}}, list...))
		}
	}
}

// split cuts a list at the commas outside of parentheses.
func split(list []token) (out [][]token) {
	w := writer{list: list}
	for i := 0; i < len(list); {
		next := w.comma(i, len(list))
		out = append(out, list[i:next])
		i = next + 1
	}
	return out
}

// signal reads SIGNAL and RESIGNAL: what they tell comes from what is read.
func (b *body) signal() {
	b.until("SET")
	if !b.accept("SET") {
		return
	}
	for _, list := range split(b.until()) {
		if len(list) < 3 || !list[1].symbol('=') {
			b.fail("SIGNAL is not understood")
			return
		}
		n := b.parsed(list[2:])
		if n == nil {
			return
		}
		b.p.expr(n, b.p.base)
		if list[0].is("MYSQL_ERRNO") && !b.p.fixed(n) {
			b.p.sets = true // it is shown
		}
	}
}

// plain reads a statement that is one outside of bodies as well.
func (b *body) plain() {
	list := b.until()
	if len(list) == 0 {
		return
	}
	b.run(list)
}

func (b *body) run(list []token) {
	u := unit{list: list, mode: b.mode}
	part, ok := rewrite(list)
	if stmts, _ := b.p.a.parse(part.text, b.mode); ok && len(stmts) == 1 {
		u.node, u.part = stmts[0], part
	} else if !special(list, true) {
		b.fail("a statement in a body does not parse")
		return
	}
	s := b.p.unit(&u)
	switch {
	case s.Access&protocol.Opaque != 0:
		b.fail("a statement in a body is not known: " + s.Why)
	case s.Behind != "": // in the sql_mode and the database that the body has chosen by then
		b.fail("a text that runs in a body")
	}
	b.p.setsState = b.p.setsState || s.SetsState
	b.p.changes = b.p.changes || s.Changes
	b.p.unbounded = b.p.unbounded || !s.Bounded
}

// read reads the whole body and says whether it is known.
func (b *body) read() {
	b.statement()
	if b.token(0).symbol(';') {
		b.i++
	}
	if b.i < len(b.list) {
		b.fail("something stands behind the body")
	}
	p := b.p
	if p.sets && (len(p.reads) > 0 || p.unknown != "") {
		b.fail("a setting may hold what is read") // and shows it, also as the time or an id
	}
	if b.why != "" {
		p.access |= protocol.Execute
		p.notPure(b.why)
		p.notKnown(b.why)
		p.tells.Lost()
		p.setsState, p.changes = true, true
		if p.sets {
			p.access |= protocol.Write // it keeps there what it reads
		}
		p.effects.code, p.effects.lost = true, true
		return
	}
	// What its variables hold decides what it does.
	p.tells.Tell(p.everything(), protocol.HowComputed, b)
	// Which of the statements run is not followed: none may have.
	for name := range p.effects.prepares {
		p.effects.prepares[name] = nil
	}
	if p.effects.creates != nil || len(p.effects.drops)+len(p.effects.handlers) > 0 {
		p.effects.lost = true
	}
	p.effects.certain = nil
	// A variable may hold whatever has been read, and so may what LAST_INSERT_ID is given.
	for name := range p.assigned {
		p.assigned[name] = remembered{val: p.everything()}
	}
	if p.effects.keepsID {
		p.keepID(p.everything())
	}
}

// everything is what depends on all that was read.
func (p *pass) everything() sql.Value {
	return sql.Value{Known: p.unknown == "", Sources: p.reads.Through(protocol.EdgeOpaque)}
}

// rowOf returns the row that a trigger calls by a name, NEW or OLD.
func (p *pass) rowOf(name string) *item {
	if name != "new" && name != "old" {
		return nil
	}
	for s := p.base; s != nil; s = s.parent {
		for _, it := range s.items {
			if it.name == name {
				return it
			}
		}
	}
	return nil
}
