package mysqlsql

import "strings"

// A part is one statement as the grammar has it, and what had to be taken out
// of it for that: the grammar is that of TiDB, which lacks much of MariaDB's.
type part struct {
	text string // what is parsed; its lineage is that of the statement

	returning string   // the list behind RETURNING
	into      []string // variables behind INTO
	file      bool     // INTO OUTFILE or DUMPFILE
	analyse   bool     // PROCEDURE ANALYSE
	runs      bool     // ANALYZE of a statement, which executes it
	replaces  bool     // CREATE OR REPLACE of what holds rows
	alters    bool     // ALTER VIEW
	portion   bool     // FOR PORTION OF, at whose ends rows are inserted
	more      string   // EXPLAIN EXTENDED or PARTITIONS
}

// plain reports whether nothing was taken out but what the lineage does not need.
func (p part) plain() bool {
	return p.returning == "" && len(p.into) == 0 && !p.file && !p.analyse && !p.runs && !p.replaces && !p.portion && p.more == ""
}

// rewrite returns one statement in the grammar's form. ok is false if something
// in it is not understood; what it makes of the rest is for the parser to
// refuse.
func rewrite(list []token) (p part, ok bool) {
	w := writer{list: list, part: &p}
	w.statement()
	return p, !w.failed
}

// A writer writes a statement anew, token by token.
type writer struct {
	list   []token
	part   *part
	out    strings.Builder
	failed bool

	query   bool // the statement is a query
	changes bool // the statement changes rows of one table
	upserts bool // ON DUPLICATE KEY UPDATE has begun

	defines bool   // what the statement defines is no query
	row     string // what INSERT calls its new row
	selects bool   // an INSERT takes its rows from a query

	open []int // the parentheses that are not closed yet
}

// token returns the token at i, an empty one behind the last.
func (w *writer) token(i int) *token {
	if i >= 0 && i < len(w.list) {
		return &w.list[i]
	}
	return &token{}
}

func (w *writer) words(i int, words ...string) bool {
	for k, s := range words {
		if !w.token(i + k).is(s) {
			return false
		}
	}
	return true
}

func (w *writer) put(s string) {
	w.out.WriteString(s)
	w.out.WriteByte(' ')
}

// copy writes the token at i. What stood together stays so: COUNT (x) is no
// COUNT(x).
func (w *writer) copy(i int) {
	t := w.token(i)
	w.out.WriteString(t.text)
	if w.token(i+1).from != t.to {
		w.out.WriteByte(' ')
	}
}

// statement writes what is the whole statement.
func (w *writer) statement() {
	i := 0
	switch first := w.token(0); {
	case first.is("EXPLAIN", "DESCRIBE", "DESC") && w.token(1).is("EXTENDED", "PARTITIONS"):
		w.part.more = w.token(1).word
		w.put("EXPLAIN")
		i = 2
	case first.is("ANALYZE") && !w.token(1).is("TABLE", "NO_WRITE_TO_BINLOG", "LOCAL"):
		w.part.runs = true
		w.put("EXPLAIN")
		i = 1
	case first.is("CREATE") && w.words(1, "OR", "REPLACE") && w.token(3).is("TABLE", "TEMPORARY", "DATABASE", "SCHEMA", "SEQUENCE"):
		w.part.replaces = true
		w.put("CREATE")
		i = 3
	case first.is("ALTER") && (w.token(1).is("VIEW", "ALGORITHM", "DEFINER") || w.words(1, "SQL", "SECURITY")) && w.view():
		w.part.alters = true
		w.put("CREATE OR REPLACE")
		i = 1
	}
	first := w.token(i)
	w.query = first.is("SELECT", "WITH", "TABLE", "VALUES") || first.symbol('(')
	w.changes = first.is("INSERT", "REPLACE", "DELETE")
	w.defines = first.is("CREATE", "ALTER", "DROP", "GRANT", "REVOKE") && !w.view()
	w.write(i, len(w.list), true)
	w.part.text = w.out.String()
}

