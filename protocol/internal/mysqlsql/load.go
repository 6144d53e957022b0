package mysqlsql

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"

	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

// A Querier runs one query over a connection of the gateway's own and calls row
// for each row with the values as text; nil is NULL. The values are valid
// during the call only. An error of row ends the query and is returned.
type Querier interface {
	Query(ctx context.Context, text string, row func(values [][]byte) error) error
}

// maxRows bounds what is taken of any one table: a target that never stops
// sending must not fill the gateway's memory.
const maxRows = 5_000_000

const (
	tablesQuery  = "SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, ENGINE FROM information_schema.TABLES"
	columnsQuery = "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, GENERATION_EXPRESSION, COLUMN_DEFAULT, DATA_TYPE, EXTRA FROM information_schema.COLUMNS ORDER BY TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION"
	viewsQuery   = "SELECT TABLE_SCHEMA, TABLE_NAME, VIEW_DEFINITION FROM information_schema.VIEWS"
	triggerQuery = "SELECT EVENT_OBJECT_SCHEMA, EVENT_OBJECT_TABLE, TRIGGER_NAME, EVENT_MANIPULATION, SQL_MODE, ACTION_STATEMENT FROM information_schema.TRIGGERS"
	routineQuery = "SELECT ROUTINE_SCHEMA, ROUTINE_NAME, ROUTINE_TYPE, SQL_MODE, ROUTINE_DEFINITION FROM information_schema.ROUTINES"
	paramsQuery  = "SELECT SPECIFIC_SCHEMA, SPECIFIC_NAME, ROUTINE_TYPE, PARAMETER_NAME, PARAMETER_MODE FROM information_schema.PARAMETERS WHERE ORDINAL_POSITION > 0"
	plainQuery   = "SET SESSION sql_mode = '', sql_quote_show_create = 1"
)

// Load reads the definitions of all databases that the account of q sees. What
// it does not see is unknown to the analysis. The connection must not be a
// client's.
func (a *Analyzer) Load(ctx context.Context, q Querier, st State) (*sql.Catalog, error) {
	l := &loader{a: a, relations: map[[2]string]*sql.Relation{}}
	if err := q.Query(ctx, plainQuery, func([][]byte) error { return nil }); err != nil {
		return nil, err
	}
	for _, step := range []struct {
		query string
		width int
		row   func(v []string)
	}{
		{tablesQuery, 4, l.table},
		{columnsQuery, 7, l.column},
		{viewsQuery, 3, l.view},
		{triggerQuery, 6, l.trigger},
		{routineQuery, 5, l.routine},
		{paramsQuery, 5, l.param},
	} {
		n := 0
		h := sha256.New()
		err := q.Query(ctx, step.query, func(values [][]byte) error {
			if n++; len(values) != step.width || n > maxRows {
				return errors.New("the target's catalog is not as expected")
			}
			v := make([]string, len(values))
			for i := range values {
				v[i] = string(values[i])
				h.Write(append([]byte(v[i]), 0))
			}
			step.row(v)
			return nil
		})
		if err != nil {
			return nil, err
		}
		l.sum = h.Sum(l.sum)
	}
	key := sha256.Sum256(append(l.sum, st.words()...))
	copy(l.snapshot.Key[:], key[:])
	l.resolve()
	for _, r := range l.relations {
		l.snapshot.Relations = append(l.snapshot.Relations, r)
	}
	return sql.New(l.snapshot, expandView(a, st)), nil
}

// words returns what of a state views are expanded in.
func (st *State) words() []byte {
	b := []byte{byte(st.Version), byte(st.Version >> 8), byte(st.Version >> 16)}
	for _, f := range []bool{st.MariaDB, st.Folded} {
		if f {
			b = append(b, 1)
		}
		b = append(b, 0)
	}
	return b
}

type loader struct {
	a         *Analyzer
	relations map[[2]string]*sql.Relation
	snapshot  sql.Snapshot
	sum       []byte
	oid       uint32
	generated []generated
	routines  map[[3]string]*routine
}

// A generated column is computed from others of its row, always or by default.
type generated struct {
	r    *sql.Relation
	i    int
	expr string
}

