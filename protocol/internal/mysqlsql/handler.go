package mysqlsql

import (
	"strings"

	"github.com/sallyport-dev/gateway/protocol"
)

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
		as, ok := r.token(0).name()
		if !ok {
			as = name
		} else {
			r.i++
		}
		alias = strings.ToLower(as)
		p.control()
		it := p.table(tableName(schema, name), protocol.Read)
		it.name, it.schema = alias, ""
		if !certain(as) { // which it is the same as is the server's idea
			it = &item{name: alias, rowset: rowset{open: true}}
		}
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
		if it == nil || schema != "" || !certain(name) {
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
			if i > 0 { // by an index, whose columns are not known
				p.tellRows(&it.rowset, protocol.HowRange, it)
			}
		}
		if r.accept("WHERE") {
			if n := r.parsed(r.until("LIMIT")); n != nil {
				p.condition(n, in)
			}
		}
		r.until()
		p.base = base
		s.Columns = columns(&rowset{cols: it.shown(), open: it.open})
	default:
		return opaque("a form of HANDLER that is not known here")
	}
	return r.done(s)
}