// write writes the tokens from i to end. top says that they are the statement's
// own, not those inside of parentheses.
func (w *writer) write(i, end int, top bool) {
	for i < end && !w.failed {
		t := w.token(i)
		own := top && len(w.open) == 0
		switch {
		case t.symbol('(') && w.listed(i, end) > 0:
			i = w.columnList(i, end)
			continue
		case t.symbol('('):
			w.open = append(w.open, i)
		case t.symbol(')'):
			w.open = w.open[:max(len(w.open), 1)-1]
		case w.token(i - 1).symbol('.'): // part of a name
		case w.free(i):
			w.put("`" + t.text + "`")
			i++
			continue
		case t.is("JSON_TABLE") && w.token(i+1).symbol('('):
			i = w.jsonTable(i, end)
			continue
		case t.is("JSON_ARRAYAGG") && w.token(i+1).symbol('(') && w.sorted(i+1, end):
			w.out.WriteString("GROUP_CONCAT")
			i++
			continue
		case t.is("FOR") && w.token(i+1).is("SYSTEM_TIME"):
			i = w.systemTime(i+2, end)
			continue
		case own && t.is("FOR") && w.words(i+1, "PORTION", "OF") && w.token(i+4).is("FROM"):
			w.part.portion = true
			i = w.systemTime(i+4, end)
			continue
		case own && t.is("CONVERT") && w.token(0).is("ALTER") && w.token(i+1).is("PARTITION", "TABLE"):
			i = w.convert(i+1, end)
			continue
		case t.is("DUPLICATE") && w.words(i-1, "ON") && w.words(i+1, "KEY", "UPDATE"):
			w.upserts = true
		case t.is("VALUE") && w.token(i+1).symbol('(') && w.upserts:
			w.out.WriteString("VALUES")
			i++
			continue
		case t.is("VALUES") && w.token(i+1).symbol('(') && w.begins(i):
			i = w.rows(i, end)
			continue
		case t.is("LIMIT") && w.words(i+1, "ROWS", "EXAMINED") && w.number(i+3):
			i += 4
			continue
		case t.is("LIMIT") && w.ranged():
			i = w.afterLimit(i, end)
			continue
		case t.is("ROWS") && w.token(i+1).is("EXAMINED") && w.number(i+2):
			i += 3
			continue
		case t.is("OFFSET") && w.number(i+1) && w.token(i+2).is("ROW", "ROWS"):
			i += 3
			continue
		case t.is("FETCH") && w.token(i+1).is("FIRST", "NEXT"):
			i = w.fetch(i+2, end)
			continue
		case t.is("PREVIOUS") && w.words(i+1, "VALUE", "FOR"):
			i = w.previous(i+3, end)
			continue
		case t.is("MODE") && w.token(i-1).is("SHARE") && w.token(i+1).is("WAIT", "NOWAIT", "SKIP"):
			w.put(t.text)
			switch i += 2; {
			case w.token(i - 1).is("NOWAIT"):
			case w.token(i-1).is("SKIP") && w.token(i).is("LOCKED"), w.token(i-1).is("WAIT") && w.number(i):
				i++
			default:
				w.failed = true
			}
			continue
		case t.is("CYCLE") && w.token(i-1).symbol(')') && w.cycle(i) > 0:
			i = w.cycle(i)
			continue
		case t.is("PERCENTILE_CONT", "PERCENTILE_DISC") && w.token(i+1).symbol('('):
			i = w.percentile(i+1, end)
			continue
		case t.is("MEDIAN") && w.token(i+1).symbol('('):
			w.out.WriteString("FIRST_VALUE")
			i++
			continue
		case t.is("LAST_VALUE") && w.token(i+1).symbol('(') && !w.token(w.closing(i+1, end)+1).is("OVER", "RESPECT", "IGNORE"):
			w.out.WriteString("CONCAT") // it computes all of them
			i++
			continue
		case t.is("JSON_VALUE") && w.token(i+1).symbol('('):
			i = w.jsonValue(i, end)
			continue
		case t.is("COLUMN_GET", "COLUMN_CREATE", "COLUMN_ADD") && w.token(i+1).symbol('('):
			i = w.dynamic(i, end)
			continue
		case t.kind == kindString && introduced(t.text):
			w.put("CONVERT(" + t.text[strings.IndexAny(t.text, `'"`):] + " USING utf8mb4)")
			i++
			continue
		case t.is("TREE") && w.token(i-1).symbol('=') && w.token(i-2).is("FORMAT"):
			w.put("JSON") // which is one column as well
			i++
			continue
		case own && w.changes && t.is("AS") && w.named(i):
			w.row, _ = w.token(i + 1).name()
			i += 2
			continue
		case w.row != "" && w.isRow(i):
			if !w.upserts || !w.token(i+1).symbol('.') {
				w.failed = true // it may be another of that name
			}
			w.put("VALUES (" + w.token(i+2).text + ")")
			i += 3
			continue
		case t.is("MATCH") && !w.token(i+1).symbol('('):
			from := i + 1
			for i++; i < end && !w.token(i).is("AGAINST"); i++ {
				continue
			}
			w.put("MATCH (" + w.rest(from, i) + ")")
			continue
		case t.is("USING") && len(w.open) > 0 && w.token(i+1).kind == kindWord: // CONVERT(x USING latin2), which the grammar lacks
			w.put("USING utf8mb4")
			i += 2
			continue
		case t.is("CHARSET") && w.cast(i) && w.token(i+1).kind == kindWord && w.token(i+2).symbol(')'):
			w.put("CHARSET utf8mb4")
			i += 2
			continue
		case t.is("CHARACTER") && w.cast(i) && w.token(i+1).is("SET") && w.token(i+2).kind == kindWord:
			w.put("CHARACTER SET utf8mb4")
			i += 3
			continue
		case t.is("SOUNDS") && w.token(i+1).is("LIKE"):
			i++
			continue
		case w.token(i-1).is("AS") && (t.is("VARCHAR") || t.is("UUID", "INET4", "INET6") && w.cast(i)): // CAST(x AS VARCHAR(9))
			w.put("CHAR")
			i++
			continue
		case t.is("INT", "INTEGER") && w.token(i-1).is("AS"):
			w.put("SIGNED")
			i++
			continue
		case own && w.changes && t.is("RETURNING"):
			w.part.returning = w.rest(i+1, end)
			return
		case own && w.query && t.is("INTO"):
			i = w.into(i+1, end)
			continue
		case own && t.is("PROCEDURE") && w.token(i+1).is("ANALYSE"):
			w.part.analyse = true
			if !w.token(i+2).symbol('(') || w.closing(i+2, end) != end-1 {
				w.failed = true
			}
			return
		}
		w.copy(i)
		i++
	}
}

