package querygen

import (
	"math/rand/v2"
	"strings"
)

// A Maker makes random queries. What it makes is mostly right; what the server
// refuses does not count.
type Maker struct {
	// Clean makes it use columns only that are not in [Masked] nor made of them,
	// and no views with others: to read a view is to read all that is in it.
	Clean bool

	r     *rand.Rand
	depth int
	flat  int // where windows may not stand
	names int
	reach []column // columns of all levels around
	ctes  []source
}

// A column is something that an expression can be made of.
type column struct {
	text string // how it is written
	typ  kind
}

type kind byte

const (
	text   kind = 't'
	number kind = 'n'
	json   kind = 'j'
)

// A source is what stands in FROM.
type source struct {
	text string
	cols []column
}

// New returns a Maker whose queries follow from seed.
func New(seed uint64) *Maker { return &Maker{r: rand.New(rand.NewPCG(seed, 13))} }

func (m *Maker) pick(list ...string) string { return list[m.r.IntN(len(list))] }
func (m *Maker) one(n int) bool             { return m.r.IntN(n) == 0 }

func (m *Maker) name(prefix string) string {
	m.names++
	return prefix + itoa(m.names)
}

// deeper bounds how deep things nest.
func (m *Maker) deeper() (end func(), ok bool) {
	m.depth++
	return func() { m.depth-- }, m.depth < 6
}

// plain makes something without windows of its own.
func (m *Maker) plain(f func() string) string {
	m.flat++
	defer func() { m.flat-- }()
	return f()
}

// of returns a column in reach of a kind.
func (m *Maker) of(k kind) (string, bool) {
	var list []string
	for _, c := range m.reach {
		if c.typ == k {
			list = append(list, c.text)
		}
	}
	if len(list) == 0 {
		return "", false
	}
	if n := len(list); n > 6 && !m.one(3) { // what is near is used more
		list = list[n-6:]
	}
	return m.pick(list...), true
}

