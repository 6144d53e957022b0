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
	list   kind = 'l' // text[]
	json   kind = 'j'
	whole  kind = 'w' // a row
	comp   kind = 'c' // address
	other  kind = 'o'
)

// A source is what stands in FROM.
type source struct {
	text string
	cols []column
}

// has returns the column of a name.
func (s *source) has(name string) (column, bool) {
	for _, c := range s.cols {
		if strings.HasSuffix(c.text, "."+name) {
			return c, true
		}
	}
	return column{}, false
}

// New returns a Maker whose queries follow from seed.
func New(seed uint64) *Maker { return &Maker{r: rand.New(rand.NewPCG(seed, 11))} }

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
	// What is near is used more.
	if n := len(list); n > 6 && !m.one(3) {
		list = list[n-6:]
	}
	return m.pick(list...), true
}

// Text makes an expression of type text.
func (m *Maker) Text() string {
	end, ok := m.deeper()
	defer end()
	if c, have := m.of(text); have && (!ok || m.one(3)) {
		return c
	} else if !ok {
		return "'k'::text"
	}
	a := m.Text
	switch m.r.IntN(34) {
	case 0:
		return m.pick("upper", "lower", "reverse", "md5", "initcap", "trim", "ltrim") + "(" + a() + ")"
	case 1:
		return "(" + a() + " || " + a() + ")"
	case 2:
		return m.pick("coalesce", "greatest", "least", "concat", "nullif") + "(" + a() + ", " + a() + ")"
	case 3:
		return "CASE WHEN " + m.cond() + " THEN " + a() + " ELSE " + a() + " END"
	case 4:
		return "CASE " + a() + " WHEN " + a() + " THEN " + a() + " END"
	case 5:
		return m.scalar()
	case 6:
		return "(ARRAY[" + a() + ", " + a() + "])[" + m.pick("1", "2") + "]"
	case 7:
		return "array_to_string(" + m.list() + ", ',')"
	case 8:
		return "(" + a() + ")::" + m.pick("text", "varchar", "varchar(3)", "char(4)", "name")
	case 9:
		return m.pick("substr(", "right(", "left(") + a() + m.pick(", 2)", ", 1)")
	case 10:
		return "(" + m.json() + ")" + m.pick("->>'k'::text", "->>'n'", "#>>'{l,0}'", "->>0", "::text", "->>'o'", "#>>'{d,k}'", "->'l'->1->>'s'", "->'l'->1->>'t'")
	case 11:
		return "(" + a() + ` COLLATE "C")`
	case 12:
		if m.flat > 0 {
			break
		}
		a := func() string { return m.plain(m.Text) }
		return m.pick("first_value", "last_value", "lag", "lead", "max", "min") + "(" + a() + ") OVER (" + m.pick("", "ORDER BY "+a(), "PARTITION BY "+a()) + ")"
	case 13:
		return "(SELECT string_agg(s, ','" + m.pick("", " ORDER BY s") + ") FROM (" + m.subquery(text) + ") x(s))"
	case 14:
		return "(SELECT " + m.pick("max", "min") + "(s) FROM (" + m.subquery(text) + ") x(s))"
	case 15:
		return "format('%s/%s', " + a() + ", " + m.any() + ")"
	case 16:
		return "(" + m.any() + ")::text"
	case 17:
		return "split_part(" + a() + ", 'z', " + m.pick("1", "2") + ")"
	case 18:
		return "regexp_replace(" + a() + ", '.', 'x')"
	case 19:
		return "encode(convert_to(" + a() + ", 'UTF8'), " + m.pick("'hex'", "'escape'") + ")"
	case 20:
		return "translate(" + a() + ", 'ab', 'cd')"
	case 21:
		return "(" + m.list() + ")[" + m.pick("1", "2", "1:1") + "]" + m.pick("::text", "")
	case 22:
		if c, have := m.of(comp); have {
			return "(" + c + ")." + m.pick("street", "town")
		}
	case 23:
		if c, have := m.of(whole); have {
			return "(" + c + ")" + m.pick("::text", ".name", ".email", ".note", ".ssn")
		}
	case 24:
		return "xmlelement(name e, " + a() + ")::text"
	case 25:
		return "quote_nullable(" + a() + ")"
	case 26:
		return "(repeat('-', 2) || " + a() + ")"
	case 27:
		return "to_char(" + m.number() + ", '9999')"
	case 28:
		return "json_build_object('k', " + a() + ")->>'k'::text"
	case 29:
		return "ROW(" + a() + ", " + m.any() + ")::text"
	case 30:
		return "(SELECT c1 FROM (VALUES (" + m.plain(a) + "), (" + m.plain(a) + ")) v(c1) LIMIT 1)"
	case 31:
		return "coalesce(" + m.scalar() + ", " + a() + ")"
	case 32:
		if !m.Clean {
			return m.pick("mail_of(1)", "shout("+a()+")", "replace("+a()+", 'q', '')", "(SELECT string_agg(chr(ascii(c)), '') FROM regexp_split_to_table("+a()+", '') c)")
		}
	}
	if c, have := m.of(text); have {
		return c
	}
	return "'k'::text"
}

