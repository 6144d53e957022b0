package mysql

import (
	"slices"

	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/sallyport-dev/gateway/protocol"
)

// describeColumns returns the columns of a result of r with their sources:
// those that the analysis predicts and those that the target itself names. What
// the target says may only add sources: a derived table can be given the name
// of any table, and its columns those of any column.
func (c *session) describeColumns(r *run, defs [][]byte) ([]protocol.Column, []valueType, error) {
	cols := make([]protocol.Column, len(defs))
	types := make([]valueType, len(defs))
	var predicted []protocol.Column
	if len(r.stmt.Columns) == len(defs) && !r.stmt.Many {
		predicted = r.stmt.Columns
	}
	for i, def := range defs {
		m, err := decodeColumn(def, c.t.extended)
		if err != nil {
			return nil, nil, err
		}
		col := &cols[i]
		*col = protocol.Column{Name: string(m.name), Type: uint32(m.typ), TypeName: typeName(m)}
		types[i] = valueType{m.typ, m.flags&mysql.UNSIGNED_FLAG != 0}
		if predicted != nil {
			col.Known, col.Sources = predicted[i].Known, predicted[i].Sources
		}
		if len(m.schema) == 0 || len(m.orgTable) == 0 || len(m.orgName) == 0 {
			continue
		}
		for _, s := range c.catalog.sources(string(m.schema), string(m.orgTable), string(m.orgName)) {
			if !slices.ContainsFunc(col.Sources, func(have protocol.Source) bool { return have.ColumnRef == s.ColumnRef && have.Path == s.Path }) {
				col.Sources = append(slices.Clip(col.Sources), s)
			}
		}
	}
	return cols, types, nil
}

const charsetBinary = 63

// typeName returns the name of a column's type, as masks know it.
func typeName(m columnMsg) string {
	unsigned := ""
	if m.flags&mysql.UNSIGNED_FLAG != 0 {
		unsigned = " unsigned"
	}
	switch m.typ {
	case mysql.MYSQL_TYPE_TINY:
		return "tinyint" + unsigned
	case mysql.MYSQL_TYPE_SHORT:
		return "smallint" + unsigned
	case mysql.MYSQL_TYPE_INT24:
		return "mediumint" + unsigned
	case mysql.MYSQL_TYPE_LONG:
		return "int" + unsigned
	case mysql.MYSQL_TYPE_LONGLONG:
		return "bigint" + unsigned
	case mysql.MYSQL_TYPE_YEAR:
		return "year"
	case mysql.MYSQL_TYPE_FLOAT:
		return "float"
	case mysql.MYSQL_TYPE_DOUBLE:
		return "double"
	case mysql.MYSQL_TYPE_DECIMAL, mysql.MYSQL_TYPE_NEWDECIMAL:
		return "decimal"
	case mysql.MYSQL_TYPE_DATE, mysql.MYSQL_TYPE_NEWDATE:
		return "date"
	case mysql.MYSQL_TYPE_TIME, mysql.MYSQL_TYPE_TIME2:
		return "time"
	case mysql.MYSQL_TYPE_DATETIME, mysql.MYSQL_TYPE_DATETIME2:
		return "datetime"
	case mysql.MYSQL_TYPE_TIMESTAMP, mysql.MYSQL_TYPE_TIMESTAMP2:
		return "timestamp"
	case mysql.MYSQL_TYPE_JSON:
		return "json"
	case mysql.MYSQL_TYPE_BIT:
		return "bit"
	case mysql.MYSQL_TYPE_GEOMETRY:
		return "geometry"
	case mysql.MYSQL_TYPE_NULL:
		return "null"
	}
	switch {
	case m.json && !wide(m.charset):
		return "json"
	case m.uuid:
		return "uuid"
	case m.charset == charsetBinary:
		return "varbinary"
	case wide(m.charset):
		return "text in a wide character set"
	case m.flags&mysql.ENUM_FLAG != 0:
		return "enum"
	case m.flags&mysql.SET_FLAG != 0:
		return "set"
	}
	return "varchar"
}

// wide reports whether the collation belongs to a character set of which ASCII
// is no part: ucs2, utf16, utf16le and utf32.
func wide(collation uint16) bool {
	switch {
	case collation == 35, collation == 90, collation >= 128 && collation <= 151, collation == 159, // ucs2
		collation >= 54 && collation <= 56, collation == 62, collation >= 101 && collation <= 124, // utf16, utf16le
		collation == 60, collation == 61, collation >= 160 && collation <= 183: // utf32
		return true
	}
	return collation >= 512 && (collation < 2048 || collation >= 2560) // of MariaDB, which begins with utf8mb3 and utf8mb4
}