// Text makes an expression of a text.
func (m *Maker) Text() string {
	end, ok := m.deeper()
	defer end()
	if c, have := m.of(text); have && (!ok || m.one(3)) {
		return c
	} else if !ok {
		return "'k'"
	}
	a := m.Text
	switch m.r.IntN(31) {
	case 0:
		return m.pick("UPPER", "LOWER", "REVERSE", "MD5", "TRIM", "LTRIM", "HEX", "QUOTE") + "(" + a() + ")"
	case 1:
		return "CONCAT(" + a() + ", " + a() + ")"
	case 2:
		return m.pick("COALESCE", "GREATEST", "LEAST", "IFNULL", "NULLIF", "NVL") + "(" + a() + ", " + a() + ")"
	case 3:
		return "CASE WHEN " + m.cond() + " THEN " + a() + " ELSE " + a() + " END"
	case 4:
		return "CASE " + a() + " WHEN " + a() + " THEN " + a() + " END"
	case 5:
		return m.scalar()
	case 6:
		return "ELT(" + m.pick("1", "2") + ", " + a() + ", " + a() + ")"
	case 7:
		return "CONCAT_WS('-', " + a() + ", " + m.any() + ")"
	case 8:
		return "CAST(" + a() + " AS " + m.pick("CHAR", "CHAR(3)", "BINARY", "VARCHAR(9)") + ")"
	case 9:
		return m.pick("SUBSTR(", "RIGHT(", "LEFT(", "MID(") + a() + ", 2" + ")"
	case 10:
		return m.pick("JSON_VALUE(", "JSON_EXTRACT(", "JSON_QUERY(") + m.json() + m.pick(", '$.k')", ", '$.l')", ", '$[0]')", ", '$.o')", ", '$.d.k')", ", '$.l[1].s')")
	case 11:
		return "CONVERT(" + a() + " USING " + m.pick("utf8mb4", "latin1") + ")"
	case 12:
		if m.flat > 0 {
			break
		}
		a := func() string { return m.plain(m.Text) }
		return m.pick("FIRST_VALUE", "LAST_VALUE", "LAG", "LEAD", "MAX", "MIN") + "(" + a() + ") OVER (" + m.pick("ORDER BY "+a(), "PARTITION BY "+a()+" ORDER BY 1") + ")"
	case 13:
		return "(SELECT GROUP_CONCAT(s" + m.pick("", " ORDER BY s", " ORDER BY s SEPARATOR ';'", " LIMIT 2") + ") FROM " + m.single(text, "s") + ")"
	case 14:
		return "(SELECT " + m.pick("MAX", "MIN") + "(s) FROM " + m.single(text, "s") + ")"
	case 15:
		return "REPLACE(" + a() + ", 'x', " + a() + ")"
	case 16:
		return "CAST(" + m.any() + " AS CHAR)"
	case 17:
		return "SUBSTRING_INDEX(" + a() + ", 'k', 1)"
	case 18:
		return "REGEXP_REPLACE(" + a() + ", '^.', 'x')"
	case 19:
		return "UNHEX(HEX(" + a() + "))"
	case 20:
		return "INSERT(" + a() + ", 1, 0, " + a() + ")"
	case 21:
		return "(" + a() + " COLLATE utf8mb4_general_ci)"
	case 22:
		return "JSON_UNQUOTE(JSON_EXTRACT(" + m.json() + ", '$.k'))"
	case 23:
		return m.pick("LPAD(", "RPAD(") + a() + ", 12, " + a() + ")"
	case 24:
		return "MAKE_SET(3, " + a() + ", " + a() + ")"
	case 25:
		return "IF(" + m.cond() + ", " + a() + ", " + a() + ")"
	case 26:
		return "FORMAT(" + m.number() + ", 2)"
	case 27:
		return "(SELECT c1 FROM (SELECT " + m.plain(a) + " AS c1 UNION ALL SELECT " + m.plain(a) + ") " + m.name("v") + " LIMIT 1)"
	case 28:
		if !m.Clean {
			return m.pick("mail_of(1)", "shout("+a()+")", "mail_of(name_of(1))")
		}
		return m.pick("name_of(1)", "shout("+a()+")")
	case 30: // a query that sees what is around it
		f := m.relation()
		reach := m.reach
		m.reach = append(reach[:len(reach):len(reach)], f.cols...)
		out := "(SELECT " + m.plain(a) + " FROM " + f.text + " LIMIT 1)"
		m.reach = reach
		return out
	case 29:
		return "NVL2(" + a() + ", " + a() + ", " + a() + ")"
	}
	if c, have := m.of(text); have {
		return c
	}
	return "'k'"
}

// number makes an expression of a number.
func (m *Maker) number() string {
	end, ok := m.deeper()
	defer end()
	if c, have := m.of(number); have && (!ok || m.one(2)) {
		return c
	} else if !ok {
		return "1"
	}
	switch m.r.IntN(9) {
	case 0:
		return "(" + m.number() + m.pick(" + ", " - ", " * ") + m.number() + ")"
	case 1:
		return "(SELECT " + m.pick("SUM", "MAX", "AVG", "MIN") + "(s) FROM " + m.single(number, "s") + ")"
	case 2:
		return m.pick("ABS", "ROUND", "CEIL", "-", "+") + "(" + m.number() + ")"
	case 3:
		return "CASE WHEN " + m.cond() + " THEN " + m.number() + " ELSE " + m.number() + " END"
	case 4:
		return m.pick("COALESCE", "GREATEST", "LEAST") + "(" + m.number() + ", " + m.number() + ")"
	case 5:
		if m.flat == 0 {
			return m.pick("SUM", "MAX", "MIN") + "(" + m.plain(m.number) + ") OVER ()"
		}
	case 6:
		return "CAST(JSON_VALUE(" + m.json() + ", '$.n') AS DECIMAL(20,2))"
	case 7:
		return "CAST(" + m.number() + " AS " + m.pick("DECIMAL(20,2)", "DOUBLE", "CHAR") + ")"
	}
	if c, have := m.of(number); have {
		return c
	}
	return "2"
}