// number makes an expression of a numeric type.
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
		return "(" + m.number() + " " + m.pick("+", "-", "*") + " " + m.number() + ")"
	case 1:
		return "(SELECT " + m.pick("sum", "max", "avg", "min") + "(s) FROM (" + m.subquery(number) + ") x(s))"
	case 2:
		return m.pick("abs", "round", "ceil", "-", "+") + "(" + m.number() + ")"
	case 3:
		return "CASE WHEN " + m.cond() + " THEN " + m.number() + " ELSE " + m.number() + " END"
	case 4:
		return m.pick("coalesce", "greatest", "least") + "(" + m.number() + ", " + m.number() + ")"
	case 5:
		if m.flat == 0 {
			return m.pick("sum", "max", "min") + "(" + m.plain(m.number) + ") OVER ()"
		}
	case 6:
		return "(" + m.json() + "->>'n')::numeric"
	case 7:
		return "(" + m.number() + ")::" + m.pick("numeric", "float8", "text::numeric")
	}
	if c, have := m.of(number); have {
		return c
	}
	return "2"
}

// list makes an expression of type text[].
func (m *Maker) list() string {
	end, ok := m.deeper()
	defer end()
	if c, have := m.of(list); have && (!ok || m.one(2)) {
		return c
	} else if !ok {
		return "ARRAY['k']"
	}
	switch m.r.IntN(8) {
	case 0:
		return "ARRAY(" + m.subquery(text) + ")"
	case 1:
		return "ARRAY[" + m.Text() + ", " + m.Text() + "]"
	case 2:
		return "array_append(" + m.list() + ", " + m.Text() + ")"
	case 3:
		return "(" + m.list() + " || " + m.list() + ")"
	case 4:
		return "string_to_array(" + m.Text() + ", 'k')"
	case 5:
		return "(SELECT array_agg(s) FROM (" + m.subquery(text) + ") x(s))"
	case 6:
		return "regexp_split_to_array(" + m.Text() + ", '')"
	}
	return "array_remove(" + m.list() + ", 'k')"
}

// json makes an expression of type jsonb.
func (m *Maker) json() string {
	end, ok := m.deeper()
	defer end()
	if c, have := m.of(json); have && (!ok || m.one(3)) {
		return c
	} else if !ok {
		return `'{"k":1}'::jsonb`
	}
	switch m.r.IntN(11) {
	case 0:
		return "to_jsonb(" + m.any() + ")"
	case 1:
		return "jsonb_build_object('k', " + m.any() + ", 'n', " + m.number() + ")"
	case 2:
		return "jsonb_build_array(" + m.any() + ", " + m.any() + ")"
	case 3:
		if c, have := m.of(whole); have {
			return m.pick("to_jsonb(", "row_to_json(") + c + ")::jsonb"
		}
	case 4:
		return "(SELECT jsonb_agg(s) FROM (" + m.subquery(text) + ") x(s))"
	case 5:
		return "(" + m.json() + " || " + m.json() + ")"
	case 6:
		return "(" + m.json() + ")->" + m.pick("'k'::text", "0", "'l'", "'d'")
	case 7:
		return "jsonb_set(" + m.json() + ", '{k}', to_jsonb(" + m.Text() + "))"
	case 8:
		return "jsonb_path_query_first(" + m.json() + ", '$.k')"
	case 9:
		return "(SELECT jsonb_object_agg(coalesce(s, 'x'), s) FROM (" + m.subquery(text) + ") x(s))"
	}
	return "(SELECT to_jsonb(x) FROM (" + m.query(m.kinds(2)...) + ") x(a, b) LIMIT 1)"
}

// any makes an expression of any type.
func (m *Maker) any() string {
	switch m.r.IntN(9) {
	case 0:
		return m.number()
	case 1:
		return m.list()
	case 2:
		return m.json()
	case 3, 4:
		for _, k := range []kind{whole, comp, other} {
			if c, have := m.of(k); have && m.one(2) {
				return c
			}
		}
	}
	return m.Text()
}

