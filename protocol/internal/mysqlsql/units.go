package mysqlsql

import (
	"github.com/pingcap/tidb/pkg/parser/ast"
	"github.com/pingcap/tidb/pkg/parser/mysql"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

// A unit is one statement of a text: as the grammar has it, or as tokens where
// the grammar has no such thing.
type unit struct {
	text string // as it is fingerprinted
	node ast.StmtNode
	part part
	list []token
	mode mysql.SQLMode
}

// units returns the statements of a text without comments.
func (a *Analyzer) units(plain string, mode mysql.SQLMode, maria bool) (out []unit, why string) {
	stmts, why := a.parse(plain, mode)
	if why == "" {
		if len(stmts) > maxStatements {
			return nil, manyStatements
		}
		for _, n := range stmts {
			out = append(out, unit{text: n.Text(), node: n, mode: mode})
		}
		return out, ""
	}
	all, ok := tokens(plain, escaping(mode), quoting(mode))
	if !ok {
		return nil, why
	}
	for len(all) > 0 {
		list := all
		if !compound(all) {
			list = all[:semicolon(all, 0)]
		}
		all = all[min(len(all), len(list)+1):]
		if len(list) == 0 {
			continue
		}
		u := unit{text: plain[list[0].from:list[len(list)-1].to], list: list, mode: mode}
		p, ok := part{}, false
		if !compound(list) {
			p, ok = rewrite(list)
		}
		if stmts, _ := a.parse(p.text, mode); ok && len(stmts) == 1 {
			u.node, u.part = stmts[0], p
		} else if !special(list, maria) {
			return nil, why
		}
		if out = append(out, u); len(out) > maxStatements {
			return nil, manyStatements
		}
	}
	return out, ""
}

func escaping(mode mysql.SQLMode) bool { return mode&mysql.ModeNoBackslashEscapes == 0 }
func quoting(mode mysql.SQLMode) bool  { return mode&mysql.ModeANSIQuotes != 0 }

// semicolon returns where the statement at i ends.
func semicolon(list []token, i int) int {
	for ; i < len(list); i++ {
		if list[i].symbol(';') {
			return i
		}
	}
	return i
}

// unit says what one statement does.
func (p *pass) unit(u *unit) Statement {
	var s Statement
	p.literal = p.literal || u.list != nil // what is cut out may be anything
	if x, ok := u.node.(*ast.ExplainStmt); ok && u.part.runs {
		x.Analyze = true
	}
	p.portion = u.part.portion
	if u.node == nil {
		s = p.special(u)
	} else {
		s = p.statement(u.node)
		if u.part.text != "" {
			s = p.parted(u, s)
		}
	}
	return s
}

// parted adds what was taken out of a statement.
func (p *pass) parted(u *unit, s Statement) Statement {
	if s.Access&protocol.Opaque != 0 {
		return s
	}
	if u.part.returning != "" {
		p.returning(u, &s)
	}
	if len(u.part.into) > 0 {
		cols := s.Columns
		for i, name := range u.part.into {
			v := sql.Value{}
			if len(cols) == len(u.part.into) {
				v = sql.Value{Known: cols[i].Known, Sources: cols[i].Sources}
			}
			if p.locals[name] {
				continue
			}
			if name[0] != '@' {
				return opaque("INTO a variable that nobody has declared")
			}
			p.assign(name, v)
		}
		p.access |= protocol.Control
		p.notPure("it sets variables")
		s.Shape, s.Columns = 0, nil
	}
	if u.part.file {
		p.access |= protocol.Write | protocol.Admin
		p.notPure("it writes a file")
		s.Shape, s.Columns = 0, nil
	}
	if u.part.analyse {
		p.tells.Tell(p.everything(), protocol.HowComputed, u)
		s.Columns = nil
	}
	if x, ok := u.node.(*ast.ExplainStmt); ok && plainFormat(x.Format) && (u.part.runs || u.part.more != "") {
		names := "id select_type table type possible_keys key key_len ref rows filtered Extra"
		switch {
		case u.part.runs:
			names = "id select_type table type possible_keys key key_len ref rows r_rows filtered r_filtered Extra"
		case u.part.more == "PARTITIONS":
			names = "id select_type table partitions type possible_keys key key_len ref rows Extra"
		}
		s.Columns = p.columnsOf(names, "", known)
	}
	if u.part.runs {
		s.Verb = "analyze"
	}
	if u.part.alters {
		s.Verb = "alter view"
	}
	if u.part.replaces {
		p.access |= protocol.Write
		s.Bounded = false
	}
	return p.finish(s)
}

// returning adds what RETURNING returns: it sees the one table that is changed.
func (p *pass) returning(u *unit, s *Statement) {
	stmts, why := p.a.parse("SELECT "+u.part.returning, u.mode)
	if why != "" || len(stmts) != 1 || p.changed == nil {
		p.missing("what is returned")
		s.Shape = protocol.Rows
		return
	}
	sel, ok := stmts[0].(*ast.SelectStmt)
	if !ok || sel.Fields == nil || sel.From != nil || sel.OrderBy != nil || sel.Limit != nil {
		p.missing("what is returned")
		s.Shape = protocol.Rows
		return
	}
	out := &rowset{}
	for _, f := range sel.Fields.Fields {
		p.field(f, p.changed, out)
	}
	p.access |= protocol.Read
	s.Shape, s.Columns = protocol.Rows, columns(out)
}