// json makes an expression of a document.
func (m *Maker) json() string {
	end, ok := m.deeper()
	defer end()
	if c, have := m.of(json); have && (!ok || m.one(3)) {
		return c
	} else if !ok {
		return `'{"k":1}'`
	}
	switch m.r.IntN(7) {
	case 0:
		return "JSON_OBJECT('k', " + m.any() + ", 'n', " + m.number() + ")"
	case 1:
		return "JSON_ARRAY(" + m.any() + ", " + m.any() + ")"
	case 2:
		return "(SELECT JSON_ARRAYAGG(s) FROM " + m.single(text, "s") + ")"
	case 3:
		return m.pick("JSON_MERGE_PATCH(", "JSON_MERGE_PRESERVE(") + m.json() + ", " + m.json() + ")"
	case 4:
		return "JSON_SET(" + m.json() + ", '$.k', " + m.Text() + ")"
	case 5:
		return "JSON_EXTRACT(" + m.json() + ", " + m.pick("'$.k'", "'$.l'", "'$'", "'$.d'") + ")"
	}
	return "(SELECT JSON_OBJECTAGG(COALESCE(s, 'x'), s) FROM " + m.single(text, "s") + ")"
}

func (m *Maker) any() string { return m.kind([]kind{text, text, number, json}[m.r.IntN(4)]) }

func (m *Maker) kind(k kind) string {
	switch k {
	case number:
		return m.number()
	case json:
		return m.json()
	}
	return m.Text()
}

func (m *Maker) kinds(n int) (out []kind) {
	for range n {
		out = append(out, []kind{text, text, text, number, json}[m.r.IntN(5)])
	}
	return out
}

func (m *Maker) cond() string {
	end, ok := m.deeper()
	defer end()
	if !ok {
		return "TRUE"
	}
	switch m.r.IntN(8) {
	case 0:
		return m.Text() + " IS NOT NULL"
	case 1:
		return m.Text() + m.pick(" <> ", " = ", " < ", " LIKE ", " RLIKE ", " <=> ") + m.Text()
	case 2:
		return m.number() + m.pick(" <> ", " < ", " > ") + m.number()
	case 3:
		return "EXISTS (" + m.query(m.kinds(1)...) + ")"
	case 4:
		return m.Text() + m.pick(" IN (SELECT * FROM ", " NOT IN (SELECT * FROM ") + m.single(text, "s") + ")"
	case 5:
		return "(" + m.cond() + m.pick(" OR ", " AND ", " XOR ") + m.cond() + ")"
	case 6:
		return m.Text() + " BETWEEN " + m.Text() + " AND " + m.Text()
	}
	return "TRUE"
}

// named makes a derived table of a query whose columns get names: MariaDB has no
// list of them behind the table's own name.
func (m *Maker) named(q, as, cols string) string {
	w := m.name("y")
	return "(WITH " + w + "(" + cols + ") AS (" + q + ") SELECT * FROM " + w + ") " + as
}

// single makes a derived table of one column.
func (m *Maker) single(k kind, col string) string { return m.named(m.query(k), m.name("x"), col) }

// scalar is a query of one value.
func (m *Maker) scalar() string {
	return "(SELECT s FROM " + m.single(text, "s") + " LIMIT 1)"
}

// Query makes a query of n columns.
func (m *Maker) Query(n int) string { return m.query(m.kinds(n)...) }