func (m *Maker) kind(k kind) string {
	switch k {
	case text:
		return m.Text()
	case number:
		return m.number()
	case list:
		return m.list()
	case json:
		return m.json()
	}
	return m.any()
}

func (m *Maker) kinds(n int) (out []kind) {
	for range n {
		out = append(out, []kind{text, text, text, number, list, json}[m.r.IntN(6)])
	}
	return out
}

func (m *Maker) cond() string {
	end, ok := m.deeper()
	defer end()
	if !ok {
		return "true"
	}
	switch m.r.IntN(10) {
	case 0:
		return m.Text() + " IS NOT NULL"
	case 1:
		return m.Text() + " " + m.pick("<>", "=", "<", ">=", "LIKE", "~") + " " + m.Text()
	case 2:
		return m.number() + " " + m.pick("<>", "<", ">") + " " + m.number()
	case 3:
		return "EXISTS (" + m.query(m.kinds(1)...) + ")"
	case 4:
		return m.Text() + m.pick(" IN (", " NOT IN (") + m.subquery(text) + ")"
	case 5:
		return m.Text() + " = ANY (" + m.list() + ")"
	case 6:
		return "(" + m.cond() + m.pick(" OR ", " AND ") + m.cond() + ")"
	case 7:
		return m.Text() + " BETWEEN " + m.Text() + " AND " + m.Text()
	case 8:
		return "(" + m.Text() + ", " + m.number() + ") IN (" + m.query(text, number) + ")"
	}
	return "true"
}

// scalar is a query of one value.
func (m *Maker) scalar() string {
	q := m.subquery(text)
	if m.one(2) && strings.HasPrefix(q, "SELECT") && !strings.Contains(q, " LIMIT ") && !strings.Contains(q, " FETCH ") && !strings.Contains(q, " OFFSET ") {
		return "(" + q + " LIMIT 1)"
	}
	return "(SELECT s FROM (" + q + ") " + m.name("x") + "(s) LIMIT 1)"
}

// subquery is a query of one column of a kind; it sees what is around it.
func (m *Maker) subquery(k kind) string { return m.query(k) }

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
	if ok {
		switch m.r.IntN(12) {
		case 0:
			return "(" + m.query(kinds...) + ") " + m.pick("UNION ALL", "UNION", "EXCEPT", "INTERSECT", "EXCEPT ALL") + " (" + m.query(kinds...) + ")"
		case 1:
			row := func() string { return m.plain(func() string { return m.row(kinds) }) }
			return "SELECT * FROM (VALUES (" + row() + "), (" + row() + ")) " + m.name("v")
		case 2:
			w := m.name("w")
			cols := m.columns(w, kinds)
			body := m.query(kinds...)
			head := "WITH " + w + "(" + bare(cols) + ") AS " + m.pick("", "MATERIALIZED ", "NOT MATERIALIZED ") + "(" + body + ") "
			m.ctes = append(m.ctes[:len(m.ctes):len(m.ctes)], source{w, cols})
			return head + "SELECT * FROM (" + m.query(kinds...) + ") " + m.name("x")
		case 3:
			w := m.name("w")
			cols := m.columns(w, kinds)
			body := m.query(kinds...)
			step := append([]column(nil), cols...)
			for i := range step { // columns of one kind change places
				k := m.r.IntN(len(step))
				if step[i].typ == step[k].typ {
					step[i], step[k] = step[k], step[i]
				}
			}
			return "WITH RECURSIVE " + w + "(" + bare(cols) + ") AS (SELECT * FROM (" + body + ") " + m.name("x") + " UNION SELECT " + written(step) + " FROM " + w + ") SELECT * FROM " + w
		case 4:
			w := m.name("x")
			return "SELECT " + w + ".* FROM (" + m.query(kinds...) + ") " + w
		case 5:
			w := m.name("x")
			cols := m.columns(w, kinds)
			m.reach = append(m.reach[:len(m.reach):len(m.reach)], cols...)
			tail := m.pick(" GROUP BY "+written(cols), " GROUP BY ROLLUP("+written(cols)+")", " ORDER BY "+cols[0].text+" DESC", "")
			return "SELECT " + written(cols) + " FROM (" + m.query(kinds...) + ") " + w + "(" + bare(cols) + ")" + tail
		case 6:
			var outs []string
			f := m.from()
			m.reach = append(m.reach[:len(m.reach):len(m.reach)], f.cols...)
			for _, k := range kinds {
				outs = append(outs, m.plain(func() string { return m.aggregate(k) }))
			}
			return "SELECT " + strings.Join(outs, ", ") + " FROM " + f.text + m.pick("", " HAVING count(*) > 0")
		}
	}
	f := m.from()
	if m.one(3) && len(f.cols) > 0 {
		m.reach = f.cols
	} else {
		m.reach = append(m.reach[:len(m.reach):len(m.reach)], f.cols...)
	}
	where := m.pick("", "", " WHERE "+m.plain(m.cond))
	tail := m.pick("", "", " LIMIT 3", " ORDER BY 1", " OFFSET 0", " ORDER BY "+m.Text(), " FETCH FIRST 2 ROWS ONLY")
	var outs []string
	for _, k := range kinds {
		out := m.kind(k)
		if m.one(4) {
			out += " AS " + m.pick("email", "name", "town", "id", `"Mail"`, "x")
		}
		outs = append(outs, out)
	}
	distinct := m.pick("", "", "", "DISTINCT ", "ALL ")
	if distinct == "DISTINCT " && strings.HasPrefix(tail, " ORDER BY ") {
		tail = " ORDER BY 1"
	}
	return "SELECT " + distinct + strings.Join(outs, ", ") + " FROM " + f.text + where + tail
}