func (w *writer) number(i int) bool { return w.token(i).kind == kindNumber || w.token(i).symbol('?') }

// cycle returns where CYCLE a, b RESTRICT behind a common table expression ends,
// 0 if it is something else, such as a table's name.
func (w *writer) cycle(i int) int {
	for i++; ; i += 2 {
		if _, ok := w.token(i).name(); !ok {
			return 0
		}
		if w.token(i + 1).is("RESTRICT") {
			return i + 2
		}
		if !w.token(i + 1).symbol(',') {
			return 0
		}
	}
}

// percentile writes PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY a) as a window
// function of the same values.
func (w *writer) percentile(i, end int) int {
	last := w.closing(i, end)
	if w.failed || !w.words(last+1, "WITHIN", "GROUP") || !w.token(last+3).symbol('(') || !w.words(last+4, "ORDER", "BY") {
		w.failed = true
		return end
	}
	to := w.closing(last+3, end)
	if w.failed {
		return end
	}
	stop := to
	if w.token(to-1).is("ASC", "DESC") {
		stop--
	}
	w.put("FIRST_VALUE(CONCAT(" + w.rest(i+1, last) + ", " + w.rest(last+6, stop) + "))")
	return to + 1
}

// begins reports whether what stands at i begins a query.
func (w *writer) begins(i int) bool {
	b := w.token(i - 1)
	return i == 0 || b.symbol('(') || b.is("UNION", "EXCEPT", "INTERSECT", "EXPLAIN", "FOR") ||
		b.is("ALL", "DISTINCT") && w.token(i-2).is("UNION", "EXCEPT", "INTERSECT")
}

