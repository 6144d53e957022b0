package postgres

import (
	"slices"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/pgsql"
	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

// columnCache remembers what RowDescriptions of a session say, since clients
// run the same statements again and again. It is for one goroutine.
type columnCache struct {
	m map[string]columnEntry // by the body of the RowDescription
}

type columnEntry struct {
	stmt     *pgsql.Statement
	cat      *sql.Catalog
	cols     []protocol.Column
	foreseen bool
}

const maxCachedColumns = 256

// columns returns the columns that a RowDescription describes, with their
// sources: those that the analysis predicts and those that the target itself
// names. What the target says may only add sources. foreseen is false if that
// adds some to the reads that the analysis took for complete.
func (cc *columnCache) columns(body []byte, stmt *pgsql.Statement, cat *sql.Catalog) (cols []protocol.Column, foreseen bool, err error) {
	if e, ok := cc.m[string(body)]; ok && e.stmt == stmt && e.cat == cat {
		return e.cols, e.foreseen, nil
	}
	cols, foreseen, err = decodeColumns(body, stmt, cat)
	if err != nil {
		return nil, false, err
	}
	if len(body) > 4<<10 {
		return cols, foreseen, nil
	}
	if cc.m == nil || len(cc.m) >= maxCachedColumns {
		cc.m = map[string]columnEntry{}
	}
	cc.m[string(body)] = columnEntry{stmt, cat, cols, foreseen}
	return cols, foreseen, nil
}

func decodeColumns(body []byte, stmt *pgsql.Statement, cat *sql.Catalog) (cols []protocol.Column, foreseen bool, err error) {
	c := cursor{b: body}
	n := c.u16()
	if n*19 > len(c.b) {
		return nil, false, errMalformed
	}
	cols, foreseen = make([]protocol.Column, n), true
	var predicted []protocol.Column
	if stmt != nil && len(stmt.Columns) == n {
		predicted = stmt.Columns
	}
	for i := range cols {
		col := &cols[i]
		col.Name = string(c.str())
		rel, att := c.u32(), int16(c.u16())
		col.Type = c.u32()
		c.take(2 + 4) // type length and modifier
		col.Binary = c.u16() == 1
		col.TypeName = typeNameIn(cat, col.Type)
		if predicted != nil {
			col.Known = predicted[i].Known
			col.Sources = predicted[i].Sources
		}
		if rel == 0 {
			continue
		}
		if cat == nil {
			col.Known = false
			continue
		}
		for _, s := range cat.Sources(rel, att) {
			if s.Edge == protocol.EdgeUnknown { // such as a relation that the snapshot does not have
				col.Known = false
			}
			foreseen = foreseen && reads(stmt, s)
			if !slices.ContainsFunc(col.Sources, func(have protocol.Source) bool {
				return have.ColumnRef == s.ColumnRef && have.Path == s.Path && (have.Edge != protocol.EdgeNull || s.Edge == have.Edge)
			}) {
				col.Sources = append(slices.Clip(col.Sources), s)
			}
		}
	}
	return cols, foreseen, c.done()
}

// typeNameIn is typeName that also knows the types of extensions, such as citext.
func typeNameIn(cat *sql.Catalog, oid uint32) string {
	if cat != nil && oid >= sql.FirstUserOID {
		if t := cat.Type(oid); t != nil && t.Kind == 'b' && t.Trusted {
			return t.Name
		}
	}
	return typeName(oid)
}

// reads reports whether s is among the reads of stmt, or may be.
func reads(stmt *pgsql.Statement, s protocol.Source) bool {
	if stmt == nil || !stmt.ReadsKnown {
		return true
	}
	_, found := slices.BinarySearchFunc(stmt.Reads, s.ColumnRef, sql.CompareRef)
	return found
}

// withFormats returns cols as a Bind with the given result formats gets them.
func withFormats(cols []protocol.Column, formats []byte) []protocol.Column {
	same := true
	for i := range cols {
		same = same && cols[i].Binary == (format(formats, i) == 1)
	}
	if same {
		return cols
	}
	cols = slices.Clone(cols)
	for i := range cols {
		cols[i].Binary = format(formats, i) == 1
	}
	return cols
}
