package pgsql

import (
	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/pgcopy"
)

func (p *pass) copyStmt(x *pg.CopyStmt) protocol.Verb {
	format, known := copyFormat(x.Options)
	if format.Kind == pgcopy.Binary {
		p.effect.Flags |= Binary
	}
	switch {
	case x.Query != nil:
		p.columns = p.nested(x.Query, true).Columns
	case x.Relation != nil:
		p.copyTable(x)
	}
	p.shape = 0
	switch {
	case x.IsProgram:
		p.access |= protocol.Execute | protocol.Admin
		p.effect.Flags |= CopyProgram | RunsCode
	case x.Filename != "":
		p.access |= protocol.Execute | protocol.Admin
		p.effect.Flags |= CopyFile
	case x.IsFrom:
		p.effect.Flags |= CopyIn
		p.shape |= protocol.Bytes
	default:
		p.effect.Flags |= CopyOut
		p.shape |= protocol.Bytes
		// The client's character set is read after the query has been planned,
		// which may run code that sets it.
		if known && (!format.Client() || p.access&(protocol.Execute|protocol.Opaque) == 0 && !p.effect.Has(RunsCode)) {
			p.shape |= protocol.Rows
			p.copies = &format
		}
	}
	return "copy"
}

// copyFormat reads the options of a COPY ... TO. known is false for those that are
// not understood, or that the server refuses.
func copyFormat(options []*pg.Node) (f pgcopy.Format, known bool) {
	given := map[string]string{}
	for _, o := range options {
		d := o.GetDefElem()
		name := d.GetDefname()
		if _, twice := given[name]; twice {
			return f, false
		}
		switch name {
		case "format", "delimiter", "null", "quote", "escape", "encoding":
			s, ok := d.GetArg().GetNode().(*pg.Node_String_)
			if !ok {
				return f, false
			}
			given[name] = s.String_.Sval
		case "header":
			given[name] = "false"
			if option(d) {
				given[name] = "true"
			}
		case "force_quote": // which fields are in quotes shows in them
			given[name] = ""
		default:
			return f, false
		}
	}
	switch given["format"] {
	case "", "text":
		f = pgcopy.Default(pgcopy.Text)
	case "csv":
		f = pgcopy.Default(pgcopy.CSV)
	case "binary":
		f = pgcopy.Default(pgcopy.Binary)
	default:
		return f, false
	}
	for name, to := range map[string]*byte{"delimiter": &f.Delimiter, "quote": &f.Quote, "escape": &f.Escape} {
		s, ok := given[name]
		switch {
		case !ok:
		case len(s) != 1 || *to == 0: // as where the format has none
			return f, false
		default:
			*to = s[0]
		}
	}
	if _, ok := given["escape"]; !ok && f.Kind == pgcopy.CSV {
		f.Escape = f.Quote
	}
	if s, ok := given["null"]; ok {
		f.Null = s
	}
	f.Header = given["header"] == "true"
	f.Encoding = given["encoding"]
	if f.Kind == pgcopy.Binary {
		delete(given, "format")
		delete(given, "encoding")
		return f, len(given) == 0
	}
	if f.Encoding != "" && !pgcopy.Legible(f.Encoding) {
		return f, false
	}
	return f, f.Valid()
}

// copyTable is COPY of a table itself.
func (p *pass) copyTable(x *pg.CopyStmt) {
	names := strs(x.Attlist)
	if x.IsFrom {
		p.access |= protocol.Write
		it := p.target(x.Relation)
		if len(names) == 0 {
			p.write(it, x.Relation, "")
		}
		for _, n := range names {
			p.write(it, x.Relation, n)
		}
		s := &scope{}
		s.add(one(it))
		p.condition(x.WhereClause, s)
		return
	}
	p.access |= protocol.Read
	it := p.table(x.Relation, protocol.Read)
	s := &scope{}
	s.add(one(it))
	out := rowset{open: it.open}
	if len(names) == 0 {
		if it.rel != nil {
			for i, c := range it.rel.Columns {
				if len(c.From) == 0 { // COPY leaves generated columns out
					p.use(it.cols[i].val)
					out.cols = append(out.cols, it.cols[i])
				}
			}
		}
	}
	for _, n := range names {
		out.cols = append(out.cols, col{n, p.plainColumn(n, s)})
	}
	p.output(out)
}