// rest returns the tokens from i to end as text.
func (w *writer) rest(i, end int) string {
	inner := writer{list: w.list[i:end], part: &part{}, defines: w.defines}
	inner.write(0, end-i, false)
	w.failed = w.failed || inner.failed
	return inner.out.String()
}

// closing returns where the parenthesis at i is closed, 0 if it is not.
func (w *writer) closing(i, end int) int {
	depth := 0
	for ; i < end; i++ {
		switch t := w.token(i); {
		case t.symbol('('):
			depth++
		case t.symbol(')'):
			if depth--; depth == 0 {
				return i
			}
		}
	}
	w.failed = true
	return 0
}

// comma returns the next comma outside of parentheses, or end.
func (w *writer) comma(i, end int) int {
	depth := 0
	for ; i < end; i++ {
		switch t := w.token(i); {
		case t.symbol('('):
			depth++
		case t.symbol(')'):
			depth--
		case t.symbol(',') && depth == 0:
			return i
		}
	}
	return end
}

// jsonTable writes JSON_TABLE(document, path COLUMNS (...)) as a query whose
// columns are all computed from the document.
func (w *writer) jsonTable(i, end int) int {
	last := w.closing(i+1, end)
	first := w.comma(i+2, last)
	if w.failed || first >= last {
		w.failed = true
		return end
	}
	doc := w.rest(i+2, first)
	var names []string
	w.jsonColumns(first+1, last, &names)
	if len(names) == 0 {
		w.failed = true
		return end
	}
	w.put("LATERAL ( SELECT")
	for k, n := range names {
		if k > 0 {
			w.put(",")
		}
		w.put("CONCAT (" + doc + ") AS " + n)
	}
	w.put(")")
	return last + 1
}

// jsonColumns finds the names of the columns between i and end.
func (w *writer) jsonColumns(i, end int, names *[]string) {
	for i < end && !w.token(i).is("COLUMNS") {
		i++
	}
	if i+1 >= end || !w.token(i+1).symbol('(') {
		w.failed = true
		return
	}
	last := w.closing(i+1, end)
	for i += 2; i < last && !w.failed; {
		next := w.comma(i, last)
		t := w.token(i)
		switch _, named := t.name(); {
		case t.is("NESTED") && (w.token(i+1).is("PATH") || w.token(i+1).kind == kindString):
			w.jsonColumns(i+1, next, names)
		case named && next > i+1:
			*names = append(*names, t.text)
		default:
			w.failed = true
		}
		i = next + 1
	}
}

// moments are the words that a point in time may be made of.
var moments = set(`timestamp transaction now current_timestamp current_date curdate sysdate localtime localtimestamp interval microsecond
second minute hour day week month quarter year date date_sub date_add subdate adddate cast as datetime from_unixtime unix_timestamp`)

// systemTime leaves out a choice of versions of rows. What it is made of must
// not read anything.
func (w *writer) systemTime(i, end int) int {
	bound := func(i int) int {
		from, depth := i, 0
		for ; i < end; i++ {
			t := w.token(i)
			switch {
			case t.symbol('('):
				depth++
				continue
			case t.symbol(')'):
				if depth--; depth < 0 {
					return i
				}
				continue
			case t.symbol(',') && depth == 0:
				return i
			case t.kind == kindNumber, t.kind == kindString, t.symbol('+'), t.symbol('-'), t.symbol('?'), t.symbol(','):
				continue
			case t.kind == kindWord:
				if _, ok := moments[strings.ToLower(t.text)]; ok && !(t.is("AS") && depth == 0) {
					continue
				}
			}
			break
		}
		if i == from || depth > 0 {
			w.failed = true
		}
		return i
	}
	between := func(i int, word string) int {
		if i = bound(i); !w.token(i).is(word) {
			w.failed = true
		}
		return bound(i + 1)
	}
	switch t := w.token(i); {
	case t.is("ALL"):
		return i + 1
	case t.is("AS") && w.token(i+1).is("OF"):
		return bound(i + 2)
	case t.is("BETWEEN"):
		return between(i+1, "AND")
	case t.is("FROM"):
		return between(i+1, "TO")
	}
	w.failed = true
	return end
}