// resolve finds the columns that generated ones are computed from, through others as
// well: all, where that cannot be read.
func (l *loader) resolve() {
	for _, g := range l.generated {
		var names []string
		if stmts, why := l.a.parse("SELECT "+g.expr, 0); why == "" && len(stmts) == 1 {
			names = columnsIn(stmts[0])
		}
		from := []int16{}
		for i := range g.r.Columns {
			if i != g.i && (names == nil || slices.Contains(names, strings.ToLower(g.r.Columns[i].Name))) {
				from = append(from, g.r.Columns[i].Num)
			}
		}
		g.r.Columns[g.i].From = from
	}
	for more := true; more; { // of those that are generated themselves, all that they are
		more = false
		for _, g := range l.generated {
			c := &g.r.Columns[g.i]
			for _, num := range c.From {
				for _, next := range g.r.Columns[num-1].From {
					if next != c.Num && !slices.Contains(c.From, next) {
						c.From, more = append(c.From, next), true
					}
				}
			}
		}
	}
}

// key returns a table's schema and name as they are looked up. Those of the
// server itself are not case sensitive.
func key(schema, name string) [2]string {
	if strings.EqualFold(schema, "information_schema") || strings.EqualFold(schema, "performance_schema") {
		return [2]string{strings.ToLower(schema), strings.ToUpper(name)}
	}
	return [2]string{schema, name}
}

func (l *loader) table(v []string) {
	k := key(v[0], v[1])
	l.oid++
	r := &sql.Relation{OID: sql.FirstUserOID + l.oid, Schema: k[0], Name: k[1], Kind: sql.Table}
	switch {
	case v[2] == "VIEW":
		r.Kind = sql.View
	case v[2] == "SEQUENCE":
		r.Kind = sql.Sequence
	case remote(v[3]):
		r.Kind, r.Unproven = sql.ForeignTable, "table "+k[0]+"."+k[1]+" shows what is elsewhere"
	}
	l.relations[k] = r
}

func (l *loader) column(v []string) {
	r := l.relations[key(v[0], v[1])]
	if r == nil {
		return
	}
	r.Columns = append(r.Columns, sql.Column{Num: int16(len(r.Columns) + 1), Name: v[2], Type: typeOf(v[5]), Hidden: strings.Contains(v[6], "INVISIBLE")})
	switch text := v[4]; {
	case v[3] != "":
		l.generated = append(l.generated, generated{r, len(r.Columns) - 1, v[3]})
	case strings.Contains(text, "@`"), strings.Contains(text, "@@"): // a user's variable is written with its quotes
		r.Rules = true
	case strings.Contains(text, "`"): // computed from other columns of the row
		l.generated = append(l.generated, generated{r, len(r.Columns) - 1, text})
	}
}

func (l *loader) view(v []string) {
	if r := l.relations[key(v[0], v[1])]; r != nil {
		r.Definition = v[2]
	}
}

func (l *loader) trigger(v []string) {
	if r := l.relations[key(v[0], v[1])]; r != nil {
		r.Triggers = "trigger " + v[2]
		r.Code = append(r.Code, &routine{schema: v[0], name: v[2], event: v[3], mode: v[4], text: v[5], table: r})
	}
}

func (l *loader) routine(v []string) {
	kind := byte('p')
	switch v[2] {
	case "FUNCTION":
		kind = 'f'
	case "PROCEDURE":
	default:
		return
	}
	r := &routine{schema: v[0], name: v[1], mode: v[3], text: v[4]}
	if l.routines == nil {
		l.routines = map[[3]string]*routine{}
	}
	l.routines[[3]string{v[0], v[1], v[2]}] = r
	l.snapshot.Functions = append(l.snapshot.Functions, &sql.Function{Schema: v[0], Name: strings.ToLower(v[1]), Kind: kind, Code: r})
}

func (l *loader) param(v []string) {
	if r := l.routines[[3]string{v[0], v[1], v[2]}]; r != nil {
		r.params = append(r.params, v[3])
		r.gives = r.gives || v[4] != "IN"
	}
}
