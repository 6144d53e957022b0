package mysqlsql

import "strings"

// freeWords are those that the grammar keeps for itself and MariaDB does not.
var freeWords = set(`array cume_dist database dense_rank first_value generated groups lag last_value lead nth_value ntile option percent_rank rank row
schema stored virtual window`)

// free reports whether the word at i is a name that the grammar would not take for one.
func (w *writer) free(i int) bool {
	t, before := w.token(i), w.token(i-1)
	if t.kind != kindWord || w.defines || !within(freeWords, t.text) || w.token(i+1).symbol('(') {
		return false
	}
	switch t.word {
	case "WINDOW":
		return !w.token(i + 2).is("AS")
	case "ROW":
		return !before.is("CURRENT", "EACH", "FIRST", "NEXT") && before.kind != kindNumber && !before.symbol('?')
	case "OPTION":
		return !before.is("CHECK")
	}
	return true
}

// introducers are the character sets of the servers that the grammar lacks. What else
// stands so before a string is the name of a column.
var introducers = set(`armscii8 big5 cp1250 cp1251 cp1256 cp1257 cp850 cp852 cp866 cp932 dec8 eucjpms euckr gb2312 geostd8 greek hebrew hp8
keybcs2 koi8r koi8u latin2 latin5 latin7 macce macroman sjis swe7 tis620 ucs2 ujis utf16 utf16le utf32 utf8mb3`)

// introduced reports whether a string has one of them before it.
func introduced(s string) bool {
	name, ok := strings.CutPrefix(s, "_")
	return ok && within(introducers, name[:strings.IndexAny(name, `'"`)])
}

// cast reports whether what stands at i stands right within CAST.
func (w *writer) cast(i int) bool {
	n := len(w.open)
	return n > 0 && w.token(w.open[n-1]-1).is("CAST")
}

// sorted reports whether the aggregate in parentheses at i says which values it takes,
// and in which order.
func (w *writer) sorted(i, end int) bool {
	last := w.closing(i, end)
	for k, depth := i, 0; k < last; k++ {
		switch t := w.token(k); {
		case t.symbol('('):
			depth++
		case t.symbol(')'):
			depth--
		case depth == 1 && t.is("DISTINCT", "ORDER", "LIMIT"):
			return true
		}
	}
	return false
}

// view reports whether the statement is about a view.
func (w *writer) view() bool {
	for i := range w.list {
		switch t := w.token(i); {
		case t.is("VIEW"):
			return true
		case t.is("AS", "EVENT", "PROCEDURE", "FUNCTION", "TABLE"):
			return false
		}
	}
	return false
}

// named reports whether AS at i gives a name to the new row of an INSERT, by which ON
// DUPLICATE KEY UPDATE calls it. Names of its columns are not followed.
func (w *writer) named(i int) bool {
	if _, ok := w.token(i + 1).name(); !ok || !w.words(i+2, "ON", "DUPLICATE", "KEY", "UPDATE") || w.row != "" || w.selects {
		return false // most, before what lies in front is looked at
	}
	depth := 0
	for k := range i {
		switch t := w.token(k); {
		case t.symbol('('):
			depth++
		case t.symbol(')'):
			depth--
		case depth == 0 && t.is("SELECT", "TABLE", "WITH"):
			w.selects = true // of which it names a column, as all behind it do
			return false
		}
	}
	return true
}

func (w *writer) isRow(i int) bool {
	name, ok := w.token(i).name()
	return ok && strings.EqualFold(name, w.row)
}

// listed returns where a list of names for the columns of the query in parentheses
// at i is closed, as in (SELECT ...) AS x (a, b), 0 if there is none.
func (w *writer) listed(i, end int) int {
	if !w.token(i+1).is("SELECT", "WITH", "VALUES", "TABLE") && !w.token(i+1).symbol('(') || !w.token(i-1).is("FROM", "JOIN", "LATERAL") && !w.token(i-1).symbol(',') {
		return 0
	}
	at := w.after(i, end)
	if at == 0 {
		return 0
	}
	if w.token(at).is("AS") {
		at++
	}
	if _, ok := w.token(at).name(); !ok || !w.token(at+1).symbol('(') {
		return 0
	}
	for at += 2; ; at += 2 {
		if _, ok := w.token(at).name(); !ok {
			return 0
		}
		switch {
		case w.token(at + 1).symbol(')'):
			return at + 1
		case !w.token(at + 1).symbol(','):
			return 0
		}
	}
}

// after returns what stands behind the parenthesis that is closed, 0 if it is not.
func (w *writer) after(i, end int) int {
	failed := w.failed
	last := w.closing(i, end)
	w.failed = failed
	if last == 0 {
		return 0
	}
	return last + 1
}

// columnList writes (SELECT ...) AS x (a, b) as a query of a common table expression.
func (w *writer) columnList(i, end int) int {
	last, at := w.listed(i, end), w.after(i, end)
	query := w.rest(i+1, at-1)
	if w.token(at).is("AS") {
		at++
	}
	name := w.token(at).text
	w.put("( WITH " + name + " " + w.rest(at+1, last+1) + " AS ( " + query + " ) SELECT * FROM " + name + " ) AS " + name)
	return last + 1
}

// convert writes CONVERT PARTITION p TO TABLE a, and CONVERT TABLE a TO PARTITION p,
// as what has rows of a table in another as well.
func (w *writer) convert(i, end int) int {
	object := func() (name string) {
		for i++; i < end && !w.token(i).is("TO", "VALUES", "WITH", "WITHOUT"); i++ {
			name += w.token(i).text
		}
		return name
	}
	other := "TABLE"
	if w.token(i).is("TABLE") {
		other = "PARTITION"
	}
	from := object()
	if !w.words(i, "TO", other) {
		w.failed = true
		return end
	}
	i++
	to := object()
	for ; i < end; i++ { // which values are in it
		if t := w.token(i); t.kind == kindVariable || t.symbol('?') || t.is("SELECT") {
			w.failed = true
		}
	}
	if other == "TABLE" {
		from, to = to, from
	}
	w.put("EXCHANGE PARTITION " + to + " WITH TABLE " + from)
	return end
}

// jsonValue leaves out the type that JSON_VALUE returns and what it does in vain.
func (w *writer) jsonValue(i, end int) int {
	last := w.closing(i+1, end)
	at := w.comma(i+2, last)
	for at++; at < last && !w.token(at).is("RETURNING", "NULL", "ERROR", "DEFAULT"); at++ {
		continue
	}
	for k := at; k < last; k++ {
		if t := w.token(k); t.kind == kindVariable || t.kind == kindQuoted || t.symbol('?') {
			w.failed = true
		}
	}
	if w.failed {
		return end
	}
	w.put("JSON_VALUE(" + w.rest(i+2, min(at, last)) + ")")
	return last + 1
}

// dynamic leaves out the types of dynamic columns: COLUMN_GET(a, 'b' AS CHAR(9)).
func (w *writer) dynamic(i, end int) int {
	last := w.closing(i+1, end)
	if w.failed {
		return end
	}
	var args []string
	for at := i + 2; at < last; {
		next := w.comma(at, last)
		to := at
		for depth := 0; to < next && !(depth == 0 && w.token(to).is("AS")); to++ {
			if w.token(to).symbol('(') {
				depth++
			} else if w.token(to).symbol(')') {
				depth--
			}
		}
		args = append(args, w.rest(at, to))
		at = next + 1
	}
	w.put(w.token(i).text + "(" + strings.Join(args, ", ") + ")")
	return last + 1
}