// rows writes VALUES (1), (2) as VALUES ROW(1), ROW(2).
func (w *writer) rows(i, end int) int {
	w.put("VALUES")
	for i++; w.token(i).symbol('('); {
		last := w.closing(i, end)
		if w.failed {
			return end
		}
		w.put("ROW (" + w.rest(i+1, last) + ")")
		if i = last + 1; !w.token(i).symbol(',') || !w.token(i+1).symbol('(') {
			break
		}
		w.put(",")
		i++
	}
	return i
}

// ranged reports whether the LIMIT at hand stands inside of an aggregate, as in
// GROUP_CONCAT(a LIMIT 3).
func (w *writer) ranged() bool {
	n := len(w.open)
	return n > 0 && w.token(w.open[n-1]-1).is("GROUP_CONCAT", "JSON_ARRAYAGG")
}

// afterLimit leaves out a LIMIT whose bounds are numbers.
func (w *writer) afterLimit(i, end int) int {
	for i++; i < end; i++ {
		if t := w.token(i); t.kind != kindNumber && !t.symbol(',') && !t.is("OFFSET") {
			break
		}
	}
	return i
}

// fetch leaves out FETCH FIRST 3 ROWS ONLY.
func (w *writer) fetch(i, end int) int {
	if t := w.token(i); t.kind == kindNumber || t.symbol('?') {
		i++
	}
	if !w.token(i).is("ROW", "ROWS") {
		w.failed = true
	}
	switch i++; {
	case w.token(i).is("ONLY"):
		return i + 1
	case w.words(i, "WITH", "TIES"):
		return i + 2
	}
	w.failed = true
	return end
}

// previous writes PREVIOUS VALUE FOR a sequence as the function that it is.
func (w *writer) previous(i, end int) int {
	w.put("LASTVAL (")
	for i < end {
		if _, ok := w.token(i).name(); !ok {
			break
		}
		w.put(w.token(i).text)
		if i++; !w.token(i).symbol('.') {
			break
		}
		w.put(".")
		i++
	}
	w.put(")")
	return i
}

// into takes out where a query's result goes.
func (w *writer) into(i, end int) int {
	if w.token(i).is("OUTFILE", "DUMPFILE") {
		w.part.file = true
		w.failed = w.failed || w.token(i+1).kind != kindString
		i += 2
		for i < end && (w.token(i).kind == kindString || w.token(i).is("CHARACTER", "SET", "CHARSET", "FIELDS", "COLUMNS", "TERMINATED", "BY",
			"OPTIONALLY", "ENCLOSED", "ESCAPED", "LINES", "STARTING", "UTF8", "UTF8MB4", "LATIN1", "BINARY", "ASCII")) {
			i++
		}
		return i
	}
	for {
		t := w.token(i)
		if w.part.into = append(w.part.into, variableKey(t)); w.part.into[len(w.part.into)-1] == "" {
			w.failed = true
			return end
		}
		if i++; !w.token(i).symbol(',') {
			return i
		}
		i++
	}
}

// variableKey returns what the variable in t is found by: a routine's own, or with
// an @ before it the user's. It is "" if there is none.
func variableKey(t *token) string {
	if t.kind != kindVariable {
		name, _ := t.name()
		return strings.ToLower(name)
	}
	name := t.text[1:]
	if n := len(name); n >= 2 && strings.ContainsRune("'\"`", rune(name[0])) {
		name = name[1 : n-1]
	}
	return nameKey(name)
}