func (m *Maker) query(kinds ...kind) string {
	end, ok := m.deeper()
	defer end()
	flat := m.flat
	m.flat = 0
	defer func() { m.flat = flat }()
	reach, ctes := m.reach, m.ctes
	defer func() { m.reach, m.ctes = reach, ctes }()
	if m.depth > 1 {
		m.reach = nil // MariaDB's derived tables see nothing around them
	}
	if ok {
		switch m.r.IntN(10) {
		case 0:
			return "(" + m.query(kinds...) + ") " + m.pick("UNION ALL", "UNION", "EXCEPT", "INTERSECT") + " (" + m.query(kinds...) + ")"
		case 1:
			row := func() string { return m.plain(func() string { return m.row(kinds) }) }
			return "SELECT * FROM " + m.named("SELECT "+row()+" UNION ALL SELECT "+row(), m.name("v"), bare(m.columns("v", kinds)))
		case 2:
			w := m.name("w")
			cols := m.columns(w, kinds)
			head := "WITH " + w + "(" + bare(cols) + ") AS (" + m.query(kinds...) + ") "
			m.ctes = append(m.ctes[:len(m.ctes):len(m.ctes)], source{w, cols})
			return head + "SELECT * FROM " + m.named(m.query(kinds...), m.name("x"), bare(m.columns("x", kinds)))
		case 3:
			w := m.name("w")
			cols := m.columns(w, kinds)
			step := append([]column(nil), cols...)
			for i := range step { // columns of one kind change places
				if k := m.r.IntN(len(step)); step[i].typ == step[k].typ {
					step[i], step[k] = step[k], step[i]
				}
			}
			return "WITH RECURSIVE " + w + "(" + bare(cols) + ") AS (" + m.query(kinds...) + " UNION SELECT " + written(step) + " FROM " + w + ") SELECT * FROM " + w
		case 4:
			w := m.name("x")
			cols := m.columns(w, kinds)
			q := m.query(kinds...)
			m.reach = cols
			return "SELECT " + written(cols) + " FROM " + m.named(q, w, bare(cols)) + m.pick(" GROUP BY "+written(cols), " ORDER BY "+cols[0].text+" DESC", "")
		case 5:
			var outs []string
			f := m.from()
			m.reach = f.cols
			for _, k := range kinds {
				outs = append(outs, m.plain(func() string { return m.aggregate(k) }))
			}
			return "SELECT " + strings.Join(outs, ", ") + " FROM " + f.text + m.pick("", " HAVING COUNT(*) > 0")
		}
	}
	f := m.from()
	m.reach = f.cols
	where := m.pick("", "", " WHERE "+m.plain(m.cond))
	tail := m.pick("", "", " LIMIT 3", " ORDER BY 1", " ORDER BY 1 LIMIT 2 OFFSET 1", " ORDER BY "+m.Text())
	if m.Clean && strings.Contains(tail, "LIMIT") {
		tail = "" // which of equal rows come first is the server's to choose, each time
	}
	var outs []string
	for _, k := range kinds {
		out := m.kind(k)
		if m.one(4) {
			out += " AS " + m.pick("email", "name", "town", "id", "`Mail`", "'x'", "x")
		}
		outs = append(outs, out)
	}
	return "SELECT " + m.pick("", "", "", "DISTINCT ", "ALL ") + strings.Join(outs, ", ") + " FROM " + f.text + where + tail
}

// aggregate makes an aggregate of a kind.
func (m *Maker) aggregate(k kind) string {
	switch k {
	case number:
		return m.pick("SUM(", "MAX(", "AVG(", "COUNT(", "MIN(", "BIT_OR(") + m.number() + ")"
	case json:
		return m.pick("JSON_ARRAYAGG("+m.any()+")", "JSON_OBJECTAGG('k', "+m.Text()+")")
	}
	return m.pick("MAX(", "MIN(", "GROUP_CONCAT(") + m.Text() + ")"
}

func (m *Maker) row(kinds []kind) string {
	var out []string
	for _, k := range kinds {
		out = append(out, m.kind(k))
	}
	return strings.Join(out, ", ")
}

// columns names columns of a source called as.
func (m *Maker) columns(as string, kinds []kind) (out []column) {
	for _, k := range kinds {
		out = append(out, column{as + "." + m.name("c"), k})
	}
	return out
}

func written(cols []column) string {
	var out []string
	for _, c := range cols {
		out = append(out, c.text)
	}
	return strings.Join(out, ", ")
}

func bare(cols []column) string {
	var out []string
	for _, c := range cols {
		out = append(out, c.text[strings.LastIndexByte(c.text, '.')+1:])
	}
	return strings.Join(out, ", ")
}

// relations are what the schema has: names, and columns as name:kind that are
// clean, and that are not.
var relations = [][3]string{
	{"people", "name:t town:t note:t id:n age:n", "email:t ssn:t born:t pay:n prefs:j handle:t"},
	{"sales", "item:t id:n total:n detail:j", ""},
	{"sales", "item:t total:n person:n", ""},
	{"visits", "page:t id:n person:n", "email:t"},
	{"visits PARTITION (p0)", "page:t id:n", "email:t"},
	// what is not apart
	{"contacts", "name:t id:n", "mail:t loud:t"},
	{"spend", "who:t item:t total:n", "mail:t"},
	{"summary", "town:t n:n", "top:t every:t"},
	{"cards", "label:t id:n JSON_VALUE($.o):t JSON_EXTRACT($.d):j JSON_VALUE($.d.k):t", "card:j JSON_VALUE($.k):t JSON_QUERY($.l):j JSON_EXTRACT($.l[1]):j"},
	{"boxes", "open:t id:n", "shut:t list:j card:j"},
	{"(TABLE people)", "name:t note:t age:n", "email:t ssn:t prefs:j"},
}