// aggregate makes an aggregate of a kind.
func (m *Maker) aggregate(k kind) string {
	filter := m.pick("", "", " FILTER (WHERE "+m.cond()+")")
	switch k {
	case text:
		a := m.Text()
		return m.pick("max("+a+")", "min("+a+")", "string_agg("+a+", ',')", "mode() WITHIN GROUP (ORDER BY "+a+")") + filter
	case number:
		return m.pick("sum(", "max(", "avg(", "count(", "min(") + m.number() + ")" + filter
	case list:
		return "array_agg(" + m.Text() + ")" + filter
	}
	return "jsonb_agg(" + m.any() + ")" + filter
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

// A relation is what the schema has.
type relation struct {
	name  string
	clean string // columns as name:kind
	dirty string
}

var relations = []relation{
	{"people", "name:t town:t note:t id:n age:n m:o", "email:t ssn:t born:o pay:n prefs:j tags:l home:c handle:t *:w"},
	{"only people", "name:t town:t id:n", "email:t pay:n home:c *:w"},
	{"staff", "title:t name:t town:t", "email:t born:o tags:l *:w"},
	{"sales", "item:t id:n total:n detail:j labels:l *:w", ""},
	{"sales", "item:t total:n person:n", ""},
	{"visits", "page:t id:n person:n", "email:t *:w"},
	{"visits_2", "page:t id:n", "email:t"},
	// what is not apart
	{"contacts", "name:t id:n", "mail:t loud:t home:c *:w"},
	{"spend", "who:t item:t total:n", "mail:t *:w"},
	{"entire", "name:t", "whole:w *:w"},
	{"summary", "town:t n:n", "top:t all_ssn:l *:w"},
	{"cards", "label:t id:n card->>'o':t card->'d':j card#>>'{d,k}':t", "card:j card->>'k':t card->'l':j card['l'][1]:j *:w"},
	{"boxes", "open:t id:n", "shut:t list:j card:j *:w"},
	{"(table people)", "name:t note:t age:n", "email:t ssn:t prefs:j *:w"},
}

const apart = 7 // of the relations

// relation makes a source of a table or a view.
func (m *Maker) relation() source {
	list := relations
	if m.Clean {
		list = list[:apart]
	}
	r := list[m.r.IntN(len(list))]
	as := m.name("t")
	s := source{text: r.name + " " + as}
	cols := r.clean
	if !m.Clean {
		cols += " " + r.dirty
	}
	for f := range strings.FieldsSeq(cols) {
		name, k, _ := strings.Cut(f, ":")
		if name == "*" {
			s.cols = append(s.cols, column{as, whole})
			continue
		}
		name = as + "." + name
		if strings.ContainsAny(name, "-#[") {
			name = "(" + name + ")"
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
	switch m.r.IntN(13) {
	case 0:
		kinds := m.kinds(1 + m.r.IntN(3))
		as := m.name("x")
		reach := m.reach
		m.reach = nil // no LATERAL
		q := m.query(kinds...)
		m.reach = reach
		cols := m.columns(as, kinds)
		return source{"(" + q + ") " + as + "(" + bare(cols) + ")", cols}
	case 1:
		l, r := m.from(), m.from()
		join := m.pick(" CROSS JOIN ", " NATURAL JOIN ", " NATURAL FULL JOIN ", " NATURAL LEFT JOIN ")
		if m.Clean {
			join = " CROSS JOIN " // the others compare columns with marks
		}
		return source{l.text + join + r.text, append(l.cols, r.cols...)}
	case 2:
		l, r := m.from(), m.from()
		cols := append(l.cols, r.cols...)
		on := " ON true"
		if m.one(2) {
			l, r = m.relation(), m.relation()
			cols = append(l.cols, r.cols...)
			for _, name := range []string{"name", "id", "email", "town"} {
				if c, ok := l.has(name); ok && on == " ON true" {
					if _, ok := r.has(name); ok {
						on = " USING (" + name + ")" + m.pick("", " AS "+m.name("ju"))
						cols = append(cols, column{name, c.typ})
					}
				}
			}
		}
		return source{l.text + m.pick(" JOIN ", " LEFT JOIN ", " FULL JOIN ") + r.text + on, cols}
	case 3:
		l := m.from()
		reach := m.reach
		m.reach = append(m.reach[:len(m.reach):len(m.reach)], l.cols...)
		kinds := m.kinds(1 + m.r.IntN(2))
		q := m.query(kinds...)
		m.reach = reach
		as := m.name("x")
		cols := m.columns(as, kinds)
		return source{l.text + m.pick(", LATERAL (", " CROSS JOIN LATERAL (") + q + ") " + as + "(" + bare(cols) + ")", append(l.cols, cols...)}
	case 4:
		l := m.relation()
		reach := m.reach
		m.reach = l.cols
		m.flat++
		as := m.name("f")
		var f source
		switch m.r.IntN(9) {
		case 0:
			f = source{"unnest(" + m.list() + ") " + as + "(u)", []column{{as + ".u", text}}}
		case 1:
			f = source{"jsonb_each_text(" + m.json() + ") " + as, []column{{as + ".key", text}, {as + ".value", text}}}
		case 2:
			f = source{"regexp_split_to_table(" + m.Text() + ", '') " + as + "(u)", []column{{as + ".u", text}}}
		case 3:
			f = source{"jsonb_path_query(" + m.json() + ", '$.*') " + as + "(u)", []column{{as + ".u", json}}}
		case 4:
			f = source{"jsonb_to_record(" + m.json() + ") " + as + "(k text, n numeric)", []column{{as + ".k", text}, {as + ".n", number}}}
		case 5:
			f = source{"unnest(" + m.list() + ", " + m.list() + ") WITH ORDINALITY " + as + "(a, b, o)", []column{{as + ".a", text}, {as + ".b", text}, {as + ".o", number}}}
		case 6:
			f = source{"xmltable('/e' PASSING xmlelement(name e, " + m.Text() + ") COLUMNS v text PATH '.') " + as, []column{{as + ".v", text}}}
		case 7:
			f = source{"generate_series(1, 3) " + as + "(g), LATERAL (SELECT substr(" + m.Text() + ", " + as + ".g, 1) AS s) " + as + "s", []column{{as + ".g", number}, {as + "s.s", text}}}
		default:
			f = source{"jsonb_populate_record(null::address, " + m.json() + ") " + as, []column{{as + ".town", text}}}
		}
		m.reach = reach
		m.flat--
		return source{l.text + ", " + f.text, append(l.cols, f.cols...)}
	case 5:
		r := m.relation()
		as := m.name("a")
		return source{"(" + r.text + " JOIN sales USING (id)) " + as, []column{{as + ".id", number}, {as + ".item", text}}}
	case 6:
		if !m.Clean {
			as := m.name("f")
			return source{"those() " + as, []column{{as + ".name", text}, {as + ".email", text}, {as, whole}}}
		}
	case 7:
		as := m.name("t")
		if m.Clean {
			return source{"people " + as + "(c1, c2, c3, c4)", []column{{as + ".c1", number}, {as + ".c2", text}, {as + ".c3", text}}}
		}
		return source{"people " + as + "(email, ssn, name, c4, c5, c6, town, x8)", []column{{as + ".x8", text}, {as + ".ssn", text}, {as + ".name", text}, {as + ".town", text}, {as + ".handle", text}}}
	case 8:
		as := m.name("v")
		return source{"(VALUES (" + m.plain(m.Text) + ", 1), ('k', 2)) " + as + "(t, n)", []column{{as + ".t", text}, {as + ".n", number}}}
	}
	return m.relation()
}
