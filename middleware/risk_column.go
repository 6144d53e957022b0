package middleware

import (
	"fmt"
	"strings"

	"github.com/sallyport-dev/gateway/protocol"
)

// A ColumnPattern describes base columns. The zero ColumnPattern matches no
// column that has a full name.
type ColumnPattern struct{ schema, table, column string }

// ParseColumnPattern reads schema.table.column, three [Glob] patterns. Case
// does not matter: most servers fold it, and a pattern that matches too much
// errs on the safe side.
func ParseColumnPattern(s string) (ColumnPattern, error) {
	parts := strings.Split(strings.ToLower(s), ".")
	if len(parts) != 3 || parts[0] == "" || parts[1] == "" || parts[2] == "" {
		return ColumnPattern{}, fmt.Errorf("column pattern %q: want schema.table.column, where * stands for any name", s)
	}
	return ColumnPattern{parts[0], parts[1], parts[2]}, nil
}

// Matches reports whether c may be a column that p describes: a whole row
// holds every column, and a part the connector could not name may be any.
func (p ColumnPattern) Matches(c protocol.ColumnRef) bool {
	return (c.Column == "*" || matchesPart(p.column, c.Column)) && p.matchesTable(&c)
}

func (p *ColumnPattern) matchesTable(c *protocol.ColumnRef) bool {
	return matchesPart(p.table, c.Table) && matchesPart(p.schema, c.Schema)
}

func matchesPart(pattern, name string) bool {
	return name == "" || Glob(pattern, strings.ToLower(name))
}