const apart = 5 // of the relations

// relation makes a source of a table or a view.
func (m *Maker) relation() source {
	list := relations
	if m.Clean {
		list = list[:apart]
	}
	r := list[m.r.IntN(len(list))]
	as := m.name("t")
	s := source{text: r[0] + " " + as}
	cols := r[1]
	if !m.Clean {
		cols += " " + r[2]
	}
	for f := range strings.FieldsSeq(cols) {
		name, k, _ := strings.Cut(f, ":")
		if f, path, ok := strings.Cut(name, "($"); ok {
			name = f + "(" + as + ".card, '$" + strings.TrimSuffix(path, ")") + "')"
		} else {
			name = as + "." + name
		}
		s.cols = append(s.cols, column{name, kind(k[0])})
	}
	return s
}

// from makes what stands in FROM.
func (m *Maker) from() source {
	end, ok := m.deeper()
	defer end()
	if !ok {
		return m.relation()
	}
	if len(m.ctes) > 0 && m.one(2) {
		c := m.ctes[m.r.IntN(len(m.ctes))]
		as := m.name("t")
		s := source{text: c.text + " " + as}
		for _, k := range c.cols {
			s.cols = append(s.cols, column{as + k.text[strings.LastIndexByte(k.text, '.'):], k.typ})
		}
		return s
	}
	switch m.r.IntN(9) {
	case 0:
		kinds := m.kinds(1 + m.r.IntN(3))
		as := m.name("x")
		cols := m.columns(as, kinds)
		return source{m.named(m.query(kinds...), as, bare(cols)), cols}
	case 1:
		l, r := m.from(), m.from()
		join := m.pick(" CROSS JOIN ", " NATURAL JOIN ", " NATURAL LEFT JOIN ", " NATURAL RIGHT JOIN ", ", ")
		if m.Clean {
			join = " CROSS JOIN " // the others compare columns with marks
		}
		return source{l.text + join + r.text, append(l.cols, r.cols...)}
	case 2:
		l, r := m.relation(), m.relation()
		on := " ON TRUE"
		for _, name := range []string{"name", "id", "email", "town"} {
			if has(l, name) && has(r, name) && on == " ON TRUE" {
				on = " USING (" + name + ")"
			}
		}
		return source{l.text + m.pick(" JOIN ", " LEFT JOIN ", " RIGHT JOIN ") + r.text + on, append(l.cols, r.cols...)}
	case 3:
		l := m.relation()
		reach := m.reach
		m.reach = l.cols
		m.flat++
		as := m.name("j")
		f := source{"JSON_TABLE(" + m.json() + ", " + m.pick("'$'", "'$[*]'", "'$.l[*]'") + " COLUMNS (o FOR ORDINALITY, k VARCHAR(80) PATH " + m.pick("'$.k'", "'$'") +
			", NESTED PATH '$.l[*]' COLUMNS (e VARCHAR(40) PATH '$'))) " + as, []column{{as + ".o", number}, {as + ".k", text}, {as + ".e", text}}}
		m.reach = reach
		m.flat--
		return source{l.text + m.pick(", ", " JOIN ", " CROSS JOIN ") + f.text, append(l.cols, f.cols...)}
	case 4:
		as := m.name("v")
		cols := []column{{as + ".a", text}, {as + ".b", number}}
		reach := m.reach
		m.reach = nil
		v := m.named("VALUES ("+m.plain(m.Text)+", 1), ('k', 2)", as, "a, b")
		m.reach = reach
		return source{v, cols}
	}
	return m.relation()
}

func has(s source, name string) bool {
	for _, c := range s.cols {
		if strings.HasSuffix(c.text, "."+name) {
			return true
		}
	}
	return false
}
